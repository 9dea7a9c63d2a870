//! What a call needs to know about its surroundings.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use smol_str::SmolStr;

use crate::clock::Clock;

/// The surroundings of one call: the clock, the deadline, the attempt, and where to report what the
/// target says of its limits. Cheap to clone.
#[derive(Clone)]
pub struct Cx {
    clock: Arc<dyn Clock>,
    deadline: Option<DateTime<Utc>>,
    attempt: u32,
    quota: Option<Arc<dyn QuotaSink>>,
}

/// What a target says of a limit, on any answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct Quota {
    /// Which limit, where the target has several.
    pub bucket: SmolStr,
    /// Calls that are left until `reset`.
    pub remaining: u32,
    /// When the limit is full again.
    pub reset: DateTime<Utc>,
}

/// Takes what targets say of their limits.
pub trait QuotaSink: Send + Sync + 'static {
    /// Takes one.
    fn report(&self, quota: Quota);
}

impl Cx {
    /// Surroundings with a clock, no deadline, first attempt.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, deadline: None, attempt: 1, quota: None }
    }

    /// The same with a deadline for the call. An earlier deadline stays.
    #[must_use]
    pub fn with_deadline(mut self, deadline: DateTime<Utc>) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        self
    }

    /// The same for a later attempt, counted from 1.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same with somebody who listens to limits.
    #[must_use]
    pub fn with_quota_sink(mut self, sink: Arc<dyn QuotaSink>) -> Self {
        self.quota = Some(sink);
        self
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The clock, for waiting.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// When the call must have returned.
    #[must_use]
    pub const fn deadline(&self) -> Option<DateTime<Utc>> {
        self.deadline
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Passes on what the target says of a limit. Nobody may listen.
    pub fn report_quota(&self, quota: Quota) {
        if let Some(sink) = &self.quota {
            sink.report(quota);
        }
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("deadline", &self.deadline)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
