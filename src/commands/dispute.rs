//! `rebut dispute`: plays the dispute about a claim's folder on an embedded ledger.

use std::sync::Arc;

use challenger::Policy;
use inference::Honest;
use ledger::verdict::{Verdict, write_file};
use protocol::settlement::Parameters;
use simulation::{Cast, Played, Stage};

use crate::arguments::Dispute;
use crate::error::{CommandError, system};
use crate::{load, print, summary};

/// A runtime for the shells; the work itself is not asynchronous.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|error| system("the runtime", error))
}

pub(crate) fn run(arguments: &Dispute, as_json: bool) -> Result<bool, CommandError> {
    let (model, import) = (arguments.model.as_deref(), &arguments.import);
    let folder = load::folder(&arguments.folder, model, import, &arguments.engine)?;
    let temporary = tempfile::tempdir().map_err(|error| system("a temporary folder", error))?;
    let place = arguments.ledger.clone().unwrap_or_else(|| temporary.path().to_owned());
    let cast = Cast {
        engine: folder.engine,
        model: Arc::clone(&folder.model),
        input: folder.inputs,
        executor: folder.conduct.unwrap_or_else(|| Arc::new(Honest)),
        challenger: Arc::new(Honest),
        policy: Policy::Everything,
        publish: arguments.public_data,
        rival: false,
        terms: Some(folder.claim.terms(protocol::hash::Digest::default())),
    };
    let trace_moves = arguments.trace_moves;
    let mut watch = |played: &Played| {
        if trace_moves && played.outcome.is_ok() {
            eprintln!("move {} {}", played.role.name(), played.action.name());
        }
    };
    let (stage, outcome) = runtime()?.block_on(async {
        let stage = Stage::open(&place, Parameters::default()).await?;
        let outcome = stage.play(&cast, &mut watch).await?;
        Ok::<_, CommandError>((stage, outcome))
    })?;
    let Some(claim) = outcome.claim else {
        let reason = outcome.refused.unwrap_or_default();
        return Err(CommandError::Argument {
            argument: "DIR",
            reason: format!("no ledger accepts this claim, so there is no dispute: {reason}"),
        });
    };
    let verdict = summary::verdict_of(&stage, &cast, &outcome, &claim)
        .ok_or_else(|| system("the verdict", "the log has no such claim"))?;
    let entries = stage.ledger.entries()?;
    write_file(&arguments.verdict, stage.ledger.genesis(), &entries, &claim, &verdict)?;
    if as_json {
        print::json(&verdict)?;
    } else {
        tell(&verdict);
        println!("verdict file  {}", arguments.verdict.display());
    }
    Ok(false)
}

/// A verdict for people.
pub(crate) fn tell(verdict: &Verdict) {
    println!("verdict       {} ({})", verdict.verdict, verdict.reason);
    if let Some(layer) = &verdict.layer {
        println!("layer         {} of {}", layer.index, layer.count);
    }
    if let Some(operator) = &verdict.operator {
        let name = match operator.name.as_str() {
            "" => String::new(),
            name => format!(", ONNX node {name}"),
        };
        println!("operator      {} ({}{name})", operator.index, operator.kind);
    }
    if let Some(element) = &verdict.element {
        let run = verdict.run.unwrap_or(0);
        println!("element       {element:?}, run {run}");
    }
    if let (Some(claimed), Some(expected)) = (&verdict.claimed_bits, &verdict.true_bits) {
        println!("claimed       {}", with_value(claimed));
        println!("true          {}", with_value(expected));
    }
    println!("demands       {}, answered {}", verdict.rounds, verdict.reveals);
    println!(
        "final proof   {} bytes, {} multiply-adds recomputed",
        verdict.step_proof_bytes, verdict.step_multiply_adds
    );
    println!("transactions  {} from the claim on", verdict.transactions);
    match verdict.layer_referee_agrees {
        Some(true) => println!("layer referee agrees"),
        Some(false) => println!("layer referee DISAGREES: report this with the verdict file"),
        None => println!("layer referee not asked (nothing of the layer's result was opened)"),
    }
    let money = &verdict.money;
    println!(
        "money         executor {}, challenger {}, burned {}, conserved: {}",
        print::ether(money.executor_delta),
        print::ether(money.challenger_delta),
        print::ether(money.burned as i128),
        money.conserved
    );
}

/// Bits with the number that they are, when they are 32.
fn with_value(bits: &str) -> String {
    let digits = bits.strip_prefix("0x").filter(|digits| digits.len() == 8);
    match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(word) => format!("{bits} ({:e})", f32::from_bits(word)),
        None => bits.to_owned(),
    }
}
