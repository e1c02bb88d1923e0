//! Windows of samples, discrete Fourier transforms, running products, and convolutions that carry
//! what came before.

use protocol::graph::{MapFunction as F, Operator};
use protocol::tensor::ElementType;

use super::index::within;
use super::{Context, Inputs, axis_of};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::part;
use crate::onnx::values;
use crate::tensor::Tensor;

/// Lowers an operator of this family; `Ok(None)` for others.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Option<Vec<Value>>> {
    let value = match operator {
        "HannWindow" => cosines(builder, inputs, context, [0.5, 0.5, 0.0])?,
        "HammingWindow" => cosines(builder, inputs, context, [25.0 / 46.0, 21.0 / 46.0, 0.0])?,
        "BlackmanWindow" => cosines(builder, inputs, context, [0.42, 0.5, 0.08])?,
        "DFT" => fourier(builder, inputs, context)?,
        "CumProd" => running_product(builder, inputs, context)?,
        "SwiGLU" => {
            let (gate, value) = (inputs.get(0)?, inputs.get(1)?);
            let alpha = builder.scalar(context.attributes.float("alpha", 1.0))?;
            let open = swish(builder, gate, &alpha)?;
            builder.map(F::Multiply, &[&open, value])?
        }
        "CausalConvWithState" => return causal(builder, inputs, context).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(vec![value]))
}

fn swish(builder: &mut Builder, x: &Value, alpha: &Value) -> Lowered<Value> {
    let scaled = builder.map(F::Multiply, &[x, alpha])?;
    let gate = builder.map(F::Sigmoid, &[&scaled])?;
    builder.map(F::Multiply, &[x, &gate])
}

/// Which of the two functions of an angle.
#[derive(Clone, Copy)]
enum Circle {
    Cosine,
    Sine,
}

/// The cosine or sine of `numerator / size` turns. Whole quarters are taken away in integers, so that
/// zeros and ones are exact; the functions are the law's, so that the constants have the same bits on
/// every machine.
fn turned(
    builder: &mut Builder,
    numerators: &[i64],
    dimensions: &[u64],
    size: u64,
    function: Circle,
) -> Lowered<Value> {
    let whole = i64::try_from(size).ok().filter(|size| (1..1 << 32).contains(size));
    let whole = whole.ok_or("the size is not a size")?;
    let (mut rests, mut flipped, mut signs) = (Vec::new(), Vec::new(), Vec::new());
    for numerator in numerators {
        let quarters = 4 * numerator.rem_euclid(whole);
        let quarter = (quarters + whole / 2).div_euclid(whole);
        rests.push((quarters - quarter * whole) as f32);
        // The sine is the cosine a quarter earlier.
        let quarter = match function {
            Circle::Cosine => quarter.rem_euclid(4),
            Circle::Sine => (quarter + 3).rem_euclid(4),
        };
        flipped.push(quarter % 2 == 1);
        signs.push(if matches!(quarter, 1 | 2) { -1.0 } else { 1.0 });
    }
    let shape = make_shape(dimensions)?;
    let constant = |tensor: Option<Tensor>| {
        tensor.map(Value::Constant).ok_or_else(|| "one number for each place".to_owned())
    };
    let rests = constant(Tensor::from_f32(&shape, rests))?;
    let signs = constant(Tensor::from_f32(&shape, signs))?;
    let flipped = constant(Tensor::from_bool(&shape, flipped))?;
    let (size, quarter) =
        (builder.scalar(size as f32)?, builder.scalar(core::f32::consts::FRAC_PI_2)?);
    let share = builder.map(F::Divide, &[&rests, &size])?;
    let angle = builder.map(F::Multiply, &[&share, &quarter])?;
    let (cosine, sine) = (builder.map(F::Cosine, &[&angle])?, builder.map(F::Sine, &[&angle])?);
    let value = builder.map(F::Select, &[&flipped, &sine, &cosine])?;
    builder.map(F::Multiply, &[&value, &signs])
}

