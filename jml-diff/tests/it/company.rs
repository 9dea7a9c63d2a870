//! Random companies: policies, people in every state of life, targets that agree with nobody.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountRef, AccountState, AccountStatus};
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::claim::{AccessException, Adoption, ApprovedRequest, RequestOnMove, Validity};
use jml_core::desired::{Desired, desired};
use jml_core::digest::Digest;
use jml_core::entitlement::{EndPolicy, EntitlementRef};
use jml_core::facts::{Facts, PersonFacts, Reviewed};
use jml_core::id::{AccountId, IdentityId, ProviderId};
use jml_core::identity::{Ending, Engagement, EngagementKind, Identity, IdentityKind, Leave};
use jml_core::policy::{Mode, Policy};
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{CompleteSnapshot, Descriptor, Omission, Snapshot, Verb, VerbSupport};
use jml_core::role::RoleGrant;
use jml_core::time::TzdbZones;
use jml_diff::{Granted, Ledger, World};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  department: { type: text }
entitlements:
  t/group/g0: { title: G0 }
  t/group/g1: { title: G1 }
  t/group/g2: { title: G2 }
  t/group/g3: { title: G3, sensitivity: critical }
  t/group/g4: { title: G4, assignability: { computed: department } }
  t/group/g5: { title: G5, assignability: immutable }
  t/group/g6: { title: G6, assignability: { inherited: group/g0 } }
  t/group/g7: { title: G7, assignability: { external: HR } }
  s/app/a0: { title: A0 }
  s/app/a1: { title: A1, sensitivity: privileged }
  s/app/a2: { title: A2 }
  s/app/a3: { title: A3 }
roles:
  low: { title: Low, version: 1, grants: [t/group/g0] }
  high: { title: High, version: 1, inherits: [low], grants: [s/app/a0] }
  other: { title: Other, version: 1, grants: [t/group/g1] }
rules:
  all: { title: All, when: always, roles: [low], grants: [t/group/g2] }
  one: { title: One, when: { eq: { department: d1 } }, roles: [high] }
  two: { title: Two, when: { eq: { department: d2 } }, roles: [other, low], grants: [s/app/a3] }
  not: { title: Not, when: { not: { eq: { department: d0 } } }, roles: [other] }
sod:
  money: { title: Money, duties: [[t/group/g1], [s/app/a0]] }
accounts:
  t: { user_name: email, attributes: { department: department } }
  s: { user_name: email, when: { not: { eq: { department: d3 } } } }
protected:
  accounts: ["t:glass"]
  last_holder: [t/group/g3, s/app/a2]
"#;

/// How many entitlements the catalogue has.
const CATALOGUE: usize = 12;

pub(crate) fn at() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

/// What a policy of these companies can differ in.
#[derive(Clone, Debug)]
pub(crate) struct PolicySpec {
    modes: [Mode; 3],
    grants: [BTreeSet<usize>; 3],
    early: bool,
    sod: bool,
    overlap: bool,
    departments: [u8; 2],
}

impl PolicySpec {
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = parse_yaml("policy.yaml", POLICY).unwrap();
        let all: Vec<EntitlementRef> = policy.entitlements.keys().cloned().collect();
        policy.modes.default = self.modes[0];
        policy.modes.providers.insert("s".parse().unwrap(), self.modes[1]);
        policy.modes.entitlements.insert("t/group/g1".parse().unwrap(), self.modes[2]);
        for (name, grants) in ["low", "high", "other"].into_iter().zip(&self.grants) {
            let role = policy.roles.get_mut(&name.parse().unwrap()).unwrap();
            let days_before = if self.early { 40 } else { 0 };
            let grant = |i: &usize| RoleGrant { entitlement: all[*i].clone(), days_before };
            role.grants = grants.iter().map(grant).collect();
        }
        if !self.sod {
            policy.sod.clear();
        }
        if self.overlap {
            let entry = policy.entitlements.get_mut(&"t/group/g1".parse().unwrap()).unwrap();
            entry.on_move = EndPolicy::Overlap { days: 30 };
        }
        for (rule, department) in ["one", "two"].into_iter().zip(self.departments) {
            let value = AttributeValue::text(format!("d{department}"));
            let rule = policy.rules.get_mut(&rule.parse().unwrap()).unwrap();
            let attribute = "department".parse().unwrap();
            let op = jml_core::rule::Comparison::Eq;
            rule.when = jml_core::rule::Condition::Compare { attribute, op, value };
        }
        policy
    }
}

