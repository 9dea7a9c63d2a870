//! One truth: everybody at once gets the same answers as everybody one by one.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use jml_core::desired::{Desired, desired};
use jml_core::id::IdentityId;
use jml_core::policy::Policy;
use jml_core::time::TzdbZones;
use jml_diff::population::flat::{Builder, Deltas, Fate, Flat, FlatError, OURS, Totals, numbering};
use jml_diff::population::{Population, PopulationDelta, PopulationError, concerned};
use jml_diff::{Delta, Verdict, delta};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::company::{Company, PolicySpec, at, edits, people, policies};

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

type Lines = BTreeSet<(IdentityId, String, String)>;

/// Everything that differs, by the one-by-one delta.
fn by_person(deltas: &[Delta]) -> Lines {
    let lines = deltas.iter().flat_map(|delta| {
        delta.access.iter().map(|line| (delta.identity.clone(), &line.entitlement, line.verdict))
    });
    let lines = lines.filter(|(_, _, verdict)| *verdict != Verdict::Keep);
    lines.map(|(who, what, verdict)| (who, what.to_string(), format!("{verdict:?}"))).collect()
}

fn at_once(answer: &PopulationDelta, population: &Population<'_>) -> Lines {
    let lines = answer.lines(population);
    lines
        .map(|it| (it.identity.clone(), it.entitlement.to_string(), format!("{:?}", it.verdict)))
        .collect()
}

fn totals(deltas: &[Delta]) -> Totals {
    let count = |is: &dyn Fn(Verdict) -> bool| {
        let lines = deltas.iter().flat_map(|delta| &delta.access);
        lines.filter(|line| is(line.verdict)).count() as u64
    };
    let differs = |delta: &&Delta| {
        !delta.waits.is_empty() || delta.access.iter().any(|line| line.verdict != Verdict::Keep)
    };
    Totals {
        people: deltas.iter().filter(differs).count() as u64,
        grants: count(&|it| it == Verdict::Grant),
        waits: deltas.iter().map(|delta| delta.waits.len() as u64).sum(),
        revokes: count(&|it| it == Verdict::Revoke),
        foreign: count(&|it| matches!(it, Verdict::Foreign(_))),
        keeps: count(&|it| it == Verdict::Keep),
    }
}

/// Holds an answer against the per-person truth.
fn agrees(
    company: &Company,
    policy: &Policy,
    population: &Population<'_>,
    answer: &PopulationDelta,
) -> Result<(), TestCaseError> {
    let all = company.desired(policy);
    let truth: Vec<Delta> =
        all.iter().map(|it| delta(policy, it, &company.world, &company.ledger)).collect();
    for delta in &truth {
        let found = population.delta(&delta.identity);
        prop_assert_eq!(found.as_ref(), Some(delta));
        for line in &delta.access {
            let why = population.why(&delta.identity, &line.entitlement).unwrap();
            let first = delta.access.iter().find(|it| it.entitlement == line.entitlement);
            prop_assert_eq!(Some(&why), first);
        }
    }
    prop_assert_eq!(at_once(answer, population), by_person(&truth));
    prop_assert_eq!(answer.totals(), totals(&truth));
    Ok(())
}

