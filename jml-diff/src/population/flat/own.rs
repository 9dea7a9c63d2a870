//! Claims of their own, of the few people that have any.

use std::collections::BTreeMap;

use super::span;

/// Ids and reasons, by person.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    people: Vec<u32>,
    starts: Vec<u32>,
    ids: Vec<u32>,
    reasons: Vec<u32>,
    /// For so many people each: how many before them have claims of their own.
    ranks: Vec<u32>,
    /// Of people that were given others since.
    changed: BTreeMap<u32, (Vec<u32>, Vec<u32>)>,
}

/// People for whom a rank is kept.
const RANKED: u32 = 64;

impl Own {
    pub(super) fn new() -> Self {
        Self { starts: vec![0], ..Self::default() }
    }

    /// How many there are of all.
    pub(super) const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Adds a person after the last one; `end` is how many there are of all by then.
    pub(super) fn push(&mut self, person: u32, ids: &[u32], reasons: &[u32], end: u32) {
        let before = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        self.ranks.resize((person / RANKED) as usize + 1, before);
        self.people.push(person);
        self.ids.extend_from_slice(ids);
        self.reasons.extend_from_slice(reasons);
        self.starts.push(end);
    }

    /// Ids and reasons. `from` is a place in the list at or before the person's, 0 if none is known.
    pub(super) fn of(&self, person: u32, from: &mut usize) -> (&[u32], &[u32]) {
        if let Some((ids, reasons)) = self.changed.get(&person) {
            return (ids, reasons);
        }
        let rank = self.ranks.get((person / RANKED) as usize).or(self.ranks.last());
        *from = (*from).max(rank.map_or(0, |rank| *rank as usize));
        let rest = self.people.get(*from..).unwrap_or_default();
        *from += rest.iter().take_while(|it| **it < person).count();
        if self.people.get(*from) != Some(&person) {
            return Default::default();
        }
        let range = span(&self.starts, *from);
        (
            self.ids.get(range.clone()).unwrap_or_default(),
            self.reasons.get(range).unwrap_or_default(),
        )
    }

    /// Gives a person others.
    pub(super) fn change(&mut self, person: u32, ids: Vec<u32>, reasons: Vec<u32>) {
        if ids.is_empty() {
            self.changed.remove(&person);
        } else {
            self.changed.insert(person, (ids, reasons));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let owns = [&self.people, &self.starts, &self.ids, &self.reasons, &self.ranks];
        let words: usize = owns.into_iter().map(|it| it.capacity() * 4).sum();
        let changed = self.changed.values().map(|(a, b)| (a.capacity() + b.capacity()) * 4 + 64);
        words + changed.sum::<usize>()
    }

    pub(super) fn shrink(&mut self) {
        let all =
            [&mut self.people, &mut self.starts, &mut self.ids, &mut self.reasons, &mut self.ranks];
        all.into_iter().for_each(Vec::shrink_to_fit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_found_from_anywhere_before_them() {
        let mut own = Own::new();
        let has = |person: u32| person % 5 == 3 && !(200..700).contains(&person);
        let mut end = 0;
        for person in (0..1_000).filter(|it| has(*it)) {
            end += 2;
            own.push(person, &[person, person + 1], &[7, 8], end);
        }
        let mut cursor = 0;
        for person in 0..1_100 {
            let ids = if has(person) && person < 1_000 { vec![person, person + 1] } else { vec![] };
            assert_eq!(own.of(person, &mut 0).0, ids);
            assert_eq!(own.of(person, &mut cursor).0, ids);
        }
    }
}
