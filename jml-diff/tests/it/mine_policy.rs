//! Mined roles as a policy, and what mining suggests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::attribute::{
    Assertion, AttributeDef, AttributeSchema, AttributeType, AttributeValue, Attributes, Opinion,
};
use jml_core::desired::desired;
use jml_core::entitlement::EntitlementRef;
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{AccountId, AttributeName, IdentityId, ProviderId};
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::policy::{AccountRule, Mode, OnTaken, Policy};
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{CompleteSnapshot, Descriptor, Snapshot};
use jml_core::rule::Condition;
use jml_core::time::TzdbZones;
use jml_diff::mine::{
    DraftError, LastUse, Matrix, NamedMatrix, Options, OutlierLimits, PeerGroup, PolicyDraft,
    PolicyNames, mine, outliers, unused,
};
use jml_diff::{Ledger, Verdict, World, delta};
use proptest::prelude::*;

use crate::laws::at;
use crate::mine::read;

fn names() -> PolicyNames {
    PolicyNames {
        version: "1".parse().unwrap(),
        attribute: "mined_roles".parse().unwrap(),
        source: "mining".parse().unwrap(),
        prefix: "m".into(),
    }
}

fn draft(matrix: &NamedMatrix) -> PolicyDraft {
    mine(matrix.matrix(), &Options::default()).to_policy(matrix, names()).unwrap()
}

/// The draft's file, read back, with what an embedder adds: accounts, and the mode that hides nothing.
fn policy(draft: &PolicyDraft) -> Policy {
    let mut policy = parse_yaml("mined.yaml", &draft.yaml()).unwrap();
    assert_eq!((&policy.roles, &policy.rules), (&draft.roles, &draft.rules));
    assert_eq!(
        policy.entitlements.keys().collect::<BTreeSet<_>>(),
        draft.entitlements.iter().collect()
    );
    let login: AttributeName = "login".parse().unwrap();
    let sources = vec![draft.names.source.clone()];
    let text = AttributeDef { ty: AttributeType::Text, sources, personal: false };
    let known = policy.attributes.iter().map(|(name, def)| (name.clone(), def.clone()));
    policy.attributes = AttributeSchema::new(known.chain([(login.clone(), text)]).collect());
    let providers: BTreeSet<&ProviderId> =
        draft.entitlements.iter().map(|it| &it.provider).collect();
    for provider in providers {
        let rule = AccountRule {
            when: Condition::Always,
            days_before: 0,
            user_name: login.clone(),
            on_taken: OnTaken::Wait,
            attributes: BTreeMap::new(),
            correlate: None,
        };
        policy.accounts.insert(provider.clone(), rule);
    }
    policy.modes.default = Mode::Full;
    assert_eq!(policy.check(), []);
    policy
}

/// Somebody at work of whom the source says which roles they have.
fn person(draft: &PolicyDraft, id: &IdentityId) -> PersonFacts {
    let say = |value| Assertion {
        source: draft.names.source.clone(),
        opinion: Opinion::Value(value),
        valid_from: at(),
        recorded_at: at(),
    };
    let mut attributes = Attributes::default();
    let roles = AttributeValue::TextSet(draft.given[id].clone());
    attributes.assert(draft.names.attribute.clone(), say(roles));
    attributes.assert("login".parse().unwrap(), say(AttributeValue::text(id)));
    let engagement = Engagement {
        zone: Some("Europe/Berlin".parse().unwrap()),
        ..Engagement::new(
            format!("{id}-1").parse().unwrap(),
            "2020-01-01".parse().unwrap(),
            "hr".parse().unwrap(),
            at(),
        )
    };
    let engagements = vec![engagement];
    let kind = IdentityKind::Person;
    PersonFacts::new(Identity { id: id.clone(), kind, attributes, engagements })
}

