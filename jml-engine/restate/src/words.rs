//! What a run is told while it goes on.

use chrono::{DateTime, Utc};
use jml_core::approval::{Deciders, Panel};
use jml_core::digest::Digest;
use jml_core::id::{GateId, IdentityId, StepId};
use jml_core::journal::{Decision, Entry};
use jml_engine::Vote;
use jml_engine::machine::{Input, Limits, Machine, ReplayError};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::lane::Reply;

/// Something that a run is told, and when it was said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Word {
    /// When, by the clock of who says it.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// What a run is told: what [`Input`] is to the machine, as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// A call that the run asked for has an answer.
    Answered {
        /// Which call of the run, from 0.
        number: u64,
        /// The answer.
        reply: Reply,
    },
    /// [`Input::Decided`].
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
    /// [`Input::Seated`]. Comes before a decision, so that who may decide is who may now.
    Seated {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Who may decide.
        panel: Panel,
        /// Who may decide besides them once it escalated.
        escalated: Panel,
    },
    /// [`Input::TaskDone`].
    TaskDone {
        /// Which step.
        step: StepId,
        /// By whom.
        by: IdentityId,
        /// What they say in proof.
        proof: SmolStr,
    },
    /// [`Input::Supersede`].
    Supersede {
        /// The newer plan.
        by: Digest,
    },
    /// [`Input::Withdraw`].
    Withdraw {
        /// Why.
        why: SmolStr,
    },
    /// [`Input::Cancel`].
    Cancel {
        /// Who.
        by: IdentityId,
        /// Why.
        why: SmolStr,
    },
}

impl What {
    /// The machine's input, as a word. `None` for what only the run itself hands in.
    #[must_use]
    pub fn from_input(input: Input) -> Option<Self> {
        Some(match input {
            Input::Decided { gate, by, decision, why } => Self::Decided { gate, by, decision, why },
            Input::Seated { gate, stage, panel, escalated } => {
                Self::Seated { gate, stage, panel, escalated }
            }
            Input::TaskDone { step, by, proof } => Self::TaskDone { step, by, proof },
            Input::Supersede { by } => Self::Supersede { by },
            Input::Withdraw { why } => Self::Withdraw { why },
            Input::Cancel { by, why } => Self::Cancel { by, why },
            _ => return None,
        })
    }

    /// What people say, as the machine's input; an answer is handed in by who knows what was asked.
    pub(crate) fn into_input(self) -> Result<Input, (u64, Reply)> {
        Ok(match self {
            Self::Answered { number, reply } => return Err((number, reply)),
            Self::Decided { gate, by, decision, why } => Input::Decided { gate, by, decision, why },
            Self::Seated { gate, stage, panel, escalated } => {
                Input::Seated { gate, stage, panel, escalated }
            }
            Self::TaskDone { step, by, proof } => Input::TaskDone { step, by, proof },
            Self::Supersede { by } => Input::Supersede { by },
            Self::Withdraw { why } => Input::Withdraw { why },
            Self::Cancel { by, why } => Input::Cancel { by, why },
        })
    }
}

/// The words by which somebody decides at a gate of a run: first who may decide as of now, then what they say.
///
/// # Errors
/// [`ReplayError`] when the entries are not a journal of a run.
pub fn decision(
    journal: &[Entry],
    vote: &Vote<'_>,
    deciders: &Deciders<'_>,
) -> Result<Vec<Word>, ReplayError> {
    let machine = Machine::open(journal, Limits::new())?;
    let Vote { gate, by, decision, why, .. } = *vote;
    let (gate, by, why) = (gate.clone(), by.clone(), SmolStr::new(why));
    let said = What::Decided { gate, by, decision, why };
    let seats = machine.seats(deciders).into_iter().filter_map(What::from_input);
    Ok(seats.chain([said]).map(|what| Word { at: deciders.at, what }).collect())
}
