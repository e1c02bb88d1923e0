//! A ledger with parties, as a game: a challenger's core decides, its actions are signed and applied,
//! executors answer from their statements, and time passes only by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::View;
use node::{Core, Decision};
use protocol::asks::Ask;
use protocol::graph::Profile;
use protocol::hash::{Digest, leaf};
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, Event, Genesis, Parameters, Rejection, Settlement,
    claim_id, job_id,
};
use protocol::transaction::{Action, Address, JobTerms, Key};

use super::models::Network;
use super::questions::trace;
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
/// Time for claims on every job.
const OPEN_MS: u64 = 3_600_000;
/// Least bond: that of a challenge of a claim with five ether's stake, or less.
pub(crate) const BOND_WEI: u128 = ETHER / 10;

/// Ends a challenge that ran out of time.
pub(crate) fn call_time(claim: ClaimId, challenger: Who) -> Action {
    Action::CallTime { claim, challenger: challenger.address() }
}

impl Court {
    pub(crate) fn new() -> Self {
        Self::serving(Parameters::default().served_max)
    }

    /// As [`Court::new`], on a ledger that serves so many challenges of a claim at once.
    pub(crate) fn serving(served_max: u32) -> Self {
        let genesis = Genesis {
            chain_id: 7,
            salt: leaf(b"salt"),
            begun_ms: 1_000,
            bank: Who::Bank.address(),
            parameters: Parameters { served_max, ..Parameters::default() },
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

    /// A job on a network's input, with this stake for each claim.
    pub(crate) fn job(&mut self, network: &Network, stake_wei: u128) -> JobId {
        self.job_on(network, network.input_root(), stake_wei)
    }

    /// As [`Court::job`], on an input with this root.
    pub(crate) fn job_on(
        &mut self,
        network: &Network,
        input_root: Digest,
        stake_wei: u128,
    ) -> JobId {
        let header = network.model.header().clone();
        let model_root = header.root();
        if self.settlement.model(&model_root).is_none() {
            self.accepted(Who::Client, &Action::RegisterModel { header });
        }
        let terms = JobTerms {
            model_root,
            input_root,
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: 1,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei,
            window_ms: WINDOW_MS,
            open_ms: OPEN_MS,
            attention_wei: 0,
            salt: self.settlement.jobs().count() as u64,
        };
        self.accepted(Who::Client, &Action::PostJob { terms: terms.clone() });
        job_id(Who::Client.address(), &terms)
    }

    /// A claim on a job, under a name.
    pub(crate) fn claim(
        &mut self,
        name: &'static str,
        who: Who,
        job: JobId,
        statement: &Statement,
    ) -> ClaimId {
        let claimed = statement.claimed(job);
        let claim = claim_id(who.address(), &claimed.terms);
        self.accepted(who, &Action::PostClaim { statement: claimed });
        self.statements.insert(claim, statement.clone());
        self.names.insert(claim, name);
        claim
    }

    pub(crate) fn challenge(&mut self, who: Who, claim: ClaimId) {
        self.accepted(who, &Action::Challenge { claim });
    }

    /// A demand of the run's states.
    pub(crate) fn demand_trace(&mut self, who: Who, claim: ClaimId) {
        let statement = &self.statements[&claim];
        let ask = statement.ask(trace(0, 0)).unwrap();
        let (showings, path, from) = (vec![statement.trace_showing()], Vec::new(), None);
        self.accepted(who, &Action::Demand { claim, showings, ask, path, from });
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

    /// Demands that wait for an answer: the claim and what is asked, and whose they are.
    fn demands(&self) -> Vec<((ClaimId, Ask), Vec<Address>)> {
        let mut demands: Vec<((ClaimId, Ask), Vec<Address>)> = Vec::new();
        for (_, challenge) in self.settlement.challenges() {
            if let Some(ask) = challenge.pending()
                && self.settlement.is_under_way(challenge)
            {
                let demand = (challenge.claim, ask.clone());
                match demands.iter_mut().find(|(same, _)| *same == demand) {
                    Some((_, waiting)) => waiting.push(challenge.challenger),
                    None => demands.push((demand, vec![challenge.challenger])),
                }
            }
        }
        demands
    }

    /// How many demands wait for an answer.
    pub(crate) fn pending(&self) -> usize {
        self.demands().len()
    }

    /// Every executor answers what it is asked, as far as its data go: how many answers were taken.
    pub(crate) fn answer_all(&mut self) -> usize {
        let arity_log2 = self.settlement.parameters().arity_log2;
        let mut taken = 0;
        for ((claim, ask), challengers) in self.demands() {
            let executor = self.settlement.claim(&claim).unwrap().executor;
            let who = [Who::Executor, Who::Rival].into_iter().find(|who| who.address() == executor);
            let answer = self.statements[&claim].answer(&ask, arity_log2);
            let reveal = Action::Reveal { claim, challengers, ask, answer };
            taken += usize::from(self.submit(who.unwrap(), &reveal).is_ok());
        }
        taken
    }

    /// A decision in words: what is done about which claim.
    fn words(&self, decision: &Decision) -> String {
        let name = |claim: &ClaimId| self.names[claim];
        match &decision.action {
            Action::Challenge { claim } => format!("challenge {}", name(claim)),
            Action::Demand { claim, ask, .. } => {
                format!("demand of {}: {}", name(claim), ledger::words::ask(ask))
            }
            Action::Refute { claim, .. } => format!("refute {}", name(claim)),
            Action::CallTime { claim, .. } => format!("call time on {}", name(claim)),
            Action::Collect { claim, .. } => format!("collect from {}", name(claim)),
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
