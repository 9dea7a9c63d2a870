//! The offline verifier: files in, a report out. Pure: no I/O, no clock, no state.
//!
//! Each level is Pass, Fail or NotChecked, and none is implied by another. What a level cannot see it
//! does not claim.

mod anchors;
mod disclosed;
mod folder;
mod keys;
mod pack;
mod records;
mod runs;
mod sense;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};

pub use anchors::{Seen, Window};
#[cfg(feature = "pack")]
pub(crate) use pack::{MANIFEST, PACK_FORMAT, POPULATION, SIGNATURE, STATEMENT, signed_text};

/// Named files, as they lie in an evidence folder.
pub trait Files: Sync {
    /// The names of all files, with `/` between folders.
    fn names(&self) -> Vec<String>;

    /// A file's bytes.
    fn read(&self, name: &str) -> Option<Vec<u8>>;
}

impl Files for BTreeMap<String, Vec<u8>> {
    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.get(name).cloned()
    }
}

/// The files of a directory.
#[cfg(feature = "fs")]
#[derive(Clone, Debug)]
pub struct Directory(std::path::PathBuf);

#[cfg(feature = "fs")]
impl Directory {
    /// The files below a directory.
    #[must_use]
    pub fn new(path: impl Into<std::path::PathBuf>) -> Self {
        Self(path.into())
    }
}

#[cfg(feature = "fs")]
impl Files for Directory {
    fn names(&self) -> Vec<String> {
        crate::storage::walk(&self.0).unwrap_or_default()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(name)).ok()
    }
}

/// What the verifier trusts, and what the caller knows besides. The default trusts nothing.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Trust {
    /// A key of the log, got from somewhere else than the log. Keys that it handed over to are followed.
    /// Without it, level 3 is not checked.
    pub key: Option<VerifierKey>,
    /// An earlier checkpoint that the auditor kept: size and root. Without it, level 4 is not checked.
    pub earlier: Option<(u64, Hash)>,
    /// Witnesses that the auditor trusts.
    pub witnesses: Vec<VerifierKey>,
    /// How many of them must have signed one checkpoint; at least one.
    pub quorum: usize,
    /// SHA-256 of time stamps (files `timestamp.tsr`) that the caller checked with the authority's
    /// certificate, for example by `openssl ts -verify`.
    pub stamps: BTreeSet<Hash>,
    /// The disclosures of a folder, as its owner opened them: entry and text. An auditor's pack brings its
    /// own.
    pub opened: Option<Vec<(u64, String)>>,
}

/// A level of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "the nine levels of the report")]
pub enum Level {
    /// Entries are canonical records of a known version.
    L0,
    /// Every disclosure belongs to one record, and every record has its disclosures.
    L1,
    /// Every record is in the tree of the checkpoint; no file is missing or left over.
    L2,
    /// The checkpoint is signed by the trusted key.
    L3,
    /// The log continues an earlier checkpoint.
    L4,
    /// Somebody outside saw the checkpoint.
    L5,
    /// Runs and counters are complete.
    L6,
    /// Populations add up, and samples were drawn from them by their seed.
    L7,
    /// The records make sense: approvals before grants, intents with results.
    L8,
}

impl Level {
    /// What the level says, in people's words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::L0 => "records are canonical",
            Self::L1 => "disclosures match records",
            Self::L2 => "records are in the tree",
            Self::L3 => "checkpoint signature",
            Self::L4 => "continues an earlier checkpoint",
            Self::L5 => "seen by somebody outside",
            Self::L6 => "runs and counters complete",
            Self::L7 => "populations and samples",
            Self::L8 => "approvals, results and order",
        }
    }
}

/// What a level came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "checked and right, checked and wrong, or not checked")]
pub enum Verdict {
    /// Checked, and right.
    Pass,
    /// Checked, and wrong.
    Fail(Vec<Problem>),
    /// Not checked, and why.
    NotChecked(String),
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Problem {
    /// The file, or `entry N`.
    pub at: String,
    /// What.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// What a verification came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct TrustReport {
    /// The log's name, as its checkpoint says.
    pub origin: String,
    /// How many entries it has, as its checkpoint says.
    pub size: u64,
    /// How many of them were looked at: all, or those of a pack.
    pub records: u64,
    /// How many runs are in it.
    pub runs: u64,
    /// How many disclosures were looked at.
    pub disclosures: u64,
    /// How many disclosures were erased, with a record that says so.
    pub erased: u64,
    /// Each level's verdict.
    pub levels: BTreeMap<Level, Verdict>,
    /// What somebody trusted outside saw, by size.
    pub seen: Vec<Seen>,
    /// For how long each record could have been rewritten by the log's owner.
    pub windows: BTreeMap<u64, Window>,
}

impl TrustReport {
    /// A report about what a checkpoint is of, with nothing looked at yet.
    fn begin(checkpoint: Option<&Checkpoint>) -> Self {
        Self {
            origin: checkpoint.map_or_else(String::new, |it| it.origin.clone()),
            size: checkpoint.map_or(0, |it| it.size),
            records: 0,
            runs: 0,
            disclosures: 0,
            erased: 0,
            levels: BTreeMap::new(),
            seen: Vec::new(),
            windows: BTreeMap::new(),
        }
    }

    fn say(&mut self, level: Level, verdict: Verdict) {
        self.levels.insert(level, verdict);
    }

    /// Whether no level failed. Levels that were not checked are not claimed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.levels.values().any(|verdict| matches!(verdict, Verdict::Fail(_)))
    }

    /// Everything that is wrong, in order of level.
    pub fn problems(&self) -> impl Iterator<Item = (Level, &Problem)> {
        self.levels.iter().flat_map(|(level, verdict)| {
            let list = match verdict {
                Verdict::Fail(list) => list.as_slice(),
                _ => &[],
            };
            list.iter().map(move |problem| (*level, problem))
        })
    }
}

/// The entries of a log, as far as its bundles hold them. Proves nothing: [`verify`] does.
#[must_use]
pub fn entries(files: &dyn Files) -> Vec<Vec<u8>> {
    folder::entries(files)
}

/// Verifies an evidence folder, or an auditor's pack: whichever the files are.
#[must_use]
pub fn verify(files: &dyn Files, trust: &Trust) -> TrustReport {
    if files.read(pack::MANIFEST).is_some() {
        pack::run(files, trust)
    } else {
        folder::run(files, trust)
    }
}

/// So many problems of one level are named; the rest is counted.
const NAMED: usize = 20;

#[derive(Default)]
struct Problems(Vec<Problem>, usize);

impl Problems {
    fn add(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.1 += 1;
        if self.0.len() < NAMED {
            self.0.push(Problem { at: at.into(), what: what.into() });
        }
    }

    const fn is_empty(&self) -> bool {
        self.1 == 0
    }

    fn verdict(mut self) -> Verdict {
        if self.1 > self.0.len() {
            let more = self.1 - self.0.len();
            self.0
                .push(Problem { at: "more".to_owned(), what: format!("{more} further problems") });
        }
        if self.0.is_empty() { Verdict::Pass } else { Verdict::Fail(self.0) }
    }

    /// As [`verdict`](Self::verdict), but what is not wrong was not checked either.
    fn or_not_checked(self, why: impl Into<String>) -> Verdict {
        if self.is_empty() { Verdict::NotChecked(why.into()) } else { self.verdict() }
    }
}
