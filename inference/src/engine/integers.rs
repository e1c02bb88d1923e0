//! Maps of integers and truth values, and casts, with the machine's own integers. What has no result
//! by the law has none here, and the law then says so.

use protocol::graph::{MapFunction, Node};
use protocol::numerics::{narrow_bf16, narrow_f16};
use protocol::tensor::{ElementType, TensorType};

use super::burn::{aligned, stored, whole};
use crate::tensor::Tensor;

/// `None` hands the node to the law.
pub(super) fn map(node: &Node, function: MapFunction, operands: &[&Tensor]) -> Option<Tensor> {
    let shape = &node.output.shape;
    let to = node.output.element;
    let parts: Vec<Tensor> = operands
        .iter()
        .map(|operand| {
            let kind = TensorType { element: operand.kind().element, shape: shape.clone() };
            Tensor::from_burn(&kind, whole(&aligned(operand, shape), node))
        })
        .collect::<Option<_>>()?;
    let first = parts.first()?;
    let from = first.kind().element;
    match (function, from, to) {
        (MapFunction::Cast, ElementType::F32, ElementType::F32) => Some(first.clone()),
        (MapFunction::Cast, ElementType::F32, ElementType::Bool) => {
            Tensor::from_bool(shape, first.as_f32().iter().map(|value| *value != 0.0).collect())
        }
        (MapFunction::Cast, ElementType::F32, ElementType::Bf16 | ElementType::F16) => {
            let narrow: fn(u32) -> u16 =
                if to == ElementType::F16 { narrow_f16 } else { narrow_bf16 };
            let bits = first.as_f32().iter().map(|value| u64::from(narrow(value.to_bits())));
            Tensor::from_bits(&node.output, &bits.collect::<Vec<u64>>())
        }
        (MapFunction::Cast, ElementType::Bf16 | ElementType::F16, _) => first.widened(),
        (MapFunction::Cast, ElementType::F32, _) => {
            let whole: Option<Vec<i64>> = first.as_f32().iter().map(|value| cut(*value)).collect();
            Tensor::from_integers(to, shape, &whole?)
        }
        (MapFunction::Cast, _, ElementType::F32) => {
            // From integers to the nearest, ties to even, as the law; below 2^-40 is only zero.
            let floats = first.integers()?.into_iter().map(|value| stored(value as f32)).collect();
            Tensor::from_stored_f32(shape, floats)
        }
        (MapFunction::Cast, _, ElementType::Bool) => Tensor::from_bool(
            shape,
            first.integers()?.into_iter().map(|value| value != 0).collect(),
        ),
        (MapFunction::Cast, _, _) => Tensor::from_integers(to, shape, &first.integers()?),
        (MapFunction::Select, _, _) => select(node, &parts),
        (_, ElementType::Bool, _) => None,
        (function, _, _) => arithmetic(node, function, from, &parts),
    }
}

/// Towards zero; `None` for what is no 64-bit integer.
fn cut(value: f32) -> Option<i64> {
    const LIMIT: f32 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}

fn select(node: &Node, parts: &[Tensor]) -> Option<Tensor> {
    let [condition, yes, no] = parts else {
        return None;
    };
    let choices = condition.integers()?.into_iter().zip(yes.integers()?).zip(no.integers()?);
    let chosen = choices.map(|((condition, yes), no)| if condition != 0 { yes } else { no });
    let shape = &node.output.shape;
    match node.output.element {
        ElementType::Bool => Tensor::from_bool(shape, chosen.map(|value| value != 0).collect()),
        element => Tensor::from_integers(element, shape, &chosen.collect::<Vec<i64>>()),
    }
}

fn arithmetic(
    node: &Node,
    function: MapFunction,
    from: ElementType,
    parts: &[Tensor],
) -> Option<Tensor> {
    use MapFunction as F;
    let shape = &node.output.shape;
    let a = parts.first()?.integers()?;
    let b = match parts.get(1) {
        Some(part) => part.integers()?,
        None => Vec::new(),
    };
    let truths = |truth: fn(i64, i64) -> bool| {
        Tensor::from_bool(shape, a.iter().zip(&b).map(|(a, b)| truth(*a, *b)).collect())
    };
    let numbers = |number: fn(i64, i64) -> Option<i64>| {
        let numbers: Option<Vec<i64>> = a.iter().zip(&b).map(|(a, b)| number(*a, *b)).collect();
        Tensor::from_integers(node.output.element, shape, &numbers?)
    };
    let turned = |number: &dyn Fn(i64) -> Option<i64>| {
        let numbers: Option<Vec<i64>> = a.iter().map(|a| number(*a)).collect();
        Tensor::from_integers(node.output.element, shape, &numbers?)
    };
    match function {
        F::Equal => truths(|a, b| a == b),
        F::Less => truths(|a, b| a < b),
        F::LessOrEqual => truths(|a, b| a <= b),
        F::Add => numbers(i64::checked_add),
        F::Subtract => numbers(i64::checked_sub),
        F::Multiply => numbers(i64::checked_mul),
        F::Divide => numbers(i64::checked_div),
        F::Remainder => numbers(i64::checked_rem),
        F::Maximum => numbers(|a, b| Some(a.max(b))),
        F::Minimum => numbers(|a, b| Some(a.min(b))),
        F::And => numbers(|a, b| Some(a & b)),
        F::Or => numbers(|a, b| Some(a | b)),
        F::ExclusiveOr => numbers(|a, b| Some(a ^ b)),
        F::Not => {
            let (least, most) = from.integer_range()?;
            turned(&|a| Some(if least == 0 { most ^ a } else { !a }))
        }
        F::Negate => turned(&i64::checked_neg),
        F::Absolute => turned(&i64::checked_abs),
        F::Sign => turned(&|a| Some(a.signum())),
        _ => None,
    }
}
