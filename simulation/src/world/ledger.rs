//! The ledger stand-in: a queue, blocks, orders, censorship, reorganisations.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ChallengeStatus, Event, Rejection, Settlement, Turn};
use protocol::transaction::{Action, Address};

use super::{Happening, LogLine, Snapshot, World, honesty};
use crate::invariants::{Invariant, Sometimes};
use crate::scenario::{MICROETHER, Ordering, OutageKind};
use crate::strategy::Pending;

/// Blocks for which the queue holds a transaction that comes before its turn.
const PATIENCE_BLOCKS: u64 = 30;

impl<C: Commitment> World<C> {
    pub(super) fn plan_block(&mut self, after_ms: u64) {
        let block_ms = self.scenario.ledger.block_ms;
        let at_ms = (after_ms / block_ms + 1) * block_ms;
        if self.block_at_ms.is_some_and(|planned| planned <= at_ms && planned >= self.now_ms) {
            return;
        }
        self.block_at_ms = Some(at_ms);
        self.schedule(at_ms, Happening::Block);
    }

    /// Makes a block of what waits.
    pub(super) fn block(&mut self) {
        if self.block_at_ms != Some(self.now_ms) {
            return;
        }
        self.block_at_ms = None;
        self.maybe_reorganise();
        let taken = self.take_from_queue();
        let remembers = self.scenario.ledger.reorganisation_permille > 0;
        if remembers {
            self.remember(&taken);
        }
        for pending in &taken {
            self.take(pending);
            if !self.audit.violations.is_empty() {
                return;
            }
        }
        if let Some(next_ms) = self.waiting.iter().map(|pending| pending.arrives_ms).min() {
            self.plan_block(next_ms.max(self.now_ms));
        }
    }

    /// Takes out of the queue what the next block holds, in order.
    fn take_from_queue(&mut self) -> Vec<Pending> {
        let now_ms = self.now_ms;
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for pending in std::mem::take(&mut self.waiting) {
            let censored = self.is_censored(&pending.sender);
            if censored {
                self.audit.saw(Sometimes::Censored);
            }
            if pending.arrives_ms <= now_ms && !censored {
                taken.push(pending);
            } else {
                left.push(pending);
            }
        }
        match self.scenario.ledger.ordering {
            Ordering::Fair => taken.sort_by_key(|one| (one.arrives_ms, one.submission)),
            Ordering::Fee => {
                taken.sort_by_key(|one| (u32::MAX - one.bid, one.arrives_ms, one.submission));
            }
            Ordering::Builder => {
                taken.sort_by_key(|one| {
                    let last = !self.allies.contains(&one.sender);
                    (last, u32::MAX - one.bid, one.arrives_ms, one.submission)
                });
            }
        }
        let (taken, rest) = self.in_sequence(taken);
        left.extend(rest);
        self.waiting = left;
        taken
    }

    /// What a block takes of a queue in the order wanted: a sender's transactions only in the order
    /// of their numbers, nothing that cannot count; the rest waits some blocks for its turn.
    fn in_sequence(&mut self, queue: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let room = self.scenario.ledger.block_transactions as usize;
        let mut numbers: BTreeMap<Address, u64> = BTreeMap::new();
        let (mut taken, mut rest, mut dropped) = (Vec::new(), queue, Vec::new());
        loop {
            let before = taken.len();
            let mut later = Vec::new();
            for pending in rest {
                let next = numbers
                    .entry(pending.sender)
                    .or_insert_with(|| self.settlement.nonce(&pending.sender));
                match pending.nonce.cmp(next) {
                    Less => {
                        self.audit.saw(Sometimes::NonceTaken);
                        self.try_again(&pending);
                        dropped.push(pending.sender);
                    }
                    Equal if taken.len() < room => {
                        *next += 1;
                        taken.push(pending);
                    }
                    Equal | Greater => later.push(pending),
                }
            }
            rest = later;
            if taken.len() == before || rest.is_empty() {
                break;
            }
        }
        if taken.len() == room && !rest.is_empty() {
            self.audit.saw(Sometimes::QueueFull);
        }
        let patience_ms = PATIENCE_BLOCKS * self.scenario.ledger.block_ms;
        rest.retain(|pending| {
            let waits = pending.arrives_ms + patience_ms > self.now_ms;
            if !waits {
                dropped.push(pending.sender);
            }
            waits
        });
        // Who is dropped hears nothing, but looks again.
        for sender in dropped {
            if let Some(index) = self.by_address.get(&sender).copied() {
                self.wake_soon(index);
            }
        }
        (taken, rest)
    }

