//! The same history in jml's words: people with engagements and requests, templates as roles with rules.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use chrono::{DateTime, Utc};
use jml_core::attribute::{
    Assertion, AttributeDef, AttributeSchema, AttributeType, AttributeValue, Attributes, Opinion,
};
use jml_core::claim::{ApprovedRequest, RequestOnMove, Validity};
use jml_core::digest::Digest;
use jml_core::entitlement::{Entitlement, EntitlementKey, EntitlementRef};
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{
    AttributeName, EngagementId, EntitlementId, IdentityId, KindId, PolicyVersion, ProviderId,
    RequestId, RoleId, RuleId, SourceId, ZoneId,
};
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::policy::{
    AccountRule, Brakes, FeedRules, LeaverRule, Mode, Modes, Policy, Protected,
};
use jml_core::role::{RoleGrant, RoleTemplate};
use jml_core::rule::{Condition, OrgTree, Rule};

use crate::file::{ChangeSet, Event, Kind, Op};
use crate::truth::tokens;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Facts and policy at one point of the history.
pub(crate) struct Model {
    pub(crate) policy: Policy,
    pub(crate) policy_digest: Digest,
    edited: bool,
    pub(crate) facts: Facts,
    names: Names,
    includes: BTreeMap<String, BTreeSet<String>>,
    members: BTreeMap<String, BTreeSet<IdentityId>>,
    held: BTreeMap<IdentityId, BTreeSet<String>>,
}

/// The few fixed names of the model.
struct Names {
    provider: ProviderId,
    kind: KindId,
    login: AttributeName,
    member_of: AttributeName,
    source: SourceId,
    zone: ZoneId,
    desk: IdentityId,
}

impl Model {
    /// An empty organisation whose catalogue holds every entitlement that the history mentions.
    pub(crate) fn new(sets: &[ChangeSet]) -> Result<Self> {
        let names = Names {
            provider: ProviderId::new("target")?,
            kind: KindId::new("access")?,
            login: AttributeName::new("login")?,
            member_of: AttributeName::new("member_of")?,
            source: SourceId::new("history")?,
            zone: ZoneId::new("UTC")?,
            desk: IdentityId::new("the-file")?,
        };
        let mut entitlements = BTreeMap::new();
        for event in sets.iter().flat_map(|set| &set.events) {
            if matches!(event.kind, Kind::Holds | Kind::TemplateGrant) {
                let at = names.entitlement(event)?;
                entitlements.entry(at).or_insert_with(|| Entitlement::standard(&event.object));
            }
        }
        let define = |ty| AttributeDef { ty, sources: vec![names.source.clone()], personal: false };
        let attributes = AttributeSchema::new(BTreeMap::from([
            (names.login.clone(), define(AttributeType::Text)),
            (names.member_of.clone(), define(AttributeType::TextSet)),
        ]));
        let account = AccountRule {
            when: Condition::Always,
            days_before: 0,
            user_name: names.login.clone(),
            attributes: BTreeMap::new(),
            correlate: None,
            on_taken: jml_core::policy::OnTaken::Wait,
        };
        let policy = Policy {
            version: PolicyVersion::new("0")?,
            attributes,
            org: OrgTree::default(),
            entitlements,
            roles: BTreeMap::new(),
            rules: BTreeMap::new(),
            sod: BTreeMap::new(),
            accounts: BTreeMap::from([(names.provider.clone(), account)]),
            gates: BTreeMap::new(),
            delegation: jml_core::policy::DelegationRule::default(),
            leaver: LeaverRule::default(),
            modes: Modes { default: Mode::Full, ..Modes::default() },
            brakes: Brakes::default(),
            feed: FeedRules::default(),
            protected: Protected::default(),
        };
        Ok(Self {
            policy_digest: policy.digest()?,
            edited: false,
            policy,
            facts: Facts::default(),
            names,
            includes: BTreeMap::new(),
            members: BTreeMap::new(),
            held: BTreeMap::new(),
        })
    }

    /// Takes a change set in at an instant, and says whose access has to be looked at.
    pub(crate) fn apply(
        &mut self,
        set: &ChangeSet,
        at: DateTime<Utc>,
    ) -> Result<BTreeSet<IdentityId>> {
        let mut affected = BTreeSet::new();
        let mut edited = false;
        let mut held_changed = false;
        for event in &set.events {
            match event.kind {
                Kind::Holds => {
                    held_changed = true;
                    self.hold(&set.subject, event, at)?;
                }
                Kind::TemplateGrant => {
                    edited = true;
                    self.edit_role(&set.subject, event)?;
                }
                Kind::Includes => {
                    edited = true;
                    // Whoever is included before or after the edit has to be looked at.
                    affected.extend(self.members_of(&set.subject));
                    let list = self.includes.entry(set.subject.clone()).or_default();
                    match event.op {
                        Op::Add => list.insert(event.object.clone()),
                        Op::Remove => list.remove(&event.object),
                    };
                }
                _ => {}
            }
        }
        if edited {
            self.rewrite_rules()?;
            self.policy.version = PolicyVersion::new(format!("{}/{}", set.date, set.subject))?;
            affected.extend(self.members_of(&set.subject));
        }
        if held_changed {
            affected.insert(self.settle_person(&set.subject, at)?);
        }
        // The digest is wanted by plans only, and an edit that concerns nobody makes none.
        self.edited |= edited;
        if self.edited && !affected.is_empty() {
            self.policy_digest = self.policy.digest()?;
            self.edited = false;
        }
        Ok(affected)
    }

