//! The state of a chain of products as two words, beside the definition by chunks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol::graph::{Node, Operand, Operator, Window};
use protocol::law::{self, Operands};
use protocol::numerics::{soft, store};
use protocol::tensor::{ElementType, Shape, TensorType};

const INFINITE: [u32; 2] = [0x7F80_0000, 0xFF80_0000];
const NAN: u32 = 0x7FC0_0000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A stored number: of any size, or short ones that cancel, or now and then not finite.
    fn number(&mut self, kind: u64) -> u32 {
        let bits = self.next();
        let odd = self.next().is_multiple_of(97);
        match kind % 4 {
            0 => store((bits >> 32) as u32),
            1 => soft::from_integer((bits % 9) as i64 - 4),
            2 if odd => [INFINITE[0], INFINITE[1], NAN][bits as usize % 3],
            // Within a few powers of two, so that sums round.
            _ => ((bits >> 32) as u32 & 0x80FF_FFFF) | (0x3D + (bits & 3) as u32) << 24,
        }
    }
}

struct Rows([Vec<u32>; 2]);

impl Operands for Rows {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0[operand].get(index as usize).map(|bits| u64::from(*bits)).ok_or(())
    }
}

/// Chains of 256 products each from +0, then their sum in order, under rule Q.
fn by_chunks(left: &[u32], right: &[u32]) -> u32 {
    let chunks = left.chunks(256).zip(right.chunks(256)).map(|(left, right)| {
        left.iter().zip(right).fold(0, |chain, (a, b)| soft::fma(store(*a), store(*b), chain))
    });
    store(chunks.reduce(soft::add).unwrap())
}

fn node(operator: Operator, operands: [&[u64]; 2], output: &[u64]) -> Node {
    let kind = |dimensions: &[u64]| TensorType {
        element: ElementType::F32,
        shape: Shape::new(dimensions).unwrap(),
    };
    let operands = operands.map(|dimensions| Operand { value: 0, kind: kind(dimensions) });
    Node { operator, operands: operands.to_vec(), output: kind(output) }
}

#[test]
fn chains_of_two_words_end_in_the_sum_of_their_chunks() {
    let mut dice = Dice(20);
    let mut not_finite = 0;
    for round in 0..400u64 {
        let depth = 1 + if round < 20 { round * 64 % 700 } else { dice.next() % 700 };
        let row = |dice: &mut Dice| (0..depth).map(|_| dice.number(round)).collect::<Vec<u32>>();
        let (left, mut right) = (row(&mut dice), row(&mut dice));
        if round % 8 == 5 {
            // The second half takes back the first.
            let half = depth as usize / 2;
            let taken: Vec<u32> = right[..half].iter().map(|bits| bits ^ 0x8000_0000).collect();
            right[half..half * 2].copy_from_slice(&taken);
        }
        let expected = by_chunks(&left, &right);
        not_finite += u32::from(expected & 0x7F80_0000 == 0x7F80_0000);
        let mut rows = Rows([left, right]);
        let window = Window { kernel: (1, 1), strides: (1, 1), dilations: (1, 1), pads: (0, 0) };
        for node in [
            node(Operator::Contract {}, [&[1, depth], &[1, depth]], &[1, 1]),
            node(
                Operator::Convolve { window, groups: 1 },
                [&[1, 1, 1, depth], &[1, 1, 1, depth]],
                &[1, 1, 1, 1],
            ),
        ] {
            let node = law::check(&node).unwrap();
            assert_eq!(law::state_words(node), 2);
            assert_eq!(law::element(node, 0, &mut rows), Ok(u64::from(expected)), "{depth}");
            let mut states: Vec<Vec<u64>> = Vec::new();
            for number in 0..law::segment_count(node) {
                let before = law::start(node, number, states.last().map(Vec::as_slice));
                if number.is_multiple_of(4) {
                    assert_eq!(before[0], 0, "a chunk starts from +0");
                }
                states.push(law::segment(node, 0, number, before, &mut rows).unwrap());
            }
            let last = states.last().unwrap();
            assert_eq!(law::finish(node, last), Some(u64::from(expected)));
            // A word that is a NaN is the one NaN.
            let words = states.iter().flatten().map(|word| *word as u32);
            assert!(words.clone().all(|word| !soft::is_nan(word) || word == NAN));
        }
    }
    assert!(not_finite > 20, "{not_finite}");
}
