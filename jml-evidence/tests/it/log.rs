//! The log: crashes at every operation of the disk, one writer, one root of each size.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jml_evidence::entropy::{Entropy, OsEntropy};
use jml_evidence::log::{Log, LogError, Sealed};
use jml_evidence::merkle::{self, leaf_hash, verify_consistency, verify_inclusion};
use jml_evidence::note::{Checkpoint, CheckpointSigner, Ed25519Signer, VerifierKey};
use jml_evidence::storage::{FolderStorage, Storage as _};

use crate::disk::{Crash, SimDisk};

/// Entropy that a test can repeat.
pub(crate) struct Counter(pub(crate) u8);

impl Entropy for Counter {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(41);
            *byte = self.0;
        }
    }
}

pub(crate) fn signer() -> Box<Ed25519Signer> {
    Box::new(Ed25519Signer::generate("example.org/test", &mut Counter(7)).unwrap())
}

fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

/// A signer that remembers what left the process.
struct Remembering(Ed25519Signer, Arc<Mutex<Signed>>);

impl CheckpointSigner for Remembering {
    fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.1.lock().unwrap().note(std::str::from_utf8(message).unwrap());
        self.0.sign(message)
    }
}

/// Every root that was ever signed, by size.
#[derive(Default)]
struct Signed(BTreeMap<u64, merkle::Hash>);

impl Signed {
    fn note(&mut self, text: &str) {
        let checkpoint = Checkpoint::parse(text).unwrap();
        let known = self.0.entry(checkpoint.size).or_insert(checkpoint.root);
        assert_eq!(*known, checkpoint.root, "two roots of size {}", checkpoint.size);
    }
}

fn opened(disk: &SimDisk) -> Result<(Log, Vec<Vec<u8>>), LogError> {
    opened_by(disk, signer())
}

fn opened_by(
    disk: &SimDisk,
    signer: Box<dyn CheckpointSigner>,
) -> Result<(Log, Vec<Vec<u8>>), LogError> {
    let mut seen = Vec::new();
    let mut visit = |number: u64, bytes: &[u8]| {
        assert_eq!(number, seen.len() as u64);
        seen.push(bytes.to_vec());
        Ok(())
    };
    let log = Log::open(Arc::new(disk.clone()), signer, &mut visit, &mut |_, _| Ok(()))?;
    Ok((log, seen))
}

/// The root over the first entries.
fn root(size: u64) -> merkle::Hash {
    merkle::root(&(0..size).map(|n| leaf_hash(&entry(n))).collect::<Vec<_>>())
}

/// Appends and seals in some rhythm; gives back how many entries were acknowledged.
fn work(log: &mut Log, from: u64) -> (u64, Result<(), LogError>) {
    let mut safe = from;
    let mut go = || {
        for (batch, seals) in
            [(3, false), (2, true), (1, false), (0, true), (300, true), (2, false)]
        {
            let more = (safe..safe + batch).map(entry).collect();
            log.append(more)?;
            safe += batch;
            if seals {
                log.seal(&mut |_, _| Ok(()))?;
            }
        }
        Ok(())
    };
    let done = go();
    (safe, done)
}

/// Kills the process at every write, sync and rename, loses what was not synced in several ways, and
/// starts again.
#[test]
fn a_crash_at_every_operation() {
    let whole = SimDisk::default();
    let (mut log, _) = opened(&whole).unwrap();
    // A log that has something in it already.
    work(&mut log, 0).1.unwrap();
    drop(log);
    let (begun, mut seen) = (whole.crashed(Crash::Kept), BTreeMap::new());
    let total = {
        let disk = begun.crashed(Crash::Kept);
        let (mut log, entries) = opened(&disk).unwrap();
        work(&mut log, entries.len() as u64).1.unwrap();
        disk.operations()
    };
    for stop in 0..total {
        let disk = begun.crashed(Crash::Kept);
        disk.stop_after(stop);
        let mut safe = 308;
        let signed = Arc::new(Mutex::new(Signed::default()));
        let key = || Box::new(Remembering(*signer(), Arc::clone(&signed)));
        if let Ok((mut log, entries)) = opened_by(&disk, key()) {
            assert_eq!(entries.len(), 308);
            let (acknowledged, done) = work(&mut log, 308);
            assert!(done.is_err(), "operation {stop} of {total} was the last one");
            safe = acknowledged;
        }
        *seen.entry(disk.last()).or_insert(0) += 1;
        let torn = (0..4).map(|n| Crash::Torn(stop * 4 + n));
        for how in [Crash::Lost, Crash::Kept].into_iter().chain(torn) {
            let after = disk.crashed(how);
            // What the dead process signed must stay true, and each of these worlds is one of its own.
            let mine = Arc::new(Mutex::new(Signed(signed.lock().unwrap().0.clone())));
            let (log, entries) = opened_by(&after, Box::new(Remembering(*signer(), mine)))
                .unwrap_or_else(|e| {
                    panic!("after operation {stop} ({}), {how:?}: {e}", disk.last())
                });
            let at = format!("after operation {stop} ({}), {how:?}", disk.last());
            assert!(entries.len() as u64 >= safe, "{at}: {} of {safe}", entries.len());
            // Each is there once, in order, and nothing else is.
            let right: Vec<_> = (0..entries.len() as u64).map(entry).collect();
            assert_eq!(entries, right, "{at}");
            let size = entries.len() as u64;
            assert_eq!(log.sealed().checkpoint().size, size, "{at}");
            assert_eq!(log.sealed().checkpoint().root, root(size), "{at}");
            drop(log);
            // And nothing is left to finish.
            let (again, _) = opened(&after).unwrap();
            assert_eq!(again.sealed().checkpoint().size, size, "{at}");
        }
    }
    println!("{total} operations, stopped before each; {} different ones", seen.len());
    for what in
        ["append wal", "sync wal", "sync folder ", "rename last_signed", "rename checkpoint"]
    {
        assert!(seen.contains_key(what), "no crash after `{what}`");
    }
}