    /// A direct fact becomes a request that the file approved, or ends one.
    fn hold(&mut self, subject: &str, event: &Event, at: DateTime<Utc>) -> Result<()> {
        let id = IdentityId::new(subject)?;
        let held = self.held.entry(id.clone()).or_default();
        let request = RequestId::new(format!("line-{}", event.line))?;
        let entitlement = self.names.entitlement(event)?;
        match event.op {
            Op::Add => {
                held.insert(event.object.clone());
                let person = match self.facts.people.entry(id.clone()) {
                    std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::btree_map::Entry::Vacant(new) => {
                        new.insert(self.names.person(id, at))
                    }
                };
                person.requests.push(ApprovedRequest {
                    id: request,
                    entitlement,
                    approved_by: self.names.desk.clone(),
                    validity: Validity { from: at, until: None },
                    on_move: RequestOnMove::Keep,
                    why: "the history says so".into(),
                });
            }
            Op::Remove => {
                held.remove(&event.object);
                if let Some(person) = self.facts.people.get_mut(&id) {
                    person.requests.retain(|r| r.entitlement != entitlement);
                }
            }
        }
        Ok(())
    }

    /// Memberships, and the beginning or end of the engagement, after a person's direct facts changed.
    fn settle_person(&mut self, subject: &str, at: DateTime<Utc>) -> Result<IdentityId> {
        let id = IdentityId::new(subject)?;
        let held = self.held.get(&id).cloned().unwrap_or_default();
        let member_of: BTreeSet<_> = held.iter().flat_map(|o| tokens(o)).map(Into::into).collect();
        for members in self.members.values_mut() {
            members.remove(&id);
        }
        for token in held.iter().flat_map(|object| tokens(object)) {
            self.members.entry(token.to_owned()).or_default().insert(id.clone());
        }
        let Some(person) = self.facts.people.get_mut(&id) else { return Ok(id) };
        let opinion = Opinion::Value(AttributeValue::TextSet(member_of));
        let word = self.names.say(opinion, at);
        person.identity.attributes.assert(self.names.member_of.clone(), word);
        let engagements = &mut person.identity.engagements;
        let running = engagements.last().is_some_and(|e| e.cut_off.is_none());
        if held.is_empty() && running {
            if let Some(engagement) = engagements.last_mut() {
                engagement.cut_off = Some(at);
            }
        } else if !held.is_empty() && !running {
            engagements.push(Engagement {
                zone: Some(self.names.zone.clone()),
                ..Engagement::new(
                    EngagementId::new(format!("{id}-{}", engagements.len() + 1))?,
                    at.date_naive(),
                    self.names.source.clone(),
                    at,
                )
            });
        }
        Ok(id)
    }

    fn edit_role(&mut self, template: &str, event: &Event) -> Result<()> {
        let entitlement = self.names.entitlement(event)?;
        let role =
            self.policy.roles.entry(RoleId::new(template)?).or_insert_with(|| RoleTemplate {
                version: 0,
                title: template.into(),
                inherits: Vec::new(),
                grants: Vec::new(),
                tasks: BTreeMap::new(),
            });
        role.version += 1;
        role.grants.retain(|grant| grant.entitlement != entitlement);
        if event.op == Op::Add {
            role.grants.push(RoleGrant { entitlement, days_before: 0 });
        }
        Ok(())
    }

    /// One rule for each template: whoever is a member of it, or of what it includes, gets its role.
    fn rewrite_rules(&mut self) -> Result<()> {
        let mut rules = BTreeMap::new();
        for role in self.policy.roles.keys() {
            let values = self.included(role.as_str()).iter().map(AttributeValue::text).collect();
            let attribute = self.names.member_of.clone();
            let when = Condition::In { attribute, values };
            let title = format!("members of {role}").into();
            let rule = Rule { title, when, roles: vec![role.clone()], grants: Vec::new() };
            rules.insert(RuleId::new(role.as_str())?, rule);
        }
        self.policy.rules = rules;
        Ok(())
    }

    fn included(&self, template: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![template.to_owned()];
        while let Some(at) = todo.pop() {
            if seen.insert(at.clone()) {
                todo.extend(self.includes.get(&at).into_iter().flatten().cloned());
            }
        }
        seen
    }

    fn members_of(&self, template: &str) -> BTreeSet<IdentityId> {
        let included = self.included(template);
        included.iter().filter_map(|t| self.members.get(t)).flatten().cloned().collect()
    }
}

impl Names {
    fn entitlement(&self, event: &Event) -> Result<EntitlementRef> {
        let id =
            EntitlementId::new(&event.object).map_err(|e| format!("line {}: {e}", event.line))?;
        let key = EntitlementKey::new(self.kind.clone(), id);
        Ok(EntitlementRef::new(self.provider.clone(), key))
    }

    fn say(&self, opinion: Opinion, at: DateTime<Utc>) -> Assertion {
        Assertion { source: self.source.clone(), opinion, valid_from: at, recorded_at: at }
    }

    fn person(&self, id: IdentityId, at: DateTime<Utc>) -> PersonFacts {
        let mut attributes = Attributes::default();
        let login = Opinion::Value(AttributeValue::text(id.as_str()));
        attributes.assert(self.login.clone(), self.say(login, at));
        let kind = IdentityKind::Person;
        PersonFacts::new(Identity { id, kind, attributes, engagements: Vec::new() })
    }
}
