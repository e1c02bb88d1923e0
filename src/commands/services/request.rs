//! `rebut request`: a job, from its input to the final claim's outputs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ::ledger::http::{HttpLedger, UploadError};
use ::ledger::{Ledger as _, LedgerError};
use inference::files::{npz_bytes, write_npz};
use inference::published::published_state;
use inference::{Model, Runner, Tensor};
use protocol::encoding::Canonical as _;
use protocol::graph::Profile;
use protocol::hash::Digest;
use protocol::settlement::{Claim, Event, JobStatus, claim_id};
use protocol::transaction::{Action, JobTerms, Key, SignedTransaction};
use serde::Serialize;

use super::receipt::Receipt;
use crate::arguments::Request;
use crate::error::{CommandError, system};
use crate::{load, print};

#[derive(Debug, Serialize)]
struct Report {
    job: String,
    claim: String,
    executor: String,
    output_root: String,
    trace_root: String,
    /// Other claims on the job, with what became of them.
    others: Vec<String>,
    outputs: Option<String>,
    waited_ms: u64,
}

pub(crate) fn run(arguments: &Request, as_json: bool) -> Result<bool, CommandError> {
    let engine = load::engine(&arguments.engine)?;
    let opened =
        load::model_with_inputs(&arguments.model, &arguments.import, &arguments.input, &engine)?;
    let load::Opened { model, inputs, inferred, .. } = opened;
    if !inferred.is_empty() && !as_json {
        println!("bound         {} (from the inputs' shapes)", inferred.join(", "));
    }
    let input_root = Runner::honest(&engine, &model).input_state(&inputs)?.root();
    let inputs: BTreeMap<String, Tensor> = inputs.into_iter().collect();
    let bytes = npz_bytes(&inputs).map_err(|reason| system("the input", reason))?;
    let report = super::runtime()?.block_on(async {
        let started = Instant::now();
        let until = Some(started + Duration::from_secs(arguments.patience_seconds));
        let ledger = super::patiently(until, async || super::connect(&arguments.at).await).await?;
        let key = super::key_at(&arguments.key, &ledger, until).await?;
        let job = post(arguments, &ledger, &key, &model, input_root, bytes).await?;
        if !as_json {
            println!("job           {job}");
        }
        let (id, claim, others) = wait(&ledger, &job, arguments, as_json).await?;
        let outputs = match &arguments.out {
            Some(file) => {
                let fetched = async || fetch(&ledger, &model, &claim, file).await;
                Some(super::patiently(until, fetched).await?)
            }
            None => None,
        };
        if let Some(file) = &arguments.receipt {
            let root = ledger.genesis().root();
            let nonce = claimed_by(&ledger, &id, &claim).await?;
            let receipt = Receipt::new(root, (&id, &claim, nonce), &model, &input_root);
            let text = serde_json::to_string_pretty(&receipt)
                .map_err(|error| system("the receipt", error))?;
            std::fs::write(file, text)
                .map_err(|error| system(file.display().to_string(), error))?;
        }
        Ok::<_, CommandError>(Report {
            job: job.to_string(),
            claim: id.to_string(),
            executor: claim.executor.to_string(),
            output_root: claim.terms.output_root.to_string(),
            trace_root: claim.terms.trace_root.to_string(),
            others,
            outputs,
            waited_ms: started.elapsed().as_millis() as u64,
        })
    })?;
    if as_json {
        print::json(&report)?;
        return Ok(false);
    }
    for other in &report.others {
        println!("other claim   {other}");
    }
    println!("final claim   {} by {}", report.claim, report.executor);
    println!("output root   {}", report.output_root);
    if let Some(outputs) = &report.outputs {
        println!("outputs       {outputs}, checked against the root");
    }
    Ok(false)
}

/// Nonce of the transaction that made a claim.
async fn claimed_by(ledger: &HttpLedger, id: &Digest, claim: &Claim) -> Result<u64, CommandError> {
    let entries = ledger.entries().await?;
    let transactions = entries
        .iter()
        .rev()
        .filter_map(|entry| SignedTransaction::from_canonical(&entry.transaction).ok());
    let mut own = transactions.filter(|one| one.sender == claim.executor);
    let made = own.find(|one| claim_id(claim.executor, one.nonce, &claim.terms) == *id);
    made.map(|one| one.nonce).ok_or_else(|| system("the claim", "its transaction is lost"))
}

