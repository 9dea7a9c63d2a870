//! The evidence store: takes runs' journals, seals what is new in them, and keeps the vault.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use jml_core::canon::{self, CanonError, Node};
use jml_core::id::RunId;
use jml_core::journal::{Entry, EvidenceSink, Fact};
use serde::Serialize;

use crate::RECORD_FORMAT;
use crate::controls;
use crate::entropy::Entropy;
use crate::log::{Log, LogError};
use crate::merkle::{Hash, leaf_hash};
use crate::note::CheckpointSigner;
use crate::record::{Body, Draft, derive, event, instant};
use crate::run_root::run_root;

/// Evidence could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The log failed.
    #[error("the evidence log failed")]
    Log(#[from] LogError),
    /// A value has no canonical form.
    #[error("a record has no canonical form")]
    Canon(#[from] CanonError),
    /// The vault failed.
    #[error("the vault file `{path}` cannot be written: {what}")]
    Vault {
        /// Which file.
        path: String,
        /// Why.
        what: String,
    },
}

/// What one call sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Sealed {
    /// Index of the first new record.
    pub first: u64,
    /// How many records were added; 0 when everything was sealed already.
    pub count: u64,
}

/// Seals journals into a log on disk. One writer at a time.
pub struct EvidenceStore {
    dir: PathBuf,
    log: Log,
    entropy: Box<dyn Entropy>,
    runs: BTreeMap<String, RunState>,
    counters: BTreeMap<(String, String), u64>,
}

impl std::fmt::Debug for EvidenceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceStore").field("log", &self.log).finish_non_exhaustive()
    }
}

/// A store behind a lock: the sink of an engine.
#[derive(Debug)]
pub struct SharedStore(Mutex<EvidenceStore>);

impl EvidenceSink for SharedStore {
    fn seal(&self, entries: &[Entry]) -> Result<(), String> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        store.seal(entries).map(drop).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            text
        })
    }
}

/// How far a run is sealed.
#[derive(Default)]
struct RunState {
    subject: String,
    next_entry: u64,
    leaves: Vec<Hash>,
}

/// A record with its place. The field names are the format; see `docs/formats.md`.
#[derive(Serialize)]
struct Record<'a> {
    v: u16,
    origin: &'a str,
    kind: &'a str,
    event: &'a str,
    kseq: u64,
    nonce: String,
    time: String,
    run: RunPlace<'a>,
    subject: Subject<'a>,
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
struct Subject<'a> {
    r#ref: &'a str,
}

impl EvidenceStore {
    /// Opens the evidence of a directory, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`SealError::Log`].
    pub fn open(
        dir: &Path,
        signer: Box<dyn CheckpointSigner>,
        entropy: Box<dyn Entropy>,
    ) -> Result<Self, SealError> {
        let log = Log::open(dir, signer)?;
        let (runs, counters) = (BTreeMap::new(), BTreeMap::new());
        let mut store = Self { dir: dir.to_owned(), log, entropy, runs, counters };
        let entries: Vec<Vec<u8>> = store.log.entries().to_vec();
        for (index, bytes) in entries.iter().enumerate() {
            store.recall(bytes).ok_or_else(|| LogError::Damaged {
                path: format!("entry {index}"),
                what: "it is no record of this version".to_owned(),
            })?;
        }
        store.settle_vault(&entries)?;
        Ok(store)
    }

    /// Takes note of a record that is in the log.
    fn recall(&mut self, bytes: &[u8]) -> Option<()> {
        let record = canon::parse(bytes).ok()?;
        let text = |node: &Node, name: &str| Some(node.get(name)?.as_str()?.to_owned());
        let number = |node: &Node, name: &str| u64::try_from(node.get(name)?.as_int()?).ok();
        let run = record.get("run")?;
        let state = self.runs.entry(text(run, "id")?).or_default();
        state.subject = text(record.get("subject")?, "ref")?;
        state.next_entry = number(run, "entry")? + 1;
        state.leaves.push(leaf_hash(bytes));
        let counter = (text(&record, "kind")?, text(&record, "event")?);
        self.counters.insert(counter, number(&record, "kseq")? + 1);
        Some(())
    }

    /// Puts the vault in step with the log after a crash: a line that no record names was written for a
    /// record that never became durable.
    fn settle_vault(&self, entries: &[Vec<u8>]) -> Result<(), SealError> {
        let mut named = std::collections::BTreeSet::new();
        for bytes in entries {
            let Ok(record) = canon::parse(bytes) else { continue };
            if let Some(Node::List(list)) = record.get("_sd") {
                named.extend(list.iter().filter_map(Node::as_str).map(str::to_owned));
            }
        }
        let vault = self.dir.join("vault");
        let Ok(files) = fs::read_dir(&vault) else { return Ok(()) };
        for file in files.flatten() {
            let path = file.path();
            let fail = |e: std::io::Error| vault_error(&path, &e);
            let text = fs::read_to_string(&path).map_err(fail)?;
            let whole = text.rfind('\n').map_or("", |at| text.get(..=at).unwrap_or(""));
            // Only a tail can be left over; anything else is damage, and for `verify` to name.
            let lines: Vec<&str> = whole.lines().collect();
            let spare = lines
                .iter()
                .rev()
                .take_while(|line| !named.contains(&crate::disclose::digest(line)))
                .count();
            let keep = lines.len() - spare;
            if whole.len() != text.len() || spare > 0 {
                let body: String = lines.iter().take(keep).flat_map(|line| [*line, "\n"]).collect();
                if keep == 0 {
                    fs::remove_file(&path).map_err(fail)?;
                } else {
                    write_whole(&path, body.as_bytes()).map_err(fail)?;
                }
            }
        }
        Ok(())
    }

