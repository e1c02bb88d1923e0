//! Quantised operators: integers with a scale and a zero point.
//!
//! Products of 8-bit integers are exact in binary32 as long as fewer than 257 of them are summed (each
//! is below 2^16, their sum below 2^24): contractions are cut into such pieces, and the pieces are
//! added as integers. So the fast float kernels compute what the integer definition says.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::activation::clipped;
use super::linear;
use super::windows::convolution::convolved;
use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::{expand_to, part};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;
use crate::onnx::values;

/// Products that may be summed in binary32 without rounding.
const EXACT_PRODUCTS: u64 = 256;
const _: () = assert!(EXACT_PRODUCTS * 255 * 255 < 1 << 24);

/// MatMulInteger.
pub(super) fn integer_matmul(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let left = centred(builder, node.input(0)?, node.optional(2), Side::Rows)?;
    let right = centred(builder, node.input(1)?, node.optional(3), Side::Columns)?;
    product(builder, &left, &right)
}

/// ConvInteger.
pub(super) fn integer_convolution(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let input = centred(builder, node.input(0)?, node.optional(2), Side::All)?;
    let kernel = centred(builder, node.input(1)?, node.optional(3), Side::Outermost)?;
    windows(builder, &input, &kernel, node)
}

/// QLinearMatMul.
pub(super) fn quantised_matmul(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let left = centred(builder, node.input(0)?, node.optional(2), Side::Rows)?;
    let right = centred(builder, node.input(3)?, node.optional(5), Side::Columns)?;
    let sums = product(builder, &left, &right)?;
    let (left, right) = (node.input(1)?, node.input(4)?);
    let left = beside(builder, left, sums.rank(), Side::Rows)?;
    let right = beside(builder, right, sums.rank(), Side::Columns)?;
    requantised(builder, node, &sums, [&left, &right], 6)
}

/// QLinearConv.
pub(super) fn quantised_convolution(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let input = centred(builder, node.input(0)?, node.optional(2), Side::All)?;
    let kernel = centred(builder, node.input(3)?, node.optional(5), Side::Outermost)?;
    let mut sums = windows(builder, &input, &kernel, node)?;
    if let Some(bias) = node.optional(8) {
        let bias = along(builder, bias, sums.rank(), 1)?;
        sums = builder.map(F::Add, &[&sums, &bias])?;
    }
    let scale = along(builder, node.input(4)?, sums.rank(), 1)?;
    requantised(builder, node, &sums, [node.input(1)?, &scale], 6)
}

/// Where the zero points of an operand belong when there is more than one.
#[derive(Clone, Copy)]
enum Side {
    All,
    Rows,
    Columns,
    Outermost,
}

/// A value of one element for each row, column or outermost place, so that it broadcasts.
fn beside(builder: &mut Builder, value: &Value, rank: usize, side: Side) -> Lowered<Value> {
    match (side, value.rank()) {
        (Side::Rows, 1) if rank > 1 => along(builder, value, rank, rank - 2),
        (Side::Outermost, 1) => along(builder, value, rank, 0),
        _ => Ok(value.clone()),
    }
}

/// A list along one axis; a single element as it is.
fn along(builder: &mut Builder, list: &Value, rank: usize, axis: usize) -> Lowered<Value> {
    match *list.dimensions() {
        [count] if count > 1 => {
            let mut dimensions = vec![1; rank];
            *dimensions.get_mut(axis).ok_or("there is no axis for a scale")? = count;
            builder.reshape(list, &dimensions)
        }
        [1] => builder.reshape(list, &[]),
        _ => Ok(list.clone()),
    }
}

fn is_byte(value: &Value) -> bool {
    matches!(value.element(), ElementType::I8 | ElementType::U8)
}

/// An 8-bit operand less its zero point, as binary32: exact.
fn centred(
    builder: &mut Builder,
    value: &Value,
    zero: Option<&Value>,
    side: Side,
) -> Lowered<Value> {
    if !is_byte(value) || zero.is_some_and(|zero| !is_byte(zero)) {
        return Err("quantised operands are i8 or u8".to_owned());
    }
    let float = builder.cast(value, ElementType::F32)?;
    let Some(zero) = zero else {
        return Ok(float);
    };
    let zero = beside(builder, zero, value.rank(), side)?;
    let zero = builder.cast(&zero, ElementType::F32)?;
    builder.map(F::Subtract, &[&float, &zero])
}

