//! Windows: what lies under their taps, and how many outputs they give.

use protocol::graph::Window;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A window along one axis.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) kernel: u32,
    pub(super) stride: u32,
    pub(super) dilation: u32,
    pub(super) before: u64,
    pub(super) after: u64,
    pub(super) output: u64,
}

impl Reach {
    /// No window: as along the axis that a 1-d image lacks.
    pub(super) const NONE: Self =
        Self { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: 1 };

    /// Elements from the first tap to the last.
    pub(super) fn span(&self) -> u64 {
        u64::from(self.dilation) * u64::from(self.kernel - 1) + 1
    }
}

/// A window over height and width.
pub(super) struct Plane {
    pub(super) down: Reach,
    pub(super) right: Reach,
}

impl Plane {
    /// Both windows as the canonical operators have them.
    pub(super) fn window(&self) -> Window {
        let both = |pick: fn(&Reach) -> u32| (pick(&self.down), pick(&self.right));
        Window {
            kernel: both(|one| one.kernel),
            strides: both(|one| one.stride),
            dilations: both(|one| one.dilation),
            pads: both(|one| one.before as u32),
        }
    }

    /// Rows and columns of the output.
    pub(super) fn output(&self) -> [u64; 2] {
        [self.down.output, self.right.output]
    }
}

/// One number for each spatial axis.
pub(super) fn numbers(
    values: Option<Vec<i64>>,
    axes: usize,
    default: i64,
    name: &str,
) -> Lowered<Vec<u32>> {
    let values = values.unwrap_or(vec![default; axes]);
    if values.len() != axes {
        return Err(format!("{name} has not one number for each spatial axis"));
    }
    let number = |value: &i64| u32::try_from(*value).map_err(|_| format!("{name} is negative"));
    values.iter().map(number).collect()
}

/// Two numbers from a list of one (1-d) or two.
pub(super) fn pair(
    values: Option<Vec<i64>>,
    flat: bool,
    default: i64,
    name: &str,
) -> Lowered<[u32; 2]> {
    let found = numbers(values, if flat { 1 } else { 2 }, default, name)?;
    let other = u32::try_from(default).map_err(|_| format!("{name} is negative"))?;
    match found[..] {
        [one] => Ok([other, one]),
        [first, second] => Ok([first, second]),
        _ => Err(format!("{name} has not one number for each spatial axis")),
    }
}

/// The window along each spatial axis of these sizes.
pub(super) fn reaches(node: &OnnxNode<'_>, kernel: &[u32], size: &[u64]) -> Lowered<Vec<Reach>> {
    let (attributes, axes) = (&node.attributes, size.len());
    let strides = numbers(attributes.ints("strides"), axes, 1, "strides")?;
    let dilations = numbers(attributes.ints("dilations"), axes, 1, "dilations")?;
    if kernel.len() != axes || [&strides, &dilations, kernel].iter().any(|one| one.contains(&0)) {
        return Err("kernel, strides and dilations must be positive".to_owned());
    }
    let padding = Padding::of(node, axes)?;
    let ceiling = node.flag("ceil_mode", false);
    let mut found = Vec::new();
    for axis in 0..axes {
        let (kernel, stride, dilation) = (kernel[axis], strides[axis], dilations[axis]);
        let mut reach = Reach { kernel, stride, dilation, ..Reach::NONE };
        let (stride, span) = (u64::from(stride), reach.span());
        (reach.before, reach.after) = padding.along(axis, size[axis], stride, span);
        let padded = size[axis] + reach.before + reach.after;
        let room = padded.checked_sub(span).ok_or("the window is larger than the padded input")?;
        reach.output = if ceiling { room.div_ceil(stride) } else { room / stride } + 1;
        // A window that would start after the input is dropped.
        if ceiling && (reach.output - 1) * stride >= size[axis] + reach.before {
            reach.output -= 1;
        }
        found.push(reach);
    }
    Ok(found)
}

/// What is added around an input.
enum Padding {
    /// These numbers: those before each axis, then those after each.
    Given(Vec<i64>),
    /// Nothing.
    Valid,
    /// As much as gives one output for each stride, the larger half before or after.
    Same { large_after: bool },
}

