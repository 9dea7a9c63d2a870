//! Accounts: what a provider was seen to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::attribute::AttributeValue;
use crate::canon::CanonError;
use crate::digest::Digest;
use crate::entitlement::EntitlementKey;
use crate::id::{AccountId, AttributeName, IdentityId, ProviderId};

/// An account of one provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct AccountRef {
    /// The configured provider.
    pub provider: ProviderId,
    /// The account's own immutable id there.
    pub account: AccountId,
}

impl AccountRef {
    /// A reference from its parts.
    #[must_use]
    pub const fn new(provider: ProviderId, account: AccountId) -> Self {
        Self { provider, account }
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.account)
    }
}

/// Whether somebody can sign in with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountStatus {
    /// Made ahead of the first day; sign-in is not possible.
    Staged,
    /// Sign-in is possible.
    Active,
    /// Sign-in is blocked for a time, such as a leave; everything else stays.
    Suspended,
    /// Sign-in is blocked because the person left.
    Disabled,
    /// Sign-in is blocked, and the target keeps what belongs to the account for as long as it must be
    /// kept: an archived user, an inactive mailbox. Not every target has it
    /// ([`Descriptor::statuses`](crate::provider::Descriptor::statuses)).
    Archived,
}

impl AccountStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Staged, Self::Active, Self::Suspended, Self::Disabled, Self::Archived];

    /// Whether sign-in is possible.
    #[must_use]
    pub const fn can_sign_in(self) -> bool {
        matches!(self, Self::Active)
    }

    /// The name in people's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Disabled => "disabled",
            Self::Archived => "archived",
        }
    }
}

/// A kind of credential that lets somebody act as an account after the password is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CredentialClass {
    /// Browser and application sessions.
    Sessions,
    /// OAuth refresh tokens and consents.
    RefreshTokens,
    /// API keys and personal access tokens.
    ApiKeys,
    /// Application passwords.
    AppPasswords,
    /// SSH keys.
    SshKeys,
    /// Registered second factors.
    MfaFactors,
    /// Device registrations that carry trust.
    Devices,
}

impl CredentialClass {
    /// Every class, in the order in which they are revoked.
    pub const ALL: [Self; 7] = [
        Self::Sessions,
        Self::RefreshTokens,
        Self::ApiKeys,
        Self::AppPasswords,
        Self::SshKeys,
        Self::MfaFactors,
        Self::Devices,
    ];

    /// The name in people's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::RefreshTokens => "refresh tokens",
            Self::ApiKeys => "API keys",
            Self::AppPasswords => "app passwords",
            Self::SshKeys => "SSH keys",
            Self::MfaFactors => "MFA factors",
            Self::Devices => "devices",
        }
    }
}

/// What an account's mailbox does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Mailbox {
    /// The text that answers incoming mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<SmolStr>,
    /// The account that gets a copy of incoming mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<AccountId>,
    /// Accounts that may read it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub delegates: BTreeSet<AccountId>,
    /// Whether it was converted to a shared mailbox, which needs no licence.
    #[serde(default)]
    pub shared: bool,
}

/// Everything that a provider says about one account in one read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by connectors")]
pub struct AccountState {
    /// The account's own immutable id.
    pub id: AccountId,
    /// The sign-in name. It may change.
    pub user_name: SmolStr,
    /// The identity that the account says it belongs to (its external id), if the target keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<IdentityId>,
    /// Whether somebody can sign in.
    pub status: AccountStatus,
    /// Attributes that the target holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
    /// Entitlements held.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holdings: BTreeSet<EntitlementKey>,
    /// Live credentials by class. A class that is not in the map cannot be read on this target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<CredentialClass, u32>,
    /// The mailbox, if the account has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Mailbox>,
    /// Things that only this account owns (documents, groups, flows), by native id.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owns: BTreeSet<SmolStr>,
    /// The target's version tag, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SmolStr>,
}

impl AccountState {
    /// An account that holds nothing.
    #[must_use]
    pub fn new(id: AccountId, user_name: impl AsRef<str>, status: AccountStatus) -> Self {
        Self {
            id,
            user_name: SmolStr::new(user_name),
            external_id: None,
            status,
            attributes: BTreeMap::new(),
            holdings: BTreeSet::new(),
            credentials: BTreeMap::new(),
            mailbox: None,
            owns: BTreeSet::new(),
            version: None,
        }
    }

    /// What somebody could still do with the account, or would leave behind with it. Empty is what a leaver's
    /// account must come to.
    #[must_use]
    pub fn left(&self) -> BTreeSet<Left> {
        let mut left: BTreeSet<Left> = self.holdings.iter().cloned().map(Left::Access).collect();
        if self.status.can_sign_in() {
            left.insert(Left::SignIn);
        }
        let alive = self.credentials.iter().filter(|(_, count)| **count > 0);
        left.extend(alive.map(|(class, count)| Left::Credentials { class: *class, count: *count }));
        left.extend(self.owns.iter().cloned().map(Left::Owned));
        left
    }

    /// What was read and when, small enough to keep in a plan.
    ///
    /// # Errors
    /// [`CanonError`] when the state has no canonical form.
    pub fn stamp(&self, read_at: DateTime<Utc>) -> Result<Stamp, CanonError> {
        Ok(Stamp { fingerprint: Digest::of_value("jml-account/v1", self)?, read_at })
    }
}

/// Something that is left on an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Left {
    /// Somebody can sign in.
    SignIn,
    /// Credentials are alive.
    Credentials {
        /// Of which class.
        class: CredentialClass,
        /// How many.
        count: u32,
    },
    /// An entitlement is held.
    Access(EntitlementKey),
    /// Something that only this account owns, by native id.
    Owned(SmolStr),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn => f.write_str("sign-in is possible"),
            Self::Credentials { class, count } => write!(f, "{count} {} alive", class.as_str()),
            Self::Access(key) => write!(f, "holds `{key}`"),
            Self::Owned(asset) => write!(f, "owns `{asset}`"),
        }
    }
}

/// The fingerprint of an account as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Stamp {
    /// Digest of the account's state.
    pub fingerprint: Digest,
    /// When it was read.
    pub read_at: DateTime<Utc>,
}
