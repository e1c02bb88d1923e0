//! What a function of the table is of one place: by the kind of its elements.

use crate::numerics::soft::{self, Rounding, SoftFloat};
use crate::numerics::{elementary, philox4x32};
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
    /// Of three numbers.
    Three(fn(i64, i64, i64) -> Option<i64>),
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

/// The first word of a counter's four under a key, low words first.
pub(super) fn random(key: i64, high: i64, low: i64) -> Option<i64> {
    let words = |number: i64| [number as u32, (number >> 32) as u32];
    let ([low, next], [high, last]) = (words(low), words(high));
    philox4x32([low, next, high, last], words(key)).first().copied().map(i64::from)
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
