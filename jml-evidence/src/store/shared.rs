//! A store that many threads use at once: group commit.
//!
//! Whoever has records queues them and waits. One of those who wait becomes the leader, takes everything
//! that is queued, and syncs once for all of them; meanwhile others queue for the next turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jml_core::journal::{Entry, EvidenceSink};

use super::{EvidenceStore, StoreError};
use crate::log::Sealed;

/// A store behind a lock: the sink of an engine.
#[derive(Debug)]
pub struct SharedStore {
    store: Mutex<EvidenceStore>,
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    /// Whether somebody is syncing or sealing.
    taken: bool,
    /// Entries that are durable.
    durable: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedStore {
    pub(super) fn new(store: EvidenceStore) -> Self {
        let turn = Turn { taken: false, durable: store.log.size() };
        Self { store: Mutex::new(store), turn: Mutex::new(turn), changed: Condvar::new() }
    }

    /// Waits until nobody else syncs or seals. With `enough`, returns `None` as soon as so many entries
    /// are durable.
    fn take(&self, enough: Option<u64>) -> Option<Leader<'_>> {
        let mut turn = lock(&self.turn);
        loop {
            if enough.is_some_and(|enough| turn.durable >= enough) {
                return None;
            }
            if !turn.taken {
                turn.taken = true;
                return Some(Leader { shared: self, durable: turn.durable });
            }
            turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn commit(&self, upto: u64) -> Result<(), StoreError> {
        let Some(mut leader) = self.take(Some(upto)) else { return Ok(()) };
        let (commit, size) = {
            let mut store = lock(&self.store);
            let commit = store.log.begin_commit()?;
            (commit, store.log.size())
        };
        if let Some(commit) = commit {
            let done = commit.run();
            lock(&self.store).log.end_commit(commit, done)?;
        }
        leader.durable = size;
        Ok(())
    }

    /// Makes durable what is new in a journal, and seals when it is time to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let (upto, due) = {
            let mut store = lock(&self.store);
            let staged = store.stage(entries)?;
            (staged.first() + staged.count(), store.due(entries))
        };
        self.commit(upto)?;
        if due {
            self.seal()?;
        }
        Ok(())
    }

    /// Puts everything that is durable under a signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError`]; sealing can be tried again.
    pub fn seal(&self) -> Result<Sealed, StoreError> {
        self.with(EvidenceStore::seal)
    }

    /// Does something with the store while nobody else writes.
    ///
    /// # Errors
    /// As `act`.
    pub fn with<T, E>(&self, act: impl FnOnce(&mut EvidenceStore) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let Some(mut leader) = self.take(None) else {
            // Without a number of entries to wait for, the turn is always given.
            return act(&mut lock(&self.store));
        };
        let mut store = lock(&self.store);
        store.commit()?;
        let done = act(&mut store)?;
        store.commit()?;
        leader.durable = store.log.size();
        Ok(done)
    }
}

/// Whose turn it is to write; gives the turn back however it ends.
struct Leader<'a> {
    shared: &'a SharedStore,
    durable: u64,
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut turn = lock(&self.shared.turn);
        turn.taken = false;
        turn.durable = turn.durable.max(self.durable);
        drop(turn);
        self.shared.changed.notify_all();
    }
}

impl EvidenceSink for SharedStore {
    fn seal(&self, entries: &[Entry]) -> Result<(), String> {
        self.add(entries).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.push_str(": ");
                text.push_str(&error.to_string());
                cause = error.source();
            }
            text
        })
    }
}
