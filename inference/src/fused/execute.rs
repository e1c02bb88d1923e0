//! Runs the plan of a layer.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use protocol::graph::{MapFunction, Node, Operator};
use protocol::hash::Commitment;
use protocol::tensor::{ElementType, Shape};
use rayon::prelude::*;

use super::layout::{Layout, RowOffsets, sizes};
use super::program::{Function, Instruction, Place, Source, Stage};
use super::window::{Convolution, PackedKernel};
use super::{Kept, LayerPlan, Origin, Step};
use crate::engine::{Engine, EngineError};
use crate::kernels::{
    self, LeftRows, PANEL, PackedRows, Path, Pieces, RowOperand, contract, map_row, reduce_row,
};
use crate::model::Model;
use crate::tensor::Tensor;

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

    fn bury(&mut self, engine: &Engine, cell: usize) {
        let own = cell.checked_sub(self.live.len()).and_then(|own| self.own.get_mut(own));
        if let Some(Cell::Floats(floats, _)) = own.and_then(Option::take) {
            engine.give_back(floats);
        }
    }
}

/// Values behind a layer, in the order of its table, from the live values before it.
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
                let node = nodes.get(*position).ok_or_else(|| fail(lost("operator")))?;
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

/// A value behind the layer as a tensor of its own.
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

/// Rows and columns of a stage that one thread computes.
#[derive(Clone, Debug)]
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
    /// Block of the right operand.
    batch: usize,
}

/// What the source of a stage needs, laid out once for all blocks.
enum Prepared<'a> {
    Inputs,
    Contract {
        data: &'a [f32],
        bases: Vec<usize>,
        pieces: Pieces,
        packed: Vec<Cow<'a, PackedRows>>,
    },
    Convolve {
        data: Cow<'a, [f32]>,
        shape: Convolution,
        pieces: Pieces,
        taps: Vec<usize>,
        kernel: Cow<'a, PackedKernel>,
    },
}

/// Memory of a thread, kept from block to block.
#[derive(Default)]
struct Scratch {
    source: Vec<f32>,
    left: Vec<f32>,
    registers: Vec<Vec<f32>>,
    bases: Vec<usize>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A matrix that several threads write, each its own rectangle.
struct Shared {
    start: *mut f32,
    length: usize,
    columns: usize,
}

// SAFETY: threads write disjoint rectangles only: those of the blocks of one stage.
unsafe impl Sync for Shared {}

impl Shared {
    fn write(&self, row: usize, column: usize, from: &[f32]) {
        let at = row * self.columns + column;
        assert!(at + from.len() <= self.length, "a block leaves its output");
        // SAFETY: it is inside, and no other block of the stage holds these places.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.start.add(at), from.len());
        }
    }
}