    /// Seals what the journal of one run says and was not sealed yet. Calling it again changes nothing.
    /// The whole journal is given each time; simulated runs leave no trace.
    ///
    /// # Errors
    /// [`SealError`]. Nothing is half sealed: the next call, or the next opening, goes on.
    pub fn seal(&mut self, entries: &[Entry]) -> Result<Sealed, SealError> {
        let nothing = Sealed { first: self.log.size(), count: 0 };
        let Some(Fact::Opened { run, plan, .. }) = entries.first().map(|e| &e.fact) else {
            return Ok(nothing);
        };
        let from = self.runs.get(run.as_str()).map_or(0, |state| state.next_entry);
        let drafts = derive(entries, from, self.entropy.as_mut())?;
        if drafts.is_empty() {
            return Ok(nothing);
        }
        if from == 0 {
            let mut name = [0_u8; 16];
            self.entropy.fill(&mut name);
            let subject = format!("s-{}", Base64UrlUnpadded::encode_string(&name));
            self.runs.insert(run.to_string(), RunState { subject, ..RunState::default() });
        }
        let event = event(plan.header().kind);
        let mut lines = String::new();
        let mut batch = Vec::new();
        let mut counters = self.counters.clone();
        for draft in &drafts {
            for disclosure in &draft.disclosures {
                lines.push_str(&disclosure.text);
                lines.push('\n');
            }
            let bytes = self.place(run, event, draft, &mut counters)?;
            if let Some(state) = self.runs.get_mut(run.as_str()) {
                state.leaves.push(leaf_hash(&bytes));
                state.next_entry = draft.entry + 1;
            }
            batch.push(bytes);
        }
        // The vault goes first: a line without a record is harmless and is swept on opening, a record
        // without its line could never be read again.
        let subject = self.runs.get(run.as_str()).map(|s| s.subject.clone()).unwrap_or_default();
        self.keep(&subject, &lines)?;
        let count = batch.len() as u64;
        let first = self.log.append(batch)?;
        self.counters = counters;
        Ok(Sealed { first, count })
    }

    fn place(
        &mut self,
        run: &RunId,
        event: &str,
        draft: &Draft,
        counters: &mut BTreeMap<(String, String), u64>,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; 16];
        self.entropy.fill(&mut nonce);
        let state = self.runs.get(run.as_str());
        let leaves = state.map(|s| s.leaves.as_slice()).unwrap_or_default();
        let mut body = draft.body.clone();
        if let Some(closing) = &mut body.closing {
            closing.records = leaves.len() as u64;
            closing.run_root = run_root(leaves);
            closing.controls = controls::ids_for("run.closed", event);
        }
        let kseq = counters.entry((draft.kind.to_owned(), event.to_owned())).or_insert(0);
        let mut sd: Vec<&str> = draft.disclosures.iter().map(|d| d.digest.as_str()).collect();
        // Sorted, so that the order of the digests says nothing about the order of the values.
        sd.sort_unstable();
        let verifier = self.log.verifier();
        let record = Record {
            v: RECORD_FORMAT,
            origin: verifier.name(),
            kind: draft.kind,
            event,
            kseq: *kseq,
            nonce: Base64UrlUnpadded::encode_string(&nonce),
            time: instant(draft.time),
            run: RunPlace {
                id: run.as_str(),
                seq: leaves.len() as u64,
                entry: draft.entry,
                prev: leaves.last().map(|hash| Base64::encode_string(hash)),
            },
            subject: Subject { r#ref: state.map_or("", |s| s.subject.as_str()) },
            sd: (!sd.is_empty()).then_some(sd),
            body: &body,
        };
        *kseq += 1;
        Ok(canon::to_vec(&record)?)
    }

    /// Appends disclosures to the vault file of a subject.
    fn keep(&self, subject: &str, lines: &str) -> Result<(), SealError> {
        if lines.is_empty() {
            return Ok(());
        }
        let vault = self.dir.join("vault");
        let path = vault.join(subject);
        let fail = |e: std::io::Error| vault_error(&path, &e);
        fs::create_dir_all(&vault).map_err(fail)?;
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()).map_err(fail)
    }

    /// The store as the sink of an engine.
    #[must_use]
    pub const fn shared(self) -> SharedStore {
        SharedStore(Mutex::new(self))
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }
}

fn vault_error(path: &Path, error: &std::io::Error) -> SealError {
    SealError::Vault { path: path.display().to_string(), what: error.to_string() }
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&temporary, path)
}