/// A first start can be interrupted anywhere too.
#[test]
fn a_crash_while_the_log_is_made() {
    let total = {
        let disk = SimDisk::default();
        opened(&disk).unwrap();
        disk.operations()
    };
    for stop in 0..total {
        let disk = SimDisk::default();
        disk.stop_after(stop);
        assert!(opened(&disk).is_err());
        for how in [Crash::Lost, Crash::Kept, Crash::Torn(stop), Crash::Torn(stop + 99)] {
            let after = disk.crashed(how);
            let (mut log, entries) = opened(&after).unwrap();
            assert!(entries.is_empty());
            work(&mut log, 0).1.unwrap();
        }
    }
}

#[test]
fn damage_in_the_middle_refuses_to_start() {
    let disk = SimDisk::default();
    let (mut log, _) = opened(&disk).unwrap();
    work(&mut log, 0).1.unwrap();
    // Two batches that are durable and not sealed.
    log.append(vec![entry(308)]).unwrap();
    log.append(vec![entry(309)]).unwrap();
    drop(log);
    let files = disk.files();
    let mut refused = 0;
    for (name, bytes) in &files {
        if name == "epoch" {
            continue;
        }
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let copy = disk.crashed(Crash::Kept);
            copy.tamper(name, |bytes| bytes[at] ^= 1);
            let before = copy.files();
            match opened(&copy) {
                Err(LogError::Damaged { .. }) => refused += 1,
                // The last batch of the write-ahead file may be one that was never acknowledged, and the
                // key beside the log is there for people; `verify` compares it.
                Ok((_, entries)) if name == "wal" && entries.len() == 309 => continue,
                Ok(_) if name == "vkey" => continue,
                other => panic!("{name}, byte {at}: {other:?}"),
            }
            assert_eq!(copy.files(), before, "a damaged log is not written to");
        }
    }
    println!("{refused} changes of {} files refused", files.len());
    assert!(refused > 30);
    // Files that are missing.
    for name in files.keys().filter(|name| !["epoch", "vkey", "wal"].contains(&name.as_str())) {
        let copy = disk.crashed(Crash::Kept);
        copy.remove(name).unwrap();
        assert!(matches!(opened(&copy), Err(LogError::Damaged { .. })), "{name}");
    }
}

#[test]
fn never_two_roots_of_one_size() {
    let disk = SimDisk::default();
    let (mut log, _) = opened(&disk).unwrap();
    log.append(vec![entry(0)]).unwrap();
    log.seal(&mut |_, _| Ok(())).unwrap();
    log.append(vec![entry(1)]).unwrap();
    log.seal(&mut |_, _| Ok(())).unwrap();
    drop(log);
    // Somebody puts everything back to an earlier day but the one file that says what was signed.
    let other = SimDisk::default();
    let (mut log, _) = opened(&other).unwrap();
    log.append(vec![entry(0)]).unwrap();
    log.seal(&mut |_, _| Ok(())).unwrap();
    let last = disk.files()["last_signed"].clone();
    other.tamper("last_signed", |bytes| *bytes = last.clone());
    // A running log notices when it signs.
    log.append(vec![b"another second entry".to_vec()]).unwrap();
    let error = log.seal(&mut |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("another root of this size was signed"), "{error}");
    drop(log);
    // And so does one that is opened.
    assert!(matches!(opened(&other), Err(LogError::Damaged { .. })));
}

/// A signer that fails for a while, as a key in the network does.
struct Shaky(Ed25519Signer, Mutex<u32>);

