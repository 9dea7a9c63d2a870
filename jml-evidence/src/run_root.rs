//! The root over the records of one run.

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use crate::merkle::{Hash, root};

/// SHA-256 of a label, the number of records as eight bytes, and their Merkle root; in base64.
pub(crate) fn run_root(leaves: &[Hash]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"jml-evidence/run-root/v1\n");
    hash.update((leaves.len() as u64).to_be_bytes());
    hash.update(root(leaves));
    Base64::encode_string(&hash.finalize())
}
