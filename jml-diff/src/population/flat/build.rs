//! Taking templates and people in.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::cell::pack;
use super::rows::Shared;
use super::word::{APART, OWN, PLACE, SHARED};
use super::{Fate, Fates, Flat, FlatError, ID, Own, Templates, index};

/// From so many people on a set of templates gets a row of its own, however many sets there are.
const MANY: u32 = 8;

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
            fates: Fates::new(entitlements),
            templates: Templates::default(),
            sets: Vec::new(),
            later: BTreeMap::new(),
            shared: Vec::new(),
            shared_cells: Vec::new(),
            people: Vec::new(),
            own: Own::new(),
            starts: vec![0],
            held: Vec::new(),
            pairs: 0,
            apart: 0,
            mixed: false,
        };
        let (sets, distinct) = (HashTable::new(), Vec::new());
        Ok(Self { flat, sets, distinct, hasher: FixedState::default() })
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
        let row = self.flat.row(entitlements)?;
        self.flat.templates.push(&row)
    }

    /// Adds a person and gives back their number. `own` is what they are given besides their templates, each
    /// with a number that stands for its reason; `held` is ascending by id, without repeats, and marked with
    /// [`OURS`](super::OURS) where the ledger says so.
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
        // As many cells at most.
        index(self.flat.held.len() + held.len(), u32::MAX, "held entitlements")?;
        let (ids, reasons) = self.flat.own_rows(own)?;
        let set = self.set(templates)?;
        let mut word = set;
        if !ids.is_empty() {
            word |= OWN;
            let own = &mut self.flat.own;
            let end = index(own.len() + ids.len(), u32::MAX, "claims of their own")?;
            own.push(person, &ids, &reasons, end);
        }
        self.flat.people.push(word);
        self.flat.pairs += held.len();
        self.flat.mixed |= pack(held.iter().copied(), &mut self.flat.held);
        self.flat.starts.push(u32::try_from(self.flat.held.len()).unwrap_or(u32::MAX));
        Ok(person)
    }

    /// What a template gives, ascending.
    pub(in crate::population) fn row(&self, template: u32) -> impl Iterator<Item = u32> + Clone {
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
        let alone = |flat: &Flat, start: u32| Flat::until_end(&flat.sets, start).len() == 1;
        let all = flat.few(distinct.iter().map(|(start, _)| *start));
        let mut places = Vec::with_capacity(distinct.len());
        for (start, people) in &distinct {
            let from = flat.shared_cells.len();
            let mut place = *start;
            if (all || *people >= MANY) && !alone(&flat, *start) {
                let mut cells = std::mem::take(&mut flat.shared_cells);
                flat.union(*start, &mut cells);
                if let (Ok(from), Ok(to)) = (u32::try_from(from), u32::try_from(cells.len())) {
                    place = SHARED | u32::try_from(flat.shared.len()).unwrap_or_default();
                    flat.shared.push(Shared { set: *start, start: from, end: to });
                }
                flat.shared_cells = cells;
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
