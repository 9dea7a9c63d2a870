//! One person's difference by an array of stamps: no hash, nothing allocated, and a sort of what is missing only.

use super::ID;

/// As many ids as 16 bits tell apart: a place in an array of so many needs no check against its end.
const SMALL: usize = 1 << 16;

/// Rows that are looked up before any of them is read.
const ROWS: usize = 12;

/// Scratch space for differences: one stamp for each entitlement. A stamp of an earlier person is older than
/// the epoch, so nothing is ever cleared in between. Alone on its lines of memory: each thread has one.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Stamp {
    slots: Slots,
    epoch: u16,
    missing: Sieve,
    surplus: Sieve,
}

/// One stamp for each id.
#[derive(Debug)]
enum Slots {
    Small(Box<[u16; SMALL]>),
    Large(Vec<u16>),
}

/// What differs for one person.
pub(super) struct Found<'a> {
    /// Desired and not held, ascending and without repeats.
    pub(super) missing: &'a [u32],
    /// Held and not desired, as it stands in the held row, marks included.
    pub(super) surplus: &'a [u32],
    /// How many entries of rows were looked at.
    pub(super) touched: usize,
}

/// Where stamps are kept.
trait Stamps {
    fn put(&mut self, id: u32, stamp: u16);
    /// Puts a stamp and gives back what was there.
    fn renew(&mut self, id: u32, stamp: u16) -> u16;
    fn get(&self, id: u32) -> u16;
}

// Ids are below 65,536 here, and their marks are cut off with the rest.
impl Stamps for [u16; SMALL] {
    #[inline(always)]
    fn put(&mut self, id: u32, stamp: u16) {
        if let Some(slot) = self.as_mut_slice().get_mut(usize::from(id as u16)) {
            *slot = stamp;
        }
    }

    #[inline(always)]
    fn renew(&mut self, id: u32, stamp: u16) -> u16 {
        let slot = self.as_mut_slice().get_mut(usize::from(id as u16));
        slot.map_or(u16::MAX, |slot| std::mem::replace(slot, stamp))
    }

    #[inline(always)]
    fn get(&self, id: u32) -> u16 {
        self.as_slice().get(usize::from(id as u16)).copied().unwrap_or(u16::MAX)
    }
}

impl Stamps for [u16] {
    #[inline(always)]
    fn put(&mut self, id: u32, stamp: u16) {
        if let Some(slot) = self.get_mut((id & ID) as usize) {
            *slot = stamp;
        }
    }

    #[inline(always)]
    fn renew(&mut self, id: u32, stamp: u16) -> u16 {
        let slot = self.get_mut((id & ID) as usize);
        slot.map_or(u16::MAX, |slot| std::mem::replace(slot, stamp))
    }

    #[inline(always)]
    fn get(&self, id: u32) -> u16 {
        <[u16]>::get(self, (id & ID) as usize).copied().unwrap_or(u16::MAX)
    }
}

impl Stamp {
    /// Space for entitlements with ids below `entitlements`; there may be no others.
    pub(super) fn new(entitlements: u32) -> Self {
        let small = entitlements as usize <= SMALL;
        let zeros = vec![0_u16; if small { SMALL } else { entitlements as usize }];
        let slots = match zeros.into_boxed_slice().try_into() {
            Ok(small) => Slots::Small(small),
            Err(large) => Slots::Large(large.into_vec()),
        };
        let (missing, surplus) = (Sieve::new(), Sieve::new());
        Self { slots, epoch: 0, missing, surplus }
    }

    /// Whether there is space for so many.
    pub(super) const fn fits(&self, entitlements: u32) -> bool {
        let room = match &self.slots {
            Slots::Small(_) => SMALL,
            Slots::Large(all) => all.len(),
        };
        entitlements as usize <= room
    }

    /// What is in some desired row and not held, and what is held and in none of them. Desired are the rows of
    /// all templates of a list, and two more. Each row is ascending, and `held` has no repeats.
    #[inline]
    pub(super) fn diff<'r>(
        &mut self,
        list: &[u32],
        row_of: impl Fn(u32) -> &'r [u32],
        more: [&'r [u32]; 2],
        held: &[u32],
    ) -> Found<'_> {
        let epochs = self.next_epoch();
        let Self { slots, missing, surplus, .. } = self;
        let rows = (list, row_of, more);
        let touched = match slots {
            Slots::Small(slots) => pass(&mut **slots, epochs, rows, held, missing, surplus),
            Slots::Large(slots) => pass(slots.as_mut_slice(), epochs, rows, held, missing, surplus),
        };
        let [_, second] = more;
        // What comes from one row is in order.
        let in_order = list.is_empty() && second.is_empty();
        let missing = if in_order { missing.all() } else { missing.sorted() };
        Found { missing, surplus: surplus.all(), touched }
    }

    /// How many distinct ids some rows have.
    pub(super) fn distinct<'r>(&mut self, rows: impl Iterator<Item = &'r [u32]>) -> usize {
        let (_, seen) = self.next_epoch();
        let slots = match &mut self.slots {
            Slots::Small(slots) => slots.as_mut_slice(),
            Slots::Large(slots) => slots.as_mut_slice(),
        };
        rows.flatten().filter(|id| slots.renew(**id, seen) != seen).count()
    }

    /// Two stamps that nobody used yet: for what is held, and for what was met among the desired.
    fn next_epoch(&mut self) -> (u16, u16) {
        if self.epoch >= u16::MAX - 3 {
            match &mut self.slots {
                Slots::Small(slots) => slots.fill(0),
                Slots::Large(slots) => slots.fill(0),
            }
            self.epoch = 0;
        }
        self.epoch += 2;
        (self.epoch, self.epoch + 1)
    }
}

