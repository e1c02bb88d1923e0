//! What one thread does of a stage: a block of rows, finished while it is in the cache.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use protocol::graph::MapFunction;
use rayon::prelude::*;

use super::layout::RowOffsets;
use super::program::{Function, Instruction, Place, Stage};
use super::window::{Convolution, PackedKernel};
use kernels::{
    Isa, LeftRows, PANEL, PackedRows, Pieces, Rectangle, RowOperand, contract, map_row, rectangles,
    reduce_row,
};

/// Rows and columns of a stage that one thread computes.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// Block of the right operand.
    pub(crate) batch: usize,
}

/// What the source of a stage needs, laid out once for all blocks.
pub(crate) enum Prepared<'a> {
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
pub(crate) struct Scratch {
    source: Vec<f32>,
    left: Vec<f32>,
    registers: Vec<Vec<f32>>,
    bases: Vec<usize>,
}

thread_local! {
    pub(crate) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// How a stage is shared out. Only where its rows and columns are cut differs, never a bit.
pub(crate) fn blocks(threads: usize, stage: &Stage, prepared: &Prepared<'_>) -> Vec<Block> {
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
        let end = (batch + 1) * per_batch;
        for first in (batch * per_batch..end).step_by(height.max(1)) {
            for column in (0..columns).step_by(width.max(1)) {
                blocks.push(Block {
                    rows: first..(first + height).min(end),
                    columns: column..(column + width).min(columns),
                    batch,
                });
            }
        }
    }
    blocks
}

impl Block {
    /// Its rows and columns of an output; of a narrow one, the first block of a row has the row's element.
    pub(crate) fn part(&self, narrow: bool) -> (Range<usize>, Range<usize>) {
        let columns = match (narrow, self.columns.start) {
            (false, _) => self.columns.clone(),
            (true, 0) => 0..1,
            (true, _) => 1..1,
        };
        (self.rows.clone(), columns)
    }
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
pub(crate) struct Work<'a> {
    pub(crate) isa: Isa,
    pub(crate) stage: &'a Stage,
    pub(crate) inputs: &'a [Cow<'a, [f32]>],
}

/// Elements of a register while the program runs: they should stay in a first-level cache.
const REGISTER_ELEMENTS: usize = 3072;

impl Work<'_> {
    /// Computes a block into its part of each output.
    pub(crate) fn block(
        &self,
        block: &Block,
        prepared: &Prepared<'_>,
        scratch: &mut Scratch,
        outputs: &mut [Rectangle<'_>],
    ) {
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
                self.write(&part, registers, outputs);
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
                    return contract(self.isa, left, panels, source, pitch);
                }
                #[cfg(test)]
                cov_mark::hit!(rows_would_evict_each_other);
                // Rows that lie whole pages apart evict each other from the first-level cache.
                let stride = self::pitch(depth);
                grow(copy, height * stride);
                bases.clear();
                bases.extend((0..height).map(|row| row * stride));
                for (to, from) in bases.iter().zip(rows) {
                    copy[*to..to + depth].copy_from_slice(&data[*from..from + depth]);
                }
                contract(self.isa, LeftRows { data: copy, bases, pieces }, panels, source, pitch);
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
                        contract(self.isa, left, panels, &mut source[at..], pitch);
                    }
                }
                PackedKernel::Channels(weights) => {
                    for (row, out) in block.rows.clone().zip(source.chunks_mut(pitch)) {
                        let out = &mut out[..width];
                        kernels::depthwise(self.isa, data, shape.base(row), taps, weights, out);
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
                        RowOperand::Many(values) => reduce_row(self.isa, fold, values),
                        RowOperand::One(value) => reduce_row(self.isa, fold, &[value]),
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
            return map_row(self.isa, function, a, b, c, out);
        }
        for (row, out) in out.chunks_mut(width).enumerate() {
            let operand = |place: Place| self.operand(place, part, registers, row);
            map_row(self.isa, function, operand(a), operand(b), operand(c), out);
        }
    }

    /// An operand for all rows of a part at once, where they lie one after the other.
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
            Place::Register(register) => {
                if self.stage.narrow[register] {
                    RowOperand::One(registers[register][row])
                } else {
                    RowOperand::Many(&registers[register][row * width..][..width])
                }
            }
            Place::Input(input) => {
                let (shape, data) = (&self.stage.inputs[input], &self.inputs[input]);
                let first = shape.layout.offset + shape.rows.at(part.rows.start + row);
                if shape.narrow {
                    RowOperand::One(data[first])
                } else {
                    RowOperand::Many(&data[first + part.columns.start..][..width])
                }
            }
        }
    }

    fn write(&self, part: &Part<'_>, registers: &[Vec<f32>], parts: &mut [Rectangle<'_>]) {
        let width = part.columns.len();
        for (output, to) in self.stage.outputs.iter().zip(parts) {
            // A row's one element belongs to the block of its first column.
            if output.narrow && part.columns.start > 0 {
                continue;
            }
            for row in 0..part.rows.len() {
                let (at, first) = (part.rows.start + row, part.columns.start);
                match self.operand(Place::Register(output.register), part, registers, row) {
                    RowOperand::One(value) if output.narrow => to.write(at, 0, &[value]),
                    RowOperand::One(value) => to.write(at, first, &vec![value; width]),
                    RowOperand::Many(values) => to.write(at, first, values),
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

/// Runs the blocks of a stage on the engine's threads, each into its own part of every output.
pub(crate) fn run_blocks<'o>(
    work: &Work<'_>,
    blocks: &[Block],
    prepared: &Prepared<'_>,
    outputs: impl Iterator<Item = (&'o mut [f32], bool)>,
) {
    let mut parts: Vec<Vec<Rectangle<'o>>> = blocks.iter().map(|_| Vec::new()).collect();
    for (floats, narrow) in outputs {
        let columns = if narrow { 1 } else { work.stage.columns };
        let cut = rectangles(floats, columns, blocks.iter().map(|block| block.part(narrow)));
        parts.iter_mut().zip(cut).for_each(|(all, part)| all.push(part));
    }
    let run = |(block, mut outputs): (&Block, Vec<Rectangle<'o>>)| {
        SCRATCH.with_borrow_mut(|scratch| work.block(block, prepared, scratch, &mut outputs));
    };
    match blocks {
        [one] => run((one, parts.pop().unwrap_or_default())),
        many => many.par_iter().zip(parts).with_max_len(1).for_each(run),
    }
}
