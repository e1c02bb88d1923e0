//! Runs the plan of a layer.

use std::borrow::Cow;

use protocol::graph::{Node, Operator};
use protocol::hash::Commitment;
use protocol::law;
use protocol::tensor::{ElementType, Shape};
use rayon::prelude::*;

use crate::engine::{Engine, EngineError};
use crate::fused::LayerPlan;
use crate::fused::layout::{Layout, Origin, RowOffsets};
use crate::fused::plan::{Kept, Step};
use crate::fused::program::{Source, Stage};
use crate::fused::window::Convolution;
use crate::fused::work::{Prepared, Work, blocks, run_blocks};
use crate::model::Model;
use crate::tensor::Tensor;
use kernels::{PANEL, PackedRows, Pieces};

/// What a value of the layer is while the layer runs.
#[derive(Debug)]
enum Cell {
    /// A tensor.
    Tensor(Tensor),
    /// Elements of a binary32 value: the first so many of memory that goes back to the engine.
    Floats(Vec<f32>, usize),
}

/// Values of a layer while it runs.
struct Cells<'a> {
    weights: &'a [Tensor],
    live: &'a [&'a Tensor],
    own: Vec<Option<Cell>>,
}

impl Cells<'_> {
    fn floats(&self, origin: Origin) -> Option<&[f32]> {
        match origin {
            Origin::Weight(weight) => self.weights.get(weight).map(Tensor::as_f32),
            Origin::Cell(cell) => match cell.checked_sub(self.live.len()) {
                None => self.live.get(cell).map(|tensor| tensor.as_f32()),
                Some(own) => match self.own.get(own)?.as_ref()? {
                    Cell::Tensor(tensor) => Some(tensor.as_f32()),
                    Cell::Floats(floats, length) => floats.get(..*length),
                },
            },
        }
    }

    /// A value as a tensor; floats become one.
    fn tensor(&mut self, origin: Origin, shape: &Shape) -> Option<Tensor> {
        let own = match origin {
            Origin::Weight(weight) => return self.weights.get(weight).cloned(),
            Origin::Cell(cell) => match cell.checked_sub(self.live.len()) {
                None => return self.live.get(cell).map(|tensor| (*tensor).clone()),
                Some(own) => own,
            },
        };
        let entry = self.own.get_mut(own)?;
        let tensor = match entry.take()? {
            Cell::Tensor(tensor) => tensor,
            Cell::Floats(mut floats, length) => {
                floats.truncate(length);
                Tensor::from_stored_f32(shape, floats)?
            }
        };
        *entry = Some(Cell::Tensor(tensor.clone()));
        Some(tensor)
    }

    fn put(&mut self, cell: usize, value: Cell) {
        if let Some(entry) = cell.checked_sub(self.live.len()).and_then(|own| self.own.get_mut(own))
        {
            *entry = Some(value);
        }
    }

    fn truths(&self, origin: Origin) -> Option<Vec<f32>> {
        let tensor = match origin {
            Origin::Weight(weight) => self.weights.get(weight)?,
            Origin::Cell(cell) => match cell.checked_sub(self.live.len()) {
                None => self.live.get(cell)?,
                Some(own) => match self.own.get(own)?.as_ref()? {
                    Cell::Tensor(tensor) => tensor,
                    Cell::Floats(..) => return None,
                },
            },
        };
        if tensor.kind().element != ElementType::Bool {
            return None;
        }
        Some(tensor.all_bits().into_iter().map(|bits| if bits != 0 { 1.0 } else { 0.0 }).collect())
    }

    fn bury(&mut self, engine: &Engine, cell: usize) {
        let own = cell.checked_sub(self.live.len()).and_then(|own| self.own.get_mut(own));
        if let Some(Cell::Floats(floats, _)) = own.and_then(Option::take) {
            engine.give_back(floats);
        }
    }
}

