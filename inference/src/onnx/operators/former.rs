//! Operator set 6: what it means otherwise than 7, which the rest of the importer goes by. Each check
//! refuses a node of set 6 whose meaning is another one than in set 7.

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::{Lowered, broadcast};
use crate::onnx::value::Value;

fn refuse(what: &str) -> Lowered<()> {
    Err(format!("{what} of operator set 6 is not supported; convert the model to set 7 or later"))
}

/// One operand may be spread over an axis that the node names. Without the axis it is the last ones,
/// as later; without spreading, shapes are equal, as they may be later.
pub(super) fn named_axis(node: &OnnxNode<'_>) -> Lowered<()> {
    if node.attributes.get("axis").is_some() && node.flag("broadcast", false) {
        refuse("broadcasting along a named axis")
    } else {
        Ok(())
    }
}

/// Dropout trained unless it was told that it is tested.
pub(super) fn training(node: &OnnxNode<'_>) -> Lowered<()> {
    if node.flag("is_test", false) { Ok(()) } else { refuse("training mode") }
}

/// So did BatchNormalization, whose statistics could be those of each place.
pub(super) fn batch_statistics(node: &OnnxNode<'_>) -> Lowered<()> {
    training(node)?;
    if node.flag("spatial", true) { Ok(()) } else { refuse("spatial 0") }
}

/// RNN, GRU, LSTM, Upsample and Tile were other operators.
pub(super) fn other_operator(_: &OnnxNode<'_>) -> Lowered<()> {
    refuse("this operator")
}

/// The mean over windows counted padding in some engines and not in others.
pub(super) fn padded_mean(node: &OnnxNode<'_>) -> Lowered<()> {
    let pads = node.attributes.ints("pads");
    if pads.is_some_and(|pads| pads.iter().any(|pad| *pad != 0)) || node.is_empty(0) {
        refuse("an average over padding")
    } else {
        Ok(())
    }
}

/// The slope of a PRelu, which is spread over the input and never the other way round. Before operator
/// set 7, a list is one number for each channel.
pub(super) fn slope(
    builder: &mut Builder,
    x: &Value,
    slope: &Value,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let channels = x.dimensions().get(1).copied();
    if let (&[count], true) = (slope.dimensions(), node.opset < 7 && x.rank() > 2)
        && Some(count) == channels
    {
        let mut dimensions = vec![1; x.rank() - 1];
        dimensions[0] = count;
        return builder.reshape(slope, &dimensions);
    }
    match broadcast(x.shape(), slope.shape()) {
        Ok(shape) if shape == *x.shape() => Ok(slope.clone()),
        _ => Err(format!(
            "the slope {:?} does not broadcast to the input {:?}",
            slope.dimensions(),
            x.dimensions()
        )),
    }
}
