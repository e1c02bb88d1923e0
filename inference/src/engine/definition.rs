//! The scalar law over whole tensors: the definition of every operator.

use protocol::law::{self, CheckedNode, LawError, Operands};

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
/// When the operator has no result for these operands.
pub fn by_law(node: CheckedNode<'_>, operands: &[&Tensor]) -> Result<Tensor, EngineError> {
    let kind = node.operator.kind();
    let bits = (0..node.output.shape.count())
        .map(|index| {
            law::element(node, index, &mut WholeTensors(operands)).map_err(|error| match error {
                LawError::Undefined => EngineError::Undefined { kind },
                LawError::Operand(()) => EngineError::Operands { kind },
            })
        })
        .collect::<Result<Vec<u64>, _>>()?;
    Tensor::from_bits(&node.output, &bits).ok_or(EngineError::Operands { kind })
}
