//! Counts bytes and allocations for `jml-bench`, in a process of its own: an allocator that counts makes whoever
//! allocates much slower, so nothing is timed here.
//!
//! `jml-bench-count rows PEOPLE` prints bytes that stay and allocations of a walk; `hash PEOPLE` and `tree PEOPLE`
//! print bytes that sets of text take.

#[expect(dead_code, reason = "jml-bench uses all of it")]
#[path = "../company.rs"]
mod company;
#[expect(dead_code, reason = "jml-bench uses all of it")]
#[path = "../world.rs"]
mod world;

use std::error::Error;
use std::num::NonZeroUsize;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use company::{HashTexts, TreeTexts};
use world::World;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Bytes that stay allocated after something, and what it gives.
fn bytes<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let done = work();
    let change = region.change();
    (change.bytes_allocated.saturating_sub(change.bytes_deallocated), done)
}

/// How often something allocates.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

#[expect(clippy::print_stdout, reason = "what jml-bench reads")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (what, people) = (arguments.next().unwrap_or_default(), arguments.next());
    let people: u32 = people.ok_or("how many people?")?.parse()?;
    let world = World::new();
    let (stay, walk) = match what.as_str() {
        "rows" => {
            let (stay, flat) = bytes(|| company::flat(&world, people));
            let flat = flat?;
            let mut deltas = flat.diff(NonZeroUsize::MIN);
            (stay, allocations(|| flat.diff_into(NonZeroUsize::MIN, &mut deltas)))
        }
        "hash" => (bytes(|| HashTexts::new(&world, people)).0, 0),
        "tree" => (bytes(|| TreeTexts::new(&world, people)).0, 0),
        other => return Err(format!("`{other}` is not counted").into()),
    };
    println!("{stay} {walk}");
    Ok(())
}
