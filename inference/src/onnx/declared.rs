//! What a model file says of its inputs, and which of their axes are still without a size.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{Display, Formatter};

use protocol::tensor::{ElementType, Shape};

use super::options::ImportOptions;
use super::proto::{DimensionValue, ValueInfoProto};
use super::shapes::make_shape;
use super::values;

/// An axis of an input, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Of this size, always.
    Size(u64),
    /// As large as the dimension of this name.
    Named(String),
    /// Of a size that the file neither says nor names.
    Unnamed,
}

impl Axis {
    /// The name that binds it together with others of the name. Some exporters call every axis that
    /// they do not know `?`; such axes are sized one by one.
    pub(super) fn symbol(&self) -> Option<&str> {
        match self {
            Self::Named(name) if name != "?" => Some(name),
            _ => None,
        }
    }
}

impl Display for Axis {
    fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(size) => write!(to, "{size}"),
            Self::Unnamed => write!(to, "unnamed"),
            Self::Named(name) if name.chars().all(is_plain) => write!(to, "{name}"),
            Self::Named(name) => write!(to, "{name:?}"),
        }
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-.:/".contains(letter)
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    if text.chars().all(|letter| is_plain(letter) || "=,".contains(letter)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// An input as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredInput {
    /// Its name.
    pub name: String,
    /// The element type in which it is computed.
    pub element: ElementType,
    /// Its axes.
    pub axes: Vec<Axis>,
}

impl DeclaredInput {
    /// An input as the file has it, or why it cannot be one.
    pub(super) fn new(info: &ValueInfoProto) -> Result<Self, String> {
        let kind = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let kind = kind.ok_or("only tensors are supported")?;
        let element = values::element_type(kind.elem_type)?;
        let shape = kind.shape.as_ref();
        let shape = shape.ok_or("has no shape; export it with one")?;
        let axes = shape.dim.iter().map(|dimension| match &dimension.value {
            Some(DimensionValue::DimValue(size)) => {
                u64::try_from(*size).map_or(Axis::Unnamed, Axis::Size)
            }
            Some(DimensionValue::DimParam(name)) if !name.is_empty() => Axis::Named(name.clone()),
            _ => Axis::Unnamed,
        });
        Ok(Self { name: info.name.clone(), element, axes: axes.collect() })
    }

    /// The axes as a list, for messages.
    pub fn shape_text(&self) -> String {
        let axes: Vec<String> = self.axes.iter().map(ToString::to_string).collect();
        format!("[{}]", axes.join(", "))
    }

    /// Whether a tensor of these sizes may be given where only open axes are free.
    pub(super) fn admits(&self, sizes: &[u64]) -> Result<(), String> {
        let fits = sizes.len() == self.axes.len()
            && self.axes.iter().zip(sizes).all(|(axis, size)| match axis {
                Axis::Size(fixed) => fixed == size,
                _ => true,
            });
        if fits {
            Ok(())
        } else {
            Err(format!("the shape {sizes:?} is not one of {}", self.shape_text()))
        }
    }

    /// Sizes of the axes under these options, as far as they are bound.
    pub(super) fn sizes(&self, options: &ImportOptions) -> Result<Vec<Option<u64>>, String> {
        let shape = options.shapes.get(&self.name);
        if let Some(shape) = shape {
            self.admits(shape)?;
        }
        let mut sizes = Vec::new();
        for (place, axis) in self.axes.iter().enumerate() {
            let said = match axis {
                Axis::Size(size) => Some(*size),
                Axis::Named(name) => options.dimensions.get(name).copied(),
                Axis::Unnamed => None,
            };
            let shaped = shape.and_then(|shape| shape.get(place)).copied();
            if let (Some(said), Some(shaped)) = (said, shaped)
                && said != shaped
            {
                return Err(format!("axis {place} ({axis}) is bound to {said} and to {shaped}"));
            }
            sizes.push(said.or(shaped));
        }
        Ok(sizes)
    }

    /// The shape, all axes bound; `Ok(Err(..))` says which are not.
    pub(super) fn shape(
        &self,
        options: &ImportOptions,
    ) -> Result<Result<Shape, OpenInput>, String> {
        let sizes = self.sizes(options)?;
        match sizes.iter().copied().collect::<Option<Vec<u64>>>() {
            Some(sizes) => make_shape(&sizes).map(Ok),
            None => Ok(Err(OpenInput { input: self.clone(), sizes })),
        }
    }
}

