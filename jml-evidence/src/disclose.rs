//! Salted disclosures (RFC 9901): personal values are in the log only as digests, and in the vault as
//! the texts that the digests are of.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jml_core::canon::{self, CanonError, Node};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::entropy::Entropy;

/// A disclosed value: its digest goes into a record, its text into the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Disclosure {
    /// base64url of the JSON array of salt, name and value.
    pub text: String,
    /// base64url of the SHA-256 of that text.
    pub digest: String,
}

/// The digest of a disclosure's text, as RFC 9901 section 4.2.3 computes it.
#[must_use]
pub fn digest(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes()))
}

/// Makes a disclosure of a value, with a fresh salt of 128 bits.
///
/// # Errors
/// [`CanonError`] when the value has no canonical form.
pub fn disclose<T: Serialize + ?Sized>(
    name: &str,
    value: &T,
    entropy: &mut dyn Entropy,
) -> Result<Disclosure, CanonError> {
    let mut salt = [0_u8; 16];
    entropy.fill(&mut salt);
    let salt = Base64UrlUnpadded::encode_string(&salt);
    let json = canon::to_vec(&(salt, name, value))?;
    let text = Base64UrlUnpadded::encode_string(&json);
    Ok(Disclosure { digest: digest(&text), text })
}

/// Reads a disclosure: its name and its value.
#[must_use]
pub fn open(text: &str) -> Option<(String, Node)> {
    let json = Base64UrlUnpadded::decode_vec(text).ok()?;
    canon::check(&json).ok()?;
    match canon::parse(&json).ok()? {
        Node::List(parts) => match <[Node; 3]>::try_from(parts).ok()? {
            [Node::Text(_), Node::Text(name), value] => Some((name, value)),
            _ => None,
        },
        _ => None,
    }
}
