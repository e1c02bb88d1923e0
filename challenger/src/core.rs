//! What a challenger does next, from the ledger's state.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use inference::Model;
use ledger::View;
use node::late::{Late, late};
use node::{Core, Decision};
use protocol::hash::{Commitment, Keccak};
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Challenge, ChallengeStatus, Claim, Turn};
use protocol::transaction::{Action, Address};

use crate::honest_view::HonestView;
use crate::solver::{Move, SolveError};
use crate::truth::Truth;
use crate::wanted_inputs::WantedInputs;

/// Which claims a challenger challenges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Those that differ from its own run.
    #[default]
    Differing,
    /// All of them, right or wrong: a frivolous challenger.
    Everything,
    /// None: it plays only what is open, and calls time on whoever is late.
    Nothing,
}

/// In which order a challenger works when it cannot do everything at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The earliest deadline first.
    #[default]
    EarliestDeadline,
    /// The claim with the largest stake first.
    LargestStake,
}

/// A challenger with its own runs of the jobs it watches. Clones share the runs.
#[derive(Clone, Debug)]
pub struct ChallengerCore<C: Commitment = Keccak> {
    address: Address,
    policy: Policy,
    order: Order,
    honest_views: BTreeMap<JobId, HonestView<C>>,
    /// Which claims are true by this machine's runs, by job: of those in memory, and of those let go.
    truths: BTreeMap<JobId, Truth>,
    /// Decides as if money were no question: for those who only want to know.
    is_funded: bool,
    /// Jobs whose input nobody published.
    inputs: WantedInputs<C>,
    /// Own challenges without a next move, as of the last look at each.
    stuck: BTreeMap<ChallengeId, SolveError>,
    /// Most own moves of one look: they are computed before the first is sent.
    moves_at_once: usize,
    /// Whether a move that needs an iteration computed again was put off at the last look.
    has_put_off: bool,
}

impl<C: Commitment> ChallengerCore<C> {
    /// A challenger that knows no job yet.
    pub fn new(address: Address, policy: Policy) -> Self {
        let (order, honest_views, truths) = (Order::default(), BTreeMap::new(), BTreeMap::new());
        let (inputs, stuck) = (WantedInputs::default(), BTreeMap::new());
        let (moves_at_once, has_put_off) = (usize::MAX, false);
        Self {
            address,
            policy,
            order,
            honest_views,
            truths,
            is_funded: false,
            inputs,
            stuck,
            moves_at_once,
            has_put_off,
        }
    }

    /// Works in another order.
    pub fn in_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Decides from now on as if money were no question.
    pub fn suppose_funded(&mut self) {
        self.is_funded = true;
    }

    /// Challenges by another policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The input of this job is not to be had: an executor that claims a run of it is asked, where what is at
    /// stake is worth it.
    /// Says why nobody is asked, for people, where that is so.
    pub fn ask_for_input(
        &mut self,
        view: &View<C>,
        job: JobId,
        model: Arc<Model<C>>,
    ) -> Option<String> {
        self.inputs.want(job, model);
        self.inputs.why_not(view, &job)
    }

    /// Thousandths of a stake that asking for an input may cost; 0 asks nobody.
    pub fn set_input_permille(&mut self, permille: u32) {
        self.inputs.set_permille(permille);
    }

    /// Whether what is missing of this job is its input, and executors have not shown it either.
    pub fn waits_for_input(&self, view: &View<C>, job: &JobId) -> bool {
        self.inputs.waits_for(view, job)
    }

    /// The input of this job was found elsewhere.
    pub fn has_input(&mut self, job: &JobId) {
        self.inputs.forget(job);
    }

    /// The input of a job as executors have shown it, once all of it is known.
    pub fn shown_input(&self, view: &View<C>, job: &JobId) -> Option<Vec<u8>> {
        self.inputs.input(view, job)
    }

    /// Lets go of a job on which nothing can be disputed any more.
    pub fn forget(&mut self, job: &JobId) {
        self.honest_views.remove(job);
        self.truths.remove(job);
        self.inputs.forget(job);
    }

    /// Which claims are true by this machine's runs, by job.
    pub fn truths(&self) -> HashMap<JobId, Truth> {
        self.truths.iter().map(|(job, truth)| (*job, truth.clone())).collect()
    }

