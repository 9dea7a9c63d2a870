//! Laws of delta and planner, on small made-up worlds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use jml_core::account::{AccountRef, AccountState, AccountStatus, CredentialClass};
use jml_core::approval::Deciders;
use jml_core::attribute::Attributes;
use jml_core::canon;
use jml_core::claim::{Claim, ClaimSource, Validity};
use jml_core::desired::{Desired, DesiredAccount};
use jml_core::digest::Digest;
use jml_core::entitlement::{EntitlementKey, EntitlementRef};
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::{AccountId, IdentityId, PolicyVersion, ProviderId, RuleId};
use jml_core::identity::{Engagement, Identity, IdentityKind, LifecycleState};
use jml_core::plan::{Plan, Rank, StepKind};
use jml_core::policy::{Mode, Policy};
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{
    CompleteSnapshot, Descriptor, Omission, Operation, Snapshot, Verb, VerbSupport,
};
use jml_core::time::TzdbZones;
use jml_diff::lint::{Severity, lint};
use jml_diff::{AccountLine, Granted, Ledger, PlanInput, Planned, Verdict, World, delta, plan};
use proptest::prelude::*;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  manager: { type: text }
entitlements:
  t/group/a: { title: A }
  t/group/b: { title: B }
  t/group/c: { title: C, sensitivity: privileged }
  t/app/pay: { title: Pay }
  t/app/check: { title: Check }
  t/licence/x: { title: X, exclusive: tier }
  t/licence/y: { title: Y, exclusive: tier }
  t/role/admin: { title: Admin, sensitivity: critical }
sod:
  money: { title: Money, duties: [[t/app/pay], [t/app/check]] }
accounts:
  t: { user_name: email }
gates:
  high: { title: High, sensitivity: privileged, approvers: { named: [boss, E1] } }
protected:
  accounts: ["t:glass"]
  last_holder: [t/role/admin]
"#;