    /// A queue drops what carries a used number; the ledger must refuse it as well, whoever hands it in.
    fn try_again(&mut self, pending: &Pending) {
        // One that comes twice for the same block is used by none yet.
        if pending.nonce >= self.settlement.nonce(&pending.sender) {
            return;
        }
        let mut copy = Settlement::clone(&self.settlement);
        let now_ms = self.now_ms.max(copy.now_ms());
        let again = copy.perform_numbered(now_ms, pending.sender, pending.nonce, &pending.action);
        let is_refused = matches!(again, Err(Rejection::Nonce { .. }));
        self.audit.hold(Invariant::NumbersCountOnce, now_ms, is_refused, || {
            format!("number {} of {} counts a second time", pending.nonce, pending.sender)
        });
    }

    fn is_censored(&self, sender: &Address) -> bool {
        if self.scenario.outage.is_empty() {
            return false;
        }
        let party = self.by_address.get(sender).and_then(|index| self.parties.get(*index));
        party.is_some_and(|one| self.outage(one.group, OutageKind::Censored, self.now_ms).is_some())
    }

    fn remember(&mut self, taken: &[Pending]) {
        self.history.push_back(Snapshot {
            at_ms: self.now_ms,
            settlement: Arc::clone(&self.settlement),
            books: self.audit.books.clone(),
            accepted: self.accepted.len(),
            withdrawn: self.withdrawn.clone(),
            taken: taken.to_vec(),
        });
        while self.history.len() > self.scenario.ledger.reorganisation_blocks as usize {
            self.history.pop_front();
        }
    }

    /// The last blocks are replaced: their transactions wait again, in another order.
    fn maybe_reorganise(&mut self) {
        let permille = self.scenario.ledger.reorganisation_permille;
        if !self.faults() || !self.order.chance(permille) {
            return;
        }
        // Empty blocks count as well: what is old is settled for good.
        let ledger = &self.scenario.ledger;
        let reach_ms = ledger.block_ms * u64::from(ledger.reorganisation_blocks);
        while self.history.front().is_some_and(|one| one.at_ms + reach_ms < self.now_ms) {
            self.history.pop_front();
        }
        let Some(oldest) = self.history.pop_front() else {
            return;
        };
        if self.settlement.open_challenges().next().is_some() {
            self.audit.saw(Sometimes::Reorganised);
        }
        let later = std::mem::take(&mut self.history);
        self.settlement = oldest.settlement;
        self.audit.books = oldest.books;
        self.accepted.truncate(oldest.accepted);
        self.withdrawn = oldest.withdrawn;
        let again = later.into_iter().flat_map(|snapshot| snapshot.taken);
        for mut pending in oldest.taken.into_iter().chain(again) {
            // Another order between senders; each sender's own numbers still hold its order.
            pending.arrives_ms = self.now_ms - self.order.below(2);
            self.waiting.push(pending);
        }
        for index in 0..self.parties.len() {
            self.wake_soon(index);
        }
    }

    /// Applies one transaction and tells everybody concerned.
    fn take(&mut self, pending: &Pending) {
        self.events += 1;
        let Some(&index) = self.by_address.get(&pending.sender) else {
            return;
        };
        let floor_saves = self.floor_saves(pending);
        let now_ms = self.now_ms;
        let settlement = Arc::make_mut(&mut self.settlement);
        let (sender, nonce) = (pending.sender, pending.nonce);
        let outcome = settlement.perform_numbered(now_ms, sender, nonce, &pending.action);
        self.log_event(index, pending, &outcome);
        self.note_shape(&pending.action, &outcome);
        if let Some(one) = self.parties.get_mut(index) {
            one.in_flight.retain(|sent| sent.nonce != pending.nonce);
            one.gas_wei += u128::from(self.scenario.ledger.transaction_microether) * MICROETHER;
        }
        match outcome {
            Ok(events) => {
                self.height += 1;
                if let Some(one) = self.parties.get_mut(index) {
                    one.rejections = 0;
                }
                if floor_saves {
                    self.audit.saw(Sometimes::FloorSaved);
                }
                if self.check_replay {
                    let accepted =
                        (now_ms, pending.sender, pending.nonce, Arc::clone(&pending.action));
                    self.accepted.push(accepted);
                }
                self.accepted_events(index, pending, &events);
            }
            Err(rejection) => self.rejected(index, pending, &rejection),
        }
    }

    /// Whether a move is in time only because every move has a least time.
    fn floor_saves(&self, pending: &Pending) -> bool {
        let challenge = match pending.action.as_ref() {
            Action::Demand { claim, .. } => self.settlement.challenge_by(claim, &pending.sender),
            Action::Refute { claim, challenger, .. } => {
                self.settlement.challenge_by(claim, challenger)
            }
            _ => None,
        };
        challenge.is_some_and(|one| {
            matches!(one.status, ChallengeStatus::Open { turn: Turn::Challenger, since_ms }
                if self.now_ms > since_ms.saturating_add(one.challenger_clock_ms))
        })
    }

