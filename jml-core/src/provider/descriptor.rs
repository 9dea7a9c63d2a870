//! Descriptors: what a provider can do, said once and truthfully.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Change, Error, ErrorKind, Operation, RefusalReason, Result, Verb};
use crate::account::AccountStatus;
use crate::attribute::AttributeValue;
use crate::entitlement::EntitlementKey;
use crate::id::{AttributeName, KindId, ProviderId};

/// What a provider can do. A verb that is not in the map is not supported; a new verb therefore
/// defaults to "no".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Descriptor {
    /// The version of the contract that it was written against.
    pub contract: Contract,
    /// The configured instance.
    pub id: ProviderId,
    /// What it is, in people's words: `Okta`, `local directory`.
    pub product: SmolStr,
    /// The connector's own version.
    pub version: SmolStr,
    /// What it can do.
    pub verbs: BTreeMap<Verb, VerbSupport>,
    /// The kinds of entitlement that it holds.
    pub kinds: BTreeMap<KindId, EntitlementKind>,
    /// How soon a write can be read back.
    pub consistency: Consistency,
    /// How hard it may be driven.
    pub limits: Limits,
    /// Whether calls cross a wire.
    pub transport: Transport,
    /// Attributes without which an account cannot be made.
    pub required_attributes: BTreeSet<AttributeName>,
    /// The statuses that an account can be given.
    pub statuses: BTreeSet<AccountStatus>,
    /// Whether a disabled account keeps what it holds. Where it does not, disabling also revokes.
    pub disabled_keeps_holdings: bool,
    /// Whether a disabled account can be given something.
    pub disabled_accepts_grants: bool,
    /// Whether a disabled account still gets mail, and its mailbox takes settings. Where it does not, somebody
    /// has to send the mail of a leaver elsewhere.
    pub disabled_keeps_mail: bool,
    /// Whether [`Expect::Version`](super::Expect::Version) is checked by the target.
    pub checks_versions: bool,
    /// Whether [`Provider::changes`](super::Provider::changes) is supported.
    pub feeds_changes: bool,
    /// How much of an account a listing shows.
    pub listing: Listing,
    /// The permissions that the credential needs for looking, in the vendor's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_permissions: Vec<SmolStr>,
}

/// How much of an account a listing shows. A read shows everything in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Listing {
    /// What a read shows.
    Whole,
    /// Name, owner, status and attributes. What accounts hold is a listing of its own
    /// ([`ListScope::Holdings`](super::ListScope::Holdings)); credentials, mailbox and owned things only
    /// show in a read. For targets that need calls for each account to say more: with 50,000 accounts,
    /// some thousand pages of members instead of hundreds of thousands of calls.
    Wide,
}

/// A version of the Provider contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "two numbers for ever")]
pub struct Contract {
    /// Grows when a conforming connector may no longer conform.
    pub major: u16,
    /// Grows when something was added.
    pub minor: u16,
}

impl Contract {
    /// The version that this crate describes.
    pub const CURRENT: Self = Self { major: 1, minor: 0 };
}

impl std::fmt::Display for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Whether calls cross a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transport {
    /// They do, so an answer can be lost.
    Remote,
    /// They do not.
    InProcess,
}

impl Descriptor {
    /// A provider that can do nothing yet but list.
    #[must_use]
    pub fn new(id: ProviderId, product: impl AsRef<str>, version: impl AsRef<str>) -> Self {
        Self {
            contract: Contract::CURRENT,
            id,
            product: SmolStr::new(product),
            version: SmolStr::new(version),
            verbs: BTreeMap::new(),
            kinds: BTreeMap::new(),
            consistency: Consistency::Immediate,
            limits: Limits::default(),
            transport: Transport::Remote,
            required_attributes: BTreeSet::new(),
            statuses: BTreeSet::from([
                AccountStatus::Staged,
                AccountStatus::Active,
                AccountStatus::Suspended,
                AccountStatus::Disabled,
            ]),
            disabled_keeps_holdings: true,
            disabled_accepts_grants: true,
            disabled_keeps_mail: true,
            checks_versions: false,
            feeds_changes: false,
            listing: Listing::Whole,
            read_permissions: Vec::new(),
        }
    }

    /// The same for a target that lives in this process.
    #[must_use]
    pub const fn in_process(mut self) -> Self {
        self.transport = Transport::InProcess;
        self
    }

    /// The same with an attribute without which no account can be made.
    #[must_use]
    pub fn requiring(mut self, attribute: AttributeName) -> Self {
        self.required_attributes.insert(attribute);
        self
    }

