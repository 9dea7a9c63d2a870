//! The log on disk: append, integrate, sign; crash at any write loses nothing that was acknowledged.
//!
//! Order of an append: write-ahead file, synced (now it is durable) → bundles and tiles → `last_signed`,
//! synced → signature → `checkpoint` → the write-ahead file and superseded partial tiles go. There is one
//! writer, and never two signed roots of one size: a signature is made only of the root that
//! `last_signed` names.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::{Checkpoint, CheckpointSigner, VerifierKey};
use crate::tiles::{self, MAX_ENTRY, WIDTH};

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
    /// Another process writes the log.
    #[error("another process is writing the evidence log in `{0}`")]
    Locked(String),
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
    /// The signer failed.
    #[error("the checkpoint could not be signed: {0}")]
    Sign(String),
}

/// The log of one directory, open for writing.
pub struct Log {
    dir: PathBuf,
    signer: Box<dyn CheckpointSigner>,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
    frontier: Frontier,
    checkpoint: String,
    _lock: File,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("size", &self.leaves.len()).finish()
    }
}

const CHECKPOINT: &str = "checkpoint";
const LAST_SIGNED: &str = "last_signed";
const WAL: &str = "wal";
const VKEY: &str = "vkey";

fn io(path: &Path) -> impl Fn(std::io::Error) -> LogError + '_ {
    move |e| LogError::Io { path: path.display().to_string(), what: e.to_string() }
}

