//! Signed notes (C2SP signed-note) and checkpoints (C2SP tlog-checkpoint), with Ed25519 keys.

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// The signature algorithm byte of Ed25519 in a key (C2SP signed-note).
const ED25519: u8 = 1;

/// Largest note, in bytes.
pub const MAX_NOTE: usize = 64 * 1024;

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

/// A public key that checks notes, in the form `name+hash+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

fn key_id(name: &str, key: &[u8]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update(b"\n");
    hash.update([ED25519]);
    hash.update(key);
    let full: Hash = hash.finalize().into();
    let [a, b, c, d, ..] = full;
    [a, b, c, d]
}

fn good_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace())
}

impl VerifierKey {
    /// Parses a key, and checks that its hash is its own.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(id), Some(key)) if good_name(name) => (name, id, key),
            _ => return Err(NoteError::Key),
        };
        let bytes = Base64::decode_vec(key).map_err(|_| NoteError::Key)?;
        let Some((&ED25519, key)) = bytes.split_first() else { return Err(NoteError::Key) };
        let key: [u8; 32] = key.try_into().map_err(|_| NoteError::Key)?;
        let known = key_id(name, &key);
        if id != hex(&known) {
            return Err(NoteError::Key);
        }
        Ok(Self { name: name.to_owned(), id: known, key })
    }

    /// The key's name: the origin of the log that it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks a note and returns its text.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split_note(note)?;
        let mut found = false;
        for line in signatures.lines() {
            let Some(rest) = line.strip_prefix("\u{2014} ") else {
                return Err(NoteError::Form("a signature line does not begin with a dash"));
            };
            let Some((name, encoded)) = rest.split_once(' ') else {
                return Err(NoteError::Form("a signature line has no signature"));
            };
            let bytes = Base64::decode_vec(encoded)
                .map_err(|_| NoteError::Form("a signature is not base64"))?;
            let Some((id, signature)) = bytes.split_first_chunk::<4>() else {
                return Err(NoteError::Form("a signature is too short"));
            };
            if name == self.name && *id == self.id {
                self.check(text, signature)?;
                found = true;
            }
        }
        if found { Ok(text) } else { Err(NoteError::Unsigned(self.name.clone())) }
    }

    #[cfg(feature = "ed25519")]
    fn check(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        use ed25519_dalek::{Signature, VerifyingKey};
        let bad = || NoteError::BadSignature(self.name.clone());
        let key = VerifyingKey::from_bytes(&self.key).map_err(|_| NoteError::Key)?;
        let signature = Signature::from_slice(signature).map_err(|_| bad())?;
        key.verify_strict(text.as_bytes(), &signature).map_err(|_| bad())
    }

    #[cfg(not(feature = "ed25519"))]
    fn check(&self, _: &str, _: &[u8]) -> Result<(), NoteError> {
        let _ = self.key;
        Err(NoteError::NoAlgorithm)
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id), Base64::encode_string(&bytes))
    }
}

/// The text of a note and its signature lines.
fn split_note(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::Form("it is larger than 64 KiB"));
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Form("it has no signature block"))?;
    let text = note.get(..=at).unwrap_or_default();
    let signatures = note.get(at + 2..).unwrap_or_default();
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(NoteError::Form("its signature block does not end with a line feed"));
    }
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Form("it has a control character"));
    }
    Ok((text, signatures))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Signs checkpoints. A trait, so that the key can live in a KMS.
pub trait CheckpointSigner: Send + Sync {
    /// The public key.
    fn verifier(&self) -> VerifierKey;

    /// Signs a checkpoint's text and returns the whole note.
    ///
    /// # Errors
    /// In words, when the key cannot be used.
    fn sign(&self, text: &str) -> Result<String, String>;
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
}

#[cfg(feature = "ed25519")]
pub use signer::Ed25519Signer;

#[cfg(feature = "ed25519")]
mod signer {
    use super::{
        Base64, CheckpointSigner, ED25519, NoteError, VerifierKey, good_name, hex, key_id,
    };
    use base64ct::Encoding as _;
    use ed25519_dalek::{Signer as _, SigningKey};
    use zeroize::Zeroizing;

    use crate::entropy::Entropy;

    /// An Ed25519 key in memory. It is wiped when dropped, and never printed.
    pub struct Ed25519Signer {
        name: String,
        key: SigningKey,
    }

    impl std::fmt::Debug for Ed25519Signer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Ed25519Signer").field("name", &self.name).finish_non_exhaustive()
        }
    }

    impl Ed25519Signer {
        /// A new key for a log of this name.
        ///
        /// # Errors
        /// [`NoteError::Key`] when the name is empty or has white space or a `+`.
        pub fn generate(name: &str, entropy: &mut dyn Entropy) -> Result<Self, NoteError> {
            if !good_name(name) {
                return Err(NoteError::Key);
            }
            let mut seed = Zeroizing::new([0_u8; 32]);
            entropy.fill(seed.as_mut());
            Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) })
        }

        /// Reads a key in the form `PRIVATE+KEY+name+hash+base64`, as Go's note package writes it.
        ///
        /// # Errors
        /// [`NoteError::Key`]. The error does not repeat the text.
        pub fn parse(text: &str) -> Result<Self, NoteError> {
            let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key)?;
            let mut parts = rest.splitn(3, '+');
            let (name, id, key) = match (parts.next(), parts.next(), parts.next()) {
                (Some(name), Some(id), Some(key)) if good_name(name) => (name, id, key),
                _ => return Err(NoteError::Key),
            };
            let bytes = Zeroizing::new(Base64::decode_vec(key).map_err(|_| NoteError::Key)?);
            let Some((&ED25519, seed)) = bytes.split_first() else { return Err(NoteError::Key) };
            let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| NoteError::Key)?);
            let signer = Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) };
            if hex(&key_id(name, signer.key.verifying_key().as_bytes())) != id {
                return Err(NoteError::Key);
            }
            Ok(signer)
        }

        /// The key in the form that [`parse`](Self::parse) reads. It is the secret: write it where only
        /// the log's owner can read it.
        #[must_use]
        pub fn expose(&self) -> Zeroizing<String> {
            let id = key_id(&self.name, self.key.verifying_key().as_bytes());
            let mut bytes = Zeroizing::new(vec![ED25519]);
            bytes.extend_from_slice(self.key.as_bytes());
            let encoded = Zeroizing::new(Base64::encode_string(&bytes));
            Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.name, hex(&id), *encoded))
        }
    }

    impl CheckpointSigner for Ed25519Signer {
        fn verifier(&self) -> VerifierKey {
            let key = self.key.verifying_key().to_bytes();
            VerifierKey { name: self.name.clone(), id: key_id(&self.name, &key), key }
        }

        fn sign(&self, text: &str) -> Result<String, String> {
            let verifier = self.verifier();
            let mut bytes = verifier.id.to_vec();
            bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
            Ok(format!("{text}\n\u{2014} {} {}\n", self.name, Base64::encode_string(&bytes)))
        }
    }
}
