//! The planner: from a delta to a sealed plan, in small passes.
//!
//! nodes (what is done) -> edges (what comes first) -> gates (who must agree) -> numbers (names by
//! place) -> seal (the checks of `jml-core`). Pure: the same input gives the same bytes.

mod edges;
mod gates;
mod nodes;
mod number;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::AccountRef;
use jml_core::approval::Deciders;
use jml_core::canon::CanonError;
use jml_core::desired::{Desired, Finding};
use jml_core::digest::Digest;
use jml_core::facts::PersonFacts;
use jml_core::identity::{Ending, Engagement, IdentityKind, LifecycleState};
use jml_core::plan::{
    Basis, Foreign, Keep, LifecycleKind, PLAN_FORMAT, Plan, PlanDraft, PlanHeader, SealError,
};
use jml_core::policy::Policy;
use smol_str::SmolStr;

use crate::delta::{AccessLine, AccountLine, Delta, Verdict, Wait, delta};
use crate::ledger::Ledger;
use crate::world::World;

/// What a plan is computed from.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct PlanInput<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its digest, computed once for a whole batch.
    pub policy_digest: &'a Digest,
    /// The person's facts.
    pub facts: &'a PersonFacts,
    /// Who may decide at gates.
    pub deciders: Deciders<'a>,
    /// What follows from the person's facts.
    pub desired: &'a Desired,
    /// What was seen.
    pub world: &'a World,
    /// What we granted.
    pub ledger: &'a Ledger,
    /// Meanings of steps that a gate refused. They are not planned again.
    pub refused: &'a BTreeSet<Digest>,
    /// The kind, where the delta alone cannot tell, such as an expiry or drift.
    pub hint: Option<LifecycleKind>,
    /// Why somebody looked.
    pub cause: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// The plan that this one follows.
    pub parent: Option<Digest>,
}

/// What came of planning for one person.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Planned {
    /// The plan; `None` when there is nothing to do.
    pub plan: Option<Plan>,
    /// What kind of change it is.
    pub kind: LifecycleKind,
    /// Whether access ends for cause.
    pub for_cause: bool,
    /// What differs.
    pub delta: Delta,
    /// What cannot be done now, and why.
    pub waits: Vec<Wait>,
    /// What people should know.
    pub findings: BTreeSet<Finding>,
    /// When to plan again.
    pub next_change_at: Option<DateTime<Utc>>,
}

/// Planning failed. A defect, or a value without canonical form; never a wrong plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The steps do not make a plan.
    #[error("the steps for `{identity}` do not make a plan")]
    Seal {
        /// For whom.
        identity: SmolStr,
        /// Which check failed.
        #[source]
        source: SealError,
    },
    /// Something has no canonical form.
    #[error("facts or accounts of `{identity}` have no canonical form")]
    Canon {
        /// For whom.
        identity: SmolStr,
        /// Why.
        #[source]
        source: CanonError,
    },
}

/// Plans what one person needs at one instant.
///
/// # Errors
/// [`PlanError`].
pub fn plan(input: &PlanInput<'_>) -> Result<Planned, PlanError> {
    let mut delta = delta(input.policy, input.desired, input.world, input.ledger);
    let mut findings = input.desired.findings.clone();
    if let Some(finding) = unowned(input) {
        withhold(&mut delta, &finding);
        findings.insert(finding);
    }
    let kind = input.hint.filter(|_| !delta.gone).unwrap_or_else(|| kind_of(input, &delta));
    let identity = || SmolStr::new(input.desired.identity.as_str());
    let canon = |source| PlanError::Canon { identity: identity(), source };

    let mut waits = delta.waits.clone();
    let mut nodes = nodes::nodes(input, &delta, kind);
    edges::order(input, &mut nodes);
    let gates = gates::gates(input, &mut nodes, &mut waits).map_err(canon)?;
    nodes::confirms(input, &delta, &mut nodes);
    nodes::notices(input, &mut nodes, kind);
    let planned = |plan, waits| Planned {
        plan,
        kind,
        for_cause: input.desired.for_cause,
        delta: delta.clone(),
        waits,
        findings: findings.clone(),
        next_change_at: input.desired.next_change_at,
    };
    if nodes.is_empty() {
        return Ok(planned(None, waits));
    }
    let (steps, gates) = number::number(nodes, gates, &input.desired.identity).map_err(canon)?;
    let mut observed = BTreeMap::new();
    for (at, state) in input.world.accounts(&input.desired.identity) {
        let read_at = input.world.providers().get(&at.provider).map_or(input.at, |p| p.read_at);
        observed.insert(SmolStr::new(at.to_string()), state.stamp(read_at).map_err(canon)?);
    }
    let newest = newest(input);
    let header = PlanHeader {
        format: PLAN_FORMAT,
        identity: input.desired.identity.clone(),
        kind,
        cause: SmolStr::new(input.cause),
        parent: input.parent,
        made_at: input.at,
        effective: input.desired.ended_at,
        entered: newest.and_then(|it| it.entered_at),
        received: received(input),
        engagement: newest.map(|it| it.kind),
        basis: Basis {
            policy_version: input.policy.version.clone(),
            policy: *input.policy_digest,
            facts: input.facts.digest().map_err(canon)?,
            observed,
        },
    };
    let (keeps, foreign) = unchanged(&delta);
    let draft = PlanDraft { header, steps, gates, keeps, foreign };
    let plan = draft.seal().map_err(|source| PlanError::Seal { identity: identity(), source })?;
    Ok(planned(Some(plan), waits))
}

