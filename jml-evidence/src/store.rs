//! The evidence store: takes runs' journals, makes what is new in them durable, seals it, and keeps the
//! vault.

mod forget;
mod known;
mod life;
mod shared;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use chrono::{DateTime, Utc};
use jml_core::canon::{self, CanonError};
use jml_core::id::IdentityId;
use jml_core::journal::{Entry, Fact};
use jml_core::review::Campaign;
use serde::Serialize;

use crate::RECORD_FORMAT;
use crate::controls::{self, Framework};
use crate::entropy::Entropy;
use crate::log::{Durable, Log, LogError, Sealed};
use crate::note::CheckpointSigner;
use crate::record::{
    Body, By, Config, Controls, Draft, Hidden, Owner, derive, event, instant, review,
};
use crate::run_root::run_root;
use crate::schema::{self, Odd};
use crate::storage::{FolderStorage, Storage};
use crate::vault::{self, KeyWrap, OpenRow, Vault, VaultError};

pub use forget::{EraseError, Erasure, HoldId};
pub use life::{Hr, Orphaned, PopulationError, SealedPopulation};
pub use shared::SharedStore;

use known::{Before, Known};

/// Evidence could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder cannot be opened, or another process has it.
    #[error("the evidence folder `{path}` cannot be opened: {what}")]
    Open {
        /// Which folder.
        path: String,
        /// Why.
        what: String,
    },
    /// The log failed.
    #[error("the evidence log failed")]
    Log(#[from] LogError),
    /// The vault failed.
    #[error("the vault failed")]
    Vault(#[from] VaultError),
    /// A value has no canonical form.
    #[error("a record has no canonical form")]
    Canon(#[from] CanonError),
}

/// When the store seals by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Cadence {
    /// When so many records are durable and not sealed.
    pub records: u64,
    /// When a journal entry is so many seconds younger than the oldest record that is not sealed.
    pub seconds: i64,
    /// When a run is closed.
    pub run_end: bool,
}

impl Default for Cadence {
    /// At the end of a run, after 1,000 records, or after 10 seconds.
    fn default() -> Self {
        Self { records: 1000, seconds: 10, run_end: true }
    }
}

/// The keys of an evidence store.
pub struct Keys {
    /// Signs checkpoints.
    pub signer: Box<dyn CheckpointSigner>,
    /// Wraps the vault's key.
    pub vault: Box<dyn KeyWrap>,
    /// Nonces, salts and pseudonyms.
    pub entropy: Box<dyn Entropy>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Makes journals into evidence. One writer at a time.
pub struct EvidenceStore {
    storage: Arc<dyn Storage>,
    log: Log,
    vault: Vault,
    entropy: Box<dyn Entropy>,
    cadence: Cadence,
    frameworks: BTreeSet<Framework>,
    known: Known,
    /// Time of the oldest record that is not sealed.
    oldest: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for EvidenceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceStore").field("log", &self.log).finish_non_exhaustive()
    }
}

/// A record with its place. The field names are the format; see `docs/formats.md`.
#[derive(Serialize)]
struct Record<'a> {
    v: u16,
    origin: &'a str,
    kind: &'a str,
    event: &'a str,
    also: Option<&'a [&'static str]>,
    kseq: u64,
    nonce: String,
    time: String,
    run: Option<RunPlace<'a>>,
    subject: Option<Ref<'a>>,
    actor: Option<ActorBody<'a>>,
    #[serde(rename = "_sd")]
    sd: Option<Vec<&'a str>>,
    body: &'a Body,
}

#[derive(Serialize)]
struct RunPlace<'a> {
    id: &'a str,
    seq: u64,
    entry: u64,
    prev: Option<String>,
}

#[derive(Serialize)]
struct Ref<'a> {
    r#ref: &'a str,
}

#[derive(Serialize)]
struct ActorBody<'a> {
    r#type: &'static str,
    r#ref: Option<&'a str>,
}

