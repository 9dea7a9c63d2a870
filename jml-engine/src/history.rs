//! What earlier runs leave behind: grants, refusals, raised tasks, and runs that are still open.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::digest::Digest;
use jml_core::facts::TaskKey;
use jml_core::id::{GateId, GateRuleId, IdentityId, ProviderId, RunId, StepId};
use jml_core::journal::{
    Actor, Decision, Entry, Fact, JournalError, JournalStore, RunMode, SkipReason,
};
use jml_core::plan::{Gate, LifecycleKind, Plan, Step, StepKind};
use jml_core::policy::StageRule;
use jml_core::provider::Operation;
use jml_diff::Ledger;

use crate::machine::KeptDecision;

/// What the journals say, folded once. Closed runs never change, so they are read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    read: BTreeSet<RunId>,
    pub(crate) ledger: Ledger,
    pub(crate) refused: BTreeMap<IdentityId, BTreeSet<Digest>>,
    pub(crate) raised: BTreeMap<IdentityId, BTreeSet<TaskKey>>,
    pub(crate) leavers: Vec<DateTime<Utc>>,
    pub(crate) last_plan: BTreeMap<IdentityId, Digest>,
    pub(crate) open: BTreeMap<IdentityId, Vec<OpenRun>>,
    approvals: BTreeMap<IdentityId, Vec<Approval>>,
}

/// Somebody's yes to changes that were not made yet.
#[derive(Clone, Debug)]
struct Approval {
    rule: GateRuleId,
    /// What the policy said about the stage.
    stage: StageRule,
    /// Meanings of the steps that it was about and that were not carried out since.
    covers: BTreeSet<Digest>,
    decision: KeptDecision,
}

/// A run that is not closed.
#[derive(Clone, Debug)]
pub(crate) struct OpenRun {
    pub(crate) run: RunId,
    /// Meanings of the steps that are still open.
    pub(crate) open: BTreeSet<Digest>,
    /// Open steps that would give something.
    pub(crate) gives: Vec<Given>,
    /// Whether only tasks are open.
    pub(crate) only_tasks: bool,
}

/// Something that an open step would give.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) meaning: Digest,
    pub(crate) provider: ProviderId,
    pub(crate) op: Operation,
}

impl History {
    /// Reads what is new in the store. Returns the history with open runs taken in.
    pub(crate) async fn refresh(&mut self, store: &dyn JournalStore) -> Result<Self, JournalError> {
        let mut open = Vec::new();
        for run in store.runs().await? {
            if self.read.contains(&run) {
                continue;
            }
            let entries = store.load(&run).await?;
            if matches!(entries.last().map(|e| &e.fact), Some(Fact::Closed { .. })) {
                self.take(&entries);
                self.read.insert(run);
            } else {
                open.push((run, entries));
            }
        }
        let mut now = self.clone();
        for (run, entries) in open {
            now.take(&entries);
            now.take_open(run, &entries);
        }
        Ok(now)
    }

    fn take(&mut self, entries: &[Entry]) {
        let Some((plan, at)) = opened(entries) else { return };
        let identity = plan.header().identity.clone();
        self.ledger.record(entries);
        self.last_plan.insert(identity.clone(), *plan.id());
        if plan.header().kind == LifecycleKind::Leave {
            self.leavers.push(at);
        }
        for entry in entries {
            match &entry.fact {
                Fact::Skipped { step, why: SkipReason::Refused { .. } } => {
                    if let Some(meaning) = plan.step_digest(step) {
                        self.refused.entry(identity.clone()).or_default().insert(meaning);
                    }
                }
                Fact::TaskRaised { key, .. } => {
                    self.raised.entry(identity.clone()).or_default().insert(key.clone());
                }
                // A change by hand is needed again when it is needed again; other tasks are raised once.
                Fact::Verified { step, .. }
                | Fact::AcceptedUnverified { step }
                | Fact::Skipped { step, .. } => {
                    if let Some(StepKind::Task(task)) = plan.steps().get(step).map(|s| &s.kind)
                        && task.by_hand.is_some()
                        && let Some(raised) = self.raised.get_mut(&identity)
                    {
                        raised.remove(&task.key);
                    }
                }
                _ => {}
            }
        }
        self.take_approvals(plan, entries);
    }

