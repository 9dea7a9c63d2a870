//! The levels, one function each.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding as _};
use jml_core::canon::{self, Node};

use super::{Files, Level, Problem, Trust, TrustReport, Verdict};
use crate::RECORD_FORMAT;
use crate::disclose;
use crate::merkle::{Hash, leaf_hash, prove_consistency, root, verify_consistency};
use crate::note::{Checkpoint, VerifierKey};
use crate::tiles;

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

    fn verdict(mut self) -> Verdict {
        if self.1 > self.0.len() {
            let more = self.1 - self.0.len();
            self.0
                .push(Problem { at: "more".to_owned(), what: format!("{more} further problems") });
        }
        if self.0.is_empty() { Verdict::Pass } else { Verdict::Fail(self.0) }
    }
}

pub(super) fn run(files: &dyn Files, trust: &Trust) -> TrustReport {
    let mut report = TrustReport {
        origin: String::new(),
        size: 0,
        runs: 0,
        disclosures: 0,
        levels: BTreeMap::new(),
    };
    let read = |name: &str| files.read(name);
    let note = read("checkpoint").and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(checkpoint) = unsigned(files) else {
        let mut problems = Problems::default();
        problems.add("checkpoint", "it is missing or is no checkpoint");
        report.levels.insert(Level::L2, problems.verdict());
        let mut problems = Problems::default();
        problems.add("checkpoint", "there is no signature to check");
        report.levels.insert(Level::L3, problems.verdict());
        return report;
    };
    report.origin.clone_from(&checkpoint.origin);
    report.size = checkpoint.size;

    let (entries, tree) = tree(files, &checkpoint);
    report.levels.insert(Level::L2, tree);
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let (records, canonical) = canonical(&entries, &checkpoint.origin);
    report.levels.insert(Level::L0, canonical);
    let (count, disclosed) = disclosures(files, &records);
    report.disclosures = count;
    report.levels.insert(Level::L1, disclosed);
    report.levels.insert(Level::L3, signature(files, note.as_deref(), trust.key.as_ref()));
    report.levels.insert(Level::L4, continues(&leaves, trust.earlier, &checkpoint));
    let unanchored = "unanchored: no receipt from outside is kept yet, so the operator could rewrite \
                      the whole log";
    report.levels.insert(Level::L5, Verdict::NotChecked(unanchored.to_owned()));
    let (runs, complete) = complete(&records, &leaves);
    report.runs = runs;
    report.levels.insert(Level::L6, complete);
    let population = "the log holds no sealed population to compare with";
    report.levels.insert(Level::L7, Verdict::NotChecked(population.to_owned()));
    report.levels.insert(Level::L8, sense(&records));
    report
}

/// What the checkpoint says, without asking who signed it.
fn unsigned(files: &dyn Files) -> Option<Checkpoint> {
    let note = String::from_utf8(files.read("checkpoint")?).ok()?;
    Checkpoint::parse(note.get(..=note.rfind("\n\n")?)?).ok()
}

pub(super) fn entries(files: &dyn Files) -> Vec<Vec<u8>> {
    unsigned(files).map(|checkpoint| tree(files, &checkpoint).0).unwrap_or_default()
}

/// L2: every tile and bundle is what the entries make it, and nothing else is there.
fn tree(files: &dyn Files, checkpoint: &Checkpoint) -> (Vec<Vec<u8>>, Verdict) {
    let mut problems = Problems::default();
    let mut entries = Vec::new();
    let names: BTreeSet<String> = files.names().into_iter().collect();
    // A size beyond what the folder can hold is a lie; do not try to list its files.
    let bound = (names.len() as u64 + 1) * tiles::WIDTH;
    if checkpoint.size > bound {
        problems
            .add("checkpoint", format!("it says {} entries, which are not there", checkpoint.size));
        return (entries, problems.verdict());
    }
    let wanted = tiles::files(checkpoint.size);
    for (path, level, _, width) in &wanted {
        if level.is_some() {
            continue;
        }
        let Some(bytes) = files.read(path) else {
            problems.add(path, "it is missing");
            continue;
        };
        match tiles::unbundle(&bytes) {
            Some(list) if list.len() as u64 == *width => entries.extend(list),
            _ => problems.add(path, format!("it does not hold {width} whole entries")),
        }
    }
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    if root(&leaves) != checkpoint.root {
        problems.add("checkpoint", "its root is not the root of the entries");
    }
    let levels = tiles::levels(leaves);
    for (path, level, index, width) in &wanted {
        let Some(level) = level else { continue };
        let hashes = levels.get(*level as usize).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(index * tiles::WIDTH).unwrap_or(usize::MAX);
        let width = usize::try_from(*width).unwrap_or(0);
        let right: Vec<u8> = hashes.iter().skip(from).take(width).flatten().copied().collect();
        match files.read(path) {
            None => problems.add(path, "it is missing"),
            Some(bytes) if bytes != right => {
                // Say which entry it is about, where that can be told.
                let at = bytes.chunks(32).zip(right.chunks(32)).position(|(a, b)| a != b);
                let entry = at.map(|at| (from + at) << (8 * level));
                let what = entry.map_or_else(
                    || "it is not the tile of these entries".to_owned(),
                    |entry| format!("it does not fit the entries, from entry {entry} on"),
                );
                problems.add(path, what);
            }
            Some(_) => {}
        }
    }
    let signed = format!("{} {}\n", checkpoint.size, Base64::encode_string(&checkpoint.root));
    match files.read("last_signed") {
        None => problems.add("last_signed", "it is missing"),
        Some(bytes) if bytes != signed.as_bytes() => {
            problems.add("last_signed", "it does not name the checkpoint's size and root");
        }
        Some(_) => {}
    }
    let known: BTreeSet<&str> = wanted
        .iter()
        .map(|(path, ..)| path.as_str())
        .chain(["checkpoint", "last_signed", "vkey"])
        .collect();
    for name in names.iter().filter(|name| !name.starts_with("vault/")) {
        if name == "wal" {
            problems.add(name, "an append was interrupted; open the log to finish it");
        } else if !known.contains(name.as_str()) {
            problems.add(name, "it does not belong here");
        }
    }
    (entries, problems.verdict())
}

