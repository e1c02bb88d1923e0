//! `rebut receipt`: is this output what the final claim says? By hashes and Merkle proofs only; neither
//! the model nor a run is needed.

use std::collections::BTreeMap;
use std::path::Path;

use ::ledger::Ledger as _;
use ::ledger::words::printable;
use inference::files::read_limited;
use protocol::hash::{Digest, Keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Claim, ClaimStatus, claim_id, shown_binding};
use protocol::transaction::{Address, Binding, BoundEntry, BoundState, ClaimTerms, Statement};
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
/// 3: the first entry of a batch stands in it.
const VERSION: u32 = 3;
/// What is said of any other file.
const NO_RECEIPT: &str = "this file is no receipt; `rebut request MODEL --input FILE --receipt FILE` \
    writes one, for a job that was posted before `rebut request MODEL --job ID --receipt FILE`";

/// What is said under every check: who reads only `yes` takes a claim for a truth.
const NOT_PROVEN: &str = "a receipt proves what was claimed, and with --ledger that the claim is \
    final, not that it is true; running the model tells that: `rebut request MODEL --job ID --verify`";
/// What is said where outputs were compared: names stand in no hash.
const NAMES_NOT_PROVEN: &str = "which output has which name is the word of whoever wrote the receipt; \
    `rebut request MODEL --job ID --out FILE` fetches the outputs under the model's own names";

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
    /// Of a batch, its first entry: the state that the run begins with; otherwise absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
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

/// The first entry of a batch, with its place in the job's input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    root: String,
    path: Vec<String>,
}

impl Entry {
    fn new(entry: &BoundEntry) -> Self {
        let path = entry.path.iter().map(ToString::to_string).collect();
        Self { root: entry.root.to_string(), path }
    }

    fn parse<E>(&self, digest: impl Fn(&str) -> Result<Digest, E>) -> Result<BoundEntry, E> {
        let path = self.path.iter().map(|text| digest(text)).collect::<Result<_, _>>()?;
        Ok(BoundEntry { root: digest(&self.root)?, path })
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
            entry: binding.entry.as_ref().map(Entry::new),
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
        let reason = printable(&error.to_string());
        system(name(), format!("is a damaged receipt: {reason}; {help}"))
    })?;
    let digest = |text: &str| {
        let parsed = protocol::hash::parse_digest(text);
        parsed.ok_or_else(|| system(name(), format!("{} is not 0x and 64 digits", printable(text))))
    };
    let no_salt = |_| system(name(), format!("the salt {} is no number", printable(&receipt.salt)));
    let terms = ClaimTerms {
        job: JobId(digest(&receipt.job)?),
        model_root: digest(&receipt.model_root)?,
        input_root: digest(&receipt.input_root)?,
        output_root: digest(&receipt.output_root)?,
        iterations: receipt.iterations,
        sequence_root: digest(&receipt.sequence_root)?,
        salt: receipt.salt.parse().map_err(no_salt)?,
    };
    let entry = receipt.entry.as_ref().map(|entry| entry.parse(digest)).transpose()?;
    let (input, output) = (receipt.input.parse(digest)?, receipt.output.parse(digest)?);
    let binding = Binding { input, output, entry };
    let parsed = Parsed {
        genesis: digest(&receipt.genesis)?,
        claim: ClaimId(digest(&receipt.claim)?),
        executor: super::ids::address("RECEIPT", &printable(&receipt.executor))?,
        statement: Statement { terms, binding },
    };
    Ok((receipt, parsed))
}

/// What a receipt proves by itself, each with whether it holds.
fn own_checks(parsed: &Parsed, states: u32) -> Vec<(String, bool)> {
    let Parsed { claim, executor, statement, .. } = parsed;
    let mut checks = Vec::new();
    let mut check = |name: &str, holds: bool| checks.push((name.to_owned(), holds));
    check("the claim's id covers its terms", claim_id(*executor, &statement.terms) == *claim);
    // As the ledger checks a claim that is posted.
    let shown = shown_binding::<Keccak>(statement, states);
    match shown.entry {
        None => check("the input is the run's first state", shown.input),
        Some(is_first) => {
            check("the first entry is the first of the job's batch", is_first);
            check("the first entry is the run's first state", shown.input);
        }
    }
    check("the output is the run's last state", shown.output);
    checks
}

/// Whether a file holds the outputs of the claim's last state: all outputs of a run, but of a batch only those
/// of its last entry, of which nobody would guess that they are meant.
fn has_outputs(file: &Path, receipt: &Receipt, parsed: &Parsed) -> Result<bool, CommandError> {
    let Statement { terms, binding } = &parsed.statement;
    if binding.entry.is_some() {
        return Err(CommandError::Iterations {
            what: "the receipt's claim",
            iterations: terms.iterations,
            reason: "it is on a batch, and binds the outputs of the last entry alone; check the \
                     receipt without --outputs",
        });
    }
    let named = receipt.outputs.iter().map(|(name, value)| (name.as_str(), *value));
    Ok(archive::output_root(file, named)? == Some(terms.output_root))
}

/// What this check does not show, in sentences; more where outputs were compared.
fn notes(has_compared: bool) -> Vec<&'static str> {
    if has_compared { vec![NAMES_NOT_PROVEN, NOT_PROVEN] } else { vec![NOT_PROVEN] }
}