/// `a - b · cos(2π n / N) + c · cos(4π n / N)`.
fn cosines(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
    [a, b, c]: [f32; 3],
) -> Lowered<Value> {
    let attributes = &context.attributes;
    let size = inputs.integers(0)?.and_then(|size| size.first().copied()).unwrap_or(0);
    let size =
        u64::try_from(size).ok().filter(|size| *size > 0).ok_or("the size is not positive")?;
    within(size)?;
    let period = if attributes.int("periodic", 1) != 0 { size } else { size.max(2) - 1 };
    let element = values::element_type(attributes.int("output_datatype", 1) as i32)?;
    let line: Vec<i64> = (0..size as i64).collect();
    let first = turned(builder, &line, &[size], period, Circle::Cosine)?;
    let (a, b) = (builder.scalar(a)?, builder.scalar(b)?);
    let first = builder.map(F::Multiply, &[&first, &b])?;
    let mut value = builder.map(F::Subtract, &[&a, &first])?;
    if c != 0.0 {
        let doubled: Vec<i64> = line.iter().map(|place| 2 * place).collect();
        let second = turned(builder, &doubled, &[size], period, Circle::Cosine)?;
        let c = builder.scalar(c)?;
        let second = builder.map(F::Multiply, &[&second, &c])?;
        value = builder.map(F::Add, &[&value, &second])?;
    }
    builder.cast(&value, element)
}

/// Cosines or sines of `k · n / size` turns, as a matrix `[rows, columns]`.
fn table(
    builder: &mut Builder,
    [rows, columns]: [u64; 2],
    size: u64,
    function: Circle,
) -> Lowered<Value> {
    within(rows.saturating_mul(columns))?;
    let products = (0..rows as i64).flat_map(|k| (0..columns as i64).map(move |n| k * n));
    let products: Vec<i64> = products.collect();
    turned(builder, &products, &[rows, columns], size, function)
}

/// The first `size` elements along an axis, zeros behind where there are fewer.
fn resized(builder: &mut Builder, x: &Value, axis: usize, size: u64) -> Lowered<Value> {
    let mut dimensions = x.dimensions().to_vec();
    if dimensions[axis] == size {
        return Ok(x.clone());
    }
    dimensions[axis] = size;
    let (shape, before) = (make_shape(&dimensions)?, vec![0; x.rank()]);
    builder.emit(Operator::Pad { before, fill: 0 }, vec![x.clone()], ElementType::F32, shape)
}

/// A discrete Fourier transform, by its definition: products with tables of cosines and sines.
fn fourier(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let (x, attributes) = (inputs.get(0)?.clone(), &context.attributes);
    let (inverse, half) = (attributes.int("inverse", 0) != 0, attributes.int("onesided", 0) != 0);
    let axis = match inputs.integers(2)?.and_then(|axis| axis.first().copied()) {
        Some(axis) => axis,
        None => attributes.int("axis", if context.opset < 20 { 1 } else { -2 }),
    };
    let axis = axis_of(axis, x.rank())?;
    let parts = x.shape().columns();
    if axis + 1 >= x.rank() || parts > 2 {
        return Err(
            "needs real or complex numbers along the last axis, and another axis".to_owned()
        );
    }
    let asked = inputs.integers(1)?.and_then(|size| size.first().copied());
    let mut size = match asked {
        Some(size) => u64::try_from(size).map_err(|_| "dft_length is negative")?,
        None if inverse && half => 2 * (x.dimensions()[axis] - 1),
        None => x.dimensions()[axis],
    };
    size = size.max(1);
    // Rows along the axis, for the real and the imaginary part.
    let last = x.rank() - 1;
    let rows = |builder: &mut Builder, index: u64| -> Lowered<Option<Value>> {
        if index >= parts {
            return Ok(None);
        }
        let one = part(builder, &x, last, index, 1)?;
        let one = builder.reshape(&one, &x.dimensions()[..last])?;
        let (moved, _) = builder.axis_last(&one, axis)?;
        Ok(Some(moved))
    };
    let (real, imaginary) = (rows(builder, 0)?, rows(builder, 1)?);
    let mut real = real.ok_or("the input has no numbers")?;
    let mut imaginary = imaginary;
    let along = real.rank() - 1;
    if inverse && half {
        return real_inverse(builder, (&real, imaginary.as_ref()), size, axis);
    }
    real = resized(builder, &real, along, size)?;
    imaginary = imaginary.map(|one| resized(builder, &one, along, size)).transpose()?;
    let outputs = if half { size / 2 + 1 } else { size };
    let cosine = table(builder, [outputs, size], size, Circle::Cosine)?;
    let sine = table(builder, [outputs, size], size, Circle::Sine)?;
    // (a + ib)(cos ∓ i sin): forward takes the minus.
    let product = |builder: &mut Builder, one: &Value, table: &Value| contract(builder, one, table);
    let mut out_real = product(builder, &real, &cosine)?;
    let mut out_imaginary = product(builder, &real, &sine)?;
    if !inverse {
        out_imaginary = builder.map(F::Negate, &[&out_imaginary])?;
    }
    if let Some(imaginary) = &imaginary {
        let (a, b) = (product(builder, imaginary, &sine)?, product(builder, imaginary, &cosine)?);
        let function = if inverse { F::Subtract } else { F::Add };
        out_real = builder.map(function, &[&out_real, &a])?;
        out_imaginary = builder.map(F::Add, &[&out_imaginary, &b])?;
    }
    let mut joined = Vec::new();
    for one in [out_real, out_imaginary] {
        let one = if inverse { shared(builder, &one, size)? } else { one };
        joined.push(complex_part(builder, &one, axis)?);
    }
    let mut dimensions = joined[0].dimensions().to_vec();
    dimensions[last] = 2;
    let shape = make_shape(&dimensions)?;
    builder.emit(Operator::Concat { axis: last as u32 }, joined, ElementType::F32, shape)
}

