//! Batches that a brake stops: nothing is executed, nothing is recorded, and only the word that names exactly
//! this batch lets it pass.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures::executor::block_on;
use jml_core::account::AccountStatus;
use jml_core::clock::Clock as _;
use jml_core::digest::Digest;
use jml_core::identity::Ending;
use jml_core::journal::{Fact, JournalStore as _};
use jml_core::policy_file::parse_yaml;
use jml_core::source::{Feed, FeedRecord, FeedStats};
use jml_engine::brake::Override;
use jml_engine::{EngineError, feed};

use crate::company::Company;
use crate::support::person;

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
  admin: { title: Admin, when: { eq: { team: admin } }, grants: [t/role/admin] }
accounts:
  t: { user_name: email }
modes: { default: full }
brakes: { BRAKES }
"#;

/// So many people, all with what they should have.
fn company(brakes: &str, people: usize, team: &str) -> Company {
    let mut company = Company::new(
        &POLICY.replace(
            "BRAKES",
            "max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100%",
        ),
        &["t"],
    );
    hire(&mut company, 0..people, team);
    company.run();
    company.policy = parse_yaml("policy.yaml", &POLICY.replace("BRAKES", brakes)).unwrap();
    company
}

fn hire(company: &mut Company, numbers: std::ops::Range<usize>, team: &str) {
    for number in numbers {
        company.hire(&format!("E{number:02}"), "2025-01-06", &[("team", team)]);
    }
}

fn leave(company: &mut Company, numbers: std::ops::Range<usize>) {
    numbers.for_each(|number| company.last_day(&format!("E{number:02}"), "2026-03-01"));
}

const OFF: &str = "max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100%";

/// What the target holds and how many runs there are.
fn picture(company: &Company) -> (String, usize) {
    let runs = block_on(company.store.runs()).unwrap().len();
    (format!("{:?}", company.targets["t"].state().accounts), runs)
}

/// Looks and acts; the brake of this name stops it, and nothing at all is done.
fn stopped(company: &Company, brake: &str) -> Digest {
    let before = picture(company);
    let batch = company.look();
    assert!(batch.plans().count() > 0);
    match block_on(company.engine.execute(batch, None)) {
        Err(EngineError::Braked(report)) => {
            let names: Vec<&str> = report.tripped.iter().map(|trip| trip.brake).collect();
            assert_eq!(names, [brake]);
            assert_eq!(picture(company), before, "{brake}: 0 changes executed");
            report.batch
        }
        other => panic!("{brake}: {other:?}"),
    }
}

#[test]
fn six_new_accounts_under_stop_at_five() {
    let mut five = company(&format!("{OFF}, max_creates: 5"), 0, "x");
    hire(&mut five, 0..5, "x");
    assert_eq!(five.run().runs.len(), 5);
    let mut six = company(&format!("{OFF}, max_creates: 5"), 0, "x");
    hire(&mut six, 0..6, "x");
    stopped(&six, "max_creates");
}

#[test]
fn six_leavers_under_stop_at_three() {
    let mut company = company(&format!("{OFF}, max_leavers: 3"), 10, "x");
    leave(&mut company, 0..6);
    stopped(&company, "max_leavers");
    // Fewer go.
    for number in 3..6 {
        company.person(&format!("E{number:02}")).identity.engagements[0].end = None;
    }
    assert_eq!(company.run().runs.len(), 3);
}

#[test]
fn a_drip_of_one_a_minute_under_a_rolling_limit() {
    let mut company =
        company(&format!("{OFF}, max_leavers_in_window: 3, window_hours: 2"), 10, "x");
    for number in 0..3 {
        leave(&mut company, number..number + 1);
        assert_eq!(company.run().runs.len(), 1);
        company.clock.advance(TimeDelta::minutes(1));
    }
    leave(&mut company, 3..4);
    for _ in 0..5 {
        stopped(&company, "max_leavers_in_window");
        company.clock.advance(TimeDelta::minutes(1));
    }
    // Two hours after the first one there is room for one again.
    company.clock.advance(TimeDelta::hours(2) - TimeDelta::minutes(8));
    assert_eq!(company.run().runs.len(), 1);
}

#[test]
fn everybody_out_of_one_group() {
    let brakes = "max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 50%";
    let mut company = company(brakes, 24, "red");
    for number in 0..24 {
        company.say(&format!("E{number:02}"), &[("team", "x")]);
    }
    stopped(&company, "max_group_loss_share");
    assert!(company.holds("E07", "t").contains("group/red"));
}

#[test]
fn everybody_out_of_the_privileged_set() {
    let mut company = company(&format!("{OFF}, max_privileged_revokes: 2"), 4, "admin");
    (0..3).for_each(|number| company.say(&format!("E{number:02}"), &[("team", "x")]));
    stopped(&company, "max_privileged_revokes");
}

#[test]
fn an_edited_rule_is_counted_as_well() {
    // Nobody's facts change; the policy does.
    let brakes = "max_leavers_share: 100%, max_revokes_share: 20%, max_group_loss_share: 100%";
    let mut company = company(brakes, 24, "red");
    let text = POLICY.replace("BRAKES", brakes).replace("team: red", "team: crimson");
    company.policy = parse_yaml("policy.yaml", &text).unwrap();
    stopped(&company, "max_revokes_share");
}

