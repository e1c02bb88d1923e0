//! ONNX operators as compositions of canonical ones.

use protocol::graph::{Fold, MapFunction as F};
use protocol::tensor::ElementType;

use super::attributes::Attributes;
use super::builder::{Builder, Lowered, Value};
use super::empty::Known;
use super::fold_shapes;
use super::values;

mod attention;
mod einsum;
mod elementwise;
mod former;
mod index;
mod linear;
mod normalise;
mod quantise;
mod recurrent;
mod reduce;
mod resize;
mod scatter;
mod shift;
mod signal;
pub(super) mod vendor;
mod window;

/// The inputs of a node; absent optional ones are `None`.
pub(super) struct Inputs<'a> {
    values: &'a [Option<Known>],
}

impl<'a> Inputs<'a> {
    pub(super) fn new(values: &'a [Option<Known>]) -> Self {
        Self { values }
    }

    pub(super) fn get(&self, index: usize) -> Lowered<&'a Value> {
        self.optional(index).ok_or_else(|| match self.is_empty(index) {
            true => format!("input {index} has no elements"),
            false => format!("input {index} is missing"),
        })
    }

    /// An input; an empty list counts as absent, as some exporters write it.
    pub(super) fn optional(&self, index: usize) -> Option<&'a Value> {
        self.values.get(index).and_then(Option::as_ref).and_then(Known::value)
    }

    /// Whether an input is a list without elements.
    pub(super) fn is_empty(&self, index: usize) -> bool {
        matches!(self.values.get(index), Some(Some(Known::Empty)))
    }

    /// All that have elements.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Value> {
        self.values.iter().flatten().filter_map(Known::value)
    }

    /// An input that must be known when the model is imported.
    pub(super) fn integers(&self, index: usize) -> Lowered<Option<Vec<i64>>> {
        let Some(value) = self.optional(index) else {
            return Ok(self.is_empty(index).then(Vec::new));
        };
        let known = value.constant().and_then(|tensor| tensor.integers());
        known.map(Some).ok_or_else(|| {
            format!(
                "input {index} depends on data; shapes must be fixed when the model is imported \
                 (export with constant shapes, or bind the symbolic dimensions)"
            )
        })
    }
}

/// What a lowering knows of its node.
pub(super) struct Context<'a> {
    pub(super) attributes: Attributes<'a>,
    pub(super) opset: i64,
    pub(super) outputs: usize,
}

/// An axis counted from either end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Lowered<usize> {
    let found = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(found)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("axis {axis} is outside rank {rank}"))
}

/// Axes counted from either end.
pub(super) fn axes_of(axes: Vec<i64>, rank: usize) -> Lowered<Vec<usize>> {
    axes.into_iter().map(|axis| axis_of(axis, rank)).collect()
}

fn function_of(operator: &str) -> Option<F> {
    Some(match operator {
        "Add" => F::Add,
        "Sub" => F::Subtract,
        "Mul" => F::Multiply,
        "Div" => F::Divide,
        "Equal" => F::Equal,
        "Less" => F::Less,
        "LessOrEqual" => F::LessOrEqual,
        "And" => F::And,
        "Or" => F::Or,
        "Xor" => F::ExclusiveOr,
        "Not" => F::Not,
        "Neg" => F::Negate,
        "Abs" => F::Absolute,
        "Sqrt" => F::SquareRoot,
        "Exp" => F::Exponential,
        "Log" => F::Logarithm,
        "Tanh" => F::Tanh,
        "Erf" => F::Erf,
        "Sigmoid" => F::Sigmoid,
        "Floor" => F::Floor,
        "Ceil" => F::Ceiling,
        "Round" => F::Round,
        "Sign" => F::Sign,
        "IsNaN" => F::IsNan,
        "Where" => F::Select,
        _ => return None,
    })
}

