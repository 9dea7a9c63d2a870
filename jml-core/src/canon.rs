//! Canonical JSON: the one byte form of a value that is hashed, signed and stored.
//!
//! RFC 8785 (JSON Canonicalization Scheme), narrowed so that no two readers can differ: integers
//! only, at most 2^53 - 1 in size, no `null` (an absent member is absent), no duplicate member.
//! A struct field that is `None` is left out; `None` anywhere else is an error.
//!
//! [`to_vec`] writes from typed values and never from a JSON document, because a document's member
//! order depends on which features somebody else switched on. [`check`] accepts bytes only if they
//! are exactly what [`to_vec`] would have written.

mod read;
mod write;

use std::cmp::Ordering;

use serde::Serialize;

pub use read::{Node, parse};

/// Largest integer that every JSON reader keeps exactly, 2^53 - 1 (RFC 8259 section 6).
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 96;

/// Why a value has no canonical form, or bytes are not in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonError {
    /// A number with a fraction or an exponent.
    #[error("floating-point numbers have no canonical form here")]
    Float,
    /// An integer beyond [`MAX_INTEGER`] in either direction.
    #[error("an integer is larger than 2^53 - 1 in size")]
    IntegerRange,
    /// `None` or unit where a value must be.
    #[error("null has no canonical form here")]
    Null,
    /// A map key that is not a string.
    #[error("a map key is not a string")]
    KeyType,
    /// The same member twice.
    #[error("member `{0}` occurs twice")]
    DuplicateKey(String),
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("nesting is deeper than {MAX_DEPTH}")]
    Depth,
    /// The bytes are not JSON of the narrow form.
    #[error("byte {at}: {what}")]
    Syntax {
        /// Offset of the offending byte.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The bytes are JSON, but not the bytes that canonical form prescribes.
    #[error("bytes are not in canonical form")]
    NotCanonical,
    /// A `Serialize` implementation reported an error of its own.
    #[error("serialisation failed: {0}")]
    Custom(String),
}

impl serde::ser::Error for CanonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// The canonical bytes of a value.
///
/// # Errors
/// [`CanonError`] when the value holds something that has no canonical form.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonError> {
    let node = value.serialize(write::Writer { depth: 0 })?.ok_or(CanonError::Null)?;
    let mut out = Vec::with_capacity(256);
    node.write(&mut out);
    Ok(out)
}

/// The canonical bytes of a value, as text.
///
/// # Errors
/// As [`to_vec`].
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, CanonError> {
    String::from_utf8(to_vec(value)?).map_err(|e| CanonError::Custom(e.to_string()))
}

/// Accepts bytes that are in canonical form, and nothing else.
///
/// # Errors
/// [`CanonError`] naming the first thing that is wrong.
pub fn check(bytes: &[u8]) -> Result<(), CanonError> {
    let node = parse(bytes)?;
    let mut again = Vec::with_capacity(bytes.len());
    node.write(&mut again);
    if again == bytes { Ok(()) } else { Err(CanonError::NotCanonical) }
}

/// Member order of RFC 8785 section 3.2.3: by UTF-16 code units, not by bytes.
fn key_order(a: &str, b: &str) -> Ordering {
    // Below U+D800 the order of bytes, code points and UTF-16 units is the same; ASCII is the common case.
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Sample {
        b: Option<u8>,
        a: Vec<i64>,
        text: &'static str,
    }

    #[test]
    fn members_are_sorted_and_none_is_absent() {
        let sample = Sample { b: None, a: vec![-1, 2], text: "\u{1}\n\"\\é" };
        assert_eq!(to_string(&sample).unwrap(), r#"{"a":[-1,2],"text":"\u0001\n\"\\é"}"#);
    }

    #[test]
    fn order_is_by_utf16_units() {
        // U+10000 is D800 DC00 in UTF-16 and sorts before U+FFFF, although its bytes sort after.
        let map = BTreeMap::from([("\u{ffff}", 1), ("\u{10000}", 2)]);
        assert_eq!(to_string(&map).unwrap(), "{\"\u{10000}\":2,\"\u{ffff}\":1}");
    }

    #[test]
    fn refuses_what_readers_disagree_on() {
        assert_eq!(to_vec(&1.5), Err(CanonError::Float));
        assert_eq!(to_vec(&(MAX_INTEGER + 1)), Err(CanonError::IntegerRange));
        assert_eq!(to_vec(&vec![None::<u8>]), Err(CanonError::Null));
        assert!(to_vec(&MAX_INTEGER).is_ok());
        for bad in [
            r#"{"a":1,"a":1}"#,
            "1.0",
            "1e3",
            "null",
            " 1",
            "01",
            "-0",
            r#"{"b":1,"a":2}"#,
            "9007199254740993",
            r#""\u00e9""#,
            r#""\/""#,
            "[1,]",
            r#"{"a":1}x"#,
            "",
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_accepted(map in proptest::collection::btree_map(".*", (any::<bool>(), ".*", -MAX_INTEGER..=MAX_INTEGER), 0..8)) {
            let bytes = to_vec(&map).unwrap();
            prop_assert!(check(&bytes).is_ok());
            let back: BTreeMap<String, (bool, String, i64)> = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(back, map);
        }

        #[test]
        fn checking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&bytes);
        }
    }
}
