//! Limits of the target: calls per second, and calls at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::Semaphore;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::provider::{
    Call, Cx, Error, ErrorKind, Layer, Limits, Next, Quota, QuotaSink, Reply, Result, RetryAdvice,
    Slot,
};

/// Keeps to the published rate, stops when the target says that nothing is left, and makes everybody
/// wait when it asks one caller to slow down.
#[derive(Debug)]
pub struct Rate {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Time between two calls in the long run; zero where no rate is published.
    pace: TimeDelta,
    burst: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// When the bucket will be full again (generic cell rate algorithm).
    full_at: Option<DateTime<Utc>>,
    /// No call before this.
    pause: Option<DateTime<Utc>>,
}

impl Rate {
    /// A gate for these limits. Clones of the layer's `Arc` share it.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let per_second = limits.per_second.unwrap_or(0);
        let pace = match i64::from(per_second) {
            0 => TimeDelta::zero(),
            n => TimeDelta::nanoseconds(1_000_000_000 / n),
        };
        let state = State { pace, burst: limits.burst.max(1), inner: Mutex::default() };
        Self { state: Arc::new(state) }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; returns when the call may go.
    fn take(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let mut inner = self.lock();
        let start = inner.pause.map_or(now, |pause| pause.max(now));
        if self.pace.is_zero() {
            return start;
        }
        let full_at = inner.full_at.map_or(start, |at| at.max(start)) + self.pace;
        inner.full_at = Some(full_at);
        let burst = i32::try_from(self.burst).unwrap_or(i32::MAX);
        (full_at - self.pace * burst).max(start)
    }

    fn pause_until(&self, until: DateTime<Utc>) {
        let mut inner = self.lock();
        inner.pause = Some(inner.pause.map_or(until, |known| known.max(until)));
    }
}

impl QuotaSink for State {
    fn report(&self, quota: Quota) {
        if quota.remaining == 0 {
            self.pause_until(quota.reset);
        }
    }
}

#[async_trait]
impl Layer for Rate {
    fn slot(&self) -> Slot {
        Slot::Rate
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let now = cx.now();
        let go = self.state.take(now);
        if go > now {
            if cx.deadline().is_some_and(|deadline| go >= deadline) {
                let wait = (go - now).to_std().unwrap_or_default();
                let text = "the target's limit is not free before the deadline";
                return Err(Error::new(ErrorKind::RateLimited, text).retry_after(wait));
            }
            cx.clock().sleep_until(go).await;
        }
        let listening = cx.clone().with_quota_sink(self.state.clone());
        let mut result = next.run(&listening, call).await;
        match &mut result {
            Err(error) if error.kind() == ErrorKind::RateLimited => {
                if let RetryAdvice::After { ms } = error.retry() {
                    let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 2));
                    self.state.pause_until(cx.now() + wait);
                }
            }
            Ok(Reply::Outcome(outcome)) if go > now => {
                outcome.waited_ms += u64::try_from((go - now).num_milliseconds()).unwrap_or(0);
            }
            _ => {}
        }
        result
    }
}

/// Calls at once. A call that waits for its turn holds nothing.
#[derive(Debug)]
pub struct Concurrency(Semaphore);

impl Concurrency {
    /// At most so many, at least one.
    #[must_use]
    pub fn new(most: u16) -> Self {
        Self(Semaphore::new(usize::from(most.max(1))))
    }
}

#[async_trait]
impl Layer for Concurrency {
    fn slot(&self) -> Slot {
        Slot::Concurrency
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let _permit = self.0.acquire().await;
        next.run(cx, call).await
    }
}
