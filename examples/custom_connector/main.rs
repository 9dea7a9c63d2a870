//! A third party's connector, held to the contract over a real socket.
//!
//! `cargo run -p jml-examples --example custom_connector` starts the made-up API on loopback, runs the
//! conformance suite against it, and prints the report that a vendor would publish.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "it is an example")]

mod connector;
mod harness;

use std::process::ExitCode;
use std::sync::Arc;

use jml_connector_kit::http::ReqwestTransport;
use jml_testkit::conformance::Harness;

fn main() -> ExitCode {
    let report = jml_testkit::conformance::run(&harness());
    println!("{report}");
    if report.conforms() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each behaviour gets a company of its own, on a socket of its own.
fn harness() -> Harness {
    Harness::new(|| async { harness::world(Arc::new(ReqwestTransport::new().expect("TLS"))) })
}
