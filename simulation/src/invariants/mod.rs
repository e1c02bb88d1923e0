//! What must hold after every event, checked by code that shares nothing with the referee.
//!
//! The audit knows the truth by construction: it holds the honest run of every job and the run
//! of every claim, and keeps its own books from the transactions alone.

mod accounts;
mod clocks;
mod committed;
mod counters;
mod finality;
mod funds;
mod guardian;
mod money;
mod names;
mod openings;
mod promises;
mod says;
mod times;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::asks::{Ask, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Event, Settlement};
use protocol::transaction::{Action, Address};

use crate::bounds::ShapeBounds;
use crate::fixtures::Known;
use crate::scenario::Side;
use crate::worst_cases::{Formula, WorstCases};

pub(crate) use counters::{claim_of, job_of};
pub use names::{Failure, Invariant, Sometimes};

pub(crate) use accounts::Accounts;
use clocks::Clocks;
use committed::AskKey;
use guardian::Guardian;

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
    /// Whether the executor has said nothing but what the honest run says.
    pub(crate) said_truly: bool,
    /// What was answered.
    pub(crate) opened: BTreeSet<AskKey>,
    /// The hashes that answers showed, each at its place.
    pub(crate) shown: BTreeMap<(Tree, u32, u64), Digest>,
}

impl<C: Commitment> Clone for AuditedClaim<C> {
    fn clone(&self) -> Self {
        let (opened, shown) = (self.opened.clone(), self.shown.clone());
        Self { known: self.known.clone(), opened, shown, ..*self }
    }
}

/// The audit's own books; they go back with the ledger when blocks are replaced.
#[derive(Debug)]
pub(crate) struct Books<C: Commitment> {
    pub(crate) deposited_wei: u128,
    pub(crate) withdrawn_wei: u128,
    pub(crate) claims: BTreeMap<ClaimId, AuditedClaim<C>>,
    /// The honest run of each job; `None` where an operator has no result and every claim is false.
    pub(crate) truths: BTreeMap<JobId, Option<Arc<Known<C>>>>,
    clocks: BTreeMap<ChallengeId, Clocks>,
    /// What each challenge asked last.
    asked: BTreeMap<ChallengeId, Ask>,
    /// What each account paid for objects that the ledger keeps.
    pub(crate) record_fees_wei: BTreeMap<Address, u128>,
    /// What it cost each account to take a challenge back: the share of the bond that burned, and what was answered.
    pub(crate) withdrawals_wei: BTreeMap<Address, u128>,
    /// What burned, by the events.
    pub(crate) burned_wei: u128,
    /// Claims that fell.
    fallen: BTreeSet<ClaimId>,
    /// Everybody's money by the rules.
    pub(crate) accounts: Accounts,
    /// What came nearest to the bounds of money and time.
    pub(crate) worst_cases: WorstCases,
}

impl<C: Commitment> Clone for Books<C> {
    fn clone(&self) -> Self {
        Self {
            claims: self.claims.clone(),
            truths: self.truths.clone(),
            clocks: self.clocks.clone(),
            asked: self.asked.clone(),
            record_fees_wei: self.record_fees_wei.clone(),
            withdrawals_wei: self.withdrawals_wei.clone(),
            fallen: self.fallen.clone(),
            accounts: self.accounts.clone(),
            ..*self
        }
    }
}

impl<C: Commitment> Default for Books<C> {
    fn default() -> Self {
        Self {
            deposited_wei: 0,
            withdrawn_wei: 0,
            claims: BTreeMap::new(),
            truths: BTreeMap::new(),
            clocks: BTreeMap::new(),
            asked: BTreeMap::new(),
            record_fees_wei: BTreeMap::new(),
            withdrawals_wei: BTreeMap::new(),
            burned_wei: 0,
            fallen: BTreeSet::new(),
            accounts: Accounts::default(),
            worst_cases: WorstCases::default(),
        }
    }
}

