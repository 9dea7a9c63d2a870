//! The ways to drive runs.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use jml_core::facts::Facts;
use jml_core::journal::JournalStore;
use jml_core::policy::Policy;
use jml_core::time::TzdbZones;
use jml_engine::store::{MemoryStore, PostgresStore, SqliteStore};
use jml_engine::{Engine, Request, Selection};
use jml_engine_restate::{Planner, Source, services};
use restate_sdk::prelude::HttpServer;
use serde_json::json;

use crate::company::Failure;
use crate::server::{Server, free_port, shared};
use crate::table::{Line, Phase};
use crate::world::{Journey, World, policy};

/// Runs that one worker has under way at once.
const AT_ONCE: usize = 8;

/// A way to drive runs, and how many workers do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Memory,
    Sqlite,
    Postgres(usize),
    Restate(usize),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in memory, nothing kept"),
            Self::Sqlite => f.write_str("SQLite"),
            Self::Postgres(1) => f.write_str("PostgreSQL, 1 worker"),
            Self::Postgres(workers) => write!(f, "PostgreSQL, {workers} workers"),
            Self::Restate(1) => f.write_str("Restate, 1 worker"),
            Self::Restate(workers) => write!(f, "Restate, {workers} workers"),
        }
    }
}

impl Path {
    pub(crate) const fn all() -> [Self; 6] {
        [
            Self::Memory,
            Self::Sqlite,
            Self::Postgres(1),
            Self::Postgres(2),
            Self::Restate(1),
            Self::Restate(2),
        ]
    }

    /// What has to be there.
    pub(crate) const fn needs(self) -> &'static str {
        match self {
            Self::Memory | Self::Sqlite => "nothing",
            Self::Postgres(_) => "JML_POSTGRES, the URL of a server (scripts/postgres.sh)",
            Self::Restate(_) => "JML_RESTATE, a folder for a server (scripts/restate.sh)",
        }
    }

    /// Both events for everybody. `None` when what it needs is not there.
    pub(crate) async fn travel(self, journey: &Journey) -> Result<Option<Line>, Failure> {
        let world = World::new(journey)?;
        let (mut quiet, mut peak) = (None, None);
        let [joined, moved] = match self {
            Self::Memory => {
                let store = Arc::new(MemoryStore::new());
                let phases = embedded(&world, &store, journey).await?;
                quiet = Some(look(&world.engine(store)?, &journey.after()?).await?);
                peak = peak_memory();
                phases
            }
            Self::Sqlite => {
                let folder = tempfile::tempdir()?;
                let store = Arc::new(SqliteStore::open(&folder.path().join("journal.db"))?);
                embedded(&world, &store, journey).await?
            }
            Self::Postgres(workers) => {
                let Ok(url) = std::env::var("JML_POSTGRES") else { return Ok(None) };
                let database = schema(&url).await?;
                let mut engines = Vec::new();
                for _ in 0..workers {
                    let store = Arc::new(PostgresStore::open(&database).await?);
                    engines.push(world.engine(store)?);
                }
                together(&world, &engines, journey).await?
            }
            Self::Restate(workers) => {
                let Some(server) = Server::fresh() else { return Ok(None) };
                on_restate(&world, &server, workers, journey).await?
            }
        };
        let Journey { people, millis } = *journey;
        Ok(Some(Line { path: self, people, millis, joined, moved, quiet, peak }))
    }
}

async fn embedded<S: JournalStore + 'static>(
    world: &World,
    store: &Arc<S>,
    journey: &Journey,
) -> Result<[Phase; 2], Failure> {
    together(world, &[world.engine(store.clone())?], journey).await
}

