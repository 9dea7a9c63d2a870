//! A run for people: where it stands, what it waits for and why.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use jml_core::approval::Panel;
use jml_core::id::{GateId, IdentityId, RunId, StepId};
use jml_core::journal::{RunMode, RunOutcome, SkipReason};
use jml_core::plan::{LifecycleKind, Plan, Rank, StepKind};
use serde::Serialize;

use crate::machine::{Machine, StepEnd, StepState};

/// Where a run stands. Derived from the journal; stores nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RunView {
    /// The run.
    pub run: RunId,
    /// Whom it is about.
    pub identity: IdentityId,
    /// What kind of change it is.
    pub kind: LifecycleKind,
    /// Why somebody looked.
    pub cause: String,
    /// When the plan was made.
    pub made_at: DateTime<Utc>,
    /// Whether it changes targets.
    pub mode: RunMode,
    /// How it ended, once it has.
    pub outcome: Option<RunOutcome>,
    /// Its steps in order.
    pub steps: Vec<StepView>,
    /// Gates that wait for a decision.
    pub gates: Vec<GateView>,
    /// What it waits for, one line each.
    pub waits: Vec<String>,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct StepView {
    /// The step.
    pub id: StepId,
    /// What it does, in people's words.
    pub what: String,
    /// Why.
    pub why: String,
    /// Its place in the order.
    pub rank: Rank,
    /// Whether it takes critical access away.
    pub critical: bool,
    /// Where it stands, in people's words.
    pub state: String,
    /// Whether it is over.
    pub settled: bool,
}

/// A gate that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct GateView {
    /// The gate.
    pub id: GateId,
    /// In people's words.
    pub title: String,
    /// What waits behind it.
    pub grants: Vec<String>,
    /// Which stage waits, from 1, and of how many.
    pub stage: (u16, usize),
    /// Who may decide, and by what right.
    pub approvers: Panel,
    /// How many must agree at this stage, and how many did.
    pub quorum: (u16, usize),
    /// When more people will be asked, if nobody decides before.
    pub escalates: Option<DateTime<Utc>>,
    /// When it ends as a refusal.
    pub expires: DateTime<Utc>,
}

/// What a step does, in people's words.
#[must_use]
pub fn describe(kind: &StepKind) -> String {
    match kind {
        StepKind::Change { provider, op, .. } => format!("{op} on {provider}"),
        StepKind::Confirm(it) => format!("look at `{}` on {} last", it.account, it.provider),
        StepKind::Task(task) => format!("task: {}", task.title),
        StepKind::Notice(notice) => format!("tell {}: {}", notice.to, notice.text),
        _ => "unknown".to_owned(),
    }
}

fn state(state: &StepState) -> String {
    match state {
        StepState::Waiting => "waiting".to_owned(),
        StepState::Intended { attempt, .. } => format!("sent, attempt {attempt}"),
        StepState::Applied { .. } => "answered, to be read back".to_owned(),
        StepState::Pending { since, .. } => format!("the target works on it since {since}"),
        StepState::Backoff { retry_at, parked: true, .. } => {
            format!("out of attempts, tried again at {retry_at}")
        }
        StepState::Backoff { retry_at, .. } => format!("tried again at {retry_at}"),
        StepState::Raised => "a person has it".to_owned(),
        StepState::Reported => "said to be done, to be read back".to_owned(),
        StepState::Ended(end) => match end {
            StepEnd::Verified { already: true } => "already so".to_owned(),
            StepEnd::Verified { .. } => "verified".to_owned(),
            StepEnd::Accepted => "accepted, cannot be read back".to_owned(),
            StepEnd::Left(left) => {
                let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                format!("left: {}", left.join(", "))
            }
            StepEnd::Done => "done".to_owned(),
            StepEnd::Told => "told".to_owned(),
            StepEnd::Skipped(SkipReason::Refused { gate }) => format!("refused at gate {gate}"),
            StepEnd::Skipped(SkipReason::Upstream { step }) => format!("skipped, needs {step}"),
            StepEnd::Skipped(SkipReason::Superseded) => "left to a newer plan".to_owned(),
            StepEnd::Skipped(_) => "cancelled".to_owned(),
            StepEnd::Failed(kind, text) => format!("failed: {}: {text}", kind.as_str()),
            StepEnd::Stale => "the account changed; a new plan is needed".to_owned(),
        },
    }
}

impl Machine {
    /// The run for people.
    #[must_use]
    pub fn view(&self) -> RunView {
        let header = self.plan.header();
        let mut waits = Vec::new();
        let steps: Vec<StepView> = self
            .plan
            .steps()
            .iter()
            .map(|(id, step)| {
                let at = self.steps.get(id).cloned().unwrap_or_default();
                let what = describe(&step.kind);
                match &at {
                    StepState::Raised => waits.push(format!("{what} ({id})")),
                    StepState::Backoff { .. } | StepState::Pending { .. } => {
                        waits.push(format!("{what} ({id}): {}", state(&at)));
                    }
                    _ => {}
                }
                StepView {
                    id: id.clone(),
                    what,
                    why: step.reason.text.to_string(),
                    rank: step.rank,
                    critical: step.critical,
                    state: state(&at),
                    settled: at.end().is_some(),
                }
            })
            .collect();
        let gates: Vec<GateView> = self
            .open_gates()
            .filter_map(|(id, gate, state)| {
                let stage = state.stage_of(gate)?;
                let grants = gate.covers.keys().filter_map(|step| self.plan.steps().get(step));
                Some(GateView {
                    id: id.clone(),
                    title: gate.title.to_string(),
                    grants: grants.map(|step| describe(&step.kind)).collect(),
                    stage: (state.stage + 1, gate.stages.len()),
                    approvers: state.panel(gate),
                    quorum: (stage.rule.quorum, state.agreed()),
                    escalates: state.escalates_at(gate),
                    expires: gate.expires,
                })
            })
            .collect();
        for gate in &gates {
            let who: Vec<&str> = gate.approvers.keys().map(IdentityId::as_str).collect();
            waits.push(format!("gate {} ({}): {}", gate.id, gate.title, who.join(" or ")));
        }
        RunView {
            run: self.run.clone(),
            identity: header.identity.clone(),
            kind: header.kind,
            cause: header.cause.to_string(),
            made_at: header.made_at,
            mode: self.mode,
            outcome: self.closed,
            steps,
            gates,
            waits,
        }
    }
}

/// The plan as a graph in the DOT language: steps as boxes, grouped by rank, edges to what comes first.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let mut out = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    for (id, step) in plan.steps() {
        let label = quote(&format!("{id}: {}", describe(&step.kind)));
        let style = if step.critical { ", style=bold" } else { "" };
        let _ = writeln!(out, "  \"{id}\" [label=\"{label}\"{style}];");
        for before in step.after.keys() {
            let _ = writeln!(out, "  \"{before}\" -> \"{id}\";");
        }
        if let Some(gate) = &step.gate {
            let _ = writeln!(out, "  \"{gate}\" [shape=diamond];\n  \"{gate}\" -> \"{id}\";");
        }
    }
    out.push_str("}\n");
    out
}
