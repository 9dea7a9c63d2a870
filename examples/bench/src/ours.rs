//! Ours: the made-up company in flat rows.

use std::error::Error;
use std::num::NonZeroUsize;

use jml_diff::population::flat::{Builder, Deltas, Edited, Fate, Flat, Names, OURS, Totals};

use crate::clock::{least, time};
use crate::company::{flat, taken_in, templates};
use crate::count::count;
use crate::page::{Page, each, figure};
use crate::world::{EDITED, ENTITLEMENTS, Person, World};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) const ONE: NonZeroUsize = NonZeroUsize::MIN;
pub(crate) const TWO: NonZeroUsize = ONE.saturating_add(1);

/// What an answer comes to. The sum is over all lines, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) grants: u64,
    pub(crate) revokes: u64,
    pub(crate) keeps: u64,
    pub(crate) sum: u64,
}

impl Answer {
    pub(crate) fn grant(&mut self, person: u32, entitlement: u32) {
        self.grants += 1;
        self.sum = self.sum.wrapping_add(weight(person, entitlement));
    }

    pub(crate) fn revoke(&mut self, person: u32, entitlement: u32) {
        self.revokes += 1;
        self.sum = self.sum.wrapping_add(weight(person, entitlement).wrapping_mul(3));
    }

    /// Of our rows; `id` says which entitlement a number is.
    pub(crate) fn of(deltas: &Deltas, id: impl Fn(u32) -> u32) -> Self {
        let mut answer = Self { keeps: deltas.totals().keeps, ..Self::default() };
        for it in deltas.iter() {
            it.grants.iter().for_each(|number| answer.grant(it.person, id(*number)));
            it.revokes.iter().for_each(|number| answer.revoke(it.person, id(*number)));
        }
        answer
    }
}

const fn weight(person: u32, entitlement: u32) -> u64 {
    (person as u64 + 1).wrapping_mul(entitlement as u64 + 1)
}

/// One size of company, in nanoseconds a person.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) one: f64,
    /// The same, by the time on a processor.
    pub(crate) one_cpu: f64,
    pub(crate) two: f64,
    /// The same, by the time on both processors together.
    pub(crate) two_cpu: f64,
    pub(crate) answer: Answer,
}

impl Measured {
    /// The less of each.
    pub(crate) fn min(self, other: Self) -> Self {
        Self {
            one: self.one.min(other.one),
            one_cpu: self.one_cpu.min(other.one_cpu),
            two: self.two.min(other.two),
            two_cpu: self.two_cpu.min(other.two_cpu),
            answer: self.answer,
        }
    }
}

pub(crate) fn measure(world: &World, flat: &Flat, times: usize) -> Result<Measured> {
    let mut deltas = Deltas::default();
    let one = least(times, || flat.diff_into(ONE, &mut deltas));
    let answer = Answer::of(&deltas, |number| world.id(number));
    let two = least(times, || flat.diff_into(TWO, &mut deltas));
    if Answer::of(&deltas, |number| world.id(number)) != answer {
        return Err("two threads say something else than one".into());
    }
    let of = flat.people() as usize;
    Ok(Measured {
        one: each(one.wall, of),
        one_cpu: each(one.cpu, of),
        two: each(two.wall, of),
        two_cpu: each(two.cpu, of),
        answer,
    })
}

