//! Windows of samples, and discrete Fourier transforms.

use protocol::graph::MapFunction as F;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axis_of};
use crate::onnx::movement::{joined, pad, part};
use crate::onnx::places::within;
use crate::onnx::shapes::{Lowered, make_shape};
use crate::onnx::value::Value;
use crate::onnx::values;
use crate::tensor::Tensor;

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
    let (rests, signs) = (Value::floats(dimensions, rests)?, Value::floats(dimensions, signs)?);
    let flipped = Tensor::from_bool(&make_shape(dimensions)?, flipped).map(Value::Constant);
    let flipped = flipped.ok_or("one number for each place")?;
    let (size, quarter) =
        (builder.scalar(size as f32)?, builder.scalar(core::f32::consts::FRAC_PI_2)?);
    let share = builder.map(F::Divide, &[&rests, &size])?;
    let angle = builder.map(F::Multiply, &[&share, &quarter])?;
    let (cosine, sine) = (builder.map(F::Cosine, &[&angle])?, builder.map(F::Sine, &[&angle])?);
    let value = builder.map(F::Select, &[&flipped, &sine, &cosine])?;
    builder.map(F::Multiply, &[&value, &signs])
}

/// HannWindow, HammingWindow, BlackmanWindow: `a - b · cos(2π n / N) + c · cos(4π n / N)`.
pub(super) fn window(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    [a, b, c]: [f32; 3],
) -> Lowered<Value> {
    let size = node.integers(0)?.and_then(|size| size.first().copied()).unwrap_or(0);
    let size =
        u64::try_from(size).ok().filter(|size| *size > 0).ok_or("the size is not positive")?;
    within(size)?;
    let period = if node.flag("periodic", true) { size } else { size.max(2) - 1 };
    let element = values::element_type(node.attributes.int("output_datatype", 1) as i32)?;
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

/// The first `size` elements along an axis, followed by zeros where there are fewer.
fn resized(builder: &mut Builder, x: &Value, axis: usize, size: u64) -> Lowered<Value> {
    let mut dimensions = x.dimensions().to_vec();
    if dimensions[axis] == size {
        return Ok(x.clone());
    }
    dimensions[axis] = size;
    pad(builder, x, vec![0; x.rank()], &dimensions, 0)
}

/// A transform that a DFT asks for.
struct Transform {
    inverse: bool,
    /// Only the half of the frequencies that a real signal needs.
    half: bool,
    axis: usize,
    size: u64,
}

impl Transform {
    fn of(node: &OnnxNode<'_>, x: &Value) -> Lowered<Self> {
        let (inverse, half) = (node.flag("inverse", false), node.flag("onesided", false));
        let axis = match node.integers(2)?.and_then(|axis| axis.first().copied()) {
            Some(axis) => axis,
            None => node.attributes.int("axis", if node.opset < 20 { 1 } else { -2 }),
        };
        let axis = axis_of(axis, x.rank())?;
        if axis + 1 >= x.rank() || x.shape().columns() > 2 {
            return Err(
                "needs real or complex numbers along the last axis, and another axis".to_owned()
            );
        }
        let asked = node.integers(1)?.and_then(|size| size.first().copied());
        let size = match asked {
            Some(size) => u64::try_from(size).map_err(|_| "dft_length is negative")?,
            None if inverse && half => 2 * (x.dimensions()[axis] - 1),
            None => x.dimensions()[axis],
        };
        Ok(Self { inverse, half, axis, size: size.max(1) })
    }

    /// Rows along the axis, for the real and the imaginary part.
    fn rows(&self, builder: &mut Builder, x: &Value) -> Lowered<(Value, Option<Value>)> {
        let mut rows = |index: u64| -> Lowered<Value> {
            let last = x.rank() - 1;
            let one = part(builder, x, last, index, 1)?;
            let one = builder.reshape(&one, &x.dimensions()[..last])?;
            let (moved, _) = builder.axis_last(&one, self.axis)?;
            Ok(moved)
        };
        let real = rows(0)?;
        let imaginary = (x.shape().columns() > 1).then(|| rows(1)).transpose()?;
        Ok((real, imaginary))
    }

    /// Real and imaginary part of the transform: `(a + ib)(cos ∓ i sin)`, where forward takes the
    /// minus.
    fn parts(
        &self,
        builder: &mut Builder,
        real: &Value,
        imaginary: Option<&Value>,
    ) -> Lowered<[Value; 2]> {
        let (size, along) = (self.size, real.rank() - 1);
        let real = resized(builder, real, along, size)?;
        let imaginary = imaginary.map(|one| resized(builder, one, along, size)).transpose()?;
        let outputs = if self.half { size / 2 + 1 } else { size };
        let cosine = table(builder, [outputs, size], size, Circle::Cosine)?;
        let sine = table(builder, [outputs, size], size, Circle::Sine)?;
        let mut out_real = builder.contract_rows(&real, &cosine)?;
        let mut out_imaginary = builder.contract_rows(&real, &sine)?;
        if !self.inverse {
            out_imaginary = builder.map(F::Negate, &[&out_imaginary])?;
        }
        if let Some(imaginary) = &imaginary {
            let a = builder.contract_rows(imaginary, &sine)?;
            let b = builder.contract_rows(imaginary, &cosine)?;
            let function = if self.inverse { F::Subtract } else { F::Add };
            out_real = builder.map(function, &[&out_real, &a])?;
            out_imaginary = builder.map(F::Add, &[&out_imaginary, &b])?;
        }
        Ok([out_real, out_imaginary])
    }
}

/// DFT: a discrete Fourier transform by its definition, as products with tables of cosines and sines.
pub(super) fn fourier(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let transform = Transform::of(node, x)?;
    let Transform { inverse, half, axis, size } = transform;
    let (real, imaginary) = transform.rows(builder, x)?;
    if inverse && half {
        return real_inverse(builder, (&real, imaginary.as_ref()), size, axis);
    }
    let mut parts = Vec::new();
    for one in transform.parts(builder, &real, imaginary.as_ref())? {
        let one = if inverse { shared(builder, &one, size)? } else { one };
        parts.push(complex_part(builder, &one, axis)?);
    }
    joined(builder, parts, x.rank() - 1)
}

/// A sum divided by the number of samples.
fn shared(builder: &mut Builder, value: &Value, size: u64) -> Lowered<Value> {
    let size = builder.scalar(size as f32)?;
    builder.map(F::Divide, &[value, &size])
}

/// `[.., size]` with the axis back in its place and an axis for the parts of a number last.
fn complex_part(builder: &mut Builder, value: &Value, axis: usize) -> Lowered<Value> {
    let rank = value.rank();
    let mut order: Vec<usize> = (0..rank - 1).collect();
    order.insert(axis, rank - 1);
    let value = builder.transpose(value, &order)?;
    let mut dimensions = value.dimensions().to_vec();
    dimensions.push(1);
    builder.reshape(&value, &dimensions)
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
    let weights = Value::floats(&[1, given], weights)?;
    let mut sum: Option<Value> = None;
    for (part, function) in [(Some(real), Circle::Cosine), (imaginary, Circle::Sine)] {
        let Some(part) = part else { continue };
        let part = resized(builder, part, along, given)?;
        let angles = table(builder, [size, given], size, function)?;
        let angles = builder.map(F::Multiply, &[&angles, &weights])?;
        let one = builder.contract_rows(&part, &angles)?;
        sum = Some(match sum {
            Some(before) => builder.map(F::Subtract, &[&before, &one])?,
            None => one,
        });
    }
    let sum = sum.ok_or("the input has no numbers")?;
    let sum = shared(builder, &sum, size)?;
    complex_part(builder, &sum, axis)
}
