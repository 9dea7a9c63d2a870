//! The driver: carries out what the machine decides, and decides nothing itself.
//!
//! Dropping its future at any await is a crash, and as safe as one.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use jml_core::id::{ProviderId, RunId};
use jml_core::journal::{Entry, JournalError, RunOutcome};
use jml_core::provider::{Cx, Error, ErrorKind, Provider};

use crate::machine::{Effect, Input, Machine, ReplayError};
use crate::ports::Ports;

/// Where a driver left a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a run is closed or it waits")]
pub enum Driven {
    /// Nothing is left to do.
    Closed(RunOutcome),
    /// It waits for people, or for an instant that is too far away to wait for.
    Parked {
        /// When to drive it again at the latest; `None` when only people can move it.
        until: Option<DateTime<Utc>>,
    },
}

impl Driven {
    /// When to drive it again at the latest; `None` when it is closed or only people can move it.
    #[must_use]
    pub const fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Parked { until } => *until,
            Self::Closed(_) => None,
        }
    }
}

/// A driver stopped. The run can be opened again from its journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The journal could not be written. With [`JournalError::Conflict`], another driver has the run.
    #[error("run `{run}` stopped at its journal")]
    Journal {
        /// Which run.
        run: RunId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// The machine does not accept its own journal: a defect.
    #[error("run `{run}` does not accept its journal")]
    Replay {
        /// Which run.
        run: RunId,
        /// Why.
        #[source]
        source: ReplayError,
    },
}

/// Drives a run until it is closed or waits.
///
/// # Errors
/// [`DriveError`] when the journal fails; targets that fail are the machine's business and no error here.
pub async fn drive(machine: &mut Machine, ports: &Ports) -> Result<Driven, DriveError> {
    let mut calls: FuturesUnordered<BoxFuture<'static, Input>> = FuturesUnordered::new();
    loop {
        while let Some(effect) = machine.poll(ports.clock.now()) {
            if let Some(closed) = carry_out(machine, ports, &mut calls, effect).await? {
                return Ok(closed);
            }
        }
        let now = ports.clock.now();
        let wake = machine.poll_timeout();
        if calls.is_empty() {
            match wake {
                Some(at) if at <= now + ports.patience => ports.clock.sleep_until(at).await,
                until => return Ok(Driven::Parked { until }),
            }
            continue;
        }
        let first = match wake {
            Some(at) if at > now => {
                match select(calls.next(), ports.clock.sleep_until(at).boxed()).await {
                    Either::Left((input, _)) => input,
                    Either::Right(_) => None,
                }
            }
            _ => calls.next().await,
        };
        // Whatever else is ready goes in at the same time, so that it is recorded together.
        let mut inputs: Vec<Input> = first.into_iter().collect();
        while let Some(Some(input)) = calls.next().now_or_never() {
            inputs.push(input);
        }
        for input in inputs {
            hand_in(machine, ports, input)?;
        }
    }
}

fn hand_in(machine: &mut Machine, ports: &Ports, input: Input) -> Result<(), DriveError> {
    let run = machine.run().clone();
    machine.handle(ports.clock.now(), input).map_err(|source| DriveError::Replay { run, source })
}

/// Makes the opening of a new run durable, and nothing else.
///
/// # Errors
/// [`DriveError`] when the journal fails.
pub(crate) async fn open(machine: &mut Machine, ports: &Ports) -> Result<(), DriveError> {
    match machine.poll(ports.clock.now()) {
        Some(Effect::Record(entries)) => record(machine, ports, &entries).await,
        _ => Ok(()),
    }
}

async fn record(machine: &mut Machine, ports: &Ports, entries: &[Entry]) -> Result<(), DriveError> {
    let run = machine.run().clone();
    let expected = entries.first().map_or(0, |entry| entry.seq);
    let len = expected + entries.len() as u64;
    let stored = ports.journal.append(&run, expected, entries).await;
    stored.map_err(|source| DriveError::Journal { run: run.clone(), source })?;
    if expected == 0 {
        ports.people.opened(&run, machine.plan());
    }
    hand_in(machine, ports, Input::Recorded { len })
}

async fn carry_out(
    machine: &mut Machine,
    ports: &Ports,
    calls: &mut FuturesUnordered<BoxFuture<'static, Input>>,
    effect: Effect,
) -> Result<Option<Driven>, DriveError> {
    let run = machine.run().clone();
    match effect {
        Effect::Record(entries) => record(machine, ports, &entries).await?,
        Effect::Observe { provider, target } => {
            let (target_of, cx) = (connector(ports, &provider), Cx::new(ports.clock.clone()));
            calls.push(Box::pin(async move {
                let result = match target_of {
                    Ok(connector) => connector.read(&cx, &target).await,
                    Err(error) => Err(error),
                };
                Input::Observed { provider, target, result }
            }));
        }
        Effect::Apply { step, provider, change, attempt } => {
            let connector = connector(ports, &provider);
            let cx = Cx::new(ports.clock.clone()).with_attempt(attempt);
            calls.push(Box::pin(async move {
                let result = match connector {
                    Ok(connector) => connector.apply(&cx, &change).await,
                    Err(error) => Err(error),
                };
                Input::Answered { step, result }
            }));
        }
        Effect::Poll { step, provider, handle } => {
            let (connector, cx) = (connector(ports, &provider), Cx::new(ports.clock.clone()));
            calls.push(Box::pin(async move {
                let result = match connector {
                    Ok(connector) => connector.poll(&cx, &handle).await,
                    Err(error) => Err(error),
                };
                Input::Answered { step, result }
            }));
        }
        Effect::Ask { gate, stage, panel } => {
            if let Some(what) = machine.plan().gates().get(&gate) {
                ports.people.ask(&run, &gate, what, stage, &panel);
            }
        }
        Effect::Raise { step, task } => ports.people.raise(&run, &step, &task),
        Effect::Tell(notice) => ports.people.tell(&run, &notice),
        Effect::Alert { step, text } => ports.people.alert(&run, &step, &text),
        Effect::Done(outcome) => {
            ports.people.closed(&run, &machine.plan().header().identity, outcome);
            return Ok(Some(Driven::Closed(outcome)));
        }
    }
    Ok(None)
}

fn connector(ports: &Ports, provider: &ProviderId) -> Result<Arc<dyn Provider>, Error> {
    ports.providers.get(provider).cloned().ok_or_else(|| {
        let text = format!("provider `{provider}` is not configured");
        Error::new(ErrorKind::Configuration, text)
    })
}
