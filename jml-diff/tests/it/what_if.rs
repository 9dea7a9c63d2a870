//! A preview says what computing everything twice says, and a back-test what a preview says day by day.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use chrono::TimeDelta;
use jml_core::account::AccountStatus;
use jml_core::approval::Deciders;
use jml_core::desired::{Desired, Finding, desired};
use jml_core::digest::Digest;
use jml_core::entitlement::EntitlementRef;
use jml_core::id::{IdentityId, RunId};
use jml_core::identity::LifecycleState;
use jml_core::journal::{Actor, Entry, Fact, JOURNAL_FORMAT, RunMode};
use jml_core::plan::LifecycleKind;
use jml_core::policy::Policy;
use jml_core::provider::Observation;
use jml_core::time::TzdbZones;
use jml_diff::population::{Effects, Population};
use jml_diff::what_if::{Preview, PreviewInput, Snapshot, backtest, preview};
use jml_diff::{AccountLine, Delta, PlanInput, Planned, Verdict, delta, plan};
use proptest::prelude::*;

use crate::company::{Company, Stand, at, edits, people};

fn look(company: &Company, before: &Policy, after: &Policy, threads: usize) -> Preview {
    let (facts, world, ledger) = (&company.facts, &company.world, &company.ledger);
    let threads = NonZeroUsize::new(threads).unwrap();
    let zones = &TzdbZones;
    let input = PreviewInput { before, after, facts, world, ledger, zones, at: at(), threads };
    preview(&input).unwrap()
}

type ByEntitlement = BTreeMap<EntitlementRef, BTreeSet<IdentityId>>;

/// Who is entitled to what of `one` and not of `other`.
fn only(one: &[Desired], other: &[Desired]) -> ByEntitlement {
    let mut out = ByEntitlement::new();
    for (one, other) in one.iter().zip(other) {
        for entitlement in one.entitlements().difference(&other.entitlements()) {
            let who = out.entry((*entitlement).clone()).or_default();
            who.insert(one.identity.clone());
        }
    }
    out
}