    /// The same with attributes without which no account can be made. A text that is no name is left out.
    #[must_use]
    pub fn requiring_all<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(|it| AttributeName::new(it).ok()).fold(self, Self::requiring)
    }

    /// The same with what the credential needs for looking.
    #[must_use]
    pub fn reading_with<'a>(mut self, permissions: impl IntoIterator<Item = &'a str>) -> Self {
        self.read_permissions = permissions.into_iter().map(SmolStr::new).collect();
        self
    }

    /// Every permission that the credential needs: for looking, and for the verbs that calls carry out.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<SmolStr> {
        let verbs = self.verbs.values().filter(|it| it.mode != SupportMode::Manual);
        let verbs = verbs.flat_map(|it| it.permissions.iter().cloned());
        verbs.chain(self.read_permissions.iter().cloned()).collect()
    }

    /// Refuses a change that nothing should be sent for: a verb that is not declared, a status that the
    /// target does not have.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], [`ErrorKind::Invalid`].
    pub fn check_supported(&self, change: &Change) -> Result<()> {
        let verb = change.op.verb();
        if !self.supports(verb) {
            return Err(Error::unsupported(verb));
        }
        match &change.op {
            Operation::SetStatus { status } if !self.statuses.contains(status) => {
                let known: Vec<&str> = self.statuses.iter().map(|it| it.as_str()).collect();
                let text = format!(
                    "{} has no status `{}`; it has {}",
                    self.product,
                    status.as_str(),
                    known.join(", ")
                );
                Err(Error::new(ErrorKind::Invalid, text))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to give or take what the target decides by itself, and what is of a kind that it does not
    /// have.
    ///
    /// # Errors
    /// [`RefusalReason::Immutable`], [`ErrorKind::NotFound`].
    pub fn check_mutable(&self, key: &EntitlementKey) -> Result<()> {
        match self.kinds.get(&key.kind) {
            Some(kind) if kind.immutable => {
                let text = format!("`{key}`: the target itself decides who holds it");
                Err(Error::new(ErrorKind::Refused(RefusalReason::Immutable), text))
            }
            Some(_) => Ok(()),
            None => {
                let known: Vec<&str> = self.kinds.keys().map(KindId::as_str).collect();
                let text =
                    format!("`{key}`: there is no such kind; there are {}", known.join(", "));
                Err(Error::new(ErrorKind::NotFound, text))
            }
        }
    }

    /// Refuses to make an account without what it needs.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming what is missing.
    pub fn check_required(
        &self,
        attributes: &BTreeMap<AttributeName, AttributeValue>,
    ) -> Result<()> {
        let missing = self.required_attributes.iter().filter(|it| !attributes.contains_key(*it));
        let missing: Vec<&str> = missing.map(AttributeName::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("{} makes no account without {}", self.product, missing.join(", "));
        Err(Error::new(ErrorKind::Invalid, text))
    }

    /// The same for a target that knows these statuses and no others.
    #[must_use]
    pub fn with_statuses(mut self, statuses: impl IntoIterator<Item = AccountStatus>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// The same for a target on which a disabled account loses what it holds.
    #[must_use]
    pub const fn dropping_holdings_when_disabled(mut self) -> Self {
        self.disabled_keeps_holdings = false;
        self
    }

    /// The same for a target that gives nothing to a disabled account.
    #[must_use]
    pub const fn refusing_grants_when_disabled(mut self) -> Self {
        self.disabled_accepts_grants = false;
        self
    }

    /// The same for a target on which a disabled account gets no mail.
    #[must_use]
    pub const fn losing_mail_when_disabled(mut self) -> Self {
        self.disabled_keeps_mail = false;
        self
    }

    /// The same for a target that checks version tags.
    #[must_use]
    pub const fn checking_versions(mut self) -> Self {
        self.checks_versions = true;
        self
    }

    /// The same for a target that tells what changed since a watermark.
    #[must_use]
    pub const fn feeding_changes(mut self) -> Self {
        self.feeds_changes = true;
        self
    }

    /// The same for a target whose listings show less than its reads.
    #[must_use]
    pub const fn listing_wide(mut self) -> Self {
        self.listing = Listing::Wide;
        self
    }

    /// The same with a verb.
    #[must_use]
    pub fn with_verb(mut self, verb: Verb, support: VerbSupport) -> Self {
        self.verbs.insert(verb, support);
        self
    }

    /// The same with several verbs that are supported alike.
    #[must_use]
    pub fn with_verbs(
        mut self,
        verbs: impl IntoIterator<Item = Verb>,
        support: &VerbSupport,
    ) -> Self {
        self.verbs.extend(verbs.into_iter().map(|verb| (verb, support.clone())));
        self
    }

    /// The same with a kind of entitlement.
    #[must_use]
    pub fn with_kind(mut self, kind: KindId, what: EntitlementKind) -> Self {
        self.kinds.insert(kind, what);
        self
    }

    /// The same with a consistency window.
    #[must_use]
    pub const fn with_consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// The same with limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a verb is carried out by calls, and not by a person.
    #[must_use]
    pub fn supports(&self, verb: Verb) -> bool {
        self.verbs.get(&verb).is_some_and(|support| support.mode != SupportMode::Manual)
    }
}

/// How a verb is supported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VerbSupport {
    /// By whom it is carried out.
    pub mode: SupportMode,
    /// Why sending it twice does no harm.
    pub idempotency: Idempotency,
    /// How true a preview of it is.
    pub preview: Fidelity,
    /// The permissions that the credential needs, in the vendor's words.
    pub permissions: Vec<SmolStr>,
}

impl VerbSupport {
    /// Carried out by one call that is idempotent by nature.
    #[must_use]
    pub const fn native() -> Self {
        Self {
            mode: SupportMode::Native,
            idempotency: Idempotency::Natural,
            preview: Fidelity::Simulated,
            permissions: Vec::new(),
        }
    }

    /// Carried out by a person; the engine raises a task and reads the result.
    #[must_use]
    pub const fn manual() -> Self {
        let mut support = Self::native();
        support.mode = SupportMode::Manual;
        support
    }

    /// The same, carried out by several calls of the connector.
    #[must_use]
    pub const fn emulated(mut self) -> Self {
        self.mode = SupportMode::Emulated;
        self
    }

    /// The same, with a preview that the target itself checks.
    #[must_use]
    pub const fn previewed_by_target(mut self) -> Self {
        self.preview = Fidelity::ServerValidated;
        self
    }

    /// The same with another reason for being safe to repeat.
    #[must_use]
    pub const fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = idempotency;
        self
    }

    /// The same with a needed permission.
    #[must_use]
    pub fn with_permission(mut self, permission: impl AsRef<str>) -> Self {
        self.permissions.push(SmolStr::new(permission));
        self
    }
}

/// By whom a verb is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SupportMode {
    /// By the target.
    Native,
    /// By several calls of the connector.
    Emulated,
    /// By a person.
    Manual,
}

/// How true a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fidelity {
    /// Computed from what was read; the target may still refuse.
    Simulated,
    /// The target itself checked the change without making it.
    ServerValidated,
}

