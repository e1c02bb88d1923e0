//! The game builder: parties with keys and money, a settlement, and moves that chain.

use protocol::asks::{Answer, Ask};
use protocol::graph::Profile;
use protocol::hash::{self, Digest, Keccak};
use protocol::settlement::attention::{seal, sealed_id, word};
use protocol::settlement::{
    Challenge, Claim, ClaimStatus, ETHER, Event, Genesis, Job, Parameters, Rejection, Settlement,
    challenge_id, job_id,
};
use protocol::transaction::{Action, Address, JobTerms, Key};
use protocol::{ChallengeId, ClaimId, JobId, SealedId};

use super::answers::{Proof, TRACE};
use super::checks::{burned_by_wei, check_objects};
use super::decisions::check_decision;
use super::{Answers, Run, Toy, Want};

/// Who acts in a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Bank,
    Client,
    Executor,
    Rival,
    Challenger,
    Second,
    Stranger,
    Third,
    /// One of many, whose account is funded when it first acts.
    Crowd(u8),
}

impl Who {
    fn secret(self) -> [u8; 32] {
        match self {
            Self::Bank => [1; 32],
            Self::Client => [2; 32],
            Self::Executor => [3; 32],
            Self::Rival => [4; 32],
            Self::Challenger => [5; 32],
            Self::Second => [6; 32],
            Self::Stranger => [7; 32],
            Self::Third => [8; 32],
            Self::Crowd(number) => {
                let mut secret = [0xC0; 32];
                secret[31] = number;
                secret
            }
        }
    }
}

pub fn key(who: Who) -> Key {
    Key::from_secret(&who.secret()).unwrap()
}

pub fn address(who: Who) -> Address {
    key(who).address()
}

/// A settlement with funded parties, a registered toy and a posted job.
#[derive(Clone)]
pub struct Game {
    pub toy: Toy,
    /// What the executor's claim is of.
    pub answers: Answers,
    pub state: Settlement,
    pub now_ms: u64,
    pub job: JobId,
    pub last: Vec<Event>,
    /// What was accepted, by whom and when.
    pub log: Vec<(u64, Address, Action)>,
}

pub const FUNDS_WEI: u128 = 10 * ETHER;

pub fn genesis() -> Genesis {
    let (salt, begun_ms) = (hash::leaf(b"genesis"), 1_000);
    Genesis {
        chain_id: 7,
        salt,
        begun_ms,
        bank: address(Who::Bank),
        parameters: Parameters::default(),
    }
}

impl Game {
    pub fn new() -> Self {
        Self::under(Parameters::default())
    }

    /// A game under other parameters, also such as no ledger should have.
    pub fn under(parameters: Parameters) -> Self {
        Self::without_job(parameters).posts(|_| {})
    }

    /// Nothing but the settlement.
    pub fn on(state: Settlement) -> Self {
        let toy = Toy::new();
        let answers = Answers::of(&toy, &toy.run(None));
        let (job, last, log) = (JobId::default(), Vec::new(), Vec::new());
        Self { toy, answers, state, now_ms: 1_000, job, last, log }
    }

    /// Funded parties and the model, no job yet.
    pub fn without_job(parameters: Parameters) -> Self {
        let mut game = Self::on(Settlement::new_unchecked(Genesis { parameters, ..genesis() }));
        let parties =
            [Who::Client, Who::Executor, Who::Rival, Who::Challenger, Who::Second, Who::Third];
        for who in parties {
            game = game.funds(who, FUNDS_WEI);
        }
        let header = game.toy.committed.header.clone();
        game.accepts(Who::Client, Action::RegisterModel { header })
    }

    pub fn job_terms(&self) -> JobTerms {
        let parameters = self.state.parameters();
        JobTerms {
            model_root: self.toy.committed.header.root(),
            input_root: self.toy.run(None).states[0].root(),
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: ETHER / 10,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: parameters.stake_wei_min,
            window_ms: parameters.window_ms_min,
            open_ms: 600_000,
            attention_wei: 0,
            salt: 0,
        }
    }

    pub fn send(&mut self, who: Who, action: &Action) -> Result<Vec<Event>, Rejection> {
        if matches!(who, Who::Crowd(_)) && !self.state.money().knows(&address(who)) {
            let deposit = Action::Deposit { account: address(who), amount_wei: FUNDS_WEI };
            self.send(Who::Bank, &deposit)?;
        }
        let key = key(who);
        let nonce = self.state.nonce(&key.address());
        let signed = key.sign(&self.state.domain(), nonce, action);
        let before = self.state.clone();
        let outcome = self.state.apply(self.now_ms, &signed);
        // After every transition: money conserved, every count and sum as a scan gives it, rejections
        // without trace, and nothing burned but what the events name.
        check_objects(&self.state);
        check_decision(&before, &self.state, (self.now_ms, key.address()), action, &outcome);
        match &outcome {
            Ok(events) => {
                let burned_wei = self.state.money().burned_wei() - before.money().burned_wei();
                assert_eq!(burned_wei, burned_by_wei(&self.state, events), "{action:?}");
                self.log.push((self.now_ms, key.address(), action.clone()));
            }
            Err(_) => assert_eq!(before, self.state, "a rejected transaction changed the state"),
        }
        outcome
    }

