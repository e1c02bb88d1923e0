//! Every operator of the engine against the scalar law, element by element, on every path of this
//! CPU and on one, two and four threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use inference::engine::by_law;
use inference::{Engine, Isa, Tensor};
use proptest::prelude::*;
use protocol::graph::{Fold, MapFunction, Node, Operand, Operator, Window};
use protocol::law;
use protocol::numerics::{narrow_bf16, narrow_f16};
use protocol::tensor::{ElementType, Shape, TensorType};

fn engines() -> Vec<Engine> {
    let paths = Isa::available();
    let threads = [1, 2, 4];
    paths
        .iter()
        .flat_map(|path| threads.map(|threads| Engine::new(*path, threads).unwrap()))
        .collect()
}

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

/// Values where functions turn, next to ordinary ones: a small generator of our own.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn float(&mut self, wild: bool) -> f32 {
        const EDGES: [f32; 16] = [
            0.0,
            1.0,
            -1.0,
            0.5,
            88.72,
            88.73,
            -27.7,
            -27.8,
            1e30,
            -1e30,
            9.0e-13,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            0.625,
            3.92,
        ];
        let bits = self.next();
        match bits % 8 {
            0 if wild => EDGES[(bits >> 8) as usize % EDGES.len()],
            // Short numbers, so that sums and products tie.
            1..=3 => ((bits >> 16) % 33) as f32 / 8.0 - 2.0,
            4 if wild => f32::from_bits((bits >> 32) as u32),
            _ => ((bits >> 40) as f32 / 8_388_608.0 - 1.0) * 4.0,
        }
    }

    fn tensor(&mut self, kind: &TensorType, wild: bool, integers_below: u64) -> Tensor {
        let count = kind.shape.count();
        let bits: Vec<u64> = (0..count)
            .map(|_| match kind.element {
                ElementType::F32 => u64::from(self.float(wild).to_bits()),
                ElementType::Bool => self.next() % 2,
                ElementType::Bf16 if wild => self.next() % (1 << 16),
                ElementType::Bf16 => u64::from(narrow_bf16(self.float(false).to_bits())),
                ElementType::F16 if wild => self.next() % (1 << 16),
                ElementType::F16 => u64::from(narrow_f16(self.float(false).to_bits())),
                _ => {
                    let value = (self.next() % (2 * integers_below)) as i64;
                    let value = value - integers_below as i64;
                    let stored = kind.element.from_integer(value);
                    stored.or(kind.element.from_integer(-value)).unwrap()
                }
            })
            .collect();
        Tensor::from_bits(kind, &bits).unwrap()
    }
}

fn check(operator: Operator, operands: &[TensorType], output: TensorType, seed: u64, wild: bool) {
    let node = Node {
        operator,
        operands: operands
            .iter()
            .enumerate()
            .map(|(value, kind)| Operand { value: value as u32, kind: kind.clone() })
            .collect(),
        output,
    };
    let node = law::check(&node).unwrap();
    let mut numbers = Numbers(seed);
    let below = match &node.operator {
        Operator::Gather { axis } => operands[0].shape.dimensions()[*axis as usize],
        Operator::Update {} => 4,
        _ => 100,
    };
    let tensors: Vec<Tensor> =
        operands.iter().map(|kind| numbers.tensor(kind, wild, below)).collect();
    let references: Vec<&Tensor> = tensors.iter().collect();
    let expected = by_law(node, &references).map(|tensor| tensor.all_bits());
    for engine in engines() {
        let found = engine.run(node, &references, None).map(|tensor| tensor.all_bits());
        assert_eq!(found, expected, "{:?} on {:?}", node.operator, engine.isa());
    }
}

const F32: ElementType = ElementType::F32;

#[test]
fn every_function_of_the_table_equals_the_law_for_all_types_that_it_takes() {
    let types = ElementType::ALL;
    for function in MapFunction::ALL.iter().copied() {
        let operator = || Operator::Map { function };
        let mut tried = 0;
        for (first, last, output) in types.iter().flat_map(|first| {
            let types = &types;
            let pairs = types.iter().flat_map(move |last| types.iter().map(move |out| (last, out)));
            pairs.map(move |(last, output)| (*first, *last, *output))
        }) {
            // Only the first of three may be of another type.
            let mut operands = vec![kind(last, &[3, 7]); function.operands()];
            operands[0] = kind(first, &[3, 7]);
            let output = kind(output, &[3, 7]);
            let operand = |kind: &TensorType| Operand { value: 0, kind: kind.clone() };
            let node = Node {
                operator: operator(),
                operands: operands.iter().map(operand).collect(),
                output: output.clone(),
            };
            if law::check(&node).is_ok() {
                tried += 1;
                for seed in 0..4 {
                    check(operator(), &operands, output.clone(), seed, true);
                }
            }
        }
        assert!(tried > 0, "{} takes none of the types", function.name());
    }
}

