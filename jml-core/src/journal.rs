//! The journal of a run: what was meant, what was done, what was seen. The only source of evidence.
//!
//! Entries of a run are numbered from 0 without gaps, and each carries the digest of the one before
//! it. A store appends only if the caller knows the number of the next entry, so of two drivers on one
//! run one loses and stops.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::account::Left;
use crate::approval::{Panel, Standing};
use crate::canon::CanonError;
use crate::digest::Digest;
use crate::facts::TaskKey;
use crate::id::{AccountId, GateId, IdentityId, ProviderId, RunId, StepId};
use crate::plan::Plan;
use crate::provider::{Effect, ErrorRecord, IdempotencyKey, Observation, PendingRef};

/// The version of the journal format that this crate writes and reads.
pub const JOURNAL_FORMAT: u16 = 1;

/// One line of a run's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a stored format; a change is a new version")]
pub struct Entry {
    /// Its number in the run, from 0 without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// Who made it so.
    pub actor: Actor,
    /// What happened.
    pub fact: Fact,
    /// The digest of the entry before it; of the run's id for the first one.
    pub prev: Digest,
}

impl Entry {
    /// The digest that the next entry carries.
    ///
    /// # Errors
    /// [`CanonError`] when the entry has no canonical form.
    pub fn digest(&self) -> Result<Digest, CanonError> {
        Digest::of_value("jml-entry/v1", self)
    }

    /// What the first entry of a run carries as the digest before it.
    #[must_use]
    pub fn genesis(run: &RunId) -> Digest {
        Digest::of_bytes("jml-run/v1", run.as_str().as_bytes())
    }
}

/// Who made something so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Actor {
    /// The engine.
    Engine,
    /// A person.
    Person(IdentityId),
    /// Another system, by name.
    System(SmolStr),
}

/// Whether a run changes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a run is real or it is not")]
pub enum RunMode {
    /// It changes targets.
    Executed,
    /// It ran over an overlay. Its journal can't be sealed as evidence of execution.
    Simulated,
}

/// What happened. A reader refuses kinds that it does not know: an unknown fact is never skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// The run was opened on this plan.
    Opened {
        /// [`JOURNAL_FORMAT`].
        format: u16,
        /// The run.
        run: RunId,
        /// The whole plan.
        plan: Box<Plan>,
        /// Real or not.
        mode: RunMode,
    },
    /// A brake had stopped the batch that this run belongs to, and somebody let exactly this batch go.
    /// The entry's actor says who.
    BrakeOverridden {
        /// Which batch.
        batch: Digest,
        /// Why.
        why: SmolStr,
    },
    /// The approvers of a stage were asked.
    GateAsked {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
    },
    /// Others may decide now than were asked: somebody left, is away, or has another manager.
    GatePanel {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Who may decide.
        panel: Panel,
    },
    /// More people may decide, because nobody did in time or too few were left.
    GateEscalated {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Why.
        why: SmolStr,
    },
    /// An approval of an earlier run counts here, because it was of the same change.
    DecisionKept {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// Whose.
        by: IdentityId,
        /// By what right.
        standing: Standing,
        /// In which run they decided.
        run: RunId,
        /// When.
        decided_at: DateTime<Utc>,
        /// Until when it counts.
        expires: DateTime<Utc>,
    },
    /// Somebody decided. The entry's actor says who.
    GateDecided {
        /// Which gate.
        gate: GateId,
        /// Which stage, from 0.
        stage: u16,
        /// By what right.
        standing: Standing,
        /// How.
        decision: Decision,
        /// Why, in their words.
        why: SmolStr,
    },
    /// A decision was not counted.
    DecisionRefused {
        /// Which gate.
        gate: GateId,
        /// Whose.
        by: IdentityId,
        /// Why it does not count.
        why: SmolStr,
    },
    /// Nobody decided in time; it counts as a refusal.
    GateExpired {
        /// Which gate.
        gate: GateId,
    },
    /// A change is about to be sent.
    Intended {
        /// Which step.
        step: StepId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The key it is sent under.
        key: IdempotencyKey,
    },
    /// A change was sent and answered. Where the target takes its time, there are two: one with
    /// [`Effect::Pending`], and one when it said that it is done.
    Applied {
        /// Which step.
        step: StepId,
        /// What the target said it did.
        effect: Effect,
        /// The account that was made or changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<AccountId>,
        /// Whether it was found done after an unknown outcome, instead of answered.
        recovered: bool,
        /// The target's own id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<SmolStr>,
        /// Where to ask for the end of it, while the target works on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pending: Option<PendingRef>,
    },
    /// An attempt failed and will be repeated.
    Deferred {
        /// Which step.
        step: StepId,
        /// Not before this instant.
        retry_at: DateTime<Utc>,
        /// What went wrong. It says whether the change may have landed.
        error: ErrorRecord,
    },
    /// The end state was read back.
    Verified {
        /// Which step.
        step: StepId,
        /// The account before the change, if it was read.
        before: Observation,
        /// The account after it.
        after: Observation,
        /// Whether the end state held before anything was sent.
        already: bool,
    },
    /// The last look at an account found something left on it that should not be.
    Residual {
        /// Which step.
        step: StepId,
        /// What is left.
        left: BTreeSet<Left>,
        /// The account as it was read.
        found: Observation,
    },
    /// The change was accepted, and this target offers no way to read it back.
    AcceptedUnverified {
        /// Which step.
        step: StepId,
    },
    /// The step was not done, for a reason that is no failure of it.
    Skipped {
        /// Which step.
        step: StepId,
        /// Why.
        why: SkipReason,
    },
    /// The step failed for good.
    Failed {
        /// Which step.
        step: StepId,
        /// What went wrong.
        error: ErrorRecord,
    },
    /// The account changed since the plan was made; a new plan is needed.
    Stale {
        /// Which step.
        step: StepId,
        /// What was found.
        found: Observation,
    },
    /// A step that must not fail ran out of attempts; a person was alerted, and it will be tried again.
    Parked {
        /// Which step.
        step: StepId,
        /// When it will be tried again.
        retry_at: DateTime<Utc>,
        /// The last error.
        error: ErrorRecord,
    },
    /// A person was given a task.
    TaskRaised {
        /// Which step.
        step: StepId,
        /// The task's name for ever.
        key: TaskKey,
    },
    /// The task was done. The entry's actor says by whom.
    TaskDone {
        /// Which step.
        step: StepId,
        /// The task's name for ever.
        key: TaskKey,
        /// What they say in proof.
        proof: SmolStr,
    },
    /// Somebody said that a change was made by hand, and the target does not show it. The task is open
    /// again.
    TaskNotSeen {
        /// Which step.
        step: StepId,
        /// What was seen.
        found: Observation,
    },
    /// A notice was handed over.
    Noticed {
        /// Which step.
        step: StepId,
    },
    /// A deadline passed with the step still open.
    DeadlineMissed {
        /// Which step.
        step: StepId,
        /// The deadline.
        deadline: DateTime<Utc>,
    },
    /// A provider asked for a pause.
    ProviderCooling {
        /// Which one.
        provider: ProviderId,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// A newer plan took over. Open steps are not done.
    Superseded {
        /// The newer plan.
        by: Digest,
    },
    /// Somebody stopped the run. The entry's actor says who.
    Cancelled {
        /// Why.
        why: SmolStr,
    },
    /// Nothing is left to do.
    Closed {
        /// How it ended.
        outcome: RunOutcome,
    },
}