/// The three passes: over what is held, over what is desired, and over what is held again.
#[inline(always)]
fn pass<'r, S: Stamps + ?Sized>(
    stamps: &mut S,
    (is_held, is_done): (u16, u16),
    (list, row_of, more): (&[u32], impl Fn(u32) -> &'r [u32], [&'r [u32]; 2]),
    held: &[u32],
    missing: &mut Sieve,
    surplus: &mut Sieve,
) -> usize {
    let mut touched = 2 * held.len();
    at_least_once(held, |marked| stamps.put(marked, is_held));
    missing.clear();
    let mut desired = |row: &[u32]| {
        touched += row.len();
        missing.sift(row, true, |id| stamps.renew(id, is_done) < is_held);
    };
    for some in list.chunks(ROWS) {
        let mut rows = [&[] as &[u32]; ROWS];
        for (row, template) in rows.iter_mut().zip(some) {
            *row = row_of(*template);
        }
        rows.iter().take(some.len()).for_each(|row| desired(row));
    }
    more.into_iter().for_each(desired);
    surplus.clear();
    // Whatever is held has one of the two stamps.
    surplus.sift(held, false, |marked| stamps.get(marked) < is_done);
    touched
}

/// Holds back the ids that are wanted.
#[derive(Debug)]
struct Sieve {
    block: [u32; 256],
    count: usize,
    /// What did not fit.
    more: Vec<u32>,
}

impl Sieve {
    /// Ids at a time. Twice that always fits.
    const SOME: usize = 128;

    const fn new() -> Self {
        Self { block: [0; 256], count: 0, more: Vec::new() }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.more.clear();
    }

    /// Each id once; or, if `again`, some twice: those are not wanted the second time.
    #[inline(always)]
    fn sift(&mut self, ids: &[u32], again: bool, mut wanted: impl FnMut(u32) -> bool) {
        for some in ids.chunks(Self::SOME) {
            if self.count >= Self::SOME {
                self.put_away();
            }
            let (block, mut count) = (&mut self.block, self.count);
            // Written always and counted if it is wanted: the branch would be a coin toss.
            let put = |id| {
                if let Some(slot) = block.get_mut(count) {
                    *slot = id;
                }
                count += usize::from(wanted(id));
            };
            if again {
                at_least_once(some, put);
            } else {
                once(some, put);
            }
            self.count = count;
        }
    }

    #[cold]
    fn put_away(&mut self) {
        let full = self.block.get(..self.count).unwrap_or_default();
        self.more.extend_from_slice(full);
        self.count = 0;
    }

    fn all(&mut self) -> &mut [u32] {
        if self.more.is_empty() {
            return self.block.get_mut(..self.count).unwrap_or_default();
        }
        self.put_away();
        &mut self.more
    }

    /// All of them, ascending. There are no repeats.
    fn sorted(&mut self) -> &[u32] {
        match self.count {
            0..2 if self.more.is_empty() => {}
            2..=8 if self.more.is_empty() => self.by_rank::<8>(),
            9..=16 if self.more.is_empty() => self.by_rank::<16>(),
            _ => self.all().sort_unstable(),
        }
        self.all()
    }

    /// Sorts at most so many: each goes to the place that the number of smaller ones says. No branch depends on
    /// the ids.
    fn by_rank<const MOST: usize>(&mut self) {
        let mut all = [i32::MAX; MOST];
        let count = self.count;
        for (to, from) in all.iter_mut().zip(&self.block).take(count) {
            *to = from.cast_signed();
        }
        for id in all.iter().take(count) {
            let rank = all.iter().map(|other| u8::from(other < id)).sum::<u8>();
            if let Some(slot) = self.block.get_mut(usize::from(rank)) {
                *slot = id.cast_unsigned();
            }
        }
    }
}

/// Each of them, four at a turn of the loop.
#[inline(always)]
fn once(ids: &[u32], mut each: impl FnMut(u32)) {
    let (fours, rest) = ids.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|id| each(*id));
    }
    rest.iter().for_each(|id| each(*id));
}

