//! Everybody by numbers alone: what templates give, who has which, and what people hold, in flat rows.
//!
//! For whoever has ids already, and for measuring; [`Population`](super::Population) stands on it. An
//! entitlement is a number below a count that is fixed at the start, a template a number in the order in which
//! it was added, a person likewise.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use jml_diff::population::flat::{Builder, OURS};
//!
//! // Five entitlements. A template gives 0 and 1; one person has it, and 3 by a word of their own.
//! let mut builder = Builder::new(5)?;
//! let template = builder.template(&[0, 1])?;
//! builder.person(&[template], &[(3, 0)], &[1, 4 | OURS])?;
//! let deltas = builder.finish().diff(NonZeroUsize::MIN);
//! let only = deltas.iter().next().ok_or("nothing differs")?;
//! assert_eq!((only.grants, only.revokes), ([0, 3].as_slice(), [4].as_slice()));
//! assert_eq!(deltas.totals().keeps, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::deltas::Part;
pub use super::deltas::{Deltas, Difference, Totals};
pub(super) use super::edit::mark;
pub use super::edit::{Edited, Index, Shift};
pub use super::names::Names;
pub use super::stamp::Stamp;
use super::stamp::same;
use std::hash::BuildHasher;

/// Marks an id in a held row: the ledger says that we granted it.
pub const OURS: u32 = 1 << 31;
/// The id in a held row, without its mark.
pub const ID: u32 = OURS - 1;

/// The person's templates have a row of their own, and the rest of the word is its number.
const SHARED: u32 = 1 << 31;
/// The person has claims of their own.
const OWN: u32 = 1 << 30;
/// Where the person's templates begin, or the number of the shared row.
const PLACE: u32 = OWN - 1;
/// In the place of a list: the person is not done here.
const APART: u32 = PLACE - 1;
/// In a list of templates: the last one.
const END: u32 = 1 << 31;
/// A row that a template edit made wrong.
const STALE: u32 = u32::MAX;
/// From so many people on a set of templates gets a row of its own, however many sets there are.
const MANY: u32 = 8;

/// Why rows cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlatError {
    /// More than 32-bit places can tell apart.
    #[error("there are too many {what} for one population")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// An id that was never given out.
    #[error("{what} {id} is not known; there are {known}")]
    Unknown {
        /// Of what.
        what: &'static str,
        /// The id.
        id: u32,
        /// How many are known.
        known: u32,
    },
    /// A held row must be ascending, without repeats.
    #[error("person {person} holds {id} at a wrong place or twice")]
    Order {
        /// Who.
        person: u32,
        /// The id that is out of order.
        id: u32,
    },
}

/// What becomes of a difference in an entitlement, whoever it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three things that can hold a change back")]
pub struct Fate {
    /// It is claimed and not held, and cannot be given now.
    pub waits: bool,
    /// It is held, not claimed and not granted by us, and stays.
    pub foreign: bool,
    /// It is held, not claimed and granted by us, and stays all the same.
    pub foreign_if_ours: bool,
}

impl Fate {
    pub(super) const WAITS: u8 = 1;
    const FOREIGN: u8 = 2;

    const fn bits(self) -> u8 {
        self.waits as u8 | (self.foreign as u8) << 1 | (self.foreign_if_ours as u8) << 2
    }
}

/// A desired row of a set of templates that several people have.
#[derive(Clone, Copy, Debug)]
struct Shared {
    set: u32,
    start: u32,
    end: u32,
}

/// Claims of their own, of the few people that have any.
#[derive(Clone, Debug, Default)]
struct Own {
    people: Vec<u32>,
    starts: Vec<u32>,
    ids: Vec<u32>,
    reasons: Vec<u32>,
    /// Of people that were given others since.
    changed: BTreeMap<u32, (Vec<u32>, Vec<u32>)>,
}

impl Own {
    /// Ids and reasons; `from` is a place in the list at or before the person's.
    fn of(&self, person: u32, from: &mut usize) -> (&[u32], &[u32]) {
        if let Some((ids, reasons)) = self.changed.get(&person) {
            return (ids, reasons);
        }
        let rest = self.people.get(*from..).unwrap_or_default();
        *from += ahead(rest, person);
        if self.people.get(*from) != Some(&person) {
            return Default::default();
        }
        let range = span(&self.starts, *from);
        (
            self.ids.get(range.clone()).unwrap_or_default(),
            self.reasons.get(range).unwrap_or_default(),
        )
    }
}

