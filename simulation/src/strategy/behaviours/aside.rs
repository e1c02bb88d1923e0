//! What parties do beside their disputes: with money, with jobs, with other parties' moves.

use protocol::asks::{Answer, Ask, Place, Refutation, Tree, TreeKind};
use protocol::hash::{Commitment, Digest};
use protocol::transaction::Action;

use super::super::{Intent, Sight, Strategy};

/// Takes out all free money whenever it looks.
#[derive(Clone, Debug)]
pub struct Withdrawer;

impl<C: Commitment> Strategy<C> for Withdrawer {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let free_wei = sight.view.settlement.money().free_wei(&sight.me);
        let disputed = sight.view.settlement.challenges().any(|(_, challenge)| {
            let claim = sight.view.settlement.claim(&challenge.claim);
            challenge.is_open() && claim.is_some_and(|claim| claim.executor == sight.me)
        });
        if free_wei > 0 && disputed {
            intents.insert(0, Intent::new(Action::Withdraw { amount_wei: free_wei }));
            intents.push(Intent::new(Action::Withdraw { amount_wei: u128::MAX }));
        }
        intents
    }
    boxed!();
}

/// Never settles, passes or releases and never calls time: others must.
#[derive(Clone, Debug)]
pub struct Idle;

impl<C: Commitment> Strategy<C> for Idle {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        intents.retain(|intent| {
            !matches!(
                intent.action,
                Action::Finalise { .. }
                    | Action::CallTime { .. }
                    | Action::Pass { .. }
                    | Action::Release { .. }
            )
        });
        intents
    }
    boxed!();
}

/// Challenges claims of its allies, and only those.
#[derive(Clone, Debug)]
pub struct ChallengeAllies;

impl<C: Commitment> Strategy<C> for ChallengeAllies {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        intents.retain(|intent| !matches!(intent.action, Action::Challenge { .. }));
        for (id, claim) in settlement.claims() {
            let already = settlement.challenge_by(id, &sight.me).is_some();
            if claim.stands() && !already && sight.allies.contains(&claim.executor) {
                intents.push(Intent::new(Action::Challenge { claim: *id }));
            }
        }
        intents
    }
    boxed!();
}

/// Joins every claim that somebody else challenges, without having looked.
#[derive(Clone, Debug)]
pub struct FreeRide;

impl<C: Commitment> Strategy<C> for FreeRide {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        intents.retain(|intent| matches!(intent.action, Action::Collect { .. }));
        for (id, claim) in settlement.claims() {
            let already = settlement.challenge_by(id, &sight.me).is_some();
            if claim.challenges > 0 && !already && claim.stands() {
                intents.push(Intent::new(Action::Challenge { claim: *id }));
            }
        }
        intents
    }
    boxed!();
}

/// Offers more than anybody for every move.
#[derive(Clone, Debug)]
pub struct Overbid;

impl<C: Commitment> Strategy<C> for Overbid {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        intents.iter_mut().for_each(|intent| intent.bid = 1_000);
        intents
    }
    boxed!();
}

/// Answers what nobody asked, moves in disputes of others, moves after the end.
#[derive(Clone, Debug)]
pub struct Meddler;

impl<C: Commitment> Strategy<C> for Meddler {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        for (_, challenge) in settlement.challenges().take(4) {
            let (claim, challenger) = (challenge.claim, challenge.challenger);
            let challengers = vec![challenger];
            // What is asked of the whole sequence is answered with the one root in it.
            let place = Place {
                tree: Tree::Sequence {},
                kind: TreeKind::List { count: 1 },
                depth: 0,
                index: 0,
                hash: Digest::default(),
            };
            let ask = challenge.last_ask().cloned().unwrap_or(Ask::Open { place });
            let answer = Answer::Hashes { hashes: Vec::new() };
            let refutation = Refutation::Binding { iteration: 0, layer: 0, operator: 0 };
            let (showings, path, from) = (Vec::new(), Vec::new(), None);
            let moves = [
                Action::Demand { claim, showings, ask: ask.clone(), path, from },
                Action::Reveal { claim, challengers, ask, answer },
                Action::Refute { claim, challenger, showings: vec![], refutation, from: None },
                Action::WithdrawChallenge { claim },
                Action::Collect { claim, challenger },
            ];
            intents.extend(sight.rng.pick(&moves).cloned().map(Intent::new));
        }
        for (id, claim) in settlement.claims().take(4) {
            let moves = [
                Action::Finalise { claim: *id },
                Action::Release { claim: *id },
                Action::Pass { job: claim.terms.job, claims: vec![*id] },
            ];
            intents.extend(sight.rng.pick(&moves).cloned().map(Intent::new));
        }
        for (id, _) in settlement.jobs().take(2) {
            intents.push(Intent::new(Action::ExpireJob { job: *id }));
        }
        intents
    }
    boxed!();
}

/// Asks for jobs whose terms no ledger should take.
#[derive(Clone, Debug)]
pub struct AbsurdJobs;

impl<C: Commitment> Strategy<C> for AbsurdJobs {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let Some((_, job)) = sight.view.settlement.jobs().next() else {
            return intents;
        };
        let mut add = |change: &dyn Fn(&mut protocol::transaction::JobTerms)| {
            let mut terms = job.terms.clone();
            change(&mut terms);
            intents.push(Intent::new(Action::PostJob { terms }));
        };
        add(&|terms| terms.window_ms = 0);
        add(&|terms| terms.window_ms = u64::MAX);
        add(&|terms| terms.stake_wei = 0);
        add(&|terms| terms.stake_wei = u128::MAX);
        add(&|terms| terms.open_ms = 0);
        add(&|terms| terms.open_ms = u64::MAX);
        add(&|terms| terms.fee_wei = u128::MAX);
        add(&|terms| terms.fee_wei = 0);
        add(&|terms| (terms.fee_iteration_wei, terms.iterations_max) = (u128::MAX, u32::MAX));
        add(&|terms| terms.may_cut = true);
        add(&|terms| terms.model_root = Digest::default());
        intents
    }
    boxed!();
}
