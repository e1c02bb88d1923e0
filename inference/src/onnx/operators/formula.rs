//! Compositions of scalar functions.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use crate::onnx::builder::Builder;
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A composition over operands of one element type, and constants of it.
pub(super) struct Formula<'a> {
    pub(super) builder: &'a mut Builder,
    element: ElementType,
}

impl<'a> Formula<'a> {
    /// A composition over this operand.
    pub(super) fn of(builder: &'a mut Builder, x: &Value) -> Self {
        Self { element: x.element(), builder }
    }

    /// A constant of the operand's element type.
    pub(super) fn constant(&mut self, value: f32) -> Lowered<Value> {
        self.builder.scalar_of(self.element, value)
    }

    /// A function of a value and a constant.
    pub(super) fn with(&mut self, function: F, a: &Value, b: f32) -> Lowered<Value> {
        let b = self.constant(b)?;
        self.builder.map(function, &[a, &b])
    }

    /// A function of one value.
    pub(super) fn one(&mut self, function: F, a: &Value) -> Lowered<Value> {
        self.builder.map(function, &[a])
    }

    /// A function of two values.
    pub(super) fn two(&mut self, function: F, a: &Value, b: &Value) -> Lowered<Value> {
        self.builder.map(function, &[a, b])
    }

    /// One of two values, as a truth says.
    pub(super) fn choose(&mut self, truth: &Value, yes: &Value, no: &Value) -> Lowered<Value> {
        self.builder.map(F::Select, &[truth, yes, no])
    }
}