/// Each of them, four at a turn of the loop; some twice, so that the last turn has four, too.
#[inline(always)]
fn at_least_once(ids: &[u32], mut each: impl FnMut(u32)) {
    let (fours, rest) = ids.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|id| each(*id));
    }
    match ids.last_chunk::<4>() {
        Some(_) if rest.is_empty() => {}
        Some(last) => last.iter().for_each(|id| each(*id)),
        None => rest.iter().for_each(|id| each(*id)),
    }
}

/// Whether a held row is exactly a desired one, marks aside.
pub(super) fn same(held: &[u32], row: &[u32]) -> bool {
    // Without a branch inside, so that it becomes vector instructions: rows of one length mostly are the same.
    let differ = || held.iter().zip(row).fold(0, |sum, (held, id)| sum | (held ^ id)) & ID != 0;
    held.len() == row.len() && !differ()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Missing and surplus, of rows and of what is held.
    fn diff(stamp: &mut Stamp, rows: &[&[u32]], held: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let list: Vec<u32> = (0..rows.len() as u32).collect();
        let found = stamp.diff(&list, |at| rows[at as usize], [&[], &[]], held);
        (found.missing.to_vec(), found.surplus.to_vec())
    }

    #[test]
    fn an_epoch_that_runs_over_forgets_nothing_wrong() {
        for entitlements in [4, 100_000] {
            let mut stamp = Stamp::new(entitlements);
            stamp.epoch = u16::MAX - 6;
            for _ in 0..6 {
                assert_eq!(diff(&mut stamp, &[&[0, 1], &[1, 3]], &[1, 2]), (vec![0, 3], vec![2]));
            }
            assert!(stamp.epoch < 20);
        }
    }

    #[test]
    fn long_rows_are_sifted_whole() {
        let row: Vec<u32> = (0..1_000).collect();
        let held: Vec<u32> = (500..2_000).collect();
        for entitlements in [2_000, 65_536, 65_537] {
            let mut stamp = Stamp::new(entitlements);
            let (missing, surplus) = diff(&mut stamp, &[&row, &row], &held);
            assert_eq!(missing, (0..500).collect::<Vec<_>>());
            assert_eq!(surplus, (1_000..2_000).collect::<Vec<_>>());
            let (missing, surplus) = diff(&mut stamp, &[&row], &[7]);
            assert_eq!((missing.len(), surplus.len()), (999, 0));
        }
    }

    #[test]
    fn ids_of_any_size_are_told_apart_and_marks_are_cut_off() {
        let mark = u32::MAX ^ ID;
        let mut stamp = Stamp::new(200_000);
        let (row, held) = ([5, 65_541, 131_077], [5 | mark, 7, 65_543 | mark, 131_077 | mark]);
        let found = diff(&mut stamp, &[&row, &[9]], &held);
        assert_eq!(found, (vec![9, 65_541], vec![7, 65_543 | mark]));
    }

    #[test]
    fn few_and_many_that_are_missing_come_in_order() {
        for most in 0..40 {
            // Rows of one, the greatest id first.
            let ids: Vec<[u32; 1]> = (0..most).rev().map(|it| [it * 1_013 % 60_000]).collect();
            let rows: Vec<&[u32]> = ids.iter().map(<[u32; 1]>::as_slice).collect();
            let mut expected: Vec<u32> = ids.iter().flatten().copied().collect();
            expected.sort_unstable();
            assert_eq!(diff(&mut Stamp::new(60_000), &rows, &[]), (expected, vec![]));
        }
    }

    #[test]
    fn rows_of_any_length_give_what_sets_give() {
        use std::collections::BTreeSet;
        let mut stamp = Stamp::new(300);
        for len in 0..150 {
            let (row, held): (Vec<u32>, Vec<u32>) =
                ((0..len).map(|it| it * 2).collect(), (0..len).map(|it| it + len / 3).collect());
            let sets: [BTreeSet<u32>; 2] = [&row, &held].map(|it| it.iter().copied().collect());
            let less = |a: usize, b: usize| sets[a].difference(&sets[b]).copied().collect();
            assert_eq!(diff(&mut stamp, &[&row], &held), (less(0, 1), less(1, 0)));
        }
    }

    #[test]
    fn rows_are_the_same_marks_aside() {
        for len in [0, 1, 31, 32, 33, 64, 100] {
            let row: Vec<u32> = (0..len).collect();
            let mut held: Vec<u32> = row.iter().map(|id| id | (u32::MAX ^ ID)).collect();
            assert!(same(&held, &row));
            for at in 0..held.len() {
                held[at] ^= 256;
                assert!(!same(&held, &row));
                held[at] ^= 256;
                assert!(!same(&held[..at], &row));
            }
        }
    }
}
