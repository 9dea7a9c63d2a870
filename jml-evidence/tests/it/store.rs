//! The store: crashes, group commit, erasure, holds, keys, anchors, populations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use futures::executor::block_on;
use jml_core::account::AccountRef;
use jml_core::claim::ClaimSource;
use jml_core::journal::Entry;
use jml_core::provider::Applied;
use jml_evidence::anchor::{Anchor as _, Anchored, FileDrop};
use jml_evidence::entropy::Entropy;
use jml_evidence::note::{Checkpoint, CheckpointSigner, Ed25519Signer, Note, VerifierKey};
use jml_evidence::population::Extract;
use jml_evidence::store::{
    Cadence, EraseError, Erasure, EvidenceStore, Hr, Keys, Orphaned, PopulationError, StoreError,
};
use jml_evidence::vault::{LocalKey, RetentionClass, open_all};
use jml_evidence::verify::{Level, Trust, TrustReport, Verdict, Window, verify};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::disk::{Crash, SimDisk};
use crate::journals::{day, found_by_a_look, granted, leaver, mover, person};

/// Entropy that a test can repeat, and that does not repeat itself.
pub(crate) struct Seeded(u64, u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed, 0)
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            self.1 += 1;
            let block = Sha256::digest([self.0.to_be_bytes(), self.1.to_be_bytes()].concat());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

pub(crate) fn signer() -> Ed25519Signer {
    Ed25519Signer::generate("example.org/test", &mut Seeded::new(1)).unwrap()
}

pub(crate) fn vault_key() -> LocalKey {
    LocalKey::generate(&mut Seeded::new(2))
}

pub(crate) fn keys(seed: u64) -> Keys {
    Keys {
        signer: Box::new(signer()),
        vault: Box::new(vault_key()),
        entropy: Box::new(Seeded::new(seed)),
    }
}

pub(crate) fn store(disk: &SimDisk, seed: u64) -> EvidenceStore {
    EvidenceStore::open_in(Arc::new(disk.clone()), keys(seed)).unwrap()
}

/// What the owner of the folder knows.
pub(crate) fn owner(disk: &SimDisk) -> Trust {
    let opened = open_all(&disk.files(), &vault_key()).unwrap();
    Trust { key: Some(signer().verifier()), opened: Some(opened), ..Trust::default() }
}

pub(crate) fn passes(report: &TrustReport, levels: &[Level]) {
    for level in levels {
        assert_eq!(report.levels[level], Verdict::Pass, "{level:?}");
    }
}

const ALL: [Level; 6] = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L6, Level::L8];

/// Entries of a bundle of journals, added run by run and piece by piece.
fn work(store: &mut EvidenceStore, journals: &[Vec<Entry>]) -> Result<u64, StoreError> {
    let mut acknowledged = 0;
    for entries in journals {
        for upto in [1, entries.len() / 2, entries.len()] {
            acknowledged += store.add(&entries[..upto])?.count();
        }
        store.seal()?;
    }
    Ok(acknowledged)
}

fn few() -> Vec<Vec<Entry>> {
    vec![
        leaver("ada-canary", day(0)).entries,
        mover("bob-canary", "cyd-canary", day(1)).entries,
        leaver("bob-canary", day(2)).entries,
    ]
}

/// The records of each run, without what differs between two writings of the same.
fn gist(disk: &SimDisk) -> Vec<String> {
    let entries = jml_evidence::verify::entries(&disk.files());
    let kind = |bytes: &[u8], path: &[&str]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        path.iter().fold(value, |v, name| v[name].clone()).to_string()
    };
    entries.iter().map(|e| format!("{} {}", kind(e, &["kind"]), kind(e, &["run", "seq"]))).collect()
}

