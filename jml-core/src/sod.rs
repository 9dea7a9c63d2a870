//! Separation of duties: sets of access of which nobody may hold too many at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::entitlement::EntitlementRef;
use crate::id::SodRuleId;

/// A rule: holding members of more than [`SodRule::max`] of the duties at once is a conflict. Two
/// duties and `max: 1` is the usual pair; it works in both directions by construction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct SodRule {
    /// In people's words.
    pub title: SmolStr,
    /// The duties, each a set of entitlements that amount to it.
    pub duties: Vec<BTreeSet<EntitlementRef>>,
    /// How many duties one person may hold at once.
    pub max: usize,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct SodConflict {
    /// Which rule.
    pub rule: SodRuleId,
    /// The held entitlements that together break it.
    pub entitlements: BTreeSet<EntitlementRef>,
}

impl SodRule {
    /// The entitlements among `held` that together break this rule; empty when it holds.
    #[must_use]
    pub fn broken_by(&self, held: &BTreeSet<EntitlementRef>) -> BTreeSet<EntitlementRef> {
        let touched: Vec<BTreeSet<&EntitlementRef>> = self
            .duties
            .iter()
            .map(|duty| duty.intersection(held).collect::<BTreeSet<_>>())
            .filter(|hit| !hit.is_empty())
            .collect();
        if touched.len() <= self.max {
            return BTreeSet::new();
        }
        touched.into_iter().flatten().cloned().collect()
    }

    /// Whether two entitlements lie in different duties of this rule.
    #[must_use]
    pub fn separates(&self, a: &EntitlementRef, b: &EntitlementRef) -> bool {
        self.duties.iter().enumerate().any(|(i, one)| {
            one.contains(a)
                && self.duties.iter().enumerate().any(|(j, other)| i != j && other.contains(b))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_in_both_directions() {
        let e = |id: &str| id.parse::<EntitlementRef>().unwrap();
        let rule = SodRule {
            title: "pay".into(),
            duties: vec![BTreeSet::from([e("p/g/create")]), BTreeSet::from([e("p/g/approve")])],
            max: 1,
        };
        let both = BTreeSet::from([e("p/g/create"), e("p/g/approve"), e("p/g/other")]);
        assert_eq!(rule.broken_by(&both).len(), 2);
        assert!(rule.broken_by(&BTreeSet::from([e("p/g/approve")])).is_empty());
        assert!(rule.separates(&e("p/g/create"), &e("p/g/approve")));
        assert!(rule.separates(&e("p/g/approve"), &e("p/g/create")));
        assert!(!rule.separates(&e("p/g/create"), &e("p/g/other")));
    }
}
