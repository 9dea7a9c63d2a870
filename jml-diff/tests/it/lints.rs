//! Every lint code, made to fire once; and what sealing refuses before lint sees it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use jml_core::approval::{Panel, Standing};
use jml_core::attribute::AttributeValue;
use jml_core::digest::Digest;
use jml_core::id::{
    AccountId, AttributeName, GateId, GateRuleId, IdentityId, PolicyVersion, StepId,
};
use jml_core::plan::{
    Basis, Gate, GateSubject, Late, LifecycleKind, Need, OnStale, PLAN_FORMAT, PlanDraft,
    PlanHeader, Rank, Reason, Retry, SealError, Stage, Step, StepKind,
};
use jml_core::policy::Mode;
use jml_core::policy::{Approvers, StageRule};
use jml_core::provider::Operation;
use jml_diff::lint::{Severity, lint};

use crate::laws::{account, at, me, policy, target, world};

fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

fn step(on: &str, op: Operation, rank: Rank) -> Step {
    let takes = op.takes_away();
    Step {
        kind: StepKind::Change {
            provider: target(),
            account: Some(Late::Known(AccountId::new(on).unwrap())),
            op,
        },
        reason: Reason::new("because"),
        after: BTreeMap::new(),
        gate: None,
        rank,
        critical: false,
        deadline: None,
        on_stale: if takes { OnStale::ApplyAnyway } else { OnStale::Replan },
        retry: Retry::default(),
    }
}

fn grant(name: &str) -> Step {
    step("a1", Operation::Grant { entitlement: name.parse().unwrap() }, Rank::Grant)
}

fn revoke(name: &str) -> Step {
    step("a1", Operation::Revoke { entitlement: name.parse().unwrap() }, Rank::Revoke)
}

fn draft(kind: LifecycleKind, steps: Vec<Step>) -> PlanDraft {
    PlanDraft {
        header: PlanHeader {
            format: PLAN_FORMAT,
            identity: me(),
            kind,
            cause: "test".into(),
            parent: None,
            made_at: at(),
            effective: None,
            entered: None,
            received: None,
            engagement: None,
            basis: Basis {
                policy_version: PolicyVersion::new("1").unwrap(),
                policy: Digest::plain(b""),
                facts: Digest::plain(b""),
                observed: BTreeMap::new(),
            },
        },
        steps: steps.into_iter().enumerate().map(|(i, s)| (id(&format!("s{i}")), s)).collect(),
        gates: BTreeMap::new(),
        keeps: Vec::new(),
        foreign: Vec::new(),
    }
}

/// The codes that a plan is given.
fn codes(kind: LifecycleKind, steps: Vec<Step>) -> Vec<String> {
    // One holder of everything.
    let seen = world(vec![account("a1", &(0..8).collect())], true);
    let plan = draft(kind, steps).seal().unwrap();
    lint(&plan, &policy(Mode::Full), &seen).iter().map(|note| note.code.to_string()).collect()
}

#[test]
fn a_good_plan_has_no_note() {
    assert!(codes(LifecycleKind::Move, vec![revoke("group/a"), grant("group/b")]).is_empty());
}

#[test]
fn each_code_fires() {
    let set = |name: &str, on: &str| {
        let name = AttributeName::new(name).unwrap();
        let set = BTreeMap::from([(name, AttributeValue::text("x"))]);
        let op = Operation::UpdateAccount { user_name: None, set, clear: BTreeSet::new() };
        step(on, op, Rank::Grant)
    };
    let mut late = revoke("group/a");
    late.deadline = Some(at() - TimeDelta::hours(1));
    let delete = step("a1", Operation::DeleteAccount, Rank::Transfer);
    let cases = [
        ("JML-L003", LifecycleKind::Move, vec![revoke("app/pay"), grant("app/check")]),
        ("JML-L005", LifecycleKind::Move, vec![set("title", "glass")]),
        ("JML-L006", LifecycleKind::Move, vec![revoke("role/admin")]),
        ("JML-L008", LifecycleKind::Move, vec![set("title", "a1"), set("title", "a1")]),
        ("JML-L009", LifecycleKind::Move, vec![late]),
        ("JML-L010", LifecycleKind::Retention, vec![delete, revoke("group/a")]),
        ("JML-L011", LifecycleKind::PreHire, vec![grant("group/c")]),
        ("JML-L012", LifecycleKind::Move, vec![grant("group/unknown")]),
    ];
    for (code, kind, steps) in cases {
        assert_eq!(codes(kind, steps), [code]);
    }
    // In order, the conflicting pair is fine.
    let mut then = grant("app/check");
    then.after.insert(id("s0"), Need::Success);
    assert!(codes(LifecycleKind::Move, vec![revoke("app/pay"), then]).is_empty());
    assert!(Severity::Refuse > Severity::Warn);
}

