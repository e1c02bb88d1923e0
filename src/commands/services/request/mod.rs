//! `rebut request`: a job, from its input to the final claim's outputs.
//!
//! Nothing is paid before everything that can be checked here was: files, key, input, the model's own run,
//! the ledger's limits. A job that was posted can be fetched later by its id.

mod check;
mod post;
mod wait;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ::ledger::Ledger as _;
use ::ledger::http::{DownloadError, HttpLedger};
use inference::files::write_npz;
use inference::state_transfer::{published_state, state_head};
use inference::{Model, Runner, State, Tensor};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Claim, claim_id};
use protocol::transaction::{Action, Address, Statement};
use serde::Serialize;

use super::receipt::Receipt;
use crate::arguments::{LEDGER_URL, Request};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{load, print};
use check::{Asked, OwnRun};
use post::post;
use wait::{Ended, Other, Patience, stopped, wait};

/// How long a ledger that is away is waited for once the job has its answer.
const DELIVERY: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize)]
struct RequestReport {
    job: String,
    claim: String,
    /// `final`: nothing else is reported.
    status: &'static str,
    executor: String,
    output_root: String,
    iterations: u32,
    /// Whether its iterations are those of a batch, whose outputs stand in no single file.
    #[serde(skip)]
    is_batch: bool,
    sequence_root: String,
    /// Of the first iteration.
    trace_root: String,
    /// The claim's place among the job's claims, from 0.
    number: u32,
    /// Whether the model was run here as well.
    recomputed: bool,
    /// Whether the final claim is what a run here gives; unknown without one.
    matches_own_run: Option<bool>,
    /// Set when the final claim is not what a run here gives: nobody may rely on the outputs.
    alert: Option<&'static str>,
    /// Other claims on the job, with what became of them.
    others: Vec<Other>,
    outputs: Option<String>,
    waited_ms: u64,
}