/// Plans everybody.
fn planned(company: &Company, policy: &Policy, all: &[Desired]) -> Vec<Planned> {
    let digest = policy.digest().unwrap();
    let Company { facts, world, ledger } = company;
    let deciders = Deciders { policy, facts, zones: &TzdbZones, at: at() };
    let one = |desired: &Desired| {
        plan(&PlanInput {
            policy,
            policy_digest: &digest,
            facts: &facts.people[&desired.identity],
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
    };
    all.iter().map(|desired| one(desired).unwrap()).collect()
}

/// People who lose their accounts because they left, by the kinds of their plans, which brakes go by.
fn leavers(planned: &[Planned]) -> u64 {
    let leaves = |it: &&Planned| {
        it.kind == LifecycleKind::Leave && it.plan.is_some() && !it.delta.accounts.is_empty()
    };
    planned.iter().filter(leaves).count() as u64
}

fn effects(deltas: &[Delta], planned: &[Planned]) -> Effects {
    let mut effects = Effects { leavers: leavers(planned), ..Effects::default() };
    for delta in deltas {
        for line in &delta.access {
            match line.verdict {
                Verdict::Grant => effects.grants += 1,
                Verdict::Revoke => {
                    *effects.revokes.entry(line.entitlement.clone()).or_insert(0) += 1;
                    effects.privileged += u64::from(line.sensitivity.is_critical());
                }
                _ => {}
            }
        }
        let creates = |line: &&AccountLine| matches!(line, AccountLine::Create { .. });
        effects.creates += delta.accounts.iter().filter(creates).count() as u64;
        let deletes = |line: &&AccountLine| matches!(line, AccountLine::Delete { .. });
        effects.deletes += delta.accounts.iter().filter(deletes).count() as u64;
    }
    effects
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_preview_is_as_if_everything_were_computed_twice(
        (before, after) in edits(), people in people(14), incomplete in prop::bool::weighted(0.1),
    ) {
        let (before, after) = (before.policy(), after.policy());
        let company = Company::new(&people, &before, incomplete);
        let found = look(&company, &before, &after, 1);
        prop_assert_eq!(&look(&company, &before, &after, 3), &found);
        let sides = [&before, &after].map(|policy| company.desired(policy));
        prop_assert_eq!(&found.gains, &only(&sides[1], &sides[0]));
        prop_assert_eq!(&found.losses, &only(&sides[0], &sides[1]));
        for (old, new) in sides[0].iter().zip(&sides[1]) {
            let of = |it: &Desired| -> BTreeSet<_> {
                let conflict = |finding: &Finding| match finding {
                    Finding::SodConflict { conflict, .. } => Some(conflict.clone()),
                    _ => None,
                };
                it.findings.iter().filter_map(conflict).collect()
            };
            let fresh: BTreeSet<_> = of(new).difference(&of(old)).cloned().collect();
            let said = found.conflicts.get(&new.identity).cloned().unwrap_or_default();
            prop_assert_eq!(said, fresh);
        }
        for (number, policy) in [&before, &after].into_iter().enumerate() {
            let all = &sides[number];
            let deltas: Vec<Delta> =
                all.iter().map(|it| delta(policy, it, &company.world, &company.ledger)).collect();
            let plans = planned(&company, policy, all);
            prop_assert_eq!(&found.effects[number], &effects(&deltas, &plans));
            let grants = deltas.iter().map(|it| it.with(Verdict::Grant).count() as u64).sum::<u64>();
            prop_assert_eq!(found.totals[number].grants, grants);
        }
    }

    #[test]
    fn a_backtest_is_a_preview_a_day(
        (before, after) in edits(), people in people(14), swap in any::<bool>(),
    ) {
        let (before, after) = (before.policy(), after.policy());
        let company = Company::new(&people, &before, false);
        let days: Vec<_> = [-800, -200, -20, -1, 0, 30, 400].map(TimeDelta::days).into();
        let history: Vec<Snapshot<'_>> = days
            .iter()
            .enumerate()
            .map(|(number, days)| Snapshot {
                at: at() + *days,
                facts: &company.facts,
                // The policy in force changes in between, there and back.
                in_force: if swap && number % 3 == 1 { &after } else { &before },
            })
            .collect();
        for (snapshot, tested) in history.iter().zip(backtest(&history, &after, &TzdbZones)) {
            let all = |policy: &Policy| -> Vec<Desired> {
                let people = snapshot.facts.people.values();
                people.map(|facts| desired(policy, facts, &TzdbZones, snapshot.at)).collect()
            };
            let (old, new) = (all(snapshot.in_force), all(&after));
            let count = |all: ByEntitlement| -> BTreeMap<EntitlementRef, u64> {
                all.into_iter().map(|(what, who)| (what, who.len() as u64)).collect()
            };
            prop_assert_eq!(&tested.gains, &count(only(&new, &old)));
            prop_assert_eq!(&tested.losses, &count(only(&old, &new)));
            let differ = old.iter().zip(&new).filter(|(a, b)| a.entitlements() != b.entitlements());
            prop_assert_eq!(tested.affected, differ.count() as u64);
            prop_assert_eq!((tested.at, tested.people), (snapshot.at, people.len() as u64));
        }
    }
}

/// Claims are computed once for people whom rules cannot tell apart.
#[test]
fn people_whom_rules_cannot_tell_apart_are_one_profile() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut people_seen, mut profiles) = (0, 0);
    for _ in 0..30 {
        let (spec, _) = edits().new_tree(&mut runner).unwrap().current();
        let some = people(60).new_tree(&mut runner).unwrap().current();
        let policy = spec.policy();
        let company = Company::new(&some, &policy, false);
        let found = look(&company, &policy, &policy, 1);
        assert!(found.gains.is_empty() && found.losses.is_empty() && found.conflicts.is_empty());
        assert_eq!(found.effects[0], found.effects[1]);
        // Four departments, and two states in which somebody is here.
        assert!(found.profiles[0] <= 8, "{} profiles", found.profiles[0]);
        people_seen += found.people;
        profiles += found.profiles[0];
    }
    assert!(profiles > 20 && profiles * 3 < people_seen, "{profiles} of {people_seen}");
}

