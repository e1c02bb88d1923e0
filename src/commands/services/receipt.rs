//! `rebut receipt`: is this output what the final claim says? By hashes and Merkle proofs only; neither
//! the model nor a run is needed.

use std::collections::BTreeMap;
use std::path::Path;

use ::ledger::Ledger as _;
use inference::files::read_limited;
use protocol::hash::{Digest, Keccak, Tag, leaf};
use protocol::ids::{ClaimId, JobId};
use protocol::merkle::verify_list;
use protocol::settlement::{Claim, ClaimStatus, claim_id};
use protocol::transaction::{Address, ClaimTerms};
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
const VERSION: u32 = 1;
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
    /// The executor's nonce when it claimed: part of the claim's id.
    nonce: u64,
    job: String,
    model_root: String,
    input_root: String,
    output_root: String,
    trace_root: String,
    /// States of the trace.
    states: u32,
    input_path: Vec<String>,
    output_path: Vec<String>,
    /// Numbers of the values that the output state is made of, by the outputs' names.
    outputs: BTreeMap<String, u32>,
}

impl Receipt {
    /// The receipt of a claim that `model` made.
    pub(crate) fn new(
        genesis: Digest,
        (id, claim, nonce): (&ClaimId, &Claim, u64),
        model: &inference::Model,
        input_root: &Digest,
    ) -> Self {
        let terms = &claim.terms;
        let texts = |path: &[Digest]| path.iter().map(ToString::to_string).collect();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            genesis: genesis.to_string(),
            claim: id.to_string(),
            executor: claim.executor.to_string(),
            nonce,
            job: terms.job.to_string(),
            model_root: model.root().to_string(),
            input_root: input_root.to_string(),
            output_root: terms.output_root.to_string(),
            trace_root: terms.trace_root.to_string(),
            states: model.header().state_count(),
            input_path: texts(&terms.input_path),
            output_path: texts(&terms.output_path),
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
    input_root: Digest,
    terms: ClaimTerms,
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
    let path = |texts: &[String]| texts.iter().map(|text| digest(text)).collect::<Result<_, _>>();
    let terms = ClaimTerms {
        job: JobId(digest(&receipt.job)?),
        output_root: digest(&receipt.output_root)?,
        trace_root: digest(&receipt.trace_root)?,
        input_path: path(&receipt.input_path)?,
        output_path: path(&receipt.output_path)?,
    };
    let parsed = Parsed {
        genesis: digest(&receipt.genesis)?,
        claim: ClaimId(digest(&receipt.claim)?),
        executor: super::ids::address("RECEIPT", &receipt.executor)?,
        input_root: digest(&receipt.input_root)?,
        terms,
    };
    Ok((receipt, parsed))
}

pub(crate) fn run(command: &ReceiptCommand, as_json: bool) -> Result<Ending, CommandError> {
    let ReceiptAction::Verify { receipt: file, outputs, ledger } = &command.action;
    let (receipt, parsed) = parse(file)?;
    let Parsed { genesis, claim, executor, input_root, terms } = parsed;
    let mut checks = Vec::new();
    let mut check = |name: &str, holds: bool| checks.push((name.to_owned(), holds));
    let bound = |index: u32, root: &Digest, path: &[Digest]| {
        let (trace, count) = (&terms.trace_root, receipt.states);
        verify_list::<Keccak>(Tag::Trace, trace, count, index, leaf(&root.0), path)
    };
    check("the claim's id covers its terms", claim_id(executor, receipt.nonce, &terms) == claim);
    check("the input is the trace's first state", bound(0, &input_root, &terms.input_path));
    let last = receipt.states.saturating_sub(1);
    let is_last = bound(last, &terms.output_root, &terms.output_path);
    check("the output is the trace's last state", is_last);
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
                job.terms.input_root == input_root
                    && job.terms.model_root.to_string() == receipt.model_root
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