impl Log {
    /// Opens a log, makes it if there is none, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; [`LogError::Damaged`] when its files do not fit
    /// together. A damaged log is never written to.
    pub fn open(dir: &Path, signer: Box<dyn CheckpointSigner>) -> Result<Self, LogError> {
        fs::create_dir_all(dir).map_err(io(dir))?;
        let lock_path = dir.with_extension("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        if lock.try_lock().is_err() {
            return Err(LogError::Locked(dir.display().to_string()));
        }
        let mut log = Self {
            dir: dir.to_owned(),
            signer,
            entries: Vec::new(),
            leaves: Vec::new(),
            frontier: Frontier::default(),
            checkpoint: String::new(),
            _lock: lock,
        };
        match log.read(CHECKPOINT)? {
            None => log.begin()?,
            Some(note) => log.load(&note)?,
        }
        log.recover()?;
        log.sweep()?;
        Ok(log)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io(&path)(e)),
        }
    }

    /// Writes a file so that it is there whole or not at all, also after a crash.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(io(parent))?;
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary).map_err(io(&temporary))?;
        file.write_all(bytes).map_err(io(&temporary))?;
        file.sync_data().map_err(io(&temporary))?;
        fs::rename(&temporary, &path).map_err(io(&path))?;
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io(parent))
    }

    fn damaged(path: &str, what: impl Into<String>) -> LogError {
        LogError::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// A new log: its key, and a checkpoint over nothing.
    fn begin(&mut self) -> Result<(), LogError> {
        if self.read("tile/entries/000.p/1")?.is_some() || self.read("tile/entries/000")?.is_some()
        {
            return Err(Self::damaged(CHECKPOINT, "it is missing, and there are entries"));
        }
        self.write(VKEY, format!("{}\n", self.signer.verifier()).as_bytes())?;
        self.sign()
    }

    fn load(&mut self, note: &[u8]) -> Result<(), LogError> {
        let verifier = self.signer.verifier();
        let bad = |what: String| Self::damaged(CHECKPOINT, what);
        let note = std::str::from_utf8(note).map_err(|e| bad(e.to_string()))?;
        let text = verifier.open(note).map_err(|e| bad(e.to_string()))?;
        let checkpoint = Checkpoint::parse(text).map_err(|e| bad(e.to_string()))?;
        for (path, level, _, width) in tiles::files(checkpoint.size) {
            if level.is_some() {
                continue;
            }
            let bytes = self.read(&path)?.ok_or_else(|| Self::damaged(&path, "it is missing"))?;
            let entries = tiles::unbundle(&bytes)
                .filter(|entries| entries.len() as u64 == width)
                .ok_or_else(|| Self::damaged(&path, "its entries do not add up"))?;
            for entry in entries {
                self.push(entry);
            }
        }
        if self.frontier.root() != checkpoint.root {
            return Err(bad("its root is not the root of the entries".to_owned()));
        }
        note.clone_into(&mut self.checkpoint);
        Ok(())
    }

    fn push(&mut self, entry: Vec<u8>) {
        let hash = leaf_hash(&entry);
        self.leaves.push(hash);
        self.frontier.push(hash);
        self.entries.push(entry);
    }

    /// Finishes an append that a crash interrupted. Frames that are not whole were never acknowledged.
    fn recover(&mut self) -> Result<(), LogError> {
        if let Some(bytes) = self.read(WAL)? {
            if let Some((base, entries)) = parse_wal(&bytes) {
                let size = self.leaves.len() as u64;
                if base == size {
                    self.integrate(entries)?;
                } else if base + entries.len() as u64 != size {
                    let what = format!("it begins at {base}, the log has {size} entries");
                    return Err(Self::damaged(WAL, what));
                }
            }
            let path = self.path(WAL);
            fs::remove_file(&path).map_err(io(&path))?;
        }
        let signed = self.read(LAST_SIGNED)?;
        if signed.as_deref() != Some(self.signed_line().as_bytes()) {
            return Err(Self::damaged(
                LAST_SIGNED,
                "it does not name the checkpoint's size and root",
            ));
        }
        Ok(())
    }

    fn signed_line(&self) -> String {
        let root = Base64::encode_string(&self.frontier.root());
        format!("{} {root}\n", self.leaves.len())
    }

    /// Appends entries. When this returns, they are durable, in the tree, and under a signed checkpoint.
    /// Returns the index of the first one.
    ///
    /// # Errors
    /// [`LogError`]. After an error the log must be opened anew.
    pub fn append(&mut self, entries: Vec<Vec<u8>>) -> Result<u64, LogError> {
        let first = self.leaves.len() as u64;
        if entries.is_empty() {
            return Ok(first);
        }
        if let Some(long) = entries.iter().find(|entry| entry.len() > MAX_ENTRY) {
            return Err(LogError::TooLong(long.len()));
        }
        self.write(WAL, &format_wal(first, &entries))?;
        self.integrate(entries)?;
        let path = self.path(WAL);
        fs::remove_file(&path).map_err(io(&path))?;
        self.sweep()?;
        Ok(first)
    }

    fn integrate(&mut self, entries: Vec<Vec<u8>>) -> Result<(), LogError> {
        let before = self.leaves.len() as u64;
        for entry in entries {
            self.push(entry);
        }
        let size = self.leaves.len() as u64;
        let known: BTreeSet<String> = tiles::files(before).into_iter().map(|f| f.0).collect();
        let levels = tiles::levels(self.leaves.clone());
        for (path, level, index, width) in tiles::files(size) {
            if known.contains(&path) {
                continue;
            }
            let range = usize::try_from(index * WIDTH).unwrap_or(usize::MAX);
            let width = usize::try_from(width).unwrap_or(0);
            let bytes = match level {
                None => {
                    let entries = self.entries.iter().skip(range).take(width);
                    tiles::bundle(entries.map(Vec::as_slice)).ok_or(LogError::TooLong(MAX_ENTRY))?
                }
                Some(level) => {
                    let level = usize::try_from(level).unwrap_or(usize::MAX);
                    let hashes = levels.get(level).map(Vec::as_slice).unwrap_or_default();
                    hashes.iter().skip(range).take(width).flatten().copied().collect()
                }
            };
            self.write(&path, &bytes)?;
        }
        self.sign()
    }

    fn sign(&mut self) -> Result<(), LogError> {
        let line = self.signed_line();
        if let Some(signed) = self.read(LAST_SIGNED)? {
            let size = |line: &[u8]| line.split(|b| *b == b' ').next().map(<[u8]>::to_vec);
            if size(&signed) == size(line.as_bytes()) && signed != line.as_bytes() {
                return Err(Self::damaged(LAST_SIGNED, "another root of this size was signed"));
            }
        }
        self.write(LAST_SIGNED, line.as_bytes())?;
        let origin = self.signer.verifier().name().to_owned();
        let size = self.leaves.len() as u64;
        let text = Checkpoint { origin, size, root: self.frontier.root() }.text();
        self.checkpoint = self.signer.sign(&text).map_err(LogError::Sign)?;
        self.write(CHECKPOINT, self.checkpoint.as_bytes())
    }

    /// Removes partial tiles that a fuller one replaced, and temporary files of an interrupted write.
    fn sweep(&self) -> Result<(), LogError> {
        let wanted: BTreeSet<PathBuf> = tiles::files(self.leaves.len() as u64)
            .into_iter()
            .map(|(path, ..)| self.path(&path))
            .collect();
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            for item in fs::read_dir(&folder).map_err(io(&folder))? {
                let path = item.map_err(io(&folder))?.path();
                let partial = folder.extension().is_some_and(|e| e == "p");
                let temporary = path.extension().is_some_and(|e| e == "tmp");
                if path.is_dir() {
                    folders.push(path);
                } else if temporary || (partial && !wanted.contains(&path)) {
                    fs::remove_file(&path).map_err(io(&path))?;
                    if partial {
                        // Fails while something is left in it, which is right.
                        let _ = fs::remove_dir(&folder);
                    }
                }
            }
        }
        Ok(())
    }

    /// How many entries there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// All entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// The hashes of all entries in order.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The present signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// The key that checks it.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.signer.verifier()
    }
}

/// The write-ahead file: where its entries begin, the entries, and a hash over both.
fn format_wal(base: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut body = base.to_be_bytes().to_vec();
    for entry in entries {
        body.extend_from_slice(&u32::try_from(entry.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(entry);
    }
    let mut out = Sha256::digest(&body).to_vec();
    out.append(&mut body);
    out
}

fn parse_wal(bytes: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let (hash, body) = bytes.split_first_chunk::<32>()?;
    if <Hash>::from(Sha256::digest(body)) != *hash {
        return None;
    }
    let (base, mut rest) = body.split_first_chunk::<8>()?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (entry, more) = more.split_at_checked(length)?;
        entries.push(entry.to_vec());
        rest = more;
    }
    Some((u64::from_be_bytes(*base), entries))
}
