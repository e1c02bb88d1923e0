//! Convolution as a contraction that reads its windows where they lie.

use std::borrow::Cow;

use protocol::graph::{Node, Window};
use protocol::tensor::ElementType;
use rayon::prelude::*;

use super::layout::sizes;
use kernels::{PackedRows, Piece, Pieces};

/// A kernel laid out for its convolution.
#[derive(Clone, Debug)]
pub enum PackedKernel {
    /// Rows of each group.
    Groups(Vec<PackedRows>),
    /// Each channel by itself: taps, then channels.
    Channels(Vec<f32>),
}

/// Most taps of a kernel that is run channel by channel: one chain.
const TAPS_MAX: usize = 256;

/// Most elements of an operand with its border, beside so many times what it has itself: strides and
/// pads of a model file must not ask for much memory. What is larger is computed by the law.
const BORDER_MAX: (usize, usize) = (1 << 24, 4);

/// Whether the fast convolution computes a node.
pub(crate) fn is_served(node: &Node, window: &Window, groups: u32) -> bool {
    Convolution::new(node, window, groups).is_some()
}

/// The shapes of a convolution `[N, H, W, C] × [O, KH, KW, C / groups] → [N, H', W', O]`.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    window: Window,
    groups: usize,
    input: [usize; 4],
    /// Outputs, kernel rows, kernel columns, channels of a group.
    kernel: [usize; 4],
    output: [usize; 4],
    /// Height and width of the operand with the border that windows reach into.
    padded: (usize, usize),
}

impl Convolution {
    /// `None` when shapes or types are not those of a convolution.
    pub(crate) fn new(node: &Node, window: &Window, groups: u32) -> Option<Self> {
        let four = |shape: &protocol::tensor::Shape| <[usize; 4]>::try_from(sizes(shape)).ok();
        let float = |at: usize| {
            let kind = node.operands.get(at).map(|operand| &operand.kind);
            kind.filter(|kind| kind.element == ElementType::F32)
        };
        let (input, kernel) = (four(&float(0)?.shape)?, four(&float(1)?.shape)?);
        let output = four(&node.output.shape)?;
        let reach = |out: usize, stride: u32, kernel: usize, dilation: u32| {
            let first = (out - 1).checked_mul(stride as usize)?;
            first.checked_add((kernel - 1).checked_mul(dilation as usize)? + 1)
        };
        let padded = (
            reach(output[1], window.strides.0, kernel[1], window.dilations.0)?,
            reach(output[2], window.strides.1, kernel[2], window.dilations.1)?,
        );
        let groups = groups as usize;
        let whole = padded.0.checked_mul(padded.1)?.checked_mul(input[0] * input[3])?;
        let own: usize = input.iter().product();
        if kernel[0] != output[3] || kernel[3] * groups != input[3] {
            return None;
        }
        if whole > BORDER_MAX.0.max(own * BORDER_MAX.1) {
            #[cfg(test)]
            cov_mark::hit!(border_takes_too_much_memory);
            return None;
        }
        Some(Self { window: *window, groups, input, kernel, output, padded })
    }

