//! One person's difference by an array of stamps: no sort, no hash, nothing allocated.

use super::flat::ID;

/// Scratch space for differences: one stamp for each entitlement. A stamp of an earlier person is older than
/// the epoch, so nothing is ever cleared in between.
#[derive(Clone, Debug)]
pub struct Stamp {
    stamps: Vec<u32>,
    epoch: u32,
    missing: Sieve,
    surplus: Sieve,
}

impl Stamp {
    /// Space for entitlements with ids below `entitlements`. Other ids are left out of every answer.
    #[must_use]
    pub fn new(entitlements: u32) -> Self {
        let (missing, surplus) = (Sieve::new(), Sieve::new());
        Self { stamps: vec![0; entitlements as usize], epoch: 0, missing, surplus }
    }

    /// What is in some row of `desired` and not held, ascending and without repeats; and what is held and in
    /// none of them, as it stands in `held`, marks included. `held` has no repeats.
    pub fn diff<'r>(
        &mut self,
        desired: impl IntoIterator<Item = &'r [u32]>,
        held: &[u32],
    ) -> (&[u32], &[u32]) {
        let (is_held, is_done) = self.next_epoch();
        let Self { stamps, missing, surplus, .. } = self;
        // A slice of its own: where it is need not be read again after every stamp.
        let stamps = stamps.as_mut_slice();
        in_fours(held, |marked| {
            if let Some(stamp) = stamps.get_mut((marked & ID) as usize) {
                *stamp = is_held;
            }
        });
        missing.clear();
        for row in desired {
            missing.sift(row, |id| {
                let Some(stamp) = stamps.get_mut(id as usize) else { return false };
                std::mem::replace(stamp, is_done) < is_held
            });
        }
        surplus.clear();
        surplus.sift(held, |marked| stamps.get((marked & ID) as usize) == Some(&is_held));
        let missing = missing.all();
        missing.sort_unstable();
        (missing, surplus.all())
    }

    /// Two stamps that nobody used yet: for what is held, and for what was met among the desired.
    fn next_epoch(&mut self) -> (u32, u32) {
        if self.epoch >= u32::MAX - 3 {
            self.stamps.fill(0);
            self.epoch = 0;
        }
        self.epoch += 2;
        (self.epoch, self.epoch + 1)
    }
}

/// Holds back the ids that are wanted.
#[derive(Clone, Debug)]
struct Sieve {
    /// A place in it is one byte, so it needs no check against its end.
    block: [u32; 256],
    count: u8,
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

    #[inline]
    fn sift(&mut self, ids: &[u32], mut wanted: impl FnMut(u32) -> bool) {
        for some in ids.chunks(Self::SOME) {
            if usize::from(self.count) >= Self::SOME {
                self.put_away();
            }
            // Written always and counted if it is wanted: the branch would be a coin toss.
            let (block, mut count) = (&mut self.block, self.count);
            in_fours(some, |id| {
                if let Some(slot) = block.get_mut(usize::from(count)) {
                    *slot = id;
                }
                count = count.wrapping_add(u8::from(wanted(id)));
            });
            self.count = count;
        }
    }

    #[cold]
    fn put_away(&mut self) {
        let full = self.block.get(..usize::from(self.count)).unwrap_or_default();
        self.more.extend_from_slice(full);
        self.count = 0;
    }

    fn all(&mut self) -> &mut [u32] {
        if self.more.is_empty() {
            return self.block.get_mut(..usize::from(self.count)).unwrap_or_default();
        }
        self.put_away();
        &mut self.more
    }
}

/// Each of them, four at a turn of the loop.
#[inline]
fn in_fours(ids: &[u32], mut each: impl FnMut(u32)) {
    let (fours, rest) = ids.as_chunks::<4>();
    for four in fours {
        four.iter().for_each(|id| each(*id));
    }
    rest.iter().for_each(|id| each(*id));
}

/// Whether a held row is exactly a desired one, marks aside.
pub(super) fn same(held: &[u32], row: &[u32]) -> bool {
    // In blocks without a branch inside, so that they become vector instructions.
    const LINE: usize = 16;
    let differs = |a: &[u32], b: &[u32]| {
        a.iter().zip(b).fold(0, |sum, (held, id)| sum | ((held & ID) ^ id)) != 0
    };
    held.len() == row.len() && !held.chunks(LINE).zip(row.chunks(LINE)).any(|(a, b)| differs(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_runs_over_forgets_nothing_wrong() {
        let mut stamp = Stamp::new(4);
        stamp.epoch = u32::MAX - 6;
        for _ in 0..6 {
            let rows = [[0, 1].as_slice(), &[1, 3]];
            let (missing, surplus) = stamp.diff(rows, &[1, 2]);
            assert_eq!((missing, surplus), ([0, 3].as_slice(), [2].as_slice()));
        }
        assert!(stamp.epoch < 20);
    }

    #[test]
    fn long_rows_are_sifted_whole() {
        let mut stamp = Stamp::new(2_000);
        let row: Vec<u32> = (0..1_000).collect();
        let held: Vec<u32> = (500..2_000).collect();
        let (missing, surplus) = stamp.diff([row.as_slice(), &row], &held);
        assert_eq!(missing, (0..500).collect::<Vec<_>>());
        assert_eq!(surplus, (1_000..2_000).collect::<Vec<_>>());
        let (missing, surplus) = stamp.diff([row.as_slice()], &[7]);
        assert_eq!((missing.len(), surplus.len()), (999, 0));
    }

    #[test]
    fn rows_are_the_same_marks_aside() {
        let row: Vec<u32> = (0..40).collect();
        let mut held: Vec<u32> = row.iter().map(|id| id | (u32::MAX ^ ID)).collect();
        assert!(same(&held, &row));
        held[37] = 41;
        assert!(!same(&held, &row));
        assert!(!same(&held[..39], &row));
    }
}
