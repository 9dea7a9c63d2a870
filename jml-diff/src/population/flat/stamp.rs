//! One person's difference by an array of stamps, each with the bits of 32 ids: no hash, nothing allocated, and a
//! sort of what is missing only.

use std::hint::select_unpredictable;

use super::ID;
use super::cell::Cell;

/// Blocks of as many ids as 16 bits tell apart: a place in an array of so many needs no check against its end.
const SMALL: usize = (1 << 16) / Cell::IDS as usize;

/// Cells that are copied at first: most rows of templates have no more.
const FEW: usize = 8;
/// Cells that are copied at once after that.
const MANY: usize = 16;

/// Scratch space for differences: a stamp for each block of ids, and a bit for each of them. A stamp of an earlier
/// person is older than the epoch and its bits count for nothing, so nothing is ever cleared in between. Alone on
/// its lines of memory: each thread has one.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Stamp {
    slots: Slots,
    epoch: u32,
    /// The person's desired rows, one behind the other.
    desired: Vec<Cell>,
    desired_len: usize,
    missing: Sieve,
    surplus: Sieve,
    /// The ids of what differs.
    ids: Vec<u32>,
}

/// Of each block: the stamp in the upper half, bits in the lower one.
#[derive(Debug)]
enum Slots {
    Small(Box<[u64; SMALL]>),
    Large(Vec<u64>),
}

/// What differs for one person.
pub(super) struct Found<'a> {
    /// What is missing, ascending, what is too much, ascending, and whatever comes behind.
    pub(super) ids: &'a [u32],
    /// How many are missing: desired and not held.
    pub(super) missing: usize,
    /// How many differ in all; the rest is held and not desired.
    pub(super) all: usize,
    /// How many cells were looked at.
    pub(super) touched: usize,
}

/// What is to be known of the marks of held ids.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    /// Whether an answer has them.
    pub(super) kept: bool,
    /// Whether there may be two cells of one block in a held row, one of them marked.
    pub(super) mixed: bool,
}

/// Where stamps are kept.
trait Stamps {
    fn at(&mut self, block: u32) -> Option<&mut u64>;
}

impl Stamps for [u64; SMALL] {
    #[inline(always)]
    fn at(&mut self, block: u32) -> Option<&mut u64> {
        // Blocks are fewer than that here.
        self.as_mut_slice().get_mut(block as usize % SMALL)
    }
}

impl Stamps for [u64] {
    #[inline(always)]
    fn at(&mut self, block: u32) -> Option<&mut u64> {
        self.get_mut(block as usize)
    }
}

/// The stamp of one person.
#[derive(Clone, Copy)]
struct Epoch(u64);

impl Epoch {
    /// What a slot holds, with nothing in place of what is older. Chosen without a branch: which it is would have
    /// to be guessed each time.
    #[inline(always)]
    fn of(self, slot: u64) -> u64 {
        select_unpredictable((slot ^ self.0) >> 32 == 0, slot, self.0)
    }
}

impl Stamp {
    /// Space for entitlements with ids below `entitlements`; there may be no others.
    pub(super) fn new(entitlements: u32) -> Self {
        let needed = entitlements.div_ceil(Cell::IDS) as usize;
        let zeros = vec![0_u64; needed.max(SMALL)];
        let slots = match zeros.into_boxed_slice().try_into() {
            Ok(small) => Slots::Small(small),
            Err(large) => Slots::Large(large.into_vec()),
        };
        Self {
            slots,
            epoch: 0,
            desired: vec![Cell::default(); 256],
            desired_len: 0,
            missing: Sieve::new(),
            surplus: Sieve::new(),
            ids: Vec::new(),
        }
    }

    /// Whether there is space for so many.
    pub(super) const fn fits(&self, entitlements: u32) -> bool {
        let room = match &self.slots {
            Slots::Small(_) => SMALL,
            Slots::Large(all) => all.len(),
        };
        entitlements.div_ceil(Cell::IDS) as usize <= room
    }

    /// A stamp that nobody had yet.
    #[inline]
    fn next_epoch(&mut self) -> Epoch {
        if self.epoch == u32::MAX {
            match &mut self.slots {
                Slots::Small(slots) => slots.fill(0),
                Slots::Large(slots) => slots.fill(0),
            }
            self.epoch = 0;
        }
        self.epoch += 1;
        Epoch(u64::from(self.epoch) << 32)
    }