/// Lowers one node.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    if let Some(own) = operator.strip_prefix(vendor::PREFIX) {
        return vendor::lower(builder, own, inputs, context);
    }
    if context.opset < 7 {
        former::check(operator, inputs, context)?;
    }
    if let Some(function) = function_of(operator) {
        let operands: Vec<&Value> =
            (0..function.operands()).map(|index| inputs.get(index)).collect::<Lowered<_>>()?;
        return builder.map(function, &operands).map(|value| vec![value]);
    }
    if let Some(values) = fold_shapes::lower(builder, operator, inputs, context)? {
        return Ok(values);
    }
    if let Some(value) = elementwise::lower(builder, operator, inputs, context)? {
        return Ok(vec![value]);
    }
    if let Some(values) = index::lower(builder, operator, inputs, context)? {
        return Ok(values);
    }
    if let Some(values) = signal::lower(builder, operator, inputs, context)? {
        return Ok(values);
    }
    if let Some(values) = quantise::lower(builder, operator, inputs, context)? {
        return Ok(values);
    }
    let one = |value: Lowered<Value>| value.map(|value| vec![value]);
    match operator {
        "BitShift" => one(shift::shift(builder, inputs, context)),
        "MatMul" => one(linear::matmul(builder, inputs)),
        "Gemm" => one(linear::gemm(builder, inputs, context)),
        "Conv" => one(window::convolution(builder, inputs, context)),
        "MaxPool" | "AveragePool" => one(window::pool(builder, operator, inputs, context)),
        "GlobalAveragePool" | "GlobalMaxPool" => {
            one(window::global_pool(builder, operator, inputs))
        }
        "BatchNormalization" => one(normalise::batch(builder, inputs, context)),
        "LayerNormalization" => normalise::layer(builder, inputs, context),
        "RMSNormalization" | "SimplifiedLayerNormalization" => {
            one(normalise::root_mean_square(builder, inputs, context))
        }
        "GroupNormalization" => one(normalise::group(builder, inputs, context)),
        "MeanVarianceNormalization" => one(normalise::mean_variance(builder, inputs, context)),
        "LpNormalization" => one(normalise::power_norm(builder, inputs, context)),
        "LRN" => one(normalise::local_response(builder, inputs, context)),
        "ConvTranspose" => one(window::transposed(builder, inputs, context)),
        "LpPool" | "GlobalLpPool" => one(window::power_pool(builder, operator, inputs, context)),
        "Resize" | "Upsample" => one(resize::resize(builder, operator, inputs, context)),
        "Attention" => attention::attention(builder, inputs, context),
        "RotaryEmbedding" => one(attention::rotary(builder, inputs, context)),
        "RNN" | "GRU" | "LSTM" => recurrent::recurrent(builder, operator, inputs, context),
        "Einsum" => one(einsum::einsum(builder, inputs, context)),
        "InstanceNormalization" => one(normalise::instance(builder, inputs, context)),
        "Softmax" | "LogSoftmax" => one(normalise::softmax(builder, operator, inputs, context)),
        name if name.starts_with("Reduce") => {
            one(reduce::reduction(builder, operator, inputs, context))
        }
        _ => one(activation(builder, operator, inputs, context)),
    }
}

