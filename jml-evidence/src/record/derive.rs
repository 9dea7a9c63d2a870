//! From the journal of a run to its records.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::canon::CanonError;
use jml_core::claim::ClaimSource;
use jml_core::id::{GateId, IdentityId, ProviderId, StepId};
use jml_core::identity::EngagementKind;
use jml_core::journal::{Actor, Decision, Entry, Fact, RunMode, SkipReason};
use jml_core::plan::{LifecycleKind, Plan, Rank, Step, StepKind};
use jml_core::provider::{Applied, Observation, Operation};
use serde::Serialize;

use super::{
    Body, By, Closing, Draft, Hidden, Measure, Outcome, Owner, PlanBody, StepBody, instant,
};
use crate::certificate::certificate;
use crate::disclose::disclose;
use crate::entropy::Entropy;
use crate::vault::RetentionClass::{self, Detail, Proof};

/// The records of all entries from number `from` on. Simulated runs have none.
pub(crate) fn derive(
    entries: &[Entry],
    from: u64,
    entropy: &mut dyn Entropy,
) -> Result<Vec<Draft>, CanonError> {
    let Some(Fact::Opened { plan, mode: RunMode::Executed, .. }) = entries.first().map(|e| &e.fact)
    else {
        return Ok(Vec::new());
    };
    let also = match plan.header().engagement {
        Some(EngagementKind::Contract) => vec!["contractor"],
        Some(EngagementKind::Service) => vec!["non_human"],
        _ => Vec::new(),
    };
    let mut pass = Pass { plan, entries, entropy, also, out: Vec::new() };
    for entry in entries.iter().filter(|entry| entry.seq >= from) {
        pass.entry(entry)?;
    }
    Ok(pass.out)
}

struct Pass<'a> {
    plan: &'a Plan,
    entries: &'a [Entry],
    entropy: &'a mut dyn Entropy,
    also: Vec<&'static str>,
    out: Vec<Draft>,
}

fn status(status: &'static str) -> Outcome {
    Outcome { status, code: None }
}

fn coded(status: &'static str, code: impl Into<String>) -> Outcome {
    Outcome { status, code: Some(code.into()) }
}

