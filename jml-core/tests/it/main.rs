//! Integration tests of jml-core, through its public API only.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod conditions;
mod desired_laws;
mod policy_files;