/// Functions that are short compositions of scalar ones.
fn activation(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attributes = &context.attributes;
    let alpha = |default: f32| attributes.float("alpha", default);
    match operator {
        "Identity" => Ok(x.clone()),
        "Dropout" => {
            let training = inputs
                .optional(2)
                .is_some_and(|mode| mode.constant().is_none_or(|mode| mode.bits(0) != Some(0)));
            match context.outputs {
                1 if !training => Ok(x.clone()),
                _ => {
                    Err("dropout masks and training are not supported; export for inference"
                        .to_owned())
                }
            }
        }
        "Greater" => builder.map(F::Less, &[inputs.get(1)?, x]),
        "GreaterOrEqual" => builder.map(F::LessOrEqual, &[inputs.get(1)?, x]),
        "Max" => fold_all(builder, F::Maximum, inputs),
        "Min" => fold_all(builder, F::Minimum, inputs),
        "Sum" => fold_all(builder, F::Add, inputs),
        "Mean" => {
            let sum = fold_all(builder, F::Add, inputs)?;
            let count = builder.scalar(inputs.all().count() as f32)?;
            builder.map(F::Divide, &[&sum, &count])
        }
        "Cast" => {
            let to = attributes.get("to").ok_or("attribute to is missing")?.i;
            builder.cast(x, values::element_type(to as i32)?)
        }
        "Pow" => power(builder, x, inputs.get(1)?),
        "Reciprocal" => {
            let one = builder.scalar(1.0)?;
            builder.map(F::Divide, &[&one, x])
        }
        "Relu" => {
            let zero = builder.scalar_of(x.element(), 0.0)?;
            builder.map(F::Maximum, &[x, &zero])
        }
        "LeakyRelu" => {
            let slope = builder.scalar(alpha(0.01))?;
            sloped(builder, x, &slope)
        }
        "PRelu" => {
            let slope = former::slope(builder, x, inputs.get(1)?, context)?;
            sloped(builder, x, &slope)
        }
        "Elu" => {
            let (alpha, one) = (builder.scalar(alpha(1.0))?, builder.scalar(1.0)?);
            let raised = builder.map(F::Exponential, &[x])?;
            let below = builder.map(F::Subtract, &[&raised, &one])?;
            let below = builder.map(F::Multiply, &[&alpha, &below])?;
            where_negative(builder, x, &below)
        }
        "HardSigmoid" => hard_sigmoid(builder, x, alpha(0.2), attributes.float("beta", 0.5)),
        "HardSwish" => {
            let gate = hard_sigmoid(builder, x, 1.0 / 6.0, 0.5)?;
            builder.map(F::Multiply, &[x, &gate])
        }
        "Softplus" => {
            let one = builder.scalar(1.0)?;
            let raised = builder.map(F::Exponential, &[x])?;
            let sum = builder.map(F::Add, &[&raised, &one])?;
            builder.map(F::Logarithm, &[&sum])
        }
        "Softsign" => {
            let one = builder.scalar(1.0)?;
            let size = builder.map(F::Absolute, &[x])?;
            let sum = builder.map(F::Add, &[&one, &size])?;
            builder.map(F::Divide, &[x, &sum])
        }
        "Gelu" => gelu(builder, x, &attributes.text("approximate", "none")),
        "Clip" => clip(builder, inputs, context),
        _ => Err("this operator is not supported; rewrite the model with supported ones \
             (docs/operators.md lists them)"
            .to_owned()),
    }
}

fn fold_all(builder: &mut Builder, function: F, inputs: &Inputs<'_>) -> Lowered<Value> {
    let mut result = inputs.get(0)?.clone();
    for value in inputs.all().skip(1) {
        result = builder.map(function, &[&result, value])?;
    }
    Ok(result)
}

/// `x < 0 ? below : x`.
fn where_negative(builder: &mut Builder, x: &Value, below: &Value) -> Lowered<Value> {
    let zero = builder.scalar_of(x.element(), 0.0)?;
    let negative = builder.map(F::Less, &[x, &zero])?;
    builder.map(F::Select, &[&negative, below, x])
}

fn sloped(builder: &mut Builder, x: &Value, slope: &Value) -> Lowered<Value> {
    let below = builder.map(F::Multiply, &[x, slope])?;
    where_negative(builder, x, &below)
}

fn hard_sigmoid(builder: &mut Builder, x: &Value, alpha: f32, beta: f32) -> Lowered<Value> {
    let (alpha, beta) = (builder.scalar(alpha)?, builder.scalar(beta)?);
    let scaled = builder.map(F::Multiply, &[x, &alpha])?;
    let moved = builder.map(F::Add, &[&scaled, &beta])?;
    let (zero, one) = (builder.scalar(0.0)?, builder.scalar(1.0)?);
    let below = builder.map(F::Minimum, &[&moved, &one])?;
    builder.map(F::Maximum, &[&below, &zero])
}