impl Pass<'_> {
    fn hide<T: Serialize + ?Sized>(
        &mut self,
        class: RetentionClass,
        name: &str,
        value: &T,
    ) -> Result<Hidden, CanonError> {
        let disclosure = disclose(name, value, self.entropy)?;
        Ok(Hidden { owner: Owner::Subject, class, disclosure })
    }

    /// Who somebody is, under their own key.
    fn person(&mut self, name: &str, id: &IdentityId) -> Result<Hidden, CanonError> {
        let disclosure = disclose(name, id, self.entropy)?;
        Ok(Hidden { owner: Owner::Person(id.clone()), class: Proof, disclosure })
    }

    fn push(&mut self, entry: &Entry, kind: &'static str, body: Body, hidden: Vec<Hidden>) {
        let actor = match &entry.actor {
            Actor::Person(id) => Some(By::Person(id.clone())),
            Actor::System(_) => Some(By::System),
            _ => None,
        };
        self.push_by(entry, kind, actor, body, hidden);
    }

    fn push_by(
        &mut self,
        entry: &Entry,
        kind: &'static str,
        actor: Option<By>,
        body: Body,
        hidden: Vec<Hidden>,
    ) {
        let (also, seq) = (self.also.clone(), Some(entry.seq));
        self.out.push(Draft {
            entry: seq,
            also,
            actor,
            hidden,
            ..Draft::new(kind, entry.at, body)
        });
    }

    fn step(&self, id: &StepId) -> Option<StepBody> {
        let step: &Step = self.plan.steps().get(id)?;
        let (action, target) = match &step.kind {
            StepKind::Change { provider, op, .. } => (action(op), Some(provider.to_string())),
            StepKind::Confirm(it) => ("residual".to_owned(), Some(it.provider.to_string())),
            StepKind::Task(task) => match &task.by_hand {
                Some(by_hand) => (
                    format!("by hand: {}", action(&by_hand.op)),
                    Some(by_hand.provider.to_string()),
                ),
                None => (format!("task {}", task.key.task), None),
            },
            _ => ("notice".to_owned(), None),
        };
        let gate = step.gate.as_ref().map(ToString::to_string);
        let (id, critical, due) = (id.clone(), step.critical, step.deadline.map(instant));
        let (attempt, idempotency_key) = (None, None);
        Some(StepBody { id, action, critical, target, gate, attempt, idempotency_key, due })
    }

    fn simple(&mut self, entry: &Entry, kind: &'static str, id: &StepId, outcome: Outcome) {
        let body = Body { step: self.step(id), outcome: Some(outcome), ..Body::default() };
        self.push(entry, kind, body, Vec::new());
    }

    fn at_gate(gate: &GateId, stage: Option<u16>, outcome: Outcome) -> Body {
        Body { gate: Some(gate.to_string()), stage, outcome: Some(outcome), ..Body::default() }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), CanonError> {
        match &entry.fact {
            Fact::Opened { .. } => self.opened(entry),
            Fact::GateAsked { .. }
            | Fact::GatePanel { .. }
            | Fact::GateEscalated { .. }
            | Fact::DecisionKept { .. }
            | Fact::GateDecided { .. }
            | Fact::GateExpired { .. }
            | Fact::DecisionRefused { .. }
            | Fact::BrakeOverridden { .. } => self.decision(entry),
            Fact::Closed { .. } => self.closed(entry),
            _ => self.work(entry),
        }
    }

    /// What people were asked and said.
    fn decision(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let mut hidden = Vec::new();
        if let Actor::Person(id) = &entry.actor {
            hidden.push(self.person("actor", id)?);
        }
        match &entry.fact {
            Fact::GateAsked { gate, stage } => {
                let asked = self.plan.gates().get(gate);
                let asked = asked.and_then(|gate| gate.stages.get(usize::from(*stage)));
                let panel = asked.map(|stage| stage.panel.clone()).unwrap_or_default();
                hidden.push(self.hide(Detail, "approvers", &panel)?);
                let body = Self::at_gate(gate, Some(*stage), status("asked"));
                self.push(entry, "approval.requested", body, hidden);
            }
            Fact::GatePanel { gate, stage, panel } => {
                hidden.push(self.hide(Detail, "approvers", panel)?);
                let body = Self::at_gate(gate, Some(*stage), status("reseated"));
                self.push(entry, "approval.requested", body, hidden);
            }
            Fact::GateEscalated { gate, stage, why } => {
                hidden.push(self.hide(Proof, "why", why)?);
                let body = Self::at_gate(gate, Some(*stage), status("escalated"));
                self.push(entry, "approval.requested", body, hidden);
            }
            Fact::DecisionKept { gate, by, standing, run, decided_at, stage, .. } => {
                hidden.push(self.person("actor", by)?);
                hidden.push(self.hide(Proof, "standing", standing)?);
                let mut body = Self::at_gate(gate, Some(*stage), coded("kept", run.to_string()));
                body.timing = Some(BTreeMap::from([("decided", instant(*decided_at))]));
                let by = Some(By::Person(by.clone()));
                self.push_by(entry, "approval.decided", by, body, hidden);
            }
            Fact::GateDecided { gate, decision, why, standing, stage } => {
                hidden.push(self.hide(Proof, "why", why)?);
                hidden.push(self.hide(Proof, "standing", standing)?);
                let said = match decision {
                    Decision::Approved => "approved",
                    Decision::Refused => "refused",
                };
                let body = Self::at_gate(gate, Some(*stage), status(said));
                self.push(entry, "approval.decided", body, hidden);
            }
            Fact::GateExpired { gate } => {
                let body = Self::at_gate(gate, None, status("expired"));
                self.push(entry, "approval.decided", body, hidden);
            }
            Fact::DecisionRefused { gate, by, why } => {
                hidden.push(self.person("actor", by)?);
                hidden.push(self.hide(Proof, "why", why)?);
                let body = Self::at_gate(gate, None, status("refused"));
                let by = Some(By::Person(by.clone()));
                self.push_by(entry, "policy.decision", by, body, hidden);
            }
            Fact::BrakeOverridden { batch, why } => {
                hidden.push(self.hide(Proof, "why", why)?);
                let outcome = Some(coded("overridden", batch.to_string()));
                self.push(entry, "exception.accepted", Body { outcome, ..Body::default() }, hidden);
            }
            _ => {}
        }
        Ok(())
    }

    /// What was done and seen.
    fn work(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let mut hidden = Vec::new();
        if let Actor::Person(id) = &entry.actor {
            hidden.push(self.person("actor", id)?);
        }
        let mut body = Body::default();
        match &entry.fact {
            Fact::Intended { step, attempt, key } => {
                let mut about = self.step(step);
                if let Some(about) = &mut about {
                    about.attempt = Some(*attempt);
                    about.idempotency_key = Some(key.to_string());
                }
                body.step = about;
                self.push(entry, "step.intended", body, hidden);
            }
            Fact::Applied { step, account, recovered, remote, pending, .. } => {
                if let Some(account) = account {
                    hidden.push(self.hide(Proof, "account", account)?);
                }
                if let Some(remote) = remote {
                    hidden.push(self.hide(Proof, "remote", remote)?);
                }
                body.step = self.step(step);
                body.outcome = Some(status(match (pending, recovered) {
                    (Some(_), _) => "pending",
                    (None, true) => "recovered",
                    (None, false) => "ok",
                }));
                self.push(entry, "step.result", body, hidden);
            }
            Fact::Deferred { step, error, .. } | Fact::Parked { step, error, .. } => {
                let unknown = error.applied != Applied::No;
                let said = if unknown { "unknown" } else { "failed" };
                self.simple(entry, "step.result", step, coded(said, error.kind.as_str()));
            }
            Fact::Failed { step, error } => {
                self.simple(entry, "step.result", step, coded("failed", error.kind.as_str()));
            }
            Fact::Verified { step, before, after, already } => {
                for (name, seen) in [("before", before), ("after", after)] {
                    if *seen != Observation::NotObserved {
                        hidden.push(self.hide(Detail, name, seen)?);
                    }
                }
                body.step = self.step(step);
                body.outcome = Some(status(if *already { "noop" } else { "ok" }));
                self.push(entry, "verify.observed", body, hidden);
                self.timed(entry, step);
            }
            Fact::AcceptedUnverified { step } => {
                self.simple(entry, "step.result", step, status("unverified"));
            }
            Fact::Skipped { step, why } => {
                let code = match why {
                    SkipReason::Refused { gate } => format!("refused {gate}"),
                    SkipReason::Upstream { step } => format!("upstream {step}"),
                    SkipReason::Superseded => "superseded".to_owned(),
                    SkipReason::Cancelled => "cancelled".to_owned(),
                    _ => "other".to_owned(),
                };
                self.simple(entry, "step.result", step, coded("skipped", code));
            }
            Fact::Stale { step, found } => {
                hidden.push(self.hide(Detail, "found", found)?);
                (body.step, body.outcome) = (self.step(step), Some(status("stale")));
                self.push(entry, "drift.detected", body, hidden);
            }
            Fact::TaskDone { step, proof, .. } => {
                hidden.push(self.hide(Proof, "proof", proof)?);
                (body.step, body.outcome) = (self.step(step), Some(status("ok")));
                self.push(entry, "task.completed", body, hidden);
            }
            Fact::Residual { step, left, found } => {
                hidden.push(self.hide(Proof, "left", left)?);
                hidden.push(self.hide(Detail, "found", found)?);
                body.step = self.step(step);
                body.outcome = Some(coded("residual", left.len().to_string()));
                self.push(entry, "verify.observed", body, hidden);
            }
            Fact::TaskNotSeen { step, found } => {
                hidden.push(self.hide(Detail, "found", found)?);
                (body.step, body.outcome) = (self.step(step), Some(status("mismatch")));
                self.push(entry, "verify.observed", body, hidden);
            }
            Fact::TaskRaised { step, .. } => {
                self.simple(entry, "notification.sent", step, status("raised"));
            }
            Fact::Noticed { step } => {
                self.simple(entry, "notification.sent", step, status("sent"));
            }
            Fact::DeadlineMissed { step, .. } => {
                self.simple(entry, "sla.measured", step, status("missed"));
            }
            Fact::Superseded { by } => {
                body.outcome = Some(coded("superseded", by.to_string()));
                self.push(entry, "policy.decision", body, hidden);
            }
            Fact::Cancelled { why } => {
                hidden.push(self.hide(Proof, "why", why)?);
                body.outcome = Some(status("cancelled"));
                self.push(entry, "policy.decision", body, hidden);
            }
            // A pause that a target asked for concerns nobody's access.
            _ => {}
        }
        Ok(())
    }

    /// Access for a time begins or ends: beyond the role on a request or an exception.
    fn timed(&mut self, entry: &Entry, id: &StepId) {
        let Some(step) = self.plan.steps().get(id) else { return };
        let asked = |claim: &ClaimSource| {
            matches!(claim, ClaimSource::Request { .. } | ClaimSource::Exception { .. })
        };
        let kind = match step.operation() {
            Some(Operation::Grant { .. }) if step.reason.claims.iter().any(asked) => {
                "grant.activated"
            }
            Some(Operation::Revoke { .. }) if self.plan.header().kind == LifecycleKind::Expiry => {
                "grant.expired"
            }
            _ => return,
        };
        let body = Body { step: self.step(id), ..Body::default() };
        self.push(entry, kind, body, Vec::new());
        if let Some(draft) = self.out.last_mut() {
            draft.also.push("jit");
        }
    }

    fn opened(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let header = self.plan.header();
        let mut timing = BTreeMap::from([("planned", instant(header.made_at))]);
        for (name, at) in [
            ("effective", header.effective),
            ("entered", header.entered),
            ("received", header.received),
        ] {
            if let Some(at) = at {
                timing.insert(name, instant(at));
            }
        }
        let plan = PlanBody {
            hash: self.plan.id().to_string(),
            policy: header.basis.policy.to_string(),
            policy_version: header.basis.policy_version.to_string(),
            steps: self.plan.steps().len(),
            gates: self.plan.gates().len(),
            keeps: self.plan.keeps().len(),
            foreign: self.plan.foreign().len(),
        };
        let identity = self.hide(Proof, "identity", &header.identity)?;
        let body =
            Body { timing: Some(timing.clone()), plan: Some(plan.clone()), ..Body::default() };
        self.push(entry, "run.opened", body, vec![identity]);
        let cause = self.hide(Proof, "cause", &header.cause)?;
        let facts = self.hide(Detail, "facts", &header.basis.facts)?;
        let body = Body { timing: Some(timing), ..Body::default() };
        self.push(entry, "source.event", body, vec![cause, facts]);
        let observed = &header.basis.observed;
        let seen = self.hide(Detail, "observed", observed)?;
        let body = Body { accounts: Some(observed.len() as u64), ..Body::default() };
        self.push(entry, "state.observed", body, vec![seen]);
        if header.kind == LifecycleKind::Drift {
            let body = Body { outcome: Some(status("drift")), ..Body::default() };
            self.push(entry, "drift.detected", body, Vec::new());
        }
        let whole = self.hide(Detail, "plan", self.plan)?;
        let body = Body { plan: Some(plan), ..Body::default() };
        self.push(entry, "plan.computed", body, vec![whole]);
        let excepted = |step: &Step| {
            let mut claims = step.reason.claims.iter();
            claims.any(|claim| matches!(claim, ClaimSource::Exception { .. }))
        };
        for (id, step) in self.plan.steps() {
            if step.gives().is_some() && excepted(step) {
                let claims = self.hide(Proof, "claims", &step.reason.claims)?;
                let outcome = Some(status("in force"));
                let body = Body { step: self.step(id), outcome, ..Body::default() };
                self.push(entry, "exception.accepted", body, vec![claims]);
            }
        }
        Ok(())
    }

    fn closed(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let Some(found) = certificate(self.entries) else { return Ok(()) };
        let mut closing = Closing {
            outcome: format!("{:?}", found.outcome).to_lowercase(),
            residual: found.residual.len(),
            waived: found.waived.len(),
            exposure_seconds: found.exposure().filter(|_| found.effective.is_some()),
            ..Closing::default()
        };
        let mut sent = BTreeSet::new();
        for entry in self.entries {
            match &entry.fact {
                Fact::Intended { step, .. } => {
                    sent.insert(step);
                }
                Fact::Verified { step, .. } => {
                    closing.ok += 1;
                    sent.remove(step);
                }
                Fact::AcceptedUnverified { step } => {
                    closing.unverified += 1;
                    sent.remove(step);
                }
                Fact::Skipped { step, .. } => {
                    closing.skipped += 1;
                    sent.remove(step);
                }
                Fact::Residual { .. } => closing.failed += 1,
                Fact::Failed { step, .. } | Fact::Stale { step, .. } => {
                    closing.failed += 1;
                    sent.remove(step);
                }
                _ => {}
            }
        }
        closing.open_intents = sent.len() as u64;
        for measure in measures(self.plan, self.entries) {
            let body = Body { measure: Some(measure), ..Body::default() };
            self.push(entry, "sla.measured", body, Vec::new());
        }
        if self.plan.header().kind == LifecycleKind::Drift && closing.failed == 0 {
            let body = Body { outcome: Some(status("ok")), ..Body::default() };
            self.push(entry, "drift.repaired", body, Vec::new());
        }
        let whole = self.hide(Proof, "certificate", &found)?;
        let body = Body { closing: Some(closing), ..Body::default() };
        self.push(entry, "run.closed", body, vec![whole]);
        Ok(())
    }
}