pub(crate) fn policies() -> impl Strategy<Value = PolicySpec> {
    let mode = || select(vec![Mode::Full, Mode::Relative, Mode::Additive, Mode::Observe]);
    let grants = || btree_set(0..CATALOGUE, 0..6);
    let modes = [mode(), mode(), mode()];
    let rare = || prop::bool::weighted(0.2);
    (modes, [grants(), grants(), grants()], rare(), rare(), rare(), [0_u8..4, 0_u8..4]).prop_map(
        |(modes, grants, early, sod, overlap, departments)| PolicySpec {
            modes,
            grants,
            early,
            sod,
            overlap,
            departments,
        },
    )
}

/// The same policy after an edit of roles and rules, and now and then of something else.
pub(crate) fn edits() -> impl Strategy<Value = (PolicySpec, PolicySpec)> {
    (policies(), policies(), 0..10_u8).prop_map(|(before, other, what)| {
        let mut after = before.clone();
        match what {
            0..3 => after.grants[0].clone_from(&other.grants[0]),
            3..6 => after.grants[1].clone_from(&other.grants[1]),
            6..8 => after.departments = other.departments,
            8 => after.modes = other.modes,
            _ => after = other,
        }
        (before, after)
    })
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Here,
    Twice,
    Away,
    Soon,
    /// Between two engagements.
    Between,
    Left,
    Odd,
}

