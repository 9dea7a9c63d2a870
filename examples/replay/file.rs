//! Reads an `events.csv`: one line for each fact that came or went, grouped into change sets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use chrono::NaiveDate;

/// Whether a fact came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// What a line is about. Kinds that give no access are kept as text, so that they can be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `m`: a person holds an entitlement or is a member.
    Holds,
    /// `g`: everybody who is a member of the subject gets the object.
    TemplateGrant,
    /// `i`: members of the object count as members of the subject.
    Includes,
    /// `u`: the state of a person's account.
    AccountState,
    /// `x`: an expiry or review date.
    Expiry,
    /// Anything else, such as the parent of a team, an employer, a number of keys.
    Other(String),
}

impl Kind {
    fn parse(text: &str) -> Self {
        match text {
            "m" => Self::Holds,
            "g" => Self::TemplateGrant,
            "i" => Self::Includes,
            "u" => Self::AccountState,
            "x" => Self::Expiry,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The letter in the file.
    pub(crate) fn letter(&self) -> &str {
        match self {
            Self::Holds => "m",
            Self::TemplateGrant => "g",
            Self::Includes => "i",
            Self::AccountState => "u",
            Self::Expiry => "x",
            Self::Other(text) => text,
        }
    }
}

/// One line of the file.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    pub(crate) op: Op,
    pub(crate) kind: Kind,
    pub(crate) object: String,
}

/// What changed for one subject on one day.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSet {
    pub(crate) date: NaiveDate,
    pub(crate) subject: String,
    pub(crate) events: Vec<Event>,
}

/// Why a file cannot be replayed.
#[derive(Debug)]
pub(crate) struct FileError {
    file: String,
    line: u64,
    what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for FileError {}

const HEADER: [&str; 5] = ["date", "op", "kind", "subject", "object"];

/// A whole file.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// In file order of their first lines.
    pub(crate) sets: Vec<ChangeSet>,
    /// Lines that add what is there already or remove what is not. They change nothing and are counted.
    pub(crate) idle_lines: Vec<u64>,
}

/// Reads the file and groups its lines by date and subject, in the order in which they first appear on
/// their day. A fact that comes and goes on one day splits the group, so that no event is lost.
pub(crate) fn read(path: &Path) -> Result<History, FileError> {
    let file = path.display().to_string();
    let fail = |line: u64, what: String| FileError { file: file.clone(), line, what };
    let mut reader = csv::ReaderBuilder::new()
        .from_path(path)
        .map_err(|e| fail(0, format!("cannot be opened: {e}")))?;
    let header = reader.headers().map_err(|e| fail(1, e.to_string()))?;
    if header.iter().ne(HEADER) {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(fail(1, format!("the header must be `{}`, found `{found}`", HEADER.join(","))));
    }
    let mut history = History::default();
    let mut day = Day::default();
    let mut present: BTreeSet<(Kind, String, String)> = BTreeSet::new();
    for row in reader.records() {
        let row = row.map_err(|e| {
            let line = e.position().map_or(0, csv::Position::line);
            fail(line, e.to_string())
        })?;
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |i: usize| row.get(i).unwrap_or_default().trim().to_owned();
        let date = NaiveDate::parse_from_str(&cell(0), "%Y-%m-%d")
            .map_err(|_| fail(line, format!("`{}` is not a date like 2026-01-31", cell(0))))?;
        let op = match cell(1).as_str() {
            "+" => Op::Add,
            "-" => Op::Remove,
            other => return Err(fail(line, format!("op `{other}` is neither `+` nor `-`"))),
        };
        let (kind, subject, object) = (Kind::parse(&cell(2)), cell(3), cell(4));
        if subject.is_empty() || (object.is_empty() && kind == Kind::Holds) {
            return Err(fail(line, "subject and object must not be empty".to_owned()));
        }
        let fact = (kind.clone(), subject.clone(), object.clone());
        let fits = match op {
            Op::Add => present.insert(fact),
            Op::Remove => present.remove(&fact),
        };
        if !fits {
            history.idle_lines.push(line);
            continue;
        }
        if day.date != Some(date) {
            if day.date.is_some_and(|before| before > date) {
                return Err(fail(line, format!("{date} comes after a later date")));
            }
            day.flush(&mut history.sets);
            day.date = Some(date);
        }
        day.push(subject, Event { line, op, kind, object });
    }
    day.flush(&mut history.sets);
    Ok(history)
}

/// The change sets of one day, in the order of their first line.
#[derive(Default)]
struct Day {
    date: Option<NaiveDate>,
    sets: Vec<ChangeSet>,
    open: BTreeMap<String, usize>,
}

impl Day {
    fn push(&mut self, subject: String, event: Event) {
        let Some(date) = self.date else { return };
        let repeats = |set: &ChangeSet| {
            set.events.iter().any(|e| e.kind == event.kind && e.object == event.object)
        };
        let open = self.open.get(&subject).copied();
        let fits = open.filter(|i| self.sets.get(*i).is_some_and(|set| !repeats(set)));
        if let Some(set) = fits.and_then(|i| self.sets.get_mut(i)) {
            set.events.push(event);
        } else {
            self.open.insert(subject.clone(), self.sets.len());
            self.sets.push(ChangeSet { date, subject, events: vec![event] });
        }
    }

    fn flush(&mut self, into: &mut Vec<ChangeSet>) {
        into.append(&mut self.sets);
        self.open.clear();
    }
}
