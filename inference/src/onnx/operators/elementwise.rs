//! Functions of single elements that are short compositions of scalar ones.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::{Context, Inputs};
use crate::onnx::builder::{Builder, Lowered, Value};

/// A composition of one operand with constants.
struct Formula<'a> {
    builder: &'a mut Builder,
    element: ElementType,
}

impl Formula<'_> {
    fn constant(&mut self, value: f32) -> Lowered<Value> {
        self.builder.scalar_of(self.element, value)
    }

    fn with(&mut self, function: F, a: &Value, b: f32) -> Lowered<Value> {
        let b = self.constant(b)?;
        self.builder.map(function, &[a, &b])
    }

    fn one(&mut self, function: F, a: &Value) -> Lowered<Value> {
        self.builder.map(function, &[a])
    }

    fn two(&mut self, function: F, a: &Value, b: &Value) -> Lowered<Value> {
        self.builder.map(function, &[a, b])
    }
}

/// Lowers a function of single elements; `Ok(None)` for other operators.
pub(super) fn lower(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Option<Value>> {
    let attributes = &context.attributes;
    let float = |name: &str, default: f32| attributes.float(name, default);
    let Some(x) = inputs.optional(0) else {
        return Ok(None);
    };
    let mut f = Formula { element: x.element(), builder };
    let value = match operator {
        "Sin" => f.one(F::Sine, x)?,
        "Cos" => f.one(F::Cosine, x)?,
        "Tan" => {
            let (sine, cosine) = (f.one(F::Sine, x)?, f.one(F::Cosine, x)?);
            f.two(F::Divide, &sine, &cosine)?
        }
        "Atan" => f.one(F::ArcTangent, x)?,
        // asin x = atan(x / √((1 − x)(1 + x))), acos x = π/2 − asin x.
        "Asin" | "Acos" => {
            let one = f.constant(1.0)?;
            let (below, above) = (f.two(F::Subtract, &one, x)?, f.two(F::Add, &one, x)?);
            let product = f.two(F::Multiply, &below, &above)?;
            let root = f.one(F::SquareRoot, &product)?;
            let ratio = f.two(F::Divide, x, &root)?;
            let angle = f.one(F::ArcTangent, &ratio)?;
            if operator == "Asin" {
                angle
            } else {
                let quarter = f.constant(core::f32::consts::FRAC_PI_2)?;
                f.two(F::Subtract, &quarter, &angle)?
            }
        }
        "Sinh" | "Cosh" => {
            let minus = f.one(F::Negate, x)?;
            let (up, down) = (f.one(F::Exponential, x)?, f.one(F::Exponential, &minus)?);
            let function = if operator == "Sinh" { F::Subtract } else { F::Add };
            let sum = f.two(function, &up, &down)?;
            f.with(F::Multiply, &sum, 0.5)?
        }
        // sign(x) · ln(|x| + √(x² + 1)), so that large negatives do not cancel.
        "Asinh" => {
            let size = f.one(F::Absolute, x)?;
            let square = f.two(F::Multiply, x, x)?;
            let sum = f.with(F::Add, &square, 1.0)?;
            let root = f.one(F::SquareRoot, &sum)?;
            let sum = f.two(F::Add, &size, &root)?;
            let log = f.one(F::Logarithm, &sum)?;
            let sign = f.one(F::Sign, x)?;
            f.two(F::Multiply, &sign, &log)?
        }
        "Acosh" => {
            let square = f.two(F::Multiply, x, x)?;
            let difference = f.with(F::Subtract, &square, 1.0)?;
            let root = f.one(F::SquareRoot, &difference)?;
            let sum = f.two(F::Add, x, &root)?;
            f.one(F::Logarithm, &sum)?
        }
        "Atanh" => {
            let one = f.constant(1.0)?;
            let (above, below) = (f.two(F::Add, &one, x)?, f.two(F::Subtract, &one, x)?);
            let ratio = f.two(F::Divide, &above, &below)?;
            let log = f.one(F::Logarithm, &ratio)?;
            f.with(F::Multiply, &log, 0.5)?
        }
        "BitwiseAnd" => f.two(F::And, x, inputs.get(1)?)?,
        "BitwiseOr" => f.two(F::Or, x, inputs.get(1)?)?,
        "BitwiseXor" => f.two(F::ExclusiveOr, x, inputs.get(1)?)?,
        "BitwiseNot" => f.one(F::Not, x)?,
        "Mod" => modulo(&mut f, x, inputs.get(1)?, attributes.int("fmod", 0) != 0)?,
        "IsInf" => is_infinite(&mut f, x, context)?,
        "CastLike" => {
            let element = inputs.get(1)?.element();
            f.builder.cast(x, element)?
        }
        "Celu" => {
            let alpha = float("alpha", 1.0);
            let scaled = f.with(F::Divide, x, alpha)?;
            let raised = f.one(F::Exponential, &scaled)?;
            let below = f.with(F::Subtract, &raised, 1.0)?;
            let below = f.with(F::Multiply, &below, alpha)?;
            let (below, above) = (f.with(F::Minimum, &below, 0.0)?, f.with(F::Maximum, x, 0.0)?);
            f.two(F::Add, &above, &below)?
        }
        "Selu" => {
            let (alpha, gamma) = (float("alpha", 1.673_263_2), float("gamma", 1.050_701));
            let raised = f.one(F::Exponential, x)?;
            let below = f.with(F::Multiply, &raised, alpha)?;
            let below = f.with(F::Subtract, &below, alpha)?;
            let zero = f.constant(0.0)?;
            let positive = f.two(F::Less, &zero, x)?;
            let chosen = f.builder.map(F::Select, &[&positive, x, &below])?;
            f.with(F::Multiply, &chosen, gamma)?
        }
        "Mish" => {
            let raised = f.one(F::Exponential, x)?;
            let sum = f.with(F::Add, &raised, 1.0)?;
            let soft = f.one(F::Logarithm, &sum)?;
            let gate = f.one(F::Tanh, &soft)?;
            f.two(F::Multiply, x, &gate)?
        }
        "Swish" => {
            let scaled = f.with(F::Multiply, x, float("alpha", 1.0))?;
            let gate = f.one(F::Sigmoid, &scaled)?;
            f.two(F::Multiply, x, &gate)?
        }
        "ThresholdedRelu" => {
            let least = f.constant(float("alpha", 1.0))?;
            let kept = f.two(F::Less, &least, x)?;
            let zero = f.constant(0.0)?;
            f.builder.map(F::Select, &[&kept, x, &zero])?
        }
        "Shrink" => {
            let (edge, bias) = (float("lambd", 0.5), float("bias", 0.0));
            let (lower, upper) = (f.constant(-edge)?, f.constant(edge)?);
            let (up, down) = (f.with(F::Add, x, bias)?, f.with(F::Subtract, x, bias)?);
            let (left, right) = (f.two(F::Less, x, &lower)?, f.two(F::Less, &upper, x)?);
            let zero = f.constant(0.0)?;
            let inner = f.builder.map(F::Select, &[&right, &down, &zero])?;
            f.builder.map(F::Select, &[&left, &up, &inner])?
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// The remainder with the sign of the divisor; with the dividend's under `fmod`.
fn modulo(f: &mut Formula<'_>, x: &Value, y: &Value, of_dividend: bool) -> Lowered<Value> {
    let rest = f.two(F::Remainder, x, y)?;
    if of_dividend {
        return Ok(rest);
    }
    let zero = f.constant(0.0)?;
    let (negative, divisor_negative) = (f.two(F::Less, &rest, &zero)?, f.two(F::Less, y, &zero)?);
    let differs = f.two(F::ExclusiveOr, &negative, &divisor_negative)?;
    let whole = f.two(F::Equal, &rest, &zero)?;
    let broken = f.one(F::Not, &whole)?;
    let wrong = f.two(F::And, &differs, &broken)?;
    let moved = f.two(F::Add, &rest, y)?;
    f.builder.map(F::Select, &[&wrong, &moved, &rest])
}

fn is_infinite(f: &mut Formula<'_>, x: &Value, context: &Context<'_>) -> Lowered<Value> {
    let attributes = &context.attributes;
    let (below, above) =
        (attributes.int("detect_negative", 1) != 0, attributes.int("detect_positive", 1) != 0);
    // Beyond the largest finite number.
    let most = f.constant(f32::MAX)?;
    let least = f.constant(f32::MIN)?;
    let (high, low) = (f.two(F::Less, &most, x)?, f.two(F::Less, x, &least)?);
    match (below, above) {
        (true, true) => f.two(F::Or, &high, &low),
        (false, true) => Ok(high),
        (true, false) => Ok(low),
        (false, false) => f.two(F::And, &high, &low),
    }
}
