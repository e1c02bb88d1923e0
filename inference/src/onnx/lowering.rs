//! What a lowering knows of the node that it lowers.

use protocol::graph::MapFunction;

use super::attributes::Attributes;
use super::builder::Builder;
use super::shapes::Lowered;
use super::value::Value;

/// What a name of the model file stands for.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// A tensor.
    Value(Value),
    /// A list without elements, which shape arithmetic makes and uses: the shape of a scalar, the
    /// dimensions after the last. No tensor has one, so it lives at import only.
    Empty,
}

impl Known {
    /// The tensor, if it is one.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Empty => None,
        }
    }
}

/// A node of the model file, its inputs found.
pub(super) struct OnnxNode<'a> {
    inputs: &'a [Option<Known>],
    /// What the node says beside its inputs.
    pub(super) attributes: Attributes<'a>,
    /// Version of the default domain's operator set.
    pub(super) opset: i64,
    /// Outputs up to the last that has a name.
    pub(super) outputs: usize,
}

impl<'a> OnnxNode<'a> {
    /// A node with its inputs; absent optional ones are `None`.
    pub(super) fn new(
        inputs: &'a [Option<Known>],
        attributes: Attributes<'a>,
        opset: i64,
        outputs: usize,
    ) -> Self {
        Self { inputs, attributes, opset, outputs }
    }

    /// An input that must be there.
    pub(super) fn input(&self, index: usize) -> Lowered<&'a Value> {
        self.optional(index).ok_or_else(|| {
            if self.is_empty(index) {
                format!("input {index} has no elements")
            } else {
                format!("input {index} is missing")
            }
        })
    }

    /// An input; an empty list counts as absent, as some exporters write it.
    pub(super) fn optional(&self, index: usize) -> Option<&'a Value> {
        self.inputs.get(index).and_then(Option::as_ref).and_then(Known::value)
    }

    /// Whether an input is a list without elements.
    pub(super) fn is_empty(&self, index: usize) -> bool {
        matches!(self.inputs.get(index), Some(Some(Known::Empty)))
    }

    /// All inputs that have elements.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Value> {
        self.inputs.iter().flatten().filter_map(Known::value)
    }

    /// An input that must be known when the model is imported.
    pub(super) fn integers(&self, index: usize) -> Lowered<Option<Vec<i64>>> {
        let Some(value) = self.optional(index) else {
            return Ok(self.is_empty(index).then(Vec::new));
        };
        let known = value.constant().and_then(|tensor| tensor.integers());
        known.map(Some).ok_or_else(|| {
            format!(
                "input {index} depends on data; shapes must be fixed when the model is imported \
                 (export with constant shapes, or bind the symbolic dimensions)"
            )
        })
    }

    /// Integers that are an input, or an attribute, as older operator sets have it.
    pub(super) fn integers_or(&self, index: usize, name: &str) -> Lowered<Option<Vec<i64>>> {
        Ok(self.integers(index)?.or_else(|| self.attributes.ints(name)))
    }

    /// The one axis that an attribute names, counted from either end.
    pub(super) fn axis(&self, default: i64, rank: usize) -> Lowered<usize> {
        axis_of(self.attributes.int("axis", default), rank)
    }

    /// The axes that an attribute lists, counted from either end; all of them without it.
    pub(super) fn axes_or_all(&self, rank: usize) -> Lowered<Vec<usize>> {
        match self.attributes.ints("axes") {
            Some(axes) => axes_of(axes, rank),
            None => Ok((0..rank).collect()),
        }
    }

    /// Whether an attribute of a truth is set.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.attributes.int(name, i64::from(default)) != 0
    }

    /// An attribute that counts something; 0 where it is absent or negative.
    pub(super) fn count(&self, name: &str) -> u64 {
        u64::try_from(self.attributes.int(name, 0)).unwrap_or(0)
    }
}

/// An axis counted from either end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Lowered<usize> {
    let found = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(found)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("axis {axis} is outside rank {rank}"))
}

/// Axes counted from either end.
pub(super) fn axes_of(axes: Vec<i64>, rank: usize) -> Lowered<Vec<usize>> {
    axes.into_iter().map(|axis| axis_of(axis, rank)).collect()
}

/// A value plus a bias, where there is one.
pub(super) fn with_bias(
    builder: &mut Builder,
    value: Value,
    bias: Option<&Value>,
) -> Lowered<Value> {
    match bias {
        Some(bias) => builder.map(MapFunction::Add, &[&value, bias]),
        None => Ok(value),
    }
}
