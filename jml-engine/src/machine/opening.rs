//! What a run is opened with, as data.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::approval::Standing;
use jml_core::canon::CanonError;
use jml_core::digest::Digest;
use jml_core::id::{GateId, IdentityId, RunId};
use jml_core::journal::{Actor, Fact, RunMode};
use jml_core::plan::Plan;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Limits, Machine};

/// A run that is about to be opened: its plan, and what is known for it from before. Another process may open
/// it, so it is data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Opening {
    /// The plan.
    pub plan: Plan,
    /// Who let its batch pass a brake, if somebody had to.
    pub overridden: Option<Overridden>,
    /// Approvals of earlier runs that still count.
    pub kept: BTreeMap<GateId, Vec<KeptDecision>>,
    /// Open runs of the same person that give way to this one first.
    pub supersedes: BTreeSet<RunId>,
}

/// An approval that was given in an earlier run for the same changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct KeptDecision {
    /// At which stage, from 0.
    pub stage: u16,
    /// Whose.
    pub by: IdentityId,
    /// By what right.
    pub standing: Standing,
    /// In which run they decided.
    pub run: RunId,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Until when it counts.
    pub expires: DateTime<Utc>,
}

/// Somebody let a batch pass a brake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Overridden {
    /// Which batch.
    pub batch: Digest,
    /// Who.
    pub by: IdentityId,
    /// Why.
    pub why: SmolStr,
}

impl Opening {
    /// A run of a plan with nothing from before.
    #[must_use]
    pub const fn new(plan: Plan) -> Self {
        Self { plan, overridden: None, kept: BTreeMap::new(), supersedes: BTreeSet::new() }
    }

    /// The run's name.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId::of_plan(self.plan.id())
    }

    /// The run, which wants its first entries recorded. What it supersedes has to be told so by whoever
    /// opens it.
    ///
    /// # Errors
    /// [`CanonError`] when the plan has no canonical form.
    pub fn start(self, limits: Limits, now: DateTime<Utc>) -> Result<Machine, CanonError> {
        let mut machine = Machine::start(self.plan, RunMode::Executed, limits, now)?;
        if let Some(Overridden { batch, by, why }) = self.overridden {
            machine.note(now, Actor::Person(by), Fact::BrakeOverridden { batch, why });
        }
        for (gate, decisions) in self.kept {
            machine.kept(now, &gate, decisions);
        }
        Ok(machine)
    }
}
