#![doc = include_str!("../README.md")]

pub mod certificate;
pub mod controls;
pub mod disclose;
pub mod entropy;
#[cfg(feature = "fs")]
pub mod log;
pub mod merkle;
pub mod note;
#[cfg(feature = "fs")]
mod record;
mod run_root;
#[cfg(feature = "fs")]
mod store;
pub mod tiles;
pub mod verify;

#[cfg(feature = "fs")]
pub use store::{EvidenceStore, SealError, Sealed, SharedStore};

/// The version of the record format that this crate writes and reads.
pub const RECORD_FORMAT: u16 = 1;
