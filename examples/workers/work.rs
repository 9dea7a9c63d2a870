//! Planning and working over a store in PostgreSQL.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jml_core::time::TzdbZones;
use jml_engine::store::PostgresStore;
use jml_engine::{Engine, Enqueued, Request, Selection};

use crate::company::{Failure, facts, policy, ports};

/// An engine over the shared store.
pub(crate) async fn engine(database: &str, folder: &Path) -> Result<Engine, Failure> {
    let store = Arc::new(PostgresStore::open(database).await?);
    Ok(Engine::new(ports(folder, store)?, Arc::new(TzdbZones)))
}

/// Plans for everybody and opens the runs, for whoever takes them up.
pub(crate) async fn plan(engine: &Engine, people: u32) -> Result<Enqueued, Failure> {
    let at = engine.ports().clock.now();
    let request = Request {
        policy: &policy()?,
        facts: &facts(people, 0, at)?,
        who: &Selection::All,
        hint: None,
        cause: "example",
        at,
    };
    let batch = engine.prepare(&request).await?;
    Ok(engine.enqueue(batch, None).await?)
}

/// Takes up open runs until there is none. Returns how many were closed here.
pub(crate) async fn work(engine: &Engine) -> Result<usize, Failure> {
    let mut closed = 0;
    loop {
        let worked = engine.work(4).await?;
        closed += worked.runs.iter().filter(|report| report.view.outcome.is_some()).count();
        if engine.ports().journal.open_runs().await?.is_empty() {
            return Ok(closed);
        }
        // What is left is with somebody else, or waits.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
