//! An auditor's pack: some records with their proofs, and a manifest over every file.

use std::collections::{BTreeMap, BTreeSet};

use jml_core::canon::{self, Node};
use jml_core::digest::Digest;

use super::folder::{no_checkpoint, unsigned};
use super::{Files, Level, Problems, Trust, TrustReport, Verdict};
use super::{anchors, disclosed, keys, records, runs, sense};
use crate::dsse::{Envelope, IN_TOTO};
use crate::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use crate::note::{Checkpoint, VerifierKey};
use crate::proof::{Proof, parse_hashes};

/// Name of the list of files.
pub(crate) const MANIFEST: &str = "pack.json";
/// Name of the signature over it.
pub(crate) const SIGNATURE: &str = "pack.sig";
/// Name of the in-toto statement over it.
pub(crate) const STATEMENT: &str = "statement.dsse.json";
/// Version of the layout of packs.
pub(crate) const PACK_FORMAT: i64 = 1;
/// Name of the list of members of the population.
pub(crate) const POPULATION: &str = "population.csv";

/// What is signed for a pack: no checkpoint can look like it.
pub(crate) fn signed_text(origin: &str, manifest: &[u8]) -> String {
    format!("jml-evidence/pack/v1\n{origin}\n{}\n", Digest::plain(manifest))
}

pub(super) fn run(files: &dyn Files, trust: &Trust) -> TrustReport {
    let Some((note, checkpoint)) = unsigned(files) else { return no_checkpoint() };
    let entries = entries(files);
    let numbered = || entries.iter().map(|(index, bytes)| (*index, bytes.as_slice()));
    let records = records::read(numbered());
    let fits = |size: u64, said: &Hash| {
        if size == checkpoint.size {
            return *said == checkpoint.root;
        }
        let proof = consistency(files, size);
        proof.is_some_and(|it| {
            verify_consistency(size, checkpoint.size, &it, said, &checkpoint.root)
        })
    };
    let mut report = TrustReport::begin(Some(&checkpoint));
    report.records = records.len() as u64;
    report.say(Level::L0, records::canonical(numbered(), &records, &checkpoint.origin));
    let verdict;
    (report.disclosures, report.erased, verdict) = disclosed::of_pack(files, &records);
    report.say(Level::L1, verdict);
    report.say(Level::L2, included(files, &entries, &note, &checkpoint));
    let (signed, manifest) = manifest(files, &checkpoint.origin);
    let (verdict, keys) = keys::signature(files, &note, trust, &records, &fits, manifest);
    report.say(Level::L3, with_signature(verdict, signed.as_ref(), &keys));
    let proof = |old| consistency(files, old);
    report.say(Level::L4, keys::continues(trust.earlier, &checkpoint, proof));
    let verdict;
    (verdict, report.seen, report.windows) = anchors::check(files, trust, &keys, &records, &fits);
    report.say(Level::L5, verdict);
    let verdict;
    (report.runs, verdict) = runs::complete(&records, false);
    report.say(Level::L6, verdict);
    report.say(Level::L7, runs::populations(&records, Some(&population(files))));
    report.say(Level::L8, sense::check(&records));
    report
}

fn entries(files: &dyn Files) -> BTreeMap<u64, Vec<u8>> {
    let names = files.names().into_iter();
    let of = |name: &str| name.strip_prefix("records/")?.strip_suffix(".json")?.parse().ok();
    names.filter_map(|name| Some((of(&name)?, files.read(&name)?))).collect()
}

fn consistency(files: &dyn Files, size: u64) -> Option<Vec<Hash>> {
    let text = String::from_utf8(files.read(&format!("consistency/{size}.txt"))?).ok()?;
    parse_hashes(&text)
}

/// The members of the population, from the pack's list: entry and leaf hash.
fn population(files: &dyn Files) -> runs::Listed {
    let text = String::from_utf8(files.read(POPULATION)?).ok()?;
    let mut out = Vec::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split(',');
        let (entry, leaf) = (cells.next()?.parse().ok()?, cells.next()?);
        out.push((entry, unhex(leaf)?));
    }
    Some(out)
}