/// The first engine plans, all work.
async fn together(
    world: &World,
    engines: &[Engine],
    journey: &Journey,
) -> Result<[Phase; 2], Failure> {
    let policy = policy()?;
    let mut phases = Vec::new();
    for facts in [journey.before()?, journey.after()?] {
        let (steps, began) = (world.steps(), Instant::now());
        let [first, ..] = engines else { return Err("nobody works".into()) };
        let who = Selection::All;
        let at = first.ports().clock.now();
        let request =
            Request { policy: &policy, facts: &facts, who: &who, hint: None, cause: "scale", at };
        let opened = first.enqueue(first.prepare(&request).await?, None).await?;
        let planned = began.elapsed();
        try_join_all(engines.iter().map(work)).await?;
        let mut bytes = 0;
        for run in &opened.runs {
            bytes += serde_json::to_vec(&first.ports().journal.load(run).await?)?.len();
        }
        phases.push(Phase {
            planned,
            whole: began.elapsed(),
            steps: world.steps() - steps,
            runs: opened.runs.len(),
            bytes,
        });
    }
    phases.try_into().map_err(|_| "two events".into())
}

/// How long a look at everybody takes that finds nothing to do.
async fn look(engine: &Engine, facts: &Facts) -> Result<Duration, Failure> {
    let (policy, who, began) = (policy()?, Selection::All, Instant::now());
    let at = engine.ports().clock.now();
    let request = Request { policy: &policy, facts, who: &who, hint: None, cause: "scale", at };
    let batch = engine.prepare(&request).await?;
    match batch.plans().count() {
        0 => Ok(began.elapsed()),
        plans => Err(format!("{plans} plans where nothing is to be done").into()),
    }
}

/// The most memory that this process had so far, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Takes up runs until none is open.
async fn work(engine: &Engine) -> Result<(), Failure> {
    loop {
        engine.work(AT_ONCE).await?;
        if engine.ports().journal.open_runs().await?.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A schema of its own on a server, which is left there.
async fn schema(url: &str) -> Result<String, Failure> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let name = format!("scale_{}_{}", std::process::id(), free_port());
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await?;
    Ok(format!("{url}?options=-csearch_path%3D{name}"))
}

/// HR, as the bench says.
struct Said(Mutex<Facts>);

impl Source for Said {
    fn read(&self) -> Result<(Policy, Facts), String> {
        let facts = self.0.lock().unwrap().clone();
        Ok((policy().map_err(|error| error.to_string())?, facts))
    }
}

async fn on_restate(
    world: &World,
    server: &Server,
    workers: usize,
    journey: &Journey,
) -> Result<[Phase; 2], Failure> {
    let store = Arc::new(MemoryStore::new());
    let said = Arc::new(Said(Mutex::default()));
    let port = free_port();
    let mut serving = Vec::new();
    for _ in 0..workers {
        let ports = world.ports(store.clone())?;
        let engine = Arc::new(Engine::new(ports.clone(), Arc::new(TzdbZones)));
        let worker = services(ports).bind(Planner::new(engine, said.clone())).build();
        serving.push(tokio::spawn(HttpServer::new(worker).serve(shared(port)?)));
    }
    server.register(port).await;
    let mut phases = Vec::new();
    let mut known = 0;
    for facts in [journey.before()?, journey.after()?] {
        *said.0.lock().unwrap() = facts;
        let (steps, closed, began) = (world.steps(), world.closed.count(), Instant::now());
        let looked = server.post("Planner/scale/look", &json!({ "cause": "scale" })).await;
        let planned = began.elapsed();
        let opened = looked["openings"].as_u64().ok_or("how many runs were opened?")? as usize;
        if opened != journey.people as usize {
            return Err(format!("{opened} of {} runs were opened: {looked}", journey.people).into());
        }
        while world.closed.count() < closed + opened {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let whole = began.elapsed();
        // The journals come after.
        known += opened;
        while store.runs().await?.len() < known || !store.open_runs().await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        phases.push(Phase { planned, whole, steps: world.steps() - steps, runs: opened, bytes: 0 });
    }
    for one in serving {
        one.abort();
    }
    phases.try_into().map_err(|_| "two events".into())
}
