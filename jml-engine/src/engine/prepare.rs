//! Looking and planning. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountState};
use jml_core::approval::Deciders;
use jml_core::desired::desired;
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::id::{ProviderId, RunId};
use jml_core::plan::Rank;
use jml_core::policy::Policy;
use jml_core::provider::{
    Cx, Descriptor, Error, Listing, Observation, Operation, Snapshot, Target, snapshot,
};
use jml_diff::lint::{Severity, lint};
use jml_diff::{AccountLine, Ledger, PlanInput, Planned, Verdict, World, plan};

use super::{Batch, Engine, EngineError, Request, Selection};
use crate::brake::{self, BrakeReport};
use crate::history::{Given, OpenRun};

impl Engine {
    /// Reads every provider and correlates what it holds to people. A provider that cannot be read is
    /// reported and left out.
    pub async fn observe(
        &self,
        policy: &Policy,
        facts: &Facts,
        at: DateTime<Utc>,
    ) -> (World, BTreeMap<ProviderId, Error>) {
        let cx = Cx::new(self.ports.clock.clone());
        let mut unread = BTreeMap::new();
        let mut seen: Vec<(&Descriptor, DateTime<Utc>, Snapshot)> = Vec::new();
        for (id, provider) in &self.ports.providers {
            match snapshot(provider.as_ref(), &cx).await {
                Ok(snapshot) => seen.push((provider.descriptor(), cx.now(), snapshot)),
                Err(error) => {
                    unread.insert(id.clone(), error);
                }
            }
        }
        (World::new(seen, facts, policy, at), unread)
    }

    /// Accounts that a plan closes and of which the listing showed only a part, read one by one. One that
    /// cannot be read stays as it was listed: closing it must not wait for that.
    async fn look_closer(&self, planned: &Planned) -> BTreeMap<AccountRef, AccountState> {
        let cx = Cx::new(self.ports.clock.clone());
        let mut closer = BTreeMap::new();
        let closed: BTreeSet<&AccountRef> =
            planned.delta.accounts.iter().filter_map(AccountLine::closes).collect();
        for at in closed {
            let Some(provider) = self.ports.providers.get(&at.provider) else { continue };
            if provider.descriptor().listing != Listing::Wide {
                continue;
            }
            let read = provider.read(&cx, &Target::Account(at.account.clone())).await;
            if let Ok(Observation::Present(state)) = read {
                closer.insert(at.clone(), *state);
            }
        }
        closer
    }

