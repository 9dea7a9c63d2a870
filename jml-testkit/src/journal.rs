//! Journals that misbehave as real stores do: late, and without their last entries after a crash.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jml_core::id::RunId;
use jml_core::journal::{Entry, JournalError, JournalStore};

/// What an append does to the process that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crash {
    /// The process dies before the entries are durable.
    Before,
    /// The entries are durable, and the process dies before it hears of it.
    After,
}

/// A journal in memory that can crash its user at a chosen append, show old entries to whoever reads, and
/// lose entries that were not yet synced.
///
/// A store that acknowledges before it is durable breaks the contract of [`JournalStore`]; `lose_tail`
/// is how a test shows what that costs.
#[derive(Debug, Default)]
pub struct LaggingJournal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    runs: BTreeMap<RunId, Vec<Entry>>,
    opened: Vec<RunId>,
    appends: u32,
    crash: Option<(u32, Crash)>,
    lag: usize,
}

impl LaggingJournal {
    /// A journal that behaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The append with this number (from 0, over all runs) crashes.
    pub fn crash_at(&self, append: u32, how: Crash) {
        self.lock().crash = Some((append, how));
    }

    /// Whether a crash that was asked for is still to come.
    #[must_use]
    pub fn is_crash_to_come(&self) -> bool {
        self.lock().crash.is_some()
    }

    /// How many appends there were.
    #[must_use]
    pub fn appends(&self) -> u32 {
        self.lock().appends
    }

    /// Readers do not see the last `entries` of a run: a replica that is behind. Appends are checked
    /// against the whole, so a driver that read too little loses.
    pub fn lag(&self, entries: usize) {
        self.lock().lag = entries;
    }

    /// Takes the last `entries` of a run away for good, as a disk does that lied about a sync.
    pub fn lose_tail(&self, run: &RunId, entries: usize) {
        if let Some(journal) = self.lock().runs.get_mut(run) {
            let keep = journal.len().saturating_sub(entries);
            journal.truncate(keep);
        }
    }

    /// Everything of a run, whatever readers see.
    #[must_use]
    pub fn truth(&self, run: &RunId) -> Vec<Entry> {
        self.lock().runs.get(run).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl JournalStore for LaggingJournal {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        let mut inner = self.lock();
        let number = inner.appends;
        inner.appends += 1;
        let crash = inner.crash.take_if(|(at, _)| *at == number).map(|(_, how)| how);
        let died = || JournalError::Store("the process died".to_owned());
        if crash == Some(Crash::Before) {
            return Err(died());
        }
        let journal = inner.runs.entry(run.clone()).or_default();
        let found = u64::try_from(journal.len()).unwrap_or(u64::MAX);
        if found != expected {
            return Err(JournalError::Conflict { run: run.clone(), expected, found });
        }
        journal.extend_from_slice(entries);
        if found == 0 {
            inner.opened.push(run.clone());
        }
        if crash == Some(Crash::After) { Err(died()) } else { Ok(()) }
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let inner = self.lock();
        let mut journal = inner.runs.get(run).cloned().unwrap_or_default();
        journal.truncate(journal.len().saturating_sub(inner.lag));
        Ok(journal)
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        Ok(self.lock().opened.clone())
    }
}
