//! What is asked and what is answered: asks prove themselves, honest ones are those that are needed, the honest
//! run has an answer to each, and nothing is shown but what was committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use executor::Defender;
use ledger::words;
use protocol::asks::{Answer, Ask, Context, Proven, Tree, fits, shown_places};
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId};
use protocol::knowledge::Knowledge;
use protocol::settlement::{ChallengeStatus, Claim, Settlement, Turn, challenge_id_under};
use protocol::transaction::{Action, Address};

use super::committed::{AskKey, differs_at, is_committed};
use super::{Audit, AuditedClaim, Invariant, Sometimes, Surroundings};
use crate::fixtures::Known;

fn key_of(ask: &Ask) -> AskKey {
    let (depth, index) = ask.node();
    (*ask.tree(), depth, index, matches!(ask, Ask::Leaves { .. }))
}

/// Demands that lead to the input of any model of a world, beside those for the input itself.
const DEMANDS_OF_INPUT: u32 = 2;

/// Whether an ask is about the input of the run, or the state that holds it.
fn is_of_input(ask: &Ask) -> bool {
    matches!(ask.tree(), Tree::Input { .. } | Tree::State { iteration: 0, boundary: 0 })
}

/// An answer to something that nobody asked before is tried on a copy of the ledger as often as this.
const TRIED_EVERY: u64 = 16;

impl<C: Commitment> Audit<C> {
    /// Whether an ask proves itself and the honest run has an answer; whether an honest challenger asks for what
    /// it needs, and no more often than it must.
    pub(super) fn demand(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let Action::Demand { claim: claim_id, ask, .. } = action else {
            return;
        };
        let id = challenge_id_under::<C>(*claim_id, *sender);
        let last = self.books.asked.insert(id, ask.clone());
        let (Some(claim), Some(truth)) = (state.claim(claim_id), self.truth_of(state, claim_id))
        else {
            return;
        };
        let wrong = unproven(state, claim, &truth, action, last.as_ref());
        self.hold(Invariant::AsksProven, around.now_ms, wrong.is_none(), || {
            format!("{} was demanded: {}", words::ask(ask), wrong.unwrap_or_default())
        });
        if !self.violations.is_empty() {
            return;
        }
        self.answerable(around, state, (claim_id, claim), sender, &truth);
        if (around.honest)(sender) {
            self.needed(around, state, (&id, claim), &truth, ask);
        }
    }

    /// Whether the honest answer to what is demanded of a claim which is the law's run would be taken.
    fn answerable(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        (id, claim): (&ClaimId, &Claim<C>),
        challenger: &Address,
        truth: &Arc<Known<C>>,
    ) {
        let Some(entry) = self.books.claims.get(id) else { return };
        let pending = state.challenge_by(id, challenger).and_then(|challenge| challenge.pending());
        // An executor that once said something else of its own true run has no honest answers left.
        let (true, true, Some(ask)) = (entry.is_true, entry.said_truly, pending) else {
            return;
        };
        let again = entry.opened.contains(&key_of(ask));
        if again {
            self.saw(Sometimes::AskedAgain);
        }
        let seldom = self.checks[Invariant::PendingAnswerable as usize];
        let is_tried = again || seldom.is_multiple_of(TRIED_EVERY);
        let wrong = match honest_answer(claim, truth, (ask, state.parameters().arity_log2)) {
            Ok(answer) if is_tried => {
                refused(around.now_ms, state, (id, claim), challenger, answer)
            }
            Ok(_) => None,
            Err(wrong) => Some(wrong),
        };
        self.hold(Invariant::PendingAnswerable, around.now_ms, wrong.is_none(), || {
            let wrong = wrong.unwrap_or_default();
            format!("{} was demanded of a true claim: {wrong}", words::ask(ask))
        });
    }