/// How many of the ascending numbers are below `wanted`, found in leaps from the start.
fn ahead(sorted: &[u32], wanted: u32) -> usize {
    let mut leap = 1;
    while sorted.get(leap - 1).is_some_and(|it| *it < wanted) {
        leap *= 2;
    }
    let low = leap / 2;
    let window = sorted.get(low..leap.min(sorted.len())).unwrap_or_default();
    low.min(sorted.len()) + window.partition_point(|it| *it < wanted)
}

fn span(starts: &[u32], at: usize) -> Range<usize> {
    let place = |at: usize| starts.get(at).copied().unwrap_or_default() as usize;
    place(at)..place(at + 1)
}

/// Takes templates and people in.
#[derive(Clone, Debug)]
pub struct Builder {
    flat: Flat,
    sets: HashTable<u32>,
    /// Distinct sets: where each begins, and how many people have it.
    distinct: Vec<(u32, u32)>,
    hasher: FixedState,
}

impl Builder {
    /// Room for entitlements with ids below `entitlements`; each is granted and revoked freely until
    /// [`fate`](Self::fate) says otherwise.
    ///
    /// # Errors
    /// [`FlatError::TooMany`] above 2^31 - 1 of them.
    pub fn new(entitlements: u32) -> Result<Self, FlatError> {
        if entitlements > ID {
            return Err(FlatError::TooMany { what: "entitlements" });
        }
        let flat = Flat {
            fates: vec![0; entitlements as usize],
            free: true,
            templates: Vec::new(),
            sets: Vec::new(),
            shared: Vec::new(),
            shared_ids: Vec::new(),
            people: Vec::new(),
            own: Own { starts: vec![0], ..Own::default() },
            starts: vec![0],
            held: Vec::new(),
        };
        let (sets, distinct) = (HashTable::new(), Vec::new());
        Ok(Self { flat, sets, distinct, hasher: FixedState::default() })
    }

    /// Makes room, so that the rows need not be moved while they grow.
    pub fn reserve(&mut self, people: usize, held: usize) {
        self.flat.people.reserve_exact(people);
        self.flat.starts.reserve_exact(people);
        self.flat.held.reserve_exact(held);
    }

    /// Says what becomes of differences in one entitlement.
    ///
    /// # Errors
    /// [`FlatError::Unknown`] for an entitlement that there is no room for.
    pub fn fate(&mut self, entitlement: u32, fate: Fate) -> Result<(), FlatError> {
        self.flat.set_fate(entitlement, fate)
    }

    /// Adds a template and gives back its number.
    ///
    /// # Errors
    /// [`FlatError`] for an entitlement that there is no room for, or too many templates.
    pub fn template(&mut self, entitlements: &[u32]) -> Result<u32, FlatError> {
        let number = index(self.flat.templates.len(), END - 1, "templates")?;
        let row = self.flat.row(entitlements)?;
        self.flat.templates.push(row);
        Ok(number)
    }

    /// Adds a person and gives back their number. `own` is what they are given besides their templates, each
    /// with a number that stands for its reason; `held` is ascending by id, without repeats, and marked with
    /// [`OURS`] where the ledger says so.
    ///
    /// # Errors
    /// [`FlatError`] for numbers that were never given out, for a held row out of order, and for too many.
    pub fn person(
        &mut self,
        templates: &[u32],
        own: &[(u32, u32)],
        held: &[u32],
    ) -> Result<u32, FlatError> {
        let person = index(self.flat.people.len(), u32::MAX - 1, "people")?;
        let mut before = None;
        for marked in held {
            let id = marked & ID;
            self.flat.known(id)?;
            if before.is_some_and(|before| before >= id) {
                return Err(FlatError::Order { person, id });
            }
            before = Some(id);
        }
        let end = index(self.flat.held.len() + held.len(), u32::MAX, "held entitlements")?;
        let set = self.set(templates)?;
        let (ids, reasons) = self.flat.own_rows(own)?;
        let mut word = set;
        if !ids.is_empty() {
            word |= OWN;
            let own = &mut self.flat.own;
            let end = index(own.ids.len() + ids.len(), u32::MAX, "claims of their own")?;
            own.people.push(person);
            own.ids.extend_from_slice(&ids);
            own.reasons.extend_from_slice(&reasons);
            own.starts.push(end);
        }
        self.flat.people.push(word);
        self.flat.held.extend_from_slice(held);
        self.flat.starts.push(end);
        Ok(person)
    }

