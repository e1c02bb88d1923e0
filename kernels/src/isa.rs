//! Which instructions the kernels use: tokens that only detection gives out.
//!
//! Code compiled for AVX2 on a CPU without it is undefined behaviour. So nobody outside this module can
//! make an [`Isa`] by hand: [`Isa::PORTABLE`] runs everywhere, the others come from [`Isa::available`],
//! which asks the CPU. Inside the crate the tokens [`Avx2`] and [`Avx512`] are what vectors are made
//! from, and the only way to have one is to have asked.

use std::sync::OnceLock;

/// Proof that this CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Proof that this CPU has AVX-512 (F, DQ, VL, BW), AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

/// What an [`Isa`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Portable,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "other CPUs have none"))]
    Avx2(Avx2),
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "other CPUs have none"))]
    Avx512(Avx512),
}

/// Instructions that this CPU has.
///
/// Whichever is used, every kernel gives the same bits.
///
/// ```
/// use kernels::Isa;
///
/// assert_eq!(Isa::available().first(), Some(&Isa::PORTABLE));
/// assert!(Isa::available().contains(&Isa::detect()));
/// assert_eq!(Isa::named("portable"), Some(Isa::PORTABLE));
/// assert_eq!(Isa::named("a CPU of the future"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(pub(crate) Level);

impl Isa {
    /// What every CPU has; fused multiply-add through binary64 where there is no instruction.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// What this CPU can run, the slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "only some CPUs have more")]
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            // What the compiler adds to these features is asked for as well.
            let is_avx = is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c");
            if is_avx && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self(Level::Avx2(Avx2(()))));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                {
                    all.push(Self(Level::Avx512(Avx512(()))));
                }
            }
        }
        all
    }

    /// The fastest of this CPU.
    pub fn detect() -> Self {
        static FASTEST: OnceLock<Isa> = OnceLock::new();
        *FASTEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self::PORTABLE))
    }

    /// The one of this name, if this CPU has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// Name as users write it.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            Level::Avx2(_) => "avx2",
            Level::Avx512(_) => "avx512",
        }
    }
}

/// Intrinsics that touch no memory.
///
/// They are used by methods of vectors only, and those are made from tokens ([`Avx2`], [`Avx512`]) or from
/// vectors; where a method works on bare registers, the token that it was given is the proof. Nothing
/// that takes a pointer goes in here: it needs a reason of its own.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($body:expr) => {{
        // SAFETY: whoever has a vector or its token runs on a CPU that has its instructions.
        #[allow(unused_unsafe, reason = "some intrinsics are safe in themselves")]
        unsafe {
            $body
        }
    }};
}
#[cfg(target_arch = "x86_64")]
pub(crate) use instructions;