#[test]
fn a_crash_at_every_operation_of_the_store() {
    let right = {
        let disk = SimDisk::default();
        work(&mut store(&disk, 3), &few()).unwrap();
        gist(&disk)
    };
    let total = {
        let disk = SimDisk::default();
        work(&mut store(&disk, 3), &few()).unwrap();
        disk.operations()
    };
    let mut stages = 0;
    for stop in 0..total {
        let disk = SimDisk::default();
        disk.stop_after(stop);
        let mut acknowledged = 0;
        if let Ok(mut store) = EvidenceStore::open_in(Arc::new(disk.clone()), keys(3)) {
            for entries in few() {
                for upto in [1, entries.len() / 2, entries.len()] {
                    acknowledged += store.add(&entries[..upto]).map_or(0, |it| it.count());
                }
                let _ = store.seal();
            }
        }
        for how in [Crash::Lost, Crash::Kept, Crash::Torn(stop), Crash::Torn(stop ^ 0xffff)] {
            stages += 1;
            let after = disk.crashed(how);
            let at = format!("after operation {stop} ({}), {how:?}", disk.last());
            let mut again = EvidenceStore::open_in(Arc::new(after.clone()), keys(4 + stop))
                .unwrap_or_else(|e| panic!("{at}: {e} {:?}", std::error::Error::source(&e)));
            assert!(again.log().size() >= acknowledged, "{at}");
            // The journals are given again, as an engine does; what was recorded is not recorded twice.
            work(&mut again, &few()).unwrap();
            assert_eq!(gist(&after), right, "{at}");
            let report = verify(&after.files(), &owner(&after));
            passes(&report, &ALL);
        }
    }
    println!("{total} operations, {stages} crashes");
}

#[test]
fn many_threads_share_a_sync() {
    let disk = SimDisk::default();
    let shared = store(&disk, 5)
        .with_cadence(Cadence { records: 100, seconds: 3600, run_end: false })
        .shared();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let shared = &shared;
            scope.spawn(move || {
                for n in 0..20 {
                    let journal = leaver(&format!("p{thread}-{n}"), day(n));
                    shared.add(&journal.entries[..2]).unwrap();
                    shared.add(&journal.entries).unwrap();
                }
            });
        }
    });
    shared.seal().unwrap();
    drop(shared);
    let report = verify(&disk.files(), &owner(&disk));
    assert_eq!(report.runs, 160);
    passes(&report, &ALL);
}

/// Every way in which a planted text could be in a file.
fn traces(text: &str) -> Vec<Vec<u8>> {
    let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    // Base64 of a longer text has one of three forms of this part, without the first and last characters.
    let inside = |encode: &dyn Fn(&[u8]) -> String| {
        (0..3)
            .map(move |shift| {
                let padded = [vec![b'.'; shift], text.as_bytes().to_vec()].concat();
                let all = encode(&padded);
                all.chars().skip(4).take(all.len().saturating_sub(8)).collect::<String>()
            })
            .collect::<Vec<_>>()
    };
    let mut out = vec![text.to_owned(), text.to_uppercase(), hex];
    out.extend(inside(&|bytes| Base64::encode_string(bytes)));
    out.extend(inside(&|bytes| Base64UrlUnpadded::encode_string(bytes)));
    // What is left of a short text is too short to say anything.
    out.into_iter().filter(|trace| trace.len() > 4).map(String::into_bytes).collect()
}

