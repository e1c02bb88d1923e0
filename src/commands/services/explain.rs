//! `rebut challenger explain`: what is known of a claim, and where two views of it part.

use std::path::Path;
use std::time::Duration;

use ::dispute::verdict::derive;
use ::ledger::Ledger as _;
use ::ledger::http::HttpLedger;
use ::ledger::words;
use inference::state_transfer::{input_head, published_input, published_state, state_head};
use inference::{Model, Runner, Tensor, Trace};
use protocol::hash::{Digest, Keccak, parse_digest};
use protocol::ids::{ClaimId, JobId};
use protocol::roots::trace_tree;
use protocol::settlement::{Claim, ClaimStatus, Job, JobStatus};
use protocol::transaction::Action;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Explain;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{load, print};

/// Where two states part.
#[derive(Debug, Serialize)]
struct Parting {
    layer: u32,
    value: u32,
    operator: String,
    element: Vec<u64>,
    claimed: String,
    own: String,
}

#[derive(Debug, Serialize)]
struct Explained {
    claim: String,
    executor: String,
    status: String,
    /// Its place among the job's claims, from 0.
    number: u32,
    iterations: u32,
    claimed_sequence_root: String,
    /// Of the first iteration.
    claimed_trace_root: String,
    /// What this machine's run commits to, if it ran.
    own_trace_root: Option<String>,
    agrees: Option<bool>,
    /// `false-final` when the claim is final and is not what a run here gives.
    alert: Option<&'static str>,
    /// Where the executor's states part from ours, if its states were read.
    parting: Option<Parting>,
    /// What was asked for and could not be found out, and why.
    missing: Vec<String>,
    /// Moves of the dispute, in order.
    path: Vec<String>,
    verdict: Option<::dispute::verdict::Verdict>,
}

pub(crate) fn run(arguments: &Explain, as_json: bool) -> Result<Ending, CommandError> {
    let explained = super::process::runtime()?.block_on(explain(arguments))?;
    let is_false_final = explained.alert.is_some();
    if as_json {
        print::json(&explained)?;
        return ended(&explained.missing, is_false_final);
    }
    println!("claim         {}", explained.claim);
    println!("executor      {}", explained.executor);
    println!("status        {}", explained.status);
    println!("number        {} of the job's claims, counted from 0", explained.number);
    println!("sequence root {}", explained.claimed_sequence_root);
    match explained.iterations {
        1 => println!("trace root    {}", explained.claimed_trace_root),
        count => {
            println!("iterations    {count}");
            println!("trace root    {} (of the first iteration)", explained.claimed_trace_root);
        }
    }
    match (&explained.own_trace_root, explained.agrees) {
        (Some(own), Some(true)) => println!("own run       {own}: agrees"),
        (Some(own), _) => println!("own run       {own}: DIFFERS"),
        (None, _) if explained.missing.is_empty() => {
            println!("own run       not made; name --models");
        }
        (None, _) => {}
    }
    for missing in &explained.missing {
        println!("NOT KNOWN     {missing}");
    }
    if let Some(parting) = &explained.parting {
        println!(
            "views part    after layer {}, value {} ({}), element {}: claimed {}, own {}",
            parting.layer,
            parting.value,
            parting.operator,
            words::coordinates(&parting.element),
            parting.claimed,
            parting.own
        );
    }
    for step in &explained.path {
        println!("move          {step}");
    }
    if let Some(verdict) = explained.verdict.filter(|_| !explained.path.is_empty()) {
        crate::commands::dispute::tell(&verdict);
    }
    if is_false_final {
        println!("ALERT         a false claim is final: nobody may rely on its outputs");
    }
    ended(&explained.missing, is_false_final)
}

/// A part that is missing is no answer; a false final claim is an alert.
fn ended(missing: &[String], is_false_final: bool) -> Result<Ending, CommandError> {
    if missing.is_empty() || is_false_final {
        Ok(Ending::falls_if(is_false_final))
    } else {
        Err(CommandError::Incomplete)
    }
}