fn whole<'a>(company: &'a Company, policy: &'a Policy) -> Result<Population<'a>, PopulationError> {
    Population::new(policy, &company.world, &company.ledger, company.desired(policy))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn everybody_at_once_is_everybody_one_by_one(
        spec in policies(), people in people(14), incomplete in prop::bool::weighted(0.1),
    ) {
        let policy = spec.policy();
        let company = Company::new(&people, &policy, incomplete);
        let population = whole(&company, &policy).unwrap();
        let answer = population.diff(threads(1));
        agrees(&company, &policy, &population, &answer)?;
        for count in [2, 3, 7] {
            prop_assert_eq!(&population.diff(threads(count)), &answer);
        }
    }

    #[test]
    fn after_an_edit_it_is_as_if_computed_anew(
        (before, after) in edits(), people in people(14), incomplete in prop::bool::weighted(0.1),
    ) {
        let (before, after) = (before.policy(), after.policy());
        let company = Company::new(&people, &before, incomplete);
        let mut population = whole(&company, &before).unwrap();
        let mut answer = population.diff(threads(1));
        let all: Vec<Desired> = company.desired(&before);
        let whom = concerned(&before, &after, &company.facts, at());
        let anew = company.facts.people.iter().filter(|(id, _)| whom.contains(*id));
        let anew: Vec<_> =
            anew.map(|(_, facts)| desired(&after, facts, &TzdbZones, at())).collect();
        // Nobody is left out whose claims differ.
        for (old, new) in all.iter().zip(company.desired(&after)) {
            let gives = |it: &Desired| -> Vec<_> {
                it.claims.iter().map(|c| (c.entitlement.clone(), c.source.clone())).collect()
            };
            prop_assert!(whom.contains(&new.identity) || gives(old) == gives(&new));
        }
        let updated = population.update(&after, &mut answer, anew).unwrap();
        prop_assert_eq!(updated.people, whom.len());
        agrees(&company, &after, &population, &answer)?;
    }
}

/// A flat company: templates, and of each person templates, own, held with marks.
type Rows = (Vec<BTreeSet<u32>>, Vec<(BTreeSet<u32>, BTreeSet<u32>, Vec<(u32, bool)>)>);

/// As many as a few cells hold.
const IDS: u32 = 80;

/// Mostly one of few, so that people and templates share some.
fn id() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![2 => 20..44_u32, 1 => 0..IDS]
}

fn rows() -> impl Strategy<Value = Rows> {
    let ids = || btree_set(id(), 0..9);
    let held = btree_set(id(), 0..12);
    let held = (held, any::<u64>()).prop_map(|(held, marks)| {
        held.into_iter().map(|id| (id, marks >> (id % 64) & 1 == 1)).collect()
    });
    (1..6_usize).prop_flat_map(move |count| {
        let templates = vec(ids(), count);
        let has = btree_set(0..u32::try_from(count).unwrap(), 0..4);
        let own = prop_oneof![4 => Just(BTreeSet::new()), 1 => ids()];
        (templates, vec((has, own, held.clone()), 0..60))
    })
}

fn fate(id: u32, marks: u64) -> Fate {
    let bit = |shift: u32| marks >> ((id + shift) % 61) & 0b1001 == 0b1001;
    Fate { waits: bit(0), foreign: bit(11), foreign_if_ours: bit(23) }
}

