//! Opening a log: everything is read and checked, what a crash interrupted is taken up, what it left goes.

use std::collections::BTreeSet;

use super::{
    CHECKPOINT, LAST_SIGNED, Log, LogError, Sealed, Visit, WAL, at, damaged, entries, signed_line,
    wal,
};
use crate::merkle::{self, Hash, leaf_hash};
use crate::note::Checkpoint;
use crate::tiles::{self, Edge, WIDTH};

impl Log {
    /// Without a checkpoint there must be nothing that one was ever made of.
    pub(super) fn refuse_leftovers(&self) -> Result<(), LogError> {
        let names = self.storage.names().map_err(at(""))?;
        let tiles = names.iter().any(|name| name.starts_with("tile/") && !name.ends_with(".tmp"));
        let signed = self.read(LAST_SIGNED)?;
        let first = signed_line(0, &merkle::root(&[]));
        if tiles || signed.is_some_and(|line| line != first.as_bytes()) {
            return Err(damaged(CHECKPOINT, "it is missing, and there are entries"));
        }
        Ok(())
    }

    /// Reads the sealed part: every entry, every tile.
    pub(super) fn load(&mut self, note: &[u8], visit: &mut Visit<'_>) -> Result<(), LogError> {
        let bad = |what: String| damaged(CHECKPOINT, what);
        let note = std::str::from_utf8(note).map_err(|e| bad(e.to_string()))?;
        let text = self.verifier().open(note).map_err(|e| bad(e.to_string()))?;
        let checkpoint = Checkpoint::parse(text).map_err(|e| bad(e.to_string()))?;
        if checkpoint.origin != self.sealed.checkpoint.origin {
            return Err(bad(format!("it is of the log `{}`", checkpoint.origin)));
        }
        let mut next = 0;
        for (path, level, _, width) in tiles::files(checkpoint.size) {
            if level.is_some() {
                break;
            }
            let bytes = self.read(&path)?.ok_or_else(|| damaged(&path, "it is missing"))?;
            let list = tiles::unbundle(&bytes)
                .filter(|entries| entries.len() as u64 == width)
                .ok_or_else(|| damaged(&path, "its entries do not add up"))?;
            let mut wrong = None;
            for entry in list {
                visit(next, &entry).map_err(|e| damaged(&format!("entry {next}"), e))?;
                next += 1;
                let storage = &self.storage;
                let mut full = |level: u32, index: u64, hashes: &[Hash]| {
                    let path = tiles::path(Some(level), index, WIDTH);
                    if storage.read(&path).ok().flatten().as_deref() != Some(hashes.as_flattened())
                    {
                        wrong.get_or_insert(path);
                    }
                };
                self.edge.push(leaf_hash(&entry), &mut full);
                self.tail.push(entry);
                if self.tail.len() as u64 == WIDTH {
                    self.tail.clear();
                }
            }
            if let Some(path) = wrong {
                return Err(damaged(&path, "it is not the tile of the entries"));
            }
        }
        for (level, index, hashes) in self.edge.partial() {
            let path = tiles::path(Some(level), index, hashes.len() as u64);
            if self.read(&path)?.as_deref() != Some(hashes.as_flattened()) {
                return Err(damaged(&path, "it is not the tile of the entries"));
            }
        }
        if self.edge.root() != checkpoint.root {
            return Err(bad("its root is not the root of the entries".to_owned()));
        }
        self.sealed = Sealed { checkpoint, note: note.to_owned() };
        Ok(())
    }

    /// Takes up what was durable and not sealed. Says whether there was something to finish.
    pub(super) fn recover(&mut self, visit: &mut Visit<'_>) -> Result<bool, LogError> {
        let file = self.read(WAL)?;
        let batches = wal::decode(file.as_deref().unwrap_or_default()).map_err(|e| {
            damaged(WAL, format!("it is damaged at byte {}, and acknowledged entries follow", e.at))
        })?;
        let size = self.edge.size();
        let mut next = size;
        for (first, items) in batches {
            let end = first + entries(&items).count() as u64;
            if end <= size && first < size {
                // Sealed already; the crash came before the file was removed.
                continue;
            }
            if first != next {
                let what = format!("a batch begins at entry {first}, {next} is the next one");
                return Err(damaged(WAL, what));
            }
            for entry in entries(&items) {
                visit(next, entry).map_err(|e| damaged(&format!("entry {next}"), e))?;
                next += 1;
            }
            self.pending.extend(items);
        }
        // A signature may exist of what `last_signed` names. It must be the present checkpoint, or a
        // beginning of what is about to be sealed: the signer may have failed, and more come since.
        let signed = self.read(LAST_SIGNED)?;
        let is = |edge: &Edge| {
            signed.as_deref() == Some(signed_line(edge.size(), &edge.root()).as_bytes())
        };
        let mut edge = self.edge.clone();
        let mut fits = is(&edge) || (self.sealed.note.is_empty() && signed.is_none());
        for entry in entries(&self.pending) {
            edge.push(leaf_hash(entry), &mut |_, _, _| {});
            fits = fits || is(&edge);
        }
        if !fits {
            return Err(damaged(
                LAST_SIGNED,
                "it names neither the checkpoint nor what the write-ahead file adds to it",
            ));
        }
        Ok(file.is_some())
    }

    /// Removes what an interrupted run left: partial tiles that fuller ones replaced, temporary files.
    pub(super) fn sweep(&self) -> Result<(), LogError> {
        let wanted: BTreeSet<String> =
            tiles::files(self.edge.size()).into_iter().map(|(path, ..)| path).collect();
        for name in self.storage.names().map_err(at(""))? {
            let partial = name.starts_with("tile/") && !wanted.contains(&name);
            if name.ends_with(".tmp") || partial {
                self.storage.remove(&name).map_err(at(&name))?;
            }
        }
        Ok(())
    }
}