/// How many grants, revokes and keeps the draft means for people who hold what they hold.
fn planned(
    draft: &PolicyDraft,
    held: &BTreeMap<IdentityId, BTreeSet<EntitlementRef>>,
) -> [usize; 3] {
    let policy = policy(draft);
    let people: BTreeMap<_, _> = held.keys().map(|id| (id.clone(), person(draft, id))).collect();
    let facts = Facts { people, ..Facts::default() };
    let mut accounts: BTreeMap<ProviderId, BTreeMap<AccountId, AccountState>> = BTreeMap::new();
    for (id, held) in held {
        for provider in policy.accounts.keys() {
            let account = AccountId::new(id).unwrap();
            let mut state = AccountState::new(account.clone(), id, AccountStatus::Active);
            state.external_id = Some(id.clone());
            let here = held.iter().filter(|it| &it.provider == provider);
            state.holdings = here.map(|it| it.key.clone()).collect();
            accounts.entry(provider.clone()).or_default().insert(account, state);
        }
    }
    let descriptors: Vec<Descriptor> =
        accounts.keys().map(|provider| Descriptor::new(provider.clone(), "t", "1")).collect();
    let seen = descriptors.iter().zip(accounts).map(|(descriptor, (provider, accounts))| {
        let all = CompleteSnapshot::assert_complete(provider, at(), accounts);
        (descriptor, at(), Snapshot::Complete(all))
    });
    let world = World::new(seen.collect(), &facts, &policy, at());
    let mut out = [0; 3];
    for facts in facts.people.values() {
        let desired = desired(&policy, facts, &TzdbZones, at());
        assert_eq!(desired.findings, BTreeSet::new());
        let delta = delta(&policy, &desired, &world, &Ledger::default());
        assert!(delta.accounts.is_empty() && delta.waits.is_empty(), "{delta:?}");
        for (count, verdict) in out.iter_mut().zip([Verdict::Grant, Verdict::Revoke, Verdict::Keep])
        {
            *count += delta.with(verdict).count();
        }
    }
    out
}

fn held(matrix: &NamedMatrix) -> BTreeMap<IdentityId, BTreeSet<EntitlementRef>> {
    let rows = matrix.matrix().rows();
    let name = |at: &u32| matrix.permission(*at).unwrap().clone();
    rows.map(|(user, held)| (matrix.user(user).unwrap().clone(), held.iter().map(name).collect()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_mined_policy_changes_nothing(
        pairs in proptest::collection::vec((0_u8..12, 0_u8..2, "[a-zß€\" :#{}\\\\'-]{0,5}"), 1..60)
    ) {
        // Identifiers may hold nearly everything that YAML has a meaning for.
        let pair = |(user, provider, key): (u8, u8, String)| (
            format!("E{user}").parse().unwrap(),
            format!("p{provider}/g/x{key}x").parse().unwrap(),
        );
        let matrix = NamedMatrix::from_pairs(pairs.into_iter().map(pair)).unwrap();
        let (draft, held) = (draft(&matrix), held(&matrix));
        let all = matrix.matrix().assignments();
        prop_assert_eq!(planned(&draft, &held), [0, 0, all]);
        // One permission that moves from one role to nowhere, or into it from nowhere, shows.
        let mut less = draft.clone();
        less.roles.values_mut().next().unwrap().grants.pop();
        if less.roles.values().all(|role| !role.grants.is_empty()) {
            let [grants, revokes, _] = planned(&less, &held);
            prop_assert!(grants == 0 && revokes > 0);
        }
        let mut more = draft.clone();
        more.given.values_mut().for_each(|roles| roles.extend(draft.roles.keys().map(|id| id.as_str().into())));
        let given: usize = held.values().map(|it| draft.entitlements.len() - it.len()).sum();
        prop_assert_eq!(planned(&more, &held), [given, 0, all]);
    }
}

#[test]
fn a_policy_mined_from_a_real_matrix_changes_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/role-mining");
    for name in ["healthcare", "domino", "firewall1"] {
        let Some(matrix) = read(&folder.join(format!("{name}.upa"))) else {
            println!("skipped: no shared data for {name}");
            continue;
        };
        let pairs = matrix.rows().flat_map(|(user, held)| {
            held.iter().map(move |permission| {
                let user = format!("U{user}").parse().unwrap();
                (user, format!("t/permission/{permission}").parse().unwrap())
            })
        });
        let named = NamedMatrix::from_pairs(pairs).unwrap();
        let draft = draft(&named);
        assert_eq!(planned(&draft, &held(&named)), [0, 0, matrix.assignments()], "{name}");
    }
}

#[test]
fn a_draft_is_refused_for_something_else() {
    let named = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(user, key)| (user.parse().unwrap(), key.parse().unwrap()));
        NamedMatrix::from_pairs(pairs).unwrap()
    };
    let (one, two) = (named(&[("a", "t/g/x")]), named(&[("a", "t/g/x"), ("a", "t/g/y")]));
    let mined = mine(one.matrix(), &Options::default());
    assert!(matches!(mined.to_policy(&two, names()), Err(DraftError::NotExact(_))));
    let bad = PolicyNames { prefix: " ".into(), ..names() };
    assert!(matches!(mined.to_policy(&one, bad), Err(DraftError::Id(_))));
}

