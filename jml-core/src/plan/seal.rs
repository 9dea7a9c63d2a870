//! Sealing: the checks that make a set of steps a plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Foreign, Gate, Keep, Late, LifecycleKind, OnStale, PLAN_FORMAT, Plan, PlanHeader, Rank, Step,
    StepKind,
};
use crate::approval::Panel;
use crate::canon::CanonError;
use crate::digest::Digest;
use crate::id::{GateId, StepId};
use crate::provider::Operation;

/// Steps and gates before they are checked. Also the stored form of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the planner")]
pub struct PlanDraft {
    /// For whom and why.
    pub header: PlanHeader,
    /// The steps.
    pub steps: BTreeMap<StepId, Step>,
    /// The gates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<GateId, Gate>,
    /// What stays because it is claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<Keep>,
    /// What is found and left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<Foreign>,
}

/// Why a draft is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The format is not the one that this crate knows.
    #[error("plan format {0} is unknown, this version reads format {PLAN_FORMAT}")]
    Format(u16),
    /// A step waits for one that does not exist.
    #[error("step `{step}` waits for `{missing}`, which is not in the plan")]
    Dangling {
        /// The step.
        step: StepId,
        /// What is missing.
        missing: StepId,
    },
    /// A step refers to a gate that does not exist, or whose cover does not name it with its meaning.
    #[error("step `{step}` and gate `{gate}` do not agree")]
    Gate {
        /// The step.
        step: StepId,
        /// The gate.
        gate: GateId,
    },
    /// Steps wait for each other in a circle.
    #[error("steps wait for each other: {}", list(.0))]
    Cycle(Vec<StepId>),
    /// A step needs the account of a step that does not come before it or does not make one.
    #[error("step `{step}` needs the account made by `{from}`, which does not come before it")]
    LateAccount {
        /// The step.
        step: StepId,
        /// The step that should make the account.
        from: StepId,
    },
    /// Something other than a grant waits at a gate.
    #[error("step `{0}` is no grant and must not wait at a gate")]
    GatedRevoke(StepId),
    /// A containment step waits for something of a later rank.
    #[error("containment step `{step}` waits for `{on}`, which is of a later rank")]
    ContainmentWaits {
        /// The step.
        step: StepId,
        /// What it waits for.
        on: StepId,
    },
    /// An account would be deleted by a plan that is about something else. What cannot be taken back is
    /// planned for itself, when its time has come.
    #[error("step `{0}` deletes an account, which a plan of kind {1} must not")]
    Deletes(StepId, &'static str),
    /// A step that gives something, or deletes an account, would be applied to a changed account.
    #[error("step `{0}` must not be applied when stale")]
    StaleGrant(StepId),
    /// An approver of a gate is the person whom the plan is about, or the quorum cannot be reached.
    #[error("gate `{0}` cannot be decided: {1}")]
    Undecidable(GateId, &'static str),
    /// The plan has no canonical bytes.
    #[error("the plan has no canonical form")]
    Canon(#[source] CanonError),
}

fn list(ids: &[StepId]) -> String {
    ids.iter().map(StepId::as_str).collect::<Vec<_>>().join(" -> ")
}

impl PlanDraft {
    /// Checks the draft and names it by its content.
    ///
    /// # Errors
    /// [`SealError`] naming the first rule that the draft breaks.
    pub fn seal(self) -> Result<Plan, SealError> {
        if self.header.format != PLAN_FORMAT {
            return Err(SealError::Format(self.header.format));
        }
        self.check_edges()?;
        self.check_gates()?;
        self.check_cycle()?;
        self.check_late_accounts()?;
        let id = Digest::of_value("jml-plan/v1", &self).map_err(SealError::Canon)?;
        Ok(Plan { id, draft: self })
    }

    fn check_edges(&self) -> Result<(), SealError> {
        for (id, step) in &self.steps {
            for before in step.after.keys() {
                let Some(other) = self.steps.get(before) else {
                    let (step, missing) = (id.clone(), before.clone());
                    return Err(SealError::Dangling { step, missing });
                };
                if step.rank == Rank::Contain && other.rank > Rank::Contain {
                    let (step, on) = (id.clone(), before.clone());
                    return Err(SealError::ContainmentWaits { step, on });
                }
            }
            let deletes = matches!(step.operation(), Some(Operation::DeleteAccount));
            if deletes && self.header.kind != LifecycleKind::Retention {
                return Err(SealError::Deletes(id.clone(), self.header.kind.as_str()));
            }
            let gives = step.operation().is_some_and(|op| !op.takes_away());
            if gives && step.on_stale == OnStale::ApplyAnyway {
                return Err(SealError::StaleGrant(id.clone()));
            }
        }
        Ok(())
    }

    fn check_gates(&self) -> Result<(), SealError> {
        for (id, step) in &self.steps {
            let Some(gate_id) = &step.gate else { continue };
            if step.rank != Rank::Grant {
                return Err(SealError::GatedRevoke(id.clone()));
            }
            let meaning = step.meaning().map_err(SealError::Canon)?;
            let agrees = self.gates.get(gate_id).and_then(|g| g.covers.get(id)) == Some(&meaning);
            if !agrees {
                return Err(SealError::Gate { step: id.clone(), gate: gate_id.clone() });
            }
        }
        for (id, gate) in &self.gates {
            let waits =
                |step: &StepId| self.steps.get(step).is_some_and(|s| s.gate.as_ref() == Some(id));
            if let Some(step) = gate.covers.keys().find(|step| !waits(step)) {
                return Err(SealError::Gate { step: step.clone(), gate: id.clone() });
            }
            let subject = &self.header.identity;
            let about = |panel: &Panel| {
                panel.iter().any(|(id, standing)| standing.right_of(id) == subject || id == subject)
            };
            let own = gate.stages.iter().any(|it| about(&it.panel) || about(&it.escalated));
            if own || &gate.subject.identity != subject {
                let why = "the person whom the plan is about must not decide";
                return Err(SealError::Undecidable(id.clone(), why));
            }
            if gate.stages.is_empty() || gate.stages.iter().any(|stage| stage.rule.quorum == 0) {
                return Err(SealError::Undecidable(id.clone(), "nobody has to agree"));
            }
        }
        Ok(())
    }

    /// Kahn's algorithm; what is left over lies on or behind a cycle, and is walked back to one.
    fn check_cycle(&self) -> Result<(), SealError> {
        let mut open: BTreeMap<&StepId, BTreeSet<&StepId>> =
            self.steps.iter().map(|(id, step)| (id, step.after.keys().collect())).collect();
        loop {
            let ready: Vec<&StepId> =
                open.iter().filter(|(_, after)| after.is_empty()).map(|(id, _)| *id).collect();
            if ready.is_empty() {
                break;
            }
            for id in &ready {
                open.remove(id);
            }
            for after in open.values_mut() {
                for id in &ready {
                    after.remove(id);
                }
            }
        }
        let Some((first, _)) = open.iter().next() else { return Ok(()) };
        let mut path: Vec<StepId> = Vec::new();
        let mut at = *first;
        while !path.contains(at) {
            path.push(at.clone());
            match open.get(at).and_then(|after| after.iter().next()) {
                Some(before) => at = before,
                None => break,
            }
        }
        path.push(at.clone());
        let start = path.iter().position(|id| id == at).unwrap_or(0);
        Err(SealError::Cycle(path.split_off(start)))
    }

    fn check_late_accounts(&self) -> Result<(), SealError> {
        for (id, step) in &self.steps {
            let StepKind::Change { account: Some(Late::From(from)), .. } = &step.kind else {
                continue;
            };
            let makes = self
                .steps
                .get(from)
                .and_then(Step::operation)
                .is_some_and(crate::provider::Operation::makes_account);
            if !makes || !self.comes_before(from, id) {
                let (step, from) = (id.clone(), from.clone());
                return Err(SealError::LateAccount { step, from });
            }
        }
        Ok(())
    }

    fn comes_before(&self, first: &StepId, then: &StepId) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = vec![then];
        while let Some(id) = todo.pop() {
            let Some(step) = self.steps.get(id) else { continue };
            for before in step.after.keys() {
                if before == first {
                    return true;
                }
                if seen.insert(before) {
                    todo.push(before);
                }
            }
        }
        false
    }
}

impl TryFrom<PlanDraft> for Plan {
    type Error = SealError;
    fn try_from(draft: PlanDraft) -> Result<Self, SealError> {
        draft.seal()
    }
}

impl From<Plan> for PlanDraft {
    fn from(plan: Plan) -> Self {
        plan.draft
    }
}
