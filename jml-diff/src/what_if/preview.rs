//! Two policies on the same people and the same world.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::Facts;
use jml_core::id::{IdentityId, PolicyVersion};
use jml_core::policy::Policy;
use jml_core::sod::SodConflict;
use jml_core::time::ZoneResolver;

use super::profiles::{Entitled, Profiles};
use crate::ledger::Ledger;
use crate::population::flat::Totals;
use crate::population::{Effects, Population, PopulationError};
use crate::world::World;

/// What a preview is computed from.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
#[expect(missing_debug_implementations, reason = "zones have none")]
pub struct PreviewInput<'a> {
    /// The policy in force.
    pub before: &'a Policy,
    /// The policy that is proposed.
    pub after: &'a Policy,
    /// Everybody.
    pub facts: &'a Facts,
    /// What was seen.
    pub world: &'a World,
    /// What we granted.
    pub ledger: &'a Ledger,
    /// Time zones.
    pub zones: &'a dyn ZoneResolver,
    /// When.
    pub at: DateTime<Utc>,
    /// On how many threads. It makes no difference to the answer.
    pub threads: NonZeroUsize,
}

/// What a proposed policy would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Preview {
    /// The policy in force, and the proposed one.
    pub versions: [PolicyVersion; 2],
    /// When.
    pub at: DateTime<Utc>,
    /// How many people there are.
    pub people: usize,
    /// For how many distinct people claims were computed, under each policy.
    pub profiles: [usize; 2],
    /// Who would be entitled to what they are not entitled to now.
    pub gains: BTreeMap<EntitlementRef, BTreeSet<IdentityId>>,
    /// Who would not be entitled any more to what they are entitled to now.
    pub losses: BTreeMap<EntitlementRef, BTreeSet<IdentityId>>,
    /// Conflicts of duties that there are not now. What comes later is withheld.
    pub conflicts: BTreeMap<IdentityId, BTreeSet<SodConflict>>,
    /// What differs between policy and world, for each policy.
    pub totals: [Totals; 2],
    /// What carrying that out would come to, for each policy: the counts that brakes go by.
    pub effects: [Effects; 2],
}

impl Preview {
    /// People who would gain or lose something.
    #[must_use]
    pub fn affected(&self) -> BTreeSet<&IdentityId> {
        self.gains.values().chain(self.losses.values()).flatten().collect()
    }
}

/// Compares two policies on everybody. Pure.
///
/// # Errors
/// [`PopulationError::Flat`] when there are more people than 32 bits can count.
pub fn preview(input: &PreviewInput<'_>) -> Result<Preview, PopulationError> {
    let (before, before_answer) = side(input, input.before)?;
    let (after, after_answer) = side(input, input.after)?;
    let mut out = Preview {
        versions: [input.before.version.clone(), input.after.version.clone()],
        at: input.at,
        people: input.facts.people.len(),
        profiles: [before.profiles.len(), after.profiles.len()],
        gains: BTreeMap::new(),
        losses: BTreeMap::new(),
        conflicts: BTreeMap::new(),
        totals: [before_answer.0, after_answer.0],
        effects: [before_answer.1, after_answer.1],
    };
    let mut pairs: BTreeMap<(u32, u32), Difference> = BTreeMap::new();
    for ((identity, old), new) in input.facts.people.keys().zip(&before.people).zip(&after.people) {
        let own;
        let difference = match (old, new) {
            (Place::Shared(a), Place::Shared(b)) => pairs
                .entry((*a, *b))
                .or_insert_with(|| Difference::of(before.entitled(old), after.entitled(new))),
            _ => {
                own = Difference::of(before.entitled(old), after.entitled(new));
                &own
            }
        };
        for entitlement in &difference.gains {
            out.gains.entry(entitlement.clone()).or_default().insert(identity.clone());
        }
        for entitlement in &difference.losses {
            out.losses.entry(entitlement.clone()).or_default().insert(identity.clone());
        }
        if !difference.conflicts.is_empty() {
            out.conflicts.insert(identity.clone(), difference.conflicts.clone());
        }
    }
    Ok(out)
}

/// What two policies make of one person.
#[derive(Clone, Debug, Default)]
pub(super) struct Difference {
    pub(super) gains: Vec<EntitlementRef>,
    pub(super) losses: Vec<EntitlementRef>,
    pub(super) conflicts: BTreeSet<SodConflict>,
}

impl Difference {
    pub(super) fn of(before: Option<&Entitled>, after: Option<&Entitled>) -> Self {
        let nothing = Entitled::default();
        let (before, after) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
        Self {
            gains: after.to.difference(&before.to).cloned().collect(),
            losses: before.to.difference(&after.to).cloned().collect(),
            conflicts: after.conflicts.difference(&before.conflicts).cloned().collect(),
        }
    }
}

/// Where the entitlements of a person are.
enum Place {
    Shared(u32),
    Own(Entitled),
}

/// Everybody under one policy.
struct Side<'p> {
    profiles: Profiles<'p>,
    people: Vec<Place>,
}

impl Side<'_> {
    fn entitled<'a>(&'a self, place: &'a Place) -> Option<&'a Entitled> {
        match place {
            Place::Shared(number) => self.profiles.shared(*number),
            Place::Own(own) => Some(own),
        }
    }
}

fn side<'p>(
    input: &PreviewInput<'p>,
    policy: &'p Policy,
) -> Result<(Side<'p>, (Totals, Effects)), PopulationError> {
    let mut side = Side { profiles: Profiles::new(policy), people: Vec::new() };
    let everybody = input.facts.people.values().map(|facts| {
        let of = side.profiles.of(facts, input.zones, input.at);
        side.people.push(match &of {
            super::profiles::Of::Shared(number) => Place::Shared(*number),
            super::profiles::Of::Own(_, own) => Place::Own(own.clone()),
        });
        side.profiles.desired(of, facts, input.zones, input.at)
    });
    let population = Population::new(policy, input.world, input.ledger, everybody)?;
    let answer = population.diff(input.threads);
    let effects = population.effects(&answer);
    Ok((side, (answer.totals(), effects)))
}
