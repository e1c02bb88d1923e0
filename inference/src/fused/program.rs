//! Stages: a source of rows, and a program that is run on every row while it is in the cache.

use protocol::graph::{Fold, MapFunction};

use super::layout::{Layout, RowOffsets};

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// A register.
    Register(usize),
    /// A value from outside.
    Input(usize),
    /// Not used.
    Nothing,
}

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    /// A function of up to three operands.
    Map(MapFunction),
    /// A row into one element.
    Reduce(Fold),
}

/// One operator of a stage.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub(super) function: Function,
    pub(super) operands: [Place; 3],
    /// The register that is written; never one that is read.
    pub(super) to: usize,
    /// Whether a row of the result is one element.
    pub(super) narrow: bool,
}

/// A value from outside, as the rows of the stage read it.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) layout: Layout,
    pub(super) rows: RowOffsets,
    /// Whether a row reads one element only.
    pub(super) narrow: bool,
    /// Whether it holds truths.
    pub(super) truths: bool,
}

/// A register that is written to a cell.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) register: usize,
    pub(super) cell: usize,
    pub(super) narrow: bool,
}

/// Where the rows of a stage come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Only from inputs.
    Inputs,
    /// A contraction: index in the layer, and how its operands are read.
    Contract { position: usize, left: Layout, right: Layout },
    /// A convolution: index in the layer, its operands, row-major.
    Convolve { position: usize, input: Layout, kernel: Layout },
}

/// Rows that are computed from end to end, one block of them after the other.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) source: Source,
    /// Sizes of the whole output.
    pub(super) dimensions: Vec<usize>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) inputs: Vec<Input>,
    /// Register 0 holds the source's row, if there is one.
    pub(super) program: Vec<Instruction>,
    /// Registers, and which of them hold one element for each row.
    pub(super) narrow: Vec<bool>,
    pub(super) outputs: Vec<Output>,
    /// Whether a row must be seen as a whole.
    pub(super) folds: bool,
}

impl Stage {
    pub(super) fn has_source(&self) -> bool {
        !matches!(self.source, Source::Inputs)
    }

    /// Lets results that are not alive at the same time share registers.
    pub(super) fn reuse_registers(&mut self) {
        let mut last = vec![0; self.narrow.len()];
        for (at, instruction) in self.program.iter().enumerate() {
            for place in instruction.operands {
                if let Place::Register(register) = place {
                    last[register] = at;
                }
            }
        }
        for output in &self.outputs {
            last[output.register] = usize::MAX;
        }
        let sourced = usize::from(self.has_source());
        // The source's row keeps register 0; it lies elsewhere than the others.
        let mut place_of: Vec<usize> = (0..self.narrow.len()).collect();
        let mut narrow: Vec<bool> = self.narrow.iter().copied().take(sourced).collect();
        let mut free: Vec<usize> = Vec::new();
        for (at, instruction) in self.program.iter_mut().enumerate() {
            for place in &mut instruction.operands {
                if let Place::Register(register) = place {
                    *register = place_of[*register];
                }
            }
            let wanted = instruction.narrow;
            let slot = match free.iter().position(|slot| narrow[*slot] == wanted) {
                Some(found) => free.swap_remove(found),
                None => {
                    narrow.push(wanted);
                    narrow.len() - 1
                }
            };
            let register = instruction.to;
            (place_of[register], instruction.to) = (slot, slot);
            // Free behind this instruction: never a register that it reads and writes at once.
            for (other, slot) in place_of.iter().enumerate().skip(sourced) {
                let written = other <= register;
                if written && last[other] == at && !free.contains(slot) {
                    free.push(*slot);
                }
            }
        }
        for output in &mut self.outputs {
            output.register = place_of[output.register];
        }
        self.narrow = narrow;
    }
}
