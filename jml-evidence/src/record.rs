//! Records: what one line of the log says. Derived from a run's journal and from nothing else.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use jml_core::canon::CanonError;
use jml_core::id::{GateId, StepId};
use jml_core::journal::{Actor, Decision, Entry, Fact, RunMode};
use jml_core::plan::{LifecycleKind, Plan, Step, StepKind};
use jml_core::provider::{Applied, Observation, Operation};
use serde::Serialize;
use smol_str::SmolStr;

use crate::certificate::certificate;
use crate::disclose::{Disclosure, disclose};
use crate::entropy::Entropy;

/// A record before it has its place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Number of the journal entry that it comes from.
    pub(crate) entry: u64,
    pub(crate) kind: &'static str,
    pub(crate) time: DateTime<Utc>,
    pub(crate) body: Body,
    pub(crate) disclosures: Vec<Disclosure>,
}

/// What a record says besides its place. Absent fields are absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Body {
    pub(crate) actor: Option<&'static str>,
    pub(crate) step: Option<StepBody>,
    pub(crate) gate: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) plan: Option<PlanBody>,
    pub(crate) timing: Option<BTreeMap<&'static str, String>>,
    pub(crate) closing: Option<Closing>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepBody {
    id: StepId,
    action: String,
    critical: bool,
    target: Option<String>,
    gate: Option<String>,
    attempt: Option<u32>,
    idempotency_key: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) status: &'static str,
    pub(crate) detail: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanBody {
    hash: String,
    policy: String,
    policy_version: String,
    steps: usize,
    gates: usize,
    keeps: usize,
    foreign: usize,
}

/// What a closed run adds up to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Closing {
    pub(crate) outcome: String,
    pub(crate) ok: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) unverified: u64,
    pub(crate) open_intents: u64,
    pub(crate) residual: usize,
    pub(crate) exposure_seconds: Option<i64>,
    /// Filled in when the record gets its place.
    pub(crate) records: u64,
    pub(crate) run_root: String,
    pub(crate) controls: Vec<String>,
}

/// An instant as records write it: RFC 3339, UTC, three decimals.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The stage of a gate, for people. The first one goes without saying.
fn stage_name(stage: u16) -> Option<String> {
    (stage > 0).then(|| format!("stage {}", stage + 1))
}

/// The event that a plan is about, in the words of the control catalogue.
pub(crate) const fn event(kind: LifecycleKind) -> &'static str {
    match kind {
        LifecycleKind::PreHire | LifecycleKind::Join | LifecycleKind::Rehire => "joiner",
        LifecycleKind::Leave => "leaver",
        LifecycleKind::Drift => "reconciliation",
        LifecycleKind::Rescinded => "rescinded",
        _ => "mover",
    }
}

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
    let mut pass = Pass { plan, entries, entropy, out: Vec::new() };
    for entry in entries.iter().filter(|entry| entry.seq >= from) {
        pass.entry(entry)?;
    }
    Ok(pass.out)
}

struct Pass<'a> {
    plan: &'a Plan,
    entries: &'a [Entry],
    entropy: &'a mut dyn Entropy,
    out: Vec<Draft>,
}

