//! `desired(policy, facts, at)`: the access that follows from facts, with reasons.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::account::AccountStatus;
use crate::attribute::AttributeValue;
use crate::claim::Claim;
use crate::entitlement::EntitlementRef;
use crate::facts::TaskKey;
use crate::id::{AttributeName, IdentityId, ProviderId};
use crate::identity::LifecycleState;
use crate::role::Assignee;
use crate::sod::SodConflict;

/// What one identity should have at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Desired {
    /// Who.
    pub identity: IdentityId,
    /// When.
    pub at: DateTime<Utc>,
    /// Where they stand.
    pub state: LifecycleState,
    /// The account wanted on each provider. A provider that is not in the map wants none: an account
    /// found there is disabled if the person left, and foreign otherwise.
    pub accounts: BTreeMap<ProviderId, DesiredAccount>,
    /// The claims that hold at the instant, sorted.
    pub claims: Vec<Claim>,
    /// Tasks that are due and were not raised yet, sorted by due instant.
    pub tasks: Vec<DueTask>,
    /// The instant from which access must be gone, once the person left; for deadlines and evidence.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether access ended for cause.
    pub for_cause: bool,
    /// The next instant at which this answer may differ, if facts and policy stay as they are.
    pub next_change_at: Option<DateTime<Utc>>,
    /// What people should know.
    pub findings: BTreeSet<Finding>,
}

impl Desired {
    /// The entitlements that are claimed, without repeats.
    #[must_use]
    pub fn entitlements(&self) -> BTreeSet<&EntitlementRef> {
        self.claims.iter().map(|claim| &claim.entitlement).collect()
    }
}

/// The account that is wanted on one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct DesiredAccount {
    /// Whether somebody should be able to sign in. `Disabled` is wanted of existing accounts only.
    pub status: AccountStatus,
    /// The sign-in name.
    pub user_name: SmolStr,
    /// Attributes that the target should hold.
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
}

/// A task that is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct DueTask {
    /// When it fell due.
    pub due: DateTime<Utc>,
    /// Its name for ever.
    pub key: TaskKey,
    /// In people's words.
    pub title: SmolStr,
    /// Who does it.
    pub assignee: Assignee,
}

/// Something that a person should look at. Findings never stop a revoke.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// An engagement has no zone, so its dates mean no instant. Nobody gets access by it.
    MissingZone {
        /// The engagement, as text.
        engagement: SmolStr,
    },
    /// An engagement names a zone that the tz database does not know.
    UnknownZone {
        /// The zone.
        zone: SmolStr,
    },
    /// A contract has no end date. Nobody gets access by it.
    ContractWithoutEnd {
        /// The engagement, as text.
        engagement: SmolStr,
    },
    /// An engagement ends before it starts.
    EndBeforeStart {
        /// The engagement, as text.
        engagement: SmolStr,
    },
    /// An account is due and the attribute for its sign-in name has no value.
    NoUserName {
        /// The provider.
        provider: ProviderId,
        /// The attribute.
        attribute: AttributeName,
    },
    /// A claim needs an account on a provider for which no account is wanted.
    NoAccountFor {
        /// The claimed entitlement.
        entitlement: EntitlementRef,
    },
    /// A claim is for access outside the catalogue; it is not granted.
    UnknownEntitlement {
        /// The claimed entitlement.
        entitlement: EntitlementRef,
    },
    /// The claims break a separation-of-duties rule. The later claims are withheld.
    SodConflict {
        /// Rule and access.
        conflict: SodConflict,
        /// What is not granted because of it.
        withheld: BTreeSet<EntitlementRef>,
    },
    /// A rule could not be decided because an attribute has no value.
    RuleUndecided {
        /// The rule, as text.
        rule: SmolStr,
        /// The attribute.
        attribute: AttributeName,
    },
}
