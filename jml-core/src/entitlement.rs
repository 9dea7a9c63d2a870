//! Entitlements: what a person can hold on a target, and how it behaves.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{AttributeName, EntitlementId, IdError, IdentityId, KindId, ProviderId, check};

/// An entitlement within one provider: its kind and native id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EntitlementKey {
    /// `group`, `app`, `licence`, ...
    pub kind: KindId,
    /// The provider's own immutable id.
    pub id: EntitlementId,
}

impl EntitlementKey {
    /// A key from its two parts.
    #[must_use]
    pub const fn new(kind: KindId, id: EntitlementId) -> Self {
        Self { kind, id }
    }
}

impl fmt::Display for EntitlementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for EntitlementKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("entitlement key", text)?;
        let (kind, id) = text.split_once('/').ok_or_else(|| IdError::BadForm {
            kind: "entitlement key",
            value: text.to_owned(),
            form: "kind/id",
        })?;
        Ok(Self { kind: KindId::new(kind)?, id: EntitlementId::new(id)? })
    }
}

impl TryFrom<String> for EntitlementKey {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EntitlementKey> for String {
    fn from(key: EntitlementKey) -> String {
        key.to_string()
    }
}

/// An entitlement of the whole organisation, written `provider/kind/id`, for example
/// `entra/group/5f0c...` or `local/licence/office-e3`. The id may contain `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EntitlementRef {
    /// The configured provider that holds it.
    pub provider: ProviderId,
    /// Kind and id within the provider.
    pub key: EntitlementKey,
}

impl EntitlementRef {
    /// A reference from provider and key.
    #[must_use]
    pub const fn new(provider: ProviderId, key: EntitlementKey) -> Self {
        Self { provider, key }
    }
}

impl fmt::Display for EntitlementRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.provider, self.key))
    }
}

impl FromStr for EntitlementRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("entitlement", text)?;
        let bad = || IdError::BadForm {
            kind: "entitlement",
            value: text.to_owned(),
            form: "provider/kind/id",
        };
        let (provider, key) = text.split_once('/').ok_or_else(bad)?;
        let key = key.parse().map_err(|_| bad())?;
        Ok(Self { provider: ProviderId::new(provider)?, key })
    }
}

impl TryFrom<String> for EntitlementRef {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EntitlementRef> for String {
    fn from(at: EntitlementRef) -> String {
        at.to_string()
    }
}

/// How much harm an entitlement can do. Ordered: later is more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sensitivity {
    /// Everyday access.
    #[default]
    Standard,
    /// Personal or commercial data.
    Sensitive,
    /// Administrative power. Never overlaps on a move.
    Privileged,
    /// Power over identity, money or production as a whole. Never overlaps; revoked first, as a step
    /// of its own.
    Critical,
}

impl Sensitivity {
    /// Whether revoking it is urgent enough to be a containment step.
    #[must_use]
    pub fn is_critical(self) -> bool {
        self >= Self::Privileged
    }

    /// The name used in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Sensitive => "sensitive",
            Self::Privileged => "privileged",
            Self::Critical => "critical",
        }
    }
}

/// How the target lets an entitlement be given and taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assignability {
    /// By a call for this account.
    #[default]
    Direct,
    /// By the target itself from an attribute of the account: change the driver, or report a residual.
    Computed {
        /// The account attribute that decides.
        driver: AttributeName,
    },
    /// Through another entitlement, such as a nested group.
    Inherited {
        /// The entitlement that carries it.
        via: EntitlementKey,
    },
    /// By another system that owns it.
    External {
        /// That system, in people's words.
        owner: SmolStr,
    },
    /// Never; it comes and goes with the account.
    Immutable,
}

/// What happens to a claim that ends because its holder moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndPolicy {
    /// Access ends with the claim.
    #[default]
    Immediate,
    /// Access stays visible as a transition claim for so many days, then ends.
    Overlap {
        /// Days after the move.
        days: u16,
    },
    /// Access stays until the manager attests or the days are over; then it ends.
    UntilAttested {
        /// Days after the move.
        days: u16,
    },
}

/// An entry of the policy's catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by policy files")]
pub struct Entitlement {
    /// In people's words.
    pub title: SmolStr,
    /// How much harm it can do.
    pub sensitivity: Sensitivity,
    /// How the target lets it be given and taken.
    pub assignability: Assignability,
    /// At most one entitlement of a group can be held on one account (one licence tier, one role).
    pub exclusive_group: Option<SmolStr>,
    /// Seats that were bought; `None` when not counted.
    pub seats: Option<u32>,
    /// Who answers for it and approves requests.
    pub owner: Option<IdentityId>,
    /// What happens on a move.
    pub on_move: EndPolicy,
}

impl Entitlement {
    /// An everyday entitlement that is given and taken directly.
    #[must_use]
    pub fn standard(title: impl AsRef<str>) -> Self {
        Self {
            title: SmolStr::new(title),
            sensitivity: Sensitivity::Standard,
            assignability: Assignability::Direct,
            exclusive_group: None,
            seats: None,
            owner: None,
            on_move: EndPolicy::Immediate,
        }
    }
}

/// Holdings of one account.
pub type Holdings = BTreeSet<EntitlementKey>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_three_parts() {
        let at: EntitlementRef = "gh/team/core/rust".parse().unwrap();
        assert_eq!(at.provider.as_str(), "gh");
        assert_eq!(at.key.kind.as_str(), "team");
        assert_eq!(at.key.id.as_str(), "core/rust");
        assert_eq!(at.to_string(), "gh/team/core/rust");
        for bad in ["", "gh", "gh/team", "/team/x", "gh//x", "gh/team/"] {
            assert!(bad.parse::<EntitlementRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn privileged_and_above_is_critical() {
        assert!(!Sensitivity::Sensitive.is_critical());
        assert!(Sensitivity::Privileged.is_critical());
        assert!(Sensitivity::Critical.is_critical());
    }
}
