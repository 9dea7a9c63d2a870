//! The vault: disclosed values, encrypted for each subject with a key of its own.
//!
//! The log holds digests; the vault holds the texts that they are of. Erasing somebody destroys their key
//! and their texts; the digests stay, every proof stays, and nobody can tell any more what they were of.
//!
//! `vault/key` holds the table key, wrapped by a [`KeyWrap`]: a KMS is asked once for each opening.
//! `vault/subjects` has one line for each subject: its pseudonym, and under the table key its identity and
//! its own key. `vault/rows/N` has the disclosures of entries `256 N` to `256 N + 255`, a line each.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disclose;
use crate::entropy::Entropy;
use crate::storage::Storage;
use crate::tiles::WIDTH;
use crate::verify::Files;

/// A key of 256 bits. Wiped when dropped, never printed.
pub type SecretKey = Zeroizing<[u8; 32]>;

/// Why the vault cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A file could not be read or written.
    #[error("vault file `{path}`: {what}")]
    Io {
        /// Which file.
        path: String,
        /// What happened.
        what: String,
    },
    /// A file is not what this version writes.
    #[error("vault file `{path}`, line {line}: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The key that wraps the vault's key cannot be used.
    #[error("the vault's key cannot be unwrapped: {0}")]
    Key(String),
}

/// Wraps the vault's key. A trait, so that the wrapping key can live in a KMS.
pub trait KeyWrap: Send + Sync {
    /// Encrypts a key.
    ///
    /// # Errors
    /// In words, without the key.
    fn wrap(&self, key: &SecretKey, entropy: &mut dyn Entropy) -> Result<Vec<u8>, String>;

    /// Decrypts it.
    ///
    /// # Errors
    /// In words; also when the bytes were wrapped by another key.
    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretKey, String>;
}

/// A wrapping key in memory.
pub struct LocalKey(SecretKey);

impl std::fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalKey")
    }
}

/// How the text form of a [`LocalKey`] begins.
const LOCAL: &str = "JML+VAULT+KEY+";

impl LocalKey {
    /// A new key.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(fresh(entropy))
    }

    /// Reads the form that [`expose`](Self::expose) writes; `None` when it is not that. The text is not
    /// repeated anywhere.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.trim().strip_prefix(LOCAL)?;
        let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(encoded).ok()?);
        Some(Self(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?)))
    }

    /// The key as text. It is the secret: write it where only the log's owner can read it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{LOCAL}{}", Base64UrlUnpadded::encode_string(self.0.as_ref())))
    }
}

impl KeyWrap for LocalKey {
    fn wrap(&self, key: &SecretKey, entropy: &mut dyn Entropy) -> Result<Vec<u8>, String> {
        close(&self.0, b"jml-vault/key/v1", key.as_ref(), entropy)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretKey, String> {
        let bytes = Zeroizing::new(
            open(&self.0, b"jml-vault/key/v1", wrapped).ok_or("it was wrapped by another key")?,
        );
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| "it is no key".to_owned())?;
        Ok(Zeroizing::new(key))
    }
}

fn fresh(entropy: &mut dyn Entropy) -> SecretKey {
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill(key.as_mut());
    key
}

/// XChaCha20-Poly1305 with a random nonce in front.
fn close(
    key: &SecretKey,
    aad: &[u8],
    text: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, String> {
    let mut nonce = [0; 24];
    entropy.fill(&mut nonce);
    let cipher = XChaCha20Poly1305::new(&Key::from(**key));
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: text, aad })
        .map_err(|_| "too long to be encrypted".to_owned())?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(&sealed);
    Ok(out)
}

fn open(key: &SecretKey, aad: &[u8], closed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = closed.split_first_chunk::<24>()?;
    let cipher = XChaCha20Poly1305::new(&Key::from(**key));
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad }).ok()
}

/// How long a disclosed value is kept, at the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetentionClass {
    /// Who, what, why, who approved it, the certificate: what an auditor asks for.
    Proof,
    /// Whole plans, accounts as they were read before and after: what an investigator asks for.
    Detail,
}

impl RetentionClass {
    /// The name in files and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Detail => "detail",
        }
    }
}

/// A row of the vault: one disclosure, closed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    entry: u64,
    r#ref: String,
    class: RetentionClass,
    digest: String,
    r#box: String,
}

