//! The scalar law over whole tensors: the definition of every operator.

use protocol::law::{self, CheckedNode, LawError, Operands};
use rayon::prelude::*;

use super::error::EngineError;
use crate::tensor::Tensor;

/// Whole tensors as operands of the law.
#[derive(Debug)]
pub struct WholeTensors<'a>(pub &'a [&'a Tensor]);

impl Operands for WholeTensors<'_> {
    type Error = ();

    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0.get(operand).and_then(|tensor| tensor.given_bits(index)).ok_or(())
    }
}

/// The node by the scalar law: the definition, element by element.
///
/// # Errors
/// When the operator has no result for these operands; it names the first element without one.
pub fn by_law(node: CheckedNode<'_>, operands: &[&Tensor]) -> Result<Tensor, EngineError> {
    let kind = node.operator.kind();
    let element = |index| law::element(node, index, &mut WholeTensors(operands));
    let bits: Result<Vec<u64>, LawError<()>> =
        (0..node.output.shape.count()).into_par_iter().map(element).collect();
    let bits = bits.map_err(|error| match error {
        LawError::Undefined => match first_undefined(node, operands) {
            Some(element) => EngineError::Undefined { kind, element },
            None => EngineError::Operands { kind },
        },
        LawError::Operand(()) => EngineError::Operands { kind },
    })?;
    Tensor::from_bits(&node.output, &bits).ok_or(EngineError::Operands { kind })
}

/// Flat index of the first element of a node's output, in ascending order, for which the law gives no result.
pub fn first_undefined(node: CheckedNode<'_>, operands: &[&Tensor]) -> Option<u64> {
    // Threads find an element without a result in any order; only the first is everybody's.
    (0..node.output.shape.count()).into_par_iter().find_first(|index| {
        let element = law::element(node, *index, &mut WholeTensors(operands));
        matches!(element, Err(LawError::Undefined))
    })
}
