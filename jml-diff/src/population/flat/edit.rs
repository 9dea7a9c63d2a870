//! Edits of templates: only who has the template is looked at, and only what the edit is about.

use super::cell::{Cell, NOT_HELD, find};
use super::{Flat, FlatError, ID, OURS};

/// Who has each template, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    people: Vec<Vec<u32>>,
}

/// A claim that came or went by an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    /// Who.
    pub(super) person: u32,
    /// What, marked if it is held and ours.
    marked: u32,
    held: bool,
    /// Whether it is claimed now.
    pub(super) claimed: bool,
}

impl Shift {
    /// Who.
    #[must_use]
    pub const fn person(&self) -> u32 {
        self.person
    }

    /// What.
    #[must_use]
    pub const fn entitlement(&self) -> u32 {
        self.marked & ID
    }

    /// Whether it is claimed now, and was not before.
    #[must_use]
    pub const fn claimed(&self) -> bool {
        self.claimed
    }

    /// Whether it is held.
    #[must_use]
    pub const fn held(&self) -> bool {
        self.held
    }

    pub(super) const fn marked(&self) -> u32 {
        self.marked
    }

    fn new(person: u32, id: u32, marked: Option<u32>, claimed: bool) -> Self {
        Self { person, marked: marked.unwrap_or(id), held: marked.is_some(), claimed }
    }
}

/// What an edit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Edited {
    /// How many people were looked at.
    pub affected: usize,
    /// Claims that came or went, by person in ascending order.
    pub shifts: Vec<Shift>,
}

impl Index {
    /// Who has a template, ascending.
    #[must_use]
    pub fn people(&self, template: u32) -> &[u32] {
        self.people.get(template as usize).map_or(&[], Vec::as_slice)
    }

    /// Bytes that the index takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let lists: usize = self.people.iter().map(|list| list.capacity() * 4).sum();
        lists + self.people.capacity() * size_of::<Vec<u32>>()
    }

    fn set(&mut self, template: u32, person: u32, has: bool) {
        let Some(list) = self.people.get_mut(template as usize) else { return };
        match (list.binary_search(&person), has) {
            (Err(place), true) => list.insert(place, person),
            (Ok(place), false) => {
                list.remove(place);
            }
            _ => {}
        }
    }
}

/// People at a time.
const BLOCK: usize = 32;

/// Which of the changed entitlements each other template gives, found out when it is met.
struct Others<'a> {
    flat: &'a Flat,
    changes: &'a [(u32, bool)],
    /// Of each template: what it gives, one bit for each change; the top bit once that is known.
    given: Vec<u64>,
}

impl<'a> Others<'a> {
    /// Changes at a time.
    const MOST: usize = 63;
    const KNOWN: u64 = 1 << 63;

    fn new(flat: &'a Flat, template: u32, changes: &'a [(u32, bool)]) -> Self {
        let mut given = vec![0; flat.templates.len()];
        if let Some(itself) = given.get_mut(template as usize) {
            *itself = Self::KNOWN;
        }
        Self { flat, changes, given }
    }

    fn given(&mut self, template: u32) -> u64 {
        let Some(given) = self.given.get_mut(template as usize) else { return 0 };
        if *given == 0 {
            let gives = |id: u32| u64::from(self.flat.gives(template, id));
            let bit = |(number, (id, _)): (usize, &(u32, bool))| gives(*id) << number;
            *given = self.changes.iter().enumerate().map(bit).fold(Self::KNOWN, |a, b| a | b);
        }
        *given
    }
}

impl Flat {
    /// Who has each template.
    #[must_use]
    pub fn index(&self) -> Index {
        let mut counts = vec![0_usize; self.templates.len()];
        let all = || (0..self.people()).flat_map(|p| self.templates_of(p).map(move |t| (t, p)));
        for (template, _) in all() {
            if let Some(count) = counts.get_mut(template as usize) {
                *count += 1;
            }
        }
        let mut people: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (template, person) in all() {
            if let Some(list) = people.get_mut(template as usize) {
                list.push(person);
            }
        }
        Index { people }
    }

