//! What the driver needs from its surroundings.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use jml_core::approval::Panel;
use jml_core::clock::Clock;
use jml_core::id::{GateId, IdentityId, ProviderId, RunId, StepId};
use jml_core::journal::{JournalStore, RunOutcome};
use jml_core::plan::{Gate, Notice, Plan, TaskStep};
use jml_core::provider::{Consistency, Provider};

use crate::machine::Limits;

/// Word to people. Every call is a hint: what counts is in the journal, and a run goes on whether or not
/// anybody listens. Calls must return at once.
pub trait People: Send + Sync {
    /// A stage (from 0) of a gate waits for a decision of the panel. Called again when others may decide
    /// than before: after an escalation, or when somebody left.
    fn ask(&self, run: &RunId, id: &GateId, gate: &Gate, stage: u16, panel: &Panel) {
        let _ = (run, id, gate, stage, panel);
    }
    /// Somebody has a task.
    fn raise(&self, run: &RunId, step: &StepId, task: &TaskStep) {
        let _ = (run, step, task);
    }
    /// Somebody should know.
    fn tell(&self, run: &RunId, notice: &Notice) {
        let _ = (run, notice);
    }
    /// Whoever is on duty should look.
    fn alert(&self, run: &RunId, step: &StepId, text: &str) {
        let _ = (run, step, text);
    }
    /// A run was opened.
    fn opened(&self, run: &RunId, plan: &Plan) {
        let _ = (run, plan);
    }
    /// A run was closed.
    fn closed(&self, run: &RunId, identity: &IdentityId, outcome: RunOutcome) {
        let _ = (run, identity, outcome);
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit")]
pub struct Silent;

impl People for Silent {}

/// Everything that the driver works with.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Ports {
    /// Targets.
    pub providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    /// Where journals are kept.
    pub journal: Arc<dyn JournalStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Word to people.
    pub people: Arc<dyn People>,
    /// How long the driver waits for a retry before it parks the run and returns.
    pub patience: TimeDelta,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("providers", &self.providers.keys()).finish_non_exhaustive()
    }
}

impl Ports {
    /// Limits of the machine, from what the providers declare.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        for (id, provider) in &self.providers {
            let descriptor = provider.descriptor();
            limits.in_flight.insert(id.clone(), descriptor.limits.concurrency);
            if let Consistency::Within { ms } = descriptor.consistency {
                let window = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 2));
                limits.visible_within.insert(id.clone(), window);
            }
        }
        limits
    }
}
