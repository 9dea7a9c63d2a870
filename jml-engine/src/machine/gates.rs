//! Gates of a run: when they are asked, who decides, and what a decision counts for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use jml_core::approval::{Panel, Standing};
use jml_core::id::{GateId, IdentityId};
use jml_core::journal::{Actor, Decision, Fact};
use smol_str::SmolStr;

use super::state::joined;
use super::{KeptDecision, Machine};

impl Machine {
    pub(super) fn gates_in_time(&mut self, now: DateTime<Utc>) {
        let mut facts = Vec::new();
        for (id, state) in &self.gates {
            let Some(gate) = self.plan.gates().get(id) else { continue };
            if self.closing.is_some() || !state.is_open() {
                continue;
            }
            if gate.expires <= now {
                facts.push(Fact::GateExpired { gate: id.clone() });
            } else if state.asked.is_none() {
                facts.push(Fact::GateAsked { gate: id.clone(), stage: state.stage });
            } else if state.escalates_at(gate).is_some_and(|at| at <= now) {
                let why = SmolStr::new("nobody decided in time");
                facts.push(Fact::GateEscalated { gate: id.clone(), stage: state.stage, why });
            }
        }
        for fact in facts {
            self.note(now, Actor::Engine, fact);
        }
    }

    pub(super) fn decided(
        &mut self,
        now: DateTime<Utc>,
        id: GateId,
        by: IdentityId,
        decision: Decision,
        why: SmolStr,
    ) {
        let (Some(gate), Some(state)) = (self.plan.gates().get(&id), self.gates.get(&id)) else {
            return;
        };
        if self.closed.is_some() {
            return;
        }
        let waiting = self
            .pending
            .iter()
            .any(|entry| matches!(&entry.fact, Fact::GateDecided { gate, .. } if *gate == id));
        let (stage, panel) = (state.stage, state.panel(gate));
        let judged = match panel.get(&by) {
            _ if self.closing.is_some() => Err("the run gives way, or was stopped"),
            _ if !state.is_open() || waiting => Err("the gate is decided"),
            _ if by == gate.subject.identity => Err("nobody decides about their own access"),
            _ if gate.expires <= now => Err("the gate expired"),
            _ if state.approved.contains_key(&by) => Err("this person has decided already"),
            None => Err("this person may not decide at this gate"),
            Some(standing) if state.is_used(standing.right_of(&by)) => {
                Err("whoever this person stands in for has decided already")
            }
            Some(standing) => Ok(standing.clone()),
        };
        match judged {
            Err(text) => {
                let fact = Fact::DecisionRefused { gate: id, by, why: SmolStr::new(text) };
                self.note(now, Actor::Engine, fact);
            }
            Ok(standing) => {
                let fact = Fact::GateDecided { gate: id, stage, standing, decision, why };
                self.note(now, Actor::Person(by), fact);
            }
        }
    }

    /// Takes in who may decide as of now at the stage that is open.
    pub(super) fn seated(
        &mut self,
        now: DateTime<Utc>,
        id: &GateId,
        at: u16,
        panel: &Panel,
        escalated: &Panel,
    ) {
        let (Some(gate), Some(state)) = (self.plan.gates().get(id), self.gates.get(id)) else {
            return;
        };
        let Some(stage) = state.stage_of(gate).filter(|_| state.stage == at) else { return };
        let known = |entry: &jml_core::journal::Entry| match &entry.fact {
            Fact::GatePanel { gate, .. } | Fact::GateDecided { gate, .. } => gate == id,
            _ => false,
        };
        if self.closed.is_some() || self.closing.is_some() || self.pending.iter().any(known) {
            return;
        }
        let subject = &gate.subject.identity;
        let fit = |panel: &Panel| -> Panel {
            let own = |id: &IdentityId, standing: &Standing| {
                id == subject || standing.right_of(id) == subject
            };
            let kept = panel.iter().filter(|(id, standing)| !own(id, standing));
            kept.map(|(id, standing)| (id.clone(), standing.clone())).collect()
        };
        let (panel, more) = (fit(panel), fit(escalated));
        let free = |panel: &Panel| {
            let rights = panel.iter().map(|(id, standing)| standing.right_of(id));
            rights.filter(|right| !state.is_used(right)).collect::<BTreeSet<_>>().len()
        };
        let missing = usize::from(stage.rule.quorum).saturating_sub(state.agreed());
        let mut escalates = state.escalated;
        let mut facts = Vec::new();
        if !escalates && stage.rule.escalate.is_some() && free(&panel) < missing {
            escalates = true;
            let why = SmolStr::new("too few are left who may decide");
            facts.push(Fact::GateEscalated { gate: id.clone(), stage: at, why });
        }
        let now_seated = if escalates { joined(&panel, &more) } else { panel };
        if now_seated != state.panel(gate) {
            facts.push(Fact::GatePanel { gate: id.clone(), stage: at, panel: now_seated });
        }
        for fact in facts {
            self.note(now, Actor::Engine, fact);
        }
    }

    /// Takes in approvals of an earlier run, as far as they count here.
    pub(super) fn kept(&mut self, now: DateTime<Utc>, id: &GateId, kept: Vec<KeptDecision>) {
        let (Some(gate), Some(state)) = (self.plan.gates().get(id), self.gates.get(id)) else {
            return;
        };
        let (gate, mut state) = (gate.clone(), state.clone());
        for KeptDecision { stage, by, standing, run, decided_at, expires } in kept {
            let right = standing.right_of(&by);
            let fits = state.stage_of(&gate).is_some()
                && state.stage == stage
                && now < expires
                && by != gate.subject.identity
                && right != &gate.subject.identity
                && !state.is_used(right)
                && !state.approved.contains_key(&by);
            if fits {
                state.approve(&gate, by.clone(), standing.clone());
                let gate = id.clone();
                let fact =
                    Fact::DecisionKept { gate, stage, by, standing, run, decided_at, expires };
                self.note(now, Actor::Engine, fact);
            }
        }
    }
}
