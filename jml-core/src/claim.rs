//! Claims: why somebody should hold something. Access goes only when its last claim ends.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::entitlement::EntitlementRef;
use crate::id::{ExceptionId, IdentityId, PolicyVersion, RequestId, RoleId, RuleId};

/// One reason to hold one entitlement, for one span of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Claim {
    /// What is claimed.
    pub entitlement: EntitlementRef,
    /// Why.
    pub source: ClaimSource,
    /// When it holds.
    pub validity: Validity,
    /// The policy that it was computed under.
    pub policy: PolicyVersion,
}

/// A span of time, from its first instant up to, and without, its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Validity {
    /// First instant.
    pub from: DateTime<Utc>,
    /// First instant after it; `None` when no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Validity {
    /// Whether an instant lies in the span.
    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// Whether two spans have an instant in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |a: &Self, b: &Self| a.until.is_some_and(|until| until <= b.from);
        !before(self, other) && !before(other, self)
    }
}

/// Why a claim exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClaimSource {
    /// An attribute rule grants it by itself.
    Birthright {
        /// The rule.
        rule: RuleId,
    },
    /// A role template that a rule assigned.
    Role {
        /// The role that carries the grant.
        role: RoleId,
        /// Its version.
        version: u32,
        /// The role that the rule assigned, when the grant came by inheritance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<RoleId>,
        /// The rule that assigned it.
        rule: RuleId,
    },
    /// An approved request.
    Request {
        /// The request.
        id: RequestId,
        /// Who approved it.
        approved_by: IdentityId,
    },
    /// An accepted exception.
    Exception {
        /// The exception.
        id: ExceptionId,
        /// Who answers for it.
        owner: IdentityId,
    },
    /// What is left of a claim that ended by a move, for a while.
    Transition {
        /// When the move took effect.
        moved_at: DateTime<Utc>,
        /// Whether the manager is asked to attest it.
        attest: bool,
    },
    /// Found on the target and taken over.
    Adopted {
        /// Who answers for it.
        owner: IdentityId,
        /// When it must be looked at again.
        review_by: DateTime<Utc>,
    },
    /// The owner of a non-human identity needs it.
    NonHuman {
        /// The owner.
        owner: IdentityId,
    },
}

impl fmt::Display for ClaimSource {
    /// In people's words, for example ``role `engineer` v3 (rule `r-eng`)``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Birthright { rule } => write!(f, "rule `{rule}`"),
            Self::Role { role, version, through: None, rule } => {
                write!(f, "role `{role}` v{version} (rule `{rule}`)")
            }
            Self::Role { role, version, through: Some(through), rule } => {
                write!(f, "role `{role}` v{version}, inherited by `{through}` (rule `{rule}`)")
            }
            Self::Request { id, approved_by } => {
                write!(f, "request `{id}`, approved by `{approved_by}`")
            }
            Self::Exception { id, owner } => write!(f, "exception `{id}` of `{owner}`"),
            Self::Transition { moved_at, attest } => {
                let how = if *attest { "until attested" } else { "overlap" };
                write!(f, "{how} after the move of {}", moved_at.date_naive())
            }
            Self::Adopted { owner, review_by } => {
                write!(f, "adopted by `{owner}`, review by {}", review_by.date_naive())
            }
            Self::NonHuman { owner } => write!(f, "needed by its owner `{owner}`"),
        }
    }
}

/// An approved request for access beyond the role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct ApprovedRequest {
    /// The desk's own id.
    pub id: RequestId,
    /// What was asked for.
    pub entitlement: EntitlementRef,
    /// Who approved it.
    pub approved_by: IdentityId,
    /// When it holds.
    pub validity: Validity,
    /// What happens to it when the holder moves.
    pub on_move: RequestOnMove,
    /// Why it was wanted.
    pub why: SmolStr,
}

/// What happens to requested access when its holder moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestOnMove {
    /// It stays.
    Keep,
    /// It stays for so many days unless somebody approves it anew.
    Revalidate {
        /// Days after the move.
        days: u16,
    },
    /// It ends with the move.
    #[default]
    Drop,
}

/// Access that policy does not give, accepted by a named person until a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct AccessException {
    /// Its id.
    pub id: ExceptionId,
    /// What is accepted.
    pub entitlement: EntitlementRef,
    /// Who answers for it.
    pub owner: IdentityId,
    /// When it was accepted.
    pub from: DateTime<Utc>,
    /// When it ends. Exceptions always end.
    pub until: DateTime<Utc>,
    /// Why.
    pub why: SmolStr,
}

/// Foreign access that somebody took responsibility for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Adoption {
    /// What was found.
    pub entitlement: EntitlementRef,
    /// Who answers for it.
    pub owner: IdentityId,
    /// When it was taken over.
    pub from: DateTime<Utc>,
    /// When it must be looked at again; the claim ends there.
    pub review_by: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn spans_are_half_open() {
        let t = |h: i64| DateTime::UNIX_EPOCH + TimeDelta::hours(h);
        let span = |a, b| Validity { from: t(a), until: Some(t(b)) };
        assert!(span(0, 2).contains(t(0)));
        assert!(!span(0, 2).contains(t(2)));
        assert!(!span(0, 2).overlaps(&span(2, 3)));
        assert!(span(0, 2).overlaps(&span(1, 3)));
        assert!(span(0, 2).overlaps(&Validity { from: t(1), until: None }));
    }
}