#[test]
fn every_scalar_function_equals_the_law() {
    use MapFunction as F;
    let floats = [
        F::Add,
        F::Subtract,
        F::Multiply,
        F::Divide,
        F::Power,
        F::Maximum,
        F::Minimum,
        F::Negate,
        F::Absolute,
        F::SquareRoot,
        F::Exponential,
        F::Logarithm,
        F::Tanh,
        F::Erf,
        F::Sigmoid,
        F::Floor,
        F::Ceiling,
        F::Round,
        F::Sign,
        F::Sine,
        F::Cosine,
        F::ArcTangent,
        F::Remainder,
    ];
    let shapes: [(&[u64], &[u64], &[u64]); 5] = [
        (&[3, 70], &[3, 70], &[3, 70]),
        (&[2, 1, 5], &[4, 1], &[2, 4, 5]),
        (&[], &[300], &[300]),
        (&[], &[], &[]),
        (&[1, 6], &[1], &[5, 6]),
    ];
    for (round, (left, right, out)) in shapes.iter().enumerate() {
        let seed = round as u64 + 1;
        for function in floats {
            let operands = [kind(F32, left), kind(F32, right)];
            let operands = &operands[..function.operands()];
            check(Operator::Map { function }, operands, kind(F32, out), seed, true);
        }
        for function in [F::Equal, F::Less, F::LessOrEqual] {
            let operands = [kind(F32, left), kind(F32, right)];
            check(Operator::Map { function }, &operands, kind(ElementType::Bool, out), seed, true);
        }
        let truth = kind(ElementType::Bool, left);
        let operands = [truth, kind(F32, right), kind(F32, left)];
        check(Operator::Map { function: F::Select }, &operands, kind(F32, out), seed, true);
        let operands = [kind(ElementType::I64, left), kind(ElementType::I64, right)];
        let integer = kind(ElementType::I64, out);
        for function in [F::Multiply, F::And, F::Or, F::ExclusiveOr, F::Remainder] {
            check(Operator::Map { function }, &operands, integer.clone(), seed, true);
        }
    }
}

const INTEGERS: [ElementType; 7] = [
    ElementType::I64,
    ElementType::I32,
    ElementType::I16,
    ElementType::I8,
    ElementType::U32,
    ElementType::U16,
    ElementType::U8,
];

#[test]
fn integer_functions_equal_the_law_for_every_width_also_where_they_have_no_result() {
    use MapFunction as F;
    let same = [
        F::Add,
        F::Subtract,
        F::Multiply,
        F::Divide,
        F::Remainder,
        F::Power,
        F::Maximum,
        F::Minimum,
        F::And,
        F::Or,
        F::ExclusiveOr,
        F::Not,
        F::Negate,
        F::Absolute,
        F::Sign,
    ];
    let shapes: [(&[u64], &[u64], &[u64]); 4] = [
        (&[2, 1, 5], &[4, 1], &[2, 4, 5]),
        // One pair: now and then a sum, product or quotient that the type can hold.
        (&[1], &[1], &[1]),
        (&[], &[3], &[3]),
        (&[], &[], &[]),
    ];
    for element in INTEGERS {
        for (round, (left, right, out)) in shapes.iter().cycle().take(24).enumerate() {
            let seed = round as u64 + 77;
            let operands = [kind(element, left), kind(element, right)];
            for function in same {
                let operands = &operands[..function.operands()];
                let output = if operands.len() == 1 { left } else { out };
                check(Operator::Map { function }, operands, kind(element, output), seed, true);
            }
            for function in [F::Equal, F::Less, F::LessOrEqual] {
                let truth = kind(ElementType::Bool, out);
                check(Operator::Map { function }, &operands, truth, seed, true);
            }
            let choice = [kind(ElementType::Bool, left), operands[1].clone(), operands[0].clone()];
            check(Operator::Map { function: F::Select }, &choice, kind(element, out), seed, true);
        }
    }
}

#[test]
fn casts_between_all_types_equal_the_law_also_where_they_have_no_result() {
    let all = [&INTEGERS[..], &[F32, ElementType::Bool]].concat();
    for from in &all {
        for to in &all {
            for (seed, shape) in [(1, &[9u64][..]), (2, &[]), (3, &[1]), (4, &[1, 1]), (5, &[2])] {
                for wild in [true, false] {
                    let operator = Operator::Map { function: MapFunction::Cast };
                    check(operator, &[kind(*from, shape)], kind(*to, shape), seed, wild);
                }
            }
        }
    }
}

