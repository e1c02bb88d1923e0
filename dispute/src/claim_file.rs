//! A claim in a folder: what is public about it, and how the executor made it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use inference::Trace;
use inference::files::{FileError, read_limited};
use protocol::hash::{Digest, Keccak, parse_digest};
use protocol::ids::JobId;
use protocol::merkle::ListTree;
use protocol::roots::{sequence_tree, trace_tree};
use protocol::transaction::{Binding, BoundState, ClaimTerms, Statement};
use serde::{Deserialize, Serialize};

/// Most bytes of a claim file.
const CLAIM_BYTES_MAX: u64 = 16 << 20;
/// Version of both files.
const VERSION: u32 = 1;

/// Why a claim's folder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFileError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file's content is not what it should be.
    #[error("{path}: field {field}: {reason}; make the claim again with `rebut run`")]
    Malformed {
        /// The file.
        path: String,
        /// Which field.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

/// What is public about a claim of one iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFile {
    /// The model.
    pub model_root: Digest,
    /// The input state.
    pub input_root: Digest,
    /// The output state.
    pub output_root: Digest,
    /// The trace.
    pub trace_root: Digest,
    /// The states of the trace, published with the claim.
    pub state_roots: Vec<Digest>,
}

/// How the executor made a claim; stays with the executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorFile {
    /// Version of the file.
    pub version: u32,
    /// Path of the model.
    pub model: PathBuf,
    /// Sizes of symbolic dimensions.
    pub dimensions: BTreeMap<String, u64>,
    /// Shapes of inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// Files of fixed inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, PathBuf>,
    /// Most operators of a layer, if chosen.
    pub layer_operators_max: Option<usize>,
    /// The lie in the run, for demonstrations.
    pub lie: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: String,
    version: u32,
    model_root: String,
    input_root: String,
    output_root: String,
    trace_root: String,
    state_roots: Vec<String>,
}

impl ClaimFile {
    /// The claim of a run.
    pub fn of_run(model_root: Digest, trace: &Trace) -> Self {
        let roots = trace.state_roots().to_vec();
        let of = |root: Option<&Digest>| root.copied().unwrap_or_default();
        Self {
            model_root,
            input_root: of(roots.first()),
            output_root: of(roots.last()),
            trace_root: trace.root(),
            state_roots: roots,
        }
    }

    /// The claim on a job. Paths that the published states do not give are left empty, so
    /// that the ledger refuses the claim as not bound.
    pub fn statement(&self, job: JobId) -> Statement {
        let states = trace_tree::<Keccak>(&self.state_roots);
        let sequence = sequence_tree::<Keccak>(&[self.trace_root]);
        let path = |tree: &Option<ListTree>, index: u64| {
            tree.as_ref().and_then(|tree| tree.path(index)).unwrap_or_default()
        };
        let bound = |boundary: u64| BoundState {
            trace_root: self.trace_root,
            sequence_path: path(&sequence, 0),
            state_path: path(&states, boundary),
        };
        let last = self.state_roots.len().saturating_sub(1) as u64;
        Statement {
            terms: ClaimTerms {
                job,
                model_root: self.model_root,
                input_root: self.input_root,
                output_root: self.output_root,
                iterations: 1,
                sequence_root: sequence.as_ref().map(ListTree::root).unwrap_or_default(),
                salt: 0,
            },
            binding: Binding { input: bound(0), output: bound(last), entry: None },
        }
    }

