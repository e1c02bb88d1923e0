//! What a function of the table is of one place: by the kind of its elements.

use super::MapFunction;
use crate::numerics::soft::{self, Rounding, SoftFloat};
use crate::numerics::{elementary, store};
use crate::tensor::ElementType;

/// What a function is of each kind of element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar {
    pub(super) floats: OfFloats,
    pub(super) integers: OfIntegers,
    pub(super) truths: OfTruths,
}

/// A function of binary32 patterns. Rule Q comes after it.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfFloats {
    /// No result.
    Nothing,
    /// Of one number.
    One(fn(u32) -> u32),
    /// Of two numbers.
    Two(fn(u32, u32) -> u32),
    /// A fixed sequence of primitives, of one number.
    Elementary(fn(SoftFloat) -> SoftFloat),
    /// As [`OfFloats::Elementary`], without a result from a magnitude of 2^20 on.
    Circular(fn(SoftFloat) -> SoftFloat),
    /// A truth value, which rule Q leaves alone. What takes one number ignores the second.
    Truth(fn(u32, u32) -> bool),
}

/// A function of integers; `None` where it has no result.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfIntegers {
    /// No result.
    Nothing,
    /// Of one number.
    One(fn(i64) -> Option<i64>),
    /// Of two numbers.
    Two(fn(i64, i64) -> Option<i64>),
    /// Of one number and its type.
    OfType(fn(ElementType, i64) -> Option<i64>),
    /// A truth value of two numbers.
    Truth(fn(i64, i64) -> bool),
}

/// A function of truth values, which count as true unless they are 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfTruths {
    /// No result.
    Nothing,
    /// A truth value. What takes one operand ignores the second.
    Truth(fn(i64, i64) -> bool),
}

/// One scalar function.
///
/// `from` is the element type of the last operand (the first of a `select` is a truth value);
/// unused arguments are ignored. `None` where the function has no result for these arguments.
pub fn map_scalar(
    function: MapFunction,
    from: ElementType,
    to: ElementType,
    arguments: [u64; 3],
) -> Option<u64> {
    let [a, b, c] = arguments;
    match function {
        MapFunction::Select => return Some(if a != 0 { b } else { c }),
        MapFunction::Cast => return cast(from, to, a),
        _ => {}
    }
    let scalar = function.scalar();
    match from {
        ElementType::F32 => of_floats(scalar.floats, a as u32, b as u32),
        ElementType::Bool => of_truths(scalar.truths, from.to_integer(a), from.to_integer(b)),
        _ => of_integers(scalar.integers, from, to, from.to_integer(a), from.to_integer(b)),
    }
}

fn cast(from: ElementType, to: ElementType, bits: u64) -> Option<u64> {
    use ElementType::{Bool, F32};
    match (from, to) {
        (F32, F32) => Some(bits),
        (F32, Bool) => Some(u64::from(!soft::equal(bits as u32, 0))),
        (F32, _) => to.from_integer(soft::to_integer(bits as u32)?),
        (_, F32) => Some(u64::from(store(soft::from_integer(from.to_integer(bits))))),
        (_, Bool) => Some(u64::from(bits != 0)),
        _ => to.from_integer(from.to_integer(bits)),
    }
}

fn of_floats(function: OfFloats, a: u32, b: u32) -> Option<u64> {
    let value = match function {
        OfFloats::Nothing => return None,
        OfFloats::One(function) => function(a),
        OfFloats::Two(function) => function(a, b),
        OfFloats::Elementary(function) => function(SoftFloat(a)).0,
        OfFloats::Circular(_) if elementary::is_beyond_circle(a) => return None,
        OfFloats::Circular(function) => function(SoftFloat(a)).0,
        OfFloats::Truth(function) => return Some(u64::from(function(a, b))),
    };
    Some(u64::from(store(value)))
}

fn of_integers(
    function: OfIntegers,
    from: ElementType,
    to: ElementType,
    a: i64,
    b: i64,
) -> Option<u64> {
    let value = match function {
        OfIntegers::Nothing => return None,
        OfIntegers::One(function) => function(a),
        OfIntegers::Two(function) => function(a, b),
        OfIntegers::OfType(function) => function(from, a),
        OfIntegers::Truth(function) => return Some(u64::from(function(a, b))),
    };
    to.from_integer(value?)
}

fn of_truths(function: OfTruths, a: i64, b: i64) -> Option<u64> {
    match function {
        OfTruths::Nothing => None,
        OfTruths::Truth(function) => Some(u64::from(function(a, b))),
    }
}

pub(super) fn float_power(a: u32, b: u32) -> u32 {
    elementary::pow(SoftFloat(a), SoftFloat(b)).0
}

pub(super) fn float_less_or_equal(a: u32, b: u32) -> bool {
    soft::less(a, b) || soft::equal(a, b)
}

pub(super) fn is_nan(a: u32, _: u32) -> bool {
    soft::is_nan(a)
}

pub(super) fn negate(a: u32) -> u32 {
    a ^ 0x8000_0000
}

pub(super) fn absolute(a: u32) -> u32 {
    a & 0x7FFF_FFFF
}

pub(super) fn floor(a: u32) -> u32 {
    soft::round_to_integer(a, Rounding::Floor)
}

pub(super) fn ceiling(a: u32) -> u32 {
    soft::round_to_integer(a, Rounding::Ceiling)
}

pub(super) fn nearest_even(a: u32) -> u32 {
    soft::round_to_integer(a, Rounding::NearestEven)
}

pub(super) fn float_sign(a: u32) -> u32 {
    let one = 0x3F80_0000 | (a & 0x8000_0000);
    if soft::is_nan(a) || soft::equal(a, 0) { a } else { one }
}

pub(super) fn integer_sign(a: i64) -> Option<i64> {
    Some(a.signum())
}

pub(super) fn integer_power(a: i64, b: i64) -> Option<i64> {
    a.checked_pow(u32::try_from(b).ok()?)
}

pub(super) fn larger(a: i64, b: i64) -> Option<i64> {
    Some(a.max(b))
}

pub(super) fn smaller(a: i64, b: i64) -> Option<i64> {
    Some(a.min(b))
}

pub(super) fn and_bits(a: i64, b: i64) -> Option<i64> {
    Some(a & b)
}

pub(super) fn or_bits(a: i64, b: i64) -> Option<i64> {
    Some(a | b)
}

pub(super) fn exclusive_or_bits(a: i64, b: i64) -> Option<i64> {
    Some(a ^ b)
}

/// Of a type without sign, every bit it has.
pub(super) fn complement(from: ElementType, a: i64) -> Option<i64> {
    match from.integer_range()? {
        (0, most) => Some(most ^ a),
        _ => Some(!a),
    }
}

pub(super) fn same(a: i64, b: i64) -> bool {
    a == b
}

pub(super) fn less(a: i64, b: i64) -> bool {
    a < b
}

pub(super) fn less_or_equal(a: i64, b: i64) -> bool {
    a <= b
}

pub(super) fn both(a: i64, b: i64) -> bool {
    a != 0 && b != 0
}

pub(super) fn either(a: i64, b: i64) -> bool {
    a != 0 || b != 0
}

pub(super) fn one_of_two(a: i64, b: i64) -> bool {
    (a != 0) != (b != 0)
}

pub(super) fn not(a: i64, _: i64) -> bool {
    a == 0
}
