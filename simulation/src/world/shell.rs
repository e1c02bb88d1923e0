//! The shell around a party's core: looking, deciding, numbering, sending, crashing.

use std::sync::Arc;

use ledger::{View, words};
use protocol::hash::Commitment;

use super::party::{InFlight, fingerprint};
use super::{PartyCore, World};
use crate::invariants::{Invariant, Sometimes};
use crate::strategy::{Intent, Pending, Sight};

impl<C: Commitment> World<C> {
    /// A party looks at the ledger, decides, and sends.
    pub(super) fn look(&mut self, index: usize) {
        if !self.begins_to_look(index) {
            return;
        }
        let view = self.view(index);
        let Some(decisions) = self.decisions(index, &view) else {
            return;
        };
        self.take_shown_inputs(index, &view);
        let Some(one) = self.parties.get(index) else {
            return;
        };
        let (next_ms, skew_ms) = (one.core.next_look_ms(&view), one.clock_skew_ms);
        let mut intents = self.intents(index, &view, decisions);
        let choice = self.parties.get_mut(index).and_then(|one| one.choice.take());
        if let Some(choice) = choice {
            intents = choice.apply(intents);
        }
        drop(view);
        let held_ms = self.send_all(index, intents);
        // The core's times are on its own clock.
        let next_ms = next_ms.map(|at_ms| at_ms.saturating_add_signed(skew_ms.saturating_neg()));
        let own_ms = self.parties.get(index).and_then(|one| {
            one.plan.behaviours.iter().filter_map(|behaviour| behaviour.next_look_ms()).min()
        });
        let own_ms = own_ms.map(|at_ms| at_ms.saturating_add_signed(skew_ms.saturating_neg()));
        let times = [next_ms, held_ms, own_ms, self.resend_ms(index), self.patient_ms(index)];
        if let Some(at_ms) = times.into_iter().flatten().min() {
            self.wake(index, at_ms.max(self.now_ms + 1));
        }
    }

    /// Whether a party that was to look now can, and still may send anything.
    fn begins_to_look(&mut self, index: usize) -> bool {
        let Some(one) = self.parties.get_mut(index) else {
            return false;
        };
        if one.look_at_ms != Some(self.now_ms) {
            return false;
        }
        one.look_at_ms = None;
        if one.transactions >= one.plan.transactions_max {
            return false;
        }
        if let Some(back_ms) = self.away_until_ms(index) {
            self.note_absence(index);
            self.wake(index, back_ms);
            return false;
        }
        true
    }

    /// What a party's core decides on a view, audited when it is honest; `None` when it crashes
    /// instead.
    fn decisions(&mut self, index: usize, view: &View<C>) -> Option<Vec<node::Decision>> {
        let repeat = self.audit_dice.chance(20);
        let faults = self.faults();
        let one = self.parties.get_mut(index)?;
        let ledger_nonce = view.settlement.nonce(&one.address);
        one.in_flight.retain(|sent| sent.nonce >= ledger_nonce);
        // Nothing after a gap can ever count: it is numbered anew.
        if one.in_flight.iter().all(|sent| sent.nonce > ledger_nonce) {
            one.in_flight.clear();
        }
        if let Some(crashes) = one.plan.crashes
            && faults
            && self.attack.chance(crashes.permille)
        {
            self.crash(index, crashes);
            return None;
        }
        let decisions = one.core.decide(view);
        if one.plan.honest {
            let limit = work_max(view);
            let count = decisions.len();
            self.audit.hold(Invariant::WorkBounded, self.now_ms, count <= limit, || {
                format!("{count} decisions at once, {limit} things are under way")
            });
            if repeat {
                let again = one.core.clone().decide(view);
                let same = again == decisions;
                self.audit.hold(Invariant::SameViewSameActions, self.now_ms, same, || {
                    "the same core decided otherwise on the same view".to_owned()
                });
            }
        }
        Some(decisions)
    }

    /// When a party sends again what the ledger has not answered.
    fn resend_ms(&mut self, index: usize) -> Option<u64> {
        let one = self.parties.get_mut(index)?;
        // What is old and was not sent again is no longer wanted.
        let after_ms = self.scenario.network.resend_ms;
        one.in_flight.retain(|sent| sent.sent_ms + after_ms > self.now_ms);
        let oldest_ms = one.in_flight.iter().map(|sent| sent.sent_ms).min()?;
        Some(oldest_ms + after_ms)
    }

