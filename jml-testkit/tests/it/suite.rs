//! The conformance suite on `Memory`, in the configurations that it can have.

use std::sync::Arc;

use jml_core::account::AccountStatus;
use jml_core::id::ProviderId;
use jml_core::provider::{EntitlementKind, Verb, VerbSupport};
use jml_testkit::conformance::{Harness, World};
use jml_testkit::{ManualClock, Memory, MemoryBackdoor};

fn base() -> Memory {
    ["group/a", "group/b", "group/c"]
        .into_iter()
        .fold(Memory::new(ProviderId::new("memory").unwrap()), |memory, key| {
            memory.define(key.parse().unwrap())
        })
}

fn world(memory: Memory) -> World {
    let memory = Arc::new(memory);
    let again = memory.clone();
    World::of(memory.clone())
        .clock(Arc::new(ManualClock::jumping(chrono::DateTime::UNIX_EPOCH)))
        .entitlements(["group/a", "group/b", "group/c"].map(|key| key.parse().unwrap()))
        .backdoor(MemoryBackdoor(memory))
        .restart(move || again.clone())
}

/// Everything that there is.
pub(crate) fn whole() -> World {
    let memory = base()
        .with_kind("plan".parse().unwrap(), EntitlementKind::one("Plan"))
        .with_kind("computed".parse().unwrap(), EntitlementKind::many("Computed").immutable())
        .define("plan/basic".parse().unwrap())
        .define("plan/full".parse().unwrap())
        .define("computed/everybody".parse().unwrap())
        .define_seats("group/one-seat".parse().unwrap(), Some(1))
        .define_guarded("group/owners".parse().unwrap())
        .requiring("department".parse().unwrap());
    world(memory)
        .one_of_kind("plan/basic".parse().unwrap(), "plan/full".parse().unwrap())
        .immutable("computed/everybody".parse().unwrap())
        .scarce("group/one-seat".parse().unwrap())
        .guarded("group/owners".parse().unwrap())
}

/// A target that is poor and strict: disabling strips, some verbs are missing, revokes are tickets.
pub(crate) fn strict() -> World {
    let memory = base()
        .with_statuses([AccountStatus::Active, AccountStatus::Suspended, AccountStatus::Disabled])
        .dropping_holdings_when_disabled()
        .refusing_grants_when_disabled()
        .losing_mail_when_disabled()
        .without(&[Verb::Exchange, Verb::DeleteAccount])
        .with_verb(Verb::Revoke, VerbSupport::manual());
    world(memory)
}

/// A target that says little when it lists.
fn wide() -> World {
    world(base().listing_wide())
}

jml_testkit::conformance!(wide_memory, Harness::new(|| async { wide() }));
jml_testkit::conformance!(memory, Harness::new(|| async { whole() }));
jml_testkit::conformance!(strict_memory, Harness::new(|| async { strict() }));

/// All that applies holds, nothing is waived, and nothing lacks a control.
#[test]
fn the_reference_model_conforms() {
    for (make, least) in [(whole as fn() -> World, 105), (strict, 90)] {
        let report = jml_testkit::conformance::run(&Harness::new(move || async move { make() }));
        println!("{report}");
        assert!(report.conforms(), "{report}");
        assert!(report.waived().is_empty() && report.not_run().is_empty(), "{report}");
        assert!(report.passes().len() >= least, "{}", report.summary());
    }
}

/// The memory's defects would be masked if it were run behind a layer; so would anybody's.
#[test]
fn a_report_can_be_published() {
    let harness = Harness::new(|| async { whole() }).waive("g1", "it holds", "2999-01-01").waive(
        "g2",
        "it holds",
        "2000-01-01",
    );
    let report = jml_testkit::conformance::run_some(&harness, &["g1", "g2", "g3", "h2"]);
    // A waiver for what holds is a failure, whatever its date.
    assert_eq!(report.failures(), ["g1", "g2"]);
    assert_eq!(report.passes(), ["g3"]);
    let json = report.to_json().unwrap();
    for part in ["\"suite\": \"1.0\"", "\"contract\": \"1.0\"", "not_applicable", "\"why\""] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
}
