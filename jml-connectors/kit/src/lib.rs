#![doc = include_str!("../README.md")]

mod conclude;
pub mod layers;
mod stack;

#[cfg(feature = "http")]
pub mod auth;
#[cfg(feature = "http")]
pub mod fields;
#[cfg(feature = "http")]
pub mod http;

pub use conclude::conclude;
#[cfg(feature = "http")]
pub use http::{Client, Failure, Request, Verdict};
pub use jml_core::provider::{Layer, Layered, Next, Overlay, Slot};
pub use stack::{Policy, Stack};
