//! One newtype per identifier, with one rule for what an identifier may be.
//!
//! An identifier is 1 to 256 bytes of UTF-8, has no control character, and neither begins nor ends
//! with white space. Identifiers compare byte by byte: case matters, nothing is normalised, because
//! targets disagree on folding and a silent match of two people is worse than a visible miss.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::digest::Digest;

/// Longest identifier, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has no character.
    #[error("{kind} must not be empty")]
    Empty {
        /// Which identifier was wanted.
        kind: &'static str,
    },
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("{kind} has {len} bytes, at most {MAX_ID_BYTES} are allowed")]
    TooLong {
        /// Which identifier was wanted.
        kind: &'static str,
        /// Length of the text in bytes.
        len: usize,
    },
    /// The text has a control character, or white space at an end.
    #[error("{kind} `{value}` has a control character or white space at an end")]
    BadCharacter {
        /// Which identifier was wanted.
        kind: &'static str,
        /// The text, with control characters escaped.
        value: String,
    },
    /// The text lacks the parts that this kind of reference is made of.
    #[error("{kind} `{value}` is not of the form `{form}`")]
    BadForm {
        /// Which reference was wanted.
        kind: &'static str,
        /// The text as given.
        value: String,
        /// The form that was expected.
        form: &'static str,
    },
}

pub(crate) fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong { kind, len: text.len() });
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(IdError::BadCharacter { kind, value: text.escape_debug().to_string() });
    }
    Ok(())
}

macro_rules! id_type {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Makes the identifier from a text.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long, or has characters that are not allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check($kind, text)?;
                Ok(Self(SmolStr::new(text)))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.0.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

id_type! {
    /// A person or a non-human identity, in the words of the source that owns it (an employee number).
    /// Never an e-mail address: addresses change.
    IdentityId = "identity id";
    /// One employment or contract of a person.
    EngagementId = "engagement id";
    /// An account in a provider's own immutable identifier.
    AccountId = "account id";
    /// A configured instance of a provider, such as `entra-prod`.
    ProviderId = "provider id";
    /// A kind of entitlement, in the provider's words: `group`, `app`, `licence`, `role`.
    KindId = "entitlement kind";
    /// An entitlement of one kind, in the provider's own immutable identifier.
    EntitlementId = "entitlement id";
    /// A role template of the policy.
    RoleId = "role id";
    /// An attribute rule of the policy.
    RuleId = "rule id";
    /// A separation-of-duties rule of the policy.
    SodRuleId = "separation-of-duties rule id";
    /// A gate rule of the policy.
    GateRuleId = "gate rule id";
    /// A task template of the policy.
    TaskId = "task id";
    /// The version that a policy file gives itself.
    PolicyVersion = "policy version";
    /// An attribute of an identity or an account.
    AttributeName = "attribute name";
    /// A node of the organisation tree.
    OrgUnitId = "organisation unit id";
    /// A source of facts, such as an HR feed.
    SourceId = "source id";
    /// An approved access request, in the words of the desk that holds it.
    RequestId = "request id";
    /// An accepted exception.
    ExceptionId = "exception id";
    /// A hint that somebody should look at an identity again.
    EventId = "event id";
    /// A step of one plan. Unique in that plan only.
    StepId = "step id";
    /// A gate of one plan. Unique in that plan only.
    GateId = "gate id";
    /// One run of one plan.
    RunId = "run id";
    /// A campaign of access reviews.
    CampaignId = "campaign id";
    /// A time zone's name in the tz database, such as `Europe/Berlin`.
    ZoneId = "time zone";
}

impl RunId {
    /// The run of a plan. A plan runs at most once, so the run is named after the plan.
    #[must_use]
    pub fn of_plan(plan: &Digest) -> Self {
        let hex = plan.to_hex();
        Self(SmolStr::new(format!("r-{}", hex.get(..24).unwrap_or(&hex))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_an_identifier() {
        assert_eq!(RoleId::new(""), Err(IdError::Empty { kind: "role id" }));
        assert!(matches!(RoleId::new(" a"), Err(IdError::BadCharacter { .. })));
        assert!(matches!(RoleId::new("a\nb"), Err(IdError::BadCharacter { .. })));
        assert!(matches!(RoleId::new("a".repeat(257)), Err(IdError::TooLong { len: 257, .. })));
        assert_eq!(RoleId::new("a b/ü").unwrap().as_str(), "a b/ü");
    }

    #[test]
    fn deserialising_checks_too() {
        assert!(serde_json::from_str::<RoleId>("\" a\"").is_err());
        assert_eq!(serde_json::from_str::<RoleId>("\"a\"").unwrap(), RoleId::new("a").unwrap());
    }
}
