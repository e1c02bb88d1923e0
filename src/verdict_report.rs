//! A finished play as a verdict, with the layer referee's word and the model's names.

use dispute::verdict::{Verdict, derive};
use dispute::{Devnet, Outcome, Participants};
use inference::Runner;
use inference::referee::judge_layer;
use protocol::asks::Tree;
use protocol::ids::ClaimId;

/// The verdict on a claim of a play; `None` when the ledger has no such claim.
pub(crate) fn verdict_of(
    devnet: &Devnet,
    participants: &Participants,
    outcome: &Outcome,
    claim: &ClaimId,
) -> Option<Verdict> {
    let mut verdict = derive(devnet.ledger.genesis(), &devnet.ledger.entries().ok()?, claim)?;
    if let Some(operator) = &mut verdict.operator {
        operator.name = participants.model.operator_name(operator.index).to_owned();
    }
    verdict.layer_referee_agrees = layer_referee_agrees(participants, outcome, &verdict);
    Some(verdict)
}

/// Re-runs the disputed layer (all of them for an upheld claim) and compares the two referees. The layer referee
/// judges runs of one iteration; of others it is not asked.
fn layer_referee_agrees(
    participants: &Participants,
    outcome: &Outcome,
    verdict: &Verdict,
) -> Option<bool> {
    let known = outcome.known.as_ref()?;
    if known.terms().iterations != 1 {
        return None;
    }
    let honest = Runner::honest(&participants.engine, &participants.model)
        .outcome(participants.input_state().ok()?)
        .ok()?;
    if verdict.verdict == "upheld" {
        let root = honest.root();
        return Some(root.is_some() && known.root(&Tree::Trace { iteration: 0 }) == root);
    }
    let layer = verdict.layer.as_ref()?.index;
    let finding =
        judge_layer(&participants.engine, &participants.model, known, layer, honest.state(layer)?);
    match finding {
        Ok(finding) => Some(finding.is_fraud() == (verdict.verdict == "fraud")),
        // The state after the layer was never opened: only the step referee can say.
        Err(_) => None,
    }
}
