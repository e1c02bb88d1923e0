//! A ledger at which the real executor and the real challenger meet over one claim.

use std::sync::Arc;

use challenger::{ChallengerCore, HonestView, Policy};
use executor::ExecutorCore;
use inference::SequenceRun;
use ledger::View;
use node::Core;
use protocol::asks::Evidence;
use protocol::graph::Profile;
use protocol::hash::leaf;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, FallReason, Genesis, Parameters, Settlement, claim_id,
    job_id,
};
use protocol::transaction::{Action, Address, JobTerms, Key, RunLength, Statement};

pub struct Game {
    pub settlement: Settlement,
    now_ms: u64,
    pub job: JobId,
}

pub fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

pub const BANK: u8 = 1;
pub const CLIENT: u8 = 2;
pub const EXECUTOR: u8 = 3;
pub const CHALLENGER: u8 = 4;

/// How a dispute ended.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// What convicted the claim; `None` for one that stands.
    pub evidence: Option<Evidence>,
    /// Demands that the challenger made.
    pub demands: u32,
}

impl Game {
    /// A job on the run's input.
    pub fn new(run: &SequenceRun, length: RunLength) -> Self {
        let parameters = Parameters::default();
        let window_ms = parameters.window_ms_of(length.iterations_max);
        let (chain_id, salt, bank) = (7, leaf(b"salt"), key(BANK).address());
        let genesis = Genesis { chain_id, salt, begun_ms: 1_000, bank, parameters };
        let settlement = Settlement::new(genesis).unwrap();
        let mut game = Self { settlement, now_ms: 1_000, job: JobId::default() };
        for who in [CLIENT, EXECUTOR, CHALLENGER] {
            let account = key(who).address();
            game.perform(BANK, &Action::Deposit { account, amount_wei: 100 * ETHER });
        }
        let header = run.model().header().clone();
        let model_root = header.root();
        game.perform(CLIENT, &Action::RegisterModel { header });
        let executor = if length.may_cut { key(EXECUTOR).address() } else { Address::default() };
        let terms = JobTerms {
            model_root,
            input_root: run.input_root().unwrap(),
            profile: Profile::StrictF32,
            executor,
            fee_wei: 1_000,
            fee_iteration_wei: 10,
            iterations_max: length.iterations_max,
            may_cut: length.may_cut,
            stake_wei: 5 * ETHER,
            window_ms,
            open_ms: 3_600_000,
            attention_wei: 0,
            salt: 0,
        };
        game.job = job_id(key(CLIENT).address(), &terms);
        game.perform(CLIENT, &Action::PostJob { terms });
        game
    }

    pub fn try_perform(&mut self, who: u8, action: &Action) -> Result<(), String> {
        self.now_ms += 1;
        let (key, domain) = (key(who), self.settlement.domain());
        let signed = key.sign(&domain, self.settlement.nonce(&key.address()), action);
        let applied = self.settlement.apply(self.now_ms, &signed);
        applied.map(drop).map_err(|rejection| rejection.to_string())
    }

    pub fn perform(&mut self, who: u8, action: &Action) {
        self.try_perform(who, action).unwrap_or_else(|error| panic!("{who} {action:?}: {error}"));
    }

    pub fn view(&self) -> View {
        View { height: 0, now_ms: self.now_ms, settlement: Arc::new(self.settlement.clone()) }
    }

    /// The claim on a run, posted.
    pub fn claims(&mut self, statement: Statement) -> ClaimId {
        let claim = claim_id(key(EXECUTOR).address(), &statement.terms);
        self.perform(EXECUTOR, &Action::PostClaim { statement });
        claim
    }

    /// Both sides play until neither wants anything; time passes when both wait.
    pub fn plays(
        &mut self,
        claim: ClaimId,
        defended: &Arc<SequenceRun>,
        honest: &Arc<SequenceRun>,
        policy: Policy,
    ) -> Ended {
        let arity_log2 = self.settlement.parameters().arity_log2;
        let mut executor = ExecutorCore::new(key(EXECUTOR).address());
        executor.remember_sequence(Arc::clone(defended), arity_log2);
        let mut challenger = ChallengerCore::new(key(CHALLENGER).address(), policy);
        let may_cut = self.settlement.job(&self.job).unwrap().terms.may_cut;
        let announced = Arc::default();
        let view = HonestView::of_sequence(Arc::clone(honest), may_cut, announced).unwrap();
        challenger.watch(self.job, view);
        for _ in 0..400 {
            if !self.settlement.claim(&claim).unwrap().stands() {
                return self.ended(claim);
            }
            let mut moved = false;
            let decisions = challenger.decide(&self.view());
            for decision in decisions {
                moved |= self.try_perform(CHALLENGER, &decision.action).is_ok();
            }
            let stuck = challenger.stuck().values().next().map(ToString::to_string);
            let meant = policy == Policy::Everything;
            assert!(meant || stuck.is_none(), "the challenger is stuck: {stuck:?}");
            for decision in executor.decide(&self.view()) {
                let done = self.try_perform(EXECUTOR, &decision.action);
                moved |= done.is_ok();
                let is_answer = matches!(decision.action, Action::Reveal { .. });
                assert!(done.is_ok() || !is_answer, "an answer is refused: {done:?}");
            }
            assert_eq!(executor.unanswered(), []);
            if !moved {
                self.now_ms += 60_000;
            }
        }
        panic!("the dispute does not end");
    }

    fn ended(&self, claim: ClaimId) -> Ended {
        let challenge = self.settlement.challenge_by(&claim, &key(CHALLENGER).address());
        let demands = challenge.map_or(0, |challenge| challenge.demands);
        let evidence = match &self.settlement.claim(&claim).unwrap().status {
            ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => {
                let won = challenge.map(|challenge| &challenge.status);
                assert!(matches!(won, Some(ChallengeStatus::Won { .. })), "{won:?}");
                Some(evidence.clone())
            }
            ClaimStatus::Final { .. } => None,
            other => panic!("{other:?}"),
        };
        Ended { evidence, demands }
    }

    /// Money of the parties and what burned is what was deposited.
    pub fn money_is_whole(&self) {
        let money = self.settlement.money();
        let parties = [CLIENT, EXECUTOR, CHALLENGER];
        let free_wei: u128 = parties.iter().map(|who| money.free_wei(&key(*who).address())).sum();
        assert_eq!(free_wei + money.locked_wei() + money.burned_wei(), 300 * ETHER);
    }
}