fn build(rows: &Rows, marks: u64) -> Builder {
    let mut builder = Builder::new(IDS).unwrap();
    for id in 0..IDS {
        builder.fate(id, fate(id, marks)).unwrap();
    }
    for template in &rows.0 {
        builder.template(&template.iter().copied().collect::<Vec<_>>()).unwrap();
    }
    for (has, own, held) in &rows.1 {
        let has: Vec<u32> = has.iter().copied().collect();
        let own: Vec<(u32, u32)> = own.iter().map(|id| (*id, 0)).collect();
        let held: Vec<u32> =
            held.iter().map(|(id, ours)| if *ours { id | OURS } else { *id }).collect();
        builder.person(&has, &own, &held).unwrap();
    }
    builder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_give_what_sets_give(rows in rows()) {
        let deltas = build(&rows, 0).finish().diff(threads(2));
        let mut found = Totals::default();
        for (person, (has, own, held)) in (0..).zip(&rows.1) {
            let mut desired = own.clone();
            desired.extend(has.iter().flat_map(|template| &rows.0[*template as usize]));
            let held: BTreeSet<u32> = held.iter().map(|(id, _)| *id).collect();
            let it = deltas.of(person);
            let grants: Vec<u32> = desired.difference(&held).copied().collect();
            let revokes: Vec<u32> = held.difference(&desired).copied().collect();
            prop_assert_eq!(it.grants, grants.as_slice());
            prop_assert_eq!(it.revokes, revokes.as_slice());
            found.people += u64::from(grants.len() + revokes.len() > 0);
            found.grants += grants.len() as u64;
            found.revokes += revokes.len() as u64;
            found.keeps += held.intersection(&desired).count() as u64;
        }
        prop_assert_eq!(deltas.totals(), found);
        prop_assert_eq!(deltas.iter().count() as u64, found.people);
    }

    #[test]
    fn numbers_make_no_difference(
        rows in rows(), people in vec(any::<u64>(), 6), marks in any::<u64>(),
    ) {
        let templates: Vec<Vec<u32>> =
            rows.0.iter().map(|row| row.iter().copied().collect()).collect();
        let weighted = templates.iter().map(Vec::as_slice).zip(people);
        let numbers = numbering(IDS, weighted);
        let number = |id: u32| numbers[id as usize];
        let all = |ids: &BTreeSet<u32>| ids.iter().map(|id| number(*id)).collect::<BTreeSet<u32>>();
        let people = rows.1.iter().map(|(has, own, held)| {
            let mut held: Vec<(u32, bool)> = held.iter().map(|(id, it)| (number(*id), *it)).collect();
            held.sort_unstable();
            (has.clone(), all(own), held)
        });
        let others: Rows = (rows.0.iter().map(all).collect(), people.collect());
        let mut flat = build(&others, 0).finish();
        let plain = build(&rows, marks).finish();
        for id in 0..IDS {
            flat.set_fate(number(id), fate(id, marks)).unwrap();
        }
        let (deltas, truth) = (flat.diff(threads(1)), plain.diff(threads(1)));
        prop_assert_eq!(deltas.totals(), truth.totals());
        for person in 0..plain.people() {
            let (it, truth) = (deltas.of(person), truth.of(person));
            let same = |ids: &[u32], truth: &[u32]| {
                ids.is_sorted() && ids.iter().copied().eq(all(&truth.iter().copied().collect()))
            };
            prop_assert!(same(it.grants, truth.grants) && same(it.waits, truth.waits));
            prop_assert!(same(it.revokes, truth.revokes) && same(it.foreign, truth.foreign));
        }
    }

    #[test]
    fn edits_of_rows_are_as_if_built_anew(
        mut rows in rows(), marks in any::<u64>(),
        edits in vec((any::<prop::sample::Index>(), btree_set(id(), 0..9)), 1..4),
        others in vec((any::<prop::sample::Index>(), btree_set(id(), 0..9)), 0..4),
    ) {
        let mut flat = build(&rows, marks).finish();
        let mut index = flat.index();
        let mut deltas = flat.diff(threads(1));
        for (which, row) in edits {
            let which = which.index(rows.0.len());
            let ids: Vec<u32> = row.iter().copied().collect();
            let number = u32::try_from(which).unwrap();
            let edited = flat.edit_template(&index, number, &ids).unwrap();
            let has = rows.1.iter().filter(|(has, _, _)| has.contains(&number)).count();
            prop_assert_eq!(edited.affected, has);
            prop_assert!(edited.shifts.is_sorted_by_key(|it| (it.person(), it.entitlement())));
            deltas.patch(&flat, &edited.shifts);
            rows.0[which] = row;
            let anew = build(&rows, marks).finish();
            prop_assert_eq!(&flat.diff(threads(2)), &anew.diff(threads(1)));
            prop_assert_eq!(&deltas, &anew.diff(threads(1)));
        }
        for (who, own) in others {
            if rows.1.is_empty() {
                break;
            }
            let (who, from) = (who.index(rows.1.len()), rows.1.len() - 1 - who.index(rows.1.len()));
            let has = rows.1[from].0.clone();
            let list: Vec<u32> = has.iter().copied().collect();
            let number = u32::try_from(who).unwrap();
            let own_ids: Vec<(u32, u32)> = own.iter().map(|id| (*id, 0)).collect();
            let shifts = flat.reassign(&mut index, number, &list, &own_ids).unwrap();
            deltas.patch(&flat, &shifts);
            rows.1[who].0 = has;
            rows.1[who].1 = own;
            let anew = build(&rows, marks).finish();
            prop_assert_eq!(&deltas, &anew.diff(threads(1)));
            prop_assert_eq!(&flat.diff(threads(1)), &deltas);
            prop_assert_eq!(&index, &anew.index());
        }
    }

    #[test]
    fn threads_make_no_difference(rows in rows(), marks in any::<u64>()) {
        let flat = build(&rows, marks).finish();
        let one = flat.diff(threads(1));
        let mut room = Deltas::default();
        for count in [2, 3, 5, 64] {
            flat.diff_into(threads(count), &mut room);
            prop_assert_eq!(&room, &one);
            prop_assert!(room.iter().eq(one.iter()));
            prop_assert_eq!(room.touched(), one.touched());
        }
    }
}

