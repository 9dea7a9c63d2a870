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
    assert!(lines < 125, "{lines} lines");
    let report = jml_testkit::conformance::run(&harness());
    println!("{report}");
    assert!(report.conforms() && report.not_run().is_empty(), "{report}");
    assert!(report.waived().is_empty());
}

/// What the guide shows is what runs.
#[test]
fn the_guide_quotes_the_code() {
    let guide = include_str!("../../docs/guide/write-a-connector.md");
    let code =
        [include_str!("connector.rs"), include_str!("harness.rs"), include_str!("conformance.rs")];
    let blocks: Vec<&str> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 7, "{} blocks", blocks.len());
    for block in blocks {
        assert!(code.iter().any(|code| code.contains(block)), "not in the code:\n{block}");
    }
}

/// Each behaviour gets a company of its own, on a socket of its own.
fn harness() -> Harness {
    Harness::new(|| async { harness::world(Arc::new(ReqwestTransport::new().expect("TLS"))) })
}