pub(crate) fn finds(files: &BTreeMap<String, Vec<u8>>, text: &str) -> Vec<String> {
    let traces = traces(text);
    let hit = |bytes: &Vec<u8>| {
        traces.iter().any(|trace| bytes.windows(trace.len()).any(|window| window == &trace[..]))
    };
    files.iter().filter(|(_, bytes)| hit(bytes)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn an_erased_person_is_gone_and_every_proof_holds() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 6);
    work(&mut evidence, &few()).unwrap();
    // Nothing of anybody is in the clear anywhere, before any erasure.
    for canary in ["ada-canary", "bob-canary", "cyd-canary", "works in finance", "corp.test"] {
        assert_eq!(finds(&disk.files(), canary), Vec::<String>::new(), "{canary}");
    }
    let opened = |disk: &SimDisk| open_all(&disk.files(), &vault_key()).unwrap();
    let named = |disk: &SimDisk, who: &str| {
        let texts = opened(disk).into_iter().map(|(_, text)| {
            String::from_utf8(Base64UrlUnpadded::decode_vec(&text).unwrap()).unwrap()
        });
        texts.filter(|text| text.contains(who)).count()
    };
    // The test of the test: with the key, they are all there.
    assert!(named(&disk, "ada-canary") > 5 && named(&disk, "bob-canary") > 5);
    let before = disk.files();
    let size = evidence.log().size();
    let proofs: Vec<_> = (0..size).map(|index| evidence.log().prove(index).unwrap()).collect();

    let wish = |by: &[&str]| Erasure {
        who: person("ada-canary"),
        basis: "GDPR Art. 17(1)(a)".to_owned(),
        approved_by: by.iter().map(|by| person(by)).collect(),
        at: day(30),
    };
    // Two people, and not the person.
    for by in [&["x"][..], &[], &["x", "ada-canary"]] {
        assert!(matches!(evidence.erase(&wish(by)), Err(EraseError::Approvals { .. })));
    }
    // Not while there is a duty to keep.
    let (ada, lawyer) = (person("ada-canary"), person("lawyer"));
    let hold = evidence.place_hold(&ada, "case 4711", &lawyer, day(29)).unwrap();
    let refused = evidence.erase(&wish(&["x", "y"])).unwrap_err();
    assert!(matches!(refused, EraseError::Held { .. }), "{refused}");
    assert!(named(&disk, "ada-canary") > 5);
    // The hold outlives a restart.
    drop(evidence);
    let mut evidence = store(&disk, 7);
    assert!(matches!(evidence.erase(&wish(&["x", "y"])), Err(EraseError::Held { .. })));
    evidence.release_hold(&ada, &hold, &lawyer, day(30)).unwrap();
    let gone = evidence.erase(&wish(&["x", "y"])).unwrap();
    assert!(gone > 5, "{gone}");
    assert_eq!(named(&disk, "ada-canary"), 0);
    assert!(named(&disk, "bob-canary") > 5, "others are not touched");
    assert!(matches!(evidence.erase(&wish(&["x", "y"])), Err(EraseError::Unknown(_))));

    // The old records are byte for byte what they were, and their proofs are under the old root still.
    let after = disk.files();
    for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("tile/0/")) {
        let partial = bytes.len();
        let now = after.get(name).or_else(|| {
            let full = name.rsplit_once(".p/").map_or(name.as_str(), |(full, _)| full);
            let same = |other: &&String| other.starts_with(full);
            after.keys().find(same).and_then(|name| after.get(name))
        });
        assert_eq!(&now.unwrap()[..partial], &bytes[..], "{name}");
    }
    let old = Checkpoint::of_note(std::str::from_utf8(&before["checkpoint"]).unwrap()).unwrap();
    for (index, proof) in (0..).zip(&proofs) {
        let leaf = jml_evidence::merkle::leaf_hash(&evidence.log().entry(index).unwrap());
        assert!(jml_evidence::merkle::verify_inclusion(&leaf, index, size, proof, &old.root));
    }
    let trust = Trust { earlier: Some((old.size, old.root)), ..owner(&disk) };
    let report = verify(&disk.files(), &trust);
    passes(&report, &ALL);
    passes(&report, &[Level::L4]);
    assert_eq!(report.erased, gone);

    // Rows from a backup do not bring the person back: the key is gone, not only the rows.
    let mut restored = disk.files();
    restored.insert("vault/rows/0".to_owned(), before["vault/rows/0"].clone());
    let texts = open_all(&restored, &vault_key()).unwrap();
    let plain =
        |text: &String| String::from_utf8(Base64UrlUnpadded::decode_vec(text).unwrap()).unwrap();
    assert!(texts.iter().any(|(_, text)| plain(text).contains("bob-canary")));
    assert!(!texts.iter().any(|(_, text)| plain(text).contains("ada-canary")));

    // Somebody who only deletes rows is found out.
    let mut cut = disk.files();
    let rows = cut.get_mut("vault/rows/0").unwrap();
    let first = rows.iter().position(|b| *b == b'\n').unwrap();
    rows.drain(..=first);
    let report = verify(&cut, &Trust { opened: None, ..trust });
    assert!(matches!(report.levels[&Level::L1], Verdict::Fail(_)));
}

/// A crash in the middle of an erasure: it is finished at the next start, or it never began.
#[test]
fn an_erasure_is_finished() {
    let begun = SimDisk::default();
    work(&mut store(&begun, 8), &few()).unwrap();
    let wish = Erasure {
        who: person("ada-canary"),
        basis: "asked".to_owned(),
        approved_by: [person("x"), person("y")].into(),
        at: day(30),
    };
    let mut ended = BTreeSet::new();
    for stop in 0.. {
        let disk = begun.crashed(Crash::Kept);
        let mut evidence = store(&disk, 9);
        disk.stop_after(stop);
        let done = evidence.erase(&wish).is_ok();
        for how in [Crash::Lost, Crash::Kept, Crash::Torn(stop)] {
            let after = disk.crashed(how);
            let again = store(&after, 10);
            let gone = again.pseudonym(&wish.who).is_none();
            assert!(gone || !done);
            ended.insert(gone);
            let said = gist(&after).iter().any(|kind| kind.contains("erasure.executed"));
            assert_eq!(said, gone, "after {stop}, {how:?}: what the log says is what happened");
            drop(again);
            passes(&verify(&after.files(), &owner(&after)), &ALL);
        }
        if done {
            break;
        }
    }
    assert_eq!(ended.len(), 2);
}

