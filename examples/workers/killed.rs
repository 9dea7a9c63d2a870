//! Two workers on one PostgreSQL store with a thousand runs, one of them killed again and again: every
//! run closes once, and nothing is done twice. Needs `JML_POSTGRES`; without it, says that it was skipped.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod company;
mod work;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jml_core::journal::{Fact, JournalStore as _, RunOutcome};
use jml_engine::store::PostgresStore;

const RUNS: u32 = 1_000;
const KILLS: usize = 12;

/// The test binary as a worker of its own: `worker` below, and nothing else.
fn spawn(database: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--nocapture"])
        .env("JML_WORKER_DATABASE", database)
        .env("JML_WORKER_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Is a test by name only: in a process that [`spawn`] made, it is a worker.
#[test]
fn worker() {
    let Ok(database) = std::env::var("JML_WORKER_DATABASE") else { return };
    let folder = std::env::var("JML_WORKER_FOLDER").unwrap();
    runtime().block_on(async {
        let engine = work::engine(&database, Path::new(&folder)).await.unwrap();
        work::work(&engine).await.unwrap();
    });
}

#[test]
fn every_run_closes_once_however_often_a_worker_is_killed() {
    let Ok(url) = std::env::var("JML_POSTGRES") else {
        println!("skipped: JML_POSTGRES names no server (scripts/postgres.sh starts one)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let schema = format!("workers_{}", std::process::id());
    let database = format!("{url}?options=-csearch_path%3D{schema}");
    runtime().block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        let engine = work::engine(&database, folder.path()).await.unwrap();
        let opened = work::plan(&engine, RUNS).await.unwrap();
        assert_eq!(opened.runs.len(), RUNS as usize);

        let mut steady = spawn(&database, folder.path());
        let mut shaky = spawn(&database, folder.path());
        let mut kills = 0;
        let store = PostgresStore::open(&database).await.unwrap();
        while !store.open_runs().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if kills < KILLS {
                // SIGKILL, by pid: no destructor runs.
                shaky.kill().unwrap();
                shaky.wait().unwrap();
                kills += 1;
                shaky = spawn(&database, folder.path());
            }
        }
        assert!(steady.wait().unwrap().success());
        assert!(shaky.wait().unwrap().success());
        assert!(kills >= 3, "it was over after {kills} kills");

        let (mut drivers_met_doubt, runs) = (0, store.runs().await.unwrap());
        assert_eq!(runs.len(), RUNS as usize);
        for run in &runs {
            let entries = store.load(run).await.unwrap();
            let closings = entries.iter().filter(|e| matches!(e.fact, Fact::Closed { .. }));
            assert_eq!(closings.count(), 1, "{run}");
            let clean = Fact::Closed { outcome: RunOutcome::Clean };
            assert_eq!(entries.last().unwrap().fact, clean, "{run}");
            let found = |fact: &Fact| matches!(fact, Fact::Applied { recovered: true, .. });
            drivers_met_doubt += entries.iter().filter(|e| found(&e.fact)).count();
        }
        let target = company::target(folder.path()).unwrap();
        let effects = target.effects().unwrap();
        let keys: BTreeSet<&String> = effects.iter().map(|effect| &effect.key).collect();
        assert_eq!(keys.len(), effects.len(), "something was done twice");
        assert_eq!(effects.len(), 4 * RUNS as usize, "an account and three grants each");
        println!("{RUNS} runs, {kills} kills, {drivers_met_doubt} effects found done after a kill");
        client.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
    });
}
