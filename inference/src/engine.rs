//! One operator at a time: burn for what is exact in any order, our kernels for the rest.
//!
//! The rule of the split: data movement and single IEEE operations are burn's, followed by rule Q;
//! contraction, convolution, reductions and elementary functions are the kernels'. What neither
//! serves (integers, rare functions) is computed by the law itself, slower and by definition right.

mod burn;
mod definition;
mod error;
mod integers;
mod movement;
mod window;

use std::sync::{Arc, Mutex, PoisonError};

use ::burn::backend::flex::FlexTensor;
use protocol::graph::{Fold, MapFunction, Node, Operator, Window};
use protocol::law::{self, CheckedNode};
use protocol::numerics::{Arithmetic, elementary};
use protocol::tensor::{ElementType, Shape, TensorType};
use rayon::ThreadPool;
use rayon::prelude::*;

use self::burn::{aligned, exact_by_burn, stored, whole};
pub use self::definition::{WholeTensors, by_law, first_undefined};
pub use self::error::EngineError;
use self::movement::movement;
use self::window::Geometry;
use crate::fused::{self, PackedKernel};
use crate::tensor::Tensor;
use kernels::{Isa, LeftRows, PackedRows, Pieces, Portable, Unary};

/// A weight laid out beforehand for the operator that reads it.
#[derive(Clone, Debug)]
pub enum Packed {
    /// The second operand of a contraction.
    Rows(PackedRows),
    /// The kernel of a convolution.
    Kernel(PackedKernel),
}

/// Runs canonical operators on this machine.
#[derive(Clone, Debug)]
pub struct Engine {
    isa: Isa,
    threads: usize,
    pool: Arc<ThreadPool>,
    memory: Arc<Mutex<Vec<Vec<f32>>>>,
}

/// Pieces of memory that an engine keeps for the next operators.
const KEPT_MAX: usize = 64;

