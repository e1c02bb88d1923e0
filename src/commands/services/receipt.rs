//! `rebut receipt`: is this output what the final claim says? By hashes and Merkle proofs only; neither
//! the model nor a run is needed.

use std::collections::BTreeMap;
use std::path::Path;

use ::ledger::Ledger as _;
use inference::files::read_limited;
use protocol::hash::{Digest, Keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::roots::{is_state_of_trace, is_trace_of_sequence};
use protocol::settlement::{Claim, ClaimStatus, claim_id};
use protocol::transaction::{Address, Binding, BoundState, ClaimTerms, Statement};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::arguments::{ReceiptAction, ReceiptCommand};
use crate::ending::Ending;
use crate::error::{CommandError, system};
use crate::{archive, print};

/// Most bytes of a receipt.
const RECEIPT_BYTES_MAX: u64 = 1 << 20;
/// What the field `format` of a receipt says.
const FORMAT: &str = "rebut-receipt";
const VERSION: u32 = 2;
/// What is said of any other file.
const NO_RECEIPT: &str = "this file is no receipt; `rebut request MODEL --input FILE --receipt FILE` \
    writes one, for a job that was posted before `rebut request MODEL --job ID --receipt FILE`";

/// What is said under every check: who reads only `yes` takes a claim for a truth.
const NOT_PROVEN: &str = "a receipt proves what was claimed, and with --ledger that the claim is \
    final, not that it is true; running the model tells that: `rebut request MODEL --job ID --verify`";

/// What a client keeps of a final claim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    format: String,
    version: u32,
    /// Hash of the ledger's genesis.
    genesis: String,
    claim: String,
    executor: String,
    job: String,
    model_root: String,
    input_root: String,
    output_root: String,
    iterations: u32,
    sequence_root: String,
    /// What tells claims of one executor apart that are equal otherwise; a text, for JSON's numbers do not
    /// hold it.
    salt: String,
    /// States of each trace.
    states: u32,
    input: Bound,
    output: Bound,
    /// Numbers of the values that the output state is made of, by the outputs' names.
    outputs: BTreeMap<String, u32>,
}

/// A state's place in the claim's sequence, with the paths that show it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    trace_root: String,
    sequence_path: Vec<String>,
    state_path: Vec<String>,
}

impl Bound {
    fn new(bound: &BoundState) -> Self {
        let texts = |path: &[Digest]| path.iter().map(ToString::to_string).collect();
        Self {
            trace_root: bound.trace_root.to_string(),
            sequence_path: texts(&bound.sequence_path),
            state_path: texts(&bound.state_path),
        }
    }

    fn parse<E>(&self, digest: impl Fn(&str) -> Result<Digest, E>) -> Result<BoundState, E> {
        let path = |texts: &[String]| -> Result<Vec<Digest>, E> {
            texts.iter().map(|text| digest(text)).collect()
        };
        Ok(BoundState {
            trace_root: digest(&self.trace_root)?,
            sequence_path: path(&self.sequence_path)?,
            state_path: path(&self.state_path)?,
        })
    }
}

impl Receipt {
    /// The receipt of a claim that `model` made, as its executor posted it.
    pub(crate) fn new(
        genesis: Digest,
        (id, executor): (&ClaimId, &Address),
        statement: &Statement,
        model: &inference::Model,
    ) -> Self {
        let Statement { terms, binding } = statement;
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            genesis: genesis.to_string(),
            claim: id.to_string(),
            executor: executor.to_string(),
            job: terms.job.to_string(),
            model_root: terms.model_root.to_string(),
            input_root: terms.input_root.to_string(),
            output_root: terms.output_root.to_string(),
            iterations: terms.iterations,
            sequence_root: terms.sequence_root.to_string(),
            salt: terms.salt.to_string(),
            states: model.header().state_count(),
            input: Bound::new(&binding.input),
            output: Bound::new(&binding.output),
            outputs: model.outputs().iter().cloned().collect(),
        }
    }
}

/// What every version of a receipt says of itself.
#[derive(Debug, Deserialize)]
struct About {
    format: String,
    #[serde(default)]
    version: u32,
}

struct Parsed {
    genesis: Digest,
    claim: ClaimId,
    executor: Address,
    statement: Statement,
}

