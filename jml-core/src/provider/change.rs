//! Changes: what the engine asks of a provider, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Error, ErrorKind, Observation, Result};
use crate::account::{AccountStatus, CredentialClass};
use crate::attribute::AttributeValue;
use crate::digest::Digest;
use crate::entitlement::EntitlementKey;
use crate::id::{AccountId, AttributeName, IdentityId};

/// Names one step of one plan on every attempt and after every crash. 32 lower-case hexadecimal
/// digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(SmolStr);

impl IdempotencyKey {
    /// A key from a digest; its first 16 bytes are enough.
    #[must_use]
    pub fn new(digest: &Digest) -> Self {
        let hex = digest.to_hex();
        Self(SmolStr::new(hex.get(..32).unwrap_or(&hex)))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change to one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data, built by the engine")]
pub struct Change {
    /// The same on every attempt.
    pub key: IdempotencyKey,
    /// The account; `None` exactly when the operation makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// What to do.
    pub op: Operation,
    /// What must hold before, as far as the target can check it.
    pub expect: Expect,
}

impl Change {
    /// The account that the change is about, for everything but a creation.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it names none.
    pub fn existing(&self) -> Result<&AccountId> {
        let none = || Error::new(ErrorKind::Invalid, "the change names no account");
        self.account.as_ref().ok_or_else(none)
    }
}

/// What must hold before a change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Expect {
    /// Nothing.
    #[default]
    Any,
    /// The account has this version tag.
    Version(SmolStr),
}

/// What a change does. Operations name the end state, not the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// There is an account with this name for this identity.
    CreateAccount {
        /// Sign-in name.
        user_name: SmolStr,
        /// The identity that it belongs to; kept on the target as external id where it can.
        external_id: IdentityId,
        /// Usually staged.
        status: AccountStatus,
        /// Attributes to set.
        attributes: BTreeMap<AttributeName, AttributeValue>,
    },
    /// The account has this sign-in name, these attribute values, and no value for the cleared ones.
    UpdateAccount {
        /// New sign-in name, if it changes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_name: Option<SmolStr>,
        /// Attributes to set.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        set: BTreeMap<AttributeName, AttributeValue>,
        /// Attributes to clear.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        clear: BTreeSet<AttributeName>,
    },
    /// The account has this status.
    SetStatus {
        /// The status.
        status: AccountStatus,
    },
    /// There is no such account.
    DeleteAccount,
    /// No credential of this class is alive.
    RevokeCredentials {
        /// The class.
        class: CredentialClass,
    },
    /// The account holds the entitlement.
    Grant {
        /// What.
        entitlement: EntitlementKey,
    },
    /// The account does not hold the entitlement.
    Revoke {
        /// What.
        entitlement: EntitlementKey,
    },
    /// The account holds the second entitlement instead of the first, never both and never neither.
    Exchange {
        /// What goes.
        revoke: EntitlementKey,
        /// What comes.
        grant: EntitlementKey,
    },
    /// The mailbox does this.
    SetMailbox(MailboxChange),
    /// Another account owns what this one owns.
    TransferOwnership {
        /// The account that gets it.
        to: AccountId,
    },
}

/// A change to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MailboxChange {
    /// Incoming mail is answered with this text.
    AutoReply(SmolStr),
    /// Incoming mail is forwarded to this account.
    ForwardTo(AccountId),
    /// This account may read it.
    Delegate(AccountId),
    /// It is a shared mailbox.
    ConvertToShared,
}

/// What a [`MailboxChange`] is about. Targets differ in which of them they have calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MailboxPart {
    /// [`MailboxChange::AutoReply`].
    AutoReply,
    /// [`MailboxChange::ForwardTo`].
    Forward,
    /// [`MailboxChange::Delegate`].
    Delegate,
    /// [`MailboxChange::ConvertToShared`].
    Shared,
}

impl MailboxPart {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::AutoReply, Self::Forward, Self::Delegate, Self::Shared];
}

impl MailboxChange {
    /// What it is about.
    #[must_use]
    pub const fn part(&self) -> MailboxPart {
        match self {
            Self::AutoReply(_) => MailboxPart::AutoReply,
            Self::ForwardTo(_) => MailboxPart::Forward,
            Self::Delegate(_) => MailboxPart::Delegate,
            Self::ConvertToShared => MailboxPart::Shared,
        }
    }
}

