//! Records as the verifier reads them, and L0.

use std::collections::BTreeMap;

use jml_core::canon::{self, Node};

use super::{Problems, Verdict};
use crate::RECORD_FORMAT;
use crate::merkle::{Hash, leaf_hash};
use crate::schema::{self, Odd};

/// A record with its place.
pub(super) struct Record {
    pub(super) leaf: Hash,
    pub(super) node: Node,
}

/// The records that are there, by number of entry.
pub(super) type Records = BTreeMap<u64, Record>;

pub(super) fn read<'a>(entries: impl Iterator<Item = (u64, &'a [u8])>) -> Records {
    entries
        .map(|(index, bytes)| {
            let node = canon::parse(bytes).unwrap_or(Node::Bool(false));
            (index, Record { leaf: leaf_hash(bytes), node })
        })
        .collect()
}

/// The digests of disclosures that a record names.
pub(super) fn digests(record: &Node) -> impl Iterator<Item = &str> {
    let list = match record.get("_sd") {
        Some(Node::List(list)) => list.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(Node::as_str)
}

/// L0: each entry is the one canonical form of a record that this version knows.
pub(super) fn canonical<'a>(
    entries: impl Iterator<Item = (u64, &'a [u8])>,
    records: &Records,
    origin: &str,
) -> Verdict {
    let mut problems = Problems::default();
    let (mut unknown, mut first) = (0_u64, String::new());
    for (index, bytes) in entries {
        let at = format!("entry {index}");
        if let Err(error) = canon::check(bytes) {
            problems.add(&at, error.to_string());
            continue;
        }
        let Some(record) = records.get(&index).map(|record| &record.node) else { continue };
        if record.text_at(&["origin"]) != Some(origin) {
            problems.add(&at, "it belongs to another log");
        }
        let known = record.get("v").and_then(Node::as_int) == Some(RECORD_FORMAT.into());
        match if known { schema::check(record) } else { Err(Odd::Unknown("version".to_owned())) } {
            Ok(()) => {}
            Err(Odd::Wrong(what)) => problems.add(&at, what),
            Err(Odd::Unknown(kind)) => {
                unknown += 1;
                if first.is_empty() {
                    first = format!("{at} is of the unknown kind or version `{kind}`");
                }
            }
        }
    }
    if unknown > 0 {
        return problems.or_not_checked(format!("{first}; {unknown} records cannot be judged"));
    }
    problems.verdict()
}