impl<C: Commitment> Books<C> {
    /// An account pays for an object that the ledger keeps.
    pub(crate) fn pays_record_fee(&mut self, account: Address, amount_wei: u128) {
        *self.record_fees_wei.entry(account).or_default() += amount_wei;
        self.burned_wei += amount_wei;
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

/// How an honest party ended.
#[derive(Clone, Debug)]
pub(crate) struct HonestEnd {
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) side: Side,
    /// What its money changed by, a client's paid fees aside.
    pub(crate) delta_wei: i128,
}

/// The audit.
#[derive(Clone, Debug)]
pub struct Audit<C: Commitment> {
    pub(crate) books: Books<C>,
    guardians: Vec<Guardian>,
    /// Whether only executors were given the inputs.
    hidden_inputs: bool,
    /// The first payment that was not by the rules.
    unpaid: Option<Violation>,
    /// What did not hold; the first stops the world.
    pub violations: Vec<Violation>,
    sometimes: u64,
    checks: Vec<u64>,
    stopped: bool,
}

impl<C: Commitment> Audit<C> {
    /// An audit that has seen nothing yet, of a world in which inputs are hidden from all but executors, or not.
    pub(crate) fn new(hidden_inputs: bool) -> Self {
        Self {
            books: Books::default(),
            guardians: Vec::new(),
            hidden_inputs,
            unpaid: None,
            violations: Vec::new(),
            sometimes: 0,
            checks: vec![0; Invariant::ALL.len()],
            stopped: false,
        }
    }

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

    /// Takes down what a formula of money or time bounds.
    fn note(&mut self, formula: Formula, found: i128, allowed: i128) {
        if !self.stopped {
            self.books.worst_cases.note(formula, found, allowed);
        }
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

    /// Looks at one accepted transaction and the state after it.
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
        self.books_of(state, sender, action, events);
        self.books.accounts.settle(state, *sender, action, events);
        self.funds(around.now_ms, state, sender, action);
        // What went wrong first brings the rest with it.
        let looks: [&mut dyn FnMut(&mut Self); 8] = [
            &mut |audit| audit.priced(around, state, sender, action),
            &mut |audit| audit.moves_after_fall(around, action),
            &mut |audit| audit.money(around, state),
            &mut |audit| audit.demand(around, state, sender, action),
            &mut |audit| audit.demanded(around.now_ms, state, sender, action),
            &mut |audit| events.iter().for_each(|one| audit.event(around, state, action, one)),
            &mut |audit| audit.counters(around, state, action),
            &mut |audit| audit.paid(around, state),
        ];
        for look in looks {
            look(self);
            if !self.violations.is_empty() {
                return;
            }
        }
    }

    fn event(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
        event: &Event,
    ) {
        match event {
            Event::Revealed { claim, ask } => self.revealed(around, state, action, claim, ask),
            Event::ClaimFallen { claim, reason, burned_wei } => {
                self.fallen(around, state, claim, reason, *burned_wei);
            }
            Event::ChallengeWon { challenge, challenger, reward_wei } => {
                let collected = matches!(action, Action::Collect { .. });
                if collected {
                    self.saw(Sometimes::Collected);
                }
                self.won(around, state, challenge, challenger, (*reward_wei, collected));
            }
            Event::ChallengeLost { challenge, challenger, .. } => {
                let by_time = matches!(action, Action::CallTime { .. });
                self.lost(around, state, challenge, challenger, by_time);
            }
            Event::ChallengeWithdrawn { challenge, challenger, burned_wei } => {
                self.taken_back(around, state, challenge, challenger, *burned_wei);
            }
            Event::ClaimFinal { claim, job } => self.is_final(around, state, claim, job),
            Event::StakeReleased { claim } => self.released(around, state, claim),
            Event::JobExpired { job } => self.expired(around, state, job),
            Event::JobPassed { .. } => self.saw(Sometimes::Passed),
            Event::ChallengeServed { challenge } => self.served(around.now_ms, state, challenge),
            Event::ClaimPosted { claim, last_finality_ms, .. } => {
                self.posted(around, state, claim, *last_finality_ms);
                self.challengeable(around, state, claim);
            }
            Event::JobPosted { job } => self.inside_parameters(around, state, job),
            Event::Withdrawn { .. } => {
                if state.open_challenges().next().is_some() {
                    self.saw(Sometimes::Withdrawn);
                }
            }
            Event::Deposited { .. }
            | Event::ClaimSealed { .. }
            | Event::Attested { .. }
            | Event::SealExpired { .. }
            | Event::AttentionProven { .. }
            | Event::AttentionCollected { .. }
            | Event::ModelRegistered { .. }
            | Event::Challenged { .. }
            | Event::Demanded { .. } => {}
        }
    }
}
