//! A worker, and somebody who approves.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use jml_core::approval::Deciders;
use jml_core::facts::Facts;
use jml_core::id::RunId;
use jml_core::journal::{Decision, Entry, JournalStore as _};
use jml_core::policy::Policy;
use jml_core::provider::{self, Call, Cx, ErrorKind, Layer, Layered, Next, Reply, Slot};
use jml_core::time::TzdbZones;
use jml_engine::machine::{Limits, Machine};
use jml_engine::store::SqliteStore;
use jml_engine::{Engine, SystemClock, Vote};
use jml_engine_restate::{Planner, Source, decision, services};
use restate_sdk::prelude::HttpServer;

use crate::company::{BOSS, Failure, facts, policy, ports};
use crate::ingress::ask;

/// Every so manieth is an administrator, whom somebody has to approve.
pub(crate) const ADMINS: u32 = 5;

/// HR, as if it were read anew.
struct Company {
    people: u32,
}

impl Source for Company {
    fn read(&self) -> Result<(Policy, Facts), String> {
        let now = jml_core::clock::Clock::now(&SystemClock);
        let read = || Ok::<_, Failure>((policy()?, facts(self.people, ADMINS, now)?));
        read().map_err(|error| error.to_string())
    }
}

/// Where journals are copied to. Workers on several machines would take a `PostgresStore`.
pub(crate) fn archive(folder: &Path) -> Result<Arc<SqliteStore>, Failure> {
    Ok(Arc::new(SqliteStore::open(&folder.join("journal.db"))?))
}

/// Serves runs until it is stopped.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    folder: &Path,
    people: u32,
) -> Result<(), Failure> {
    let mut ports = ports(folder, archive(folder)?)?;
    let watched: Arc<dyn Layer> = Arc::new(Watched::open(folder)?);
    for provider in ports.providers.values_mut() {
        *provider = Arc::new(Layered::new(provider.clone(), vec![watched.clone()]));
    }
    let engine = Arc::new(Engine::new(ports.clone(), Arc::new(TzdbZones)));
    let planner = Planner::new(engine, Arc::new(Company { people }));
    HttpServer::new(services(ports).bind(planner).build()).serve(listener).await;
    Ok(())
}

/// A run's journal, as the run itself has it.
pub(crate) async fn journal(
    client: &reqwest::Client,
    ingress: &str,
    run: &RunId,
) -> Result<Vec<Entry>, Failure> {
    let url = format!("{ingress}/LifecycleRun/{run}/journal");
    Ok(serde_json::from_slice(&ask(client, &url, None::<&()>).await?)?)
}

/// The manager approves whatever waits. Returns how many runs that was.
pub(crate) async fn approve(folder: &Path, ingress: &str, people: u32) -> Result<usize, Failure> {
    let client = reqwest::Client::new();
    let now = jml_core::clock::Clock::now(&SystemClock);
    let (policy, facts) = (policy()?, facts(people, ADMINS, now)?);
    let deciders = Deciders { policy: &policy, facts: &facts, zones: &TzdbZones, at: now };
    let mut approved = 0;
    for run in archive(folder)?.open_runs().await? {
        let at = format!("{ingress}/LifecycleRun/{run}");
        let journal = journal(&client, ingress, &run).await?;
        let machine = Machine::open(&journal, Limits::new())?;
        let gates: Vec<_> = machine.open_gates().map(|(id, ..)| id.clone()).collect();
        for gate in &gates {
            let by = BOSS.parse()?;
            let decision_of = Decision::Approved;
            let vote = Vote { run: &run, gate, by: &by, decision: decision_of, why: "needed" };
            for word in decision(&journal, &vote, &deciders)? {
                ask(&client, &format!("{at}/tell"), Some(&word)).await?;
            }
        }
        approved += usize::from(!gates.is_empty());
    }
    Ok(approved)
}

/// Writes down every change that is sent, and by whom. The way takes some milliseconds, and every so manieth change is
/// held back: the target asks to slow down.
struct Watched {
    file: File,
    count: AtomicUsize,
}

/// Every so manieth change is held back by the target.
const HELD_BACK: usize = 40;

/// Where every change that was sent is written down: the worker, and the key of the change.
pub(crate) const SENDS: &str = "sends.log";

impl Watched {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let file = File::options().create(true).append(true).open(folder.join(SENDS))?;
        Ok(Self { file, count: AtomicUsize::new(1) })
    }
}

#[async_trait]
impl Layer for Watched {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> provider::Result<Reply> {
        if let Call::Apply(change) = call {
            if self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(HELD_BACK) {
                let slower = provider::Error::new(ErrorKind::RateLimited, "slower, please");
                return Err(slower.retry_after(Duration::from_secs(1)));
            }
            let line = format!("{} {}\n", std::process::id(), change.key);
            // One small write to a file that is only appended to: lines of several workers do not mix.
            (&self.file)
                .write_all(line.as_bytes())
                .map_err(|error| provider::Error::new(ErrorKind::Internal, error.to_string()))?;
            // On its way there and back: who dies now does not know what became of it.
            tokio::time::sleep(Duration::from_millis(4)).await;
            let answer = next.run(cx, call).await;
            tokio::time::sleep(Duration::from_millis(4)).await;
            return answer;
        }
        next.run(cx, call).await
    }
}
