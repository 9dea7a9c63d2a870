//! What the records of a pack say about each run, with what was disclosed, for people.

use std::collections::BTreeMap;

use jml_core::canon::{self, Node};

use crate::disclose;

/// Disclosed values of one record, by name.
pub(crate) type Disclosed = BTreeMap<String, Node>;

/// A run as a person reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunView {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) also: Vec<String>,
    pub(crate) subject: String,
    /// Who it is, if that was disclosed.
    pub(crate) identity: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) first: u64,
    pub(crate) opened: String,
    pub(crate) closed: Option<String>,
    pub(crate) timing: BTreeMap<String, String>,
    pub(crate) policy: String,
    pub(crate) plan: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) closing: Option<Node>,
    pub(crate) controls: Vec<String>,
    pub(crate) measures: Vec<Node>,
    pub(crate) entries: Vec<u64>,
}

/// One record in the timeline of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) entry: u64,
    pub(crate) time: String,
    pub(crate) kind: String,
    /// What it is about: a step's action, a gate.
    pub(crate) what: String,
    pub(crate) target: String,
    pub(crate) status: String,
    /// Who did it: a name that was disclosed, a pseudonym, or `system`.
    pub(crate) by: Option<String>,
    /// Words that somebody gave, if disclosed.
    pub(crate) why: Option<String>,
    /// What changed, from the disclosed states before and after.
    pub(crate) changes: Vec<Change>,
    /// How many of its disclosures are still closed.
    pub(crate) hidden: usize,
}

/// One value before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

pub(crate) fn text(node: &Node, path: &[&str]) -> String {
    node.at(path).map(shown).unwrap_or_default()
}

pub(crate) fn number(node: &Node, path: &[&str]) -> i64 {
    node.at(path).and_then(Node::as_int).unwrap_or(0)
}

/// A value in a line of text.
fn shown(node: &Node) -> String {
    match node {
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Text(value) => value.clone(),
        Node::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Node::Object(members) => {
            let parts = members.iter().map(|(name, value)| format!("{name} {}", shown(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

pub(crate) fn list(node: &Node, path: &[&str]) -> Vec<String> {
    match node.at(path) {
        Some(Node::List(items)) => items.iter().map(shown).collect(),
        _ => Vec::new(),
    }
}

/// The disclosures of each record, opened.
pub(crate) fn open(rows: &BTreeMap<u64, Vec<String>>) -> BTreeMap<u64, Disclosed> {
    let one = |(entry, texts): (&u64, &Vec<String>)| {
        (*entry, texts.iter().filter_map(|text| disclose::open(text)).collect())
    };
    rows.iter().map(one).collect()
}

/// The runs of some records, in order of the log.
pub(crate) fn runs(
    records: &BTreeMap<u64, Vec<u8>>,
    disclosed: &BTreeMap<u64, Disclosed>,
) -> Vec<RunView> {
    let mut order: Vec<String> = Vec::new();
    let mut runs: BTreeMap<String, RunView> = BTreeMap::new();
    // A pseudonym is opened wherever any record opens it.
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let nothing = Disclosed::new();
    for (entry, bytes) in records {
        let Ok(record) = canon::parse(bytes) else { continue };
        let opened = disclosed.get(entry).unwrap_or(&nothing);
        for (path, name) in [(["subject", "ref"], "identity"), (["actor", "ref"], "actor")] {
            if let Some(value) = opened.get(name) {
                names.insert(text(&record, &path), shown(value));
            }
        }
        let id = text(&record, &["run", "id"]);
        if id.is_empty() {
            continue;
        }
        if !runs.contains_key(&id) {
            order.push(id.clone());
        }
        let run = runs.entry(id.clone()).or_default();
        run.id = id;
        take(run, *entry, &record, opened);
    }
    let mut out: Vec<RunView> = order.iter().filter_map(|id| runs.remove(id)).collect();
    for run in &mut out {
        run.identity = names.get(&run.subject).cloned();
        for line in &mut run.lines {
            if let Some(name) = line.by.as_ref().and_then(|by| names.get(by)) {
                line.by = Some(name.clone());
            }
        }
    }
    out
}

fn take(run: &mut RunView, entry: u64, record: &Node, opened: &Disclosed) {
    let kind = text(record, &["kind"]);
    let time = text(record, &["time"]);
    run.entries.push(entry);
    match kind.as_str() {
        "run.opened" => {
            run.first = entry;
            run.opened.clone_from(&time);
            run.event = text(record, &["event"]);
            run.also = list(record, &["also"]);
            run.subject = text(record, &["subject", "ref"]);
            run.policy = text(record, &["body", "plan", "policy_version"]);
            run.plan = text(record, &["body", "plan", "hash"]);
            if let Some(Node::Object(members)) =
                record.get("body").and_then(|body| body.get("timing"))
            {
                run.timing = members.iter().map(|(k, v)| (k.clone(), shown(v))).collect();
            }
        }
        "source.event" => run.cause = opened.get("cause").map(shown),
        "run.closed" => {
            run.closed = Some(time.clone());
            run.closing = record.get("body").and_then(|body| body.get("closing")).cloned();
            run.controls = list(record, &["body", "closing", "controls", "ids"]);
        }
        "sla.measured" => {
            run.measures.extend(record.get("body").and_then(|body| body.get("measure")).cloned());
        }
        _ => {}
    }
    let gate = text(record, &["body", "gate"]);
    let action = text(record, &["body", "step", "action"]);
    let status = text(record, &["body", "outcome", "status"]);
    let code = text(record, &["body", "outcome", "code"]);
    let actor = record.get("actor").map(|_| {
        let who = text(record, &["actor", "ref"]);
        if who.is_empty() { "system".to_owned() } else { who }
    });
    let why =
        ["why", "proof", "cause", "case"].iter().find_map(|name| opened.get(*name)).map(shown);
    run.lines.push(Line {
        entry,
        time,
        what: if action.is_empty() { gate } else { action },
        target: text(record, &["body", "step", "target"]),
        status: if code.is_empty() { status } else { format!("{status} ({code})") },
        by: actor,
        why,
        changes: changes(opened),
        hidden: list(record, &["_sd"]).len().saturating_sub(opened.len()),
        kind,
    });
}

/// What differs between the states before and after, if both were disclosed.
fn changes(opened: &Disclosed) -> Vec<Change> {
    let (Some(before), Some(after)) = (opened.get("before"), opened.get("after")) else {
        return Vec::new();
    };
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), before, &mut left);
    flatten(String::new(), after, &mut right);
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let absent = || "\u{2013}".to_owned();
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| Change {
            name: name.clone(),
            before: left.get(name).cloned().unwrap_or_else(absent),
            after: right.get(name).cloned().unwrap_or_else(absent),
        })
        .collect()
}

fn flatten(path: String, node: &Node, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| {
        if path.is_empty() || path == "present" {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match node {
        Node::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(below(name), value, out));
        }
        // A set reads best as one line for each member.
        Node::List(items) => items.iter().for_each(|item| {
            out.insert(below(&shown(item)), "yes".to_owned());
        }),
        leaf => {
            out.insert(path, shown(leaf));
        }
    }
}
