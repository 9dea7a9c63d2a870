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