/// Values after a layer, in the order of its table, from the live values before it.
///
/// # Errors
/// The position in the layer of the operator that failed, and why.
pub(crate) fn run_layer<C: Commitment>(
    engine: &Engine,
    model: &Model<C>,
    plan: &LayerPlan,
    nodes: &[Node],
    first_operator: u32,
    live: &[&Tensor],
) -> Result<Vec<Tensor>, (usize, EngineError)> {
    let lost = |kind| EngineError::Operands { kind };
    let own = (0..plan.cells - live.len()).map(|_| None).collect();
    let mut cells = Cells { weights: model.weights(), live, own };
    for (step, dead) in plan.steps.iter().zip(&plan.dead) {
        match step {
            Step::Single { position, operands } => {
                let fail = |error| (*position, error);
                let node = nodes.get(*position).and_then(|node| law::check(node).ok());
                let node = node.ok_or_else(|| fail(lost("operator")))?;
                let tensors: Option<Vec<Tensor>> = operands
                    .iter()
                    .zip(&node.operands)
                    .map(|(origin, operand)| cells.tensor(*origin, &operand.kind.shape))
                    .collect();
                let tensors = tensors.ok_or_else(|| fail(lost(node.operator.kind())))?;
                let operands: Vec<&Tensor> = tensors.iter().collect();
                let packed = model.packed(first_operator + *position as u32);
                let output = engine.run(node, &operands, packed).map_err(fail)?;
                cells.put(live.len() + position, Cell::Tensor(output));
            }
            Step::Gather { to, from } => {
                let position = to.saturating_sub(live.len());
                let data = cells.floats(from.base).ok_or_else(|| (position, lost("gather")))?;
                let mut out = engine.take(from.count());
                gather(from, data, &mut out[..from.count()]);
                cells.put(*to, Cell::Floats(out, from.count()));
            }
            Step::Rows(stage) => {
                let failed = || (stage.position(), lost("stage"));
                let written = run_stage(engine, model, stage, nodes, first_operator, &cells);
                for (cell, floats, length) in written.ok_or_else(failed)? {
                    cells.put(cell, Cell::Floats(floats, length));
                }
            }
        }
        for cell in dead {
            cells.bury(engine, *cell);
        }
    }
    let missing = || (nodes.len().saturating_sub(1), lost("result"));
    plan.results
        .iter()
        .map(|kept| match kept {
            Kept::Passed(cell) => live.get(*cell).map(|tensor| (*tensor).clone()),
            Kept::Made(layout) => result(engine, &mut cells, layout, nodes),
        })
        .map(|tensor| tensor.ok_or_else(missing))
        .collect()
}

/// A value after the layer as a tensor of its own.
fn result(
    engine: &Engine,
    cells: &mut Cells<'_>,
    layout: &Layout,
    nodes: &[Node],
) -> Option<Tensor> {
    let dimensions: Vec<u64> = layout.dimensions.iter().map(|size| *size as u64).collect();
    let shape = Shape::new(&dimensions)?;
    let base_shape = match layout.base {
        Origin::Weight(weight) => cells.weights.get(weight)?.shape().clone(),
        Origin::Cell(cell) => match cell.checked_sub(cells.live.len()) {
            None => cells.live.get(cell)?.shape().clone(),
            Some(own) => nodes.get(own)?.output.shape.clone(),
        },
    };
    if layout.is_whole() && base_shape.count() == shape.count() {
        return cells.tensor(layout.base, &base_shape)?.reshaped(&shape);
    }
    let data = cells.floats(layout.base)?;
    let mut out = engine.take(layout.count());
    out.truncate(layout.count());
    gather(layout, data, &mut out);
    Tensor::from_stored_f32(&shape, out)
}

/// Elements in row-major order.
fn gather(from: &Layout, data: &[f32], out: &mut [f32]) {
    let Some((columns, outer)) = from.dimensions.split_last() else {
        out.copy_from_slice(&data[from.offset..from.offset + 1]);
        return;
    };
    let (columns, stride) = (*columns, from.strides[outer.len()]);
    let rows = RowOffsets::new(outer, &from.strides[..outer.len()]);
    let copy = |(row, to): (usize, &mut [f32])| {
        let first = from.offset + rows.at(row);
        match stride {
            1 => to.copy_from_slice(&data[first..first + columns]),
            _ => {
                for (column, to) in to.iter_mut().enumerate() {
                    *to = data[first + column * stride];
                }
            }
        }
    };
    const SMALL: usize = 1 << 15;
    if out.len() <= SMALL {
        out.chunks_mut(columns).enumerate().for_each(copy);
    } else {
        let least = SMALL.div_ceil(columns);
        out.par_chunks_mut(columns).enumerate().with_min_len(least).for_each(copy);
    }
}

