//! Crash at every append and at every call, then go on: same end, nothing twice, clean close.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};
use jml_core::id::RunId;
use jml_core::journal::{Fact, RunMode, RunOutcome};
use jml_core::plan::Plan;
use jml_engine::machine::Machine;
use jml_engine::{Driven, drive};
use proptest::prelude::*;

use crate::support::{Fault, Scene, joiner, leaver, mover};

/// Drives a plan to its end, over as many crashes as come.
fn run(scene: &Scene, plan: &Plan) -> RunOutcome {
    let run = RunId::of_plan(plan.id());
    for _ in 0..50 {
        let ports = scene.ports();
        let entries = scene.entries(&run);
        let mut machine = if entries.is_empty() {
            Machine::start(plan.clone(), RunMode::Executed, ports.limits(), scene.now()).unwrap()
        } else {
            Machine::open(&entries, ports.limits()).unwrap_or_else(|error| {
                let facts: Vec<String> = entries
                    .iter()
                    .map(|e| format!("{} {:.120?}", e.seq, format!("{:?}", e.fact)))
                    .collect();
                panic!("{error}:\n{}", facts.join("\n"))
            })
        };
        let (send, dead) = oneshot::channel();
        *scene.provider.die.lock().unwrap() = Some(send);
        let driven = block_on(select(Box::pin(drive(&mut machine, &ports)), dead));
        match driven {
            Either::Left((Ok(Driven::Closed(outcome)), _)) => return outcome,
            Either::Left((Ok(Driven::Parked { until }), _)) => {
                scene.clock.set(until.unwrap_or_else(|| panic!("parked for ever")));
            }
            // A crash: everything in memory is gone.
            Either::Left((Err(_), _)) | Either::Right(_) => {}
        }
    }
    panic!("the run does not end");
}

fn check(scene: &Scene, plan: &Plan, calm: &Scene, what: &str) {
    assert_eq!(run(scene, plan), RunOutcome::Clean, "{what}");
    assert_eq!(scene.world(), calm.world(), "{what}");
    let effects = scene.memory.state().effects;
    assert!(effects.values().all(|count| *count == 1), "{what}: {effects:?}");
    let entries = scene.entries(&RunId::of_plan(plan.id()));
    let closed = entries.iter().filter(|e| matches!(e.fact, Fact::Closed { .. })).count();
    assert_eq!(closed, 1, "{what}");
}

#[test]
fn crash_everywhere() {
    let mut scenarios = 0;
    for (name, plan) in [("joiner", joiner()), ("mover", mover()), ("leaver", leaver())] {
        let calm = Scene::new();
        assert_eq!(run(&calm, &plan), RunOutcome::Clean);
        let appends = calm.store.appends.load(Ordering::SeqCst);
        let calls = calm.provider.calls.load(Ordering::SeqCst);
        assert!(appends > 4 && calls > 6);
        for at in 0..appends {
            for durable in [false, true] {
                let scene = Scene::new();
                *scene.store.crash.lock().unwrap() = Some((at, durable));
                check(&scene, &plan, &calm, &format!("{name}: append {at}, durable {durable}"));
                assert!(scene.store.crash.lock().unwrap().is_none(), "the crash never came");
                scenarios += 1;
            }
        }
        for at in 0..calls {
            for fault in [Fault::DieBefore, Fault::DieAfter, Fault::LoseBefore, Fault::LoseAfter] {
                let scene = Scene::new();
                scene.provider.faults.lock().unwrap().insert(at, fault);
                check(&scene, &plan, &calm, &format!("{name}: call {at}, {fault:?}"));
                assert!(scene.provider.faults.lock().unwrap().is_empty(), "the fault never came");
                scenarios += 1;
            }
        }
        // Every prefix of the journal can be opened.
        let entries = calm.entries(&RunId::of_plan(plan.id()));
        for end in 1..=entries.len() {
            Machine::open(&entries[..end], calm.ports().limits()).unwrap();
        }
    }
    println!("{scenarios} scenarios");
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::LoseBefore),
        Just(Fault::LoseAfter),
        Just(Fault::RateLimit),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn random_faults(
        which in 0_usize..3,
        faults in proptest::collection::btree_map(0_u32..30, fault(), 0..4),
        crashes in proptest::option::of((0_u32..12, any::<bool>())),
    ) {
        let plan = [joiner(), mover(), leaver()][which].clone();
        let calm = Scene::new();
        run(&calm, &plan);
        let scene = Scene::new();
        let faults: BTreeMap<u32, Fault> = faults;
        *scene.provider.faults.lock().unwrap() = faults.clone();
        *scene.store.crash.lock().unwrap() = crashes;
        check(&scene, &plan, &calm, &format!("{faults:?} {crashes:?}"));
    }
}