impl Pass<'_> {
    fn hide<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<Disclosure, CanonError> {
        disclose(name, value, self.entropy)
    }

    fn push(&mut self, entry: &Entry, kind: &'static str, body: Body, hidden: Vec<Disclosure>) {
        let (time, entry) = (entry.at, entry.seq);
        self.out.push(Draft { entry, kind, time, body, disclosures: hidden });
    }

    fn step(&self, id: &StepId) -> Option<StepBody> {
        let step: &Step = self.plan.steps().get(id)?;
        let (action, target) = match &step.kind {
            StepKind::Change { provider, op, .. } => (action(op), Some(provider.to_string())),
            StepKind::Confirm(it) => ("residual".to_owned(), Some(it.provider.to_string())),
            StepKind::Task(task) => (format!("task {}", task.key.task), None),
            _ => ("notice".to_owned(), None),
        };
        let gate = step.gate.as_ref().map(ToString::to_string);
        let (id, critical) = (id.clone(), step.critical);
        let (attempt, idempotency_key) = (None, None);
        Some(StepBody { id, action, critical, target, gate, attempt, idempotency_key })
    }

    fn simple(&mut self, entry: &Entry, kind: &'static str, id: &StepId, outcome: Outcome) {
        let body = Body { step: self.step(id), outcome: Some(outcome), ..Body::default() };
        self.push(entry, kind, body, Vec::new());
    }

    /// Somebody was asked to decide.
    fn asked(
        &mut self,
        entry: &Entry,
        gate: &GateId,
        stage: u16,
        status: &'static str,
        why: Option<&SmolStr>,
        hidden: Vec<Disclosure>,
    ) {
        let detail = match (stage_name(stage), why) {
            (Some(stage), Some(why)) => Some(format!("{stage}: {why}")),
            (stage, why) => stage.or_else(|| why.map(ToString::to_string)),
        };
        let outcome = Some(Outcome { status, detail });
        let gate = Some(gate.to_string());
        let body = Body { gate, outcome, ..Body::default() };
        self.push(entry, "approval.requested", body, hidden);
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let status = |status: &'static str| Outcome { status, detail: None };
        let actor = match &entry.actor {
            Actor::Person(_) => Some("person"),
            Actor::System(_) => Some("system"),
            _ => None,
        };
        let mut hidden = Vec::new();
        if let Actor::Person(id) = &entry.actor {
            hidden.push(self.hide("actor", id)?);
        }
        match &entry.fact {
            Fact::Opened { .. } => self.opened(entry)?,
            Fact::GateAsked { gate, stage } => {
                let asked = self.plan.gates().get(gate);
                let asked = asked.and_then(|gate| gate.stages.get(usize::from(*stage)));
                let panel = asked.map(|stage| stage.panel.clone()).unwrap_or_default();
                hidden.push(self.hide("approvers", &panel)?);
                self.asked(entry, gate, *stage, "asked", None, hidden);
            }
            Fact::GatePanel { gate, stage, panel } => {
                hidden.push(self.hide("approvers", panel)?);
                self.asked(entry, gate, *stage, "reseated", None, hidden);
            }
            Fact::GateEscalated { gate, stage, why } => {
                self.asked(entry, gate, *stage, "escalated", Some(why), hidden);
            }
            Fact::DecisionKept { gate, by, standing, run, decided_at, .. } => {
                hidden.push(self.hide("actor", by)?);
                hidden.push(self.hide("standing", standing)?);
                let detail = Some(format!("decided in run {run} at {}", instant(*decided_at)));
                let outcome = Some(Outcome { status: "kept", detail });
                let gate = Some(gate.to_string());
                let body = Body { actor: Some("person"), gate, outcome, ..Body::default() };
                self.push(entry, "approval.decided", body, hidden);
            }
            Fact::GateDecided { gate, decision, why, standing, stage } => {
                hidden.push(self.hide("why", why)?);
                hidden.push(self.hide("standing", standing)?);
                let status = match decision {
                    Decision::Approved => "approved",
                    Decision::Refused => "refused",
                };
                let outcome = Some(Outcome { status, detail: stage_name(*stage) });
                let gate = Some(gate.to_string());
                let body = Body { actor, gate, outcome, ..Body::default() };
                self.push(entry, "approval.decided", body, hidden);
            }
            Fact::GateExpired { gate } => {
                let (gate, outcome) = (Some(gate.to_string()), Some(status("expired")));
                let body = Body { gate, outcome, ..Body::default() };
                self.push(entry, "approval.decided", body, hidden);
            }
            Fact::DecisionRefused { gate, by, why } => {
                hidden.push(self.hide("actor", by)?);
                let outcome = Outcome { status: "refused", detail: Some(why.to_string()) };
                let (gate, outcome) = (Some(gate.to_string()), Some(outcome));
                let body = Body { gate, outcome, ..Body::default() };
                self.push(entry, "policy.decision", body, hidden);
            }
            Fact::BrakeOverridden { batch, why } => {
                hidden.push(self.hide("why", why)?);
                let detail = Some(batch.to_string());
                let outcome = Some(Outcome { status: "overridden", detail });
                let body = Body { actor, outcome, ..Body::default() };
                self.push(entry, "exception.accepted", body, hidden);
            }
            Fact::Intended { step, attempt, key } => {
                let mut about = self.step(step);
                if let Some(about) = &mut about {
                    about.attempt = Some(*attempt);
                    about.idempotency_key = Some(key.to_string());
                }
                let body = Body { step: about, ..Body::default() };
                self.push(entry, "step.intended", body, hidden);
            }
            Fact::Applied { step, account, recovered, .. } => {
                if let Some(account) = account {
                    hidden.push(self.hide("account", account)?);
                }
                let outcome = Some(status(if *recovered { "recovered" } else { "ok" }));
                let body = Body { step: self.step(step), outcome, ..Body::default() };
                self.push(entry, "step.result", body, hidden);
            }
            Fact::Deferred { step, error, .. } | Fact::Parked { step, error, .. } => {
                let unknown = error.applied != Applied::No;
                let status = if unknown { "unknown" } else { "failed" };
                let detail = Some(error.kind.as_str().to_owned());
                self.simple(entry, "step.result", step, Outcome { status, detail });
            }
            Fact::Failed { step, error } => {
                let detail = Some(error.kind.as_str().to_owned());
                self.simple(entry, "step.result", step, Outcome { status: "failed", detail });
            }
            Fact::Verified { step, before, after, already } => {
                for (name, seen) in [("before", before), ("after", after)] {
                    if *seen != Observation::NotObserved {
                        hidden.push(self.hide(name, seen)?);
                    }
                }
                let outcome = Some(status(if *already { "noop" } else { "ok" }));
                let body = Body { step: self.step(step), outcome, ..Body::default() };
                self.push(entry, "verify.observed", body, hidden);
            }
            Fact::AcceptedUnverified { step } => {
                self.simple(entry, "step.result", step, status("unverified"));
            }
            Fact::Skipped { step, why } => {
                let detail = Some(format!("{why:?}"));
                self.simple(entry, "step.result", step, Outcome { status: "skipped", detail });
            }
            Fact::Stale { step, found } => {
                hidden.push(self.hide("found", found)?);
                let body = Body {
                    step: self.step(step),
                    outcome: Some(status("stale")),
                    ..Body::default()
                };
                self.push(entry, "drift.detected", body, hidden);
            }
            Fact::TaskDone { step, proof, .. } => {
                hidden.push(self.hide("proof", proof)?);
                let body = Body {
                    actor,
                    step: self.step(step),
                    outcome: Some(status("ok")),
                    ..Body::default()
                };
                self.push(entry, "task.completed", body, hidden);
            }
            Fact::Residual { step, left, found } => {
                hidden.push(self.hide("left", left)?);
                hidden.push(self.hide("found", found)?);
                let detail = Some(format!("{} left", left.len()));
                let outcome = Some(Outcome { status: "residual", detail });
                let body = Body { step: self.step(step), outcome, ..Body::default() };
                self.push(entry, "verify.observed", body, hidden);
            }
            Fact::TaskNotSeen { step, found } => {
                hidden.push(self.hide("found", found)?);
                let outcome = Some(status("mismatch"));
                let body = Body { step: self.step(step), outcome, ..Body::default() };
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
                let outcome = Some(Outcome { status: "superseded", detail: Some(by.to_string()) });
                let body = Body { outcome, ..Body::default() };
                self.push(entry, "policy.decision", body, hidden);
            }
            Fact::Cancelled { why } => {
                hidden.push(self.hide("why", why)?);
                let body = Body { actor, outcome: Some(status("cancelled")), ..Body::default() };
                self.push(entry, "policy.decision", body, hidden);
            }
            Fact::Closed { .. } => self.closed(entry)?,
            // A pause that a target asked for concerns nobody's access.
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let header = self.plan.header();
        let mut timing = BTreeMap::from([("received", instant(header.made_at))]);
        if let Some(effective) = header.effective {
            timing.insert("effective", instant(effective));
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
        let identity = self.hide("identity", &header.identity)?;
        let cause = self.hide("cause", &header.cause)?;
        let body = Body { timing: Some(timing), plan: Some(plan.clone()), ..Body::default() };
        self.push(entry, "run.opened", body, vec![identity, cause]);
        let whole = self.hide("plan", self.plan)?;
        let body = Body { plan: Some(plan), ..Body::default() };
        self.push(entry, "plan.computed", body, vec![whole]);
        Ok(())
    }

    fn closed(&mut self, entry: &Entry) -> Result<(), CanonError> {
        let Some(found) = certificate(self.entries) else { return Ok(()) };
        let mut closing = Closing {
            outcome: format!("{:?}", found.outcome).to_lowercase(),
            residual: found.residual.len(),
            exposure_seconds: found.exposure().filter(|_| found.effective.is_some()),
            ..Closing::default()
        };
        let mut sent = std::collections::BTreeSet::new();
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
        if let Some(seconds) = closing.exposure_seconds {
            let detail = Some(format!("{seconds} s"));
            let outcome = Some(Outcome { status: "measured", detail });
            self.push(entry, "sla.measured", Body { outcome, ..Body::default() }, Vec::new());
        }
        let whole = self.hide("certificate", &found)?;
        let body = Body { closing: Some(closing), ..Body::default() };
        self.push(entry, "run.closed", body, vec![whole]);
        Ok(())
    }
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