    pub fn accepts(mut self, who: Who, action: Action) -> Self {
        match self.send(who, &action) {
            Ok(events) => self.last = events,
            Err(rejection) => panic!("{who:?} {action:?}: {rejection}"),
        }
        self
    }

    pub fn rejects(mut self, who: Who, action: Action, expected: Rejection) -> Self {
        assert_eq!(self.send(who, &action), Err(expected), "{who:?} {action:?}");
        self
    }

    /// As [`Game::accepts`], with an action made of the game as it is.
    pub fn plays(self, who: Who, action: impl FnOnce(&Self) -> Action) -> Self {
        let action = action(&self);
        self.accepts(who, action)
    }

    /// As [`Game::rejects`], with an action made of the game as it is.
    pub fn refuses(
        self,
        who: Who,
        action: impl FnOnce(&Self) -> Action,
        expected: Rejection,
    ) -> Self {
        let action = action(&self);
        self.rejects(who, action, expected)
    }

    pub fn wait(mut self, by_ms: u64) -> Self {
        self.now_ms += by_ms;
        self
    }
}

/// Moves that chain.
impl Game {
    pub fn funds(self, who: Who, amount_wei: u128) -> Self {
        self.accepts(Who::Bank, Action::Deposit { account: address(who), amount_wei })
    }

    /// The client posts a job; it is the game's from now on.
    pub fn posts(mut self, change: impl FnOnce(&mut JobTerms)) -> Self {
        let mut terms = self.job_terms();
        change(&mut terms);
        self.job = job_id(address(Who::Client), &terms);
        self.accepts(Who::Client, Action::PostJob { terms })
    }

    pub fn claims(mut self, who: Who, run: &Run) -> Self {
        if who == Who::Executor {
            self.answers = Answers::of(&self.toy, run);
        }
        let statement = run.statement(self.job);
        self.accepts(who, Action::PostClaim { statement })
    }

    pub fn challenges(self, who: Who, executor: Who) -> Self {
        let claim = self.claim(executor);
        self.accepts(who, Action::Challenge { claim })
    }

    /// A demand that shows the whole way to what it asks for.
    pub fn demands(self, who: Who, want: Want) -> Self {
        self.plays(who, |game| game.demand(want))
    }

    /// A demand of what is below the place that was asked last, with no more than the way there.
    pub fn demands_below(self, who: Who, want: Want) -> Self {
        self.plays(who, |game| game.demand_below(who, want))
    }

    /// The executor's honest answer; of a lie, what fits the lie.
    pub fn answers(self, challengers: &[Who], want: Want) -> Self {
        self.plays(Who::Executor, |game| game.reveal(challengers, want))
    }

    /// Demands, one after the other, each answered.
    pub fn opens_up(self, who: Who, wants: &[Want]) -> Self {
        wants.iter().fold(self, |game, want| game.demands(who, *want).answers(&[who], *want))
    }

    pub fn refutes(self, who: Who, challenger: Who, proof: Proof) -> Self {
        self.plays(who, |game| game.refute(challenger, proof))
    }

    pub fn withdraws(self, who: Who) -> Self {
        self.plays(who, Self::withdraw)
    }

    pub fn calls_time(self, challenger: Who) -> Self {
        self.plays(Who::Stranger, |game| game.call_time(challenger))
    }

    pub fn collects(self, challenger: Who) -> Self {
        self.plays(Who::Stranger, |game| game.collect(challenger))
    }

    pub fn finalises(self, executor: Who) -> Self {
        self.plays(Who::Stranger, |game| game.finalise(executor))
    }

    /// The claim falls, because the executor does not answer this challenger.
    pub fn falls_by_silence(self, challenger: Who) -> Self {
        let mut game = self.demands(challenger, TRACE);
        game.now_ms = game.deadline_ms(challenger) + 1;
        game.calls_time(challenger)
    }

    pub fn seals(self, who: Who) -> Self {
        self.plays(who, |game| game.seal_action(who))
    }

    pub fn attests(self, who: Who, executor: Who) -> Self {
        self.plays(who, |game| game.attest(who, executor))
    }

    pub fn opens(self, who: Who) -> Self {
        self.plays(who, |game| game.opening(who))
    }
}

/// Actions about the executor's claim on the game's job, and about the game's job.
impl Game {
    pub fn ask(&self, want: Want) -> Ask {
        self.answers.ask(want)
    }

    pub fn demand(&self, want: Want) -> Action {
        self.answers.demand(self.claim(Who::Executor), want)
    }

    pub fn demand_below(&self, who: Who, want: Want) -> Action {
        let from = self.challenge_of(who).last_ask().unwrap();
        self.answers.demand_below(self.claim(Who::Executor), want, from)
    }

