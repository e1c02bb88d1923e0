//! Dishonest ways to compute, each a [`Conduct`] so that the lie spreads as a real fault would.

use std::fmt;
use std::sync::Arc;

use inference::{Conduct, Engine, EngineError, Model, Tensor, Trace, compute_honestly};
use protocol::graph::{MapFunction, Node, Operator, ValueSource};
use protocol::hash::Digest;
use protocol::law;
use protocol::numerics::store;
use protocol::tensor::ElementType;

/// What is wrong with a run. The names are those of `docs/simulation.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A state is wrong in the middle and right again behind it (ATTACKS 3).
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
    const NAMED: [(&'static str, Self); 13] = [
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
        if let Self::Ulps {
            layer,
            operator,
            element,
            ulps,
        } = self
        {
            return write!(formatter, "{layer}:{operator}:{element}:{ulps:+}");
        }
        let name = Self::NAMED
            .iter()
            .find(|(_, lie)| lie == self)
            .map_or("", |(name, _)| *name);
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
    let unknown = || LieError::Unknown {
        text: text.to_owned(),
    };
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

/// Moves stored bits by steps in the order of stored values.
fn step_bits(element: ElementType, bits: u64, steps: i64) -> u64 {
    const LEAST: i64 = 0x2B80_0000;
    match element {
        ElementType::F32 => {
            let magnitude = (bits & 0x7FFF_FFFF) as i64;
            // Stored magnitudes without the gap under 2^-40: 0, then 1 for 2^-40, and so on.
            let rank = if magnitude == 0 {
                0
            } else {
                magnitude - LEAST + 1
            };
            let rank = if bits & 0x8000_0000 != 0 { -rank } else { rank };
            let moved = (rank + steps).clamp(LEAST - 1 - 0x7F80_0000, 0x7F80_0000 - LEAST + 1);
            let magnitude = if moved == 0 {
                0
            } else {
                moved.abs() + LEAST - 1
            };
            let sign = if moved < 0 { 0x8000_0000 } else { 0 };
            u64::from(store(magnitude as u32 | sign))
        }
        ElementType::I64 => (bits as i64).wrapping_add(steps) as u64,
        ElementType::I32 => u64::from((bits as u32).wrapping_add(steps as u32)),
        ElementType::Bool => bits ^ 1,
    }
}

/// Bends the first word of the last state until the sums end in the false element, so that only
/// the last run of products gives the lie away. Leaves the sums as they are when no near word does.
fn forge_last_state(node: &Node, words: &mut [u64], steps: i64) {
    const REACH: i64 = 64;
    let (width, kind) = (law::state_words(node), node.output.element);
    let ends = |words: &[u64]| {
        let states: Vec<Vec<u64>> = words.chunks(width).map(<[u64]>::to_vec).collect();
        law::finish(node, &states)
    };
    let Some(truth) = ends(words) else { return };
    let claimed = step_bits(kind, truth, steps);
    let Some(place) = words.len().checked_sub(width) else {
        return;
    };
    let honest = words[place];
    for reach in 1..=REACH {
        for bend in [reach, -reach] {
            words[place] = step_bits(kind, honest, bend);
            if ends(words) == Some(claimed) {
                return;
            }
        }
    }
    words[place] = honest;
}

fn with_element(tensor: &Tensor, element: u64, change: impl Fn(u64) -> u64) -> Tensor {
    let mut bits = tensor.all_bits();
    if let Some(bits) = bits.get_mut(element as usize) {
        *bits = change(*bits);
    }
    Tensor::from_bits(tensor.kind(), &bits).unwrap_or_else(|| tensor.clone())
}

/// An executor's conduct with a lie in it.
#[derive(Debug)]
pub struct Lying {
    plan: Plan,
}

/// A lie with its place found in a model.
#[derive(Debug)]
enum Plan {
    Element {
        operator: u32,
        element: u64,
        steps: i64,
    },
    Weights(Box<Model>),
    Swap(u32, u32),
    Reorder(u32),
    Skip {
        operator: u32,
        operand: usize,
    },
    Commit {
        boundary: u32,
    },
    Input,
    ZeroTrace,
    Precision,
    OtherOrder,
    Surfing,
    Washed {
        boundary: u32,
        honest: Box<Trace>,
    },
}

impl Lying {
    /// Finds the lie's place in a model. `honest` is the true run that it falsifies.
    ///
    /// # Errors
    /// When the model has no such place.
    pub fn new(lie: &Lie, model: &Arc<Model>, honest: &Trace) -> Result<Self, LieError> {
        let none = |what: &str| LieError::NoPlace {
            what: what.to_owned(),
        };
        let layers = model.header().layer_count;
        let plan = match lie {
            Lie::Ulps {
                layer,
                operator,
                element,
                ulps,
            } => {
                let definition = model
                    .layer(*layer)
                    .filter(|definition| *operator < definition.operator_count)
                    .ok_or_else(|| none(&format!("operator {operator} in layer {layer}")))?;
                let operator = definition.first_operator + operator;
                let count = model
                    .node(operator)
                    .map_or(0, |node| node.output.shape.count());
                if *element >= count {
                    return Err(none(&format!(
                        "element {element}; the operator has {count}"
                    )));
                }
                Plan::Element {
                    operator,
                    element: *element,
                    steps: *ulps,
                }
            }
            Lie::WeightBit => {
                Plan::Weights(Box::new(weight_bit(model).ok_or_else(|| none("weight"))?))
            }
            Lie::ModelSwap => Plan::Weights(Box::new(pruned(model).ok_or_else(|| none("weight"))?)),
            Lie::SwapLayers => swap(model).ok_or_else(|| none("two operators alike"))?,
            Lie::SkipOperator => skip(model).ok_or_else(|| none("operator that can be skipped"))?,
            Lie::OutputOnly => Plan::Commit { boundary: layers },
            Lie::CorruptState => Plan::Commit {
                boundary: layers.div_ceil(2),
            },
            Lie::WrongInput => Plan::Input,
            Lie::ZeroTrace if layers > 1 => Plan::ZeroTrace,
            Lie::ZeroTrace => return Err(none("state between input and output")),
            Lie::Precision => Plan::Precision,
            Lie::OtherOrder => Plan::OtherOrder,
            Lie::Surfing => Plan::Surfing,
            Lie::WashedOut if layers > 1 => Plan::Washed {
                boundary: layers / 2,
                honest: Box::new(honest.clone()),
            },
            Lie::WashedOut => return Err(none("state between input and output")),
            Lie::Selective => Plan::Element {
                operator: model.header().operator_count - 1,
                element: 0,
                steps: 1,
            },
        };
        Ok(Self { plan })
    }
}

/// One weight with one bit flipped: of the last bias, which no activation can hide, or of the
/// largest tensor when there is none.
fn weight_bit(model: &Model) -> Option<Model> {
    let mut weights = model.weights().to_vec();
    let bias = model.graph().nodes.iter().rev().find_map(|node| {
        let adds = matches!(
            node.operator,
            Operator::Map {
                function: MapFunction::Add
            }
        );
        let weight =
            node.operands
                .iter()
                .find_map(|operand| match model.header().source(operand.value) {
                    Some(ValueSource::Weight(weight)) => Some(weight as usize),
                    _ => None,
                });
        weight.filter(|_| adds)
    });
    let float = |index: &usize| model.weights()[*index].kind().element == ElementType::F32;
    let largest = || {
        let floats = (0..weights.len()).filter(float);
        floats.max_by_key(|index| model.weights()[*index].shape().count())
    };
    let chosen = bias.filter(float).or_else(largest)?;
    let tensor = weights.get_mut(chosen)?;
    *tensor = with_element(tensor, tensor.shape().count() / 2, |bits| bits ^ (1 << 22));
    model.with_weights_unlike_commitment(weights)
}

/// Every weight of a matrix or kernel that is small is dropped: a cheaper model under the same id.
fn pruned(model: &Model) -> Option<Model> {
    let weights = model.weights().iter().map(|tensor| {
        if tensor.kind().element != ElementType::F32 || tensor.shape().rank() < 2 {
            return tensor.clone();
        }
        let kept = tensor
            .as_f32()
            .iter()
            .map(|value| if value.abs() < 0.02 { 0.0 } else { *value });
        Tensor::from_f32(tensor.shape(), kept.collect()).unwrap_or_else(|| tensor.clone())
    });
    model.with_weights_unlike_commitment(weights.collect())
}

/// Two products of one type with other weights, or two functions in a row.
fn swap(model: &Model) -> Option<Plan> {
    let nodes = &model.graph().nodes;
    let weight = |value: u32| matches!(model.header().source(value), Some(ValueSource::Weight(_)));
    for (first, left) in nodes.iter().enumerate() {
        for (second, right) in nodes.iter().enumerate().skip(first + 1) {
            let alike = left.operator == right.operator
                && left.output == right.output
                && left.operands.len() == 2
                && left
                    .operands
                    .iter()
                    .zip(&right.operands)
                    .all(|(a, b)| a.kind == b.kind)
                && matches!(
                    left.operator,
                    Operator::Contract {} | Operator::Convolve { .. }
                )
                && weight(left.operands[1].value)
                && weight(right.operands[1].value)
                && left.operands[1] != right.operands[1];
            if alike {
                return Some(Plan::Swap(first as u32, second as u32));
            }
        }
    }
    let header = model.header();
    nodes.windows(2).enumerate().find_map(|(first, pair)| {
        let [before, behind] = pair else { return None };
        let maps = [before, behind]
            .iter()
            .all(|node| matches!(node.operator, Operator::Map { .. }));
        let chained = behind.operands.first()?.value == header.output_of(first as u32);
        let alike = before.operands.first()?.kind == behind.operands.first()?.kind
            && before.output == behind.output
            && before.operator != behind.operator;
        (maps && chained && alike).then_some(Plan::Reorder(first as u32))
    })
}

/// The first operator in the second half that could be its own operand.
fn skip(model: &Model) -> Option<Plan> {
    let nodes = &model.graph().nodes;
    (nodes.len() / 2..nodes.len())
        .chain(0..nodes.len())
        .find_map(|index| {
            let node = nodes.get(index)?;
            let operand = node.operands.iter().position(|operand| {
                let weight = matches!(
                    model.header().source(operand.value),
                    Some(ValueSource::Weight(_))
                );
                operand.kind == node.output && !weight
            })?;
            let worth = !matches!(node.operator, Operator::Reshape {});
            worth.then_some(Plan::Skip {
                operator: index as u32,
                operand,
            })
        })
}

/// Products as a plain loop gives them: multiply, round, add, from the last to the first.
fn in_other_order(model: &Model, operator: u32, operands: &[&Tensor], honest: Tensor) -> Tensor {
    let Some(node) = model.node(operator) else {
        return honest;
    };
    if !matches!(node.operator, Operator::Contract {}) {
        return honest;
    }
    let depth = law::multiply_adds(node) as usize;
    let (Some(left), Some(right)) = (operands.first(), operands.get(1)) else {
        return honest;
    };
    let columns = node.output.shape.columns() as usize;
    if right.shape().count() as usize != columns * depth {
        return honest;
    }
    let mut out = Vec::new();
    for row in left.as_f32().chunks(depth) {
        for column in right.as_f32().chunks(depth) {
            out.push(
                row.iter()
                    .zip(column)
                    .rev()
                    .fold(0.0, |sum, (a, b)| sum + a * b),
            );
        }
    }
    Tensor::from_f32(&node.output.shape, out).unwrap_or(honest)
}

impl Conduct for Lying {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let honest = || compute_honestly(engine, model, operator, operands);
        let is_product = model.node(operator).is_some_and(|node| {
            matches!(
                node.operator,
                Operator::Contract {} | Operator::Convolve { .. }
            )
        });
        match &self.plan {
            Plan::Element {
                operator: place,
                element,
                steps,
            } if *place == operator => {
                let output = honest()?;
                let kind = output.kind().element;
                Ok(with_element(&output, *element, |bits| {
                    step_bits(kind, bits, *steps)
                }))
            }
            Plan::Weights(other) => {
                let Some(node) = model.node(operator) else {
                    return honest();
                };
                let operands: Vec<&Tensor> = node
                    .operands
                    .iter()
                    .zip(operands)
                    .map(
                        |(operand, given)| match model.header().source(operand.value) {
                            Some(ValueSource::Weight(weight)) => {
                                other.weights().get(weight as usize).unwrap_or(given)
                            }
                            _ => given,
                        },
                    )
                    .collect();
                compute_honestly(engine, other, operator, &operands)
            }
            Plan::Swap(first, second) if operator == *first || operator == *second => {
                let other = if operator == *first { *second } else { *first };
                let weight = model.node(other).and_then(|node| node.operands.get(1));
                let weight =
                    weight.and_then(|operand| match model.header().source(operand.value) {
                        Some(ValueSource::Weight(weight)) => model.weights().get(weight as usize),
                        _ => None,
                    });
                match (operands.first(), weight) {
                    (Some(left), Some(weight)) => {
                        compute_honestly(engine, model, other, &[left, weight])
                    }
                    _ => honest(),
                }
            }
            Plan::Reorder(first) if operator == *first || operator == *first + 1 => {
                let other = if operator == *first {
                    *first + 1
                } else {
                    *first
                };
                let constants = model.node(other).map(|node| {
                    node.operands.iter().skip(1).filter_map(|operand| {
                        match model.header().source(operand.value) {
                            Some(ValueSource::Weight(at)) => model.weights().get(at as usize),
                            _ => None,
                        }
                    })
                });
                let first = operands.first().copied();
                let swapped: Vec<&Tensor> = first
                    .into_iter()
                    .chain(constants.into_iter().flatten())
                    .collect();
                compute_honestly(engine, model, other, &swapped).or_else(|_| honest())
            }
            Plan::Skip {
                operator: place,
                operand,
            } if *place == operator => operands
                .get(*operand)
                .map_or_else(honest, |tensor| Ok((*tensor).clone())),
            Plan::Input => {
                let Some(node) = model.node(operator) else {
                    return honest();
                };
                let changed: Vec<Tensor> = node
                    .operands
                    .iter()
                    .zip(operands)
                    .map(
                        |(operand, given)| match model.header().source(operand.value) {
                            Some(ValueSource::Input(_)) => with_element(given, 0, |bits| {
                                if bits == 0x3F80_0000 {
                                    0x3F00_0000
                                } else {
                                    0x3F80_0000
                                }
                            }),
                            _ => (*given).clone(),
                        },
                    )
                    .collect();
                compute_honestly(engine, model, operator, &changed.iter().collect::<Vec<_>>())
            }
            Plan::Precision if is_product => {
                let output = honest()?;
                let rounded = output.as_f32().iter().map(|value| {
                    // 10 bits of fraction, to nearest even.
                    let bits = value.to_bits();
                    let half = 0x0FFF + ((bits >> 13) & 1);
                    f32::from_bits((bits + half) & !0x1FFF)
                });
                let rounded = rounded.collect();
                Ok(Tensor::from_f32(output.shape(), rounded).unwrap_or(output))
            }
            Plan::Surfing if is_product => {
                let output = honest()?;
                let bits: Vec<u64> = output
                    .all_bits()
                    .into_iter()
                    .map(|bits| step_bits(ElementType::F32, bits, 1))
                    .collect();
                Ok(Tensor::from_bits(output.kind(), &bits).unwrap_or(output))
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
            Plan::Washed {
                boundary: place,
                honest,
            } => match honest.state(boundary) {
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
        model: &Model,
        operator: u32,
        element: u64,
        mut words: Vec<u64>,
    ) -> Vec<u64> {
        if let Plan::Element {
            operator: place,
            element: at,
            steps,
        } = &self.plan
            && (*place, *at) == (operator, element)
            && let Some(node) = model.node(operator)
        {
            forge_last_state(node, &mut words, *steps);
        }
        words
    }

    fn trace(&self, mut state_roots: Vec<Digest>) -> Vec<Digest> {
        if matches!(self.plan, Plan::ZeroTrace) {
            let last = state_roots.len().saturating_sub(1);
            state_roots
                .iter_mut()
                .take(last)
                .skip(1)
                .for_each(|root| *root = Digest::default());
        }
        state_roots
    }
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
        for text in [
            "",
            "1:2:3",
            "1:2:3:0",
            "a:2:3:+1",
            "unknown",
            "1:2:3:+99999999999",
        ] {
            assert!(parse_lie(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_step_is_always_another_stored_value() {
        for bits in [
            0u64,
            0x3F80_0000,
            0xBF80_0000,
            0x2B80_0000,
            0xAB80_0000,
            0x7F7F_FFFF,
        ] {
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
