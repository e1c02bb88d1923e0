//! Updates, floats of 16 bits, exact sums of integers and random words: what the law gives and what the
//! check refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol::graph::{MapFunction, Node, Operand, Operator, Window};
use protocol::law::{self, LawError, NodeFault, Operands};
use protocol::numerics::{narrow_bf16, narrow_f16, philox4x32, soft, widen_bf16, widen_f16};
use protocol::tensor::{ElementType, Shape, TensorType};

use ElementType::{Bf16, Bool, F16, F32, I8, I16, I32, I64, U8, U32};

struct Held(Vec<Vec<u64>>);

impl Operands for Held {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0[operand].get(index as usize).copied().ok_or(())
    }
}

type Type<'a> = (ElementType, &'a [u64]);

fn node(operator: Operator, operands: &[Type<'_>], output: Type<'_>) -> Node {
    let kind = |(element, dimensions): &Type<'_>| TensorType {
        element: *element,
        shape: Shape::new(dimensions).unwrap(),
    };
    let operand = |one: &Type<'_>| Operand { value: 0, kind: kind(one) };
    Node { operator, operands: operands.iter().map(operand).collect(), output: kind(&output) }
}

fn fault(operator: Operator, operands: &[Type<'_>], output: Type<'_>) -> Option<NodeFault> {
    law::check(&node(operator, operands, output)).err()
}

fn all(node: &Node, operands: Vec<Vec<u64>>) -> Result<Vec<u64>, LawError<()>> {
    let node = law::check(node).unwrap();
    let mut operands = Held(operands);
    (0..node.output.shape.count()).map(|at| law::element(node, at, &mut operands)).collect()
}

fn integers(element: ElementType, values: &[i64]) -> Vec<u64> {
    values.iter().map(|value| element.from_integer(*value).unwrap()).collect()
}

fn floats(values: &[f32]) -> Vec<u64> {
    values.iter().map(|value| u64::from(value.to_bits())).collect()
}

#[test]
fn an_update_takes_rows_from_where_it_is_told_and_all_others_from_its_base() {
    for (count, start) in [(1, 0), (1, 3), (2, 1), (4, 0)] {
        for element in [F32, I64, Bool, Bf16] {
            let operands = [(element, &[4, 2][..]), (element, &[count, 2]), (I64, &[1])];
            let update = node(Operator::Update {}, &operands, (element, &[4, 2]));
            let one = match element {
                F32 => 0x3F80_0000,
                Bf16 => 0x3F80,
                _ => 1,
            };
            let (base, rows) = (vec![0; 8], vec![one; 2 * count as usize]);
            let found = all(&update, vec![base, rows, vec![start]]).unwrap();
            let expected: Vec<u64> = (0..8)
                .map(|at| if (start..start + count).contains(&(at / 2)) { one } else { 0 })
                .collect();
            assert_eq!(found, expected, "{count} rows from {start}");
        }
    }
}

#[test]
fn an_update_that_begins_outside_has_no_result() {
    for (kind, start) in [(I64, -1i64), (I64, 3), (I64, i64::MAX), (I8, -128), (U8, 255), (I32, 4)]
    {
        let operands = [(F32, &[4][..]), (F32, &[2]), (kind, &[])];
        let update = node(Operator::Update {}, &operands, (F32, &[4]));
        let start = integers(kind, &[start]);
        let found = all(&update, vec![floats(&[1.0; 4]), floats(&[2.0; 2]), start]);
        assert_eq!(found, Err(LawError::Undefined));
    }
    let operands = [(F32, &[4][..]), (F32, &[2]), (I64, &[1])];
    let update = node(Operator::Update {}, &operands, (F32, &[4]));
    let found = all(&update, vec![floats(&[1.0; 4]), floats(&[-0.0, 2.0]), vec![2]]);
    // What is moved is read as any operand is.
    assert_eq!(found, Ok(floats(&[1.0, 1.0, 0.0, 2.0])));
}

#[test]
fn an_update_that_does_not_fit_is_refused() {
    use NodeFault::{Elements, Operands, Shapes};
    let update = |operands: &[Type<'_>], output| fault(Operator::Update {}, operands, output);
    let start = (I64, &[1][..]);
    let (base, row) = ((F32, &[4, 2][..]), (F32, &[1, 2][..]));
    assert_eq!(update(&[base, row, start], base), None);
    assert_eq!(update(&[base, row], base), Some(Operands));
    assert_eq!(update(&[base, (I32, &[1, 2]), start], base), Some(Elements));
    assert_eq!(update(&[base, row, start], (I32, &[4, 2])), Some(Elements));
    for element in [F32, Bool, Bf16, F16] {
        assert_eq!(update(&[base, row, (element, &[1])], base), Some(Elements));
    }
    for (rows, start, output) in [
        (&[5, 2][..], &[1][..], &[4, 2][..]),
        (&[1, 3], &[1], &[4, 2]),
        (&[2], &[1], &[4, 2]),
        (&[1, 2], &[2], &[4, 2]),
        (&[1, 2], &[1], &[5, 2]),
        (&[1, 2], &[1], &[8]),
    ] {
        let found = update(&[base, (F32, rows), (I64, start)], (F32, output));
        assert_eq!(found, Some(Shapes), "{rows:?} {start:?} {output:?}");
    }
    assert_eq!(update(&[(F32, &[]), (F32, &[]), start], (F32, &[])), Some(Shapes));
}

#[test]
fn a_cast_to_16_bits_is_to_nearest_even_and_back_exact() {
    let bits: Vec<u64> = (0..u32::MAX).step_by(40_009).map(u64::from).collect();
    let count = [bits.len() as u64];
    for (narrow, down, up) in [
        (Bf16, narrow_bf16 as fn(u32) -> u16, widen_bf16 as fn(u16) -> u32),
        (F16, narrow_f16, widen_f16),
    ] {
        let cast = Operator::Map { function: MapFunction::Cast };
        let to = node(cast.clone(), &[(F32, &count)], (narrow, &count));
        let found = all(&to, vec![bits.clone()]).unwrap();
        for (bits, found) in bits.iter().zip(&found) {
            let stored = F32.stored(*bits) as u32;
            assert_eq!(*found, u64::from(down(stored)), "{bits:08x}");
            assert!(narrow.is_canonical(*found), "{bits:08x}");
        }
        let back = node(cast, &[(narrow, &count)], (F32, &count));
        let wide = all(&back, vec![found.clone()]).unwrap();
        for (narrow, wide) in found.iter().zip(wide) {
            assert_eq!(wide, u64::from(up(*narrow as u16)));
            assert!(F32.is_canonical(wide));
        }
    }
}

#[test]
fn floats_of_16_bits_are_only_moved_cast_and_multiplied_from_the_right() {
    for narrow in [Bf16, F16] {
        let row = (narrow, &[4][..]);
        for function in MapFunction::ALL.iter().copied() {
            let map = Operator::Map { function };
            for output in ElementType::ALL {
                let operands = vec![row; function.operands()];
                let found = fault(map.clone(), &operands, (output, &[4]));
                let cast = function == MapFunction::Cast && output == F32;
                assert_eq!(found.is_none(), cast, "{} to {}", function.name(), output.name());
            }
        }
        let select = Operator::Map { function: MapFunction::Select };
        assert!(fault(select, &[(Bool, &[4]), row, row], row).is_some());
        assert!(fault(Operator::Gather { axis: 0 }, &[(F32, &[4]), row], (F32, &[4])).is_some());
        assert_eq!(fault(Operator::Gather { axis: 0 }, &[row, (I64, &[2])], (narrow, &[2])), None);
        assert_eq!(fault(Operator::Reshape {}, &[row], (narrow, &[2, 2])), None);
        assert!(fault(Operator::Reshape {}, &[row], (F32, &[4])).is_some());
        let fold = protocol::graph::Fold::Maximum;
        assert!(fault(Operator::Reduce { fold }, &[row], (narrow, &[])).is_some());
        let (matrix, wide) = ((narrow, &[4, 4][..]), (F32, &[4, 4][..]));
        let contract =
            |operands: &[Type<'_>], output| fault(Operator::Contract {}, operands, output);
        assert_eq!(contract(&[wide, matrix], wide), None);
        assert!(contract(&[matrix, wide], wide).is_some());
        assert!(contract(&[matrix, matrix], wide).is_some());
        assert!(contract(&[wide, matrix], matrix).is_some());
        let one = Window { kernel: (1, 1), strides: (1, 1), dilations: (1, 1), pads: (0, 0) };
        let convolve = Operator::Convolve { window: one, groups: 1 };
        let shape = &[1, 1, 1, 1][..];
        assert!(fault(convolve, &[(F32, shape), (narrow, shape)], (F32, shape)).is_some());
    }
}

#[test]
fn a_right_side_that_is_widened_gives_the_bits_of_the_wide_product() {
    let depth = 300u64;
    let mixed = |seed: u64| {
        move |at: u64| (at * 2_654_435_761 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    };
    let left: Vec<u64> = (0..2 * depth)
        .map(mixed(1))
        .map(|bits| {
            u64::from(soft::div(soft::from_integer((bits % 999) as i64 - 500), 0x4120_0000))
        })
        .collect();
    for right in [F32, Bf16, F16, I8, U8] {
        // Any bits that the type has, those that are never stored included.
        let mask = u64::MAX >> (64 - 8 * right.bytes());
        let elements: Vec<u64> = (0..3 * depth).map(mixed(7)).map(|bits| bits & mask).collect();
        let wide = elements.iter().map(|bits| u64::from(right.to_f32(*bits))).collect();
        let of = |right| {
            let operands = [(F32, &[2, depth][..]), (right, &[3, depth])];
            node(Operator::Contract {}, &operands, (F32, &[2, 3]))
        };
        let found = all(&of(right), vec![left.clone(), elements]).unwrap();
        assert_eq!(found, all(&of(F32), vec![left.clone(), wide]).unwrap(), "{}", right.name());
    }
}

#[test]
fn products_of_integers_are_summed_exactly_in_one_word() {
    for (left, right, output) in [(I8, U8, I32), (U8, I8, I32), (I16, I8, I64), (I16, U8, I32)] {
        for depth in [1u64, 64, 65, 200, 256, 257] {
            let least = |kind: ElementType| kind.integer_range().unwrap();
            let (a, b) = (least(left), least(right));
            let cycle = [a.0, a.1, 2, 1];
            let lefts: Vec<i64> = (0..depth as usize).map(|at| cycle[at % 4]).collect();
            let rights: Vec<i64> = (0..depth as usize).map(|at| [b.1, b.0, 3][at % 3]).collect();
            let expected: i64 = lefts.iter().zip(&rights).map(|(a, b)| a * b).sum();
            let operands = vec![integers(left, &lefts), integers(right, &rights)];
            let product = node(
                Operator::Contract {},
                &[(left, &[1, depth]), (right, &[1, depth])],
                (output, &[1, 1]),
            );
            assert_eq!(all(&product, operands.clone()), Ok(integers(output, &[expected])));
            let window =
                Window { kernel: (1, 1), strides: (1, 1), dilations: (1, 1), pads: (0, 0) };
            let convolve = Operator::Convolve { window, groups: 1 };
            let shape = &[1, 1, 1, depth][..];
            let convolved =
                node(convolve, &[(left, shape), (right, shape)], (output, &[1, 1, 1, 1]));
            assert_eq!(all(&convolved, operands.clone()), Ok(integers(output, &[expected])));
            let checked = law::check(&product).unwrap();
            assert_eq!(law::state_words(checked), 1);
            let mut operands = Held(operands);
            let mut states: Vec<Vec<u64>> = Vec::new();
            let mut sum = 0;
            for number in 0..law::segment_count(checked) {
                let before = law::start(checked, number, states.last().map(Vec::as_slice));
                states.push(law::segment(checked, 0, number, before, &mut operands).unwrap());
                let range = number as usize * 64..(number as usize * 64 + 64).min(depth as usize);
                sum += range.map(|at| lefts[at] * rights[at]).sum::<i64>();
                assert_eq!(states.last().unwrap(), &integers(output, &[sum]));
            }
            assert_eq!(law::finish(checked, states.last().unwrap()), output.from_integer(sum));
        }
    }
}

#[test]
fn padded_taps_of_a_convolution_of_integers_are_zero() {
    let window = Window { kernel: (2, 2), strides: (1, 1), dilations: (1, 1), pads: (1, 1) };
    let convolve = Operator::Convolve { window, groups: 1 };
    let operands = [(U8, &[1, 1, 1, 1][..]), (I8, &[1, 2, 2, 1])];
    let node = node(convolve, &operands, (I32, &[1, 2, 2, 1]));
    let found = all(&node, vec![vec![200], integers(I8, &[1, -2, 3, -128])]);
    assert_eq!(found, Ok(integers(I32, &[-25_600, 600, -400, 200])));
}

#[test]
fn products_of_integers_that_could_overflow_are_refused() {
    let contract = |left, right, output, depth: u64| {
        let operands = [(left, &[1, depth][..]), (right, &[1, depth])];
        fault(Operator::Contract {}, &operands, (output, &[1, 1]))
    };
    // 2^31 − 1 is the largest sum.
    for (left, right, most) in
        [(U8, U8, 33_025), (I8, I8, 131_071), (I16, I8, 511), (I16, U8, 257), (I8, U8, 65_793)]
    {
        assert_eq!(contract(left, right, I32, most), None, "{}", left.name());
        assert_eq!(contract(left, right, I32, most + 1), Some(NodeFault::Overflow));
        assert_eq!(contract(left, right, I64, 1 << 18), None);
        assert_eq!(contract(left, right, I64, (1 << 18) + 1), Some(NodeFault::TooLong));
    }
    for (left, right, output) in [
        (U8, I16, I32),
        (I32, I8, I64),
        (U8, U8, U32),
        (I8, I8, F32),
        (I8, F32, F32),
        (Bool, I8, I32),
    ] {
        assert_eq!(contract(left, right, output, 1), Some(NodeFault::Elements));
    }
    let window = Window { kernel: (1, 2), strides: (1, 1), dilations: (1, 1), pads: (0, 0) };
    let convolve = |channels: u64| {
        let operands = [(I16, &[1, 1, 2, channels][..]), (U8, &[1, 1, 2, channels])];
        fault(Operator::Convolve { window, groups: 1 }, &operands, (I32, &[1, 1, 1, 1]))
    };
    assert_eq!((convolve(128), convolve(129)), (None, Some(NodeFault::Overflow)));
}

#[test]
fn a_state_that_nobody_computed_has_no_sum_beyond_its_type() {
    let operands = [(U8, &[1, 128][..]), (U8, &[1, 128])];
    let product = node(Operator::Contract {}, &operands, (I32, &[1, 1]));
    let product = law::check(&product).unwrap();
    let mut ones = Held(vec![vec![1; 128]; 2]);
    let before = law::start(product, 1, Some(&[i32::MAX as u64]));
    let found = law::segment(product, 0, 1, before, &mut ones);
    assert_eq!(found, Err(LawError::Undefined));
}

#[test]
fn a_random_word_is_the_first_of_its_counter_under_its_key() {
    let random = Operator::Map { function: MapFunction::Random };
    let scalar = |element| (element, &[1][..]);
    let words = node(random.clone(), &[scalar(I64); 3], scalar(U32));
    for (key, high, low) in
        [(0, 0, 0), (-1, -1, -1), (1, 2, 3), (i64::MIN, i64::MAX, 0x0123_4567_89AB_CDEF)]
    {
        let halves = |number: i64| [number as u64 as u32, (number as u64 >> 32) as u32];
        let ([a, b], [c, d]) = (halves(low), halves(high));
        let expected = philox4x32([a, b, c, d], halves(key))[0];
        let operands = [key, high, low].map(|number| vec![number as u64]).to_vec();
        assert_eq!(all(&words, operands), Ok(vec![u64::from(expected)]));
    }
    for wrong in [I32, U32, F32, Bool] {
        let operands = [scalar(I64), scalar(wrong), scalar(I64)];
        assert_eq!(fault(random.clone(), &operands, scalar(U32)), Some(NodeFault::Elements));
        if wrong != U32 {
            let found = fault(random.clone(), &[scalar(I64); 3], scalar(wrong));
            assert_eq!(found, Some(NodeFault::Elements));
        }
    }
}
