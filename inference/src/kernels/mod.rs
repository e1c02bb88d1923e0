//! Canonical kernels: where order or approximation matters, the bits are ours.
//!
//! Each kernel is one generic body, compiled three times: portable, AVX2 with FMA, AVX-512. All
//! three perform the same primitives in the same order for every element, so the choice of path,
//! the blocking and the number of threads never change a bit.

use std::sync::OnceLock;

mod arithmetic;
mod contract;
mod depthwise;
mod keccak;
mod map;
mod pool;
mod reduce;
mod rows;
mod vector;

pub use arithmetic::{Fused, Portable};
pub use contract::{LeftRows, PANEL, PackedRows, Panels, Piece, Pieces, contract};
pub use depthwise::depthwise;
pub use keccak::{Message, hash_many};
pub use map::{Unary, map_unary};
pub use pool::pool_window;
pub use reduce::reduce_rows;
pub use rows::{RowOperand, map_row, maps_rows, reduce_row};

/// Which instructions the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// What every CPU has; fused multiply-add through binary64 where there is no instruction.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Path {
    /// The paths that this CPU can run, slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "only some CPUs have more")]
        let mut paths = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                paths.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                {
                    paths.push(Self::Avx512);
                }
            }
        }
        paths
    }

    /// The fastest path of this CPU.
    pub fn detect() -> Self {
        static FASTEST: OnceLock<Path> = OnceLock::new();
        *FASTEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self::Portable))
    }

    /// Name as users write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// Calls `$body::<Arithmetic>(args)` compiled for a path.
///
/// The wrappers are the only unsafe code of the crate: a path other than `Portable` is only ever
/// made by [`Path::available`], which has asked the CPU.
macro_rules! on_path {
    ($path:expr, $body:ident [$($generic:tt)*] ( $($argument:ident : $kind:ty),* $(,)? )) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($argument: $kind),*) {
            $body::<$crate::kernels::Fused, $($generic)*>($($argument),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
        fn avx512($($argument: $kind),*) {
            $body::<$crate::kernels::Fused, $($generic)*>($($argument),*)
        }
        match $path {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the CPU was asked for these features when the path was chosen.
            $crate::kernels::Path::Avx2 => unsafe { avx2($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::kernels::Path::Avx512 => unsafe { avx512($($argument),*) },
            _ => $body::<$crate::kernels::Portable, $($generic)*>($($argument),*),
        }
    }};
}
pub(crate) use on_path;