#[test]
fn a_draft_reads_like_a_policy() {
    let pairs = [("a", "t/group/staff"), ("b", "t/group/staff"), ("b", "t/app/pay")];
    let pairs = pairs.map(|(user, key)| (user.parse().unwrap(), key.parse().unwrap()));
    let draft = draft(&NamedMatrix::from_pairs(pairs).unwrap());
    let wanted = r#"version: "1"
sources: ["mining"]
attributes:
  "mined_roles": { type: text_set }
entitlements:
  "t/app/pay": { title: "pay" }
  "t/group/staff": { title: "staff" }
roles:
  "m1":
    title: "Mined role 1"
    version: 1
    grants:
      - "t/group/staff"
  "m2":
    title: "Mined role 2"
    version: 1
    grants:
      - "t/app/pay"
rules:
  "m1": { title: "Whoever was given m1", when: { in: { "mined_roles": ["m1"] } }, roles: ["m1"] }
  "m2": { title: "Whoever was given m2", when: { in: { "mined_roles": ["m2"] } }, roles: ["m2"] }
"#;
    assert_eq!(draft.yaml(), wanted);
    let empty = NamedMatrix::from_pairs([]).unwrap();
    assert!(parse_yaml("empty.yaml", &self::draft(&empty).yaml()).is_ok());
}

#[test]
fn unused_access_is_told_with_its_numbers() {
    let since: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let before = since - chrono::TimeDelta::microseconds(1);
    let matrix = Matrix::new(3, vec![vec![0, 1], vec![0], vec![0], vec![0], vec![2]]).unwrap();
    let last_use = |user, permission| match (user, permission) {
        (0, 0) => LastUse::At(before),
        (1, 0) => LastUse::At(since),
        (2, 0) | (0, 1) => LastUse::Never,
        _ => LastUse::NotRecorded,
    };
    let found = unused(&matrix, since, last_use);
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "user 0 holds permission 0 and last used it on 2025-12-31; \
             1 of 2 others used it since 2026-01-01",
            "user 0 holds permission 1 and never used it; 0 of 0 others used it since 2026-01-01",
            "user 2 holds permission 0 and never used it; 1 of 2 others used it since 2026-01-01",
        ]
    );
}

#[test]
fn outliers_are_told_with_their_numbers() {
    // Twenty who hold 0; one of them holds 1, too, two hold 2; all of another group of three hold 2.
    let row = |user: u32| match user {
        0 => vec![0, 1, 2],
        1 => vec![0, 2],
        2..20 => vec![0],
        _ => vec![2],
    };
    let matrix = Matrix::new(3, (0..22).map(row).collect()).unwrap();
    let group = |name: &str, users: &[u32], gives: &[u32]| PeerGroup {
        name: name.into(),
        users: users.iter().copied().collect(),
        gives: gives.iter().copied().collect(),
    };
    let staff: Vec<u32> = (0..20).collect();
    let groups = [group("staff", &staff, &[0]), group("desk", &[0, 20, 21], &[])];
    let found = |least_peers, most_permille| -> Vec<String> {
        let limits = OutlierLimits { least_peers, most_permille };
        outliers(&matrix, &groups, &limits).iter().map(ToString::to_string).collect()
    };
    let one = "user 0 holds permission 1; of 19 peers in `staff` 0 do, and that is the most in";
    let two = "user 0 holds permission 2; of 19 peers in `staff` 1 do, and that is the most in";
    let three = "user 1 holds permission 2; of 19 peers in `staff` 1 do, and that is the most in";
    assert_eq!(found(10, 0), [format!("{one} 1 groups")]);
    // 1 of 19 is 52.6 per mille.
    assert_eq!(found(10, 52), found(10, 0));
    assert_eq!(found(10, 53), [one, two, three].map(|it| format!("{it} 1 groups")));
    // At the desk everybody holds 2, so user 0 is no outlier in that any more; nobody holds 0 or 1 there.
    let desk = "of 2 peers in `desk` 0 do, and that is the most in";
    let both = found(2, 53);
    assert_eq!(both[0], format!("user 0 holds permission 0; {desk} 1 groups"));
    assert!(both[1].starts_with("user 0 holds permission 1;") && both[1].ends_with("2 groups"));
    assert_eq!(both[2..], [format!("{three} 1 groups")]);
    // The mined roles as peers say nothing of what they give.
    let mined = mine(&matrix, &Options::default());
    let peers = mined.peer_groups();
    for (role, group) in mined.roles.iter().zip(&peers) {
        assert_eq!(role.permissions, group.gives.iter().copied().collect::<Vec<_>>());
    }
    let limits = OutlierLimits { least_peers: 10, most_permille: 60 };
    let found = outliers(&matrix, &peers, &limits);
    let found: Vec<_> = found.iter().map(|it| (it.user, it.permission, it.holders)).collect();
    assert_eq!(found, [(0, 1, 0), (0, 2, 1), (1, 2, 1)]);
}
