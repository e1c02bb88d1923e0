//! Resizing: each axis by itself, a gather for the nearest place, a product with a constant matrix
//! for interpolation. Places and coefficients are computed in binary64 additions, products and
//! quotients when the model is imported, and become weights.

use protocol::graph::MapFunction;
use protocol::tensor::ElementType;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::OnnxNode;
use crate::onnx::movement::gather;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Most coefficients of one axis.
const COEFFICIENTS_MAX: u64 = 1 << 24;

/// How one axis is resized.
struct Axis {
    size: u64,
    output: u64,
    /// Outputs for each input, as the model says.
    scale: f64,
    /// First and last place of a cropped axis, as parts of it.
    crop: (f64, f64),
}

/// What the attributes say.
struct Style {
    mode: String,
    nearest: String,
    coordinates: String,
    cubic: f64,
    outside: f64,
    exclude: bool,
    antialias: bool,
}

fn floats(node: &OnnxNode<'_>, index: usize) -> Lowered<Option<Vec<f64>>> {
    let Some(value) = node.optional(index) else {
        return Ok(None);
    };
    let tensor = value.constant().ok_or_else(|| {
        format!("input {index} depends on data; scales and sizes must be constant")
    })?;
    Ok(Some(tensor.as_f32().iter().map(|value| f64::from(*value)).collect()))
}

/// Resize and Upsample; before operator set 11, and in Upsample, the scales are input 1.
fn resized(builder: &mut Builder, node: &OnnxNode<'_>, old: bool) -> Lowered<Value> {
    let x = node.input(0)?;
    let crop = if old { None } else { floats(node, 1)?.filter(|crop| !crop.is_empty()) };
    let sizing = Sizing::of(node, x, old)?;
    let style = Style::of(node, old);
    let mut value = x.clone();
    for (place, axis) in sizing.axes.iter().enumerate() {
        let size = x.dimensions()[*axis];
        let (output, scale) = sizing.output(x, place)?;
        if !(1e-6..1e6).contains(&scale) {
            return Err(format!("scale {scale} is outside the limits"));
        }
        if output == size && scale == 1.0 && crop.is_none() {
            continue;
        }
        let ends = crop
            .as_ref()
            .and_then(|crop| Some((*crop.get(place)?, *crop.get(place + sizing.axes.len())?)));
        let one = Axis { size, output, scale, crop: ends.unwrap_or((0.0, 1.0)) };
        value = along(builder, &value, *axis, &one, &style)?;
    }
    Ok(value)
}

/// Resize.
pub(super) fn resize(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    resized(builder, node, node.opset < 11)
}

/// Upsample.
pub(super) fn upsample(builder: &mut Builder, node: &OnnxNode<'_>) -> Lowered<Value> {
    resized(builder, node, true)
}

/// Which axes are resized, and by what.
struct Sizing {
    axes: Vec<usize>,
    scales: Option<Vec<f64>>,
    wanted: Option<Vec<i64>>,
    policy: String,
}

impl Sizing {
    fn of(node: &OnnxNode<'_>, x: &Value, old: bool) -> Lowered<Self> {
        let scales = match node.attributes.floats("scales") {
            Some(scales) => Some(scales.into_iter().map(f64::from).collect()),
            None => floats(node, if old { 1 } else { 2 })?,
        };
        let scales = scales.filter(|scales: &Vec<f64>| !scales.is_empty());
        let wanted = if old { None } else { node.integers(3)? };
        let axes = node.axes_or_all(x.rank())?;
        let given = scales.as_ref().map(Vec::len).or(wanted.as_ref().map(Vec::len));
        if given != Some(axes.len()) {
            return Err("there is not one scale or size for each axis".to_owned());
        }
        let policy = node.attributes.text("keep_aspect_ratio_policy", "stretch");
        Ok(Self { axes, scales, wanted, policy })
    }

    /// The size of a resized axis, and outputs for each input.
    fn output(&self, x: &Value, place: usize) -> Lowered<(u64, f64)> {
        let size = |place: usize| x.dimensions()[self.axes[place]] as f64;
        match (&self.scales, &self.wanted) {
            (Some(scales), _) => Ok(((size(place) * scales[place]).floor() as u64, scales[place])),
            (None, Some(wanted)) => {
                let ratio = |place: usize| wanted[place] as f64 / size(place);
                let ratios = (0..self.axes.len()).map(ratio);
                let scale = match self.policy.as_str() {
                    "stretch" => return Ok((wanted[place] as u64, ratio(place))),
                    "not_larger" => ratios.fold(f64::INFINITY, f64::min),
                    _ => ratios.fold(0.0, f64::max),
                };
                Ok(((scale * size(place)).round() as u64, scale))
            }
            (None, None) => Err("scales and sizes are missing".to_owned()),
        }
    }
}

impl Style {
    fn of(node: &OnnxNode<'_>, old: bool) -> Self {
        let attributes = &node.attributes;
        let nearest = if old { "floor" } else { "round_prefer_floor" };
        let coordinates = if old { "asymmetric" } else { "half_pixel" };
        Self {
            mode: attributes.text("mode", "nearest"),
            nearest: attributes.text("nearest_mode", nearest),
            coordinates: attributes.text("coordinate_transformation_mode", coordinates),
            cubic: f64::from(attributes.float("cubic_coeff_a", -0.75)),
            outside: f64::from(attributes.float("extrapolation_value", 0.0)),
            exclude: node.flag("exclude_outside", false),
            antialias: node.flag("antialias", false),
        }
    }
}

