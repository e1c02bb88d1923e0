//! A ledger with parties, as a game: a challenger's core decides, its actions are signed and applied,
//! executors answer from their statements, and time passes only by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::View;
use node::{Core, Decision};
use protocol::graph::Profile;
use protocol::hash::leaf;
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, Event, Genesis, Parameters, Rejection, Settlement,
};
use protocol::transaction::{Action, Address, JobTerms, Key};

use super::models::Network;
use super::statement::Statement;
use crate::core::ChallengerCore;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Bank,
    Client,
    Executor,
    Rival,
    Challenger,
    Second,
}

impl Who {
    fn key(self) -> Key {
        Key::from_secret(&[self as u8 + 1; 32]).unwrap()
    }

    pub(crate) fn address(self) -> Address {
        self.key().address()
    }
}

/// A ledger. Everybody but the challenger has money; claims have names.
#[derive(Clone, Debug)]
pub(crate) struct Court {
    pub(crate) settlement: Settlement,
    pub(crate) now_ms: u64,
    statements: BTreeMap<ClaimId, Statement>,
    names: BTreeMap<ClaimId, &'static str>,
}

/// Time for challenges of every job: longer than the clocks, so that a dispute can end within it.
pub(crate) const WINDOW_MS: u64 = 200_000;
/// Bond of a job of one ether's stake.
pub(crate) const BOND_WEI: u128 = ETHER / 10;

impl Court {
    pub(crate) fn new() -> Self {
        let genesis = Genesis {
            chain_id: 7,
            salt: leaf(b"salt"),
            begun_ms: 1_000,
            bank: Who::Bank.address(),
            parameters: Parameters::default(),
        };
        let settlement = Settlement::new(genesis).unwrap();
        let (statements, names) = (BTreeMap::new(), BTreeMap::new());
        let mut court = Self { settlement, now_ms: 1_000, statements, names };
        for who in [Who::Client, Who::Executor, Who::Rival, Who::Second] {
            court.deposit(who, 1_000 * ETHER);
        }
        court
    }

    /// As [`Court::new`], with money for the challenger.
    pub(crate) fn funded() -> Self {
        let mut court = Self::new();
        court.deposit(Who::Challenger, 1_000 * ETHER);
        court
    }

    pub(crate) fn submit(&mut self, who: Who, action: &Action) -> Result<Vec<Event>, Rejection> {
        let nonce = self.settlement.nonce(&who.address());
        let signed = who.key().sign(&self.settlement.domain(), nonce, action);
        self.settlement.apply(self.now_ms, &signed)
    }

    fn accepted(&mut self, who: Who, action: &Action) -> Vec<Event> {
        let outcome = self.submit(who, action);
        outcome.unwrap_or_else(|rejection| panic!("{who:?} {action:?}: {rejection}"))
    }

    pub(crate) fn deposit(&mut self, who: Who, amount_wei: u128) {
        self.accepted(Who::Bank, &Action::Deposit { account: who.address(), amount_wei });
    }

    /// A job on a network's input, with this stake for each claim and a tenth of it as a bond.
    pub(crate) fn job(&mut self, network: &Network, stake_wei: u128) -> JobId {
        let header = network.model.header().clone();
        let model_root = header.root();
        if self.settlement.model(&model_root).is_none() {
            self.accepted(Who::Client, &Action::RegisterModel { header });
        }
        let terms = JobTerms {
            model_root,
            input_root: network.honest().trace().state_roots()[0],
            profile: Profile::StrictF32,
            fee_wei: 1,
            stake_wei,
            bond_wei: stake_wei / 10,
            window_ms: WINDOW_MS,
            attention_wei: 0,
        };
        match self.accepted(Who::Client, &Action::PostJob { terms }).as_slice() {
            [Event::JobPosted { job }] => *job,
            other => panic!("{other:?}"),
        }
    }

