//! Changes that take their time: who asks how far they are, how often, and what when nobody knows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::clock::Clock as _;
use jml_core::entitlement::EntitlementKey;
use jml_core::journal::{Fact, RunMode, RunOutcome};
use jml_core::plan::{Need, Plan};
use jml_core::provider::{
    Call, Cx, Effect, Error, ErrorKind, Layer, Layered, Next, Operation, Provider, Reply, Result,
    Slot, Verb,
};
use jml_engine::machine::Machine;
use jml_engine::{Driven, Ports, drive};
use jml_testkit::Memory;
use jml_testkit::crash::{Scene, Trouble};

use crate::support::{account, after, grant, key, known, memory, plan, revoke, start, step};

/// A grant, and one that waits for it.
fn two() -> Plan {
    let second = after(step(known("old"), grant("group/d")), &["s1"], Need::Success);
    plan(vec![("s1", step(known("old"), grant("group/c"))), ("s2", second)])
}

fn taking(time: TimeDelta) -> Memory {
    memory().taking(Verb::Grant, time)
}

fn facts(scene: &Scene) -> Vec<Fact> {
    scene.entries().into_iter().map(|entry| entry.fact).collect()
}

/// Counts questions, and answers them itself while it has answers.
#[derive(Default)]
struct Asked {
    times: AtomicU32,
    answers: Mutex<Vec<Error>>,
}

#[async_trait]
impl Layer for Asked {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if matches!(call, Call::Poll(_)) {
            self.times.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = self.answers.lock().unwrap().pop() {
                return Err(error);
            }
        }
        next.run(cx, call).await
    }
}

fn with(scene: &Scene, asked: &Arc<Asked>) -> Ports {
    let mut ports = scene.ports();
    for provider in ports.providers.values_mut() {
        let layered: Arc<dyn Provider> =
            Arc::new(Layered::new(provider.clone(), vec![asked.clone()]));
        *provider = layered;
    }
    ports
}

/// Drives a run to its end, however often it is put aside, and says when it ended.
fn to_the_end(scene: &Scene, ports: &Ports, plan: &Plan) -> (RunOutcome, TimeDelta) {
    let mut machine =
        Machine::start(plan.clone(), RunMode::Executed, ports.limits(), start()).unwrap();
    match block_on(drive(&mut machine, ports)).unwrap() {
        Driven::Closed(outcome) => return (outcome, scene.clock().now() - start()),
        Driven::Parked { until } => scene.clock().set(until.unwrap()),
    }
    to_the_end_of(scene, ports)
}

/// The same for a run that began: another process goes on, from the journal.
fn to_the_end_of(scene: &Scene, ports: &Ports) -> (RunOutcome, TimeDelta) {
    loop {
        let mut machine = Machine::open(&scene.entries(), ports.limits()).unwrap();
        match block_on(drive(&mut machine, ports)).unwrap() {
            Driven::Closed(outcome) => return (outcome, scene.clock().now() - start()),
            Driven::Parked { until } => scene.clock().set(until.unwrap()),
        }
    }
}

#[test]
fn it_is_asked_for_and_then_read_back() {
    let plan = two();
    let scene = Scene::new(&plan, taking(TimeDelta::seconds(30)), start());
    let (outcome, took) = to_the_end(&scene, &scene.ports(), &plan);
    assert_eq!(outcome, RunOutcome::Clean);
    assert!(took >= TimeDelta::minutes(1), "one after the other: {took}");
    let held = &scene.world()[&account("old")].holdings;
    assert!(held.contains(&key("group/c")) && held.contains(&key("group/d")));
    // Sent once, answered twice, seen once.
    let facts = facts(&scene);
    let count = |wanted: fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    assert_eq!(count(|fact| matches!(fact, Fact::Intended { .. })), 2);
    assert_eq!(count(|fact| matches!(fact, Fact::Applied { pending: Some(_), .. })), 2);
    let done =
        |fact: &Fact| matches!(fact, Fact::Applied { pending: None, effect: Effect::Changed, .. });
    assert_eq!(count(done), 2);
    assert_eq!(count(|fact| matches!(fact, Fact::Verified { already: false, .. })), 2);
}

