//! Changes that people make: somebody's word is not the end of it, what the target shows is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::clock::Clock as _;
use jml_core::facts::TaskKey;
use jml_core::id::{EngagementId, RunId, StepId, TaskId};
use jml_core::journal::{Fact, RunMode, RunOutcome};
use jml_core::plan::{ByHand, Plan, Rank, StepKind, TaskStep};
use jml_core::role::Assignee;
use jml_engine::machine::{Machine, Word};
use jml_engine::{Driven, People, Ports, drive};
use jml_testkit::crash::{Scene, Trouble};

use crate::support::{
    account, key, known, person, plan, revoke, scene, start, step, step_id, target,
};

/// Somebody is to take a group away by hand.
fn by_hand() -> Plan {
    let mut task = step(known("old"), revoke("group/a"));
    task.rank = Rank::Courtesy;
    task.kind = StepKind::Task(TaskStep {
        key: TaskKey {
            engagement: EngagementId::new("E1-1").unwrap(),
            task: TaskId::new("manual-1").unwrap(),
        },
        title: "take group/a away".into(),
        assignee: Assignee::Queue("administrators".into()),
        due: start(),
        by_hand: Some(ByHand {
            provider: target(),
            account: Some(account("old")),
            op: revoke("group/a"),
        }),
    });
    plan(vec![("s1", task), ("s2", step(known("old"), revoke("group/b")))])
}

#[derive(Default)]
struct OnDuty(Mutex<Vec<String>>);

impl People for OnDuty {
    fn alert(&self, _: &RunId, _: &StepId, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

fn reported(machine: &mut Machine, scene: &Scene) {
    let (by, proof) = (person("admin"), "done it".into());
    let done = Word::TaskDone { step: step_id("s1"), by, proof };
    machine.handle(scene.clock().now(), done.into()).unwrap();
}

fn take_away(scene: &Scene) {
    scene.memory().out_of_band(|state| {
        state.accounts.get_mut(&account("old")).unwrap().holdings.remove(&key("group/a"));
    });
}

fn begin(scene: &Scene, plan: &Plan) -> (Machine, Ports, Arc<OnDuty>) {
    let duty = Arc::new(OnDuty::default());
    let ports = Ports { people: duty.clone(), ..scene.ports() };
    let machine = Machine::start(plan.clone(), RunMode::Executed, ports.limits(), start()).unwrap();
    (machine, ports, duty)
}

fn count(scene: &Scene, wanted: fn(&Fact) -> bool) -> usize {
    scene.entries().iter().filter(|entry| wanted(&entry.fact)).count()
}

#[test]
fn a_word_is_checked_on_the_target() {
    let plan = by_hand();
    let scene = scene(&plan);
    let (mut machine, ports, duty) = begin(&scene, &plan);
    let go = |machine: &mut Machine| block_on(drive(machine, &ports)).unwrap();
    assert!(matches!(go(&mut machine), Driven::Parked { .. }));
    // Said, and not so: the task is open again, and somebody hears of it.
    for time in 1..=2 {
        reported(&mut machine, &scene);
        assert!(matches!(go(&mut machine), Driven::Parked { .. }));
        assert_eq!(count(&scene, |f| matches!(f, Fact::TaskNotSeen { .. })), time);
        assert_eq!(duty.0.lock().unwrap().len(), time);
    }
    take_away(&scene);
    reported(&mut machine, &scene);
    assert_eq!(go(&mut machine), Driven::Closed(RunOutcome::Clean));
    assert_eq!(count(&scene, |f| matches!(f, Fact::TaskDone { .. })), 3);
    assert_eq!(count(&scene, |f| matches!(f, Fact::TaskRaised { .. })), 1, "raised once");
    assert_eq!(count(&scene, |f| matches!(f, Fact::Verified { .. })), 2);
    // The machine itself sent nothing for it.
    let sent: BTreeSet<StepId> = scene
        .entries()
        .into_iter()
        .filter_map(|entry| match entry.fact {
            Fact::Intended { step, .. } => Some(step),
            _ => None,
        })
        .collect();
    assert_eq!(sent, BTreeSet::from([step_id("s2")]));
}

#[test]
fn a_word_survives_a_crash_and_a_target_that_is_down() {
    let plan = by_hand();
    let scene = scene(&plan);
    let (mut machine, ports, _) = begin(&scene, &plan);
    block_on(drive(&mut machine, &ports)).unwrap();
    take_away(&scene);
    reported(&mut machine, &scene);
    let calls = scene.calls();
    let scene = (0..3).fold(scene, |s, n| s.troubled(calls + n, Trouble::LoseBefore));
    let began = scene.clock().now();
    assert_eq!(block_on(drive(&mut machine, &ports)).unwrap(), Driven::Closed(RunOutcome::Clean));
    assert!(scene.clock().now() - began >= TimeDelta::seconds(3), "it waits between looks");
    assert_eq!(scene.left(), 0);
    // At every prefix, the run can be gone on from.
    for end in 1..=scene.entries().len() {
        Machine::open(&scene.entries()[..end], ports.limits()).unwrap();
    }
}
