//! Time stamps (RFC 3161): the question, and what an answer says. The authority's signature is for
//! `openssl ts -verify`, which knows its certificates; here the answer is read, not believed.

use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// What a time stamp says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct TimeStamp {
    /// SHA-256 of what was stamped.
    pub imprint: Hash,
    /// When, as seconds since 1970.
    pub time: i64,
    /// The nonce of the question, as the bytes of a DER integer.
    pub nonce: Option<Vec<u8>>,
}

/// What is stamped: SHA-256 of the bytes.
#[must_use]
pub fn imprint(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// `id-sha256` with its absent parameters as NULL.
const SHA256: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
/// `id-ct-TSTInfo`.
const TST_INFO: [u8; 13] =
    [0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];

/// The bytes of a positive DER integer, most significant first.
pub(crate) fn integer(bytes: [u8; 8]) -> Vec<u8> {
    let mut out: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
    if out.first().is_none_or(|b| *b >= 0x80) {
        out.insert(0, 0);
    }
    out
}

/// A DER element. Everything here is shorter than 128 bytes.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, u8::try_from(content.len()).unwrap_or(0x7f)];
    out.extend_from_slice(content);
    out
}

/// A question (`TimeStampReq`, RFC 3161 section 2.4.1) about bytes, with a nonce, without a wish for
/// certificates.
#[must_use]
pub fn query(bytes: &[u8], nonce: [u8; 8]) -> Vec<u8> {
    let imprint = [&SHA256[..], &element(0x04, &imprint(bytes))].concat();
    let body = [&[2, 1, 1][..], &element(0x30, &imprint), &element(2, &integer(nonce))].concat();
    element(0x30, &body)
}

/// The content of a DER element with this tag, and what follows it.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0x00..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            let length = digits.iter().fold(0_usize, |sum, b| sum << 8 | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    if *first != tag { None } else { rest.split_at_checked(length) }
}

/// Reads an answer (`TimeStampResp`, RFC 3161 section 2.4.2) that was granted; `None` for anything else.
#[must_use]
pub fn read(answer: &[u8]) -> Option<TimeStamp> {
    let (response, rest) = take(answer, 0x30)?;
    let (status, _) = take(response, 0x30)?;
    let (granted, _) = take(status, 2)?;
    if !rest.is_empty() || !matches!(granted, [0 | 1]) {
        return None;
    }
    // The signed content lies somewhere in the token; its type stands right before it.
    let at = answer.windows(TST_INFO.len()).position(|window| window == TST_INFO)?;
    let (wrapped, _) = take(answer.get(at + TST_INFO.len()..)?, 0xa0)?;
    let (content, _) = take(wrapped, 0x04)?;
    let (info, _) = take(content, 0x30)?;
    let (_version, info) = take(info, 2)?;
    let (_policy, info) = take(info, 6)?;
    let (stamped, info) = take(info, 0x30)?;
    let (algorithm, stamped) = take(stamped, 0x30)?;
    let (hash, _) = take(stamped, 4)?;
    let (_serial, info) = take(info, 2)?;
    let (time, mut info) = take(info, 0x18)?;
    if !algorithm.starts_with(SHA256.get(2..13)?) {
        return None;
    }
    // Accuracy and ordering may stand before the nonce.
    for tag in [0x30, 1] {
        info = take(info, tag).map_or(info, |(_, rest)| rest);
    }
    Some(TimeStamp {
        imprint: hash.try_into().ok()?,
        time: seconds(std::str::from_utf8(time).ok()?)?,
        nonce: take(info, 2).map(|(nonce, _)| nonce.to_vec()),
    })
}

/// Seconds since 1970 of a GeneralizedTime such as `20260115100712Z`, with or without a fraction.
fn seconds(text: &str) -> Option<i64> {
    let whole = text.strip_suffix('Z')?.split('.').next()?;
    let time = chrono::NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S").ok()?;
    Some(time.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_the_shortest_ones() {
        assert_eq!(integer([0; 8]), [0]);
        assert_eq!(integer([0, 0, 0, 0, 0, 0, 0, 0x80]), [0, 0x80]);
        assert_eq!(integer([0, 0, 0, 0, 0, 0, 1, 0]), [1, 0]);
        assert_eq!(query(b"", [1; 8]).len(), 66);
    }
}