/// What takes a day costs a hundred questions and no entry each, and its end is seen soon.
#[test]
fn patience_grows_with_time() {
    for (hours, most) in [(1, 25), (24, 120)] {
        let plan = plan(vec![("s1", step(known("old"), grant("group/c")))]);
        let scene = Scene::new(&plan, taking(TimeDelta::hours(hours)), start());
        let asked = Arc::new(Asked::default());
        let (outcome, took) = to_the_end(&scene, &with(&scene, &asked), &plan);
        assert_eq!(outcome, RunOutcome::Clean);
        assert!(took <= TimeDelta::hours(hours) + TimeDelta::minutes(15), "{took}");
        let times = asked.times.load(Ordering::SeqCst);
        assert!(times <= most, "{hours} h: {times} questions");
        assert_eq!(facts(&scene).len(), 6, "{:?}", facts(&scene));
    }
}

/// A question that was not answered says nothing about the change: it is asked again, and nothing is sent
/// again, however long nobody answers.
#[test]
fn a_question_without_answer_is_no_failure() {
    let plan = two();
    let scene = Scene::new(&plan, taking(TimeDelta::seconds(5)), start());
    let away = || Error::new(ErrorKind::Unavailable, "away");
    let asked = Arc::new(Asked {
        answers: Mutex::new((0..40).map(|_| away()).collect()),
        ..Asked::default()
    });
    let (outcome, _) = to_the_end(&scene, &with(&scene, &asked), &plan);
    assert_eq!(outcome, RunOutcome::Clean);
    assert!(!facts(&scene).iter().any(|fact| matches!(fact, Fact::Deferred { .. })));
    assert!(scene.memory().state().effects.values().all(|count| *count == 1));
}

/// Whoever forgot the change may have made it: it is looked at, and sent again when it is not there.
#[test]
fn a_forgotten_change_is_looked_at_and_sent_again() {
    for (op, about) in [(revoke("group/a"), "group/a"), (grant("group/c"), "group/c")] {
        for made in [false, true] {
            forgotten(&op, &key(about), made);
        }
    }
}

fn forgotten(op: &Operation, about: &EntitlementKey, made: bool) {
    let gives = matches!(op, Operation::Grant { .. });
    let plan = plan(vec![("s1", step(known("old"), op.clone()))]);
    let memory = memory().taking(op.verb(), TimeDelta::hours(1));
    let scene = Scene::new(&plan, memory, start());
    let ports = Ports { patience: TimeDelta::seconds(10), ..scene.ports() };
    let mut machine =
        Machine::start(plan.clone(), RunMode::Executed, ports.limits(), start()).unwrap();
    let Driven::Parked { until: Some(until) } = block_on(drive(&mut machine, &ports)).unwrap()
    else {
        panic!("it takes an hour");
    };
    scene.clock().set(until);
    scene.memory().out_of_band(|state| {
        state.forget_pending();
        let held = &mut state.accounts.get_mut(&account("old")).unwrap().holdings;
        match (made, gives) {
            (true, true) => drop(held.insert(about.clone())),
            (true, false) => drop(held.remove(about)),
            (false, _) => {}
        }
    });
    let ended = block_on(drive(&mut machine, &scene.ports())).unwrap();
    let ended = match ended {
        Driven::Closed(outcome) => outcome,
        // Sent again, it takes its hour again.
        Driven::Parked { .. } => to_the_end_of(&scene, &scene.ports()).0,
    };
    assert_eq!(ended, RunOutcome::Clean);
    let sent = |fact: &&Fact| matches!(fact, Fact::Intended { .. });
    assert_eq!(facts(&scene).iter().filter(sent).count(), if made { 1 } else { 2 });
    let recovered = |fact: &Fact| matches!(fact, Fact::Applied { recovered: true, .. });
    assert_eq!(facts(&scene).iter().any(recovered), made);
    assert_eq!(scene.world()[&account("old")].holdings.contains(about), gives);
}

/// A target that asks to slow down is left alone, and the run sleeps meanwhile.
#[test]
fn a_slow_target_may_be_throttled_too() {
    let plan = two();
    for call in 0..12 {
        let scene = Scene::new(&plan, taking(TimeDelta::seconds(5)), start());
        let scene = scene.troubled(call, Trouble::Throttle);
        let limited = Error::new(ErrorKind::RateLimited, "slow down");
        let limited = limited.retry_after(std::time::Duration::from_secs(60));
        let asked = Arc::new(Asked { answers: Mutex::new(vec![limited]), ..Asked::default() });
        let (outcome, took) = to_the_end(&scene, &with(&scene, &asked), &plan);
        assert_eq!(outcome, RunOutcome::Clean);
        assert!(took >= TimeDelta::seconds(60));
        assert!(asked.times.load(Ordering::SeqCst) < 20);
    }
}