/// Why sending a change twice does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Idempotency {
    /// The second call finds the end state.
    Natural,
    /// The target remembers the key.
    Keyed,
    /// Only because the engine reads before it sends again.
    CheckFirst,
}

/// A kind of entitlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EntitlementKind {
    /// In people's words.
    pub title: SmolStr,
    /// Whether an account can hold several of the kind. Where it cannot, a grant replaces what is
    /// held and says so ([`SideEffect::Replaced`](super::SideEffect::Replaced)).
    pub many: bool,
    /// Whether calls cannot give or take it ([`RefusalReason::Immutable`](super::RefusalReason::Immutable)).
    pub immutable: bool,
}

impl EntitlementKind {
    /// A kind of which an account can hold several.
    #[must_use]
    pub fn many(title: impl AsRef<str>) -> Self {
        Self { title: SmolStr::new(title), many: true, immutable: false }
    }

    /// A kind of which an account holds at most one.
    #[must_use]
    pub fn one(title: impl AsRef<str>) -> Self {
        Self { many: false, ..Self::many(title) }
    }

    /// The same, which calls cannot give or take.
    #[must_use]
    pub const fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }
}

/// How soon a write can be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Consistency {
    /// At once.
    Immediate,
    /// Within so many milliseconds. Disagreement within the window is not drift.
    Within {
        /// Milliseconds.
        ms: u64,
    },
}

/// How hard a provider may be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Changes in flight at once. At least 1.
    pub concurrency: u16,
    /// Largest page.
    pub max_page: u32,
    /// Calls per second, if the target publishes a figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// Calls that may come at once before `per_second` holds. At least 1.
    pub burst: u32,
}

impl Limits {
    /// Limits with so many changes in flight and so large pages.
    #[must_use]
    pub const fn new(concurrency: u16, max_page: u32) -> Self {
        Self { concurrency, max_page, per_second: None, burst: 1 }
    }

    /// The same with a published rate.
    #[must_use]
    pub const fn with_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.per_second = Some(per_second);
        self.burst = if burst == 0 { 1 } else { burst };
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(4, 100)
    }
}