/// Sixty people on three templates, who hold what they should.
fn sixty() -> Flat {
    let mut builder = Builder::new(IDS).unwrap();
    for row in [[0, 1, 2], [2, 3, 4], [5, 6, 7]] {
        builder.template(&row).unwrap();
    }
    for _ in 0..60 {
        builder.person(&[0, 1], &[], &[0, 1, 2, 3, 4]).unwrap();
    }
    builder.finish()
}

#[test]
fn giving_somebody_what_they_have_changes_nothing_and_costs_nothing() {
    let mut flat = sixty();
    let mut index = flat.index();
    let (before, bytes) = (flat.diff(threads(1)), flat.bytes());
    for person in 0..60 {
        assert_eq!(flat.reassign(&mut index, person, &[1, 0, 1], &[]).unwrap(), []);
    }
    assert_eq!((flat.bytes(), &index), (bytes, &flat.index()));
    // Each still has the row that all share: what is held is looked at once.
    assert_eq!(flat.diff(threads(1)).touched(), before.touched());
    // With claims of their own, and without them again, likewise.
    for person in 0..60 {
        assert_eq!(flat.reassign(&mut index, person, &[0, 1], &[(9, 4)]).unwrap().len(), 1);
        assert_eq!(flat.own(person), ([9].as_slice(), [4].as_slice()));
        assert_eq!(flat.reassign(&mut index, person, &[0, 1], &[]).unwrap().len(), 1);
    }
    assert_eq!((flat.bytes(), &index), (bytes, &flat.index()));
    assert_eq!(flat.diff(threads(1)).touched(), before.touched());
    // There and back for ever: a list that was given out before is not written again.
    let mut there_and_back = || {
        for person in 0..60 {
            flat.reassign(&mut index, person, &[2], &[]).unwrap();
            flat.reassign(&mut index, person, &[0, 1], &[]).unwrap();
        }
        assert_eq!((index.people(0).len(), index.people(2).len()), (60, 0));
        flat.bytes()
    };
    assert_eq!(there_and_back(), there_and_back());
    assert_eq!(flat.diff(threads(2)), before);
}

/// What somebody holds can be asked for by itself.
#[test]
fn what_is_held_is_told_with_its_marks() {
    let mut builder = Builder::new(200).unwrap();
    builder.person(&[], &[], &[3, 4 | OURS, 5, 40 | OURS, 199]).unwrap();
    builder.person(&[], &[], &[]).unwrap();
    let flat = builder.finish();
    assert_eq!(flat.held(0).collect::<Vec<_>>(), [3, 4 | OURS, 5, 40 | OURS, 199]);
    assert_eq!((flat.count_held(0), flat.count_held(1), flat.pairs()), (5, 0, 5));
    let holds = [3, 4, 6, 40, 41, 199].map(|id| flat.holds(0, id));
    assert_eq!(holds, [Some(false), Some(true), None, Some(true), None, Some(false)]);
    assert_eq!((flat.holds(1, 3), flat.holds(2, 3)), (None, None));
}