/// How soon each target did its part: what had to go, and what had to come.
fn measures(plan: &Plan, entries: &[Entry]) -> Vec<Measure> {
    type Part<'a> = BTreeMap<(ProviderId, &'static str), Vec<(&'a StepId, &'a Step)>>;
    let mut parts: Part<'_> = BTreeMap::new();
    for (id, step) in plan.steps() {
        let Some(op) = step.operation() else { continue };
        let end = step.rank == Rank::Contain || matches!(op, Operation::Revoke { .. });
        let of = if end { "end" } else { "begin" };
        let begins = matches!(op, Operation::Grant { .. } | Operation::CreateAccount { .. });
        if let (true, Some(provider)) = (end || begins, step.provider()) {
            parts.entry((provider.clone(), of)).or_default().push((id, step));
        }
    }
    let header = plan.header();
    let last = |ids: &BTreeSet<&StepId>, verified: bool| -> Option<DateTime<Utc>> {
        let hits = entries.iter().filter(|entry| match &entry.fact {
            Fact::Applied { step, pending: None, .. } => !verified && ids.contains(step),
            Fact::Verified { step, .. } => verified && ids.contains(step),
            _ => false,
        });
        hits.map(|entry| entry.at).max()
    };
    let measure = |((target, of), steps): ((ProviderId, &'static str), Vec<(&StepId, &Step)>)| {
        let ids: BTreeSet<&StepId> = steps.iter().map(|(id, _)| *id).collect();
        let seen: BTreeSet<&StepId> = entries
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Verified { step, .. } => Some(step),
                _ => None,
            })
            .collect();
        let open = ids.difference(&seen).count() as u64;
        Measure {
            target: target.to_string(),
            of,
            steps: ids.len() as u64,
            open,
            effective: header.effective.map(instant),
            entered: header.entered.map(instant),
            received: header.received.map(instant),
            due: steps.iter().filter_map(|(_, step)| step.deadline).min().map(instant),
            done: last(&ids, false).map(instant),
            // While something is open, nothing is over.
            verified: last(&ids, true).filter(|_| open == 0).map(instant),
        }
    };
    parts.into_iter().map(measure).collect()
}

/// What an operation does, without anybody's name or value in it.
fn action(op: &Operation) -> String {
    match op {
        Operation::CreateAccount { .. } => "account.create".to_owned(),
        Operation::UpdateAccount { .. } => "account.update".to_owned(),
        Operation::SetStatus { status } => format!("account.status {}", status.as_str()),
        Operation::DeleteAccount => "account.delete".to_owned(),
        Operation::RevokeCredentials { class } => format!("credentials.revoke {}", class.as_str()),
        Operation::Grant { entitlement } => format!("grant {entitlement}"),
        Operation::Revoke { entitlement } => format!("revoke {entitlement}"),
        Operation::Exchange { revoke, grant } => format!("exchange {revoke} for {grant}"),
        Operation::SetMailbox(_) => "mailbox.set".to_owned(),
        Operation::TransferOwnership { .. } => "ownership.transfer".to_owned(),
        _ => "unknown".to_owned(),
    }
}