/// Records on their way into the log: what they need beside it comes first.
#[derive(Default)]
struct Batch {
    entries: Vec<Vec<u8>>,
    beside: Vec<Vec<u8>>,
    /// Pseudonyms that were made for it.
    fresh: Vec<String>,
}

/// A record to be placed.
struct Item<'a> {
    run: Option<&'a str>,
    event: &'a str,
    subject: Option<&'a IdentityId>,
    draft: &'a Draft,
}

/// What was known before records were placed.
enum Undo {
    /// What the records of one run can change.
    Run(Box<Before>),
    All(Box<Known>),
}

impl EvidenceStore {
    /// Opens the evidence of a directory, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`StoreError`]. Damaged evidence is never written to.
    pub fn open(dir: &Path, keys: Keys) -> Result<Self, StoreError> {
        let storage = FolderStorage::open(dir).map_err(|e| StoreError::Open {
            path: dir.display().to_string(),
            what: e.to_string(),
        })?;
        Self::open_in(Arc::new(storage), keys)
    }

    /// Opens the evidence of a storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(storage: Arc<dyn Storage>, keys: Keys) -> Result<Self, StoreError> {
        let Keys { signer, vault: wrap, mut entropy } = keys;
        let mut known = Known::default();
        let mut visit = |index: u64, bytes: &[u8]| {
            let odd = || "it is no record of this version".to_owned();
            known.recall(index, bytes).ok_or_else(odd)
        };
        let log = Log::open(Arc::clone(&storage), signer, &mut visit, &mut vault::settle)?;
        let vault = Vault::open(storage.as_ref(), wrap.as_ref(), entropy.as_mut())?;
        let (cadence, oldest) = (Cadence::default(), None);
        let frameworks = Framework::usual();
        let mut store = Self { storage, log, vault, entropy, cadence, frameworks, known, oldest };
        store.finish_erasures()?;
        Ok(store)
    }

    /// Seals at other times than by default.
    #[must_use]
    pub const fn with_cadence(mut self, cadence: Cadence) -> Self {
        self.cadence = cadence;
        self
    }

    /// Names the controls of these frameworks on closed runs, instead of the usual ones.
    #[must_use]
    pub fn with_frameworks(mut self, frameworks: BTreeSet<Framework>) -> Self {
        self.frameworks = frameworks;
        self
    }

    /// Makes durable what the journal of one run says and was not recorded yet. Calling it again changes
    /// nothing. The whole journal is given each time; simulated runs leave no trace.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing is half recorded: the next opening goes on.
    pub fn add(&mut self, entries: &[Entry]) -> Result<Durable, StoreError> {
        let staged = self.stage(entries)?;
        self.commit()?;
        Ok(staged)
    }

    /// Makes durable what the log of a campaign of reviews says and was not recorded yet. Calling it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_review(&mut self, campaign: &Campaign) -> Result<Durable, StoreError> {
        let next = self.known.reviews.get(campaign.rules().id.as_str()).copied().unwrap_or(0);
        let drafts = review(campaign, next, self.entropy.as_mut())?;
        let items: Vec<Item<'_>> = drafts
            .iter()
            .map(|(subject, draft)| Item {
                run: None,
                event: "review",
                subject: subject.as_ref(),
                draft,
            })
            .collect();
        let durable = self.stage_items(&items, Undo::All(Box::new(self.known.clone())))?;
        self.commit()?;
        Ok(durable)
    }

    /// Puts everything that is durable under a signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError`]; sealing can be tried again.
    pub fn seal(&mut self) -> Result<Sealed, StoreError> {
        self.commit()?;
        let sealed = self.log.seal(&mut vault::settle)?;
        self.oldest = None;
        Ok(sealed)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if let Some(commit) = self.log.begin_commit()? {
            let done = commit.run();
            self.log.end_commit(commit, done)?;
        }
        Ok(())
    }

    /// Whether it is time to seal, as the cadence says.
    fn due(&self, entries: &[Entry]) -> bool {
        let last = entries.last();
        let closed = matches!(last.map(|e| &e.fact), Some(Fact::Closed { .. }));
        let waiting = self.log.size() - self.log.sealed().checkpoint().size;
        let old = last.zip(self.oldest).is_some_and(|(entry, oldest)| {
            (entry.at - oldest).num_seconds() >= self.cadence.seconds
        });
        waiting > 0 && ((self.cadence.run_end && closed) || waiting >= self.cadence.records || old)
    }

    /// Puts the new records of a run into the queue.
    fn stage(&mut self, entries: &[Entry]) -> Result<Durable, StoreError> {
        let Some(Fact::Opened { run, plan, .. }) = entries.first().map(|e| &e.fact) else {
            return Ok(self.log.stage(Vec::new(), Vec::new())?);
        };
        let from = self.known.runs.get(run.as_str()).map_or(0, |state| state.next_entry);
        let mut drafts = derive(entries, from, self.entropy.as_mut())?;
        let header = plan.header();
        let policy = header.basis.policy.to_string();
        if from == 0 && !drafts.is_empty() && self.known.policy.as_ref() != Some(&policy) {
            let config = Config {
                policy,
                policy_version: header.basis.policy_version.to_string(),
                before: self.known.policy.clone(),
            };
            let body = Body { config: Some(config), ..Body::default() };
            let time = drafts.first().map_or(header.made_at, |draft| draft.time);
            drafts.insert(0, Draft::new("config.changed", time, body));
        }
        let event = event(header.kind);
        let (id, subject) = (Some(run.as_str()), Some(&header.identity));
        let mut items = Vec::new();
        for draft in &drafts {
            items.push(match draft.entry {
                Some(_) => Item { run: id, event, subject, draft },
                None => Item { run: None, event: "log_integrity", subject: None, draft },
            });
        }
        let before = self.known.clone_for(run.as_str());
        self.stage_items(&items, Undo::Run(Box::new(before)))
    }

    /// Puts records into the queue, all or none: after a failure everything is as it was before.
    fn stage_items(&mut self, items: &[Item<'_>], undo: Undo) -> Result<Durable, StoreError> {
        let mut batch = Batch::default();
        let placed = items.iter().try_for_each(|item| self.place(&mut batch, item));
        let fresh = std::mem::take(&mut batch.fresh);
        let staged = placed
            .and_then(|()| self.log.stage(batch.entries, batch.beside).map_err(StoreError::from));
        match &staged {
            Ok(durable) if durable.count() > 0 => {
                self.oldest = self.oldest.or_else(|| items.first().map(|item| item.draft.time));
            }
            Ok(_) => {}
            Err(_) => {
                match undo {
                    Undo::Run(before) => self.known.restore(*before),
                    Undo::All(before) => self.known = *before,
                }
                // Their keys were never stored, so nothing may be closed with them.
                self.vault.forget(&fresh);
            }
        }
        staged
    }

    /// The pseudonym of somebody, made if there is none.
    fn reference(&mut self, batch: &mut Batch, who: &IdentityId) -> Result<String, StoreError> {
        let (name, line) = self.vault.subject(who.as_str(), self.entropy.as_mut())?;
        if let Some(line) = line {
            batch.beside.push(line);
            batch.fresh.push(name.clone());
        }
        Ok(name)
    }

    /// Gives a record its place and puts it into a batch.
    fn place(&mut self, batch: &mut Batch, item: &Item<'_>) -> Result<(), StoreError> {
        let Item { run, event, subject, draft } = *item;
        let index = self.log.size() + batch.entries.len() as u64;
        let subject = subject.map(|who| self.reference(batch, who)).transpose()?;
        let actor = match &draft.actor {
            Some(By::Person(who)) => Some(Some(self.reference(batch, who)?)),
            Some(By::System) => Some(None),
            None => None,
        };
        for Hidden { owner, class, disclosure } in &draft.hidden {
            let owner = match owner {
                Owner::Subject => subject.clone().unwrap_or_default(),
                Owner::Person(who) => self.reference(batch, who)?,
            };
            let text = &disclosure.text;
            batch.beside.push(self.vault.row(
                index,
                &owner,
                *class,
                text,
                self.entropy.as_mut(),
            )?);
        }
        let state = run.map(|run| self.known.runs.get(run).cloned().unwrap_or_default());
        let mut body = draft.body.clone();
        if let (Some(closing), Some(state)) = (&mut body.closing, &state) {
            closing.records = state.count;
            closing.run_root = run_root(&state.leaves);
            closing.controls = Controls {
                map: controls::map_digest(),
                ids: controls::ids_for(&self.frameworks, "run.closed", event, &draft.also),
            };
        }
        let counter = (draft.kind.to_owned(), event.to_owned());
        let mut nonce = [0_u8; 16];
        self.entropy.fill(&mut nonce);
        let mut sd: Vec<&str> =
            draft.hidden.iter().map(|hidden| hidden.disclosure.digest.as_str()).collect();
        // Sorted, so that the order of the digests says nothing about the order of the values.
        sd.sort_unstable();
        let verifier = self.log.verifier();
        let record = Record {
            v: RECORD_FORMAT,
            origin: verifier.name(),
            kind: draft.kind,
            event,
            also: (!draft.also.is_empty()).then_some(draft.also.as_slice()),
            kseq: self.known.counters.get(&counter).copied().unwrap_or(0),
            nonce: Base64UrlUnpadded::encode_string(&nonce),
            time: instant(draft.time),
            run: run.zip(state.as_ref()).map(|(id, state)| RunPlace {
                id,
                seq: state.count,
                entry: draft.entry.unwrap_or(0),
                prev: state.leaves.last().map(|hash| Base64::encode_string(hash)),
            }),
            subject: subject.as_deref().map(|r#ref| Ref { r#ref }),
            actor: actor.as_ref().map(|who| ActorBody {
                r#type: if who.is_some() { "person" } else { "system" },
                r#ref: who.as_deref(),
            }),
            sd: (!sd.is_empty()).then_some(sd),
            body: &body,
        };
        let bytes = canon::to_vec(&record)?;
        // What a verifier would call odd is refused here, before it is in the log for ever.
        let node = canon::parse(&bytes)?;
        if let Err(Odd::Unknown(what) | Odd::Wrong(what)) = schema::check(&node) {
            return Err(
                CanonError::Custom(format!("a {} cannot be recorded: {what}", draft.kind)).into()
            );
        }
        // The one place that reads records is the one that knows what they mean.
        if self.known.recall(index, &bytes).is_none() {
            let what = "a record that this version cannot read back".to_owned();
            return Err(CanonError::Custom(what).into());
        }
        batch.entries.push(bytes);
        Ok(())
    }

    /// The store as the sink of an engine.
    #[must_use]
    pub fn shared(self) -> SharedStore {
        SharedStore::new(self)
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// The disclosures of entries, opened: of those whose number `want` accepts, and as far as their
    /// subjects were not erased. What is not sealed yet is not among them.
    ///
    /// # Errors
    /// [`StoreError::Vault`].
    pub fn disclosures(
        &self,
        want: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<OpenRow>, StoreError> {
        Ok(self.vault.rows(self.storage.as_ref(), want)?)
    }

    /// The entries that open the runs of a sealed population.
    #[cfg(feature = "pack")]
    pub(crate) fn members_of(&self, population: u64) -> Option<Vec<u64>> {
        self.known.populations.get(&population).map(|(members, _)| members.clone())
    }

    /// The pseudonym under which somebody is in the records, if they are.
    #[must_use]
    pub fn pseudonym(&self, who: &IdentityId) -> Option<&str> {
        self.vault.known(who.as_str())
    }
}
