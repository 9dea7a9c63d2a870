//! Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and witness cosignatures (C2SP
//! tlog-cosignature), with Ed25519 keys.

#[cfg(feature = "ed25519")]
mod signer;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

#[cfg(feature = "ed25519")]
pub use signer::Ed25519Signer;

/// Largest note, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;

/// Most signatures that a note may carry here.
pub const MAX_SIGNATURES: usize = 32;

/// Why a note or a key is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The key text is not `name+hash+base64`.
    #[error("the key is not of the form `name+hash+base64`")]
    Key,
    /// The text is no signed note.
    #[error("not a signed note: {0}")]
    Form(&'static str),
    /// No signature of the expected key.
    #[error("no signature by `{0}`")]
    Unsigned(String),
    /// The signature does not fit the text.
    #[error("the signature by `{0}` does not fit the text")]
    BadSignature(String),
    /// This build cannot check signatures.
    #[error("this build cannot check signatures: feature `ed25519` is off")]
    NoAlgorithm,
}

/// What a key signs: the byte before it in its text form (C2SP signed-note, "Signature types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyKind {
    /// Ed25519 over the text of a note: the key of a log.
    Note,
    /// Ed25519 over a time and a checkpoint: the key of a witness.
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key that checks notes, in the form `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: KeyKind,
    key: [u8; 32],
}

fn key_id(name: &str, kind: KeyKind, key: &[u8]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update(b"\n");
    hash.update([kind.byte()]);
    hash.update(key);
    let full: Hash = hash.finalize().into();
    let [a, b, c, d, ..] = full;
    [a, b, c, d]
}

fn good_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace())
}

/// The three parts of a key's text, its bytes without the kind, and its kind.
fn key_parts(text: &str) -> Result<(&str, &str, KeyKind, zeroizing::Bytes), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (name, id, key) = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(id), Some(key)) if good_name(name) => (name, id, key),
        _ => return Err(NoteError::Key),
    };
    let bytes = zeroizing::Bytes::new(Base64::decode_vec(key).map_err(|_| NoteError::Key)?);
    let kind = match bytes.first() {
        Some(1) => KeyKind::Note,
        Some(4) => KeyKind::Cosignature,
        _ => return Err(NoteError::Key),
    };
    Ok((name, id, kind, bytes))
}

/// Bytes that may be a secret are wiped where the build can do so.
mod zeroizing {
    #[cfg(feature = "ed25519")]
    pub(super) type Bytes = zeroize::Zeroizing<Vec<u8>>;

    #[cfg(not(feature = "ed25519"))]
    pub(super) struct Bytes(Vec<u8>);

    #[cfg(not(feature = "ed25519"))]
    impl Bytes {
        pub(super) const fn new(bytes: Vec<u8>) -> Self {
            Self(bytes)
        }
    }

    #[cfg(not(feature = "ed25519"))]
    impl std::ops::Deref for Bytes {
        type Target = Vec<u8>;
        fn deref(&self) -> &Vec<u8> {
            &self.0
        }
    }
}

impl VerifierKey {
    /// Parses a key, and checks that its hash is its own.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, id, kind, bytes) = key_parts(text)?;
        let key = bytes.get(1..).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = key.ok_or(NoteError::Key)?;
        let known = key_id(name, kind, &key);
        if id != hex(&known) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), id: known, kind, key })
    }

    /// The key's name: the origin of the log that it signs, or the witness's own.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Checks a note and returns its text.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let note = Note::parse(note)?;
        self.check_note(&note)?;
        Ok(note.text)
    }

    /// Checks the signature of this key on a note that was read. For a witness, the time in seconds since
    /// 1970 at which it says it saw the checkpoint.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn check_note(&self, note: &Note<'_>) -> Result<Option<u64>, NoteError> {
        let mut found = Err(NoteError::Unsigned(self.name.clone()));
        for line in &note.signatures {
            if line.name == self.name && line.id == self.id {
                found = Ok(self.check(note.text, &line.signature)?);
            }
        }
        found
    }

    /// Checks a bare signature over a text; the time, for a witness.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::NoAlgorithm`].
    pub fn check(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        match self.kind {
            KeyKind::Note => self.check_bytes(text.as_bytes(), signature).map(|()| None),
            KeyKind::Cosignature => {
                let Some((time, signature)) = signature.split_first_chunk::<8>() else {
                    return Err(NoteError::BadSignature(self.name.clone()));
                };
                let time = u64::from_be_bytes(*time);
                self.check_bytes(cosigned(text, time).as_bytes(), signature).map(|()| Some(time))
            }
        }
    }

    /// Checks a bare signature over bytes that are no note. Only the key of a log signs such.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::NoAlgorithm`].
    pub fn check_message(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        if self.kind != KeyKind::Note {
            return Err(NoteError::BadSignature(self.name.clone()));
        }
        self.check_bytes(message, signature)
    }

    #[cfg(feature = "ed25519")]
    fn check_bytes(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        use ed25519_dalek::{Signature, VerifyingKey};
        let bad = || NoteError::BadSignature(self.name.clone());
        let key = VerifyingKey::from_bytes(&self.key).map_err(|_| NoteError::Key)?;
        let signature = Signature::from_slice(signature).map_err(|_| bad())?;
        key.verify_strict(message, &signature).map_err(|_| bad())
    }

    #[cfg(not(feature = "ed25519"))]
    fn check_bytes(&self, _: &[u8], _: &[u8]) -> Result<(), NoteError> {
        let _ = self.key;
        Err(NoteError::NoAlgorithm)
    }

    /// The line of a note that carries a signature of this key, without the line feed.
    #[must_use]
    pub fn line(&self, signature: &[u8]) -> String {
        let mut bytes = self.id.to_vec();
        bytes.extend_from_slice(signature);
        format!("\u{2014} {} {}", self.name, Base64::encode_string(&bytes))
    }
}

