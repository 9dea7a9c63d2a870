//! Texts as numbers: each distinct one kept once, one after the other.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::FlatError;

/// Numbers for names, in the order in which they are met. The table is for finding them only; nothing is read
/// out in its order.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: FixedState,
}

impl Names {
    /// The number of a name, a new one if it was not met before.
    ///
    /// # Errors
    /// [`FlatError::TooMany`] above 2^32 - 1 names.
    pub fn number(&mut self, name: &str) -> Result<u32, FlatError> {
        let Self { text, ends, table, hasher } = self;
        let at = |number: &u32| part(text, ends, *number);
        let hash = hasher.hash_one(name);
        match table.entry(hash, |known| at(known) == name, |known| hasher.hash_one(at(known))) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(vacant) => {
                let number = u32::try_from(ends.len()).ok().filter(|number| *number < u32::MAX);
                let number = number.ok_or(FlatError::TooMany { what: "names" })?;
                vacant.insert(number);
                text.push_str(name);
                ends.push(text.len());
                Ok(number)
            }
        }
    }

    /// The name of a number; empty for a number that was never given out.
    #[must_use]
    pub fn name(&self, number: u32) -> &str {
        part(&self.text, &self.ends, number)
    }

    /// How many names there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

fn part<'t>(text: &'t str, ends: &[usize], number: u32) -> &'t str {
    let number = number as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    ends.get(number).and_then(|end| text.get(start..*end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_for_ever() {
        let mut names = Names::default();
        let many: Vec<String> = (0..5_000).map(|n| format!("access-{}", n * 7 % 5_000)).collect();
        for (number, name) in (0..).zip(&many) {
            assert_eq!(names.number(name), Ok(number));
        }
        for (number, name) in (0..).zip(&many) {
            assert_eq!(names.number(name), Ok(number));
            assert_eq!(names.name(number), name);
        }
        assert_eq!((names.len(), names.name(5_000)), (5_000, ""));
    }
}
