//! Journals in memory: for simulations and tests. Nothing survives the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jml_core::id::RunId;
use jml_core::journal::{Entry, JournalError, JournalStore};

/// Journals in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    runs: Vec<RunId>,
    entries: BTreeMap<RunId, Vec<Entry>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl JournalStore for MemoryStore {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.entries.get(run).map_or(0, |list| list.len() as u64);
        if found != expected {
            return Err(JournalError::Conflict { run: run.clone(), expected, found });
        }
        if found == 0 {
            inner.runs.push(run.clone());
        }
        inner.entries.entry(run.clone()).or_default().extend_from_slice(entries);
        Ok(())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(inner.entries.get(run).cloned().unwrap_or_default())
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).runs.clone())
    }
}
