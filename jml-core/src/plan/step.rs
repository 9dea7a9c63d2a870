//! Steps: one change, one task or one notice, with its reason and its place in the order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::account::{AccountState, Left};
use crate::canon::CanonError;
use crate::claim::ClaimSource;
use crate::digest::Digest;
use crate::entitlement::{EntitlementKey, EntitlementRef};
use crate::facts::TaskKey;
use crate::id::{AccountId, GateId, IdentityId, ProviderId, StepId};
use crate::provider::Operation;
use crate::role::Assignee;

/// One node of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// Why, in people's words and as ids.
    pub reason: Reason,
    /// Which steps come first, and how they must have ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<StepId, Need>,
    /// The gate that must be open. Grants only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateId>,
    /// Its place among steps that could run.
    pub rank: Rank,
    /// Whether it takes critical access away.
    pub critical: bool,
    /// When it should be verified; missing it raises an alert, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// What to do when the account changed since the plan was made.
    pub on_stale: OnStale,
    /// How often to try.
    pub retry: Retry,
}

impl Step {
    /// The digest of what the step means: what is done, where and why, but not where it stands in this
    /// plan, and not which account id it will turn out to be. An approval or a refusal is of this.
    ///
    /// # Errors
    /// [`CanonError`] when the step has no canonical form.
    pub fn meaning(&self) -> Result<Digest, CanonError> {
        match &self.kind {
            StepKind::Change { provider, op, .. } => {
                Digest::of_value("jml-step/v1", &("change", provider, op, &self.reason))
            }
            other => Digest::of_value("jml-step/v1", &("other", other, &self.reason)),
        }
    }

    /// The provider that a change goes to, or that is looked at.
    #[must_use]
    pub const fn provider(&self) -> Option<&ProviderId> {
        match &self.kind {
            StepKind::Change { provider, .. } | StepKind::Confirm(Confirm { provider, .. }) => {
                Some(provider)
            }
            _ => None,
        }
    }

    /// The change that a person makes, if the step is a task for one.
    #[must_use]
    pub const fn by_hand(&self) -> Option<&ByHand> {
        match &self.kind {
            StepKind::Task(TaskStep { by_hand: Some(by_hand), .. }) => Some(by_hand),
            _ => None,
        }
    }

    /// The entitlement that a change gives.
    #[must_use]
    pub fn gives(&self) -> Option<EntitlementRef> {
        let (Operation::Grant { entitlement: key } | Operation::Exchange { grant: key, .. }) =
            self.operation()?
        else {
            return None;
        };
        Some(EntitlementRef::new(self.provider()?.clone(), key.clone()))
    }

    /// The account that is looked at last.
    #[must_use]
    pub const fn confirm(&self) -> Option<&Confirm> {
        match &self.kind {
            StepKind::Confirm(confirm) => Some(confirm),
            _ => None,
        }
    }

    /// The operation of a change.
    #[must_use]
    pub const fn operation(&self) -> Option<&Operation> {
        match &self.kind {
            StepKind::Change { op, .. } => Some(op),
            _ => None,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// A change on a target, verified by reading back.
    Change {
        /// Which target.
        provider: ProviderId,
        /// Which account: known, made by an earlier step, or none yet because this step makes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<Late<AccountId>>,
        /// What.
        op: Operation,
    },
    /// Looks at an account when everything else on it is over, to see that nothing is left on it.
    Confirm(Confirm),
    /// Something that a person does.
    Task(TaskStep),
    /// Something that a person is told. Never blocks access.
    Notice(Notice),
}

/// A value that is known now, or made by an earlier step of the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a value is known or it is not")]
pub enum Late<T> {
    /// Known when the plan was made.
    Known(T),
    /// The account that this step makes.
    From(StepId),
}

/// A task for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct TaskStep {
    /// Its name for ever: a task is raised once.
    pub key: TaskKey,
    /// In people's words.
    pub title: SmolStr,
    /// Who does it.
    pub assignee: Assignee,
    /// When it fell due.
    pub due: DateTime<Utc>,
    /// The change that the task stands for, where the target has no call for it. When somebody says that
    /// it is done, the target is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
}

/// A last look at the account of somebody who left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Confirm {
    /// Which target.
    pub provider: ProviderId,
    /// Which account.
    pub account: AccountId,
    /// What comes and goes with the account on this target, by the policy; it is no residual.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub immutable: BTreeSet<EntitlementKey>,
    /// What may stay, because somebody answers for it until an instant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waived: BTreeMap<EntitlementKey, Waived>,
}

