//! How fast the log is, beside what somebody would use instead, in one run and as ratios.
//!
//! `cargo bench -p jml-evidence`. One core where not said otherwise; the best of three.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark measures time, prints and may stop"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use jml_evidence::entropy::OsEntropy;
use jml_evidence::log::Log;
use jml_evidence::merkle::{Frontier, leaf_hash, prove_inclusion, root, verify_inclusion};
use jml_evidence::note::Ed25519Signer;
use jml_evidence::storage::FolderStorage;
use jml_evidence::tiles::Edge;
use jml_evidence::verify::{Directory, Trust, verify};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

/// Things in a second; the best of three.
fn rate(count: u64, mut act: impl FnMut()) -> f64 {
    (0..3)
        .map(|_| {
            let began = Instant::now();
            act();
            count as f64 / began.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

fn show(what: &str, rate: f64, beside: Option<f64>) {
    let ratio = beside.map(|other| format!("{:>8.2} x", rate / other)).unwrap_or_default();
    println!("  {what:<58} {rate:>12.0} /s {ratio}");
}

fn entry(n: u64) -> Vec<u8> {
    let mut bytes = vec![b'.'; 512];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn appends() {
    const COUNT: u64 = 200_000;
    let entries: Vec<Vec<u8>> = (0..COUNT).map(entry).collect();
    println!("appending {COUNT} records of 512 bytes, in memory; ratio to the hash chain");
    let chain = rate(COUNT, || {
        let mut last = [0_u8; 32];
        for bytes in &entries {
            let mut hash = Sha256::new();
            hash.update(last);
            hash.update(bytes);
            last = hash.finalize().into();
        }
        black_box(last);
    });
    show("a naive hash chain (no proofs, no sampling)", chain, Some(chain));
    let tree = rate(COUNT, || {
        let mut frontier = Frontier::default();
        entries.iter().for_each(|bytes| frontier.push(leaf_hash(bytes)));
        black_box(frontier.root());
    });
    show("Merkle tree, root only", tree, Some(chain));
    let tiles = rate(COUNT, || {
        let mut edge = Edge::default();
        entries.iter().for_each(|bytes| edge.push(leaf_hash(bytes), &mut |_, _, _| {}));
        black_box(edge.root());
    });
    show("Merkle tree with its tiles", tiles, Some(chain));
    let sqlite = rate(COUNT, || {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB)").unwrap();
        let tx = db.transaction().unwrap();
        let mut insert = tx.prepare("INSERT INTO record (body) VALUES (?1)").unwrap();
        entries.iter().for_each(|bytes| {
            insert.execute([bytes]).unwrap();
        });
        drop(insert);
        tx.commit().unwrap();
    });
    show("SQLite insert, in memory, one transaction (no evidence)", sqlite, Some(chain));
}

fn log(dir: &std::path::Path) -> Log {
    let key = Ed25519Signer::generate("example.org/bench", &mut OsEntropy).unwrap();
    let storage = Arc::new(FolderStorage::open(dir).unwrap());
    Log::open(storage, Box::new(key), &mut |_, _| Ok(()), &mut |_, _| Ok(())).unwrap()
}

fn durable() {
    let folder = tempfile::tempdir().unwrap();
    println!("durable records, on this disk; ratio to one sync for each record");
    let count = 300;
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        log(&folder.path().join(format!("log{number}")))
    };
    let mut one = fresh();
    let single = rate(count, || {
        (0..count).for_each(|n| {
            one.append(vec![entry(n)]).unwrap();
        });
    });
    show("one sync for each record", single, Some(single));
    for batch in [16_u64, 256, 4096] {
        let mut many = fresh();
        let rounds = (20_000 / batch).clamp(3, 200);
        let group = rate(rounds * batch, || {
            (0..rounds).for_each(|_| {
                many.append((0..batch).map(entry).collect()).unwrap();
            });
        });
        show(&format!("group commit of {batch}"), group, Some(single));
    }
    let mut sealed = fresh();
    let rounds = 20;
    let seals = rate(rounds * 256, || {
        (0..rounds).for_each(|_| {
            sealed.append((0..256).map(entry).collect()).unwrap();
            sealed.seal(&mut |_, _| Ok(())).unwrap();
        });
    });
    show("group commit of 256, each sealed under a checkpoint", seals, Some(single));
    let db = Connection::open(folder.path().join("db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
         CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB)",
    )
    .unwrap();
    let mut insert = db.prepare("INSERT INTO record (body) VALUES (?1)").unwrap();
    let sqlite = rate(count, || {
        (0..count).for_each(|n| {
            insert.execute([entry(n)]).unwrap();
        });
    });
    show("SQLite, a transaction for each record (no evidence)", sqlite, Some(single));
}

fn verification() {
    const COUNT: u64 = 100_000;
    println!("verification; ratio to checking a hash chain of the same records");
    let entries: Vec<Vec<u8>> = (0..COUNT).map(entry).collect();
    let chain = rate(COUNT, || {
        let mut last = [0_u8; 32];
        for bytes in &entries {
            last = Sha256::digest([&last[..], bytes].concat()).into();
        }
        black_box(last);
    });
    show("a hash chain, all of it", chain, Some(chain));
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut written = log(&dir);
    let key = written.verifier();
    for part in entries.chunks(5000) {
        written.append(part.to_vec()).unwrap();
        written.seal(&mut |_, _| Ok(())).unwrap();
    }
    drop(written);
    let trust = Trust { key: Some(key.clone()), ..Trust::default() };
    // The entries are no records, so levels that read them stop early; tree and signature are whole.
    let whole = rate(COUNT, || {
        black_box(verify(&Directory::new(&dir), &trust));
    });
    show("a whole folder: every entry, every tile, the signature", whole, Some(chain));
    let leaves: Vec<_> = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
    let top = root(&leaves);
    let proofs: Vec<_> = (0..500)
        .map(|n| n * (COUNT / 500))
        .map(|n| (n, prove_inclusion(&leaves[..], COUNT, n).unwrap()))
        .collect();
    let included = rate(500, || {
        for (n, proof) in &proofs {
            let leaf = leaf_hash(&entries[usize::try_from(*n).unwrap()]);
            assert!(verify_inclusion(&leaf, *n, COUNT, proof, &top));
        }
    });
    show("one record with its proof", included, Some(chain));
    println!(
        "  one record of {COUNT} is proven in {:.1} us; by the chain, in {:.0} us",
        1e6 / included,
        1e6 / (chain / COUNT as f64)
    );
}

fn main() {
    // `cargo test` runs benchmarks too, to see that they run; it does not want figures.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    appends();
    durable();
    verification();
}
