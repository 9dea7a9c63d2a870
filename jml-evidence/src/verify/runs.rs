//! L6 and L7: runs and counters without gaps, populations and samples that add up.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding as _};
use jml_core::canon::Node;

use super::records::{Record, Records};
use super::{Problems, Verdict};
use crate::merkle::Hash;
use crate::population::{members_root, sample};
use crate::run_root::run_root;

/// L6: runs have no gap and add up. With `whole`, every counter is dense; otherwise it only grows. Gives
/// back how many runs there are.
pub(super) fn complete(records: &Records, whole: bool) -> (u64, Verdict) {
    let mut problems = Problems::default();
    let mut runs: BTreeMap<&str, (Vec<Hash>, bool)> = BTreeMap::new();
    let mut counters: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (index, Record { leaf, node: record }) in records {
        let at = format!("entry {index}");
        let (Some(kind), Some(event)) = (record.text_at(&["kind"]), record.text_at(&["event"]))
        else {
            problems.add(&at, "it has no kind or event");
            continue;
        };
        let said = record.count_at(&["kseq"]);
        let next = counters.entry((kind, event)).or_insert(0);
        match said {
            Some(said) if said == *next || (!whole && said > *next) => *next = said + 1,
            _ => {
                problems.add(&at, format!("{kind} of {event} has a gap before it"));
                *next += 1;
            }
        }
        let Some(run) = record.text_at(&["run", "id"]) else { continue };
        let (of_run, closed) = runs.entry(run).or_default();
        if *closed {
            problems.add(&at, format!("run {run} was closed before it"));
        }
        if record.count_at(&["run", "seq"]) != Some(of_run.len() as u64) {
            problems.add(&at, format!("run {run} has a gap before it"));
        }
        let prev = of_run.last().map(|hash| Base64::encode_string(hash));
        if record.text_at(&["run", "prev"]) != prev.as_deref() {
            problems.add(&at, format!("it does not follow the record before it in run {run}"));
        }
        if let Some(closing) = record.get("body").and_then(|body| body.get("closing")) {
            *closed = true;
            if closing.text_at(&["run_root"]) != Some(run_root(of_run).as_str()) {
                problems.add(&at, format!("run {run} does not add up to its root"));
            }
            if closing.count_at(&["records"]) != Some(of_run.len() as u64) {
                problems.add(&at, format!("run {run} has another number of records"));
            }
        }
        of_run.push(*leaf);
    }
    let count = runs.len() as u64;
    if count == 0 && problems.is_empty() {
        return (0, Verdict::NotChecked("there is no run".to_owned()));
    }
    (count, problems.verdict())
}

/// A population as its record says.
struct Population<'a> {
    event: &'a str,
    from: &'a str,
    to: &'a str,
    members: u64,
    people: u64,
    root: &'a str,
}

fn population(record: &Node) -> Option<Population<'_>> {
    let body = record.get("body")?.get("population")?;
    Some(Population {
        event: body.text_at(&["event"])?,
        from: body.text_at(&["from"])?,
        to: body.text_at(&["to"])?,
        members: body.count_at(&["members"])?,
        people: body.count_at(&["people"])?,
        root: body.text_at(&["members_root"])?,
    })
}

/// The members that the records before a population have: entry and leaf hash.
fn members(records: &Records, before: u64, it: &Population<'_>) -> Vec<(u64, Hash)> {
    let within = |record: &Node| {
        let effective = record.text_at(&["body", "timing", "effective"]);
        let at = effective.or_else(|| record.text_at(&["time"])).unwrap_or_default();
        record.text_at(&["kind"]) == Some("run.opened")
            && record.text_at(&["event"]) == Some(it.event)
            && it.from <= at
            && at < it.to
    };
    let hits = records.range(..before).filter(|(_, record)| within(&record.node));
    hits.map(|(index, record)| (*index, record.leaf)).collect()
}

/// How many people the members are about.
fn people(records: &Records, members: &[(u64, Hash)]) -> u64 {
    let subject = |(entry, _): &(u64, Hash)| records.get(entry)?.node.text_at(&["subject", "ref"]);
    members.iter().filter_map(subject).collect::<BTreeSet<_>>().len() as u64
}

/// What a pack says the members of its population are: entry and leaf hash.
pub(super) type Listed = Option<Vec<(u64, Hash)>>;

/// L7: each population has the members and the root that the log gives it, and each sample is what its
/// seed draws. With a list instead of the whole log, the list is held against the root.
pub(super) fn populations(records: &Records, listed: Option<&Listed>) -> Verdict {
    let mut problems = Problems::default();
    let mut known: BTreeMap<u64, (Vec<u64>, Hash)> = BTreeMap::new();
    let mut samples = 0;
    for (index, record) in records {
        let (at, record) = (format!("entry {index}"), &record.node);
        if record.text_at(&["kind"]) == Some("population.sealed") {
            let Some(said) = population(record) else {
                problems.add(&at, "it is no population");
                continue;
            };
            let found = match listed {
                None => Some(members(records, *index, &said)),
                Some(list) => list.clone(),
            };
            let Some(found) = found else {
                problems.add(&at, "the pack does not list its members");
                continue;
            };
            let leaves: Vec<Hash> = found.iter().map(|(_, leaf)| *leaf).collect();
            let root = members_root(&leaves);
            if said.members != leaves.len() as u64 || said.root != Base64::encode_string(&root) {
                problems.add(&at, "the population has other members than it says");
            }
            if listed.is_none() && said.people != people(records, &found) {
                problems.add(&at, "the population is about another number of people than it says");
            }
            known.insert(*index, (found.into_iter().map(|(entry, _)| entry).collect(), root));
        }
        if record.text_at(&["kind"]) == Some("sample.drawn") {
            samples += 1;
            if let Err(what) = drawn(record, &known, records) {
                problems.add(&at, what);
            }
        }
    }
    if known.is_empty() && samples == 0 {
        return problems.or_not_checked("the log holds no sealed population to compare with");
    }
    problems.verdict()
}

fn drawn(
    record: &Node,
    known: &BTreeMap<u64, (Vec<u64>, Hash)>,
    records: &Records,
) -> Result<(), String> {
    let body = record.get("body").and_then(|body| body.get("sample")).ok_or("it is no sample")?;
    let of = body.count_at(&["population"]).ok_or("it is of no population")?;
    let seed = body.text_at(&["seed"]).ok_or("it has no seed")?;
    let Some(Node::List(said)) = body.get("entries") else {
        return Err("it has no entries".into());
    };
    let said: Vec<u64> =
        said.iter().filter_map(|n| n.as_int().and_then(|n| u64::try_from(n).ok())).collect();
    let (members, root) = known.get(&of).ok_or("its population is not sealed before it")?;
    let places = sample(root, members.len() as u64, seed, said.len() as u64);
    let right: Vec<u64> = places
        .iter()
        .filter_map(|place| members.get(usize::try_from(*place).ok()?).copied())
        .collect();
    if right != said {
        return Err("the seed draws other members".to_owned());
    }
    let there: BTreeSet<&u64> = records.keys().collect();
    match said.iter().find(|entry| !there.contains(entry)) {
        Some(entry) => Err(format!("entry {entry} was drawn and is not here")),
        None => Ok(()),
    }
}
