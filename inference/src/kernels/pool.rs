//! Windows folded channel by channel: vectors over channels, the order of a row reduction over taps.

use protocol::graph::Fold;

use super::Path;
#[cfg(target_arch = "x86_64")]
use super::vector::{Eight, Sixteen};
use super::vector::{Four, Vector};

/// Lanes of a row reduction.
const LANES: usize = 32;

/// Folds one window: `taps` holds the offset of each tap's first channel, `None` outside the
/// operand. As many channels as `out` has.
///
/// # Panics
/// When a tap leaves the data.
pub fn pool_window(path: Path, fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]) {
    let reach = taps.iter().flatten().max().map_or(0, |tap| tap + out.len());
    assert!(reach <= data.len(), "a tap leaves the data");
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]) {
        body::<Eight>(fold, data, taps, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    fn avx512(fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]) {
        body::<Sixteen>(fold, data, taps, out);
    }
    match path {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU was asked for these features when the path was chosen.
        Path::Avx2 => unsafe { avx2(fold, data, taps, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Path::Avx512 => unsafe { avx512(fold, data, taps, out) },
        _ => body::<Four>(fold, data, taps, out),
    }
}

#[inline(always)]
fn body<V: Vector>(fold: Fold, data: &[f32], taps: &[Option<usize>], out: &mut [f32]) {
    let channels = out.len();
    let mut channel = 0;
    while channel + V::WIDTH <= channels {
        // SAFETY: `pool_window` has checked that all channels behind every tap are there.
        let read = |tap: usize| unsafe { V::load(data.as_ptr().add(tap + channel)) };
        let folded = fold_taps(fold, taps, read);
        // SAFETY: the vector ends before the last channel.
        unsafe { folded.write(out.as_mut_ptr().add(channel)) };
        channel += V::WIDTH;
    }
    for channel in channel..channels {
        let folded: Four = fold_taps(fold, taps, |tap| Four::splat(data[tap + channel]));
        let mut last = [0.0; 4];
        // SAFETY: there is room for four.
        unsafe { folded.write(last.as_mut_ptr()) };
        out[channel] = last[0];
    }
}

#[inline(always)]
fn fold_taps<V: Vector>(fold: Fold, taps: &[Option<usize>], read: impl Fn(usize) -> V) -> V {
    let inside = || taps.iter().flatten().map(|tap| read(*tap));
    match fold {
        // By value: any order gives the same bits.
        Fold::Maximum => {
            inside().fold(V::splat(f32::NEG_INFINITY), |most, value| most.larger(value)).stored()
        }
        Fold::Minimum => {
            inside().fold(V::splat(f32::INFINITY), |least, value| least.smaller(value)).stored()
        }
        Fold::Sum => {
            let mut lanes = [V::splat(0.0); LANES];
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