#[test]
fn values_expire_by_class_and_holds_keep_them() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 11);
    work(&mut evidence, &few()).unwrap();
    let (bob, lawyer) = (person("bob-canary"), person("lawyer"));
    let hold = evidence.place_hold(&bob, "case", &lawyer, day(3)).unwrap();
    let count = |evidence: &EvidenceStore, who: &str, class| {
        let name = evidence.pseudonym(&person(who)).unwrap().to_owned();
        let rows = evidence.disclosures(&mut |_| true).unwrap();
        rows.iter().filter(|row| row.subject == name && row.class == class).count()
    };
    use RetentionClass::{Detail, Proof};
    let proofs = count(&evidence, "ada-canary", Proof);
    assert!(count(&evidence, "ada-canary", Detail) > 0 && proofs > 0);
    let held = count(&evidence, "bob-canary", Detail);
    let gone = evidence.expire(Detail, day(40), day(41)).unwrap();
    assert!(gone > 0);
    assert_eq!(count(&evidence, "ada-canary", Detail), 0);
    assert_eq!(count(&evidence, "ada-canary", Proof), proofs, "another class stays");
    assert_eq!(count(&evidence, "bob-canary", Detail), held, "under a hold");
    assert_eq!(
        evidence.expire(Detail, day(40), day(42)).unwrap(),
        0,
        "again: nothing, and no record"
    );
    drop(evidence);
    // And a start later changes nothing.
    let evidence = store(&disk, 12);
    assert_eq!(count(&evidence, "bob-canary", Detail), held);
    let report = verify(&disk.files(), &owner(&disk));
    passes(&report, &ALL);
    assert_eq!(report.erased, gone);
    // When the hold ends, an old expiry does not reach further; a new one does.
    let mut evidence = evidence;
    evidence.release_hold(&person("bob-canary"), &hold, &person("lawyer"), day(50)).unwrap();
    drop(evidence);
    let mut evidence = store(&disk, 13);
    assert_eq!(count(&evidence, "bob-canary", Detail), held);
    passes(&verify(&disk.files(), &owner(&disk)), &ALL);
    assert_eq!(evidence.expire(Detail, day(40), day(51)).unwrap(), held as u64);
    assert_eq!(count(&evidence, "bob-canary", Detail), 0);
    drop(evidence);
    drop(store(&disk, 14));
    passes(&verify(&disk.files(), &owner(&disk)), &ALL);
    // An expiry is no excuse for whatever else goes: one more row is one too many.
    let mut cut = disk.files();
    let rows = cut.get_mut("vault/rows/0").unwrap();
    let first = rows.iter().position(|b| *b == b'\n').unwrap();
    rows.drain(..=first);
    let report = verify(&cut, &Trust { opened: None, ..owner(&disk) });
    let Verdict::Fail(list) = &report.levels[&Level::L1] else { panic!("{report:?}") };
    assert!(list[0].what.contains("are missing, records say that"), "{list:?}");
}

#[test]
fn keys_change_hands() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 13);
    work(&mut evidence, &few()[..1]).unwrap();
    let first = signer();
    let new = || Ed25519Signer::generate("example.org/test", &mut Seeded::new(77)).unwrap();
    let both = evidence.rotate_key(Box::new(new()), day(5)).unwrap();
    for key in [first.verifier(), new().verifier()] {
        key.open(both.note()).unwrap();
    }
    evidence.retire_old_key().unwrap();
    work(&mut evidence, &few()[1..]).unwrap();
    drop(evidence);
    let trust = |key: VerifierKey| Trust { key: Some(key), ..owner(&disk) };
    // The first key is enough to trust what the second one signed, and a stranger's is not.
    passes(&verify(&disk.files(), &trust(first.verifier())), &ALL);
    passes(&verify(&disk.files(), &trust(new().verifier())), &ALL);
    let stranger = Ed25519Signer::generate("example.org/test", &mut Seeded::new(78)).unwrap();
    let report = verify(&disk.files(), &trust(stranger.verifier()));
    assert!(matches!(report.levels[&Level::L3], Verdict::Fail(_)));
    // Without the checkpoint that both signed there is no bridge.
    let mut cut = disk.files();
    cut.retain(|name, _| !name.starts_with("rotations/"));
    let report = verify(&cut, &trust(first.verifier()));
    assert!(matches!(report.levels[&Level::L3], Verdict::Fail(_)));
    // The old key does not open the log any more; the new one does.
    assert!(EvidenceStore::open_in(Arc::new(disk.clone()), keys(14)).is_err());
    let later = Keys { signer: Box::new(new()), ..keys(15) };
    EvidenceStore::open_in(Arc::new(disk.clone()), later).unwrap();
    let wrong = Keys {
        signer: Box::new(new()),
        vault: Box::new(LocalKey::generate(&mut Seeded::new(99))),
        ..keys(16)
    };
    let error = EvidenceStore::open_in(Arc::new(disk), wrong).unwrap_err();
    assert!(matches!(error, StoreError::Vault(_)), "{error}");
}