/// Runs a stage; `None` when something it reads is not there. Gives the cells it wrote.
fn run_stage<C: Commitment>(
    engine: &Engine,
    model: &Model<C>,
    stage: &Stage,
    nodes: &[Node],
    first_operator: u32,
    cells: &Cells<'_>,
) -> Option<Vec<(usize, Vec<f32>, usize)>> {
    let mut inputs: Vec<Cow<'_, [f32]>> = Vec::new();
    for input in &stage.inputs {
        inputs.push(if input.truths {
            Cow::Owned(cells.truths(input.layout.base)?)
        } else {
            Cow::Borrowed(cells.floats(input.layout.base)?)
        });
    }
    let prepared = prepare(engine, model, stage, nodes, first_operator, cells)?;
    let blocks = blocks(engine.threads(), stage, &prepared);
    let mut written: Vec<(usize, Vec<f32>, usize)> = stage
        .outputs
        .iter()
        .map(|output| {
            let length = stage.rows * if output.narrow { 1 } else { stage.columns };
            (output.cell, engine.take(length), length)
        })
        .collect();
    let work = Work { isa: engine.isa(), stage, inputs: &inputs };
    let outputs = written
        .iter_mut()
        .zip(&stage.outputs)
        .map(|((_, floats, length), output)| (&mut floats[..*length], output.narrow));
    run_blocks(&work, &blocks, &prepared, outputs);
    match prepared {
        Prepared::Convolve { data: Cow::Owned(padded), .. } => engine.give_back(padded),
        Prepared::Contract { packed, .. } => packed.into_iter().for_each(|one| {
            if let Cow::Owned(packed) = one {
                engine.give_back(packed.into_memory());
            }
        }),
        Prepared::Convolve { .. } | Prepared::Inputs => {}
    }
    Some(written)
}

fn prepare<'a, C: Commitment>(
    engine: &Engine,
    model: &'a Model<C>,
    stage: &Stage,
    nodes: &[Node],
    first_operator: u32,
    cells: &'a Cells<'_>,
) -> Option<Prepared<'a>> {
    match &stage.source {
        Source::Inputs => Some(Prepared::Inputs),
        Source::Contract { position, left, right } => {
            let (_, batch) = stage.dimensions.split_at(stage.dimensions.len() - 2);
            let batch_sizes = &stage.dimensions[..stage.dimensions.len() - 2];
            let (depth, count) = (*left.dimensions.last()?, *batch.last()?);
            // Rows of the left operand, as often as the batch repeats them.
            let mut wanted = stage.dimensions.clone();
            *wanted.last_mut()? = depth;
            let rows = left.expanded(&wanted)?;
            let offsets =
                RowOffsets::new(&wanted[..wanted.len() - 1], &rows.strides[..wanted.len() - 1]);
            let bases = (0..stage.rows).map(|row| rows.offset + offsets.at(row)).collect();
            let data = cells.floats(left.base)?;
            let packed = match model.packed_rows(first_operator + *position as u32) {
                Some(packed) => vec![Cow::Borrowed(packed)],
                None => {
                    let values = cells.floats(right.base)?;
                    let outer = right.dimensions.len() - 2;
                    let strides = (right.strides[outer], right.strides[outer + 1]);
                    let mut wanted = batch_sizes.to_vec();
                    wanted.extend(&right.dimensions[outer..]);
                    let whole = right.expanded(&wanted)?;
                    let offsets = RowOffsets::new(batch_sizes, &whole.strides[..batch_sizes.len()]);
                    let batches = match offsets {
                        RowOffsets::Same => 1,
                        _ => batch_sizes.iter().product(),
                    };
                    (0..batches)
                        .into_par_iter()
                        .with_min_len((1 << 14) / (count * depth + 1) + 1)
                        .map(|batch| {
                            let first = right.offset + offsets.at(batch);
                            let mut packed = PackedRows::in_memory(
                                engine.take(count.next_multiple_of(PANEL) * depth),
                            );
                            packed.fill(values, first, (count, depth), strides);
                            Cow::Owned(packed)
                        })
                        .collect()
                }
            };
            Some(Prepared::Contract { data, bases, pieces: Pieces::row(depth), packed })
        }
        Source::Convolve { position, input, kernel } => {
            let node = nodes.get(*position)?;
            let Operator::Convolve { window, groups } = &node.operator else {
                return None;
            };
            let shape = Convolution::new(node, window, *groups)?;
            let data = shape.padded(cells.floats(input.base)?, engine.take(shape.padded_length()));
            let kernel = match model.packed_kernel(first_operator + *position as u32) {
                Some(packed) => Cow::Borrowed(packed),
                None => Cow::Owned(shape.pack(cells.floats(kernel.base)?)),
            };
            let (pieces, taps) = (shape.pieces(), shape.taps());
            Some(Prepared::Convolve { data, shape, pieces, taps, kernel })
        }
    }
}
