//! Models, inputs and engines from arguments.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use executor::files::{ClaimFile, ExecutorFile};
use inference::files::read_tensors;
use inference::{Conduct, Engine, Honest, ImportOptions, Model, Runner, Tensor, Trace};
use protocol::tensor::TensorType;
use simulation::{Lying, parse_lie};

use crate::arguments::{EngineOptions, ImportChoices};
use crate::error::CommandError;

pub(crate) fn engine(options: &EngineOptions) -> Result<Engine, CommandError> {
    let available = inference::Path::available();
    let path = match &options.path {
        None => inference::Path::detect(),
        Some(name) => *available.iter().find(|path| path.name() == name).ok_or_else(|| {
            let names: Vec<&str> = available.iter().map(|path| path.name()).collect();
            CommandError::Argument {
                argument: "--path",
                reason: format!("{name} is not one of {} on this CPU", names.join(", ")),
            }
        })?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Engine::new(path, options.threads.unwrap_or(cores))?)
}

pub(crate) fn import_options(choices: &ImportChoices) -> Result<ImportOptions, CommandError> {
    let mut dimensions = BTreeMap::new();
    for text in &choices.dimensions {
        let parsed = text
            .split_once('=')
            .and_then(|(name, size)| Some((name.to_owned(), size.parse::<u64>().ok()?)));
        let (name, size) = parsed.ok_or_else(|| CommandError::Argument {
            argument: "--dim",
            reason: format!("{text:?} is not NAME=SIZE"),
        })?;
        dimensions.insert(name, size);
    }
    let mut fixed = BTreeMap::new();
    for text in &choices.fixed {
        let (name, file) = text.split_once('=').ok_or_else(|| CommandError::Argument {
            argument: "--fix",
            reason: format!("{text:?} is not NAME=FILE"),
        })?;
        // A claim is read again from other folders.
        let file = PathBuf::from(file);
        fixed.insert(name.to_owned(), file.canonicalize().unwrap_or(file));
    }
    Ok(ImportOptions { dimensions, fixed, layer_operators_max: choices.layer_operators_max })
}

pub(crate) fn model(
    path: &Path,
    engine: &Engine,
    options: &ImportOptions,
) -> Result<Arc<Model>, CommandError> {
    Ok(Arc::new(inference::import_file(path, engine, options)?))
}

/// Names and types of a model's inputs.
pub(crate) fn input_types(model: &Model) -> Vec<(String, TensorType)> {
    model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect()
}

/// Reads inputs given as FILE or NAME=FILE.
pub(crate) fn inputs(
    files: &[String],
    model: &Model,
) -> Result<HashMap<String, Tensor>, CommandError> {
    let types = input_types(model);
    let mut tensors = HashMap::new();
    for text in files {
        let named = text.split_once('=').and_then(|(name, file)| {
            types.iter().find(|(known, _)| known == name).map(|one| (one.clone(), file))
        });
        match named {
            Some((one, file)) => {
                let name = one.0.clone();
                let read = read_tensors(&PathBuf::from(file), &[one])?;
                tensors.extend(read.into_values().next().map(|tensor| (name, tensor)));
            }
            None => tensors.extend(read_tensors(&PathBuf::from(text), &types)?),
        }
    }
    Ok(tensors)
}

/// A lie's place in numbers: the operator may be given by its ONNX node's name (its last operator in
/// the layer is meant), the element by its coordinates (`0,3,5`). Other texts stay as they are.
pub(crate) fn placed(text: &str, model: &Model) -> String {
    let numbers = || {
        let mut parts = text.splitn(2, ':');
        let (layer, rest) = (parts.next()?, parts.next()?);
        let mut parts = rest.rsplitn(3, ':');
        let (ulps, element, operator) = (parts.next()?, parts.next()?, parts.next()?);
        let definition = model.layer(layer.parse().ok()?)?;
        let position = operator.parse().ok().or_else(|| {
            (0..definition.operator_count).rev().find(|position| {
                model.operator_name(definition.first_operator + position) == operator
            })
        })?;
        let shape = &model.node(definition.first_operator.checked_add(position)?)?.output.shape;
        let element = match element.parse::<u64>() {
            Ok(flat) => flat,
            Err(_) => {
                let at: Vec<u64> =
                    element.split(',').map(|at| at.parse().ok()).collect::<Option<_>>()?;
                let inside = at.len() == shape.rank()
                    && at.iter().zip(shape.dimensions()).all(|(at, size)| at < size);
                inside.then(|| shape.ravel(&at))?
            }
        };
        Some(format!("{layer}:{position}:{element}:{ulps}"))
    };
    numbers().unwrap_or_else(|| text.to_owned())
}

