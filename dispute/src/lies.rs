//! Dishonest ways to compute, each a [`ComputePolicy`] so that the lie spreads as a real fault would.

mod places;
mod plan;

use std::fmt;
use std::sync::Arc;

use inference::{ComputePolicy, Engine, EngineError, Model, Tensor, Trace, compute_honestly};
use protocol::graph::{MapFunction, Operand, Operator, ValueSource};
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::tensor::ElementType;

use self::places::{
    forge_last_state, in_other_order, pruned, skip, step_bits, swap, weight_bit, with_element,
};
use self::plan::Plan;

/// What is wrong with a run. The names are those of `docs/simulation.md`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lie {
    /// One element of one operator's output is off by some units in the last place.
    Ulps {
        /// The layer.
        layer: u32,
        /// Position of the operator in the layer.
        operator: u32,
        /// Flat index of the element.
        element: u64,
        /// Steps to the next stored values; the neighbours of 0 are ±2^-40.
        ulps: i64,
    },
    /// One bit of one weight is flipped (ATTACKS 1).
    WeightBit,
    /// Two operators of the same type are computed in each other's place (ATTACKS 8).
    SwapLayers,
    /// One operator is skipped (ATTACKS 8).
    SkipOperator,
    /// Everything right, another output is committed (ATTACKS 11).
    OutputOnly,
    /// The run is about another input than the job's (ATTACKS 4, 12).
    WrongInput,
    /// The states between input and output are committed as zeros (ATTACKS 14).
    ZeroTrace,
    /// Another model of the same shape: every small weight is dropped (ATTACKS 5).
    ModelSwap,
    /// Products are rounded to 16-bit floats (ATTACKS 6).
    Precision,
    /// Products are summed in another order, without fused multiply-add (ATTACKS 10).
    OtherOrder,
    /// A state is wrong in the middle and right again after it (ATTACKS 3).
    WashedOut,
    /// A stored value is corrupted between two layers (ATTACKS 4).
    CorruptState,
    /// Only one late operator is wrong, where few look (ATTACKS 7).
    Selective,
    /// Every product is off by one unit, in the direction that adds up (ATTACKS 9).
    Surfing,
}

/// Why a lie cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LieError {
    /// The text names no lie.
    #[error(
        "{text:?} is no lie; use LAYER:OPERATOR:ELEMENT:+ULPS or one of {}",
        Lie::names().join(", ")
    )]
    Unknown {
        /// What was given.
        text: String,
    },
    /// The model has no such place.
    #[error("the model has no {what}; `rebut inspect` lists layers and operators")]
    NoPlace {
        /// What is missing.
        what: String,
    },
}

impl Lie {
    const NAMED: &'static [(&'static str, Self)] = &[
        ("weight-bit", Self::WeightBit),
        ("swap-layers", Self::SwapLayers),
        ("skip-operator", Self::SkipOperator),
        ("output-only", Self::OutputOnly),
        ("wrong-input", Self::WrongInput),
        ("zero-trace", Self::ZeroTrace),
        ("model-swap", Self::ModelSwap),
        ("precision", Self::Precision),
        ("other-order", Self::OtherOrder),
        ("washed-out", Self::WashedOut),
        ("corrupt-state", Self::CorruptState),
        ("selective", Self::Selective),
        ("surfing", Self::Surfing),
    ];

    /// Names of the lies that need no place.
    pub fn names() -> Vec<&'static str> {
        Self::NAMED.iter().map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Ulps { layer, operator, element, ulps } = self {
            return write!(formatter, "{layer}:{operator}:{element}:{ulps:+}");
        }
        let name = Self::NAMED.iter().find(|(_, lie)| lie == self).map_or("", |(name, _)| *name);
        formatter.write_str(name)
    }
}

/// Reads `LAYER:OPERATOR:ELEMENT:+ULPS` or a name.
///
/// # Errors
/// When the text names no lie.
pub fn parse_lie(text: &str) -> Result<Lie, LieError> {
    if let Some((_, lie)) = Lie::NAMED.iter().find(|(name, _)| *name == text) {
        return Ok(lie.clone());
    }
    let unknown = || LieError::Unknown { text: text.to_owned() };
    let parts: Vec<&str> = text.split(':').collect();
    let [layer, operator, element, ulps] = parts.as_slice() else {
        return Err(unknown());
    };
    let ulps: i64 = ulps.parse().map_err(|_| unknown())?;
    if ulps == 0 || ulps.unsigned_abs() > 1 << 24 {
        return Err(unknown());
    }
    Ok(Lie::Ulps {
        layer: layer.parse().map_err(|_| unknown())?,
        operator: operator.parse().map_err(|_| unknown())?,
        element: element.parse().map_err(|_| unknown())?,
        ulps,
    })
}

/// An executor's compute policy with a lie in it.
#[derive(Debug)]
pub struct Lying<C: Commitment = Keccak> {
    plan: Plan<C>,
}

