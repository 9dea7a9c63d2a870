//! The PostgreSQL store, on a real server: `JML_POSTGRES` holds its URL. Without it, this says that it was
//! skipped. Every store lives in a schema of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jml_core::clock::Clock as _;
use jml_core::id::RunId;
use jml_core::journal::{JournalError, JournalStore, RunMode};
use jml_engine::drive;
use jml_engine::machine::Machine;
use jml_engine::store::{PostgresError, PostgresStore};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use crate::stores::failures;
use crate::support::{leaver, scene};

static NUMBER: AtomicU32 = AtomicU32::new(0);

#[expect(clippy::print_stdout, reason = "whoever runs tests should know what did not run")]
fn server() -> Option<String> {
    let url = std::env::var("JML_POSTGRES").ok();
    if url.is_none() {
        println!("skipped: JML_POSTGRES names no server (scripts/postgres.sh starts one)");
    }
    url
}

/// Runs SQL beside the store.
async fn sql(url: &str, text: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(text).await
}

/// The URL of an empty schema.
async fn schema(url: &str) -> String {
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    sql(url, &format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")).await.unwrap();
    format!("{url}?application_name={name}&options=-csearch_path%3D{name}")
}

#[test]
fn it_is_a_store() {
    let Some(url) = server() else { return };
    let runtime = Runtime::new().unwrap();
    let make = || -> Arc<dyn JournalStore> {
        let open = async { PostgresStore::open(&schema(&url).await).await.unwrap() };
        Arc::new(runtime.block_on(open))
    };
    assert_eq!(failures(make), Vec::<String>::new());
}

#[test]
fn a_run_survives_and_its_entries_stay_as_they_are() {
    let Some(url) = server() else { return };
    let plan = leaver();
    let scene = scene(&plan);
    let run = RunId::of_plan(plan.id());
    let limits = scene.ports().limits();
    let mut machine =
        Machine::start(plan, RunMode::Executed, limits.clone(), scene.clock().now()).unwrap();
    futures::executor::block_on(drive(&mut machine, &scene.ports())).unwrap();
    let entries = scene.entries();
    Runtime::new().unwrap().block_on(async {
        let url = schema(&url).await;
        let store = PostgresStore::open(&url).await.unwrap();
        store.append(&run, 0, &entries[..3]).await.unwrap();
        drop(store);
        let store = PostgresStore::open(&url).await.unwrap();
        store.append(&run, 3, &entries[3..]).await.unwrap();
        assert_eq!(store.load(&run).await.unwrap(), entries);
        Machine::open(&store.load(&run).await.unwrap(), limits).unwrap();
        assert_eq!(store.open_runs().await.unwrap(), []);
        for forbidden in
            ["UPDATE jml_entry SET body = ''", "DELETE FROM jml_entry", "TRUNCATE jml_entry"]
        {
            let error = sql(&url, forbidden).await.unwrap_err();
            let text = error.as_db_error().unwrap().message().to_owned();
            assert!(text.contains("never changed"), "{forbidden}: {text}");
        }
        // Whoever switches that off is found out.
        let tamper = "DROP TRIGGER jml_entry_is_final ON jml_entry;
                      UPDATE jml_entry SET body = '{}' WHERE seq = 2";
        sql(&url, tamper).await.unwrap();
        let read = store.load(&run).await;
        assert!(matches!(read, Err(JournalError::Corrupt { seq: 2, .. })), "{read:?}");
        sql(&url, "UPDATE jml_layout SET version = 9").await.unwrap();
        let newer = PostgresStore::open(&url).await;
        assert!(matches!(newer, Err(PostgresError::Layout { found: 9 })), "{newer:?}");
    });
}

#[test]
fn what_one_process_claims_no_other_has() {
    let Some(url) = server() else { return };
    Runtime::new().unwrap().block_on(async {
        let url = schema(&url).await;
        let (one, other) =
            (PostgresStore::open(&url).await.unwrap(), PostgresStore::open(&url).await.unwrap());
        let held = one.claim("r1").await.unwrap();
        assert!(held.is_some());
        assert!(other.claim("r1").await.unwrap().is_none(), "two processes");
        assert!(one.claim("r1").await.unwrap().is_none(), "two tasks of one process");
        assert!(other.claim("r2").await.unwrap().is_some());
        drop(held);
        // Given back without anybody asking for anything else.
        let mut again = None;
        for _ in 0..200 {
            again = other.claim("r1").await.unwrap();
            if again.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(again.is_some(), "it was not given back");
        // The server ends every session, as when a process is killed: nothing is held any more.
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = current_setting('application_name')
                    AND pid <> pg_backend_pid() AND pid IN
                        (SELECT pid FROM pg_locks WHERE locktype = 'advisory')";
        sql(&url, kill).await.unwrap();
        let mut taken = None;
        for _ in 0..200 {
            taken = one.claim("r1").await.unwrap_or(None);
            if taken.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(taken.is_some(), "a dead session still holds its claim");
    });
}

#[test]
fn a_wrong_address_is_named_without_its_password() {
    if server().is_none() {
        return;
    }
    Runtime::new().unwrap().block_on(async {
        for url in ["postgres://u:hunter2@127.0.0.1:1/x", "host=127.0.0.1 password=hunter2 port=x"]
        {
            let error = PostgresStore::open(url).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.len() > 40, "{text}");
        }
    });
}
