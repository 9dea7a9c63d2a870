//! Reconciliation: whose accounts are, what somebody else changed, and three paths to the same state.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use jml_core::account::{AccountRef, AccountState, AccountStatus};
use jml_core::clock::Clock as _;
use jml_core::facts::Link;
use jml_core::id::IdentityId;
use jml_core::plan::LifecycleKind;
use jml_diff::{Drift, LinkedBy, drift, legalize};
use jml_engine::{Request, Selection, Watch};
use proptest::prelude::*;

use crate::company::{Company, texts};
use crate::support::{account as id, key, person, start};

const POLICY: &str = r#"
version: "1"
sources: [hr]
attributes:
  email: { type: text }
  team: { type: text }
  first: { type: text }
  last: { type: text }
  badge: { type: text }
entitlements:
  t/group/staff: { title: Staff }
  t/group/red: { title: Red, on_move: { overlap: 3 } }
  t/group/blue: { title: Blue }
  t/group/extra: { title: Extra }
rules:
  staff: { title: Staff, when: always, grants: [t/group/staff] }
  red: { title: Red, when: { eq: { team: red } }, grants: [t/group/red] }
  blue: { title: Blue, when: { eq: { team: blue } }, grants: [t/group/blue] }
accounts:
  t:
    user_name: email
    attributes: { badge: badge, given: first, family: last }
    correlate:
      strong: [badge]
      weights: { user_name: 50, family: 30, given: 20 }
      link: 80
      ask: 50
modes: { default: MODE }
brakes: { max_leavers_share: 100%, max_revokes_share: 100%, max_group_loss_share: 100% }
"#;

fn company(mode: &str) -> Company {
    Company::new(&POLICY.replace("MODE", mode), &["t"])
}

/// An account that names nobody, with what it says about whose it is.
fn found(company: &Company, name: &str, user: &str, says: &[(&str, &str)]) {
    let mut state = AccountState::new(id(name), user, AccountStatus::Active);
    for (attribute, value) in says {
        let value = jml_core::attribute::AttributeValue::text(*value);
        state.attributes.insert(attribute.parse().unwrap(), value);
    }
    company.targets["t"].out_of_band(|world| world.accounts.insert(state.id.clone(), state));
}

fn at(name: &str) -> AccountRef {
    AccountRef::new("t".parse().unwrap(), id(name))
}

