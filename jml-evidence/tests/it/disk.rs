//! A disk that loses what was not synced, and that stops at any operation.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use jml_evidence::storage::{Storage, folder};

/// What a crash does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It is all lost.
    Lost,
    /// It is all there.
    Kept,
    /// Some of it is there: which, depends on the number.
    Torn(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    safe: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    now: BTreeMap<String, usize>,
    safe: BTreeMap<String, usize>,
    done: u64,
    stop_at: Option<u64>,
    /// Operations in order, for people.
    log: Vec<String>,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

fn mix(mut n: u64) -> u64 {
    n ^= n >> 30;
    n = n.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n ^= n >> 27;
    n = n.wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation, or stops there and at every one after it.
    fn step(&self, what: String) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.done += 1;
        if state.stop_at.is_some_and(|stop| state.done > stop) {
            return Err(io::Error::other("the process was killed"));
        }
        state.log.push(what);
        Ok(state)
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.state().done
    }

    /// Lets so many further operations happen, and none after them.
    pub(crate) fn stop_after(&self, more: u64) {
        let mut state = self.state();
        state.stop_at = Some(state.done + more);
    }

    /// The last operation that happened.
    pub(crate) fn last(&self) -> String {
        self.state().log.last().cloned().unwrap_or_default()
    }

    /// The disk that a machine finds when it starts again.
    pub(crate) fn crashed(&self, how: Crash) -> Self {
        let state = self.state();
        let mut after = State::default();
        let names: BTreeSet<&String> = state.now.keys().chain(state.safe.keys()).collect();
        for (number, name) in names.into_iter().enumerate() {
            let seed = |salt: u64| match how {
                Crash::Torn(seed) => mix(seed ^ (number as u64 + 1).wrapping_mul(salt)),
                _ => 0,
            };
            let entry = match how {
                Crash::Lost => state.safe.get(name),
                Crash::Kept => state.now.get(name),
                Crash::Torn(_) if seed(0x9e37) % 2 == 0 => state.safe.get(name),
                Crash::Torn(_) => state.now.get(name),
            };
            let Some(inode) = entry.map(|at| &state.inodes[*at]) else { continue };
            let bytes = match how {
                Crash::Lost => inode.safe.clone(),
                Crash::Kept => inode.now.clone(),
                // An appended file is cut anywhere behind what is safe; a rewritten one anywhere.
                Crash::Torn(_) => {
                    let least =
                        if inode.now.starts_with(&inode.safe) { inode.safe.len() } else { 0 };
                    let most = inode.now.len();
                    let cut = least + seed(0x51ed) as usize % (most - least + 1);
                    inode.now[..cut].to_vec()
                }
            };
            after.inodes.push(Inode { safe: bytes.clone(), now: bytes });
            after.safe.insert(name.clone(), after.inodes.len() - 1);
        }
        after.now = after.safe.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// All files.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        state.now.iter().map(|(name, at)| (name.clone(), state.inodes[*at].now.clone())).collect()
    }

    /// Changes a file behind the log's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let at = state.now[name];
        change(&mut state.inodes[at].now);
        let bytes = state.inodes[at].now.clone();
        state.inodes[at].safe = bytes;
    }
}

impl Storage for SimDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        Ok(state.now.get(name).map(|at| state.inodes[*at].now.clone()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().now.keys().cloned().collect())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step(format!("write {name}"))?;
        match state.now.get(name).copied() {
            Some(at) => state.inodes[at].now = bytes.to_vec(),
            None => {
                state.inodes.push(Inode { now: bytes.to_vec(), safe: Vec::new() });
                let at = state.inodes.len() - 1;
                state.now.insert(name.to_owned(), at);
            }
        }
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step(format!("append {name}"))?;
        match state.now.get(name).copied() {
            Some(at) => state.inodes[at].now.extend_from_slice(bytes),
            None => {
                state.inodes.push(Inode { now: bytes.to_vec(), safe: Vec::new() });
                let at = state.inodes.len() - 1;
                state.now.insert(name.to_owned(), at);
            }
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.step(format!("sync {name}"))?;
        let at = state.now[name];
        let bytes = state.inodes[at].now.clone();
        state.inodes[at].safe = bytes;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step(format!("rename {to}"))?;
        let at = state.now.remove(from).unwrap();
        state.now.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(format!("remove {name}"))?.now.remove(name);
        Ok(())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        let mut state = self.step(format!("sync folder {path}"))?;
        let mut safe = std::mem::take(&mut state.safe);
        safe.retain(|name, _| folder(name) != path);
        let here = state.now.iter().filter(|(name, _)| folder(name) == path);
        safe.extend(here.map(|(name, at)| (name.clone(), *at)));
        state.safe = safe;
        Ok(())
    }
}