    /// Which claims on a job are true by this machine's run of it.
    pub fn truth(&self, job: &JobId) -> Option<&Truth> {
        self.truths.get(job)
    }

    /// Runs in memory.
    pub fn at_hand(&self) -> usize {
        self.honest_views.len()
    }

    /// The challenger's case for a job.
    pub fn honest_view(&self, job: &JobId) -> Option<&HonestView<C>> {
        self.honest_views.get(job)
    }

    /// Own challenges whose next move could not be made at the last look, and why: each is lost unless
    /// that changes.
    pub fn stuck(&self) -> &BTreeMap<ChallengeId, SolveError> {
        &self.stuck
    }

    fn moves(&mut self, view: &View<C>) -> Vec<Decision> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let (mut decisions, mut turns) = (Vec::new(), Vec::new());
        for (id, challenge) in settlement.open_challenges() {
            if challenge.challenger != self.address {
                continue;
            }
            let (claim, challenger) = (challenge.claim, self.address);
            let plain = |action, reason: &str| Decision {
                action,
                reason: reason.to_owned(),
                deadline_ms: None,
            };
            if !settlement.is_under_way(challenge) {
                let reason = "the claim was rejected by another challenge";
                decisions.push(plain(Action::Collect { claim, challenger }, reason));
                continue;
            }
            let deadline_ms = challenge.deadline_ms(floor_ms);
            let late = deadline_ms.is_some_and(|at_ms| view.now_ms > at_ms);
            match &challenge.status {
                ChallengeStatus::Open { turn: Turn::Executor, .. } if late => {
                    let reason = "the executor's time is over";
                    decisions.push(plain(Action::CallTime { claim, challenger }, reason));
                }
                ChallengeStatus::Open { turn: Turn::Challenger, .. } if late => {
                    #[cfg(test)]
                    cov_mark::hit!(own_time_is_over);
                }
                ChallengeStatus::Open { turn: Turn::Challenger, .. } => {
                    turns.push((*id, challenge, deadline_ms));
                }
                ChallengeStatus::Queued => decisions.extend(overdue(view, &claim)),
                ChallengeStatus::Open { turn: Turn::Executor, .. }
                | ChallengeStatus::Won { .. }
                | ChallengeStatus::Lost
                | ChallengeStatus::Withdrawn => {}
            }
        }
        decisions.extend(self.own_turns(view, turns));
        let called: BTreeSet<(ClaimId, Address)> = decisions.iter().filter_map(called_on).collect();
        let others = self.late_challenges(view);
        decisions
            .extend(others.filter(|one| called_on(one).is_none_or(|on| !called.contains(&on))));
        decisions
    }

    /// Makes at most so many moves of its own in one look, which are computed before the first is sent; the others
    /// follow in the next.
    pub fn set_moves_at_once(&mut self, moves: usize) {
        self.moves_at_once = moves.max(1);
    }

    /// Own moves, the most urgent first. One that needs an iteration of a long run computed again is made alone, so that
    /// no other waits for it; beside others it comes every second look, so that it never waits for long either.
    fn own_turns(&mut self, view: &View<C>, mut turns: Vec<OwnTurn<'_>>) -> Vec<Decision> {
        let stake_wei = |challenge: &Challenge| {
            let claim = view.settlement.claim(&challenge.claim);
            claim.map_or(0, |claim| claim.stake_wei)
        };
        // In the order of their ids where nothing else decides.
        match self.order {
            Order::EarliestDeadline => turns.sort_by_key(|(_, _, deadline_ms)| *deadline_ms),
            Order::LargestStake => turns.sort_by_key(|(_, challenge, deadline_ms)| {
                (Reverse(stake_wei(challenge)), *deadline_ms)
            }),
        }
        let mine: BTreeSet<ChallengeId> = turns.iter().map(|(id, ..)| *id).collect();
        self.stuck.retain(|id, _| mine.contains(id));
        let (slow, quick): (Vec<_>, Vec<_>) =
            turns.into_iter().partition(|(_, challenge, _)| self.computes_again(view, challenge));
        let is_slow = !slow.is_empty() && (quick.is_empty() || self.has_put_off);
        self.has_put_off = !slow.is_empty() && !is_slow;
        let (turns, most) = if is_slow { (slow, 1) } else { (quick, self.moves_at_once) };
        let mut decisions = Vec::new();
        for (id, challenge, deadline_ms) in turns {
            if decisions.len() >= most {
                break;
            }
            self.stuck.remove(&id);
            match self.own_turn(view, challenge, deadline_ms) {
                Some(Ok(decision)) => decisions.push(decision),
                Some(Err(error)) => drop(self.stuck.insert(id, error)),
                None => {}
            }
        }
        decisions
    }

    /// Whether the next move in a challenge needs an iteration computed again.
    fn computes_again(&self, view: &View<C>, challenge: &Challenge) -> bool {
        view.settlement.claim(&challenge.claim).is_some_and(|claim| {
            let honest_view = self.honest_views.get(&claim.terms.job);
            let (known, asked) = (claim.knowledge.run(), challenge.last_ask());
            honest_view.zip(known).is_some_and(|(own, known)| own.computes_again(known, asked))
        })
    }

    /// Challenges of others, of standing claims that this machine's runs decide, each with the first moment at
    /// which this account calls time in it.
    ///
    /// Whoever is late there may be an accomplice of the other side: a claim or a job that nobody ends would
    /// wait for ever. An executor whose claim is true is given one more move's time, in which those whom its
    /// silence costs something act first.
    fn clocks_of_others<'a>(
        &'a self,
        view: &'a View<C>,
    ) -> impl Iterator<Item = (&'a Challenge, u64)> + 'a {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        settlement.open_challenges().filter_map(move |(_, challenge)| {
            let claim = settlement.claim(&challenge.claim)?;
            let truth = self.truths.get(&claim.terms.job)?;
            let end_ms = challenge.deadline_ms(floor_ms)?;
            if challenge.challenger == self.address || !claim.stands() {
                return None;
            }
            let is_courtesy = truth.judges(&claim.terms)? && challenge.pending().is_some();
            let grace_ms = if is_courtesy { floor_ms } else { 0 };
            Some((challenge, end_ms.saturating_add(grace_ms).saturating_add(1)))
        })
    }

    /// Ends challenges of others in which a side is late.
    fn late_challenges<'a>(&'a self, view: &'a View<C>) -> impl Iterator<Item = Decision> + 'a {
        let late = self.clocks_of_others(view).filter(|(_, from_ms)| view.now_ms >= *from_ms);
        late.map(|(challenge, _)| {
            let side = match challenge.pending() {
                Some(_) => "the executor",
                None => "its challenger",
            };
            Decision {
                action: Action::CallTime {
                    claim: challenge.claim,
                    challenger: challenge.challenger,
                },
                reason: format!("{side} is late, and the claim's job waits for the end"),
                deadline_ms: None,
            }
        })
    }

    fn own_turn(
        &self,
        view: &View<C>,
        challenge: &Challenge,
        deadline_ms: Option<u64>,
    ) -> Option<Result<Decision, SolveError>> {
        let claim = view.settlement.claim(&challenge.claim)?;
        let is_right = |truth: &Truth| truth.admits(&claim.terms);
        if self.policy != Policy::Everything
            && self.truths.get(&claim.terms.job).is_some_and(is_right)
            && let Some(honest_view) = self.honest_views.get(&claim.terms.job)
            && let Some(out) =
                WantedInputs::way_out(view, honest_view.model(), challenge, deadline_ms)
        {
            return Some(out);
        }
        let Some(honest_view) = self.honest_views.get(&claim.terms.job) else {
            #[cfg(test)]
            cov_mark::hit!(own_run_is_missing);
            let next = self.inputs.next(view, challenge, deadline_ms);
            return next.or(Some(Err(SolveError::RunMissing)));
        };
        let next = honest_view.next_move(claim.knowledge.run()?, challenge.last_ask());
        let (claim, challenger) = (challenge.claim, self.address);
        let (action, reason) = match next {
            Ok(Move::Demand { showings, ask, path, from, reason }) => {
                (Action::Demand { claim, showings, ask, path, from }, reason)
            }
            Ok(Move::Refute { showings, refutation, from, reason }) => {
                (Action::Refute { claim, challenger, showings, refutation, from }, reason)
            }
            Err(error) => {
                #[cfg(test)]
                cov_mark::hit!(challenge_has_no_move);
                return Some(Err(error));
            }
        };
        Some(Ok(Decision { action, reason, deadline_ms }))
    }
}

