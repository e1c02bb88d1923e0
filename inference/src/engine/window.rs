//! Windows over `[N, H, W, C]` tensors: which elements lie under which tap.

use protocol::graph::Window;
use protocol::tensor::Shape;

/// Taps of a window over an `[N, H, W, C]` tensor.
pub(super) struct Geometry {
    window: Window,
    rows: usize,
    columns: usize,
    channels: usize,
    out_rows: usize,
    out_columns: usize,
}

impl Geometry {
    /// The taps of a window from an input to an output; `None` unless both have rank 4.
    pub(super) fn new(window: &Window, input: &Shape, output: &Shape) -> Option<Self> {
        let [_, rows, columns, channels] = *input.dimensions() else {
            return None;
        };
        let [_, out_rows, out_columns, _] = *output.dimensions() else {
            return None;
        };
        let [rows, columns, channels, out_rows, out_columns] =
            [rows, columns, channels, out_rows, out_columns].map(|size| size as usize);
        Some(Self { window: *window, rows, columns, channels, out_rows, out_columns })
    }

    /// Offset of the first channel under each tap of an output pixel; `None` outside the operand.
    pub(super) fn taps(&self, pixel: usize, taps: &mut Vec<Option<usize>>) {
        let column = pixel % self.out_columns;
        let row = pixel / self.out_columns % self.out_rows;
        let image = pixel / self.out_columns / self.out_rows;
        let window = &self.window;
        let along = |out: usize, stride: u32, tap: usize, dilation: u32, pad: u32, size: usize| {
            let at = (out * stride as usize + tap * dilation as usize).checked_sub(pad as usize)?;
            (at < size).then_some(at)
        };
        let (strides, dilations, pads) = (window.strides, window.dilations, window.pads);
        taps.clear();
        for tap_row in 0..window.kernel.0 as usize {
            let y = along(row, strides.0, tap_row, dilations.0, pads.0, self.rows);
            for tap_column in 0..window.kernel.1 as usize {
                let x = along(column, strides.1, tap_column, dilations.1, pads.1, self.columns);
                taps.push(
                    y.zip(x)
                        .map(|(y, x)| ((image * self.rows + y) * self.columns + x) * self.channels),
                );
            }
        }
    }
}
