//! The SQLite store: durable, final, fenced, and not mistaken for somebody else's file.

use futures::executor::block_on;
use jml_core::clock::Clock as _;
use jml_core::id::RunId;
use jml_core::journal::{JournalError, JournalStore as _, RunMode};
use jml_engine::drive;
use jml_engine::machine::Machine;
use jml_engine::store::{SqliteStore, StoreError};
use rusqlite::Connection;

use crate::support::{leaver, scene};

#[test]
fn a_run_survives_the_file_being_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let plan = leaver();
    let scene = scene(&plan);
    let run = RunId::of_plan(plan.id());
    let limits = scene.ports().limits();
    let mut machine =
        Machine::start(plan, RunMode::Executed, limits.clone(), scene.clock().now()).unwrap();
    block_on(drive(&mut machine, &scene.ports())).unwrap();
    let entries = scene.entries();
    let store = SqliteStore::open(&path).unwrap();
    block_on(store.append(&run, 0, &entries[..3])).unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    block_on(store.append(&run, 3, &entries[3..])).unwrap();
    assert_eq!(block_on(store.load(&run)).unwrap(), entries);
    assert_eq!(block_on(store.runs()).unwrap(), std::slice::from_ref(&run));
    Machine::open(&block_on(store.load(&run)).unwrap(), limits).unwrap();

    let lost = block_on(store.append(&run, 3, &entries[3..]));
    assert!(matches!(lost, Err(JournalError::Conflict { expected: 3, .. })));
    // The file itself keeps entries as they are.
    let raw = Connection::open(&path).unwrap();
    assert!(raw.execute("UPDATE entry SET body = x'00'", []).is_err());
    assert!(raw.execute("DELETE FROM entry", []).is_err());
    // Whoever switches that off is found out.
    raw.execute_batch("DROP TRIGGER entry_is_final; UPDATE entry SET body = x'7b7d' WHERE seq = 2")
        .unwrap();
    assert!(matches!(block_on(store.load(&run)), Err(JournalError::Corrupt { seq: 2, .. })));
}

#[test]
fn documents_are_compared_and_set() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("journal.db")).unwrap();
    assert_eq!(store.document("facts").unwrap(), None);
    assert_eq!(store.put_document("facts", 0, b"one").unwrap(), 1);
    assert!(matches!(
        store.put_document("facts", 0, b"two"),
        Err(StoreError::Conflict { found: 1, .. })
    ));
    assert_eq!(store.put_document("facts", 1, b"two").unwrap(), 2);
    assert_eq!(store.document("facts").unwrap().unwrap().body, b"two");
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "this is no database, and it is long enough to be looked at as one")
        .unwrap();
    assert!(matches!(SqliteStore::open(&text), Err(StoreError::Open { .. })));
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(matches!(SqliteStore::open(&other), Err(StoreError::Foreign { .. })));
    let newer = folder.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    assert!(matches!(SqliteStore::open(&newer), Err(StoreError::Foreign { .. })));
}