fn parse(file: &Path) -> Result<(Receipt, Parsed), CommandError> {
    let name = || file.display().to_string();
    if std::fs::metadata(file).is_ok_and(|about| about.len() > RECEIPT_BYTES_MAX) {
        return Err(system(name(), NO_RECEIPT));
    }
    let bytes = read_limited(file, RECEIPT_BYTES_MAX)?;
    // Whatever somebody named by mistake is told apart from a receipt that is damaged.
    let about: Option<About> = serde_json::from_slice(&bytes).ok();
    let about = about.filter(|about| about.format == FORMAT);
    let version = about.ok_or_else(|| system(name(), NO_RECEIPT))?.version;
    if version != VERSION {
        let reason = format!(
            "is a receipt of version {version}, and this program reads version {VERSION}; use the \
             program that wrote it"
        );
        return Err(system(name(), reason));
    }
    let receipt: Receipt = serde_json::from_slice(&bytes).map_err(|error| {
        let help = "fetch it again with `rebut request MODEL --job ID --receipt FILE`";
        system(name(), format!("is a damaged receipt: {error}; {help}"))
    })?;
    let digest = |text: &str| {
        let parsed = protocol::hash::parse_digest(text);
        parsed.ok_or_else(|| system(name(), format!("{text} is not 0x and 64 digits")))
    };
    let no_salt = |_| system(name(), format!("the salt {} is no number", receipt.salt));
    let terms = ClaimTerms {
        job: JobId(digest(&receipt.job)?),
        model_root: digest(&receipt.model_root)?,
        input_root: digest(&receipt.input_root)?,
        output_root: digest(&receipt.output_root)?,
        iterations: receipt.iterations,
        sequence_root: digest(&receipt.sequence_root)?,
        salt: receipt.salt.parse().map_err(no_salt)?,
    };
    let binding =
        Binding { input: receipt.input.parse(digest)?, output: receipt.output.parse(digest)? };
    let parsed = Parsed {
        genesis: digest(&receipt.genesis)?,
        claim: ClaimId(digest(&receipt.claim)?),
        executor: super::ids::address("RECEIPT", &receipt.executor)?,
        statement: Statement { terms, binding },
    };
    Ok((receipt, parsed))
}

pub(crate) fn run(command: &ReceiptCommand, as_json: bool) -> Result<Ending, CommandError> {
    let ReceiptAction::Verify { receipt: file, outputs, ledger } = &command.action;
    let (receipt, parsed) = parse(file)?;
    let Parsed { genesis, claim, executor, statement: Statement { terms, binding } } = parsed;
    let mut checks = Vec::new();
    let mut check = |name: &str, holds: bool| checks.push((name.to_owned(), holds));
    let is_bound = |iteration: u32, boundary: u32, root: &Digest, bound: &BoundState| {
        let BoundState { trace_root, sequence_path, state_path } = bound;
        let (sequence, count) = (&terms.sequence_root, terms.iterations);
        is_trace_of_sequence::<Keccak>(sequence, count, iteration, trace_root, sequence_path)
            && is_state_of_trace::<Keccak>(trace_root, receipt.states, boundary, root, state_path)
    };
    check("the claim's id covers its terms", claim_id(executor, &terms) == claim);
    check("the input is the run's first state", is_bound(0, 0, &terms.input_root, &binding.input));
    let last = (terms.iterations.saturating_sub(1), receipt.states.saturating_sub(1));
    let is_last = is_bound(last.0, last.1, &terms.output_root, &binding.output);
    check("the output is the run's last state", is_last);
    if let Some(file) = outputs {
        let named = receipt.outputs.iter().map(|(name, value)| (name.as_str(), *value));
        let root = archive::output_root(file, named)?;
        check("the outputs are those of the claim", root == Some(terms.output_root));
    }
    if let Some(url) = ledger {
        super::process::runtime()?.block_on(async {
            let ledger = ::ledger::http::HttpLedger::connect(url, Some(genesis)).await?;
            let view = ledger.view().await?;
            let found = view.settlement.claim(&claim);
            let job = view.settlement.job(&terms.job);
            check("the ledger has this claim", found.is_some_and(|found| found.terms == terms));
            let is_final = |found: &Claim| matches!(found.status, ClaimStatus::Final { .. });
            check("the claim is final", found.is_some_and(is_final));
            let asked = job.is_some_and(|job| {
                job.terms.input_root == terms.input_root && job.terms.model_root == terms.model_root
            });
            check("the job is of this model and input", asked);
            Ok::<_, CommandError>(())
        })?;
    }
    let holds = checks.iter().all(|(_, holds)| *holds);
    if as_json {
        let checks: Vec<_> =
            checks.iter().map(|(name, holds)| json!({ "check": name, "holds": holds })).collect();
        print::json(&json!({
            "holds": holds, "checks": checks, "claim": receipt.claim, "executor": receipt.executor,
            "job": receipt.job, "model_root": receipt.model_root, "input_root": receipt.input_root,
            "output_root": receipt.output_root, "genesis": receipt.genesis, "note": NOT_PROVEN,
        }))?;
        return Ok(Ending::falls_if(!holds));
    }
    println!("claim       {}", receipt.claim);
    println!("executor    {}", receipt.executor);
    println!("job         {}", receipt.job);
    println!("model root  {}", receipt.model_root);
    println!("input root  {}", receipt.input_root);
    for (name, holds) in &checks {
        println!("{} {name}", if *holds { "yes:" } else { "NO, this does not hold:" });
    }
    if outputs.is_none() {
        println!("no outputs were compared: name them with --outputs FILE");
    }
    if ledger.is_none() {
        println!("not asked whether the claim is final: name a --ledger");
    }
    println!("{}", print::wrapped(&format!("note: {NOT_PROVEN}"), 6));
    Ok(Ending::falls_if(!holds))
}
