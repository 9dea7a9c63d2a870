//! What a user would pick instead: sets of text in Rust, and what Python has.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::clock::least;
use crate::company::{HashSet, HashTexts, Texts, TreeTexts, flat};
use crate::count::count;
use crate::ours::{Answer, measure};
use crate::page::{Page, each, figure};
use crate::world::{ENTITLEMENTS, Person, World};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A line of the table.
struct Row {
    peer: String,
    ns: f64,
    /// By the time on a processor, all threads together.
    cpu: f64,
    bytes: Option<f64>,
    answer: Answer,
}

/// What the Python script says about one peer.
#[derive(Deserialize)]
struct Said {
    peer: String,
    skipped: Option<String>,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    cpu: f64,
    #[serde(default)]
    grants: u64,
    #[serde(default)]
    revokes: u64,
    #[serde(default)]
    keeps: u64,
    #[serde(default)]
    sum: u64,
}

fn id(name: &str) -> u32 {
    name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(ENTITLEMENTS)
}

/// Sums an answer up, person by person: what is granted, what is revoked, how much is kept.
fn sum<'t>(all: impl Iterator<Item = (Vec<&'t str>, Vec<&'t str>, usize)>) -> Answer {
    let mut answer = Answer::default();
    for (person, (grants, revokes, keeps)) in (0..).zip(all) {
        grants.iter().for_each(|name| answer.grant(person, id(name)));
        revokes.iter().for_each(|name| answer.revoke(person, id(name)));
        answer.keeps += keeps as u64;
    }
    answer
}

macro_rules! naive {
    ($name:ident, $set:ident, $texts:ident, $counted:literal) => {
        /// As one writes it first: the union is a set of texts of its own.
        fn $name(world: &World, people: u32, times: usize, peer: &str) -> Result<Row> {
            let bytes = Some(count($counted, people)?.bytes);
            let texts = $texts::new(world, people);
            let mut out = Vec::new();
            let spent = least(times, || {
                out = Vec::with_capacity(texts.people.len());
                for (has, own, held) in &texts.people {
                    let mut desired: $set<String> = own.clone();
                    for template in has.iter().filter_map(|it| texts.templates.get(*it as usize)) {
                        desired.extend(template.iter().cloned());
                    }
                    let grants: Vec<String> = desired.difference(held).cloned().collect();
                    let revokes: Vec<String> = held.difference(&desired).cloned().collect();
                    let keeps = held.len() - revokes.len();
                    out.push((grants, revokes, keeps));
                }
            });
            let lines = out.iter();
            let answer =
                sum(lines.map(|(grants, revokes, keeps)| (refs(grants), refs(revokes), *keeps)));
            let of = people as usize;
            let (ns, cpu) = (each(spent.wall, of), each(spent.cpu, of));
            Ok(Row { peer: peer.to_owned(), ns, cpu, bytes, answer })
        }
    };
}

fn refs(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

naive!(hash_sets, HashSet, HashTexts, "hash");
naive!(tree_sets, BTreeSet, TreeTexts, "tree");

/// As one writes it the second time: the union is a set of references.
fn careful(world: &World, people: u32, times: usize) -> Row {
    let texts = Texts::<HashSet<String>>::new(world, people);
    let mut out = Vec::new();
    let spent = least(times, || {
        out = Vec::with_capacity(texts.people.len());
        for (has, own, held) in &texts.people {
            let mut desired: HashSet<&str> = own.iter().map(String::as_str).collect();
            for template in has.iter().filter_map(|it| texts.templates.get(*it as usize)) {
                desired.extend(template.iter().map(String::as_str));
            }
            let grants: Vec<&str> =
                desired.iter().filter(|name| !held.contains(**name)).copied().collect();
            let gone = held.iter().map(String::as_str).filter(|name| !desired.contains(name));
            let revokes: Vec<&str> = gone.collect();
            let keeps = held.len() - revokes.len();
            out.push((grants, revokes, keeps));
        }
    });
    let answer = sum(out.into_iter());
    let (ns, cpu) = (each(spent.wall, people as usize), each(spent.cpu, people as usize));
    Row { peer: "Rust HashSet<&str>, careful".to_owned(), ns, cpu, bytes: None, answer }
}

/// The same company as tables with names, for programs in other languages.
fn export(world: &World, people: u32, folder: &Path) -> Result<()> {
    let create = |name: &str| -> Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(1 << 20, File::create(folder.join(name))?))
    };
    let mut templates = create("templates.csv")?;
    writeln!(templates, "t,e")?;
    for (number, row) in world.templates.iter().enumerate() {
        for id in row {
            writeln!(templates, "{number},{}", World::name(*id))?;
        }
    }
    let (mut has, mut own, mut held) =
        (create("has.csv")?, create("own.csv")?, create("held.csv")?);
    writeln!(has, "p,t")?;
    writeln!(own, "p,e")?;
    writeln!(held, "p,e")?;
    let mut person = Person::default();
    for number in 0..people {
        world.person(number, &mut person);
        for template in &person.templates {
            writeln!(has, "{number},{template}")?;
        }
        for id in &person.own {
            writeln!(own, "{number},{}", World::name(*id))?;
        }
        for id in &person.held {
            writeln!(held, "{number},{}", World::name(*id))?;
        }
    }
    Ok(())
}