#[test]
fn anchors_bound_what_can_be_rewritten() {
    let disk = SimDisk::default();
    let outside = tempfile::tempdir().unwrap();
    let mut evidence = store(&disk, 17);
    work(&mut evidence, &few()[..1]).unwrap();
    let sealed = evidence.seal().unwrap();
    // A drop, twice the same, and never another root of the same size.
    let drop_box = FileDrop::new(outside.path());
    let proofs = |old| evidence.log().prove_consistency(old).ok();
    let mut anchored =
        Anchored::new(sealed.clone(), block_on(drop_box.anchor(&sealed, &|_| None)).unwrap());
    block_on(drop_box.anchor(&sealed, &|_| None)).unwrap();
    assert_eq!(proofs(0), Some(Vec::new()));
    let other = SimDisk::default();
    let mut liar = store(&other, 18);
    while liar.log().size() < sealed.checkpoint().size {
        liar.heartbeat(day(0)).unwrap();
    }
    let lie = liar.seal().unwrap();
    assert_eq!(lie.checkpoint().size, sealed.checkpoint().size);
    let split = block_on(drop_box.anchor(&lie, &|_| None)).unwrap_err();
    assert!(split.to_string().contains("two roots were signed for one size"), "{split}");

    // A witness saw it two hours after the last record.
    let witness = Ed25519Signer::generate("witness.example/w1", &mut Seeded::new(19)).unwrap();
    let seen_at = u64::try_from(day(0).timestamp()).unwrap() + 7200;
    let line = witness.cosign(&sealed.checkpoint().text(), seen_at);
    let note = format!("{}{line}\n", sealed.note());
    Note::parse(&note).unwrap();
    let receipt = jml_evidence::anchor::Receipt {
        name: "witness-w1".to_owned(),
        kind: "witness",
        bytes: note.into_bytes(),
    };
    anchored.push(receipt);
    evidence.keep_receipts(&anchored, day(0) + chrono::TimeDelta::hours(3)).unwrap();
    evidence.heartbeat(day(1)).unwrap();
    work(&mut evidence, &few()[1..]).unwrap();
    drop(evidence);

    let trust = Trust { witnesses: vec![witness.cosigner()], quorum: 1, ..owner(&disk) };
    let report = verify(&disk.files(), &trust);
    passes(&report, &[Level::L5]);
    let size = sealed.checkpoint().size;
    assert_eq!(report.seen.len(), 1);
    assert_eq!((report.seen[0].size, report.seen[0].time), (size, seen_at));
    assert!(matches!(report.windows[&0], Window::Seconds(n) if (7100..=7200).contains(&n)));
    assert_eq!(report.windows[&size], Window::Unanchored, "what came later is not covered");
    // Who is not trusted does not count, nor does too small a quorum.
    for trust in
        [Trust { witnesses: Vec::new(), ..trust.clone() }, Trust { quorum: 2, ..trust.clone() }]
    {
        let report = verify(&disk.files(), &trust);
        let Verdict::NotChecked(why) = &report.levels[&Level::L5] else { panic!("{report:?}") };
        assert!(why.starts_with("unanchored"), "{why}");
        assert!(report.windows.values().all(|window| *window == Window::Unanchored));
    }
    // A receipt of another history, or one that was changed, fails.
    let path = format!("receipts/{size}/witness-w1");
    let mut files = disk.files();
    let changed = String::from_utf8(files[&path].clone()).unwrap();
    let flipped = changed.replacen("witness.example/w1 ", "witness.example/w1 A", 1);
    files.insert(path.clone(), flipped.into_bytes());
    assert!(matches!(verify(&files, &trust).levels[&Level::L5], Verdict::Fail(_)));
    let theirs = format!("{}{}\n", lie.note(), witness.cosign(&lie.checkpoint().text(), seen_at));
    files.insert(path, theirs.into_bytes());
    assert!(matches!(verify(&files, &trust).levels[&Level::L5], Verdict::Fail(_)));
}