impl Engine {
    /// An engine with some of this CPU's instructions.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn new(isa: Isa, threads: usize) -> Result<Self, EngineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .build()
            .map_err(|error| EngineError::Threads { reason: error.to_string() })?;
        Ok(Self { isa, threads: threads.max(1), pool: Arc::new(pool), memory: Arc::default() })
    }

    /// Memory of this many floats or more, whatever they are.
    pub(crate) fn take(&self, length: usize) -> Vec<f32> {
        // The lock guards a list of spare memory: nothing can be half done in it.
        let mut kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |memory: &Vec<f32>| memory.len() >= length;
        let best = kept
            .iter()
            .enumerate()
            .filter(|(_, memory)| fits(memory))
            .min_by_key(|(_, memory)| memory.len())
            .map(|(place, _)| place);
        let mut memory = best.map(|place| kept.swap_remove(place)).unwrap_or_default();
        drop(kept);
        if memory.len() < length {
            memory.resize(length, 0.0);
        }
        memory
    }

    /// Takes memory back for later.
    pub(crate) fn give_back(&self, memory: Vec<f32>) {
        let mut kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            #[cfg(test)]
            cov_mark::hit!(spare_memory_is_let_go);
        } else if memory.capacity() > 0 {
            kept.push(memory);
        }
    }

    /// Runs work on the engine's threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// The fastest instructions and all cores.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn detect() -> Result<Self, EngineError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(Isa::detect(), threads)
    }

    /// Instructions in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Output of a node. `packed` may hold its second operand, laid out beforehand.
    ///
    /// # Errors
    /// When the operands do not fit the node or the operator has no result for them.
    pub fn run(
        &self,
        node: CheckedNode<'_>,
        operands: &[&Tensor],
        packed: Option<&Packed>,
    ) -> Result<Tensor, EngineError> {
        let kind = node.operator.kind();
        let fits = operands.len() == node.operands.len()
            && operands
                .iter()
                .zip(&node.operands)
                .all(|(given, wanted)| *given.kind() == wanted.kind);
        if !fits {
            return Err(EngineError::Operands { kind });
        }
        // Whether the law itself computed it, beside the output.
        let (output, _by_law) = self.pool.install(|| {
            let fast = match &node.operator {
                Operator::Map { function } => self.map(&node, *function, operands),
                Operator::Contract {} => self.contract(&node, operands, packed),
                Operator::Convolve { .. } => {
                    let kernel = match packed {
                        Some(Packed::Kernel(kernel)) => Some(kernel),
                        _ => None,
                    };
                    fused::convolve((self.isa, self.threads), &node, operands, kernel)
                }
                Operator::Reduce { fold } => self.reduce(&node, *fold, operands),
                Operator::Pool { fold, window } => self.pool(&node, *fold, window, operands),
                _ => movement(&node, operands),
            };
            match fast {
                Some(tensor) => Ok((tensor, false)),
                None => by_law(node, operands).map(|tensor| (tensor, true)),
            }
        })?;
        #[cfg(test)]
        if _by_law {
            cov_mark::hit!(law_computes_an_operator);
        }
        Ok(output)
    }

    fn map(&self, node: &Node, function: MapFunction, operands: &[&Tensor]) -> Option<Tensor> {
        use MapFunction as F;
        let floats = operands.last()?.kind().element == ElementType::F32;
        if !floats || function == F::Cast {
            return integers::map(node, function, operands);
        }
        if matches!(function, F::Sign | F::IsNan) {
            return None;
        }
        let unary = match function {
            F::Exponential => Some(Unary::Exponential),
            F::Logarithm => Some(Unary::Logarithm),
            F::Tanh => Some(Unary::Tanh),
            F::Erf => Some(Unary::Erf),
            F::Sigmoid => Some(Unary::Sigmoid),
            F::ArcTangent => Some(Unary::ArcTangent),
            F::Sine => Some(Unary::Sine),
            F::Cosine => Some(Unary::Cosine),
            _ => None,
        };
        if matches!(function, F::Sine | F::Cosine) {
            let mut bits = operands.first()?.as_f32().iter().map(|value| value.to_bits());
            if bits.any(elementary::is_beyond_circle) {
                #[cfg(test)]
                cov_mark::hit!(angle_is_beyond_the_circle);
                // The law says what then.
                return None;
            }
        }
        let parts: Vec<FlexTensor> =
            operands.iter().map(|operand| aligned(operand, &node.output.shape)).collect();
        if let Some(unary) = unary {
            let input = Tensor::from_burn(&node.output, whole(parts.first()?, node))?;
            let mut out = vec![0.0; node.output.shape.count() as usize];
            kernels::map_unary(self.isa, unary, input.as_f32(), &mut out);
            return Tensor::from_stored_f32(&node.output.shape, out);
        }
        if let Some(tensor) = exact_by_burn(node, function, &parts) {
            return Some(tensor);
        }
        // Comparisons and rounding that burn leaves to `max`, `min` or the platform: our own loops.
        let inputs: Vec<Tensor> = parts
            .iter()
            .map(|part| {
                let shape = node.output.shape.clone();
                let kind = TensorType { element: ElementType::F32, shape };
                Tensor::from_burn(&kind, whole(part, node))
            })
            .collect::<Option<_>>()?;
        let a = inputs.first()?.as_f32();
        let b = inputs.get(1).map_or(a, Tensor::as_f32);
        let each = |function: fn(f32, f32) -> f32| -> Vec<f32> {
            a.iter().zip(b).map(|(a, b)| stored(function(*a, *b))).collect()
        };
        let out = match function {
            F::Maximum => each(|a, b| keep(a, b, a < b)),
            F::Minimum => each(|a, b| keep(a, b, b < a)),
            F::Floor => each(|a, _| a.floor()),
            F::Ceiling => each(|a, _| a.ceil()),
            F::Round => each(|a, _| a.round_ties_even()),
            F::Power => each(|a, b| {
                let raise = elementary::pow::<Portable>;
                let [a, b] = [a, b].map(|value| Portable::from_bits(value.to_bits()));
                f32::from_bits(raise(a, b).to_bits())
            }),
            _ => return None,
        };
        Tensor::from_stored_f32(&node.output.shape, out)
    }

    fn contract(
        &self,
        node: &Node,
        operands: &[&Tensor],
        packed: Option<&Packed>,
    ) -> Option<Tensor> {
        let (left, right) = (operands.first()?, operands.get(1)?);
        if node.output.element != ElementType::F32 {
            // A sum of integers.
            return None;
        }
        let widened = right.widened();
        let right = widened.as_ref().unwrap_or(right);
        let out_dimensions = node.output.shape.dimensions();
        let (batch, cell) = out_dimensions.split_at(out_dimensions.len().checked_sub(2)?);
        let (rows, columns) = (cell[0] as usize, cell[1] as usize);
        let depth = left.shape().columns() as usize;
        let mut out = vec![0.0; node.output.shape.count() as usize];
        let right_blocks = right.shape().count() as usize / (columns * depth);
        let left_blocks = left.shape().count() as usize / (rows * depth);
        let batch_count = batch.iter().product::<u64>() as usize;
        let pack = |block: usize| {
            let rows = &right.as_f32()[block * columns * depth..][..columns * depth];
            PackedRows::new(rows, columns, depth)
        };
        if right_blocks == 1 && left_blocks == batch_count {
            // One matrix for the whole batch: the batch is only more rows.
            let own;
            let packed = match packed {
                Some(Packed::Rows(packed)) => packed,
                _ => {
                    own = pack(0);
                    &own
                }
            };
            self.rows_by(left.as_f32(), packed, &mut out, columns);
            return Tensor::from_stored_f32(&node.output.shape, out);
        }
        let batch_shape = Shape::new(batch)?;
        let outer = |tensor: &Tensor| {
            let dimensions = tensor.shape().dimensions();
            Shape::new(&dimensions[..dimensions.len() - 2])
        };
        let (left_outer, right_outer) = (outer(left)?, outer(right)?);
        out.par_chunks_mut(rows * columns).enumerate().for_each(|(block, out)| {
            let at = batch_shape.unravel(block as u64);
            let from = law::broadcast_index(&left_outer, &at) as usize;
            let packed = pack(law::broadcast_index(&right_outer, &at) as usize);
            let left = &left.as_f32()[from * rows * depth..][..rows * depth];
            self.rows_by(left, &packed, out, columns);
        });
        Tensor::from_stored_f32(&node.output.shape, out)
    }

    /// Contracts contiguous rows, blocks of them side by side.
    fn rows_by(&self, left: &[f32], packed: &PackedRows, out: &mut [f32], stride: usize) {
        const BLOCK: usize = 48;
        let (depth, pieces) = (packed.depth(), Pieces::row(packed.depth()));
        out.par_chunks_mut(BLOCK * stride).zip(left.par_chunks(BLOCK * depth)).for_each(
            |(out, data)| {
                let bases: Vec<usize> = (0..data.len() / depth).map(|row| row * depth).collect();
                let left = LeftRows { data, bases: &bases, pieces: &pieces };
                kernels::contract(self.isa, left, packed.whole(), out, stride);
            },
        );
    }

    fn reduce(&self, node: &Node, fold: Fold, operands: &[&Tensor]) -> Option<Tensor> {
        let input = operands.first().filter(|input| input.kind().element == ElementType::F32)?;
        let mut out = vec![0.0; node.output.shape.count() as usize];
        let length = input.shape().columns() as usize;
        kernels::reduce_rows(self.isa, fold, input.as_f32(), length, &mut out);
        Tensor::from_stored_f32(&node.output.shape, out)
    }

    fn pool(
        &self,
        node: &Node,
        fold: Fold,
        window: &Window,
        operands: &[&Tensor],
    ) -> Option<Tensor> {
        let input = operands.first().filter(|input| input.kind().element == ElementType::F32)?;
        let channels = input.shape().columns() as usize;
        let geometry = Geometry::new(window, input.shape(), &node.output.shape)?;
        let mut out = vec![0.0; node.output.shape.count() as usize];
        let pixel = |taps: &mut Vec<Option<usize>>, (pixel, out): (usize, &mut [f32])| {
            geometry.taps(pixel, taps);
            kernels::pool_window(self.isa, fold, input.as_f32(), taps, out);
        };
        let pixels = out.par_chunks_mut(channels).enumerate();
        pixels.with_min_len(64).for_each_init(Vec::new, pixel);
        Tensor::from_stored_f32(&node.output.shape, out)
    }
}

/// `b` where it wins, else `a`; NaN if either is one (rule Q makes it the one NaN).
fn keep(a: f32, b: f32, second_wins: bool) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else if second_wins {
        b
    } else {
        a
    }
}

#[cfg(test)]
mod tests;
