//! A whole evidence folder: every entry is there.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding as _};

use super::{Files, Level, Problems, Trust, TrustReport, Verdict};
use super::{anchors, disclosed, keys, records, runs, sense};
use crate::merkle::{Hash, leaf_hash, prove_consistency, root};
use crate::note::Checkpoint;
use crate::tiles;

/// Files of the folder that are no evidence.
const BESIDE: [&str; 4] = ["checkpoint", "last_signed", "vkey", "epoch"];
/// Folders that other levels look at.
const FOLDERS: [&str; 3] = ["vault/", "receipts/", "rotations/"];

pub(super) fn run(files: &dyn Files, trust: &Trust) -> TrustReport {
    let Some((note, checkpoint)) = unsigned(files) else { return no_checkpoint() };
    let (entries, tree) = tree(files, &checkpoint);
    let numbered = || (0_u64..).zip(entries.iter().map(Vec::as_slice));
    let records = records::read(numbered());
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let fits = |size: u64, said: &Hash| {
        let some = usize::try_from(size).ok().and_then(|size| leaves.get(..size));
        some.is_some_and(|leaves| root(leaves) == *said)
    };
    let mut report = TrustReport::begin(Some(&checkpoint));
    report.records = records.len() as u64;
    report.say(Level::L0, records::canonical(numbered(), &records, &checkpoint.origin));
    let verdict;
    (report.disclosures, report.erased, verdict) =
        disclosed::of_folder(files, &records, trust.opened.as_deref());
    report.say(Level::L1, verdict);
    report.say(Level::L2, tree);
    let (verdict, keys) =
        keys::signature(files, &note, trust, &records, &fits, Problems::default());
    report.say(Level::L3, verdict);
    let proof = |old| prove_consistency(leaves.as_slice(), old, leaves.len() as u64);
    report.say(Level::L4, keys::continues(trust.earlier, &checkpoint, proof));
    let verdict;
    (verdict, report.seen, report.windows) = anchors::check(files, trust, &keys, &records, &fits);
    report.say(Level::L5, verdict);
    let verdict;
    (report.runs, verdict) = runs::complete(&records, true);
    report.say(Level::L6, verdict);
    report.say(Level::L7, runs::populations(&records, None));
    report.say(Level::L8, sense::check(&records));
    report
}

/// A report of something that has no checkpoint.
pub(super) fn no_checkpoint() -> TrustReport {
    let mut report = TrustReport::begin(None);
    for (level, what) in [
        (Level::L2, "it is missing or is no checkpoint"),
        (Level::L3, "there is no signature to check"),
    ] {
        let mut problems = Problems::default();
        problems.add("checkpoint", what);
        report.say(level, problems.verdict());
    }
    report
}

/// The checkpoint and what it says, without asking who signed it.
pub(super) fn unsigned(files: &dyn Files) -> Option<(String, Checkpoint)> {
    let note = String::from_utf8(files.read("checkpoint")?).ok()?;
    let checkpoint = Checkpoint::of_note(&note).ok()?;
    Some((note, checkpoint))
}

pub(super) fn entries(files: &dyn Files) -> Vec<Vec<u8>> {
    unsigned(files).map(|(_, checkpoint)| tree(files, &checkpoint).0).unwrap_or_default()
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
    let mut edge = tiles::Edge::default();
    let mut right: BTreeMap<(u32, u64), Vec<u8>> = BTreeMap::new();
    for entry in &entries {
        edge.push(leaf_hash(entry), &mut |level, index, hashes| {
            right.insert((level, index), hashes.as_flattened().to_vec());
        });
    }
    if edge.root() != checkpoint.root {
        problems.add("checkpoint", "its root is not the root of the entries");
    }
    for (level, index, hashes) in edge.partial() {
        right.insert((level, index), hashes.as_flattened().to_vec());
    }
    for (path, level, index, _) in &wanted {
        let Some(level) = level else { continue };
        let right = right.remove(&(*level, *index)).unwrap_or_default();
        match files.read(path) {
            None => problems.add(path, "it is missing"),
            Some(bytes) if bytes != right => {
                // Say which entry it is about, where that can be told.
                let at = bytes.chunks(32).zip(right.chunks(32)).position(|(a, b)| a != b);
                let from = usize::try_from(index * tiles::WIDTH).unwrap_or(usize::MAX);
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
    let known: BTreeSet<&str> =
        wanted.iter().map(|(path, ..)| path.as_str()).chain(BESIDE).collect();
    for name in &names {
        if name == "wal" {
            problems.add(name, "there are entries that are not sealed; open the log to seal them");
        } else if !known.contains(name.as_str())
            && !FOLDERS.iter().any(|folder| name.starts_with(folder))
        {
            problems.add(name, "it does not belong here");
        }
    }
    (entries, problems.verdict())
}