#[test]
fn populations_are_sealed_before_the_seed() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 20);
    let journals: Vec<_> = (0..12).map(|n| leaver(&format!("p{n}"), day(n)).entries).collect();
    work(&mut evidence, &journals).unwrap();
    work(&mut evidence, &[mover("p3", "m", day(2)).entries]).unwrap();
    let hr = Hr {
        extract: Extract {
            system: "hr".to_owned(),
            query: "leavers of January".to_owned(),
            rows: 9,
            digest: "00".to_owned(),
            extracted_at: "2026-02-01T00:00:00.000Z".to_owned(),
        },
        people: (2..10).map(|n| person(&format!("p{n}"))).chain([person("nobody")]).collect(),
    };
    let sealed = evidence.seal_population("leaver", day(1), day(10), Some(&hr), day(31)).unwrap();
    // Effective one minute before the run: the runs of day 2 to day 10.
    let body = &sealed.body;
    assert_eq!((body.members, body.people, body.matched), (9, 9, Some(8)));
    assert_eq!((body.source_only, body.log_only), (Some(1), Some(1)));
    assert_eq!(sealed.source_only, [person("nobody")].into());
    let drawn = evidence.draw_sample(sealed.entry, "the auditor's words", 4, day(32)).unwrap();
    assert_eq!(drawn.len(), 4);
    assert!(matches!(evidence.draw_sample(0, "x", 4, day(32)), Err(PopulationError::Unknown(0))));
    assert!(matches!(
        evidence.seal_population("leaver", day(1), day(1), None, day(31)),
        Err(PopulationError::Period)
    ));
    let orphan = Orphaned {
        account: AccountRef::new("entra".parse().unwrap(), "ghost-canary".parse().unwrap()),
        status: "active".to_owned(),
        entitlements: 3,
    };
    evidence.orphans(&[orphan], day(33)).unwrap();
    evidence.seal().unwrap();
    drop(evidence);
    assert!(finds(&disk.files(), "ghost-canary").is_empty());
    let report = verify(&disk.files(), &owner(&disk));
    passes(&report, &ALL);
    passes(&report, &[Level::L7]);
}

/// What cannot be recorded leaves nothing behind, and what comes after it fits.
#[test]
fn a_record_that_is_refused_leaves_no_trace() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 25);
    work(&mut evidence, &few()[..1]).unwrap();
    let extract = Extract {
        system: "hr".to_owned(),
        query: "x".repeat(5000),
        rows: 1,
        digest: "00".to_owned(),
        extracted_at: "2026-02-01T00:00:00.000Z".to_owned(),
    };
    let hr = Hr { extract, people: [person("ada-canary")].into() };
    let size = evidence.log().size();
    let refused = evidence.seal_population("leaver", day(-1), day(5), Some(&hr), day(6));
    let PopulationError::Store(StoreError::Canon(why)) = refused.unwrap_err() else { panic!() };
    assert!(why.to_string().contains("more than 4096 bytes"), "{why}");
    assert_eq!(evidence.log().size(), size);
    evidence.heartbeat(day(8)).unwrap();
    evidence.seal().unwrap();
    drop(evidence);
    passes(&verify(&disk.files(), &owner(&disk)), &[Level::L0, Level::L1, Level::L2, Level::L6]);
}

