//! Models, inputs and engines from arguments.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dispute::claim_file::{ClaimFile, ExecutorFile};
use dispute::{Lie, Lying, parse_lie};
use inference::files::read_tensors;
use inference::{
    ComputePolicy, Engine, Honest, ImportError, ImportOptions, Model, ModelFile, Outcome, Runner,
    Tensor, Trace,
};
use protocol::tensor::{Shape, TensorType};

use crate::arguments::values::lie_out_of_bounds;
use crate::arguments::{EngineOptions, ImportChoices};
use crate::error::{CommandError, system};
use crate::print::quoted;

pub(crate) fn engine(options: &EngineOptions) -> Result<Engine, CommandError> {
    let available = inference::Isa::available();
    let isa = match &options.isa {
        None => inference::Isa::detect(),
        Some(name) => *available.iter().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<&str> = available.iter().map(|isa| isa.name()).collect();
            CommandError::Argument {
                argument: "--isa",
                reason: format!("{name} is not one of {} on this CPU", names.join(", ")),
            }
        })?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Engine::new(isa, options.threads.unwrap_or(cores))?)
}

/// `NAME=VALUE`, split at the last sign of equality: names may hold others.
fn assigned<'a>(
    argument: &'static str,
    form: &str,
    text: &'a str,
) -> Result<(&'a str, &'a str), CommandError> {
    text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        CommandError::Argument { argument, reason: format!("{} is not {form}", quoted(text)) }
    })
}

/// What the flags say.
pub(crate) fn import_flags(choices: &ImportChoices) -> Result<ImportOptions, CommandError> {
    let mut options = ImportOptions {
        layer_operators_max: choices.layer_operators_max,
        ..ImportOptions::default()
    };
    let wrong = |argument, reason| CommandError::Argument { argument, reason };
    for text in &choices.dimensions {
        let (name, size) = assigned("--dim", "NAME=SIZE", text)?;
        let size = size.parse::<u64>();
        let size =
            size.map_err(|_| wrong("--dim", format!("{} is not NAME=SIZE", quoted(text))))?;
        options.dimensions.insert(name.to_owned(), size);
    }
    for text in &choices.shapes {
        let form = "NAME=SIZE,SIZE,…, such as x=1,3,48,192";
        let (name, sizes) = assigned("--shape", form, text)?;
        let sizes = sizes.split(',').map(|size| size.trim().parse::<u64>().ok());
        let sizes = sizes.collect::<Option<Vec<u64>>>();
        let sizes =
            sizes.ok_or_else(|| wrong("--shape", format!("{} is not {form}", quoted(text))))?;
        options.shapes.insert(name.to_owned(), sizes);
    }
    for text in &choices.fixed {
        let (name, file) = text
            .split_once('=')
            .ok_or_else(|| wrong("--fix", format!("{} is not NAME=FILE", quoted(text))))?;
        // A claim is read again from other folders.
        let file = PathBuf::from(file);
        options.fixed.insert(name.to_owned(), file.canonicalize().unwrap_or(file));
    }
    Ok(options)
}

/// How a model is imported: what the flags say, then what NAME.json beside it says, unless that file
/// was given as an input.
fn import_options(
    path: &Path,
    choices: &ImportChoices,
    inputs: &[String],
) -> Result<ImportOptions, CommandError> {
    let file = |text: &String| {
        let named = text.split_once('=').map(|(_, file)| file);
        [Some(text.as_str()), named]
            .into_iter()
            .flatten()
            .find_map(|one| Path::new(one).canonicalize().ok())
    };
    let own = path.with_extension("json").canonicalize().ok();
    let mut beside = if own.is_some() && inputs.iter().any(|text| file(text) == own) {
        ImportOptions::default()
    } else {
        inference::options_beside(path)?
    };
    for file in beside.fixed.values_mut() {
        *file = file.canonicalize().unwrap_or(std::mem::take(file));
    }
    Ok(import_flags(choices)?.over(beside))
}

/// A model from its file alone.
pub(crate) fn model(
    path: &Path,
    choices: &ImportChoices,
    engine: &Engine,
) -> Result<Arc<Model>, CommandError> {
    let options = import_options(path, choices, &[])?;
    let imported = inference::import_file(path, engine, &options);
    imported.map(Arc::new).map_err(open_axes)
}

/// A word as a shell takes it.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-.:/=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What is open is told with the command line that binds it.
fn open_axes(error: ImportError) -> CommandError {
    let ImportError::Unbound(unbound) = &error else { return error.into() };
    let words = std::env::args_os().skip(1).map(|word| shell_word(&word.to_string_lossy()));
    let words: Vec<String> = words.chain(unbound.flags()).collect();
    CommandError::Open { command: format!("rebut {}", words.join(" ")), error }
}