/// An input with axes that nothing has bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInput {
    input: DeclaredInput,
    sizes: Vec<Option<u64>>,
}

impl OpenInput {
    fn open(&self) -> impl Iterator<Item = (usize, &Axis)> {
        let axes = self.input.axes.iter().enumerate().zip(&self.sizes);
        axes.filter(|(_, size)| size.is_none()).map(|(axis, _)| axis)
    }

    /// Whether names alone can bind it.
    fn has_names(&self) -> bool {
        self.open().all(|(_, axis)| axis.symbol().is_some())
    }

    /// Sizes for an example: one of a batch, three channels, a small picture or text; the same for all
    /// axes of one name.
    fn example<'a>(&'a self, known: &mut HashMap<&'a str, u64>) -> Vec<u64> {
        let rank = self.sizes.len();
        let guess = |axis: usize| match (axis, rank) {
            (0, _) => 1,
            (1, 4 | 5) => 3,
            (_, 4) => 224,
            (_, 5) => 32,
            _ => 128,
        };
        let axes = self.input.axes.iter().zip(&self.sizes).enumerate();
        axes.map(|(place, (axis, size))| match (size, axis.symbol()) {
            (Some(size), _) => *size,
            (None, Some(name)) => *known.entry(name).or_insert_with(|| guess(place)),
            (None, None) => guess(place),
        })
        .collect()
    }
}

impl Display for OpenInput {
    fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
        write!(to, "input {}: ", self.input.name)?;
        for (place, (axis, name)) in self.open().enumerate() {
            let between = if place == 0 { "" } else { ", " };
            match name {
                Axis::Unnamed => write!(to, "{between}unnamed dynamic axis {axis}")?,
                name => write!(to, "{between}dimension {name} of axis {axis}")?,
            }
        }
        Ok(())
    }
}

/// Every axis of a model that nothing has bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAxes(pub(super) Vec<OpenInput>);

impl OpenAxes {
    /// Which they are.
    pub fn open_axes(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Flags that would bind them, as words of a shell, with sizes for example.
    pub fn flags(&self) -> Vec<String> {
        let (mut flags, mut said, mut known) = (Vec::new(), HashSet::new(), HashMap::new());
        for open in &self.0 {
            let sizes = open.example(&mut known);
            if open.has_names() {
                for (axis, name) in open.open() {
                    let name = name.symbol().unwrap_or_default();
                    let size = sizes.get(axis).copied().unwrap_or(1);
                    if said.insert(name) {
                        flags.extend(["--dim".to_owned(), word(&format!("{name}={size}"))]);
                    }
                }
            } else {
                flags.extend([
                    "--shape".to_owned(),
                    word(&format!("{}={}", open.input.name, list(&sizes))),
                ]);
            }
        }
        flags
    }

    /// The same as the content of an options file beside the model.
    pub fn options_file(&self) -> String {
        let mut dimensions: BTreeMap<&str, u64> = BTreeMap::new();
        let mut shapes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut known = HashMap::new();
        for open in &self.0 {
            let sizes = open.example(&mut known);
            if !open.has_names() {
                shapes.insert(&open.input.name, sizes);
                continue;
            }
            for (axis, name) in open.open() {
                let size = sizes.get(axis).copied().unwrap_or(1);
                dimensions.entry(name.symbol().unwrap_or_default()).or_insert(size);
            }
        }
        let said = match (dimensions.is_empty(), shapes.is_empty()) {
            (false, false) => serde_json::json!({ "dimensions": dimensions, "shapes": shapes }),
            (false, true) => serde_json::json!({ "dimensions": dimensions }),
            _ => serde_json::json!({ "shapes": shapes }),
        };
        said.to_string()
    }
}

impl Display for OpenAxes {
    fn fmt(&self, to: &mut Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}; pass {}", self.open_axes(), self.flags().join(" "))
    }
}

/// Sizes as a flag takes them: `1,3,48`.
pub(super) fn list(sizes: &[u64]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