/// The name of an operation; what a descriptor declares support for. Written `grant` or
/// `revoke_credentials:sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
#[non_exhaustive]
pub enum Verb {
    /// [`Operation::CreateAccount`].
    CreateAccount,
    /// [`Operation::UpdateAccount`].
    UpdateAccount,
    /// [`Operation::SetStatus`].
    SetStatus,
    /// [`Operation::DeleteAccount`].
    DeleteAccount,
    /// [`Operation::RevokeCredentials`] of one class.
    RevokeCredentials(CredentialClass),
    /// [`Operation::Grant`].
    Grant,
    /// [`Operation::Revoke`].
    Revoke,
    /// [`Operation::Exchange`].
    Exchange,
    /// [`Operation::SetMailbox`] of one part.
    SetMailbox(MailboxPart),
    /// [`Operation::TransferOwnership`].
    TransferOwnership,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 19] = [
        Self::CreateAccount,
        Self::UpdateAccount,
        Self::SetStatus,
        Self::DeleteAccount,
        Self::RevokeCredentials(CredentialClass::Sessions),
        Self::RevokeCredentials(CredentialClass::RefreshTokens),
        Self::RevokeCredentials(CredentialClass::ApiKeys),
        Self::RevokeCredentials(CredentialClass::AppPasswords),
        Self::RevokeCredentials(CredentialClass::SshKeys),
        Self::RevokeCredentials(CredentialClass::MfaFactors),
        Self::RevokeCredentials(CredentialClass::Devices),
        Self::Grant,
        Self::Revoke,
        Self::Exchange,
        Self::SetMailbox(MailboxPart::AutoReply),
        Self::SetMailbox(MailboxPart::Forward),
        Self::SetMailbox(MailboxPart::Delegate),
        Self::SetMailbox(MailboxPart::Shared),
        Self::TransferOwnership,
    ];

    /// The name in formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateAccount => "create_account",
            Self::UpdateAccount => "update_account",
            Self::SetStatus => "set_status",
            Self::DeleteAccount => "delete_account",
            Self::RevokeCredentials(class) => match class {
                CredentialClass::Sessions => "revoke_credentials:sessions",
                CredentialClass::RefreshTokens => "revoke_credentials:refresh_tokens",
                CredentialClass::ApiKeys => "revoke_credentials:api_keys",
                CredentialClass::AppPasswords => "revoke_credentials:app_passwords",
                CredentialClass::SshKeys => "revoke_credentials:ssh_keys",
                CredentialClass::MfaFactors => "revoke_credentials:mfa_factors",
                CredentialClass::Devices => "revoke_credentials:devices",
            },
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::Exchange => "exchange",
            Self::SetMailbox(part) => match part {
                MailboxPart::AutoReply => "set_mailbox:auto_reply",
                MailboxPart::Forward => "set_mailbox:forward",
                MailboxPart::Delegate => "set_mailbox:delegate",
                MailboxPart::Shared => "set_mailbox:shared",
            },
            Self::TransferOwnership => "transfer_ownership",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Verb> for SmolStr {
    fn from(verb: Verb) -> Self {
        Self::new_static(verb.as_str())
    }
}

/// A text is no verb.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no verb")]
#[expect(clippy::exhaustive_structs, reason = "names the text and nothing else")]
pub struct UnknownVerb(pub SmolStr);

impl TryFrom<SmolStr> for Verb {
    type Error = UnknownVerb;

    fn try_from(text: SmolStr) -> std::result::Result<Self, UnknownVerb> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or(UnknownVerb(text))
    }
}

