//! The write-ahead file: batches, each whole or not there.
//!
//! A batch is `JMLW`, the length of its body in four bytes, the number of the log entry that it begins
//! with in eight, the first eight bytes of a SHA-256 over all of that with the batch's place in the file,
//! and the body: items of one byte of kind, four bytes of length, and bytes. Numbers are most significant
//! byte first.

use sha2::{Digest as _, Sha256};

/// Name of the write-ahead file.
pub(super) const WAL: &str = "wal";

const MAGIC: &[u8; 4] = b"JMLW";
const HEAD: usize = 4 + 4 + 8 + 8;

/// What is made durable together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An entry of the log.
    Entry(Vec<u8>),
    /// Bytes that belong to entries and lie beside the log.
    Aside(Vec<u8>),
}

/// A batch: the number of the entry that it begins with, and its items.
pub(super) type Batch = (u64, Vec<Item>);

/// A whole batch lies behind one that is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where the damage begins, in bytes.
    pub(super) at: usize,
}

fn check(place: usize, first: u64, body: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"jml-evidence/wal/v1\n");
    hash.update((place as u64).to_be_bytes());
    hash.update(first.to_be_bytes());
    hash.update(body);
    let full: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = full;
    [a, b, c, d, e, f, g, h]
}

/// The bytes of a batch at a place in the file.
pub(super) fn encode<'a>(
    place: usize,
    first: u64,
    items: impl IntoIterator<Item = &'a Item>,
) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        let (kind, bytes) = match item {
            Item::Entry(bytes) => (b'E', bytes),
            Item::Aside(bytes) => (b'A', bytes),
        };
        body.push(kind);
        body.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        body.extend_from_slice(bytes);
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&check(place, first, &body));
    out.append(&mut body);
    out
}

/// The batch at a place, and where the next one begins.
fn batch(file: &[u8], place: usize) -> Option<(Batch, usize)> {
    let rest = file.get(place..)?;
    let (magic, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let body = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let first = u64::from_be_bytes(*first);
    if magic != MAGIC || *sum != check(place, first, body) {
        return None;
    }
    let (mut items, mut left) = (Vec::new(), body);
    while let Some((kind, rest)) = left.split_first() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, rest) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        items.push(match kind {
            b'E' => Item::Entry(bytes.to_vec()),
            b'A' => Item::Aside(bytes.to_vec()),
            _ => return None,
        });
        left = rest;
    }
    Some(((first, items), place + HEAD + body.len()))
}

/// The batches of a file. What is not whole at the end was never acknowledged and is left out.
///
/// # Errors
/// [`Damage`] when a whole batch lies behind bytes that are none: what was acknowledged is lost there.
pub(super) fn decode(file: &[u8]) -> Result<Vec<Batch>, Damage> {
    let (mut out, mut place) = (Vec::new(), 0);
    while place < file.len() {
        if let Some((found, next)) = batch(file, place) {
            out.push(found);
            place = next;
            continue;
        }
        let mut windows = file.windows(MAGIC.len()).enumerate().skip(place + 1);
        let behind = windows.any(|(at, bytes)| bytes == MAGIC && batch(file, at).is_some());
        return if behind { Err(Damage { at: place }) } else { Ok(out) };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(batches: &[Batch]) -> Vec<u8> {
        let mut out = Vec::new();
        for (first, items) in batches {
            let bytes = encode(out.len(), *first, items);
            out.extend(bytes);
        }
        out
    }

    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        let item = prop_oneof![bytes().prop_map(Item::Entry), bytes().prop_map(Item::Aside)];
        proptest::collection::vec((any::<u64>(), proptest::collection::vec(item, 0..4)), 1..5)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(batches in batches()) {
            prop_assert_eq!(decode(&file(&batches)), Ok(batches));
        }

        #[test]
        fn a_torn_end_is_left_out(batches in batches(), cut in any::<prop::sample::Index>()) {
            let whole = file(&batches);
            let cut = cut.index(whole.len());
            let read = decode(&whole[..cut]).unwrap();
            prop_assert!(batches.starts_with(&read));
            // Everything that ends before the cut is there.
            let next = batches.get(..=read.len()).map(file);
            prop_assert!(next.is_none_or(|next| next.len() > cut));
        }

        #[test]
        fn a_changed_bit_is_a_torn_end_or_damage(batches in batches(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = file(&batches);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let (mut hit, mut end) = (0, 0);
            for batch in &batches {
                end = file(&batches[..=hit]).len();
                if at < end { break; }
                let _ = batch;
                hit += 1;
            }
            if hit + 1 < batches.len() {
                prop_assert!(decode(&bytes).is_err());
            } else {
                prop_assert!(end >= at);
                prop_assert_eq!(decode(&bytes).unwrap(), &batches[..hit]);
            }
        }
    }
}