#[test]
fn one_dismissal_is_exempt_and_two_are_not() {
    let mut company = company(&format!("{OFF}, max_leavers: 0"), 5, "x");
    let now = company.clock.now();
    let dismiss = |company: &mut Company, who: &str| {
        let engagement = &mut company.person(who).identity.engagements[0];
        (engagement.ending, engagement.cut_off) = (Ending::ForCause, Some(now));
    };
    dismiss(&mut company, "E00");
    company.run();
    assert_eq!(company.status("E00", "t"), Some(AccountStatus::Disabled));
    dismiss(&mut company, "E01");
    dismiss(&mut company, "E02");
    stopped(&company, "max_leavers");
}

fn read(rows: u64, records: Vec<FeedRecord>) -> Feed {
    let stats = FeedStats {
        rows,
        rejected: 0,
        duplicate_anchors: 0,
        columns: vec!["id".to_owned()],
        empty_cells: BTreeMap::new(),
    };
    let source = "hr".parse().unwrap();
    let read_at = crate::support::start();
    let digest = Digest::plain(b"");
    Feed { source, read_at, made_at: None, records, rejected: Vec::new(), stats, digest }
}

#[test]
fn a_feed_that_is_empty_or_halved() {
    let mut company = company(OFF, 20, "x");
    let record = |number: u64| {
        let facts = &company.facts.people[&person(&format!("E{number:02}"))].identity;
        let (identity, kind) = (facts.id.clone(), facts.kind.clone());
        let engagement = facts.engagements[0].clone();
        FeedRecord { identity, kind, engagement, attributes: BTreeMap::new(), line: number + 2 }
    };
    let last = read(20, Vec::new()).stats;
    let rules = company.policy.feed.clone();
    let before = picture(&company);
    for bad in [read(0, Vec::new()), read(10, (0..10).map(record).collect())] {
        let issues = feed::judge(&bad, Some(&last), &rules, company.clock.now());
        assert!(!issues.is_empty(), "it is refused as a whole");
        // And if somebody took it in all the same: who is not in it has not left.
        let now = company.clock.now();
        let report = company.facts.merge(&bad, now);
        assert_eq!(report.unseen.len() as u64, 20 - bad.stats.rows);
        company.run();
        assert_eq!(picture(&company), before, "0 changes executed");
    }
}

#[test]
fn an_override_is_for_one_batch_until_an_instant() {
    let mut company = company(&format!("{OFF}, max_leavers: 1"), 5, "x");
    leave(&mut company, 0..2);
    let name = stopped(&company, "max_leavers");
    let now = company.clock.now();
    let word = |batch, why: &str, hours| Override {
        batch,
        by: person("BOSS"),
        why: why.to_owned(),
        expires: now + TimeDelta::hours(hours),
    };
    let passes = |company: &Company, word: &Override| {
        block_on(company.engine.execute(company.look(), Some(word))).is_ok()
    };
    let before = picture(&company);
    for wrong in [
        word(Digest::plain(b"another"), "site closes", 1),
        word(name, " ", 1),
        word(name, "late", 0),
    ] {
        assert!(!passes(&company, &wrong), "{wrong:?}");
        assert_eq!(picture(&company), before);
    }
    // One more leaver is another batch.
    leave(&mut company, 2..3);
    assert!(!passes(&company, &word(name, "site closes", 1)));
    company.person("E02").identity.engagements[0].end = None;
    // The same changes a minute later are the same batch; every run of it says who let it pass.
    company.clock.advance(TimeDelta::minutes(1));
    let done =
        block_on(company.engine.execute(company.look(), Some(&word(name, "site closes", 1))));
    for report in done.unwrap().runs {
        let facts = company.facts_of(&report.view.run);
        assert!(matches!(&facts[1], Fact::BrakeOverridden { batch, .. } if *batch == name));
    }
    // The limit is what it was.
    leave(&mut company, 2..4);
    stopped(&company, "max_leavers");
}

#[test]
fn of_two_planners_one_acts() {
    let mut company = company(OFF, 3, "x");
    company.say("E00", &[("team", "red")]);
    company.say("E01", &[("team", "red")]);
    let (one, other) = (company.look(), company.look());
    company.say("E01", &[("team", "x")]);
    let done = block_on(company.engine.execute(one, None)).unwrap();
    assert_eq!((done.runs.len(), done.overtaken.len()), (2, 0));
    let runs = picture(&company).1;
    let late = block_on(company.engine.execute(other, None)).unwrap();
    assert_eq!(late.runs.len(), 0);
    assert_eq!(late.overtaken, [person("E00"), person("E01")].into());
    assert_eq!(picture(&company).1, runs, "not one run was opened");
    // Looking again finds what is right now.
    company.run();
    assert!(!company.holds("E01", "t").contains("group/red"));
}

#[test]
fn runs_that_were_opened_are_taken_up_by_whoever_works() {
    let mut company = company(OFF, 2, "x");
    company.say("E00", &[("team", "red")]);
    let opened = block_on(company.engine.enqueue(company.look(), None)).unwrap();
    assert_eq!(opened.runs.len(), 1);
    assert!(!company.holds("E00", "t").contains("group/red"), "nothing is done yet");
    assert_eq!(company.look().plans().count(), 0, "it is under way");
    let worked = block_on(company.engine.work(4)).unwrap();
    assert_eq!(worked.runs.len(), 1);
    assert_eq!((worked.until(), worked.elsewhere.len()), (None, 0));
    assert!(company.holds("E00", "t").contains("group/red"));
    assert!(block_on(company.engine.work(4)).unwrap().runs.is_empty());
}