fn unhex(text: &str) -> Option<Hash> {
    let digit = |i: usize| u8::from_str_radix(text.get(i..i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digit).collect();
    bytes?.try_into().ok()
}

/// L2: each record has a proof under this very checkpoint.
fn included(
    files: &dyn Files,
    entries: &BTreeMap<u64, Vec<u8>>,
    note: &str,
    checkpoint: &Checkpoint,
) -> Verdict {
    let mut problems = Problems::default();
    for (index, bytes) in entries {
        let path = format!("proofs/{index}.tlog-proof");
        let text = files.read(&path).and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(proof) = text.as_deref().and_then(Proof::parse) else {
            problems.add(&path, "it is missing or is no proof");
            continue;
        };
        if proof.index != *index {
            problems.add(&path, format!("it is of entry {}", proof.index));
        } else if proof.checkpoint != note {
            problems.add(&path, "it is under another checkpoint than the pack's");
        } else {
            let leaf = leaf_hash(bytes);
            let (size, root) = (checkpoint.size, &checkpoint.root);
            if !verify_inclusion(&leaf, *index, size, &proof.hashes, root) {
                problems.add(format!("records/{index}.json"), "it is not in the tree");
            }
        }
    }
    for name in files.names() {
        let index = name.strip_prefix("proofs/").and_then(|n| n.strip_suffix(".tlog-proof"));
        let known = index.and_then(|n| n.parse().ok()).is_some_and(|n| entries.contains_key(&n));
        if name.starts_with("proofs/") && !known {
            problems.add(&name, "it is of no record");
        }
    }
    if entries.is_empty() && problems.is_empty() {
        return Verdict::NotChecked("there is no record in the pack".to_owned());
    }
    problems.verdict()
}

/// What signs a manifest: the note and the statement.
type Signed = (String, Envelope);

/// Every file is what the manifest says, and there is no other. Gives back the note that signs the
/// manifest, if it is one of these bytes.
fn manifest(files: &dyn Files, origin: &str) -> (Option<Signed>, Problems) {
    let mut problems = Problems::default();
    let bytes = files.read(MANIFEST).unwrap_or_default();
    let node = if canon::check(&bytes).is_ok() { canon::parse(&bytes).ok() } else { None };
    let listed = node.as_ref().and_then(|node| node.get("files"));
    let version = node.as_ref().and_then(|node| node.get("v")).and_then(Node::as_int);
    let (Some(Node::Object(listed)), Some(PACK_FORMAT)) = (listed, version) else {
        problems.add(MANIFEST, "it is no manifest of this version");
        return (None, problems);
    };
    let mut left: BTreeSet<String> = files.names().into_iter().collect();
    left.remove(MANIFEST);
    left.remove(SIGNATURE);
    left.remove(STATEMENT);
    for (name, digest) in listed {
        left.remove(name);
        let Some(there) = files.read(name) else {
            problems.add(name, "it is missing");
            continue;
        };
        if digest.as_str() != Some(Digest::plain(&there).to_string().as_str()) {
            problems.add(name, "it is not what the manifest names");
        }
    }
    for name in left {
        problems.add(name, "the manifest does not name it");
    }
    let signature = files.read(SIGNATURE).and_then(|bytes| String::from_utf8(bytes).ok());
    let right = signature.filter(|note| note.starts_with(&signed_text(origin, &bytes)));
    if right.is_none() {
        problems.add(SIGNATURE, "it is missing, or signs another manifest");
    }
    // Written again, it is the same: nothing is in the file that the envelope does not say.
    let whole = |it: &Vec<u8>| Envelope::parse(it).filter(|read| read.write().as_ref() == Ok(it));
    let envelope = files.read(STATEMENT).as_ref().and_then(whole);
    if !envelope.as_ref().is_some_and(|it| names(it, &bytes)) {
        problems.add(STATEMENT, "it is missing, or is about another manifest");
    }
    (right.zip(envelope), problems)
}

/// Whether a statement is about this manifest.
fn names(envelope: &Envelope, manifest: &[u8]) -> bool {
    let statement = canon::parse(&envelope.payload).ok();
    let subject = statement.as_ref().and_then(|it| match it.get("subject") {
        Some(Node::List(list)) => list.first(),
        _ => None,
    });
    let sha256 = subject.and_then(|it| it.get("digest")?.get("sha256")?.as_str());
    envelope.payload_type == IN_TOTO && sha256 == Some(Digest::plain(manifest).to_hex().as_str())
}

/// Whether the signatures are said to be of the key that they are of. For whoever looks only at the name.
fn names_key(envelope: &Envelope, key: &VerifierKey) -> bool {
    let name = key.to_string();
    envelope.signatures.iter().all(|(keyid, _)| *keyid == name)
}

/// Adds to L3 that a trusted key signed the manifest.
fn with_signature(verdict: Verdict, signed: Option<&Signed>, keys: &[VerifierKey]) -> Verdict {
    let by = |(note, envelope): &&Signed| {
        keys.iter().any(|key| key.open(note).is_ok())
            && keys.iter().any(|key| envelope.open(key).is_ok() && names_key(envelope, key))
    };
    let bad = signed.filter(|signed| !by(signed));
    if keys.is_empty() || bad.is_none() {
        return verdict;
    }
    let problem = super::Problem {
        at: SIGNATURE.to_owned(),
        what: "it is not signed by a trusted key".to_owned(),
    };
    match verdict {
        Verdict::Fail(mut list) => {
            list.push(problem);
            Verdict::Fail(list)
        }
        _ => Verdict::Fail(vec![problem]),
    }
}
