//! What parties do beside their disputes: with money, with jobs, with other parties' moves.

use protocol::facts::{Children, Request, Reveal, TreeId};
use protocol::hash::{Commitment, Digest};
use protocol::referee::Refutation;
use protocol::settlement::{Claim, ClaimStatus, Settlement};
use protocol::transaction::{Action, Address};

use super::super::{Intent, Sight, Strategy};

/// Takes out all free money whenever it looks.
#[derive(Clone, Debug)]
pub struct Withdrawer;

impl<C: Commitment> Strategy<C> for Withdrawer {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let free_wei = sight.view.settlement.money().free_wei(&sight.me);
        let disputed = sight.view.settlement.challenges().any(|(_, challenge)| {
            challenge.is_open()
                && sight
                    .view
                    .settlement
                    .claim(&challenge.claim)
                    .is_some_and(|claim| claim.executor == sight.me)
        });
        if free_wei > 0 && disputed {
            intents.insert(0, Intent::new(Action::Withdraw { amount_wei: free_wei }));
            intents.push(Intent::new(Action::Withdraw { amount_wei: u128::MAX }));
        }
        intents
    }
    boxed!();
}

/// Never settles and never calls time: others must.
#[derive(Clone, Debug)]
pub struct Idle;

impl<C: Commitment> Strategy<C> for Idle {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        intents.retain(|intent| {
            !matches!(intent.action, Action::Finalise { .. } | Action::CallTime { .. })
        });
        intents
    }
    boxed!();
}

/// Whether an account has challenged a claim, in whatever way that challenge ended.
fn is_challenged_by<C: Commitment>(
    settlement: &Settlement<C>,
    claim: &Claim<C>,
    account: &Address,
) -> bool {
    claim.challenges.iter().any(|challenge| {
        settlement.challenge(challenge).is_some_and(|one| one.challenger == *account)
    })
}

/// Challenges claims of its allies, and only those.
#[derive(Clone, Debug)]
pub struct ChallengeAllies;

impl<C: Commitment> Strategy<C> for ChallengeAllies {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        intents.retain(|intent| !matches!(intent.action, Action::Challenge { .. }));
        for (id, claim) in settlement.claims() {
            let already = is_challenged_by(settlement, claim, &sight.me);
            let standing = claim.status == ClaimStatus::Standing;
            if standing && !already && sight.allies.contains(&claim.executor) {
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
    fn play(&mut self, sight: &mut Sight<'_, C>, _: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        let mut intents = Vec::new();
        for (id, claim) in settlement.claims() {
            let others = !claim.challenges.is_empty();
            let already = is_challenged_by(settlement, claim, &sight.me);
            if others && !already && claim.status == ClaimStatus::Standing {
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
        for (id, challenge) in settlement.challenges().take(4) {
            let (claim, showings) = (challenge.claim, Vec::new());
            let request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };
            let reveal = Reveal::Node { children: Children::Hashes { hashes: Vec::new() } };
            let refutation = Refutation::Binding { layer: 0, operator: 0 };
            let moves = [
                Action::Demand { challenge: *id, showings: Vec::new(), request },
                Action::Reveal { claim, request, reveal },
                Action::Refute { challenge: *id, showings, refutation },
            ];
            intents.extend(sight.rng.pick(&moves).cloned().map(Intent::new));
        }
        for (id, _) in settlement.jobs().take(2) {
            intents.push(Intent::new(Action::Finalise { job: *id }));
            intents.push(Intent::new(Action::CancelJob { job: *id }));
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
        add(&|terms| terms.bond_wei = 0);
        add(&|terms| terms.fee_wei = u128::MAX);
        add(&|terms| terms.model_root = Digest::default());
        intents
    }
    boxed!();
}