    fn accepted_events(&mut self, index: usize, pending: &Pending, events: &[Event]) {
        for event in events {
            if let Event::ClaimPosted { claim, .. } = event {
                self.audit_claim(*claim);
            }
            if let Event::JobPosted { job } = event {
                self.adopt_job(*job);
            }
            if let Event::Withdrawn { account, amount_wei } = event {
                *self.withdrawn.entry(*account).or_default() += amount_wei;
            }
            if let Event::ChallengeWon { .. }
            | Event::ChallengeLost { .. }
            | Event::ChallengeWithdrawn { .. } = event
            {
                self.disputes += 1;
            }
        }
        let honest = honesty(&self.parties, &self.by_address);
        let around = self.surroundings(&honest);
        let state: &Settlement<C> = &self.settlement;
        self.audit.accepted(&around, state, &pending.sender, &pending.action, events);
        for event in events {
            self.tell(event);
        }
        match pending.action.as_ref() {
            // What comes next is the other side's answer, or the end of its time.
            Action::Demand { claim, .. } => {
                self.wake_at_deadlines(index, claim, std::slice::from_ref(&pending.sender));
            }
            // Answers are given a few at a time: what is left waits for the next look.
            Action::Reveal { .. } if self.owes_answers(&pending.sender) => self.wake_soon(index),
            Action::Reveal { claim, challengers, .. } => {
                self.wake_at_deadlines(index, claim, challengers);
            }
            _ => self.wake_soon(index),
        }
    }

    /// Whether an executor is asked something that it has not answered.
    fn owes_answers(&self, executor: &Address) -> bool {
        let settlement = &self.settlement;
        settlement.open_challenges().any(|(_, challenge)| {
            let claim = settlement.claim(&challenge.claim);
            challenge.pending().is_some() && claim.is_some_and(|claim| claim.executor == *executor)
        })
    }

    /// A party looks again when the time of these challengers' challenges of a claim is over.
    fn wake_at_deadlines(&mut self, index: usize, claim: &ClaimId, challengers: &[Address]) {
        let floor_ms = self.settlement.parameters().move_floor_ms;
        let settlement = &self.settlement;
        let challenges = challengers.iter().filter_map(|one| settlement.challenge_by(claim, one));
        let ends_ms = challenges.filter_map(|challenge| challenge.deadline_ms(floor_ms));
        // Whoever looks at the first of them plans the next look itself.
        if let Some(at_ms) = ends_ms.min() {
            let skew_ms = self.parties.get(index).map_or(0, |one| one.clock_skew_ms);
            let at_ms = (at_ms + 1).saturating_add_signed(skew_ms.saturating_neg());
            self.wake(index, at_ms.max(self.now_ms + 1));
        }
    }

    /// Executors of claims on a job, each as often as it has any.
    fn executors_on(&self, job: &JobId) -> Vec<usize> {
        let claims = self.settlement.claims_of(job).filter_map(|id| self.settlement.claim(id));
        claims.filter_map(|claim| self.by_address.get(&claim.executor)).copied().collect()
    }

    /// Wakes those whom an event concerns.
    fn tell(&mut self, event: &Event) {
        let mut concerned: Vec<usize> = Vec::new();
        let executor_of = |world: &Self, claim: &_| {
            let claim = world.settlement.claim(claim)?;
            world.by_address.get(&claim.executor).copied()
        };
        match event {
            Event::ClaimPosted { .. } => {
                concerned.extend((0..self.parties.len()).filter(|index| {
                    self.parties.get(*index).is_some_and(|one| {
                        matches!(one.core, super::PartyCore::Challenger(_))
                            || !one.plan.behaviours.is_empty()
                    })
                }));
            }
            Event::Challenged { claim, .. } => {
                concerned.extend(executor_of(self, claim));
                concerned.extend((0..self.parties.len()).filter(|index| {
                    self.parties.get(*index).is_some_and(|one| !one.plan.behaviours.is_empty())
                }));
            }
            Event::Demanded { challenge, .. } => {
                let claim = self.settlement.challenge(challenge).map(|one| one.claim);
                concerned.extend(claim.and_then(|claim| executor_of(self, &claim)));
            }
            Event::Revealed { claim, .. } => {
                concerned.extend(self.challengers_of(claim));
            }
            Event::ClaimFallen { claim, .. } => {
                // Those who have something to collect.
                concerned.extend(self.challengers_of(claim));
                let job = self.settlement.claim(claim).map(|claim| claim.terms.job);
                concerned.extend(job.map(|job| self.executors_on(&job)).unwrap_or_default());
                // Executors whose claim it kept away, and clients whose job nobody answers now.
                concerned.extend((0..self.parties.len()).filter(|index| {
                    self.parties.get(*index).is_some_and(|one| match one.core {
                        super::PartyCore::Executor(_) | super::PartyCore::Client { .. } => true,
                        super::PartyCore::Challenger(_) => false,
                    })
                }));
            }
            // What is final lets the others have their stakes back; what was passed lets the next be final.
            Event::ClaimFinal { job, .. } | Event::JobPassed { job, .. } => {
                concerned.extend(self.executors_on(job));
            }
            Event::ChallengeLost { challenge, .. }
            | Event::ChallengeWithdrawn { challenge, .. } => {
                let claim = self.settlement.challenge(challenge).map(|one| one.claim);
                concerned.extend(claim.and_then(|claim| executor_of(self, &claim)));
            }
            _ => {}
        }
        for index in concerned {
            self.wake_soon(index);
        }
    }

