//! L5: who outside saw which checkpoint, and what that leaves open to rewriting.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::Serialize;

use super::keys::RootAt;
use super::records::Records;
use super::{Files, Problems, Trust, Verdict};
use crate::note::{Checkpoint, Note, VerifierKey};
use crate::timestamp;

/// A checkpoint that somebody trusted outside saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Seen {
    /// How many entries the checkpoint covers.
    pub size: u64,
    /// When it was seen at the latest: seconds since 1970.
    pub time: u64,
    /// By whom.
    pub by: Vec<String>,
}

/// For how long a record could have been rewritten by the log's owner: from the record's own time to the
/// first receipt from outside that covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "it ends or it does not")]
pub enum Window {
    /// So many seconds.
    Seconds(i64),
    /// Nobody outside has seen it: until now.
    Unanchored,
}

/// The file, its size in the path, and its bytes.
fn receipts(files: &dyn Files) -> impl Iterator<Item = (String, u64, String)> {
    files.names().into_iter().filter_map(|name| {
        let (size, file) = name.strip_prefix("receipts/")?.split_once('/')?;
        let (size, file) = (size.parse().ok()?, file.to_owned());
        Some((name, size, file))
    })
}

/// Checks every receipt, and says what is seen and how wide the windows are.
pub(super) fn check(
    files: &dyn Files,
    trust: &Trust,
    keys: &[VerifierKey],
    records: &Records,
    fits: &RootAt<'_>,
) -> (Verdict, Vec<Seen>, BTreeMap<u64, Window>) {
    let mut problems = Problems::default();
    let mut by_size: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    let mut others: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, size, file) in receipts(files) {
        let bytes = files.read(&path).unwrap_or_default();
        if file == "timestamp.tsr" {
            let note = files.read(&format!("receipts/{size}/checkpoint")).unwrap_or_default();
            match timestamp::read(&bytes) {
                Some(stamp) if stamp.imprint == timestamp::imprint(&note) => {
                    let trusted = trust.stamps.contains(&timestamp::imprint(&bytes));
                    match u64::try_from(stamp.time) {
                        Ok(time) if trusted => {
                            let by = by_size.entry(size).or_default();
                            by.insert("time stamp".to_owned(), time);
                        }
                        _ => {
                            *others
                                .entry("time stamps, to be checked by `openssl ts`")
                                .or_default() += 1;
                        }
                    }
                }
                Some(_) => problems.add(&path, "it is a time stamp of something else"),
                None => problems.add(&path, "it is no time stamp"),
            }
            continue;
        }
        if file == "consistency.txt" {
            continue;
        }
        let note = String::from_utf8(bytes).unwrap_or_default();
        let right = Checkpoint::of_note(&note).is_ok_and(|it| {
            it.size == size
                && keys.iter().all(|key| key.name() == it.origin)
                && fits(size, &it.root)
        });
        let (Ok(parsed), true) = (Note::parse(&note), right) else {
            problems.add(&path, "it is no checkpoint of this log, or of another history of it");
            continue;
        };
        if !keys.is_empty() && !keys.iter().any(|key| key.check_note(&parsed).is_ok()) {
            problems.add(&path, "the log's key did not sign it");
            continue;
        }
        let mut known = false;
        for witness in &trust.witnesses {
            match witness.check_note(&parsed) {
                Ok(Some(time)) => {
                    known = true;
                    let by = by_size.entry(size).or_default();
                    by.insert(witness.name().to_owned(), time);
                }
                Err(crate::note::NoteError::Unsigned(_)) | Ok(None) => {}
                Err(error) => problems.add(&path, error.to_string()),
            }
        }
        if !known && file != "checkpoint" {
            let what = if file == "drop" {
                "dropped copies, to be compared with the ones outside"
            } else {
                "receipts of witnesses that are not trusted"
            };
            *others.entry(what).or_default() += 1;
        }
    }
    // A time stamp counts by itself; witnesses count when there are enough of them.
    let quorum = trust.quorum.max(1);
    let mut seen = Vec::new();
    for (size, by) in by_size {
        let stamp = by.get("time stamp").copied();
        let mut times: Vec<u64> =
            by.iter().filter(|(name, _)| *name != "time stamp").map(|(_, time)| *time).collect();
        times.sort_unstable();
        let witnessed = times.get(quorum - 1).copied();
        if let Some(time) = [stamp, witnessed].into_iter().flatten().min() {
            seen.push(Seen { size, time, by: by.into_keys().collect() });
        }
    }
    let windows = windows(records, &seen);
    let verdict = if seen.is_empty() {
        let mut why = "unanchored: nobody trusted outside has seen a checkpoint, so the operator \
                       could rewrite the whole log"
            .to_owned();
        for (what, count) in others {
            why.push_str(&format!("; {count} {what}"));
        }
        problems.or_not_checked(why)
    } else {
        problems.verdict()
    };
    (verdict, seen, windows)
}

fn windows(records: &Records, seen: &[Seen]) -> BTreeMap<u64, Window> {
    let window = |index: u64, time: Option<&str>| {
        let first = seen.iter().filter(|it| it.size > index).map(|it| it.time).min();
        let at = time.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        match (first.and_then(|time| i64::try_from(time).ok()), at) {
            (Some(first), Some(at)) => Window::Seconds((first - at.timestamp()).max(0)),
            _ => Window::Unanchored,
        }
    };
    let one = |(index, record): (&u64, &super::records::Record)| {
        (*index, window(*index, record.node.text_at(&["time"])))
    };
    records.iter().map(one).collect()
}
