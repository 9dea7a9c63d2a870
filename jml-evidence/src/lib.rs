#![doc = include_str!("../README.md")]

#[cfg(feature = "fs")]
pub mod anchor;
pub mod certificate;
pub mod controls;
pub mod disclose;
pub mod dsse;
pub mod entropy;
#[cfg(feature = "fs")]
pub mod log;
pub mod merkle;
pub mod note;
#[cfg(feature = "pack")]
pub mod pack;
pub mod population;
pub mod proof;
#[cfg(feature = "fs")]
mod record;
mod run_root;
pub mod schema;
pub mod sla;
#[cfg(feature = "fs")]
pub mod storage;
#[cfg(feature = "fs")]
pub mod store;
pub mod tiles;
pub mod timeliness;
pub mod timestamp;
#[cfg(feature = "fs")]
pub mod vault;
pub mod verify;

#[cfg(feature = "fs")]
pub use store::{EvidenceStore, SharedStore};

/// The version of the record format that this crate writes and reads.
pub const RECORD_FORMAT: u16 = 1;
