//! The Merkle tree of RFC 6962 section 2.1: roots, inclusion proofs and consistency proofs. Pure.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of 0x00 and the leaf's bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(leaf);
    hash.finalize().into()
}

/// The hash of a node: SHA-256 of 0x01 and its children's hashes.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root over leaf hashes; of nothing, the hash of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// The roots of the complete subtrees of a growing tree: enough to go on, and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of complete subtrees, largest first; their sizes are the bits of `size`.
    stack: Vec<Hash>,
}

impl Frontier {
    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut bits = self.size;
        while bits & 1 == 1 {
            if let Some(left) = self.stack.pop() {
                hash = node_hash(&left, &hash);
            }
            bits >>= 1;
        }
        self.stack.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut rest = self.stack.iter().rev();
        match rest.next() {
            None => Sha256::digest([]).into(),
            Some(last) => rest.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// The largest power of two smaller than `n`, for `n` of at least 2.
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Where hashes of subtrees come from: the root over the leaves from the first number up to, and without,
/// the second one; `None` when it is not known.
pub trait Subtrees {
    /// The root over a range of leaves that RFC 6962 makes a subtree of.
    fn subtree(&mut self, from: u64, to: u64) -> Option<Hash>;
}

impl Subtrees for &[Hash] {
    fn subtree(&mut self, from: u64, to: u64) -> Option<Hash> {
        self.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?).map(root)
    }
}

/// The inclusion proof of leaf `index` of `size` (RFC 6962 section 2.1.1); `None` when there is no such
/// leaf, or a hash is not known.
pub fn prove_inclusion(mut tree: impl Subtrees, size: u64, index: u64) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(tree.subtree(middle, to)?);
            to = middle;
        } else {
            proof.push(tree.subtree(from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Checks an inclusion proof (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut fnode, mut snode, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            hash = node_hash(step, &hash);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && hash == *root
}

/// The consistency proof from the first `old` leaves to all `size` of them (RFC 6962 section 2.1.2);
/// `None` when there are fewer, or a hash is not known. From nothing, and from all of them, the proof is
/// empty.
pub fn prove_consistency(mut tree: impl Subtrees, old: u64, size: u64) -> Option<Vec<Hash>> {
    if old > size {
        return None;
    }
    if old == 0 || old == size {
        return Some(Vec::new());
    }
    let (mut from, mut to, mut proof, mut whole) = (0, size, Vec::new(), true);
    while old < to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(tree.subtree(middle, to)?);
            to = middle;
        } else {
            proof.push(tree.subtree(from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(tree.subtree(from, to)?);
    }
    proof.reverse();
    Some(proof)
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2). From nothing, any tree is consistent if the
/// proof is empty.
#[must_use]
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == root(&[]);
    }
    let (mut fnode, mut snode) = (old - 1, new - 1);
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { Some(*old_root) } else { rest.next().copied() };
    let Some(first) = first else { return false };
    let (mut fr, mut sr) = (first, first);
    for step in rest {
        if snode == 0 {
            return false;
        }
        if fnode & 1 == 1 || fnode == snode {
            fr = node_hash(step, &fr);
            sr = node_hash(step, &sr);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            sr = node_hash(&sr, step);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    snode == 0 && fr == *old_root && sr == *new_root
}