fn shared(builder: &mut Builder, value: &Value, size: u64) -> Lowered<Value> {
    let size = builder.scalar(size as f32)?;
    builder.map(F::Divide, &[value, &size])
}

/// `[.., size]` with the axis back in its place and an axis for the parts of a number behind.
fn complex_part(builder: &mut Builder, value: &Value, axis: usize) -> Lowered<Value> {
    let rank = value.rank();
    let mut order: Vec<usize> = (0..rank - 1).collect();
    order.insert(axis, rank - 1);
    let value = builder.transpose(value, &order)?;
    let mut dimensions = value.dimensions().to_vec();
    dimensions.push(1);
    builder.reshape(&value, &dimensions)
}

fn contract(builder: &mut Builder, rows: &Value, table: &Value) -> Lowered<Value> {
    let (size, outer) = rows.dimensions().split_last().ok_or("no axis")?;
    let (size, mut dimensions) = (*size, outer.to_vec());
    let flat = builder.reshape(rows, &[dimensions.iter().product(), size])?;
    let product = builder.contract(&flat, table)?;
    dimensions.push(product.shape().columns());
    builder.reshape(&product, &dimensions)
}

/// The real signal of which the first half of the transform is given: the other half mirrors it.
fn real_inverse(
    builder: &mut Builder,
    (real, imaginary): (&Value, Option<&Value>),
    size: u64,
    axis: usize,
) -> Lowered<Value> {
    let (along, given) = (real.rank() - 1, size / 2 + 1);
    // All but the first count twice, and so does not the middle of an even number.
    within(given)?;
    let weights = (0..given).map(|k| if k == 0 || 2 * k == size { 1.0 } else { 2.0 }).collect();
    let weights = Tensor::from_f32(&make_shape(&[1, given])?, weights);
    let weights = weights.map(Value::Constant).ok_or("one weight for each")?;
    let mut sum: Option<Value> = None;
    for (part, function) in [(Some(real), Circle::Cosine), (imaginary, Circle::Sine)] {
        let Some(part) = part else { continue };
        let part = resized(builder, part, along, given)?;
        let angles = table(builder, [size, given], size, function)?;
        let angles = builder.map(F::Multiply, &[&angles, &weights])?;
        let one = contract(builder, &part, &angles)?;
        sum = Some(match sum {
            Some(before) => builder.map(F::Subtract, &[&before, &one])?,
            None => one,
        });
    }
    let sum = sum.ok_or("the input has no numbers")?;
    let sum = shared(builder, &sum, size)?;
    complex_part(builder, &sum, axis)
}

/// Most factors of a running product: each is an operator.
const FACTORS_MAX: u64 = 256;

