//! Vectors that others published: RFC 6962 proofs, signed notes, a whole tiled log, canonical JSON.

use std::fs;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use jml_core::canon;
use jml_evidence::disclose;
use jml_evidence::dsse::{Envelope, pae};
use jml_evidence::log::Log;
use jml_evidence::merkle::{Hash, verify_consistency, verify_inclusion};
use jml_evidence::note::{Checkpoint, CheckpointSigner as _, Ed25519Signer, VerifierKey};
use jml_evidence::storage::FolderStorage;
use serde_json::Value;

use crate::shared;
use crate::store::Seeded;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A hash, or nothing when it has another length: our type holds 32 bytes and no others.
fn hash(value: &Value) -> Option<Hash> {
    Base64::decode_vec(value.as_str().unwrap_or("")).ok()?.try_into().ok()
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

#[test]
fn rfc6962_proofs() {
    let Some(dir) = shared("vectors/merkle/testdata") else { return };
    let (mut ran, mut refused, mut skipped) = (0, 0, 0);
    for kind in ["inclusion", "consistency"] {
        for path in files(&dir.join(kind)) {
            let case = read(&path);
            let proof: Option<Vec<Hash>> = case["proof"]
                .as_array()
                .map_or(Some(Vec::new()), |list| list.iter().map(hash).collect());
            let number = |name: &str| case[name].as_u64().unwrap_or(u64::MAX);
            let verdict = proof.and_then(|proof| {
                Some(if kind == "inclusion" {
                    let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
                    verify_inclusion(&leaf, number("leafIdx"), number("treeSize"), &proof, &root)
                } else {
                    let (old, new) = (hash(&case["root1"])?, hash(&case["root2"])?);
                    verify_consistency(number("size1"), number("size2"), &proof, &old, &new)
                })
            });
            let wanted = !case["wantErr"].as_bool().unwrap();
            match verdict {
                Some(verdict) => {
                    assert_eq!(verdict, wanted, "{}", path.display());
                    ran += 1;
                }
                // A hash of another length cannot even be written down here. Refusing it is right, or the
                // vector is about hashes that this tree does not have.
                None if !wanted => refused += 1,
                None => {
                    println!("skipped {}: hashes of another length", path.display());
                    skipped += 1;
                }
            }
        }
    }
    println!("{ran} proofs run, {refused} refused by the type of a hash, {skipped} skipped");
    assert!(ran + refused >= 190 && skipped <= 2);
}

#[test]
fn signed_notes() {
    let Some(path) = shared("vectors/notes-and-dsse.json") else { return };
    let case = &read(&path)["signed_note"][0];
    let key = VerifierKey::parse(case["vkey"].as_str().unwrap()).unwrap();
    assert_eq!(key.to_string(), case["vkey"].as_str().unwrap());
    let note = case["note"].as_str().unwrap();
    assert_eq!(key.open(note).unwrap(), "This is an example message.\n");
    assert!(key.open(&note.replace("example message", "exemple message")).is_err());
    assert!(key.open(&note.replace("Uw2Q", "Uw2R")).is_err());
}

#[test]
fn a_whole_log_byte_for_byte() {
    let (Some(dir), Some(path)) =
        (shared("vectors/tessera-log"), shared("vectors/notes-and-dsse.json"))
    else {
        return;
    };
    let case = &read(&path)["tessera_log"];
    let signer =
        || Box::new(Ed25519Signer::parse(case["public_test_skey"].as_str().unwrap()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("log");
    let open = || {
        let storage = std::sync::Arc::new(FolderStorage::open(&ours).unwrap());
        Log::open(storage, signer(), &mut |_, _| Ok(()), &mut |_, _| Ok(())).unwrap()
    };
    let mut log = open();
    let wanted = |name: &str| fs::read(dir.join(name)).unwrap();
    assert_eq!(log.sealed().note().as_bytes(), wanted("checkpoint.0"));
    for (index, leaf) in case["leaves"].as_array().unwrap().iter().enumerate() {
        let size = index + 1;
        // Reopened every time, so that what is on the disk is what counts.
        drop(log);
        log = open();
        log.append(vec![leaf.as_str().unwrap().as_bytes().to_vec()]).unwrap();
        log.seal(&mut |_, _| Ok(())).unwrap();
        assert_eq!(log.sealed().note().as_bytes(), wanted(&format!("checkpoint.{size}")));
        for name in [format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}")] {
            assert_eq!(fs::read(ours.join(&name)).unwrap(), wanted(&name), "{name}");
        }
    }
    let key = VerifierKey::parse(case["vkey"].as_str().unwrap()).unwrap();
    let checkpoint = Checkpoint::parse(key.open(log.sealed().note()).unwrap()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.origin.as_str()), (15, key.name()));
    println!("16 checkpoints and 30 tiles are equal");
}

#[test]
fn canonical_json() {
    let Some(dir) = shared("vectors/jcs") else { return };
    let (mut ran, mut skipped) = (0, 0);
    for path in files(&dir.join("output")) {
        let bytes = fs::read(&path).unwrap();
        // Floats and null have a canonical form there and none here.
        let narrow = |text: &str| !text.contains("null") && !text.contains(['.', 'E', 'e']);
        if canon::check(&bytes).is_ok() {
            ran += 1;
        } else {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!narrow(&text) || text.contains("E"), "{}", path.display());
            skipped += 1;
        }
        let input = fs::read(dir.join("input").join(path.file_name().unwrap())).unwrap();
        assert!(canon::check(&input).is_err(), "an input with white space is not canonical");
    }
    println!("{ran} canonical texts accepted, {skipped} refused because they hold floats or null");
    assert!(ran >= 2);
}

