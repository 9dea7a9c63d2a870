//! The kit, tested on itself.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod anchors;
mod fake_entra;
mod fake_okta;
mod fake_scim;
mod fakes;
mod matrix;
mod suite;
mod tools;