/// Entitlements that are given together have neighbouring numbers, those that the most people hold first.
#[test]
fn what_is_given_together_has_neighbouring_numbers() {
    let mut apart = 0;
    for (policy, company) in companies(60) {
        let population = whole(&company, &policy).unwrap();
        let roles = policy.roles.values().map(|role| {
            role.grants.iter().map(|grant| &grant.entitlement).collect::<BTreeSet<_>>()
        });
        let rules = policy.rules.values().map(|rule| rule.grants.iter().collect());
        let all: Vec<BTreeSet<_>> = roles.chain(rules).collect();
        let holders = |row: &BTreeSet<&_>| row.iter().map(|at| company.world.holders(at)).min();
        let most = all.iter().filter_map(holders).max().unwrap_or(0);
        let Some(first) = all.iter().find(|row| holders(row) == Some(most) && most > 0) else {
            continue;
        };
        let numbered = (0..).map_while(|number| population.entitlement(number)).take(first.len());
        assert_eq!(numbered.collect::<BTreeSet<_>>(), *first);
        let names: BTreeSet<_> = policy.entitlements.keys().collect();
        apart +=
            usize::from(names.into_iter().take(first.len()).collect::<BTreeSet<_>>() != *first);
    }
    assert!(apart > 5, "{apart}");
}

/// Whoever is given the same by the same roles has the same templates, whatever the order of names.
#[test]
fn a_role_that_gives_the_same_is_kept_once() {
    use std::collections::BTreeMap;
    let mut shared = 0;
    for (policy, company) in companies(60) {
        let population = whole(&company, &policy).unwrap();
        let mut known = BTreeMap::new();
        for (person, desired) in (0..).zip(company.desired(&policy)) {
            let claims = desired.claims.iter();
            let claims: Vec<_> =
                claims.map(|it| (it.source.clone(), it.entitlement.clone())).collect();
            let templates: Vec<u32> = population.flat().templates_of(person).collect();
            // Odd people have none.
            if claims.len() > 1 && !templates.is_empty() {
                let first = known.entry(claims).or_insert_with(|| templates.clone());
                assert_eq!(*first, templates);
                shared += 1;
            }
        }
        shared -= known.len();
    }
    assert!(shared > 20, "{shared}");
}

/// The room of an answer serves populations of any size, one after the other.
#[test]
fn room_of_a_small_population_serves_a_large_one() {
    let (small, mut large) = (sixty(), Builder::new(70_000).unwrap());
    // Told apart by more than 16 bits alone.
    let template = large.template(&[4_463, 69_000]).unwrap();
    for _ in 0..40 {
        large.person(&[template], &[(7, 0)], &[65_543, 69_999 | OURS]).unwrap();
    }
    let large = large.finish();
    let mut room = Deltas::default();
    for count in [1, 3] {
        small.diff_into(threads(count), &mut room);
        assert_eq!((room.totals().people, room.totals().keeps), (0, 300));
        large.diff_into(threads(count), &mut room);
        for person in 0..40 {
            let it = room.of(person);
            assert_eq!(it.grants, [7, 4_463, 69_000]);
            assert_eq!(it.revokes, [65_543, 69_999]);
        }
    }
}

