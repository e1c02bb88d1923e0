//! What the caller of an import may choose.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Choices of the caller.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Sizes of symbolic dimensions, by name.
    pub dimensions: BTreeMap<String, u64>,
    /// Shapes of inputs, by name: they bind axes without a name, and those with one as well.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// Inputs that are fixed, by name, and the files that hold them: they become weights, so that
    /// shapes may depend on them.
    pub fixed: BTreeMap<String, PathBuf>,
    /// Most operators of a layer; `None` leaves it to the importer.
    pub layer_operators_max: Option<usize>,
}

impl ImportOptions {
    /// These, and what others say that these do not.
    #[must_use]
    pub fn over(mut self, others: Self) -> Self {
        for (name, size) in others.dimensions {
            self.dimensions.entry(name).or_insert(size);
        }
        for (name, shape) in others.shapes {
            self.shapes.entry(name).or_insert(shape);
        }
        for (name, file) in others.fixed {
            self.fixed.entry(name).or_insert(file);
        }
        self.layer_operators_max = self.layer_operators_max.or(others.layer_operators_max);
        self
    }
}
