//! The verdict as it follows from a log alone.

use protocol::asks::{Ask, Evidence, Refutation, Tree};
use protocol::ids::ClaimId;
use protocol::knowledge::Knowledge;
use protocol::law;
use protocol::settlement::{
    Challenge, ChallengeStatus, Claim, ClaimStatus, FallReason, Genesis, Settlement,
};
use protocol::transaction::Action;

use super::moved::{Before, Moved};
use super::{IterationPlace, LayerPlace, MoneyReport, OperatorPlace, Verdict};
use ledger::LogEntry;

fn bits_text(words: &[u64]) -> String {
    let word = |word: &u64| match u32::try_from(*word) {
        Ok(narrow) => format!("0x{narrow:08x}"),
        Err(_) => format!("0x{word:016x}"),
    };
    words.iter().map(word).collect::<Vec<_>>().join(",")
}

/// The first words that differ, where a state has many.
fn first_difference(claimed: &[u64], expected: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let at = claimed.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(0);
    let pick = |words: &[u64]| words.get(at).copied().into_iter().collect();
    (pick(claimed), pick(expected))
}

/// A log at its end, and what it said about one claim on the way.
struct Told {
    settlement: Settlement,
    moved: Moved,
    /// The last refutation of the claim while it stood, with the bytes of its action.
    refutation: Option<(Refutation, u64)>,
    /// What was known of the claim when it ended, or is if it stands: of a claim that is over a ledger keeps little.
    known: Option<Knowledge>,
}

impl Told {
    /// Applies a log; `None` when the protocol does not accept it.
    fn of(genesis: &Genesis, entries: &[LogEntry], claim_id: &ClaimId) -> Option<Self> {
        let mut settlement = Settlement::new(genesis.clone()).ok()?;
        let (mut moved, mut refutation, mut known) = (Moved::default(), None, None);
        for entry in entries {
            let transaction = entry.decode().ok()?;
            let was_standing = settlement.claim(claim_id).is_some_and(Claim::stands);
            let before = Before::of(&settlement, claim_id, transaction.sender);
            // A copy costs next to nothing; that it was the last is known once the claim has ended.
            let known_before = known_now(&settlement, claim_id).cloned();
            settlement.apply(entry.at_ms, &transaction).ok()?;
            moved.see(before, &settlement, claim_id);
            // The last refutation of this claim: what was settled afterwards does not hide that there was one.
            let action = transaction.decode_action().ok()?;
            if let Some(mut last) = known_before
                && known_now(&settlement, claim_id).is_none()
            {
                if let Action::Refute { showings, .. } = &action {
                    last.learn_showings(showings);
                }
                known = Some(last);
            }
            if let Action::Refute { claim, refutation: said, .. } = action
                && was_standing
                && claim == *claim_id
            {
                refutation = Some((said, transaction.action.len() as u64));
            }
        }
        let known = known.or_else(|| known_now(&settlement, claim_id).cloned());
        Some(Self { settlement, moved, refutation, known })
    }
}

/// What is known of a claim that stands.
fn known_now<'a>(settlement: &'a Settlement, claim: &ClaimId) -> Option<&'a Knowledge> {
    settlement.claim(claim)?.knowledge.run()
}

/// What was known of a claim when it ended, or is if it stands, by a log. `None` when the log has no such claim.
pub fn known(genesis: &Genesis, entries: &[LogEntry], claim: &ClaimId) -> Option<Knowledge> {
    Told::of(genesis, entries, claim)?.known
}

/// Derives the verdict on a claim from a log. `None` when the log has no such claim.
pub fn derive(genesis: &Genesis, entries: &[LogEntry], claim_id: &ClaimId) -> Option<Verdict> {
    let told = Told::of(genesis, entries, claim_id)?;
    let claim = told.settlement.claim(claim_id)?;
    let settlement = &told.settlement;
    let challenges: Vec<&Challenge> =
        settlement.challenges_of(claim_id).filter_map(|id| settlement.challenge(id)).collect();
    let mut verdict = undecided(&told, claim_id, claim, &challenges);
    let places = Places { known: told.known.as_ref()? };
    let refutation = told.refutation.as_ref();
    match &claim.status {
        ClaimStatus::Fallen { reason: FallReason::Silence(ask), .. } => {
            places.silence(&mut verdict, ask);
        }
        ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => {
            verdict.verdict = "fraud".to_owned();
            verdict.step_proof_bytes = refutation.map_or(0, |(_, bytes)| *bytes);
            places.evidence(&mut verdict, evidence, refutation.map(|(refutation, _)| refutation));
        }
        ClaimStatus::Standing | ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => {
            let lost = |challenge: &&Challenge| challenge.status == ChallengeStatus::Lost;
            let over = claim.status != ClaimStatus::Standing;
            if over || (!challenges.is_empty() && challenges.iter().all(lost)) {
                verdict.verdict = "upheld".to_owned();
            }
            verdict.reason = match refutation {
                _ if challenges.is_empty() => "unchallenged",
                Some(_) => "nothing-refuted",
                None => "challenger-silent",
            }
            .to_owned();
            if let Some((refutation, bytes)) = refutation {
                places.nothing_refuted(&mut verdict, refutation, *bytes);
            }
        }
    }
    Some(verdict)
}