/// A model with the inputs of a run.
pub(crate) struct Opened {
    pub(crate) model: Arc<Model>,
    pub(crate) inputs: HashMap<String, Tensor>,
    /// How it was imported, what was inferred included.
    pub(crate) options: ImportOptions,
    /// What the inputs' shapes bound: `batch=1`, `x=1,3,48,192`.
    pub(crate) inferred: Vec<String>,
}

/// A model and its inputs; axes that nothing else binds have the sizes of the inputs.
pub(crate) fn model_with_inputs(
    path: &Path,
    choices: &ImportChoices,
    files: &[String],
    engine: &Engine,
) -> Result<Opened, CommandError> {
    let options = import_options(path, choices, files)?;
    let read = |wanted: &[(String, TensorType)]| inputs(files, wanted);
    open(path, options, engine, read)
}

fn open(
    path: &Path,
    mut options: ImportOptions,
    engine: &Engine,
    read: impl FnOnce(&[(String, TensorType)]) -> Result<HashMap<String, Tensor>, CommandError>,
) -> Result<Opened, CommandError> {
    let file = ModelFile::read(path)?;
    let declared = file.inputs()?;
    let scalar = Shape::new(&[]).ok_or_else(|| system("a scalar", "has no shape"))?;
    let free = declared.iter().filter(|input| !options.fixed.contains_key(&input.name));
    // A file is read by names and element types; its shapes are what is asked.
    let wanted: Vec<(String, TensorType)> = free
        .map(|input| {
            let kind = TensorType { element: input.element, shape: scalar.clone() };
            (input.name.clone(), kind)
        })
        .collect();
    let inputs = read(&wanted)?;
    let shapes = inputs
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.shape().dimensions().to_vec()))
        .collect();
    let inferred = inference::infer(&declared, &shapes, &mut options)?;
    let model = file.import(engine, &options).map(Arc::new).map_err(open_axes)?;
    Ok(Opened { model, inputs, options, inferred })
}

/// Names and types of a model's inputs.
pub(crate) fn input_types(model: &Model) -> Vec<(String, TensorType)> {
    model.input_names().iter().cloned().zip(model.graph().inputs.iter().cloned()).collect()
}

