//! Whether a graph is a model: the one check that everybody makes before it claims, challenges or attests
//! under a root.
//!
//! A root says nothing about what is under it: the ledger registers any. On a graph that this refuses a false
//! claim may be impossible to refute, and a true one impossible to defend. No refutation exists for such
//! graphs: who chooses one could as well choose a valid one that says what it likes.

use alloc::vec::Vec;

use crate::encoding::Canonical;
use crate::graph::{Graph, INPUTS_MAX, Layer, OPERATORS_MAX, Recurrence, STATE_VALUES_MAX};
use crate::law::{self, NodeFault};
use crate::tensor::{ElementType, TensorType};

/// Largest encoding of a node, in bytes.
pub const NODE_BYTES_MAX: usize = 8 << 10;
/// Deepest tree of a tensor.
pub const TENSOR_DEPTH_MAX: u32 = 30;

/// Why a graph is no model. The number is that of the rule in `docs/protocol.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelFault {
    /// V1: too few or too many inputs, weights, operators or layers.
    #[error("V1: the model has too few or too many inputs, weights, operators or layers")]
    Counts,
    /// V2: an operator is not well formed.
    #[error("V2: operator {operator} is not well formed: {fault}")]
    Node {
        /// Index of the operator.
        operator: u32,
        /// What is wrong with it.
        fault: NodeFault,
    },
    /// V2: an operator's encoding is too long.
    #[error("V2: operator {operator} is encoded in more than {NODE_BYTES_MAX} bytes")]
    NodeTooLong {
        /// Index of the operator.
        operator: u32,
    },
    /// V3: an operand does not exist, or comes later.
    #[error("V3: operand {operand} of operator {operator} does not exist before it")]
    Operand {
        /// Index of the operator.
        operator: u32,
        /// Index of the operand.
        operand: u32,
    },
    /// V4: an operand has another type than its source.
    #[error(
        "V4: operand {operand} of operator {operator} has another type than the value it reads"
    )]
    OperandType {
        /// Index of the operator.
        operator: u32,
        /// Index of the operand.
        operand: u32,
    },
    /// V4: a value's tree is too deep.
    #[error("V4: the tree of value {value} is more than {TENSOR_DEPTH_MAX} levels deep")]
    TooDeep {
        /// Id of the value.
        value: u32,
    },
    /// V5: layers do not follow one another over all operators.
    #[error("V5: layer {layer} does not begin where the one before it ends, or is empty")]
    Layers {
        /// Index of the layer.
        layer: u32,
    },
    /// V6: a list of live values is empty, too long, does not ascend, or holds a weight.
    #[error(
        "V6: a list of live values of layer {layer} is empty, too long, does not ascend, or holds a weight"
    )]
    LiveList {
        /// Index of the layer.
        layer: u32,
    },
    /// V7: the lists of live values on the two sides of a boundary differ.
    #[error("V7: the values before layer {layer} are not those after the layer before it")]
    Boundary {
        /// Index of the layer; 0 where the inputs are not all there.
        layer: u32,
    },
    /// V8: a value after a layer is neither before it nor written in it.
    #[error("V8: value {value} after layer {layer} is neither before it nor written in it")]
    LiveOut {
        /// Index of the layer.
        layer: u32,
        /// Id of the value.
        value: u32,
    },
    /// V9: an operand from outside of its layer is not live before it.
    #[error("V9: operand {operand} of operator {operator} is not live before its layer")]
    NotLive {
        /// Index of the operator.
        operator: u32,
        /// Index of the operand.
        operand: u32,
    },
    /// V7: a value that is handed to the next iteration, or says whether there is one, is not live at the end.
    #[error("V7: value {value} is handed on, and is not among the values after the last layer")]
    HandedOn {
        /// Id of the value.
        value: u32,
    },
    /// V1: there is not one link for each input.
    #[error("V1: a model with links has one for each input, and only a model with links can stop")]
    Links,
    /// V10: a link has another type than its input.
    #[error(
        "V10: input {input} is linked to value {value}, which is no input or output of an operator of its type"
    )]
    LinkType {
        /// Index of the input.
        input: u32,
        /// Id of the value.
        value: u32,
    },
    /// V10: what says whether a run ends is no bool of one element that an operator writes.
    #[error(
        "V10: value {value} says whether the run ends, and is no bool of one element that an operator writes"
    )]
    StopType {
        /// Id of the value.
        value: u32,
    },
}

