//! The offline verifier: files in, a report out. Pure: no I/O, no clock, no state.
//!
//! Each level is Pass, Fail or NotChecked, and none is implied by another. What a level cannot see it
//! does not claim.

mod levels;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::merkle::Hash;
use crate::note::VerifierKey;

/// Named files, as they lie in an evidence folder.
pub trait Files {
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
        let mut names = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = item.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(name) = path.strip_prefix(&self.0) {
                    let parts = name.components().map(|c| c.as_os_str().to_string_lossy());
                    names.push(parts.collect::<Vec<_>>().join("/"));
                }
            }
        }
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(name)).ok()
    }
}

/// What the verifier trusts.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Trust {
    /// The key of the log, got from somewhere else than the log. Without it, level 3 is not checked.
    pub key: Option<VerifierKey>,
    /// An earlier checkpoint that the auditor kept: size and root. Without it, level 4 is not checked.
    pub earlier: Option<(u64, Hash)>,
}

/// A level of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "the nine levels of the report")]
pub enum Level {
    /// Entries are canonical records of a known version.
    L0,
    /// Every disclosure belongs to one record, and every record has its disclosures.
    L1,
    /// Entries, tiles and checkpoint are one tree; no file is missing or left over.
    L2,
    /// The checkpoint is signed by the trusted key.
    L3,
    /// The log continues an earlier checkpoint.
    L4,
    /// Somebody outside saw the checkpoint.
    L5,
    /// Runs and counters are complete.
    L6,
    /// The population is complete.
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
            Self::L2 => "one tree, no file missing or extra",
            Self::L3 => "checkpoint signature",
            Self::L4 => "continues an earlier checkpoint",
            Self::L5 => "seen by somebody outside",
            Self::L6 => "runs and counters complete",
            Self::L7 => "population complete",
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
    /// How many runs are in it.
    pub runs: u64,
    /// How many disclosures are in the vault.
    pub disclosures: u64,
    /// Each level's verdict.
    pub levels: BTreeMap<Level, Verdict>,
}

impl TrustReport {
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
    levels::entries(files)
}

/// Verifies an evidence folder.
#[must_use]
pub fn verify(files: &dyn Files, trust: &Trust) -> TrustReport {
    levels::run(files, trust)
}
