//! Brakes: a batch is looked at as a whole before its first write, and goes whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use jml_core::canon::CanonError;
use jml_core::digest::Digest;
use jml_core::id::IdentityId;
use jml_core::plan::{LifecycleKind, Step};
use jml_core::policy::Brakes;
use jml_core::provider::Operation;
use jml_diff::population::Effects;
use jml_diff::{Planned, World};
use serde::{Deserialize, Serialize};

/// What the brakes say about a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct BrakeReport {
    /// The brakes that tripped. None: the batch may go.
    pub tripped: Vec<Trip>,
    /// Names the batch by what it would do. The same changes computed a minute later have the same name.
    pub batch: Digest,
}

/// A brake that tripped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Trip {
    /// Which brake, by its name in the policy.
    pub brake: &'static str,
    /// What is allowed.
    pub limit: u64,
    /// What the batch would do.
    pub found: u64,
    /// What was counted, in people's words.
    pub what: String,
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} would be {}, at most {} allowed",
            self.brake, self.what, self.found, self.limit
        )
    }
}

/// Somebody's word that exactly one batch may pass. It raises no limit and holds for nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Override {
    /// The batch, as the brake report named it.
    pub batch: Digest,
    /// Who.
    pub by: IdentityId,
    /// Why.
    pub why: String,
    /// Until when it holds.
    pub expires: DateTime<Utc>,
}

impl Override {
    /// Whether it lets a batch pass at an instant.
    #[must_use]
    pub fn covers(&self, report: &BrakeReport, now: DateTime<Utc>) -> bool {
        self.batch == report.batch && now < self.expires && !self.why.trim().is_empty()
    }
}

/// Judges a batch. Pure. `recent` holds when earlier leavers lost their accounts, for the rolling window.
///
/// One leave for cause is exempt: the brake must not stand between a dismissal and its effect. Two are not.
///
/// # Errors
/// [`CanonError`] when a plan has no canonical form.
pub fn judge(
    brakes: &Brakes,
    batch: &[Planned],
    world: &World,
    recent: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Result<BrakeReport, CanonError> {
    let tripped = judge_effects(brakes, &effects(batch), world, recent, now);
    Ok(BrakeReport { tripped, batch: name(batch)? })
}

/// Judges what a batch would come to, before there are plans: with the effects of a
/// [`Preview`](jml_diff::what_if::Preview), the brakes that a proposed policy would trip. Pure.
#[must_use]
pub fn judge_effects(
    brakes: &Brakes,
    effects: &Effects,
    world: &World,
    recent: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Vec<Trip> {
    let population = world.population() as u64;
    let mut tripped = Vec::new();
    let mut over = |brake: &'static str, limit: Option<u64>, found: u64, what: String| {
        if let Some(limit) = limit.filter(|limit| found > *limit) {
            tripped.push(Trip { brake, limit, found, what });
        }
    };
    let share = |permille: Option<u16>, of: u64| {
        let enough = population >= u64::from(brakes.min_population);
        // A share of few is never less than one: somebody must be able to leave.
        permille.filter(|_| enough).map(|p| (of * u64::from(p) / 1000).max(1))
    };
    over(
        "max_creates",
        brakes.max_creates.map(u64::from),
        effects.creates,
        "new accounts".to_owned(),
    );
    let limit = brakes.max_deletes.map(u64::from);
    over("max_deletes", limit, effects.deletes, "deleted accounts".to_owned());
    let leavers = effects.leavers;
    over("max_leavers", brakes.max_leavers.map(u64::from), leavers, "leavers".to_owned());
    let limit = share(brakes.max_leavers_permille, population);
    over("max_leavers_share", limit, leavers, format!("leavers among {population} people"));
    let window = recent.iter().filter(|at| now - **at < hours(brakes.window_hours));
    let in_window = leavers + window.count() as u64;
    let limit = brakes.max_leavers_in_window.map(u64::from).filter(|_| leavers > 0);
    let text = format!("leavers within {} hours", brakes.window_hours);
    over("max_leavers_in_window", limit, in_window, text);

    let revokes = effects.revoked();
    let held: u64 = world.all_holders().map(|(_, holders)| u64::from(holders)).sum();
    over("max_revokes", brakes.max_revokes.map(u64::from), revokes, "revokes".to_owned());
    let limit = share(brakes.max_revokes_permille, held);
    over("max_revokes_share", limit, revokes, format!("revokes among {held} holdings"));
    let limit = brakes.max_privileged_revokes.map(u64::from);
    over("max_privileged_revokes", limit, effects.privileged, "privileged revokes".to_owned());
    for (entitlement, lost) in &effects.revokes {
        let holders = u64::from(world.holders(entitlement));
        if holders >= u64::from(brakes.min_population) {
            let limit = share(brakes.max_group_loss_permille, holders);
            let text = format!("members lost by `{entitlement}` of {holders}");
            over("max_group_loss_share", limit, *lost, text);
        }
    }
    tripped
}

fn hours(hours: u32) -> chrono::TimeDelta {
    chrono::TimeDelta::hours(hours.into())
}

/// The name of a batch: who it is about and what its steps mean, but not when it was computed.
fn name(batch: &[Planned]) -> Result<Digest, CanonError> {
    let mut meanings: BTreeMap<IdentityId, BTreeSet<Digest>> = BTreeMap::new();
    for plan in batch.iter().filter_map(|planned| planned.plan.as_ref()) {
        let set = meanings.entry(plan.header().identity.clone()).or_default();
        for step in plan.steps().values() {
            set.insert(step.meaning()?);
        }
    }
    Digest::of_value("jml-batch/v1", &meanings)
}

/// What the plans of a batch come to.
fn effects(batch: &[Planned]) -> Effects {
    let plans = || batch.iter().filter(|planned| planned.plan.is_some());
    let leaves = |planned: &&Planned| {
        planned.kind == LifecycleKind::Leave && !planned.delta.accounts.is_empty()
    };
    let emergencies: Vec<&Planned> = plans().filter(leaves).filter(|p| p.for_cause).collect();
    let exempt = match emergencies.as_slice() {
        [one] => Some(&one.delta.identity),
        _ => None,
    };
    let mut effects = Effects::default();
    for planned in plans().filter(|planned| Some(&planned.delta.identity) != exempt) {
        let steps = planned.plan.iter().flat_map(|plan| plan.steps().values());
        for op in steps.filter_map(Step::operation) {
            effects.creates += u64::from(op.makes_account());
            effects.deletes += u64::from(*op == Operation::DeleteAccount);
        }
        effects.leavers += u64::from(leaves(&planned));
        effects.count_access(&planned.delta);
    }
    effects
}