/// Adds up exact pieces as 32-bit integers.
fn added(
    builder: &mut Builder,
    length: u64,
    most: u64,
    mut piece: impl FnMut(&mut Builder, u64, u64) -> Lowered<Value>,
) -> Lowered<Value> {
    let mut sum: Option<Value> = None;
    for start in (0..length).step_by(most.max(1) as usize) {
        let float = piece(builder, start, most.min(length - start))?;
        let whole = builder.cast(&float, ElementType::I32)?;
        sum = Some(match sum {
            Some(sum) => builder.map(F::Add, &[&sum, &whole])?,
            None => whole,
        });
    }
    sum.ok_or_else(|| "nothing to add up".to_owned())
}

/// A product of centred operands, in exact pieces.
fn product(builder: &mut Builder, left: &Value, right: &Value) -> Lowered<Value> {
    let length = *left.dimensions().last().ok_or("a scalar has no product")?;
    let axis = right.rank().saturating_sub(2);
    if right.dimensions().get(axis) != Some(&length) {
        return Err(format!("{:?} and {:?} do not fit", left.dimensions(), right.dimensions()));
    }
    added(builder, length, EXACT_PRODUCTS, |builder, start, size| {
        let left = part(builder, left, left.rank() - 1, start, size)?;
        let right = part(builder, right, axis, start, size)?;
        linear::product(builder, &left, &right)
    })
}

/// A convolution of centred operands, in exact pieces.
fn windows(
    builder: &mut Builder,
    input: &Value,
    kernel: &Value,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    let (channels, taps) = match kernel.dimensions() {
        [_, channels, sizes @ ..] => (*channels, sizes.iter().product::<u64>()),
        _ => return Err("the kernel has no channels".to_owned()),
    };
    let most = EXACT_PRODUCTS / taps.max(1);
    let grouped = node.attributes.int("group", 1) != 1;
    if most == 0 || grouped && channels > most {
        return Err(format!(
            "a window of {channels} channels and {taps} places is too large to be exact; \
             export with QuantizeLinear and DequantizeLinear around Conv"
        ));
    }
    added(builder, channels, most, |builder, start, size| {
        let whole = size == channels;
        let input = if whole { input.clone() } else { part(builder, input, 1, start, size)? };
        let kernel = part(builder, kernel, 1, start, size)?;
        convolved(builder, node, &input, &kernel, None)
    })
}

/// Integer sums times the operands' scales, quantised by the scale and zero point from `first` on.
fn requantised(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    sums: &Value,
    scales: [&Value; 2],
    first: usize,
) -> Lowered<Value> {
    let sums = builder.cast(sums, ElementType::F32)?;
    let factor = builder.map(F::Multiply, &scales)?;
    let factor = builder.map(F::Divide, &[&factor, node.input(first)?])?;
    let scaled = builder.map(F::Multiply, &[&sums, &factor])?;
    let zero = node.optional(first + 1);
    let element = zero.map_or(ElementType::U8, Value::element);
    saturated(builder, &scaled, zero, element)
}

/// To the nearest integer, ties to even; plus the zero point; within the type.
fn saturated(
    builder: &mut Builder,
    scaled: &Value,
    zero: Option<&Value>,
    element: ElementType,
) -> Lowered<Value> {
    let narrow = matches!(element.bytes(), 1 | 2) && element != ElementType::Bool;
    let (least, most) = element.integer_range().filter(|_| narrow).ok_or_else(|| {
        format!("quantising to {} is not supported; use 8 or 16 bits", element.name())
    })?;
    let mut value = builder.map(F::Round, &[scaled])?;
    if let Some(zero) = zero {
        let zero = builder.cast(zero, ElementType::F32)?;
        value = builder.map(F::Add, &[&value, &zero])?;
    }
    let (least, most) = (builder.scalar(least as f32)?, builder.scalar(most as f32)?);
    let value = clipped(builder, &value, Some(&least), Some(&most))?;
    builder.cast(&value, element)
}

