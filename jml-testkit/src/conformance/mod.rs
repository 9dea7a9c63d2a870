//! The conformance suite: what it means that a connector is right, as tests.
//!
//! One behaviour is one test, with the reason why it matters. Which ones apply follows from what the
//! connector declares. The suite runs on the bare provider: a helpful layer would hide its mistakes.
//!
//! ```
//! # use std::sync::Arc;
//! # use jml_core::id::ProviderId;
//! # use jml_testkit::{Memory, conformance::{Harness, World}};
//! fn harness() -> Harness {
//!     Harness::new(|| async {
//!         let target = Memory::new(ProviderId::new("memory").unwrap())
//!             .define("group/a".parse().unwrap())
//!             .define("group/b".parse().unwrap())
//!             .define("group/c".parse().unwrap());
//!         World::of(Arc::new(target))
//!     })
//! }
//! // In a test file: `jml_testkit::conformance!(memory, harness());`, one `#[test]` per behaviour.
//! let report = jml_testkit::conformance::run(&harness());
//! assert!(report.conforms(), "{report}");
//! ```

mod behaviours;
mod bench;
mod report;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use jml_core::provider::Descriptor;

use bench::{Bench, Check, Stop};
pub use report::{Report, Tested, Verdict};
use world::Make;
pub use world::{Backdoor, Harness, World};

/// The version of the suite. Grows when a behaviour is added or becomes stricter.
pub const SUITE: &str = "1.0";

/// What a behaviour needs beside the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the three tiers of the contract")]
pub enum Tier {
    /// Nothing.
    BlackBox,
    /// A way to the target that is not the provider.
    OutOfBand,
    /// Faults, the wire, or time.
    Faults,
}

type Run = for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Check>;

/// One behaviour of the contract.
pub struct Behaviour {
    /// Short and for ever: `g1`.
    pub id: &'static str,
    /// What must hold: `grant_takes_effect`.
    pub name: &'static str,
    /// What goes wrong in an organisation where it does not.
    pub why: &'static str,
    /// What it needs.
    pub tier: Tier,
    run: Run,
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

/// Every behaviour, in the order of the report.
#[must_use]
pub fn behaviours() -> Vec<Behaviour> {
    behaviours::all()
}

/// Time for one behaviour.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs every behaviour, each in a fresh world.
#[must_use]
pub fn run(harness: &Harness) -> Report {
    let all = behaviours();
    report(harness, &all)
}

/// Runs those behaviours whose ids are given, for finding out what one of them has.
#[must_use]
pub fn run_some(harness: &Harness, ids: &[&str]) -> Report {
    let all: Vec<Behaviour> =
        behaviours().into_iter().filter(|behaviour| ids.contains(&behaviour.id)).collect();
    report(harness, &all)
}

fn report(harness: &Harness, all: &[Behaviour]) -> Report {
    let mut provider: Option<Descriptor> = None;
    let results = all.iter().map(|behaviour| one(harness, behaviour, &mut provider)).collect();
    Report::new(provider, results)
}

/// Runs one behaviour, and fails the test if it does not hold. For the macro.
///
/// # Panics
/// With the reason, when the verdict is a failure.
#[expect(clippy::panic, clippy::print_stdout, reason = "it is the body of a test")]
pub fn assert_behaviour(harness: &Harness, name: &str) {
    let all = behaviours();
    let Some(behaviour) = all.iter().find(|behaviour| behaviour.name == name) else {
        panic!("there is no behaviour `{name}`");
    };
    let tested = one(harness, behaviour, &mut None);
    if tested.verdict.fails() {
        panic!("{} {name}: {}\nwhy it matters: {}", behaviour.id, tested.verdict, behaviour.why);
    }
    println!("{tested}");
}

fn one(harness: &Harness, behaviour: &Behaviour, provider: &mut Option<Descriptor>) -> Tested {
    let (tell, told) = mpsc::channel();
    let (make, run) = (harness.maker(), behaviour.run);
    // In a thread of its own: a connector that never gives way cannot be stopped in this one.
    let spawned = thread::Builder::new().name(behaviour.name.into()).spawn(move || {
        let _ = tell.send(attempt(&make, run));
    });
    let (check, descriptor, note) = match spawned {
        Ok(_) => told.recv_timeout(LIMIT).unwrap_or_else(|_| {
            (Err(Stop::Fail(format!("no end within {} s", LIMIT.as_secs()))), None, None)
        }),
        Err(e) => (Err(Stop::Inconclusive(e.to_string())), None, None),
    };
    if provider.is_none() {
        *provider = descriptor;
    }
    let verdict = harness.judge(behaviour, check);
    let Behaviour { id, name, why, tier, .. } = *behaviour;
    Tested { id, name, why, tier, verdict, note }
}

/// The verdict, what the connector declares, and how far it was looked at.
fn attempt(make: &Make, run: Run) -> (Check, Option<Descriptor>, Option<String>) {
    let (mut descriptor, mut note) = (None, None);
    let check = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Stop::Inconclusive(e.to_string()))?;
        runtime.block_on(async {
            let world = make().await;
            descriptor = Some(world.provider().descriptor().clone());
            let bench = Bench::new(world);
            let check = run(&bench).await;
            note = bench.noted();
            check
        })
    }));
    let check = check.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Stop::Fail(format!("panicked: {text}")))
    });
    (check, descriptor, note)
}