#[test]
fn elementary_functions_equal_the_law_on_dense_samples() {
    use MapFunction as F;
    let functions = [
        F::Exponential,
        F::Logarithm,
        F::Tanh,
        F::Erf,
        F::Sigmoid,
        F::SquareRoot,
        F::ArcTangent,
        F::Sine,
        F::Cosine,
    ];
    // Every 40,009th pattern: about 100,000 of the 2^32, all exponents and signs.
    let values: Vec<f32> = (0..=u32::MAX).step_by(40_009).map(f32::from_bits).collect();
    for function in functions {
        let circle = matches!(function, F::Sine | F::Cosine);
        // Beyond, these have no result.
        let inside = |value: &&f32| !circle || value.abs() < 1_048_576.0;
        let values: Vec<f32> = values.iter().filter(inside).copied().collect();
        let shape = Shape::new(&[values.len() as u64]).unwrap();
        let input = Tensor::from_f32(&shape, values).unwrap();
        let node = Node {
            operator: Operator::Map { function },
            operands: vec![Operand { value: 0, kind: input.kind().clone() }],
            output: input.kind().clone(),
        };
        let node = law::check(&node).unwrap();
        let expected = by_law(node, &[&input]).unwrap();
        for engine in engines() {
            let found = engine.run(node, &[&input], None).unwrap();
            assert!(found == expected, "{function:?} on {:?}", engine.isa());
        }
    }
}

#[test]
fn movements_equal_the_law_for_every_element_type() {
    for element in ElementType::ALL {
        let of = |dimensions: &[u64]| kind(element, dimensions);
        let move_one = |operator: Operator, from: &[u64], to: &[u64]| {
            check(operator, &[of(from)], of(to), 5, false);
        };
        move_one(Operator::Reshape {}, &[4, 6], &[3, 8]);
        move_one(Operator::Reshape {}, &[], &[1, 1]);
        move_one(Operator::Expand {}, &[3, 1], &[2, 3, 4]);
        move_one(Operator::Transpose { permutation: vec![2, 0, 1] }, &[2, 3, 4], &[4, 2, 3]);
        let slice = |starts: Vec<i64>, steps: Vec<i64>| Operator::Slice { starts, steps };
        move_one(slice(vec![1, 2], vec![1, 2]), &[4, 9], &[3, 4]);
        move_one(slice(vec![3, 8], vec![-1, -3]), &[4, 9], &[4, 3]);
        // Any canonical bits.
        let fill = if element == ElementType::Bf16 { 0x4020 } else { 1 };
        let pad = |before: Vec<i64>| Operator::Pad { before, fill };
        if element != F32 {
            move_one(pad(vec![1, 0]), &[2, 3], &[4, 5]);
            move_one(pad(vec![-1, 2]), &[3, 3], &[2, 4]);
        } else {
            let fill = u64::from(2.5f32.to_bits());
            move_one(Operator::Pad { before: vec![1, 0], fill }, &[2, 3], &[4, 5]);
        }
        let parts = [of(&[2, 3]), of(&[2, 5]), of(&[2, 1])];
        check(Operator::Concat { axis: 1 }, &parts, of(&[2, 9]), 6, false);
        let indices = kind(ElementType::I64, &[2, 2]);
        let gathered = [of(&[3, 5, 4]), indices];
        check(Operator::Gather { axis: 1 }, &gathered, of(&[3, 2, 2, 4]), 7, false);
        let indices = kind(ElementType::I64, &[]);
        check(Operator::Gather { axis: 0 }, &[of(&[3, 5]), indices], of(&[5]), 8, false);
    }
}

#[test]
fn updates_equal_the_law() {
    for element in ElementType::ALL {
        let of = |dimensions: &[u64]| kind(element, dimensions);
        for (base, rows) in
            [(&[7][..], &[3][..]), (&[5, 3], &[1, 3]), (&[4, 2, 3], &[4, 2, 3]), (&[6, 9], &[4, 9])]
        {
            for (start, dimensions) in
                [(ElementType::I64, &[1][..]), (ElementType::U8, &[]), (ElementType::I32, &[1, 1])]
            {
                // Some of the starts lie outside.
                for seed in 0..6 {
                    let operands = [of(base), of(rows), kind(start, dimensions)];
                    check(Operator::Update {}, &operands, of(base), seed, true);
                }
            }
        }
    }
}

