//! Operator set 6: what it means otherwise than 7, which the rest of the importer goes by.

use super::{Context, Inputs};
use crate::onnx::builder::{Builder, Lowered, Value, broadcast};

/// Refuses a node of operator set 6 whose meaning is another one than in set 7.
pub(super) fn check(operator: &str, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<()> {
    let int = |name: &str, default: i64| context.attributes.int(name, default);
    let refuse = |what: &str| {
        Err(format!(
            "{what} of operator set 6 is not supported; convert the model to set 7 or later"
        ))
    };
    match operator {
        // One operand may be spread over an axis that the node names. Without the axis it is the last
        // ones, as later; without spreading, shapes are equal, as they may be later.
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "And" | "Or" | "Xor" | "Equal" | "Less"
        | "Greater" => match context.attributes.get("axis").is_some() && int("broadcast", 0) != 0 {
            true => refuse("broadcasting along a named axis"),
            false => Ok(()),
        },
        "BatchNormalization" | "Dropout" if int("is_test", 0) == 0 => refuse("training mode"),
        "BatchNormalization" if int("spatial", 1) == 0 => refuse("spatial 0"),
        "RNN" | "GRU" | "LSTM" | "Upsample" | "Tile" => refuse("this operator"),
        // The mean over windows counted padding in some engines and not in others.
        "AveragePool"
            if context
                .attributes
                .ints("pads")
                .is_some_and(|pads| pads.iter().any(|pad| *pad != 0))
                || inputs.is_empty(0) =>
        {
            refuse("an average over padding")
        }
        _ => Ok(()),
    }
}

/// The slope of a PRelu, which is spread over the input and never the other way round. Before operator
/// set 7, a list is one number for each channel.
pub(super) fn slope(
    builder: &mut Builder,
    x: &Value,
    slope: &Value,
    context: &Context<'_>,
) -> Lowered<Value> {
    let channels = x.dimensions().get(1).copied();
    if let (&[count], true) = (slope.dimensions(), context.opset < 7 && x.rank() > 2)
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
