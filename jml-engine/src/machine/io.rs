//! What goes out of the machine, and what comes in.

use jml_core::approval::Panel;
use jml_core::digest::Digest;
use jml_core::id::{GateId, IdentityId, ProviderId, StepId};
use jml_core::journal::{Decision, Entry, RunOutcome};
use jml_core::plan::{Notice, TaskStep};
use jml_core::provider::{
    Change, Observation, Outcome, PendingRef, Result as ProviderResult, Target,
};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What the machine wants done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Append these entries to the run's journal, which has as many entries as the first one's number
    /// says; then hand in [`Input::Recorded`].
    Record(Vec<Entry>),
    /// Read an account; then hand in [`Input::Observed`].
    Observe {
        /// Where.
        provider: ProviderId,
        /// Which.
        target: Target,
    },
    /// Send a change; then hand in [`Input::Answered`].
    Apply {
        /// Which step.
        step: StepId,
        /// Where.
        provider: ProviderId,
        /// What.
        change: Change,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Ask how far a change is that the target works on; then hand in [`Input::Answered`].
    Poll {
        /// Which step.
        step: StepId,
        /// Where.
        provider: ProviderId,
        /// What to ask for.
        handle: PendingRef,
    },
    /// Ask the approvers of a gate. Nothing to hand in until somebody decides.
    Ask {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Who may decide now.
        panel: Panel,
    },
    /// Give a person a task. Nothing to hand in until it is done.
    Raise {
        /// Which step.
        step: StepId,
        /// The task.
        task: TaskStep,
    },
    /// Tell somebody.
    Tell(Notice),
    /// Tell whoever is on duty.
    Alert {
        /// Which step.
        step: StepId,
        /// What happened.
        text: SmolStr,
    },
    /// The run is closed.
    Done(RunOutcome),
}

/// What came of an effect, or from outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The entries up to, and without, this number are durable.
    Recorded {
        /// How many entries the journal has now.
        len: u64,
    },
    /// An account was read.
    Observed {
        /// Where.
        provider: ProviderId,
        /// Which.
        target: Target,
        /// What was seen.
        result: ProviderResult<Observation>,
    },
    /// A target answered a change or a question how far it is, or did not.
    Answered {
        /// Which step.
        step: StepId,
        /// What it said.
        result: ProviderResult<Outcome>,
    },
    /// Somebody said something.
    Said(Word),
}

/// What a run is told by people, or by whoever plans for them. Another process may say it, so it is data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Word {
    /// Somebody decided at a gate.
    Decided {
        /// Which gate.
        gate: GateId,
        /// Who.
        by: IdentityId,
        /// How.
        decision: Decision,
        /// Why.
        why: SmolStr,
    },
    /// Who may decide at a stage was looked up again. Comes before a decision, so that who may decide is
    /// who may now.
    Seated {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0. Ignored when it is not the one that is open.
        stage: u16,
        /// Who may decide.
        panel: Panel,
        /// Who may decide besides them once it escalated.
        escalated: Panel,
    },
    /// A task was done.
    TaskDone {
        /// Which step.
        step: StepId,
        /// By whom.
        by: IdentityId,
        /// What they say in proof.
        proof: SmolStr,
    },
    /// A newer plan takes over.
    Supersede {
        /// The newer plan.
        by: Digest,
    },
    /// What the run would still do is not wanted any more, and no plan takes its place.
    Withdraw {
        /// Why.
        why: SmolStr,
    },
    /// Somebody stops the run.
    Cancel {
        /// Who.
        by: IdentityId,
        /// Why.
        why: SmolStr,
    },
}

impl From<Word> for Input {
    fn from(word: Word) -> Self {
        Self::Said(word)
    }
}
