//! The durable state of steps and gates.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::Left;
use jml_core::approval::{Panel, Standing};
use jml_core::id::IdentityId;
use jml_core::journal::SkipReason;
use jml_core::plan::{Gate, Stage};
use jml_core::provider::{Applied, ErrorKind, PendingRef};
use smol_str::SmolStr;

/// Where a step stands, by its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepState {
    /// Nothing was sent yet.
    #[default]
    Waiting,
    /// A change was about to be sent.
    Intended {
        /// Which attempt.
        attempt: u32,
        /// Whether any attempt so far may have landed without anybody knowing.
        doubt: bool,
    },
    /// The target answered; the end state is still to be read back.
    Applied {
        /// Attempts so far.
        attempt: u32,
        /// Whether it was found done instead of answered.
        recovered: bool,
    },
    /// The target works on it, and is asked how far it is.
    Pending {
        /// Attempts so far.
        attempt: u32,
        /// What to ask for.
        handle: PendingRef,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// An attempt failed, and another one will follow.
    Backoff {
        /// Attempts so far.
        attempt: u32,
        /// Not before.
        retry_at: DateTime<Utc>,
        /// Whether any attempt so far may have landed.
        doubt: bool,
        /// Whether it ran out of attempts and alerts instead of failing.
        parked: bool,
    },
    /// A person has the task.
    Raised,
    /// A person says that a change was made by hand; it is still to be seen on the target.
    Reported,
    /// It is over.
    Ended(StepEnd),
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepEnd {
    /// The end state was read back.
    Verified {
        /// Whether it held before anything was sent.
        already: bool,
    },
    /// The target accepted it and offers no way to read it back.
    Accepted,
    /// The last look at an account found something that should not be there.
    Left(BTreeSet<Left>),
    /// A person did it.
    Done,
    /// Somebody was told.
    Told,
    /// It was not done.
    Skipped(SkipReason),
    /// It failed for good.
    Failed(ErrorKind, SmolStr),
    /// The account had changed.
    Stale,
}

impl StepEnd {
    /// Whether the step reached its end state.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Verified { .. } | Self::Accepted | Self::Done | Self::Told)
    }
}

impl StepState {
    /// How it ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<&StepEnd> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether it counts as settled for steps that only need it out of the way. What the target works on holds up
    /// only what needs its success: a laptop in a drawer must not keep its owner in groups.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Pending { .. } | Self::Backoff { parked: true, .. })
    }

    pub(super) const fn retry_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Backoff { retry_at, .. } => Some(*retry_at),
            _ => None,
        }
    }

    pub(super) const fn attempts(&self) -> u32 {
        match self {
            Self::Intended { attempt, .. }
            | Self::Applied { attempt, .. }
            | Self::Pending { attempt, .. }
            | Self::Backoff { attempt, .. } => *attempt,
            _ => 0,
        }
    }

    /// Attempts after one more failure: a change that was sent is counted already, a read is not.
    pub(super) const fn failures(&self) -> u32 {
        match self {
            Self::Intended { attempt, .. }
            | Self::Applied { attempt, .. }
            | Self::Pending { attempt, .. } => *attempt,
            other => other.attempts().saturating_add(1),
        }
    }

    /// Whether an earlier attempt may have landed without anybody knowing.
    pub(super) const fn doubt(&self) -> bool {
        // An answer that was not read back yet is a doubt too: something was sent.
        matches!(
            self,
            Self::Applied { .. }
                | Self::Pending { .. }
                | Self::Intended { doubt: true, .. }
                | Self::Backoff { doubt: true, .. }
        )
    }

    pub(super) fn join_doubt(&self, applied: Applied) -> bool {
        self.doubt() || applied != Applied::No
    }

    /// After a crash, whoever was on the way may have arrived.
    pub(super) fn crash(&mut self) {
        if let Self::Intended { attempt, .. } = *self {
            let retry_at = DateTime::<Utc>::UNIX_EPOCH;
            // The interrupted attempt was nobody's failure, so it does not count.
            let attempt = attempt.saturating_sub(1);
            *self = Self::Backoff { attempt, retry_at, doubt: true, parked: false };
        }
    }
}

/// Where a gate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateState {
    /// The stage that is to be decided, from 0.
    pub stage: u16,
    /// When its approvers were asked.
    pub asked: Option<DateTime<Utc>>,
    /// Whether more people may decide than were asked first.
    pub escalated: bool,
    /// Who may decide at this stage, where it is not as it was when the plan was made.
    pub panel: Option<Panel>,
    /// Who agreed, at which stage and by what right.
    pub approved: BTreeMap<IdentityId, (u16, Standing)>,
    /// Whether enough agreed.
    pub passed: bool,
    /// Who refused, or nobody when it expired.
    pub refused: Option<Option<IdentityId>>,
}

impl GateState {
    /// Whether it is still to be decided.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.passed && self.refused.is_none()
    }

    /// The stage that is to be decided.
    #[must_use]
    pub fn stage_of<'a>(&self, gate: &'a Gate) -> Option<&'a Stage> {
        gate.stages.get(usize::from(self.stage)).filter(|_| self.is_open())
    }

    /// Who may decide now.
    #[must_use]
    pub fn panel(&self, gate: &Gate) -> Panel {
        match (&self.panel, self.stage_of(gate)) {
            (Some(panel), _) => panel.clone(),
            (None, Some(stage)) if self.escalated => joined(&stage.panel, &stage.escalated),
            (None, Some(stage)) => stage.panel.clone(),
            (None, None) => Panel::new(),
        }
    }

    /// Whose right was used already, at any stage.
    pub(super) fn is_used(&self, right: &IdentityId) -> bool {
        self.approved.iter().any(|(by, (_, standing))| standing.right_of(by) == right)
    }

    /// How many agreed at the stage that is to be decided.
    #[must_use]
    pub fn agreed(&self) -> usize {
        self.approved.values().filter(|(stage, _)| *stage == self.stage).count()
    }

    /// When more people will be asked, if nobody decides before.
    #[must_use]
    pub fn escalates_at(&self, gate: &Gate) -> Option<DateTime<Utc>> {
        let rule = self.stage_of(gate)?.rule.escalate.as_ref().filter(|_| !self.escalated)?;
        Some(self.asked? + TimeDelta::hours(rule.after_hours.into()))
    }

    /// Takes an approval in. The next stage begins when enough agreed.
    pub(super) fn approve(&mut self, gate: &Gate, by: IdentityId, standing: Standing) {
        self.approved.insert(by, (self.stage, standing));
        let quorum = self.stage_of(gate).map_or(1, |stage| usize::from(stage.rule.quorum));
        if self.agreed() >= quorum {
            self.stage += 1;
            (self.asked, self.escalated, self.panel) = (None, false, None);
            self.passed = usize::from(self.stage) >= gate.stages.len();
        }
    }
}

/// Everybody of both; a right from the first counts before one from the second.
pub(super) fn joined(first: &Panel, second: &Panel) -> Panel {
    second.iter().chain(first).map(|(id, standing)| (id.clone(), standing.clone())).collect()
}