    /// Writes `claim.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ClaimFileError> {
        let raw = Raw {
            format: "rebut-claim".to_owned(),
            version: VERSION,
            model_root: self.model_root.to_string(),
            input_root: self.input_root.to_string(),
            output_root: self.output_root.to_string(),
            trace_root: self.trace_root.to_string(),
            state_roots: self.state_roots.iter().map(ToString::to_string).collect(),
        };
        write_json(&folder.join("claim.json"), &raw)
    }

    /// Reads `claim.json`.
    ///
    /// # Errors
    /// When it cannot be read or is not a claim of this version.
    pub fn read(folder: &Path) -> Result<Self, ClaimFileError> {
        let path = folder.join("claim.json");
        let bytes = read_limited(&path, CLAIM_BYTES_MAX)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Reads the content of a `claim.json`.
    ///
    /// # Errors
    /// When it is not a claim of this version.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, ClaimFileError> {
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|error| malformed(path, "file", error.to_string()))?;
        if raw.format != "rebut-claim" {
            return Err(malformed(path, "format", format!("{:?} is not a claim", raw.format)));
        }
        if raw.version != VERSION {
            return Err(malformed(path, "version", format!("{} is not {VERSION}", raw.version)));
        }
        let digest = |field: &str, text: &str| {
            let wrong =
                || malformed(path, field, "not 32 bytes of hexadecimal after 0x".to_owned());
            parse_digest(text).ok_or_else(wrong)
        };
        let state_roots = raw
            .state_roots
            .iter()
            .enumerate()
            .map(|(index, text)| digest(&format!("state_roots[{index}]"), text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            model_root: digest("model_root", &raw.model_root)?,
            input_root: digest("input_root", &raw.input_root)?,
            output_root: digest("output_root", &raw.output_root)?,
            trace_root: digest("trace_root", &raw.trace_root)?,
            state_roots,
        })
    }
}

impl ExecutorFile {
    /// Writes `executor.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ClaimFileError> {
        write_json(&folder.join("executor.json"), self)
    }

    /// Reads `executor.json`.
    ///
    /// # Errors
    /// When it cannot be read or is of another version.
    pub fn read(folder: &Path) -> Result<Self, ClaimFileError> {
        let path = folder.join("executor.json");
        let name = path.display().to_string();
        let bytes = read_limited(&path, CLAIM_BYTES_MAX)?;
        let file: Self = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(&name, "file", error.to_string()))?;
        if file.version == VERSION {
            Ok(file)
        } else {
            Err(malformed(&name, "version", format!("{} is not {VERSION}", file.version)))
        }
    }

    /// A description of this version.
    pub fn new(
        model: PathBuf,
        dimensions: BTreeMap<String, u64>,
        layer_operators_max: Option<usize>,
        lie: Option<String>,
    ) -> Self {
        let (shapes, fixed) = (BTreeMap::new(), BTreeMap::new());
        Self { version: VERSION, model, dimensions, shapes, fixed, layer_operators_max, lie }
    }
}

fn malformed(path: &str, field: &str, reason: String) -> ClaimFileError {
    ClaimFileError::Malformed { path: path.to_owned(), field: field.to_owned(), reason }
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), ClaimFileError> {
    let fail = |reason: String| FileError::Io { path: path.display().to_string(), reason };
    let text = serde_json::to_vec_pretty(value).map_err(|error| fail(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| fail(error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::hash::leaf;

    fn file(states: &[&[u8]]) -> ClaimFile {
        let state_roots: Vec<Digest> = states.iter().map(|state| leaf(state)).collect();
        let trace = trace_tree::<Keccak>(&state_roots).unwrap();
        let (input_root, output_root) = (state_roots[0], state_roots[states.len() - 1]);
        let (model_root, trace_root) = (leaf(b"model"), trace.root());
        ClaimFile { model_root, input_root, output_root, trace_root, state_roots }
    }

    #[test]
    fn the_claim_of_a_folder_is_that_of_its_run() {
        let (file, job) = (file(&[b"input", b"between", b"output"]), JobId(leaf(b"job")));
        let of_run = Statement::of_run::<Keccak>(job, file.model_root, &file.state_roots);
        assert_eq!(Some(file.statement(job)), of_run);
    }

    #[test]
    fn a_claim_without_published_states_has_no_paths_to_bind_it() {
        let mut file = file(&[b"input", b"output"]);
        file.state_roots.clear();
        let Statement { terms, binding } = file.statement(JobId::default());
        assert_eq!((terms.input_root, terms.output_root), (file.input_root, file.output_root));
        for bound in [binding.input, binding.output] {
            assert_eq!((bound.trace_root, bound.state_path), (file.trace_root, Vec::new()));
        }
    }
}
