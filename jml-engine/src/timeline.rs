//! A run as it went, line by line, for people.

use chrono::{DateTime, Utc};
use jml_core::id::StepId;
use jml_core::journal::{Actor, Decision, Entry, Fact, RunMode, SkipReason};
use jml_core::plan::Plan;
use serde::Serialize;

use crate::view::describe;

/// One line of a run's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a person's id, a system's name, or `engine`.
    pub by: String,
    /// The step that it is about.
    pub step: Option<StepId>,
    /// What, in people's words. Holds no value of an attribute.
    pub what: String,
}

/// What a journal says happened, in order. Kinds of facts that this version does not know are named as such.
#[must_use]
pub fn timeline(entries: &[Entry]) -> Vec<Moment> {
    let plan = entries.first().and_then(|first| match &first.fact {
        Fact::Opened { plan, .. } => Some(&**plan),
        _ => None,
    });
    entries
        .iter()
        .map(|entry| {
            let (step, what) = line(plan, &entry.fact);
            let by = match &entry.actor {
                Actor::Person(id) => id.to_string(),
                Actor::System(name) => name.to_string(),
                _ => "engine".to_owned(),
            };
            Moment { at: entry.at, by, step: step.cloned(), what }
        })
        .collect()
}

fn line<'a>(plan: Option<&Plan>, fact: &'a Fact) -> (Option<&'a StepId>, String) {
    let named = |step: &StepId| {
        let step = plan.and_then(|plan| plan.steps().get(step));
        step.map_or_else(|| "a step that is not in the plan".to_owned(), |it| describe(&it.kind))
    };
    let of = |step: &'a StepId, what: String| (Some(step), format!("{}: {what}", named(step)));
    let gate = |id: &dyn std::fmt::Display, stage: u16, what: &str| {
        let stage = if stage > 0 { format!(", stage {}", stage + 1) } else { String::new() };
        (None, format!("gate {id}{stage}: {what}"))
    };
    match fact {
        Fact::Opened { plan, mode, .. } => {
            let mode = if *mode == RunMode::Simulated { ", simulated" } else { "" };
            let (kind, steps) = (plan.header().kind.as_str(), plan.steps().len());
            let cause = &plan.header().cause;
            (
                None,
                format!(
                    "opened: {kind} of `{}`, {steps} steps{mode} ({cause})",
                    plan.header().identity
                ),
            )
        }
        Fact::BrakeOverridden { why, .. } => (None, format!("let the batch pass the brake: {why}")),
        Fact::GateAsked { gate: id, stage } => gate(id, *stage, "asked"),
        Fact::GatePanel { gate: id, stage, panel } => {
            let who: Vec<&str> = panel.keys().map(AsRef::as_ref).collect();
            gate(id, *stage, &format!("{} may decide now", who.join(" or ")))
        }
        Fact::GateEscalated { gate: id, stage, why } => {
            gate(id, *stage, &format!("escalated, {why}"))
        }
        Fact::DecisionKept { gate: id, stage, by, run, .. } => {
            gate(id, *stage, &format!("`{by}` approved it in run {run}"))
        }
        Fact::GateDecided { gate: id, stage, decision, why, .. } => {
            let word = match decision {
                Decision::Approved => "approved",
                Decision::Refused => "refused",
            };
            gate(id, *stage, &format!("{word}: {why}"))
        }
        Fact::DecisionRefused { gate: id, by, why } => {
            gate(id, 0, &format!("the word of `{by}` does not count: {why}"))
        }
        Fact::GateExpired { gate: id } => gate(id, 0, "nobody decided in time"),
        Fact::Intended { step, attempt, .. } => of(step, format!("sent, attempt {attempt}")),
        Fact::Applied { step, recovered: true, .. } => of(step, "found done".to_owned()),
        Fact::Applied { step, pending: Some(handle), .. } => {
            of(step, format!("the target works on it (`{}`)", handle.0))
        }
        Fact::Applied { step, .. } => of(step, "answered".to_owned()),
        Fact::Deferred { step, retry_at, error } => {
            of(step, format!("{error}; again at {retry_at}"))
        }
        Fact::Parked { step, retry_at, error } => {
            of(step, format!("out of attempts: {error}; again at {retry_at}"))
        }
        Fact::Verified { step, already: true, .. } => of(step, "already so".to_owned()),
        Fact::Verified { step, .. } => of(step, "seen".to_owned()),
        Fact::AcceptedUnverified { step } => of(step, "accepted, cannot be read back".to_owned()),
        Fact::Residual { step, left, .. } => {
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            of(step, format!("left: {}", left.join(", ")))
        }
        Fact::Skipped { step, why } => {
            let why = match why {
                SkipReason::Refused { gate } => format!("refused at gate {gate}"),
                SkipReason::Upstream { step } => format!("needs {step}"),
                SkipReason::Superseded => "left to a newer plan".to_owned(),
                _ => "cancelled".to_owned(),
            };
            of(step, format!("not done: {why}"))
        }
        Fact::Failed { step, error } => of(step, format!("failed: {error}")),
        Fact::Stale { step, .. } => {
            of(step, "the account is another one than planned for".to_owned())
        }
        Fact::TaskRaised { step, .. } => of(step, "handed to a person".to_owned()),
        Fact::TaskDone { step, proof, .. } => of(step, format!("said to be done: {proof}")),
        Fact::TaskNotSeen { step, .. } => of(step, "not seen on the target; open again".to_owned()),
        Fact::Noticed { step } => of(step, "handed over".to_owned()),
        Fact::DeadlineMissed { step, deadline } => of(step, format!("late, was due at {deadline}")),
        Fact::ProviderCooling { provider, until } => {
            (None, format!("{provider} asked for a pause until {until}"))
        }
        Fact::Superseded { by } => (None, format!("a newer plan takes over: {by}")),
        Fact::Cancelled { why } => (None, format!("cancelled: {why}")),
        Fact::Closed { outcome } => (None, format!("closed: {outcome:?}")),
        _ => (None, "something that this version does not know".to_owned()),
    }
}
