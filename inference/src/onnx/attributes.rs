//! Attributes of a node, with the standard's defaults.

use super::proto::{AttributeProto, NodeProto, TensorProto};

/// Typed look-up in a node's attributes.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a NodeProto);

impl<'a> Attributes<'a> {
    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer, or the default.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |attribute| attribute.i)
    }

    /// A float, or the default.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.get(name).map_or(default, |attribute| attribute.f)
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.get(name).map(|attribute| attribute.ints.clone())
    }

    /// A list of floats.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.get(name).map(|attribute| attribute.floats.clone())
    }

    /// A text, or the default.
    pub fn text(&self, name: &str, default: &str) -> String {
        match self.get(name) {
            Some(attribute) => String::from_utf8_lossy(&attribute.s).into_owned(),
            None => default.to_owned(),
        }
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.get(name).and_then(|attribute| attribute.t.as_ref())
    }
}