impl<C: Commitment> Lying<C> {
    /// Finds the lie's place in a model. `honest` is the true run that it falsifies.
    ///
    /// # Errors
    /// When the model has no such place.
    pub fn new(lie: &Lie, model: &Arc<Model<C>>, honest: &Trace<C>) -> Result<Self, LieError> {
        let none = |what: &str| LieError::NoPlace { what: what.to_owned() };
        let layers = model.header().layer_count;
        let plan = match lie {
            Lie::Ulps { layer, operator, element, ulps } => {
                let definition = model
                    .layer(*layer)
                    .filter(|definition| *operator < definition.operator_count)
                    .ok_or_else(|| none(&format!("operator {operator} in layer {layer}")))?;
                let operator = definition.first_operator + operator;
                let count = model.node(operator).map_or(0, |node| node.output.shape.count());
                if *element >= count {
                    return Err(none(&format!("element {element}; the operator has {count}")));
                }
                Plan::Element { operator, element: *element, steps: *ulps }
            }
            Lie::WeightBit => {
                Plan::Weights(Box::new(weight_bit(model).ok_or_else(|| none("weight"))?))
            }
            Lie::ModelSwap => Plan::Weights(Box::new(pruned(model).ok_or_else(|| none("weight"))?)),
            Lie::SwapLayers => swap(model).ok_or_else(|| none("two operators alike"))?,
            Lie::SkipOperator => skip(model).ok_or_else(|| none("operator that can be skipped"))?,
            Lie::OutputOnly => Plan::Commit { boundary: layers },
            Lie::CorruptState => Plan::Commit { boundary: layers.div_ceil(2) },
            Lie::WrongInput => Plan::Input,
            Lie::ZeroTrace if layers > 1 => Plan::ZeroTrace,
            Lie::ZeroTrace => return Err(none("state between input and output")),
            Lie::Precision => Plan::Precision,
            Lie::OtherOrder => Plan::OtherOrder,
            Lie::Surfing => Plan::Surfing,
            Lie::WashedOut if layers > 1 => {
                Plan::Washed { boundary: layers / 2, honest: Box::new(honest.clone()) }
            }
            Lie::WashedOut => return Err(none("state between input and output")),
            Lie::Selective => {
                Plan::Element { operator: model.header().operator_count - 1, element: 0, steps: 1 }
            }
        };
        Ok(Self { plan })
    }
}

impl<C: Commitment> ComputePolicy<C> for Lying<C> {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model<C>,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let honest = || compute_honestly(engine, model, operator, operands);
        match &self.plan {
            Plan::Element { operator: place, element, steps } if *place == operator => {
                let output = honest()?;
                let kind = output.kind().element;
                Ok(with_element(&output, *element, |bits| step_bits(kind, bits, *steps)))
            }
            Plan::Weights(other) => match with_weights_of(other, model, operator, operands) {
                Some(operands) => compute_honestly(engine, other, operator, &operands),
                None => honest(),
            },
            Plan::Swap(first, second) if operator == *first || operator == *second => {
                let other = if operator == *first { *second } else { *first };
                let weight = model.node(other).and_then(|node| node.operands.get(1));
                let weight = weight.and_then(|operand| weight_of(model, operand));
                match (operands.first(), weight) {
                    (Some(left), Some(weight)) => {
                        compute_honestly(engine, model, other, &[left, weight])
                    }
                    _ => honest(),
                }
            }
            Plan::Reorder(first) if operator == *first || operator == *first + 1 => {
                let other = if operator == *first { *first + 1 } else { *first };
                let constants = model.node(other).map(|node| {
                    node.operands.iter().skip(1).filter_map(|operand| weight_of(model, operand))
                });
                let first = operands.first().copied();
                let swapped: Vec<&Tensor> =
                    first.into_iter().chain(constants.into_iter().flatten()).collect();
                compute_honestly(engine, model, other, &swapped).or_else(|_| honest())
            }
            Plan::Skip { operator: place, operand } if *place == operator => {
                operands.get(*operand).map_or_else(honest, |tensor| Ok((*tensor).clone()))
            }
            Plan::Input => match with_other_input(model, operator, operands) {
                Some(changed) => {
                    compute_honestly(engine, model, operator, &changed.iter().collect::<Vec<_>>())
                }
                None => honest(),
            },
            Plan::Precision if is_product(model, operator) => {
                let output = honest()?;
                let float = output.kind().element == ElementType::F32;
                Ok(with_every_element(output, |bits| match float {
                    // 10 bits of fraction, to nearest even; integers lose their last 3 bits.
                    true => (bits + 0x0FFF + ((bits >> 13) & 1)) & 0xFFFF_E000,
                    false => bits & !7,
                }))
            }
            Plan::Surfing if is_product(model, operator) => {
                let output = honest()?;
                let kind = output.kind().element;
                Ok(with_every_element(output, |bits| step_bits(kind, bits, 1)))
            }
            Plan::OtherOrder => Ok(in_other_order(model, operator, operands, honest()?)),
            _ => honest(),
        }
    }

    fn commit(&self, boundary: u32, mut values: Vec<(u32, Tensor)>) -> Vec<(u32, Tensor)> {
        match &self.plan {
            Plan::Commit { boundary: place } if *place == boundary => {
                if let Some((_, tensor)) = values.first_mut() {
                    let kind = tensor.kind().element;
                    *tensor = with_element(tensor, 0, |bits| step_bits(kind, bits, 1));
                }
                values
            }
            Plan::Washed { boundary: place, honest } => match honest.state(boundary) {
                Some(state) if boundary > *place => state.values().to_vec(),
                Some(_) if boundary == *place => {
                    if let Some((_, tensor)) = values.first_mut() {
                        let kind = tensor.kind().element;
                        *tensor = with_element(tensor, 0, |bits| step_bits(kind, bits, 3));
                    }
                    values
                }
                _ => values,
            },
            _ => values,
        }
    }

    fn accumulators(
        &self,
        model: &Model<C>,
        operator: u32,
        element: u64,
        mut words: Vec<u64>,
    ) -> Vec<u64> {
        if let Plan::Element { operator: place, element: at, steps } = &self.plan
            && (*place, *at) == (operator, element)
            && let Some(node) = model.checked(operator)
        {
            forge_last_state(node, &mut words, *steps);
        }
        words
    }

    fn trace(&self, mut state_roots: Vec<Digest>) -> Vec<Digest> {
        if matches!(self.plan, Plan::ZeroTrace) {
            let last = state_roots.len().saturating_sub(1);
            state_roots.iter_mut().take(last).skip(1).for_each(|root| *root = Digest::default());
        }
        state_roots
    }
}