    pub(super) fn row_of(&self, template: u32) -> &[u32] {
        self.flat.template(template)
    }

    /// The number of a set of templates, each distinct one kept once. [`PLACE`] for the empty one.
    fn set(&mut self, templates: &[u32]) -> Result<u32, FlatError> {
        let list = self.flat.list(templates)?;
        if list.is_empty() {
            return Ok(PLACE);
        }
        let (hasher, sets, distinct) = (&self.hasher, &self.flat.sets, &self.distinct);
        let at = |number: &u32| {
            let start = distinct.get(*number as usize).map_or(0, |(start, _)| *start as usize);
            sets.get(start..start + list.len()).unwrap_or_default()
        };
        let whole = |number: &u32| {
            let start = distinct.get(*number as usize).map_or(0, |(start, _)| *start);
            hasher.hash_one(Flat::until_end(sets, start))
        };
        let hash = hasher.hash_one(list.as_slice());
        match self.sets.entry(hash, |known| at(known) == list, whole) {
            Entry::Occupied(known) => {
                let number = *known.get();
                if let Some((_, people)) = self.distinct.get_mut(number as usize) {
                    *people += 1;
                }
                Ok(number)
            }
            Entry::Vacant(vacant) => {
                let number = index(self.distinct.len(), APART - 1, "sets of templates")?;
                let start = index(self.flat.sets.len(), APART - 1, "sets of templates")?;
                vacant.insert(number);
                self.distinct.push((start, 1));
                self.flat.sets.extend_from_slice(&list);
                Ok(number)
            }
        }
    }

    /// Everybody. Sets of templates that people share get a desired row of their own: all sets if their rows
    /// together are at most three quarters of what is held, else those of at least 8 people. The row of a single
    /// template is that already.
    #[must_use]
    pub fn finish(self) -> Flat {
        let Self { mut flat, distinct, sets, .. } = self;
        drop(sets);
        let mut rows = Vec::new();
        let limit = flat.held.len() / 4 * 3;
        let alone = |flat: &Flat, start: u32| Flat::until_end(&flat.sets, start).len() == 1;
        for (start, _) in &distinct {
            if alone(&flat, *start) {
                continue;
            }
            rows.clear();
            flat.union(*start, &mut rows);
            flat.shared_ids.extend_from_slice(&rows);
            let end = flat.shared_ids.len();
            if end > limit || end > u32::MAX as usize {
                flat.shared_ids.clear();
                break;
            }
        }
        let all = !flat.shared_ids.is_empty();
        flat.shared_ids.clear();
        let mut places = Vec::with_capacity(distinct.len());
        for (start, people) in &distinct {
            let from = flat.shared_ids.len();
            let mut place = *start;
            if (all || *people >= MANY) && !alone(&flat, *start) {
                rows.clear();
                flat.union(*start, &mut rows);
                if let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(from + rows.len()))
                {
                    place = SHARED | u32::try_from(flat.shared.len()).unwrap_or_default();
                    flat.shared.push(Shared { set: *start, start: from, end: to });
                    flat.shared_ids.extend_from_slice(&rows);
                }
            }
            places.push(place);
        }
        drop(distinct);
        for word in &mut flat.people {
            if *word & PLACE != PLACE {
                let place = places.get((*word & PLACE) as usize).copied().unwrap_or(PLACE);
                *word = *word & OWN | place;
            }
        }
        flat.shrink();
        flat
    }
}

fn index(len: usize, most: u32, what: &'static str) -> Result<u32, FlatError> {
    u32::try_from(len).ok().filter(|len| *len <= most).ok_or(FlatError::TooMany { what })
}

/// Everybody, by numbers.
#[derive(Clone, Debug)]
pub struct Flat {
    /// Of each entitlement, what becomes of differences, in bits.
    fates: Vec<u8>,
    /// Whether every difference becomes a grant or a revoke.
    free: bool,
    /// What each template gives, ascending.
    pub(super) templates: Vec<Vec<u32>>,
    /// Lists of templates, one after the other; the last of each is marked [`END`].
    sets: Vec<u32>,
    shared: Vec<Shared>,
    shared_ids: Vec<u32>,
    /// Where each person's templates are.
    people: Vec<u32>,
    own: Own,
    /// Where each person's held row begins, and where the last one ends.
    starts: Vec<u32>,
    held: Vec<u32>,
}