/// What an approver said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a decision is yes or no")]
pub enum Decision {
    /// Yes.
    Approved,
    /// No.
    Refused,
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The gate was refused.
    Refused {
        /// Which gate.
        gate: GateId,
    },
    /// A step that it needs did not succeed.
    Upstream {
        /// Which step.
        step: StepId,
    },
    /// A newer plan took over.
    Superseded,
    /// The run was cancelled.
    Cancelled,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunOutcome {
    /// Every step reached its end state.
    Clean,
    /// Some step was refused, skipped, stale or failed.
    Partial,
    /// A newer plan took over.
    Superseded,
    /// Somebody stopped it.
    Cancelled,
}

/// Where journals are kept.
///
/// # Contract
/// - [`append`](JournalStore::append) is compare-and-append: it writes all entries or none, and only
///   if the run has exactly `expected` entries.
/// - When it returns `Ok`, the entries survive a crash of the process and of the machine.
/// - [`load`](JournalStore::load) returns what was appended, in order; for an unknown run, nothing.
#[async_trait]
pub trait JournalStore: Send + Sync + 'static {
    /// Appends entries to a run that has `expected` entries.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the run has another number of entries: another driver is on it.
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError>;

    /// All entries of a run.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read or holds what this version does not know.
    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError>;

    /// All runs, in the order in which they were opened.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read.
    async fn runs(&self) -> Result<Vec<RunId>, JournalError>;

    /// The runs that are not closed, in the order in which they were opened. The default reads every run;
    /// a store that keeps runs for years should know better.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be read.
    async fn open_runs(&self) -> Result<Vec<RunId>, JournalError> {
        let mut open = Vec::new();
        for run in self.runs().await? {
            let entries = self.load(&run).await?;
            if !matches!(entries.last().map(|entry| &entry.fact), Some(Fact::Closed { .. })) {
                open.push(run);
            }
        }
        Ok(open)
    }

    /// Asks to be the only one that works on something, among all processes that use the store. `None`:
    /// somebody else does. It is a courtesy that spares two drivers the work of one; what keeps a journal
    /// right is that [`append`](JournalStore::append) compares. A claim ends when it is dropped, and with
    /// the process that holds it. The default, for stores of one process, always says yes.
    ///
    /// # Errors
    /// [`JournalError`] when the store cannot be reached.
    async fn claim(&self, what: &str) -> Result<Option<Claim>, JournalError> {
        let _ = what;
        Ok(Some(Claim::unshared()))
    }
}

/// The right to work on something alone, until it is dropped.
pub struct Claim(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Claim {
    /// A claim that nobody else could make.
    #[must_use]
    pub const fn unshared() -> Self {
        Self(None)
    }

    /// A claim that is given back by calling `release`.
    #[must_use]
    pub fn new(release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claim")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// Where evidence goes.
pub trait EvidenceSink: Send + Sync {
    /// Seals what the journal of one run says, as far as it was not sealed before. Called with the whole
    /// journal, whenever a run is closed or parked; calling it again must change nothing.
    ///
    /// # Errors
    /// In words, when the evidence could not be made durable. The journal keeps what is missing.
    fn seal(&self, entries: &[Entry]) -> Result<(), String>;
}

/// A journal store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another driver appended first.
    #[error("run `{run}` has {found} entries, {expected} were expected: another driver is on it")]
    Conflict {
        /// Which run.
        run: RunId,
        /// What the caller knew.
        expected: u64,
        /// What the store holds.
        found: u64,
    },
    /// The store cannot be read or written.
    #[error("journal store failed: {0}")]
    Store(String),
    /// Stored bytes are not what this version writes.
    #[error("run `{run}` entry {seq} cannot be read: {what}")]
    Corrupt {
        /// Which run.
        run: RunId,
        /// Which entry.
        seq: u64,
        /// What is wrong.
        what: String,
    },
}
