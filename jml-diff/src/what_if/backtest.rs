//! A proposed policy on a history of what HR said.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::policy::Policy;
use jml_core::time::ZoneResolver;

use super::preview::Difference;
use super::profiles::{Of, Profiles};

/// Everybody at one instant.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Snapshot<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// What was known then.
    pub facts: &'a Facts,
    /// The policy that was in force then.
    pub in_force: &'a Policy,
}

/// What a proposed policy would have done at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Tested {
    /// When.
    pub at: DateTime<Utc>,
    /// How many people were known.
    pub people: u64,
    /// How many of them would have been entitled to something else.
    pub affected: u64,
    /// How many people would have been entitled to what they were not.
    pub gains: BTreeMap<EntitlementRef, u64>,
    /// How many people would not have been entitled to what they were.
    pub losses: BTreeMap<EntitlementRef, u64>,
    /// How many people would have had a conflict of duties that they had not.
    pub conflicts: u64,
}

/// Replays a history under a proposed policy, against the one in force at each instant. Pure. Claims are
/// computed once for each distinct set of attribute values, over all of the history.
#[must_use]
pub fn backtest(
    history: &[Snapshot<'_>],
    proposed: &Policy,
    zones: &dyn ZoneResolver,
) -> Vec<Tested> {
    let mut after = Profiles::new(proposed);
    let mut before: Option<Profiles<'_>> = None;
    let mut pairs: BTreeMap<(u32, u32), Difference> = BTreeMap::new();
    let mut out = Vec::with_capacity(history.len());
    for snapshot in history {
        let known = before.take().filter(|it| it.policy() == snapshot.in_force);
        if known.is_none() {
            pairs.clear();
        }
        let old = before.insert(known.unwrap_or_else(|| Profiles::new(snapshot.in_force)));
        let (gains, losses) = Default::default();
        let people = snapshot.facts.people.len() as u64;
        let at = snapshot.at;
        let mut tested = Tested { at, people, affected: 0, gains, losses, conflicts: 0 };
        // How many people have each pair of profiles: nobody is compared twice.
        let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for facts in snapshot.facts.people.values() {
            let (a, b) = (old.of(facts, zones, at), after.of(facts, zones, at));
            if let (Of::Shared(a), Of::Shared(b)) = (&a, &b) {
                *counts.entry((*a, *b)).or_insert(0) += 1;
                continue;
            }
            tested.add(&Difference::of(old.entitled(&a), after.entitled(&b)), 1);
        }
        for (pair, count) in counts {
            let difference = pairs
                .entry(pair)
                .or_insert_with(|| Difference::of(old.shared(pair.0), after.shared(pair.1)));
            tested.add(difference, count);
        }
        out.push(tested);
    }
    out
}

impl Tested {
    fn add(&mut self, difference: &Difference, people: u64) {
        let Difference { gains, losses, conflicts } = difference;
        self.affected += if gains.is_empty() && losses.is_empty() { 0 } else { people };
        self.conflicts += if conflicts.is_empty() { 0 } else { people };
        for (from, into) in [(gains, &mut self.gains), (losses, &mut self.losses)] {
            for entitlement in from {
                *into.entry(entitlement.clone()).or_insert(0) += people;
            }
        }
    }
}