/// What is known of a claim whatever became of it; its verdict is open.
fn undecided(told: &Told, claim_id: &ClaimId, claim: &Claim, challenges: &[&Challenge]) -> Verdict {
    let Told { settlement, moved, .. } = told;
    let challenger = challenges.first().map(|challenge| challenge.challenger);
    let job = settlement.job(&claim.terms.job);
    let money = settlement.money();
    Verdict {
        claim: claim_id.to_string(),
        model_root: job.map(|job| job.terms.model_root.to_string()).unwrap_or_default(),
        executor: claim.executor.to_string(),
        challenger: challenger.map(|account| account.to_string()),
        verdict: "open".to_owned(),
        reason: String::new(),
        iteration: None,
        layer: None,
        operator: None,
        element: None,
        element_type: None,
        segment: None,
        segments: None,
        element_bits: None,
        claimed_bits: None,
        true_bits: None,
        rounds: challenges.iter().map(|challenge| challenge.demands).sum(),
        reveals: claim.reveals,
        transactions: moved.transactions,
        step_proof_bytes: 0,
        step_multiply_adds: 0,
        layer_referee_agrees: None,
        money: MoneyReport {
            deposited_wei: money.deposited_wei(),
            free_wei: money.free_total_wei(),
            locked_wei: money.locked_wei(),
            burned_wei: money.burned_wei(),
            burned_by_claim_wei: moved.burned_wei,
            conserved: money.is_conserved(),
            executor_delta_wei: moved.of(&claim.executor),
            challenger_delta_wei: challenger.map_or(0, |account| moved.of(&account)),
        },
    }
}

/// Where in the model things are, as far as is known of the claim.
struct Places<'a> {
    known: &'a Knowledge,
}

