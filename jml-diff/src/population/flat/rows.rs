//! Reading the rows of everybody.

use super::cell::{Cell, Ids, NOT_HELD, count, find, unite};
use super::stamp::Stamp;
use super::word::{APART, END, OWN, PLACE, SHARED};
use super::{Flat, FlatError, OURS, span};

/// A desired row of a set of templates that several people have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) set: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// In place of the start of a row that a template edit made wrong.
pub(super) const STALE: u32 = u32::MAX;

impl Flat {
    /// How many people there are.
    #[must_use]
    pub fn people(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }

    /// How many entitlements there are.
    #[must_use]
    pub fn entitlements(&self) -> u32 {
        self.fates.len()
    }

    /// How many pairs of person and entitlement are held.
    #[must_use]
    pub const fn pairs(&self) -> usize {
        self.pairs
    }

    /// How many of them are of people who are not left out of walks.
    pub(super) const fn walked_pairs(&self) -> usize {
        self.pairs - self.apart
    }

    /// What a person holds, ascending, marks included.
    pub fn held(&self, person: u32) -> impl Iterator<Item = u32> + Clone {
        Ids::new(self.held_row(person))
    }

    /// How many entitlements a person holds.
    #[must_use]
    pub fn count_held(&self, person: u32) -> usize {
        count(self.held_row(person))
    }

    /// Whether a person holds an entitlement, and if so, whether the ledger says that we granted it.
    #[must_use]
    pub fn holds(&self, person: u32, entitlement: u32) -> Option<bool> {
        let found = find(self.held_row(person), entitlement);
        (found != NOT_HELD).then_some(found & OURS != 0)
    }

    pub(super) fn held_row(&self, person: u32) -> &[Cell] {
        self.held.get(span(&self.starts, person as usize)).unwrap_or_default()
    }

    /// What a template gives, ascending.
    pub fn template(&self, template: u32) -> impl Iterator<Item = u32> + Clone {
        Ids::new(self.templates.get(template))
    }

    /// Whether a template gives an entitlement.
    #[must_use]
    pub fn gives(&self, template: u32, entitlement: u32) -> bool {
        find(self.templates.get(template), entitlement) != NOT_HELD
    }

    /// The templates of a person, ascending.
    pub fn templates_of(&self, person: u32) -> impl Iterator<Item = u32> + Clone {
        let word = self.people.get(person as usize).copied().unwrap_or(PLACE);
        self.list_of(word).iter().map(|template| template & !END)
    }

    /// What a person is given besides their templates, and the number of each reason.
    #[must_use]
    pub fn own(&self, person: u32) -> (&[u32], &[u32]) {
        let word = self.people.get(person as usize).copied().unwrap_or(PLACE);
        if word & OWN == 0 { Default::default() } else { self.own.of(person, &mut 0) }
    }

    /// Everything that a person should hold, ascending.
    #[must_use]
    pub fn desired(&self, person: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self.own(person).0.to_vec();
        for template in self.templates_of(person) {
            all.extend(self.template(template));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Bytes that all rows take, room that nothing is in included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let words = [&self.sets, &self.people, &self.starts];
        let words: usize = words.into_iter().map(|it| it.capacity() * 4).sum();
        let cells = self.shared_cells.capacity() + self.held.capacity();
        let later: usize = self.later.keys().map(|list| list.capacity() * 4 + 64).sum();
        let shared = self.shared.capacity() * size_of::<Shared>();
        let cells = cells * size_of::<Cell>();
        words
            + cells
            + later
            + shared
            + self.templates.bytes()
            + self.own.bytes()
            + self.fates.bytes()
    }

    /// The row of the only template, if there is just one.
    #[inline]
    pub(super) fn only_row(&self, word: u32) -> Option<&[Cell]> {
        let first = self.sets.get((word & PLACE) as usize).copied().filter(|it| it & END != 0);
        first.map(|template| self.templates.get(template & !END))
    }

    pub(super) fn shared_row(&self, word: u32) -> Option<&[Cell]> {
        let shared = self.shared.get((word & PLACE) as usize)?;
        let row = shared.start as usize..shared.end as usize;
        if shared.start == STALE { None } else { self.shared_cells.get(row) }
    }

    /// The list of templates that a person's word leads to.
    pub(super) fn list_of(&self, word: u32) -> &[u32] {
        self.list_from(self.list_place(word))
    }

    /// As [`list_of`](Self::list_of), with whatever comes behind the list.
    #[inline]
    pub(super) fn lists_from(&self, word: u32) -> &[u32] {
        self.sets.get(self.list_place(word) as usize..).unwrap_or_default()
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

    pub(super) fn until_end(sets: &[u32], start: u32) -> &[u32] {
        let rest = sets.get(start as usize..).unwrap_or_default();
        let len = rest.iter().position(|it| it & END != 0).map_or(0, |last| last + 1);
        rest.get(..len).unwrap_or_default()
    }

    /// Whether the rows of these sets together are at most three quarters of what is held. Counted only, and no
    /// further than that.
    pub(super) fn few(&self, sets: impl Iterator<Item = u32>) -> bool {
        let limit = (self.held.len() / 4 * 3).min(u32::MAX as usize);
        let mut stamp = Stamp::new(self.entitlements());
        let mut count = 0;
        for start in sets {
            let list = Self::until_end(&self.sets, start);
            if list.len() > 1 {
                count += stamp.distinct(list.iter().map(|it| self.templates.get(it & !END)));
            }
            if count > limit {
                return false;
            }
        }
        count > 0
    }

    /// What the templates of a list give together, ascending.
    pub(super) fn union(&self, set: u32, into: &mut Vec<Cell>) {
        let start = into.len();
        for template in Self::until_end(&self.sets, set) {
            into.extend_from_slice(self.templates.get(template & !END));
        }
        unite(into, start);
    }

    /// Templates as a list that ends by itself.
    pub(super) fn list(&self, templates: &[u32]) -> Result<Vec<u32>, FlatError> {
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
        Ok(row)
    }

    pub(super) fn own_rows(&self, own: &[(u32, u32)]) -> Result<(Vec<u32>, Vec<u32>), FlatError> {
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
}
