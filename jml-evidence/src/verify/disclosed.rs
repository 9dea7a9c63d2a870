//! L1: disclosures and the records that name them; what was erased, and by which record.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::canon;

use super::records::{Records, digests};
use super::{Files, Problems, Verdict};
use crate::disclose;

/// What records say was erased.
struct Erased<'a> {
    subjects: BTreeSet<&'a str>,
    /// Up to this entry, values of some class went. Which of a record's values are of it, is not public.
    before: u64,
    /// How many went, all in all.
    rows: u64,
}

impl<'a> Erased<'a> {
    fn new(records: &'a Records) -> Self {
        let mut erased = Self { subjects: BTreeSet::new(), before: 0, rows: 0 };
        for record in records.values() {
            let body = ["body", "erasure"];
            erased.rows += record.node.count_at(&[body[0], body[1], "rows"]).unwrap_or(0);
            match record.node.text_at(&[body[0], body[1], "scope"]) {
                Some("subject") => {
                    erased.subjects.extend(record.node.text_at(&["subject", "ref"]));
                }
                Some(_) => {
                    let before = record.node.count_at(&[body[0], body[1], "before"]);
                    erased.before = erased.before.max(before.unwrap_or(0));
                }
                None => {}
            }
        }
        erased
    }

    fn covers(&self, index: u64, record: &canon::Node) -> bool {
        let gone = |path: &[&str]| record.text_at(path).is_some_and(|r| self.subjects.contains(r));
        index < self.before || gone(&["subject", "ref"]) || gone(&["actor", "ref"])
            // A record of somebody else may name the one who is gone, under their key.
            || !self.subjects.is_empty() && record.text_at(&["kind"]) == Some("erasure.executed")
    }
}

/// What L1 came to: disclosures looked at, disclosures erased, and the verdict.
pub(super) type Found = (u64, u64, Verdict);

/// A file of lines; what is none is a problem.
fn lines_of(files: &dyn Files, name: &str, problems: &mut Problems) -> String {
    match String::from_utf8(files.read(name).unwrap_or_default()) {
        Ok(text) if text.is_empty() || text.ends_with('\n') => text,
        _ => {
            problems.add(name, "it is no file of whole lines of text");
            String::new()
        }
    }
}

/// The disclosures of a folder, opened by its owner or not.
pub(super) fn of_folder(
    files: &dyn Files,
    records: &Records,
    opened: Option<&[(u64, String)]>,
) -> Found {
    let mut problems = Problems::default();
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for name in files.names() {
        let Some(bundle) = name.strip_prefix("vault/rows/") else { continue };
        let file = lines_of(files, &name, &mut problems);
        for (line, row) in file.lines().enumerate() {
            let row = canon::parse(row.as_bytes()).ok();
            let entry = row.as_ref().and_then(|row| row.count_at(&["entry"]));
            let digest = row.as_ref().and_then(|row| row.text_at(&["digest"]));
            let at = || format!("{name}, line {}", line + 1);
            let (Some(entry), Some(digest)) = (entry, digest) else {
                problems.add(at(), "it is no row of a vault");
                continue;
            };
            if bundle.parse() != Ok(entry / crate::tiles::WIDTH) {
                problems.add(at(), "it belongs to another file");
            }
            let named = records.get(&entry).is_some_and(|r| digests(&r.node).any(|d| d == digest));
            if !named {
                problems.add(at(), format!("entry {entry} does not name this disclosure"));
            }
            if rows.insert(digest.to_owned(), entry).is_some() {
                problems.add(at(), "it is there twice");
            }
        }
    }
    let erased = Erased::new(records);
    let (mut gone, mut twice) = (0, BTreeSet::new());
    for (index, record) in records {
        for digest in digests(&record.node) {
            if !twice.insert(digest) {
                problems.add(format!("entry {index}"), "it names a disclosure of another record");
            }
            if rows.contains_key(digest) {
                continue;
            }
            if erased.covers(*index, &record.node) {
                gone += 1;
            } else {
                problems.add(
                    format!("entry {index}"),
                    "a disclosure is missing, and no record says that it was erased",
                );
            }
        }
    }
    // Whose values went is told by the records; that no others went with them, by their number.
    if gone > erased.rows {
        problems.add(
            "vault",
            format!("{gone} disclosures are missing, records say that {} went", erased.rows),
        );
    }
    let count = rows.len() as u64;
    let Some(opened) = opened else {
        let why =
            format!("{count} disclosures are in the closed vault; only its owner can open them");
        return (count, gone, problems.or_not_checked(why));
    };
    for (entry, text) in opened {
        let digest = disclose::digest(text);
        if rows.remove(&digest) != Some(*entry) || disclose::open(text).is_none() {
            problems.add(format!("entry {entry}"), "a disclosure that was opened is not its own");
        }
    }
    for entry in rows.values() {
        problems.add(format!("entry {entry}"), "a disclosure in the vault cannot be opened");
    }
    (count, gone, problems.verdict())
}

/// The disclosures of a pack: those that were asked for, each named by its record, each once.
pub(super) fn of_pack(files: &dyn Files, records: &Records) -> Found {
    let mut problems = Problems::default();
    let (mut count, mut used) = (0, BTreeSet::new());
    for name in files.names() {
        let Some(entry) = name.strip_prefix("disclosures/") else { continue };
        let entry: Option<u64> = entry.strip_suffix(".txt").and_then(|n| n.parse().ok());
        let file = lines_of(files, &name, &mut problems);
        let record = entry.and_then(|entry| records.get(&entry));
        let Some(record) = record else {
            problems.add(&name, "its record is not in the pack");
            continue;
        };
        for (line, text) in file.lines().enumerate() {
            count += 1;
            let at = || format!("{name}, line {}", line + 1);
            let digest = disclose::digest(text);
            if !digests(&record.node).any(|d| d == digest) {
                problems.add(at(), "the record does not name this disclosure");
            } else if disclose::open(text).is_none() {
                problems.add(at(), "it is no disclosure");
            }
            if !used.insert(digest) {
                problems.add(at(), "it is there twice");
            }
        }
    }
    let all: u64 = records.values().map(|record| digests(&record.node).count() as u64).sum();
    if count == 0 && problems.is_empty() {
        let why = format!("no disclosure is in the pack; its records name {all}");
        return (0, 0, Verdict::NotChecked(why));
    }
    (count, 0, problems.verdict())
}
