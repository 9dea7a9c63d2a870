//! What can change after everybody was taken in.

use super::rows::STALE;
use super::word::{APART, OWN, PLACE, SHARED};
use super::{Fate, Flat, FlatError, index};

impl Flat {
    /// Says what becomes of differences in one entitlement from now on.
    ///
    /// # Errors
    /// [`FlatError::Unknown`] for an entitlement that there is no room for.
    pub fn set_fate(&mut self, entitlement: u32, fate: Fate) -> Result<(), FlatError> {
        self.fates.set(entitlement, fate)
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

    /// Gives a person other templates and other claims of their own, and says whether they are others.
    ///
    /// # Errors
    /// [`FlatError`] for numbers that were never given out, and for too many.
    pub(super) fn assign(
        &mut self,
        person: u32,
        templates: &[u32],
        own: &[(u32, u32)],
    ) -> Result<bool, FlatError> {
        let known = self.people();
        let Some(word) = self.people.get(person as usize).copied() else {
            return Err(FlatError::Unknown { what: "person", id: person, known });
        };
        let list = self.list(templates)?;
        let (ids, reasons) = self.own_rows(own)?;
        let same_list = word != APART && self.list_of(word) == list;
        if same_list && self.own(person) == (ids.as_slice(), reasons.as_slice()) {
            return Ok(false);
        }
        // Whoever has the same templates as before keeps the row that they share with others.
        let place = if same_list { word & !OWN } else { self.later_set(list)? };
        let owns = if ids.is_empty() { 0 } else { OWN };
        self.set_word(person, place | owns);
        self.own.change(person, ids, reasons);
        Ok(true)
    }

    /// Where a list of templates is that was given out after the start, each distinct one kept once.
    fn later_set(&mut self, list: Vec<u32>) -> Result<u32, FlatError> {
        if list.is_empty() {
            return Ok(PLACE);
        }
        if let Some(place) = self.later.get(&list) {
            return Ok(*place);
        }
        let place = index(self.sets.len(), APART - 1, "sets of templates")?;
        self.sets.extend_from_slice(&list);
        self.later.insert(list, place);
        Ok(place)
    }

    /// Leaves a person out of every walk from now on.
    pub(in crate::population) fn set_apart(&mut self, person: u32) {
        self.set_word(person, APART);
    }

    /// Gives a person another word, and keeps count of what those hold who are left out.
    fn set_word(&mut self, person: u32, word: u32) {
        let held = self.count_held(person);
        if let Some(before) = self.people.get_mut(person as usize) {
            match (std::mem::replace(before, word) == APART, word == APART) {
                (false, true) => self.apart += held,
                (true, false) => self.apart -= held,
                _ => {}
            }
        }
    }

    pub(super) fn shrink(&mut self) {
        let words = [&mut self.sets, &mut self.people, &mut self.starts];
        words.into_iter().for_each(Vec::shrink_to_fit);
        [&mut self.shared_cells, &mut self.held].into_iter().for_each(Vec::shrink_to_fit);
        self.shared.shrink_to_fit();
        self.templates.shrink();
        self.own.shrink();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::Builder;

    #[test]
    fn what_those_hold_who_are_left_out_is_not_kept_until_they_are_back() {
        let mut builder = Builder::new(50).unwrap();
        let template = builder.template(&[1, 40]).unwrap();
        for _ in 0..3 {
            builder.person(&[template], &[], &[1, 40]).unwrap();
        }
        let mut flat = builder.finish();
        let mut index = flat.index();
        let keeps = |flat: &super::Flat| flat.diff(NonZeroUsize::MIN).totals().keeps;
        assert_eq!(keeps(&flat), 6);
        for _ in 0..2 {
            flat.set_apart(1);
            assert_eq!((keeps(&flat), flat.pairs()), (4, 6));
        }
        flat.reassign(&mut index, 1, &[template], &[]).unwrap();
        assert_eq!(keeps(&flat), 6);
    }
}