    /// When a party next tries a move again that was refused.
    fn patient_ms(&self, index: usize) -> Option<u64> {
        let times = self.parties.get(index)?.patience.iter().map(|(_, until_ms, _)| *until_ms);
        times.filter(|at_ms| *at_ms > self.now_ms).min()
    }

    pub(super) fn note_absence(&mut self, index: usize) {
        let honest = self.parties.get(index).is_some_and(|one| one.plan.honest);
        let disputed = self.settlement.open_challenges().next().is_some();
        if honest && disputed {
            let down = self.parties.get(index).is_some_and(|one| one.down_until_ms > self.now_ms);
            self.audit.saw(if down { Sometimes::Restarted } else { Sometimes::Partitioned });
        }
    }

    /// A party goes down and forgets what its journal did not keep.
    pub(super) fn crash(&mut self, index: usize, crashes: crate::strategy::Crashes) {
        let now_ms = self.now_ms;
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        one.down_until_ms = now_ms + crashes.down_ms;
        match crashes.before_sending {
            // The whole tail is torn off: it knows only what the ledger says.
            true => one.in_flight.clear(),
            false => drop(one.in_flight.pop()),
        }
        self.note_absence(index);
        self.wake(index, now_ms + crashes.down_ms);
    }

    pub(super) fn intents(
        &mut self,
        index: usize,
        view: &View<C>,
        decisions: Vec<node::Decision>,
    ) -> Vec<Intent> {
        let Some(one) = self.parties.get_mut(index) else {
            return Vec::new();
        };
        let mut intents: Vec<Intent> = decisions.into_iter().map(Intent::from).collect();
        if one.plan.honest {
            // An operator bids for a place where places are scarce.
            if !one.patience.is_empty() {
                intents.retain(|intent| !one.is_patient(fingerprint(&intent.action), self.now_ms));
            }
            let soon_ms = view.now_ms.saturating_add(URGENT_MS);
            for intent in &mut intents {
                let urgent = intent.deadline_ms.is_some_and(|at_ms| at_ms < soon_ms);
                intent.bid = if urgent { URGENT_BID } else { HONEST_BID };
            }
        }
        if one.plan.behaviours.is_empty() {
            return intents;
        }
        let challenger = match &one.core {
            PartyCore::Challenger(core) => Some(core),
            PartyCore::Executor(_) | PartyCore::Client { .. } => None,
        };
        let mut sight = Sight {
            now_ms: view.now_ms,
            me: one.address,
            allies: &self.allies,
            view,
            queue: if one.plan.watches_queue { &self.waiting } else { &[] },
            challenger,
            fixtures: &self.environment.fixtures,
            model: self.scenario.model as usize,
            runs: &mut self.known_runs,
            rng: &mut self.attack,
        };
        for behaviour in &mut one.plan.behaviours {
            intents = behaviour.play(&mut sight, intents);
        }
        intents
    }

    /// Sends what is due; says when the next held move is.
    pub(super) fn send_all(&mut self, index: usize, intents: Vec<Intent>) -> Option<u64> {
        let mut held_ms: Option<u64> = None;
        let slots = self.parties.get(index).map_or(0, |one| one.plan.slots as usize);
        let mut sent = 0;
        for intent in intents {
            if intent.not_before_ms > self.now_ms {
                held_ms =
                    Some(held_ms.map_or(intent.not_before_ms, |at| at.min(intent.not_before_ms)));
                continue;
            }
            if sent >= slots {
                self.audit.saw(Sometimes::Saturated);
                let next_ms = self.now_ms + self.scenario.ledger.block_ms;
                held_ms = Some(held_ms.map_or(next_ms, |at| at.min(next_ms)));
                break;
            }
            sent += usize::from(self.send(index, intent));
        }
        held_ms
    }

