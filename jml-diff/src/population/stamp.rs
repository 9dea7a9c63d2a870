//! One person's difference by an array of stamps: no sort, no hash, nothing allocated.

use super::flat::ID;

/// Scratch space for differences: one stamp for each entitlement. A stamp of an earlier person is older than
/// the epoch, so nothing is ever cleared in between.
#[derive(Clone, Debug)]
pub struct Stamp {
    stamps: Vec<u32>,
    epoch: u32,
    missing: Vec<u32>,
    surplus: Vec<u32>,
}

impl Stamp {
    /// Space for entitlements with ids below `entitlements`. Other ids are left out of every answer.
    #[must_use]
    pub fn new(entitlements: u32) -> Self {
        let len = entitlements as usize;
        // One slot more than there can be answers, because a slot is written before it is counted.
        let (missing, surplus) = (vec![0; len + 1], vec![0; len + 1]);
        Self { stamps: vec![0; len], epoch: 0, missing, surplus }
    }

    /// What is in some row of `desired` and not held, ascending and without repeats; and what is held and in
    /// none of them, as it stands in `held`, marks included. `held` has no repeats.
    pub fn diff<'r>(
        &mut self,
        desired: impl IntoIterator<Item = &'r [u32]>,
        held: &[u32],
    ) -> (&[u32], &[u32]) {
        let (is_held, is_done) = self.next_epoch();
        for marked in held {
            if let Some(stamp) = self.stamps.get_mut((marked & ID) as usize) {
                *stamp = is_held;
            }
        }
        // Written always and counted if it was one: the branch would be a coin toss.
        let mut missing = 0;
        for row in desired {
            for id in row {
                if let Some(stamp) = self.stamps.get_mut(*id as usize)
                    && let Some(slot) = self.missing.get_mut(missing)
                {
                    *slot = *id;
                    missing += usize::from(*stamp < is_held);
                    *stamp = is_done;
                }
            }
        }
        let mut surplus = 0;
        for marked in held {
            if let Some(stamp) = self.stamps.get((marked & ID) as usize)
                && let Some(slot) = self.surplus.get_mut(surplus)
            {
                *slot = *marked;
                surplus += usize::from(*stamp == is_held);
            }
        }
        let found = self.missing.get_mut(..missing).unwrap_or_default();
        found.sort_unstable();
        (found, self.surplus.get(..surplus).unwrap_or_default())
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

/// Whether a held row is exactly a desired one, marks aside.
pub(super) fn same(held: &[u32], row: &[u32]) -> bool {
    // In blocks without a branch inside, so that they become vector instructions.
    const BLOCK: usize = 16;
    let differs = |a: &[u32], b: &[u32]| {
        a.iter().zip(b).fold(0, |sum, (held, id)| sum | ((held & ID) ^ id)) != 0
    };
    held.len() == row.len()
        && !held.chunks(BLOCK).zip(row.chunks(BLOCK)).any(|(a, b)| differs(a, b))
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
    fn rows_are_the_same_marks_aside() {
        let row: Vec<u32> = (0..40).collect();
        let mut held: Vec<u32> = row.iter().map(|id| id | (u32::MAX ^ ID)).collect();
        assert!(same(&held, &row));
        held[37] = 41;
        assert!(!same(&held, &row));
        assert!(!same(&held[..39], &row));
    }
}