/// A line of the table of subjects.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectLine {
    r#ref: String,
    r#box: String,
}

struct Subject {
    identity: String,
    key: SecretKey,
}

/// A disclosure that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct OpenRow {
    /// The entry that names it.
    pub entry: u64,
    /// Under whose key it is.
    pub subject: String,
    /// How long it is kept.
    pub class: RetentionClass,
    /// The disclosure's text (RFC 9901).
    pub text: String,
}

const KEY: &str = "vault/key";
const SUBJECTS: &str = "vault/subjects";
const ROWS: &str = "vault/rows/";

fn io_error(path: &str) -> impl Fn(io::Error) -> VaultError + '_ {
    move |e| VaultError::Io { path: path.to_owned(), what: e.to_string() }
}

/// The vault of a log, open.
pub(crate) struct Vault {
    table: SecretKey,
    subjects: BTreeMap<String, Subject>,
    by_identity: BTreeMap<String, String>,
}

impl Vault {
    /// Opens the vault, and makes its key if there is none.
    pub(crate) fn open(
        storage: &dyn Storage,
        wrap: &dyn KeyWrap,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, VaultError> {
        if let Some(vault) = Self::read(storage, wrap)? {
            return Ok(vault);
        }
        let table = fresh(entropy);
        let wrapped = wrap.wrap(&table, entropy).map_err(VaultError::Key)?;
        let text = Base64UrlUnpadded::encode_string(&wrapped) + "\n";
        storage.replace(&[(KEY.to_owned(), text.into_bytes())]).map_err(io_error(KEY))?;
        Ok(Self { table, subjects: BTreeMap::new(), by_identity: BTreeMap::new() })
    }

    /// Opens a vault that is there; `None` when there is none.
    fn read(storage: &dyn Storage, wrap: &dyn KeyWrap) -> Result<Option<Self>, VaultError> {
        let Some(text) = storage.read(KEY).map_err(io_error(KEY))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let bytes = Base64UrlUnpadded::decode_vec(text.strip_suffix('\n').unwrap_or_default())
            .map_err(|_| VaultError::Damaged {
                path: KEY.to_owned(),
                line: 1,
                what: "it is no wrapped key",
            })?;
        let table = wrap.unwrap(&bytes).map_err(VaultError::Key)?;
        let mut vault = Self { table, subjects: BTreeMap::new(), by_identity: BTreeMap::new() };
        let file = storage.read(SUBJECTS).map_err(io_error(SUBJECTS))?.unwrap_or_default();
        for (line, bytes) in lines(&file) {
            let bad = |what| VaultError::Damaged { path: SUBJECTS.to_owned(), line, what };
            vault.learn(bytes).ok_or_else(|| bad("it is no subject of this vault"))?;
        }
        Ok(Some(vault))
    }

    /// Takes a line of the table in.
    fn learn(&mut self, bytes: &[u8]) -> Option<()> {
        let line: SubjectLine = serde_json::from_slice(bytes).ok()?;
        let closed = Base64UrlUnpadded::decode_vec(&line.r#box).ok()?;
        let text = Zeroizing::new(open(&self.table, line.r#ref.as_bytes(), &closed)?);
        let (key, identity) = text.split_first_chunk::<32>()?;
        let identity = String::from_utf8(identity.to_vec()).ok()?;
        self.by_identity.insert(identity.clone(), line.r#ref.clone());
        self.subjects.insert(line.r#ref, Subject { identity, key: Zeroizing::new(*key) });
        Some(())
    }

    /// The pseudonym of an identity, and the bytes to store when it is a new one.
    pub(crate) fn subject(
        &mut self,
        identity: &str,
        entropy: &mut dyn Entropy,
    ) -> Result<(String, Option<Vec<u8>>), VaultError> {
        if let Some(known) = self.by_identity.get(identity) {
            return Ok((known.clone(), None));
        }
        let mut name = [0; 16];
        entropy.fill(&mut name);
        let name = format!("s-{}", Base64UrlUnpadded::encode_string(&name));
        let key = fresh(entropy);
        let text = Zeroizing::new([key.as_ref(), identity.as_bytes()].concat());
        let closed =
            close(&self.table, name.as_bytes(), &text, entropy).map_err(VaultError::Key)?;
        let line =
            SubjectLine { r#ref: name.clone(), r#box: Base64UrlUnpadded::encode_string(&closed) };
        self.by_identity.insert(identity.to_owned(), name.clone());
        self.subjects.insert(name.clone(), Subject { identity: identity.to_owned(), key });
        Ok((name, Some(json(&line))))
    }

    /// Forgets subjects whose lines were never stored.
    pub(crate) fn forget(&mut self, subjects: &[String]) {
        for subject in subjects {
            if let Some(gone) = self.subjects.remove(subject) {
                self.by_identity.remove(&gone.identity);
            }
        }
    }

    /// The pseudonym of an identity that has one.
    pub(crate) fn known(&self, identity: &str) -> Option<&str> {
        self.by_identity.get(identity).map(String::as_str)
    }

    /// Closes a disclosure; the bytes to store.
    pub(crate) fn row(
        &self,
        entry: u64,
        subject: &str,
        class: RetentionClass,
        text: &str,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, VaultError> {
        let Some(owner) = self.subjects.get(subject) else {
            return Err(VaultError::Key(format!("subject `{subject}` has none")));
        };
        let digest = disclose::digest(text);
        let aad = format!("{subject}\n{digest}");
        let closed =
            close(&owner.key, aad.as_bytes(), text.as_bytes(), entropy).map_err(VaultError::Key)?;
        let r#box = Base64UrlUnpadded::encode_string(&closed);
        Ok(json(&Row { entry, r#ref: subject.to_owned(), class, digest, r#box }))
    }

    /// Every disclosure that can be opened, in order of entry. `want` says of which entries.
    pub(crate) fn rows(
        &self,
        storage: &dyn Storage,
        want: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<OpenRow>, VaultError> {
        let mut out = Vec::new();
        for path in row_files(storage)? {
            let file = storage.read(&path).map_err(io_error(&path))?.unwrap_or_default();
            for (line, bytes) in lines(&file) {
                let bad = |what| VaultError::Damaged { path: path.clone(), line, what };
                let row: Row = serde_json::from_slice(bytes).map_err(|_| bad("it is no row"))?;
                if !want(row.entry) {
                    continue;
                }
                let Some(owner) = self.subjects.get(&row.r#ref) else { continue };
                let closed = Base64UrlUnpadded::decode_vec(&row.r#box)
                    .map_err(|_| bad("its box is not base64"))?;
                let aad = format!("{}\n{}", row.r#ref, row.digest);
                let text = open(&owner.key, aad.as_bytes(), &closed)
                    .and_then(|text| String::from_utf8(text).ok())
                    .filter(|text| disclose::digest(text) == row.digest)
                    .ok_or_else(|| bad("it does not open with the subject's key"))?;
                let (subject, class) = (row.r#ref, row.class);
                out.push(OpenRow { entry: row.entry, subject, class, text });
            }
        }
        out.sort_by_key(|row| row.entry);
        Ok(out)
    }

    /// Destroys the keys of subjects and removes their rows. Says how many rows went. Doing it again
    /// changes nothing.
    pub(crate) fn erase_all(
        &mut self,
        storage: &dyn Storage,
        subjects: &BTreeSet<String>,
    ) -> Result<u64, VaultError> {
        if subjects.is_empty() {
            return Ok(0);
        }
        for subject in subjects {
            if let Some(gone) = self.subjects.remove(subject) {
                self.by_identity.remove(&gone.identity);
            }
        }
        // The keys first: from here on the rows say nothing, also if they are not gone yet.
        let file = storage.read(SUBJECTS).map_err(io_error(SUBJECTS))?.unwrap_or_default();
        let keep = |bytes: &[u8]| {
            let line = serde_json::from_slice::<SubjectLine>(bytes);
            line.is_ok_and(|line| !subjects.contains(&line.r#ref))
        };
        rewrite(storage, SUBJECTS, &file, &keep)?;
        remove_rows(storage, &|row| subjects.contains(&row.r#ref))
    }

    /// Removes the rows of a class up to, and without, an entry. Says how many rows went.
    pub(crate) fn expire(
        storage: &dyn Storage,
        class: RetentionClass,
        before: u64,
        held: &BTreeSet<String>,
    ) -> Result<u64, VaultError> {
        remove_rows(storage, &|row| {
            row.class == class && row.entry < before && !held.contains(&row.r#ref)
        })
    }
}

/// The disclosures of a folder, opened by whoever has the wrapping key, without writing anything: entry
/// and text, for [`Trust::opened`](crate::verify::Trust::opened).
///
/// # Errors
/// [`VaultError`].
pub fn open_all(files: &dyn Files, wrap: &dyn KeyWrap) -> Result<Vec<(u64, String)>, VaultError> {
    let reading = Reading(files);
    let Some(vault) = Vault::read(&reading, wrap)? else { return Ok(Vec::new()) };
    let rows = vault.rows(&reading, &mut |_| true)?;
    Ok(rows.into_iter().map(|row| (row.entry, row.text)).collect())
}

/// Files to read only.
struct Reading<'a>(&'a dyn Files);

impl Reading<'_> {
    fn refuse() -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this is for reading only"))
    }
}

impl Storage for Reading<'_> {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.read(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.names())
    }

    fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Self::refuse()
    }

    fn append(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Self::refuse()
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        Self::refuse()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Self::refuse()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Self::refuse()
    }

    fn sync_folder(&self, _: &str) -> io::Result<()> {
        Self::refuse()
    }
}

fn row_files(storage: &dyn Storage) -> Result<Vec<String>, VaultError> {
    let names = storage.names().map_err(io_error(ROWS))?;
    Ok(names.into_iter().filter(|name| name.starts_with(ROWS) && !name.ends_with(".tmp")).collect())
}

fn remove_rows(storage: &dyn Storage, goes: &dyn Fn(&Row) -> bool) -> Result<u64, VaultError> {
    let mut gone = 0;
    for path in row_files(storage)? {
        let file = storage.read(&path).map_err(io_error(&path))?.unwrap_or_default();
        let keep = |bytes: &[u8]| !serde_json::from_slice(bytes).is_ok_and(|row| goes(&row));
        gone += rewrite(storage, &path, &file, &keep)?;
    }
    Ok(gone)
}

/// Writes a file again without the lines that go; says how many went.
fn rewrite(
    storage: &dyn Storage,
    path: &str,
    file: &[u8],
    keep: &dyn Fn(&[u8]) -> bool,
) -> Result<u64, VaultError> {
    let (mut out, mut gone) = (Vec::new(), 0);
    for (_, line) in lines(file) {
        if keep(line) {
            out.extend_from_slice(line);
            out.push(b'\n');
        } else {
            gone += 1;
        }
    }
    if gone > 0 {
        storage.replace(&[(path.to_owned(), out)]).map_err(io_error(path))?;
    }
    Ok(gone)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Strings and integers only: there is nothing in it that could fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The lines of a file with their numbers, from 1.
fn lines(file: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    file.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty()).map(|(n, l)| (n + 1, l))
}

/// Puts what was made durable with entries where it belongs. Doing it again changes nothing.
pub(crate) fn settle(storage: &dyn Storage, asides: &[Vec<u8>]) -> io::Result<()> {
    let (mut files, mut subjects): (BTreeMap<String, Vec<u8>>, _) = (BTreeMap::new(), Vec::new());
    let mut known: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for bytes in asides {
        let Ok(row) = serde_json::from_slice::<Row>(bytes) else {
            subjects.push(bytes);
            continue;
        };
        let path = format!("{ROWS}{}", row.entry / WIDTH);
        if !files.contains_key(&path) {
            let file = storage.read(&path)?.unwrap_or_default();
            known.insert(path.clone(), lines(&file).map(|(_, l)| l.to_vec()).collect());
            files.insert(path.clone(), file);
        }
        add(files.entry(path.clone()).or_default(), known.entry(path).or_default(), bytes);
    }
    if !subjects.is_empty() {
        let mut file = storage.read(SUBJECTS)?.unwrap_or_default();
        let mut there = lines(&file).map(|(_, line)| line.to_vec()).collect();
        subjects.into_iter().for_each(|line| add(&mut file, &mut there, line));
        files.insert(SUBJECTS.to_owned(), file);
    }
    storage.replace(&files.into_iter().collect::<Vec<_>>())
}

fn add(file: &mut Vec<u8>, known: &mut BTreeSet<Vec<u8>>, line: &[u8]) {
    if known.insert(line.to_vec()) {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
}
