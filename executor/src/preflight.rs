//! The check before the first stake: does this machine compute what the law says?

use std::time::{Duration, Instant};

use inference::engine::by_law;
use inference::{ComputePolicy, Engine, Model, RunError, Runner, Tensor};
use protocol::graph::{Node, Operand, Operator};
use protocol::numerics::{narrow_bf16, narrow_f16};
use protocol::tensor::{ElementType, Shape, TensorType};

/// Why this executor must not stake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// An operator of the model gives other bits than the law.
    #[error(
        "operator {operator} ({kind}) gives {found:#x} at element {element} where the law gives \
         {expected:#x}; this machine or its kernels would lose every stake: do not claim"
    )]
    Differs {
        /// The operator.
        operator: u32,
        /// Its kind.
        kind: &'static str,
        /// The first element that differs.
        element: u64,
        /// Bits found.
        found: u64,
        /// Bits of the law.
        expected: u64,
    },
    /// The check itself could not run.
    #[error("the pre-flight check could not run: {0}")]
    Run(#[from] RunError),
    /// The float environment is not the default one.
    #[error("the float unit does not round to nearest even, or flushes small numbers: {what}")]
    FloatUnit {
        /// What is wrong.
        what: &'static str,
    },
}

/// How long a model's disputes take this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// A run with its commitments: what a restart costs before the first answer.
    pub run: Duration,
    /// The inside of the longest layer: what an answer may cost.
    pub answer: Duration,
}

impl Rehearsal {
    /// Whether an answer is ready in `clock_ms`, a restart included.
    pub fn fits(&self, clock_ms: u64) -> bool {
        (self.run + self.answer).as_millis() <= u128::from(clock_ms)
    }
}

/// Elements of each operator that are compared.
const ELEMENTS_MAX: u64 = 64;

/// Compares every operator of a model, as this executor computes it, with the law, on numbers that
/// round differently in every other order.
///
/// # Errors
/// [`PreflightError::Differs`] names the operator; an executor that sees it must not stake.
pub fn preflight(
    engine: &Engine,
    model: &Model,
    compute_policy: &dyn ComputePolicy,
) -> Result<Rehearsal, PreflightError> {
    float_unit()?;
    let runner = Runner { engine, model, compute_policy };
    let inputs = model
        .graph()
        .inputs
        .iter()
        .enumerate()
        .map(|(index, kind)| (index as u32, awkward(kind, index as u64)))
        .collect();
    let input = inference::State::new(inputs)
        .ok_or_else(|| RunError::NotInModel { what: "input".to_owned() })?;
    let begun = Instant::now();
    // On these numbers a model may have no result from some operator on: those before it are compared.
    let outcome = Runner::honest(engine, model).outcome(input)?;
    let mut rehearsal = Rehearsal { run: begun.elapsed(), answer: Duration::ZERO };
    for layer in 0..model.header().layer_count {
        let Some(before) = outcome.state(layer) else {
            continue;
        };
        let begun = Instant::now();
        let honest = Runner::honest(engine, model).begun_subtrace(layer, before)?;
        rehearsal.answer = rehearsal.answer.max(begun.elapsed());
        let Some(definition) = model.layer(layer) else {
            continue;
        };
        for (operator, _) in (definition.first_operator..).zip(honest.tensors()) {
            let operands = runner.operands(operator, before, &honest)?;
            compare(&runner, operator, &operands)?;
        }
    }
    Ok(rehearsal)
}

fn compare(runner: &Runner<'_>, operator: u32, operands: &[&Tensor]) -> Result<(), PreflightError> {
    let fail = |error| RunError::Operator {
        operator,
        name: runner.model.operator_name(operator).to_owned(),
        error,
    };
    let Some(node) = runner.model.checked(operator) else {
        return Ok(());
    };
    let found = runner
        .compute_policy
        .compute(runner.engine, runner.model, operator, operands)
        .map_err(fail)?;
    let count = node.output.shape.count();
    let step = count.div_ceil(ELEMENTS_MAX).max(1);
    for element in (0..count).step_by(step as usize) {
        let mut tensors = inference::engine::WholeTensors(operands);
        let Ok(expected) = protocol::law::element(node, element, &mut tensors) else {
            continue;
        };
        let found = found.bits(element).unwrap_or(u64::MAX);
        if found != expected {
            let kind = node.operator.kind();
            return Err(PreflightError::Differs { operator, kind, element, found, expected });
        }
    }
    Ok(())
}

/// Numbers with full significands, of both signs and many sizes.
fn awkward(kind: &TensorType, seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bits: Vec<u64> = (0..kind.shape.count())
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = state >> 33;
            // Exponents from 2^-6 to 2^1.
            let float = (121 + random % 8) << 23 | (random >> 3) & 0x7F_FFFF | (random & 4) << 29;
            match kind.element {
                ElementType::F32 => float,
                ElementType::Bf16 => u64::from(narrow_bf16(float as u32)),
                ElementType::F16 => u64::from(narrow_f16(float as u32)),
                ElementType::Bool => random & 1,
                _ => random % 2,
            }
        })
        .collect();
    match Tensor::from_bits(kind, &bits) {
        Some(tensor) => tensor,
        None => unreachable!("one element for each place"),
    }
}

/// Rounding mode and subnormals of the float unit, by results that depend on them.
fn float_unit() -> Result<(), PreflightError> {
    use std::hint::black_box;
    let half = black_box(f32::EPSILON) / 2.0;
    if black_box(1.0f32) + half != 1.0
        || black_box(1.0f32 + f32::EPSILON) + half == 1.0 + f32::EPSILON
    {
        return Err(PreflightError::FloatUnit { what: "rounding is not to nearest even" });
    }
    let shape = Shape::new(&[1]);
    let Some(shape) = shape else { return Ok(()) };
    let kind = TensorType { element: ElementType::F32, shape };
    let node = Node {
        operator: Operator::Map { function: protocol::graph::MapFunction::Multiply },
        operands: vec![
            Operand { value: 0, kind: kind.clone() },
            Operand { value: 1, kind: kind.clone() },
        ],
        output: kind.clone(),
    };
    let numbers =
        [3.0e-7f32, 3.1e-6].map(|value| Tensor::from_bits(&kind, &[u64::from(value.to_bits())]));
    let [Some(a), Some(b)] = numbers else {
        return Ok(());
    };
    match protocol::law::check(&node).map(|node| by_law(node, &[&a, &b])) {
        Ok(Ok(product)) if product.as_f32().first() == Some(&(3.0e-7f32 * 3.1e-6)) => Ok(()),
        _ => Err(PreflightError::FloatUnit { what: "a product differs from integer arithmetic" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_fits_a_clock_in_which_it_runs_again_and_answers() {
        let rehearsal =
            Rehearsal { run: Duration::from_millis(700), answer: Duration::from_millis(300) };
        for (clock_ms, fits) in [(1_000, true), (999, false), (0, false), (u64::MAX, true)] {
            assert_eq!(rehearsal.fits(clock_ms), fits);
        }
    }
}
