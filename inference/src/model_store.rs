//! The models of a folder, by their roots.
//!
//! Beside `NAME.onnx` may stand `NAME.json`, which says what a command line would say:
//! `{"dimensions": {"batch": 1}, "shapes": {"x": [1, 3, 48, 192]}, "fixed": {"shape": "shape.json"},
//! "layer_operators_max": 64}`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::hash::Digest;
use serde::Deserialize;

use crate::engine::Engine;
use crate::files::{FileError, read_limited};
use crate::model::Model;
use crate::onnx::{ImportError, ImportOptions, import_file};

/// Most bytes of a model's options.
const OPTIONS_BYTES_MAX: u64 = 1 << 20;

/// Why a folder of models cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ModelStoreError {
    /// The folder or a file of it cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A model leaves axes open, and no options stand beside it that bind them.
    #[error("{path}: {open}; write for example {options} into {beside}")]
    Unbound {
        /// The model's file.
        path: String,
        /// Which.
        open: String,
        /// What the options file may hold.
        options: String,
        /// The options file.
        beside: String,
    },
    /// There is no such folder, and no such file.
    #[error("{path}: there is no such folder or file; name a folder of models, or one NAME.onnx")]
    Missing {
        /// What was named.
        path: String,
    },
    /// A model's file cannot be used; the error names it.
    #[error(transparent)]
    Model(ImportError),
    /// A model cannot be imported.
    #[error("{path}: {error}")]
    Import {
        /// The model's file.
        path: String,
        /// Why.
        error: ImportError,
    },
    /// The folder holds no model.
    #[error("{path} holds no .onnx file; name the folder that does")]
    Empty {
        /// The folder.
        path: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    dimensions: BTreeMap<String, u64>,
    shapes: BTreeMap<String, Vec<u64>>,
    fixed: BTreeMap<String, PathBuf>,
    layer_operators_max: Option<usize>,
}

/// Models by root.
#[derive(Clone, Debug, Default)]
pub struct ModelStore {
    models: HashMap<Digest, (String, Arc<Model>)>,
}

impl ModelStore {
    /// Imports every model of a folder, or one file.
    ///
    /// # Errors
    /// When the folder cannot be read, a model cannot be imported, or there is none.
    pub fn read(place: &Path, engine: &Engine) -> Result<Self, ModelStoreError> {
        let io = |path: &Path, error: std::io::Error| FileError::Io {
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        let mut files = Vec::new();
        if !place.exists() {
            return Err(ModelStoreError::Missing { path: place.display().to_string() });
        }
        if place.is_dir() {
            for entry in std::fs::read_dir(place).map_err(|error| io(place, error))? {
                files.push(entry.map_err(|error| io(place, error))?.path());
            }
            files.retain(|path| path.extension().is_some_and(|ending| ending == "onnx"));
            files.sort();
        } else {
            files.push(place.to_owned());
        }
        let mut models = HashMap::new();
        for path in files {
            let options = options_beside(&path)?;
            let model =
                import_file(&path, engine, &options).map_err(|error| refused(&path, error))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            models.insert(model.root(), (name, Arc::new(model)));
        }
        if models.is_empty() {
            Err(ModelStoreError::Empty { path: place.display().to_string() })
        } else {
            Ok(Self { models })
        }
    }

    /// The model with this root.
    pub fn model(&self, root: &Digest) -> Option<&Arc<Model>> {
        self.models.get(root).map(|(_, model)| model)
    }

    /// The model of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.values().find(|(known, _)| known == name).map(|(_, model)| model)
    }

    /// Names and roots, by name.
    pub fn names(&self) -> Vec<(String, Digest)> {
        let mut names: Vec<(String, Digest)> =
            self.models.iter().map(|(root, (name, _))| (name.clone(), *root)).collect();
        names.sort();
        names
    }
}

fn refused(path: &Path, error: ImportError) -> ModelStoreError {
    let name = path.display().to_string();
    match &error {
        ImportError::Unbound(unbound) => ModelStoreError::Unbound {
            open: unbound.open_axes(),
            options: unbound.options_file(),
            beside: path.with_extension("json").display().to_string(),
            path: name,
        },
        _ if error.names_file() => ModelStoreError::Model(error),
        _ => ModelStoreError::Import { path: name, error },
    }
}

/// The options that stand beside a model, `NAME.json` beside `NAME.onnx`; none where there is no file.
///
/// # Errors
/// When the file cannot be read, or says something else.
pub fn options_beside(model: &Path) -> Result<ImportOptions, FileError> {
    let path = model.with_extension("json");
    if !path.exists() {
        return Ok(ImportOptions::default());
    }
    let bytes = read_limited(&path, OPTIONS_BYTES_MAX)?;
    let options: Options = serde_json::from_slice(&bytes).map_err(|error| FileError::Content {
        path: path.display().to_string(),
        reason: format!(
            "{error}; beside a model stands how it is imported: dimensions, shapes, fixed and \
             layer_operators_max"
        ),
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let fixed = options.fixed.into_iter().map(|(name, file)| (name, folder.join(file))).collect();
    let (dimensions, shapes) = (options.dimensions, options.shapes);
    let layer_operators_max = options.layer_operators_max;
    Ok(ImportOptions { dimensions, shapes, fixed, layer_operators_max })
}
