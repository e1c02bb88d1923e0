//! The primitives over which every elementary function is written once.

/// Correctly rounded binary32 primitives.
pub trait Arithmetic: Copy {
    /// The number with this bit pattern.
    fn from_bits(bits: u32) -> Self;
    /// The bit pattern.
    fn to_bits(self) -> u32;
    /// `self + other`.
    #[must_use]
    fn add(self, other: Self) -> Self;
    /// `self − other`.
    #[must_use]
    fn sub(self, other: Self) -> Self;
    /// `self × other`.
    #[must_use]
    fn mul(self, other: Self) -> Self;
    /// `self ÷ other`.
    #[must_use]
    fn div(self, other: Self) -> Self;
    /// `self × factor + addend`, rounded once.
    #[must_use]
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// `self < other`, false when either is NaN.
    fn less(self, other: Self) -> bool;
}