/// An own challenge in which it is this account's turn, and until when.
type OwnTurn<'a> = (ChallengeId, &'a Challenge, Option<u64>);

mod opening;
mod runs;

pub use self::runs::Needed;

/// Standing claims on a job.
fn standing_on<'a, C: Commitment>(
    view: &'a View<C>,
    job: &JobId,
) -> impl Iterator<Item = (&'a ClaimId, &'a Claim<C>)> {
    let settlement = &view.settlement;
    let claims = settlement.claims_of(job).filter_map(|id| Some((id, settlement.claim(id)?)));
    claims.filter(|(_, claim)| claim.stands())
}

/// The challenge in which a decision calls time.
fn called_on(decision: &Decision) -> Option<(ClaimId, Address)> {
    match &decision.action {
        Action::CallTime { claim, challenger } => Some((*claim, *challenger)),
        _ => None,
    }
}

/// That a challenge has no next move, and why.
pub(crate) fn stuck_line((challenge, error): (&ChallengeId, &SolveError)) -> String {
    format!("challenge {challenge} has no next move and will be lost: {error}")
}

impl<C: Commitment> Core<C> for ChallengerCore<C> {
    fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        let mut decisions = self.moves(view);
        decisions.extend(self.new_challenges(view).0);
        let stake_wei = |decision: &Decision| {
            let claim = match &decision.action {
                Action::Challenge { claim }
                | Action::Demand { claim, .. }
                | Action::Refute { claim, .. } => view.settlement.claim(claim),
                _ => None,
            };
            claim.map_or(0, |claim| claim.stake_wei)
        };
        // What can wait comes last, in either order.
        match self.order {
            Order::EarliestDeadline => {
                decisions.sort_by_key(|decision| decision.deadline_ms.unwrap_or(u64::MAX));
            }
            Order::LargestStake => decisions.sort_by_key(|decision| {
                let stake_wei = Reverse(stake_wei(decision));
                (stake_wei, decision.deadline_ms.unwrap_or(u64::MAX))
            }),
        }
        decisions
    }

    fn troubles(&self) -> Vec<String> {
        // Who challenges everything knows that some of it is right.
        let is_meant = |error: &SolveError| {
            self.policy == Policy::Everything && *error == SolveError::NothingDiffers
        };
        self.stuck.iter().filter(|(_, error)| !is_meant(error)).map(stuck_line).collect()
    }

    fn next_look_ms(&self, view: &View<C>) -> Option<u64> {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        let own =
            settlement.open_challenges().map(|(_, challenge)| challenge).filter(|challenge| {
                challenge.challenger == self.address && settlement.is_under_way(challenge)
            });
        let clocks = own.filter_map(|challenge| match challenge.deadline_ms(floor_ms) {
            Some(at_ms) => Some(at_ms),
            // It waits for the others of its claim.
            None => first_deadline_ms(view, &challenge.claim),
        });
        let own = clocks.filter(|at_ms| *at_ms >= view.now_ms).map(|at_ms| at_ms.saturating_add(1));
        let others = self.clocks_of_others(view).map(|(_, from_ms)| from_ms);
        let later = others.chain(self.last_openings_ms(view));
        own.chain(later.filter(|from_ms| *from_ms > view.now_ms)).min()
    }
}

/// The first moment at which a challenge of a claim may end by its clock.
fn first_deadline_ms<C: Commitment>(view: &View<C>, claim: &ClaimId) -> Option<u64> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let challenges = settlement.challenges_of(claim).filter_map(|id| settlement.challenge(id));
    let ends = challenges.filter_map(|challenge| challenge.deadline_ms(floor_ms));
    ends.filter(|at_ms| *at_ms >= view.now_ms).min()
}

/// Ends the challenges of a claim whose side to move is late: whoever waits behind them must, for the
/// executor of a false claim will not.
fn overdue<C: Commitment>(view: &View<C>, claim: &ClaimId) -> Vec<Decision> {
    let call = |late: Late<'_>| Decision {
        action: late.call(),
        reason: "its time is over, and our challenge waits for its place".to_owned(),
        deadline_ms: None,
    };
    late(view, claim).map(call).collect()
}

#[cfg(test)]
mod tests;
