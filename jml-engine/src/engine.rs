//! The façade: observe, prepare, execute, and everything that people do to a run.

mod batch;
mod decide;
mod prepare;
mod run;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::lock::Mutex;
use jml_core::canon::CanonError;
use jml_core::id::RunId;
use jml_core::journal::{Entry, EvidenceSink, JournalError};
use jml_core::plan::Plan;
use jml_core::time::ZoneResolver;
use jml_diff::PlanError;

use crate::brake::BrakeReport;
use crate::drive::{DriveError, drive};
use crate::history::History;
use crate::machine::{Machine, ReplayError, Word};
use crate::ports::Ports;
use crate::timeline::{Moment, timeline};
use crate::view::RunView;

pub use batch::{
    Batch, Enqueued, Executed, Openings, Request, RunReport, Selection, Simulation, Vote, Worked,
};

/// Plans and runs lifecycle changes. One per process and journal; clones of its parts may be shared.
pub struct Engine {
    ports: Ports,
    zones: Arc<dyn ZoneResolver>,
    evidence: Option<Arc<dyn EvidenceSink>>,
    history: Mutex<History>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("ports", &self.ports).finish_non_exhaustive()
    }
}

/// The engine could not go on. Nothing is half done: whatever was begun is in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A brake tripped, and no override covers the batch. Nothing was done.
    #[error("{} brakes tripped for batch {}", .0.tripped.len(), .0.batch)]
    Braked(BrakeReport),
    /// Planning failed.
    #[error("planning failed")]
    Plan(#[from] PlanError),
    /// Something has no canonical form.
    #[error("policy or plan has no canonical form")]
    Canon(#[from] CanonError),
    /// The journal failed.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// A run stopped.
    #[error("a run stopped")]
    Drive(#[from] DriveError),
    /// A journal cannot be replayed.
    #[error("run `{run}` cannot be opened")]
    Replay {
        /// Which run.
        run: RunId,
        /// Why.
        #[source]
        source: ReplayError,
    },
    /// Another process opens runs at this moment. Nothing was done; prepare again.
    #[error("another process is opening runs; try again")]
    Busy,
    /// There is no such run.
    #[error("there is no run `{0}`")]
    NoRun(RunId),
    /// A decision or a proof was not taken, and why.
    #[error("not taken: {0}")]
    NotTaken(String),
    /// Evidence could not be sealed. The journal keeps it; `resume` tries again.
    #[error("evidence of run `{run}` could not be sealed: {what}")]
    Evidence {
        /// Which run.
        run: RunId,
        /// Why.
        what: String,
    },
}

impl EngineError {
    /// Whether another driver wrote to the run first. It has the run now, and nothing is lost.
    #[must_use]
    pub const fn is_overtaken(&self) -> bool {
        matches!(
            self,
            Self::Journal(JournalError::Conflict { .. })
                | Self::Drive(DriveError::Journal { source: JournalError::Conflict { .. }, .. })
        )
    }
}
impl Engine {
    /// An engine over ports.
    #[must_use]
    pub fn new(ports: Ports, zones: Arc<dyn ZoneResolver>) -> Self {
        Self { ports, zones, evidence: None, history: Mutex::default() }
    }

    /// The same with a place for evidence.
    #[must_use]
    pub fn with_evidence(mut self, sink: Arc<dyn EvidenceSink>) -> Self {
        self.evidence = Some(sink);
        self
    }

    /// What the engine works with.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Every run, in the order in which they were opened.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn views(&self) -> Result<Vec<RunView>, EngineError> {
        let mut views = Vec::new();
        for run in self.ports.journal.runs().await? {
            let entries = self.ports.journal.load(&run).await?;
            views.push(self.open(&run, &entries)?.view());
        }
        Ok(views)
    }

    /// One run.
    ///
    /// # Errors
    /// [`EngineError::NoRun`].
    pub async fn view(&self, run: &RunId) -> Result<RunView, EngineError> {
        let entries = self.load(run).await?;
        Ok(self.open(run, &entries)?.view())
    }

    /// One run as it went, line by line.
    ///
    /// # Errors
    /// [`EngineError::NoRun`].
    pub async fn timeline(&self, run: &RunId) -> Result<Vec<Moment>, EngineError> {
        Ok(timeline(&self.load(run).await?))
    }

    /// The plan of a run.
    ///
    /// # Errors
    /// [`EngineError::NoRun`].
    pub async fn plan(&self, run: &RunId) -> Result<Plan, EngineError> {
        let entries = self.load(run).await?;
        Ok(self.open(run, &entries)?.plan().clone())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, EngineError> {
        let entries = self.ports.journal.load(run).await?;
        if entries.is_empty() { Err(EngineError::NoRun(run.clone())) } else { Ok(entries) }
    }

    fn open(&self, run: &RunId, entries: &[Entry]) -> Result<Machine, EngineError> {
        Machine::open(entries, self.ports.limits())
            .map_err(|source| EngineError::Replay { run: run.clone(), source })
    }

    async fn with_run(&self, run: &RunId, word: Word) -> Result<RunReport, EngineError> {
        let entries = self.load(run).await?;
        let mut machine = self.open(run, &entries)?;
        hand(&mut machine, self.ports.clock.now(), word)?;
        self.go(machine).await
    }

    async fn go(&self, mut machine: Machine) -> Result<RunReport, EngineError> {
        let driven = drive(&mut machine, &self.ports).await?;
        if self.evidence.is_some() {
            let entries = self.ports.journal.load(machine.run()).await?;
            self.seal(machine.run(), &entries)?;
        }
        Ok(RunReport { driven, view: machine.view() })
    }

    fn seal(&self, run: &RunId, entries: &[Entry]) -> Result<(), EngineError> {
        let Some(sink) = &self.evidence else { return Ok(()) };
        sink.seal(entries).map_err(|what| EngineError::Evidence { run: run.clone(), what })
    }
}
fn hand(machine: &mut Machine, now: DateTime<Utc>, word: Word) -> Result<(), EngineError> {
    let run = machine.run().clone();
    machine.handle(now, word.into()).map_err(|source| EngineError::Replay { run, source })
}
