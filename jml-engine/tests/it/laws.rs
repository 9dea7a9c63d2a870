//! Laws of the machine: order, gates, what fails and what never does.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::id::GateId;
use jml_core::journal::JournalError;
use jml_core::journal::{Decision, Fact, RunMode, RunOutcome, SkipReason};
use jml_core::plan::{Need, Plan, PlanDraft, Rank, StepKind, TaskStep};
use jml_core::provider::ErrorKind;
use jml_core::role::Assignee;
use jml_engine::machine::{Effect, Input, Machine, Word};
use jml_engine::{DriveError, Driven, drive};

use jml_core::clock::Clock as _;
use jml_testkit::crash::{Scene, Trouble};

use crate::support::{
    account, after, gated, grant, joiner, key, known, leaver, mover, person, plan, revoke, scene,
    start, step, step_id,
};

fn begin(scene: &Scene, plan: &Plan) -> Machine {
    let limits = scene.ports().limits();
    Machine::start(plan.clone(), RunMode::Executed, limits, scene.clock().now()).unwrap()
}

fn go(scene: &Scene, machine: &mut Machine) -> Driven {
    block_on(drive(machine, &scene.ports())).unwrap()
}

fn facts(scene: &Scene) -> Vec<Fact> {
    scene.entries().into_iter().map(|entry| entry.fact).collect()
}