impl Places<'_> {
    fn iteration(&self, index: u32) -> Option<IterationPlace> {
        Some(IterationPlace { index, count: self.known.terms().iterations })
    }

    fn layer(&self, index: u32) -> LayerPlace {
        LayerPlace { index, count: self.known.header().layer_count }
    }

    /// The layer of an operator that was shown.
    fn layer_of(&self, operator: u32) -> Option<LayerPlace> {
        self.known.layer_of(operator).map(|(index, _)| self.layer(index))
    }

    /// An operator that was shown.
    fn shown_operator(&self, index: u32) -> Option<OperatorPlace> {
        self.known.operator(index).map(|_| self.operator(index))
    }

    /// An operator, of no known kind when it was not shown.
    fn operator(&self, index: u32) -> OperatorPlace {
        let node = self.known.operator(index);
        let kind = node.map_or(String::new(), |node| node.operator.kind().to_owned());
        OperatorPlace { index, name: String::new(), kind }
    }

    /// A claim fell because nobody answered this.
    fn silence(&self, verdict: &mut Verdict, ask: &Ask) {
        verdict.verdict = "fraud".to_owned();
        verdict.reason = "silence".to_owned();
        let tree = ask.tree();
        verdict.iteration = match tree {
            Tree::Sequence {} => None,
            _ => self.iteration(tree.iteration()),
        };
        match *tree {
            Tree::Tensor { operator, .. } | Tree::Accumulators { operator, .. } => {
                verdict.operator = self.shown_operator(operator);
                verdict.layer = self.layer_of(operator);
            }
            Tree::Subtrace { layer, .. } => verdict.layer = Some(self.layer(layer)),
            Tree::State { boundary, .. } => {
                verdict.layer = boundary.checked_sub(1).map(|index| self.layer(index));
            }
            Tree::Sequence {} | Tree::Trace { .. } | Tree::Input { .. } | Tree::Output { .. } => {}
        }
    }

    /// A claim stands although this was said against it.
    fn nothing_refuted(&self, verdict: &mut Verdict, refutation: &Refutation, bytes: u64) {
        verdict.iteration = self.iteration(iteration_of(refutation));
        let Refutation::Step { iteration, operator, element, segment, .. } = refutation else {
            return;
        };
        verdict.step_proof_bytes = bytes;
        verdict.layer = self.layer_of(*operator);
        verdict.operator = self.shown_operator(*operator);
        verdict.segment = Some(*segment);
        self.place_element(verdict, *iteration, *operator, *element);
        let node = self.known.operator(*operator).and_then(|node| law::check(node).ok());
        if let Some(node) = node {
            verdict.step_multiply_adds = law::multiply_adds(node).min(law::SEGMENT_ELEMENTS);
        }
        let claimed = self.known.claimed_element(*iteration, *operator, *element);
        verdict.claimed_bits = claimed.map(|bits| bits_text(&[bits]));
        verdict.true_bits.clone_from(&verdict.claimed_bits);
    }

    /// Where an element stands, what it is, and what was claimed of it.
    fn place_element(&self, verdict: &mut Verdict, iteration: u32, operator: u32, element: u64) {
        let Some(node) = self.known.operator(operator) else { return };
        verdict.element = Some(node.output.shape.unravel(element));
        verdict.element_type = Some(node.output.element.name().to_owned());
        verdict.segments = law::check(node).ok().map(law::segment_count);
        let claimed = self.known.claimed_element(iteration, operator, element);
        verdict.element_bits = claimed.map(|bits| bits_text(&[bits]));
    }

    /// A claim fell by this evidence, which `refutation` led to.
    fn evidence(
        &self,
        verdict: &mut Verdict,
        evidence: &Evidence,
        refutation: Option<&Refutation>,
    ) {
        match evidence {
            Evidence::Step {
                iteration,
                operator,
                element,
                segment,
                claimed,
                expected,
                multiply_adds,
            } => {
                verdict.reason = "step".to_owned();
                verdict.iteration = self.iteration(*iteration);
                verdict.layer = self.layer_of(*operator);
                verdict.operator = Some(self.operator(*operator));
                self.place_element(verdict, *iteration, *operator, *element);
                verdict.segment = Some(*segment);
                verdict.step_multiply_adds = *multiply_adds;
                let (claimed, expected) = match expected {
                    Some(expected) => {
                        let (claimed, expected) = first_difference(claimed, expected);
                        (bits_text(&claimed), bits_text(&expected))
                    }
                    None => (bits_text(claimed), "undefined".to_owned()),
                };
                verdict.claimed_bits = Some(claimed);
                verdict.true_bits = Some(expected);
            }
            Evidence::Contradiction { iteration, claimed, expected, .. } => {
                self.contradiction(verdict, *iteration, refutation);
                between(verdict, claimed, expected);
            }
            Evidence::StateValue { iteration, boundary, claimed, expected } => {
                verdict.reason = "malformed".to_owned();
                verdict.iteration = self.iteration(*iteration);
                verdict.layer = boundary.checked_sub(1).map(|index| self.layer(index));
                between(verdict, claimed, expected);
            }
            Evidence::Leaf { iteration, operator, .. } => {
                verdict.reason = "malformed".to_owned();
                verdict.iteration = self.iteration(*iteration);
                verdict.layer = self.layer_of(*operator);
                verdict.operator = Some(self.operator(*operator));
            }
            Evidence::Link { iteration, claimed, expected, .. } => {
                verdict.reason = "link".to_owned();
                verdict.iteration = self.iteration(*iteration);
                between(verdict, claimed, expected);
            }
            Evidence::Entry { iteration, claimed, expected } => {
                verdict.reason = "entry".to_owned();
                verdict.iteration = self.iteration(*iteration);
                between(verdict, claimed, expected);
            }
            // The reason says all: what the iteration says about the end is true or false, under a root.
            Evidence::Stop { iteration, is_last, .. } => {
                verdict.reason = if *is_last { "ends-early" } else { "goes-on" }.to_owned();
                verdict.iteration = self.iteration(*iteration);
            }
        }
    }

    /// Where two statements of a claim contradict each other.
    fn contradiction(
        &self,
        verdict: &mut Verdict,
        iteration: u32,
        refutation: Option<&Refutation>,
    ) {
        let (reason, layer) = match refutation {
            Some(Refutation::Carry { layer, .. }) => ("carry", Some(*layer)),
            Some(Refutation::Binding { layer, operator, .. }) => {
                verdict.operator = Some(self.operator(*operator));
                ("binding", Some(*layer))
            }
            Some(
                Refutation::Step { .. }
                | Refutation::StateValue { .. }
                | Refutation::Leaf { .. }
                | Refutation::Link { .. }
                | Refutation::Entry { .. }
                | Refutation::Stop { .. },
            )
            | None => ("binding", None),
        };
        verdict.reason = reason.to_owned();
        verdict.iteration = self.iteration(iteration);
        verdict.layer = layer.map(|index| self.layer(index));
    }
}

/// What was claimed, beside what is true.
fn between(verdict: &mut Verdict, claimed: &impl ToString, expected: &impl ToString) {
    verdict.claimed_bits = Some(claimed.to_string());
    verdict.true_bits = Some(expected.to_string());
}

/// The iteration that a refutation is about.
fn iteration_of(refutation: &Refutation) -> u32 {
    match refutation {
        Refutation::Step { iteration, .. }
        | Refutation::Binding { iteration, .. }
        | Refutation::Carry { iteration, .. }
        | Refutation::StateValue { iteration, .. }
        | Refutation::Leaf { iteration, .. }
        | Refutation::Link { iteration, .. }
        | Refutation::Entry { iteration }
        | Refutation::Stop { iteration } => *iteration,
    }
}
