//! Whatever comes in, readers do not panic; and what they accept has one spelling.

use base64ct::{Base64, Encoding as _};
use jml_evidence::dsse::Envelope;
use jml_evidence::note::{Checkpoint, CheckpointSigner as _, Note, VerifierKey};
use jml_evidence::proof::{Proof, parse_hashes, write_hashes};
use jml_evidence::verify::{Trust, verify};
use jml_evidence::{disclose, schema, tiles, timestamp};
use proptest::prelude::*;

use crate::store::signer;

/// Texts that are right, for changes to start from.
fn samples() -> Vec<Vec<u8>> {
    let text = Checkpoint { origin: "example.org/test".to_owned(), size: 9, root: [3; 32] }.text();
    let line = signer().verifier().line(&signer().sign(text.as_bytes()).unwrap());
    let note = Note::write(&text, &[line, signer().cosign(&text, 7)]);
    let proof = Proof { index: 4, hashes: vec![[1; 32], [2; 32]], checkpoint: note.clone() };
    let envelope = Envelope {
        payload_type: "t".to_owned(),
        payload: b"{}".to_vec(),
        signatures: vec![("k".to_owned(), vec![1, 2])],
    };
    vec![
        proof.write().into_bytes(),
        note.into_bytes(),
        signer().verifier().to_string().into_bytes(),
        signer().expose().as_bytes().to_vec(),
        envelope.write().unwrap(),
        tiles::bundle([&b"abc"[..], b""]).unwrap(),
        timestamp::query(b"x", [1; 8]),
        br#"["c2FsdA","name","value"]"#.to_vec(),
    ]
}

fn read_everything(bytes: &[u8]) {
    if let Some(entries) = tiles::unbundle(bytes) {
        assert_eq!(tiles::bundle(entries.iter().map(Vec::as_slice)).unwrap(), bytes);
    }
    let _ = timestamp::read(bytes);
    if let Ok(node) = jml_core::canon::parse(bytes) {
        let _ = schema::check(&node);
    }
    if let Some(envelope) = Envelope::parse(bytes)
        && jml_core::canon::check(bytes).is_ok()
        && envelope.signatures.iter().all(|(keyid, _)| !keyid.is_empty())
        && bytes.len() == envelope.write().unwrap().len()
    {
        assert_eq!(envelope.write().unwrap(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = disclose::open(text);
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    let _ = jml_evidence::note::Ed25519Signer::parse(text);
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text);
    }
    if let Some(proof) = Proof::parse(text) {
        assert_eq!(proof.write(), text);
    }
    if let Some(hashes) = parse_hashes(text) {
        assert_eq!(write_hashes(&hashes), text);
    }
    if let Ok(note) = Note::parse(text) {
        let line = |it: &jml_evidence::note::SignatureLine<'_>| {
            let bytes = [&it.id[..], &it.signature].concat();
            format!("\u{2014} {} {}", it.name, Base64::encode_string(&bytes))
        };
        let lines: Vec<String> = note.signatures.iter().map(line).collect();
        assert_eq!(Note::write(note.text, &lines), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn anything(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[ -~\n\u{2014}]{0,120}") {
        read_everything(&bytes);
        read_everything(text.as_bytes());
    }

    #[test]
    fn nearly_right(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in any::<u8>(), how in 0..4) {
        let all = samples();
        let mut bytes = all[which.index(all.len())].clone();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = by,
            1 => bytes.insert(at, by),
            2 => { bytes.remove(at); }
            _ => bytes.truncate(at),
        }
        read_everything(&bytes);
        // A folder that holds only this is no evidence, whatever it is called.
        for name in ["checkpoint", "pack.json", "tile/entries/000.p/1", "vkey"] {
            let files = std::collections::BTreeMap::from([(name.to_owned(), bytes.clone())]);
            prop_assert!(!verify(&files, &Trust::default()).is_ok());
        }
    }
}

#[test]
fn the_samples_are_right() {
    samples().iter().for_each(|bytes| read_everything(bytes));
    let proof = String::from_utf8(samples()[0].clone()).unwrap();
    assert!(Proof::parse(&proof).is_some());
}
