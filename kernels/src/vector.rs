//! Vectors of floats, for the one kernel that must not depend on what a compiler makes of a loop.

use protocol::numerics::{Arithmetic, store};

use crate::Portable;

/// Floats side by side. Every operation is the law's, place by place.
///
/// A vector is made from a token that says that this CPU has its instructions, so that whoever has one
/// may use it. To be fast, it must be used in code compiled for these instructions, and inlined there.
pub(crate) trait Vector: Copy {
    /// Proof that this CPU has the vector's instructions.
    type Token: Copy;

    /// Floats of one vector.
    const WIDTH: usize;

    /// The same float everywhere.
    fn splat(token: Self::Token, value: f32) -> Self;

    /// Reads `WIDTH` floats.
    ///
    /// # Safety
    /// There must be as many from `from` on.
    unsafe fn load(token: Self::Token, from: *const f32) -> Self;

    /// Writes `WIDTH` floats.
    ///
    /// # Safety
    /// There must be room for as many from `to` on.
    unsafe fn write(self, to: *mut f32);

    /// Says that what lies at `place` will be read soon. Any address is allowed.
    fn prefetch(place: *const f32);

    /// `self × factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;

    /// `self + other`.
    fn add(self, other: Self) -> Self;

    /// The larger value; NaN where either is one. Of two zeros it may be either: only before rule Q.
    fn larger(self, other: Self) -> Self;

    /// The smaller value; NaN where either is one. Of two zeros it may be either: only before rule Q.
    fn smaller(self, other: Self) -> Self;

    /// Store rule Q.
    fn stored(self) -> Self;
}

/// Four floats by plain loops.
#[derive(Clone, Copy)]
pub(crate) struct Four([f32; 4]);

impl Vector for Four {
    type Token = ();

    const WIDTH: usize = 4;

    #[inline(always)]
    fn splat((): (), value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load((): (), from: *const f32) -> Self {
        // SAFETY: the caller says that four floats are there; an array of floats is aligned as they are.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller says that there is room for four floats; aligned as above.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        Self(core::array::from_fn(|place| {
            let [a, b, c] = [self.0[place], factor.0[place], addend.0[place]]
                .map(|value| Portable::from_bits(value.to_bits()));
            f32::from_bits(a.fma(b, c).to_bits())
        }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| self.0[place] + other.0[place]))
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| keep(self.0[place], other.0[place], f32::lt)))
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        Self(core::array::from_fn(|place| keep(self.0[place], other.0[place], f32::gt)))
    }

    #[inline(always)]
    fn stored(self) -> Self {
        Self(self.0.map(|value| f32::from_bits(store(value.to_bits()))))
    }
}

/// `b` where `a` yields to it, else `a`; NaN if either is one.
#[inline(always)]
fn keep(a: f32, b: f32, yields: impl Fn(&f32, &f32) -> bool) -> f32 {
    match (a.is_nan() || b.is_nan(), yields(&a, &b)) {
        (true, _) => f32::NAN,
        (false, true) => b,
        (false, false) => a,
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Eight, Sixteen};