/// Runs the Python script and reads what it says.
fn python(page: &mut Page, world: &World, people: u32, python: &Path) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    export(world, people, folder.path())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers.py");
    let done = match Command::new(python).arg(script).arg(folder.path()).output() {
        Ok(done) => done,
        Err(why) => {
            page.line(format!("skipped: all of Python ({why})"));
            return Ok(Vec::new());
        }
    };
    let mut rows = Vec::new();
    for line in String::from_utf8(done.stdout)?.lines() {
        let said: Said = serde_json::from_str(line)?;
        if let Some(why) = said.skipped {
            page.line(format!("skipped: {} ({why})", said.peer));
            continue;
        }
        let Said { grants, revokes, keeps, sum, .. } = said;
        let ns = said.seconds * 1e9 / f64::from(people);
        let cpu = said.cpu * 1e9 / f64::from(people);
        let answer = Answer { grants, revokes, keeps, sum };
        rows.push(Row { peer: said.peer, ns, cpu, bytes: None, answer });
    }
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        return Err(format!("peers.py failed: {}", text.lines().last().unwrap_or_default()).into());
    }
    Ok(rows)
}

/// The table of peers.
pub(crate) fn run(
    page: &mut Page,
    world: &World,
    people: u32,
    times: usize,
    interpreter: Option<&Path>,
) -> Result<()> {
    page.head(&format!("Beside what one would use instead, {} people", figure(f64::from(people))));
    page.line("The same work on the same people in one run: desired is the union of templates and direct grants; wanted");
    page.line("are the list of grants, the list of revokes and the number of those kept. Loading is timed for nobody.");
    page.line("Every answer has the same counts and the same sum over its lines. The least of as many tries for us and for");
    page.line("all in Rust, without an allocator that counts; bytes are counted in a process of their own.");
    page.line("");
    let size = count("rows", people)?.bytes;
    // Half of our tries before the others and half after them: what counts is the machine as they had it.
    let half = times.div_ceil(2);
    let first = measure(world, &flat(world, people)?, half)?;
    let mut rows = vec![
        hash_sets(world, people, 2 * half, "Rust HashSet<String>")?,
        careful(world, people, 2 * half),
        tree_sets(world, people, 2 * half, "Rust BTreeSet<String>")?,
    ];
    if let Some(interpreter) = interpreter {
        rows.extend(python(page, world, people, interpreter)?);
    } else {
        page.line("skipped: all of Python (--no-python)");
    }
    let ours = first.min(measure(world, &flat(world, people)?, half)?);
    let (one, two, cpu) = (ours.one, ours.two, ours.one_cpu);
    page.line("");
    page.table(&[
        "",
        "ns a person",
        "on a processor",
        "times ours, 1 thread",
        "the same on a processor",
        "times ours, 2 threads",
        "bytes a person",
    ]);
    let bytes = |it: Option<f64>| it.map_or_else(|| "–".to_owned(), figure);
    let dash = || "–".to_owned();
    let size = figure(size);
    let one_row = [figure(one), figure(cpu), "1".into(), "1".into(), dash(), size.clone()];
    let two_row = [figure(two), figure(ours.two_cpu), dash(), dash(), "1".into(), size];
    for (name, cells) in [("jml, 1 thread", one_row), ("jml, 2 threads", two_row)] {
        page.row(&[&[name.to_owned()], cells.as_slice()].concat());
    }
    for row in &rows {
        if row.answer != ours.answer {
            let (peer, theirs) = (&row.peer, row.answer);
            return Err(format!("{peer} says {theirs:?}, we say {:?}", ours.answer).into());
        }
        page.row(&[
            row.peer.clone(),
            figure(row.ns),
            figure(row.cpu),
            figure(row.ns / one),
            figure(row.cpu / cpu),
            figure(row.ns / two),
            bytes(row.bytes),
        ]);
    }
    let Answer { grants, revokes, keeps, .. } = ours.answer;
    page.line("");
    page.line(format!(
        "{} grants, {} revokes, {} kept.",
        figure(grants as f64),
        figure(revokes as f64),
        figure(keeps as f64)
    ));
    page.line("");
    let wanted = [
        ("Python sets of str", 50.0),
        ("DuckDB, names, 2 threads", 80.0),
        ("DuckDB, numbers, 2 threads", 80.0),
        ("Rust HashSet<String>", 100.0),
    ];
    for (peer, least) in wanted {
        let Some(row) = rows.iter().find(|row| row.peer == peer) else { continue };
        let (wall, on_cpu, both) = (row.ns / one, row.cpu / cpu, row.ns / two);
        // One thread beside one thread is judged by the time on a processor, which others who use the machine
        // change least; two threads are there to be done sooner, so two beside two are judged by the wall.
        let found = if peer.contains("2 threads") { both } else { on_cpu };
        let text = format!(
            "at least {least:.0} times {peer}: {} on a processor, {} on the wall with one thread of ours, {} with two",
            figure(on_cpu),
            figure(wall),
            figure(both)
        );
        page.bound(&text, found >= least);
    }
    Ok(())
}
