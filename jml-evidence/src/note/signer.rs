//! Ed25519 keys in memory.

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::{
    CheckpointSigner, KeyKind, NoteError, VerifierKey, cosigned, good_name, hex, key_id, key_parts,
};
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
    /// A new key for a log, or a witness, of this name.
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
        let (name, id, kind, bytes) = key_parts(rest)?;
        let seed = bytes.get(1..).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let seed = Zeroizing::new(seed.ok_or(NoteError::Key)?);
        let signer = Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) };
        let known = key_id(name, kind, signer.key.verifying_key().as_bytes());
        if kind != KeyKind::Note || hex(&known) != id {
            return Err(NoteError::Key);
        }
        Ok(signer)
    }

    /// The key in the form that [`parse`](Self::parse) reads. It is the secret: write it where only the
    /// log's owner can read it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let id = key_id(&self.name, KeyKind::Note, self.key.verifying_key().as_bytes());
        let mut bytes = Zeroizing::new(vec![KeyKind::Note.byte()]);
        bytes.extend_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(Base64::encode_string(&bytes));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.name, hex(&id), *encoded))
    }

    fn public(&self, kind: KeyKind) -> VerifierKey {
        let key = self.key.verifying_key().to_bytes();
        VerifierKey { name: self.name.clone(), id: key_id(&self.name, kind, &key), kind, key }
    }

    /// The public key that checks [`cosign`](Self::cosign).
    #[must_use]
    pub fn cosigner(&self) -> VerifierKey {
        self.public(KeyKind::Cosignature)
    }

    /// The signature line of a witness over a checkpoint's text (C2SP tlog-cosignature), at a time in
    /// seconds since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, time: u64) -> String {
        let mut signature = time.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(cosigned(text, time).as_bytes()).to_bytes());
        self.cosigner().line(&signature)
    }
}

impl CheckpointSigner for Ed25519Signer {
    fn verifier(&self) -> VerifierKey {
        self.public(KeyKind::Note)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}
