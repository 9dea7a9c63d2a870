//! What rows are made of: cells of 32 neighbouring ids, a bit for each. What is given together has numbers near
//! each other ([`numbering`](super::numbering)), so that a row has far fewer cells than ids.

use super::{ID, OURS};

/// Some of 32 neighbouring ids: a bit for each in the lower half, their [`block`](Self::block) in the upper one.
/// The top bit marks held ids that the ledger says we granted; a held row has two cells of one block when it says
/// so of some alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell(u64);

const MARK: u64 = (OURS as u64) << 32;

impl Cell {
    /// Ids in a block.
    pub(super) const IDS: u32 = 32;

    /// Behind every other one.
    pub(super) const LAST: Self = Self(u64::MAX);

    /// The cell of one id, mark included.
    pub(super) const fn of(marked: u32) -> Self {
        let upper = (marked & OURS) | ((marked & ID) / Self::IDS);
        Self((upper as u64) << 32 | 1 << (marked % Self::IDS))
    }

    /// Which 32 ids.
    #[inline(always)]
    pub(super) const fn block(self) -> u32 {
        (self.0 >> 32) as u32 & ID
    }

    /// A bit for each id that is in the row.
    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// The same block and mark, with these bits.
    #[inline(always)]
    pub(super) const fn with(self, bits: u32) -> Self {
        Self(self.0 & !(u32::MAX as u64) | bits as u64)
    }

    /// The same block and mark, without these bits.
    #[inline(always)]
    pub(super) const fn without(self, bits: u32) -> Self {
        Self(self.0 & !(bits as u64))
    }

    /// Zero for two cells that are the same, marks aside.
    #[inline(always)]
    const fn unlike(self, other: Self) -> u64 {
        (self.0 ^ other.0) & !MARK
    }

    /// The first id of the block, with the mark.
    #[inline(always)]
    pub(super) const fn first(self) -> u32 {
        let upper = (self.0 >> 32) as u32;
        (upper & OURS) | ((upper & ID) * Self::IDS)
    }

    const fn upper(self) -> u64 {
        self.0 >> 32
    }
}

/// Appends ascending marked ids as cells, ascending by block; where marks differ within one block, the cell of the
/// first id comes first. Says whether they do.
pub(super) fn pack(marked: impl IntoIterator<Item = u32>, into: &mut Vec<Cell>) -> bool {
    let (start, mut mixed) = (into.len(), false);
    for marked in marked {
        let cell = Cell::of(marked);
        let row = into.get_mut(start..).unwrap_or_default();
        // Of one block there are two cells at most.
        match row.iter_mut().rev().take(2).find(|it| it.upper() == cell.upper()) {
            Some(known) => *known = known.with(known.bits() | cell.bits()),
            None => {
                mixed |= row.last().is_some_and(|last| last.block() == cell.block());
                into.push(cell);
            }
        }
    }
    mixed
}

/// Sorts cells without marks by block and makes one of those of the same block, from a place on.
pub(super) fn unite(cells: &mut Vec<Cell>, start: usize) {
    let row = cells.get_mut(start..).unwrap_or_default();
    row.sort_unstable_by_key(|cell| cell.block());
    let mut len = 0_usize;
    for at in 0..row.len() {
        let cell = row.get(at).copied().unwrap_or_default();
        match len.checked_sub(1).and_then(|last| row.get_mut(last)) {
            Some(last) if last.block() == cell.block() => {
                *last = last.with(last.bits() | cell.bits());
            }
            _ => {
                if let Some(slot) = row.get_mut(len) {
                    *slot = cell;
                }
                len += 1;
            }
        }
    }
    cells.truncate(start + len);
}

/// Ids of a row, ascending, marks included.
#[derive(Clone, Debug)]
pub(super) struct Ids<'a> {
    cells: std::slice::Iter<'a, Cell>,
    block: u32,
    bits: u32,
    /// Those that are marked.
    marked: u32,
}

impl<'a> Ids<'a> {
    pub(super) fn new(row: &'a [Cell]) -> Self {
        Self { cells: row.iter(), block: 0, bits: 0, marked: 0 }
    }
}

impl Iterator for Ids<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.bits == 0 {
            let first = self.cells.next()?;
            (self.block, self.bits, self.marked) = (first.block(), 0, 0);
            let next = self.cells.as_slice().first().filter(|it| it.block() == self.block);
            for cell in std::iter::once(first).chain(next) {
                self.bits |= cell.bits();
                self.marked |= if cell.0 & MARK == 0 { 0 } else { cell.bits() };
            }
            if next.is_some() {
                self.cells.next();
            }
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some((self.block * Cell::IDS + bit) | ((self.marked >> bit & 1) << 31))
    }
}

/// How many ids are in a row.
pub(super) fn count(row: &[Cell]) -> usize {
    row.iter().map(|cell| cell.bits().count_ones() as usize).sum()
}

/// In place of a held id.
pub(super) const NOT_HELD: u32 = u32::MAX;

