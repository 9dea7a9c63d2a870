//! The answer for everybody, and how to read it by name.

use std::collections::BTreeMap;

use jml_core::entitlement::EntitlementRef;
use jml_core::id::IdentityId;

use super::Population;
use super::flat::{Deltas, Totals};
use crate::delta::{Delta, Verdict};

/// What differs, for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationDelta {
    pub(super) flat: Deltas,
    /// Of odd people, as `delta` says it.
    pub(super) odd: BTreeMap<u32, Delta>,
}

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Line<'a> {
    /// Whose.
    pub identity: &'a IdentityId,
    /// What.
    pub entitlement: &'a EntitlementRef,
    /// What should happen. Never [`Verdict::Keep`].
    pub verdict: Verdict,
}

impl PopulationDelta {
    /// How much there is of what, for everybody together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.flat.totals();
        for delta in self.odd.values() {
            let count = |verdict| delta.with(verdict).count() as u64;
            let keeps = count(Verdict::Keep);
            totals.grants += count(Verdict::Grant);
            totals.revokes += count(Verdict::Revoke);
            totals.keeps += keeps;
            let all = delta.access.len() as u64;
            totals.foreign += all - count(Verdict::Grant) - count(Verdict::Revoke) - keeps;
            totals.waits += delta.waits.len() as u64;
            totals.people += u64::from(all > keeps || !delta.waits.is_empty());
        }
        totals
    }

    /// The rows of plain people.
    #[must_use]
    pub const fn flat(&self) -> &Deltas {
        &self.flat
    }

    /// Every difference of everybody: by person, then by entitlement, then by account.
    pub fn lines<'b>(&'b self, of: &'b Population<'_>) -> impl Iterator<Item = Line<'b>> {
        let mut odd = self.odd.iter().peekable();
        let mut plain = self.flat.iter().peekable();
        let next = move || {
            let first = odd.peek().map(|(person, _)| **person);
            match plain.peek().map(|it| it.person) {
                Some(person) if first.is_none_or(|first| person < first) => {
                    let it = plain.next()?;
                    let grants = it.grants.iter().map(|id| (*id, Verdict::Grant));
                    let revokes = it.revokes.iter().map(|id| (*id, Verdict::Revoke));
                    let foreign = it.foreign.iter().map(|id| (*id, of.foreign(person, *id)));
                    let all = grants.chain(revokes).chain(foreign);
                    let all = all.filter_map(|(id, verdict)| Some((of.entitlement(id)?, verdict)));
                    Some((person, all.collect::<Vec<_>>()))
                }
                _ => {
                    let (person, delta) = odd.next()?;
                    let lines = delta.access.iter().filter(|line| line.verdict != Verdict::Keep);
                    let lines = lines.map(|line| (&line.entitlement, line.verdict));
                    Some((*person, lines.collect()))
                }
            }
        };
        std::iter::from_fn(next).flat_map(move |(person, mut lines)| {
            lines.sort_by_key(|(entitlement, _)| *entitlement);
            let identity = of.identity(person);
            let line = move |(entitlement, verdict)| {
                Some(Line { identity: identity?, entitlement, verdict })
            };
            lines.into_iter().filter_map(line)
        })
    }
}
