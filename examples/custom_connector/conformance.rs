//! The suite on the example's connector: one test per behaviour, over TCP.
#![expect(clippy::expect_used, reason = "a test may stop")]

#[path = "connector.rs"]
mod connector;
#[path = "harness.rs"]
mod harness;

use std::sync::Arc;

use jml_connector_kit::http::ReqwestTransport;
use jml_testkit::conformance::Harness;

jml_testkit::conformance!(acme, harness());

#[test]
fn the_connector_is_short_and_everything_was_tried() {
    let lines = include_str!("connector.rs").lines().count();
    assert!(lines < 120, "{lines} lines");
    let report = jml_testkit::conformance::run(&harness());
    println!("{report}");
    assert!(report.conforms() && report.not_run().is_empty(), "{report}");
    assert!(report.waived().is_empty());
}

/// Each behaviour gets a company of its own, on a socket of its own.
fn harness() -> Harness {
    Harness::new(|| async { harness::world(Arc::new(ReqwestTransport::new().expect("TLS"))) })
}