    /// A claim on a job, under a name.
    pub(crate) fn claim(
        &mut self,
        name: &'static str,
        who: Who,
        job: JobId,
        statement: &Statement,
    ) -> ClaimId {
        let terms = statement.terms(job);
        match self.accepted(who, &Action::PostClaim { terms }).as_slice() {
            [Event::ClaimPosted { claim, .. }] => {
                self.statements.insert(*claim, statement.clone());
                self.names.insert(*claim, name);
                *claim
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn challenge(&mut self, who: Who, claim: ClaimId) -> ChallengeId {
        match self.accepted(who, &Action::Challenge { claim }).as_slice() {
            [Event::Challenged { challenge, .. }] => *challenge,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn perform(&mut self, who: Who, action: Action) {
        self.accepted(who, &action);
    }

    pub(crate) fn view(&self) -> View {
        View { height: 0, now_ms: self.now_ms, settlement: Arc::new(self.settlement.clone()) }
    }

    pub(crate) fn status(&self, claim: ClaimId) -> &ClaimStatus {
        &self.settlement.claim(&claim).unwrap().status
    }

    pub(crate) fn free_wei(&self, who: Who) -> u128 {
        self.settlement.money().free_wei(&who.address())
    }

    /// Demands that wait for an answer.
    pub(crate) fn pending(&self) -> usize {
        self.settlement.challenges().filter(|(_, challenge)| challenge.pending().is_some()).count()
    }

    /// Every executor answers what it is asked, as far as its data go: how many answers were taken.
    pub(crate) fn answer_all(&mut self) -> usize {
        let arity_log2 = self.settlement.parameters().arity_log2;
        let pending: Vec<_> = self
            .settlement
            .challenges()
            .filter_map(|(_, challenge)| Some((challenge.claim, *challenge.pending()?)))
            .collect();
        let mut taken = 0;
        for (claim, request) in pending {
            let executor = self.settlement.claim(&claim).unwrap().executor;
            let who = [Who::Executor, Who::Rival].into_iter().find(|who| who.address() == executor);
            let reveal = self.statements[&claim].answer(&request, arity_log2);
            // One answer serves all who wait for it, so that a second is refused.
            let reveal = Action::Reveal { claim, request, reveal };
            taken += usize::from(self.submit(who.unwrap(), &reveal).is_ok());
        }
        taken
    }

    /// A decision in words: what is done about which claim.
    fn words(&self, decision: &Decision) -> String {
        let of = |challenge: &ChallengeId| {
            self.names[&self.settlement.challenge(challenge).unwrap().claim]
        };
        match &decision.action {
            Action::Challenge { claim } => format!("challenge {}", self.names[claim]),
            Action::Demand { challenge, request, .. } => {
                format!("demand of {}: {}", of(challenge), ledger::words::request(request))
            }
            Action::Refute { challenge, .. } => format!("refute {}", of(challenge)),
            Action::CallTime { challenge } => format!("call time on {}", of(challenge)),
            other => other.name().to_owned(),
        }
    }

    /// A core plays the challenger from here on.
    pub(crate) fn played_by(self, core: ChallengerCore) -> Play {
        Play { court: self, core }
    }
}

/// A challenger's core at a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) court: Court,
    pub(crate) core: ChallengerCore,
}

impl Play {
    /// What the core wants now. Asked twice, and asked of a copy, it must want the same.
    pub(crate) fn decisions(&mut self) -> Vec<Decision> {
        let view = self.court.view();
        let decisions = self.core.clone().decide(&view);
        assert_eq!(decisions, self.core.decide(&view));
        assert_eq!(decisions, self.core.decide(&view));
        decisions
    }

    /// The core must want exactly this, in this order; nothing is done.
    pub(crate) fn wants(mut self, expected: &[&str]) -> Self {
        let decisions = self.decisions();
        let words: Vec<String> = decisions.iter().map(|one| self.court.words(one)).collect();
        assert_eq!(words, expected);
        self
    }

    /// The core must want exactly this, in this order; all of it is done.
    pub(crate) fn does(mut self, expected: &[&str]) -> Self {
        self = self.wants(expected);
        for decision in self.decisions() {
            self.court.perform(Who::Challenger, decision.action);
        }
        self
    }

    /// Every executor answers.
    pub(crate) fn answered(mut self) -> Self {
        assert!(self.court.answer_all() > 0);
        self
    }

    pub(crate) fn wait(mut self, by_ms: u64) -> Self {
        self.court.now_ms += by_ms;
        self
    }

    /// The only challenge of the challenger.
    pub(crate) fn challenge(&self) -> ChallengeId {
        let mine = Who::Challenger.address();
        let settlement = &self.court.settlement;
        let mut challenges = settlement.challenges().filter(|(_, one)| one.challenger == mine);
        let (id, _) = challenges.next().unwrap();
        assert!(challenges.next().is_none());
        *id
    }

    pub(crate) fn challenge_status(&self) -> &ChallengeStatus {
        &self.court.settlement.challenge(&self.challenge()).unwrap().status
    }
}
