//! Outcomes and observations: what a target said it did, and what it was seen to hold.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::account::AccountState;
use crate::id::AccountId;

/// What a target said about a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// What it says it did.
    pub effect: Effect,
    /// The account that was made or changed, if it says so. Always set for a creation.
    pub account: Option<AccountId>,
    /// The target's own id of the request.
    pub remote: Option<SmolStr>,
}

impl Outcome {
    /// Something changed.
    #[must_use]
    pub const fn changed() -> Self {
        Self { effect: Effect::Changed, account: None, remote: None }
    }

    /// The end state held already.
    #[must_use]
    pub const fn unchanged() -> Self {
        Self { effect: Effect::Unchanged, account: None, remote: None }
    }

    /// The target accepted the change and does not say whether something changed.
    #[must_use]
    pub const fn accepted() -> Self {
        Self { effect: Effect::Accepted, account: None, remote: None }
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
}

/// What was seen of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "seen, seen to be absent, or not looked")]
pub enum Observation {
    /// Nobody looked, or looking failed.
    NotObserved,
    /// There is no such account.
    Absent,
    /// The account as it was.
    Present(Box<AccountState>),
}

impl Observation {
    /// The account, if it was seen.
    #[must_use]
    pub fn account(&self) -> Option<&AccountState> {
        match self {
            Self::Present(state) => Some(state),
            _ => None,
        }
    }
}
