//! Crash at every append and at every call, then go on: same end, nothing twice, clean close.

use jml_core::journal::RunOutcome;
use jml_testkit::crash::{Scene, Trouble, everywhere};
use jml_testkit::journal::Crash;
use proptest::prelude::*;

use crate::support::{joiner, leaver, memory, mover, start};

#[test]
fn crash_everywhere() {
    let mut scenarios = 0;
    for (name, plan) in [("joiner", joiner()), ("mover", mover()), ("leaver", leaver())] {
        scenarios +=
            everywhere(&plan, memory, start()).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(scenarios >= 150, "{scenarios} scenarios");
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
        which in 0_usize..3,
        troubles in proptest::collection::btree_map(0_u32..30, trouble(), 0..4),
        crash in proptest::option::of((0_u32..12, any::<bool>())),
    ) {
        let plan = [joiner(), mover(), leaver()][which].clone();
        let calm = Scene::new(&plan, memory(), start());
        prop_assert_eq!(calm.run(), Ok(RunOutcome::Clean));
        let mut scene = Scene::new(&plan, memory(), start());
        for (call, trouble) in troubles {
            scene = scene.troubled(call, trouble);
        }
        if let Some((append, durable)) = crash {
            scene = scene.crashing(append, if durable { Crash::After } else { Crash::Before });
        }
        prop_assert_eq!(scene.check(&calm), Ok(()));
    }
}

/// A disk that lied about a sync takes the end of the journal away. Going on from what is left does
/// nothing twice: what holds already is found before it is sent.
#[test]
fn a_journal_that_lost_its_tail_is_gone_on_from() {
    for plan in [joiner(), mover(), leaver()] {
        let calm = Scene::new(&plan, memory(), start());
        assert_eq!(calm.run(), Ok(RunOutcome::Clean));
        let run = jml_core::id::RunId::of_plan(plan.id());
        for lost in 1..calm.entries().len() {
            let scene = Scene::new(&plan, memory(), start());
            scene.run().unwrap();
            scene.journal().lose_tail(&run, lost);
            assert_eq!(scene.check(&calm), Ok(()), "{lost} entries were lost");
        }
    }
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