    /// Takes no row yet.
    #[inline]
    pub(super) const fn begin(&mut self) {
        self.desired_len = 0;
    }

    /// Takes a desired row: so many cells, and whatever comes behind them.
    #[inline]
    pub(super) fn take(&mut self, row: &[Cell], len: usize) {
        let (into, end) = self.room(len);
        // Always whole pieces: what is too much is overwritten by the next row. Where a piece is not whole any
        // more, at the end of all rows, cell by cell.
        let mut whole = put::<FEW>(row, into, 0);
        let mut done = FEW;
        while whole && done < len {
            whole = put::<MANY>(row, into, done);
            done += MANY;
        }
        if !whole {
            let rest = row.get(..len).unwrap_or_default();
            into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        }
        self.desired_len = end;
    }

    /// Takes desired ids.
    pub(super) fn take_ids(&mut self, ids: &[u32]) {
        let (into, end) = self.room(ids.len());
        into.iter_mut().zip(ids).for_each(|(to, id)| *to = Cell::of(*id));
        self.desired_len = end;
    }

    /// Where the next so many cells are to be, with room behind, and where they will end.
    #[inline]
    fn room(&mut self, len: usize) -> (&mut [Cell], usize) {
        let end = self.desired_len + len;
        if self.desired.len() < end + FEW + MANY {
            self.desired.resize(2 * (end + FEW + MANY), Cell::default());
        }
        (self.desired.get_mut(self.desired_len..).unwrap_or_default(), end)
    }

    /// What is in some of the rows that were taken and not held, and what is held and in none of them. What is held
    /// is so many cells, and whatever comes behind them.
    #[inline]
    pub(super) fn diff(&mut self, held: &[Cell], len: usize, marks: Marks) -> Found<'_> {
        // Up to a multiple of four by cells that hold nothing, for loops that take four at a turn.
        let end = self.desired_len.next_multiple_of(4);
        let rest = self.desired.get_mut(self.desired_len..).unwrap_or_default();
        if let Some(rest) = rest.first_chunk_mut::<4>() {
            *rest = [Cell::default(); 4];
        }
        let epoch = self.next_epoch();
        let Self { slots, desired, missing, surplus, .. } = self;
        let desired = desired.get(..end).unwrap_or_default();
        let (held, left) = ((held, len), [missing, surplus]);
        match slots {
            Slots::Small(slots) => pass(&mut **slots, epoch, desired, held, left),
            Slots::Large(slots) => pass(slots.as_mut_slice(), epoch, desired, held, left),
        }
        self.missing.sort();
        self.found(2 * self.desired_len + len, marks)
    }

    /// What is in a row and not held, and what is held and not in it.
    pub(super) fn diff_row(
        &mut self,
        row: &[Cell],
        held: &[Cell],
        len: usize,
        marks: Marks,
    ) -> Found<'_> {
        let epoch = self.next_epoch();
        let Self { slots, missing, surplus, .. } = self;
        let (held, left) = ((held, len), [missing, surplus]);
        match slots {
            Slots::Small(slots) => pass(&mut **slots, epoch, row, held, left),
            Slots::Large(slots) => pass(slots.as_mut_slice(), epoch, row, held, left),
        }
        self.found(2 * row.len() + len, marks)
    }

    #[inline]
    fn found(&mut self, touched: usize, marks: Marks) -> Found<'_> {
        let Self { missing, surplus, ids, .. } = self;
        let most = (missing.count + surplus.count + 1) * Cell::IDS as usize;
        if ids.len() < most {
            ids.resize(2 * most, 0);
        }
        let mask = if marks.kept { u32::MAX } else { ID };
        let middle = spell(missing.all(), ids, 0, mask);
        let end = spell(surplus.all(), ids, middle, mask);
        if marks.mixed && surplus.mixed() {
            let surplus = ids.get_mut(middle..end).unwrap_or_default();
            surplus.sort_unstable_by_key(|marked| marked & ID);
        }
        Found { ids, missing: middle, all: end, touched }
    }

    /// How many blocks some rows have something of.
    pub(super) fn distinct<'r>(&mut self, rows: impl Iterator<Item = &'r [Cell]>) -> usize {
        let epoch = self.next_epoch();
        let slots = match &mut self.slots {
            Slots::Small(slots) => slots.as_mut_slice(),
            Slots::Large(slots) => slots.as_mut_slice(),
        };
        let mut is_new = |cell: &&Cell| {
            let slot = slots.at(cell.block());
            slot.is_some_and(|slot| std::mem::replace(slot, epoch.0) != epoch.0)
        };
        rows.flatten().filter(|cell| is_new(cell)).count()
    }
}

