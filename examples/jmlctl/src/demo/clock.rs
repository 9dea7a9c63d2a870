//! Virtual time: stands still but for a little on every look, and jumps when somebody waits and nothing is on
//! its way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jml_core::clock::Clock;
use jml_core::provider::{Call, Cx, Layer, Next, Reply, Result, Slot};
use jml_engine::SystemClock;
use tokio::sync::watch;

/// The demo's clock. Clones share the time.
#[derive(Clone)]
pub(crate) struct DemoClock {
    now: Arc<Mutex<DateTime<Utc>>>,
    /// When the call began that is on its way: what targets take for now, whoever looks at the clock meanwhile.
    there: Arc<Mutex<DateTime<Utc>>>,
    calls: Arc<watch::Sender<u32>>,
}

/// What a look at the clock costs: targets take their time in the real world too.
const TICK: TimeDelta = TimeDelta::milliseconds(35);

impl DemoClock {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let mutex = || Arc::new(Mutex::new(now));
        Self { now: mutex(), there: mutex(), calls: Arc::new(watch::Sender::new(0)) }
    }

    /// What lets this clock know what is on its way.
    pub(crate) fn turns(&self) -> Turns {
        Turns { clock: self.clone(), turn: Arc::new(tokio::sync::Mutex::new(())) }
    }

    /// A call begins.
    fn begin(&self) {
        let now = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *self.there.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn calls(&self, change: impl FnOnce(&mut u32)) {
        self.calls.send_modify(change);
    }

    /// Moves forward; never back.
    pub(crate) fn set(&self, to: DateTime<Utc>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to.max(*now);
    }
}

#[async_trait]
impl Clock for DemoClock {
    fn now(&self) -> DateTime<Utc> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += TICK;
        *now
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        // An answer that is on a real wire comes first; what waits for it must not see time pass.
        let _ = self.calls.subscribe().wait_for(|calls| *calls == 0).await;
        self.set(until);
    }

    async fn expire_at(&self, _: DateTime<Utc>) {
        std::future::pending::<()>().await;
    }
}

/// The same time without what a look costs: for the targets, which are looked at from other threads. When the
/// story is over and somebody looks around, it is the machine's.
pub(crate) struct Still {
    story: DemoClock,
    over: AtomicBool,
}

impl Still {
    pub(crate) const fn new(story: DemoClock) -> Self {
        Self { story, over: AtomicBool::new(false) }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        if self.over.load(Ordering::SeqCst) {
            return SystemClock.now();
        }
        *self.story.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        self.story.sleep_until(until).await;
    }
}

/// One call to a target at a time, so that the story is the same each time.
#[derive(Clone)]
pub(crate) struct Turns {
    clock: DemoClock,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl Layer for Turns {
    fn slot(&self) -> Slot {
        Slot::Fault
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        self.clock.calls(|calls| *calls += 1);
        let _under_way = UnderWay(&self.clock);
        let _turn = self.turn.lock().await;
        self.clock.begin();
        next.run(cx, call).await
    }
}

/// A call; it is over when this is dropped.
struct UnderWay<'a>(&'a DemoClock);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.calls(|calls| *calls -= 1);
    }
}
