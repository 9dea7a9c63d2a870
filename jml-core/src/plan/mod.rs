//! Plans: what must change, in what order, behind which gates. Immutable, and named by content.

mod gate;
mod seal;
mod step;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use gate::{Gate, GateSubject, Stage};
pub use seal::{PlanDraft, SealError};
pub use step::{
    ByHand, Confirm, Late, Need, Notice, OnStale, Rank, Reason, Retry, Step, StepKind, TaskStep,
    Waived,
};

use crate::account::{AccountRef, Stamp};
use crate::claim::ClaimSource;
use crate::digest::Digest;
use crate::entitlement::EntitlementRef;
use crate::id::{GateId, IdentityId, PolicyVersion, StepId};
use crate::identity::EngagementKind;
use crate::provider::IdempotencyKey;

/// The version of the plan format that this crate writes and reads.
pub const PLAN_FORMAT: u16 = 1;

/// A sealed plan. It leaves no choice to whoever executes it. Only [`PlanDraft::seal`] makes one, on
/// reading back too, so a plan that exists has passed its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlanDraft", into = "PlanDraft")]
pub struct Plan {
    id: Digest,
    draft: PlanDraft,
}

impl Plan {
    /// The digest of the plan's canonical bytes: its name.
    #[must_use]
    pub const fn id(&self) -> &Digest {
        &self.id
    }

    /// For whom, why, when, and computed from what.
    #[must_use]
    pub const fn header(&self) -> &PlanHeader {
        &self.draft.header
    }

    /// The steps by id.
    #[must_use]
    pub const fn steps(&self) -> &BTreeMap<StepId, Step> {
        &self.draft.steps
    }

    /// The gates by id.
    #[must_use]
    pub const fn gates(&self) -> &BTreeMap<GateId, Gate> {
        &self.draft.gates
    }

    /// What stays as it is because it is claimed, with all reasons.
    #[must_use]
    pub fn keeps(&self) -> &[Keep] {
        &self.draft.keeps
    }

    /// What was found, is not claimed, and is left alone.
    #[must_use]
    pub fn foreign(&self) -> &[Foreign] {
        &self.draft.foreign
    }

    /// The key under which a step is sent, the same on every attempt and after every crash.
    #[must_use]
    pub fn idempotency_key(&self, step: &StepId) -> IdempotencyKey {
        let text = format!("{}\n{step}", self.id);
        IdempotencyKey::new(&Digest::of_bytes("jml-key/v1", text.as_bytes()))
    }

    /// The digest of what a step means, without what the plan was computed from. A decision on a
    /// gate holds for a new plan exactly as far as these digests are equal.
    #[must_use]
    pub fn step_digest(&self, step: &StepId) -> Option<Digest> {
        self.draft.steps.get(step)?.meaning().ok()
    }
}

/// For whom a plan is, why it exists, and what it was computed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct PlanHeader {
    /// [`PLAN_FORMAT`].
    pub format: u16,
    /// Whom it is about.
    pub identity: IdentityId,
    /// What kind of change it is, for people and for evidence.
    pub kind: LifecycleKind,
    /// Why somebody looked: a feed, a timer, a request, a sweep.
    pub cause: SmolStr,
    /// The plan that this one corrects or follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// When it was computed.
    pub made_at: DateTime<Utc>,
    /// The instant that the change is about, such as the end of the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<DateTime<Utc>>,
    /// When somebody entered at the source what led to it, if the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<DateTime<Utc>>,
    /// When the newest of what it was computed from became known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<DateTime<Utc>>,
    /// The engagement that the person is, or was last, here for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engagement: Option<EngagementKind>,
    /// What it was computed from.
    pub basis: Basis,
}

/// Everything whose change makes a plan stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Basis {
    /// The policy's own version.
    pub policy_version: PolicyVersion,
    /// Digest of the policy.
    pub policy: Digest,
    /// Digest of the identity's facts.
    pub facts: Digest,
    /// What was read of each account. Keys are `provider:account`.
    pub observed: BTreeMap<SmolStr, Stamp>,
}

/// What kind of lifecycle change a plan is. For people, evidence and brakes; it decides nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifecycleKind {
    /// Preparation before the first day.
    PreHire,
    /// The first day.
    Join,
    /// Other access than before.
    Move,
    /// The end of the last engagement.
    Leave,
    /// Back after having left.
    Rehire,
    /// A leave of absence begins.
    LeaveOfAbsence,
    /// A leave of absence ends.
    Return,
    /// Something with an end date ended.
    Expiry,
    /// The target differs from what was verified before.
    Drift,
    /// Tasks fell due; no access changes.
    Tasks,
    /// What is left of an account that was closed long ago is archived or deleted.
    Retention,
    /// The hire was withdrawn or the person never came: what was prepared is taken back. Not a
    /// termination.
    Rescinded,
}

impl LifecycleKind {
    /// The name in people's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreHire => "pre-hire",
            Self::Join => "joiner",
            Self::Move => "mover",
            Self::Leave => "leaver",
            Self::Rehire => "rehire",
            Self::LeaveOfAbsence => "leave of absence",
            Self::Return => "return",
            Self::Expiry => "expiry",
            Self::Drift => "drift",
            Self::Tasks => "tasks",
            Self::Retention => "retention",
            Self::Rescinded => "rescinded hire",
        }
    }
}

/// Access that stays because it is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Keep {
    /// On which account.
    pub account: AccountRef,
    /// What.
    pub entitlement: EntitlementRef,
    /// All reasons.
    pub reasons: Vec<ClaimSource>,
}

/// Access that no claim explains and that the mode leaves alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Foreign {
    /// On which account.
    pub account: AccountRef,
    /// What.
    pub entitlement: EntitlementRef,
    /// Why it is left alone.
    pub why: ForeignReason,
}

/// Why foreign access is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ForeignReason {
    /// The mode is to observe, or to add only.
    Mode,
    /// Relative mode, and the ledger does not say that we granted it.
    NotOurs,
    /// The target computes it from an attribute; nothing to call.
    Computed,
    /// It comes through another entitlement.
    Inherited,
    /// Another system owns it.
    External,
    /// The target does not let it go.
    Immutable,
    /// The account is protected.
    Protected,
    /// Nobody would be left to hold it.
    LastHolder,
}
