//! Virtual time: stands still but for a little on every look, and jumps when somebody waits.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::clock::Clock;

/// The demo's clock. Clones share the time.
#[derive(Clone)]
pub(crate) struct DemoClock(Arc<Mutex<DateTime<Utc>>>);

/// What a look at the clock costs: targets take their time in the real world too.
const TICK: TimeDelta = TimeDelta::milliseconds(35);

impl DemoClock {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves forward; never back.
    pub(crate) fn set(&self, to: DateTime<Utc>) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to.max(*now);
    }
}

#[async_trait]
impl Clock for DemoClock {
    fn now(&self) -> DateTime<Utc> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += TICK;
        *now
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        self.set(until);
    }
}
