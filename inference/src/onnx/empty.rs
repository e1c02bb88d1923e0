//! Lists without elements, which shape arithmetic makes and uses: the shape of a scalar, the
//! dimensions behind the last. No tensor has one, so they live at import only.

use super::attributes::Attributes;
use super::builder::{Builder, Lowered, Value};
use super::fold_shapes::slice_of;
use super::operators::{Context, Inputs};
use super::proto::TensorProto;

/// What a name of the model file stands for.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// A tensor.
    Value(Value),
    /// A list without elements.
    Empty,
}

impl Known {
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Empty => None,
        }
    }
}

/// Whether a tensor of the file has no elements.
pub(super) fn is_empty(tensor: &TensorProto) -> bool {
    tensor.dims.contains(&0)
}

/// Lowers a node that makes or reads such a list in a way of its own; `None` leaves it to the others,
/// for whom such an input is a list of integers of length zero, or absent where it is optional.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Option<Known>> {
    let attributes = &context.attributes;
    if inputs.is_empty(0) {
        return match operator {
            "Cast" | "Identity" | "Slice" | "Gather" | "Unsqueeze" => Ok(Some(Known::Empty)),
            "Concat" if inputs.all().next().is_none() => Ok(Some(Known::Empty)),
            "Shape" => builder.integers(vec![0]).map(Known::Value).map(Some),
            "Size" => number(builder, 0).map(Some),
            "ReduceProd" if attributes.int("keepdims", 1) == 0 => number(builder, 1).map(Some),
            "ReduceProd" => builder.integers(vec![1]).map(Known::Value).map(Some),
            _ => Ok(None),
        };
    }
    let empty = match operator {
        "Constant" => is_empty_constant(attributes),
        "ConstantOfShape" => inputs.integers(0)?.is_some_and(|sizes| sizes.contains(&0)),
        "Shape" => {
            let rank = inputs.get(0)?.rank() as i64;
            let bound = |at: i64| if at < 0 { at + rank } else { at }.clamp(0, rank);
            bound(attributes.int("start", 0)) >= bound(attributes.int("end", rank))
        }
        "Slice" if inputs.get(0)?.rank() == 1 => slice_of(inputs, context)?.is_none(),
        "Gather" => inputs.is_empty(1),
        _ => false,
    };
    Ok(empty.then_some(Known::Empty))
}

fn is_empty_constant(attributes: &Attributes<'_>) -> bool {
    attributes.tensor("value").is_some_and(is_empty)
        || attributes.get("value_ints").is_some_and(|list| list.ints.is_empty())
        || attributes.get("value_floats").is_some_and(|list| list.floats.is_empty())
}

fn number(builder: &mut Builder, value: i64) -> Lowered<Known> {
    let list = builder.integers(vec![value])?;
    builder.reshape(&list, &[]).map(Known::Value)
}