pub(crate) fn at() -> DateTime<Utc> {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

pub(crate) fn policy(mode: Mode) -> Policy {
    let mut policy = parse_yaml("policy.yaml", POLICY).unwrap();
    policy.modes.default = mode;
    policy
}

fn catalogue() -> Vec<EntitlementRef> {
    policy(Mode::Full).entitlements.into_keys().collect()
}

pub(crate) fn me() -> IdentityId {
    IdentityId::new("E1").unwrap()
}

pub(crate) fn target() -> ProviderId {
    ProviderId::new("t").unwrap()
}

fn facts() -> PersonFacts {
    let attributes = Attributes::default();
    let kind = IdentityKind::Person;
    PersonFacts::new(Identity { id: me(), kind, attributes, engagements: Vec::new() })
}

fn claim(entitlement: &EntitlementRef, rule: &str) -> Claim {
    Claim {
        entitlement: entitlement.clone(),
        source: ClaimSource::Birthright { rule: RuleId::new(rule).unwrap() },
        validity: Validity { from: at(), until: None },
        policy: PolicyVersion::new("1").unwrap(),
    }
}

/// What is wanted: claims by number in the catalogue, and whether the person is still here.
fn wanted(claims: &BTreeSet<usize>, left: bool) -> Desired {
    let all = catalogue();
    let status = if left { AccountStatus::Disabled } else { AccountStatus::Active };
    let account = DesiredAccount { status, user_name: "ada".into(), attributes: BTreeMap::new() };
    Desired {
        identity: me(),
        at: at(),
        state: if left { LifecycleState::Left } else { LifecycleState::Active },
        accounts: BTreeMap::from([(target(), account)]),
        claims: if left {
            Vec::new()
        } else {
            claims.iter().map(|i| claim(&all[*i % all.len()], "r")).collect()
        },
        reviewed: BTreeMap::new(),
        tasks: Vec::new(),
        ended_at: left.then(at),
        for_cause: false,
        waived: BTreeMap::new(),
        held: BTreeSet::new(),
        manager: None,
        next_change_at: None,
        findings: BTreeSet::new(),
    }
}

pub(crate) fn account(name: &str, held: &BTreeSet<usize>) -> AccountState {
    let all = catalogue();
    let mut state = AccountState::new(AccountId::new(name).unwrap(), "ada", AccountStatus::Active);
    state.external_id = Some(me());
    state.holdings = held.iter().map(|i| all[*i % all.len()].key.clone()).collect();
    state.credentials = BTreeMap::from([(CredentialClass::Sessions, 1)]);
    state
}

pub(crate) fn world(accounts: Vec<AccountState>, complete: bool) -> World {
    let native = VerbSupport::native;
    let descriptor = [
        Verb::CreateAccount,
        Verb::UpdateAccount,
        Verb::SetStatus,
        Verb::Grant,
        Verb::Revoke,
        Verb::RevokeCredentials(CredentialClass::Sessions),
    ]
    .into_iter()
    .fold(Descriptor::new(target(), "t", "1"), |d, verb| d.with_verb(verb, native()));
    let accounts: BTreeMap<_, _> = accounts.into_iter().map(|a| (a.id.clone(), a)).collect();
    let snapshot = if complete {
        Snapshot::Complete(CompleteSnapshot::assert_complete(target(), at(), accounts))
    } else {
        let omissions = vec![Omission { what: "page 2".into(), why: "refused".into() }];
        Snapshot::Incomplete { seen: accounts, omissions }
    };
    let people = Facts { people: BTreeMap::from([(me(), facts())]), ..Facts::default() };
    World::new(vec![(&descriptor, at(), snapshot)], &people, &policy(Mode::Full), at())
}

fn planned(policy: &Policy, desired: &Desired, world: &World, ledger: &Ledger) -> Planned {
    let facts = facts();
    // Whoever approves must be known and at work.
    let mut boss = facts.clone();
    boss.identity.id = "boss".parse().unwrap();
    boss.identity.engagements.push(Engagement {
        zone: Some("Europe/Berlin".parse().unwrap()),
        ..Engagement::new(
            "boss-1".parse().unwrap(),
            "2020-01-01".parse().unwrap(),
            "hr".parse().unwrap(),
            at(),
        )
    });
    let people = [facts.clone(), boss].map(|it| (it.identity.id.clone(), it));
    let everybody = Facts { people: people.into(), ..Facts::default() };
    let deciders = Deciders { policy, facts: &everybody, zones: &TzdbZones, at: at() };
    plan(&PlanInput {
        policy,
        policy_digest: &policy.digest().unwrap(),
        facts: &facts,
        deciders,
        desired,
        world,
        ledger,
        refused: &BTreeSet::new(),
        hint: None,
        cause: "test",
        at: at(),
        parent: None,
    })
    .unwrap()
}

/// What the account holds after the plan's grants and revokes.
fn carried_out(plan: Option<&Plan>, mut state: AccountState) -> AccountState {
    for step in plan.into_iter().flat_map(|plan| plan.steps().values()) {
        if let StepKind::Change { op, .. } = &step.kind {
            op.project(&mut state).unwrap();
        }
    }
    state
}

fn keys(numbers: &BTreeSet<usize>) -> BTreeSet<EntitlementKey> {
    let all = catalogue();
    numbers.iter().map(|i| all[*i % all.len()].key.clone()).collect()
}

/// Claims without a pair that may not go together and without two of one tier, as `desired` gives them.
fn separable(mut claims: BTreeSet<usize>) -> BTreeSet<usize> {
    let all = catalogue();
    let place = |name: &str| all.iter().position(|e| e.to_string() == name).unwrap();
    for (keep, drop) in [("t/app/pay", "t/app/check"), ("t/licence/x", "t/licence/y")] {
        if claims.contains(&place(keep)) {
            claims.remove(&place(drop));
        }
    }
    claims
}

fn some() -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0_usize..8, 0..8)
}