/// Where a walk over people in ascending order is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor(usize);

impl Flat {
    /// How many people there are.
    #[must_use]
    pub fn people(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }

    /// How many entitlements there are.
    #[must_use]
    pub fn entitlements(&self) -> u32 {
        u32::try_from(self.fates.len()).unwrap_or(u32::MAX)
    }

    /// How many pairs of person and entitlement are held.
    #[must_use]
    pub const fn pairs(&self) -> usize {
        self.held.len()
    }

    /// What a person holds, marks included.
    #[must_use]
    pub fn held(&self, person: u32) -> &[u32] {
        self.held.get(span(&self.starts, person as usize)).unwrap_or_default()
    }

    /// What a template gives, ascending.
    #[must_use]
    pub fn template(&self, template: u32) -> &[u32] {
        self.templates.get(template as usize).map_or(&[], Vec::as_slice)
    }

    /// The templates of a person, ascending.
    pub fn templates_of(&self, person: u32) -> impl Iterator<Item = u32> + Clone {
        let word = self.people.get(person as usize).copied().unwrap_or(PLACE);
        self.list_of(word).iter().map(|template| template & !END)
    }

    /// What a person is given besides their templates, and the number of each reason.
    #[must_use]
    pub fn own(&self, person: u32) -> (&[u32], &[u32]) {
        self.own_from(person, &mut Cursor::default())
    }

    pub(super) fn own_from(&self, person: u32, cursor: &mut Cursor) -> (&[u32], &[u32]) {
        let word = self.people.get(person as usize).copied().unwrap_or(PLACE);
        if word & OWN == 0 { Default::default() } else { self.own.of(person, &mut cursor.0) }
    }

