//! Scalar functions over rows that lie in the cache: the steps of a fused pass.

use protocol::graph::{Fold, MapFunction};
use protocol::numerics::{Arithmetic, elementary, store};

use crate::reduce::{fold_bits, larger, smaller};
use crate::{Isa, on_isa};

/// An operand of a row: an element for each place, or one for all.
#[derive(Clone, Copy, Debug)]
pub enum RowOperand<'a> {
    /// As many elements as the result has.
    Many(&'a [f32]),
    /// The same for every place.
    One(f32),
}

/// Whether [`map_row`] computes a function.
pub const fn maps_rows(function: MapFunction) -> bool {
    use MapFunction as F;
    match function {
        F::Add
        | F::Subtract
        | F::Multiply
        | F::Divide
        | F::Maximum
        | F::Minimum
        | F::Equal
        | F::Less
        | F::LessOrEqual
        | F::Negate
        | F::Absolute
        | F::SquareRoot
        | F::Exponential
        | F::Logarithm
        | F::Tanh
        | F::Erf
        | F::Sigmoid
        | F::ArcTangent
        | F::Floor
        | F::Ceiling
        | F::Round
        | F::Select => true,
        F::Power
        | F::And
        | F::Or
        | F::ExclusiveOr
        | F::Not
        | F::Sign
        | F::IsNan
        | F::Cast
        | F::Sine
        | F::Cosine
        | F::Remainder
        | F::Random => false,
    }
}

/// Applies a function place by place, followed by rule Q. Truth is 1, falsehood 0.
///
/// # Panics
/// When an operand has another length than the result.
pub fn map_row(
    isa: Isa,
    function: MapFunction,
    a: RowOperand<'_>,
    b: RowOperand<'_>,
    c: RowOperand<'_>,
    out: &mut [f32],
) {
    on_isa!(isa, body (
        function: MapFunction,
        a: RowOperand<'_>,
        b: RowOperand<'_>,
        c: RowOperand<'_>,
        out: &mut [f32]
    ));
}

/// Folds a row, followed by rule Q.
pub fn reduce_row(isa: Isa, fold: Fold, row: &[f32]) -> f32 {
    let mut out = [0.0];
    let result = &mut out;
    on_isa!(isa, reduce_body (fold: Fold, row: &[f32], result: &mut [f32; 1]));
    out[0]
}

#[inline(always)]
fn reduce_body<A: Arithmetic>(fold: Fold, row: &[f32], result: &mut [f32; 1]) {
    result[0] = f32::from_bits(store(fold_bits::<A>(fold, row)));
}

#[inline(always)]
fn body<A: Arithmetic>(
    function: MapFunction,
    a: RowOperand<'_>,
    b: RowOperand<'_>,
    c: RowOperand<'_>,
    out: &mut [f32],
) {
    use MapFunction as F;
    let one = A::from_bits(1.0f32.to_bits());
    let truth = |holds: bool| if holds { one } else { A::from_bits(0) };
    let magnitude = |x: A| A::from_bits(x.to_bits() & 0x7FFF_FFFF);
    let plain = |x: A| f32::from_bits(x.to_bits());
    match function {
        F::Add => zip::<A>(a, b, out, A::add),
        F::Subtract => zip::<A>(a, b, out, A::sub),
        F::Multiply => zip::<A>(a, b, out, A::mul),
        F::Divide => zip::<A>(a, b, out, A::div),
        F::Maximum => zip::<A>(a, b, out, larger),
        F::Minimum => zip::<A>(a, b, out, smaller),
        F::Less => zip::<A>(a, b, out, |x, y| truth(x.less(y))),
        F::LessOrEqual => zip::<A>(a, b, out, |x, y| truth(plain(x) <= plain(y))),
        F::Equal => zip::<A>(a, b, out, |x, y| truth(plain(x) == plain(y))),
        F::Negate => each::<A>(a, out, |x| A::from_bits(x.to_bits() ^ 0x8000_0000)),
        F::Absolute => each::<A>(a, out, magnitude),
        F::SquareRoot => each::<A>(a, out, |x| A::from_bits(plain(x).sqrt().to_bits())),
        F::Exponential => each::<A>(a, out, elementary::exp),
        F::Logarithm => each::<A>(a, out, elementary::log),
        F::Tanh => each::<A>(a, out, elementary::tanh),
        F::Erf => each::<A>(a, out, elementary::erf),
        F::Sigmoid => each::<A>(a, out, elementary::sigmoid),
        F::ArcTangent => each::<A>(a, out, elementary::atan),
        F::Floor => each::<A>(a, out, |x| A::from_bits(plain(x).floor().to_bits())),
        F::Ceiling => each::<A>(a, out, |x| A::from_bits(plain(x).ceil().to_bits())),
        F::Round => each::<A>(a, out, |x| A::from_bits(plain(x).round_ties_even().to_bits())),
        F::Select => select(a, b, c, out),
        // `maps_rows` says which are.
        F::Power
        | F::And
        | F::Or
        | F::ExclusiveOr
        | F::Not
        | F::Sign
        | F::IsNan
        | F::Cast
        | F::Sine
        | F::Cosine
        | F::Remainder
        | F::Random => unreachable!("asked for a function that is not mapped by rows"),
    }
}