    /// Whether an honest challenger asks where the claim differs, and not more often than the model needs.
    fn needed(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        (id, claim): (&ChallengeId, &Claim<C>),
        truth: &Known<C>,
        ask: &Ask,
    ) {
        let Some(challenge) = state.challenge(id) else { return };
        // What only executors were given is asked for first.
        let for_input = if self.hidden_inputs { DEMANDS_OF_INPUT } else { 0 };
        let (demands, bound) = (challenge.demands, around.bounds.demands + for_input);
        self.hold(Invariant::DemandsBounded, around.now_ms, demands <= bound, || {
            format!("demand {demands} of an honest challenger, {bound} suffice for the model")
        });
        let for_input = self.hidden_inputs && is_of_input(ask);
        let public = claim.knowledge.run();
        let differs = for_input || public.is_some_and(|public| differs_at(public, truth, ask));
        self.hold(Invariant::DescentContainsDivergence, around.now_ms, differs, || {
            format!(
                "an honest challenger demands {}, where claim and honest run agree",
                words::ask(ask)
            )
        });
    }

    /// Whether an answer is what was committed, contradicts nothing that was shown before, and serves all whom it
    /// names and who wait for it.
    pub(super) fn revealed(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
        id: &ClaimId,
        ask: &Ask,
    ) {
        let (Some(claim), Action::Reveal { challengers, answer, .. }) = (state.claim(id), action)
        else {
            return;
        };
        let floor_ms = state.parameters().move_floor_ms;
        let (mut served, mut waits) = (BTreeSet::new(), false);
        for challenger in challengers {
            let challenge_id = challenge_id_under::<C>(*id, *challenger);
            let Some(challenge) = state.challenge(&challenge_id) else {
                continue;
            };
            let in_time = challenge.deadline_ms(floor_ms).is_some_and(|at| around.now_ms <= at);
            waits |= challenge.pending() == Some(ask) && in_time;
            // Who has its turn since this moment was served; where it had it already, no clock ran since.
            let its_turn = matches!(
                challenge.status,
                ChallengeStatus::Open { turn: Turn::Challenger, since_ms }
                    if since_ms == around.now_ms
            );
            if its_turn && served.insert(challenge_id) {
                self.answered(around.now_ms, state, &challenge_id);
                self.books.accounts.answered(&challenge_id);
            }
        }
        if served.len() > 1 {
            self.saw(Sometimes::AnswerShared);
        }
        if served.len() < challengers.len() {
            self.saw(Sometimes::NamedSkipped);
        }
        self.hold(Invariant::AnswersShared, around.now_ms, !waits, || {
            format!("{} was answered and one it names still waits", words::ask(ask))
        });
        self.shown(around, claim, id, ask, answer);
        // Who else still waits for the same must be served as well.
        let others = state.challenges_of(id).filter_map(|id| state.challenge(id));
        let waiting: Vec<Address> = others
            .filter(|one| one.pending().is_some_and(|pending| key_of(pending) == key_of(ask)))
            .filter(|one| one.deadline_ms(floor_ms).is_some_and(|at_ms| around.now_ms <= at_ms))
            .map(|one| one.challenger)
            .collect();
        if let (true, Some(truth)) = (self.violations.is_empty(), self.truth_of(state, id)) {
            for challenger in &waiting {
                self.answerable(around, state, (id, claim), challenger, &truth);
            }
        }
    }

    /// Whether what an answer shows is what was shown before at the same places, and what was committed.
    fn shown(
        &mut self,
        around: &Surroundings<'_>,
        claim: &Claim<C>,
        id: &ClaimId,
        ask: &Ask,
        answer: &Answer,
    ) {
        let truth = self.books.truths.get(&claim.terms.job).cloned().flatten();
        let Some(entry) = self.books.claims.get_mut(id) else {
            return;
        };
        // Said again, it serves those whom one answer could not name.
        entry.opened.insert(key_of(ask));
        let Some(public) = claim.knowledge.run() else {
            return;
        };
        let arity_log2 = public.arity_log2();
        let contradicts = entry.contradicts(claim, public, ask, answer);
        if let (Ask::Say { .. }, true, Some(truth)) = (ask, entry.is_true, truth) {
            let own = Defender::of_run(Arc::clone(&truth.run), arity_log2).answer(ask).ok();
            entry.said_truly &= own.as_ref() == Some(answer);
        }
        let known = entry.known.clone();
        let committed = is_committed(known.as_deref(), public, ask, answer);
        self.hold(Invariant::FactsAreCommitted, around.now_ms, committed, || {
            let ask = words::ask(ask);
            format!("{ask} was answered with something else than was committed")
        });
        if !committed {
            return;
        }
        self.hold(Invariant::KnowledgeConsistent, around.now_ms, !contradicts, || {
            format!("{} was answered again with something else", words::ask(ask))
        });
    }

