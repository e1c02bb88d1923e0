//! Convolution of each channel by itself: one short chain for every element, vectors over channels.

use crate::vector::{Four, Vector};
use crate::{Isa, on_vectors};

/// Chains over the taps of one window, for all channels: `out[c] = Q(chain(data[base + tap + c] ·
/// kernel[tap, c]))`. At most 256 taps, which is one chunk.
///
/// # Panics
/// When a tap leaves the data, the kernel is too short, or there are more than 256 taps.
pub fn depthwise(
    isa: Isa,
    data: &[f32],
    base: usize,
    taps: &[usize],
    kernel: &[f32],
    out: &mut [f32],
) {
    let furthest = taps.iter().max().copied().unwrap_or(0).checked_add(base);
    let reach = furthest.and_then(|tap| tap.checked_add(out.len()));
    let inside = taps.is_empty() || reach.is_some_and(|reach| reach <= data.len());
    assert!(inside, "a tap leaves the data");
    assert!(taps.len() <= 256, "more taps than one chain has");
    let weights = taps.len().checked_mul(out.len());
    assert!(weights.is_some_and(|weights| weights <= kernel.len()), "the kernel is too short");
    on_vectors!(isa, body [[], [], []] (
        data: &[f32], base: usize, taps: &[usize], kernel: &[f32], out: &mut [f32]
    ));
}

#[inline(always)]
fn body<V: Vector>(
    token: V::Token,
    data: &[f32],
    base: usize,
    taps: &[usize],
    kernel: &[f32],
    out: &mut [f32],
) {
    let channels = out.len();
    let mut channel = 0;
    while channel + V::WIDTH <= channels {
        let mut chain = V::splat(token, 0.0);
        for (number, tap) in taps.iter().enumerate() {
            // SAFETY: `depthwise` has checked that data and kernel hold all channels of every tap, and
            // this vector ends with the last channel at most.
            let (value, weight) = unsafe {
                (
                    V::load(token, data.as_ptr().add(base + tap + channel)),
                    V::load(token, kernel.as_ptr().add(number * channels + channel)),
                )
            };
            chain = value.fma(weight, chain);
        }
        // SAFETY: the loop's condition leaves room for a vector in `out`.
        unsafe { chain.stored().write(out.as_mut_ptr().add(channel)) };
        channel += V::WIDTH;
    }
    for channel in channel..channels {
        let mut chain = Four::splat((), 0.0);
        for (number, tap) in taps.iter().enumerate() {
            let value = Four::splat((), data[base + tap + channel]);
            chain = value.fma(Four::splat((), kernel[number * channels + channel]), chain);
        }
        let mut last = [0.0; 4];
        // SAFETY: `last` has four floats.
        unsafe { chain.stored().write(last.as_mut_ptr()) };
        out[channel] = last[0];
    }
}
