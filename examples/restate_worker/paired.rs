//! One history, twice: driven here, and on Restate.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::approval::Deciders;
use jml_core::clock::Clock;
use jml_core::facts::Facts;
use jml_core::id::{GateId, IdentityId, RunId};
use jml_core::journal::{Decision, Entry, JournalStore as _};
use jml_core::plan::Plan;
use jml_core::time::TzdbZones;
use jml_engine::store::MemoryStore;
use jml_engine::{Engine, Ports, Request, Selection, Silent, Vote};
use jml_engine_restate::{decision, services};
use jml_evidence::entropy::Entropy;
use jml_evidence::note::Ed25519Signer;
use jml_evidence::store::{EvidenceStore, Keys};
use jml_evidence::vault::LocalKey;
use jml_testkit::Memory;
use restate_sdk::prelude::HttpServer;

use crate::company::{self, BOSS, facts, policy};
use crate::server::{Server, free_port, shared};

/// Time that stands still until the history goes on.
struct Still(Mutex<DateTime<Utc>>);

#[async_trait]
impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, _: DateTime<Utc>) {
        std::future::pending::<()>().await;
    }
}

/// A company with a target and a store of its own.
struct World {
    clock: Arc<Still>,
    store: Arc<MemoryStore>,
    engine: Engine,
}

impl World {
    fn new(start: DateTime<Utc>) -> Self {
        let entitlements = policy().unwrap().entitlements;
        let target = Memory::new("dir".parse().unwrap());
        let target = entitlements.keys().fold(target, |it, at| it.define(at.key.clone()));
        let clock = Arc::new(Still(Mutex::new(start)));
        let store = Arc::new(MemoryStore::new());
        let ports = Ports {
            providers: BTreeMap::from([("dir".parse().unwrap(), Arc::new(target) as Arc<_>)]),
            journal: store.clone(),
            clock: clock.clone(),
            people: Arc::new(Silent),
            patience: TimeDelta::zero(),
        };
        Self { clock, store, engine: Engine::new(ports, Arc::new(TzdbZones)) }
    }

    async fn prepare(&self, facts: &Facts, at: DateTime<Utc>) -> jml_engine::Batch {
        *self.clock.0.lock().unwrap() = at;
        let (policy, who) = (policy().unwrap(), Selection::All);
        let request =
            Request { policy: &policy, facts, who: &who, hint: None, cause: "history", at };
        self.engine.prepare(&request).await.unwrap()
    }

    async fn journal(&self, run: &RunId) -> Vec<Entry> {
        self.store.load(run).await.unwrap()
    }
}

/// What was known, instant by instant: people come, one moves, one becomes administrator, one leaves.
fn history(start: DateTime<Utc>) -> Vec<(DateTime<Utc>, Facts)> {
    let mut all = facts(8, 4, start).unwrap();
    let mut history = vec![(start, all.clone())];
    let mut next = start;
    let mut tell = |all: &mut Facts, who: &str, name: &str, value: &str| {
        next += TimeDelta::days(3);
        let person = all.people.get_mut(&who.parse::<IdentityId>().unwrap()).unwrap();
        if name == "last day" {
            person.identity.engagements[0].end = Some(next.date_naive() - TimeDelta::days(1));
        } else {
            company::say(&mut person.identity.attributes, name, value, next).unwrap();
        }
        history.push((next, all.clone()));
    };
    tell(&mut all, "P000002", "team", "blue");
    tell(&mut all, "P000003", "title", "Administrator");
    tell(&mut all, "P000001", "last day", "");
    tell(&mut all, "P000004", "title", "");
    history
}

/// The gates of a run that wait, by its journal.
fn waiting(journal: &[Entry]) -> Vec<GateId> {
    let limits = jml_engine::machine::Limits::new();
    let machine = jml_engine::machine::Machine::open(journal, limits).unwrap();
    machine.open_gates().map(|(id, ..)| id.clone()).collect()
}

