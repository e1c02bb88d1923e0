//! `rebut verify`: checks a claim's folder by running the model.

use std::path::Path;
use std::sync::Arc;

use challenger::{Announcement, Divergence, HonestView};
use dispute::claim_file::ClaimFile;
use dispute::offline::{self, OfflineEnd};
use dispute::verdict::{LayerPlace, OperatorPlace};
use executor::Defender;
use inference::{Honest, Model, NoResult, Outcome, Run, Runner, Trace};
use protocol::asks::{Ask, Evidence, Finding};
use protocol::hash::Digest;
use protocol::ids::JobId;
use protocol::knowledge::Knowledge;
use protocol::settlement::Parameters;
use protocol::transaction::RunLength;
use serde::Serialize;

use self::bound::bound;
use super::dispute::{because, with_value};
use crate::arguments::Verify;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::{archive, load, print};

mod bound;
mod layers;

#[derive(Debug, Serialize)]
struct VerifyReport {
    verdict: &'static str,
    reason: String,
    layer: Option<LayerPlace>,
    operator: Option<OperatorPlace>,
    element: Option<Vec<u64>>,
    claimed_bits: Option<String>,
    true_bits: Option<String>,
    /// What the bits are, where they are an element's.
    element_type: Option<&'static str>,
    /// Whether the folder's outputs.npz is what the claim commits to; absent where there is none.
    outputs_fit: Option<bool>,
}

impl VerifyReport {
    fn new(verdict: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            verdict,
            reason,
            layer: None,
            operator: None,
            element: None,
            claimed_bits: None,
            true_bits: None,
            element_type: None,
            outputs_fit: None,
        }
    }

    /// The operator and the element where the runs part, with both values of the element.
    fn place(
        &mut self,
        model: &Model,
        honest_view: &HonestView,
        known: &Knowledge,
        found: &Divergence,
    ) {
        self.operator = found.operator.and_then(|index| {
            let kind = model.node(index)?.operator.kind().to_owned();
            let name = model.operator_name(index).to_owned();
            Some(OperatorPlace { index, name, kind })
        });
        if let (Some(operator), Some(element)) = (found.operator, found.element) {
            // Both values of the element itself; the step may be about one of its running sums.
            let node = model.node(operator);
            self.element = node.map(|node| node.output.shape.unravel(element));
            self.element_type = node.map(|node| node.output.element.name());
            let claimed = known.claimed_element(0, operator, element);
            self.claimed_bits = claimed.map(|bits| format!("0x{bits:08x}"));
            let own = honest_view.own_element(operator, element);
            self.true_bits = own.map(|bits| format!("0x{bits:08x}"));
        }
    }
}

pub(crate) fn run(arguments: &Verify, as_json: bool) -> Result<Ending, CommandError> {
    if arguments.layers.is_some() || arguments.sample.is_some() {
        return layers::run(arguments, as_json);
    }
    let (model, import) = (arguments.model.as_deref(), &arguments.import);
    let folder = load::folder(&arguments.folder, model, import, &arguments.engine)?;
    let outputs_fit = outputs_fit(&arguments.folder, &folder.claim, &folder.model)?;
    let mut report = check_claim(folder)?;
    report.outputs_fit = outputs_fit;
    // A right claim beside other outputs: who reads the file reads something else.
    let falls = report.verdict == "falls" || outputs_fit == Some(false);
    if as_json {
        print::json(&report)?;
    } else {
        tell(&report);
    }
    Ok(Ending::falls_if(falls))
}

/// Whether the folder's outputs are those that the claim commits to; `None` where there are none.
fn outputs_fit(
    folder: &Path,
    claim: &ClaimFile,
    model: &Model,
) -> Result<Option<bool>, CommandError> {
    let file = folder.join("outputs.npz");
    if !file.exists() {
        return Ok(None);
    }
    let named = model.outputs().iter().map(|(name, value)| (name.as_str(), *value));
    let root = archive::output_root(&file, named)?;
    Ok(Some(root == Some(claim.output_root)))
}

/// The file may be anybody's: it says nothing about the claim.
fn other_input(claim: &ClaimFile, own: &Outcome) -> CommandError {
    let found = own.state_roots().first().copied().unwrap_or_default();
    CommandError::Argument {
        argument: "FOLDER",
        reason: format!(
            "inputs.npz is not the claim's input: its root is {found}, and the claim's is {}; nothing \
             can be told of the claim without its own input",
            claim.input_root
        ),
    }
}