impl Padding {
    fn of(node: &OnnxNode<'_>, axes: usize) -> Lowered<Self> {
        match node.attributes.text("auto_pad", "NOTSET").as_str() {
            "NOTSET" => {
                let pads = node.attributes.ints("pads").unwrap_or(vec![0; 2 * axes]);
                if pads.len() != 2 * axes || pads.iter().any(|pad| !(0..1 << 16).contains(pad)) {
                    return Err("pads must be two small numbers for each spatial axis".to_owned());
                }
                Ok(Self::Given(pads))
            }
            "VALID" => Ok(Self::Valid),
            "SAME_UPPER" => Ok(Self::Same { large_after: true }),
            "SAME_LOWER" => Ok(Self::Same { large_after: false }),
            other => Err(format!("auto_pad {other} is not known")),
        }
    }

    /// What is added before and after an axis.
    fn along(&self, axis: usize, size: u64, stride: u64, span: u64) -> (u64, u64) {
        match self {
            Self::Given(pads) => (pads[axis] as u64, pads[axis + pads.len() / 2] as u64),
            Self::Valid => (0, 0),
            Self::Same { large_after } => {
                let outputs = size.div_ceil(stride);
                let total = ((outputs - 1) * stride + span).saturating_sub(size);
                let (small, large) = (total / 2, total - total / 2);
                if *large_after { (small, large) } else { (large, small) }
            }
        }
    }
}

/// The window over height and width, or along the width of what was flat.
pub(super) fn planar_window(
    node: &OnnxNode<'_>,
    kernel: [u32; 2],
    size: [u64; 2],
    flat: bool,
) -> Lowered<Plane> {
    let reaches = if flat {
        reaches(node, &kernel[1..], &size[1..])?
    } else {
        reaches(node, &kernel, &size)?
    };
    match reaches[..] {
        [right] => Ok(Plane { down: Reach::NONE, right }),
        [down, right] => Ok(Plane { down, right }),
        _ => Err("only windows along one or two axes are planar".to_owned()),
    }
}

/// `[N, C, L]` as `[N, C, 1, L]`; whether it was flat.
pub(super) fn planar(builder: &mut Builder, value: &Value) -> Lowered<(Value, bool)> {
    match *value.dimensions() {
        [_, _, _, _] => Ok((value.clone(), false)),
        [first, second, length] => Ok((builder.reshape(value, &[first, second, 1, length])?, true)),
        _ => {
            Err("only windows along one, two or three axes are supported (rank 3, 4 or 5)"
                .to_owned())
        }
    }
}

/// Back to channels first, and to rank 3 when it was flat.
pub(super) fn channels_first(builder: &mut Builder, value: &Value, flat: bool) -> Lowered<Value> {
    let value = builder.transpose(value, &[0, 3, 1, 2])?;
    match (flat, value.dimensions()) {
        (true, &[n, c, _, length]) => builder.reshape(&value, &[n, c, length]),
        _ => Ok(value),
    }
}

/// Taps of each window along an axis that count in a mean.
fn taps(reach: &Reach, size: u64, padded: bool) -> Vec<u64> {
    let (stride, dilation) = (u64::from(reach.stride), u64::from(reach.dilation));
    let first = if padded { 0 } else { reach.before };
    let end = reach.before + size + if padded { reach.after } else { 0 };
    let along = |out: u64| {
        let start = out * stride;
        // Taps below a bound: those t with start + t · dilation < bound.
        let below = |bound: u64| {
            bound.saturating_sub(start).div_ceil(dilation).min(u64::from(reach.kernel))
        };
        below(end).saturating_sub(below(first))
    };
    (0..reach.output).map(along).collect()
}

/// Number of taps that count in the mean of each window, `[1, outputs.., 1]`, from the window along each
/// axis and the axis's size. Padding counts where the node says so.
pub(super) fn tap_counts(node: &OnnxNode<'_>, axes: &[(Reach, u64)]) -> Lowered<Value> {
    let dimensions: Vec<u64> = axes.iter().map(|(reach, _)| reach.output).collect();
    let count = dimensions.iter().fold(1u64, |count, size| count.saturating_mul(*size));
    if count > 1 << 24 {
        return Err(match axes.len() {
            2 => "the pooled image has more than 2^24 pixels",
            _ => "the pooled volume has more than 2^24 places",
        }
        .to_owned());
    }
    let padded = node.flag("count_include_pad", false);
    let mut counts = vec![1];
    for (reach, size) in axes {
        let along = taps(reach, *size, padded);
        counts =
            counts.iter().flat_map(|count| along.iter().map(move |taps| count * taps)).collect();
    }
    let dimensions: Vec<u64> = [1].into_iter().chain(dimensions).chain([1]).collect();
    Value::floats(&dimensions, counts.into_iter().map(|count| count.max(1) as f32).collect())
}
