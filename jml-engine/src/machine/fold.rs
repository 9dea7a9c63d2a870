//! The one transition function: entries in, state out. Used live and in replay.

use jml_core::approval::Standing;
use jml_core::id::{GateId, IdentityId, StepId};
use jml_core::journal::{Actor, Decision, Entry, Fact, SkipReason};
use jml_core::plan::StepKind;

use super::state::{StepEnd, StepState};
use super::{Effect, Machine};

/// A journal is not one that this machine could have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The journal does not begin with the opening of a run.
    #[error("the journal does not begin with the opening of a run")]
    NotOpened,
    /// The journal has another format.
    #[error("journal format {0} is unknown")]
    Format(u16),
    /// An entry is missing, doubled or out of order.
    #[error("entry {expected} was expected, entry {found} was found")]
    Sequence {
        /// Which number should come.
        expected: u64,
        /// Which number came.
        found: u64,
    },
    /// An entry does not carry the digest of the one before it.
    #[error("entry {seq} does not follow from the entry before it")]
    Chain {
        /// Which entry.
        seq: u64,
    },
    /// A fact cannot be true where the run stands.
    #[error("entry {seq}: {what}")]
    Illegal {
        /// Which entry.
        seq: u64,
        /// Why not.
        what: String,
    },
}

impl Machine {
    pub(super) fn fold(&mut self, entry: &Entry) -> Result<(), ReplayError> {
        if entry.seq != self.len {
            return Err(ReplayError::Sequence { expected: self.len, found: entry.seq });
        }
        if entry.prev != self.last {
            return Err(ReplayError::Chain { seq: entry.seq });
        }
        let illegal = |what: String| ReplayError::Illegal { seq: entry.seq, what };
        if (entry.seq == 0) != matches!(entry.fact, Fact::Opened { .. }) {
            return Err(illegal("a run is opened once, at its beginning".to_owned()));
        }
        if self.closed.is_some() {
            return Err(illegal("the run is closed".to_owned()));
        }
        self.transition(entry).map_err(illegal)?;
        self.len += 1;
        self.last = entry.digest().map_err(|e| illegal(e.to_string()))?;
        Ok(())
    }