#[test]
fn containment_comes_first() {
    let mut steps = vec![("a1", step(known("old"), grant("group/c")))];
    steps.push(("z9", {
        let status = jml_core::account::AccountStatus::Disabled;
        step(known("old"), jml_core::provider::Operation::SetStatus { status })
    }));
    steps.push(("m5", step(known("old"), revoke("group/a"))));
    let plan = plan(steps);
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    go(&scene, &mut machine);
    let intended: Vec<String> = facts(&scene)
        .iter()
        .filter_map(|fact| match fact {
            Fact::Intended { step, .. } => Some(step.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(intended[..2], ["z9", "m5"], "{intended:?}");
}

#[test]
fn nothing_is_sent_before_its_intent_is_durable() {
    let scene = scene(&mover());
    let mut machine = begin(&scene, &mover());
    let mut recorded = 0;
    // Acknowledge nothing after the opening: no Apply may come.
    for _ in 0..50 {
        match machine.poll(start()) {
            Some(Effect::Record(entries)) if recorded == 0 => {
                recorded = entries.len() as u64;
                machine.handle(start(), Input::Recorded { len: recorded }).unwrap();
            }
            Some(Effect::Observe { provider, target }) => {
                let cx = jml_core::provider::Cx::new(std::sync::Arc::new(scene.clock().clone()));
                let seen =
                    jml_core::provider::Provider::read(scene.memory().as_ref(), &cx, &target);
                let result = block_on(seen);
                machine.handle(start(), Input::Observed { provider, target, result }).unwrap();
            }
            Some(Effect::Apply { .. }) => panic!("sent before it was durable"),
            _ => {}
        }
    }
    assert!(recorded > 0);
}

/// A retry that is due waits for a read that is under way. Whoever drives must not be told to come back at once,
/// again and again: a timer at each would fill a durable engine's log.
#[test]
fn what_is_due_and_waits_for_an_answer_asks_for_no_timer() {
    let plan = plan(vec![("s1", step(known("old"), revoke("group/a")))]);
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    let cx = jml_core::provider::Cx::new(std::sync::Arc::new(scene.clock().clone()));
    let (mut now, mut reads) = (start(), 0);
    let read = loop {
        match machine.poll(now) {
            Some(Effect::Record(entries)) => {
                let len = entries.last().unwrap().seq + 1;
                machine.handle(now, Input::Recorded { len }).unwrap();
            }
            Some(Effect::Observe { provider, target }) => {
                reads += 1;
                let seen =
                    jml_core::provider::Provider::read(scene.memory().as_ref(), &cx, &target);
                let result = block_on(seen);
                let input = Input::Observed { provider, target, result };
                if reads == 2 {
                    break input;
                }
                machine.handle(now, input).unwrap();
            }
            Some(Effect::Apply { step, .. }) => {
                let slower = jml_core::provider::Error::new(ErrorKind::RateLimited, "slower")
                    .retry_after(std::time::Duration::from_secs(1));
                machine.handle(now, Input::Answered { step, result: Err(slower) }).unwrap();
            }
            Some(_) => {}
            None => now = machine.poll_timeout().filter(|at| *at > now).unwrap(),
        }
    };
    assert!(now > start(), "it waited for the target");
    assert!(machine.poll(now).is_none());
    assert_eq!(machine.poll_timeout(), None, "the answer wakes it");
    machine.handle(now, read).unwrap();
    assert!(matches!(machine.poll(now), Some(Effect::Record(_))), "and then it goes on");
}

#[test]
fn grants_fail_and_revokes_park() {
    let plan = plan(vec![
        ("s1", step(known("old"), revoke("group/a"))),
        ("s2", step(known("old"), grant("group/c"))),
        ("s3", after(step(known("old"), grant("group/d")), &["s2"], Need::Success)),
        ("s4", after(step(known("old"), revoke("group/b")), &["s2"], Need::Settled)),
    ]);
    let scene = scene(&plan);
    let scene = (0..8).fold(scene, |scene, call| scene.troubled(call, Trouble::Refuse));
    let mut machine = begin(&scene, &plan);
    assert_eq!(go(&scene, &mut machine), Driven::Closed(RunOutcome::Partial));
    let facts = facts(&scene);
    let failed = |id: &str| {
        facts.iter().any(|f| matches!(f, Fact::Failed { step, .. } if step.as_str() == id))
    };
    let parked = |id: &str| {
        facts.iter().any(|f| matches!(f, Fact::Parked { step, .. } if step.as_str() == id))
    };
    assert!(failed("s2") && parked("s1") && !failed("s1"));
    // What needs the failed grant is skipped; what only comes after it is not.
    assert!(facts.iter().any(|f| matches!(f, Fact::Skipped { step, why: SkipReason::Upstream { .. } } if step.as_str() == "s3")));
    let held = &scene.world()[&account("old")].holdings;
    assert!(!held.contains(&key("group/a")) && !held.contains(&key("group/b")));
}

fn gate_plan(quorum: u16) -> Plan {
    let mut waits = step(known("old"), grant("group/c"));
    waits.gate = Some(GateId::new("g1").unwrap());
    gated(
        vec![
            ("s1", step(known("old"), revoke("group/a"))),
            ("s2", waits),
            ("s3", step(known("old"), grant("group/d"))),
        ],
        BTreeMap::from([("g1", (vec!["boss", "owner"], quorum))]),
    )
}

fn decide(scene: &Scene, machine: &mut Machine, by: &str, decision: Decision) -> Driven {
    let gate = GateId::new("g1").unwrap();
    let (by, why) = (person(by), "because".into());
    let said = Word::Decided { gate, by, decision, why };
    machine.handle(scene.clock().now(), said.into()).unwrap();
    go(scene, machine)
}

#[test]
fn a_gate_delays_only_its_grants() {
    let plan = gate_plan(2);
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    assert!(matches!(go(&scene, &mut machine), Driven::Parked { until: Some(_) }));
    let held = scene.world()[&account("old")].holdings.clone();
    assert!(!held.contains(&key("group/a")) && held.contains(&key("group/d")));
    assert!(!held.contains(&key("group/c")));
    // One is not enough, the same one twice neither, a stranger and the subject do not count.
    for by in ["boss", "boss", "stranger", "E1"] {
        assert!(matches!(
            decide(&scene, &mut machine, by, Decision::Approved),
            Driven::Parked { .. }
        ));
    }
    let refused = facts(&scene);
    let own = |f: &&Fact| matches!(f, Fact::DecisionRefused { by, why, .. } if by.as_str() == "E1" && why.contains("own access"));
    assert_eq!(refused.iter().filter(own).count(), 1);
    let refused = refused.iter().filter(|f| matches!(f, Fact::DecisionRefused { .. })).count();
    assert_eq!(refused, 3);
    let end = decide(&scene, &mut machine, "owner", Decision::Approved);
    assert_eq!(end, Driven::Closed(RunOutcome::Clean));
    assert!(scene.world()[&account("old")].holdings.contains(&key("group/c")));
}

#[test]
fn a_refusal_skips_only_its_steps_and_silence_is_a_refusal() {
    for silent in [false, true] {
        let plan = gate_plan(1);
        let scene = scene(&plan);
        let mut machine = begin(&scene, &plan);
        go(&scene, &mut machine);
        let end = if silent {
            scene.clock().set(start() + TimeDelta::days(8));
            go(&scene, &mut machine)
        } else {
            decide(&scene, &mut machine, "boss", Decision::Refused)
        };
        assert_eq!(end, Driven::Closed(RunOutcome::Partial));
        let held = scene.world()[&account("old")].holdings.clone();
        assert!(!held.contains(&key("group/c")) && held.contains(&key("group/d")));
        assert!(!held.contains(&key("group/a")), "a refused gate never removes a revoke");
    }
}

#[test]
fn what_holds_already_is_not_sent() {
    let plan = plan(vec![("s1", step(known("old"), grant("group/a")))]);
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    assert_eq!(go(&scene, &mut machine), Driven::Closed(RunOutcome::Clean));
    assert!(scene.memory().state().effects.is_empty());
    assert!(facts(&scene).iter().any(|f| matches!(f, Fact::Verified { already: true, .. })));
}

#[test]
fn drift_stops_a_grant_and_not_a_revoke() {
    let plan = mover();
    let scene = scene(&plan);
    scene.memory().out_of_band(|state| state.accounts.clear());
    let mut machine = begin(&scene, &plan);
    assert_eq!(go(&scene, &mut machine), Driven::Closed(RunOutcome::Partial));
    let facts = facts(&scene);
    let stale = facts.iter().filter(|f| matches!(f, Fact::Stale { .. })).count();
    let verified = facts.iter().filter(|f| matches!(f, Fact::Verified { .. })).count();
    assert_eq!((stale, verified), (2, 2));
}

#[test]
fn supersede_and_cancel_close_the_run() {
    for cancel in [false, true] {
        let plan = gate_plan(1);
        let scene = scene(&plan);
        let mut machine = begin(&scene, &plan);
        go(&scene, &mut machine);
        let said = if cancel {
            Word::Cancel { by: person("boss"), why: "stop".into() }
        } else {
            Word::Supersede { by: *joiner().id() }
        };
        machine.handle(scene.clock().now(), said.into()).unwrap();
        let wanted = if cancel { RunOutcome::Cancelled } else { RunOutcome::Superseded };
        assert_eq!(go(&scene, &mut machine), Driven::Closed(wanted));
        assert!(!scene.world()[&account("old")].holdings.contains(&key("group/c")));
    }
}

/// The gate's plan with a task of a role, that somebody has.
fn with_task() -> Plan {
    let mut draft: PlanDraft = gate_plan(1).into();
    let mut task = step(known("old"), grant("group/d"));
    task.rank = Rank::Courtesy;
    task.kind = StepKind::Task(TaskStep {
        key: "E1-1/laptop".parse().unwrap(),
        title: "Hand out a laptop".into(),
        assignee: Assignee::Manager,
        due: start(),
        by_hand: None,
    });
    draft.steps.insert(step_id("s4"), task);
    draft.seal().unwrap()
}

#[test]
fn a_task_that_somebody_has_outlives_a_newer_plan() {
    let plan = with_task();
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    go(&scene, &mut machine);
    let newer = Word::Supersede { by: *joiner().id() };
    machine.handle(scene.clock().now(), newer.into()).unwrap();
    assert_eq!(go(&scene, &mut machine), Driven::Parked { until: None }, "only people move it");
    // What waited for an approval is left to the newer plan.
    decide(&scene, &mut machine, "boss", Decision::Approved);
    assert!(!scene.world()[&account("old")].holdings.contains(&key("group/c")));
    let (by, proof) = (person("it"), "receipt 3".into());
    let done = Word::TaskDone { step: step_id("s4"), by, proof };
    machine.handle(scene.clock().now(), done.into()).unwrap();
    assert_eq!(go(&scene, &mut machine), Driven::Closed(RunOutcome::Superseded));
}

#[test]
fn the_second_driver_loses() {
    let plan = leaver();
    let scene = scene(&plan);
    let mut first = begin(&scene, &plan);
    let mut second = begin(&scene, &plan);
    go(&scene, &mut first);
    let lost = block_on(drive(&mut second, &scene.ports()));
    let Err(DriveError::Journal { source: JournalError::Conflict { .. }, .. }) = lost else {
        panic!("{lost:?}");
    };
}

#[test]
fn a_rate_limit_is_a_pause_and_no_failure() {
    let plan = mover();
    let scene = scene(&plan).troubled(1, Trouble::Throttle);
    let mut machine = begin(&scene, &plan);
    assert_eq!(go(&scene, &mut machine), Driven::Closed(RunOutcome::Clean));
    assert!(facts(&scene).iter().any(|f| matches!(f, Fact::ProviderCooling { .. })));
    assert!(scene.clock().now() >= start() + TimeDelta::milliseconds(700));
}

#[test]
fn a_journal_that_was_tampered_with_is_not_opened() {
    let plan = mover();
    let scene = scene(&plan);
    let mut machine = begin(&scene, &plan);
    go(&scene, &mut machine);
    let good = scene.entries();
    let limits = || scene.ports().limits();
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    assert!(Machine::open(&swapped, limits()).is_err());
    let mut cut = good.clone();
    cut.remove(2);
    assert!(Machine::open(&cut, limits()).is_err());
    let mut edited = good.clone();
    edited[1].at += TimeDelta::seconds(1);
    assert!(Machine::open(&edited, limits()).is_err());
    assert!(Machine::open(&good[1..], limits()).is_err());
    assert_eq!(step_id("s1").as_str(), "s1");
}