    /// Plans for the selected people and judges the batch as a whole. Writes nothing.
    ///
    /// # Errors
    /// [`EngineError`] when planning or the journal fails.
    pub async fn prepare(&self, request: &Request<'_>) -> Result<Batch, EngineError> {
        let Request { policy, facts, who, hint, cause, at } = *request;
        let (mut world, unread) = self.observe(policy, facts, at).await;
        let history = self.history.lock().await.refresh(self.ports.journal.as_ref()).await?;
        let policy_digest = policy.digest()?;
        let mut seen = world.clone();
        let mut batch = Batch {
            planned: Vec::new(),
            brakes: BrakeReport { tripped: Vec::new(), batch: Digest::plain(b"") },
            notes: BTreeMap::new(),
            refused: BTreeSet::new(),
            under_way: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            unread,
            world: World::default(),
            ledger: Ledger::default(),
            recent_leavers: Vec::new(),
        };
        let nothing = BTreeSet::new();
        let deciders = Deciders { policy, facts, zones: self.zones.as_ref(), at };
        for (id, known) in &facts.people {
            if matches!(who, Selection::Only(only) if !only.contains(id)) {
                continue;
            }
            let mut person = known.clone();
            person.raised_tasks.extend(history.raised.get(id).into_iter().flatten().cloned());
            let wanted = desired(policy, &person, self.zones.as_ref(), at);
            let make = |world: &World| {
                plan(&PlanInput {
                    policy,
                    policy_digest: &policy_digest,
                    facts: &person,
                    deciders,
                    desired: &wanted,
                    world,
                    ledger: &history.ledger,
                    refused: history.refused.get(id).unwrap_or(&nothing),
                    hint,
                    cause,
                    at,
                    parent: history.last_plan.get(id).copied(),
                })
            };
            let mut planned = make(&world)?;
            let closer = self.look_closer(&planned).await;
            if !closer.is_empty() {
                for (at, state) in closer {
                    seen.look_closer(id, &at, state.clone());
                    world.look_closer(id, &at, state);
                }
                planned = make(&world)?;
            }
            if let Some(plan) = &planned.plan {
                let notes = lint(plan, policy, &world);
                if notes.iter().any(|note| note.severity == Severity::Refuse) {
                    batch.refused.insert(id.clone());
                }
                if !notes.is_empty() {
                    batch.notes.insert(id.clone(), notes);
                }
                let meanings: BTreeSet<Digest> =
                    plan.steps().keys().filter_map(|step| plan.step_digest(step)).collect();
                let open = history.open.get(id).into_iter().flatten();
                let notices: BTreeSet<Digest> = plan
                    .steps()
                    .iter()
                    .filter(|(_, step)| step.rank == Rank::Courtesy)
                    .filter_map(|(step, _)| plan.step_digest(step))
                    .collect();
                let needed = || meanings.difference(&notices);
                let has = |run: &&OpenRun| {
                    !run.only_tasks
                        && needed().all(|meaning| run.open.contains(meaning))
                        && run
                            .gives
                            .iter()
                            .all(|given| is_wanted(given, &meanings, &planned, &seen))
                };
                if let Some(run) = open.clone().find(has) {
                    batch.under_way.insert(id.clone(), run.run.clone());
                }
            }
            if planned.plan.is_none() {
                let nothing = BTreeSet::new();
                let idle = |run: &&OpenRun| {
                    run.gives.iter().any(|given| !is_wanted(given, &nothing, &planned, &seen))
                };
                let runs = history.open.get(id).into_iter().flatten().filter(idle);
                let runs: BTreeSet<RunId> = runs.map(|run| run.run.clone()).collect();
                if !runs.is_empty() {
                    batch.withdrawn.insert(id.clone(), runs);
                }
            }
            if batch.refused.contains(id) || batch.under_way.contains_key(id) {
                planned.plan = None;
            }
            if planned.plan.is_some() {
                for line in &planned.delta.accounts {
                    if let AccountLine::Create { provider, user_name, .. } = line {
                        world.expect_name(provider, user_name, id);
                    }
                }
                // The next plan must not count on a holder whom this one takes away.
                for line in planned.delta.with(Verdict::Revoke) {
                    world.expect_holders(&line.entitlement, -1);
                }
            }
            batch.planned.push(planned);
        }
        batch.brakes = brake::judge(&policy.brakes, &batch.planned, &seen, &history.leavers, at)?;
        batch.world = seen;
        batch.ledger = history.ledger;
        batch.recent_leavers = history.leavers;
        Ok(batch)
    }
}

/// Whether what an open step would give is still wanted: planned again, claimed, or there already. What
/// cannot be seen is taken for wanted; nothing is given there while it cannot be seen.
fn is_wanted(
    given: &Given,
    planned_again: &BTreeSet<Digest>,
    planned: &Planned,
    seen: &World,
) -> bool {
    let Given { meaning, provider, op } = given;
    if planned_again.contains(meaning) || !seen.providers().contains_key(provider) {
        return true;
    }
    let delta = &planned.delta;
    let account = seen.primary(&delta.identity, provider).map(|(_, state)| state.clone());
    match op {
        Operation::Grant { entitlement } | Operation::Exchange { grant: entitlement, .. } => {
            let at = EntitlementRef::new(provider.clone(), entitlement.clone());
            delta.access.iter().any(|line| {
                line.entitlement == at && matches!(line.verdict, Verdict::Grant | Verdict::Keep)
            })
        }
        Operation::CreateAccount { .. } => {
            let makes = |line: &AccountLine| matches!(line, AccountLine::Create { provider: at, .. } if at == provider);
            account.is_some() || delta.accounts.iter().any(makes)
        }
        _ => account.is_some_and(|state| op.satisfied_by(&Observation::Present(state.into()))),
    }
}