    fn transition(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.fact {
            Fact::Opened { plan, .. } if **plan != self.plan => {
                return Err("it opens another plan".to_owned());
            }
            Fact::GateAsked { gate, stage } => self.stage(gate, *stage)?.asked = Some(entry.at),
            Fact::GateEscalated { gate, stage, .. } => self.stage(gate, *stage)?.escalated = true,
            Fact::GatePanel { gate, stage, panel } => {
                self.stage(gate, *stage)?.panel = Some(panel.clone());
            }
            Fact::GateDecided { gate, stage, decision, standing, .. } => {
                let Actor::Person(by) = &entry.actor else {
                    return Err("only a person decides".to_owned());
                };
                match decision {
                    Decision::Approved => self.approve(gate, *stage, by, standing)?,
                    Decision::Refused => self.stage(gate, *stage)?.refused = Some(Some(by.clone())),
                }
            }
            Fact::DecisionKept { gate, stage, by, standing, .. } => {
                self.approve(gate, *stage, by, standing)?;
            }
            Fact::GateExpired { gate } => self.gate(gate)?.refused = Some(None),
            Fact::Intended { step, attempt, .. } => {
                let state = self.open_step(step)?;
                let doubt = state.doubt();
                *state = StepState::Intended { attempt: *attempt, doubt };
            }
            Fact::Applied { step, account, recovered, pending, .. } => {
                let state = self.open_step(step)?;
                let attempt = state.attempts();
                *state = match pending {
                    Some(handle) => {
                        StepState::Pending { attempt, handle: handle.clone(), since: entry.at }
                    }
                    None => StepState::Applied { attempt, recovered: *recovered },
                };
                if let Some(account) = account {
                    self.accounts.insert(step.clone(), account.clone());
                }
            }
            Fact::Deferred { step, retry_at, error } => {
                let state = self.open_step(step)?;
                let (attempt, doubt) = (state.failures(), state.join_doubt(error.applied));
                let retry_at = *retry_at;
                *state = StepState::Backoff { attempt, retry_at, doubt, parked: false };
            }
            Fact::Parked { step, retry_at, error } => {
                let state = self.open_step(step)?;
                let (attempt, doubt) = (state.failures(), state.join_doubt(error.applied));
                let retry_at = *retry_at;
                *state = StepState::Backoff { attempt, retry_at, doubt, parked: true };
            }
            Fact::Verified { step, after, already, .. } => {
                if let Some(account) = after.account() {
                    self.accounts.entry(step.clone()).or_insert_with(|| account.id.clone());
                }
                self.end(step, StepEnd::Verified { already: *already })?;
            }
            Fact::AcceptedUnverified { step } => self.end(step, StepEnd::Accepted)?,
            Fact::Residual { step, left, .. } => self.end(step, StepEnd::Left(left.clone()))?,
            Fact::Skipped { step, why } => self.end(step, StepEnd::Skipped(why.clone()))?,
            Fact::Failed { step, error } => {
                self.end(step, StepEnd::Failed(error.kind, error.message.clone()))?;
            }
            Fact::Stale { step, .. } => self.end(step, StepEnd::Stale)?,
            Fact::TaskRaised { step, .. } => *self.open_step(step)? = StepState::Raised,
            Fact::TaskDone { step, .. } => {
                let to_be_seen = self.plan.steps().get(step).is_some_and(|s| s.by_hand().is_some());
                let state = self.open_step(step)?;
                *state =
                    if to_be_seen { StepState::Reported } else { StepState::Ended(StepEnd::Done) };
            }
            Fact::TaskNotSeen { step, .. } => *self.open_step(step)? = StepState::Raised,
            Fact::Noticed { step } => self.end(step, StepEnd::Told)?,
            Fact::DeadlineMissed { step, .. } => {
                self.missed.insert(step.clone());
            }
            Fact::ProviderCooling { provider, until } => {
                self.cooling.insert(provider.clone(), *until);
            }
            Fact::Superseded { .. } => {
                self.closing = Some(jml_core::journal::RunOutcome::Superseded);
            }
            Fact::Cancelled { .. } => {
                self.closing = Some(jml_core::journal::RunOutcome::Cancelled);
            }
            Fact::Closed { outcome } => {
                if let Some((id, _)) = self.steps.iter().find(|(_, s)| s.end().is_none()) {
                    return Err(format!("step `{id}` is still open"));
                }
                self.closed = Some(*outcome);
            }
            Fact::Opened { .. } | Fact::BrakeOverridden { .. } | Fact::DecisionRefused { .. } => {}
            other => return Err(format!("fact {other:?} is unknown here")),
        }
        Ok(())
    }

    /// A gate that is open at this stage.
    fn stage(&mut self, id: &GateId, stage: u16) -> Result<&mut super::GateState, String> {
        let state = self.gate(id)?;
        match state.is_open() && state.stage == stage {
            true => Ok(state),
            false => Err(format!("gate `{id}` is decided at stage {stage}")),
        }
    }

    fn approve(
        &mut self,
        id: &GateId,
        stage: u16,
        by: &IdentityId,
        standing: &Standing,
    ) -> Result<(), String> {
        let gate = self.plan.gates().get(id).cloned().ok_or_else(|| format!("no gate `{id}`"))?;
        if by == &gate.subject.identity {
            return Err("nobody decides about their own access".to_owned());
        }
        let state = self.stage(id, stage)?;
        if state.is_used(standing.right_of(by)) || state.approved.contains_key(by) {
            return Err(format!("`{by}` decides twice at gate `{id}`"));
        }
        state.approve(&gate, by.clone(), standing.clone());
        Ok(())
    }

    fn gate(&mut self, id: &GateId) -> Result<&mut super::GateState, String> {
        self.gates.get_mut(id).ok_or_else(|| format!("there is no gate `{id}`"))
    }

    fn open_step(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        match self.steps.get_mut(id) {
            None => Err(format!("there is no step `{id}`")),
            Some(StepState::Ended(_)) => Err(format!("step `{id}` is over")),
            Some(state) => Ok(state),
        }
    }