/// How an executor with this lie computes.
pub(crate) fn conduct(
    lie: Option<&str>,
    model: &Arc<Model>,
    honest: &Trace,
) -> Result<Arc<dyn Conduct>, CommandError> {
    Ok(match lie {
        None => Arc::new(Honest),
        Some(text) => Arc::new(Lying::new(&parse_lie(&placed(text, model))?, model, honest)?),
    })
}

/// Whether a lie has its place in a model, whatever the input.
pub(crate) fn try_lie(lie: &str, engine: &Engine, model: &Arc<Model>) -> Result<(), CommandError> {
    let zeros = (0..).zip(&model.graph().inputs).map(|(value, kind)| {
        let bits = vec![0; usize::try_from(kind.shape.count()).unwrap_or(0)];
        Some((value, Tensor::from_bits(kind, &bits)?))
    });
    let input = zeros.collect::<Option<Vec<_>>>().and_then(inference::State::new);
    // Only the place is tried: a model that has no result for zeros is tried at its first job.
    let honest = input.and_then(|input| Runner::honest(engine, model).run(input).ok());
    let parsed = parse_lie(&placed(lie, model))?;
    match honest {
        Some(honest) => Ok(Lying::new(&parsed, model, &honest).map(|_| ())?),
        None => Ok(()),
    }
}

/// A claim's folder and its model; nothing is recomputed yet.
pub(crate) struct Claim {
    pub(crate) engine: Engine,
    pub(crate) model: Arc<Model>,
    pub(crate) claim: ClaimFile,
    /// The executor's own file, where it is at hand.
    made: Option<ExecutorFile>,
}

/// A claim's folder with everything that can be recomputed from it.
pub(crate) struct Folder {
    pub(crate) engine: Engine,
    pub(crate) model: Arc<Model>,
    pub(crate) inputs: HashMap<String, Tensor>,
    pub(crate) claim: ClaimFile,
    pub(crate) honest: Trace,
    /// How the executor computed; unknown to who has only what is public.
    pub(crate) conduct: Option<Arc<dyn Conduct>>,
}

pub(crate) fn claim(
    path: &Path,
    model_path: Option<&Path>,
    engine_options: &EngineOptions,
) -> Result<Claim, CommandError> {
    let claim = ClaimFile::read(path)?;
    // Without the executor's own file, the model must be named, and its dimensions be fixed.
    let made = match (path.join("executor.json").exists(), model_path) {
        (false, Some(model)) => Err(model),
        _ => Ok(ExecutorFile::read(path)?),
    };
    let engine = engine(engine_options)?;
    let (model_file, options) = match &made {
        Ok(made) => {
            let options = ImportOptions {
                dimensions: made.dimensions.clone(),
                fixed: made.fixed.clone(),
                layer_operators_max: made.layer_operators_max,
            };
            (model_path.unwrap_or(&made.model), options)
        }
        Err(model) => (*model, ImportOptions::default()),
    };
    let model = model(model_file, &engine, &options)?;
    if model.root() != claim.model_root {
        return Err(executor::files::ClaimFileError::Malformed {
            path: path.join("claim.json").display().to_string(),
            field: "model_root".to_owned(),
            reason: format!("is not the root {} of the model given", model.root()),
        }
        .into());
    }
    Ok(Claim { engine, model, claim, made: made.ok() })
}

pub(crate) fn folder(
    path: &Path,
    model_path: Option<&Path>,
    engine_options: &EngineOptions,
) -> Result<Folder, CommandError> {
    let Claim { engine, model, claim, made } = claim(path, model_path, engine_options)?;
    let lie = made.as_ref().map(|made| made.lie.as_deref());
    let inputs = read_tensors(&path.join("inputs.npz"), &input_types(&model))?;
    let runner = Runner::honest(&engine, &model);
    let honest = runner.run(runner.input_state(&inputs)?)?;
    let conduct = lie.map(|lie| conduct(lie, &model, &honest)).transpose()?;
    Ok(Folder { engine, model, inputs, claim, honest, conduct })
}
