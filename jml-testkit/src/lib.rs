#![doc = include_str!("../README.md")]

mod clock;
mod memory;

pub use clock::ManualClock;
pub use memory::{Memory, State};
