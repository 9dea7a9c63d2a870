//! What the records say so far: read off them at opening, and kept up with each new one.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::canon;

use crate::merkle::{Hash, leaf_hash};

/// How far a run is recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct RunState {
    pub(super) next_entry: u64,
    pub(super) count: u64,
    /// Empty when the run is closed: nothing follows.
    pub(super) leaves: Vec<Hash>,
}

/// A run as populations see it.
#[derive(Clone, Debug)]
pub(super) struct OpenedRun {
    pub(super) entry: u64,
    pub(super) leaf: Hash,
    pub(super) event: String,
    pub(super) subject: String,
    /// When it took effect; when it was opened, if it does not say.
    pub(super) at: String,
}

/// What the records say so far; all of it follows from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) runs: BTreeMap<String, RunState>,
    pub(super) counters: BTreeMap<(String, String), u64>,
    pub(super) policy: Option<String>,
    pub(super) receipt: Option<String>,
    /// The next line of each campaign.
    pub(super) reviews: BTreeMap<String, u64>,
    pub(super) holds: BTreeMap<String, String>,
    pub(super) erased: BTreeSet<String>,
    /// Class, entry up to which it expired, and who was held then.
    pub(super) expired: Vec<(String, u64, BTreeSet<String>)>,
    pub(super) opened: Vec<OpenedRun>,
    /// Entry, members and root of sealed populations.
    pub(super) populations: BTreeMap<u64, (Vec<u64>, Hash)>,
}

impl Known {
    /// Takes note of a record that is in the log.
    pub(super) fn recall(&mut self, index: u64, bytes: &[u8]) -> Option<()> {
        let record = canon::parse(bytes).ok()?;
        let kind = record.text_at(&["kind"])?;
        let event = record.text_at(&["event"])?;
        let leaf = leaf_hash(bytes);
        if let Some(run) = record.get("run") {
            let state = self.runs.entry(run.text_at(&["id"])?.to_owned()).or_default();
            state.next_entry = run.count_at(&["entry"])? + 1;
            state.count += 1;
            if kind == "run.closed" {
                state.leaves = Vec::new();
            } else {
                state.leaves.push(leaf);
            }
        }
        let counter = (kind.to_owned(), event.to_owned());
        self.counters.insert(counter, record.count_at(&["kseq"])? + 1);
        if let Some(review) = record.get("body").and_then(|body| body.get("review")) {
            let next = review.count_at(&["seq"])? + 1;
            self.reviews.insert(review.text_at(&["campaign"])?.to_owned(), next);
        }
        let subject = || record.text_at(&["subject", "ref"]).map(str::to_owned);
        match kind {
            "run.opened" => {
                self.policy = record.text_at(&["body", "plan", "policy"]).map(str::to_owned);
                let effective = record.text_at(&["body", "timing", "effective"]);
                self.opened.push(OpenedRun {
                    entry: index,
                    leaf,
                    event: event.to_owned(),
                    subject: subject()?,
                    at: effective.or_else(|| record.text_at(&["time"]))?.to_owned(),
                });
            }
            "checkpoint.anchored" => {
                self.receipt = record.text_at(&["body", "anchor", "receipt"]).map(str::to_owned);
            }
            "hold.placed" => {
                self.holds.insert(record.text_at(&["body", "hold"])?.to_owned(), subject()?);
            }
            "hold.released" => {
                self.holds.remove(record.text_at(&["body", "hold"])?);
            }
            "erasure.executed" => match record.text_at(&["body", "erasure", "class"]) {
                Some(class) => {
                    let before = record.count_at(&["body", "erasure", "before"])?;
                    // A hold that ends later does not make an old expiry reach further.
                    let held = self.holds.values().cloned().collect();
                    self.expired.push((class.to_owned(), before, held));
                }
                None => {
                    self.erased.insert(subject()?);
                }
            },
            "population.sealed" => {
                let body = record.get("body")?.get("population")?;
                let (event, from, to) =
                    (body.text_at(&["event"])?, body.text_at(&["from"])?, body.text_at(&["to"])?);
                let members = self.members(event, from, to);
                let leaves: Vec<Hash> = members.iter().map(|run| run.leaf).collect();
                let root = crate::population::members_root(&leaves);
                let entries = members.iter().map(|run| run.entry).collect();
                self.populations.insert(index, (entries, root));
            }
            _ => {}
        }
        Some(())
    }

    /// The runs of an event whose instant lies in a period, in order of the log.
    pub(super) fn members(&self, event: &str, from: &str, to: &str) -> Vec<&OpenedRun> {
        // Instants of one form sort as they follow each other.
        let within = |run: &&OpenedRun| run.event == event && *from <= *run.at && *run.at < *to;
        self.opened.iter().filter(within).collect()
    }
}

/// What placing a run's records can change, kept to put it back.
pub(super) struct Before {
    pub(super) run: (String, Option<RunState>),
    pub(super) counters: BTreeMap<(String, String), u64>,
    pub(super) policy: Option<String>,
    pub(super) opened: usize,
}

impl Known {
    pub(super) fn clone_for(&self, run: &str) -> Before {
        Before {
            run: (run.to_owned(), self.runs.get(run).cloned()),
            counters: self.counters.clone(),
            policy: self.policy.clone(),
            opened: self.opened.len(),
        }
    }

    pub(super) fn restore(&mut self, before: Before) {
        match before.run {
            (run, Some(state)) => self.runs.insert(run, state),
            (run, None) => self.runs.remove(&run),
        };
        self.counters = before.counters;
        self.policy = before.policy;
        self.opened.truncate(before.opened);
    }
}
