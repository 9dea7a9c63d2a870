//! Populations and samples: what an auditor picks from, and how nobody can pick for them.
//!
//! A population is every run of an event whose effective instant lies in a period, in order of the log.
//! It is sealed before the auditor names a seed; the sample follows from both, in a few lines of any
//! language:
//!
//! ```text
//! root   = SHA-256("jml-evidence/population/v1\n" || u64be(n) || MTH(leaf hashes of the members))
//! x(k)   = first 8 bytes of SHA-256("jml-evidence/sample/v1\n" || root || u32be(len(seed)) || seed || u64be(k))
//! ```
//!
//! and a partial Fisher-Yates shuffle of 0..n: for i in 0..size, swap i with i + x mod (n - i), where an x
//! in the biased tail (x >= 2^64 - 2^64 mod (n - i)) is passed over; k counts every x, from 0.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::merkle::{Hash, root};

/// Where the list came from that a population was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Extract {
    /// The system, such as the HR system's name.
    pub system: String,
    /// The query or report that was run, as text that holds no personal value.
    pub query: String,
    /// Rows of the extract.
    pub rows: u64,
    /// SHA-256 of its raw bytes, in hexadecimal.
    pub digest: String,
    /// When it was made: RFC 3339, UTC, three decimals.
    pub extracted_at: String,
}

/// What `population.sealed` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data; a stored format")]
pub struct PopulationBody {
    /// The event: `joiner`, `mover`, `leaver`.
    pub event: String,
    /// First instant of the period.
    pub from: String,
    /// First instant after it.
    pub to: String,
    /// How many members: runs.
    pub members: u64,
    /// How many people they are about; somebody can have several runs in one event.
    pub people: u64,
    /// The root over their leaf hashes, in base64.
    pub members_root: String,
    /// What it was compared with.
    pub source: Option<Extract>,
    /// Members that the extract has too.
    pub matched: Option<u64>,
    /// Rows of the extract without a run.
    pub source_only: Option<u64>,
    /// Members that the extract does not have.
    pub log_only: Option<u64>,
}

/// What `sample.drawn` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data; a stored format")]
pub struct SampleBody {
    /// The entry that sealed the population.
    pub population: u64,
    /// What the auditor gave after it was sealed.
    pub seed: String,
    /// The entries of the members that were drawn, in order of drawing.
    pub entries: Vec<u64>,
}

/// The root over the members of a population.
#[must_use]
pub fn members_root(leaves: &[Hash]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"jml-evidence/population/v1\n");
    hash.update((leaves.len() as u64).to_be_bytes());
    hash.update(root(leaves));
    hash.finalize().into()
}

/// The places in a population of `n` that a seed draws; all of them, in some order, when `size` is at
/// least `n`.
#[must_use]
pub fn sample(root: &Hash, n: u64, seed: &str, size: u64) -> Vec<u64> {
    let mut places: Vec<u64> = (0..n).collect();
    let mut k = 0_u64;
    let mut next = || {
        let mut hash = Sha256::new();
        hash.update(b"jml-evidence/sample/v1\n");
        hash.update(root);
        hash.update(u32::try_from(seed.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(seed.as_bytes());
        hash.update(k.to_be_bytes());
        k += 1;
        let full: Hash = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = full;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    };
    let size = size.min(n);
    for i in 0..size {
        let left = n - i;
        // Numbers from the last, incomplete round would favour small remainders.
        let tail = (u64::MAX % left + 1) % left;
        let x = loop {
            let x = next();
            if tail == 0 || x <= u64::MAX - tail {
                break x;
            }
        };
        let (at, other) = (usize::try_from(i), usize::try_from(i + x % left));
        if let (Ok(at), Ok(other)) = (at, other) {
            places.swap(at, other);
        }
    }
    places.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    places
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_member_is_drawn_about_as_often() {
        let mut counts = [0_u32; 10];
        for seed in 0..2000 {
            for place in sample(&[7; 32], 10, &seed.to_string(), 3) {
                counts[usize::try_from(place).unwrap()] += 1;
            }
        }
        // 600 each are expected; six standard deviations are 123.
        assert!(counts.iter().all(|n| (477..723).contains(n)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_sample_has_no_doubles(n in 0_u64..200, size in 0_u64..250, seed in ".{0,8}") {
            let drawn = sample(&[1; 32], n, &seed, size);
            prop_assert_eq!(drawn.len() as u64, size.min(n));
            prop_assert!(drawn.iter().all(|place| *place < n));
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
            prop_assert_eq!(sample(&[1; 32], n, &seed, size), drawn);
        }
    }
}