    fn end(&mut self, id: &StepId, end: StepEnd) -> Result<(), String> {
        *self.open_step(id)? = StepState::Ended(end);
        Ok(())
    }

    /// What follows from an entry that just became durable. Never called in replay: effects that were
    /// lost in a crash are found again by looking, not by repeating.
    pub(super) fn after_fold(&mut self, entry: &Entry) {
        match &entry.fact {
            Fact::Intended { step, attempt, .. } => self.send(step, *attempt),
            Fact::GateAsked { gate, .. }
            | Fact::GateEscalated { gate, .. }
            | Fact::GatePanel { gate, .. } => self.ask(gate),
            Fact::TaskRaised { step, .. } => {
                self.busy.remove(step);
                let kind = self.plan.steps().get(step).map(|step| &step.kind);
                if let Some(StepKind::Task(task)) = kind {
                    let task = task.clone();
                    self.outbox.push(Effect::Raise { step: step.clone(), task });
                }
            }
            Fact::Noticed { step } => {
                self.busy.remove(step);
                let kind = self.plan.steps().get(step).map(|step| &step.kind);
                if let Some(StepKind::Notice(notice)) = kind {
                    self.outbox.push(Effect::Tell(notice.clone()));
                }
            }
            Fact::TaskNotSeen { step, .. } => {
                self.busy.remove(step);
                let text = "said to be done by hand, and the target does not show it".into();
                self.outbox.push(Effect::Alert { step: step.clone(), text });
            }
            Fact::Residual { step, left, .. } => {
                self.busy.remove(step);
                let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                let text = format!("something is left: {}", left.join(", ")).into();
                self.outbox.push(Effect::Alert { step: step.clone(), text });
            }
            Fact::DeadlineMissed { step, deadline } => {
                let text = format!("deadline {deadline} passed").into();
                self.outbox.push(Effect::Alert { step: step.clone(), text });
            }
            Fact::Applied { step, .. }
            | Fact::Deferred { step, .. }
            | Fact::Parked { step, .. }
            | Fact::Verified { step, .. }
            | Fact::AcceptedUnverified { step }
            | Fact::Skipped { step, .. }
            | Fact::Failed { step, .. }
            | Fact::Stale { step, .. } => {
                self.busy.remove(step);
            }
            _ => {}
        }
    }

    /// Whoever may decide at a gate hears of it.
    fn ask(&mut self, gate: &GateId) {
        let (Some(what), Some(state)) = (self.plan.gates().get(gate), self.gates.get(gate)) else {
            return;
        };
        if state.stage_of(what).is_some() && state.asked.is_some() {
            let (stage, panel) = (state.stage, state.panel(what));
            self.outbox.push(Effect::Ask { gate: gate.clone(), stage, panel });
        }
    }

    /// Why a step that can't run any more is skipped.
    pub(super) fn skip_reason(&self, id: &StepId) -> Option<SkipReason> {
        use jml_core::journal::RunOutcome;
        use jml_core::plan::Need;
        match self.closing {
            Some(RunOutcome::Superseded) => {
                // Somebody is at it, and no newer plan raises it again.
                let step = self.plan.steps().get(id)?;
                let role_task = matches!(step.kind, StepKind::Task(_)) && step.by_hand().is_none();
                let at_it = role_task && self.steps.get(id) == Some(&StepState::Raised);
                return (!at_it).then_some(SkipReason::Superseded);
            }
            Some(RunOutcome::Cancelled) => return Some(SkipReason::Cancelled),
            _ => {}
        }
        let step = self.plan.steps().get(id)?;
        if let Some(gate) = &step.gate
            && self.gates.get(gate).is_some_and(|state| state.refused.is_some())
        {
            return Some(SkipReason::Refused { gate: gate.clone() });
        }
        let lost = step.after.iter().find(|(before, need)| {
            let end = self.steps.get(*before).and_then(StepState::end);
            **need == Need::Success && end.is_some_and(|end| !end.is_success())
        });
        lost.map(|(before, _)| SkipReason::Upstream { step: before.clone() })
    }
}
