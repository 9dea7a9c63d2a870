//! The tree against another implementation, and every single bit against the verifier.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use jml_evidence::merkle::{
    Frontier, Hash, leaf_hash, prove_consistency, prove_inclusion, root, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut out = *hash;
    out[bit / 8 % 32] ^= 1 << (bit % 8);
    out
}

proptest! {
    #[test]
    fn the_other_implementation_agrees(count in 1_u64..300, index in any::<u64>(), old in any::<u64>()) {
        let (index, old) = (index % count, old % (count + 1));
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for i in 0..count {
            tree.push(i.to_be_bytes().to_vec());
        }
        let ours = leaves(count);
        let top = root(&ours);
        let theirs = tree.root();
        prop_assert_eq!(&top[..], theirs.as_bytes().as_slice());
        let mut frontier = Frontier::default();
        ours.iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(frontier.root(), top);

        let proof = prove_inclusion(&ours[..], count, index).unwrap();
        let theirs = tree.prove_inclusion(usize::try_from(index).unwrap());
        prop_assert_eq!(proof.concat(), theirs.as_bytes());
        prop_assert!(verify_inclusion(&ours[usize::try_from(index).unwrap()], index, count, &proof, &top));

        let proof = prove_consistency(&ours[..], old, count).unwrap();
        let before = root(&ours[..usize::try_from(old).unwrap()]);
        prop_assert!(verify_consistency(old, count, &proof, &before, &top));
        if old > 0 {
            let theirs = tree.prove_consistency(usize::try_from(count - old).unwrap());
            prop_assert_eq!(proof.concat(), theirs.as_bytes());
        }
    }

    #[test]
    fn every_changed_bit_is_refused(count in 2_u64..70, index in any::<u64>(), old in any::<u64>(), bit in 0_usize..256, which in any::<prop::sample::Index>()) {
        let (index, old) = (index % count, old % (count - 1) + 1);
        let ours = leaves(count);
        let (leaf, top) = (ours[usize::try_from(index).unwrap()], root(&ours));
        let proof = prove_inclusion(&ours[..], count, index).unwrap();
        prop_assert!(!verify_inclusion(&flip(&leaf, bit), index, count, &proof, &top));
        prop_assert!(!verify_inclusion(&leaf, index, count, &proof, &flip(&top, bit)));
        let mut bad = proof.clone();
        let at = which.index(bad.len());
        bad[at] = flip(&bad[at], bit);
        prop_assert!(!verify_inclusion(&leaf, index, count, &bad, &top));
        prop_assert!(!verify_inclusion(&leaf, index ^ 1, count, &proof, &top) || count == 1);
        prop_assert!(!verify_inclusion(&leaf, index, count, &proof[1..], &top));
        let mut long = proof.clone();
        long.push(top);
        prop_assert!(!verify_inclusion(&leaf, index, count, &long, &top));

        let before = root(&ours[..usize::try_from(old).unwrap()]);
        let proof = prove_consistency(&ours[..], old, count).unwrap();
        prop_assert!(!verify_consistency(old, count, &proof, &flip(&before, bit), &top));
        prop_assert!(!verify_consistency(old, count, &proof, &before, &flip(&top, bit)));
        let mut bad = proof.clone();
        let at = which.index(bad.len());
        bad[at] = flip(&bad[at], bit);
        prop_assert!(!verify_consistency(old, count, &bad, &before, &top));
    }
}
