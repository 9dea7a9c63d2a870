//! The clock, and what is counted besides.

use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// How long something took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    /// By the clock on the wall.
    pub(crate) wall: Duration,
    /// How long its threads were on a processor. On a busy machine that is what tells.
    pub(crate) cpu: Duration,
}

fn on_cpu() -> Duration {
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
        let cpu = on_cpu().saturating_sub(before);
        least = Spent { wall: least.wall.min(wall), cpu: least.cpu.min(cpu) };
    }
    least
}

/// Bytes that stay allocated after something, and what it gives.
pub(crate) fn bytes<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    let change = region.change();
    let stay = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    (usize::try_from(stay).unwrap_or(0), done)
}

/// How often something allocates.
pub(crate) fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}