#[test]
fn signed_envelopes() {
    let Some(path) = shared("vectors/notes-and-dsse.json") else { return };
    let case = &read(&path)["dsse"][0];
    let (kind, payload) =
        (case["payloadType"].as_str().unwrap(), case["payload"].as_str().unwrap());
    assert_eq!(pae(kind, payload.as_bytes()), case["pae"].as_str().unwrap().as_bytes());
    let envelope = Envelope::parse(&serde_json::to_vec(&case["envelope"]).unwrap()).unwrap();
    assert_eq!((envelope.payload_type.as_str(), &envelope.payload[..]), (kind, payload.as_bytes()));
    println!(
        "1 encoding and 1 envelope run; the signature is of ECDSA, which no key here makes: skipped"
    );
    // Ours, with our kind of key: signed, changed, signed by somebody else.
    let key = |seed| Ed25519Signer::generate("example.org/dsse", &mut Seeded::new(seed)).unwrap();
    let signature = key(1).sign(&pae(kind, payload.as_bytes())).unwrap();
    let ours = Envelope { signatures: vec![(String::new(), signature)], ..envelope };
    assert_eq!(Envelope::parse(&ours.write().unwrap()).unwrap(), ours);
    assert_eq!(ours.open(&key(1).verifier()).unwrap(), payload.as_bytes());
    assert!(ours.open(&key(2).verifier()).is_err());
    for changed in [
        Envelope { payload: b"hello worle".to_vec(), ..ours.clone() },
        Envelope { payload_type: "http://example.com/HelloWorle".to_owned(), ..ours.clone() },
    ] {
        assert!(changed.open(&key(1).verifier()).is_err());
    }
}

#[test]
fn salted_disclosures() {
    let Some(path) = shared("vectors/notes-and-dsse.json") else { return };
    let (mut ran, mut opened) = (0, 0);
    for case in read(&path)["sd_jwt"]["vectors"].as_array().unwrap() {
        let text = case["disclosure"].as_str().unwrap();
        assert_eq!(disclose::digest(text), case["digest"].as_str().unwrap());
        ran += 1;
        // Theirs have white space, which ours never have, and some have two parts.
        opened += u32::from(disclose::open(text).is_some());
    }
    println!("{ran} digests run; {opened} of the texts are in our narrower form");
    assert!(ran >= 2);
}

/// The numbers of ECMAScript: ours are integers, and every one of those is spelled the same.
#[test]
fn canonical_numbers() {
    let Some(path) = shared("vectors/jcs/es6-numbers-first-10000.txt") else { return };
    let (mut ran, mut skipped) = (0, 0);
    for line in fs::read_to_string(&path).unwrap().lines() {
        let (_, text) = line.split_once(',').unwrap();
        let whole = text.parse::<i64>().ok().filter(|n| n.abs() <= canon::MAX_INTEGER);
        match whole {
            Some(number) => {
                assert_eq!(canon::to_string(&number).unwrap(), text);
                ran += 1;
            }
            None => {
                assert!(canon::check(text.as_bytes()).is_err(), "{text}");
                skipped += 1;
            }
        }
    }
    println!("{ran} integers spelled alike, {skipped} other numbers refused");
    assert!(ran > 0 && skipped > 0);
}
