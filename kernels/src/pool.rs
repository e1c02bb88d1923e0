//! Windows folded channel by channel: vectors over channels, the order of a row reduction over taps.

use protocol::graph::Fold;

use crate::vector::{Four, Vector};
use crate::{Isa, on_vectors};

/// Lanes of a row reduction.
const LANES: usize = 32;

/// Folds one window: `taps` holds the offset of each tap's first channel, `None` outside the
/// operand. As many channels as `out` has.
///
/// # Panics
/// When a tap leaves the data.
pub fn pool_window(isa: Isa, fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]) {
    let furthest = taps.iter().flatten().max();
    let inside = furthest
        .is_none_or(|tap| tap.checked_add(out.len()).is_some_and(|reach| reach <= data.len()));
    assert!(inside, "a tap leaves the data");
    on_vectors!(isa, body [[], [], []] (
        fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]
    ));
}

#[inline(always)]
fn body<V: Vector>(
    token: V::Token,
    fold: Fold,
    data: &[f32],
    taps: &[Option<usize>],
    out: &mut [f32],
) {
    let channels = out.len();
    let mut channel = 0;
    while channel + V::WIDTH <= channels {
        // SAFETY: `pool_window` has checked that the data hold all channels of every tap, and this vector
        // ends with the last channel at most.
        let read = |tap: usize| unsafe { V::load(token, data.as_ptr().add(tap + channel)) };
        let folded = fold_taps::<V>(token, fold, taps, read);
        // SAFETY: the loop's condition leaves room for a vector in `out`.
        unsafe { folded.write(out.as_mut_ptr().add(channel)) };
        channel += V::WIDTH;
    }
    for channel in channel..channels {
        let folded = fold_taps::<Four>((), fold, taps, |tap| Four::splat((), data[tap + channel]));
        let mut last = [0.0; 4];
        // SAFETY: `last` has four floats.
        unsafe { folded.write(last.as_mut_ptr()) };
        out[channel] = last[0];
    }
}

#[inline(always)]
fn fold_taps<V: Vector>(
    token: V::Token,
    fold: Fold,
    taps: &[Option<usize>],
    read: impl Fn(usize) -> V,
) -> V {
    let inside = || taps.iter().flatten().map(|tap| read(*tap));
    match fold {
        // By value: any order gives the same bits.
        Fold::Maximum => inside()
            .fold(V::splat(token, f32::NEG_INFINITY), |most, value| most.larger(value))
            .stored(),
        Fold::Minimum => inside()
            .fold(V::splat(token, f32::INFINITY), |least, value| least.smaller(value))
            .stored(),
        Fold::Sum => {
            let mut lanes = [V::splat(token, 0.0); LANES];
            for (place, tap) in taps.iter().enumerate() {
                if let Some(tap) = tap {
                    lanes[place % LANES] = lanes[place % LANES].add(read(*tap));
                }
            }
            let mut half = LANES / 2;
            while half > 0 {
                for lane in 0..half {
                    lanes[lane] = lanes[lane].add(lanes[lane + half]);
                }
                half /= 2;
            }
            lanes[0].stored()
        }
    }
}
