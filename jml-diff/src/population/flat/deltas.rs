//! The answer for everybody, in flat lists: only people with a difference are in it.

use std::collections::BTreeMap;
use std::fmt;

use super::edit::Shift;
use super::fate::Fates;
use super::stamp::{Found, Stamp};
use super::{Flat, ID};

/// What differs for one person. Ids are ascending in each list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Difference<'a> {
    /// Who.
    pub person: u32,
    /// Claimed and not held.
    pub grants: &'a [u32],
    /// Claimed and not held, and it cannot be given now.
    pub waits: &'a [u32],
    /// Held, not claimed, and ours to take.
    pub revokes: &'a [u32],
    /// Held, not claimed, and left alone.
    pub foreign: &'a [u32],
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Totals {
    /// People with a difference.
    pub people: u64,
    /// Claimed and not held.
    pub grants: u64,
    /// Claimed, not held, and not to be given now.
    pub waits: u64,
    /// Held, not claimed, and ours to take.
    pub revokes: u64,
    /// Held, not claimed, and left alone.
    pub foreign: u64,
    /// Claimed and held.
    pub keeps: u64,
}

impl Totals {
    fn add(&mut self, lists: &Lists<'_>) {
        self.people += u64::from(!lists.is_empty());
        self.grants += lists.grants.len() as u64;
        self.waits += lists.waits.len() as u64;
        self.revokes += lists.revokes.len() as u64;
        self.foreign += lists.foreign.len() as u64;
    }

    fn take(&mut self, lists: &Lists<'_>) {
        self.people -= u64::from(!lists.is_empty());
        self.grants -= lists.grants.len() as u64;
        self.waits -= lists.waits.len() as u64;
        self.revokes -= lists.revokes.len() as u64;
        self.foreign -= lists.foreign.len() as u64;
    }
}

/// Everybody's differences, by person in ascending order.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    parts: Vec<Part>,
    /// Of people whose difference changed since.
    newer: BTreeMap<u32, Patched>,
    totals: Totals,
    touched: u64,
    scratch: Scratch,
}

/// Scratch space, one for each thread. It is no part of the answer.
#[derive(Default)]
struct Scratch(Vec<Stamp>);

impl Clone for Scratch {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scratch").field(&self.0.len()).finish()
    }
}

/// The differences of people in a row. Alone on its lines of memory: others are filled on other threads.
#[derive(Clone, Debug, Default)]
#[repr(align(128))]
pub(super) struct Part {
    records: Vec<Record>,
    lines: Vec<u32>,
    totals: Totals,
    pub(super) touched: u64,
}

/// Ids that are copied at once.
const SOME: usize = 16;

/// Where the lists of one person are.
#[derive(Clone, Copy, Debug)]
struct Record {
    person: u32,
    start: usize,
    grants: u32,
    waits: u32,
    revokes: u32,
    foreign: u32,
}

#[derive(Clone, Debug, Default)]
struct Patched {
    grants: Vec<u32>,
    waits: Vec<u32>,
    revokes: Vec<u32>,
    foreign: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lists<'a> {
    grants: &'a [u32],
    waits: &'a [u32],
    revokes: &'a [u32],
    foreign: &'a [u32],
}

impl<'a> Lists<'a> {
    const fn is_empty(&self) -> bool {
        self.grants.is_empty()
            && self.waits.is_empty()
            && self.revokes.is_empty()
            && self.foreign.is_empty()
    }

    const fn of(self, person: u32) -> Difference<'a> {
        let Self { grants, waits, revokes, foreign } = self;
        Difference { person, grants, waits, revokes, foreign }
    }
}

impl Patched {
    fn lists(&self) -> Lists<'_> {
        Lists {
            grants: &self.grants,
            waits: &self.waits,
            revokes: &self.revokes,
            foreign: &self.foreign,
        }
    }

    fn of(lists: &Lists<'_>) -> Self {
        Self {
            grants: lists.grants.to_vec(),
            waits: lists.waits.to_vec(),
            revokes: lists.revokes.to_vec(),
            foreign: lists.foreign.to_vec(),
        }
    }
}