impl RequestReport {
    fn new(
        job: &JobId,
        ended: Ended,
        (own, model): (&OwnRun, &Model),
        outputs: Option<String>,
        started: Instant,
    ) -> Self {
        let Ended { id, claim, others } = ended;
        Self {
            job: job.to_string(),
            claim: id.to_string(),
            status: "final",
            alert: (own.agrees(&claim) == Some(false)).then_some("false-final"),
            executor: claim.executor.to_string(),
            output_root: claim.terms.output_root.to_string(),
            iterations: claim.terms.iterations,
            is_batch: claim.terms.is_batch(model.header()),
            sequence_root: claim.terms.sequence_root.to_string(),
            trace_root: claim.trace_root.to_string(),
            number: claim.number,
            recomputed: own.is_made(),
            matches_own_run: own.agrees(&claim),
            others,
            outputs,
            waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

pub(crate) fn run(arguments: &Request, as_json: bool) -> Result<Ending, CommandError> {
    check::files(arguments)?;
    let engine = load::engine(&arguments.engine)?;
    let opened =
        load::model_with_inputs(&arguments.model, &arguments.import, &arguments.input, &engine)?;
    let load::Opened { model, inputs, inferred, .. } = opened;
    if !inferred.is_empty() && !as_json {
        println!("bound         {} (from the inputs' shapes)", inferred.join(", "));
    }
    let given = || Runner::honest(&engine, &model).input_state(&inputs);
    let input = (!arguments.input.is_empty()).then(given).transpose()?;
    let report = super::process::runtime()?.block_on(async {
        let started = Instant::now();
        let ledger = super::connection::connect_soon(&arguments.at).await?;
        let asked = match &arguments.job {
            Some(id) => {
                let wants_outputs = arguments.out.is_some();
                existing(id, &ledger, &model, input.as_ref(), wants_outputs).await?
            }
            None => {
                let input = input.ok_or_else(|| CommandError::Argument {
                    argument: "--input",
                    reason: "is needed for a new job; with --job ID an existing one is fetched"
                        .to_owned(),
                })?;
                Asked { job: None, input: Some(input), iterations_max: 1 }
            }
        };
        let own = OwnRun::make(arguments, &engine, &model, &asked, as_json)?;
        let (job, key) = match asked.job {
            Some(job) => (job, None),
            None => {
                let input = asked.input.as_ref().ok_or_else(|| system("the input", "is lost"))?;
                let (job, key) = post(arguments, &ledger, &model, input).await?;
                (job, Some(key))
            }
        };
        if !as_json {
            println!("job           {job}");
        }
        let patience = Patience::new(arguments, started);
        let ended = tokio::select! {
            ended = wait(&ledger, &job, &own, &patience, key.as_ref(), as_json) => ended?,
            stopped = stopped(&job) => return Err(stopped),
        };
        let until = patience.until().unwrap_or(Instant::now() + DELIVERY);
        let delivery = async || deliver(arguments, &ledger, &model, &ended).await;
        let outputs = super::connection::patiently(Some(until), delivery).await?;
        Ok::<_, CommandError>(RequestReport::new(&job, ended, (&own, &model), outputs, started))
    })?;
    let is_false = report.matches_own_run == Some(false);
    if as_json {
        print::json(&report)?
    } else {
        tell(&report, arguments, !inferred.is_empty())
    }
    Ok(Ending::falls_if(is_false))
}

/// A job that is on the ledger already; its input as given here, or as its poster published it.
async fn existing(
    text: &str,
    ledger: &HttpLedger,
    model: &Model,
    input: Option<&State>,
    wants_outputs: bool,
) -> Result<Asked, CommandError> {
    let wrong = |reason: String| CommandError::Argument { argument: "--job", reason };
    let view = ledger.view().await?;
    let id = super::ids::named("--job", text, "job", view.settlement.jobs().map(|(id, _)| id))?;
    let job =
        view.settlement.job(&id).ok_or_else(|| wrong(format!("this ledger has no job {id}")))?;
    let (model_root, input_root) = (job.terms.model_root, job.terms.input_root);
    let iterations_max = job.terms.iterations_max;
    if model_root != model.root() {
        return Err(wrong(format!(
            "the job is on the model {model_root}, and the file given is {}; name the other file, or \
             the same --dim, --shape and --fix as before",
            model.root()
        )));
    }
    let is_batch = iterations_max > 1 && !model.header().is_recurrent();
    if is_batch && (input.is_some() || wants_outputs) {
        return Err(CommandError::Iterations {
            what: "the job, a batch of inputs,",
            iterations: iterations_max,
            reason: "this command knows single inputs and outputs; go on without --input and --out",
        });
    }
    if input.is_some_and(|input| input.root() != input_root) {
        return Err(wrong("the job has another input than the one given".to_owned()));
    }
    let input = match input {
        Some(input) => Some(input.clone()),
        None => {
            let head = inference::state_transfer::input_head(model);
            match ledger.download(&input_root, &job.poster, &head).await {
                Ok(bytes) => {
                    let read =
                        inference::state_transfer::published_input(model, &bytes, input_root);
                    Some(read.map_err(|error| system("the published input", error))?)
                }
                Err(DownloadError::Ledger(error)) => return Err(error.into()),
                // Without it nothing is recomputed here, and that is said.
                Err(DownloadError::Missing | DownloadError::Wrong { .. }) => None,
            }
        }
    };
    Ok(Asked { job: Some(id), input, iterations_max })
}

/// The command that fetches a job's outputs; with the inputs where their shapes bound the model's.
fn fetching(report: &RequestReport, arguments: &Request, is_bound: bool) -> String {
    let mut words = vec!["rebut".to_owned(), "request".to_owned()];
    words.push(arguments.model.display().to_string());
    let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    add("--job", &report.job);
    add("--out", "FILE.npz");
    if arguments.at.ledger != LEDGER_URL {
        add("--ledger", &arguments.at.ledger);
    }
    let import = &arguments.import;
    for (flag, values) in
        [("--dim", &import.dimensions), ("--shape", &import.shapes), ("--fix", &import.fixed)]
    {
        values.iter().for_each(|value| add(flag, value));
    }
    if let Some(most) = import.layer_operators_max {
        add("--layer-operators-max", &most.to_string());
    }
    if is_bound {
        arguments.input.iter().for_each(|input| add("--input", input));
    }
    words.iter().map(|word| load::shell_word(word)).collect::<Vec<_>>().join(" ")
}

fn tell(report: &RequestReport, arguments: &Request, is_bound: bool) {
    for other in &report.others {
        println!("other claim   {other}");
    }
    println!("final claim   {} by {}", report.claim, report.executor);
    println!("output root   {}", report.output_root);
    if report.iterations > 1 {
        println!("iterations    {}", report.iterations);
    }
    let checked = match report.matches_own_run {
        Some(true) => "matches a run on this machine",
        Some(false) => "DIFFERS from a run on this machine: do not use it",
        None if report.iterations > 1 => "not recomputed on this machine, which runs one iteration",
        None => "not recomputed on this machine; --verify does",
    };
    println!("checked       {checked}");
    if let Some(outputs) = &report.outputs {
        println!("outputs       {outputs}, those of the final claim");
    }
    if report.alert.is_some() {
        let keep = match &arguments.receipt {
            Some(file) => format!("keep the receipt {}", file.display()),
            None => {
                format!("fetch a receipt with `--job {} --receipt FILE`, and keep it", report.job)
            }
        };
        println!(
            "ALERT         a false answer became final: nobody challenged it in time; {keep}, and see \
             `rebut challenger explain {}`",
            report.claim
        );
    } else if report.outputs.is_none() && !report.is_batch {
        let command = fetching(report, arguments, is_bound);
        eprintln!("note: the outputs were not fetched; this does: {command}");
    }
}

/// Writes what was asked for: outputs, receipt.
async fn deliver(
    arguments: &Request,
    ledger: &HttpLedger,
    model: &Model,
    ended: &Ended,
) -> Result<Option<String>, CommandError> {
    let Ended { id, claim, .. } = ended;
    if let Some(file) = &arguments.receipt {
        let root = ledger.genesis().root();
        let statement = posted(ledger, id, &claim.executor).await?;
        let receipt = Receipt::new(root, (id, &claim.executor), &statement, model);
        let text =
            serde_json::to_string_pretty(&receipt).map_err(|error| system("the receipt", error))?;
        std::fs::write(file, text).map_err(|error| system(file.display().to_string(), error))?;
    }
    match &arguments.out {
        Some(file) => fetch(ledger, model, claim, file).await.map(Some),
        None => Ok(None),
    }
}

/// The claim as its executor posted it, from the ledger's log.
async fn posted(
    ledger: &HttpLedger,
    id: &ClaimId,
    executor: &Address,
) -> Result<Statement, CommandError> {
    let entries = ledger.entries().await?;
    let transactions = entries.iter().rev().filter_map(|entry| entry.decode().ok());
    let own = transactions.filter(|one| one.sender == *executor);
    let mut statements = own.filter_map(|one| match one.decode_action() {
        Ok(Action::PostClaim { statement } | Action::OpenClaim { statement, .. }) => {
            Some(statement)
        }
        _ => None,
    });
    let found = statements.find(|statement| claim_id(*executor, &statement.terms) == *id);
    found.ok_or_else(|| system("the claim", "its transaction is lost"))
}

/// The final claim's outputs as its executor published them, by the outputs' names.
async fn fetch(
    ledger: &HttpLedger,
    model: &Model,
    claim: &Claim,
    file: &Path,
) -> Result<String, CommandError> {
    let root = claim.terms.output_root;
    let head = state_head(model, model.header().layer_count)
        .ok_or_else(|| system("the model", "has no outputs"))?;
    let bytes = ledger.download(&root, &claim.executor, &head).await;
    let bytes = bytes.map_err(|error| match error {
        DownloadError::Ledger(error) => CommandError::Ledger(error),
        other => system("the executor's outputs", other),
    })?;
    let state = published_state(&head, &bytes, root)
        .map_err(|error| system("the executor's outputs", error))?;
    let named: BTreeMap<String, Tensor> = model
        .outputs()
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), state.tensor(*value)?.clone())))
        .collect();
    write_npz(file, &named)?;
    Ok(file.display().to_string())
}
