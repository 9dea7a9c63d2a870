//! Proofs as text: one record's inclusion (C2SP tlog-proof), and lists of hashes.

use base64ct::{Base64, Encoding as _};

use crate::merkle::Hash;

/// First line of a proof (C2SP tlog-proof).
const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes of a proof: a tree has at most 2^63 leaves.
const MAX_HASHES: usize = 63;

/// A proof that one record is in the tree of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the format has these parts")]
pub struct Proof {
    /// Number of the entry.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// The text of the proof.
    #[must_use]
    pub fn write(&self) -> String {
        let hashes = write_hashes(&self.hashes);
        format!("{HEAD}\nindex {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Reads a proof; there is one spelling of each.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let hashes = lines.map(hash).collect::<Option<Vec<_>>>()?;
        let proof = Self { index, hashes, checkpoint: checkpoint.to_owned() };
        (proof.hashes.len() <= MAX_HASHES && proof.write() == text).then_some(proof)
    }
}

fn hash(line: &str) -> Option<Hash> {
    Base64::decode_vec(line).ok()?.try_into().ok()
}

/// Hashes in base64, a line each.
#[must_use]
pub fn write_hashes(hashes: &[Hash]) -> String {
    hashes.iter().fold(String::new(), |mut out, hash| {
        out.push_str(&Base64::encode_string(hash));
        out.push('\n');
        out
    })
}

/// Reads what [`write_hashes`] writes.
#[must_use]
pub fn parse_hashes(text: &str) -> Option<Vec<Hash>> {
    let hashes = text.lines().map(hash).collect::<Option<Vec<_>>>()?;
    (hashes.len() <= MAX_HASHES && write_hashes(&hashes) == text).then_some(hashes)
}
