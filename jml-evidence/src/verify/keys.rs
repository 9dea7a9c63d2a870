//! L3 and L4: who signed, also after a change of keys, and whether an earlier checkpoint is continued.

use super::records::Records;
use super::{Files, Problems, Trust, Verdict};
use crate::merkle::{Hash, verify_consistency};
use crate::note::{Checkpoint, Note, VerifierKey};

/// Knows the root of the log at a smaller size, or checks what somebody says it was.
pub(super) type RootAt<'a> = dyn Fn(u64, &Hash) -> bool + 'a;

/// Follows the changes of keys from the trusted one on. Problems name files that do not hold.
fn follow(
    files: &dyn Files,
    trusted: &VerifierKey,
    records: &Records,
    fits: &RootAt<'_>,
    problems: &mut Problems,
) -> Vec<VerifierKey> {
    let mut keys = vec![trusted.clone()];
    let mut changes: Vec<(u64, String)> = files
        .names()
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("rotations/")?.parse().ok()?, name)))
        .collect();
    changes.sort();
    for (size, name) in changes {
        let Some(note) = files.read(&name).and_then(|bytes| String::from_utf8(bytes).ok()) else {
            problems.add(&name, "it is not text");
            continue;
        };
        let checkpoint = Checkpoint::of_note(&note);
        let right = checkpoint
            .as_ref()
            .is_ok_and(|it| it.size == size && it.origin == trusted.name() && fits(size, &it.root));
        let (Ok(parsed), true) = (Note::parse(&note), right) else {
            problems.add(&name, "it is no checkpoint of this log");
            continue;
        };
        // The record that names the new key lies under this checkpoint, which a known key signed.
        let said = records.range(..size).filter_map(|(_, record)| {
            let old = VerifierKey::parse(record.node.text_at(&["body", "key", "old"])?).ok()?;
            let new = VerifierKey::parse(record.node.text_at(&["body", "key", "new"])?).ok()?;
            Some((old, new))
        });
        for (old, new) in said.collect::<Vec<_>>() {
            let signed = |key: &VerifierKey| key.check_note(&parsed).is_ok();
            if keys.contains(&old) && !keys.contains(&new) && signed(&old) && signed(&new) {
                keys.push(new);
            }
        }
    }
    keys
}

/// L3: the checkpoint is signed by a key that the caller trusts, or that such a key handed over to. `also`
/// holds what is wrong with other signed things.
pub(super) fn signature(
    files: &dyn Files,
    note: &str,
    trust: &Trust,
    records: &Records,
    fits: &RootAt<'_>,
    mut problems: Problems,
) -> (Verdict, Vec<VerifierKey>) {
    let inside = files.read("vkey").and_then(|bytes| String::from_utf8(bytes).ok());
    let named = inside.as_deref().and_then(|text| text.strip_suffix('\n'));
    let named = named.and_then(|text| VerifierKey::parse(text).ok());
    if named.is_none() {
        problems.add("vkey", "it is missing or is no key");
    }
    let Some(trusted) = &trust.key else {
        let why = "no trusted key was given; the key in the folder proves nothing by itself";
        return (problems.or_not_checked(why), Vec::new());
    };
    let keys = follow(files, trusted, records, fits, &mut problems);
    if named.is_some_and(|named| !keys.contains(&named)) {
        problems.add("vkey", "it is no key that the trusted one handed over to");
    }
    match Note::parse(note) {
        Err(error) => problems.add("checkpoint", error.to_string()),
        Ok(parsed) => {
            let mut good = 0;
            for line in &parsed.signatures {
                // A line by somebody unknown would be a change that nobody notices.
                let mut hits = keys.iter().filter(|key| {
                    let alone = Note { text: parsed.text, signatures: vec![line.clone()] };
                    key.check_note(&alone).is_ok()
                });
                match hits.next() {
                    Some(_) => good += 1,
                    None => problems.add(
                        "checkpoint",
                        format!("the signature by `{}` is not by a trusted key", line.name),
                    ),
                }
            }
            let origin = Checkpoint::parse(parsed.text).map(|checkpoint| checkpoint.origin);
            if good == 0 {
                problems.add("checkpoint", format!("no signature by `{}`", trusted.name()));
            } else if origin.as_deref() != Ok(trusted.name()) {
                problems.add("checkpoint", "it is of another log than the key");
            }
        }
    }
    (problems.verdict(), keys)
}

/// L4: what the auditor kept is a beginning of this log.
pub(super) fn continues(
    earlier: Option<(u64, Hash)>,
    now: &Checkpoint,
    proof: impl FnOnce(u64) -> Option<Vec<Hash>>,
) -> Verdict {
    let Some((size, old)) = earlier else {
        return Verdict::NotChecked("no earlier checkpoint was given".to_owned());
    };
    let mut problems = Problems::default();
    if size > now.size {
        let what = format!("it has {} entries, the earlier one had {size}: rolled back", now.size);
        problems.add("checkpoint", what);
        return problems.verdict();
    }
    let Some(proof) = proof(size) else {
        return Verdict::NotChecked(format!("there is no proof from size {size}"));
    };
    if !verify_consistency(size, now.size, &proof, &old, &now.root) {
        problems.add("checkpoint", "it does not continue the earlier one: history was rewritten");
    }
    problems.verdict()
}