/// Access beyond the role leaves records of its own, so that it can be looked for.
#[test]
fn exceptions_and_access_for_a_time() {
    let disk = SimDisk::default();
    let mut evidence = store(&disk, 24);
    let exception = ClaimSource::Exception { id: "X1".parse().unwrap(), owner: person("boss") };
    let role = ClaimSource::Birthright { rule: "r1".parse().unwrap() };
    for (who, claims) in [("ada", vec![exception]), ("bob", vec![role]), ("cyd", Vec::new())] {
        evidence.add(&granted(who, "boss", day(0), claims).entries).unwrap();
    }
    evidence.seal().unwrap();
    let ada = evidence.pseudonym(&person("ada")).unwrap().to_owned();
    let records: Vec<serde_json::Value> = jml_evidence::verify::entries(&disk.files())
        .iter()
        .map(|bytes| serde_json::from_slice(bytes).unwrap())
        .collect();
    for kind in ["exception.accepted", "grant.activated"] {
        let hits: Vec<_> = records.iter().filter(|record| record["kind"] == kind).collect();
        assert_eq!(hits.len(), 1, "{kind}");
        assert_eq!(hits[0]["subject"]["ref"], ada.as_str());
    }
    let timed = records.iter().find(|record| record["kind"] == "grant.activated").unwrap();
    assert_eq!(timed["also"], serde_json::json!(["jit"]));
    // The five instants of a run, and who decided, by pseudonym.
    let opened = records.iter().find(|record| record["kind"] == "run.opened").unwrap();
    for name in ["entered", "received", "planned"] {
        assert!(opened["body"]["timing"][name].is_string(), "{name}");
    }
    let boss = evidence.pseudonym(&person("boss")).unwrap();
    let decided = records.iter().find(|record| record["kind"] == "approval.decided").unwrap();
    assert_eq!(decided["actor"]["ref"], boss);
    // One policy, said once; another one is a change.
    let changes = records.iter().filter(|record| record["kind"] == "config.changed").count();
    assert_eq!(changes, 1);
    passes(&verify(&disk.files(), &owner(&disk)), &ALL);
}

/// A signer that fails while the flag is up.
struct Moody(Ed25519Signer, Arc<std::sync::atomic::AtomicBool>);

impl CheckpointSigner for Moody {
    fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) {
            return Err("the key service does not answer".to_owned());
        }
        self.0.sign(message)
    }
}

#[test]
fn no_sample_of_a_population_that_could_still_change() {
    let disk = SimDisk::default();
    let moody = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let keys = Keys { signer: Box::new(Moody(signer(), Arc::clone(&moody))), ..keys(22) };
    let mut evidence = EvidenceStore::open_in(Arc::new(disk), keys).unwrap();
    work(&mut evidence, &few()).unwrap();
    moody.store(true, std::sync::atomic::Ordering::SeqCst);
    let entry = evidence.log().size();
    evidence.seal_population("leaver", day(-1), day(5), None, day(6)).unwrap_err();
    let refused = evidence.draw_sample(entry, "seed", 1, day(6)).unwrap_err();
    assert!(matches!(refused, PopulationError::Unsealed(_)), "{refused}");
    moody.store(false, std::sync::atomic::Ordering::SeqCst);
    evidence.seal().unwrap();
    assert_eq!(evidence.draw_sample(entry, "seed", 1, day(6)).unwrap().len(), 1);
}

/// A log whose key holder lies: every record is canonical, in the tree and signed. `edit` changes records
/// before they are written.
fn forged(edit: &dyn Fn(&mut serde_json::Value)) -> TrustReport {
    let honest = SimDisk::default();
    work(&mut store(&honest, 23), &few()).unwrap();
    let disk = SimDisk::default();
    let mut log = jml_evidence::log::Log::open(
        Arc::new(disk.clone()),
        Box::new(signer()),
        &mut |_, _| Ok(()),
        &mut |_, _| Ok(()),
    )
    .unwrap();
    let entries = jml_evidence::verify::entries(&honest.files());
    let lie = |bytes: &Vec<u8>| {
        let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        edit(&mut value);
        serde_json::to_vec(&value).unwrap()
    };
    log.append(entries.iter().map(lie).collect()).unwrap();
    log.seal(&mut |_, _| Ok(())).unwrap();
    verify(&disk.files(), &Trust { key: Some(signer().verifier()), ..Trust::default() })
}

/// What was sent and not answered may be found done. What was refused may not: somebody else did it.
#[test]
fn a_look_finds_only_what_was_in_doubt() {
    for (landed, wanted) in
        [(Applied::Unknown, true), (Applied::Partly, true), (Applied::No, false)]
    {
        let disk = SimDisk::default();
        let journal = found_by_a_look("ada", day(1), landed);
        work(&mut store(&disk, 31), &[journal.entries]).unwrap();
        let report = verify(&disk.files(), &owner(&disk));
        assert_eq!(report.levels[&Level::L8] == Verdict::Pass, wanted, "{landed:?}");
    }
}