/// Copies so many cells at a place; says whether there were so many.
#[inline(always)]
fn put<const MANY: usize>(from: &[Cell], to: &mut [Cell], at: usize) -> bool {
    let piece = from.get(at..).and_then(<[Cell]>::first_chunk::<MANY>);
    let place = to.get_mut(at..).and_then(<[Cell]>::first_chunk_mut::<MANY>);
    let (Some(piece), Some(place)) = (piece, place) else { return false };
    *place = *piece;
    true
}

/// The three passes: bits of what is desired are set, those of what is held are wiped, and what is left is read off
/// by what is desired once more.
#[inline(always)]
fn pass<S: Stamps + ?Sized>(
    slots: &mut S,
    epoch: Epoch,
    desired: &[Cell],
    (held, len): (&[Cell], usize),
    [missing, surplus]: [&mut Sieve; 2],
) {
    each(desired, |cell| {
        if let Some(slot) = slots.at(cell.block()) {
            *slot = epoch.of(*slot) | u64::from(cell.bits());
        }
    });
    surplus.sift(held, len, |cell| match slots.at(cell.block()) {
        Some(slot) => {
            let wanted = epoch.of(*slot);
            *slot = wanted & !u64::from(cell.bits());
            cell.without(wanted as u32)
        }
        None => cell,
    });
    // All of these have the stamp. What was read off is gone: other rows may have some of the same block.
    missing.sift(desired, desired.len(), |cell| match slots.at(cell.block()) {
        Some(slot) => cell.with(std::mem::replace(slot, epoch.0) as u32),
        None => cell,
    });
}

/// Holds back the cells that have something left.
#[derive(Debug)]
struct Sieve {
    cells: Vec<Cell>,
    count: usize,
}

impl Sieve {
    fn new() -> Self {
        Self { cells: vec![Cell::default(); 256], count: 0 }
    }

    /// Of a row of so many cells, behind which others may come.
    #[inline(always)]
    fn sift(&mut self, row: &[Cell], len: usize, mut left: impl FnMut(Cell) -> Cell) {
        if self.cells.len() < len + 16 {
            self.cells.resize(2 * (len + 16), Cell::default());
        }
        let (cells, mut count) = (self.cells.as_mut_slice(), 0);
        // Written always and counted if there is something: the branch would be a coin toss.
        each_of(row, len, |cell| {
            let left = left(cell);
            if let Some(slot) = cells.get_mut(count) {
                *slot = left;
            }
            count += usize::from(left.bits() != 0);
        });
        self.count = count;
    }

    fn all(&self) -> &[Cell] {
        self.cells.get(..self.count).unwrap_or_default()
    }

    /// Whether two are of one block, marked and not marked.
    fn mixed(&self) -> bool {
        let all = self.all();
        all.iter()
            .zip(all.iter().skip(1))
            .fold(false, |mixed, (a, b)| mixed | (a.block() == b.block()))
    }

    /// Ascending by block. There are no two of one block.
    #[inline]
    fn sort(&mut self) {
        let count = self.count;
        match self.cells.first_chunk_mut::<8>() {
            Some(eight) if count <= 8 => {
                let unused = eight.iter_mut().enumerate().filter(|(at, _)| *at >= count);
                unused.for_each(|(_, cell)| *cell = Cell::LAST);
                sort_eight(eight);
            }
            _ => {
                let all = self.cells.get_mut(..count).unwrap_or_default();
                all.sort_unstable();
            }
        }
    }
}

/// Sorts by a network (Batcher's for eight): no branch depends on the cells.
#[inline(always)]
fn sort_eight(cells: &mut [Cell; 8]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *cells;
    let order = |low: &mut Cell, high: &mut Cell| {
        (*low, *high) = ((*low).min(*high), (*low).max(*high));
    };
    order(&mut a, &mut b);
    order(&mut c, &mut d);
    order(&mut e, &mut f);
    order(&mut g, &mut h);
    order(&mut a, &mut c);
    order(&mut b, &mut d);
    order(&mut e, &mut g);
    order(&mut f, &mut h);
    order(&mut b, &mut c);
    order(&mut f, &mut g);
    order(&mut a, &mut e);
    order(&mut b, &mut f);
    order(&mut c, &mut g);
    order(&mut d, &mut h);
    order(&mut c, &mut e);
    order(&mut d, &mut f);
    order(&mut b, &mut c);
    order(&mut d, &mut e);
    order(&mut f, &mut g);
    *cells = [a, b, c, d, e, f, g, h];
}

