//! A planner that nobody calls: time alone, or a journal store that lags, has it look again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::AccountState;
use jml_core::claim::{ApprovedRequest, RequestOnMove, Validity};
use jml_core::clock::Clock as _;
use jml_core::facts::Facts;
use jml_core::id::RunId;
use jml_core::journal::{Claim, Entry, JournalError, JournalStore};
use jml_core::policy::Policy;
use jml_core::time::TzdbZones;
use jml_engine::store::MemoryStore;
use jml_engine::{Engine, Ports, Silent, SystemClock};
use jml_engine_restate::{Planner, Source, services};
use jml_testkit::Memory;
use restate_sdk::prelude::HttpServer;
use serde_json::json;

use crate::company::{self, facts, policy};
use crate::server::{Server, free_port, shared};

/// HR and the request desk, as the test says.
struct Said(Mutex<Facts>);

impl Source for Said {
    fn read(&self) -> Result<(Policy, Facts), String> {
        Ok((policy().map_err(|error| error.to_string())?, self.0.lock().unwrap().clone()))
    }
}

/// A store that shows the journals of runs late to whoever plans.
struct Late {
    store: Arc<MemoryStore>,
    shows: AtomicBool,
}

#[async_trait]
impl JournalStore for Late {
    async fn append(&self, run: &RunId, at: u64, new: &[Entry]) -> Result<(), JournalError> {
        self.store.append(run, at, new).await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        self.store.load(run).await
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let shows = self.shows.load(Ordering::Relaxed);
        if shows { self.store.runs().await } else { Ok(Vec::new()) }
    }

    async fn claim(&self, what: &str) -> Result<Option<Claim>, JournalError> {
        self.store.claim(what).await
    }
}

/// A target, a store, HR, and a worker that serves them until it is dropped.
struct World {
    target: Arc<Memory>,
    store: Arc<Late>,
    said: Arc<Said>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl World {
    async fn new(server: &Server, facts: Facts, shows: bool) -> Self {
        let entitlements = policy().unwrap().entitlements;
        let target = Memory::new("dir".parse().unwrap());
        let target = entitlements.keys().fold(target, |it, at| it.define(at.key.clone()));
        let target = Arc::new(target);
        let store =
            Arc::new(Late { store: Arc::new(MemoryStore::new()), shows: AtomicBool::new(shows) });
        let ports = Ports {
            providers: BTreeMap::from([("dir".parse().unwrap(), target.clone() as Arc<_>)]),
            journal: store.clone(),
            clock: Arc::new(SystemClock),
            people: Arc::new(Silent),
            patience: TimeDelta::zero(),
        };
        let said = Arc::new(Said(Mutex::new(facts)));
        let engine = Arc::new(Engine::new(ports.clone(), Arc::new(TzdbZones)));
        let planner = Planner::new(engine, said.clone());
        let port = free_port();
        let worker = services(ports).bind(planner).build();
        let serving = tokio::spawn(HttpServer::new(worker).serve(shared(port).unwrap()));
        server.register(port).await;
        Self { target, store, said, serving }
    }

    /// What somebody holds.
    fn holds(&self, who: &str) -> BTreeSet<String> {
        let state = self.target.state();
        let theirs =
            |it: &&AccountState| it.external_id.as_ref().is_some_and(|id| id.as_str() == who);
        let account = state.accounts.values().find(theirs);
        account.map(|it| it.holdings.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    /// Waits until so many runs are in the store, all of them closed.
    async fn all_closed(&self, runs: usize) {
        for _ in 0..600 {
            let store = &self.store.store;
            let known = store.runs().await.unwrap().len();
            if known == runs && store.open_runs().await.unwrap().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{runs} runs do not end");
    }

    /// Waits until somebody holds something, or does not any more; the instant when that was seen.
    async fn until(&self, who: &str, what: &str, held: bool) -> DateTime<Utc> {
        for _ in 0..600 {
            if self.holds(who).contains(what) == held {
                return SystemClock.now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("`{who}` has {:?}: `{what}` should be there: {held}", self.holds(who));
    }
}

/// Somebody has access for some seconds. Nobody calls the planner when they are over.
pub(crate) async fn time_ends_what_it_gave(server: &Server) {
    let now = SystemClock.now();
    let mut known = facts(3, 0, now).unwrap();
    let until = now + TimeDelta::seconds(6);
    let request = ApprovedRequest {
        id: "REQ-1".parse().unwrap(),
        entitlement: "dir/group/blue".parse().unwrap(),
        approved_by: "P000000".parse().unwrap(),
        validity: Validity { from: now, until: Some(until) },
        on_move: RequestOnMove::Keep,
        why: "for the audit".into(),
    };
    known.people.get_mut(&"P000002".parse().unwrap()).unwrap().requests.push(request);
    let world = World::new(server, known, true).await;
    let looked = server.post("Planner/timed/look", &json!({ "cause": "test" })).await;
    assert_eq!(looked["openings"], 3, "{looked}");
    let again: DateTime<Utc> = looked["again_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(again, until, "the end of what was asked for");
    world.until("P000002", "group/blue", true).await;
    let gone = world.until("P000002", "group/blue", false).await;
    assert!(gone >= until, "taken away before its time");
    assert!(world.holds("P000002").contains("group/red"), "and nothing else");
}

/// The journal store does not show a run that was opened. What is planned without it is not opened; the planner
/// comes back by itself.
pub(crate) async fn whoever_was_overtaken_is_looked_at_again(server: &Server) {
    let now = SystemClock.now();
    let world = World::new(server, facts(3, 0, now).unwrap(), false).await;
    let look = json!({ "cause": "test" });
    server.post("Planner/late/look", &look).await;
    world.all_closed(3).await;
    let mut moved = facts(3, 0, now).unwrap();
    let person = moved.people.get_mut(&"P000002".parse().unwrap()).unwrap();
    company::say(&mut person.identity.attributes, "team", "blue", now).unwrap();
    *world.said.0.lock().unwrap() = moved;
    let looked = server.post("Planner/late/look", &look).await;
    assert_eq!((&looked["openings"], &looked["again_at"]), (&json!(1), &json!(null)), "{looked}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(world.holds("P000002").contains("group/red"), "a plan that knows less was opened");
    world.store.shows.store(true, Ordering::Relaxed);
    world.until("P000002", "group/blue", true).await;
    world.until("P000002", "group/red", false).await;
}
