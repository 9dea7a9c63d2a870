//! The clock.

use std::time::{Duration, Instant};

/// How long something took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// By the clock on the wall.
    pub(crate) wall: Duration,
    /// How long its threads were on a processor. On a busy machine that is what tells.
    pub(crate) cpu: Duration,
}

impl Spent {
    /// The less of each.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// How long the threads of this process were on a processor until now.
pub(crate) fn on_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

/// How long something takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
    let begun = Instant::now();
    let done = work();
    (begun.elapsed(), done)
}

/// The least of several times. Others use the machine, too, and they only ever make it longer.
pub(crate) fn least(times: usize, mut work: impl FnMut()) -> Spent {
    let mut least = Spent { wall: Duration::MAX, cpu: Duration::MAX };
    for _ in 0..times.max(1) {
        let before = on_cpu();
        let (wall, ()) = time(&mut work);
        least = least.min(Spent { wall, cpu: on_cpu().saturating_sub(before) });
    }
    least
}
