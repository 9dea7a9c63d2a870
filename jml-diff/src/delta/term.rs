//! What decides about an entitlement whoever it is about: the same for one person and for everybody.

use jml_core::entitlement::{Assignability, EntitlementRef};
use jml_core::plan::ForeignReason;
use jml_core::policy::{Mode, Policy};

use super::Verdict;
use crate::world::World;

/// The terms on which one entitlement is given and taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) mode: Mode,
    /// Why no call gives or takes it.
    stuck: Option<ForeignReason>,
    /// Somebody has to hold it, and at most one account does.
    last: bool,
}

impl Term {
    pub(crate) fn of(policy: &Policy, world: &World, entitlement: &EntitlementRef) -> Self {
        use Assignability as A;
        let entry = policy.entitlements.get(entitlement);
        let stuck = match entry.map(|entry| &entry.assignability) {
            None | Some(A::Direct) => None,
            Some(A::Computed { .. }) => Some(ForeignReason::Computed),
            Some(A::Inherited { .. }) => Some(ForeignReason::Inherited),
            Some(A::External { .. }) => Some(ForeignReason::External),
            Some(_) => Some(ForeignReason::Immutable),
        };
        let last =
            policy.protected.last_holder.contains(entitlement) && world.holders(entitlement) <= 1;
        Self { mode: policy.modes.of(entitlement), stuck, last }
    }

    /// Whether it can be granted.
    pub(crate) fn gives(&self) -> bool {
        self.mode != Mode::Observe && self.stuck.is_none()
    }

    /// What becomes of it where it is held and not claimed. `excused`: the person is gone, or a reviewer spoke
    /// about this very access, so it does not matter who gave it.
    pub(crate) fn surplus(&self, ours: bool, excused: bool) -> Verdict {
        let why = match (self.stuck, self.mode) {
            (Some(why), _) => Some(why),
            (None, Mode::Observe | Mode::Additive) => Some(ForeignReason::Mode),
            (None, Mode::Relative) if !ours && !excused => Some(ForeignReason::NotOurs),
            (None, Mode::Relative | Mode::Full) => self.last.then_some(ForeignReason::LastHolder),
        };
        why.map_or(Verdict::Revoke, Verdict::Foreign)
    }
}
