//! `rebut dispute`: plays the dispute about a claim's folder on an embedded ledger.

use std::sync::Arc;

use challenger::Policy;
use dispute::verdict::{OperatorPlace, Verdict, write_file};
use dispute::{Devnet, Participants, PlayedMove};
use inference::Honest;
use ledger::words;
use protocol::settlement::Parameters;
use protocol::tensor::ElementType;

use crate::arguments::Dispute;
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{load, print, verdict_report};

/// A runtime for the shells; the work itself is not asynchronous.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .map_err(|error| system("the runtime", error))
}

pub(crate) fn run(arguments: &Dispute, as_json: bool) -> Result<Ending, CommandError> {
    let (model, import) = (arguments.model.as_deref(), &arguments.import);
    let folder = load::folder(&arguments.folder, model, import, &arguments.engine)?;
    let temporary = tempfile::tempdir().map_err(|error| system("a temporary folder", error))?;
    let place = arguments.ledger.clone().unwrap_or_else(|| temporary.path().to_owned());
    let participants = Participants {
        engine: folder.engine,
        model: Arc::clone(&folder.model),
        input: folder.inputs,
        executor: folder.compute_policy.unwrap_or_else(|| Arc::new(Honest)),
        challenger: Arc::new(Honest),
        policy: Policy::Everything,
        publish: arguments.public_data,
        rival: false,
        statement: Some(folder.claim.statement(protocol::ids::JobId::default())),
    };
    let trace_moves = arguments.trace_moves;
    let mut watch = |played: &PlayedMove| {
        if trace_moves && played.outcome.is_ok() {
            eprintln!("move {} {}", played.role.name(), played.action.name());
        }
    };
    let (devnet, outcome) = runtime()?.block_on(async {
        let devnet = Devnet::open(&place, Parameters::default()).await?;
        let outcome = devnet.dispute(&participants, &mut watch).await?;
        Ok::<_, CommandError>((devnet, outcome))
    })?;
    let Some(claim) = outcome.claim else {
        let reason = outcome.refused.unwrap_or_default();
        return Err(CommandError::Argument {
            argument: "FOLDER",
            reason: format!("no ledger accepts this claim, so there is no dispute: {reason}"),
        });
    };
    let verdict = verdict_report::verdict_of(&devnet, &participants, &outcome, &claim)
        .ok_or_else(|| system("the verdict", "the log has no such claim"))?;
    let entries = devnet.ledger.entries()?;
    write_file(&arguments.verdict, devnet.ledger.genesis(), &entries, &claim, &verdict)?;
    if as_json {
        print::json(&verdict)?;
    } else {
        tell_parties(&verdict);
        tell(&verdict);
        println!("verdict file  {}", arguments.verdict.display());
    }
    Ok(Ending::Done)
}

/// Which claim, of which model, by whom.
pub(crate) fn tell_parties(verdict: &Verdict) {
    println!("claim         {}", verdict.claim);
    println!("model         {}", verdict.model_root);
    println!("executor      {}", verdict.executor);
    if let Some(challenger) = &verdict.challenger {
        println!("challenger    {challenger}");
    }
}

