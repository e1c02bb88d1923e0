//! A convolution by itself.

use std::borrow::Cow;

use protocol::graph::{Node, Operator};

use super::layout::{Layout, Origin, sizes};
use super::program::{Output, Source, Stage};
use super::window::{Convolution, PackedKernel};
use super::work::{Prepared, Work, blocks, run_blocks};
use crate::tensor::Tensor;
use kernels::Isa;

/// A convolution by itself, with the same code as in a stage, by these instructions and so many threads.
pub(crate) fn convolve(
    (isa, threads): (Isa, usize),
    node: &Node,
    operands: &[&Tensor],
    packed: Option<&PackedKernel>,
) -> Option<Tensor> {
    let Operator::Convolve { window, groups } = &node.operator else {
        return None;
    };
    let shape = Convolution::new(node, window, *groups)?;
    let input = operands.first()?.as_f32();
    let data = shape.padded(input, Vec::new());
    let kernel = match packed {
        Some(packed) => Cow::Borrowed(packed),
        None => Cow::Owned(shape.pack(operands.get(1)?.as_f32())),
    };
    let (pieces, taps) = (shape.pieces(), shape.taps());
    let prepared = Prepared::Convolve { data, shape, pieces, taps, kernel };
    let dimensions = sizes(&node.output.shape);
    let columns = *dimensions.last()?;
    let whole = |operand: usize| {
        Some(Layout::whole(Origin::Cell(operand), sizes(operands.get(operand)?.shape())))
    };
    let stage = Stage {
        source: Source::Convolve { position: 0, input: whole(0)?, kernel: whole(1)? },
        rows: dimensions.iter().product::<usize>() / columns,
        columns,
        dimensions,
        inputs: Vec::new(),
        program: Vec::new(),
        narrow: vec![false],
        outputs: vec![Output { register: 0, cell: 0, narrow: false }],
        folds: false,
    };
    let mut out = vec![0.0; stage.rows * columns];
    let work = Work { isa, stage: &stage, inputs: &[] };
    let blocks = blocks(threads, &stage, &prepared);
    run_blocks(&work, &blocks, &prepared, std::iter::once((out.as_mut_slice(), false)));
    Tensor::from_stored_f32(&node.output.shape, out)
}
