//! Laws of `desired()`: constant between its breakpoints, same facts same claims, and a few stories.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jml_core::account::AccountStatus;
use jml_core::attribute::{Assertion, AttributeValue, Attributes, Opinion};
use jml_core::claim::ClaimSource;
use jml_core::desired::{Desired, Finding, desired};
use jml_core::facts::PersonFacts;
use jml_core::id::{AttributeName, EngagementId, IdentityId, SourceId, ZoneId};
use jml_core::identity::{Engagement, Identity, IdentityKind, Leave, LifecycleState};
use jml_core::policy::Policy;
use jml_core::time::TzdbZones;
use proptest::prelude::*;

fn policy() -> Policy {
    let text = include_str!("../data/policy.yaml");
    jml_core::policy_file::parse("policy.yaml", text).unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn say(attributes: &mut Attributes, name: &str, value: &str, from: DateTime<Utc>) {
    let name = AttributeName::new(name).unwrap();
    let value = match name.as_str() {
        "level" => AttributeValue::Integer(value.parse().unwrap()),
        _ => AttributeValue::text(value),
    };
    let source = SourceId::new("hr").unwrap();
    let opinion = Opinion::Value(value);
    attributes.assert(name, Assertion { source, opinion, valid_from: from, recorded_at: from });
}

fn person(start: &str, end: Option<&str>) -> PersonFacts {
    let mut attributes = Attributes::default();
    let known = at("2026-01-01T00:00:00Z");
    for (name, value) in [
        ("email", "ada@example.org"),
        ("full_name", "Ada"),
        ("department", "platform"),
        ("title", "Engineer"),
        ("level", "3"),
        ("location", "Berlin"),
        ("manager", "E0003"),
    ] {
        say(&mut attributes, name, value, known);
    }
    PersonFacts::new(Identity {
        id: IdentityId::new("E1").unwrap(),
        kind: IdentityKind::Person,
        attributes,
        engagements: vec![Engagement {
            end: end.map(date),
            zone: Some(ZoneId::new("Europe/Berlin").unwrap()),
            ..Engagement::new(
                EngagementId::new("E1-1").unwrap(),
                date(start),
                SourceId::new("hr").unwrap(),
                known,
            )
        }],
    })
}

fn wanted(facts: &PersonFacts, when: &str) -> Desired {
    desired(&policy(), facts, &TzdbZones, at(when))
}

fn held(desired: &Desired) -> Vec<String> {
    desired.entitlements().iter().map(ToString::to_string).collect()
}

#[test]
fn pre_hire_is_staged_and_has_nothing_privileged() {
    let facts = person("2026-03-02", None);
    let before = wanted(&facts, "2026-02-20T00:00:00Z");
    assert!(before.accounts.is_empty() && before.claims.is_empty());
    let staged = wanted(&facts, "2026-02-27T12:00:00Z");
    assert_eq!(staged.state, LifecycleState::PreHire);
    assert_eq!(staged.accounts.values().next().unwrap().status, AccountStatus::Staged);
    assert_eq!(held(&staged), ["local/licence/office"]);
    let first_day = wanted(&facts, "2026-03-01T23:00:00Z");
    assert_eq!(first_day.state, LifecycleState::Active);
    assert!(held(&first_day).contains(&"local/role/prod-admin".to_owned()));
}

#[test]
fn the_last_day_ends_at_the_start_of_the_next_in_the_persons_zone() {
    let facts = person("2026-03-02", Some("2026-06-30"));
    assert_eq!(wanted(&facts, "2026-06-30T21:59:59Z").state, LifecycleState::Active);
    let left = wanted(&facts, "2026-06-30T22:00:00Z");
    assert_eq!(left.state, LifecycleState::Left);
    assert!(left.claims.is_empty());
    assert_eq!(left.ended_at, Some(at("2026-06-30T22:00:00Z")));
    assert_eq!(left.accounts.values().next().unwrap().status, AccountStatus::Disabled);
    assert!(left.tasks.iter().any(|task| task.key.task.as_str() == "return-device"));
}

#[test]
fn a_move_overlaps_what_may_and_cuts_what_is_privileged() {
    let mut facts = person("2026-03-02", None);
    let moved = at("2026-05-04T08:00:00Z");
    say(&mut facts.identity.attributes, "department", "company", moved);
    let after = wanted(&facts, "2026-05-05T00:00:00Z");
    let overlap: Vec<_> = after
        .claims
        .iter()
        .filter(|claim| matches!(claim.source, ClaimSource::Transition { .. }))
        .map(|claim| claim.entitlement.to_string())
        .collect();
    assert_eq!(overlap, ["local/group/platform"]);
    assert!(!held(&after).contains(&"local/role/prod-admin".to_owned()));
    let later = wanted(&facts, "2026-05-18T08:00:00Z");
    assert!(!held(&later).contains(&"local/group/platform".to_owned()));
}

#[test]
fn a_leave_suspends_and_keeps_claims() {
    let mut facts = person("2026-03-02", None);
    facts.identity.engagements[0].leaves =
        vec![Leave { from: date("2026-07-01"), to: Some(date("2026-07-31")) }];
    let away = wanted(&facts, "2026-07-10T00:00:00Z");
    assert_eq!(away.state, LifecycleState::OnLeave);
    assert_eq!(away.accounts.values().next().unwrap().status, AccountStatus::Suspended);
    assert!(!away.claims.is_empty());
    assert_eq!(wanted(&facts, "2026-08-01T00:00:00Z").state, LifecycleState::Active);
}

#[test]
fn a_missing_zone_is_a_finding_and_gives_nothing() {
    let mut facts = person("2026-03-02", None);
    facts.identity.engagements[0].zone = None;
    let got = wanted(&facts, "2026-05-01T00:00:00Z");
    assert_eq!(got.state, LifecycleState::Undetermined);
    assert!(got.claims.is_empty());
    assert!(got.findings.iter().any(|f| matches!(f, Finding::MissingZone { .. })));
}

#[test]
fn a_missing_attribute_never_grants_under_not_either() {
    let mut facts = person("2026-03-02", None);
    let location = AttributeName::new("location").unwrap();
    let gone = at("2026-04-01T00:00:00Z");
    let source = SourceId::new("hr").unwrap();
    let opinion = Opinion::AssertedNull;
    let word = Assertion { source, opinion, valid_from: gone, recorded_at: gone };
    facts.identity.attributes.assert(location, word);
    let got = wanted(&facts, "2026-05-01T00:00:00Z");
    // `not: in: {location: [Lisbon]}` is unknown without a location.
    assert!(!held(&got).contains(&"local/role/prod-admin".to_owned()));
}

proptest! {
    #[test]
    fn constant_between_breakpoints(
        start in 0_i64..200, length in proptest::option::of(0_i64..200), away in 0_i64..100,
        moves in proptest::collection::vec((0_i64..8000, 0_usize..3), 0..4),
        from in 0_i64..9600, steps in 0_i64..100,
    ) {
        let base = date("2026-01-01");
        let mut facts = person("2026-01-01", None);
        let engagement = &mut facts.identity.engagements[0];
        engagement.start = base + TimeDelta::days(start);
        engagement.end = length.map(|days| engagement.start + TimeDelta::days(days));
        let leave = engagement.start + TimeDelta::days(away);
        engagement.leaves = vec![Leave { from: leave, to: Some(leave + TimeDelta::days(10)) }];
        for (hours, which) in moves {
            let value = ["platform", "engineering", "company"][which];
            let when = at("2026-01-01T00:00:00Z") + TimeDelta::hours(hours);
            say(&mut facts.identity.attributes, "department", value, when);
        }
        let policy = policy();
        let now = at("2025-12-01T00:00:00Z") + TimeDelta::hours(from);
        let first = desired(&policy, &facts, &TzdbZones, now);
        let end = first.next_change_at.unwrap_or(now + TimeDelta::days(400));
        prop_assert!(end > now);
        let between = now + (end - now) / 101 * i32::try_from(steps).unwrap();
        let second = desired(&policy, &facts, &TzdbZones, between);
        prop_assert_eq!(first.state, second.state);
        prop_assert_eq!(&first.accounts, &second.accounts);
        prop_assert_eq!(&first.claims, &second.claims);
        prop_assert_eq!(first.next_change_at, second.next_change_at);
    }
}

/// The first and the last day in zones that skip and repeat midnights, as instants: a golden table.
#[test]
fn days_of_the_world() {
    let mut table = String::from("zone | first day | begins (UTC) | last day | ends (UTC) | why\n");
    for (zone, first, last, why) in [
        ("Pacific/Auckland", "2026-03-02", "2026-04-05", "summer time ends on the last day"),
        ("Asia/Kolkata", "2026-03-02", "2026-06-30", "half an hour off the hour"),
        ("America/Los_Angeles", "2026-03-08", "2026-10-31", "summer time begins on the first day"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28", "midnight of 29 March does not exist"),
        ("Atlantic/Azores", "2026-10-25", "2026-10-24", "midnight of 25 October comes twice"),
        ("Pacific/Apia", "2011-12-30", "2011-12-29", "30 December 2011 never was"),
        ("America/Santiago", "2026-09-06", "2026-09-05", "midnight of 6 September does not exist"),
    ] {
        let zone_id = ZoneId::new(zone).unwrap();
        let starts = |day: NaiveDate, edge| {
            jml_core::time::day_start(&TzdbZones, &zone_id, day, edge).unwrap().to_rfc3339()
        };
        let begins = starts(date(first), jml_core::time::Edge::Start);
        let after = date(last).succ_opt().unwrap();
        let ends = starts(after, jml_core::time::Edge::End);
        table.push_str(&format!("{zone} | {first} | {begins} | {last} | {ends} | {why}\n"));

        // And that is when access begins and ends, to the second.
        let mut facts = person(first, None);
        facts.identity.engagements[0].zone = Some(zone_id.clone());
        let begins: DateTime<Utc> = begins.parse().unwrap();
        let state = |facts: &PersonFacts, when| desired(&policy(), facts, &TzdbZones, when).state;
        let second = chrono::TimeDelta::seconds(1);
        assert_eq!(state(&facts, begins - second), LifecycleState::PreHire, "{zone}");
        assert_eq!(state(&facts, begins), LifecycleState::Active, "{zone}");
        let mut facts = person("2010-01-04", Some(last));
        facts.identity.engagements[0].zone = Some(zone_id);
        let ends: DateTime<Utc> = ends.parse().unwrap();
        assert_eq!(state(&facts, ends - second), LifecycleState::Active, "{zone}");
        assert_eq!(state(&facts, ends), LifecycleState::Left, "{zone}");
    }
    crate::policy_files::golden("tests/golden/time/days.txt", &table);
}

/// A start date that moves twice moves what is still to come; what was seen at each point follows from the
/// facts of that point alone.
#[test]
fn a_start_date_that_moves_twice() {
    let seen = |start: &str, when: &str| wanted(&person(start, None), when).state;
    // On 27 February: first 2 March, then 16 March, then 27 February.
    let day = "2026-02-27T12:00:00Z";
    assert_eq!(seen("2026-03-02", day), LifecycleState::PreHire);
    let later = wanted(&person("2026-03-16", None), day);
    assert!(later.accounts.is_empty(), "the account's days before the start are not reached");
    assert_eq!(seen("2026-02-27", day), LifecycleState::Active);
}

/// A leave date that was in the past when it became known takes access away at once, and says since when
/// it was due; a feed that is forty days late does the same.
#[test]
fn a_leave_date_in_the_past() {
    for (known, last) in
        [("2026-06-10T09:00:00Z", "2026-06-05"), ("2026-08-10T09:00:00Z", "2026-06-30")]
    {
        let mut facts = person("2026-03-02", Some(last));
        facts.identity.engagements[0].recorded_at = at(known);
        let left = wanted(&facts, known);
        assert_eq!(left.state, LifecycleState::Left);
        assert!(left.claims.is_empty() && left.ended_at.unwrap() < at(known));
        assert_eq!(left.accounts.values().next().unwrap().status, AccountStatus::Disabled);
    }
}
