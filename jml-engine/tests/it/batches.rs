//! Brakes over whole batches, planned from facts: what trips, and what does not.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::account::{AccountState, AccountStatus};
use jml_core::approval::Deciders;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::desired::desired;
use jml_core::facts::{Facts, PersonFacts};
use jml_core::id::IdentityId;
use jml_core::identity::{Engagement, Identity, IdentityKind};
use jml_core::policy::{Brakes, Policy};
use jml_core::policy_file::parse_yaml;
use jml_core::provider::{CompleteSnapshot, Descriptor, Snapshot, Verb, VerbSupport};
use jml_core::time::TzdbZones;
use jml_diff::{Ledger, PlanInput, Planned, World, plan};
use jml_engine::brake::judge;

use crate::support::start;

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/red: { title: Red }
  t/role/admin: { title: Admin, sensitivity: privileged }
rules:
  staff: { title: Staff, when: always, grants: [t/group/staff] }
  red: { title: Red, when: { eq: { team: red } }, grants: [t/group/red] }
accounts:
  t: { user_name: email }
modes: { default: full }
"#;

fn policy() -> Policy {
    parse_yaml("policy.yaml", POLICY).unwrap()
}

fn id(number: u32) -> IdentityId {
    format!("E{number:03}").parse().unwrap()
}

fn person(number: u32, team: &str, last_day: Option<&str>) -> PersonFacts {
    let mut attributes = Attributes::default();
    let email = format!("e{number}@example.test");
    for (name, value) in [("email", email.as_str()), ("team", team)] {
        let opinion = Opinion::Value(AttributeValue::text(value));
        let (valid_from, recorded_at) =
            (start() - TimeDelta::days(90), start() - TimeDelta::days(90));
        let source = "hr".parse().unwrap();
        attributes
            .assert(name.parse().unwrap(), Assertion { source, opinion, valid_from, recorded_at });
    }
    PersonFacts::new(Identity {
        id: id(number),
        kind: IdentityKind::Person,
        attributes,
        engagements: vec![Engagement {
            end: last_day.map(|day| day.parse().unwrap()),
            zone: Some("Europe/Berlin".parse().unwrap()),
            ..Engagement::new(
                format!("E{number:03}-1").parse().unwrap(),
                "2025-01-06".parse().unwrap(),
                "hr".parse().unwrap(),
                start() - TimeDelta::days(90),
            )
        }],
    })
}

fn account(number: u32, holds: &[&str]) -> AccountState {
    let name = format!("e{number}@example.test");
    let mut state =
        AccountState::new(format!("a{number}").parse().unwrap(), name, AccountStatus::Active);
    state.external_id = Some(id(number));
    state.holdings = holds.iter().map(|key| key.parse().unwrap()).collect();
    state
}

/// Plans everybody, and judges the batch. Gives the names of the brakes that tripped.
fn tripped(
    brakes: &Brakes,
    people: Vec<PersonFacts>,
    accounts: Vec<AccountState>,
    recent: &[DateTime<Utc>],
) -> Vec<&'static str> {
    let policy = policy();
    let descriptor = Descriptor::new("t".parse().unwrap(), "t", "1").with_verbs(
        [Verb::CreateAccount, Verb::UpdateAccount, Verb::SetStatus, Verb::Grant, Verb::Revoke],
        &VerbSupport::native(),
    );
    let accounts = accounts.into_iter().map(|it| (it.id.clone(), it)).collect();
    let seen = CompleteSnapshot::assert_complete("t".parse().unwrap(), start(), accounts);
    let facts = Facts {
        people: people.into_iter().map(|it| (it.identity.id.clone(), it)).collect(),
        ..Facts::default()
    };
    let seen = vec![(&descriptor, start(), Snapshot::Complete(seen))];
    let world = World::new(seen, &facts, &policy, start());
    let digest = policy.digest().unwrap();
    let deciders = Deciders { policy: &policy, facts: &facts, zones: &TzdbZones, at: start() };
    let batch: Vec<Planned> = facts
        .people
        .values()
        .map(|facts| {
            let desired = desired(&policy, facts, &TzdbZones, start());
            plan(&PlanInput {
                policy: &policy,
                policy_digest: &digest,
                facts,
                deciders,
                desired: &desired,
                world: &world,
                ledger: &Ledger::default(),
                refused: &BTreeSet::new(),
                hint: None,
                cause: "test",
                at: start(),
                parent: None,
            })
            .unwrap()
        })
        .collect();
    let report = judge(brakes, &batch, &world, recent, start()).unwrap();
    report.tripped.into_iter().map(|trip| trip.brake).collect()
}