    /// Sends one move, unless it is under way; true when something left.
    pub(super) fn send(&mut self, index: usize, intent: Intent) -> bool {
        let content = fingerprint(&intent.action);
        let (now_ms, resend_ms) = (self.now_ms, self.scenario.network.resend_ms);
        let Some(one) = self.parties.get_mut(index) else {
            return false;
        };
        if one.transactions >= one.plan.transactions_max {
            return false;
        }
        one.transactions += 1;
        let ledger_nonce = self.settlement.nonce(&one.address);
        let known = one.in_flight.iter_mut().find(|sent| sent.fingerprint == content);
        let sending = match known {
            Some(sent) if now_ms < sent.sent_ms + resend_ms => {
                one.transactions -= 1;
                return false;
            }
            Some(sent) => {
                sent.sent_ms = now_ms;
                sent.bid = sent.bid.max(intent.bid);
                self.audit.saw(Sometimes::MessageLost);
                sent.clone()
            }
            None => {
                const IN_FLIGHT_MAX: usize = 4_096;
                if one.in_flight.len() >= IN_FLIGHT_MAX {
                    return false;
                }
                let nonce = one.next_nonce(ledger_nonce);
                let (action, bid) = (Arc::new(intent.action), intent.bid);
                let sent = InFlight { nonce, fingerprint: content, action, bid, sent_ms: now_ms };
                one.in_flight.push(sent.clone());
                sent
            }
        };
        if one.plan.honest {
            let consistent = one.says(&sending.action);
            self.audit.hold(Invariant::NoEquivocation, now_ms, consistent, || {
                format!("an honest party says two things: now {}", words::action(&sending.action))
            });
        }
        self.submit(index, &sending);
        self.outbid_own(index, &sending);
        true
    }

    /// A high bid is worth nothing after a low one of the same sender: those before it are sent
    /// again with the same bid.
    pub(super) fn outbid_own(&mut self, index: usize, sending: &InFlight) {
        let Some(one) = self.parties.get_mut(index) else {
            return;
        };
        let mut again = Vec::new();
        for earlier in &mut one.in_flight {
            if earlier.nonce < sending.nonce && earlier.bid < sending.bid {
                (earlier.bid, earlier.sent_ms) = (sending.bid, self.now_ms);
                again.push(earlier.clone());
            }
        }
        for earlier in &again {
            self.submit(index, earlier);
        }
    }

    /// Hands a transaction to the network.
    pub(super) fn submit(&mut self, index: usize, sending: &InFlight) {
        let submission = self.submissions;
        self.submissions += 1;
        let Some((sender, honest)) =
            self.parties.get(index).map(|one| (one.address, one.plan.honest))
        else {
            return;
        };
        // Only of dishonest parties: an honest message that is lost for ever proves nothing.
        if !honest && self.scenario.dropped.binary_search(&submission).is_ok() {
            return;
        }
        let network = self.scenario.network.clone();
        let faults = self.faults();
        let copies = 1 + u32::from(faults && self.network.chance(network.duplicate_permille));
        if copies > 1 {
            self.audit.saw(Sometimes::MessageDoubled);
        }
        for _ in 0..copies {
            let delay_ms = self.delay_ms();
            if faults && self.network.chance(network.loss_permille) {
                continue;
            }
            let arrives_ms = self.now_ms + delay_ms;
            self.waiting.push(Pending {
                sender,
                nonce: sending.nonce,
                action: Arc::clone(&sending.action),
                bid: sending.bid,
                arrives_ms,
                submission,
                fingerprint: sending.fingerprint,
            });
            self.plan_block(arrives_ms);
            self.show_queue(arrives_ms);
        }
    }

    /// Wakes those who look at the queue.
    pub(super) fn show_queue(&mut self, at_ms: u64) {
        for index in 0..self.parties.len() {
            if self.parties.get(index).is_some_and(|one| one.plan.watches_queue) {
                self.wake(index, at_ms + 1);
            }
        }
    }
}

/// What honest parties offer for a place in a block; others offer 1 unless it is their behaviour.
const HONEST_BID: u32 = 10;
/// What they offer when the deadline is near.
const URGENT_BID: u32 = 100_000;
/// How near.
const URGENT_MS: u64 = 60_000;

/// Decisions that a party can have at once: a few for everything that is under way.
fn work_max<C: Commitment>(view: &View<C>) -> usize {
    let settlement = &view.settlement;
    let (jobs, claims) = (settlement.jobs().count(), settlement.claims().count());
    2 * (jobs + claims + settlement.challenges().count()) + 2
}