/// Whoever holds the key can sign nonsense. The levels about sense notice it.
#[test]
fn what_a_key_holder_cannot_make_up() {
    let honest = forged(&|_| {});
    passes(&honest, &[Level::L0, Level::L2, Level::L3, Level::L6, Level::L8]);
    let kind = |value: &serde_json::Value| value["kind"].as_str().unwrap().to_owned();
    type Lie<'a> = (&'a str, Level, &'a str, &'a dyn Fn(&mut serde_json::Value));
    let lies: [Lie<'_>; 11] = [
        ("another run root", Level::L6, "does not add up to its root", &|value| {
            if kind(value) == "run.closed" {
                value["body"]["closing"]["run_root"] = "AAAA".into();
            }
        }),
        ("fewer records", Level::L6, "another number of records", &|value| {
            if kind(value) == "run.closed" {
                value["body"]["closing"]["records"] = 3.into();
            }
        }),
        ("a gap in a counter", Level::L6, "has a gap before it", &|value| {
            if kind(value) == "step.result" && value["kseq"] == 2 {
                value["kseq"] = 3.into();
            }
        }),
        ("an approval that is a refusal", Level::L8, "went before its approval", &|value| {
            if kind(value) == "approval.decided" {
                value["body"]["outcome"]["status"] = "refused".into();
            }
        }),
        ("somebody who approves for themselves", Level::L8, "decided about themselves", &|value| {
            if kind(value) == "approval.decided" {
                value["actor"]["ref"] = value["subject"]["ref"].clone();
            }
        }),
        (
            "a change that was seen without being answered",
            Level::L8,
            "seen done before it was sent",
            &|value| {
                if kind(value) == "step.result" {
                    value["body"]["outcome"]["status"] = "failed".into();
                }
            },
        ),
        ("a result of nothing", Level::L8, "was never begun", &|value| {
            if kind(value) == "step.intended" {
                value["body"]["step"]["id"] = "s9".into();
            }
        }),
        ("an earlier time of revocation", Level::L8, "measured at other times", &|value| {
            if kind(value) == "sla.measured" {
                value["body"]["measure"]["verified"] = "2026-01-01T08:00:01.000Z".into();
            }
        }),
        ("an open change that is not counted", Level::L8, "changes in doubt", &|value| {
            if kind(value) == "verify.observed" || kind(value) == "step.result" {
                value["body"]["step"]["id"] = "s9".into();
            }
        }),
        ("a personal value in the clear", Level::L0, "has no `identity`", &|value| {
            if kind(value) == "run.opened" {
                value["body"]["identity"] = "Ada".into();
            }
        }),
        ("an unlikely time", Level::L0, "its time is not an instant", &|value| {
            if kind(value) == "run.opened" {
                value["time"] = "2026-01-01 08:00".into();
            }
        }),
    ];
    for (what, level, own, lie) in lies {
        let report = forged(lie);
        // Each for its own reason, whatever else does not fit any more.
        let mut problems = report.problems();
        let named = problems.any(|(at, problem)| at == level && problem.what.contains(own));
        assert!(named, "{what}: {:?}", report.levels);
        passes(&report, &[Level::L2, Level::L3]);
    }
    // What a later version writes is in the tree all the same, and is not judged.
    let later = forged(&|value| {
        if kind(value) == "step.intended" {
            value["kind"] = "step.foreseen".into();
        }
    });
    assert!(matches!(later.levels[&Level::L0], Verdict::NotChecked(_)));
    passes(&later, &[Level::L2, Level::L3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Any bit of any file of the folder that is evidence: some level fails.
    #[test]
    fn any_changed_bit_is_noticed(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8) {
        static FOLDER: std::sync::OnceLock<BTreeMap<String, Vec<u8>>> = std::sync::OnceLock::new();
        let files = FOLDER.get_or_init(|| {
            let disk = SimDisk::default();
            work(&mut store(&disk, 21), &few()).unwrap();
            disk.files()
        });
        let names: Vec<&String> = files.keys().filter(|name| !["epoch", "vault/key", "vault/subjects"].contains(&name.as_str())).collect();
        let name = names[file.index(names.len())];
        let mut changed = files.clone();
        let bytes = changed.get_mut(name).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let opened = open_all(&changed, &vault_key()).ok();
        // A vault that does not open is noticed by whoever opens it.
        if let Some(opened) = opened {
            let trust = Trust { key: Some(signer().verifier()), opened: Some(opened), ..Trust::default() };
            prop_assert!(!verify(&changed, &trust).is_ok(), "{name}, byte {at}");
        }
    }
}
