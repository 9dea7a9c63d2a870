//! What carrying an answer out would come to, in the counts that brakes go by.

use std::collections::BTreeMap;

use jml_core::account::AccountStatus;
use jml_core::desired::Desired;
use jml_core::entitlement::EntitlementRef;
use jml_core::identity::LifecycleState;

use super::{Population, PopulationDelta};
use crate::delta::{AccountLine, Delta, Verdict};

/// What a batch would do. One leave for cause is left out when it is the only one: brakes do not stand between a
/// dismissal and its effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Effects {
    /// Accounts that are made.
    pub creates: u64,
    /// Accounts that are deleted.
    pub deletes: u64,
    /// People who lose their accounts because they left.
    pub leavers: u64,
    /// Entitlements that are given.
    pub grants: u64,
    /// Entitlements that are taken, each with the number of those who lose it.
    pub revokes: BTreeMap<EntitlementRef, u64>,
    /// Privileged and critical ones among what is taken.
    pub privileged: u64,
}

impl Effects {
    /// Counts the access lines of one person.
    pub fn count_access(&mut self, delta: &Delta) {
        self.grants += delta.with(Verdict::Grant).count() as u64;
        for line in delta.with(Verdict::Revoke) {
            self.privileged += u64::from(line.sensitivity.is_critical());
            *self.revokes.entry(line.entitlement.clone()).or_insert(0) += 1;
        }
    }

    /// Everything that is taken.
    #[must_use]
    pub fn revoked(&self) -> u64 {
        self.revokes.values().sum()
    }
}

/// Whether a delta takes somebody's accounts because they left, as plans of the kind `Leave` do. Accounts that were
/// closed long ago are archived and deleted by plans of another kind.
fn leaves(desired: &Desired, delta: &Delta) -> bool {
    use AccountStatus::{Active, Disabled};
    let closes =
        |line: &AccountLine| matches!(line, AccountLine::Status { from: Active, to: Disabled, .. });
    match desired.state {
        LifecycleState::Left => !delta.accounts.is_empty() && !delta.is_retention(),
        // Between two engagements somebody has left, whatever comes next.
        LifecycleState::PreHire => delta.accounts.iter().any(closes),
        _ => false,
    }
}

impl Population<'_> {
    /// What carrying an answer out would come to. Plans come to no more than that: a step may become a task,
    /// or wait for an approval.
    #[must_use]
    pub fn effects(&self, answer: &PopulationDelta) -> Effects {
        let mut effects = Effects::default();
        let mut counts = vec![0_u64; self.catalogue.len()];
        for it in answer.flat.iter() {
            effects.grants += it.grants.len() as u64;
            for id in it.revokes {
                if let Some(count) = counts.get_mut(*id as usize) {
                    *count += 1;
                }
            }
        }
        for ((_, entitlement), count) in self.catalogue.iter().zip(counts) {
            if count > 0 {
                let critical = self.policy.sensitivity(entitlement).is_critical();
                effects.privileged += if critical { count } else { 0 };
                effects.revokes.insert(entitlement.clone(), count);
            }
        }
        let odd = || answer.odd.iter().filter_map(|(n, delta)| Some((self.odd.get(n)?, delta)));
        let mut for_cause = odd().filter(|(it, delta)| it.for_cause && leaves(it, delta));
        let exempt = match (for_cause.next(), for_cause.next()) {
            (Some((one, _)), None) => Some(&one.identity),
            _ => None,
        };
        for (desired, delta) in odd().filter(|(it, _)| Some(&it.identity) != exempt) {
            for line in &delta.accounts {
                effects.creates += u64::from(matches!(line, AccountLine::Create { .. }));
                effects.deletes += u64::from(matches!(line, AccountLine::Delete { .. }));
            }
            effects.leavers += u64::from(leaves(desired, delta));
            effects.count_access(delta);
        }
        effects
    }
}