pub(crate) async fn same_history_same_evidence(server: &Server) {
    let start: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
    let (here, there) = (World::new(start), World::new(start));
    let port = free_port();
    let worker = services(there.engine.ports().clone()).build();
    let serving = tokio::spawn(HttpServer::new(worker).serve(shared(port).unwrap()));
    server.register(port).await;
    let mut runs = Vec::new();
    for (at, facts) in history(start) {
        let (mine, theirs) = (here.prepare(&facts, at).await, there.prepare(&facts, at).await);
        let bytes = |plans: Vec<&Plan>| serde_json::to_vec(&plans).unwrap();
        assert_eq!(bytes(mine.plans().collect()), bytes(theirs.plans().collect()));
        let driven = here.engine.execute(mine, None).await.unwrap();
        let opened = there.engine.openings(theirs, None).await.unwrap();
        assert_eq!(driven.runs.len(), opened.openings.len());
        for opening in opened.openings {
            let (run, who) = (opening.run(), opening.plan.header().identity.clone());
            let said = server.post(&format!("Person/{who}/open"), &opening).await;
            assert_eq!(said, "now");
            settled(&there, &run).await;
            runs.push(run);
        }
        approve(server, &here, &there, &facts, at).await;
    }
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for run in &runs {
        mine.push(here.journal(run).await);
        theirs.push(there.journal(run).await);
    }
    for (mine, theirs) in mine.iter().zip(&theirs) {
        let text = |entries: &[Entry]| serde_json::to_string_pretty(entries).unwrap();
        assert_eq!(text(mine), text(theirs));
    }
    assert_eq!(evidence(&mine), evidence(&theirs));
    println!("{} runs of one history, embedded and on Restate: the same bytes", runs.len());
    serving.abort();
}

/// Waits until a run is closed, or waits for somebody.
async fn settled(world: &World, run: &RunId) -> Vec<Entry> {
    for _ in 0..600 {
        let journal = world.journal(run).await;
        let closed = matches!(
            journal.last().map(|entry| &entry.fact),
            Some(jml_core::journal::Fact::Closed { .. })
        );
        if closed || (!journal.is_empty() && !waiting(&journal).is_empty()) {
            return journal;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("run `{run}` does not end");
}

/// The manager agrees to whatever waits, in both worlds.
async fn approve(server: &Server, here: &World, there: &World, facts: &Facts, at: DateTime<Utc>) {
    let policy = policy().unwrap();
    let deciders = Deciders { policy: &policy, facts, zones: &TzdbZones, at };
    let by: IdentityId = BOSS.parse().unwrap();
    for run in here.store.open_runs().await.unwrap() {
        for gate in &waiting(&here.journal(&run).await) {
            let agreed = Decision::Approved;
            let vote = Vote { run: &run, gate, by: &by, decision: agreed, why: "needed" };
            here.engine.decide(&vote, &policy, facts).await.unwrap();
            for word in decision(&there.journal(&run).await, &vote, &deciders).unwrap() {
                server.post(&format!("LifecycleRun/{run}/tell"), &word).await;
            }
        }
        let len = here.journal(&run).await.len();
        for _ in 0..600 {
            if there.journal(&run).await.len() >= len {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Entropy that is the same each time.
struct Counted(u8);

impl Entropy for Counted {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_mul(5).wrapping_add(113);
            *byte = self.0;
        }
    }
}

/// The whole evidence of some journals, file by file.
fn evidence(journals: &[Vec<Entry>]) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys {
        signer: Box::new(Ed25519Signer::generate("example.org/paired", &mut Counted(1)).unwrap()),
        vault: Box::new(LocalKey::generate(&mut Counted(2))),
        entropy: Box::new(Counted(3)),
    };
    let store = EvidenceStore::open(dir.path(), keys).unwrap().shared();
    for journal in journals {
        store.add(journal).unwrap();
    }
    store.seal().unwrap();
    drop(store);
    let mut files = BTreeMap::new();
    read(dir.path(), dir.path(), &mut files);
    assert!(files.len() > 3, "{:?}", files.keys());
    files
}

fn read(root: &Path, at: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}