#[test]
fn strong_ids_are_exact_and_scores_have_a_band_for_people() {
    let mut company = company("full");
    let ada = [("first", "Ada"), ("last", "Byron"), ("badge", "B1"), ("team", "x")];
    company.hire("E1", "2025-01-06", &ada);
    company.hire(
        "E2",
        "2025-01-06",
        &[("first", "Ada"), ("last", "Byron"), ("badge", "B2"), ("team", "x")],
    );
    company.hire(
        "E3",
        "2025-01-06",
        &[("first", "Carl"), ("last", "Gauss"), ("badge", ""), ("team", "x")],
    );
    company.hire(
        "E4",
        "2025-01-06",
        &[("first", "Emmy"), ("last", "Noether"), ("badge", "B4"), ("team", "x")],
    );
    company.hire(
        "E5",
        "2025-01-06",
        &[("first", "Max"), ("last", "Born"), ("badge", "B6"), ("team", "x")],
    );
    company.hire(
        "E6",
        "2025-01-06",
        &[("first", "Max"), ("last", "Planck"), ("badge", "B6"), ("team", "x")],
    );
    // The badge says E2, though everything else says E1.
    found(
        &company,
        "a1",
        "e1@example.test",
        &[("badge", "B2"), ("family", "Byron"), ("given", "Ada")],
    );
    // Name and family name, in another case: 80.
    found(&company, "a2", "E3@Example.test", &[("family", "gauss"), ("badge", " ")]);
    // Only the given and the family name: 50, of one person. A person decides.
    found(&company, "a3", "emmy@old.test", &[("family", "Noether"), ("given", "Emmy")]);
    // Both have the badge: a dispute, not the first of them.
    found(&company, "a4", "max@old.test", &[("badge", "B6")]);
    // Ada Byron, twice: the runner-up is too near.
    found(&company, "a5", "ada@old.test", &[("family", "Byron"), ("given", "Ada")]);
    // Nobody.
    found(&company, "a6", "room-4@example.test", &[("given", "Room")]);
    let batch = company.look();
    let world = &batch.world;
    let owner = |name: &str| {
        let owns = |it: &&IdentityId| world.accounts(it).any(|(account, _)| *account == at(name));
        company.facts.people.keys().find(owns).map(ToString::to_string)
    };
    assert_eq!(owner("a1").as_deref(), Some("E2"));
    assert_eq!(world.linked_by(&at("a1")), Some(&LinkedBy::Strong("badge".parse().unwrap())));
    assert_eq!(owner("a2").as_deref(), Some("E3"));
    assert_eq!(world.linked_by(&at("a2")), Some(&LinkedBy::Score(80)));
    assert_eq!(world.maybe()[&at("a3")], BTreeMap::from([(person("E4"), 50)]));
    let both = BTreeMap::from([(person("E1"), 50), (person("E2"), 50)]);
    assert_eq!(world.maybe()[&at("a5")], both);
    let disputed: Vec<_> =
        world.disputed().iter().map(|it| (&it.account, &it.candidates)).collect();
    assert_eq!(disputed, [(&at("a4"), &BTreeSet::from([person("E5"), person("E6")]))]);
    let orphans: BTreeSet<_> = world.orphans().keys().cloned().collect();
    assert_eq!(orphans, ["a3", "a4", "a5", "a6"].map(at).into());
    // While it is open whether an account is theirs, nobody is given another one.
    let plans: BTreeSet<String> =
        batch.plans().map(|plan| plan.header().identity.to_string()).collect();
    assert_eq!(plans, texts(&["E2", "E3"]));
    let waits = |who: &str| {
        let of = batch.planned.iter().find(|it| it.delta.identity == person(who)).unwrap();
        of.waits.iter().any(|wait| wait.why.contains("a person has to say"))
    };
    assert!(["E1", "E4", "E5", "E6"].iter().all(|who| waits(who)));
    // A person says.
    let now = company.clock.now();
    let say = |account: &str, identity: Option<&str>| {
        let (account, by) = (at(account), person("BOSS"));
        Link { account, identity: identity.map(person), by, at: now }
    };
    company.facts.links =
        vec![say("a3", Some("E4")), say("a4", Some("E5")), say("a5", None), say("a1", Some("E1"))];
    let batch = company.look();
    assert_eq!(batch.world.linked_by(&at("a3")), Some(&LinkedBy::Said { by: person("BOSS") }));
    assert!(batch.world.maybe().is_empty() && batch.world.disputed().is_empty());
    company.run();
    let theirs = company.targets["t"].state().accounts[&id("a3")].holdings.clone();
    assert!(theirs.contains(&key("group/staff")), "E4 works with the account that was found");
}