#[derive(Clone, Debug)]
struct AccountSpec {
    on_s: bool,
    status: AccountStatus,
    held: BTreeSet<usize>,
    unknown: bool,
    ours: BTreeSet<usize>,
    right_name: bool,
    glass: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PersonSpec {
    department: u8,
    before: Option<u8>,
    stand: Stand,
    mail: Option<u8>,
    requests: Vec<(usize, u8)>,
    review: Option<(usize, bool)>,
    accounts: Vec<AccountSpec>,
}

fn accounts() -> impl Strategy<Value = Vec<AccountSpec>> {
    let status = prop_oneof![
        12 => Just(AccountStatus::Active),
        1 => Just(AccountStatus::Disabled),
        1 => Just(AccountStatus::Suspended),
        1 => Just(AccountStatus::Staged),
        1 => Just(AccountStatus::Archived),
    ];
    let held = || btree_set(0..CATALOGUE, 0..8);
    let rare = || prop::bool::weighted(0.04);
    let one = (status, held(), rare(), held(), rare(), rare()).prop_map(
        |(status, held, unknown, ours, wrong, glass)| AccountSpec {
            on_s: false,
            status,
            held,
            unknown,
            ours,
            right_name: !wrong,
            glass,
        },
    );
    // Mostly one on each provider, as it should be.
    (one.clone(), one.clone(), one, 0..20_u8).prop_map(|(t, mut s, more, shape)| {
        s.on_s = true;
        match shape {
            0 => vec![],
            1 => vec![t],
            2 => vec![s],
            3 => vec![t, s, more],
            _ => vec![t, s],
        }
    })
}

pub(crate) fn people(most: usize) -> impl Strategy<Value = Vec<PersonSpec>> {
    let stand = prop_oneof![
        16 => Just(Stand::Here),
        1 => Just(Stand::Twice),
        1 => Just(Stand::Away),
        1 => Just(Stand::Soon),
        1 => Just(Stand::Between),
        1 => Just(Stand::Left),
        1 => Just(Stand::Odd),
    ];
    let requests = vec((0..CATALOGUE, 0..6_u8), 0..3);
    let rarely = |yes| prop::option::weighted(0.1, yes);
    let review = prop::option::weighted(0.1, (0..CATALOGUE, any::<bool>()));
    let mail = prop::option::weighted(0.08, 0..4_u8);
    let one = (0..4_u8, rarely(0..4_u8), stand, mail, requests, review, accounts()).prop_map(
        |(department, before, stand, mail, requests, review, accounts)| PersonSpec {
            department,
            before,
            stand,
            mail,
            requests,
            review,
            accounts,
        },
    );
    vec(one, 0..most)
}

/// A whole company.
#[derive(Clone, Debug)]
pub(crate) struct Company {
    pub(crate) facts: Facts,
    pub(crate) world: World,
    pub(crate) ledger: Ledger,
}

impl Company {
    pub(crate) fn new(people: &[PersonSpec], policy: &Policy, incomplete: bool) -> Self {
        let mut facts = Facts::default();
        for (number, spec) in people.iter().enumerate() {
            let person = spec.facts(number, policy);
            facts.people.insert(person.identity.id.clone(), person);
        }
        let mut ledger = Ledger::default();
        let mut seen: BTreeMap<ProviderId, BTreeMap<AccountId, AccountState>> = BTreeMap::new();
        for name in ["t", "s"] {
            seen.insert(name.parse().unwrap(), BTreeMap::new());
        }
        let all: Vec<EntitlementRef> = policy.entitlements.keys().cloned().collect();
        for (number, spec) in people.iter().enumerate() {
            for (which, account) in spec.accounts.iter().enumerate() {
                let provider: ProviderId = if account.on_s { "s" } else { "t" }.parse().unwrap();
                let id = match account.glass && !account.on_s {
                    true => "glass".to_owned(),
                    false => format!("acc-{number}-{which}"),
                };
                let id = AccountId::new(id).unwrap();
                let mut state = AccountState::new(id.clone(), mail(number, spec), account.status);
                if account.right_name {
                    state.external_id = Some(identity(number));
                    let department = AttributeValue::text(format!("d{}", spec.department));
                    state.attributes.insert("department".parse().unwrap(), department);
                }
                let here = |i: &usize| Some(&all[*i]).filter(|e| e.provider == provider);
                let keys = account.held.iter().filter_map(here).map(|e| e.key.clone());
                state.holdings = keys.collect();
                if account.unknown {
                    state.holdings.insert("group/unheard-of".parse().unwrap());
                }
                for entitlement in account.ours.iter().filter_map(here) {
                    let by = Granted { plan: Digest::plain(b"p"), at: at() };
                    let at = AccountRef::new(provider.clone(), id.clone());
                    ledger.insert(at, entitlement.key.clone(), by);
                }
                seen.get_mut(&provider).unwrap().insert(id, state);
            }
        }
        let native = VerbSupport::native();
        let descriptor = |id: &ProviderId| {
            Descriptor::new(id.clone(), "x", "1").with_verbs([Verb::SetStatus], &native)
        };
        let descriptors: Vec<Descriptor> = seen.keys().map(descriptor).collect();
        let snapshots = descriptors.iter().zip(seen).map(|(descriptor, (id, accounts))| {
            let snapshot = if incomplete && id.as_str() == "s" {
                let omissions = vec![Omission { what: "page 2".into(), why: "refused".into() }];
                Snapshot::Incomplete { seen: accounts, omissions }
            } else {
                Snapshot::Complete(CompleteSnapshot::assert_complete(id, at(), accounts))
            };
            (descriptor, at(), snapshot)
        });
        let world = World::new(snapshots.collect(), &facts, policy, at());
        Self { facts, world, ledger }
    }

