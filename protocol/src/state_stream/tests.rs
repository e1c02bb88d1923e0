//! Streamed states beside the prover's trees, and bytes that are no state.

use super::*;
use crate::hash::{Commitment, Digest, Keccak};
use crate::merkle::Tree;
use crate::roots::state_tree;
use crate::tensor::{ElementType, Shape, TensorType, pack_leaf};
use alloc::vec;
use alloc::vec::Vec;

const LIMITS: StateLimits = StateLimits { bytes: 1 << 20, leaves: 1 << 12 };

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

/// A state with its bytes, and its root as the prover's trees give it.
fn state(values: &[(u32, TensorType)]) -> (Vec<u8>, Digest) {
    let head = StateHead { values: values.to_vec() };
    let (mut bytes, mut leaves) = (head.prefix(), Vec::new());
    for (value, kind) in values {
        let width = kind.element.bytes();
        let elements: Vec<u64> = (0..kind.shape.count())
            .map(|at| if kind.element == ElementType::F32 { 0x3F80_0000 + at } else { at % 2 })
            .collect();
        for element in &elements {
            bytes.extend_from_slice(&element.to_be_bytes()[8 - width..]);
        }
        let shape = kind.tree_shape().unwrap();
        let hashes: Vec<Digest> = (0..1u64 << shape.depth())
            .filter_map(|position| kind.leaf_range(position))
            .map(|(first, count)| {
                let range = first as usize..first as usize + count;
                Keccak::leaf(&pack_leaf(kind.element, elements[range].iter().copied()))
            })
            .collect();
        let root = kind.root(&Tree::<Keccak>::new(shape, &hashes).unwrap().root());
        leaves.push((*value, root));
    }
    (bytes, state_tree::<Keccak>(leaves).unwrap().root())
}

fn hashed(bytes: &[u8], part: usize, limits: StateLimits) -> Result<Digest, StateError> {
    let mut hasher = StateHasher::<Keccak>::new(limits);
    for part in bytes.chunks(part) {
        hasher.push(part)?;
    }
    hasher.finish()
}

#[test]
fn a_streamed_state_has_the_root_of_its_trees_whatever_the_parts() {
    for dimensions in [
        &[][..],
        &[1],
        &[64],
        &[65],
        &[1000],
        &[3, 64],
        &[5, 65],
        &[7, 1, 200],
        &[9, 3],
        &[33, 129],
    ] {
        let values = [
            (0, kind(ElementType::F32, dimensions)),
            (3, kind(ElementType::Bool, dimensions)),
            (4, kind(ElementType::I64, dimensions)),
            (9, kind(ElementType::I16, dimensions)),
        ];
        let limits = StateLimits { bytes: 1 << 24, leaves: 1 << 20 };
        let (bytes, root) = state(&values);
        assert_eq!(bytes.len() as u64, StateHead { values: values.to_vec() }.total_bytes());
        for part in [1, 7, 256, 1 << 20] {
            assert_eq!(hashed(&bytes, part, limits), Ok(root), "{dimensions:?} by {part}");
        }
    }
}

#[test]
fn what_is_no_state_is_refused_before_memory_is_taken() {
    let (bytes, root) = state(&[(1, kind(ElementType::F32, &[2, 65]))]);
    assert_eq!(hashed(&bytes, 64, LIMITS), Ok(root));
    let missing = StateError::Truncated { missing: 1 };
    assert_eq!(hashed(&bytes[..bytes.len() - 1], 64, LIMITS), Err(missing));
    assert_eq!(hashed(&[&bytes[..], &[0]].concat(), 64, LIMITS), Err(StateError::Trailing));
    assert!(matches!(hashed(&bytes[..9], 64, LIMITS), Err(StateError::Truncated { .. })));
    assert!(matches!(hashed(&[], 64, LIMITS), Err(StateError::Truncated { .. })));
    let tight = StateLimits { bytes: bytes.len() as u64 - 1, ..LIMITS };
    assert!(matches!(hashed(&bytes, 64, tight), Err(StateError::TooLong { .. })));
    let few = StateLimits { leaves: 3, ..LIMITS };
    let leaves = StateError::TooManyLeaves { leaves: 4, limit: 3 };
    assert_eq!(hashed(&bytes, 64, few), Err(leaves));
    // A head of gigabytes, a foreign magic, an empty head.
    for start in [&b"REBUTST1\xff\xff\xff\xff"[..], b"PK\x03\x04aaaaaaaa", b"REBUTST1\0\0\0\0"] {
        let long = [start, &[7; 1_000]].concat();
        assert_eq!(hashed(&long, 64, LIMITS), Err(StateError::Head));
    }
    let small = kind(ElementType::F32, &[1]);
    for ids in [&[][..], &[2, 2], &[3, 2]] {
        let values: Vec<_> = ids.iter().map(|id| (*id, small.clone())).collect();
        let head = StateHead { values }.prefix();
        assert_eq!(hashed(&head, 64, LIMITS), Err(StateError::Values), "{ids:?}");
    }
}

#[test]
fn elements_of_any_bits_are_hashed_as_they_are() {
    let (good, root) = state(&[(7, kind(ElementType::F32, &[2, 65]))]);
    let mut roots = vec![root];
    for bits in [0x8000_0000u32, 0, 1, 0x7FC0_0000, 0x7FC0_0001, 0xFFC0_0000] {
        let mut bytes = good.clone();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&bits.to_be_bytes());
        roots.push(hashed(&bytes, 64, LIMITS).unwrap());
    }
    let (mut truths, _) = state(&[(7, kind(ElementType::Bool, &[3]))]);
    for bits in [0, 1, 2] {
        *truths.last_mut().unwrap() = bits;
        roots.push(hashed(&truths, 64, LIMITS).unwrap());
    }
    let all = roots.len();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), all, "what was given decides the root, not what it is read as");
}

#[test]
fn a_head_says_in_words_what_it_announces() {
    let text =
        alloc::format!("{}", StateHead { values: vec![(7, kind(ElementType::F32, &[2, 3]))] });
    let element = ElementType::F32.name();
    assert_eq!(text, alloc::format!("value 7: {element}[2][3]"));
}
