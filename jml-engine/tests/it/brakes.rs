//! Feed health, case by case. Brakes are tested whole in jmlctl, and their override here.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jml_core::digest::Digest;
use jml_core::id::{IdentityId, SourceId};
use jml_core::policy::{Brakes, FeedRules};
use jml_core::source::{Feed, FeedStats};
use jml_diff::World;
use jml_diff::population::Effects;
use jml_engine::brake::{BrakeReport, Override, Trip, judge_effects};
use jml_engine::feed::{FeedIssue, judge};

use crate::support::start;

fn stats(rows: u64, rejected: u64, empty: u64) -> FeedStats {
    FeedStats {
        rows,
        rejected,
        duplicate_anchors: 0,
        columns: vec!["id".to_owned(), "mail".to_owned()],
        empty_cells: BTreeMap::from([("mail".to_owned(), empty)]),
    }
}

fn feed(stats: FeedStats, made_at: Option<DateTime<Utc>>) -> Feed {
    Feed {
        source: SourceId::new("hr").unwrap(),
        read_at: start(),
        made_at,
        records: Vec::new(),
        rejected: Vec::new(),
        stats,
        digest: Digest::plain(b""),
    }
}

#[test]
fn feeds() {
    let rules = FeedRules::default();
    let last = stats(1000, 0, 10);
    let see = |now: FeedStats| judge(&feed(now, None), Some(&last), &rules, start());
    assert!(see(stats(1000, 0, 10)).is_empty());
    assert!(see(stats(900, 0, 10)).is_empty(), "a tenth less is allowed");
    assert_eq!(see(stats(0, 0, 0)), [FeedIssue::Empty]);
    assert!(matches!(see(stats(899, 0, 10))[..], [FeedIssue::RowDrop { before: 1000, now: 899 }]));
    assert!(matches!(see(stats(1000, 51, 10))[..], [FeedIssue::BadRows { rejected: 51, .. }]));
    assert!(matches!(see(stats(1000, 0, 211))[..], [FeedIssue::EmptyCells { .. }]));
    let mut fewer = stats(1000, 0, 0);
    fewer.columns.pop();
    assert!(
        matches!(&see(fewer)[..], [FeedIssue::MissingColumns { columns }] if columns == &["mail"])
    );
    let old = feed(stats(1000, 0, 10), Some(start() - TimeDelta::hours(49)));
    assert!(matches!(
        judge(&old, Some(&last), &rules, start())[..],
        [FeedIssue::Stale { hours: 49 }]
    ));
    assert!(
        judge(&feed(stats(5, 0, 5), None), None, &rules, start()).is_empty(),
        "nothing to compare"
    );
}

/// What a proposed policy would come to is held against each limit before there is a plan.
#[test]
fn effects_trip_the_brakes_that_their_batch_would() {
    let brakes = Brakes {
        max_creates: Some(2),
        max_deletes: Some(2),
        max_leavers: Some(2),
        max_revokes: Some(6),
        max_privileged_revokes: Some(2),
        max_leavers_in_window: Some(3),
        ..Brakes::default()
    };
    let revokes = [("t/group/a", 4), ("t/group/b", 2)];
    let revokes = revokes.map(|(what, count)| (what.parse().unwrap(), count)).into();
    let most = Effects { creates: 2, deletes: 2, leavers: 2, grants: 999, revokes, privileged: 2 };
    let world = World::default();
    let trips = |effects: &Effects, recent: &[DateTime<Utc>]| -> Vec<(&str, u64, u64)> {
        let trips = judge_effects(&brakes, effects, &world, recent, start());
        trips.into_iter().map(|it| (it.brake, it.limit, it.found)).collect()
    };
    let before = start() - TimeDelta::hours(1);
    assert_eq!(trips(&most, &[before]), []);
    assert_eq!(trips(&most, &[before, before]), [("max_leavers_in_window", 3, 4)]);
    let mut over = most.clone();
    over.creates += 1;
    over.deletes += 1;
    over.leavers += 1;
    over.privileged += 1;
    over.revokes.insert("t/group/c".parse().unwrap(), 1);
    let expected = [
        ("max_creates", 2, 3),
        ("max_deletes", 2, 3),
        ("max_leavers", 2, 3),
        ("max_revokes", 6, 7),
        ("max_privileged_revokes", 2, 3),
    ];
    assert_eq!(trips(&over, &[]), expected);
}

#[test]
fn an_override_is_for_one_batch_one_reason_and_one_time() {
    let report = BrakeReport {
        tripped: vec![Trip {
            brake: "max_leavers",
            limit: 1,
            found: 2,
            what: "leavers".to_owned(),
        }],
        batch: Digest::plain(b"this"),
    };
    let good = Override {
        batch: Digest::plain(b"this"),
        by: IdentityId::new("boss").unwrap(),
        why: "sale of the branch".to_owned(),
        expires: start() + TimeDelta::hours(1),
    };
    assert!(good.covers(&report, start()));
    assert!(!good.covers(&report, good.expires));
    assert!(!Override { batch: Digest::plain(b"that"), ..good.clone() }.covers(&report, start()));
    assert!(!Override { why: " ".to_owned(), ..good }.covers(&report, start()));
}

#[test]
fn an_empty_batch_never_trips() {
    let strict = Brakes {
        max_leavers: Some(0),
        max_revokes: Some(0),
        max_privileged_revokes: Some(0),
        max_leavers_in_window: Some(0),
        ..Brakes::default()
    };
    let recent = vec![start(); 50];
    let report =
        jml_engine::brake::judge(&strict, &[], &World::default(), &recent, start()).unwrap();
    assert_eq!(report.tripped, []);
}
