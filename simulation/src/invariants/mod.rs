//! What must hold after every event, checked by code that shares nothing with the referee.
//!
//! The audit knows the truth by construction: it holds the honest run of every job and the run
//! behind every claim, and keeps its own books from the transactions alone.

mod bounds;
mod committed;
mod funds;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger::words;
use protocol::facts::Request;
use protocol::hash::{Commitment, Digest};
use protocol::settlement::{
    Challenge, ChallengeStatus, ClaimStatus, Event, FallReason, Settlement,
};
use protocol::transaction::{Action, Address};

use crate::library::Known;

pub use bounds::ShapeBounds;
pub use names::{Invariant, Sometimes};

use committed::{differs_at, is_committed};
use funds::Guardian;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, in the world's time.
    pub at_ms: u64,
    /// What was seen.
    pub detail: String,
}

/// What the audit knows of a claim.
#[derive(Debug)]
pub(crate) struct AuditedClaim<C: Commitment> {
    pub(crate) known: Option<Arc<Known<C>>>,
    pub(crate) is_true: bool,
    pub(crate) by_honest: bool,
    pub(crate) opened: BTreeSet<Request>,
}

impl<C: Commitment> Clone for AuditedClaim<C> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), opened: self.opened.clone(), ..*self }
    }
}

/// The audit's own books; they go back with the ledger when blocks are replaced.
#[derive(Debug)]
pub(crate) struct Account<C: Commitment> {
    pub(crate) deposited_wei: u128,
    pub(crate) withdrawn_wei: u128,
    pub(crate) claims: BTreeMap<Digest, AuditedClaim<C>>,
    /// The honest run of each job.
    pub(crate) truths: BTreeMap<Digest, Arc<Known<C>>>,
    pub(crate) clocks: BTreeMap<Digest, (u64, u64)>,
}

impl<C: Commitment> Clone for Account<C> {
    fn clone(&self) -> Self {
        Self {
            claims: self.claims.clone(),
            truths: self.truths.clone(),
            clocks: self.clocks.clone(),
            ..*self
        }
    }
}

impl<C: Commitment> Default for Account<C> {
    fn default() -> Self {
        let (claims, truths, clocks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { deposited_wei: 0, withdrawn_wei: 0, claims, truths, clocks }
    }
}

/// What the audit needs to know of the world besides the ledger.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) now_ms: u64,
    pub(crate) slack_ms: u64,
    pub(crate) honest: &'a dyn Fn(&Address) -> bool,
    pub(crate) bounds: ShapeBounds,
}

/// The audit.
#[derive(Clone, Debug)]
pub struct Audit<C: Commitment> {
    pub(crate) books: Account<C>,
    guardians: Vec<Guardian>,
    /// What did not hold; the first stops the world.
    pub violations: Vec<Violation>,
    sometimes: u64,
    checks: Vec<u64>,
    stopped: bool,
}

impl<C: Commitment> Default for Audit<C> {
    fn default() -> Self {
        Self {
            books: Account::default(),
            guardians: Vec::new(),
            violations: Vec::new(),
            sometimes: 0,
            checks: vec![0; Invariant::ALL.len()],
            stopped: false,
        }
    }
}

impl<C: Commitment> Audit<C> {
    /// Checks nothing from now on.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Notes that something happened.
    pub fn saw(&mut self, what: Sometimes) {
        self.sometimes |= 1 << what as u8;
    }

    /// What happened, as bits in the order of [`Sometimes::ALL`].
    pub fn sometimes(&self) -> u64 {
        self.sometimes
    }

    /// How often each invariant was checked, in the order of [`Invariant::ALL`].
    pub fn checks(&self) -> &[u64] {
        &self.checks
    }

    /// Checks an invariant.
    pub(crate) fn hold(
        &mut self,
        invariant: Invariant,
        at_ms: u64,
        holds: bool,
        detail: impl FnOnce() -> String,
    ) {
        if self.stopped {
            return;
        }
        if let Some(count) = self.checks.get_mut(invariant as usize) {
            *count += 1;
        }
        if !holds {
            self.violations.push(Violation { invariant, at_ms, detail: detail() });
        }
    }

