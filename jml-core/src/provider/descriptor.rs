//! Descriptors: what a provider can do, said once and truthfully.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::Verb;
use crate::id::{KindId, ProviderId};

/// What a provider can do. A verb that is not in the map is not supported; a new verb therefore
/// defaults to "no".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
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
}

impl Descriptor {
    /// A provider that can do nothing yet but list.
    #[must_use]
    pub fn new(id: ProviderId, product: impl AsRef<str>, version: impl AsRef<str>) -> Self {
        Self {
            id,
            product: SmolStr::new(product),
            version: SmolStr::new(version),
            verbs: BTreeMap::new(),
            kinds: BTreeMap::new(),
            consistency: Consistency::Immediate,
            limits: Limits::default(),
        }
    }

    /// The same with a verb.
    #[must_use]
    pub fn with_verb(mut self, verb: Verb, support: VerbSupport) -> Self {
        self.verbs.insert(verb, support);
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerbSupport {
    /// By whom it is carried out.
    pub mode: SupportMode,
    /// Why sending it twice does no harm.
    pub idempotency: Idempotency,
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
            permissions: Vec::new(),
        }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SupportMode {
    /// By the target.
    Native,
    /// By several calls of the connector.
    Emulated,
    /// By a person.
    Manual,
}

/// Why sending a change twice does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntitlementKind {
    /// In people's words.
    pub title: SmolStr,
    /// Whether an account can hold several of the kind.
    pub many: bool,
}

impl EntitlementKind {
    /// A kind of which an account can hold several.
    #[must_use]
    pub fn many(title: impl AsRef<str>) -> Self {
        Self { title: SmolStr::new(title), many: true }
    }
}

/// How soon a write can be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Changes in flight at once. At least 1.
    pub concurrency: u16,
    /// Largest page.
    pub max_page: u32,
}

impl Limits {
    /// Limits with so many changes in flight and so large pages.
    #[must_use]
    pub const fn new(concurrency: u16, max_page: u32) -> Self {
        Self { concurrency, max_page }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 4, max_page: 100 }
    }
}
