//! Every store through the same checks; and stores that are wrong, to see that the checks can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jml_core::id::RunId;
use jml_core::journal::{Claim, Entry, Fact, JournalError, JournalStore};
use jml_engine::store::{MemoryStore, SqliteStore};
use jml_testkit::journal::LaggingJournal;
use jml_testkit::stores::check;

pub(crate) fn failures(make: impl Fn() -> Arc<dyn JournalStore>) -> Vec<String> {
    let checks = check(make);
    assert!(checks.len() >= 9);
    let failed =
        |it: jml_testkit::stores::StoreCheck| Some(format!("{}: {}", it.name, it.failure?));
    checks.into_iter().filter_map(failed).collect()
}

#[test]
fn the_stores_are_stores() {
    assert_eq!(failures(|| Arc::new(MemoryStore::new())), Vec::<String>::new());
    assert_eq!(failures(|| Arc::new(LaggingJournal::new())), Vec::<String>::new());
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let sqlite = || -> Arc<dyn JournalStore> {
        number.set(number.get() + 1);
        let path = folder.path().join(format!("{}.db", number.get()));
        Arc::new(SqliteStore::open(&path).unwrap())
    };
    assert_eq!(failures(sqlite), Vec::<String>::new());
}

/// What a store can get wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    IgnoresTheLength,
    KeepsARefusedAppend,
    ListsByName,
    LosesTheLastEntry,
    MixesRunsWithOnePrefix,
    LooksAndThenWrites,
    ListsEveryRunThatIsRead,
    CutsAtZero,
    TakesAnEndingForTheEnd,
    KeepsClaims,
}

struct Broken(Wrong, Mutex<Held>, Mutex<BTreeSet<String>>);

/// Runs in the order in which they were opened, and their entries.
type Held = (Vec<RunId>, BTreeMap<RunId, Vec<Entry>>);

/// The first two characters of a run's name.
fn prefix(run: &RunId) -> RunId {
    RunId::new(run.as_str().chars().take(2).collect::<String>()).unwrap()
}

#[async_trait]
impl JournalStore for Broken {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        let run = match self.0 {
            Wrong::MixesRunsWithOnePrefix => prefix(run),
            _ => run.clone(),
        };
        let mut found = self.1.lock().unwrap().1.get(&run).map_or(0, Vec::len) as u64;
        if matches!(self.0, Wrong::LooksAndThenWrites) {
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        let mut inner = self.1.lock().unwrap();
        if !matches!(self.0, Wrong::LooksAndThenWrites) {
            found = inner.1.get(&run).map_or(0, Vec::len) as u64;
        }
        let refused = found != expected && !matches!(self.0, Wrong::IgnoresTheLength);
        if refused && !matches!(self.0, Wrong::KeepsARefusedAppend) {
            return Err(JournalError::Conflict { run, expected, found });
        }
        if !inner.0.contains(&run) {
            inner.0.push(run.clone());
        }
        let mut entries = entries.to_vec();
        if matches!(self.0, Wrong::CutsAtZero) {
            let text = serde_json::to_string(&entries).unwrap().replace("\\u0000", "");
            entries = serde_json::from_str(&text).unwrap();
        }
        inner.1.entry(run.clone()).or_default().extend(entries);
        if refused { Err(JournalError::Conflict { run, expected, found }) } else { Ok(()) }
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let mut inner = self.1.lock().unwrap();
        if matches!(self.0, Wrong::ListsEveryRunThatIsRead) && !inner.0.contains(run) {
            inner.0.push(run.clone());
        }
        let run = match self.0 {
            Wrong::MixesRunsWithOnePrefix => prefix(run),
            _ => run.clone(),
        };
        let mut all = inner.1.get(&run).cloned().unwrap_or_default();
        if matches!(self.0, Wrong::LosesTheLastEntry) {
            all.pop();
        }
        Ok(all)
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let inner = self.1.lock().unwrap();
        Ok(match self.0 {
            Wrong::ListsByName => inner.1.keys().cloned().collect(),
            _ => inner.0.clone(),
        })
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, JournalError> {
        let ends = |fact: &Fact| {
            let sloppy = matches!(self.0, Wrong::TakesAnEndingForTheEnd);
            matches!(fact, Fact::Closed { .. })
                || (sloppy && matches!(fact, Fact::Cancelled { why } if why == "closed"))
        };
        let mut open = self.runs().await?;
        let inner = self.1.lock().unwrap();
        open.retain(|run| !inner.1[run].last().is_some_and(|entry| ends(&entry.fact)));
        Ok(open)
    }

    async fn claim(&self, what: &str) -> Result<Option<Claim>, JournalError> {
        let new = self.2.lock().unwrap().insert(what.to_owned());
        let keeps = matches!(self.0, Wrong::KeepsClaims);
        Ok((new || !keeps).then(Claim::unshared))
    }
}

#[test]
fn every_broken_store_is_seen_and_every_check_sees_one() {
    let mut seen = BTreeSet::new();
    for wrong in [
        Wrong::IgnoresTheLength,
        Wrong::KeepsARefusedAppend,
        Wrong::ListsByName,
        Wrong::LosesTheLastEntry,
        Wrong::MixesRunsWithOnePrefix,
        Wrong::LooksAndThenWrites,
        Wrong::ListsEveryRunThatIsRead,
        Wrong::CutsAtZero,
        Wrong::TakesAnEndingForTheEnd,
        Wrong::KeepsClaims,
    ] {
        let failed = failures(|| Arc::new(Broken(wrong, Mutex::default(), Mutex::default())));
        assert!(!failed.is_empty(), "{wrong:?} is not seen");
        seen.extend(failed.into_iter().filter_map(|it| Some(it.split_once(':')?.0.to_owned())));
    }
    let idle: Vec<&str> = check(|| Arc::new(MemoryStore::new()))
        .into_iter()
        .map(|it| it.name)
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(idle.is_empty(), "checks that see nothing: {idle:?}");
}
