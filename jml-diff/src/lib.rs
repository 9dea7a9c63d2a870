#![doc = include_str!("../README.md")]

mod delta;
mod ledger;
pub mod lint;
mod plan;
mod world;

pub use delta::{AccessLine, AccountLine, Delta, Verdict, Wait, delta};
pub use ledger::{Granted, Ledger};
pub use plan::{PlanError, PlanInput, Planned, plan};
pub use world::{Disputed, ProviderFacts, World};
