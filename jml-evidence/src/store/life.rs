//! The log's own life: heartbeats, anchors, keys, holds, erasure, populations and samples.

use std::collections::BTreeSet;
use std::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use chrono::{DateTime, Utc};
use jml_core::account::AccountRef;
use jml_core::id::IdentityId;

use super::{EvidenceStore, Item, StoreError, Undo};
use crate::anchor::{Anchored, Receipt};
use crate::disclose::disclose;
use crate::log::Sealed;
use crate::note::{CheckpointSigner, hex};
use crate::population::{Extract, PopulationBody, SampleBody, members_root, sample};
use crate::record::{
    Alive, Anchored as AnchoredBody, Body, By, Draft, Erased, Hidden, KeyChange, Orphan, Owner,
    instant,
};
use crate::vault::{RetentionClass, Vault};

/// The name of a hold on somebody's evidence. It says nothing about the case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldId(String);

impl HoldId {
    /// A hold's name as it was printed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wish to erase somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Erasure {
    /// Whom.
    pub who: IdentityId,
    /// On what ground, such as `GDPR Art. 17(1)(a)`. It is disclosed to nobody: it lies under the first
    /// approver's key.
    pub basis: String,
    /// Who approved it: at least two, and not the person.
    pub approved_by: BTreeSet<IdentityId>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why somebody was not erased. Nothing was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// There is a duty to keep.
    #[error("`{who}` is under hold `{hold}`; release it first")]
    Held {
        /// Whom.
        who: IdentityId,
        /// Which hold.
        hold: HoldId,
    },
    /// Too few people answer for it.
    #[error("erasing somebody needs two people who approve it, and not the person: {found} given")]
    Approvals {
        /// How many count.
        found: usize,
    },
    /// Nothing is kept about them.
    #[error("nothing is kept about `{0}`")]
    Unknown(IdentityId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an HR system says about a period, to compare a population with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Hr {
    /// Where it came from.
    pub extract: Extract,
    /// Who is in it.
    pub people: BTreeSet<IdentityId>,
}

/// A population that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SealedPopulation {
    /// The entry that says so. Samples name it.
    pub entry: u64,
    /// What it says.
    pub body: PopulationBody,
    /// Who is in the extract and has no run; for people to look after.
    pub source_only: BTreeSet<IdentityId>,
}

/// Why there is no population or sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopulationError {
    /// The period does not begin before it ends.
    #[error("the period ends before it begins")]
    Period,
    /// No entry of this number sealed a population.
    #[error("entry {0} sealed no population")]
    Unknown(u64),
    /// The population is not under a checkpoint, so it could still be changed to fit the seed.
    #[error(
        "the population of entry {0} is not under a checkpoint yet; seal it, then ask for the seed"
    )]
    Unsealed(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account that belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Orphaned {
    /// Which one.
    pub account: AccountRef,
    /// Its state, such as `active`.
    pub status: String,
    /// How many entitlements it holds.
    pub entitlements: u64,
}

impl EvidenceStore {
    /// Puts records that belong to no run into the log, and makes them durable.
    pub(super) fn note(
        &mut self,
        event: &str,
        subject: Option<&IdentityId>,
        drafts: &[Draft],
    ) -> Result<u64, StoreError> {
        let items: Vec<Item<'_>> =
            drafts.iter().map(|draft| Item { run: None, event, subject, draft }).collect();
        let durable = self.stage_items(&items, Undo::All(Box::new(self.known.clone())))?;
        self.commit()?;
        Ok(durable.first())
    }

    fn hidden(
        &mut self,
        owner: Owner,
        class: RetentionClass,
        name: &str,
        value: &str,
    ) -> Result<Hidden, StoreError> {
        let disclosure = disclose(name, value, self.entropy.as_mut())?;
        Ok(Hidden { owner, class, disclosure })
    }

    /// Says that the log is alive, also when nothing happened, and names the last receipt from outside:
    /// every later record is then provably not older than that receipt. Call it daily.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heartbeat(&mut self, at: DateTime<Utc>) -> Result<(), StoreError> {
        let alive = Alive { size: self.log.size(), receipt: self.known.receipt.clone() };
        let body = Body { alive: Some(alive), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("log.heartbeat", at, body)])?;
        Ok(())
    }

    /// Keeps receipts of a checkpoint beside the log, and notes them in it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_receipts(
        &mut self,
        anchored: &Anchored,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let checkpoint = anchored.sealed().checkpoint().clone();
        let path = |receipt: &Receipt| format!("receipts/{}/{}", checkpoint.size, receipt.name);
        let mut files: Vec<(String, Vec<u8>)> =
            anchored.receipts().iter().map(|it| (path(it), it.bytes.clone())).collect();
        // A later checkpoint takes the place of this one; the receipt is of these very bytes.
        let note = anchored.sealed().note().as_bytes().to_vec();
        files.push((format!("receipts/{}/checkpoint", checkpoint.size), note));
        let failed = |e: std::io::Error| {
            let path = "receipts".to_owned();
            StoreError::Log(crate::log::LogError::Io { path, what: e.to_string() })
        };
        self.storage.replace(&files).map_err(failed)?;
        let drafts: Vec<Draft> = anchored
            .receipts()
            .iter()
            .map(|receipt| {
                let anchor = AnchoredBody {
                    kind: receipt.kind,
                    size: checkpoint.size,
                    root: Base64::encode_string(&checkpoint.root),
                    receipt: hex(&crate::timestamp::imprint(&receipt.bytes)),
                };
                let body = Body { anchor: Some(anchor), ..Body::default() };
                Draft::new("checkpoint.anchored", at, body)
            })
            .collect();
        self.note("log_integrity", None, &drafts)?;
        Ok(())
    }

    /// Begins a change of keys: notes the new key under the old one, and signs with both from here on.
    /// Give out the checkpoint that comes back; whoever trusts the old key learns of the new one by it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rotate_key(
        &mut self,
        new: Box<dyn CheckpointSigner>,
        at: DateTime<Utc>,
    ) -> Result<Sealed, StoreError> {
        let change =
            KeyChange { old: self.log.verifier().to_string(), new: new.verifier().to_string() };
        self.seal()?;
        self.log.add_signer(new)?;
        let body = Body { key: Some(change), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("key.rotated", at, body)])?;
        self.seal()
    }

    /// Ends a change of keys: only the new key signs from here on. Destroy the old private key then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retire_old_key(&mut self) -> Result<(), StoreError> {
        Ok(self.log.retire_old_signer()?)
    }

    /// Notes an account that belongs to nobody, found by comparing a target with everybody's facts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn orphans(&mut self, found: &[Orphaned], at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut drafts = Vec::new();
        for one in found {
            let orphan = Orphan {
                target: one.account.provider.to_string(),
                status: one.status.clone(),
                entitlements: one.entitlements,
            };
            // Nobody known owns it, so its name lies under a key of its own.
            let nobody = IdentityId::new(format!("orphan:{}", one.account)).ok();
            let mut draft =
                Draft::new("orphan.detected", at, Body { orphan: Some(orphan), ..Body::default() });
            if let Some(nobody) = nobody {
                let name = one.account.to_string();
                let owner = Owner::Person(nobody);
                draft.hidden.push(self.hidden(owner, RetentionClass::Proof, "account", &name)?);
            }
            drafts.push(draft);
        }
        self.note("reconciliation", None, &drafts)?;
        Ok(())
    }

    /// Forbids to erase somebody, or to let their evidence expire, until the hold is released.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn place_hold(
        &mut self,
        who: &IdentityId,
        case: &str,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<HoldId, StoreError> {
        let mut name = [0; 9];
        self.entropy.fill(&mut name);
        let hold = HoldId(format!("h-{}", Base64UrlUnpadded::encode_string(&name)));
        let case = self.hidden(Owner::Subject, RetentionClass::Proof, "case", case)?;
        self.hold_record("hold.placed", who, &hold, vec![case], by, at)?;
        Ok(hold)
    }

    /// Ends a hold. Ending one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release_hold(
        &mut self,
        who: &IdentityId,
        hold: &HoldId,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if !self.known.holds.contains_key(&hold.0) {
            return Ok(());
        }
        self.hold_record("hold.released", who, hold, Vec::new(), by, at)
    }

    fn hold_record(
        &mut self,
        kind: &'static str,
        who: &IdentityId,
        hold: &HoldId,
        mut hidden: Vec<Hidden>,
        by: &IdentityId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let owner = Owner::Person(by.clone());
        hidden.push(self.hidden(owner, RetentionClass::Proof, "actor", by.as_str())?);
        let body = Body { hold: Some(hold.0.clone()), ..Body::default() };
        let actor = Some(By::Person(by.clone()));
        let draft = Draft { actor, hidden, ..Draft::new(kind, at, body) };
        self.note("log_integrity", Some(who), &[draft])?;
        Ok(())
    }

    /// Erases what the evidence says about somebody: their key, their pseudonym and their values. The
    /// records stay, every proof and every checkpoint stays, and a record says that it was done.
    ///
    /// What stays besides: copies that were given to auditors before, backups of the folder together with
    /// its key, and what another person's record says, such as that this one approved it. The journal is
    /// not part of the evidence; it has its own retention.
    ///
    /// # Errors
    /// [`EraseError`].
    pub fn erase(&mut self, wish: &Erasure) -> Result<u64, EraseError> {
        let approvals = wish.approved_by.iter().filter(|by| **by != wish.who).count();
        if approvals < 2 {
            return Err(EraseError::Approvals { found: approvals });
        }
        let Some(name) = self.vault.known(wish.who.as_str()).map(str::to_owned) else {
            return Err(EraseError::Unknown(wish.who.clone()));
        };
        if let Some((hold, _)) = self.known.holds.iter().find(|(_, held)| **held == name) {
            return Err(EraseError::Held { who: wish.who.clone(), hold: HoldId(hold.clone()) });
        }
        // Everything that is about to be removed must be where it is removed from.
        self.seal()?;
        let rows = self.disclosures(&mut |_| true)?;
        let rows = rows.iter().filter(|row| row.subject == name).count() as u64;
        let erasure = Erased {
            scope: "subject",
            class: None,
            before: self.log.size(),
            rows,
            approvals: approvals as u64,
        };
        let mut hidden = Vec::new();
        for by in wish.approved_by.iter().filter(|by| **by != wish.who) {
            let owner = Owner::Person(by.clone());
            hidden.push(self.hidden(owner, RetentionClass::Proof, "approver", by.as_str())?);
        }
        if let Some(first) = wish.approved_by.iter().find(|by| **by != wish.who) {
            let owner = Owner::Person(first.clone());
            hidden.push(self.hidden(owner, RetentionClass::Proof, "basis", &wish.basis)?);
        }
        let body = Body { erasure: Some(erasure), ..Body::default() };
        let draft = Draft { hidden, ..Draft::new("erasure.executed", wish.at, body) };
        // The record first: if the machine stops between the two, opening the store finishes it.
        self.note("log_integrity", Some(&wish.who), &[draft])?;
        self.seal()?;
        let names = BTreeSet::from([name]);
        let gone = self.vault.erase_all(self.storage.as_ref(), &names).map_err(StoreError::from)?;
        Ok(gone)
    }

    /// Lets the values of a class go that belong to records before an instant, except those of people
    /// under a hold. Says how many went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn expire(
        &mut self,
        class: RetentionClass,
        before: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        self.seal()?;
        let edge = self.first_entry_from(&instant(before))?;
        let held: BTreeSet<String> = self.known.holds.values().cloned().collect();
        let rows = self.disclosures(&mut |entry| entry < edge)?;
        let goes =
            |row: &&crate::vault::OpenRow| row.class == class && !held.contains(&row.subject);
        let rows = rows.iter().filter(goes).count() as u64;
        if rows == 0 {
            return Ok(0);
        }
        let class_name = Some(class.as_str());
        let erasure =
            Erased { scope: "class", class: class_name, before: edge, rows, approvals: 0 };
        let body = Body { erasure: Some(erasure), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("erasure.executed", at, body)])?;
        self.seal()?;
        Ok(Vault::expire(self.storage.as_ref(), class, edge, &held)?)
    }

    /// The first sealed entry whose time is not before an instant.
    fn first_entry_from(&self, at: &str) -> Result<u64, StoreError> {
        let size = self.log.sealed().checkpoint().size;
        for index in 0..size {
            let bytes = self.log.entry(index)?;
            let record = jml_core::canon::parse(&bytes)?;
            if record.text_at(&["time"]).is_some_and(|time| time >= at) {
                return Ok(index);
            }
        }
        Ok(size)
    }

    /// Removes what the log says was erased and a crash left.
    pub(super) fn finish_erasures(&mut self) -> Result<(), StoreError> {
        // The key may be gone and the rows still be there, so the key alone does not tell.
        let erased = std::mem::take(&mut self.known.erased);
        let done = self.vault.erase_all(self.storage.as_ref(), &erased);
        self.known.erased = erased;
        done?;
        for (class, before, held) in &self.known.expired {
            let class = [RetentionClass::Proof, RetentionClass::Detail]
                .into_iter()
                .find(|known| known.as_str() == class.as_str());
            if let Some(class) = class {
                Vault::expire(self.storage.as_ref(), class, *before, held)?;
            }
        }
        Ok(())
    }

    /// Seals who belongs to an event in a period, compared with what HR says, so that nobody can change
    /// it later.
    ///
    /// # Errors
    /// [`PopulationError`].
    pub fn seal_population(
        &mut self,
        event: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        hr: Option<&Hr>,
        at: DateTime<Utc>,
    ) -> Result<SealedPopulation, PopulationError> {
        if to <= from {
            return Err(PopulationError::Period);
        }
        let (from, to) = (instant(from), instant(to));
        let members = self.known.members(event, &from, &to);
        let leaves: Vec<_> = members.iter().map(|run| run.leaf).collect();
        let names: BTreeSet<&str> = members.iter().map(|run| run.subject.as_str()).collect();
        let mut body = PopulationBody {
            event: event.to_owned(),
            from,
            to,
            members: leaves.len() as u64,
            people: names.len() as u64,
            members_root: Base64::encode_string(&members_root(&leaves)),
            source: None,
            matched: None,
            source_only: None,
            log_only: None,
        };
        let mut missing = BTreeSet::new();
        if let Some(hr) = hr {
            let theirs: BTreeSet<&str> =
                hr.people.iter().filter_map(|who| self.vault.known(who.as_str())).collect();
            missing = hr
                .people
                .iter()
                .filter(|who| !self.vault.known(who.as_str()).is_some_and(|n| names.contains(n)))
                .cloned()
                .collect();
            body.source = Some(hr.extract.clone());
            body.matched = Some((hr.people.len() - missing.len()) as u64);
            body.source_only = Some(missing.len() as u64);
            body.log_only = Some(names.difference(&theirs).count() as u64);
        }
        let record = Body { population: Some(body.clone()), ..Body::default() };
        let entry = self.note(event, None, &[Draft::new("population.sealed", at, record)])?;
        self.seal()?;
        Ok(SealedPopulation { entry, body, source_only: missing })
    }

    /// Draws a sample from a sealed population with a seed that the auditor gave after it was sealed.
    /// Gives back the entries that open the drawn runs.
    ///
    /// # Errors
    /// [`PopulationError`].
    pub fn draw_sample(
        &mut self,
        population: u64,
        seed: &str,
        size: u64,
        at: DateTime<Utc>,
    ) -> Result<Vec<u64>, PopulationError> {
        let Some((members, root)) = self.known.populations.get(&population) else {
            return Err(PopulationError::Unknown(population));
        };
        if population >= self.log.sealed().checkpoint().size {
            return Err(PopulationError::Unsealed(population));
        }
        let drawn = sample(root, members.len() as u64, seed, size);
        let pick = |place: &u64| members.get(usize::try_from(*place).ok()?).copied();
        let entries: Vec<u64> = drawn.iter().filter_map(pick).collect();
        let body = SampleBody { population, seed: seed.to_owned(), entries: entries.clone() };
        let body = Body { sample: Some(body), ..Body::default() };
        self.note("log_integrity", None, &[Draft::new("sample.drawn", at, body)])?;
        self.seal()?;
        Ok(entries)
    }
}