/// What a witness signs: C2SP tlog-cosignature.
fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id), Base64::encode_string(&bytes))
    }
}

/// A signed note, taken apart. Nothing is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the format has two parts")]
pub struct Note<'a> {
    /// The text that is signed, with its last line feed.
    pub text: &'a str,
    /// Who signed it.
    pub signatures: Vec<SignatureLine<'a>>,
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the format has three parts")]
pub struct SignatureLine<'a> {
    /// The name of the key.
    pub name: &'a str,
    /// The first bytes of the key's hash.
    pub id: [u8; 4],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Takes a note apart. There is one spelling of each note.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        let form = NoteError::Form;
        if note.len() > MAX_NOTE {
            return Err(form("it is larger than 64 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(form("it has a control character"));
        }
        let at = note.rfind("\n\n").ok_or(form("it has no signature block"))?;
        let text = note.get(..=at).unwrap_or_default();
        let block = note.get(at + 2..).unwrap_or_default();
        let block = block
            .strip_suffix('\n')
            .ok_or(form("its signature block has no line feed at the end"))?;
        let mut signatures = Vec::new();
        for line in block.split('\n') {
            let rest = line
                .strip_prefix("\u{2014} ")
                .ok_or(form("a signature line does not begin with a dash"))?;
            let (name, encoded) =
                rest.split_once(' ').ok_or(form("a signature line has no signature"))?;
            let bytes =
                Base64::decode_vec(encoded).map_err(|_| form("a signature is not base64"))?;
            let (id, signature) =
                bytes.split_first_chunk::<4>().ok_or(form("a signature is too short"))?;
            if !good_name(name) || signature.is_empty() {
                return Err(form("a signature has no name or no bytes"));
            }
            signatures.push(SignatureLine { name, id: *id, signature: signature.to_vec() });
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(form("it has too many signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// Puts a note together from its text and its signature lines.
    #[must_use]
    pub fn write(text: &str, lines: &[String]) -> String {
        let mut out = format!("{text}\n");
        for line in lines {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Signs checkpoints. A trait, so that the key can live in a KMS or an HSM: it sees a message and gives
/// back a signature, and may take its time. A failure loses nothing; what is durable is signed later.
///
/// # Requires
/// [`sign`](CheckpointSigner::sign) makes what [`verifier`](CheckpointSigner::verifier) checks. The log
/// checks each signature before it uses it.
pub trait CheckpointSigner: Send + Sync {
    /// The public key.
    fn verifier(&self) -> VerifierKey;

    /// The signature over a message: 64 bytes of Ed25519 (RFC 8032), without pre-hashing.
    ///
    /// # Errors
    /// In words, when the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// A checkpoint: the name of a log, its size and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the format has three lines")]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(&self.root))
    }

    /// Reads a checkpoint's text. No extension lines, no other spelling of a number.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form;
        let mut lines = text.split('\n');
        let mut line = || lines.next().ok_or(form("a checkpoint has three lines"));
        let origin = line()?.to_owned();
        let size: u64 = line()?.parse().map_err(|_| form("its size is not a number"))?;
        let root = Base64::decode_vec(line()?).map_err(|_| form("its root is not base64"))?;
        let root: Hash = root.try_into().map_err(|_| form("its root is not 32 bytes"))?;
        let checkpoint = Self { origin, size, root };
        if checkpoint.origin.is_empty() || checkpoint.text() != text {
            return Err(form("a checkpoint has exactly three lines in their one spelling"));
        }
        Ok(checkpoint)
    }

    /// Reads the checkpoint of a note without asking who signed it.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn of_note(note: &str) -> Result<Self, NoteError> {
        Self::parse(Note::parse(note)?.text)
    }
}
