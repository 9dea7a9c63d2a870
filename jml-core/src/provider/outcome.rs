//! Outcomes and observations: what a target said it did, and what it was seen to hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Fidelity;
use crate::account::AccountState;
use crate::entitlement::EntitlementKey;
use crate::id::AccountId;

/// What a target said about a change. A connector fills `effect`, `account` and, where it knows them,
/// `remote`, `pending` and `side_effects`; the rest is filled by layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Outcome {
    /// What it says it did.
    pub effect: Effect,
    /// The account that was made or changed, if it says so. Always set for a creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The target's own id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<SmolStr>,
    /// Where to ask for the end of a change that takes its time. Set exactly for [`Effect::Pending`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingRef>,
    /// What else happened because of the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub side_effects: Vec<SideEffect>,
    /// The account before, as far as somebody looked.
    #[serde(default, skip_serializing_if = "Observation::is_missing")]
    pub before: Observation,
    /// The account after, as far as somebody looked.
    #[serde(default, skip_serializing_if = "Observation::is_missing")]
    pub after: Observation,
    /// Whether the end state was found by reading after an attempt whose answer was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// Attempts that were made. 0 where nobody counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Milliseconds spent waiting for limits and between attempts.
    #[serde(default, skip_serializing_if = "is_zero_ms")]
    pub waited_ms: u64,
    /// What somebody should know although the change succeeded, such as a read-back that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<SmolStr>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_zero_ms(number: &u64) -> bool {
    *number == 0
}

/// What else happened because of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SideEffect {
    /// The account lost this, because it can hold only one of the kind.
    Replaced(EntitlementKey),
    /// The account lost this because it was disabled or deleted.
    Dropped(EntitlementKey),
    /// Something in the target's words.
    Other(SmolStr),
}

/// The target's handle of a change that takes its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "opaque text")]
pub struct PendingRef(pub SmolStr);

impl Outcome {
    const fn of(effect: Effect) -> Self {
        Self {
            effect,
            account: None,
            remote: None,
            pending: None,
            side_effects: Vec::new(),
            before: Observation::NotObserved,
            after: Observation::NotObserved,
            recovered: false,
            attempts: 0,
            waited_ms: 0,
            warnings: Vec::new(),
        }
    }

    /// Something changed.
    #[must_use]
    pub const fn changed() -> Self {
        Self::of(Effect::Changed)
    }

    /// The end state held already.
    #[must_use]
    pub const fn unchanged() -> Self {
        Self::of(Effect::Unchanged)
    }

    /// The target accepted the change and does not say whether something changed.
    #[must_use]
    pub const fn accepted() -> Self {
        Self::of(Effect::Accepted)
    }

    /// The target, or a person, works on it; ask with [`Provider::poll`](super::Provider::poll).
    #[must_use]
    pub fn pending(handle: PendingRef) -> Self {
        Self { pending: Some(handle), ..Self::of(Effect::Pending) }
    }

    /// The same with the account that was made or changed.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// The same with the target's own id of the request.
    #[must_use]
    pub fn with_remote(mut self, remote: impl AsRef<str>) -> Self {
        self.remote = Some(SmolStr::new(remote));
        self
    }

    /// The same with something else that happened.
    #[must_use]
    pub fn with_side_effect(mut self, what: SideEffect) -> Self {
        self.side_effects.push(what);
        self
    }
}

/// What a change would do, if it were made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Preview {
    /// [`Effect::Changed`] or [`Effect::Unchanged`].
    pub effect: Effect,
    /// The account now.
    pub before: Observation,
    /// The account as it would be. An account that would be made has no id yet and is shown without
    /// one, as [`Observation::NotObserved`].
    pub after: Observation,
    /// How true this is.
    pub fidelity: Fidelity,
}

impl Preview {
    /// A preview from its parts.
    #[must_use]
    pub const fn new(
        effect: Effect,
        before: Observation,
        after: Observation,
        fidelity: Fidelity,
    ) -> Self {
        Self { effect, before, after, fidelity }
    }
}

/// What a target says of itself and of our credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Health {
    /// The target's clock, where it shows one; tokens fail when it is far from ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<DateTime<Utc>>,
    /// Declared permissions that the credential lacks, where the target tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_permissions: Vec<SmolStr>,
}

impl Health {
    /// It answers, and says nothing more.
    #[must_use]
    pub const fn ok() -> Self {
        Self { server_time: None, missing_permissions: Vec::new() }
    }

    /// The same with the target's clock.
    #[must_use]
    pub const fn at(mut self, server_time: DateTime<Utc>) -> Self {
        self.server_time = Some(server_time);
        self
    }

    /// The same with a permission that is missing.
    #[must_use]
    pub fn missing(mut self, permission: impl AsRef<str>) -> Self {
        self.missing_permissions.push(SmolStr::new(permission));
        self
    }
}

/// What a target says it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Something changed.
    Changed,
    /// The end state held already. `AlreadyExists` on a grant and `NotFound` on a revoke are this.
    Unchanged,
    /// Accepted; the target does not say.
    Accepted,
    /// Not done yet.
    Pending,
}

/// What was seen of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "seen, seen to be absent, or not looked")]
pub enum Observation {
    /// Nobody looked, or looking failed.
    #[default]
    NotObserved,
    /// There is no such account.
    Absent,
    /// The account as it was.
    Present(Box<AccountState>),
}

impl Observation {
    /// Something was seen.
    #[must_use]
    pub fn present(account: AccountState) -> Self {
        Self::Present(Box::new(account))
    }

    /// Whether nobody looked.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::NotObserved)
    }

    /// The account, if it was seen.
    #[must_use]
    pub fn account(&self) -> Option<&AccountState> {
        match self {
            Self::Present(state) => Some(state),
            _ => None,
        }
    }
}