/// Each of so many cells, four at a turn of the loop. In the place of those that are too many in the last turn come
/// cells that hold nothing: another loop for the rest would be one more branch that is hard to foresee.
#[inline(always)]
fn each_of(row: &[Cell], len: usize, mut each: impl FnMut(Cell)) {
    let (whole, rest) = row.split_at_checked(len / 4 * 4).unwrap_or((row, &[]));
    let (fours, _) = whole.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|cell| each(*cell));
    }
    match rest.first_chunk::<4>() {
        Some(last) => {
            for (at, cell) in last.iter().enumerate() {
                each(if at < len % 4 { *cell } else { Cell::default() });
            }
        }
        None => rest.iter().take(len % 4).for_each(|cell| each(*cell)),
    }
}

/// Each of them, four at a turn of the loop.
#[inline(always)]
fn each(row: &[Cell], mut each: impl FnMut(Cell)) {
    let (fours, rest) = row.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|cell| each(*cell));
    }
    rest.iter().for_each(|cell| each(*cell));
}

/// Writes the ids of cells that are ascending by block at a place, and says where they end.
#[inline]
fn spell(cells: &[Cell], into: &mut [u32], start: usize, mask: u32) -> usize {
    let mut at = start;
    for cell in cells {
        let first = cell.first() & mask;
        let mut bits = cell.bits();
        loop {
            if let Some(slot) = into.get_mut(at) {
                *slot = first + bits.trailing_zeros();
            }
            at += 1;
            bits &= bits - 1;
            if bits == 0 {
                break;
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::cell::pack;
    use super::*;
    use std::collections::BTreeSet;

    fn cells(ids: &[u32]) -> Vec<Cell> {
        let mut row = Vec::new();
        pack(ids.iter().copied(), &mut row);
        row
    }

    /// Missing and surplus, of rows and of what is held.
    fn diff(stamp: &mut Stamp, rows: &[&[u32]], held: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut held = cells(held);
        let len = held.len();
        // As held rows stand: somebody else's comes behind.
        held.extend((0..len as u32 % 9).map(|it| Cell::of(it * 3)));
        stamp.begin();
        for row in rows {
            // As rows stand in one list: something else comes behind each.
            let mut row = cells(row);
            let len = row.len();
            row.extend((0..len as u32 % 11).map(|it| Cell::of(it * 40)));
            stamp.take(&row, len);
        }
        let both = |found: Found<'_>| {
            let (missing, rest) = found.ids.split_at(found.missing);
            (missing.to_vec(), rest[..found.all - found.missing].to_vec())
        };
        let (kept, cut) = (Marks { kept: true, mixed: true }, Marks { kept: false, mixed: true });
        let found = both(stamp.diff(&held, len, kept));
        if let [row] = rows {
            let (row, held) = (cells(row), held.as_slice());
            assert_eq!(both(stamp.diff_row(&row, held, len, kept)), found);
            let ids = found.1.iter().map(|marked| marked & ID).collect();
            assert_eq!(both(stamp.diff_row(&row, held, len, cut)), (found.0.clone(), ids));
        }
        found
    }

    /// What sets say.
    fn truth(rows: &[&[u32]], held: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let desired: BTreeSet<u32> = rows.iter().copied().flatten().copied().collect();
        let has = |id: &&u32| held.binary_search_by_key(*id, |marked| marked & ID).is_ok();
        let missing = desired.iter().filter(|id| !has(id)).copied().collect();
        let surplus = held.iter().filter(|marked| !desired.contains(&(*marked & ID))).copied();
        (missing, surplus.collect())
    }

    #[test]
    fn long_rows_are_sifted_whole() {
        let row: Vec<u32> = (0..4_000).step_by(3).collect();
        let held: Vec<u32> = (1_500..9_000).collect();
        for entitlements in [9_000, 65_536, 65_537] {
            let mut stamp = Stamp::new(entitlements);
            for (rows, held) in [(&[&*row, &*row][..], &*held), (&[&*row], &held), (&[&*row], &[7])]
            {
                assert_eq!(diff(&mut stamp, rows, held), truth(rows, held));
            }
        }
    }

    #[test]
    fn ids_of_any_size_are_told_apart_and_marks_stay() {
        let mark = u32::MAX ^ ID;
        let mut stamp = Stamp::new(200_000);
        let (row, held) = ([5, 65_541, 131_077], [5 | mark, 7, 65_543 | mark, 131_077 | mark]);
        let found = diff(&mut stamp, &[&row, &[9]], &held);
        assert_eq!(found, (vec![9, 65_541], vec![7, 65_543 | mark]));
    }

    #[test]
    fn marks_within_a_block_are_in_order() {
        let held: Vec<u32> = (0..64).map(|id| if id % 3 == 0 { id | !ID } else { id }).collect();
        let row: Vec<u32> = (0..64).step_by(2).collect();
        let mut stamp = Stamp::new(64);
        for rows in [&[][..], &[&*row], &[&*row, &[1, 63]]] {
            assert_eq!(diff(&mut stamp, rows, &held), truth(rows, &held));
        }
    }

    #[test]
    fn few_and_many_that_are_missing_come_in_order() {
        for most in 0..40 {
            // Rows of one, the greatest id first.
            let ids: Vec<[u32; 1]> = (0..most).rev().map(|it| [it * 1_013 % 60_000]).collect();
            let rows: Vec<&[u32]> = ids.iter().map(<[u32; 1]>::as_slice).collect();
            assert_eq!(diff(&mut Stamp::new(60_000), &rows, &[]), truth(&rows, &[]));
        }
    }

    #[test]
    fn rows_of_any_length_give_what_sets_give() {
        let mut stamp = Stamp::new(90_000);
        for len in 0..150 {
            for step in [1, 7, 33] {
                let row: Vec<u32> = (0..len).map(|it| it * 2 * step).collect();
                let more: Vec<u32> = (0..len / 2).map(|it| it * 5 * step + 1).collect();
                let held: Vec<u32> = (0..len).map(|it| (it + len / 3) * step).collect();
                for rows in [&[&*row][..], &[&*row, &more], &[&*more, &row, &more], &[]] {
                    assert_eq!(diff(&mut stamp, rows, &held), truth(rows, &held));
                }
            }
        }
    }

    #[test]
    fn an_epoch_that_runs_over_forgets_nothing_wrong() {
        for entitlements in [4, 100_000] {
            let mut stamp = Stamp::new(entitlements);
            assert_eq!(diff(&mut stamp, &[&[3], &[2]], &[]), (vec![2, 3], vec![]));
            stamp.epoch = u32::MAX - 3;
            for _ in 0..6 {
                assert_eq!(diff(&mut stamp, &[&[0, 1], &[1, 3]], &[1, 2]), (vec![0, 3], vec![2]));
            }
            assert!(stamp.epoch < 20);
        }
    }

    /// Whatever an earlier person left behind, as one does in the middle of whose passes something panics.
    #[test]
    fn what_is_left_behind_counts_for_nothing() {
        let litter = |stamp: &mut Stamp, epoch: u32| {
            let slot = (u64::from(epoch) << 32) | u64::from(u32::MAX);
            match &mut stamp.slots {
                Slots::Small(slots) => slots.fill(slot),
                Slots::Large(slots) => slots.fill(slot),
            }
        };
        for entitlements in [128, 100_000] {
            let mut stamp = Stamp::new(entitlements);
            let right = |stamp: &mut Stamp| {
                let found = diff(stamp, &[&[1, 40], &[5]], &[5, 63, 100]);
                assert_eq!(found, (vec![1, 40], vec![63, 100]));
                assert_eq!(diff(stamp, &[&[2]], &[99]), (vec![2], vec![99]));
            };
            for _ in 0..3 {
                let epoch = stamp.epoch;
                litter(&mut stamp, epoch);
                right(&mut stamp);
            }
            // Litter of so long ago that its stamp would come up again.
            for ahead in 1..4 {
                stamp.epoch = u32::MAX;
                litter(&mut stamp, ahead);
                right(&mut stamp);
            }
        }
    }

    #[test]
    fn blocks_are_counted_and_wiped() {
        let mut stamp = Stamp::new(300);
        let (a, b) = (cells(&[0, 1, 40, 290]), cells(&[2, 31, 41, 100]));
        for _ in 0..2 {
            assert_eq!(stamp.distinct([&*a, &b].into_iter()), 4);
            assert_eq!(diff(&mut stamp, &[], &[1, 40]), (vec![], vec![1, 40]));
        }
    }
}