/// Who answers for something that stays, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Waived {
    /// Who.
    pub owner: IdentityId,
    /// Until when.
    pub until: DateTime<Utc>,
}

impl Confirm {
    /// What is left on an account that should not be, at an instant.
    #[must_use]
    pub fn residual(&self, account: &AccountState, at: DateTime<Utc>) -> BTreeSet<Left> {
        let excused = |key: &EntitlementKey| {
            self.immutable.contains(key)
                || self.waived.get(key).is_some_and(|waived| at < waived.until)
        };
        let left = account.left().into_iter();
        left.filter(|left| !matches!(left, Left::Access(key) if excused(key))).collect()
    }
}

/// A change that a person makes on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct ByHand {
    /// Which target.
    pub provider: ProviderId,
    /// Which account; `None` when the change makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// What.
    pub op: Operation,
}

/// Word to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Notice {
    /// To whom.
    pub to: IdentityId,
    /// What, without secrets.
    pub text: SmolStr,
}

/// Why a step exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct Reason {
    /// In people's words, one line.
    pub text: SmolStr,
    /// The claims that ask for it; for a revoke, the claims that ended if they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimSource>,
}

impl Reason {
    /// A reason without claims.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: SmolStr::new(text), claims: Vec::new() }
    }
}

/// How an earlier step must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "its effect is needed, its end, or only the way")]
pub enum Need {
    /// It must have reached its end state.
    Success,
    /// It must be out of the way: ended, well or not, or parked for later.
    Settled,
    /// It must have ended, well or not.
    Ended,
}

/// Order among steps that could run. Containment first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the five ranks of DESIGN are complete")]
pub enum Rank {
    /// Block sign-in, kill credentials, take critical access.
    Contain,
    /// Take other access.
    Revoke,
    /// Hand over what would be lost.
    Transfer,
    /// Make accounts and give access.
    Grant,
    /// Tasks and notices.
    Courtesy,
}

/// What to do when the account changed since the plan was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "either the change is still right or it is not")]
pub enum OnStale {
    /// Leave the step and ask for a new plan.
    Replan,
    /// Do it all the same. Only for changes that take away.
    ApplyAnyway,
}

/// How often a step is tried, and how long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Retry {
    /// Attempts before a grant fails, or before a revoke parks and alerts.
    pub attempts: u32,
    /// First wait in milliseconds; doubles each time.
    pub base_ms: u64,
    /// Longest wait in milliseconds.
    pub max_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, base_ms: 500, max_ms: 60_000 }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::account::AccountStatus;

    #[test]
    fn a_waiver_excuses_until_its_instant_and_nothing_else() {
        let at = DateTime::UNIX_EPOCH;
        let key = |text: &str| -> EntitlementKey { text.parse().unwrap() };
        let id: AccountId = "a1".parse().unwrap();
        let mut account = AccountState::new(id.clone(), "ada", AccountStatus::Disabled);
        account.holdings = ["group/a", "group/b", "group/everyone"].map(key).into();
        let waived = Waived { owner: "M1".parse().unwrap(), until: at + TimeDelta::hours(1) };
        let confirm = Confirm {
            provider: "t".parse().unwrap(),
            account: id,
            immutable: [key("group/everyone")].into(),
            waived: [(key("group/a"), waived)].into(),
        };
        let b = Left::Access(key("group/b"));
        assert_eq!(confirm.residual(&account, at), [b.clone()].into());
        let later = at + TimeDelta::hours(1);
        assert_eq!(confirm.residual(&account, later), [Left::Access(key("group/a")), b].into());
        account.holdings.clear();
        account.status = AccountStatus::Active;
        assert_eq!(confirm.residual(&account, at), [Left::SignIn].into());
    }
}
