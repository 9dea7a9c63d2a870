//! A Restate server, two workers that are killed again and again, a server that stops in the middle: five hundred
//! runs, a hundred of them approved, each closed once and nothing done twice. Before that, one history, embedded and on
//! Restate: the same plans, the same journals, the same evidence; and a planner that wakes up by itself.
//!
//! `JML_RESTATE` names a folder for the server (scripts/restate.sh installs and starts it there); without it, the test
//! says that it was skipped.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "says what it did, or that it was skipped")]

#[path = "../workers/company.rs"]
mod company;
mod ingress;
mod paired;
mod sends;
mod server;
mod timed;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jml_core::journal::{Fact, JournalStore as _, RunOutcome};
use jml_evidence::entropy::OsEntropy;
use jml_evidence::note::{CheckpointSigner as _, Ed25519Signer};
use jml_evidence::store::{EvidenceStore, Keys};
use jml_evidence::vault::{LocalKey, open_all};
use jml_evidence::verify::{Directory, Level, Trust, Verdict, verify};
use sends::{sends, tally};
use server::Server;

const RUNS: u32 = 500;
const KILLS: usize = 10;

/// The test binary as a worker of its own: `serve_runs` below, and nothing else.
fn spawn(port: u16, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "serve_runs", "--nocapture"])
        .env("JML_WORKER_PORT", port.to_string())
        .env("JML_WORKER_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Is a test by name only: in a process that [`spawn`] made, it is a worker.
#[test]
fn serve_runs() {
    let Ok(port) = std::env::var("JML_WORKER_PORT") else { return };
    let folder = std::env::var("JML_WORKER_FOLDER").unwrap();
    runtime().block_on(async {
        let listener = server::shared(port.parse().unwrap()).unwrap();
        worker::serve(listener, Path::new(&folder), RUNS).await.unwrap();
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn runs_on_restate() {
    let Some(server) = Server::fresh() else {
        println!("skipped: JML_RESTATE names no folder for a server (scripts/restate.sh)");
        return;
    };
    runtime().block_on(async {
        paired::same_history_same_evidence(&server).await;
        drop(server);
        // Each remembers nothing of the people before.
        timed::time_ends_what_it_gave(&Server::fresh().unwrap()).await;
        timed::whoever_was_overtaken_is_looked_at_again(&Server::fresh().unwrap()).await;
        killed(&mut Server::fresh().unwrap()).await;
    });
}

async fn killed(server: &mut Server) {
    let folder = tempfile::tempdir().unwrap();
    let port = server::free_port();
    let mut workers = [spawn(port, folder.path()), spawn(port, folder.path())];
    server.register(port).await;
    let looked = server.post("Planner/company/look", &serde_json::json!({ "cause": "test" })).await;
    assert_eq!(looked["openings"], RUNS, "{looked}");

    let archive = worker::archive(folder.path()).unwrap();
    let (mut kills, mut seen, mut approved, mut restarted) = (0, 0, 0, false);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let known = archive.runs().await.unwrap().len();
        let open = archive.open_runs().await.unwrap().len();
        if known == RUNS as usize && open == 0 {
            break;
        }
        // The one that is sending: it dies with something on its way.
        let sent = sends(folder.path()).unwrap_or_default();
        let busy = sent.last().map(|send| send.worker.as_str()).unwrap_or_default();
        let busy = workers.iter_mut().find(|worker| worker.id().to_string() == busy);
        if let Some(one) = busy.filter(|_| kills < KILLS && sent.len() > seen + 50) {
            // SIGKILL, by pid: no destructor runs.
            one.kill().unwrap();
            one.wait().unwrap();
            *one = spawn(port, folder.path());
            (kills, seen) = (kills + 1, sent.len());
        }
        if kills == KILLS / 2 && !restarted {
            server.restart();
            restarted = true;
        }
        // What nobody answers while the server or a worker is away is asked again.
        if let Ok(more) = worker::approve(folder.path(), server.ingress(), RUNS).await {
            approved += more;
        }
    }
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    assert!(kills >= KILLS / 2 && restarted, "it was over after {kills} kills");
    assert!(approved >= (RUNS / worker::ADMINS) as usize - 1, "{approved} approved");

    let (mut doubts, mut intended) = (0, BTreeMap::<String, usize>::new());
    let runs = archive.runs().await.unwrap();
    let dir = folder.path().join("evidence");
    let signer = Ed25519Signer::generate("example.org/restate", &mut OsEntropy).unwrap();
    let vault = LocalKey::generate(&mut OsEntropy);
    let (verifier, opener) = (signer.verifier(), LocalKey::parse(&vault.expose()).unwrap());
    let keys =
        Keys { signer: Box::new(signer), vault: Box::new(vault), entropy: Box::new(OsEntropy) };
    let evidence = EvidenceStore::open(&dir, keys).unwrap().shared();
    for run in &runs {
        let entries = archive.load(run).await.unwrap();
        let closings = entries.iter().filter(|e| matches!(e.fact, Fact::Closed { .. }));
        assert_eq!(closings.count(), 1, "{run}");
        let clean = Fact::Closed { outcome: RunOutcome::Clean };
        assert_eq!(entries.last().unwrap().fact, clean, "{run}");
        let found = |fact: &Fact| matches!(fact, Fact::Applied { recovered: true, .. });
        doubts += entries.iter().filter(|e| found(&e.fact)).count();
        for entry in &entries {
            if let Fact::Intended { key, .. } = &entry.fact {
                *intended.entry(key.to_string()).or_default() += 1;
            }
        }
        evidence.add(&entries).unwrap();
    }
    evidence.seal().unwrap();
    drop(evidence);
    let files = Directory::new(&dir);
    let opened = Some(open_all(&files, &opener).unwrap());
    let report = verify(&files, &Trust { key: Some(verifier), opened, ..Trust::default() });
    assert_eq!(report.runs, u64::from(RUNS));
    for level in [Level::L0, Level::L1, Level::L2, Level::L3, Level::L6, Level::L8] {
        assert_eq!(report.levels[&level], Verdict::Pass, "{level:?}");
    }

    let target = company::target(folder.path()).unwrap();
    let effects = target.effects().unwrap();
    let keys: BTreeSet<&String> = effects.iter().map(|effect| &effect.key).collect();
    assert_eq!(keys.len(), effects.len(), "something was done twice");
    let admins = (RUNS - 1) / worker::ADMINS;
    assert_eq!(effects.len() as u32, 4 * RUNS + admins, "an account and its grants each");
    let sent = sends(folder.path()).unwrap();
    let by_worker = tally(sent.iter().map(|send| send.worker.as_str()));
    assert!(by_worker.len() > kills, "a worker that was killed had sent nothing: {by_worker:?}");
    let by_key = tally(sent.iter().map(|send| send.key.as_str()));
    println!(
        "{RUNS} runs, {kills} kills, a restart of the server, {approved} approved; {} changes sent by {} workers, \
         {} sent again after a look, {doubts} found done by a look",
        sent.len(),
        by_worker.len(),
        sent.len() - by_key.len()
    );
    // Whatever was sent stands in a journal as intended, once for each time.
    for (key, times) in by_key {
        let intended = intended.get(key).copied().unwrap_or_default();
        assert!(times <= intended, "{key} was sent {times} times, and intended {intended} times");
    }
}