#[inline(always)]
fn finished<A: Arithmetic>(value: A) -> f32 {
    f32::from_bits(store(value.to_bits()))
}

#[inline(always)]
fn unit<A: Arithmetic>(value: f32) -> A {
    A::from_bits(value.to_bits())
}

#[inline(always)]
fn each<A: Arithmetic>(a: RowOperand<'_>, out: &mut [f32], function: impl Fn(A) -> A) {
    match a {
        RowOperand::Many(a) => {
            assert_eq!(a.len(), out.len());
            for (to, a) in out.iter_mut().zip(a) {
                *to = finished(function(unit(*a)));
            }
        }
        RowOperand::One(a) => out.fill(finished(function(unit(a)))),
    }
}

#[inline(always)]
fn zip<A: Arithmetic>(
    a: RowOperand<'_>,
    b: RowOperand<'_>,
    out: &mut [f32],
    function: impl Fn(A, A) -> A,
) {
    match (a, b) {
        (RowOperand::Many(a), RowOperand::Many(b)) => {
            assert!(a.len() == out.len() && b.len() == out.len());
            for ((to, a), b) in out.iter_mut().zip(a).zip(b) {
                *to = finished(function(unit(*a), unit(*b)));
            }
        }
        (RowOperand::Many(a), RowOperand::One(b)) => {
            assert_eq!(a.len(), out.len());
            for (to, a) in out.iter_mut().zip(a) {
                *to = finished(function(unit(*a), unit(b)));
            }
        }
        (RowOperand::One(a), RowOperand::Many(b)) => {
            assert_eq!(b.len(), out.len());
            for (to, b) in out.iter_mut().zip(b) {
                *to = finished(function(unit(a), unit(*b)));
            }
        }
        (RowOperand::One(a), RowOperand::One(b)) => {
            out.fill(finished(function(unit(a), unit(b))));
        }
    }
}

/// `a ? b : c`.
#[inline(always)]
fn select(a: RowOperand<'_>, b: RowOperand<'_>, c: RowOperand<'_>, out: &mut [f32]) {
    let at = |operand: RowOperand<'_>, place: usize| match operand {
        RowOperand::Many(row) => row[place],
        RowOperand::One(value) => value,
    };
    match (a, b, c) {
        (RowOperand::Many(a), RowOperand::Many(b), RowOperand::Many(c)) => {
            assert!(a.len() == out.len() && b.len() == out.len() && c.len() == out.len());
            for (((to, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                *to = if *a != 0.0 { *b } else { *c };
            }
        }
        _ => {
            for place in 0..out.len() {
                out[place] = if at(a, place) != 0.0 { at(b, place) } else { at(c, place) };
            }
        }
    }
}