/// L0: each entry is the one canonical form of a record that this version knows.
fn canonical(entries: &[Vec<u8>], origin: &str) -> (Vec<Node>, Verdict) {
    let mut problems = Problems::default();
    let mut records = Vec::new();
    for (index, bytes) in entries.iter().enumerate() {
        let at = format!("entry {index}");
        if let Err(error) = canon::check(bytes) {
            problems.add(&at, error.to_string());
        }
        let record = canon::parse(bytes).unwrap_or(Node::Bool(false));
        if record.get("v").and_then(Node::as_int) != Some(RECORD_FORMAT.into()) {
            problems.add(&at, "its version is unknown");
        }
        if record.get("origin").and_then(Node::as_str) != Some(origin) {
            problems.add(&at, "it belongs to another log");
        }
        records.push(record);
    }
    (records, problems.verdict())
}

/// L1: each line of the vault is named by exactly one record of its subject, and each record's names have
/// their lines.
fn disclosures(files: &dyn Files, records: &[Node]) -> (u64, Verdict) {
    let mut problems = Problems::default();
    let mut named: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        let subject = record.get("subject").and_then(|s| s.get("ref")).and_then(Node::as_str);
        let Some(Node::List(list)) = record.get("_sd") else { continue };
        for digest in list.iter().filter_map(Node::as_str) {
            if named.insert(digest, (index, subject.unwrap_or(""))).is_some() {
                problems.add(format!("entry {index}"), "it names a disclosure of another record");
            }
        }
    }
    let mut count = 0;
    for name in files.names() {
        let Some(subject) = name.strip_prefix("vault/") else { continue };
        let bytes = files.read(&name).unwrap_or_default();
        let Ok(text) = String::from_utf8(bytes) else {
            problems.add(&name, "it is not text");
            continue;
        };
        if !text.ends_with('\n') {
            problems.add(&name, "its last line does not end");
        }
        for (number, line) in text.split_terminator('\n').enumerate() {
            let at = || format!("{name}, line {}", number + 1);
            count += 1;
            match named.remove(disclose::digest(line).as_str()) {
                None => problems.add(at(), "no record names this disclosure"),
                Some((index, owner)) if owner != subject => {
                    problems.add(at(), format!("it belongs to the subject of entry {index}"));
                }
                Some(_) if disclose::open(line).is_none() => {
                    problems.add(at(), "it is no disclosure");
                }
                Some(_) => {}
            }
        }
    }
    for (index, subject) in named.values() {
        problems
            .add(format!("entry {index}"), format!("a disclosure is missing in vault/{subject}"));
    }
    (count, problems.verdict())
}

/// L3: the checkpoint is signed by the key that the caller trusts, and the folder names the same key.
fn signature(files: &dyn Files, note: Option<&str>, key: Option<&VerifierKey>) -> Verdict {
    let mut problems = Problems::default();
    let inside = files.read("vkey").and_then(|bytes| String::from_utf8(bytes).ok());
    let named = inside.as_deref().and_then(|text| text.strip_suffix('\n'));
    let named = named.and_then(|text| VerifierKey::parse(text).ok());
    if named.is_none() {
        problems.add("vkey", "it is missing or is no key");
    }
    let Some(key) = key else {
        if problems.0.is_empty() {
            let why = "no trusted key was given; the key in the folder proves nothing by itself";
            return Verdict::NotChecked(why.to_owned());
        }
        return problems.verdict();
    };
    if named.is_some_and(|named| named != *key) {
        problems.add("vkey", "it is not the trusted key");
    }
    match note.map(|note| key.open(note)) {
        Some(Ok(text)) => {
            let origin = Checkpoint::parse(text).map(|c| c.origin);
            if origin.as_deref() != Ok(key.name()) {
                problems.add("checkpoint", "it is of another log than the key");
            }
            // A second signature line by somebody unknown would be a change that nobody notices.
            let lines = note.unwrap_or_default().matches('\u{2014}').count();
            if lines != 1 {
                problems
                    .add("checkpoint", "it has other signatures than the one of the trusted key");
            }
        }
        Some(Err(error)) => problems.add("checkpoint", error.to_string()),
        None => problems.add("checkpoint", "it is missing"),
    }
    problems.verdict()
}

