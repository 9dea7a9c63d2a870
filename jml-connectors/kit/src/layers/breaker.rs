//! A breaker: leaves a target alone that is down.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::provider::{Applied, Call, Cx, Error, ErrorKind, Layer, Next, Reply, Result, Slot};

/// After so many failures in a row, calls are refused without asking the target, for a while. Then one
/// call goes through; if it fails, the rest begins again.
#[derive(Debug)]
pub struct Breaker {
    failures: u32,
    rest: TimeDelta,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    open_until: Option<DateTime<Utc>>,
}

impl Breaker {
    /// A breaker that opens after `failures` in a row, for `rest`.
    #[must_use]
    pub fn new(failures: u32, rest: TimeDelta) -> Self {
        Self { failures: failures.max(1), rest, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the target must still be left alone. Lets one call through when the rest is over.
    fn closed_for(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let mut state = self.lock();
        let until = state.open_until?;
        if now < until {
            return Some(until - now);
        }
        // Whoever comes next meanwhile waits for what this one finds.
        state.open_until = Some(now + self.rest);
        None
    }
}

/// Whether the target, and not the request, is at fault.
const fn is_down(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::Unavailable)
}

#[async_trait]
impl Layer for Breaker {
    fn slot(&self) -> Slot {
        Slot::Breaker
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        if let Some(left) = self.closed_for(cx.now()) {
            let ms = u64::try_from(left.num_milliseconds()).unwrap_or(0);
            return Err(Error::new(ErrorKind::Unavailable, "the target is left alone for a while")
                .with_applied(Applied::No)
                .retry_after(Duration::from_millis(ms)));
        }
        let result = next.run(cx, call).await;
        let mut state = self.lock();
        match &result {
            Err(error) if is_down(error.kind()) => {
                state.in_a_row += 1;
                if state.in_a_row >= self.failures {
                    state.open_until = Some(cx.now() + self.rest);
                }
            }
            _ => *state = State::default(),
        }
        drop(state);
        result
    }
}
