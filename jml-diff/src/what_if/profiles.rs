//! Claims once for each distinct set of the attribute values that rules can see.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::attribute::AttributeValue;
use jml_core::claim::Claim;
use jml_core::desired::{Desired, Finding, desired, state};
use jml_core::entitlement::{EndPolicy, EntitlementRef};
use jml_core::facts::PersonFacts;
use jml_core::id::AttributeName;
use jml_core::identity::{EngagementKind, IdentityKind, LifecycleState};
use jml_core::policy::Policy;
use jml_core::rule::{Condition, View};
use jml_core::sod::SodConflict;
use jml_core::time::ZoneResolver;

/// Everything about somebody that claims follow from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    state: LifecycleState,
    engagement: EngagementKind,
    values: Vec<Option<AttributeValue>>,
    /// For each account rule: whether there is a sign-in name.
    named: Vec<bool>,
}

/// What somebody is entitled to, and what stands against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entitled {
    pub(super) claims: Vec<Claim>,
    pub(super) to: BTreeSet<EntitlementRef>,
    pub(super) conflicts: BTreeSet<SodConflict>,
    findings: BTreeSet<Finding>,
}

impl Entitled {
    fn of(desired: &Desired) -> Self {
        let conflict = |finding: &Finding| match finding {
            Finding::SodConflict { conflict, .. } => Some(conflict.clone()),
            _ => None,
        };
        Self {
            to: desired.entitlements().into_iter().cloned().collect(),
            conflicts: desired.findings.iter().filter_map(conflict).collect(),
            claims: desired.claims.clone(),
            findings: desired.findings.clone(),
        }
    }
}

/// Where somebody's claims are.
pub(super) enum Of {
    /// Shared with everybody who has the same key.
    Shared(u32),
    /// Their own.
    Own(Box<Desired>, Entitled),
}

/// The claims of a policy, by what they follow from.
pub(super) struct Profiles<'p> {
    policy: &'p Policy,
    /// The policy without roles and rules: accounts follow from it alone.
    bare: Policy,
    /// Attributes that some condition looks at.
    seen: BTreeSet<AttributeName>,
    /// Whether access ends with the claim for everything. If not, everybody's past counts.
    immediate: bool,
    keys: BTreeMap<Key, u32>,
    all: Vec<Entitled>,
}

impl<'p> Profiles<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        let mut seen = BTreeSet::new();
        let rules = policy.rules.values().map(|rule| &rule.when);
        for condition in rules.chain(policy.accounts.values().map(|rule| &rule.when)) {
            attributes(condition, &mut seen);
        }
        let mut bare = policy.clone();
        bare.rules.clear();
        bare.roles.clear();
        bare.sod.clear();
        bare.entitlements.clear();
        let entries = || policy.entitlements.values();
        let immediate = entries().all(|entry| entry.on_move == EndPolicy::Immediate);
        Self { policy, bare, seen, immediate, keys: BTreeMap::new(), all: Vec::new() }
    }

    pub(super) const fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// How many distinct keys were met.
    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn shared(&self, number: u32) -> Option<&Entitled> {
        self.all.get(number as usize)
    }

    pub(super) fn entitled<'a>(&'a self, of: &'a Of) -> Option<&'a Entitled> {
        match of {
            Of::Shared(number) => self.shared(*number),
            Of::Own(_, entitled) => Some(entitled),
        }
    }

    pub(super) fn of(
        &mut self,
        facts: &PersonFacts,
        zones: &dyn ZoneResolver,
        at: DateTime<Utc>,
    ) -> Of {
        let own = |policy| {
            let desired = desired(policy, facts, zones, at);
            let entitled = Entitled::of(&desired);
            (desired, entitled)
        };
        let Some(key) = self.key(facts, zones, at) else {
            let (desired, entitled) = own(self.policy);
            return Of::Own(Box::new(desired), entitled);
        };
        if let Some(number) = self.keys.get(&key) {
            return Of::Shared(*number);
        }
        let (desired, entitled) = own(self.policy);
        let Ok(number) = u32::try_from(self.all.len()) else {
            return Of::Own(Box::new(desired), entitled);
        };
        self.all.push(entitled);
        self.keys.insert(key, number);
        Of::Shared(number)
    }

    /// `None` for somebody whose claims follow from more than attribute values.
    fn key(&self, facts: &PersonFacts, zones: &dyn ZoneResolver, at: DateTime<Utc>) -> Option<Key> {
        let PersonFacts { identity, requests, exceptions, adoptions, reviews, .. } = facts;
        let [engagement] = identity.engagements.as_slice() else { return None };
        let asked = !requests.is_empty() || !exceptions.is_empty() || !adoptions.is_empty();
        if !self.immediate || asked || !reviews.is_empty() || identity.kind != IdentityKind::Person
        {
            return None;
        }
        let state = state(facts, zones, at);
        if !matches!(state, LifecycleState::Active | LifecycleState::OnLeave) {
            return None;
        }
        let engagement = engagement.kind;
        let view = View { policy: self.policy, identity, engagement, at };
        let value = |name| view.value(name).map(std::borrow::Cow::into_owned);
        let has_name = |name| view.value(name).is_some_and(|value| !value.to_string().is_empty());
        let values = self.seen.iter().map(value).collect();
        let named = self.policy.accounts.values().map(|rule| has_name(&rule.user_name)).collect();
        Some(Key { state, engagement, values, named })
    }

    /// What a person should have, accounts included. Without tasks and without the next instant at which it
    /// changes: those are everybody's own, and no delta asks for them.
    pub(super) fn desired(
        &self,
        of: Of,
        facts: &PersonFacts,
        zones: &dyn ZoneResolver,
        at: DateTime<Utc>,
    ) -> Desired {
        match of {
            Of::Own(desired, _) => *desired,
            Of::Shared(number) => {
                let mut out = desired(&self.bare, facts, zones, at);
                if let Some(shared) = self.shared(number) {
                    out.claims.clone_from(&shared.claims);
                    out.findings.extend(shared.findings.iter().cloned());
                }
                out.next_change_at = None;
                out
            }
        }
    }
}

fn attributes(condition: &Condition, into: &mut BTreeSet<AttributeName>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| attributes(part, into));
        }
        Condition::Not(part) => attributes(part, into),
        Condition::Present { attribute }
        | Condition::Compare { attribute, .. }
        | Condition::In { attribute, .. }
        | Condition::StartsWith { attribute, .. }
        | Condition::Within { attribute, .. } => {
            into.insert(attribute.clone());
        }
        _ => {}
    }
}