/// L4: what the auditor kept is a beginning of this log.
fn continues(leaves: &[Hash], earlier: Option<(u64, Hash)>, now: &Checkpoint) -> Verdict {
    let Some((size, old)) = earlier else {
        return Verdict::NotChecked("no earlier checkpoint was given".to_owned());
    };
    let mut problems = Problems::default();
    if size > now.size {
        let what = format!("it has {} entries, the earlier one had {size}: rolled back", now.size);
        problems.add("checkpoint", what);
        return problems.verdict();
    }
    let fits = prove_consistency(leaves, size)
        .is_some_and(|proof| verify_consistency(size, now.size, &proof, &old, &now.root));
    if !fits {
        problems.add("checkpoint", "it does not continue the earlier one: history was rewritten");
    }
    problems.verdict()
}

fn text<'a>(record: &'a Node, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(record, |node, name| node.get(name))?.as_str()
}

fn number(record: &Node, path: &[&str]) -> Option<i64> {
    path.iter().try_fold(record, |node, name| node.get(name))?.as_int()
}

/// L6: runs have no gap and add up, and every counter is dense.
fn complete(records: &[Node], leaves: &[Hash]) -> (u64, Verdict) {
    let mut problems = Problems::default();
    let mut runs: BTreeMap<&str, Vec<Hash>> = BTreeMap::new();
    let mut counters: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (index, (record, leaf)) in records.iter().zip(leaves).enumerate() {
        let at = format!("entry {index}");
        let (Some(run), Some(kind), Some(event)) =
            (text(record, &["run", "id"]), text(record, &["kind"]), text(record, &["event"]))
        else {
            problems.add(&at, "it has no run, kind or event");
            continue;
        };
        let of_run = runs.entry(run).or_default();
        if number(record, &["run", "seq"]) != i64::try_from(of_run.len()).ok() {
            problems.add(&at, format!("run {run} has a gap before it"));
        }
        let prev = of_run.last().map(|hash| Base64::encode_string(hash));
        if text(record, &["run", "prev"]) != prev.as_deref() {
            problems.add(&at, format!("it does not follow the record before it in run {run}"));
        }
        if let Some(closing) = record.get("body").and_then(|body| body.get("closing")) {
            let root = crate::run_root::run_root(of_run);
            if text(closing, &["run_root"]) != Some(root.as_str()) {
                problems.add(&at, format!("run {run} does not add up to its root"));
            }
            if number(closing, &["records"]) != i64::try_from(of_run.len()).ok() {
                problems.add(&at, format!("run {run} has another number of records"));
            }
        }
        of_run.push(*leaf);
        let counter = counters.entry((kind, event)).or_insert(0);
        if number(record, &["kseq"]) != Some(*counter) {
            problems.add(&at, format!("{kind} of {event} has a gap before it"));
        }
        *counter += 1;
    }
    (runs.len() as u64, problems.verdict())
}

/// L8: approvals come before the grants that waited for them, and what was begun has an end.
fn sense(records: &[Node]) -> Verdict {
    let mut problems = Problems::default();
    let mut approved: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut begun: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        let at = || format!("entry {index}");
        let Some(run) = text(record, &["run", "id"]) else { continue };
        let step = text(record, &["body", "step", "id"]);
        match (text(record, &["kind"]), step) {
            (Some("approval.decided"), _) => {
                let gate = text(record, &["body", "gate"]);
                if text(record, &["body", "outcome", "status"]) == Some("approved")
                    && let Some(gate) = gate
                {
                    approved.insert((run, gate));
                }
            }
            (Some("step.intended"), Some(step)) => {
                if let Some(gate) = text(record, &["body", "step", "gate"])
                    && !approved.contains(&(run, gate))
                {
                    problems
                        .add(at(), format!("step {step} of run {run} went before its approval"));
                }
                begun.insert((run, step), index);
            }
            (Some("step.result" | "verify.observed" | "drift.detected"), Some(step)) => {
                begun.remove(&(run, step));
            }
            (Some("run.closed"), _) => {
                let open = begun.keys().filter(|(r, _)| *r == run).count();
                let said = number(record, &["body", "closing", "open_intents"]);
                if said != i64::try_from(open).ok() {
                    problems
                        .add(at(), format!("run {run} was closed with {open} changes in doubt"));
                }
            }
            _ => {}
        }
    }
    problems.verdict()
}