impl CheckpointSigner for Shaky {
    fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let mut left = self.1.lock().unwrap();
        match *left {
            0 => self.0.sign(message),
            1 => {
                *left = 0;
                // Wrong bytes, as from another key.
                Ok(vec![0; 64])
            }
            _ => {
                *left -= 1;
                Err("the key service does not answer".to_owned())
            }
        }
    }
}

#[test]
fn a_signer_that_fails_loses_nothing() {
    let disk = SimDisk::default();
    drop(opened(&disk).unwrap());
    let shaky = Box::new(Shaky(*signer(), Mutex::new(3)));
    let mut log =
        Log::open(Arc::new(disk.clone()), shaky, &mut |_, _| Ok(()), &mut |_, _| Ok(())).unwrap();
    let durable = log.append(vec![entry(0), entry(1)]).unwrap();
    for _ in 0..3 {
        assert!(matches!(log.seal(&mut |_, _| Ok(())), Err(LogError::Sign(_))));
        assert!(!log.sealed().covers(&durable));
    }
    // `last_signed` names two entries now, and there are three: also for whoever starts again here.
    let more = log.append(vec![entry(2)]).unwrap();
    let (again, seen) = opened(&disk.crashed(Crash::Lost)).unwrap();
    assert_eq!((seen.len(), again.sealed().checkpoint().root), (3, root(3)));
    let sealed = log.seal(&mut |_, _| Ok(())).unwrap();
    assert!(sealed.covers(&durable) && sealed.covers(&more));
    assert_eq!(sealed.checkpoint().root, root(3));
}

#[test]
fn proofs_from_tiles() {
    let disk = SimDisk::default();
    let (mut log, _) = opened(&disk).unwrap();
    for (from, to) in [(0, 5), (5, 260), (260, 700)] {
        log.append((from..to).map(entry).collect()).unwrap();
        log.seal(&mut |_, _| Ok(())).unwrap();
    }
    let top = root(700);
    for index in (0..700).step_by(13).chain([255, 256, 511, 512, 699]) {
        let proof = log.prove(index).unwrap();
        let leaf = leaf_hash(&log.entry(index).unwrap());
        assert_eq!(leaf, leaf_hash(&entry(index)));
        assert!(verify_inclusion(&leaf, index, 700, &proof, &top), "{index}");
    }
    for old in [0, 1, 5, 255, 256, 257, 260, 512, 699, 700] {
        let proof = log.prove_consistency(old).unwrap();
        assert!(verify_consistency(old, 700, &proof, &root(old), &top), "{old}");
    }
    assert!(
        log.prove(700).is_err() && log.entry(700).is_err() && log.prove_consistency(701).is_err()
    );
}

#[test]
fn one_writer_and_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let storage = FolderStorage::open(&dir).unwrap();
    let second = FolderStorage::open(&dir).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock, "{second}");
    drop(storage);
    // A lock that somebody removed keeps nobody out; the fence does.
    let disk = SimDisk::default();
    let (mut first, _) = opened(&disk).unwrap();
    first.append(vec![entry(0)]).unwrap();
    let (mut second, seen) = opened(&disk).unwrap();
    assert_eq!(seen, [entry(0)]);
    assert!(matches!(first.append(vec![entry(7)]), Err(LogError::Fenced)));
    assert!(matches!(first.seal(&mut |_, _| Ok(())), Err(LogError::Broken)));
    second.append(vec![entry(1)]).unwrap();
    let sealed: Sealed = second.seal(&mut |_, _| Ok(())).unwrap();
    assert_eq!(sealed.checkpoint().root, root(2));
    drop(second);

    let other = Ed25519Signer::generate("example.org/test", &mut OsEntropy).unwrap();
    let wrong =
        Log::open(Arc::new(disk.clone()), Box::new(other), &mut |_, _| Ok(()), &mut |_, _| Ok(()));
    assert!(matches!(wrong, Err(LogError::Damaged { .. })));
    let (mut log, _) = opened(&disk).unwrap();
    assert!(matches!(log.append(vec![vec![0; 70_000]]), Err(LogError::TooLong(70_000))));
    let secret = signer().expose().to_string();
    let tail: String = secret.chars().skip(secret.len() - 20).collect();
    assert!(!format!("{:?}", signer()).contains(&tail));
    assert_eq!(Ed25519Signer::parse(&secret).unwrap().verifier(), signer().verifier());
    let text = log.verifier().open(log.sealed().note()).unwrap().to_owned();
    assert_eq!(Checkpoint::parse(&text).unwrap().size, 2);
    assert!(Checkpoint::parse(&text.replace("\n2\n", "\n02\n")).is_err());
    assert!(Checkpoint::parse(&format!("{text}extension\n")).is_err());
}