/// Whether an operator sums products, or is what integer models have in that place.
fn is_product<C: Commitment>(model: &Model<C>, operator: u32) -> bool {
    model.node(operator).is_some_and(|node| match node.operator {
        Operator::Contract {} | Operator::Convolve { .. } => true,
        // Integer models have no matrix products.
        Operator::Map { function: MapFunction::Multiply } => {
            node.output.element != ElementType::F32
        }
        _ => false,
    })
}

/// The weight that an operand reads; `None` when it reads something else.
fn weight_of<'a, C: Commitment>(model: &'a Model<C>, operand: &Operand) -> Option<&'a Tensor> {
    match model.header().source(operand.value) {
        Some(ValueSource::Weight(weight)) => model.weights().get(weight as usize),
        _ => None,
    }
}

/// The operands of an operator with another model's weights in place of its own; `None` when
/// there is no such operator.
fn with_weights_of<'a, C: Commitment>(
    other: &'a Model<C>,
    model: &Model<C>,
    operator: u32,
    operands: &[&'a Tensor],
) -> Option<Vec<&'a Tensor>> {
    let pairs = model.node(operator)?.operands.iter().zip(operands);
    let replaced = pairs.map(|(operand, given)| match model.header().source(operand.value) {
        Some(ValueSource::Weight(weight)) => other.weights().get(weight as usize).unwrap_or(given),
        _ => given,
    });
    Some(replaced.collect())
}

/// The operands of an operator with another first element in each that is an input of the model;
/// `None` when there is no such operator.
fn with_other_input<C: Commitment>(
    model: &Model<C>,
    operator: u32,
    operands: &[&Tensor],
) -> Option<Vec<Tensor>> {
    let pairs = model.node(operator)?.operands.iter().zip(operands);
    let changed = pairs.map(|(operand, given)| match model.header().source(operand.value) {
        Some(ValueSource::Input(_)) => {
            let float = given.kind().element == ElementType::F32;
            with_element(given, 0, |bits| match (float, bits) {
                (true, 0x3F80_0000) => 0x3F00_0000,
                (true, _) => 0x3F80_0000,
                (false, _) => bits ^ 1,
            })
        }
        _ => (*given).clone(),
    });
    Some(changed.collect())
}

/// A tensor with all its stored bits changed; as it was when the result is none.
fn with_every_element(tensor: Tensor, change: impl Fn(u64) -> u64) -> Tensor {
    let bits: Vec<u64> = tensor.all_bits().into_iter().map(change).collect();
    Tensor::from_bits(tensor.kind(), &bits).unwrap_or(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_are_read_as_they_are_written() {
        for text in Lie::names() {
            assert_eq!(parse_lie(text).unwrap().to_string(), text);
        }
        assert_eq!(parse_lie("1:2:3:+4").unwrap().to_string(), "1:2:3:+4");
        assert_eq!(parse_lie("1:2:3:-4").unwrap().to_string(), "1:2:3:-4");
        for text in ["", "1:2:3", "1:2:3:0", "a:2:3:+1", "unknown", "1:2:3:+99999999999"] {
            assert!(parse_lie(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_step_is_always_another_stored_value() {
        for bits in [0u64, 0x3F80_0000, 0xBF80_0000, 0x2B80_0000, 0xAB80_0000, 0x7F7F_FFFF] {
            for steps in [1, -1, 5] {
                let moved = step_bits(ElementType::F32, bits, steps);
                assert_ne!(moved, bits, "{bits:x} {steps}");
                assert!(ElementType::F32.is_canonical(moved), "{moved:x}");
            }
        }
        assert_eq!(step_bits(ElementType::F32, 0x2B80_0000, -1), 0);
        assert_eq!(step_bits(ElementType::F32, 0x3F80_0000, 1), 0x3F80_0001);
    }
}