/// Sizes from ten thousand to a million; gives back the largest one.
pub(crate) fn scaling(page: &mut Page, world: &World, sizes: &[u32], times: usize) -> Result<Flat> {
    page.head("Sizes");
    page.line("Everybody's difference, in nanoseconds a person; rows in bytes a person, as the allocator counts them.");
    page.line("\"On processors\" is what all threads of the walk were on a processor together. Allocations are those of one");
    page.line("whole walk on one thread into the room of an earlier one.");
    page.line("");
    page.table(&[
        "people",
        "held each",
        "1 thread",
        "on a processor",
        "2 threads",
        "on processors",
        "whole, 1 thread",
        "whole, 2 threads",
        "bytes",
        "cells looked at",
        "allocations",
    ]);
    let mut last = None;
    for people in sizes {
        // The larger rows of the size before are in the way of nobody.
        drop(last.take());
        let counted = count("rows", *people)?;
        let flat = flat(world, *people)?;
        let it = measure(world, &flat, times)?;
        let touched = flat.diff(ONE).touched();
        let n = f64::from(*people);
        page.row(&[
            figure(n),
            figure(flat.pairs() as f64 / n),
            figure(it.one),
            figure(it.one_cpu),
            figure(it.two),
            figure(it.two_cpu),
            format!("{:.3} s", it.one * n / 1e9),
            format!("{:.3} s", it.two * n / 1e9),
            figure(counted.bytes),
            figure(touched as f64 / n),
            counted.allocations.to_string(),
        ]);
        last = Some((it, counted, flat));
    }
    let (it, counted, flat) = last.ok_or("no size was asked for")?;
    let n = f64::from(flat.people());
    page.line("");
    if flat.people() >= 1_000_000 {
        let [one, one_cpu, two, two_cpu] =
            [it.one, it.one_cpu, it.two, it.two_cpu].map(|ns| ns * n / 1e9);
        page.bound(
            &format!("1,000,000 people in at most 0.5 s on one thread: {one:.3} s ({one_cpu:.3} s on a processor)"),
            one <= 0.5,
        );
        page.bound(
            &format!("1,000,000 people in at most 0.3 s on two threads: {two:.3} s ({two_cpu:.3} s on both processors)"),
            two <= 0.3,
        );
        let bytes = counted.bytes;
        page.bound(&format!("at most 470 bytes a person: {bytes:.1}"), bytes <= 470.0);
    }
    Ok(flat)
}

/// The company with numbers as they come, which no template explains.
pub(crate) fn unnumbered(page: &mut Page, people: u32, times: usize) -> Result<()> {
    page.head("With numbers as they come");
    let world = World::unnumbered();
    let flat = flat(&world, people)?;
    let it = measure(&world, &flat, times)?;
    let n = f64::from(people);
    page.line(format!(
        "{} people, entitlements numbered at random instead of by `numbering`: {} ns a person on one thread ({} on a \
         processor), {} on two, {} bytes, {} cells looked at. The answers are the same.",
        figure(n),
        figure(it.one),
        figure(it.one_cpu),
        figure(it.two),
        figure(flat.bytes() as f64 / n),
        figure(flat.diff(ONE).touched() as f64 / n),
    ));
    Ok(())
}

/// The company in the mode that policies have if they say nothing: what others granted stays.
pub(crate) fn relative(page: &mut Page, world: &World, people: u32, times: usize) -> Result<()> {
    page.head("In relative mode");
    let mut builder = Builder::new(ENTITLEMENTS)?;
    for id in 0..ENTITLEMENTS {
        // One in a hundred cannot be given now.
        let waits = id.is_multiple_of(100);
        builder.fate(world.number(id), Fate { waits, foreign: true, foreign_if_ours: false })?;
    }
    let mark = |id: u32| if id.is_multiple_of(5) { id } else { id | OURS };
    let flat = taken_in(world, people, builder, mark)?;
    let it = measure(world, &flat, times)?;
    let totals = flat.diff(ONE).totals();
    let plain = self::flat(world, people)?.diff(ONE).totals();
    let both = |it: Totals| (it.grants + it.waits, it.revokes + it.foreign, it.keeps);
    if both(totals) != both(plain) || totals.foreign == 0 || totals.waits == 0 {
        return Err("relative mode says something else than full mode".into());
    }
    page.line(format!(
        "{} people, four fifths of what they hold granted by us, one entitlement in a hundred not to be given now: {} ns a \
         person on one thread ({} on a processor), {} on two. {} grants, {} that wait, {} revokes, {} left alone.",
        figure(f64::from(people)),
        figure(it.one),
        figure(it.one_cpu),
        figure(it.two),
        figure(totals.grants as f64),
        figure(totals.waits as f64),
        figure(totals.revokes as f64),
        figure(totals.foreign as f64),
    ));
    Ok(())
}

/// One walk and nothing else, for programs that count instructions.
pub(crate) fn walk(world: &World, people: u32) -> Result<()> {
    let flat = flat(world, people)?;
    let deltas = flat.diff(ONE);
    if deltas.totals().people == 0 {
        return Err("nobody differs".into());
    }
    Ok(())
}