impl Axis {
    /// Where an output place lies in the input.
    fn source(&self, at: u64, style: &Style) -> Lowered<f64> {
        let (x, last) = (at as f64, self.size as f64 - 1.0);
        let output = self.scale * self.size as f64;
        let (first, end) = self.crop;
        Ok(match style.coordinates.as_str() {
            "align_corners" if output == 1.0 => 0.0,
            "align_corners" => x * last / (output - 1.0),
            "asymmetric" => x / self.scale,
            "tf_crop_and_resize" if output == 1.0 => (end - first) * last / 2.0 + first * last,
            "tf_crop_and_resize" => x * (end - first) * last / (output - 1.0) + first * last,
            "pytorch_half_pixel" if output == 1.0 => -0.5,
            "half_pixel" | "pytorch_half_pixel" => (x + 0.5) / self.scale - 0.5,
            "half_pixel_symmetric" => {
                let offset = self.size as f64 / 2.0 * (1.0 - self.output as f64 / output);
                offset + (x + 0.5) / self.scale - 0.5
            }
            other => return Err(format!("coordinates {other} are not known")),
        })
    }

    fn is_outside(&self, at: f64, style: &Style) -> bool {
        style.coordinates == "tf_crop_and_resize" && !(0.0..=self.size as f64 - 1.0).contains(&at)
    }
}

/// Resizes one axis.
fn along(
    builder: &mut Builder,
    value: &Value,
    axis: usize,
    one: &Axis,
    style: &Style,
) -> Lowered<Value> {
    if one.output == 0 || one.output.saturating_mul(one.size) > COEFFICIENTS_MAX {
        return Err("an axis is resized to nothing or to too much".to_owned());
    }
    if style.mode == "nearest" {
        let indices = builder.integers(nearest(one, style)?)?;
        return gather(builder, value, &indices, axis);
    }
    if value.element() != ElementType::F32 {
        return Err("only floats can be interpolated".to_owned());
    }
    let (mut matrix, mut offsets) = (Vec::new(), Vec::new());
    for at in 0..one.output {
        let source = one.source(at, style)?;
        let outside = one.is_outside(source, style);
        offsets.push(if outside { style.outside as f32 } else { 0.0 });
        let row = if outside { vec![0.0; one.size as usize] } else { row(source, one, style)? };
        matrix.extend(row.into_iter().map(|coefficient| coefficient as f32));
    }
    let matrix = Value::floats(&[one.output, one.size], matrix)?;
    let rank = value.rank();
    let (moved, back) = builder.axis_last(value, axis)?;
    let outer: u64 = moved.dimensions()[..rank - 1].iter().product();
    let rows = builder.reshape(&moved, &[outer, one.size])?;
    let mut product = builder.contract(&rows, &matrix)?;
    if offsets.iter().any(|offset| *offset != 0.0) {
        let offsets = Value::floats(&[one.output], offsets)?;
        product = builder.map(MapFunction::Add, &[&product, &offsets])?;
    }
    let mut dimensions = moved.dimensions()[..rank - 1].to_vec();
    dimensions.push(one.output);
    let product = builder.reshape(&product, &dimensions)?;
    builder.transpose(&product, &back)
}

/// The input nearest to each output.
fn nearest(one: &Axis, style: &Style) -> Lowered<Vec<i64>> {
    (0..one.output)
        .map(|at| {
            let source = one.source(at, style)?;
            let nearest = match style.nearest.as_str() {
                "floor" => source.floor(),
                "ceil" => source.ceil(),
                "round_prefer_floor" => (source - 0.5).ceil(),
                "round_prefer_ceil" => (source + 0.5).floor(),
                other => return Err(format!("nearest mode {other} is not known")),
            };
            Ok((nearest as i64).clamp(0, one.size as i64 - 1))
        })
        .collect()
}

/// How far a kernel of interpolation reaches on either side, and its coefficients.
type Kernel = (f64, Box<dyn Fn(f64) -> f64>);

fn kernel(style: &Style) -> Lowered<Kernel> {
    match style.mode.as_str() {
        "linear" => Ok((1.0, Box::new(|x: f64| (1.0 - x.abs()).max(0.0)))),
        "cubic" => {
            let a = style.cubic;
            let cubic = move |x: f64| {
                let x = x.abs();
                if x <= 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
                } else {
                    0.0
                }
            };
            Ok((2.0, Box::new(cubic)))
        }
        other => Err(format!("mode {other} is not known")),
    }
}

/// Coefficients of all inputs for one output.
fn row(source: f64, one: &Axis, style: &Style) -> Lowered<Vec<f64>> {
    let stretch = if style.antialias { one.scale.min(1.0) } else { 1.0 };
    let (reach, kernel) = kernel(style)?;
    let (first, last) =
        ((source - reach / stretch).floor() as i64, (source + reach / stretch).ceil() as i64);
    if last.saturating_sub(first) > 1 << 22 {
        return Err("an output is made from too many inputs".to_owned());
    }
    let mut row = vec![0.0; one.size as usize];
    let (mut inside, mut whole) = (0.0, 0.0);
    for place in first..=last {
        let coefficient = kernel((place as f64 - source) * stretch);
        whole += coefficient;
        let within = (0..one.size as i64).contains(&place);
        if within || !style.exclude {
            row[place.clamp(0, one.size as i64 - 1) as usize] += coefficient;
            inside += coefficient;
        }
    }
    let sum = if style.exclude { inside } else { whole };
    if style.exclude || style.antialias {
        row.iter_mut().for_each(|coefficient| *coefficient /= sum);
    }
    Ok(row)
}