impl Operation {
    /// The operation's name.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::CreateAccount { .. } => Verb::CreateAccount,
            Self::UpdateAccount { .. } => Verb::UpdateAccount,
            Self::SetStatus { .. } => Verb::SetStatus,
            Self::DeleteAccount => Verb::DeleteAccount,
            Self::RevokeCredentials { class } => Verb::RevokeCredentials(*class),
            Self::Grant { .. } => Verb::Grant,
            Self::Revoke { .. } => Verb::Revoke,
            Self::Exchange { .. } => Verb::Exchange,
            Self::SetMailbox(change) => Verb::SetMailbox(change.part()),
            Self::TransferOwnership { .. } => Verb::TransferOwnership,
        }
    }

    /// Whether it makes an account.
    #[must_use]
    pub const fn makes_account(&self) -> bool {
        matches!(self, Self::CreateAccount { .. })
    }

    /// Whether it only takes access away, so that doing it once more can do no harm.
    #[must_use]
    pub const fn takes_away(&self) -> bool {
        match self {
            Self::SetStatus { status } => !status.can_sign_in(),
            Self::RevokeCredentials { .. } | Self::Revoke { .. } => true,
            _ => false,
        }
    }

    /// Whether what was read can show the end state. A class of credentials that the target cannot list
    /// is not readable, and nothing is readable in what nobody looked at.
    #[must_use]
    pub fn readable_in(&self, seen: &Observation) -> bool {
        match (self, seen) {
            (_, Observation::NotObserved) => false,
            (Self::RevokeCredentials { class }, Observation::Present(account)) => {
                account.credentials.contains_key(class)
            }
            (Self::SetMailbox(_), Observation::Present(account)) => account.mailbox.is_some(),
            _ => true,
        }
    }

    /// Whether the end state that the operation names holds in what was read. A class of credentials
    /// that the target cannot list is not satisfied: nobody saw that it is empty.
    #[must_use]
    pub fn satisfied_by(&self, seen: &Observation) -> bool {
        let Observation::Present(state) = seen else {
            // Without an account, nothing is held on it.
            let gone = *seen == Observation::Absent;
            return gone && (self.takes_away() || matches!(self, Self::DeleteAccount));
        };
        match self {
            Self::CreateAccount { user_name, external_id, .. } => {
                // Status and attributes may have moved on since; the account is the one that was meant.
                state.external_id.as_ref().map_or_else(
                    || state.user_name.eq_ignore_ascii_case(user_name),
                    |owner| owner == external_id,
                )
            }
            Self::UpdateAccount { user_name, set, clear } => {
                user_name.as_ref().is_none_or(|name| &state.user_name == name)
                    && set.iter().all(|(name, value)| {
                        state.attributes.get(name).is_some_and(|seen| value.is_shown_as(seen))
                    })
                    && clear.iter().all(|name| !state.attributes.contains_key(name))
            }
            Self::SetStatus { status } => {
                // An archived account is more than disabled. Some targets can do no less to an account
                // that nobody ever used.
                state.status == *status
                    || (*status == AccountStatus::Disabled
                        && state.status == AccountStatus::Archived)
            }
            Self::DeleteAccount => false,
            Self::RevokeCredentials { class } => state.credentials.get(class) == Some(&0),
            Self::Grant { entitlement } => state.holdings.contains(entitlement),
            Self::Revoke { entitlement } => !state.holdings.contains(entitlement),
            Self::Exchange { revoke, grant } => {
                !state.holdings.contains(revoke) && state.holdings.contains(grant)
            }
            Self::SetMailbox(change) => {
                state.mailbox.as_ref().is_some_and(|mailbox| match change {
                    MailboxChange::AutoReply(text) => mailbox.auto_reply.as_ref() == Some(text),
                    MailboxChange::ForwardTo(to) => mailbox.forward_to.as_ref() == Some(to),
                    MailboxChange::Delegate(to) => mailbox.delegates.contains(to),
                    MailboxChange::ConvertToShared => mailbox.shared,
                })
            }
            Self::TransferOwnership { .. } => state.owns.is_empty(),
        }
    }
}

impl fmt::Display for Operation {
    /// In people's words, for example ``grant `group/eng` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateAccount { user_name, status, .. } => {
                write!(f, "create account `{user_name}` ({})", status.as_str())
            }
            Self::UpdateAccount { user_name, set, clear } => {
                let names = user_name
                    .iter()
                    .map(|_| "user name")
                    .chain(set.keys().chain(clear).map(AttributeName::as_str))
                    .collect::<Vec<_>>();
                write!(f, "update {}", names.join(", "))
            }
            Self::SetStatus { status } => write!(f, "set status to {}", status.as_str()),
            Self::DeleteAccount => f.write_str("delete account"),
            Self::RevokeCredentials { class } => write!(f, "revoke {}", class.as_str()),
            Self::Grant { entitlement } => write!(f, "grant `{entitlement}`"),
            Self::Revoke { entitlement } => write!(f, "revoke `{entitlement}`"),
            Self::Exchange { revoke, grant } => write!(f, "exchange `{revoke}` for `{grant}`"),
            Self::SetMailbox(change) => match change {
                MailboxChange::AutoReply(_) => f.write_str("set mailbox auto-reply"),
                MailboxChange::ForwardTo(to) => write!(f, "forward mailbox to `{to}`"),
                MailboxChange::Delegate(to) => write!(f, "let `{to}` read the mailbox"),
                MailboxChange::ConvertToShared => f.write_str("convert mailbox to shared"),
            },
            Self::TransferOwnership { to } => write!(f, "transfer ownership to `{to}`"),
        }
    }
}