    /// Gives a template other entitlements and says whose claims came or went by it. Only who has the template
    /// is looked at; what another template or a claim of their own gives as well neither comes nor goes.
    ///
    /// # Errors
    /// [`FlatError::Unknown`] for a template or an entitlement that there is not.
    pub fn edit_template(
        &mut self,
        index: &Index,
        template: u32,
        entitlements: &[u32],
    ) -> Result<Edited, FlatError> {
        let known = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
        let after = self.row(entitlements)?;
        if template >= known {
            return Err(FlatError::Unknown { what: "template", id: template, known });
        }
        let before: Vec<u32> = self.template(template).collect();
        let not_in = |row: &[u32], ids: &[u32]| -> Vec<u32> {
            ids.iter().copied().filter(|id| row.binary_search(id).is_err()).collect()
        };
        let changes: Vec<(u32, bool)> = {
            let gone = not_in(&after, &before).into_iter().map(|id| (id, false));
            let mut all: Vec<_> =
                gone.chain(not_in(&before, &after).into_iter().map(|id| (id, true))).collect();
            all.sort_unstable();
            all
        };
        let people = index.people(template);
        let mut edited = Edited { affected: people.len(), shifts: Vec::new() };
        if changes.is_empty() {
            return Ok(edited);
        }
        self.templates.replace(template, &after)?;
        edited.shifts.reserve(people.len().saturating_mul(changes.len()).min(1 << 20));
        people.iter().for_each(|person| self.outdate(*person));
        for some in changes.chunks(Others::MOST) {
            self.shift(people, template, some, &mut edited.shifts);
        }
        if changes.len() > Others::MOST {
            edited.shifts.sort_unstable_by_key(|shift| (shift.person, shift.entitlement()));
        }
        Ok(edited)
    }

    /// The claims of people that come or go by changes of a template, in the order of people.
    fn shift(
        &self,
        people: &[u32],
        template: u32,
        changes: &[(u32, bool)],
        shifts: &mut Vec<Shift>,
    ) {
        let mut others = Others::new(self, template, changes);
        // Step by step for many people, because one person's rows are far from the next one's: no step waits
        // for what the one before it loaded, so the memory works on many at a time.
        let mut places = [0; BLOCK];
        let mut given = [0_u64; BLOCK];
        let mut rows = [const { &[] as &[Cell] }; BLOCK];
        let mut found = vec![[NOT_HELD; BLOCK]; changes.len()];
        for block in people.chunks(BLOCK) {
            for (place, person) in places.iter_mut().zip(block) {
                *place = self.list_start(*person);
            }
            for (given, place) in given.iter_mut().zip(&places) {
                *given = u64::from(self.list_first(*place));
            }
            for (given, place) in given.iter_mut().zip(&places) {
                let list = self.list_from(*place).iter().map(|other| other & ID);
                *given = list.fold(0, |sum, other| sum | others.given(other));
            }
            for (row, person) in rows.iter_mut().zip(block) {
                *row = self.held_row(*person);
            }
            // One word of each line of memory, before any of them is waited for.
            let lines = rows.iter().flat_map(|row| row.iter().step_by(8));
            std::hint::black_box(lines.fold(0, |sum, cell| sum ^ cell.bits()));
            for (found, (id, _)) in found.iter_mut().zip(changes) {
                for (found, row) in found.iter_mut().zip(&rows) {
                    *found = find(row, *id);
                }
            }
            for (at, person) in block.iter().enumerate() {
                let given = given.get(at).copied().unwrap_or_default();
                let (own, _) = self.own(*person);
                for (number, ((id, claimed), found)) in changes.iter().zip(&found).enumerate() {
                    // Something else still gives it, or gave it already.
                    if given >> number & 1 == 0 && own.binary_search(id).is_err() {
                        let marked = found.get(at).copied().filter(|it| *it != NOT_HELD);
                        shifts.push(Shift::new(*person, *id, marked, *claimed));
                    }
                }
            }
        }
    }

    /// Adds a template that nobody has yet and gives back its number.
    ///
    /// # Errors
    /// [`FlatError`] for an entitlement that there is not, or too many templates.
    pub fn add_template(
        &mut self,
        index: &mut Index,
        entitlements: &[u32],
    ) -> Result<u32, FlatError> {
        let row = self.row(entitlements)?;
        let number = self.templates.push(&row)?;
        index.people.push(Vec::new());
        Ok(number)
    }

    /// Gives one person other templates and other claims of their own, and says which claims came or went.
    ///
    /// # Errors
    /// [`FlatError`] for numbers that were never given out, and for too many.
    pub fn reassign(
        &mut self,
        index: &mut Index,
        person: u32,
        templates: &[u32],
        own: &[(u32, u32)],
    ) -> Result<Vec<Shift>, FlatError> {
        let before = self.desired(person);
        let had: Vec<u32> = self.templates_of(person).collect();
        self.assign(person, templates, own)?;
        had.iter().for_each(|template| index.set(*template, person, false));
        templates.iter().for_each(|template| index.set(*template, person, true));
        let after = self.desired(person);
        let held = self.held_row(person);
        let mut shifts = Vec::new();
        for (ids, others, claimed) in [(&before, &after, false), (&after, &before, true)] {
            let fresh = ids.iter().filter(|id| others.binary_search(id).is_err());
            shifts.extend(fresh.map(|id| {
                let marked = Some(find(held, *id)).filter(|marked| *marked != NOT_HELD);
                Shift::new(person, *id, marked, claimed)
            }));
        }
        Ok(shifts)
    }
}

const _: () = assert!(OURS > ID, "a mark is no part of an id");
