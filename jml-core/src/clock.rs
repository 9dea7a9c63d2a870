//! Time is an argument. This trait is how the asynchronous edges get it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// A source of the present instant, and of waiting for a later one.
///
/// The pure parts (rules, claims, plans, the machine) take instants as arguments and never see a
/// clock. `jml-engine` has the one clock that reads the machine's; `jml-testkit` has one that a test
/// moves by hand.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;

    /// Returns at `until` or later; at once when `until` has passed.
    async fn sleep_until(&self, until: DateTime<Utc>);

    /// Returns when `until` has passed; for time limits, where something else is awaited at the same
    /// time. A virtual clock that jumps for whoever sleeps must not jump for this: the answer that the
    /// limit is for may need real time.
    async fn expire_at(&self, until: DateTime<Utc>) {
        self.sleep_until(until).await;
    }
}