/// Whoever left is a leaver once: not again when what was closed is deleted; and between two engagements, too.
#[test]
fn a_leave_is_counted_when_plans_call_it_one() {
    let mut policy = quiet("7", "t/group/wiki");
    let count = |company: &Company, policy: &Policy| {
        let all = company.desired(policy);
        let plans = planned(company, policy, &all);
        let found = look(company, policy, policy, 1).effects[0].clone();
        let states: Vec<LifecycleState> = all.iter().map(|it| it.state).collect();
        (states, plans, found)
    };
    // All eight between two engagements, with accounts that can sign in.
    let company = crate::company::eight(&policy, Stand::Between, AccountStatus::Active);
    let (states, plans, found) = count(&company, &policy);
    assert!(states.iter().all(|it| *it == LifecycleState::PreHire));
    assert_eq!((leavers(&plans), found.leavers), (8, 8));
    let population =
        Population::new(&policy, &company.world, &company.ledger, company.desired(&policy));
    assert_eq!(population.unwrap().odd(), 8);
    // All eight left, are closed, and their accounts are deleted by and by.
    let mut company = crate::company::eight(&policy, Stand::Left, AccountStatus::Active);
    let (_, leaves, found) = count(&company, &policy);
    assert_eq!((leavers(&leaves), found.leavers), (8, 8));
    let mut closed = crate::company::eight(&policy, Stand::Left, AccountStatus::Disabled);
    for planned in leaves {
        company.ledger.record(&journal(&planned));
    }
    closed.ledger = company.ledger;
    policy.leaver.delete_after_days = Some(30);
    let (_, plans, found) = count(&closed, &policy);
    assert!(plans.iter().all(|it| it.kind == LifecycleKind::Retention));
    assert_eq!((leavers(&plans), found.leavers, found.deletes), (0, 0, 8));
}

/// The journal of a plan that was carried out long ago.
fn journal(planned: &Planned) -> Vec<Entry> {
    let plan = planned.plan.clone().unwrap();
    let run = RunId::new("run").unwrap();
    let steps: Vec<_> = plan.steps().keys().cloned().collect();
    let opened =
        Fact::Opened { format: JOURNAL_FORMAT, run, plan: Box::new(plan), mode: RunMode::Executed };
    let verified = steps.into_iter().map(|step| Fact::Verified {
        step,
        before: Observation::NotObserved,
        after: Observation::NotObserved,
        already: false,
    });
    let entry = |(seq, fact)| Entry {
        seq,
        at: at() - TimeDelta::days(100),
        actor: Actor::Engine,
        fact,
        prev: Digest::plain(b"before"),
    };
    (0..).zip(std::iter::once(opened).chain(verified)).map(entry).collect()
}

/// A policy of one department that is given something.
fn quiet(version: &str, grants: &str) -> Policy {
    let text = format!(
        "version: \"{version}\"\nsources: [hr]\nattributes:\n  email: {{ type: text }}\n  department: {{ type: text }}\n\
         entitlements:\n  t/group/pay: {{ title: Pay }}\n  t/group/check: {{ title: Check, sensitivity: privileged }}\n  \
         t/group/wiki: {{ title: Wiki }}\nroles:\n  d1: {{ title: D1, version: 1, grants: [{grants}] }}\nrules:\n  \
         one: {{ title: One, when: {{ eq: {{ department: d1 }} }}, roles: [d1] }}\n\
         sod:\n  money: {{ title: Money, duties: [[t/group/pay], [t/group/check]] }}\naccounts:\n  t: {{ user_name: email }}\n"
    );
    jml_core::policy_file::parse_yaml("policy.yaml", &text).unwrap()
}

/// A preview as people read it.
#[test]
fn a_preview_reads_like_this() {
    let before = quiet("7", "t/group/wiki");
    let after = quiet("8", "t/group/pay, t/group/check");
    let company = crate::company::eight(&before, Stand::Here, AccountStatus::Active);
    let found = look(&company, &before, &after, 1);
    assert_eq!(found.to_string(), TEXT);
    let history = [Snapshot { at: at(), facts: &company.facts, in_force: &before }];
    let tested = backtest(&history, &after, &TzdbZones);
    assert_eq!(tested[0].to_string(), TESTED);
    assert_eq!(found.affected().len() as u64, tested[0].affected);
}

const TEXT: &str = "\
policy 7 -> 8, 8 people at 2026-03-02 08:00:00 UTC
entitled to something else: 7
  + t/group/check: 7 (E000, E001, E002, E004, E005 and 2 more)
  - t/group/wiki: 7 (E000, E001, E002, E004, E005 and 2 more)
  ! `money` by t/group/check and t/group/pay: 7 (E000, E001, E002, E004, E005 and 2 more)
to be carried out:
  grants: 0 -> 0
  revokes: 1 -> 8
  privileged revokes: 0 -> 0
  new accounts: 0 -> 0
  deleted accounts: 0 -> 0
  leavers: 0 -> 0
";

const TESTED: &str = "2026-03-02 08:00:00 UTC: 8 people, 7 affected, 7 gains, 7 losses, \
    7 with a new conflict of duties";
