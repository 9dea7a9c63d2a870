#![doc = include_str!("../README.md")]

mod correlate;
mod delta;
mod drift;
mod ledger;
pub mod lint;
pub mod mine;
mod plan;
pub mod population;
pub mod what_if;
mod world;

pub use correlate::{Correlator, LinkedBy, Match};
pub use delta::{AccessLine, AccountLine, Delta, Verdict, Wait, delta};
pub use drift::{Drift, drift, legalize};
pub use ledger::{Granted, Ledger};
pub use plan::{PlanError, PlanInput, Planned, plan};
pub use world::{Disputed, ProviderFacts, World};