/// The engagement that was told of last.
fn newest<'a>(input: &PlanInput<'a>) -> Option<&'a Engagement> {
    let known = input.facts.identity.engagements.iter().filter(|it| it.recorded_at <= input.at);
    known.max_by_key(|it| (it.recorded_at, it.start, &it.id))
}

/// When the newest of what is known about the person became known.
fn received(input: &PlanInput<'_>) -> Option<DateTime<Utc>> {
    let identity = &input.facts.identity;
    let told = identity.attributes.iter().flat_map(|(_, said)| said).map(|it| it.recorded_at);
    let told = told.chain(identity.engagements.iter().map(|it| it.recorded_at));
    told.filter(|at| *at <= input.at).max()
}

/// Whether nothing but what somebody else changed is put back.
fn repairs(input: &PlanInput<'_>, delta: &Delta) -> bool {
    let theirs = |line: &AccessLine| {
        let ours =
            line.account.as_ref().and_then(|at| input.ledger.granted(at, &line.entitlement.key));
        match line.verdict {
            Verdict::Grant => ours.is_some(),
            Verdict::Revoke => ours.is_none(),
            Verdict::Keep | Verdict::Foreign(_) => true,
        }
    };
    delta.size() > 0 && delta.accounts.is_empty() && delta.access.iter().all(theirs)
}

/// Whether nothing happens but that what was approved for a time is over.
fn expires(input: &PlanInput<'_>, delta: &Delta) -> bool {
    let facts = input.facts;
    let over = |until: Option<DateTime<Utc>>| until.is_some_and(|until| until <= input.at);
    let timed = |line: &AccessLine| {
        let here = &line.entitlement;
        facts.requests.iter().any(|it| it.entitlement == *here && over(it.validity.until))
            || facts.exceptions.iter().any(|it| it.entitlement == *here && over(Some(it.until)))
            || facts.adoptions.iter().any(|it| it.entitlement == *here && over(Some(it.review_by)))
    };
    let mut changes =
        delta.access.iter().filter(|line| matches!(line.verdict, Verdict::Grant | Verdict::Revoke));
    delta.size() > 0
        && delta.accounts.is_empty()
        && changes.all(|line| line.verdict == Verdict::Revoke && timed(line))
}

/// A non-human identity whose owner does not answer for it any more.
fn unowned(input: &PlanInput<'_>) -> Option<Finding> {
    let IdentityKind::NonHuman { owner } = &input.facts.identity.kind else { return None };
    let known = input.deciders.facts.people.get(owner);
    let person = known.filter(|it| it.identity.kind == IdentityKind::Person);
    let at_hand = person.is_some_and(|facts| {
        let state = jml_core::desired::state(facts, input.deciders.zones, input.at);
        matches!(state, LifecycleState::Active | LifecycleState::OnLeave)
    });
    (!at_hand).then(|| Finding::NonHumanWithoutOwner { owner: owner.clone() })
}

/// Takes out what would be given. What is there stays: taking it from a machine could stop the company.
fn withhold(delta: &mut Delta, why: &Finding) {
    let why = SmolStr::new(why.to_string());
    let mut wait = |what: String| {
        delta.waits.push(Wait { what: SmolStr::new(what), why: why.clone() });
    };
    for line in delta.access.iter().filter(|line| line.verdict == Verdict::Grant) {
        wait(format!("grant `{}`", line.entitlement));
    }
    for line in &delta.accounts {
        if let AccountLine::Create { provider, .. } = line {
            wait(format!("account on `{provider}`"));
        }
    }
    delta.access.retain(|line| line.verdict != Verdict::Grant);
    delta.accounts.retain(|line| !matches!(line, AccountLine::Create { .. }));
}

