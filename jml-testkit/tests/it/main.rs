//! The kit, tested on itself.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod anchors;
mod matrix;
mod suite;
mod tools;