    /// An approval is of the meaning of steps: it outlives its run until it expires or the change is made.
    fn take_approvals(&mut self, plan: &Plan, entries: &[Entry]) {
        let mut given: BTreeMap<&GateId, Vec<Approval>> = BTreeMap::new();
        for entry in entries {
            let (id, decision) = match &entry.fact {
                Fact::GateDecided { gate, decision: Decision::Refused, .. } => {
                    given.remove(gate);
                    continue;
                }
                Fact::GateDecided { gate, stage, standing, .. } => {
                    let Actor::Person(by) = &entry.actor else { continue };
                    let Some(expires) = plan.gates().get(gate).map(|gate| gate.expires) else {
                        continue;
                    };
                    let run = RunId::of_plan(plan.id());
                    let (by, standing, decided_at) = (by.clone(), standing.clone(), entry.at);
                    let stage = *stage;
                    (gate, KeptDecision { stage, by, standing, run, decided_at, expires })
                }
                Fact::DecisionKept { gate, stage, by, standing, run, decided_at, expires } => {
                    let (by, standing, run) = (by.clone(), standing.clone(), run.clone());
                    let (stage, decided_at, expires) = (*stage, *decided_at, *expires);
                    (gate, KeptDecision { stage, by, standing, run, decided_at, expires })
                }
                _ => continue,
            };
            let Some(gate) = plan.gates().get(id) else { continue };
            let Some(stage) = gate.stages.get(usize::from(decision.stage)) else { continue };
            given.entry(id).or_default().push(Approval {
                rule: gate.rule.clone(),
                stage: stage.rule.clone(),
                covers: gate.covers.values().copied().collect(),
                decision,
            });
        }
        let made: BTreeSet<Digest> = entries
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Verified { step, .. } | Fact::AcceptedUnverified { step } => {
                    plan.step_digest(step)
                }
                _ => None,
            })
            .collect();
        let all = self.approvals.entry(plan.header().identity.clone()).or_default();
        all.extend(given.into_values().flatten());
        for approval in &mut *all {
            approval.covers.retain(|meaning| !made.contains(meaning));
        }
        all.retain(|approval| !approval.covers.is_empty());
    }

    /// Approvals that count at a gate of a new plan: of the same stage of the same rule, for everything
    /// that waits there. A gate that grew gets none.
    pub(crate) fn kept(&self, identity: &IdentityId, gate: &Gate) -> Vec<KeptDecision> {
        let counts = |it: &&Approval| {
            let stage = gate.stages.get(usize::from(it.decision.stage));
            it.rule == gate.rule
                && stage.is_some_and(|stage| stage.rule == it.stage)
                && gate.covers.values().all(|meaning| it.covers.contains(meaning))
        };
        let mut kept: Vec<KeptDecision> = self
            .approvals
            .get(identity)
            .into_iter()
            .flatten()
            .filter(counts)
            .map(|approval| approval.decision.clone())
            .collect();
        kept.sort_by_key(|decision| (decision.stage, decision.decided_at));
        kept
    }

    fn take_open(&mut self, run: RunId, entries: &[Entry]) {
        let Some((plan, _)) = opened(entries) else { return };
        let by_hand = |id: &StepId| plan.steps().get(id).is_some_and(|s| s.by_hand().is_some());
        // Somebody's word that a change was made by hand does not end its step; seeing it does.
        let word = |fact: &Fact| matches!(fact, Fact::TaskDone { step, .. } if by_hand(step));
        let over = entries.iter().map(|entry| &entry.fact).filter(|fact| !word(fact));
        let ended: BTreeSet<&StepId> = over.filter_map(ended).collect();
        let open = || plan.steps().iter().filter(|(id, _)| !ended.contains(id));
        let given = |(id, step): (&StepId, &Step)| {
            let (provider, op) = (step.provider()?.clone(), step.operation()?.clone());
            let meaning = plan.step_digest(id)?;
            (!op.takes_away()).then_some(Given { meaning, provider, op })
        };
        let open_run = OpenRun {
            run,
            gives: open().filter_map(given).collect(),
            only_tasks: open().all(|(_, step)| step.operation().is_none()),
            open: open().filter_map(|(id, _)| plan.step_digest(id)).collect(),
        };
        self.open.entry(plan.header().identity.clone()).or_default().push(open_run);
    }
}

fn opened(entries: &[Entry]) -> Option<(&Plan, DateTime<Utc>)> {
    let first = entries.first()?;
    match &first.fact {
        Fact::Opened { plan, mode: RunMode::Executed, .. } => Some((plan, first.at)),
        _ => None,
    }
}

const fn ended(fact: &Fact) -> Option<&StepId> {
    match fact {
        Fact::Verified { step, .. }
        | Fact::AcceptedUnverified { step }
        | Fact::Residual { step, .. }
        | Fact::Skipped { step, .. }
        | Fact::Failed { step, .. }
        | Fact::Stale { step, .. }
        | Fact::TaskDone { step, .. }
        | Fact::Noticed { step } => Some(step),
        _ => None,
    }
}
