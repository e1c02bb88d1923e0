//! Values while a graph is built: known now, or at run time.

use protocol::tensor::{ElementType, Shape, TensorType};

use super::shapes::{Lowered, make_shape};
use crate::tensor::Tensor;

/// A value while the graph is built.
#[derive(Clone, Debug)]
pub enum Value {
    /// Known now.
    Constant(Tensor),
    /// Known at run time; numbered by the builder.
    Runtime {
        /// Input (below the builder's input count) or operator output.
        id: usize,
        /// Its type.
        kind: TensorType,
    },
}

impl Value {
    /// Element type and shape.
    pub fn kind(&self) -> &TensorType {
        match self {
            Self::Constant(tensor) => tensor.kind(),
            Self::Runtime { kind, .. } => kind,
        }
    }

    /// Shape.
    pub fn shape(&self) -> &Shape {
        &self.kind().shape
    }

    /// Dimensions.
    pub fn dimensions(&self) -> &[u64] {
        self.shape().dimensions()
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// Element type.
    pub fn element(&self) -> ElementType {
        self.kind().element
    }

    /// The tensor, if it is known now.
    pub fn constant(&self) -> Option<&Tensor> {
        match self {
            Self::Constant(tensor) => Some(tensor),
            Self::Runtime { .. } => None,
        }
    }

    /// A binary32 constant.
    ///
    /// # Errors
    /// When the shape is outside the limits, or has not one element for each value.
    pub fn floats(dimensions: &[u64], values: Vec<f32>) -> Lowered<Self> {
        let tensor = Tensor::from_f32(&make_shape(dimensions)?, values);
        tensor.map(Self::Constant).ok_or_else(|| "one element for each place".to_owned())
    }
}