/// An id as it stands in a row, mark included, or [`NOT_HELD`].
pub(super) fn find(row: &[Cell], id: u32) -> u32 {
    let (block, bit) = (id / Cell::IDS, 1 << (id % Cell::IDS));
    // Looked at one after the other, not searched: the loads of a short row then do not wait for each other.
    let is = |cell: &Cell| cell.block() == block && cell.bits() & bit != 0;
    let marked = |cell: &Cell| id | ((cell.0 >> 32) as u32 & OURS);
    if row.len() < 256 {
        row.iter().fold(NOT_HELD, |found, cell| if is(cell) { marked(cell) } else { found })
    } else {
        let from = row.partition_point(|cell| cell.block() < block);
        let both = row.get(from..).unwrap_or_default().iter().take(2);
        both.filter(|cell| is(cell)).map(marked).next().unwrap_or(NOT_HELD)
    }
}

/// Whether a held row is exactly a desired one, marks aside.
pub(super) fn same(held: &[Cell], row: &[Cell]) -> bool {
    // Without a branch inside, so that it becomes vector instructions: rows of one length mostly are the same.
    let unlike = || held.iter().zip(row).fold(0, |sum, (held, cell)| sum | held.unlike(*cell));
    held.len() == row.len() && unlike() == 0
}

const _: () = assert!(OURS > ID && (ID as u64) < MARK >> 32, "a mark is no part of a block");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Ids that look random, a few together each time, ascending.
    fn some(seed: u32, len: u32) -> Vec<u32> {
        let ids = (0..len).map(|it| (it / 3 * (seed * 40 + 7) + it * (seed % 3 + 1)) % 9_000);
        ids.collect::<BTreeSet<u32>>().into_iter().collect()
    }

    fn row(marked: &[u32]) -> Vec<Cell> {
        let mut row = vec![Cell::of(5)];
        pack(marked.iter().copied(), &mut row);
        row.split_off(1)
    }

    #[test]
    fn a_row_gives_back_its_ids_marks_included() {
        for seed in 0..60 {
            let mut ids = some(seed, seed * 3);
            for id in ids.iter_mut().step_by(seed as usize % 4 + 1) {
                *id |= OURS;
            }
            let row = row(&ids);
            assert_eq!(Ids::new(&row).collect::<Vec<_>>(), ids);
            assert_eq!(count(&row), ids.len());
            assert!(row.is_sorted_by_key(|cell| cell.block()));
            // One cell for those with the mark, and one for those without.
            let mut uppers: Vec<u64> = row.iter().map(|cell| cell.upper()).collect();
            uppers.sort_unstable();
            assert!(uppers.is_sorted_by(|a, b| a < b));
            for id in 0..9_010 {
                let held = ids.iter().copied().find(|it| it & ID == id);
                assert_eq!(find(&row, id), held.unwrap_or(NOT_HELD));
            }
        }
    }

    #[test]
    fn ids_of_any_size_are_told_apart() {
        let ids = [0, 31, 32 | OURS, 65_568, 65_569 | OURS, ID - 1, ID | OURS];
        let row = row(&ids);
        assert_eq!(row.len(), 6);
        assert_eq!(Ids::new(&row).collect::<Vec<_>>(), ids);
        assert_eq!(find(&row, ID), ID | OURS);
    }

    #[test]
    fn an_id_is_found_in_a_long_row() {
        let ids: Vec<u32> =
            (0..900).map(|it| it * 20 + if it % 3 == 0 { OURS } else { 0 }).collect();
        let row = row(&ids);
        assert!(row.len() > 256);
        for id in 0..18_100 {
            let held = ids.iter().copied().find(|it| it & ID == id);
            assert_eq!(find(&row, id), held.unwrap_or(NOT_HELD));
        }
    }

    #[test]
    fn rows_united_are_what_sets_united_are() {
        for seed in 1..40 {
            let (a, b) = (some(seed, seed * 2), some(seed + 9, 60));
            let mut cells = vec![Cell::of(8_999), Cell::of(3)];
            pack(a.iter().copied(), &mut cells);
            let (first, _) = (cells.len(), pack(b.iter().copied(), &mut cells));
            assert!(first > 2);
            unite(&mut cells, 2);
            let both: BTreeSet<u32> = a.iter().chain(&b).copied().collect();
            assert_eq!(cells.split_off(2), row(&both.into_iter().collect::<Vec<_>>()));
            assert_eq!(cells, [Cell::of(8_999), Cell::of(3)]);
        }
    }

    #[test]
    fn rows_are_the_same_marks_aside() {
        for len in [0, 1, 31, 32, 33, 64, 100] {
            let ids: Vec<u32> = (0..len).map(|it| it * 11).collect();
            let wanted = row(&ids);
            let mut held = row(&ids.iter().map(|id| id | OURS).collect::<Vec<_>>());
            assert!(same(&held, &wanted));
            for at in 0..held.len() {
                let cell = held[at];
                for other in [cell.with(cell.bits() ^ 1 << 31), Cell::of(4_000_000)] {
                    held[at] = other;
                    assert!(!same(&held, &wanted));
                }
                held[at] = cell;
                assert!(!same(&held[..at], &wanted));
            }
        }
    }
}
