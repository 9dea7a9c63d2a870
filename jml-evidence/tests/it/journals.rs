//! Journals of runs, as an engine would write them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::approval::{Panel, Standing};
use jml_core::claim::ClaimSource;
use jml_core::digest::Digest;
use jml_core::id::{GateId, GateRuleId, IdentityId, PolicyVersion, ProviderId, RunId, StepId};
use jml_core::identity::EngagementKind;
use jml_core::journal::{Actor, Decision, Entry, Fact, JOURNAL_FORMAT, RunMode, RunOutcome};
use jml_core::plan::{
    Basis, Gate, GateSubject, Late, LifecycleKind, OnStale, PLAN_FORMAT, Plan, PlanDraft,
    PlanHeader, Rank, Reason, Retry, Stage, Step, StepKind,
};
use jml_core::policy::{Approvers, StageRule};
use jml_core::provider::{Applied, Effect, Error, ErrorKind, Observation, Operation};

pub(crate) fn day(n: i64) -> DateTime<Utc> {
    "2026-01-01T08:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(n)
}

pub(crate) fn person(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

fn step(provider: &str, account: &str, op: Operation, rank: Rank) -> Step {
    Step {
        kind: StepKind::Change {
            provider: ProviderId::new(provider).unwrap(),
            account: Some(Late::Known(account.parse().unwrap())),
            op,
        },
        reason: Reason::new("because"),
        after: BTreeMap::new(),
        gate: None,
        rank,
        critical: false,
        deadline: None,
        on_stale: OnStale::ApplyAnyway,
        retry: Retry::default(),
    }
}

/// A run of somebody, entry by entry.
pub(crate) struct Journal {
    pub(crate) entries: Vec<Entry>,
    run: RunId,
    plan: Plan,
    at: DateTime<Utc>,
}

impl Journal {
    fn open(plan: Plan, at: DateTime<Utc>) -> Self {
        let run = RunId::of_plan(plan.id());
        let mut journal = Self { entries: Vec::new(), run: run.clone(), plan: plan.clone(), at };
        let (format, mode) = (JOURNAL_FORMAT, RunMode::Executed);
        journal.say(Actor::Engine, Fact::Opened { format, run, plan: Box::new(plan), mode });
        journal
    }

    fn say(&mut self, actor: Actor, fact: Fact) {
        let prev = match self.entries.last() {
            Some(last) => last.digest().unwrap(),
            None => Entry::genesis(&self.run),
        };
        self.at += TimeDelta::seconds(2);
        let seq = self.entries.len() as u64;
        self.entries.push(Entry { seq, at: self.at, actor, fact, prev });
    }

    fn carry_out(&mut self, id: &str, before: &AccountState, after: &AccountState) {
        let step = StepId::new(id).unwrap();
        let key = self.plan.idempotency_key(&step);
        self.say(Actor::Engine, Fact::Intended { step: step.clone(), attempt: 1, key });
        let account = Some(after.id.clone());
        let (effect, recovered, remote) = (Effect::Changed, false, None);
        let pending = None;
        let applied =
            Fact::Applied { step: step.clone(), effect, account, recovered, remote, pending };
        self.say(Actor::Engine, applied);
        let before = Observation::present(before.clone());
        let after = Observation::present(after.clone());
        self.say(Actor::Engine, Fact::Verified { step, before, after, already: false });
    }

    fn close(mut self) -> Self {
        self.say(Actor::Engine, Fact::Closed { outcome: RunOutcome::Clean });
        self
    }
}

fn plan(
    who: &str,
    kind: LifecycleKind,
    at: DateTime<Utc>,
    steps: Vec<(&str, Step)>,
    gate: Option<&str>,
) -> Plan {
    let steps: BTreeMap<StepId, Step> =
        steps.into_iter().map(|(id, step)| (StepId::new(id).unwrap(), step)).collect();
    let mut gates = BTreeMap::new();
    if let Some(approver) = gate {
        let id = GateId::new("g1").unwrap();
        let covers = steps
            .iter()
            .filter(|(_, step)| step.gate.is_some())
            .map(|(id, step)| (id.clone(), step.meaning().unwrap()))
            .collect();
        let named = [person(approver)].into();
        let stage = Stage {
            rule: StageRule { approvers: Approvers::Named(named), quorum: 1, escalate: None },
            panel: [(person(approver), Standing::Named)].into_iter().collect(),
            escalated: Panel::new(),
        };
        let gate = Gate {
            rule: GateRuleId::new("rule").unwrap(),
            title: "gate".into(),
            covers,
            stages: vec![stage],
            expires: at + TimeDelta::days(7),
            subject: GateSubject { identity: person(who) },
        };
        gates.insert(id, gate);
    }
    let leaves = kind == LifecycleKind::Leave;
    let header = PlanHeader {
        format: PLAN_FORMAT,
        identity: person(who),
        kind,
        cause: format!("feed says so about {who}").into(),
        parent: None,
        made_at: at,
        effective: leaves.then(|| at - TimeDelta::minutes(1)),
        entered: Some(at - TimeDelta::days(2)),
        received: Some(at - TimeDelta::days(1)),
        engagement: Some(EngagementKind::Employment),
        basis: Basis {
            policy_version: PolicyVersion::new("1").unwrap(),
            policy: Digest::plain(b"policy"),
            facts: Digest::plain(who.as_bytes()),
            observed: BTreeMap::new(),
        },
    };
    PlanDraft { header, steps, gates, keeps: Vec::new(), foreign: Vec::new() }.seal().unwrap()
}

/// An account that carries somebody's values.
pub(crate) fn account(who: &str, status: AccountStatus, groups: &[&str]) -> AccountState {
    let id = format!("acc-{who}");
    let mut state = AccountState::new(id.parse().unwrap(), format!("{who}@corp.test"), status);
    state.external_id = Some(person(who));
    state.holdings = groups.iter().map(|g| g.parse().unwrap()).collect();
    state
}

/// Somebody leaves: sign-in is blocked on two targets, one group goes.
pub(crate) fn leaver(who: &str, at: DateTime<Utc>) -> Journal {
    let block = || Operation::SetStatus { status: AccountStatus::Disabled };
    let id = format!("acc-{who}");
    let group = Operation::Revoke { entitlement: "group/staff".parse().unwrap() };
    let steps = vec![
        ("s1", step("entra", &id, block(), Rank::Contain)),
        ("s2", step("erp", &id, block(), Rank::Contain)),
        ("s3", step("entra", &id, group, Rank::Revoke)),
    ];
    let mut journal = Journal::open(plan(who, LifecycleKind::Leave, at, steps, None), at);
    let on = account(who, AccountStatus::Active, &["group/staff"]);
    let off = account(who, AccountStatus::Disabled, &["group/staff"]);
    let bare = account(who, AccountStatus::Disabled, &[]);
    journal.carry_out("s1", &on, &off);
    journal.carry_out("s2", &on, &off);
    journal.carry_out("s3", &off, &bare);
    journal.close()
}

/// Sign-in is blocked; the answer does not come, and a look finds it done. `landed` is what the error says of it.
pub(crate) fn found_by_a_look(who: &str, at: DateTime<Utc>, landed: Applied) -> Journal {
    let block = Operation::SetStatus { status: AccountStatus::Disabled };
    let steps = vec![("s1", step("entra", &format!("acc-{who}"), block, Rank::Contain))];
    let mut journal = Journal::open(plan(who, LifecycleKind::Leave, at, steps, None), at);
    let (on, off) =
        (account(who, AccountStatus::Active, &[]), account(who, AccountStatus::Disabled, &[]));
    let step = StepId::new("s1").unwrap();
    let key = journal.plan.idempotency_key(&step);
    journal.say(Actor::Engine, Fact::Intended { step: step.clone(), attempt: 1, key });
    let error = Error::new(ErrorKind::Transport, "no answer").with_applied(landed).record();
    let retry_at = journal.at + TimeDelta::seconds(3);
    journal.say(Actor::Engine, Fact::Deferred { step: step.clone(), retry_at, error });
    let (effect, account) = (Effect::Unchanged, Some(off.id.clone()));
    let (recovered, remote, pending) = (true, None, None);
    let applied = Fact::Applied { step: step.clone(), effect, account, recovered, remote, pending };
    journal.say(Actor::Engine, applied);
    let (before, after) = (Observation::present(on), Observation::present(off));
    journal.say(Actor::Engine, Fact::Verified { step, before, after, already: false });
    journal.close()
}

/// Somebody moves and gets a group that somebody else approves.
pub(crate) fn mover(who: &str, approver: &str, at: DateTime<Utc>) -> Journal {
    granted(who, approver, at, Vec::new())
}

/// Somebody gets a group for these reasons, and somebody else approves it.
pub(crate) fn granted(
    who: &str,
    approver: &str,
    at: DateTime<Utc>,
    claims: Vec<ClaimSource>,
) -> Journal {
    let mut grant = step(
        "entra",
        &format!("acc-{who}"),
        Operation::Grant { entitlement: "group/finance".parse().unwrap() },
        Rank::Grant,
    );
    grant.on_stale = OnStale::Replan;
    grant.reason.claims = claims;
    grant.gate = Some(GateId::new("g1").unwrap());
    let plan = plan(who, LifecycleKind::Move, at, vec![("s1", grant)], Some(approver));
    let mut journal = Journal::open(plan, at);
    let gate = GateId::new("g1").unwrap();
    journal.say(Actor::Engine, Fact::GateAsked { gate: gate.clone(), stage: 0 });
    let decided = Fact::GateDecided {
        gate,
        stage: 0,
        standing: Standing::Named,
        decision: Decision::Approved,
        why: format!("{who} works in finance now").into(),
    };
    journal.say(Actor::Person(person(approver)), decided);
    let before = account(who, AccountStatus::Active, &[]);
    journal.carry_out("s1", &before, &account(who, AccountStatus::Active, &["group/finance"]));
    journal.close()
}
