//! Drift: where a target is not what it was when it was last verified; and foreign access taken over.

use chrono::{DateTime, Utc};
use jml_core::account::AccountRef;
use jml_core::claim::Adoption;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::IdentityId;
use jml_core::plan::ForeignReason;

use crate::delta::{Delta, Verdict};
use crate::ledger::Ledger;
use crate::world::World;

/// Something that somebody else changed on a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Drift {
    /// We granted it, it is still claimed, and it is not held any more.
    Lost {
        /// On which account.
        account: AccountRef,
        /// What.
        entitlement: EntitlementRef,
        /// When it was verified.
        granted: DateTime<Utc>,
    },
    /// It is held, no claim explains it, and it was not us.
    Added {
        /// On which account.
        account: AccountRef,
        /// What.
        entitlement: EntitlementRef,
    },
    /// We closed the account because its person left, and somebody can sign in again.
    Reopened {
        /// Which account.
        account: AccountRef,
        /// When it was closed.
        closed: DateTime<Utc>,
    },
}

/// What somebody else changed for one person since it was last verified. Pure.
#[must_use]
pub fn drift(delta: &Delta, world: &World, ledger: &Ledger) -> Vec<Drift> {
    let mut out = Vec::new();
    for line in &delta.access {
        let Some(account) = &line.account else { continue };
        let entitlement = line.entitlement.clone();
        let granted = ledger.granted(account, &entitlement.key).map(|granted| granted.at);
        let account = account.clone();
        match (line.verdict, granted) {
            (Verdict::Grant, Some(granted)) => {
                out.push(Drift::Lost { account, entitlement, granted });
            }
            (Verdict::Revoke | Verdict::Foreign(_), None) => {
                out.push(Drift::Added { account, entitlement });
            }
            _ => {}
        }
    }
    for (at, state) in world.accounts(&delta.identity) {
        if let Some(closed) = ledger.closed(at).filter(|_| delta.gone && state.status.can_sign_in())
        {
            out.push(Drift::Reopened { account: at.clone(), closed });
        }
    }
    out.sort();
    out
}

/// Takes over what was found on a person's accounts and is nobody's doing here: for each, a claim with an
/// owner and a date at which it must be looked at again. Access of people who are gone, and access that a
/// target does not let go, is not taken over.
#[must_use]
pub fn legalize(
    delta: &Delta,
    ledger: &Ledger,
    owner: &IdentityId,
    at: DateTime<Utc>,
    review_by: DateTime<Utc>,
) -> Vec<Adoption> {
    let found = delta.access.iter().filter(|line| {
        let foreign = ForeignReason::NotOurs;
        let ours = line.account.as_ref().and_then(|at| ledger.granted(at, &line.entitlement.key));
        matches!(line.verdict, Verdict::Revoke) && ours.is_none()
            || matches!(line.verdict, Verdict::Foreign(why) if why == foreign || why == ForeignReason::Mode)
    });
    let adopt = |entitlement: &EntitlementRef| Adoption {
        entitlement: entitlement.clone(),
        owner: owner.clone(),
        from: at,
        review_by,
    };
    found.filter(|_| !delta.gone).map(|line| adopt(&line.entitlement)).collect()
}