proptest! {
    #[test]
    fn full_mode_reaches_the_claims_by_the_smallest_way(claims in some(), held in some()) {
        let claims = separable(claims);
        let mut policy = policy(Mode::Full);
        policy.gates.clear();
        policy.protected.last_holder.clear();
        let desired = wanted(&claims, false);
        let seen = world(vec![account("a1", &held)], true);
        let planned = planned(&policy, &desired, &seen, &Ledger::default());
        let difference = keys(&claims).symmetric_difference(&keys(&held)).count();
        prop_assert_eq!(planned.delta.size(), difference);
        let after = carried_out(planned.plan.as_ref(), account("a1", &held));
        prop_assert_eq!(&after.holdings, &keys(&claims));
        // Planning again finds nothing to do.
        let again = delta(&policy, &desired, &world(vec![after], true), &Ledger::default());
        prop_assert!(again.is_empty());
        if let Some(plan) = &planned.plan {
            let notes = lint(plan, &policy, &seen);
            prop_assert!(notes.iter().all(|n| n.severity != Severity::Refuse), "{:?}", notes);
            order(plan, &policy)?;
        }
    }

    #[test]
    fn a_second_claim_keeps_access(held in some(), which in 0_usize..8) {
        let all = catalogue();
        let mut desired = wanted(&held, false);
        desired.claims.push(claim(&all[which], "second"));
        let mut both = held.clone();
        both.insert(which);
        let seen = world(vec![account("a1", &both)], true);
        let delta = delta(&policy(Mode::Full), &desired, &seen, &Ledger::default());
        prop_assert!(delta.with(Verdict::Revoke).all(|line| line.entitlement != all[which]));
        let kept = delta.with(Verdict::Keep).find(|line| line.entitlement == all[which]).unwrap();
        prop_assert_eq!(kept.reasons.len(), 1 + usize::from(held.contains(&which)));
    }

    #[test]
    fn modes_hold_back(claims in some(), held in some(), granted in some(), left: bool) {
        let desired = wanted(&claims, left);
        let seen = world(vec![account("a1", &held)], true);
        let mut ledger = Ledger::default();
        for key in keys(&granted) {
            let at_account = AccountRef::new(target(), AccountId::new("a1").unwrap());
            ledger.insert(at_account, key, Granted { plan: Digest::plain(b"p"), at: at() });
        }
        for mode in [Mode::Observe, Mode::Additive] {
            let delta = delta(&policy(mode), &desired, &seen, &ledger);
            prop_assert_eq!(delta.with(Verdict::Revoke).count(), 0);
        }
        let relative = delta(&policy(Mode::Relative), &desired, &seen, &ledger);
        for line in relative.with(Verdict::Revoke) {
            prop_assert!(left || keys(&granted).contains(&line.entitlement.key));
        }
    }

    #[test]
    fn an_incomplete_listing_revokes_nothing(claims in some(), held in some(), left: bool) {
        let desired = wanted(&claims, left);
        let seen = world(vec![account("a1", &held)], false);
        let delta = delta(&policy(Mode::Full), &desired, &seen, &Ledger::default());
        prop_assert_eq!(delta.with(Verdict::Revoke).count(), 0);
    }

    #[test]
    fn protected_accounts_and_last_holders_stay(held in some(), left: bool) {
        let seen = world(vec![account("glass", &held)], true);
        let none = BTreeSet::new();
        let planned = planned(&policy(Mode::Full), &wanted(&none, left), &seen, &Ledger::default());
        prop_assert!(planned.plan.is_none());
        let seen = world(vec![account("a1", &held)], true);
        let delta = delta(&policy(Mode::Full), &wanted(&none, left), &seen, &Ledger::default());
        let admin = |e: &EntitlementRef| e.to_string() == "t/role/admin";
        prop_assert!(delta.with(Verdict::Revoke).all(|line| !admin(&line.entitlement)));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(claims in some(), held in some(), left: bool) {
        let policy = policy(Mode::Full);
        let desired = wanted(&separable(claims), left);
        let mut turned = desired.clone();
        turned.claims.reverse();
        let seen = world(vec![account("a1", &held), account("a2", &held)], true);
        let one = planned(&policy, &desired, &seen, &Ledger::default());
        let two = planned(&policy, &turned, &seen, &Ledger::default());
        match (one.plan, two.plan) {
            (Some(one), Some(two)) => {
                prop_assert_eq!(canon::to_vec(&one).unwrap(), canon::to_vec(&two).unwrap());
                prop_assert_eq!(one.id(), two.id());
                // What is read back is the same plan.
                let bytes = canon::to_vec(&one).unwrap();
                let read: Plan = serde_json::from_slice(&bytes).unwrap();
                prop_assert_eq!(read.id(), one.id());
            }
            (None, None) => {}
            _ => prop_assert!(false, "one plans and the other does not"),
        }
    }

    #[test]
    fn an_archived_account_of_a_leaver_is_blocked_already(held in some()) {
        let mut archived = account("a1", &held);
        archived.status = AccountStatus::Archived;
        let seen = world(vec![archived], true);
        let none = BTreeSet::new();
        let delta = delta(&policy(Mode::Full), &wanted(&none, true), &seen, &Ledger::default());
        let blocks = delta.accounts.iter().any(|line| matches!(line, AccountLine::Status { .. }));
        prop_assert!(!blocks);
    }

    #[test]
    fn a_leaver_is_contained_before_all_else(held in some()) {
        let policy = policy(Mode::Relative);
        let seen = world(vec![account("a1", &held), account("a2", &held)], true);
        let planned = planned(&policy, &wanted(&held, true), &seen, &Ledger::default());
        let plan = planned.plan.unwrap();
        order(&plan, &policy)?;
        let disabled = plan.steps().values().filter(|step| {
            matches!(step.operation(), Some(Operation::SetStatus { status: AccountStatus::Disabled }))
        });
        prop_assert_eq!(disabled.count(), 2, "every account of the person");
        prop_assert!(plan.gates().is_empty());
        prop_assert!(plan.steps().values().all(|s| s.operation() != Some(&Operation::DeleteAccount)));
    }
}

/// The order laws that hold for every plan.
fn order(plan: &Plan, policy: &Policy) -> Result<(), TestCaseError> {
    for (id, step) in plan.steps() {
        for before in step.after.keys() {
            prop_assert!(before < id, "numbers follow the order");
            if step.rank == Rank::Contain {
                prop_assert!(plan.steps()[before].rank == Rank::Contain);
            }
        }
        if step.gate.is_some() {
            let grants = matches!(step.operation(), Some(Operation::Grant { .. }));
            prop_assert!(grants, "only grants wait");
        }
        if let Some(Operation::Revoke { entitlement }) = step.operation() {
            let at = EntitlementRef::new(target(), entitlement.clone());
            let critical = policy.sensitivity(&at).is_critical();
            prop_assert_eq!(step.rank == Rank::Contain, critical);
        }
    }
    for gate in plan.gates().values() {
        let own = gate.stages.iter().any(|stage| stage.panel.contains_key(&me()));
        prop_assert!(!own, "nobody decides about themselves");
    }
    Ok(())
}

#[test]
fn separated_duties_are_swapped_one_after_the_other() {
    let all = catalogue();
    let place = |name: &str| all.iter().position(|e| e.to_string() == name).unwrap();
    let (pay, check) = (place("t/app/pay"), place("t/app/check"));
    let seen = world(vec![account("a1", &BTreeSet::from([pay]))], true);
    let policy = policy(Mode::Full);
    let desired = wanted(&BTreeSet::from([check]), false);
    let plan = planned(&policy, &desired, &seen, &Ledger::default()).plan.unwrap();
    let find = |wanted: &str| {
        let hit = plan.steps().iter().find(|(_, s)| s.operation().unwrap().to_string() == wanted);
        hit.unwrap()
    };
    let (revoke, _) = find("revoke `app/pay`");
    let (_, grant) = find("grant `app/check`");
    assert!(grant.after.contains_key(revoke));
}

#[test]
fn nobody_who_may_decide_means_no_grant() {
    let all = catalogue();
    let c = all.iter().position(|e| e.to_string() == "t/group/c").unwrap();
    let mut policy = policy(Mode::Full);
    for gate in policy.gates.values_mut() {
        gate.stages[0].approvers = jml_core::policy::Approvers::Named(BTreeSet::from([me()]));
    }
    let seen = world(vec![account("a1", &BTreeSet::new())], true);
    let desired = wanted(&BTreeSet::from([c]), false);
    let planned = planned(&policy, &desired, &seen, &Ledger::default());
    assert!(planned.plan.is_none());
    assert!(planned.waits.iter().any(|wait| wait.why.contains("0 may decide")));
}

/// Targets write dates and numbers down as texts; what is shown that way is there, and no plan says otherwise.
#[test]
fn a_value_that_is_shown_as_a_text_is_no_difference() {
    use jml_core::attribute::{AttributeType, AttributeValue};
    let (policy, ledger) = (policy(Mode::Full), Ledger::default());
    let day = AttributeValue::parse(AttributeType::Date, "2026-11-21").unwrap();
    for (value, shown, same) in [
        (day.clone(), "2026-11-21", true),
        (day, "2026-11-22", false),
        (AttributeValue::Integer(7), "7", true),
        (AttributeValue::Integer(7), "70", false),
        (AttributeValue::Boolean(true), "true", true),
    ] {
        let mut wanted = wanted(&BTreeSet::new(), false);
        let mine = wanted.accounts.get_mut(&target()).unwrap();
        mine.attributes.insert("begun".parse().unwrap(), value.clone());
        let mut state = account("a1", &BTreeSet::new());
        state.attributes.insert("begun".parse().unwrap(), AttributeValue::text(shown));
        let found = delta(&policy, &wanted, &world(vec![state], true), &ledger);
        assert_eq!(found.accounts.is_empty(), same, "{value} shown as {shown}: {found:?}");
    }
}