    /// Those whose challenges of a claim are open, or to be collected.
    fn challengers_of(&self, claim: &ClaimId) -> Vec<usize> {
        let challenges =
            self.settlement.challenges_of(claim).filter_map(|id| self.settlement.challenge(id));
        let open = challenges.filter(|challenge| challenge.is_open());
        open.filter_map(|one| self.by_address.get(&one.challenger)).copied().collect()
    }

    fn rejected(&mut self, index: usize, pending: &Pending, rejection: &Rejection) {
        self.audit_rejection(pending, rejection);
        let block_ms = self.scenario.ledger.block_ms;
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        one.rejections += 1;
        one.refused = true;
        // Who is refused for noise looks less often, and so does who settles in vain; a move that
        // has a deadline is made again at once. A number out of turn says nothing about the move: one that
        // is always refused must not hold up what is sent after it.
        let out_of_turn = matches!(rejection, Rejection::Nonce { .. });
        let patient = !out_of_turn
            && matches!(
                pending.action.as_ref(),
                Action::Finalise { .. }
                    | Action::CallTime { .. }
                    | Action::PostClaim { .. }
                    | Action::Pass { .. }
                    | Action::Release { .. }
                    | Action::Collect { .. }
                    | Action::ExpireJob { .. }
            );
        let pause_ms = match (one.plan.honest, patient) {
            (true, false) => block_ms / 2,
            (true, true) => one.is_refused_again(pending.fingerprint, self.now_ms, block_ms),
            (false, _) => block_ms * u64::from(one.rejections.min(8)),
        };
        let at_ms = self.now_ms + pause_ms;
        self.wake(index, at_ms);
    }

    fn audit_rejection(&mut self, pending: &Pending, rejection: &Rejection) {
        let copied = self.by_address.get(&pending.sender).is_some_and(|index| {
            self.parties.get(*index).is_some_and(|one| one.plan.watches_queue)
        });
        if copied {
            self.audit.saw(Sometimes::CopiedMove);
        }
        let saw = match rejection {
            Rejection::Nonce { .. } => Some(Sometimes::NonceTaken),
            Rejection::TooEarly { .. } => Some(Sometimes::TooEarly),
            Rejection::TooLate { .. } | Rejection::Over { .. } => Some(Sometimes::TooLate),
            Rejection::NotBound => Some(Sometimes::Unbound),
            Rejection::DemandsUsed => Some(Sometimes::DemandsUsed),
            Rejection::Money(_) => Some(Sometimes::OutOfMoney),
            Rejection::Ask(_) => match pending.action.as_ref() {
                Action::Reveal { .. } => Some(Sometimes::BadAnswer),
                _ => Some(Sometimes::DemandRefused),
            },
            Rejection::Referee(_) => Some(Sometimes::BadProof),
            _ => None,
        };
        saw.into_iter().for_each(|saw| self.audit.saw(saw));
    }

    fn log_event(
        &mut self,
        index: usize,
        pending: &Pending,
        outcome: &Result<Vec<Event>, Rejection>,
    ) {
        let mut mixed = self.log_hash;
        for word in [
            self.now_ms,
            index as u64,
            pending.nonce,
            pending.fingerprint,
            u64::from(outcome.is_ok()),
        ] {
            mixed = crate::rng::seed_of(mixed ^ word, word);
        }
        self.log_hash = mixed;
        if let Some(log) = &mut self.log {
            log.push(LogLine {
                at_ms: self.now_ms,
                submission: pending.submission,
                group: self.parties.get(index).map_or(0, |one| one.group),
                party: index,
                action: pending.action.as_ref().clone(),
                outcome: outcome.as_ref().map(|_| ()).map_err(ToString::to_string),
            });
        }
    }
}
