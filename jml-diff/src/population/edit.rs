//! Edits of templates: only who has the template is looked at, and only what the edit is about.

use super::flat::{Cursor, Flat, FlatError, ID, OURS};

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

    fn new(person: u32, id: u32, held: &[u32], claimed: bool) -> Self {
        let found = held.binary_search_by_key(&id, |marked| marked & ID).ok();
        let marked = found.and_then(|at| held.get(at)).copied();
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
        if let Some(list) = self.people.get_mut(template as usize) {
            match (list.binary_search(&person), has) {
                (Err(place), true) => list.insert(place, person),
                (Ok(place), false) => {
                    list.remove(place);
                }
                _ => {}
            }
        }
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
        let Some(row) = self.templates.get_mut(template as usize) else {
            return Err(FlatError::Unknown { what: "template", id: template, known });
        };
        let before = std::mem::replace(row, after.clone());
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
        let mut cursor = Cursor::default();
        for person in people {
            self.outdate(*person);
            let (own, _) = self.own_from(*person, &mut cursor);
            for (id, claimed) in &changes {
                let by = |other: u32| {
                    other != template && self.template(other).binary_search(id).is_ok()
                };
                // Somebody else still gives it, or gave it already.
                if own.binary_search(id).is_ok() || self.templates_of(*person).any(by) {
                    continue;
                }
                edited.shifts.push(Shift::new(*person, *id, self.held(*person), *claimed));
            }
        }
        Ok(edited)
    }

    /// Adds a template that nobody has yet and gives back its number.
    ///
    /// # Errors
    /// [`FlatError`] for an entitlement that there is not, or too many templates.
    pub fn add_template(&mut self, index: &mut Index, entitlements: &[u32]) -> Result<u32, FlatError> {
        let row = self.row(entitlements)?;
        let number = u32::try_from(self.templates.len()).ok().filter(|number| *number < ID);
        let number = number.ok_or(FlatError::TooMany { what: "templates" })?;
        self.templates.push(row);
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
        let held = self.held(person);
        let mut shifts = Vec::new();
        for (ids, others, claimed) in [(&before, &after, false), (&after, &before, true)] {
            let fresh = ids.iter().filter(|id| others.binary_search(id).is_err());
            shifts.extend(fresh.map(|id| Shift::new(person, *id, held, claimed)));
        }
        Ok(shifts)
    }
}

const _: () = assert!(OURS > ID, "a mark is no part of an id");
