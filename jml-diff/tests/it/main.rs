//! Integration tests of jml-diff, through its public API only.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod company;
mod laws;
mod lints;
mod mine;
mod mine_policy;
mod population;
mod what_if;