/// What stays: claimed, or left alone.
fn unchanged(delta: &Delta) -> (Vec<Keep>, Vec<Foreign>) {
    let mut keeps = Vec::new();
    let mut foreign = Vec::new();
    for line in &delta.access {
        let Some(account) = line.account.clone() else { continue };
        let entitlement = line.entitlement.clone();
        match line.verdict {
            Verdict::Keep => {
                keeps.push(Keep { account, entitlement, reasons: line.reasons.clone() });
            }
            Verdict::Foreign(why) => foreign.push(Foreign { account, entitlement, why }),
            Verdict::Grant | Verdict::Revoke => {}
        }
    }
    (keeps, foreign)
}

/// Whether the engagement that runs was interrupted by a leave: many targets have one way to block sign-in, so
/// their accounts do not tell a return from a rehire. By the day, which is close enough for a name.
fn was_away(input: &PlanInput<'_>) -> bool {
    let today = input.at.date_naive();
    let soon = today.succ_opt().unwrap_or(today);
    let engagements = &input.facts.identity.engagements;
    let running = engagements.iter().filter(|it| {
        it.start <= soon && it.end.is_none_or(|end| end >= today) && it.ending == Ending::Ordinary
    });
    running.flat_map(|it| &it.leaves).any(|leave| leave.to.is_some_and(|to| to <= today))
}

/// Whether nobody left yet who could come back: many targets make an account that waits for the first day as a
/// disabled one.
fn is_new(input: &PlanInput<'_>, account: &AccountRef) -> bool {
    let today = input.at.date_naive();
    let ended = |it: &Engagement| it.end.is_some_and(|end| end < today);
    let left = input.facts.identity.engagements.iter().any(ended);
    !left && input.ledger.closed(account).is_none()
}

/// The kind of change, told by what accounts need.
fn kind_of(input: &PlanInput<'_>, delta: &Delta) -> LifecycleKind {
    use jml_core::account::AccountStatus as S;
    if delta.is_empty() {
        return LifecycleKind::Tasks;
    }
    match input.desired.state {
        LifecycleState::Left if delta.is_retention() => return LifecycleKind::Retention,
        LifecycleState::NeverStarted if delta.is_retention() => return LifecycleKind::Retention,
        LifecycleState::Left => return LifecycleKind::Leave,
        LifecycleState::NeverStarted => return LifecycleKind::Rescinded,
        _ => {}
    }
    let mut kind = None;
    for line in &delta.accounts {
        kind = kind.max(match line {
            AccountLine::Create { status: S::Active, .. } => Some(LifecycleKind::Join),
            AccountLine::Create { .. } => Some(LifecycleKind::PreHire),
            AccountLine::Status { from: S::Staged, to: S::Active, .. } => Some(LifecycleKind::Join),
            AccountLine::Status { from: S::Suspended, to: S::Active, .. } => {
                Some(LifecycleKind::Return)
            }
            AccountLine::Status { from: S::Active, to: S::Disabled, .. }
                if input.desired.state == LifecycleState::PreHire =>
            {
                return LifecycleKind::Leave;
            }
            AccountLine::Status { to: S::Disabled, .. }
                if input.desired.state == LifecycleState::OnLeave =>
            {
                Some(LifecycleKind::LeaveOfAbsence)
            }
            AccountLine::Status { from: S::Disabled, to: S::Active, .. } if was_away(input) => {
                Some(LifecycleKind::Return)
            }
            AccountLine::Status { account, from: S::Disabled, to: S::Active }
                if is_new(input, account) =>
            {
                Some(LifecycleKind::Join)
            }
            AccountLine::Status { to: S::Active, .. } => Some(LifecycleKind::Rehire),
            AccountLine::Status { to: S::Suspended, .. } => Some(LifecycleKind::LeaveOfAbsence),
            _ => None,
        });
    }
    if kind.is_none() && repairs(input, delta) {
        return LifecycleKind::Drift;
    }
    if kind.is_none() && expires(input, delta) {
        return LifecycleKind::Expiry;
    }
    let before_start = input.desired.state == LifecycleState::PreHire;
    kind.unwrap_or(if before_start { LifecycleKind::PreHire } else { LifecycleKind::Move })
}
