#![doc = include_str!("../README.md")]

pub mod cassette;
mod clock;
pub mod conformance;
#[cfg(feature = "engine")]
pub mod crash;
pub mod fake;
pub mod journal;
pub mod log;
mod macros;
mod memory;
pub mod mutants;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod script;
pub mod stores;
#[cfg(feature = "proptest")]
pub mod strategies;
#[cfg(feature = "evidence")]
pub mod witness;

pub use clock::ManualClock;
pub use log::CallLog;
pub use memory::{CatalogueEntry, Memory, MemoryBackdoor, State};
pub use script::Script;