async fn explain(arguments: &Explain) -> Result<Explained, CommandError> {
    let ledger = super::connection::connect(&arguments.at).await?;
    let view = ledger.view().await?;
    let claims = view.settlement.claims().map(|(id, _)| id);
    let id = super::ids::named("CLAIM", &arguments.claim, "claim", claims)?;
    let unknown = || system(format!("claim {id}"), "this ledger has no such claim");
    let claim = view.settlement.claim(&id).ok_or_else(unknown)?;
    let job = view.settlement.job(&claim.terms.job).ok_or_else(unknown)?;
    let entries = ledger.entries().await?;
    let mut path = Vec::new();
    for entry in &entries {
        let action = entry.decode().and_then(|transaction| transaction.decode_action()).ok();
        if let Some(line) = action.and_then(|action| step(&action, &id, &claim.terms.job)) {
            path.push(format!("{} {line}", words::time_of_day(entry.at_ms)));
        }
    }
    let verdict = derive(ledger.genesis(), &entries, &id);
    let mut explained = Explained {
        claim: id.to_string(),
        executor: claim.executor.to_string(),
        status: status(claim, job),
        number: claim.number,
        claimed_sequence_root: claim.terms.sequence_root.to_string(),
        claimed_trace_root: claim.trace_root.to_string(),
        iterations: claim.terms.iterations,
        own_trace_root: None,
        agrees: None,
        alert: None,
        parting: None,
        missing: Vec::new(),
        path,
        verdict,
    };
    if let Some(models) = &arguments.models {
        compare(arguments, models, (&ledger, claim, job), &mut explained).await?;
    }
    Ok(explained)
}

/// Compares a claim with a run on this machine.
async fn compare(
    arguments: &Explain,
    models: &Path,
    (ledger, claim, job): (&HttpLedger, &Claim, &Job),
    explained: &mut Explained,
) -> Result<(), CommandError> {
    // What cannot be found out beyond the ledger's own record is said, and does not lose the rest.
    if let most @ 2.. = job.terms.iterations_max {
        let missing = format!(
            "own run: the job's run may have {most} iterations (the claim's has {}), and this command runs \
             one, which says nothing about the others and about where the run ends",
            claim.terms.iterations
        );
        explained.missing.push(missing);
        return Ok(());
    }
    let engine = load::engine(&arguments.engine)?;
    let model_store = super::daemon::model_store(models, &engine)?;
    let root = job.terms.model_root;
    let Some(model) = model_store.model(&root) else {
        let missing = format!("own run: {} holds no model of the root {root}", models.display());
        explained.missing.push(missing);
        return Ok(());
    };
    let trace = match own_trace(ledger, job, model, &engine).await {
        Ok(trace) => trace,
        Err(error) => {
            explained.missing.push(format!("own run: {error}"));
            return Ok(());
        }
    };
    let agrees = trace.root() == claim.trace_root;
    explained.own_trace_root = Some(trace.root().to_string());
    explained.agrees = Some(agrees);
    let is_final = matches!(claim.status, ClaimStatus::Final { .. });
    explained.alert = (is_final && !agrees).then_some("false-final");
    if let (false, Some(url)) = (agrees, &arguments.executor) {
        match parting(ledger, url, claim, model, &trace).await {
            Ok(parting) => explained.parting = parting,
            Err(error) => explained.missing.push(format!("the executor's states: {error}")),
        }
    }
    Ok(())
}

/// What became of a claim, in words.
fn status(claim: &Claim, job: &Job) -> String {
    match &claim.status {
        ClaimStatus::Standing => {
            let over = match job.status {
                JobStatus::Open => "",
                JobStatus::Done { .. } | JobStatus::Expired => {
                    ", not needed: its job is over and its stake can be released"
                }
            };
            let until = words::moment(claim.window_end_ms);
            format!("standing, can be challenged until {until}{over}")
        }
        ClaimStatus::Fallen { reason, at_ms, .. } => format!(
            "rejected at {}: {}",
            words::moment(*at_ms),
            words::fallen(reason, Some(&claim.knowledge))
        ),
        ClaimStatus::Final { at_ms, .. } => format!("final since {}", words::moment(*at_ms)),
        ClaimStatus::Released { at_ms } => {
            format!("released at {}: another claim became final", words::moment(*at_ms))
        }
    }
}

/// A move of the claim's disputes, or one that ended it, in words; nothing of any other.
fn step(action: &Action, id: &ClaimId, job: &JobId) -> Option<String> {
    match action {
        Action::Challenge { claim } if claim == id => Some("challenged".to_owned()),
        Action::Demand { claim, ask, .. } if claim == id => {
            Some(format!("demanded {}", words::ask(ask)))
        }
        Action::Reveal { claim, ask, .. } if claim == id => {
            Some(format!("answered {}", words::ask(ask)))
        }
        Action::Refute { claim, refutation, .. } if claim == id => {
            Some(format!("refuted: {}", words::refutation(refutation)))
        }
        Action::CallTime { claim, challenger } if claim == id => {
            Some(format!("time called on the challenge by {}", words::short(challenger)))
        }
        Action::Collect { claim, challenger } if claim == id => {
            Some(format!("collected by {}", words::short(challenger)))
        }
        Action::Pass { job: of, claims } if of == job && claims.contains(id) => {
            Some("passed by: the job goes on without it".to_owned())
        }
        Action::Finalise { claim } if claim == id => Some("became the job's answer".to_owned()),
        Action::Release { claim } if claim == id => Some("stake released".to_owned()),
        _ => None,
    }
}

