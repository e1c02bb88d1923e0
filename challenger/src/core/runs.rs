//! How much of a job's run is needed, and what is let go.

use std::sync::Arc;

use inference::SequenceRun;
use ledger::View;
use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Challenge, Claim};

use super::{ChallengerCore, Policy, standing_on};
use crate::honest_view::HonestView;
use crate::queue::urgent_ms;

/// How many iterations of a job's run are needed: as many as its claims have that are still to be decided, or that are
/// to be played without their iterations in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Those of the shortest of these claims.
    pub shortest: u32,
    /// Those that are made next: up to twice as many as the shortest needs, so that a short claim never waits for what
    /// a long one needs, and few steps lead to the longest.
    pub next: u32,
    /// Those of the longest of these claims.
    pub longest: u32,
    /// Whether one of them is to be played.
    pub in_play: bool,
}

impl<C: Commitment> ChallengerCore<C> {
    /// Watches a job with the challenger's own run of it, or with the beginning of one. What a longer one told about its
    /// claims, which may be let go by now, stays known.
    pub fn watch(&mut self, job: JobId, honest_view: HonestView<C>) {
        let truth = honest_view.truth();
        if self.truths.get(&job).is_none_or(|known| known.reach() <= truth.reach()) {
            self.truths.insert(job, truth);
        }
        self.honest_views.insert(job, honest_view);
        self.inputs.forget(&job);
    }

    /// How much of a job's run is needed; `None` when nothing more is. Claims that can be challenged no more are decided
    /// as well if `also_over`.
    pub fn needed(&self, view: &View<C>, job: &JobId, also_over: bool) -> Option<Needed> {
        let claims = standing_on(view, job).filter_map(|(id, claim)| {
            let in_play = self.is_played_without_run(view, id, claim);
            let is_open =
                || self.is_undecided(claim) && urgent_ms(view, id, claim, also_over).is_some();
            (in_play || is_open()).then_some((claim.terms.iterations, in_play))
        });
        let claims: Vec<(u32, bool)> = claims.collect();
        let lengths = || claims.iter().map(|(iterations, _)| *iterations);
        let (shortest, longest) = (lengths().min()?, lengths().max()?);
        let most = shortest.saturating_mul(2);
        let next = lengths().filter(|iterations| *iterations <= most).max()?;
        Some(Needed {
            shortest,
            next,
            longest,
            in_play: claims.iter().any(|(_, in_play)| *in_play),
        })
    }

    /// Whether a standing claim is not decided yet, or is to be played and cannot be for want of iterations.
    pub fn lacks_run(&self, view: &View<C>, id: &ClaimId, claim: &Claim<C>) -> bool {
        self.is_undecided(claim) || self.is_played_without_run(view, id, claim)
    }

    fn is_undecided(&self, claim: &Claim<C>) -> bool {
        let truth = self.truths.get(&claim.terms.job);
        truth.is_none_or(|truth| truth.judges(&claim.terms).is_none())
    }

    fn is_played_without_run(&self, view: &View<C>, id: &ClaimId, claim: &Claim<C>) -> bool {
        !self.has_run_of(claim) && self.is_played(view, id, claim)
    }

    /// Whether a challenge of this account is under way on a standing claim, or one is to be opened: the claim is false,
    /// can be challenged, and was not.
    fn is_played(&self, view: &View<C>, id: &ClaimId, claim: &Claim<C>) -> bool {
        match view.settlement.challenge_by(id, &self.address) {
            Some(own) => own.is_open(),
            None => {
                let truth = self.truths.get(&claim.terms.job);
                let differs = truth.is_some_and(|truth| truth.refuses(&claim.terms));
                let opens = self.policy != Policy::Nothing && view.now_ms <= claim.window_end_ms;
                differs && opens
            }
        }
    }

    /// Whether what a challenge of this claim needs is in memory.
    pub(super) fn has_run_of(&self, claim: &Claim<C>) -> bool {
        let own = self.honest_views.get(&claim.terms.job);
        own.is_some_and(|own| own.reaches(claim.terms.iterations))
    }

    /// What is in memory of a job's run that was not made whole.
    pub fn begun(&self, job: &JobId) -> Option<&Arc<SequenceRun<C>>> {
        let sequence = self.honest_views.get(job)?.sequence();
        (!sequence.is_whole()).then_some(sequence)
    }

    /// Lets go of a run that takes memory, and remembers what it commits to: claims on its job are still
    /// compared; to play, the run is watched again.
    pub fn let_go(&mut self, job: &JobId) {
        self.honest_views.remove(job);
    }

    /// Whether a run of a job is needed to play: a challenge of this account is under way on a claim of it, or is to be
    /// opened.
    pub fn is_in_play(&self, view: &View<C>, job: &JobId) -> bool {
        standing_on(view, job).any(|(id, claim)| self.is_played(view, id, claim))
    }

    /// Whether a challenge of this account is under way on a claim of a job.
    pub fn is_challenging(&self, view: &View<C>, job: &JobId) -> bool {
        standing_on(view, job).any(|(id, _)| self.is_open(view, id))
    }

    /// Whether this account's challenge of a standing claim is open.
    fn is_open(&self, view: &View<C>, claim: &ClaimId) -> bool {
        let own = view.settlement.challenge_by(claim, &self.address);
        own.is_some_and(Challenge::is_open)
    }
}
