//! What a journal store must do, as checks that anybody's store can be put through.
//!
//! A run is written by one driver at a time, and the store is what makes that so: an append names the
//! length that it expects, and of two that name the same one, exactly one succeeds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use chrono::{DateTime, TimeDelta};
use futures::executor::block_on;
use jml_core::digest::Digest;
use jml_core::id::{RunId, StepId};
use jml_core::journal::{Actor, Entry, Fact, JournalError, JournalStore, RunOutcome};

/// One thing that a store must do, and whether it does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct StoreCheck {
    /// What.
    pub name: &'static str,
    /// What is wrong; nothing when it holds.
    pub failure: Option<String>,
}

type Check = Result<(), String>;
type Store = Arc<dyn JournalStore>;
type Named = (&'static str, fn(&Store) -> Check);

/// Puts a store through every check. `make` gives a fresh, empty one each time.
pub fn check(make: impl Fn() -> Store) -> Vec<StoreCheck> {
    let checks: [Named; 11] = [
        ("a run that nobody opened is empty", unopened),
        ("what was appended is loaded, in order", in_order),
        ("an append in parts is the same as at once", in_parts),
        ("an append that expects another length is refused", fenced),
        ("a refused append leaves nothing behind", nothing_left),
        ("runs do not mix", apart),
        ("runs are listed once, in the order in which they were opened", listed),
        ("open runs are those that are not closed", open_runs),
        ("a claim that was given back can be made again", claimed),
        ("every character survives", characters),
        ("of appends at once, one succeeds", raced),
    ];
    let run = |(name, check): Named| StoreCheck { name, failure: check(&make()).err() };
    checks.into_iter().map(run).collect()
}

fn run(name: &str) -> Result<RunId, String> {
    RunId::new(name).map_err(|e| e.to_string())
}

/// Entries of a made-up run: not a run that a machine would accept, but entries.
fn entries(from: u64, count: u64, why: &str) -> Result<Vec<Entry>, String> {
    (from..from + count)
        .map(|seq| {
            let step = StepId::new(format!("s{seq}")).map_err(|e| e.to_string())?;
            let fact = match seq % 2 {
                0 => Fact::Noticed { step },
                _ => Fact::Cancelled { why: why.into() },
            };
            let at =
                DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::try_from(seq).unwrap_or(0));
            let prev = Digest::of_bytes("jml-stores", &seq.to_be_bytes());
            Ok(Entry { seq, at, actor: Actor::Engine, fact, prev })
        })
        .collect()
}

fn load(store: &Store, run: &RunId) -> Result<Vec<Entry>, String> {
    block_on(store.load(run)).map_err(|e| format!("load: {e}"))
}