    fn truth_of(&self, state: &Settlement<C>, claim: &ClaimId) -> Option<Arc<Known<C>>> {
        self.books.truths.get(&state.claim(claim)?.terms.job).cloned().flatten()
    }
}

impl<C: Commitment> AuditedClaim<C> {
    /// Takes down the hashes that an answer shows; says whether one stood otherwise at its place, or is not
    /// what everybody knows now.
    fn contradicts(
        &mut self,
        claim: &Claim<C>,
        public: &Knowledge<C>,
        ask: &Ask,
        answer: &Answer,
    ) -> bool {
        let tree = *ask.tree();
        let Some((depth, places)) = shown_places(ask, public.arity_log2()) else {
            return false;
        };
        let mut contradicts =
            tree.is_said() && claim.said.get(&tree).copied() != public.root(&tree);
        for (index, hash) in places.into_iter().zip(answer.hashes::<C>()) {
            let before = *self.shown.entry((tree, depth, index)).or_insert(hash);
            let known = public.node(&tree, depth, index);
            contradicts |= before != hash || (depth > 0 && known != Some(hash));
        }
        contradicts
    }
}

/// What is missing for an ask to follow from its own transaction, the claim, and what the challenge asked last;
/// `None` when nothing is.
fn unproven<C: Commitment>(
    state: &Settlement<C>,
    claim: &Claim<C>,
    truth: &Known<C>,
    action: &Action,
    last: Option<&Ask>,
) -> Option<String> {
    let Action::Demand { showings, ask, path, from, .. } = action else {
        return None;
    };
    if from.is_some() && from.as_ref() != last {
        return Some("it builds on what its challenge did not ask last".to_owned());
    }
    let (parameters, header) = (state.parameters(), truth.run.model().header());
    let Some(job) = state.job(&claim.terms.job) else {
        return Some("its claim is on no job".to_owned());
    };
    let context = Context {
        terms: &claim.terms,
        header,
        length: job.terms.length(),
        said: &claim.said,
        from: from.as_ref(),
        arity_log2: parameters.arity_log2,
    };
    let proven = Proven::new::<C>(context, showings);
    let checked = proven.and_then(|proven| parameters.asking().check::<C>(&proven, ask, path));
    checked.err().map(|error| error.to_string())
}

/// The answer of who holds the honest run; an error when it has none, or one that does not fit.
fn honest_answer<C: Commitment>(
    claim: &Claim<C>,
    truth: &Known<C>,
    (ask, arity_log2): (&Ask, u32),
) -> Result<Answer, String> {
    let answer = Defender::of_run(Arc::clone(&truth.run), arity_log2)
        .answer(ask)
        .map_err(|error| format!("the honest run has no answer: {error}"))?;
    let said = fits::<C>(ask, &answer, arity_log2)
        .map_err(|error| format!("the honest answer does not fit: {error}"))?;
    match (said, claim.said.get(ask.tree())) {
        (Some(own), Some(said)) if own != *said => {
            Err("the honest answer is not what was said".to_owned())
        }
        _ => Ok(answer),
    }
}

/// Why a ledger would refuse an answer; `None` when it takes it.
fn refused<C: Commitment>(
    now_ms: u64,
    state: &Settlement<C>,
    (id, claim): (&ClaimId, &Claim<C>),
    challenger: &Address,
    answer: Answer,
) -> Option<String> {
    let ask = state.challenge_by(id, challenger)?.pending()?.clone();
    let action = Action::Reveal { claim: *id, challengers: vec![*challenger], ask, answer };
    let mut copy = state.clone();
    let nonce = copy.nonce(&claim.executor);
    let taken = copy.perform_numbered(now_ms, claim.executor, nonce, &action);
    taken.err().map(|rejection| format!("the honest answer is refused: {rejection}"))
}
