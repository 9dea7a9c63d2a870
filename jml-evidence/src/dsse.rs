//! Signed envelopes (DSSE v1) around in-toto statements: what supply-chain tools expect. The pack carries
//! one over its list of files, besides the log's own signature.

use base64ct::{Base64, Encoding as _};
use jml_core::canon::{self, CanonError, Node};
use serde::Serialize;

use crate::note::{NoteError, VerifierKey};

/// Type of the payload of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What is signed: the pre-authentication encoding of DSSE.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// An envelope: a payload, its type, and signatures over both.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the format has these parts")]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload. Read it only from a checked envelope.
    pub payload: Vec<u8>,
    /// Key names and signatures.
    pub signatures: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "payloadType")]
    payload_type: &'a str,
    payload: String,
    signatures: Vec<WrittenSignature<'a>>,
}

#[derive(Serialize)]
struct WrittenSignature<'a> {
    keyid: &'a str,
    sig: String,
}

impl Envelope {
    /// The bytes of the envelope.
    ///
    /// # Errors
    /// [`CanonError`] never for an envelope that was made here.
    pub fn write(&self) -> Result<Vec<u8>, CanonError> {
        let signature =
            |(keyid, sig): &(String, Vec<u8>)| (keyid.clone(), Base64::encode_string(sig));
        let signatures: Vec<(String, String)> = self.signatures.iter().map(signature).collect();
        canon::to_vec(&Written {
            payload_type: &self.payload_type,
            payload: Base64::encode_string(&self.payload),
            signatures: signatures
                .iter()
                .map(|(keyid, sig)| WrittenSignature { keyid, sig: sig.clone() })
                .collect(),
        })
    }

    /// Reads an envelope; a key name may be missing. `None` when it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let node = canon::parse(bytes).ok()?;
        let decode = |text: &str| Base64::decode_vec(text).ok();
        let Some(Node::List(list)) = node.get("signatures") else { return None };
        let one = |it: &Node| {
            let keyid = it.get("keyid").and_then(Node::as_str).unwrap_or("").to_owned();
            Some((keyid, decode(it.get("sig")?.as_str()?)?))
        };
        Some(Self {
            payload_type: node.get("payloadType")?.as_str()?.to_owned(),
            payload: decode(node.get("payload")?.as_str()?)?,
            signatures: list.iter().map(one).collect::<Option<_>>()?,
        })
    }

    /// Checks that a key signed it, and gives the payload. Names of keys are hints and decide nothing.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] when no signature is of this key.
    pub fn open(&self, key: &VerifierKey) -> Result<&[u8], NoteError> {
        let message = pae(&self.payload_type, &self.payload);
        let signed = |(_, sig): &(String, Vec<u8>)| key.check_message(&message, sig).is_ok();
        if self.signatures.iter().any(signed) {
            Ok(&self.payload)
        } else {
            Err(NoteError::Unsigned(key.name().to_owned()))
        }
    }
}