impl Part {
    /// Takes in what differs for a person. If every difference becomes a grant or a revoke, marks are cut off.
    #[inline]
    pub(super) fn push(&mut self, person: u32, found: &Found<'_>, fates: &Fates) {
        let Found { ids, missing, all, touched } = *found;
        self.touched += touched as u64;
        if all == 0 {
            return;
        }
        if !fates.free() {
            let (missing, rest) = ids.split_at_checked(missing).unwrap_or_default();
            let surplus = rest.get(..all - missing.len()).unwrap_or_default();
            self.push_bound(person, missing, surplus, fates);
            return;
        }
        let start = self.lines.len();
        // Mostly few: a whole piece then costs less than a copy of just so many.
        match ids.first_chunk::<SOME>() {
            Some(some) if all <= SOME => {
                self.lines.extend_from_slice(some);
                self.lines.truncate(start + all);
            }
            _ => self.lines.extend_from_slice(ids.get(..all).unwrap_or_default()),
        }
        self.record(person, start, [missing, 0, all - missing, 0]);
    }

    fn push_bound(&mut self, person: u32, missing: &[u32], surplus: &[u32], fates: &Fates) {
        let start = self.lines.len();
        let mut ends = [start; 4];
        self.lines.extend(missing.iter().filter(|id| !fates.waits(**id)));
        ends[0] = self.lines.len();
        self.lines.extend(missing.iter().filter(|id| fates.waits(**id)));
        ends[1] = self.lines.len();
        let of = |stays: bool| surplus.iter().filter(move |marked| fates.stays(**marked) == stays);
        self.lines.extend(of(false).map(|marked| marked & ID));
        ends[2] = self.lines.len();
        self.lines.extend(of(true).map(|marked| marked & ID));
        ends[3] = self.lines.len();
        let [a, b, c, d] = ends;
        self.record(person, start, [a - start, b - a, c - b, d - c]);
    }

    fn record(&mut self, person: u32, start: usize, lens: [usize; 4]) {
        // No list is longer than there are entitlements, which are fewer than 2^31.
        let [grants, waits, revokes, foreign] = lens.map(|len| u32::try_from(len).unwrap_or(ID));
        self.records.push(Record { person, start, grants, waits, revokes, foreign });
        self.totals.people += 1;
        self.totals.grants += u64::from(grants);
        self.totals.waits += u64::from(waits);
        self.totals.revokes += u64::from(revokes);
        self.totals.foreign += u64::from(foreign);
    }

    fn clear(&mut self) {
        self.records.clear();
        self.lines.clear();
        (self.totals, self.touched) = Default::default();
    }

    fn lists(&self, record: &Record) -> Lists<'_> {
        let rest = self.lines.get(record.start..).unwrap_or_default();
        let lists = || {
            let (grants, rest) = split(rest, record.grants)?;
            let (waits, rest) = split(rest, record.waits)?;
            let (revokes, rest) = split(rest, record.revokes)?;
            let (foreign, _) = split(rest, record.foreign)?;
            Some(Lists { grants, waits, revokes, foreign })
        };
        lists().unwrap_or_default()
    }
}

fn split(rest: &[u32], len: u32) -> Option<(&[u32], &[u32])> {
    rest.split_at_checked(len as usize)
}

