//! The kit: layers, client, credentials, and the suite's wire behaviours proven by planted defects.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

#[path = "../../../../examples/custom_connector/connector.rs"]
mod connector;
#[path = "../../../../examples/custom_connector/harness.rs"]
mod harness;
mod law;
mod layers;
mod wire;