pub(crate) fn run(command: &ReceiptCommand, as_json: bool) -> Result<Ending, CommandError> {
    let ReceiptAction::Verify { receipt: file, outputs, ledger } = &command.action;
    let (receipt, parsed) = parse(file)?;
    let mut checks = own_checks(&parsed, receipt.states);
    let mut check = |name: &str, holds: bool| checks.push((name.to_owned(), holds));
    if let Some(file) = outputs {
        check("the outputs are those of the claim", has_outputs(file, &receipt, &parsed)?);
    }
    let Parsed { genesis, claim, statement: Statement { terms, .. }, .. } = parsed;
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
    let notes = notes(outputs.is_some());
    let holds = checks.iter().all(|(_, holds)| *holds);
    if as_json {
        let checks: Vec<_> =
            checks.iter().map(|(name, holds)| json!({ "check": name, "holds": holds })).collect();
        print::json(&json!({
            "holds": holds, "checks": checks, "claim": receipt.claim, "executor": receipt.executor,
            "job": receipt.job, "model_root": receipt.model_root, "input_root": receipt.input_root,
            "output_root": receipt.output_root, "iterations": receipt.iterations,
            "genesis": receipt.genesis, "note": notes.join("; "),
        }))?;
        return Ok(Ending::falls_if(!holds));
    }
    println!("claim       {}", receipt.claim);
    println!("executor    {}", receipt.executor);
    println!("job         {}", receipt.job);
    println!("model root  {}", receipt.model_root);
    println!("input root  {}", receipt.input_root);
    if receipt.iterations > 1 {
        println!("iterations  {}", receipt.iterations);
    }
    for (name, holds) in &checks {
        println!("{} {name}", if *holds { "yes:" } else { "NO, this does not hold:" });
    }
    if outputs.is_none() {
        println!("no outputs were compared: name them with --outputs FILE");
    }
    if ledger.is_none() {
        println!("not asked whether the claim is final: name a --ledger");
    }
    for note in notes {
        println!("{}", print::wrapped(&format!("note: {note}"), 6));
    }
    Ok(Ending::falls_if(!holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::hash::leaf;
    use protocol::roots::{batch_tree, trace_tree};
    use protocol::transaction::RunRoots;

    const STATES: u32 = 2;

    /// What a receipt says of a run of three iterations; of a batch, if it is one.
    fn parsed(is_batch: bool) -> Parsed {
        let states = [b"a", b"b", b"c"].map(|input| [leaf(input), leaf(b"output")]);
        let traces = states.map(|states| trace_tree::<Keccak>(&states).unwrap().root());
        let inputs = states.map(|[input, _]| input);
        let [first_states, _, last_states] = &states;
        let entries = if is_batch { &inputs[..] } else { &[] };
        let roots = RunRoots { traces: &traces, first_states, last_states, entries };
        let (job, model_root) = (JobId(leaf(b"job")), leaf(b"model"));
        let statement = Statement::of_sequence::<Keccak>(job, model_root, roots).unwrap();
        let executor = Address([3; 20]);
        let claim = claim_id(executor, &statement.terms);
        Parsed { genesis: leaf(b"genesis"), claim, executor, statement }
    }

    fn unproven(parsed: &Parsed) -> Vec<String> {
        let checks = own_checks(parsed, STATES).into_iter();
        checks.filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_receipt_of_a_batch_proves_its_first_entry_and_one_of_a_sequence_needs_none() {
        let first_state = "the input is the run's first state";
        let (of_batch, begins) = (
            "the first entry is the first of the job's batch",
            "the first entry is the run's first state",
        );
        assert_eq!(unproven(&parsed(false)), Vec::<String>::new());
        let batch = parsed(true);
        assert_eq!(unproven(&batch), Vec::<String>::new());
        let names: Vec<String> = own_checks(&batch, STATES).into_iter().map(|one| one.0).collect();
        assert!(names.iter().any(|name| name == of_batch), "{names:?}");
        // Left out, the job's input is no state of the run.
        let mut bare = parsed(true);
        bare.statement.binding.entry = None;
        assert_eq!(unproven(&bare), [first_state]);
        // Another entry of the same batch is not where the run begins.
        let mut other = parsed(true);
        let inputs = [leaf(b"a"), leaf(b"b"), leaf(b"c")];
        let path = batch_tree::<Keccak>(&inputs).unwrap().path(1).unwrap();
        other.statement.binding.entry = Some(BoundEntry { root: leaf(b"b"), path });
        assert_eq!(unproven(&other), [of_batch, begins]);
        // A path that shows nothing.
        let mut false_path = parsed(true);
        let entry = false_path.statement.binding.entry.as_mut().unwrap();
        entry.path.pop();
        assert_eq!(unproven(&false_path), [of_batch]);
    }

    #[test]
    fn whose_word_the_names_are_is_said_where_outputs_are_compared() {
        assert_eq!(notes(true), [NAMES_NOT_PROVEN, NOT_PROVEN]);
        assert_eq!(notes(false), [NOT_PROVEN]);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = parsed(true).statement.binding.entry.unwrap();
        let text = serde_json::to_string(&Entry::new(&entry)).unwrap();
        let read: Entry = serde_json::from_str(&text).unwrap();
        let digest = |text: &str| protocol::hash::parse_digest(text).ok_or(());
        assert_eq!(read.parse(digest), Ok(entry));
    }
}