/// A verdict for people.
pub(crate) fn tell(verdict: &Verdict) {
    println!("verdict       {}", sentence(&verdict.verdict, &verdict.reason));
    if let Some(place) = verdict.iteration.filter(|place| place.count > 1) {
        println!("iteration     {} (of {}, counted from 0)", place.index, place.count);
    }
    if let Some(layer) = &verdict.layer {
        println!("layer         {} (of {}, counted from 0)", layer.index, layer.count);
    }
    if let Some(operator) = &verdict.operator {
        println!("operator      {}{}", operator.index, described(operator));
    }
    if let Some(element) = &verdict.element {
        println!("element       {}{}", words::coordinates(element), step(verdict));
    }
    if let (Some(claimed), Some(correct)) = (&verdict.claimed_bits, &verdict.true_bits) {
        println!("claimed value {}", with_value(verdict.element_type.as_deref(), claimed));
        println!("correct       {}", with_value(verdict.element_type.as_deref(), correct));
    }
    println!("demands       {}, answered {}", verdict.rounds, verdict.reveals);
    println!(
        "final proof   {}, {} recomputed",
        words::count(verdict.step_proof_bytes, "byte", "bytes"),
        words::count(verdict.step_multiply_adds, "multiply-add", "multiply-adds")
    );
    println!("transactions  {} about the claim", verdict.transactions);
    match verdict.layer_referee_agrees {
        Some(true) => println!("layer referee agrees"),
        Some(false) => println!("layer referee DISAGREES: report this with the verdict file"),
        None => println!("layer referee not asked"),
    }
    let money = &verdict.money;
    println!(
        "money         executor {}, challenger {}, burned {}",
        print::ether(money.executor_delta_wei),
        print::ether(money.challenger_delta_wei),
        words::ether(money.burned_by_claim_wei)
    );
    if !money.conserved {
        println!("money         NOT CONSERVED: report this with the verdict file");
    }
}

/// What is known of an operator: its kind unless nobody showed it, its node in the file.
fn described(operator: &OperatorPlace) -> String {
    let node = (!operator.name.is_empty())
        .then(|| format!("ONNX node {}", words::printable(&operator.name)));
    let kind = (!operator.kind.is_empty()).then(|| operator.kind.clone());
    let known: Vec<String> = kind.into_iter().chain(node).collect();
    if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) }
}

/// A verdict's reason in words; what is in words already stays as it is.
pub(crate) fn because(reason: &str) -> &str {
    match reason {
        "step" => "a step gives another result",
        "contradiction" => "two of its own statements contradict each other",
        "binding" => "a state is not what its layer computed",
        "carry" => "a value changed while it passed a layer",
        "link" => "an iteration begins with another value than the one before it handed on",
        "entry" => "an iteration begins with another input than the job's entry for it",
        "ends-early" => "the run ends where the model does not end it",
        "goes-on" => "the run goes on where the model ends it",
        "malformed" => "what was opened has not the model's form",
        "silence" => "the executor did not answer in time",
        "nothing-refuted" => "the claim is right where it was attacked",
        "challenger-silent" => "the challenger did not go on",
        "unchallenged" => "nobody challenged it",
        other => other,
    }
}

/// A verdict and its reason in words; both stay as they are in JSON.
pub(crate) fn sentence(verdict: &str, reason: &str) -> String {
    let because = because(reason);
    match verdict {
        "fraud" => format!("fraud: {because}"),
        "upheld" => format!("the claim is upheld: {because}"),
        other => format!("{other}: {because}"),
    }
}

/// Which running sum a verdict is about, where there are several.
fn step(verdict: &Verdict) -> String {
    match (verdict.segment, verdict.segments) {
        (Some(segment), Some(segments)) if segments > 1 && segment < segments => {
            format!(", running sum {segment} (of {segments}, counted from 0)")
        }
        (Some(_), Some(sums)) if sums > 1 => format!(", the sum of its {sums} running sums"),
        _ => String::new(),
    }
}

/// The number that bits are, and the bits.
pub(crate) fn with_value(element_type: Option<&str>, bits: &str) -> String {
    let kind = element_type.and_then(ElementType::named);
    let digits = bits.strip_prefix("0x").filter(|digits| digits.len() <= 16);
    match (kind, digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())) {
        (Some(kind), Some(word)) => format!("{} ({bits})", words::number(kind, word)),
        _ => bits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_operator_is_told_what_is_known() {
        for (kind, name, text) in [
            ("contract", "pool", " (contract, ONNX node pool)"),
            ("", "pool", " (ONNX node pool)"),
            ("contract", "", " (contract)"),
            ("", "", ""),
        ] {
            let operator = OperatorPlace { index: 7, name: name.to_owned(), kind: kind.to_owned() };
            assert_eq!(described(&operator), text);
        }
    }
}