impl Deltas {
    /// How much there is of what, for everybody together.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How many cells of rows were looked at, each 32 neighbouring ids: the work done, without a clock.
    #[must_use]
    pub const fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes that the answer takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let part =
            |part: &Part| part.records.capacity() * size_of::<Record>() + part.lines.capacity() * 4;
        self.parts.iter().map(part).sum()
    }

    /// People with a difference, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Difference<'_>> {
        let mut newer = self.newer.iter().peekable();
        let mut older = self
            .parts
            .iter()
            .flat_map(|part| part.records.iter().map(move |it| (it.person, part.lists(it))))
            .peekable();
        let both = std::iter::from_fn(move || {
            let patched = newer.peek().map(|(person, _)| **person);
            match older.peek().map(|(person, _)| *person) {
                Some(person) if patched.is_none_or(|patched| person < patched) => {
                    older.next().map(|(person, lists)| lists.of(person))
                }
                before => {
                    if before.is_some() && before == patched {
                        older.next();
                    }
                    newer.next().map(|(person, it)| it.lists().of(*person))
                }
            }
        });
        both.filter(|it| {
            !(it.grants.is_empty()
                && it.waits.is_empty()
                && it.revokes.is_empty()
                && it.foreign.is_empty())
        })
    }

    /// What differs for one person; four empty lists when nothing does.
    #[must_use]
    pub fn of(&self, person: u32) -> Difference<'_> {
        self.lists(person).of(person)
    }

    fn lists(&self, person: u32) -> Lists<'_> {
        if let Some(newer) = self.newer.get(&person) {
            return newer.lists();
        }
        let reaches = |part: &&Part| part.records.last().is_some_and(|last| last.person >= person);
        let found = self.parts.iter().find(reaches).and_then(|part| {
            let at = part.records.binary_search_by_key(&person, |record| record.person).ok()?;
            Some(part.lists(part.records.get(at)?))
        });
        found.unwrap_or_default()
    }

    /// Takes in what an edit changed, so that the answer is that of a full walk after it.
    pub fn patch(&mut self, flat: &Flat, shifts: &[Shift]) {
        let fates = &flat.fates;
        for of_one in shifts.chunk_by(|a, b| a.person == b.person) {
            let Some(person) = of_one.first().map(|shift| shift.person) else { continue };
            let mut after = Patched::of(&self.lists(person));
            self.totals.take(&after.lists());
            for shift in of_one {
                let id = shift.entitlement();
                let list = match (shift.held(), fates.waits(id), fates.stays(shift.marked())) {
                    (false, false, _) => &mut after.grants,
                    (false, true, _) => &mut after.waits,
                    (true, _, false) => &mut after.revokes,
                    (true, _, true) => &mut after.foreign,
                };
                // A claim makes a grant of what is not held, and ends the surplus of what is.
                let appears = shift.claimed != shift.held();
                match (list.binary_search(&id), appears) {
                    (Err(place), true) => list.insert(place, id),
                    (Ok(place), false) => {
                        list.remove(place);
                    }
                    _ => {}
                }
                if shift.held() {
                    self.totals.keeps =
                        self.totals.keeps.saturating_add_signed(if shift.claimed { 1 } else { -1 });
                }
            }
            self.totals.add(&after.lists());
            self.newer.insert(person, after);
        }
    }

    /// Takes a person out who is not done here any more, and what they keep.
    pub(in crate::population) fn forget(&mut self, person: u32, keeps: u64) {
        let nothing = Patched::default();
        let before = Patched::of(&self.lists(person));
        self.totals.take(&before.lists());
        self.totals.keeps = self.totals.keeps.saturating_sub(keeps);
        self.newer.insert(person, nothing);
    }

    /// Empties the answer, and gives as many parts and as much scratch space for so many threads as are asked for.
    pub(super) fn start(
        &mut self,
        parts: usize,
        threads: usize,
        entitlements: u32,
    ) -> (&mut [Part], &mut [Stamp]) {
        self.newer.clear();
        self.parts.resize_with(parts, Part::default);
        self.parts.iter_mut().for_each(Part::clear);
        let Scratch(stamps) = &mut self.scratch;
        stamps.retain(|stamp| stamp.fits(entitlements));
        stamps.resize_with(threads, || Stamp::new(entitlements));
        (&mut self.parts, stamps)
    }

    /// Adds all parts up. Whatever is held, so many pairs, and is no surplus is kept.
    pub(super) fn sum(&mut self, held: usize) {
        (self.totals, self.touched) = Default::default();
        for part in &self.parts {
            self.totals.people += part.totals.people;
            self.totals.grants += part.totals.grants;
            self.totals.waits += part.totals.waits;
            self.totals.revokes += part.totals.revokes;
            self.totals.foreign += part.totals.foreign;
            self.touched += part.touched;
        }
        self.totals.keeps = held as u64 - self.totals.revokes - self.totals.foreign;
    }
}

impl PartialEq for Deltas {
    /// The same answer, in however many parts it was found.
    fn eq(&self, other: &Self) -> bool {
        self.totals == other.totals && self.iter().eq(other.iter())
    }
}

impl Eq for Deltas {}