/// What turning names into numbers costs before the first walk.
pub(crate) fn ingest(page: &mut Page, world: &World, people: u32) -> Result<()> {
    page.head("With ingest");
    let (mut person, mut text, mut ends) = (Person::default(), String::new(), Vec::new());
    for number in 0..people {
        world.person(number, &mut person);
        // As targets list them: one target after the other, so that rows have to be sorted.
        person.held.sort_unstable_by_key(|id| (World::target(*id), *id));
        for id in &person.held {
            text.push_str(&World::name(*id));
            ends.push(text.len());
        }
        ends.push(usize::MAX);
    }
    let rows = || -> Result<Flat> {
        let mut ids: Vec<(u32, u32)> = world.numbering().into_iter().zip(0..).collect();
        ids.sort_unstable();
        let mut names = Names::default();
        for (_, id) in ids {
            names.number(&World::name(id))?;
        }
        let mut builder = Builder::new(ENTITLEMENTS)?;
        templates(world, &mut builder)?;
        let (mut start, mut held) = (0, Vec::new());
        let mut number = 0;
        for end in &ends {
            if *end != usize::MAX {
                held.push(names.number(text.get(start..*end).unwrap_or_default())?);
                start = *end;
                continue;
            }
            world.person(number, &mut person);
            let own: Vec<(u32, u32)> =
                person.own.iter().map(|id| (world.number(*id), number)).collect();
            held.sort_unstable();
            builder.person(&person.templates, &own, &held)?;
            held.clear();
            number += 1;
        }
        Ok(builder.finish())
    };
    let made = least(3, || {
        let mut person = Person::default();
        (0..people).for_each(|number| world.person(number, &mut person));
    });
    let (whole, flat) = time(rows);
    let flat = flat?;
    let (walk, deltas) = time(|| flat.diff(ONE));
    let right = deltas == self::flat(world, people)?.diff(ONE);
    if !right {
        return Err("rows from names say something else than rows from numbers".into());
    }
    let of = people as usize;
    let names = each(whole.saturating_sub(made.wall), of);
    page.line(format!(
        "{} people, every held entitlement given as text, target by target: {} ns a person to look up {} names, \
         sort and fill the rows ({} ns a name), {} ns for the walk.",
        figure(f64::from(people)),
        figure(names),
        figure(flat.pairs() as f64 / f64::from(people)),
        figure(names / (flat.pairs() as f64 / f64::from(people))),
        figure(each(walk, of)),
    ));
    Ok(())
}

/// Edits of one template of each kind.
pub(crate) fn edits(page: &mut Page, mut flat: Flat) -> Result<()> {
    let n = flat.people();
    page.head(&format!("One template edited, {} people", figure(f64::from(n))));
    let (built, index) = time(|| flat.index());
    page.line(format!(
        "Two entitlements more and one less, on one thread, by the time on a processor. The index of who has what takes {} bytes a person and {} ms to build.",
        figure(index.bytes() as f64 / f64::from(n)),
        figure(built.as_secs_f64() * 1e3),
    ));
    page.line("");
    page.table(&[
        "template",
        "people affected",
        "claims that came or went",
        "median ms",
        "ns a person affected",
    ]);
    let mut bounds = Vec::new();
    for (name, kind) in EDITED {
        let mut all = Vec::new();
        for round in 0..9 {
            let template = kind.first + if name == "base" { 0 } else { round };
            let mut row: Vec<u32> = flat.template(template).collect();
            row.remove(row.len() / 2);
            row.extend([
                (round * 1_741 + 13) % ENTITLEMENTS,
                (round * 977 + 19_001) % ENTITLEMENTS,
            ]);
            let mut edited = Ok(Edited::default());
            let spent = least(1, || edited = flat.edit_template(&index, template, &row)).cpu;
            let edited = edited?;
            all.push((spent, edited.affected, edited.shifts.len()));
        }
        all.sort_unstable();
        let (spent, affected, shifts) = all.get(all.len() / 2).copied().unwrap_or_default();
        let (ms, ns) = (spent.as_secs_f64() * 1e3, each(spent, affected));
        page.row(&[
            name.to_owned(),
            figure(affected as f64),
            figure(shifts as f64),
            format!("{ms:.3}"),
            figure(ns),
        ]);
        bounds.push((name, ms, ns));
    }
    page.line("");
    for (name, ms, ns) in bounds {
        page.bound(
            &format!("{name}: at most 1,000 ns a person affected: {}", figure(ns)),
            ns <= 1_000.0,
        );
        if name == "job" && n >= 1_000_000 {
            page.bound(&format!("a job template in at most 0.5 ms: {ms:.3} ms"), ms <= 0.5);
        }
    }
    Ok(())
}
