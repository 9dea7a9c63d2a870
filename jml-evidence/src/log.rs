//! The log: append, seal, prove; crash at any write loses nothing that was acknowledged.
//!
//! [`Log::append`] makes entries *durable*: they are in the write-ahead file, synced. [`Log::seal`] puts
//! what is durable into the tree and under a signed checkpoint. Its order: what belongs beside the log →
//! bundles and tiles → `last_signed` → signature → `checkpoint` → the write-ahead file and superseded
//! partial tiles go. Every file is there whole or not at all, and each step is synced before the next.
//! There is one writer, and never two signed roots of one size: a signature is made only of the root that
//! `last_signed` names, and that file never changes its root without changing its size.

mod open;
mod wal;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use base64ct::{Base64, Encoding as _};

use crate::merkle::{self, Hash, leaf_hash};
use crate::note::{Checkpoint, CheckpointSigner, Note, VerifierKey};
use crate::storage::Storage;
use crate::tiles::{self, Edge, MAX_ENTRY, TileReader, WIDTH};
use wal::{Item, WAL};

/// A log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A file could not be read or written.
    #[error("evidence file `{path}`: {what}")]
    Io {
        /// Which file.
        path: String,
        /// What happened.
        what: String,
    },
    /// Another writer opened the log since.
    #[error("another process has opened the evidence log since; this one must not write any more")]
    Fenced,
    /// A write failed before, so it is not known what is on the disk.
    #[error("an earlier write failed; open the evidence log again")]
    Broken,
    /// What is on the disk is not a log that this key signed and that was left in order.
    #[error("the evidence log is damaged: {path}: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// An entry is too long.
    #[error("an entry has {0} bytes, at most {MAX_ENTRY} are possible")]
    TooLong(usize),
    /// The signer failed. What is durable stays so, and is signed when it works again.
    #[error("the checkpoint could not be signed: {0}")]
    Sign(String),
}

/// Entries that survive a crash of the process and of the machine, and are not under a checkpoint yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    first: u64,
    count: u64,
}

impl Durable {
    /// Number of the first entry.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// A checkpoint that was signed: everything before its size is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    checkpoint: Checkpoint,
    note: String,
}

impl Sealed {
    /// What was signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether it covers what was made durable.
    #[must_use]
    pub const fn covers(&self, durable: &Durable) -> bool {
        durable.first + durable.count <= self.checkpoint.size
    }
}

/// What a log does with bytes that belong beside it, before it signs the entries that they belong to. It
/// may be called again with the same bytes after a crash.
pub type Settle<'a> = dyn FnMut(&dyn Storage, &[Vec<u8>]) -> io::Result<()> + 'a;

/// What a log tells about each of its entries while it is opened: number and bytes.
pub type Visit<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

/// A log, open for writing.
pub struct Log {
    storage: Arc<dyn Storage>,
    signer: Box<dyn CheckpointSigner>,
    /// The key that takes over, while both sign.
    along: Option<Box<dyn CheckpointSigner>>,
    epoch: u64,
    edge: Edge,
    /// The entries of the bundle that is not full.
    tail: Vec<Vec<u8>>,
    sealed: Sealed,
    /// Durable, and not under a checkpoint yet.
    pending: Vec<Item>,
    /// Not durable yet.
    staged: Vec<Item>,
    wal_length: usize,
    broken: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("checkpoint", &self.sealed.checkpoint)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// Name of the signed checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Name of the file with the size and root that were signed last.
pub(crate) const LAST_SIGNED: &str = "last_signed";
/// Name of the file with the public key.
pub(crate) const VKEY: &str = "vkey";
/// Name of the file that counts how often the log was opened for writing.
pub(crate) const EPOCH: &str = "epoch";
/// Folder of the checkpoints that an old and a new key signed together.
pub(crate) const ROTATIONS: &str = "rotations";

fn at(path: &str) -> impl Fn(io::Error) -> LogError + '_ {
    move |e| LogError::Io { path: path.to_owned(), what: e.to_string() }
}