/// Checks all of a graph. The other half of V10, that weights have the roots which are committed to, holds for
/// whoever computes these roots from the weights.
///
/// # Errors
/// The first fault found, in the order that `docs/protocol.md` gives; those about links and stop come last.
pub fn validate(graph: &Graph) -> Result<(), ModelFault> {
    let values = Values::new(graph).ok_or(ModelFault::Counts)?;
    check_nodes(graph)?;
    check_operands(graph, &values)?;
    check_depths(graph, &values)?;
    check_layers(graph)?;
    check_live_lists(graph, &values)?;
    for (index, layer) in (0u32..).zip(&graph.layers) {
        check_inside(graph, &values, index, layer)?;
    }
    check_recurrence(graph, &values)
}

/// How a model's values are numbered: inputs, weights, outputs of operators.
struct Values {
    inputs: u32,
    first_output: u32,
    end: u32,
}

impl Values {
    fn new(graph: &Graph) -> Option<Self> {
        let count = |length: usize| u32::try_from(length).ok();
        let (inputs, weights) = (count(graph.inputs.len())?, count(graph.weights.len())?);
        let (operators, layers) = (count(graph.nodes.len())?, count(graph.layers.len())?);
        let fits = (1..=INPUTS_MAX).contains(&graph.inputs.len())
            && (1..=OPERATORS_MAX).contains(&weights)
            && (1..=OPERATORS_MAX).contains(&operators)
            && (1..=operators).contains(&layers);
        let first_output = inputs.checked_add(weights)?;
        let end = first_output.checked_add(operators)?;
        fits.then_some(Self { inputs, first_output, end })
    }

    fn is_weight(&self, value: u32) -> bool {
        (self.inputs..self.first_output).contains(&value)
    }

    /// The value that an operator writes.
    fn output(&self, operator: u32) -> u32 {
        self.first_output.saturating_add(operator)
    }

    /// The type of a value.
    fn kind<'a>(&self, graph: &'a Graph, value: u32) -> Option<&'a TensorType> {
        if let Some(operator) = value.checked_sub(self.first_output) {
            return graph.nodes.get(operator as usize).map(|node| &node.output);
        }
        match value.checked_sub(self.inputs) {
            Some(weight) => graph.weights.get(weight as usize),
            None => graph.inputs.get(value as usize),
        }
    }
}

fn check_nodes(graph: &Graph) -> Result<(), ModelFault> {
    for (operator, node) in (0u32..).zip(&graph.nodes) {
        law::check(node).map_err(|fault| ModelFault::Node { operator, fault })?;
        if node.to_canonical().len() > NODE_BYTES_MAX {
            return Err(ModelFault::NodeTooLong { operator });
        }
    }
    Ok(())
}

fn check_operands(graph: &Graph, values: &Values) -> Result<(), ModelFault> {
    for (operator, node) in (0u32..).zip(&graph.nodes) {
        for (operand, read) in (0u32..).zip(&node.operands) {
            if read.value >= values.output(operator) {
                return Err(ModelFault::Operand { operator, operand });
            }
            if values.kind(graph, read.value) != Some(&read.kind) {
                return Err(ModelFault::OperandType { operator, operand });
            }
        }
    }
    Ok(())
}

fn check_depths(graph: &Graph, values: &Values) -> Result<(), ModelFault> {
    for value in 0..values.end {
        let kind = values.kind(graph, value);
        let depth = kind.and_then(TensorType::tree_shape).map(|shape| shape.depth());
        if depth.is_none_or(|depth| depth > TENSOR_DEPTH_MAX) {
            return Err(ModelFault::TooDeep { value });
        }
    }
    Ok(())
}

