//! The one reader of the wall clock.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound as _, Utc};
use jml_core::clock::Clock;

/// The machine's own clock, to the millisecond.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit")]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(std::time::SystemTime::now()).trunc_subsecs(3)
    }

    async fn sleep_until(&self, until: DateTime<Utc>) {
        // A timer may fire early by a rounding error; whoever waits is promised not to wake before.
        loop {
            let left = until - self.now();
            match left.to_std() {
                Ok(wait) if !wait.is_zero() => futures_timer::Delay::new(wait).await,
                _ => return,
            }
        }
    }
}
