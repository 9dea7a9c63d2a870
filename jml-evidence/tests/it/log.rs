//! The log on disk: one writer, crashes between any two writes, and what must never happen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jml_evidence::entropy::{Entropy, OsEntropy};
use jml_evidence::log::{Log, LogError};
use jml_evidence::note::{Checkpoint, CheckpointSigner as _, Ed25519Signer};

/// Entropy that a test can repeat.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(41);
            *byte = self.0;
        }
    }
}

fn signer() -> Box<Ed25519Signer> {
    Box::new(Ed25519Signer::generate("example.org/test", &mut Counter(7)).unwrap())
}

fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

/// All files of a folder.
fn picture(dir: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    out
}

fn restore(dir: &Path, files: &BTreeMap<std::path::PathBuf, Vec<u8>>) {
    let _ = fs::remove_dir_all(dir);
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The write-ahead file of an append: the format of the log, written out once more so that a change of
/// it is noticed.
fn wal(base: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut body = base.to_be_bytes().to_vec();
    for entry in entries {
        body.extend_from_slice(&u32::try_from(entry.len()).unwrap().to_be_bytes());
        body.extend_from_slice(entry);
    }
    let mut out = Sha256::digest(&body).to_vec();
    out.append(&mut body);
    out
}

#[test]
fn a_crash_between_any_two_writes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    // 250 and then 10 more, so that a full tile and a new one are made by the append in question.
    let mut log = Log::open(&dir, signer()).unwrap();
    log.append((0..250).map(entry).collect()).unwrap();
    drop(log);
    let before = picture(&dir);
    let more: Vec<Vec<u8>> = (250..260).map(entry).collect();
    let mut log = Log::open(&dir, signer()).unwrap();
    log.append(more.clone()).unwrap();
    let wanted = log.checkpoint().to_owned();
    drop(log);
    let after = picture(&dir);
    // The order of the protocol: write-ahead file, tiles, last_signed, checkpoint, then cleaning up.
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
    assert_eq!(
        new.len(),
        5,
        "two full tiles, two new ones, and the first of the next level: {new:?}"
    );
    let mut stages = vec![before.clone()];
    let mut stage = before.clone();
    stage.insert("wal".into(), wal(250, &more));
    stages.push(stage.clone());
    for name in &new {
        stage.insert(name.clone(), after[name].clone());
        stages.push(stage.clone());
    }
    for name in ["last_signed", "checkpoint"] {
        stage.insert(name.into(), after[Path::new(name)].clone());
        stages.push(stage.clone());
    }
    stage.remove(Path::new("wal"));
    stages.push(stage);
    for (number, stage) in stages.iter().enumerate() {
        restore(&dir, stage);
        let log = Log::open(&dir, signer()).unwrap_or_else(|e| panic!("stage {number}: {e}"));
        if number == 0 {
            // Nothing was acknowledged.
            assert_eq!(log.size(), 250);
            continue;
        }
        assert_eq!(log.size(), 260, "stage {number}: what was durable is there, once");
        assert_eq!(log.checkpoint(), wanted, "stage {number}: never two roots of one size");
        drop(log);
        assert_eq!(picture(&dir), after, "stage {number}");
    }
    // A write-ahead file that is not whole was never acknowledged.
    for cut in [0, 1, 31, 40, wal(250, &more).len() - 1] {
        let mut torn = before.clone();
        torn.insert("wal".into(), wal(250, &more)[..cut].to_vec());
        restore(&dir, &torn);
        assert_eq!(Log::open(&dir, signer()).unwrap().size(), 250);
    }
}

#[test]
fn never_two_roots_of_one_size() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut log = Log::open(&dir, signer()).unwrap();
    log.append(vec![entry(1)]).unwrap();
    drop(log);
    let good = picture(&dir);
    // Somebody puts the log back to nothing and keeps `last_signed`.
    let mut log = Log::open(&folder.path().join("other"), signer()).unwrap();
    log.append(vec![entry(2)]).unwrap();
    drop(log);
    let mut mixed = picture(&folder.path().join("other"));
    mixed.insert("last_signed".into(), good[Path::new("last_signed")].clone());
    restore(&dir, &mixed);
    assert!(matches!(Log::open(&dir, signer()), Err(LogError::Damaged { .. })));
}

#[test]
fn one_writer_and_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let log = Log::open(&dir, signer()).unwrap();
    assert!(matches!(Log::open(&dir, signer()), Err(LogError::Locked(_))));
    drop(log);
    let other = Ed25519Signer::generate("example.org/test", &mut OsEntropy).unwrap();
    assert!(matches!(Log::open(&dir, Box::new(other)), Err(LogError::Damaged { .. })));
    let mut log = Log::open(&dir, signer()).unwrap();
    assert!(matches!(log.append(vec![vec![0; 70_000]]), Err(LogError::TooLong(70_000))));
    let secret = signer().expose().to_string();
    let tail: String = secret.chars().skip(secret.len() - 20).collect();
    assert!(!format!("{:?}", signer()).contains(&tail));
    assert_eq!(Ed25519Signer::parse(&secret).unwrap().verifier(), signer().verifier());
    let text = log.verifier().open(log.checkpoint()).unwrap().to_owned();
    assert_eq!(Checkpoint::parse(&text).unwrap().size, 0);
    assert!(Checkpoint::parse(&text.replace("\n0\n", "\n00\n")).is_err());
    assert!(Checkpoint::parse(&format!("{text}extension\n")).is_err());
}