#[test]
fn drift_is_named_and_put_back() {
    let mut company = company("full");
    company.hire("E1", "2025-01-06", &[("team", "red")]);
    company.run();
    let batch = company.look();
    assert_eq!(batch.plans().count(), 0);
    company.targets["t"].out_of_band(|world| {
        for account in world.accounts.values_mut() {
            account.holdings = [key("group/staff"), key("group/extra")].into();
        }
    });
    let batch = company.look();
    let planned = &batch.planned[0];
    let found = drift(&planned.delta, &batch.world, &batch.ledger);
    let names: Vec<String> = found
        .iter()
        .map(|it| match it {
            Drift::Lost { entitlement, .. } => format!("lost {entitlement}"),
            Drift::Added { entitlement, .. } => format!("added {entitlement}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["lost t/group/red", "added t/group/extra"]);
    assert_eq!(planned.kind, LifecycleKind::Drift);
    company.run();
    assert_eq!(company.holds("E1", "t"), texts(&["group/staff", "group/red"]));
    // Somebody opens the account of somebody who left.
    company.last_day("E1", "2026-03-01");
    company.run();
    company.targets["t"].out_of_band(|world| {
        world.accounts.values_mut().for_each(|account| account.status = AccountStatus::Active);
    });
    let batch = company.look();
    let found = drift(&batch.planned[0].delta, &batch.world, &batch.ledger);
    assert!(matches!(found.as_slice(), [Drift::Reopened { .. }]), "{found:?}");
    company.run();
    assert_eq!(company.status("E1", "t"), Some(AccountStatus::Disabled));
}

#[test]
fn what_is_found_can_be_taken_over_until_a_date() {
    for mode in ["full", "relative", "observe"] {
        let mut company = company(mode);
        company.hire("E1", "2025-01-06", &[("team", "red")]);
        let mut state = AccountState::new(id("a1"), "e1@example.test", AccountStatus::Active);
        state.external_id = Some(person("E1"));
        state.holdings = ["group/staff", "group/red", "group/extra"].map(key).into();
        company.targets["t"].out_of_band(|world| world.accounts.insert(id("a1"), state));
        let batch = company.look();
        let (now, by) = (company.clock.now(), person("BOSS"));
        let review = now + TimeDelta::days(30);
        let adopted = legalize(&batch.planned[0].delta, &batch.ledger, &by, now, review);
        let names: Vec<String> = adopted.iter().map(|it| it.entitlement.to_string()).collect();
        assert_eq!(names, ["t/group/extra"], "{mode}");
        company.person("E1").adoptions = adopted;
        let batch = company.look();
        assert_eq!(batch.plans().count(), 0, "{mode}");
        let keeps = batch.planned[0].delta.with(jml_diff::Verdict::Keep);
        let why: Vec<&str> = keeps.map(|line| line.because.as_str()).collect();
        assert!(why.iter().any(|why| why.contains("adopted by `BOSS`")), "{why:?}");
        // Its end is an instant like any other.
        assert_eq!(batch.next_change_at(), Some(review), "{mode}");
        company.clock.advance(TimeDelta::days(31));
        let takes = company.look().plans().count();
        assert_eq!(takes, usize::from(mode == "full"), "{mode}");
    }
}

/// A day of somebody's life here.
#[derive(Clone, Debug)]
enum Happens {
    Hired {
        who: usize,
        in_days: i64,
    },
    Team {
        who: usize,
        team: &'static str,
    },
    LastDay {
        who: usize,
        in_days: i64,
    },
    /// Somebody else takes away what we gave.
    Tampered {
        who: usize,
    },
}

fn happens() -> impl Strategy<Value = (i64, Happens)> {
    let who = 0..3_usize;
    let what = prop_oneof![
        (who.clone(), -3..6_i64).prop_map(|(who, in_days)| Happens::Hired { who, in_days }),
        (who.clone(), prop_oneof![Just("red"), Just("blue"), Just("x")])
            .prop_map(|(who, team)| Happens::Team { who, team }),
        (who.clone(), -2..6_i64).prop_map(|(who, in_days)| Happens::LastDay { who, in_days }),
        who.prop_map(|who| Happens::Tampered { who }),
    ];
    (0..20_i64, what)
}

/// Which of the three paths work.
#[derive(Clone, Copy, Debug)]
struct Paths {
    events: bool,
    timers: bool,
    sweep: Option<TimeDelta>,
}

/// What every account is in the end.
type World = BTreeMap<String, (AccountStatus, BTreeSet<String>)>;

fn day(in_days: i64, now: DateTime<Utc>) -> chrono::NaiveDate {
    (now + TimeDelta::days(in_days)).date_naive()
}

/// Lets a history happen, and looks when the paths that work say so. At last a sweep, and everybody looked
/// at until it is calm.
fn live(story: &[(i64, Happens)], paths: Paths) -> World {
    let mut company = company("full");
    let mut story = story.to_vec();
    story.sort_by_key(|(day, _)| *day);
    let end = start() + TimeDelta::days(30);
    let mut watch = Watch::new(paths.sweep.unwrap_or(TimeDelta::days(10_000)));
    look(&company, &mut watch, &Selection::All);
    let mut next = 0;
    loop {
        let now = company.clock.now();
        while let Some((_, event)) =
            story.get(next).filter(|(day, _)| start() + TimeDelta::days(*day) <= now)
        {
            let who = happen(&mut company, event);
            next += 1;
            if let Some(who) = who.filter(|_| paths.events) {
                watch.event(who.parse().unwrap());
            }
        }
        if let Some(who) = watch.due(now) {
            look(&company, &mut watch, &who);
        }
        let happens = story.get(next).map_or(end, |(day, _)| start() + TimeDelta::days(*day));
        let due = if paths.timers || paths.sweep.is_some() { watch.next(now) } else { end };
        let then = happens.min(due).min(end);
        if now >= end {
            break;
        }
        company.clock.set(then.max(now + TimeDelta::seconds(1)));
    }
    for _ in 0..5 {
        look(&company, &mut watch, &Selection::All);
    }
    assert_eq!(company.look().plans().count(), 0, "calm at last");
    let all = company.targets["t"].state().accounts;
    // Whoever came and went between two looks has no account or a closed one: no access either way.
    let live = all.into_values().filter(|it| it.status.can_sign_in() || !it.holdings.is_empty());
    let world = live.map(|it| {
        let holds = it.holdings.iter().map(ToString::to_string).collect();
        (it.user_name.to_string(), (it.status, holds))
    });
    world.collect()
}

fn look(company: &Company, watch: &mut Watch, who: &Selection) {
    let at = company.clock.now();
    let (policy, facts) = (&company.policy, &company.facts);
    let request = Request { policy, facts, who, hint: None, cause: "test", at };
    let batch = block_on(company.engine.prepare(&request)).unwrap();
    watch.looked(who, &batch, at);
    block_on(company.engine.execute(batch, None)).unwrap();
}

fn happen(company: &mut Company, event: &Happens) -> Option<String> {
    let now = company.clock.now();
    let known = |company: &Company, who: &str| company.facts.people.contains_key(&person(who));
    let name = |who: &usize| format!("E{who}");
    match event {
        Happens::Hired { who, in_days } => {
            let who = name(who);
            if known(company, &who) {
                return None;
            }
            company.hire(
                &who,
                &day(*in_days, now).to_string(),
                &[("team", "red"), ("badge", &who)],
            );
            Some(who)
        }
        Happens::Team { who, team } => {
            let who = name(who);
            known(company, &who).then(|| company.say(&who, &[("team", team)]))?;
            Some(who)
        }
        Happens::LastDay { who, in_days } => {
            let who = name(who);
            if !known(company, &who) {
                return None;
            }
            let first = company.person(&who).identity.engagements[0].start;
            company.last_day(&who, &day(*in_days, now).max(first).to_string());
            Some(who)
        }
        Happens::Tampered { who } => {
            let who = name(who);
            company.targets["t"].out_of_band(|world| {
                for account in world.accounts.values_mut() {
                    if account.external_id == Some(person(&who)) {
                        account.holdings.remove(&key("group/staff"));
                    }
                }
            });
            // Nobody hears of it: only a sweep finds it.
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Events, timers and sweeps are three ways to notice, and none to decide: whichever of them work, the
    /// last sweep finds nothing that is not the same.
    #[test]
    fn three_paths_lead_to_the_same_state(story in prop::collection::vec(happens(), 1..12)) {
        let daily = Some(TimeDelta::days(1));
        let all = live(&story, Paths { events: true, timers: true, sweep: daily });
        for (events, timers, sweep) in [
            (true, true, None),
            (true, false, None),
            (false, true, None),
            (false, false, daily),
            (false, false, Some(TimeDelta::days(7))),
        ] {
            let some = live(&story, Paths { events, timers, sweep });
            prop_assert_eq!(&some, &all, "events {}, timers {}, sweep {:?}", events, timers, sweep);
        }
    }
}
