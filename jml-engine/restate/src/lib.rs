#![doc = include_str!("../README.md")]

mod archive;
mod lane;
mod person;
mod planner;
mod run;
mod words;

use std::sync::Arc;

use archive::Archive;
use jml_engine::Ports;
use lane::Lane;
use restate_sdk::prelude::*;

pub use person::{Opened, Person, PersonClient};
pub use planner::{Braked, Look, Looked, Planner, PlannerClient, Source};
pub use run::{LifecycleRun, LifecycleRunClient};
pub use words::{Told, decision};

/// The services that carry out runs, for a worker to serve; add a [`Planner`] with `bind`. Every worker of a
/// deployment is made of the same targets.
///
/// `ports.journal` is where finished and waiting runs are copied to (the service `Archive`); `ports.patience` is not
/// used, since waiting costs nothing here.
#[must_use]
pub fn services(ports: Ports) -> restate_sdk::endpoint::Builder {
    let ports = Arc::new(ports);
    Endpoint::builder()
        .bind(LifecycleRun::new(ports.clone()))
        .bind(Person::new(ports.clone()))
        .bind(Lane::new(ports.clone()))
        .bind(Archive::new(ports))
}

/// A failure that Restate shall try again: something outside is out of order.
fn again(error: impl std::error::Error + Send + Sync + 'static) -> HandlerError {
    HandlerError::from(error)
}

/// A failure that trying again does not mend.
fn never(what: impl std::fmt::Display) -> HandlerError {
    TerminalError::new(what.to_string()).into()
}
