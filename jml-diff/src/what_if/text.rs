//! A preview in people's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jml_core::entitlement::EntitlementRef;
use jml_core::id::IdentityId;
use jml_core::sod::SodConflict;

use super::{Preview, Tested};
use crate::population::Effects;

/// How many people are named before the rest is counted.
const NAMED: usize = 5;

fn names(f: &mut fmt::Formatter<'_>, people: &BTreeSet<IdentityId>) -> fmt::Result {
    for (place, identity) in people.iter().take(NAMED).enumerate() {
        write!(f, "{}{identity}", if place > 0 { ", " } else { "" })?;
    }
    match people.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn by_entitlement(
    f: &mut fmt::Formatter<'_>,
    sign: char,
    all: &BTreeMap<EntitlementRef, BTreeSet<IdentityId>>,
) -> fmt::Result {
    for (entitlement, people) in all {
        write!(f, "  {sign} {entitlement}: {} (", people.len())?;
        names(f, people)?;
        writeln!(f, ")")?;
    }
    Ok(())
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.versions;
        writeln!(f, "policy {before} -> {after}, {} people at {}", self.people, self.at)?;
        let affected = self.affected().len();
        writeln!(f, "entitled to something else: {affected}")?;
        by_entitlement(f, '+', &self.gains)?;
        by_entitlement(f, '-', &self.losses)?;
        let mut alike: BTreeMap<&SodConflict, BTreeSet<IdentityId>> = BTreeMap::new();
        for (identity, conflicts) in &self.conflicts {
            for conflict in conflicts {
                alike.entry(conflict).or_default().insert(identity.clone());
            }
        }
        for (conflict, people) in alike {
            let access: Vec<String> =
                conflict.entitlements.iter().map(ToString::to_string).collect();
            write!(f, "  ! `{}` by {}: {} (", conflict.rule, access.join(" and "), people.len())?;
            names(f, &people)?;
            writeln!(f, ")")?;
        }
        let [before, after] = &self.effects;
        let row = |f: &mut fmt::Formatter<'_>, what: &str, of: &dyn Fn(&Effects) -> u64| {
            writeln!(f, "  {what}: {} -> {}", of(before), of(after))
        };
        writeln!(f, "to be carried out:")?;
        row(f, "grants", &|it| it.grants)?;
        row(f, "revokes", &Effects::revoked)?;
        row(f, "privileged revokes", &|it| it.privileged)?;
        row(f, "new accounts", &|it| it.creates)?;
        row(f, "deleted accounts", &|it| it.deletes)?;
        row(f, "leavers", &|it| it.leavers)
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |all: &BTreeMap<EntitlementRef, u64>| all.values().sum::<u64>();
        write!(
            f,
            "{}: {} people, {} affected, {} gains, {} losses, {} with a new conflict of duties",
            self.at,
            self.people,
            self.affected,
            sum(&self.gains),
            sum(&self.losses),
            self.conflicts
        )
    }
}