fn check_claim(folder: load::Folder) -> Result<VerifyReport, CommandError> {
    let claim = &folder.claim;
    if let Err(reason) = bound(claim, &folder.model) {
        return Ok(VerifyReport::new("falls", reason));
    }
    if folder.honest.state_roots().first() != Some(&claim.input_root) {
        return Err(other_input(claim, &folder.honest));
    }
    let count = folder.model.header().layer_count;
    let honest = match &folder.honest {
        Outcome::Whole(honest) => honest.clone(),
        Outcome::Partial(honest) => {
            return Ok(without_result(&folder.model, honest.no_result(), count));
        }
    };
    if honest.root() == claim.trace_root {
        return Ok(VerifyReport::new("stands", "the trace is that of this machine's own run"));
    }
    let Some(compute_policy) = &folder.compute_policy else {
        return Ok(from_states(claim, &honest, count));
    };
    let arity_log2 = Parameters::default().arity_log2;
    let statement = claim.statement(JobId::default());
    // The claim of a folder is of one iteration, and its job asks for no other.
    let (header, length) = (folder.model.header().clone(), RunLength::exactly(1));
    let mut known = Knowledge::new(header, length, arity_log2, &statement);
    let runner = Runner {
        engine: &folder.engine,
        model: &folder.model,
        compute_policy: compute_policy.as_ref(),
    };
    let theirs = runner.run(runner.input_state(&folder.inputs)?)?;
    let theirs = Run::new(
        folder.engine.clone(),
        Arc::clone(&folder.model),
        Arc::clone(compute_policy),
        theirs,
    );
    let defender = Defender::of_run(Arc::new(theirs), arity_log2);
    let published = Announcement::of_roots(claim.state_roots.clone());
    let honestly = Arc::new(Honest);
    let (engine, model) = (folder.engine.clone(), Arc::clone(&folder.model));
    let honest_view = HonestView::new(engine, model, honestly, folder.honest, published);
    let mut found = Divergence::default();
    let end = offline::decide(&honest_view, &mut known, &defender, &mut found)?;
    let mut report = match end {
        OfflineEnd::Agrees => return Ok(VerifyReport::new("stands", "nothing differs")),
        OfflineEnd::Silent(ask) => VerifyReport::new("falls", silence(&ask)),
        OfflineEnd::Judged(Finding::Sound) => {
            return Err(CommandError::Argument {
                argument: "FOLDER",
                reason: "the trace differs and the referee finds no fault; this machine's engine \
                         is wrong: run `rebut preflight`"
                    .to_owned(),
            });
        }
        OfflineEnd::Judged(Finding::Fraud(evidence)) => from_evidence(&evidence),
    };
    report.layer = found.layer.map(|index| LayerPlace { index, count });
    report.place(&folder.model, &honest_view, &known, &found);
    Ok(report)
}

/// Where no run has a result, no claim is true.
fn without_result(model: &Model, no_result: &NoResult, count: u32) -> VerifyReport {
    let mut report = VerifyReport::new("falls", no_result.to_string());
    report.layer = Some(LayerPlace { index: no_result.layer, count });
    let (name, kind) = (no_result.name.clone(), no_result.kind.to_owned());
    report.operator = Some(OperatorPlace { index: no_result.operator, name, kind });
    let node = model.node(no_result.operator);
    report.element = node.map(|node| node.output.shape.unravel(no_result.element));
    report.element_type = node.map(|node| node.output.element.name());
    report
}

/// What the states of a claim say where only they are available: where, not what inside the layer.
fn from_states(claim: &ClaimFile, own: &Trace, count: u32) -> VerifyReport {
    let pairs = claim.state_roots.iter().zip(own.state_roots());
    let boundary = pairs.clone().position(|(claimed, own)| claimed != own);
    let mut report = VerifyReport::new(
        "falls",
        "a state differs; the operator is not known without the executor's data",
    );
    let layer = boundary.and_then(|boundary| boundary.checked_sub(1));
    report.layer = layer.map(|index| LayerPlace { index: index as u32, count });
    let roots = boundary.and_then(|boundary| pairs.clone().nth(boundary));
    report.claimed_bits = roots.map(|(claimed, _)| claimed.to_string());
    report.true_bits = roots.map(|(_, own)| own.to_string());
    report
}

fn silence(ask: &Ask) -> String {
    format!("silence: the executor's data do not hold the {}", ledger::words::ask(ask))
}

/// A claim that says one root where another must be.
fn parted(reason: &str, claimed: &Digest, expected: &Digest) -> VerifyReport {
    let mut report = VerifyReport::new("falls", reason);
    report.claimed_bits = Some(claimed.to_string());
    report.true_bits = Some(expected.to_string());
    report
}

fn from_evidence(evidence: &Evidence) -> VerifyReport {
    match evidence {
        Evidence::Step { .. } => VerifyReport::new("falls", "step"),
        Evidence::Contradiction { claimed, expected, .. } => {
            parted("contradiction", claimed, expected)
        }
        Evidence::Link { claimed, expected, .. } => parted("link", claimed, expected),
        Evidence::Entry { claimed, expected, .. } => parted("entry", claimed, expected),
        Evidence::Stop { is_last: true, .. } => VerifyReport::new("falls", "ends-early"),
        Evidence::Stop { is_last: false, .. } => VerifyReport::new("falls", "goes-on"),
        Evidence::StateValue { claimed, expected, .. } => VerifyReport::new(
            "falls",
            format!("malformed: value {claimed} stands where {expected} must"),
        ),
        Evidence::Leaf { operator, leaf, .. } => {
            VerifyReport::new("falls", format!("malformed: leaf {leaf} of operator {operator}"))
        }
    }
}

fn tell(report: &VerifyReport) {
    match report.outputs_fit {
        Some(true) => {}
        Some(false) => println!("outputs.npz is NOT what the claim commits to: do not use it"),
        None => println!("outputs.npz is not there: the outputs were not compared"),
    }
    let verdict = if report.verdict == "falls" { "is false" } else { report.verdict };
    println!("the claim {verdict}: {}", because(&report.reason));
    if let Some(layer) = &report.layer {
        println!("layer     {} of {}", layer.index, layer.count);
    }
    if let Some(operator) = &report.operator {
        println!("operator  {} ({}, ONNX node {})", operator.index, operator.kind, operator.name);
    }
    if let Some(element) = &report.element {
        println!("element   {}", ledger::words::coordinates(element));
    }
    if let (Some(claimed), Some(expected)) = (&report.claimed_bits, &report.true_bits) {
        let kind = report.element_type;
        println!(
            "claimed   {}\ncorrect   {}",
            with_value(kind, claimed),
            with_value(kind, expected)
        );
    }
}