/// Publishes the input, makes the model known, posts the job.
async fn post(
    arguments: &Request,
    ledger: &HttpLedger,
    key: &Key,
    model: &Model,
    input_root: Digest,
    bytes: Vec<u8>,
) -> Result<Digest, CommandError> {
    let until = Some(Instant::now() + Duration::from_secs(arguments.patience_seconds));
    let upload = async || {
        ledger.upload(key, &input_root, bytes.clone()).await.map_err(|error| match error {
            UploadError::Ledger(error) => CommandError::Ledger(error),
            refused => system("publishing the input", refused),
        })
    };
    super::patiently(until, upload).await?;
    let view = super::patiently(until, async || Ok(ledger.view().await?)).await?;
    if view.settlement.model(&model.root()).is_none() {
        let header = model.header().clone();
        match super::act(ledger, key, &Action::RegisterModel { header }, until).await {
            // Somebody else made it known meanwhile.
            Ok(_) | Err(CommandError::Ledger(LedgerError::Rejected(_))) => {}
            Err(error) => return Err(error),
        }
    }
    let parameters = view.settlement.parameters();
    let terms = JobTerms {
        model_root: model.root(),
        input_root,
        profile: Profile::StrictF32,
        fee_wei: arguments.fee_wei,
        stake_wei: parameters.stake_wei_min,
        bond_wei: parameters.bond_wei_min,
        window_ms: arguments.window_ms.unwrap_or(parameters.window_ms_min),
        attention_wei: 0,
    };
    let receipt = super::act(ledger, key, &Action::PostJob { terms }, until).await?;
    let posted = receipt.events.iter().find_map(|event| match event {
        Event::JobPosted { job } => Some(*job),
        _ => None,
    });
    posted.ok_or_else(|| system("the job", "the ledger accepted it and names no job"))
}

/// Waits for the final claim; tells what happens meanwhile.
async fn wait(
    ledger: &HttpLedger,
    job: &Digest,
    arguments: &Request,
    as_json: bool,
) -> Result<(Digest, Claim, Vec<String>), CommandError> {
    let patience = Instant::now() + Duration::from_secs(arguments.patience_seconds);
    let mut told = 0;
    loop {
        let view = match ledger.view().await {
            // It may come back; the job is on its disk.
            Err(LedgerError::Unreachable { .. }) if Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            view => view?,
        };
        let receipts = super::patiently(Some(patience), async || {
            Ok(ledger.events_after(told, usize::MAX).await?)
        });
        for receipt in receipts.await? {
            told = receipt.height;
            for event in &receipt.events {
                if let (Some(line), false) = (news(event, job, &view.settlement), as_json) {
                    println!("{line}");
                }
            }
        }
        let settlement = &view.settlement;
        let state = settlement.job(job).ok_or_else(|| system("the job", "is lost"))?;
        if let JobStatus::Done { claim: id } = state.status {
            let claim = settlement.claim(&id).ok_or_else(|| system("the claim", "is lost"))?;
            let others = state.claims.iter().filter(|other| **other != id).filter_map(|other| {
                let claim = settlement.claim(other)?;
                Some(format!("{other} by {}: {:?}", claim.executor, claim.status))
            });
            return Ok((id, claim.clone(), others.collect()));
        }
        if Instant::now() >= patience {
            let reason = format!("no claim is final after {} s", arguments.patience_seconds);
            return Err(system(format!("job {job}"), reason));
        }
        let news = ledger.wait_beyond(view.height);
        // A ledger that went away is asked again above.
        let _ = tokio::time::timeout(Duration::from_secs(1), news).await;
    }
}

/// An event about the job, for people.
fn news(
    event: &Event,
    job: &Digest,
    settlement: &protocol::settlement::Settlement,
) -> Option<String> {
    let about = |claim: &Digest| settlement.claim(claim).filter(|claim| claim.terms.job == *job);
    match event {
        Event::ClaimPosted { claim, .. } => {
            about(claim).map(|found| format!("claimed       {claim} by {}", found.executor))
        }
        Event::Challenged { claim, .. } => about(claim).map(|_| format!("challenged    {claim}")),
        Event::Revealed { claim, .. } => about(claim).map(|_| format!("answered      {claim}")),
        Event::ClaimFallen { claim, reason, .. } => {
            about(claim).map(|_| format!("fallen        {claim}: {reason:?}"))
        }
        _ => None,
    }
}

/// The final claim's outputs as its executor published them, by the outputs' names.
async fn fetch(
    ledger: &HttpLedger,
    model: &Model,
    claim: &Claim,
    file: &Path,
) -> Result<String, CommandError> {
    let root = claim.terms.output_root;
    let bytes = ledger.download(&root, &claim.executor).await?;
    let state = published_state(model, model.header().layer_count, bytes, root)
        .map_err(|error| system("the executor's outputs", error))?;
    let named: BTreeMap<String, Tensor> = model
        .outputs()
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), state.tensor(*value)?.clone())))
        .collect();
    write_npz(file, &named)?;
    Ok(file.display().to_string())
}
