//! What must hold after every event, checked by code that shares nothing with the referee.
//!
//! The audit knows the truth by construction: it holds the honest run of every job and the run
//! of every claim, and keeps its own books from the transactions alone.

mod committed;
mod finality;
mod funds;
mod guardian;
mod money;
mod names;
mod openings;
mod times;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::facts::Request;
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Event, Settlement};
use protocol::transaction::{Action, Address};

use crate::bounds::ShapeBounds;
use crate::fixtures::Known;

pub use names::{Invariant, Sometimes};

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
    pub(crate) opened: BTreeSet<Request>,
}

impl<C: Commitment> Clone for AuditedClaim<C> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), opened: self.opened.clone(), ..*self }
    }
}

/// The audit's own books; they go back with the ledger when blocks are replaced.
#[derive(Debug)]
pub(crate) struct Books<C: Commitment> {
    pub(crate) deposited_wei: u128,
    pub(crate) withdrawn_wei: u128,
    pub(crate) claims: BTreeMap<ClaimId, AuditedClaim<C>>,
    /// The honest run of each job.
    pub(crate) truths: BTreeMap<JobId, Arc<Known<C>>>,
    pub(crate) clocks: BTreeMap<ChallengeId, (u64, u64)>,
}

impl<C: Commitment> Clone for Books<C> {
    fn clone(&self) -> Self {
        Self {
            claims: self.claims.clone(),
            truths: self.truths.clone(),
            clocks: self.clocks.clone(),
            ..*self
        }
    }
}

impl<C: Commitment> Default for Books<C> {
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
    pub(crate) books: Books<C>,
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
            books: Books::default(),
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
                self.lost(around, state, challenge, challenger, by_time);
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
}
