//! `rebut run`: runs a model, writes outputs and claim.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dispute::claim_file::{ClaimFile, ExecutorFile};
use inference::files::write_npz;
use inference::onnx::ImportOptions;
use inference::{Runner, Tensor, Trace};
use serde::Serialize;

use crate::arguments::Run;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::folders::foreign;
use crate::{archive, load, print, progress};

#[derive(Debug, Serialize)]
struct RunReport {
    model_root: String,
    input_root: String,
    output_root: String,
    trace_root: String,
    layers: u32,
    inference_ms: f64,
    commit_ms: f64,
    hashed_bytes: u64,
    outputs: String,
    /// What the inputs' shapes bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inferred: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lie_effective: Option<bool>,
    /// Trace root of another claim that was in the folder and is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<String>,
}

/// The trace root of another claim in the folder, which this run replaces.
fn replaced(folder: &Path, trace: &Trace) -> Option<String> {
    let before = ClaimFile::read(folder).ok()?;
    (before.trace_root != trace.root()).then(|| before.trace_root.to_string())
}

/// Stands in a folder while a run is written there: what one that was killed left is its own.
const UNFINISHED: &str = ".rebut-unfinished";

/// That a claim is not written among other files, which may be of the same names.
fn refuse_foreign(folder: &Path) -> Result<(), CommandError> {
    if folder.join("claim.json").exists() || folder.join(UNFINISHED).exists() {
        return Ok(());
    }
    match foreign(folder, &[])? {
        None => Ok(()),
        Some(found) => {
            let help = "name a new folder, or one of an earlier claim";
            let reason = format!("holds {found} and no claim.json; {help}");
            Err(system(folder.display().to_string(), reason))
        }
    }
}

pub(crate) fn run(arguments: &Run, as_json: bool) -> Result<Ending, CommandError> {
    refuse_foreign(&arguments.out)?;
    let engine = load::engine(&arguments.engine)?;
    let opened =
        load::model_with_inputs(&arguments.model, &arguments.import, &arguments.input, &engine)?;
    let load::Opened { model, inputs, options, inferred } = opened;
    let runner = Runner::honest(&engine, &model);
    let bar = progress::bar(u64::from(model.header().layer_count), "layers", as_json);
    let honest = runner.run_watched(runner.input_state(&inputs)?, &mut |_| bar.inc(1))?;
    bar.finish_and_clear();
    let compute_policy = load::compute_policy(arguments.lie.as_deref(), &model, &honest)?;
    let runner = Runner { engine: &engine, model: &model, compute_policy: compute_policy.as_ref() };
    let (trace, lie_effective) = match &arguments.lie {
        None => (honest, None),
        Some(_) => {
            let trace = runner.run(runner.input_state(&inputs)?)?;
            let effective = trace.root() != honest.root();
            (trace, Some(effective))
        }
    };
    let made = made_by(arguments, options)?;
    let written = write(arguments, &runner, &trace, inputs, &made)?;
    let claim = written.claim;
    let report = RunReport {
        model_root: claim.model_root.to_string(),
        input_root: claim.input_root.to_string(),
        output_root: claim.output_root.to_string(),
        trace_root: claim.trace_root.to_string(),
        layers: model.header().layer_count,
        inference_ms: trace.inference.as_secs_f64() * 1e3,
        commit_ms: trace.commit.as_secs_f64() * 1e3,
        hashed_bytes: trace.hashed_bytes(),
        outputs: written.outputs.display().to_string(),
        inferred,
        lie_effective,
        replaced: written.replaced,
    };
    if as_json {
        print::json(&report)?;
    } else {
        tell(&report);
    }
    Ok(Ending::Done)
}

/// How the executor's side of a run is made again.
fn made_by(arguments: &Run, options: ImportOptions) -> Result<ExecutorFile, CommandError> {
    let path = std::path::absolute(&arguments.model)
        .map_err(|error| system(arguments.model.display().to_string(), error))?;
    let (dimensions, cut) = (options.dimensions, options.layer_operators_max);
    let mut made = ExecutorFile::new(path, dimensions, cut, arguments.lie.clone());
    (made.fixed, made.shapes) = (options.fixed, options.shapes);
    Ok(made)
}

/// What a run left in its folder.
struct Written {
    claim: ClaimFile,
    outputs: PathBuf,
    /// Trace root of another claim that was there and is gone.
    replaced: Option<String>,
}

/// Writes a run to its folder, which is marked as unfinished until everything is there.
fn write(
    arguments: &Run,
    runner: &Runner<'_>,
    trace: &Trace,
    inputs: impl IntoIterator<Item = (String, Tensor)>,
    made: &ExecutorFile,
) -> Result<Written, CommandError> {
    let folder = &arguments.out;
    std::fs::create_dir_all(folder).map_err(|error| system(folder.display().to_string(), error))?;
    let unfinished = folder.join(UNFINISHED);
    let fail = |error| system(unfinished.display().to_string(), error);
    std::fs::write(&unfinished, b"").map_err(fail)?;
    let replaced = replaced(folder, trace);
    archive::remove(folder)?;
    let outputs = folder.join("outputs.npz");
    write_npz(&outputs, &runner.outputs(trace))?;
    let inputs: BTreeMap<String, Tensor> = inputs.into_iter().collect();
    write_npz(&folder.join("inputs.npz"), &inputs)?;
    let claim = ClaimFile::of_run(runner.model.root(), trace);
    claim.write(folder)?;
    if arguments.states {
        archive::write(folder, trace)?;
    }
    made.write(folder)?;
    std::fs::remove_file(&unfinished).map_err(fail)?;
    Ok(Written { claim, outputs, replaced })
}

fn tell(report: &RunReport) {
    if !report.inferred.is_empty() {
        println!("bound         {} (from the inputs' shapes)", report.inferred.join(", "));
    }
    println!("model root    {}", report.model_root);
    println!("input root    {}", report.input_root);
    println!("output root   {}", report.output_root);
    println!("trace root    {}", report.trace_root);
    println!("layers        {}", report.layers);
    println!("inference     {:.3} ms", report.inference_ms);
    println!("commitment    {:.3} ms for {} bytes", report.commit_ms, report.hashed_bytes);
    println!("outputs       {}", report.outputs);
    if let Some(root) = &report.replaced {
        println!("replaced      the claim with the trace root {root}, which was in this folder");
    }
    match report.lie_effective {
        Some(true) => println!("lie           told: the claim is false"),
        Some(false) => println!("lie           changes no committed state: the claim is true"),
        None => {}
    }
}
