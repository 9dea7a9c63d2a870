//! A clock that a test moves by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::clock::Clock;

/// A clock that stands still until it is moved. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    now: DateTime<Utc>,
    jumps: bool,
    sleepers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that shows `now`. Whoever sleeps waits until a test moves the clock.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        let inner = Inner { now, jumps: false, sleepers: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// A clock that jumps to the wanted instant as soon as somebody sleeps: virtual time.
    #[must_use]
    pub fn jumping(now: DateTime<Utc>) -> Self {
        let inner = Inner { now, jumps: true, sleepers: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Moves the clock forward. Moving back is refused silently: time does not do that here.
    pub fn set(&self, to: DateTime<Utc>) {
        let mut inner = self.lock();
        if to > inner.now {
            inner.now = to;
            inner.sleepers.drain(..).for_each(Waker::wake);
        }
    }

    /// Moves the clock forward by a span.
    pub fn advance(&self, by: TimeDelta) {
        let to = self.lock().now + by;
        self.set(to);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.lock().now
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        if self.lock().jumps {
            self.set(until);
        }
        self.expire_at(until).await;
    }

    async fn expire_at(&self, until: DateTime<Utc>) {
        futures::future::poll_fn(|cx| {
            let mut inner = self.lock();
            if inner.now >= until {
                return Poll::Ready(());
            }
            inner.sleepers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