    /// What everybody should have.
    pub(crate) fn desired(&self, policy: &Policy) -> Vec<Desired> {
        let people = self.facts.people.values();
        people.map(|facts| desired(policy, facts, &TzdbZones, at())).collect()
    }
}

/// Eight people who stand alike, seven of them of one department, all of whom hold the same by our doing, in
/// relative mode. Who is closed holds nothing.
pub(crate) fn eight(policy: &Policy, stand: Stand, status: AccountStatus) -> Company {
    let held = if status.can_sign_in() { BTreeSet::from([0, 2]) } else { BTreeSet::new() };
    let account = AccountSpec {
        on_s: false,
        status,
        held,
        unknown: false,
        ours: BTreeSet::from([2]),
        right_name: true,
        glass: false,
    };
    let person = |number: u8| PersonSpec {
        department: u8::from(number != 3),
        before: None,
        stand,
        mail: None,
        requests: Vec::new(),
        review: None,
        accounts: vec![account.clone()],
    };
    Company::new(&(0..8).map(person).collect::<Vec<_>>(), policy, false)
}

pub(crate) fn identity(number: usize) -> IdentityId {
    IdentityId::new(format!("E{number:03}")).unwrap()
}

fn mail(number: usize, spec: &PersonSpec) -> String {
    match spec.mail {
        // A name that several people may claim.
        Some(shared) => format!("shared{shared}"),
        None => format!("e{number}"),
    }
}

impl PersonSpec {
    fn facts(&self, number: usize, policy: &Policy) -> PersonFacts {
        let long_ago = at() - TimeDelta::days(700);
        let mut attributes = Attributes::default();
        let mut says = |name: &str, value: String, valid_from| {
            let opinion = Opinion::Value(AttributeValue::text(value));
            let source = "hr".parse().unwrap();
            let assertion = Assertion { source, opinion, valid_from, recorded_at: valid_from };
            attributes.assert(name.parse().unwrap(), assertion);
        };
        says("email", mail(number, self), long_ago);
        let department = format!("d{}", self.department);
        match self.before {
            Some(before) => {
                says("department", format!("d{before}"), long_ago);
                says("department", department, at() - TimeDelta::days(9));
            }
            None => says("department", department, long_ago),
        }
        let days = |days: i64| (at() + TimeDelta::days(days)).date_naive();
        let engagement = |name: &str, from: i64, to: Option<i64>| Engagement {
            id: format!("{number}-{name}").parse().unwrap(),
            kind: EngagementKind::Employment,
            start: days(from),
            end: to.map(days),
            ending: Ending::Ordinary,
            cut_off: None,
            leaves: Vec::new(),
            zone: (self.stand != Stand::Odd).then(|| "Europe/Berlin".parse().unwrap()),
            source: "hr".parse().unwrap(),
            recorded_at: long_ago,
            entered_at: None,
        };
        let mut first = engagement("a", -400, None);
        let mut engagements = Vec::new();
        match self.stand {
            Stand::Here | Stand::Odd => {}
            Stand::Twice => engagements.push(engagement("b", -90, Some(90))),
            Stand::Away => first.leaves.push(Leave { from: days(-5), to: None }),
            Stand::Soon => first.start = days(20),
            Stand::Between => {
                first.end = Some(days(-3));
                engagements.push(engagement("b", 20, None));
            }
            Stand::Left => first.end = Some(days(-3)),
        }
        engagements.push(first);
        let kind = IdentityKind::Person;
        let id = identity(number);
        let mut facts = PersonFacts::new(Identity { id, kind, attributes, engagements });
        let all: Vec<&EntitlementRef> = policy.entitlements.keys().collect();
        for (count, (which, what)) in self.requests.iter().enumerate() {
            let entitlement = all[*which].clone();
            let (from, until) = (at() - TimeDelta::days(30), at() + TimeDelta::days(30));
            let (owner, why) = ("boss".parse().unwrap(), "needed".into());
            let id = format!("{number}-{count}");
            match what {
                0..2 => facts.requests.push(ApprovedRequest {
                    id: id.parse().unwrap(),
                    entitlement,
                    approved_by: owner,
                    validity: Validity { from, until: None },
                    on_move: if *what == 0 { RequestOnMove::Keep } else { RequestOnMove::Drop },
                    why,
                }),
                2 => facts.exceptions.push(AccessException {
                    id: id.parse().unwrap(),
                    entitlement,
                    owner,
                    from,
                    until,
                    why,
                }),
                3 => facts.adoptions.push(Adoption { entitlement, owner, from, review_by: until }),
                _ => {}
            }
        }
        if let Some((which, keep)) = self.review {
            facts.reviews.push(Reviewed {
                entitlement: all[which].clone(),
                campaign: "spring".parse().unwrap(),
                at: at() - TimeDelta::days(1),
                by: None,
                keep,
            });
        }
        facts
    }
}