    /// Whether each channel is convolved by itself.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.kernel[3] == 1
            && self.kernel[0] == self.groups
            && self.groups > 1
            && self.kernel[1] * self.kernel[2] <= TAPS_MAX
    }

    /// Lays out a kernel.
    pub(crate) fn pack(&self, kernel: &[f32]) -> PackedKernel {
        let [outputs, rows, columns, channels] = self.kernel;
        let depth = rows * columns * channels;
        if self.is_depthwise() {
            let mut taps = vec![0.0; outputs * depth];
            for output in 0..outputs {
                for tap in 0..depth {
                    taps[tap * outputs + output] = kernel[output * depth + tap];
                }
            }
            return PackedKernel::Channels(taps);
        }
        let each = outputs / self.groups;
        let groups = kernel.chunks(each * depth).map(|rows| PackedRows::new(rows, each, depth));
        PackedKernel::Groups(groups.collect())
    }

    /// Multiply-adds of one output element.
    pub(crate) fn depth(&self) -> usize {
        self.kernel[1] * self.kernel[2] * self.kernel[3]
    }

    /// Channels of a group, in and out.
    pub(crate) fn group_channels(&self) -> (usize, usize) {
        (self.kernel[3], self.kernel[0] / self.groups)
    }

    /// Elements of what [`Convolution::padded`] writes; none when it writes nothing.
    pub(crate) fn padded_length(&self) -> usize {
        let [images, height, width, channels] = self.input;
        if self.extent() == (height, width) {
            0
        } else {
            images * self.padded.0 * self.padded.1 * channels
        }
    }

    /// The operand with +0 around it, as far as windows reach; itself when they stay inside.
    /// `memory` may be longer than it needs to be.
    pub(crate) fn padded<'a>(&self, input: &'a [f32], memory: Vec<f32>) -> Cow<'a, [f32]> {
        let [_, height, width, channels] = self.input;
        let (rows, columns) = self.padded;
        let (above, before) = (self.window.pads.0 as usize, self.window.pads.1 as usize);
        if above == 0 && before == 0 && rows <= height && columns <= width {
            return Cow::Borrowed(input);
        }
        let (mut padded, length) = (memory, self.input[0] * rows * columns * channels);
        if padded.len() < length {
            padded.resize(length, 0.0);
        }
        let inside = columns.saturating_sub(before).min(width);
        padded[..length].par_chunks_mut(columns * channels).enumerate().for_each(|(at, to)| {
            let (image, row) = (at / rows, at % rows);
            match row.checked_sub(above).filter(|row| *row < height) {
                Some(row) => {
                    let from = &input[(image * height + row) * width * channels..];
                    let (left, rest) = to.split_at_mut(before.min(columns) * channels);
                    let (middle, right) = rest.split_at_mut(inside * channels);
                    left.fill(0.0);
                    middle.copy_from_slice(&from[..inside * channels]);
                    right.fill(0.0);
                }
                None => to.fill(0.0),
            }
        });
        Cow::Owned(padded)
    }

    /// Height and width of what [`Convolution::padded`] gives.
    fn extent(&self) -> (usize, usize) {
        let [_, height, width, _] = self.input;
        let (rows, columns) = self.padded;
        let pads = self.window.pads;
        if pads == (0, 0) && rows <= height && columns <= width {
            (height, width)
        } else {
            (rows, columns)
        }
    }

    /// Offset of the first element under the window of an output pixel.
    pub(crate) fn base(&self, pixel: usize) -> usize {
        let [_, out_rows, out_columns, _] = self.output;
        let (column, row) = (pixel % out_columns, pixel / out_columns % out_rows);
        let image = pixel / out_columns / out_rows;
        let (rows, columns) = self.extent();
        let (down, right) = (self.window.strides.0 as usize, self.window.strides.1 as usize);
        ((image * rows + row * down) * columns + column * right) * self.input[3]
    }

    /// Offsets of the taps from a window's first element.
    pub(crate) fn taps(&self) -> Vec<usize> {
        let [_, kernel_rows, kernel_columns, _] = self.kernel;
        let (_, columns) = self.extent();
        let (down, right) = (self.window.dilations.0 as usize, self.window.dilations.1 as usize);
        (0..kernel_rows * kernel_columns)
            .map(|tap| {
                let (row, column) = (tap / kernel_columns, tap % kernel_columns);
                (row * down * columns + column * right) * self.input[3]
            })
            .collect()
    }

    /// What lies under a window: whole kernel rows where they are contiguous.
    pub(crate) fn pieces(&self) -> Pieces {
        let [_, _, kernel_columns, channels] = self.kernel;
        let taps = self.taps();
        if self.groups == 1 && self.window.dilations.1 == 1 {
            let rows = taps.iter().step_by(kernel_columns);
            let length = kernel_columns * channels;
            return Pieces::new(rows.map(|offset| Piece { offset: *offset, length }));
        }
        Pieces::new(taps.into_iter().map(|offset| Piece { offset, length: channels }))
    }
}