    /// Looks at one accepted transaction and the state behind it.
    pub(crate) fn accepted(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
        events: &[Event],
    ) {
        if self.stopped {
            return;
        }
        self.money(around, state, action);
        self.funds(around.now_ms, state, sender, action);
        self.demand(around, state, sender, action);
        for event in events {
            self.event(around, state, action, event);
        }
        if let Some(challenge) = match action {
            Action::Demand { challenge, .. } | Action::Refute { challenge, .. } => Some(challenge),
            _ => None,
        } {
            self.clocks(around.now_ms, state, challenge);
        }
    }

    fn money(&mut self, around: &Surroundings<'_>, state: &Settlement<C>, action: &Action) {
        const EVERY_ACCOUNT_UP_TO: usize = 64;
        match action {
            Action::Deposit { amount_wei, .. } => self.books.deposited_wei += amount_wei,
            Action::Withdraw { amount_wei } => self.books.withdrawn_wei += amount_wei,
            _ => {}
        }
        let money = state.money();
        let seldom = self.checks[Invariant::Conservation as usize];
        if money.accounts().len() > EVERY_ACCOUNT_UP_TO && !seldom.is_multiple_of(64) {
            self.checks[Invariant::Conservation as usize] += 1;
            return;
        }
        let free_wei: u128 = money.accounts().map(|(_, wei)| wei).sum();
        let inside_wei = free_wei + state.locked_by_objects_wei() + money.burned_wei();
        let expected_wei = self.books.deposited_wei - self.books.withdrawn_wei;
        self.hold(Invariant::Conservation, around.now_ms, inside_wei == expected_wei, || {
            format!("{inside_wei} wei on the ledger, {expected_wei} came in and stayed")
        });
    }

    fn demand(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        sender: &Address,
        action: &Action,
    ) {
        let Action::Demand { challenge: id, request, .. } = action else {
            return;
        };
        if !(around.honest)(sender) {
            return;
        }
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let (demands, bound) = (challenge.demands, around.bounds.demands);
        self.hold(Invariant::DemandsBounded, around.now_ms, demands <= bound, || {
            format!("demand {demands} of an honest challenger, {bound} suffice for the model")
        });
        let Some(claim) = self.books.claims.get(&challenge.claim) else {
            return;
        };
        let Some(known) = &claim.known else { return };
        let Some(truth) = self.truth_of(state, &challenge.claim) else {
            return;
        };
        let differs = differs_at(&known.clone(), &truth, request);
        self.hold(Invariant::DescentContainsDivergence, around.now_ms, differs, || {
            format!(
                "an honest challenger demands {}, where both runs agree",
                words::request(request)
            )
        });
    }

    fn truth_of(&self, state: &Settlement<C>, claim: &Digest) -> Option<Arc<Known<C>>> {
        self.books.truths.get(&state.claim(claim)?.terms.job).cloned()
    }

    fn clocks(&mut self, now_ms: u64, state: &Settlement<C>, id: &Digest) {
        let Some(challenge) = state.challenge(id) else {
            return;
        };
        let now = (challenge.executor_clock_ms, challenge.challenger_clock_ms);
        let before = self.books.clocks.insert(*id, now).unwrap_or((
            state.parameters().executor_clock_ms,
            state.parameters().challenger_clock_ms,
        ));
        let holds = now.0 <= before.0 && now.1 <= before.1;
        self.hold(Invariant::ClocksMonotone, now_ms, holds, || {
            let ((one, other), (now_one, now_other)) = (before, now);
            format!(
                "the clocks of {id} went from {one} and {other} ms to {now_one} and {now_other} ms"
            )
        });
    }