fn running_product(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let axis = inputs.integers(1)?.and_then(|axis| axis.first().copied()).ok_or("no axis")?;
    let axis = axis_of(axis, x.rank())?;
    let size = x.dimensions()[axis];
    if size > FACTORS_MAX {
        return Err(format!("a running product of more than {FACTORS_MAX} factors"));
    }
    let (exclusive, reverse) =
        (context.attributes.int("exclusive", 0) != 0, context.attributes.int("reverse", 0) != 0);
    let mut dimensions = x.dimensions().to_vec();
    dimensions[axis] = 1;
    let one = builder.scalar_of(x.element(), 1.0)?;
    let mut product = crate::onnx::fold_shapes::expand_to(builder, &one, &dimensions)?;
    let mut products = Vec::new();
    for place in 0..size {
        let place = if reverse { size - 1 - place } else { place };
        let factor = part(builder, x, axis, place, 1)?;
        let next = match products.is_empty() && !exclusive {
            true => factor,
            false => builder.map(F::Multiply, &[&product, &factor])?,
        };
        products.push(if exclusive { product.clone() } else { next.clone() });
        product = next;
    }
    if reverse {
        products.reverse();
    }
    joined(builder, products, axis)
}

/// Parts put together along an axis, in bundles that one operator may take.
fn joined(builder: &mut Builder, mut parts: Vec<Value>, axis: usize) -> Lowered<Value> {
    let rank = parts.first().map_or(0, Value::rank);
    if axis >= rank || parts.iter().any(|part| part.rank() != rank) {
        return Err("parts have different ranks".to_owned());
    }
    while parts.len() > 1 {
        let mut bundles = Vec::new();
        for bundle in parts.chunks(protocol::graph::OPERANDS_MAX) {
            let mut dimensions = bundle[0].dimensions().to_vec();
            dimensions[axis] = bundle.iter().map(|part| part.dimensions()[axis]).sum();
            let (shape, element) = (make_shape(&dimensions)?, bundle[0].element());
            let operator = Operator::Concat { axis: axis as u32 };
            bundles.push(match bundle {
                [one] => one.clone(),
                _ => builder.emit(operator, bundle.to_vec(), element, shape)?,
            });
        }
        parts = bundles;
    }
    parts.pop().ok_or_else(|| "nothing to put together".to_owned())
}

/// A convolution of each channel over the present and what came before; what is carried on.
fn causal(
    builder: &mut Builder,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    let (x, kernel) = (inputs.get(0)?, inputs.get(1)?);
    let (&[batch, channels, length], &[outputs, 1, taps]) = (x.dimensions(), kernel.dimensions())
    else {
        return Err("needs an input of rank 3 and a kernel [channels, 1, taps]".to_owned());
    };
    if outputs != channels {
        return Err("the kernel has not one row for each channel".to_owned());
    }
    let carried = taps - 1;
    let whole = match inputs.optional(3) {
        Some(past) if carried > 0 => joined(builder, vec![past.clone(), x.clone()], 2)?,
        _ if carried > 0 => {
            let shape = make_shape(&[batch, channels, carried + length])?;
            let before = vec![0, 0, carried as i64];
            builder.emit(
                Operator::Pad { before, fill: 0 },
                vec![x.clone()],
                ElementType::F32,
                shape,
            )?
        }
        _ => x.clone(),
    };
    if whole.dimensions() != [batch, channels, carried + length] {
        return Err("past_state has another shape than [batch, channels, taps - 1]".to_owned());
    }
    let value = super::window::by_channel(builder, &whole, kernel)?;
    let value = match inputs.optional(2) {
        Some(bias) => {
            let bias = builder.reshape(bias, &[channels, 1])?;
            builder.map(F::Add, &[&value, &bias])?
        }
        None => value,
    };
    let value = match context.attributes.text("activation", "none").as_str() {
        "none" => value,
        "silu" | "swish" => {
            let one = builder.scalar(1.0)?;
            swish(builder, &value, &one)?
        }
        other => return Err(format!("activation {other} is not known")),
    };
    if context.outputs < 2 {
        return Ok(vec![value]);
    }
    if carried == 0 {
        return Err(
            "a state without elements is not supported; use only the first output".to_owned()
        );
    }
    Ok(vec![value, part(builder, &whole, 2, length, carried)?])
}
