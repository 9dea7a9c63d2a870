//! People about whom nothing is odd: their access lines follow from terms alone, so many can be done at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountState, AccountStatus};
use jml_core::claim::ClaimSource;
use jml_core::desired::Desired;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{IdentityId, ProviderId};
use jml_core::identity::LifecycleState;
use jml_core::policy::Policy;

use super::{AccessLine, AccountLine, Wait, Work, is_gone};
use crate::ledger::Ledger;
use crate::world::World;

/// Somebody whose access lines follow from what is claimed, what is held, and the terms of each entitlement.
pub(crate) struct Plain<'a> {
    /// What the accounts need.
    pub(crate) lines: Vec<AccountLine>,
    /// Whether the person is gone. Then there is no account.
    pub(crate) gone: bool,
    /// The one account on each provider, by provider.
    pub(crate) accounts: Vec<(&'a AccountRef, &'a AccountState)>,
}

/// The accounts of somebody about whom nothing is odd; `None` for everybody else, who take [`delta`](super::delta).
///
/// Odd is who left, never started or is between two engagements and still has an account, and whose facts do not
/// add up; who has several accounts on a provider, a protected one, one that can be given nothing now, or one to be made; who has or
/// wants something on a provider that could not be read, or not to the end; whose access a review took away;
/// whose claims are not in order; and about whom anything has to wait besides grants.
pub(crate) fn plain<'a>(
    policy: &Policy,
    desired: &Desired,
    world: &'a World,
    ledger: &Ledger,
) -> Option<Plain<'a>> {
    if desired.state == LifecycleState::Undetermined || !desired.reviewed.is_empty() {
        return None;
    }
    let mut work = Work::new(policy, desired, world, ledger);
    let mut providers: BTreeSet<&ProviderId> = desired.accounts.keys().collect();
    providers.extend(world.accounts(&desired.identity).map(|(at, _)| &at.provider));
    let mut accounts = Vec::new();
    for provider in providers {
        let facts = world.providers().get(provider)?;
        let wanted = desired.accounts.get(provider);
        let mut here = world.accounts(&desired.identity).filter(|(at, _)| &at.provider == provider);
        let Some((at, state)) = here.next() else {
            // Nobody gets an account in order to have it closed.
            if wanted.is_some_and(|it| it.status != AccountStatus::Disabled) {
                return None;
            }
            continue;
        };
        let protected = policy.protected.accounts.contains(at);
        // Somebody between two engagements has left, and leavers are counted.
        let between = desired.state == LifecycleState::PreHire && state.status.can_sign_in();
        if !facts.complete || is_gone(desired) || between || here.next().is_some() || protected {
            return None;
        }
        work.account(at, state, wanted, true);
        let opens = wanted.is_some_and(|it| it.status.can_sign_in());
        work.takes_grants(&at.provider, state.status, opens).ok()?;
        accounts.push((at, state));
    }
    let known = |wanted: &ProviderId| accounts.iter().any(|(at, _)| &at.provider == wanted);
    let claims = desired.claims.iter();
    if !claims.clone().all(|claim| known(&claim.entitlement.provider))
        || !claims.is_sorted_by_key(|claim| (&claim.entitlement, &claim.source))
        || !work.out.waits.is_empty()
    {
        return None;
    }
    let mut lines = work.out.accounts;
    lines.sort();
    Some(Plain { lines, gone: is_gone(desired), accounts })
}

/// What [`delta`](super::delta) says about one entitlement of a plain person, or what has to wait.
pub(crate) fn line(
    policy: &Policy,
    world: &World,
    ledger: &Ledger,
    identity: &IdentityId,
    entitlement: &EntitlementRef,
    reasons: Vec<ClaimSource>,
) -> Result<Option<AccessLine>, Wait> {
    let here = here(identity);
    let mut work = Work::new(policy, &here, world, ledger);
    if let Some((at, state)) = world.primary(identity, &entitlement.provider) {
        work.one(at, state, &entitlement.key, reasons);
    }
    match work.out.waits.pop() {
        Some(wait) => Err(wait),
        None => Ok(work.out.access.pop()),
    }
}

/// Somebody who is there, and about whom no line asks more.
fn here(identity: &IdentityId) -> Desired {
    Desired {
        identity: identity.clone(),
        at: DateTime::<Utc>::UNIX_EPOCH,
        state: LifecycleState::Active,
        accounts: BTreeMap::new(),
        claims: Vec::new(),
        reviewed: BTreeMap::new(),
        tasks: Vec::new(),
        ended_at: None,
        for_cause: false,
        waived: BTreeMap::new(),
        held: BTreeSet::new(),
        manager: None,
        next_change_at: None,
        findings: BTreeSet::new(),
    }
}