    /// Everything that a person should hold, ascending.
    #[must_use]
    pub fn desired(&self, person: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self.own(person).0.to_vec();
        for template in self.templates_of(person) {
            all.extend_from_slice(self.template(template));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Bytes that all rows take, room that nothing is in included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let own = &self.own;
        let words = [&self.sets, &self.shared_ids, &self.people, &self.starts, &self.held];
        let owns = [&own.people, &own.starts, &own.ids, &own.reasons];
        let words: usize = words.into_iter().chain(owns).map(|it| it.capacity() * 4).sum();
        let templates: usize = self.templates.iter().map(|row| row.capacity() * 4).sum();
        let list = self.templates.capacity() * size_of::<Vec<u32>>();
        let changed = own.changed.values().map(|(a, b)| (a.capacity() + b.capacity()) * 4 + 64);
        let shared = self.shared.capacity() * size_of::<Shared>();
        words + templates + list + changed.sum::<usize>() + shared + self.fates.capacity()
    }

    /// Says what becomes of differences in one entitlement from now on.
    ///
    /// # Errors
    /// [`FlatError::Unknown`] for an entitlement that there is no room for.
    pub fn set_fate(&mut self, entitlement: u32, fate: Fate) -> Result<(), FlatError> {
        self.known(entitlement)?;
        if let Some(bits) = self.fates.get_mut(entitlement as usize) {
            *bits = fate.bits();
        }
        self.free = match fate == Fate::default() {
            true => self.free || self.fates.iter().all(|bits| *bits == 0),
            false => false,
        };
        Ok(())
    }

    pub(super) fn waits(&self, entitlement: u32) -> bool {
        self.fates.get(entitlement as usize).is_some_and(|bits| bits & Fate::WAITS != 0)
    }

    /// Whether a held and unclaimed entitlement, mark included, stays.
    pub(super) fn stays(&self, marked: u32) -> bool {
        let bit = Fate::FOREIGN << (marked >> 31);
        self.fates.get((marked & ID) as usize).is_some_and(|bits| bits & bit != 0)
    }

    /// Everybody's difference. The answer is the same whatever the number of threads.
    #[must_use]
    pub fn diff(&self, threads: NonZeroUsize) -> Deltas {
        let mut deltas = Deltas::default();
        self.diff_into(threads, &mut deltas);
        deltas
    }

    /// As [`diff`](Self::diff), into the room that an earlier answer took.
    pub fn diff_into(&self, threads: NonZeroUsize, deltas: &mut Deltas) {
        let parts = deltas.start(threads.get());
        let mut rest = parts.iter_mut();
        let (Some(first), total) = (rest.next(), threads.get() as u64) else { return };
        // By what is held, not by heads, so that threads end together.
        let cut = |number: u64| {
            let pairs = self.held.len() as u64 * number / total;
            if number == total {
                return self.people();
            }
            let people = self.starts.partition_point(|start| u64::from(*start) < pairs);
            u32::try_from(people).unwrap_or(u32::MAX).min(self.people())
        };
        std::thread::scope(|scope| {
            for (part, number) in rest.zip(1..) {
                let range = cut(number)..cut(number + 1);
                scope.spawn(move || self.walk(range, part));
            }
            self.walk(0..cut(1), first);
        });
        deltas.sum();
    }

    /// The differences of a range of people.
    fn walk(&self, people: Range<u32>, part: &mut Part) {
        let mut stamp = Stamp::new(self.entitlements());
        let mut cursor = Cursor::default();
        let (from, to) = (people.start as usize, people.end as usize);
        let words = self.people.get(from..to).unwrap_or_default();
        let starts = self.starts.get(from..).unwrap_or_default();
        let ends = starts.get(1..).unwrap_or_default();
        let rows = starts.iter().zip(ends).map(|(start, end)| *start as usize..*end as usize);
        for ((person, word), row) in people.zip(words).zip(rows) {
            let held = self.held.get(row).unwrap_or_default();
            self.one(&mut stamp, &mut cursor, person, *word, held, part);
        }
    }

    #[inline]
    fn one(
        &self,
        stamp: &mut Stamp,
        cursor: &mut Cursor,
        person: u32,
        word: u32,
        held: &[u32],
        part: &mut Part,
    ) {
        if word == APART {
            return;
        }
        let own = if word & OWN == 0 { &[] } else { self.own.of(person, &mut cursor.0).0 };
        let shared = if word & SHARED == 0 { self.only_row(word) } else { self.shared_row(word) };
        let (missing, surplus) = match shared {
            Some(row) if own.is_empty() && same(held, row) => {
                part.touched += held.len() as u64;
                part.keeps += held.len() as u64;
                return;
            }
            Some(row) => {
                part.touched += (row.len() + own.len() + 2 * held.len()) as u64;
                stamp.diff([row, own], held)
            }
            None => {
                let list = self.list_of(word);
                let rows = list.iter().map(|template| self.template(template & !END));
                let mut touched = own.len() + 2 * held.len();
                let rows = rows.inspect(|row| touched += row.len());
                let found = stamp.diff(rows.chain([own]), held);
                part.touched += touched as u64;
                found
            }
        };
        part.keeps += (held.len() - surplus.len()) as u64;
        if missing.is_empty() && surplus.is_empty() {
            return;
        }
        if self.free {
            part.push_free(person, missing, surplus);
        } else {
            part.push(person, missing, surplus, self);
        }
    }

    /// The row of the only template, if there is just one.
    #[inline]
    fn only_row(&self, word: u32) -> Option<&[u32]> {
        let first = self.sets.get((word & PLACE) as usize).copied().filter(|it| it & END != 0);
        first.map(|template| self.template(template & !END))
    }

    fn shared_row(&self, word: u32) -> Option<&[u32]> {
        let shared = self.shared.get((word & PLACE) as usize)?;
        let row = shared.start as usize..shared.end as usize;
        if shared.start == STALE { None } else { self.shared_ids.get(row) }
    }

    /// The list of templates that a person's word leads to.
    fn list_of(&self, word: u32) -> &[u32] {
        self.list_from(self.list_place(word))
    }

    fn list_place(&self, word: u32) -> u32 {
        let place = word & PLACE;
        if place >= APART {
            return PLACE;
        }
        if word & SHARED == 0 {
            return place;
        }
        self.shared.get(place as usize).map_or(PLACE, |shared| shared.set)
    }

    /// Where a person's list of templates is.
    pub(super) fn list_start(&self, person: u32) -> u32 {
        self.list_place(self.people.get(person as usize).copied().unwrap_or(PLACE))
    }

    /// The first entry of a list.
    pub(super) fn list_first(&self, place: u32) -> u32 {
        self.sets.get(place as usize).copied().unwrap_or_default()
    }

    /// A list of templates. The last one is marked.
    pub(super) fn list_from(&self, place: u32) -> &[u32] {
        if place == PLACE { &[] } else { Self::until_end(&self.sets, place) }
    }

    fn until_end(sets: &[u32], start: u32) -> &[u32] {
        let rest = sets.get(start as usize..).unwrap_or_default();
        let len = rest.iter().position(|it| it & END != 0).map_or(0, |last| last + 1);
        rest.get(..len).unwrap_or_default()
    }

    /// What the templates of a list give together, ascending.
    fn union(&self, set: u32, into: &mut Vec<u32>) {
        for template in Self::until_end(&self.sets, set) {
            into.extend_from_slice(self.template(template & !END));
        }
        into.sort_unstable();
        into.dedup();
    }

    /// Templates as a list that ends by itself.
    fn list(&self, templates: &[u32]) -> Result<Vec<u32>, FlatError> {
        let known = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
        let mut list = templates.to_vec();
        list.sort_unstable();
        list.dedup();
        if let Some(id) = list.last().copied().filter(|id| *id >= known) {
            return Err(FlatError::Unknown { what: "template", id, known });
        }
        if let Some(last) = list.last_mut() {
            *last |= END;
        }
        Ok(list)
    }

    pub(super) fn row(&self, entitlements: &[u32]) -> Result<Vec<u32>, FlatError> {
        let mut row = entitlements.to_vec();
        row.sort_unstable();
        row.dedup();
        row.last().map_or(Ok(()), |last| self.known(*last))?;
        row.shrink_to_fit();
        Ok(row)
    }

    fn own_rows(&self, own: &[(u32, u32)]) -> Result<(Vec<u32>, Vec<u32>), FlatError> {
        if own.is_empty() {
            return Ok(Default::default());
        }
        let mut own = own.to_vec();
        own.sort_unstable();
        own.last().map_or(Ok(()), |(last, _)| self.known(*last))?;
        Ok(own.into_iter().unzip())
    }

    pub(super) fn known(&self, id: u32) -> Result<(), FlatError> {
        let known = self.entitlements();
        if id < known { Ok(()) } else { Err(FlatError::Unknown { what: "entitlement", id, known }) }
    }

    /// Takes note that a template changed: rows that were made of it are not used any more.
    pub(super) fn outdate(&mut self, person: u32) {
        let word = self.people.get(person as usize).copied().unwrap_or(PLACE);
        if word & SHARED != 0
            && let Some(shared) = self.shared.get_mut((word & PLACE) as usize)
        {
            shared.start = STALE;
        }
    }

    /// Gives a person other templates and other claims of their own.
    ///
    /// # Errors
    /// [`FlatError`] for numbers that were never given out, and for too many.
    pub(super) fn assign(
        &mut self,
        person: u32,
        templates: &[u32],
        own: &[(u32, u32)],
    ) -> Result<(), FlatError> {
        let known = self.people();
        if person >= known {
            return Err(FlatError::Unknown { what: "person", id: person, known });
        }
        let list = self.list(templates)?;
        let (ids, reasons) = self.own_rows(own)?;
        let place = if list.is_empty() {
            PLACE
        } else {
            index(self.sets.len(), APART - 1, "sets of templates")?
        };
        self.sets.extend_from_slice(&list);
        let owns = if ids.is_empty() { 0 } else { OWN };
        if let Some(word) = self.people.get_mut(person as usize) {
            *word = place | owns;
        }
        self.own.changed.insert(person, (ids, reasons));
        Ok(())
    }

    /// Leaves a person out of every walk from now on.
    pub(super) fn set_apart(&mut self, person: u32) {
        if let Some(word) = self.people.get_mut(person as usize) {
            *word = APART;
        }
    }

    fn shrink(&mut self) {
        let own = &mut self.own;
        let words = [&mut self.sets, &mut self.shared_ids, &mut self.people, &mut self.starts];
        let owns = [&mut own.people, &mut own.starts, &mut own.ids, &mut own.reasons];
        words.into_iter().chain(owns).for_each(Vec::shrink_to_fit);
        self.held.shrink_to_fit();
        self.templates.shrink_to_fit();
        self.shared.shrink_to_fit();
    }
}
