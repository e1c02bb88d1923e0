//! Golden vectors of operators and functions, element by element: what a second implementation of the law
//! must give. `REBUT_BLESS=1` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use protocol::encoding::Canonical;
use protocol::graph::{MapFunction, Node, Operand, Operator, Window};
use protocol::hash::to_hex;
use protocol::law::{self, LawError, Operands};
use protocol::tensor::{ElementType, Shape, TensorType};
use serde_json::{Value, json};

use ElementType::{Bf16, Bool, F16, F32, I8, I16, I32, I64, U8, U32};

fn check(name: &str, found: Vec<Value>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let text = serde_json::to_string_pretty(&Value::Array(found)).unwrap() + "\n";
    if std::env::var_os("REBUT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "{name} changed; this changes the protocol (REBUT_BLESS=1 writes it)"
    );
}

struct Held(Vec<Vec<u64>>);

impl Operands for Held {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0[operand].get(index as usize).copied().ok_or(())
    }
}

type Type<'a> = (ElementType, &'a [u64]);

/// Every element of a node with these operands (elements in hexadecimal, of the type's width, with
/// spaces between), and the
/// states of the last one where there are several segments. An element without a result is null.
fn case(
    operator: Operator,
    operands: &[(Type<'_>, Vec<u64>)],
    (element, dimensions): Type<'_>,
) -> Value {
    let kind = |(element, dimensions): Type<'_>| TensorType {
        element,
        shape: Shape::new(dimensions).unwrap(),
    };
    let text =
        |element: ElementType, bits: u64| format!("{bits:0width$x}", width = 2 * element.bytes());
    let node = Node {
        operator,
        operands: operands.iter().map(|(one, _)| Operand { value: 0, kind: kind(*one) }).collect(),
        output: kind((element, dimensions)),
    };
    let checked = law::check(&node).unwrap();
    let given: Vec<String> = operands
        .iter()
        .map(|((element, _), bits)| {
            let texts: Vec<String> = bits.iter().map(|bits| text(*element, *bits)).collect();
            texts.join(" ")
        })
        .collect();
    let mut held = Held(operands.iter().map(|(_, bits)| bits.clone()).collect());
    let count = node.output.shape.count();
    let results: Vec<Option<String>> = (0..count)
        .map(|at| match law::element(checked, at, &mut held) {
            Ok(bits) => Some(text(element, bits)),
            Err(LawError::Undefined) => None,
            Err(LawError::Operand(())) => panic!("an operand is too short"),
        })
        .collect();
    let mut states: Vec<Vec<u64>> = Vec::new();
    for number in 0..if law::is_folded(checked) { law::segment_count(checked) } else { 0 } {
        let before = law::start(checked, number, states.last().map(Vec::as_slice));
        states.push(law::segment(checked, count - 1, number, before, &mut held).unwrap());
    }
    let states: Vec<String> = states.iter().flatten().map(|bits| text(element, *bits)).collect();
    json!({
        "operator": node.operator.kind(), "definition": to_hex(&node.to_canonical()),
        "operands": given, "states": states, "results": results,
    })
}

/// Elements of any bits of their type.
fn any(element: ElementType, count: u64, seed: u64) -> Vec<u64> {
    let mask = u64::MAX >> (64 - 8 * element.bytes());
    (0..count)
        .map(|at| (at + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) & mask)
        .collect()
}

/// Thirds of small integers, of both signs.
fn thirds(count: u64) -> Vec<u64> {
    let third = |at: u64| ((at * 7) % 23) as f32 / 3.0 - 3.5;
    (0..count).map(|at| u64::from(third(at).to_bits())).collect()
}

fn integers(element: ElementType, values: &[i64]) -> Vec<u64> {
    values.iter().map(|value| element.from_integer(*value).unwrap()).collect()
}

#[test]
fn reading_of_any_bits() {
    let bits = [
        0x8000_0000,
        1,
        0x8000_0001,
        0x007F_FFFF,
        0x2B7F_FFFF,
        0x2B80_0000,
        0x7F80_0000,
        0xFF80_0000,
        0x7FC0_0001,
        0xFFC0_0000,
        0x7F80_0001,
        0xBF80_0000,
    ];
    let (row, count) = ((F32, &[12][..]), &[12][..]);
    let truths = [0, 1, 2, 255, 128, 0, 3, 1, 0, 64, 2, 0];
    let (x, truths) = ((row, bits.to_vec()), ((Bool, count), truths.to_vec()));
    let map = |function| Operator::Map { function };
    let ones = (row, vec![0x3F80_0000; 12]);
    check(
        "reading.json",
        vec![
            case(Operator::Reshape {}, std::slice::from_ref(&x), (F32, &[3, 4])),
            case(map(MapFunction::Negate), std::slice::from_ref(&x), row),
            case(map(MapFunction::Maximum), &[x.clone(), x.clone()], row),
            case(map(MapFunction::Select), &[truths.clone(), x.clone(), ones], row),
            case(map(MapFunction::Equal), &[truths.clone(), truths.clone()], (Bool, count)),
            case(Operator::Reshape {}, &[truths], (Bool, count)),
            case(
                Operator::Contract {},
                &[((F32, &[12, 1]), x.1.clone()), ((F32, &[1, 1]), vec![1])],
                (F32, &[12, 1]),
            ),
        ],
    );
}

#[test]
fn updates() {
    let mut cases = Vec::new();
    for (element, start_type) in [(F32, I64), (Bf16, I32), (Bool, U8), (I64, I8)] {
        for start in [0i64, 2, 3, -1] {
            let Some(bits) = start_type.from_integer(start) else { continue };
            cases.push(case(
                Operator::Update {},
                &[
                    ((element, &[4, 3]), any(element, 12, 1)),
                    ((element, &[2, 3]), any(element, 6, 50)),
                    ((start_type, &[1]), vec![bits]),
                ],
                (element, &[4, 3]),
            ));
        }
    }
    check("updates.json", cases);
}

#[test]
fn casts_of_16_bit_floats() {
    const PATTERNS: [u32; 24] = [
        0x0000_0000,
        0x8000_0000,
        0x3F80_0000,
        0xBF80_8000,
        0x3F81_8000,
        0x3F80_8001,
        0x3F80_7FFF,
        0x3F80_1000,
        0x3F80_3000,
        0x3F80_1001,
        0x477F_E000,
        0x477F_EFFF,
        0x477F_F000,
        0x7F7F_FFFF,
        0x7F80_0000,
        0xFF80_0000,
        0x7FC0_0001,
        0xFFC0_0000,
        0x3380_0000,
        0x3300_0000,
        0x3300_0001,
        0x33C0_0000,
        0x387F_E000,
        0x2B7F_FFFF,
    ];
    let cast = || Operator::Map { function: MapFunction::Cast };
    let bits: Vec<u64> = PATTERNS.iter().map(|bits| u64::from(*bits)).collect();
    let count = &[bits.len() as u64][..];
    let mut cases = Vec::new();
    for narrow in [Bf16, F16] {
        cases.push(case(cast(), &[((F32, count), bits.clone())], (narrow, count)));
        let edges =
            [0, 1, 0x8000, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x3F80, 0x7C00, 0x7C01, 0xFE00, 0x7F80]
                .into_iter()
                .chain([0x7FC0, 0x7FC1, 0xFF80, 0x2B7F, 0x2B80, 0xAB7F])
                .collect::<Vec<u64>>();
        let count = &[edges.len() as u64][..];
        cases.push(case(cast(), &[((narrow, count), edges)], (F32, count)));
    }
    check("casts.json", cases);
}

#[test]
fn products() {
    let mut cases = Vec::new();
    for right in [Bf16, F16, I8, U8] {
        for depth in [3u64, 65, 300] {
            let elements = any(right, 2 * depth, 9);
            // No exponents beyond those of ordinary numbers, so that results are seldom infinite.
            let elements = elements
                .into_iter()
                .map(|bits| match right {
                    Bf16 => (bits & 0x80FF) | 0x3F00,
                    F16 => (bits & 0x87FF) | 0x3000,
                    _ => bits,
                })
                .collect();
            cases.push(case(
                Operator::Contract {},
                &[((F32, &[1, depth]), thirds(depth)), ((right, &[2, depth]), elements)],
                (F32, &[1, 2]),
            ));
        }
    }
    for (left, right, sum) in [(I8, I8, I32), (U8, I8, I32), (I16, U8, I64)] {
        for depth in [1u64, 64, 130, 257] {
            cases.push(case(
                Operator::Contract {},
                &[
                    ((left, &[2, depth]), any(left, 2 * depth, 3)),
                    ((right, &[2, depth]), any(right, 2 * depth, 4)),
                ],
                (sum, &[2, 2]),
            ));
        }
        let window = Window { kernel: (2, 2), strides: (1, 2), dilations: (2, 1), pads: (1, 1) };
        cases.push(case(
            Operator::Convolve { window, groups: 2 },
            &[
                ((left, &[1, 3, 4, 34]), any(left, 3 * 4 * 34, 5)),
                ((right, &[4, 2, 2, 17]), any(right, 4 * 4 * 17, 6)),
            ],
            (sum, &[1, 3, 3, 4]),
        ));
    }
    check("products.json", cases);
}

#[test]
fn random_words() {
    let key = integers(I64, &[0, -1, 0x299F_31D0_A409_3822, 1]);
    let high = integers(I64, &[0, -1, 0x0370_7344_1319_8A2E, 1 << 40]);
    let low = integers(I64, &[0, -1, 0x85A3_08D3_243F_6A88u64 as i64, 7]);
    let operands = [key, high, low].map(|bits| ((I64, &[4][..]), bits));
    let random = Operator::Map { function: MapFunction::Random };
    let found = case(random, &operands, (U32, &[4]));
    // The first words of the known answers of Random123 (kat_vectors, philox4x32 10).
    assert_eq!(found["results"].as_array().unwrap()[..3], ["6627e8d5", "408f276d", "d16cfe09"]);
    check("random.json", vec![found]);
}