fn damaged(path: &str, what: impl Into<String>) -> LogError {
    LogError::Damaged { path: path.to_owned(), what: what.into() }
}

fn entries(items: &[Item]) -> impl Iterator<Item = &Vec<u8>> {
    items.iter().filter_map(|item| match item {
        Item::Entry(bytes) => Some(bytes),
        Item::Aside(_) => None,
    })
}

fn asides(items: &[Item]) -> Vec<Vec<u8>> {
    let aside = |item: &Item| match item {
        Item::Aside(bytes) => Some(bytes.clone()),
        Item::Entry(_) => None,
    };
    items.iter().filter_map(aside).collect()
}

/// What is still to be made durable, together. See [`Log::begin_commit`].
pub(crate) struct Commit {
    storage: Arc<dyn Storage>,
    epoch: u64,
    bytes: Vec<u8>,
    new: bool,
    items: Vec<Item>,
}

impl Commit {
    /// Writes and syncs. Needs no access to the log, so others can stage meanwhile.
    pub(crate) fn run(&self) -> Result<(), LogError> {
        fence(self.storage.as_ref(), self.epoch)?;
        self.storage.append(WAL, &self.bytes).map_err(at(WAL))?;
        self.storage.sync(WAL).map_err(at(WAL))?;
        if self.new {
            self.storage.sync_folder("").map_err(at(WAL))?;
        }
        Ok(())
    }
}

fn fence(storage: &dyn Storage, epoch: u64) -> Result<(), LogError> {
    let now = storage.read(EPOCH).map_err(at(EPOCH))?;
    if now.as_deref() == Some(format!("{epoch}\n").as_bytes()) {
        Ok(())
    } else {
        Err(LogError::Fenced)
    }
}

fn signed_line(size: u64, root: &Hash) -> String {
    format!("{size} {}\n", Base64::encode_string(root))
}

impl Log {
    /// Opens a log for writing, makes it if there is none, and finishes what a crash interrupted. All
    /// entries are read and checked against the checkpoint, and handed to `visit` in order.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when its files do not fit together. A damaged log is never written to.
    pub fn open(
        storage: Arc<dyn Storage>,
        signer: Box<dyn CheckpointSigner>,
        visit: &mut Visit<'_>,
        settle: &mut Settle<'_>,
    ) -> Result<Self, LogError> {
        let origin = signer.verifier().name().to_owned();
        let empty = Checkpoint { origin, size: 0, root: merkle::root(&[]) };
        let mut log = Self {
            storage,
            signer,
            along: None,
            epoch: 0,
            edge: Edge::default(),
            tail: Vec::new(),
            sealed: Sealed { checkpoint: empty, note: String::new() },
            pending: Vec::new(),
            staged: Vec::new(),
            wal_length: 0,
            broken: false,
        };
        match log.read(CHECKPOINT)? {
            None => log.refuse_leftovers()?,
            Some(note) => log.load(&note, visit)?,
        }
        let number = |bytes: Vec<u8>| std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok();
        let epoch: Option<u64> = match log.read(EPOCH)? {
            None => Some(0),
            Some(bytes) => number(bytes),
        };
        log.epoch = epoch.ok_or_else(|| damaged(EPOCH, "it is no number"))? + 1;
        let recovered = log.recover(visit)?;
        let line = format!("{}\n", log.epoch).into_bytes();
        log.replace(&[(EPOCH.to_owned(), line)])?;
        if recovered || log.sealed.note.is_empty() {
            let key = format!("{}\n", log.verifier()).into_bytes();
            if log.sealed.note.is_empty() {
                log.replace(&[(VKEY.to_owned(), key)])?;
            }
            log.seal(settle)?;
        }
        log.sweep()?;
        Ok(log)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.storage.read(name).map_err(at(name))
    }

    fn replace(&self, files: &[(String, Vec<u8>)]) -> Result<(), LogError> {
        let name = files.first().map_or("", |(name, _)| name.as_str());
        self.storage.replace(files).map_err(at(name))
    }

