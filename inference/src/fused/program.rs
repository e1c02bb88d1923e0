//! Stages: a source of rows, and a program that is run on every row while it is in the cache.

use protocol::graph::{Fold, MapFunction};

use super::layout::{Layout, RowOffsets};

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// A register.
    Register(usize),
    /// A value from outside.
    Input(usize),
    /// Not used.
    Nothing,
}

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// A function of up to three operands.
    Map(MapFunction),
    /// A row into one element.
    Reduce(Fold),
}

/// One operator of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) function: Function,
    pub(crate) operands: [Place; 3],
    /// The register that is written; never one that is read.
    pub(crate) to: usize,
    /// Whether a row of the result is one element.
    pub(crate) narrow: bool,
}

/// A value from outside, as the rows of the stage read it.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) layout: Layout,
    pub(crate) rows: RowOffsets,
    /// Whether a row reads one element only.
    pub(crate) narrow: bool,
    /// Whether it holds truths.
    pub(crate) truths: bool,
}

/// A register that is written to a cell.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) register: usize,
    pub(crate) cell: usize,
    pub(crate) narrow: bool,
}

/// Where the rows of a stage come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Only from inputs.
    Inputs,
    /// A contraction: index in the layer, and how its operands are read.
    Contract { position: usize, left: Layout, right: Layout },
    /// A convolution: index in the layer, its operands, row-major.
    Convolve { position: usize, input: Layout, kernel: Layout },
}

/// Rows that are computed from end to end, one block of them after the other.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) source: Source,
    /// Sizes of the whole output.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) inputs: Vec<Input>,
    /// Register 0 holds the source's row, if there is one.
    pub(crate) program: Vec<Instruction>,
    /// Registers, and which of them hold one element for each row.
    pub(crate) narrow: Vec<bool>,
    pub(crate) outputs: Vec<Output>,
    /// Whether a row must be seen as a whole.
    pub(crate) folds: bool,
}

impl Stage {
    /// Position in the layer of the operator that a stage begins with; 0 where it begins with inputs.
    pub(crate) fn position(&self) -> usize {
        match &self.source {
            Source::Contract { position, .. } | Source::Convolve { position, .. } => *position,
            Source::Inputs => 0,
        }
    }

    /// Whether it begins with a contraction or a convolution.
    pub(crate) fn has_source(&self) -> bool {
        !matches!(self.source, Source::Inputs)
    }

    /// Lets results that are not alive at the same time share registers.
    pub(crate) fn reuse_registers(&mut self) {
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
            // Free after this instruction: never a register that it reads and writes at once.
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
