//! Plans made by hand, and the target that they are for.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountState, AccountStatus, CredentialClass};
use jml_core::approval::{Panel, Standing};
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementKey;
use jml_core::id::{AccountId, GateId, GateRuleId, IdentityId, PolicyVersion, ProviderId, StepId};
use jml_core::plan::{
    Basis, Confirm, Gate, GateSubject, Late, LifecycleKind, Need, OnStale, PLAN_FORMAT, Plan,
    PlanDraft, PlanHeader, Rank, Reason, Retry, Stage, Step, StepKind,
};
use jml_core::policy::{Approvers, StageRule};
use jml_core::provider::{Operation, Verb};
use jml_testkit::Memory;
use jml_testkit::crash::Scene;

pub(crate) fn start() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

pub(crate) fn key(text: &str) -> EntitlementKey {
    text.parse().unwrap()
}

pub(crate) fn step_id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub(crate) fn person(text: &str) -> IdentityId {
    IdentityId::new(text).unwrap()
}

pub(crate) fn account(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

pub(crate) fn target() -> ProviderId {
    ProviderId::new("target").unwrap()
}

/// A step without order, gate or deadline.
pub(crate) fn step(account: Option<Late<AccountId>>, op: Operation) -> Step {
    let takes = op.takes_away();
    let rank = match &op {
        Operation::SetStatus { .. } | Operation::RevokeCredentials { .. } if takes => Rank::Contain,
        Operation::Revoke { .. } => Rank::Revoke,
        _ => Rank::Grant,
    };
    Step {
        kind: StepKind::Change { provider: target(), account, op },
        reason: Reason::new("because"),
        after: BTreeMap::new(),
        gate: None,
        rank,
        critical: false,
        deadline: None,
        on_stale: if takes { OnStale::ApplyAnyway } else { OnStale::Replan },
        retry: Retry { attempts: 5, base_ms: 100, max_ms: 1000 },
    }
}

pub(crate) fn after(mut step: Step, ids: &[&str], need: Need) -> Step {
    step.after = ids.iter().map(|id| (step_id(id), need)).collect();
    step
}

pub(crate) fn header() -> PlanHeader {
    PlanHeader {
        format: PLAN_FORMAT,
        identity: person("E1"),
        kind: LifecycleKind::Move,
        cause: "test".into(),
        parent: None,
        made_at: start(),
        effective: None,
        entered: None,
        received: None,
        engagement: None,
        basis: Basis {
            policy_version: PolicyVersion::new("1").unwrap(),
            policy: Digest::plain(b"policy"),
            facts: Digest::plain(b"facts"),
            observed: BTreeMap::new(),
        },
    }
}

pub(crate) fn plan(steps: Vec<(&str, Step)>) -> Plan {
    gated(steps, BTreeMap::new())
}

/// A stage that these people may decide.
pub(crate) fn stage(approvers: &[&str], quorum: u16) -> Stage {
    let named = approvers.iter().map(|id| person(id)).collect();
    Stage {
        rule: StageRule { approvers: Approvers::Named(named), quorum, escalate: None },
        panel: approvers.iter().map(|id| (person(id), Standing::Named)).collect(),
        escalated: Panel::new(),
    }
}

/// A plan; the gates cover the steps that name them.
pub(crate) fn gated(steps: Vec<(&str, Step)>, gates: BTreeMap<&str, (Vec<&str>, u16)>) -> Plan {
    let steps: BTreeMap<StepId, Step> =
        steps.into_iter().map(|(id, step)| (step_id(id), step)).collect();
    let gates = gates
        .into_iter()
        .map(|(id, (approvers, quorum))| {
            let id = GateId::new(id).unwrap();
            let covers = steps
                .iter()
                .filter(|(_, step)| step.gate.as_ref() == Some(&id))
                .map(|(step_id, step)| (step_id.clone(), step.meaning().unwrap()));
            let gate = Gate {
                rule: GateRuleId::new("rule").unwrap(),
                title: "gate".into(),
                covers: covers.collect(),
                stages: vec![stage(&approvers, quorum)],
                expires: start() + TimeDelta::days(7),
                subject: GateSubject { identity: person("E1") },
            };
            (id, gate)
        })
        .collect();
    let draft =
        PlanDraft { header: header(), steps, gates, keeps: Vec::new(), foreign: Vec::new() };
    draft.seal().unwrap()
}

pub(crate) fn grant(id: &str) -> Operation {
    Operation::Grant { entitlement: key(id) }
}

pub(crate) fn revoke(id: &str) -> Operation {
    Operation::Revoke { entitlement: key(id) }
}

pub(crate) fn known(id: &str) -> Option<Late<AccountId>> {
    Some(Late::Known(account(id)))
}

/// Creates an account and gives it three things.
pub(crate) fn joiner() -> Plan {
    let create = Operation::CreateAccount {
        user_name: "ada".into(),
        external_id: person("E1"),
        status: AccountStatus::Active,
        attributes: BTreeMap::new(),
    };
    let late = || Some(Late::From(step_id("s1")));
    let given = |id: &str| after(step(late(), grant(id)), &["s1"], Need::Success);
    plan(vec![
        ("s1", step(None, create)),
        ("s2", given("group/a")),
        ("s3", given("group/b")),
        ("s4", after(given("group/c"), &["s1", "s2"], Need::Success)),
    ])
}

/// Takes two things from an account that is there, and gives two.
pub(crate) fn mover() -> Plan {
    plan(vec![
        ("s1", step(known("old"), revoke("group/a"))),
        ("s2", step(known("old"), revoke("group/b"))),
        ("s3", after(step(known("old"), grant("group/c")), &["s1"], Need::Success)),
        ("s4", step(known("old"), grant("group/d"))),
    ])
}

/// Blocks, kills credentials, strips.
pub(crate) fn leaver() -> Plan {
    let kill = |class| Operation::RevokeCredentials { class };
    let disable = Operation::SetStatus { status: AccountStatus::Disabled };
    let then = |op, ids: &[&str]| after(step(known("old"), op), ids, Need::Settled);
    plan(vec![
        ("s1", step(known("old"), disable)),
        ("s2", then(kill(CredentialClass::Sessions), &["s1"])),
        ("s3", then(kill(CredentialClass::ApiKeys), &["s1"])),
        ("s4", then(revoke("group/a"), &["s2", "s3"])),
        ("s5", then(revoke("group/b"), &["s2", "s3"])),
    ])
}

/// Closes the account whole, and looks at it last.
pub(crate) fn gone() -> Plan {
    let mut draft: PlanDraft = leaver().into();
    let done = [CredentialClass::Sessions, CredentialClass::ApiKeys];
    let others = CredentialClass::ALL.into_iter().filter(|class| !done.contains(class));
    for (number, class) in others.enumerate() {
        let kill = step(known("old"), Operation::RevokeCredentials { class });
        draft.steps.insert(step_id(&format!("k{number}")), after(kill, &["s1"], Need::Settled));
    }
    let confirm = Confirm {
        provider: target(),
        account: account("old"),
        immutable: BTreeSet::new(),
        waived: BTreeMap::new(),
    };
    let mut last = step(None, revoke("group/a"));
    (last.kind, last.rank) = (StepKind::Confirm(confirm), Rank::Courtesy);
    last.after = draft.steps.keys().map(|id| (id.clone(), Need::Ended)).collect();
    draft.steps.insert(step_id("z1"), last);
    draft.seal().unwrap()
}

/// A target with one account that holds two groups and has live credentials.
pub(crate) fn memory() -> Memory {
    let mut old = AccountState::new(account("old"), "old", AccountStatus::Active);
    old.holdings = [key("group/a"), key("group/b")].into();
    old.credentials = CredentialClass::ALL.map(|class| (class, 2)).into();
    ["group/a", "group/b", "group/c", "group/d"]
        .into_iter()
        .fold(Memory::new(target()), |memory, id| memory.define(key(id)))
        .with_account(old)
}

/// The same target, when it takes its time for whatever it is asked.
pub(crate) fn slow() -> Memory {
    Verb::ALL.into_iter().fold(memory(), |memory, verb| memory.taking(verb, TimeDelta::minutes(4)))
}

/// A plan on that target, before anything happened.
pub(crate) fn scene(plan: &Plan) -> Scene {
    Scene::new(plan, memory(), start())
}