    fn event(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
        event: &Event,
    ) {
        match event {
            Event::Revealed { claim, request } => self.revealed(around, state, claim, request),
            Event::ClaimFallen { claim, reason, burned_wei } => {
                self.fallen(around, state, claim, reason, *burned_wei);
            }
            Event::ChallengeWon { challenge, challenger, reward_wei } => {
                self.won(around, state, challenge, challenger, *reward_wei);
            }
            Event::ChallengeLost { challenge, challenger, .. } => {
                let by_time = matches!(action, Action::CallTime { .. });
                self.saw(match by_time {
                    true => Sometimes::ChallengerTimedOut,
                    false => Sometimes::ChallengeUpheld,
                });
                let claim = state.challenge(challenge).map(|challenge| challenge.claim);
                let entry = claim.and_then(|id| self.books.claims.get(&id));
                let wronged =
                    (around.honest)(challenger) && entry.is_some_and(|claim| !claim.is_true);
                self.hold(Invariant::HonestRefutationWins, around.now_ms, !wronged, || {
                    format!("an honest challenger lost {challenge} against a false claim")
                });
            }
            Event::ClaimFinal { claim, job } => self.is_final(around, state, claim, job),
            Event::StakeReleased { .. } => self.saw(Sometimes::StakeReleased),
            Event::JobCancelled { .. } => self.saw(Sometimes::JobCancelled),
            Event::Withdrawn { .. } => {
                if state.challenges().any(|(_, challenge)| challenge.is_open()) {
                    self.saw(Sometimes::Withdrawn);
                }
            }
            Event::Deposited { .. }
            | Event::ClaimSealed { .. }
            | Event::Attested { .. }
            | Event::SealExpired { .. }
            | Event::AttentionProven { .. }
            | Event::AttentionPaid { .. }
            | Event::ModelRegistered { .. }
            | Event::JobPosted { .. }
            | Event::ClaimPosted { .. }
            | Event::Challenged { .. }
            | Event::Demanded { .. } => {}
        }
    }

    fn revealed(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &Digest,
        request: &Request,
    ) {
        let Some(claim) = state.claim(id) else { return };
        let floor_ms = state.parameters().move_floor_ms;
        let mut served = 0;
        let mut waits = false;
        for challenge_id in &claim.challenges {
            let Some(challenge) = state.challenge(challenge_id) else {
                continue;
            };
            let in_time = challenge.deadline_ms(floor_ms).is_some_and(|at| around.now_ms <= at);
            waits |= challenge.pending() == Some(request) && in_time;
            if let ChallengeStatus::Open { since_ms, .. } = challenge.status {
                served += u32::from(since_ms == around.now_ms);
            }
            self.clocks(around.now_ms, state, challenge_id);
        }
        if served > 1 {
            self.saw(Sometimes::AnswerShared);
        }
        self.hold(Invariant::AnswersShared, around.now_ms, !waits, || {
            format!("{} is open and a challenge still waits for it", words::request(request))
        });
        let Some(entry) = self.books.claims.get_mut(id) else {
            return;
        };
        let fresh = entry.opened.insert(*request);
        let (count, known) = (entry.opened.len() as u64, entry.known.clone());
        let bounded = fresh && count <= around.bounds.openings;
        self.hold(Invariant::OpeningsBounded, around.now_ms, bounded, || match fresh {
            true => format!("{count} openings, the run has {}", around.bounds.openings),
            false => format!("{} was opened twice", words::request(request)),
        });
        if let Some(known) = known {
            let committed = is_committed(&known, claim, request);
            self.hold(Invariant::FactsAreCommitted, around.now_ms, committed, || {
                let request = words::request(request);
                format!("{request} was answered with something else than was committed")
            });
        }
    }