fn append(store: &Store, run: &RunId, expected: u64, entries: &[Entry]) -> Check {
    block_on(store.append(run, expected, entries)).map_err(|e| format!("append: {e}"))
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Check {
    if found == wanted { Ok(()) } else { Err(format!("{found:?} is not {wanted:?}")) }
}

fn unopened(store: &Store) -> Check {
    same(&load(store, &run("r1")?)?, &Vec::new())?;
    same(&block_on(store.runs()).map_err(|e| e.to_string())?, &Vec::new())
}

fn in_order(store: &Store) -> Check {
    let (run, all) = (run("r1")?, entries(0, 40, "x")?);
    append(store, &run, 0, &all)?;
    same(&load(store, &run)?, &all)
}

fn in_parts(store: &Store) -> Check {
    let (run, all) = (run("r1")?, entries(0, 12, "x")?);
    for (at, part) in [(0, 0..5), (5, 5..6), (6, 6..12)] {
        append(store, &run, at, all.get(part).unwrap_or_default())?;
    }
    same(&load(store, &run)?, &all)
}

fn refused(store: &Store, run: &RunId, expected: u64, found: u64) -> Check {
    match block_on(store.append(run, expected, &entries(expected, 2, "late")?)) {
        Err(JournalError::Conflict { run: of, expected: e, found: f }) => {
            same(&(of, e, f), &(run.clone(), expected, found))
        }
        other => Err(format!("expecting {expected} of {found}: {other:?}")),
    }
}

fn fenced(store: &Store) -> Check {
    let run = run("r1")?;
    refused(store, &run, 3, 0)?;
    append(store, &run, 0, &entries(0, 4, "x")?)?;
    for expected in [0, 3, 5] {
        refused(store, &run, expected, 4)?;
    }
    append(store, &run, 4, &entries(4, 1, "x")?)
}

fn nothing_left(store: &Store) -> Check {
    let (one, other) = (run("r1")?, run("r2")?);
    append(store, &one, 0, &entries(0, 4, "x")?)?;
    refused(store, &one, 2, 4)?;
    refused(store, &other, 2, 0)?;
    same(&load(store, &one)?, &entries(0, 4, "x")?)?;
    same(&load(store, &other)?, &Vec::new())?;
    let runs = block_on(store.runs()).map_err(|e| e.to_string())?;
    same(&runs, &vec![one])
}

fn apart(store: &Store) -> Check {
    let (one, other) = (run("r1")?, run("r10")?);
    append(store, &one, 0, &entries(0, 3, "one")?)?;
    append(store, &other, 0, &entries(0, 5, "other")?)?;
    append(store, &one, 3, &entries(3, 1, "one")?)?;
    same(&load(store, &one)?, &entries(0, 4, "one")?)?;
    same(&load(store, &other)?, &entries(0, 5, "other")?)
}

fn listed(store: &Store) -> Check {
    let runs = ["r9", "r1", "r5"].map(run).into_iter().collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        append(store, run, 0, &entries(0, 2, "x")?)?;
    }
    for run in runs.iter().rev() {
        append(store, run, 2, &entries(2, 1, "x")?)?;
    }
    same(&block_on(store.runs()).map_err(|e| e.to_string())?, &runs)
}

fn open_runs(store: &Store) -> Check {
    let runs = ["r9", "r1", "r5"].map(run).into_iter().collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        append(store, run, 0, &entries(0, 2, "x")?)?;
    }
    let closed = |seq, fact| -> Result<Vec<Entry>, String> {
        let entry = entries(seq, 1, "x")?.into_iter().next().ok_or("no entry")?;
        Ok(vec![Entry { fact, ..entry }])
    };
    let [nine, one, five] = runs.as_slice() else { return Err("three runs".to_owned()) };
    append(store, one, 2, &closed(2, Fact::Closed { outcome: RunOutcome::Partial })?)?;
    // Asking for the end is not the end.
    append(store, five, 2, &closed(2, Fact::Cancelled { why: "closed".into() })?)?;
    let open = block_on(store.open_runs()).map_err(|e| e.to_string())?;
    same(&open, &vec![nine.clone(), five.clone()])
}

fn claimed(store: &Store) -> Check {
    for name in ["planner", "r1", "planner"] {
        match block_on(store.claim(name)).map_err(|e| e.to_string())? {
            Some(claim) => drop(claim),
            None => return Err(format!("nobody holds `{name}`, and it cannot be claimed")),
        }
    }
    Ok(())
}

fn characters(store: &Store) -> Check {
    let run = run("r1")?;
    let all = entries(0, 2, "Zoë said: \"it's 5 ≥ 4\\\n\t\u{1F600}\u{0}'; DROP TABLE entry;--")?;
    append(store, &run, 0, &all)?;
    same(&load(store, &run)?, &all)
}

fn raced(store: &Store) -> Check {
    let run = run("r1")?;
    for round in 0..10_u64 {
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let (store, run) = (store.clone(), run.clone());
                thread::spawn(move || {
                    let mine = entries(round, 1, &format!("racer {racer}"))?;
                    Ok::<_, String>(block_on(store.append(&run, round, &mine)).is_ok())
                })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            let result = racer.join().map_err(|_| "a racer panicked".to_owned())??;
            won += u32::from(result);
        }
        same(&won, &1)?;
    }
    let seqs: BTreeSet<u64> = load(store, &run)?.iter().map(|entry| entry.seq).collect();
    same(&seqs, &(0..10).collect())
}
