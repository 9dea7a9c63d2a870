//! The walk over everybody.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Mutex;

use super::cell::{Cell, same};
use super::deltas::Part;
use super::stamp::{Found, Marks, Stamp};
use super::word::{APART, END, OWN, SHARED};
use super::{Deltas, Flat};

/// What a person takes besides what they hold, in cells: mostly what their templates give is looked at.
const A_PERSON: u64 = 32;

/// Parts for each of several threads. Whoever is done takes the next one, so all end together.
const PARTS: usize = 16;

impl Flat {
    /// Everybody's difference. The answer is the same whatever the number of threads.
    #[must_use]
    pub fn diff(&self, threads: NonZeroUsize) -> Deltas {
        let mut deltas = Deltas::default();
        self.diff_into(threads, &mut deltas);
        deltas
    }

    /// As [`diff`](Self::diff), into the room that an earlier answer took.
    pub fn diff_into(&self, threads: NonZeroUsize, deltas: &mut Deltas) {
        let threads = threads.get();
        let count = if threads == 1 { 1 } else { threads.saturating_mul(PARTS) };
        let (parts, stamps) = deltas.start(count, threads, self.entitlements());
        match (parts, stamps) {
            ([part], [stamp, ..]) => self.walk(0..self.people(), stamp, part),
            (parts, [first, rest @ ..]) => {
                let total = parts.len() as u64;
                let queue = Mutex::new((0..total).zip(parts));
                let next = || queue.lock().ok()?.next();
                let work = |stamp: &mut Stamp| {
                    while let Some((number, part)) = next() {
                        let cut = |number| cut(&self.starts, number, total);
                        self.walk(cut(number)..cut(number + 1), stamp, part);
                    }
                };
                std::thread::scope(|scope| {
                    for stamp in rest {
                        scope.spawn(|| work(stamp));
                    }
                    work(first);
                });
            }
            _ => {}
        }
        deltas.sum(self.walked_pairs());
    }

    /// The differences of a range of people.
    fn walk(&self, people: Range<u32>, stamp: &mut Stamp, part: &mut Part) {
        let mut cursor = 0;
        let (from, to) = (people.start as usize, people.end as usize);
        let words = self.people.get(from..to).unwrap_or_default();
        let starts = self.starts.get(from..).unwrap_or_default();
        let ends = starts.get(1..).unwrap_or_default();
        let marks = Marks { kept: !self.fates.free(), mixed: self.mixed };
        for ((person, word), (start, end)) in people.zip(words).zip(starts.iter().zip(ends)) {
            if *word == APART {
                continue;
            }
            let held = self.held.get(*start as usize..).unwrap_or_default();
            let len = (end - start) as usize;
            let own = if word & OWN == 0 { &[] } else { self.own.of(person, &mut cursor).0 };
            if let Some(found) = self.one(stamp, *word, own, (held, len), marks, part) {
                part.push(person, &found, &self.fates);
            }
        }
    }

    /// What differs for one person; `None` if it is seen without a stamp that nothing does.
    #[inline]
    fn one<'s>(
        &self,
        stamp: &'s mut Stamp,
        word: u32,
        own: &[u32],
        (held, len): (&[Cell], usize),
        marks: Marks,
        part: &mut Part,
    ) -> Option<Found<'s>> {
        let shared = if word & SHARED == 0 { self.only_row(word) } else { self.shared_row(word) };
        if let (Some(row), []) = (shared, own) {
            if same(held.get(..len).unwrap_or_default(), row) {
                part.touched += len as u64;
                return None;
            }
            return Some(stamp.diff_row(row, held, len, marks));
        }
        stamp.begin();
        match shared {
            Some(row) => stamp.take(row, row.len()),
            None => {
                // Not a list whose end is looked for first: that would be a second loop of a length that nobody
                // can foresee.
                for template in self.lists_from(word) {
                    let (row, len) = self.templates.from(template & !END);
                    stamp.take(row, len);
                    if template & END != 0 {
                        break;
                    }
                }
            }
        }
        stamp.take_ids(own);
        Some(stamp.diff(held, len, marks))
    }
}

/// Where the part with this number begins, of so many. By work, so that parts take equally long: a person is
/// as much of it as [`A_PERSON`] cells that are held.
fn cut(starts: &[u32], number: u64, total: u64) -> u32 {
    let work = |person: usize| {
        let start = starts.get(person).or(starts.last()).copied().unwrap_or_default();
        u64::from(start) + A_PERSON * person as u64
    };
    let people = starts.len().saturating_sub(1);
    let wanted = work(people) * number / total.max(1);
    let (mut low, mut high) = (0, people);
    while low < high {
        let middle = usize::midpoint(low, high);
        if work(middle) < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    u32::try_from(low).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_take_equally_long_whoever_holds_nothing() {
        // A thousand people who hold a hundred each, then a thousand who joined and hold nothing.
        let held = |person: u32| person.min(1_000) * 100;
        let starts: Vec<u32> = (0..=2_000).map(held).collect();
        let work =
            |from: u32, to: u32| u64::from(held(to) - held(from)) + u64::from(to - from) * A_PERSON;
        for total in [1, 2, 5, 32] {
            let cuts: Vec<u32> = (0..=total).map(|number| cut(&starts, number, total)).collect();
            assert_eq!((cuts[0], cuts[cuts.len() - 1]), (0, 2_000));
            for part in cuts.windows(2) {
                let fair = work(0, 2_000) / total;
                assert!(work(part[0], part[1]).abs_diff(fair) <= 2 * (100 + A_PERSON));
            }
        }
        assert_eq!((cut(&[0], 1, 1), cut(&[], 1, 3)), (0, 0));
    }
}