    pub fn reveal(&self, challengers: &[Who], want: Want) -> Action {
        let ask = self.ask(want);
        let answer = self.answers.answer(&ask, self.state.parameters().arity_log2);
        self.reveal_with(challengers, want, answer)
    }

    pub fn reveal_with(&self, challengers: &[Who], want: Want, answer: Answer) -> Action {
        let challengers = challengers.iter().map(|who| address(*who)).collect();
        Action::Reveal {
            claim: self.claim(Who::Executor),
            challengers,
            ask: self.ask(want),
            answer,
        }
    }

    pub fn refute(&self, challenger: Who, proof: Proof) -> Action {
        self.answers.refute(self.claim(Who::Executor), address(challenger), proof)
    }

    pub fn withdraw(&self) -> Action {
        Action::WithdrawChallenge { claim: self.claim(Who::Executor) }
    }

    pub fn call_time(&self, challenger: Who) -> Action {
        Action::CallTime { claim: self.claim(Who::Executor), challenger: address(challenger) }
    }

    pub fn collect(&self, challenger: Who) -> Action {
        Action::Collect { claim: self.claim(Who::Executor), challenger: address(challenger) }
    }

    pub fn finalise(&self, executor: Who) -> Action {
        Action::Finalise { claim: self.claim(executor) }
    }

    pub fn release(&self, executor: Who) -> Action {
        Action::Release { claim: self.claim(executor) }
    }

    pub fn pass(&self, executors: &[Who]) -> Action {
        let claims = executors.iter().map(|who| self.claim(*who)).collect();
        Action::Pass { job: self.job, claims }
    }

    pub fn expire_job(&self) -> Action {
        Action::ExpireJob { job: self.job }
    }

    /// Each party seals the honest run, with a salt of its own.
    pub fn seal_action(&self, who: Who) -> Action {
        let root = self.toy.run(None).sequence_root();
        Action::SealClaim { job: self.job, seal: seal::<Keccak>(&address(who), &root, &salt(who)) }
    }

    pub fn attest(&self, who: Who, executor: Who) -> Action {
        let root = self.toy.run(None).sequence_root();
        let word = word::<Keccak>(&address(who), &root, &salt(who));
        Action::Attest { sealed: self.sealed(executor), word }
    }

    pub fn opening(&self, who: Who) -> Action {
        let statement = self.toy.run(None).statement(self.job);
        Action::OpenClaim { sealed: self.sealed(who), statement, salt: salt(who) }
    }

    pub fn prove(&self, who: Who, executor: Who) -> Action {
        Action::ProveAttention { claim: self.claim(executor), salt: salt(who) }
    }

    pub fn collect_attention(&self, attester: Who, executor: Who) -> Action {
        Action::CollectAttention { sealed: self.sealed(executor), attester: address(attester) }
    }

    pub fn expire_seal(&self, executor: Who) -> Action {
        Action::ExpireSeal { sealed: self.sealed(executor) }
    }
}

/// The salt of a party's seals and words.
pub fn salt(who: Who) -> Digest {
    Digest(who.secret())
}

/// What is read of a game.
impl Game {
    /// A ledger that began alike, after the same transactions.
    pub fn replayed(&self) -> Settlement {
        let mut state = Settlement::new_unchecked(self.state.genesis().clone());
        for (now_ms, sender, action) in &self.log {
            let nonce = state.nonce(sender);
            state.perform_numbered(*now_ms, *sender, nonce, action).unwrap();
        }
        state
    }

    /// An executor's claim on the game's job.
    pub fn claim(&self, executor: Who) -> ClaimId {
        let mine = address(executor);
        let mut claims = self.state.claims_of(&self.job).copied();
        claims.find(|id| self.state.claim(id).unwrap().executor == mine).unwrap()
    }

    pub fn claim_of(&self, executor: Who) -> &Claim {
        self.state.claim(&self.claim(executor)).unwrap()
    }

    pub fn has_fallen(&self, executor: Who) -> bool {
        matches!(self.claim_of(executor).status, ClaimStatus::Fallen { .. })
    }

    pub fn challenge(&self, who: Who) -> ChallengeId {
        challenge_id(self.claim(Who::Executor), address(who))
    }

    pub fn challenge_of(&self, who: Who) -> &Challenge {
        self.state.challenge(&self.challenge(who)).unwrap()
    }

    /// Last millisecond at which the side to move in a challenge is in time.
    pub fn deadline_ms(&self, who: Who) -> u64 {
        let floor_ms = self.state.parameters().move_floor_ms;
        self.challenge_of(who).deadline_ms(floor_ms).unwrap()
    }

    pub fn job_of(&self) -> &Job {
        self.state.job(&self.job).unwrap()
    }

    pub fn sealed(&self, executor: Who) -> SealedId {
        let Action::SealClaim { seal, .. } = self.seal_action(executor) else { unreachable!() };
        sealed_id::<Keccak>(&address(executor), &self.job, &seal)
    }

    pub fn delta(&self, who: Who) -> i128 {
        self.state.money().free_wei(&address(who)) as i128 - FUNDS_WEI as i128
    }
}
