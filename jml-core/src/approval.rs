//! Who may decide at a gate, looked up when it is decided and not when it was asked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::attribute::AttributeValue;
use crate::desired::state;
use crate::entitlement::EntitlementRef;
use crate::facts::Facts;
use crate::id::{AttributeName, IdentityId};
use crate::identity::{IdentityKind, LifecycleState};
use crate::policy::{Approvers, Policy};
use crate::time::ZoneResolver;

/// Who may decide, and by what right.
pub type Panel = BTreeMap<IdentityId, Standing>;

/// By what right somebody decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// As a manager: 1 for the person's own, 2 for the manager's manager.
    Manager {
        /// How far up.
        level: u8,
    },
    /// As the owner of what is granted.
    Owner,
    /// By name.
    Named,
    /// In the place of somebody else.
    Delegate {
        /// Of whom.
        of: IdentityId,
    },
}

impl Standing {
    /// Whose right it is: that of whoever is represented, else the person's own. Nobody's right counts
    /// twice at a gate.
    #[must_use]
    pub const fn right_of<'a>(&'a self, by: &'a IdentityId) -> &'a IdentityId {
        match self {
            Self::Delegate { of } => of,
            _ => by,
        }
    }
}

/// Looks up who may decide at an instant.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Deciders<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// What is known about everybody.
    pub facts: &'a Facts,
    /// Where zones come from.
    pub zones: &'a dyn ZoneResolver,
    /// When.
    pub at: DateTime<Utc>,
}

impl std::fmt::Debug for Deciders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deciders").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Deciders<'_> {
    /// Who may decide about grants of `covers` to `subject`.
    ///
    /// Only people who are known and at work decide: nobody who left, is away or has not started, no
    /// non-human identity, never the subject, not even through a delegation. A delegation of somebody who
    /// is away counts, of somebody who left it does not; it must end, and not later than the policy allows.
    #[must_use]
    pub fn panel(
        &self,
        who: &Approvers,
        subject: &IdentityId,
        covers: &BTreeSet<&EntitlementRef>,
    ) -> Panel {
        let mut named = self.named(who, subject, covers);
        named.remove(subject);
        let longest = TimeDelta::days(self.policy.delegation.max_days.into());
        let mut panel = Panel::new();
        for delegation in &self.facts.delegations {
            let holds = delegation.from <= self.at && self.at < delegation.until;
            let short = delegation.until - delegation.from <= longest;
            let of = self.state(&delegation.of);
            let present = matches!(of, Some(LifecycleState::Active | LifecycleState::OnLeave));
            let to = &delegation.to;
            if holds
                && short
                && present
                && to != subject
                && named.contains_key(&delegation.of)
                && self.is_at_work(to)
            {
                let of = delegation.of.clone();
                panel.entry(to.clone()).or_insert(Standing::Delegate { of });
            }
        }
        // A right of one's own counts before one that was lent.
        panel.extend(named.into_iter().filter(|(id, _)| self.is_at_work(id)));
        panel
    }

    fn named(
        &self,
        who: &Approvers,
        subject: &IdentityId,
        covers: &BTreeSet<&EntitlementRef>,
    ) -> Panel {
        match who {
            Approvers::Manager { attribute, level } => {
                let mut at = subject.clone();
                for _ in 0..(*level).max(1) {
                    let Some(next) = self.manager(&at, attribute) else { return Panel::new() };
                    at = next;
                }
                Panel::from([(at, Standing::Manager { level: *level })])
            }
            Approvers::EntitlementOwner => {
                let mut owners = covers.iter().map(|it| {
                    self.policy.entitlements.get(it).and_then(|entry| entry.owner.clone())
                });
                let first = owners.next().flatten();
                let one = first.filter(|first| owners.all(|owner| owner.as_ref() == Some(first)));
                one.into_iter().map(|owner| (owner, Standing::Owner)).collect()
            }
            Approvers::Named(set) => set.iter().map(|id| (id.clone(), Standing::Named)).collect(),
        }
    }

    fn manager(&self, of: &IdentityId, attribute: &AttributeName) -> Option<IdentityId> {
        let attributes = &self.facts.people.get(of)?.identity.attributes;
        let value = attributes.value(&self.policy.attributes, attribute, self.at)?;
        AttributeValue::as_text(value).and_then(|text| IdentityId::new(text).ok())
    }

    fn state(&self, id: &IdentityId) -> Option<LifecycleState> {
        self.facts.people.get(id).map(|facts| state(facts, self.zones, self.at))
    }

    fn is_at_work(&self, id: &IdentityId) -> bool {
        let person =
            |facts: &crate::facts::PersonFacts| facts.identity.kind == IdentityKind::Person;
        self.facts.people.get(id).is_some_and(person)
            && self.state(id) == Some(LifecycleState::Active)
    }
}

/// Whether stages can be passed by different people, each counting once: a stage needs `quorum` of its
/// panel. Without it, a gate would wait for something that cannot happen.
#[must_use]
pub fn can_pass(stages: &[(&Panel, u16)]) -> bool {
    let seats: Vec<&Panel> = stages
        .iter()
        .flat_map(|(panel, quorum)| std::iter::repeat_n(*panel, usize::from(*quorum)))
        .collect();
    let mut taken: BTreeMap<&IdentityId, usize> = BTreeMap::new();
    (0..seats.len()).all(|seat| seat_somebody(seat, &seats, &mut taken, &mut BTreeSet::new()))
}

/// Finds somebody for a seat, moving others to another seat of theirs if need be.
fn seat_somebody<'a>(
    seat: usize,
    seats: &[&'a Panel],
    taken: &mut BTreeMap<&'a IdentityId, usize>,
    tried: &mut BTreeSet<&'a IdentityId>,
) -> bool {
    let Some(panel) = seats.get(seat) else { return false };
    for (id, standing) in *panel {
        let right = standing.right_of(id);
        if !tried.insert(right) {
            continue;
        }
        let other = taken.get(right).copied();
        if other.is_none_or(|other| seat_somebody(other, seats, taken, tried)) {
            taken.insert(right, seat);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(ids: &[&str]) -> Panel {
        ids.iter().map(|id| (id.parse().unwrap(), Standing::Named)).collect()
    }

    #[test]
    fn stages_need_different_people() {
        let (a, ab, abc) = (panel(&["a"]), panel(&["a", "b"]), panel(&["a", "b", "c"]));
        assert!(can_pass(&[(&a, 1), (&ab, 1)]));
        assert!(can_pass(&[(&ab, 1), (&a, 1)]), "b moves up for a");
        assert!(!can_pass(&[(&a, 1), (&a, 1)]));
        assert!(!can_pass(&[(&ab, 2), (&a, 1)]));
        assert!(can_pass(&[(&ab, 1), (&abc, 1), (&a, 1)]));
        assert!(!can_pass(&[(&ab, 2), (&abc, 2)]));
        assert!(!can_pass(&[(&panel(&[]), 1)]));
    }

    #[test]
    fn a_delegate_brings_no_second_right() {
        let of: IdentityId = "a".parse().unwrap();
        let mut both = panel(&["a"]);
        both.insert("d".parse().unwrap(), Standing::Delegate { of });
        assert!(can_pass(&[(&both, 1)]));
        assert!(!can_pass(&[(&both, 2)]), "the right of `a` counts once");
    }
}
