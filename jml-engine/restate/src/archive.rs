//! Where journals are copied to, for planning, views and evidence.

use std::sync::Arc;

use jml_core::id::RunId;
use jml_core::journal::{Entry, JournalError};
use jml_engine::Ports;
use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{again, never};

/// A virtual object for each run, named by it: keeps the run's entries in the journal store, in order.
pub(crate) struct Archive {
    ports: Arc<Ports>,
}

/// Entries of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// Which run.
    pub run: RunId,
    /// Its next entries.
    pub entries: Vec<Entry>,
}

impl Archive {
    pub(crate) const fn new(ports: Arc<Ports>) -> Self {
        Self { ports }
    }
}

#[object(ingress_private, client_visibility = "pub(crate)")]
impl Archive {
    /// Appends entries. What is there already stays as it is, so a second try changes nothing.
    #[handler]
    async fn keep(
        &self,
        ctx: ObjectContext<'_>,
        Json(part): Json<Part>,
    ) -> Result<(), HandlerError> {
        ctx.run(|| append(&self.ports, part)).name("append").await?;
        Ok(())
    }
}

async fn append(ports: &Ports, part: Part) -> Result<(), HandlerError> {
    let Part { run, entries } = part;
    let Some(first) = entries.first().map(|entry| entry.seq) else { return Ok(()) };
    match ports.journal.append(&run, first, &entries).await {
        Err(JournalError::Conflict { .. }) => {
            let there = ports.journal.load(&run).await.map_err(again)?;
            let known = there.iter().skip_while(|entry| entry.seq < first);
            if known.eq(entries.iter()) {
                return Ok(());
            }
            Err(never(format!(
                "the journal of run `{run}` says something else from entry {first} on"
            )))
        }
        other => other.map_err(again),
    }
}
