//! Canonical kernels: where order or approximation matters, the bits are ours.
//!
//! Each kernel is one generic body, compiled three times: portable, AVX2 with FMA, AVX-512. All
//! three perform the same primitives in the same order for every element, so that the choice of
//! instructions, the blocking and the number of threads never change a bit. The law that they follow
//! is `protocol`'s; the tests compare.
//!
//! Every `unsafe` block of the workspace is in this crate, and each says why it is sound. What it
//! rests on:
//!
//! - [`Isa`]: instructions are only run on a CPU that was asked for them.
//! - The entry of each kernel checks lengths and offsets, without overflow, before any pointer is made.
//! - [`rectangles`]: threads write disjoint parts of a matrix, which is checked when it is cut.
//!
//! Order of calls: choose an [`Isa`] once, pack what is used often ([`PackedRows`]), call kernels.
//!
//! ```
//! use kernels::{Isa, LeftRows, PackedRows, Pieces, contract};
//!
//! // out[m, n] = Σ a[m, k] · b[n, k]
//! let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.5, 0.5]);
//! let packed = PackedRows::new(&b, 2, 2);
//! let left = LeftRows { data: &a, bases: &[0, 2], pieces: &Pieces::row(2) };
//! let mut out = [0.0; 4];
//! contract(Isa::detect(), left, packed.whole(), &mut out, 2);
//! assert_eq!(out, [1.0, 1.5, 3.0, 3.5]);
//! ```

// The portable path needs IEEE arithmetic of the stated widths, which the x87 unit does not have.
#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!(
    "this CPU's floating point has other widths than the law's; build for one with SSE2"
);

mod arithmetic;
mod contract;
mod depthwise;
mod isa;
mod keccak;
mod map;
mod pool;
mod rectangles;
mod reduce;
mod rows;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(crate) use arithmetic::Fused;
pub use arithmetic::Portable;
pub use contract::{LeftRows, PANEL, PackedRows, Panels, Piece, Pieces, contract};
pub use depthwise::depthwise;
pub use isa::Isa;
pub use keccak::{Message, hash_many};
pub use map::{Unary, map_unary};
pub use pool::pool_window;
pub use rectangles::{Rectangle, rectangles};
pub use reduce::reduce_rows;
pub use rows::{RowOperand, map_row, maps_rows, reduce_row};

/// Calls `$body::<Arithmetic>(args)` compiled for an [`Isa`].
macro_rules! on_isa {
    ($isa:expr, $body:ident ( $($argument:ident : $kind:ty),* $(,)? )) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($argument: $kind),*) {
            $body::<$crate::Fused>($($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn avx512($($argument: $kind),*) {
            $body::<$crate::Fused>($($argument),*)
        }
        match $isa.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token says that this CPU has AVX2 and FMA.
            $crate::isa::Level::Avx2(_) => unsafe { avx2($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token says that this CPU has AVX-512, AVX2 and FMA.
            $crate::isa::Level::Avx512(_) => unsafe { avx512($($argument),*) },
            _ => $body::<$crate::Portable>($($argument),*),
        }
    }};
}
pub(crate) use on_isa;

/// Calls `$body::<Vector, …>(token, args)` compiled for an [`Isa`], with its vectors.
macro_rules! on_vectors {
    (
        $isa:expr, $body:ident [$four:tt, $eight:tt, $sixteen:tt]
        ( $($argument:ident : $kind:ty),* $(,)? )
    ) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2(token: $crate::isa::Avx2, $($argument: $kind),*) {
            $crate::on_vectors!(@call $body, $crate::vector::Eight, $eight, token, $($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn avx512(token: $crate::isa::Avx512, $($argument: $kind),*) {
            $crate::on_vectors!(@call $body, $crate::vector::Sixteen, $sixteen, token, $($argument),*)
        }
        match $isa.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token says that this CPU has AVX2 and FMA.
            $crate::isa::Level::Avx2(token) => unsafe { avx2(token, $($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token says that this CPU has AVX-512, AVX2 and FMA.
            $crate::isa::Level::Avx512(token) => unsafe { avx512(token, $($argument),*) },
            _ => $crate::on_vectors!(@call $body, $crate::vector::Four, $four, (), $($argument),*),
        }
    }};
    (@call $body:ident, $vector:ty, [$($generic:tt)*], $token:expr, $($argument:ident),*) => {
        $body::<$vector, $($generic)*>($token, $($argument),*)
    };
}
pub(crate) use on_vectors;
