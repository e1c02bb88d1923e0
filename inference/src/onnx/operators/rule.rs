//! How one operator is lowered.

use protocol::graph::MapFunction;

use crate::onnx::builder::Builder;
use crate::onnx::lowering::{Known, OnnxNode};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// A lowering with one output.
type ToValue = fn(&mut Builder, &OnnxNode<'_>) -> Lowered<Value>;
/// A lowering with several outputs, of which the node may use the first few.
type ToValues = fn(&mut Builder, &OnnxNode<'_>) -> Lowered<Vec<Value>>;
/// What an operator makes of lists without elements, or such a list; `None` leaves it to the lowering.
type OfEmpty = fn(&mut Builder, &OnnxNode<'_>) -> Lowered<Option<Known>>;
/// Refuses a node of operator set 6 whose meaning is another one since.
type Former = fn(&OnnxNode<'_>) -> Lowered<()>;

/// What becomes of a node.
#[derive(Clone, Copy)]
enum Lowering {
    /// A scalar function of as many inputs as it takes.
    Map(MapFunction),
    /// A composition with one output.
    One(ToValue),
    /// A composition with several outputs.
    Several(ToValues),
    /// One of its branches.
    Branch,
}

/// How an operator is lowered.
#[derive(Clone, Copy)]
pub(in crate::onnx) struct Rule {
    lowering: Lowering,
    of_empty: Option<OfEmpty>,
    former: Option<Former>,
}

/// An operator that is a scalar function.
pub(super) const fn map(function: MapFunction) -> Rule {
    Rule::new(Lowering::Map(function))
}

/// An operator that is lowered by a function with one output.
pub(super) const fn one(lowering: ToValue) -> Rule {
    Rule::new(Lowering::One(lowering))
}

/// An operator that is lowered by a function with several outputs.
pub(super) const fn several(lowering: ToValues) -> Rule {
    Rule::new(Lowering::Several(lowering))
}

/// An operator of which one branch is left.
pub(super) const fn branch() -> Rule {
    Rule::new(Lowering::Branch)
}

impl Rule {
    const fn new(lowering: Lowering) -> Self {
        Self { lowering, of_empty: None, former: None }
    }

    /// With a way of its own with lists without elements.
    pub(super) const fn of_empty(self, of_empty: OfEmpty) -> Self {
        Self { of_empty: Some(of_empty), ..self }
    }

    /// With a check of nodes of operator set 6.
    pub(super) const fn former(self, former: Former) -> Self {
        Self { former: Some(former), ..self }
    }

    /// Whether the node is one of its branches, which the importer lowers.
    pub(in crate::onnx) fn is_branch(&self) -> bool {
        matches!(self.lowering, Lowering::Branch)
    }

    /// What a node makes of lists without elements, or the list without elements that it makes; `None`
    /// for all other nodes.
    pub(in crate::onnx) fn empty(
        &self,
        builder: &mut Builder,
        node: &OnnxNode<'_>,
    ) -> Lowered<Option<Known>> {
        self.of_empty.map_or(Ok(None), |of_empty| of_empty(builder, node))
    }

    /// Outputs of a node, as values.
    pub(in crate::onnx) fn lower(
        &self,
        builder: &mut Builder,
        node: &OnnxNode<'_>,
    ) -> Lowered<Vec<Value>> {
        if let (Some(former), true) = (self.former, node.opset < 7) {
            former(node)?;
        }
        match self.lowering {
            Lowering::Map(function) => {
                let operands = (0..function.operands()).map(|index| node.input(index));
                let operands: Vec<&Value> = operands.collect::<Lowered<_>>()?;
                builder.map(function, &operands).map(|value| vec![value])
            }
            Lowering::One(lowering) => lowering(builder, node).map(|value| vec![value]),
            Lowering::Several(lowering) => lowering(builder, node),
            Lowering::Branch => Err("a branch is lowered by the importer".to_owned()),
        }
    }
}