#[test]
fn sealing_refuses_the_worst() {
    let refused = |steps: Vec<Step>| draft(LifecycleKind::Move, steps).seal().unwrap_err();
    // L001
    let mut contain =
        step("a1", Operation::Revoke { entitlement: "group/a".parse().unwrap() }, Rank::Contain);
    contain.after.insert(id("s1"), Need::Settled);
    assert!(matches!(
        refused(vec![contain, revoke("group/b")]),
        SealError::ContainmentWaits { .. }
    ));
    // L002
    let mut gated = revoke("group/a");
    gated.gate = Some(GateId::new("g1").unwrap());
    assert!(matches!(refused(vec![gated]), SealError::GatedRevoke(_)));
    // L004
    let mut stale = grant("group/a");
    stale.on_stale = OnStale::ApplyAnyway;
    assert!(matches!(refused(vec![stale]), SealError::StaleGrant(_)));
    // A circle, something missing, an account that nobody makes.
    let mut one = grant("group/a");
    let mut two = grant("group/b");
    one.after.insert(id("s1"), Need::Success);
    two.after.insert(id("s0"), Need::Success);
    assert!(matches!(refused(vec![one, two]), SealError::Cycle(path) if path.len() == 3));
    let mut dangling = grant("group/a");
    dangling.after.insert(id("s9"), Need::Success);
    assert!(matches!(refused(vec![dangling]), SealError::Dangling { .. }));
    let mut late = grant("group/a");
    if let StepKind::Change { account, .. } = &mut late.kind {
        *account = Some(Late::From(id("s1")));
    }
    assert!(matches!(refused(vec![late, grant("group/b")]), SealError::LateAccount { .. }));
    // L007
    let mut waits = grant("group/c");
    waits.gate = Some(GateId::new("g1").unwrap());
    let mut own = draft(LifecycleKind::Move, vec![waits]);
    let meaning = own.steps[&id("s0")].meaning().unwrap();
    let mut gate = Gate {
        rule: GateRuleId::new("r").unwrap(),
        title: "t".into(),
        covers: BTreeMap::from([(id("s0"), meaning)]),
        stages: vec![Stage {
            rule: StageRule {
                approvers: Approvers::Named(BTreeSet::from([IdentityId::new("boss").unwrap()])),
                quorum: 1,
                escalate: None,
            },
            panel: [me(), IdentityId::new("boss").unwrap()].map(|id| (id, Standing::Named)).into(),
            escalated: Panel::new(),
        }],
        expires: at(),
        subject: GateSubject { identity: me() },
    };
    own.gates.insert(GateId::new("g1").unwrap(), gate.clone());
    assert!(matches!(own.clone().seal(), Err(SealError::Undecidable(..))));
    gate.stages[0].panel.remove(&me());
    own.gates.insert(GateId::new("g1").unwrap(), gate.clone());
    assert!(own.clone().seal().is_ok());
    // A decision is on a meaning: a gate that covers another one does not fit.
    gate.covers = BTreeMap::from([(id("s0"), Digest::plain(b"another"))]);
    own.gates.insert(GateId::new("g1").unwrap(), gate);
    assert!(matches!(own.seal(), Err(SealError::Gate { .. })));
}