impl Stage {
    fn position(&self) -> usize {
        match &self.source {
            Source::Contract { position, .. } | Source::Convolve { position, .. } => *position,
            Source::Inputs => 0,
        }
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
        inputs.push(match input.truths {
            false => Cow::Borrowed(cells.floats(input.layout.base)?),
            true => Cow::Owned(cells.truths(input.layout.base)?),
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
    let shared: Vec<Shared> = written
        .iter_mut()
        .zip(&stage.outputs)
        .map(|((_, floats, length), output)| Shared {
            start: floats.as_mut_ptr(),
            length: *length,
            columns: if output.narrow { 1 } else { stage.columns },
        })
        .collect();
    let run = |block: &Block| {
        SCRATCH.with_borrow_mut(|scratch| {
            let work = Work { path: engine.path(), stage, inputs: &inputs, shared: &shared };
            work.block(block, &prepared, scratch);
        });
    };
    match blocks.as_slice() {
        [one] => run(one),
        many => many.par_iter().with_max_len(1).for_each(run),
    }
    drop(shared);
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

impl Cells<'_> {
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

/// How a stage is shared out. Only where its rows and columns are cut differs, never a bit.
fn blocks(threads: usize, stage: &Stage, prepared: &Prepared<'_>) -> Vec<Block> {
    let (rows, columns) = (stage.rows, stage.columns);
    let (depth, batches, by_columns) = match prepared {
        Prepared::Inputs => (stage.program.len() * 4, 1, !stage.folds),
        Prepared::Contract { pieces, packed, .. } => (pieces.depth(), packed.len(), !stage.folds),
        Prepared::Convolve { shape, kernel, .. } => {
            let whole = matches!(kernel.as_ref(), PackedKernel::Groups(one) if one.len() == 1);
            (shape.depth(), 1, whole && !stage.folds)
        }
    };
    // Less work than a thread takes to wake up.
    const SMALL: usize = 1 << 19;
    let threads = if rows * columns * depth < SMALL { 1 } else { threads };
    // What a block writes should stay in a second-level cache.
    let most = ((3 << 16) / columns).clamp(48, 256);
    let per_batch = rows / batches;
    let (mut height, mut width) = (per_batch.min(most), columns);
    if threads > 1 {
        // More blocks than threads: one that is held up must not hold up the other.
        let shares = (threads * SHARES).div_ceil(batches * per_batch.div_ceil(height));
        let panels = columns.div_ceil(PANEL);
        if shares > 1 && by_columns && panels >= 2 {
            // By columns, so that the right operand is read once by all threads together.
            width = panels.div_ceil(shares) * PANEL;
        } else if shares > 1 {
            height = height.div_ceil(shares).next_multiple_of(12).min(height);
        }
    }
    let mut blocks = Vec::new();
    for batch in 0..batches {
        let behind = (batch + 1) * per_batch;
        for first in (batch * per_batch..behind).step_by(height.max(1)) {
            for column in (0..columns).step_by(width.max(1)) {
                blocks.push(Block {
                    rows: first..(first + height).min(behind),
                    columns: column..(column + width).min(columns),
                    batch,
                });
            }
        }
    }
    blocks
}

/// Blocks of a stage for each thread, at least, where it can be cut so finely.
const SHARES: usize = 4;

/// Elements between places that share a set of a first-level cache.
const WAY: usize = 1024;

/// Distance of rows in memory of our own: never whole ways, where rows evict each other.
fn pitch(width: usize) -> usize {
    if width.is_multiple_of(WAY) { width + WAY / 16 } else { width }
}

/// Makes sure that there is room; what is there already stays, whatever it is.
fn grow(memory: &mut Vec<f32>, length: usize) {
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
}

/// A stage on its way.
struct Work<'a> {
    path: Path,
    stage: &'a Stage,
    inputs: &'a [Cow<'a, [f32]>],
    shared: &'a [Shared],
}

/// Elements of a register while the program runs: they should stay in a first-level cache.
const REGISTER_ELEMENTS: usize = 3072;

impl Work<'_> {
    fn block(&self, block: &Block, prepared: &Prepared<'_>, scratch: &mut Scratch) {
        let width = block.columns.len();
        let pitch = pitch(width);
        self.fill(block, prepared, scratch, pitch);
        let Scratch { source, registers, .. } = scratch;
        registers.resize_with(self.stage.narrow.len().max(registers.len()), Vec::new);
        // A row that must be seen as a whole is never cut; others are, when they are long.
        let across = if self.stage.folds { width } else { width.min(REGISTER_ELEMENTS) };
        let down = (REGISTER_ELEMENTS / across.max(1)).max(1);
        for first in block.rows.clone().step_by(down) {
            for column in block.columns.clone().step_by(across.max(1)) {
                let part = Part {
                    rows: first..(first + down).min(block.rows.end),
                    columns: column..(column + across).min(block.columns.end),
                    source,
                    origin: (block.rows.start, block.columns.start),
                    stride: pitch,
                };
                for instruction in &self.stage.program {
                    self.instruct(instruction, &part, registers);
                }
                self.write(&part, registers);
            }
        }
    }

    /// The source's rows of a block.
    fn fill(&self, block: &Block, prepared: &Prepared<'_>, scratch: &mut Scratch, pitch: usize) {
        let Scratch { source, left: copy, bases, .. } = scratch;
        let (width, height) = (block.columns.len(), block.rows.len());
        if self.stage.has_source() {
            grow(source, height * pitch);
        }
        match prepared {
            Prepared::Inputs => {}
            Prepared::Contract { data, bases: rows, pieces, packed } => {
                let panels = packed[block.batch].panels(block.columns.clone());
                let (rows, depth) = (&rows[block.rows.clone()], pieces.depth());
                let apart = rows.get(1).map_or(0, |second| second.abs_diff(rows[0]));
                if !apart.is_multiple_of(WAY) || apart == 0 || width < 2 * PANEL {
                    let left = LeftRows { data, bases: rows, pieces };
                    return contract(self.path, left, panels, source, pitch);
                }
                // Rows that lie whole pages apart evict each other from the first-level cache.
                let stride = self::pitch(depth);
                grow(copy, height * stride);
                bases.clear();
                bases.extend((0..height).map(|row| row * stride));
                for (to, from) in bases.iter().zip(rows) {
                    copy[*to..to + depth].copy_from_slice(&data[*from..from + depth]);
                }
                contract(self.path, LeftRows { data: copy, bases, pieces }, panels, source, pitch);
            }
            Prepared::Convolve { data, shape, pieces, taps, kernel } => match kernel.as_ref() {
                PackedKernel::Groups(groups) => {
                    let (inputs, outputs) = shape.group_channels();
                    for (group, packed) in groups.iter().enumerate() {
                        bases.clear();
                        let first = group * inputs;
                        bases.extend(block.rows.clone().map(|row| shape.base(row) + first));
                        let left = LeftRows { data, bases, pieces };
                        let (panels, at) = match groups.len() {
                            1 => (packed.panels(block.columns.clone()), 0),
                            _ => (packed.whole(), group * outputs),
                        };
                        contract(self.path, left, panels, &mut source[at..], pitch);
                    }
                }
                PackedKernel::Channels(weights) => {
                    for (row, out) in block.rows.clone().zip(source.chunks_mut(pitch)) {
                        let out = &mut out[..width];
                        kernels::depthwise(self.path, data, shape.base(row), taps, weights, out);
                    }
                }
            },
        }
    }

    fn instruct(&self, instruction: &Instruction, part: &Part<'_>, registers: &mut [Vec<f32>]) {
        let mut out = std::mem::take(&mut registers[instruction.to]);
        let (rows, width) = (part.rows.len(), part.columns.len());
        match instruction.function {
            Function::Reduce(fold) => {
                grow(&mut out, rows);
                for (row, out) in out[..rows].iter_mut().enumerate() {
                    *out = match self.operand(instruction.operands[0], part, registers, row) {
                        RowOperand::Many(values) => reduce_row(self.path, fold, values),
                        RowOperand::One(value) => reduce_row(self.path, fold, &[value]),
                    };
                }
            }
            Function::Map(function) => {
                let width = if instruction.narrow { 1 } else { width };
                grow(&mut out, rows * width);
                let out = &mut out[..rows * width];
                self.map(function, instruction, part, registers, out, width);
            }
        }
        registers[instruction.to] = out;
    }

    fn map(
        &self,
        function: MapFunction,
        instruction: &Instruction,
        part: &Part<'_>,
        registers: &[Vec<f32>],
        out: &mut [f32],
        width: usize,
    ) {
        let [a, b, c] = instruction.operands;
        let flat = |place: Place| self.flat(place, part, registers, width);
        if let Some(a) = flat(a)
            && let Some(b) = flat(b)
            && let Some(c) = flat(c)
        {
            return map_row(self.path, function, a, b, c, out);
        }
        for (row, out) in out.chunks_mut(width).enumerate() {
            let operand = |place: Place| self.operand(place, part, registers, row);
            map_row(self.path, function, operand(a), operand(b), operand(c), out);
        }
    }

    /// An operand for all rows of a part at once, where they lie one behind the other.
    fn flat<'s>(
        &'s self,
        place: Place,
        part: &'s Part<'_>,
        registers: &'s [Vec<f32>],
        width: usize,
    ) -> Option<RowOperand<'s>> {
        let rows = part.rows.len();
        match place {
            Place::Nothing => Some(RowOperand::One(0.0)),
            Place::Register(0) if self.stage.has_source() => {
                let (row, column) =
                    (part.rows.start - part.origin.0, part.columns.start - part.origin.1);
                let whole = width == part.stride;
                let first = row * part.stride + column;
                (whole || rows == 1)
                    .then(|| RowOperand::Many(&part.source[first..][..rows * width]))
            }
            Place::Register(register) => {
                let narrow = self.stage.narrow[register];
                (!narrow || width == 1)
                    .then(|| RowOperand::Many(&registers[register][..rows * width]))
            }
            Place::Input(input) => {
                let (shape, data) = (&self.stage.inputs[input], &self.inputs[input]);
                let first = shape.layout.offset + shape.rows.at(part.rows.start);
                match &shape.rows {
                    RowOffsets::Same if shape.narrow => Some(RowOperand::One(data[first])),
                    _ if rows == 1 && shape.narrow => Some(RowOperand::One(data[first])),
                    _ if rows == 1 => {
                        Some(RowOperand::Many(&data[first + part.columns.start..][..width]))
                    }
                    RowOffsets::Linear(stride)
                        if !shape.narrow
                            && *stride == self.stage.columns
                            && width == self.stage.columns =>
                    {
                        Some(RowOperand::Many(&data[first..][..rows * width]))
                    }
                    RowOffsets::Linear(1) if shape.narrow && width == 1 => {
                        Some(RowOperand::Many(&data[first..][..rows]))
                    }
                    _ => None,
                }
            }
        }
    }

    /// An operand for one row of a part.
    fn operand<'s>(
        &'s self,
        place: Place,
        part: &'s Part<'_>,
        registers: &'s [Vec<f32>],
        row: usize,
    ) -> RowOperand<'s> {
        let width = part.columns.len();
        match place {
            Place::Nothing => RowOperand::One(0.0),
            Place::Register(0) if self.stage.has_source() => {
                let at = (part.rows.start - part.origin.0 + row) * part.stride;
                let first = at + part.columns.start - part.origin.1;
                RowOperand::Many(&part.source[first..][..width])
            }
            Place::Register(register) => match self.stage.narrow[register] {
                true => RowOperand::One(registers[register][row]),
                false => RowOperand::Many(&registers[register][row * width..][..width]),
            },
            Place::Input(input) => {
                let (shape, data) = (&self.stage.inputs[input], &self.inputs[input]);
                let first = shape.layout.offset + shape.rows.at(part.rows.start + row);
                match shape.narrow {
                    true => RowOperand::One(data[first]),
                    false => RowOperand::Many(&data[first + part.columns.start..][..width]),
                }
            }
        }
    }

    fn write(&self, part: &Part<'_>, registers: &[Vec<f32>]) {
        let width = part.columns.len();
        for (output, shared) in self.stage.outputs.iter().zip(self.shared) {
            for row in 0..part.rows.len() {
                let to = part.rows.start + row;
                match self.operand(Place::Register(output.register), part, registers, row) {
                    RowOperand::One(value) if output.narrow => shared.write(to, 0, &[value]),
                    RowOperand::One(value) => {
                        shared.write(to, part.columns.start, &vec![value; width]);
                    }
                    RowOperand::Many(values) => shared.write(to, part.columns.start, values),
                }
            }
        }
    }
}

/// The rows and columns that registers hold at a time.
struct Part<'a> {
    rows: Range<usize>,
    columns: Range<usize>,
    /// The source's rows of the whole block, `stride` apart, from `origin` on.
    source: &'a [f32],
    origin: (usize, usize),
    stride: usize,
}

/// A convolution by itself, with the same code as in a stage.
pub(crate) fn convolve(
    engine: &Engine,
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
        outputs: vec![super::program::Output { register: 0, cell: 0, narrow: false }],
        folds: false,
    };
    let mut out = vec![0.0; stage.rows * columns];
    let shared = [Shared { start: out.as_mut_ptr(), length: out.len(), columns }];
    let work = Work { path: engine.path(), stage: &stage, inputs: &[], shared: &shared };
    blocks(engine.threads(), &stage, &prepared).par_iter().for_each(|block| {
        SCRATCH.with_borrow_mut(|scratch| work.block(block, &prepared, scratch));
    });
    Tensor::from_stored_f32(&node.output.shape, out)
}