/// Powers with a small constant exponent are products; others go by the law of `power`.
fn power(builder: &mut Builder, x: &Value, exponent: &Value) -> Lowered<Value> {
    let float = x.element() == ElementType::F32;
    let known = exponent.constant().filter(|tensor| tensor.shape().count() == 1);
    let known = match known {
        Some(tensor) if exponent.rank() <= x.rank() => {
            builder.cast(&Value::Constant(tensor.clone()), ElementType::F32)?.constant().cloned()
        }
        _ => None,
    };
    let known = known.and_then(|tensor| tensor.as_f32().first().copied());
    match known {
        Some(1.0) => Ok(x.clone()),
        Some(2.0) => builder.map(F::Multiply, &[x, x]),
        Some(3.0) => {
            let square = builder.map(F::Multiply, &[x, x])?;
            builder.map(F::Multiply, &[&square, x])
        }
        Some(0.5) if float => builder.map(F::SquareRoot, &[x]),
        _ => {
            let exponent = builder.cast(exponent, x.element())?;
            builder.map(F::Power, &[x, &exponent])
        }
    }
}

/// x · 0.5 · (1 + erf(x / √2)), or its approximation by tanh.
fn gelu(builder: &mut Builder, x: &Value, approximate: &str) -> Lowered<Value> {
    let (half, one) = (builder.scalar(0.5)?, builder.scalar(1.0)?);
    let inner = match approximate {
        "none" => {
            let root = builder.scalar(core::f32::consts::FRAC_1_SQRT_2)?;
            let scaled = builder.map(F::Multiply, &[x, &root])?;
            builder.map(F::Erf, &[&scaled])?
        }
        "tanh" => {
            let (cubic, root) = (builder.scalar(0.044_715)?, builder.scalar(0.797_884_6)?);
            let square = builder.map(F::Multiply, &[x, x])?;
            let cube = builder.map(F::Multiply, &[&square, x])?;
            let cube = builder.map(F::Multiply, &[&cube, &cubic])?;
            let sum = builder.map(F::Add, &[x, &cube])?;
            let scaled = builder.map(F::Multiply, &[&sum, &root])?;
            builder.map(F::Tanh, &[&scaled])?
        }
        other => {
            return Err(format!("approximate {other} is not known; use none or tanh"));
        }
    };
    let sum = builder.map(F::Add, &[&inner, &one])?;
    let halved = builder.map(F::Multiply, &[x, &half])?;
    builder.map(F::Multiply, &[&halved, &sum])
}

fn clip(builder: &mut Builder, inputs: &Inputs<'_>, context: &Context<'_>) -> Lowered<Value> {
    let x = inputs.get(0)?;
    let attribute = |name: &str| context.attributes.get(name).map(|attribute| attribute.f);
    let (least, most) = if context.opset < 11 {
        let make =
            |builder: &Builder, value: Option<f32>| value.map(|v| builder.scalar(v)).transpose();
        (make(builder, attribute("min"))?, make(builder, attribute("max"))?)
    } else {
        (inputs.optional(1).cloned(), inputs.optional(2).cloned())
    };
    clipped(builder, x, least.as_ref(), most.as_ref())
}

/// A value held between two bounds.
fn clipped(
    builder: &mut Builder,
    x: &Value,
    least: Option<&Value>,
    most: Option<&Value>,
) -> Lowered<Value> {
    let mut value = x.clone();
    if let Some(least) = least {
        value = builder.map(F::Maximum, &[&value, least])?;
    }
    if let Some(most) = most {
        value = builder.map(F::Minimum, &[&value, most])?;
    }
    Ok(value)
}

/// Sum of squares and the like need this shape: map, fold, map.
pub(super) fn fold_axes(
    builder: &mut Builder,
    fold: Fold,
    value: &Value,
    axes: &[usize],
    keep: bool,
) -> Lowered<Value> {
    let kept = builder.reduce_keep(fold, value, axes)?;
    if keep { Ok(kept) } else { drop_axes(builder, &kept, axes) }
}

/// Removes axes of size 1.
pub(super) fn drop_axes(builder: &mut Builder, value: &Value, axes: &[usize]) -> Lowered<Value> {
    let dimensions: Vec<u64> = value
        .dimensions()
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, size)| *size)
        .collect();
    builder.reshape(value, &dimensions)
}
