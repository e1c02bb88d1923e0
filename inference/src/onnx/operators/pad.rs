//! Borders added and cut off.

use protocol::tensor::ElementType;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, axes_of};
use crate::onnx::movement::{self, gather};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Pad: by a constant, or by elements of the input.
pub(super) fn pad(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let attributes = &node.attributes;
    let pads = node.integers_or(1, "pads")?.ok_or("pads are missing")?;
    let axes: Vec<usize> = match node.integers(3)? {
        Some(axes) => axes_of(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 20) {
        return Err("pads must be two small numbers for each axis".to_owned());
    }
    let (mut before, mut dimensions) = (vec![0i64; x.rank()], x.dimensions().to_vec());
    for (place, axis) in axes.iter().enumerate() {
        let (front, back) = (pads[place], pads[place + axes.len()]);
        before[*axis] = front;
        let size = dimensions[*axis] as i64 + front + back;
        dimensions[*axis] = u64::try_from(size).map_err(|_| "the pads crop everything away")?;
    }
    let mode = attributes.text("mode", "constant");
    if mode != "constant" {
        return pad_by_gather(builder, x, &mode, &before, &dimensions);
    }
    let fill = match node.optional(2) {
        Some(value) => {
            let tensor = value.constant().ok_or("the padding value must be constant")?;
            tensor.bits(0).ok_or("the padding value is empty")?
        }
        None if x.element() == ElementType::F32 => {
            let value = builder.scalar(attributes.float("value", 0.0))?;
            value.constant().and_then(|tensor| tensor.bits(0)).unwrap_or(0)
        }
        None => 0,
    };
    movement::pad(builder, x, before, &dimensions, fill)
}

/// Reflected, edge and wrapped padding: a gather with constant indices for each axis.
fn pad_by_gather(
    builder: &mut Builder,
    x: &Value,
    mode: &str,
    before: &[i64],
    dimensions: &[u64],
) -> Lowered<Value> {
    let mut value = x.clone();
    for axis in 0..x.rank() {
        let size = x.dimensions()[axis] as i64;
        if before[axis] == 0 && dimensions[axis] as i64 == size {
            continue;
        }
        if dimensions[axis] > 1 << 24 {
            return Err("an axis is padded to more than 2^24 elements".to_owned());
        }
        let indices = (0..dimensions[axis] as i64)
            .map(|index| {
                let at = index - before[axis];
                match mode {
                    "edge" => Ok(at.clamp(0, size - 1)),
                    "wrap" => Ok(at.rem_euclid(size)),
                    "reflect" if size == 1 => Ok(0),
                    "reflect" => {
                        let period = 2 * (size - 1);
                        let folded = at.rem_euclid(period);
                        Ok(if folded < size { folded } else { period - folded })
                    }
                    other => Err(format!("padding mode {other} is not known")),
                }
            })
            .collect::<Lowered<Vec<i64>>>()?;
        let indices = builder.integers(indices)?;
        value = gather(builder, &value, &indices, axis)?;
    }
    Ok(value)
}

/// CenterCropPad: cut or padded to a size on both sides.
pub(super) fn centre(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    let x = node.input(0)?;
    let wanted = node.integers(1)?.ok_or("the shape is missing")?;
    let axes = node.axes_or_all(x.rank())?;
    let (mut before, mut dimensions) = (vec![0i64; x.rank()], x.dimensions().to_vec());
    for (axis, wanted) in axes.into_iter().zip(wanted) {
        if !(1..1 << 31).contains(&wanted) {
            return Err(format!("size {wanted} is not a size"));
        }
        let size = dimensions[axis] as i64;
        // Half of what is missing, or of what is too much, rounded down, in front.
        before[axis] = if wanted >= size { (wanted - size) / 2 } else { -((size - wanted) / 2) };
        dimensions[axis] = u64::try_from(wanted).map_err(|_| "a size is negative")?;
    }
    movement::pad(builder, x, before, &dimensions, 0)
}