fn check_layers(graph: &Graph) -> Result<(), ModelFault> {
    let mut next = 0u32;
    for (layer, definition) in (0u32..).zip(&graph.layers) {
        if definition.first_operator != next || definition.operator_count == 0 {
            return Err(ModelFault::Layers { layer });
        }
        next = next
            .checked_add(definition.operator_count)
            .filter(|end| *end as usize <= graph.nodes.len())
            .ok_or(ModelFault::Layers { layer })?;
    }
    if next as usize == graph.nodes.len() {
        Ok(())
    } else {
        let layer = u32::try_from(graph.layers.len()).unwrap_or(u32::MAX);
        Err(ModelFault::Layers { layer })
    }
}

fn check_live_lists(graph: &Graph, values: &Values) -> Result<(), ModelFault> {
    let is_list = |live: &[u32]| {
        (1..=STATE_VALUES_MAX).contains(&live.len())
            && live.windows(2).all(|pair| matches!(pair, [before, after] if before < after))
            && live.iter().all(|value| *value < values.end && !values.is_weight(*value))
    };
    let mut before: Vec<u32> = (0..values.inputs).collect();
    for (layer, definition) in (0u32..).zip(&graph.layers) {
        if !is_list(&definition.live_in) || !is_list(&definition.live_out) {
            return Err(ModelFault::LiveList { layer });
        }
        if definition.live_in != before {
            return Err(ModelFault::Boundary { layer });
        }
        before.clone_from(&definition.live_out);
    }
    Ok(())
}

/// Whether what a layer reads is there, and what it hands on comes from somewhere.
fn check_inside(
    graph: &Graph,
    values: &Values,
    layer: u32,
    definition: &Layer,
) -> Result<(), ModelFault> {
    let operators = definition.first_operator
        ..definition.first_operator.saturating_add(definition.operator_count);
    let is_written = |value: u32| {
        value.checked_sub(values.first_output).is_some_and(|operator| operators.contains(&operator))
    };
    let is_live = |value: u32| definition.live_in.binary_search(&value).is_ok();
    for value in &definition.live_out {
        if !is_live(*value) && !is_written(*value) {
            return Err(ModelFault::LiveOut { layer, value: *value });
        }
    }
    for operator in operators.clone() {
        let node = graph.nodes.get(operator as usize).ok_or(ModelFault::Layers { layer })?;
        for (operand, read) in (0u32..).zip(&node.operands) {
            let value = read.value;
            if !values.is_weight(value) && !is_written(value) && !is_live(value) {
                return Err(ModelFault::NotLive { operator, operand });
            }
        }
    }
    Ok(())
}

/// Whether what one iteration hands to the next is there, and of the right type.
fn check_recurrence(graph: &Graph, values: &Values) -> Result<(), ModelFault> {
    let Recurrence { links, stop } = &graph.recurrence;
    let has_links = !links.is_empty();
    if (has_links && links.len() != graph.inputs.len()) || (!has_links && stop.is_some()) {
        return Err(ModelFault::Links);
    }
    let live_out = graph.layers.last().map_or(&[][..], |layer| &layer.live_out);
    for (input, (value, kind)) in (0u32..).zip(links.iter().zip(&graph.inputs)) {
        let (value, is_weight) = (*value, values.is_weight(*value));
        if is_weight || values.kind(graph, value) != Some(kind) {
            return Err(ModelFault::LinkType { input, value });
        }
    }
    if let Some(value) = *stop {
        let is_truth =
            |kind: &TensorType| kind.element == ElementType::Bool && kind.shape.dimensions() == [1];
        let is_written = value >= values.first_output;
        if !is_written || !values.kind(graph, value).is_some_and(is_truth) {
            return Err(ModelFault::StopType { value });
        }
    }
    let handed_on = links.iter().chain(stop);
    match handed_on.copied().find(|value| live_out.binary_search(value).is_err()) {
        Some(value) => Err(ModelFault::HandedOn { value }),
        None => Ok(()),
    }
}