    fn fallen(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &Digest,
        reason: &FallReason,
        burned_wei: u128,
    ) {
        use protocol::referee::Evidence;
        self.saw(match reason {
            FallReason::Silence(_) => Sometimes::FellBySilence,
            FallReason::Refuted(Evidence::Step { claimed, .. }) if claimed.len() > 1 => {
                Sometimes::RefutedByRun
            }
            FallReason::Refuted(Evidence::Step { run, .. }) if *run > 0 => Sometimes::RefutedByRun,
            FallReason::Refuted(Evidence::Step { .. } | Evidence::Leaf { .. }) => {
                Sometimes::RefutedByStep
            }
            FallReason::Refuted(Evidence::Contradiction { .. } | Evidence::StateValue { .. }) => {
                Sometimes::RefutedByBinding
            }
        });
        let Some(claim) = state.claim(id) else { return };
        let stake_wei = claim.stake_wei;
        self.hold(Invariant::HalfBurned, around.now_ms, burned_wei >= stake_wei / 2, || {
            format!("{burned_wei} of {stake_wei} wei burned")
        });
        let open = claim
            .challenges
            .iter()
            .any(|id| state.challenge(id).is_some_and(|challenge| challenge.is_open()));
        self.hold(Invariant::VerdictEndsAll, around.now_ms, !open, || {
            format!("{id} fell and a challenge of it is still open")
        });
        let entry = self.books.claims.get(id);
        let (is_true, by_honest) = entry.map_or((false, false), |e| (e.is_true, e.by_honest));
        let refuted = matches!(reason, FallReason::Refuted(_));
        // A lie inside a layer that does not reach its end leaves the claim true; opened, it is
        // refuted all the same.
        let honest = entry.and_then(|entry| entry.known.as_ref()).is_some_and(|one| one.honest);
        let wrong = refuted && is_true && honest;
        self.hold(Invariant::VerdictIsTruth, around.now_ms, !wrong, || {
            format!("the true claim {id} was refuted and {}", words::fall(reason, None))
        });
        let silenced = by_honest && !refuted;
        self.hold(Invariant::NoHonestLoss, around.now_ms, !silenced, || {
            format!("an honest executor's claim {id} was {}", words::fall(reason, None))
        });
        if claim.facts.openings() > 3 {
            self.saw(Sometimes::Withheld);
        } else {
            self.saw(Sometimes::Published);
        }
        // What strangers play among themselves may end whenever somebody calls time.
        let honest_part = claim.challenges.iter().any(|id| {
            state.challenge(id).is_some_and(|challenge| (around.honest)(&challenge.challenger))
        });
        if honest_part {
            self.in_time(around, claim.last_finality_ms, id);
        }
    }

