//! Convolution of each channel by itself: one short chain for every element, vectors over channels.

use super::Path;
use super::vector::Four;
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use super::vector::{Eight, Sixteen};

/// Chains over the taps of one window, for all channels: `out[c] = Q(chain(data[base + tap + c] ·
/// kernel[tap, c]))`. At most 256 taps, which is one chunk.
///
/// # Panics
/// When a tap leaves the data or the kernel is too short.
pub fn depthwise(
    path: Path,
    data: &[f32],
    base: usize,
    taps: &[usize],
    kernel: &[f32],
    out: &mut [f32],
) {
    let reach = taps.iter().max().map_or(0, |tap| base + tap + out.len());
    assert!(reach <= data.len() && taps.len() * out.len() <= kernel.len(), "a tap is outside");
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(data: &[f32], base: usize, taps: &[usize], kernel: &[f32], out: &mut [f32]) {
        body::<Eight>(data, base, taps, kernel, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    fn avx512(data: &[f32], base: usize, taps: &[usize], kernel: &[f32], out: &mut [f32]) {
        body::<Sixteen>(data, base, taps, kernel, out);
    }
    match path {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU was asked for these features when the path was chosen.
        Path::Avx2 => unsafe { avx2(data, base, taps, kernel, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx512 => unsafe { avx512(data, base, taps, kernel, out) },
        _ => body::<Four>(data, base, taps, kernel, out),
    }
}

#[inline(always)]
fn body<V: Vector>(data: &[f32], base: usize, taps: &[usize], kernel: &[f32], out: &mut [f32]) {
    let channels = out.len();
    let mut channel = 0;
    while channel + V::WIDTH <= channels {
        let mut chain = V::splat(0.0);
        for (number, tap) in taps.iter().enumerate() {
            // SAFETY: `depthwise` has checked that all channels behind every tap are there.
            let (value, weight) = unsafe {
                (
                    V::load(data.as_ptr().add(base + tap + channel)),
                    V::load(kernel.as_ptr().add(number * channels + channel)),
                )
            };
            chain = value.fma(weight, chain);
        }
        // SAFETY: the vector ends before the last channel.
        unsafe { chain.stored().write(out.as_mut_ptr().add(channel)) };
        channel += V::WIDTH;
    }
    for channel in channel..channels {
        let mut chain = Four::splat(0.0);
        for (number, tap) in taps.iter().enumerate() {
            let value = Four::splat(data[base + tap + channel]);
            chain = value.fma(Four::splat(kernel[number * channels + channel]), chain);
        }
        let mut last = [0.0; 4];
        // SAFETY: there is room for four.
        unsafe { chain.stored().write(last.as_mut_ptr()) };
        out[channel] = last[0];
    }
}
