//! Names at the border: entitlements and reasons, each a number inside.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use jml_core::claim::ClaimSource;
use jml_core::entitlement::{EntitlementKey, EntitlementRef};
use jml_core::id::ProviderId;
use jml_core::policy::Policy;
use jml_core::role::RoleTemplate;

use super::flat::numbering;
use crate::world::World;

/// Entitlements by number: what is given together has neighbouring numbers. The table is for finding them only;
/// nothing is read out in its order.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    all: Vec<EntitlementRef>,
    table: HashTable<u32>,
    hasher: FixedState,
}

impl Catalogue {
    /// Everything that the policy knows and everything that was seen.
    pub(super) fn new(policy: &Policy, world: &World) -> Self {
        let seen = world.all_holders().map(|(entitlement, _)| entitlement);
        let names: BTreeSet<&EntitlementRef> = policy.entitlements.keys().chain(seen).collect();
        let names: Vec<&EntitlementRef> = names.into_iter().collect();
        let mut all: Vec<(u32, EntitlementRef)> =
            numbers(&names, policy, world).into_iter().zip(names.into_iter().cloned()).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        let all: Vec<EntitlementRef> = all.into_iter().map(|(_, at)| at).collect();
        let hasher = FixedState::default();
        let mut table = HashTable::with_capacity(all.len());
        for (number, at) in (0_u32..).zip(&all) {
            let of = |number: &u32| all.get(*number as usize).map_or(0, |at| hash(&hasher, at));
            table.insert_unique(hash(&hasher, at), number, of);
        }
        Self { all, table, hasher }
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &EntitlementRef)> {
        (0..).zip(&self.all)
    }

    pub(super) fn get(&self, number: u32) -> Option<&EntitlementRef> {
        self.all.get(number as usize)
    }

    pub(super) fn number(&self, provider: &ProviderId, key: &EntitlementKey) -> Option<u32> {
        let is = |number: &u32| {
            self.get(*number).is_some_and(|at| &at.provider == provider && &at.key == key)
        };
        self.table.find(hash_parts(&self.hasher, provider, key), is).copied()
    }
}

/// A number for each name: those that a role or a rule gives are neighbours. Whoever has all that it gives is
/// counted at most as often as what the fewest hold of it.
fn numbers(names: &[&EntitlementRef], policy: &Policy, world: &World) -> Vec<u32> {
    let grants = |role: &RoleTemplate| -> Vec<EntitlementRef> {
        role.grants.iter().map(|grant| grant.entitlement.clone()).collect()
    };
    let roles = policy.roles.values().map(grants);
    let given = roles.chain(policy.rules.values().map(|rule| rule.grants.clone()));
    let number = |at: &EntitlementRef| u32::try_from(names.binary_search(&at).ok()?).ok();
    let row = |given: Vec<EntitlementRef>| {
        let people = given.iter().map(|at| u64::from(world.holders(at))).min().unwrap_or(0);
        (given.iter().filter_map(number).collect::<Vec<u32>>(), people)
    };
    let rows: Vec<(Vec<u32>, u64)> = given.map(row).collect();
    let entitlements = u32::try_from(names.len()).unwrap_or(u32::MAX);
    numbering(entitlements, rows.iter().map(|(row, people)| (row.as_slice(), *people)))
}

fn hash(hasher: &FixedState, at: &EntitlementRef) -> u64 {
    hash_parts(hasher, &at.provider, &at.key)
}

fn hash_parts(hasher: &FixedState, provider: &ProviderId, key: &EntitlementKey) -> u64 {
    hasher.hash_one((provider.as_str(), key.kind.as_str(), key.id.as_str()))
}

/// Reasons by number, each distinct one once.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    all: Vec<ClaimSource>,
    numbers: BTreeMap<ClaimSource, u32>,
}

impl Reasons {
    /// The number of a reason; `None` when there are too many.
    pub(super) fn number(&mut self, source: &ClaimSource) -> Option<u32> {
        if let Some(number) = self.numbers.get(source) {
            return Some(*number);
        }
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(source.clone());
        self.numbers.insert(source.clone(), number);
        Some(number)
    }

    pub(super) fn get(&self, number: u32) -> Option<&ClaimSource> {
        self.all.get(number as usize)
    }
}