    fn in_time(&mut self, around: &Surroundings<'_>, last_ms: u64, id: &Digest) {
        let bound_ms = last_ms.saturating_add(around.slack_ms);
        self.hold(Invariant::DisputesEnd, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{id} ended after its printed bound {last_ms} ms and {} ms", around.slack_ms)
        });
    }

    fn won(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &Digest,
        challenger: &Address,
        reward_wei: u128,
    ) {
        let Some(claim) = state.challenge(id).and_then(|challenge| state.claim(&challenge.claim))
        else {
            return;
        };
        let winners = claim.challenges.iter().filter(|id| {
            let challenge = state.challenge(id);
            challenge.is_some_and(|one| matches!(one.status, ChallengeStatus::Won { .. }))
        });
        let honest = winners
            .clone()
            .filter(|id| state.challenge(id).is_some_and(|one| (around.honest)(&one.challenger)));
        if honest.count() > 1 {
            self.saw(Sometimes::TwoHonestChallengers);
        }
        if !(around.honest)(challenger) {
            return;
        }
        // What is promised to each: its costs, as far as half of the stake reaches.
        let (cost_wei, half_wei) = (state.parameters().challenge_cost_wei, claim.stake_wei / 2);
        let opened = claim.challenges.len() as u128;
        let promised_wei = if cost_wei * opened <= half_wei { cost_wei } else { 0 };
        self.hold(Invariant::RewardCoversCost, around.now_ms, reward_wei >= promised_wei, || {
            format!("an honest winner got {reward_wei} of {promised_wei} wei promised")
        });
    }

    fn is_final(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        id: &Digest,
        job: &Digest,
    ) {
        let Some(claim) = state.claim(id) else { return };
        let entry = self.books.claims.get(id);
        let is_true = entry.is_some_and(|entry| entry.is_true);
        let guarded = self.is_guarded(claim);
        if !is_true && !guarded {
            self.saw(Sometimes::FalseFinalUnwatched);
        }
        let early = around.now_ms <= claim.window_end_ms;
        self.hold(Invariant::WindowRespected, around.now_ms, !early, || {
            format!("{id} became final before its window ended at {} ms", claim.window_end_ms)
        });
        let false_final = !is_true && guarded && !early;
        self.hold(Invariant::NoFalseFinal, around.now_ms, !false_final, || {
            format!("the false claim {id} became final with an honest challenger in funds at hand")
        });
        self.saw(match claim.challenges.is_empty() {
            true => Sometimes::ClaimFinal,
            false => Sometimes::FinalAfterDispute,
        });
        let Some(job) = state.job(job) else { return };
        if job.claims.first() != Some(id) {
            self.saw(Sometimes::RivalFinal);
        }
        self.in_time(around, claim.last_finality_ms, id);
        // Claims that came no later than this one delay it by their own disputes at most, all of
        // which ran at once: their number does not matter.
        let window_ms = job.terms.window_ms;
        let bound_ms = claim
            .posted_ms
            .saturating_add(window_ms)
            .saturating_add(state.parameters().challenge_ms_max())
            .saturating_add(around.slack_ms);
        self.hold(Invariant::DelayIndependent, around.now_ms, around.now_ms <= bound_ms, || {
            format!("{} claims delayed the job beyond {bound_ms} ms", job.claims.len())
        });
    }

    /// A dispute in which somebody honest takes part, or for which an honest claim waits, is over
    /// by the bound printed with its claim. Nobody is bound to end what only strangers play.
    fn dispute_ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        challenge: &Challenge,
    ) {
        let Some(claim) = state.claim(&challenge.claim) else {
            return;
        };
        let honest_waits = state.job(&claim.terms.job).is_some_and(|job| {
            // The honest claim itself, or one that stands behind the disputed one.
            job.claims.iter().skip_while(|id| **id != challenge.claim).any(|id| {
                let standing =
                    state.claim(id).is_some_and(|one| one.status == ClaimStatus::Standing);
                standing && self.books.claims.get(id).is_some_and(|entry| entry.by_honest)
            })
        });
        let cared_for = honest_waits || (around.honest)(&challenge.challenger);
        let over = around.now_ms > claim.last_finality_ms.saturating_add(around.slack_ms);
        let late = challenge.is_open() && over && cared_for;
        self.hold(Invariant::DisputesEnd, around.now_ms, !late, || {
            let bound_ms = claim.last_finality_ms;
            format!("a challenge of {} is open after {bound_ms} ms", challenge.claim)
        });
    }

    /// Looks at the whole state when everything is over.
    pub(crate) fn ended(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        honest_deltas: &[(String, i128)],
    ) {
        // One thing that went wrong brings the others with it: only the first is reported.
        for (_, challenge) in state.challenges() {
            self.dispute_ended(around, state, challenge);
        }
        if !self.violations.is_empty() {
            return;
        }
        for (id, claim) in state.claims() {
            let Some(entry) = self.books.claims.get(id) else {
                continue;
            };
            let (is_true, by_honest) = (entry.is_true, entry.by_honest);
            let done =
                matches!(claim.status, ClaimStatus::Final { .. } | ClaimStatus::Released { .. });
            if is_true && by_honest {
                self.hold(Invariant::TrueFinal, around.now_ms, done, || {
                    format!("the true claim {id} ended as {}", words::claim_status(&claim.status))
                });
            }
        }
        if !self.violations.is_empty() {
            return;
        }
        for (name, delta_wei) in honest_deltas {
            self.hold(Invariant::NoHonestLoss, around.now_ms, *delta_wei >= 0, || {
                format!("{name} lost {} wei", -delta_wei)
            });
        }
    }
}
