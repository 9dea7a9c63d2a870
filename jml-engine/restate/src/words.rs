//! What a run is told while it goes on.

use chrono::{DateTime, Utc};
use jml_core::approval::Deciders;
use jml_core::journal::Entry;
use jml_engine::Vote;
use jml_engine::machine::{Limits, Machine, ReplayError, Word};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::lane::Reply;

/// Something that a run is told, and when it was said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Told {
    /// When, by the clock of who says it.
    pub at: DateTime<Utc>,
    /// What.
    pub word: Word,
}

/// What a run waits for. Answers come from its own calls only, so nobody outside can say that a target did something.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Heard {
    /// A call that the run asked for has an answer.
    Answered {
        /// When.
        at: DateTime<Utc>,
        /// Which call of the run, from 0.
        number: u64,
        /// The answer.
        reply: Reply,
    },
    /// Somebody said something.
    Said(Told),
}

/// The words by which somebody decides at a gate of a run: first who may decide as of now, then what they say.
///
/// # Errors
/// [`ReplayError`] when the entries are not a journal of a run.
pub fn decision(
    journal: &[Entry],
    vote: &Vote<'_>,
    deciders: &Deciders<'_>,
) -> Result<Vec<Told>, ReplayError> {
    let machine = Machine::open(journal, Limits::new())?;
    let Vote { gate, by, decision, why, .. } = *vote;
    let (gate, by, why) = (gate.clone(), by.clone(), SmolStr::new(why));
    let said = Word::Decided { gate, by, decision, why };
    let words = machine.seats(deciders).into_iter().chain([said]);
    Ok(words.map(|word| Told { at: deciders.at, word }).collect())
}