/// Scale or zero point against its tensor: one for all, one for each place of an axis, or one for each
/// block along it.
fn spread(
    builder: &mut Builder,
    scale: &Value,
    value: &Value,
    node: &OnnxNode<'_>,
) -> Lowered<Value> {
    if scale.rank() == 0 || scale.shape().count() == 1 && scale.rank() == 1 {
        return along(builder, scale, value.rank(), 0);
    }
    let axis = node.axis(1, value.rank())?;
    if scale.rank() == 1 {
        return along(builder, scale, value.rank(), axis);
    }
    let block = node.count("block_size");
    if scale.rank() != value.rank() || block == 0 {
        return Err("the scale fits neither the axis nor blocks along it".to_owned());
    }
    let mut split = scale.dimensions().to_vec();
    split.insert(axis + 1, 1);
    let apart = builder.reshape(scale, &split)?;
    split[axis + 1] = block;
    let repeated = expand_to(builder, &apart, &split)?;
    let mut merged = scale.dimensions().to_vec();
    merged[axis] = merged[axis].saturating_mul(block);
    let merged = builder.reshape(&repeated, &merged)?;
    part(builder, &merged, axis, 0, value.dimensions()[axis])
}

/// DequantizeLinear.
pub(super) fn dequantise(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (value, scale) = (node.input(0)?, node.input(1)?);
    floats(scale)?;
    let scale = spread(builder, scale, value, node)?;
    let mut float = builder.cast(value, ElementType::F32)?;
    if let Some(zero) = node.optional(2) {
        let zero = spread(builder, zero, value, node)?;
        float = match value.element().bytes() {
            // Exact in binary32.
            1 | 2 => {
                let zero = builder.cast(&zero, ElementType::F32)?;
                builder.map(F::Subtract, &[&float, &zero])?
            }
            _ => {
                let difference = builder.map(F::Subtract, &[value, &zero])?;
                builder.cast(&difference, ElementType::F32)?
            }
        };
    }
    builder.map(F::Multiply, &[&float, &scale])
}

fn floats(scale: &Value) -> Lowered<()> {
    match scale.element() {
        ElementType::F32 => Ok(()),
        other => Err(format!("a scale of {} is not supported; use f32", other.name())),
    }
}

/// QuantizeLinear.
pub(super) fn quantise(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let (value, scale) = (node.input(0)?, node.input(1)?);
    floats(scale)?;
    let asked = node.attributes.int("output_dtype", 0);
    let element = match (node.optional(2), asked) {
        (Some(zero), _) => zero.element(),
        (None, 0) => ElementType::U8,
        (None, asked) => values::element_type(i32::try_from(asked).unwrap_or(0))?,
    };
    let scale = spread(builder, scale, value, node)?;
    let float = builder.cast(value, ElementType::F32)?;
    let scaled = builder.map(F::Divide, &[&float, &scale])?;
    let zero = node.optional(2).map(|zero| spread(builder, zero, value, node)).transpose()?;
    saturated(builder, &scaled, zero.as_ref(), element)
}

/// DynamicQuantizeLinear: scale and zero point from the range of the values, which always holds 0.
pub(super) fn dynamic(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Vec<Value>> {
    let value = node.input(0)?;
    let flat = builder.reshape(value, &[value.shape().count()])?;
    let zero = builder.scalar(0.0)?;
    let extreme = |builder: &mut Builder, fold: Fold, function: F| {
        let found = builder.reduce_last(fold, &flat)?;
        let found = builder.reshape(&found, &[])?;
        builder.map(function, &[&found, &zero])
    };
    let most = extreme(builder, Fold::Maximum, F::Maximum)?;
    let least = extreme(builder, Fold::Minimum, F::Minimum)?;
    let range = builder.map(F::Subtract, &[&most, &least])?;
    let steps = builder.scalar(255.0)?;
    let scale = builder.map(F::Divide, &[&range, &steps])?;
    // All zeros: any scale will do.
    let (none, one) = (builder.map(F::Equal, &[&scale, &zero])?, builder.scalar(1.0)?);
    let scale = builder.map(F::Select, &[&none, &one, &scale])?;
    let below = builder.map(F::Negate, &[&least])?;
    let point = builder.map(F::Divide, &[&below, &scale])?;
    let point = saturated(builder, &point, None, ElementType::U8)?;
    let scaled = builder.map(F::Divide, &[value, &scale])?;
    let quantised = saturated(builder, &scaled, Some(&point), ElementType::U8)?;
    Ok(vec![quantised, scale, point])
}