fn open() -> Brakes {
    Brakes {
        max_leavers_permille: None,
        max_revokes_permille: None,
        max_group_loss_permille: None,
        ..Brakes::default()
    }
}

const STAFF: &[&str] = &["group/staff"];

#[test]
fn six_new_accounts_under_stop_at_five() {
    let brakes = Brakes { max_creates: Some(5), ..open() };
    let join = |count: u32| (0..count).map(|n| person(n, "blue", None)).collect::<Vec<_>>();
    assert_eq!(tripped(&brakes, join(5), Vec::new(), &[]), Vec::<&str>::new());
    assert_eq!(tripped(&brakes, join(6), Vec::new(), &[]), ["max_creates"]);
}

/// So many people, of whom the first ones have left.
fn with_leavers(leavers: u32, all: u32) -> (Vec<PersonFacts>, Vec<AccountState>) {
    let last = |n| (n < leavers).then_some("2026-02-27");
    let people = (0..all).map(|n| person(n, "blue", last(n))).collect();
    (people, (0..all).map(|n| account(n, STAFF)).collect())
}

#[test]
fn six_disabled_under_stop_at_three() {
    let brakes = Brakes { max_leavers: Some(3), ..open() };
    for (leavers, expected) in [(3, vec![]), (4, vec!["max_leavers"]), (6, vec!["max_leavers"])] {
        let (people, accounts) = with_leavers(leavers, 40);
        assert_eq!(tripped(&brakes, people, accounts, &[]), expected, "{leavers} leavers");
    }
}

#[test]
fn a_drip_of_one_a_minute_under_a_rolling_limit() {
    let brakes = Brakes { max_leavers_in_window: Some(5), window_hours: 24, ..open() };
    let drip = |count: i64| {
        (1..=count).map(|minute| start() - TimeDelta::minutes(minute)).collect::<Vec<_>>()
    };
    let one_more = |recent: &[DateTime<Utc>]| {
        let (people, accounts) = with_leavers(1, 40);
        tripped(&brakes, people, accounts, recent)
    };
    assert_eq!(one_more(&drip(4)), Vec::<&str>::new());
    assert_eq!(one_more(&drip(5)), ["max_leavers_in_window"]);
    let yesterday: Vec<_> = drip(50).iter().map(|at| *at - TimeDelta::hours(25)).collect();
    assert_eq!(one_more(&yesterday), Vec::<&str>::new());
}

#[test]
fn all_members_of_one_group() {
    let brakes = Brakes { max_group_loss_permille: Some(500), ..open() };
    // Thirty people hold the group, and its rule holds for none of them any more.
    let accounts = |holders: u32| {
        let holds = |n| if n < holders { &["group/staff", "group/red"][..] } else { STAFF };
        (0..60).map(|n| account(n, holds(n))).collect::<Vec<_>>()
    };
    let people = |keep: u32| {
        let team = |n| if n < keep { "red" } else { "blue" };
        (0..60).map(|n| person(n, team(n), None)).collect::<Vec<_>>()
    };
    assert_eq!(tripped(&brakes, people(0), accounts(30), &[]), ["max_group_loss_share"]);
    assert_eq!(tripped(&brakes, people(20), accounts(30), &[]), Vec::<&str>::new());
}

#[test]
fn privileged_access_is_counted_by_itself() {
    let brakes = Brakes { max_privileged_revokes: Some(1), ..open() };
    let accounts = |holders: u32| {
        let holds = |n| if n < holders { &["group/staff", "role/admin"][..] } else { STAFF };
        (0..30).map(|n| account(n, holds(n))).collect::<Vec<_>>()
    };
    let people = || (0..30).map(|n| person(n, "blue", None)).collect::<Vec<_>>();
    assert_eq!(tripped(&brakes, people(), accounts(1), &[]), Vec::<&str>::new());
    assert_eq!(tripped(&brakes, people(), accounts(2), &[]), ["max_privileged_revokes"]);
}