#[test]
fn random_words_equal_the_law() {
    let (wide, words) = (kind(ElementType::I64, &[40]), kind(ElementType::U32, &[3, 40]));
    let scalar = kind(ElementType::I64, &[1]);
    let counted = kind(ElementType::I64, &[3, 1]);
    let random = Operator::Map { function: MapFunction::Random };
    check(random, &[scalar, counted, wide], words, 3, false);
}

#[test]
fn exact_sums_of_integers_equal_the_law() {
    use ElementType::{I8, I16, I32, I64, U8};
    for (left, right, sum) in [(I8, I8, I32), (U8, I8, I32), (I16, U8, I64), (I8, U8, I64)] {
        for (m, n, k) in [(1, 1, 1), (3, 5, 64), (2, 9, 200)] {
            let operands = [kind(left, &[2, m, k]), kind(right, &[n, k])];
            check(Operator::Contract {}, &operands, kind(sum, &[2, m, n]), k, true);
        }
        let window = Window { kernel: (3, 2), strides: (2, 1), dilations: (1, 2), pads: (1, 2) };
        let operator = Operator::Convolve { window, groups: 2 };
        let operands = [kind(left, &[2, 5, 6, 4]), kind(right, &[6, 3, 2, 2])];
        check(operator, &operands, kind(sum, &[2, 3, 8, 6]), 4, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn contractions_equal_the_law(
        m in 1u64..40, n in 1u64..70, k in 1u64..600, batch in 1u64..4, form in 0u8..4, seed: u64
    ) {
        let (left, right, out): (Vec<u64>, Vec<u64>, Vec<u64>) = match form {
            0 => (vec![m, k], vec![n, k], vec![m, n]),
            1 => (vec![batch, m, k], vec![n, k], vec![batch, m, n]),
            2 => (vec![batch, 1, m, k], vec![2, n, k], vec![batch, 2, m, n]),
            _ => (vec![m, k], vec![batch, n, k], vec![batch, m, n]),
        };
        let wild = seed % 3 == 0;
        let operands = [kind(F32, &left), kind(F32, &right)];
        check(Operator::Contract {}, &operands, kind(F32, &out), seed, wild);
        // Right sides that are widened.
        let narrow = [ElementType::Bf16, ElementType::F16, ElementType::I8, ElementType::U8];
        let operands = [kind(F32, &left), kind(narrow[seed as usize % 4], &right)];
        check(Operator::Contract {}, &operands, kind(F32, &out), seed, wild);
    }

    #[test]
    fn convolutions_and_pools_equal_the_law(
        size in (5u64..12, 5u64..12), kernel in (1u32..4, 1u32..4), strides in (1u32..3, 1u32..3),
        dilations in (1u32..3, 1u32..3), pads in (0u32..3, 0u32..3), groups in 1u32..3,
        channels in 1u64..20, outputs in 1u64..20, images in 1u64..3, seed: u64
    ) {
        let along = |size: u64, kernel: u32, stride: u32, dilation: u32, pad: u32| {
            let span = u64::from(dilation) * (u64::from(kernel) - 1) + 1;
            ((size + 2 * u64::from(pad)).saturating_sub(span)) / u64::from(stride) + 1
        };
        let rows = along(size.0, kernel.0, strides.0, dilations.0, pads.0);
        let columns = along(size.1, kernel.1, strides.1, dilations.1, pads.1);
        let window = Window { kernel, strides, dilations, pads };
        let group = u64::from(groups);
        let input = kind(F32, &[images, size.0, size.1, channels * group]);
        let taps = [outputs * group, u64::from(kernel.0), u64::from(kernel.1), channels];
        let output = kind(F32, &[images, rows, columns, outputs * group]);
        let operator = Operator::Convolve { window, groups };
        check(operator, &[input.clone(), kind(F32, &taps)], output, seed, seed % 2 == 0);
        let output = kind(F32, &[images, rows, columns, channels * group]);
        for fold in [Fold::Sum, Fold::Maximum, Fold::Minimum] {
            let operator = Operator::Pool { fold, window };
            check(operator, std::slice::from_ref(&input), output.clone(), seed, true);
        }
    }

    #[test]
    fn reductions_equal_the_law(rows in 1u64..20, columns in 1u64..400, wild: bool, seed: u64) {
        for fold in [Fold::Sum, Fold::Maximum, Fold::Minimum] {
            let operator = Operator::Reduce { fold };
            check(operator, &[kind(F32, &[rows, columns])], kind(F32, &[rows]), seed, wild);
            let operator = Operator::Reduce { fold };
            for element in INTEGERS {
                let integers = kind(element, &[rows, columns]);
                check(operator.clone(), &[integers], kind(element, &[rows]), seed, false);
            }
        }
    }
}
