//! What a walk over a population costs, in allocations and entries looked at: a slower walk shows without a clock.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::num::NonZeroUsize;

use jml_diff::population::flat::{Builder, Deltas, Flat};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const IDS: u32 = 5_000;
const TEMPLATES: u32 = 200;

/// Numbers that look random and are the same every time.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*state >> 33).unwrap()
}

/// So many people. Each has some of the templates, and holds what they give, or, if `drifted`, a little else.
fn people(count: u32, drifted: bool) -> Flat {
    let mut builder = Builder::new(IDS).unwrap();
    let mut state = 7;
    let mut rows = Vec::new();
    for _ in 0..TEMPLATES {
        let row: Vec<u32> = (0..20).map(|_| next(&mut state) % IDS).collect();
        builder.template(&row).unwrap();
        rows.push(row);
    }
    for _ in 0..count {
        // Without drift few sets of templates, shared by many; with drift hardly two are the same.
        let kinds = if drifted { TEMPLATES } else { 3 };
        let has: Vec<u32> = (0..5).map(|_| next(&mut state) % kinds).collect();
        let mut held: Vec<u32> = has.iter().flat_map(|it| rows[*it as usize].clone()).collect();
        if drifted {
            held.retain(|_| !next(&mut state).is_multiple_of(20));
            held.push(next(&mut state) % IDS);
        }
        held.sort_unstable();
        held.dedup();
        builder.person(&has, &[], &held).unwrap();
    }
    builder.finish()
}

/// In how many cells of 32 neighbours ascending ids are.
fn cells(ids: impl Iterator<Item = u32>) -> u64 {
    ids.map(|id| id / 32).collect::<std::collections::BTreeSet<_>>().len() as u64
}

/// How often a walk allocates that has the room of an earlier one, and the answer.
fn walk(flat: &Flat) -> (usize, Deltas) {
    let mut deltas = flat.diff(NonZeroUsize::MIN);
    let region = Region::new(ALLOCATOR);
    flat.diff_into(NonZeroUsize::MIN, &mut deltas);
    let change = region.change();
    (change.allocations + change.reallocations, deltas)
}

// One test: the allocator counts for the whole process.
#[test]
fn a_walk_allocates_for_nobody_and_looks_at_each_entry_as_often_as_it_must() {
    let (few, many) = (people(500, true), people(4_000, true));
    let ((by_few, _), (by_many, deltas)) = (walk(&few), walk(&many));
    assert!(deltas.totals().grants > 4_000 && deltas.totals().revokes > 2_000);
    // The scratch space grows a few times; people cost nothing.
    assert!(by_few <= 24 && by_many <= 24, "{by_few} and {by_many} allocations");
    let desired: u64 = (0..many.people())
        .flat_map(|person| many.templates_of(person).collect::<Vec<_>>())
        .map(|template| cells(many.template(template)))
        .sum();
    let held: u64 = (0..many.people()).map(|person| cells(many.held(person))).sum();
    // What templates give is looked at twice, what is held once.
    assert_eq!(deltas.touched(), 2 * desired + held);

    let same = people(4_000, false);
    let (allocations, deltas) = walk(&same);
    assert_eq!((deltas.totals().people, deltas.iter().count()), (0, 0));
    assert_eq!(deltas.totals().keeps, same.pairs() as u64);
    assert!(allocations <= 24, "{allocations} allocations");
    // Whoever holds exactly what their set gives is looked at once.
    assert_eq!(deltas.touched(), (0..same.people()).map(|it| cells(same.held(it))).sum::<u64>());

    // An edit looks at who has the template and at nobody else.
    let mut many = many;
    let index = many.index();
    let row: Vec<u32> = many.template(3).skip(1).collect();
    let edited = many.edit_template(&index, 3, &row).unwrap();
    assert_eq!(edited.affected, index.people(3).len());
    assert!(edited.affected < 200 && edited.shifts.len() <= edited.affected);
    assert!(!edited.shifts.is_empty());
}