async fn own_trace(
    ledger: &HttpLedger,
    job: &Job,
    model: &Model,
    engine: &inference::Engine,
) -> Result<Trace, CommandError> {
    let root = job.terms.input_root;
    let bytes = ledger.download(&root, &job.poster, &input_head(model)).await;
    let bytes = bytes.map_err(|error| system("the published input", error))?;
    let input = published_input(model, &bytes, root)
        .map_err(|error| system("the published input", error))?;
    Ok(Runner::honest(engine, model).run(input)?)
}

async fn fetch(url: &str) -> Result<Vec<u8>, CommandError> {
    let fail = |error: reqwest::Error| system(url, error);
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(fail)?;
    let mut answer = client.get(url).send().await.map_err(fail)?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        let help = "this executor does not serve the claim's states: it is another's, or over";
        return Err(system(url, help));
    }
    if let Err(error) = answer.error_for_status_ref() {
        return Err(fail(error));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(fail)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > 16 << 20 {
            return Err(system(url, "is longer than any list of states"));
        }
    }
    Ok(bytes)
}

/// The first element that differs, in the first state whose root differs. What the executor's server says
/// is compared with the roots that the claim commits to.
async fn parting(
    ledger: &HttpLedger,
    url: &str,
    claim: &Claim,
    model: &Model,
    own: &Trace,
) -> Result<Option<Parting>, CommandError> {
    let at = format!("{}/v1/traces/{}", url.trim_end_matches('/'), claim.trace_root);
    let listed: Value =
        serde_json::from_slice(&fetch(&at).await?).map_err(|error| system(at.clone(), error))?;
    let texts = listed["state_roots"].as_array().map(Vec::as_slice).unwrap_or_default();
    let roots: Vec<Digest> = texts.iter().filter_map(|text| parse_digest(text.as_str()?)).collect();
    let list = trace_tree::<Keccak>(&roots);
    if list.map(|list| list.root()) != Some(claim.trace_root) {
        return Err(system(at, "these state roots are not those of the claim: the server lies"));
    }
    let mut pairs = (0u32..).zip(roots.iter().zip(own.state_roots()));
    let Some((boundary, (root, _))) = pairs.find(|(_, (theirs, ours))| theirs != ours) else {
        return Ok(None);
    };
    let state_at = format!("{at}/states/{boundary}");
    let head = state_head(model, boundary).ok_or_else(|| system(&at, "has too many states"))?;
    let bytes = ledger.download_from(&state_at, root, &head).await;
    let bytes = bytes.map_err(|error| system(state_at.clone(), error))?;
    let state = published_state(&head, &bytes, *root).map_err(|error| system(state_at, error))?;
    let Some(mine) = own.state(boundary) else {
        return Ok(None);
    };
    for (value, theirs) in state.values() {
        let Some(ours) = mine.tensor(*value) else {
            continue;
        };
        let given = |tensor: &Tensor| -> Vec<u64> {
            (0..tensor.shape().count()).filter_map(|at| tensor.given_bits(at)).collect()
        };
        let (left, right) = (given(theirs), given(ours));
        let mut pairs = left.iter().zip(&right).enumerate();
        let Some((place, (claimed, own))) = pairs.find(|(_, (left, right))| left != right) else {
            continue;
        };
        let operator = value.checked_sub(model.header().output_of(0));
        let name = operator.map_or("an input", |operator| model.operator_name(operator));
        return Ok(Some(Parting {
            layer: boundary.saturating_sub(1),
            value: *value,
            operator: name.to_owned(),
            element: ours.shape().unravel(place as u64),
            claimed: written(theirs, place, *claimed),
            own: written(ours, place, *own),
        }));
    }
    Ok(None)
}

/// An element's bits, and its value where that is a float.
fn written(tensor: &inference::Tensor, place: usize, bits: u64) -> String {
    match tensor.kind().element {
        protocol::tensor::ElementType::F32 => {
            format!("0x{bits:08x} ({:e})", tensor.as_f32().get(place).copied().unwrap_or(f32::NAN))
        }
        _ => format!("0x{bits:x}"),
    }
}
