//! `desired(policy, facts, at)`: the access that follows from facts, with reasons.

mod accounts;
mod breakpoints;
pub(crate) mod claims;
pub(crate) mod windows;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use claims::Context;
use windows::Windows;

use crate::account::AccountStatus;
use crate::attribute::AttributeValue;
use crate::claim::Claim;
use crate::entitlement::EntitlementRef;
use crate::facts::{PersonFacts, TaskKey};
use crate::id::{AttributeName, CampaignId, IdentityId, ProviderId};
use crate::identity::{Ending, LifecycleState};
use crate::plan::Waived;
use crate::policy::Policy;
use crate::role::Assignee;
use crate::sod::SodConflict;
use crate::time::ZoneResolver;

/// The access that follows from facts and policy at an instant, with every reason for it.
///
/// Pure: the same arguments give the same answer. As a function of `at` it is constant between the
/// instants that [`Desired::next_change_at`] walks through.
#[must_use]
pub fn desired(
    policy: &Policy,
    facts: &PersonFacts,
    zones: &dyn ZoneResolver,
    at: DateTime<Utc>,
) -> Desired {
    let mut findings = BTreeSet::new();
    let windows = Windows::of(facts, zones, &mut findings);
    let context = Context { policy, facts, windows: &windows, zones };
    let state = windows.state(at);

    let accounts = context.accounts(at, &mut findings);
    let moves = if needs_moves(policy, facts) { context.moves(at) } else { Vec::new() };
    let mut claims: BTreeSet<Claim> = context.by_rule(at, at);
    claims.extend(context.approved(at, &moves));
    let claimed = claims.iter().map(|claim| claim.entitlement.clone()).collect();
    claims.extend(context.transitions(at, &moves, &claimed));
    // Breakpoints are computed from all claims, also from those that are taken out below.
    let mut claims: Vec<Claim> = claims.into_iter().collect();
    let next_change_at = context.next_change(at, &claims, &moves);

    claims.retain(|claim| {
        let entitlement = claim.entitlement.clone();
        if !policy.entitlements.contains_key(&entitlement) {
            findings.insert(Finding::UnknownEntitlement { entitlement });
            return false;
        }
        if !accounts.contains_key(&entitlement.provider) {
            findings.insert(Finding::NoAccountFor { entitlement });
            return false;
        }
        true
    });
    let reviewed = context.reviewed(at, &moves, &mut claims, &mut findings);
    context.separate(&mut claims, &mut findings);
    context.undecided(at, &mut findings);

    let manager = policy.leaver.manager.as_ref();
    let manager = manager.and_then(|name| {
        let value = facts.identity.attributes.value(&policy.attributes, name, at)?;
        Some(SmolStr::new(value.as_text()?))
    });
    let ended = (state == LifecycleState::Left).then(|| windows.last_ended(at)).flatten();
    Desired {
        identity: facts.identity.id.clone(),
        at,
        state,
        accounts,
        claims,
        reviewed,
        tasks: context.tasks(at),
        ended_at: ended.and_then(|window| window.end),
        for_cause: ended.is_some_and(|window| window.engagement.ending == Ending::ForCause),
        waived: waived(facts, state, at),
        held: held(facts, at),
        manager,
        next_change_at,
        findings,
    }
}

/// Where somebody stands at an instant, by their engagements alone.
#[must_use]
pub fn state(facts: &PersonFacts, zones: &dyn ZoneResolver, at: DateTime<Utc>) -> LifecycleState {
    Windows::of(facts, zones, &mut BTreeSet::new()).state(at)
}

/// What may stay after somebody is gone. A waiver from before the end of access was about something else.
fn waived(
    facts: &PersonFacts,
    state: LifecycleState,
    at: DateTime<Utc>,
) -> BTreeMap<EntitlementRef, Waived> {
    if !matches!(state, LifecycleState::Left | LifecycleState::NeverStarted) {
        return BTreeMap::new();
    }
    let alive = facts.waivers.iter().filter(|waiver| waiver.from <= at && at < waiver.until);
    alive
        .map(|it| {
            let waived = Waived { owner: it.owner.clone(), until: it.until };
            (it.entitlement.clone(), waived)
        })
        .collect()
}

fn held(facts: &PersonFacts, at: DateTime<Utc>) -> BTreeSet<SmolStr> {
    let holds = facts.legal_holds.iter();
    let holds = holds.filter(|hold| hold.from <= at && hold.until.is_none_or(|until| at < until));
    holds.map(|hold| SmolStr::new(&hold.case)).collect()
}

/// Whether the history of moves matters: something overlaps, or a request does not simply stay.
fn needs_moves(policy: &Policy, facts: &PersonFacts) -> bool {
    use crate::claim::RequestOnMove;
    use crate::entitlement::EndPolicy;
    policy.entitlements.values().any(|entry| entry.on_move != EndPolicy::Immediate)
        || facts.requests.iter().any(|request| request.on_move != RequestOnMove::Keep)
        || facts.reviews.iter().any(|review| !review.keep)
}

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
    /// Access that would be claimed, and that a review took away: in people's words by whom and when.
    pub reviewed: BTreeMap<EntitlementRef, SmolStr>,
    /// Tasks that are due and were not raised yet, sorted by due instant.
    pub tasks: Vec<DueTask>,
    /// The instant from which access must be gone, once the person left; for deadlines and evidence.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether access ended for cause.
    pub for_cause: bool,
    /// What may stay on the accounts of somebody who left, and who answers for it.
    pub waived: BTreeMap<EntitlementRef, Waived>,
    /// Cases for which everything of somebody who left must be kept.
    pub held: BTreeSet<SmolStr>,
    /// The manager's identity id, if the policy names the attribute and it has a value.
    pub manager: Option<SmolStr>,
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
    /// A review took away what the policy gives. It stays away; the policy should say so too.
    ReviewedAway {
        /// What.
        entitlement: EntitlementRef,
        /// In which campaign.
        campaign: CampaignId,
    },
    /// Nobody at work answers for a non-human identity. It keeps what it has and is given nothing.
    NonHumanWithoutOwner {
        /// Who answered for it.
        owner: IdentityId,
    },
    /// A rule could not be decided because an attribute has no value.
    RuleUndecided {
        /// The rule, as text.
        rule: SmolStr,
        /// The attribute.
        attribute: AttributeName,
    },
}