/// Reads inputs given as FILE or NAME=FILE.
fn inputs(
    files: &[String],
    types: &[(String, TensorType)],
) -> Result<HashMap<String, Tensor>, CommandError> {
    let mut tensors = HashMap::new();
    let wrong = |reason: String| CommandError::Argument { argument: "--input", reason };
    let names = || types.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    for text in files {
        let named = text.split_once('=').and_then(|(name, file)| {
            types.iter().find(|(known, _)| known == name).map(|one| (one.clone(), file))
        });
        let read: HashMap<String, Tensor> = match named {
            Some((one, file)) => {
                let name = one.0.clone();
                let read = read_tensors(&PathBuf::from(file), &[one])?;
                read.into_values().next().map(|tensor| (name, tensor)).into_iter().collect()
            }
            None if !Path::new(text).exists()
                && text.split_once('=').is_some_and(|(_, file)| Path::new(file).exists()) =>
            {
                let name = text.split_once('=').map_or("", |(name, _)| name);
                return Err(wrong(format!("the model has no input {name}; it has {}", names())));
            }
            None => read_tensors(&PathBuf::from(text), types)?,
        };
        for (name, tensor) in read {
            if !types.iter().any(|(known, _)| *known == name) {
                let text = format!("{text}: the model has no input {name}; it has {}", names());
                return Err(wrong(text));
            }
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(wrong(format!("{text}: input {name} was given before")));
            }
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

/// The lie that a text names in a model.
pub(crate) fn named_lie(text: &str, model: &Model) -> Result<Lie, CommandError> {
    let placed = placed(text, model);
    parse_lie(&placed).map_err(|error| match lie_out_of_bounds(&placed) {
        Some(reason) => CommandError::Argument { argument: "--lie", reason },
        None => error.into(),
    })
}

/// How an executor with this lie computes.
pub(crate) fn compute_policy(
    lie: Option<&str>,
    model: &Arc<Model>,
    honest: &Trace,
) -> Result<Arc<dyn ComputePolicy>, CommandError> {
    Ok(match lie {
        None => Arc::new(Honest),
        Some(text) => Arc::new(Lying::new(&named_lie(text, model)?, model, honest)?),
    })
}

/// Whether a lie has its place in a model, whatever the input.
pub(crate) fn try_lie(text: &str, engine: &Engine, model: &Arc<Model>) -> Result<(), CommandError> {
    let zeros = (0..).zip(&model.graph().inputs).map(|(value, kind)| {
        let bits = vec![0; usize::try_from(kind.shape.count()).unwrap_or(0)];
        Some((value, Tensor::from_bits(kind, &bits)?))
    });
    let input = zeros.collect::<Option<Vec<_>>>().and_then(inference::State::new);
    // Only the place is tried: a model that has no result for zeros is tried at its first job.
    let honest = input.and_then(|input| Runner::honest(engine, model).run(input).ok());
    let parsed = named_lie(text, model)?;
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
    /// The executor's own file, where there is one.
    made: Option<ExecutorFile>,
}

/// A claim's folder with everything that can be recomputed from it.
pub(crate) struct Folder {
    pub(crate) engine: Engine,
    pub(crate) model: Arc<Model>,
    pub(crate) inputs: HashMap<String, Tensor>,
    pub(crate) claim: ClaimFile,
    /// This machine's own run.
    pub(crate) honest: Outcome,
    /// How the executor computed; unknown to who has only what is public.
    pub(crate) compute_policy: Option<Arc<dyn ComputePolicy>>,
}

/// What tells the shapes of a claim's inputs: the inputs, or the state before the first layer.
fn claimed_inputs(
    folder: &Path,
    wanted: &[(String, TensorType)],
) -> Result<HashMap<String, Tensor>, CommandError> {
    let (inputs, state) = (folder.join("inputs.npz"), folder.join("states").join("0.npz"));
    if inputs.exists() || !state.exists() {
        return if inputs.exists() {
            Ok(read_tensors(&inputs, wanted)?)
        } else {
            Ok(HashMap::new())
        };
    }
    // The values of a state are named by their numbers, inputs first.
    let mut values = read_tensors(&state, &[])?;
    let names = wanted.iter().enumerate();
    Ok(names
        .filter_map(|(number, (name, _))| Some((name.clone(), values.remove(&number.to_string())?)))
        .collect())
}

/// A claim's folder and its model, named or found where the executor had it.
pub(crate) fn claim(
    path: &Path,
    model_path: Option<&Path>,
    choices: &ImportChoices,
    engine_options: &EngineOptions,
) -> Result<Claim, CommandError> {
    let claim = ClaimFile::read(path)?;
    // Without the executor's own file, the model must be named.
    let made = match (path.join("executor.json").exists(), model_path) {
        (false, Some(_)) => None,
        _ => Some(ExecutorFile::read(path)?),
    };
    let engine = engine(engine_options)?;
    let model = match (&made, model_path) {
        (Some(made), _) => {
            let options = ImportOptions {
                dimensions: made.dimensions.clone(),
                shapes: made.shapes.clone(),
                fixed: made.fixed.clone(),
                layer_operators_max: made.layer_operators_max,
            };
            let options = import_flags(choices)?.over(options);
            let file = model_path.unwrap_or(&made.model);
            let imported = inference::import_file(file, &engine, &options);
            imported.map(Arc::new).map_err(open_axes)?
        }
        (None, Some(file)) => {
            let options = import_options(file, choices, &[])?;
            open(file, options, &engine, |wanted| claimed_inputs(path, wanted))?.model
        }
        (None, None) => return Err(system(path.display().to_string(), "names no model")),
    };
    if model.root() != claim.model_root {
        return Err(dispute::claim_file::ClaimFileError::Malformed {
            path: path.join("claim.json").display().to_string(),
            field: "model_root".to_owned(),
            reason: format!(
                "is not the root {} of the model given, with its dimensions and fixed inputs as \
                 they are bound here",
                model.root()
            ),
        }
        .into());
    }
    Ok(Claim { engine, model, claim, made })
}

pub(crate) fn folder(
    path: &Path,
    model_path: Option<&Path>,
    choices: &ImportChoices,
    engine_options: &EngineOptions,
) -> Result<Folder, CommandError> {
    let Claim { engine, model, claim, made } = claim(path, model_path, choices, engine_options)?;
    let lie = made.as_ref().map(|made| made.lie.as_deref());
    let inputs = read_tensors(&path.join("inputs.npz"), &input_types(&model))?;
    let runner = Runner::honest(&engine, &model);
    let honest = runner.outcome(runner.input_state(&inputs)?)?;
    let compute_policy = match &honest {
        Outcome::Whole(honest) => lie.map(|lie| compute_policy(lie, &model, honest)).transpose()?,
        // Lies are made of a run with a result.
        Outcome::Partial(_) => None,
    };
    Ok(Folder { engine, model, inputs, claim, honest, compute_policy })
}