    /// Makes entries durable. When this returns, a crash does not lose them.
    ///
    /// # Errors
    /// [`LogError`]. After an error of the storage the log must be opened anew.
    pub fn append(&mut self, entries: Vec<Vec<u8>>) -> Result<Durable, LogError> {
        let durable = self.stage(entries, Vec::new())?;
        if let Some(commit) = self.begin_commit()? {
            let done = commit.run();
            self.end_commit(commit, done)?;
        }
        Ok(durable)
    }

    /// Queues entries, and bytes that belong beside them, for the next commit.
    pub(crate) fn stage(
        &mut self,
        new: Vec<Vec<u8>>,
        beside: Vec<Vec<u8>>,
    ) -> Result<Durable, LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        if let Some(long) = new.iter().find(|entry| entry.len() > MAX_ENTRY) {
            return Err(LogError::TooLong(long.len()));
        }
        let durable = Durable { first: self.size(), count: new.len() as u64 };
        // What lies beside goes first: without its entry it is harmless, without it the entry is mute.
        self.staged.extend(beside.into_iter().map(Item::Aside));
        self.staged.extend(new.into_iter().map(Item::Entry));
        Ok(durable)
    }

    /// Takes everything that is staged. Between this and [`end_commit`](Self::end_commit) no other commit
    /// and no seal may begin.
    pub(crate) fn begin_commit(&mut self) -> Result<Option<Commit>, LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        if self.staged.is_empty() {
            return Ok(None);
        }
        let items = std::mem::take(&mut self.staged);
        let first = self.durable_size();
        let bytes = wal::encode(self.wal_length, first, &items);
        let new = self.wal_length == 0;
        self.wal_length += bytes.len();
        // Counted as pending from here, so that numbers of entries go on; a failure breaks the log.
        self.pending.extend(items.iter().cloned());
        let (storage, epoch) = (Arc::clone(&self.storage), self.epoch);
        Ok(Some(Commit { storage, epoch, bytes, new, items }))
    }

    /// Takes note of how a commit ended.
    pub(crate) fn end_commit(
        &mut self,
        commit: Commit,
        done: Result<(), LogError>,
    ) -> Result<(), LogError> {
        drop(commit.items);
        self.broken |= done.is_err();
        done
    }

    fn durable_size(&self) -> u64 {
        self.edge.size() + entries(&self.pending).count() as u64
    }

    /// Puts what is durable into the tree and signs a checkpoint over it. With nothing new, the present
    /// checkpoint is given back.
    ///
    /// # Errors
    /// [`LogError`]. What was durable stays so; sealing can be tried again.
    pub fn seal(&mut self, settle: &mut Settle<'_>) -> Result<Sealed, LogError> {
        if self.broken {
            return Err(LogError::Broken);
        }
        let nothing = self.pending.is_empty() && self.wal_length == 0;
        if nothing && !self.sealed.note.is_empty() {
            if self.storage.read(WAL).map_err(at(WAL))?.is_some() {
                self.drop_wal()?;
            }
            return Ok(self.sealed.clone());
        }
        fence(self.storage.as_ref(), self.epoch)?;
        settle(self.storage.as_ref(), &asides(&self.pending)).map_err(at("beside the log"))?;
        let (mut edge, mut tail, mut files) = (self.edge.clone(), self.tail.clone(), Vec::new());
        for entry in entries(&self.pending) {
            let mut full = |level: u32, index: u64, hashes: &[Hash]| {
                let path = tiles::path(Some(level), index, WIDTH);
                files.push((path, hashes.as_flattened().to_vec()));
            };
            edge.push(leaf_hash(entry), &mut full);
            tail.push(entry.clone());
            if tail.len() as u64 == WIDTH {
                let path = tiles::path(None, edge.size() / WIDTH - 1, WIDTH);
                files.push((path, bundle(&tail)?));
                tail.clear();
            }
        }
        let known: BTreeSet<String> = partials(&self.edge).map(|(path, _)| path).collect();
        files.extend(partials(&edge).filter(|(path, _)| !known.contains(path)));
        if !tail.is_empty() {
            let path = tiles::path(None, edge.size() / WIDTH, tail.len() as u64);
            files.push((path, bundle(&tail)?));
        }
        self.replace(&files)?;
        let sealed = self.sign(&edge)?;
        let before = std::mem::replace(&mut self.edge, edge);
        (self.tail, self.sealed) = (tail, sealed);
        self.pending.clear();
        self.drop_wal()?;
        self.drop_partials(&before)?;
        Ok(self.sealed.clone())
    }

    fn sign(&self, edge: &Edge) -> Result<Sealed, LogError> {
        let line = signed_line(edge.size(), &edge.root());
        if let Some(signed) = self.read(LAST_SIGNED)? {
            let size = |line: &[u8]| line.split(|b| *b == b' ').next().map(<[u8]>::to_vec);
            if size(&signed) == size(line.as_bytes()) && signed != line.as_bytes() {
                return Err(damaged(LAST_SIGNED, "another root of this size was signed"));
            }
        }
        self.replace(&[(LAST_SIGNED.to_owned(), line.into_bytes())])?;
        let origin = self.sealed.checkpoint.origin.clone();
        let checkpoint = Checkpoint { origin, size: edge.size(), root: edge.root() };
        let text = checkpoint.text();
        let mut lines = Vec::new();
        for signer in std::iter::once(&self.signer).chain(&self.along) {
            let key = signer.verifier();
            let signature = signer.sign(text.as_bytes()).map_err(LogError::Sign)?;
            key.check(&text, &signature).map_err(|e| LogError::Sign(e.to_string()))?;
            lines.push(key.line(&signature));
        }
        let note = Note::write(&text, &lines);
        let mut files = vec![(CHECKPOINT.to_owned(), note.clone().into_bytes())];
        if lines.len() > 1 {
            files.insert(0, (format!("{ROTATIONS}/{}", edge.size()), note.clone().into_bytes()));
        }
        self.replace(&files)?;
        Ok(Sealed { checkpoint, note })
    }

    fn drop_wal(&mut self) -> Result<(), LogError> {
        self.storage.remove(WAL).map_err(at(WAL))?;
        self.storage.sync_folder("").map_err(at(WAL))?;
        self.wal_length = 0;
        Ok(())
    }

    /// Removes the partial tiles of an earlier edge that fuller ones replaced.
    fn drop_partials(&self, before: &Edge) -> Result<(), LogError> {
        let now: BTreeSet<String> = partials(&self.edge).map(|(path, _)| path).collect();
        let bundle = |edge: &Edge| tiles::path(None, edge.size() / WIDTH, edge.size() % WIDTH);
        let mut old: Vec<String> =
            partials(before).map(|(path, _)| path).filter(|path| !now.contains(path)).collect();
        if !before.size().is_multiple_of(WIDTH) && bundle(before) != bundle(&self.edge) {
            old.push(bundle(before));
        }
        old.iter().try_for_each(|path| self.storage.remove(path).map_err(at(path)))
    }

    /// Lets another key sign along from the next checkpoint on: the first half of a change of keys. Each
    /// checkpoint that both sign is kept, so that whoever trusts the old key learns of the new one.
    ///
    /// # Errors
    /// [`LogError::Sign`] when the key is of another log.
    pub fn add_signer(&mut self, signer: Box<dyn CheckpointSigner>) -> Result<(), LogError> {
        if signer.verifier().name() != self.sealed.checkpoint.origin {
            return Err(LogError::Sign("a log's key has the name of the log".to_owned()));
        }
        self.along = Some(signer);
        Ok(())
    }

    /// Lets only the newer key sign from now on: the second half of a change of keys. The old private key
    /// can be destroyed then, and with it the power to rewrite what it signed.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn retire_old_signer(&mut self) -> Result<(), LogError> {
        if let Some(signer) = self.along.take() {
            self.replace(&[(VKEY.to_owned(), format!("{}\n", signer.verifier()).into_bytes())])?;
            self.signer = signer;
        }
        Ok(())
    }

    /// How many entries there are, with those that are not sealed yet.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.durable_size() + entries(&self.staged).count() as u64
    }

    /// The present checkpoint.
    #[must_use]
    pub const fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The key that checks it; during a change of keys, the old one.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.signer.verifier()
    }

    /// Signs a text that no checkpoint can look like.
    #[cfg(feature = "pack")]
    pub(crate) fn sign_text(&self, text: &str) -> Result<String, LogError> {
        let key = self.signer.verifier();
        let signature = self.signer.sign(text.as_bytes()).map_err(LogError::Sign)?;
        key.check(text, &signature).map_err(|e| LogError::Sign(e.to_string()))?;
        Ok(Note::write(text, &[key.line(&signature)]))
    }

    /// Signs bytes in an envelope. Their encoding begins like nothing else that the key signs.
    #[cfg(feature = "pack")]
    pub(crate) fn sign_envelope(
        &self,
        payload_type: &str,
        payload: Vec<u8>,
    ) -> Result<crate::dsse::Envelope, LogError> {
        let key = self.signer.verifier();
        let message = crate::dsse::pae(payload_type, &payload);
        let signature = self.signer.sign(&message).map_err(LogError::Sign)?;
        key.check_message(&message, &signature).map_err(|e| LogError::Sign(e.to_string()))?;
        let signatures = vec![(key.to_string(), signature)];
        Ok(crate::dsse::Envelope { payload_type: payload_type.to_owned(), payload, signatures })
    }

    /// Where its files are.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// A sealed entry.
    ///
    /// # Errors
    /// [`LogError`] when there is none, or it cannot be read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let size = self.edge.size();
        let width = size.saturating_sub(index / WIDTH * WIDTH).min(WIDTH);
        let path = tiles::path(None, index / WIDTH, width);
        let bytes = self.read(&path)?.ok_or_else(|| damaged(&path, "it is missing"))?;
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        let entry = tiles::unbundle(&bytes).and_then(|list| list.into_iter().nth(place));
        entry.ok_or_else(|| damaged(&path, format!("entry {index} is not in it")))
    }

    /// The inclusion proof of a sealed entry under the present checkpoint.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when there is no such entry or a tile is missing.
    pub fn prove(&self, index: u64) -> Result<Vec<Hash>, LogError> {
        let fetch = |path: &str| self.storage.read(path).ok().flatten();
        let reader = TileReader::new(self.edge.size(), &fetch);
        merkle::prove_inclusion(reader, self.edge.size(), index)
            .ok_or_else(|| damaged("tile", format!("no proof of entry {index}")))
    }

    /// The consistency proof from an earlier size to the present checkpoint.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when the log was never so large or a tile is missing.
    pub fn prove_consistency(&self, old: u64) -> Result<Vec<Hash>, LogError> {
        let fetch = |path: &str| self.storage.read(path).ok().flatten();
        let reader = TileReader::new(self.edge.size(), &fetch);
        merkle::prove_consistency(reader, old, self.edge.size())
            .ok_or_else(|| damaged("tile", format!("no proof from size {old}")))
    }
}

/// The tiles of an edge that are not full: path and bytes.
fn partials(edge: &Edge) -> impl Iterator<Item = (String, Vec<u8>)> {
    edge.partial().map(|(level, index, hashes)| {
        let path = tiles::path(Some(level), index, hashes.len() as u64);
        (path, hashes.as_flattened().to_vec())
    })
}

fn bundle(entries: &[Vec<u8>]) -> Result<Vec<u8>, LogError> {
    tiles::bundle(entries.iter().map(Vec::as_slice)).ok_or(LogError::TooLong(MAX_ENTRY + 1))
}
