//! Crash at every append and at every call, then go on: same end, nothing twice, clean close.

use std::collections::BTreeMap;

use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::journal::RunOutcome;
use jml_core::plan::{Late, Need, Plan, Rank, Retry, Step};
use jml_core::provider::Operation;
use jml_testkit::crash::{Scene, Trouble, everywhere};
use jml_testkit::journal::Crash;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::support::{
    after, gone, grant, joiner, known, leaver, memory, mover, person, plan, revoke, slow, start,
    step, step_id,
};

#[test]
fn crash_everywhere() {
    let mut scenarios = 0;
    let plans = [("joiner", joiner()), ("mover", mover()), ("leaver", leaver()), ("gone", gone())];
    for (name, plan) in plans {
        scenarios +=
            everywhere(&plan, memory, start()).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(scenarios >= 200, "{scenarios} scenarios");
}

/// The same on a target that takes its time for everything.
#[test]
fn crash_everywhere_on_a_slow_target() {
    let mut scenarios = 0;
    let plans = [("joiner", joiner()), ("mover", mover()), ("leaver", leaver()), ("gone", gone())];
    for (name, plan) in plans {
        scenarios += everywhere(&plan, slow, start()).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(scenarios >= 300, "{scenarios} scenarios");
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::LoseBefore),
        Just(Trouble::LoseAfter),
        Just(Trouble::Throttle),
        Just(Trouble::DieBefore),
        Just(Trouble::DieAfter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn random_troubles(
        which in 0_usize..4,
        troubles in proptest::collection::btree_map(0_u32..30, trouble(), 0..4),
        crash in proptest::option::of((0_u32..12, any::<bool>())),
        takes_its_time in any::<bool>(),
    ) {
        let plan = [joiner(), mover(), leaver(), gone()][which].clone();
        let target = || if takes_its_time { slow() } else { memory() };
        let calm = Scene::new(&plan, target(), start());
        prop_assert_eq!(calm.run(), Ok(RunOutcome::Clean));
        let mut scene = Scene::new(&plan, target(), start());
        for (call, trouble) in troubles {
            scene = scene.troubled(call, trouble);
        }
        if let Some((append, durable)) = crash {
            scene = scene.crashing(append, if durable { Crash::After } else { Crash::Before });
        }
        prop_assert_eq!(scene.check(&calm), Ok(()));
    }
}

/// Random plans on that target: each entitlement at most once, so that the end is the same in whatever
/// order they run.
fn plans() -> impl Strategy<Value = Plan> {
    let creates = any::<bool>();
    let keys = Just(vec!["group/a", "group/b", "group/c", "group/d"]).prop_shuffle();
    let what = proptest::collection::vec((0_u8..4, any::<[bool; 6]>(), any::<bool>()), 1..5);
    (creates, keys, what, any::<bool>()).prop_map(|(creates, keys, what, disables)| {
        let mut steps = Vec::new();
        if creates {
            let create = Operation::CreateAccount {
                user_name: "ada".into(),
                external_id: person("E1"),
                status: AccountStatus::Active,
                attributes: BTreeMap::new(),
            };
            steps.push(step(None, create));
        }
        let count = what.len();
        for (number, (kind, _, success)) in what.iter().enumerate() {
            let key = keys[number % keys.len()];
            // Containment waits for nothing, so it is of the account that is there.
            let made = creates && *success && *kind < 3;
            let of = if made { Some(Late::From(step_id("s1"))) } else { known("old") };
            let op = match kind {
                0 | 1 => grant(key),
                2 => revoke(key),
                _ => Operation::RevokeCredentials { class: CredentialClass::ALL[number % 7] },
            };
            let mut step = step(of, op);
            if made {
                step = after(step, &["s1"], Need::Success);
            }
            steps.push(step);
        }
        if disables {
            steps.push(step(
                known("old"),
                Operation::SetStatus { status: AccountStatus::Suspended },
            ));
        }
        // Edges to earlier steps only; containment waits for nothing.
        for (number, (_, edges, success)) in what.iter().enumerate().take(count) {
            let at = number + usize::from(creates);
            for (before, _) in edges.iter().enumerate().filter(|(n, on)| **on && *n < at) {
                let need = if *success { Need::Success } else { Need::Settled };
                let id = step_id(&format!("s{}", before + 1));
                if steps[at].rank != Rank::Contain {
                    steps[at].after.entry(id).or_insert(need);
                }
            }
        }
        let named = steps.into_iter().enumerate().map(|(n, mut step)| {
            step.retry = Retry { attempts: 2, base_ms: 100, max_ms: 1_000 };
            (format!("s{}", n + 1), step)
        });
        let named: Vec<(String, Step)> = named.collect();
        plan(named.iter().map(|(id, step)| (id.as_str(), step.clone())).collect())
    })
}

#[test]
fn crashes_over_generated_plans() {
    let mut runner = TestRunner::deterministic();
    let (mut scenarios, mut drawn) = (0, 0);
    while scenarios < 25_000 {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        drawn += 1;
        scenarios += everywhere(&plan, memory, start())
            .unwrap_or_else(|why| panic!("plan {drawn}: {why}\n{plan:#?}"));
    }
    println!("{scenarios} scenarios over {drawn} plans");
}

/// A driver that reads from a replica that is behind loses against the journal, and changes nothing.
#[test]
fn a_driver_that_reads_late_loses() {
    use futures::executor::block_on;
    use jml_core::journal::JournalStore as _;
    use jml_engine::machine::Machine;
    use jml_engine::{DriveError, drive};
    let plan = leaver();
    let scene = Scene::new(&plan, memory(), start());
    scene.run().unwrap();
    let (world, before) = (scene.world(), scene.entries().len());
    for lag in 1..before {
        scene.journal().lag(lag);
        let run = jml_core::id::RunId::of_plan(plan.id());
        let seen = block_on(scene.journal().load(&run)).unwrap();
        let ports = scene.ports();
        let mut machine = Machine::open(&seen, ports.limits()).unwrap();
        let end = block_on(drive(&mut machine, &ports));
        assert!(matches!(end, Err(DriveError::Journal { .. })), "{lag} behind: {end:?}");
        assert_eq!((scene.world(), scene.entries().len()), (world.clone(), before));
    }
}
