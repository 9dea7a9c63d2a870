//! The kit, tested on itself.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod anchors;
mod fake_entra;
mod fake_google;
mod fake_google_access;
mod fake_jumpcloud;
mod fake_jumpcloud_graph;
mod fake_okta;
mod fake_scim;
mod fakes;
mod matrix;
mod suite;
mod tools;