#[test]
fn a_fate_that_was_taken_back_holds_nothing_back() {
    let mut flat = sixty();
    let mut index = flat.index();
    flat.reassign(&mut index, 7, &[2], &[]).unwrap();
    let free = flat.diff(threads(1));
    assert_eq!((free.totals().grants, free.totals().revokes), (3, 5));
    let bound = Fate { waits: true, foreign: true, foreign_if_ours: true };
    for _ in 0..2 {
        flat.set_fate(5, bound).unwrap();
        flat.set_fate(5, bound).unwrap();
        flat.set_fate(3, bound).unwrap();
        let totals = flat.diff(threads(1)).totals();
        assert_eq!((totals.grants, totals.waits, totals.revokes, totals.foreign), (2, 1, 4, 1));
        flat.set_fate(5, Fate::default()).unwrap();
        let totals = flat.diff(threads(1)).totals();
        assert_eq!((totals.grants, totals.waits, totals.revokes, totals.foreign), (3, 0, 4, 1));
        flat.set_fate(3, Fate::default()).unwrap();
        flat.set_fate(3, Fate::default()).unwrap();
        assert_eq!(flat.diff(threads(1)), free);
    }
}

/// Every fate taken back but the last: in the time that it takes to look at each once.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
fn taking_many_fates_back_is_not_quadratic() {
    let many = 400_000;
    let mut flat = Builder::new(many).unwrap().finish();
    let bound = Fate { waits: true, ..Fate::default() };
    flat.set_fate(many - 1, bound).unwrap();
    let begun = std::time::Instant::now();
    for id in 0..many - 1 {
        flat.set_fate(id, Fate::default()).unwrap();
    }
    // 80,000,000,000 looks take more than a second on any machine.
    assert!(begun.elapsed().as_secs() < 1, "{:?}", begun.elapsed());
}

/// Random companies, the same ones every time.
fn companies(count: usize) -> impl Iterator<Item = (Policy, Company)> {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(move |_| {
        let spec: PolicySpec = policies().new_tree(&mut runner).unwrap().current();
        let people = people(14).new_tree(&mut runner).unwrap().current();
        let policy = spec.policy();
        let company = Company::new(&people, &policy, false);
        (policy, company)
    })
}

/// Most people of the random companies are plain, or the tests above would say little about them.
#[test]
fn most_people_are_plain() {
    let (mut plain, mut odd) = (0, 0);
    for (policy, company) in companies(40) {
        let population = whole(&company, &policy).unwrap();
        odd += population.odd();
        plain += population.len() - population.odd();
    }
    assert!(plain > odd, "{plain} plain, {odd} odd");
    assert!(odd > 20, "{odd} odd");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut builder = Builder::new(3).unwrap();
    let unknown = |what, id, known| FlatError::Unknown { what, id, known };
    assert_eq!(builder.template(&[1, 3]), Err(unknown("entitlement", 3, 3)));
    assert_eq!(builder.person(&[0], &[], &[]), Err(unknown("template", 0, 0)));
    assert_eq!(builder.person(&[], &[(5, 0)], &[]), Err(unknown("entitlement", 5, 3)));
    assert_eq!(builder.person(&[], &[], &[1, 9]), Err(unknown("entitlement", 9, 3)));
    assert_eq!(builder.person(&[], &[], &[2, 1]), Err(FlatError::Order { person: 0, id: 1 }));
    assert_eq!(
        builder.person(&[], &[], &[1, 1 | OURS]),
        Err(FlatError::Order { person: 0, id: 1 })
    );
    let most = Builder::new(1 << 31).unwrap_err();
    assert_eq!(most, FlatError::TooMany { what: "entitlements" });
}

#[test]
fn people_come_in_order_and_strangers_are_refused() {
    let (policy, company) = companies(20).find(|(_, it)| it.facts.people.len() > 1).unwrap();
    let mut all = company.desired(&policy);
    let mut population = whole(&company, &policy).unwrap();
    let mut answer = population.diff(threads(1));
    let mut stranger = all[0].clone();
    stranger.identity = "nobody".parse().unwrap();
    let refused = population.update(&policy, &mut answer, [stranger]);
    assert!(matches!(refused, Err(PopulationError::Stranger { .. })));
    all.reverse();
    let refused = Population::new(&policy, &company.world, &company.ledger, all);
    assert!(matches!(refused, Err(PopulationError::Order { .. })));
}
