//! What a call needs to know about its surroundings.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;

/// The surroundings of one call: the clock, the deadline and the attempt. Cheap to clone.
#[derive(Clone)]
pub struct Cx {
    clock: Arc<dyn Clock>,
    deadline: Option<DateTime<Utc>>,
    attempt: u32,
}

impl Cx {
    /// Surroundings with a clock, no deadline, first attempt.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, deadline: None, attempt: 1 }
    }

    /// The same with a deadline for the call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: DateTime<Utc>) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same for a later attempt, counted from 1.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
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
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("deadline", &self.deadline)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
