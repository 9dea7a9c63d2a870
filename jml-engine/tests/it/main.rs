//! Integration tests of jml-engine, through its public API only.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

mod batches;
mod brakes;
mod by_hand;
mod company;
mod crash;
mod gates;
mod laws;
mod leavers;
mod lifecycle;
mod names;
mod outage;

mod pending;
#[cfg(feature = "postgres")]
mod postgres;
mod previews;
mod quiet;
mod reconcile;
mod reviews;
mod sqlite;
mod stopped;
mod stores;
mod support;
