//! Rational verifiers: do they still look when nobody cheats?
//!
//! Rounds of jobs on the real settlement. Each verifier learns from what it earned whether running
//! the model pays; the executor learns whether lying does. Money is read off the ledger; a run
//! costs something outside it. The play of a dispute is the shortest there is: a liar that is
//! challenged does not answer.

use protocol::asks::{Ask, Place, Tree, TreeKind};
use protocol::graph::Profile;
use protocol::hash::{Commitment as _, Digest, Tag};
use protocol::ids::{ClaimId, JobId, SealedId};
use protocol::settlement::attention::{seal, word};
use protocol::settlement::{Event, Genesis, Parameters, Rejection, Settlement};
use protocol::transaction::{Action, Address, JobTerms, Statement};
use serde::Serialize;

use crate::environments::Environments;
use crate::fixtures::{FixtureError, Known};
use crate::rng::{Purpose, WorldRng};
use crate::scenario::MICROETHER;
use crate::statistics::{Rate, rate};
use crate::toy::Toy;
use dispute::lies::Lie;

/// What the economy is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Economy {
    /// Decides everything.
    pub seed: u64,
    /// Jobs.
    pub rounds: u32,
    /// Verifiers.
    pub verifiers: u32,
    /// What a run costs, for the executor and for each verifier.
    pub run_microether: u64,
    /// Attention money of each job; 0 for the plain rule.
    pub attention_microether: u64,
    /// What a false final answer is worth to the executor beyond the fee.
    pub gain_microether: u64,
}

impl Default for Economy {
    fn default() -> Self {
        Self {
            seed: 1,
            rounds: 3_000,
            verifiers: 5,
            run_microether: 2_000,
            attention_microether: 0,
            gain_microether: 50_000,
        }
    }
}

/// What became of it, over the second half of the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behaviours {
    /// Attention money of each job, in millionths of an ether.
    pub attention_microether: u64,
    /// Jobs that at least one verifier ran.
    pub watched: Rate,
    /// Jobs on which the executor lied.
    pub lied: Rate,
    /// Jobs whose final answer was false.
    pub false_final: Rate,
    /// Share of verifiers that ran a job, in windows of a twentieth of the rounds.
    pub watching: Vec<f64>,
    /// Share of jobs on which the executor lied, in the same windows.
    pub lying: Vec<f64>,
}

/// One choice of two, learned from what each has earned lately (an exponential mean), with some
/// trembling so that neither is forgotten.
#[derive(Clone, Debug)]
struct Learner {
    earned: [f64; 2],
}

const TREMBLE_PERMILLE: u32 = 30;
const MEMORY: f64 = 0.05;

impl Learner {
    fn choose(&self, rng: &mut WorldRng) -> usize {
        if rng.chance(TREMBLE_PERMILLE) {
            return rng.below(2) as usize;
        }
        usize::from(self.earned[1] > self.earned[0])
    }

    fn learn(&mut self, choice: usize, earned: f64) {
        if let Some(mean) = self.earned.get_mut(choice) {
            *mean += MEMORY * (earned - *mean);
        }
    }
}

/// The ledger with its parties, all of whom deposit more than they can lose.
struct Town {
    state: Settlement<Toy>,
    now_ms: u64,
}

const DEPOSIT_WEI: u128 = 1 << 100;
const BANK: u8 = 0;
const CLIENT: u8 = 1;
const EXECUTOR: u8 = 2;
const FIRST_VERIFIER: u8 = 3;

fn address(number: u8) -> Address {
    Address([number + 1; 20])
}

impl Town {
    fn act(&mut self, who: u8, action: &Action) -> Result<Vec<Event>, Rejection> {
        let nonce = self.state.nonce(&address(who));
        self.state.perform_numbered(self.now_ms, address(who), nonce, action)
    }

    fn free_wei(&self, who: u8) -> u128 {
        self.state.money().free_wei(&address(who))
    }

    /// A fresh ledger, on which everybody has deposited and the model is registered.
    fn begin_anew(&mut self, verifiers: u8, truth: &Known<Toy>) {
        self.state = Settlement::new_unchecked(genesis());
        for who in CLIENT..FIRST_VERIFIER + verifiers {
            let account = address(who);
            let deposit = Action::Deposit { account, amount_wei: DEPOSIT_WEI };
            let _ = self.act(BANK, &deposit);
        }
        let header = truth.run.model().header().clone();
        let _ = self.act(CLIENT, &Action::RegisterModel { header });
    }
}

/// Why an economy cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EconomyError {
    /// The model or a run is missing.
    #[error(transparent)]
    Fixtures(#[from] FixtureError),
    /// The ledger refused a move.
    #[error("the ledger refused {action}: {rejection}")]
    Refused {
        /// Which move.
        action: &'static str,
        /// Why.
        rejection: Rejection,
    },
    /// More verifiers than there are addresses.
    #[error("at most 200 verifiers")]
    TooMany,
}

struct Round<'a> {
    town: &'a mut Town,
    economy: &'a Economy,
    truth: Statement,
    lie: Statement,
    job: JobId,
}

impl Round<'_> {
    fn must(&mut self, who: u8, action: &Action) -> Result<Vec<Event>, EconomyError> {
        let name = action.name();
        let acted = self.town.act(who, action);
        acted.map_err(|rejection| EconomyError::Refused { action: name, rejection })
    }

    /// Plays one job; says whether its answer was false.
    fn play(&mut self, lies: bool, checks: &[bool]) -> Result<bool, EconomyError> {
        let statement = if lies { self.lie.clone() } else { self.truth.clone() };
        let is_false = statement.terms.sequence_root != self.truth.terms.sequence_root;
        let checkers = (FIRST_VERIFIER..).zip(checks).filter(|(_, checks)| **checks);
        let checkers: Vec<u8> = checkers.map(|(who, _)| who).collect();
        let (claim, sealed) = match self.economy.attention_microether {
            0 => (posted(&self.must(EXECUTOR, &Action::PostClaim { statement })?), None),
            _ => {
                let (claim, sealed) = self.sealed(statement, &checkers)?;
                (claim, Some(sealed))
            }
        };
        let falls = is_false && !checkers.is_empty();
        if falls {
            self.refuted(claim, &checkers)?;
        } else {
            self.town.now_ms += self.town.state.parameters().window_ms_min + 1;
            self.must(CLIENT, &Action::Finalise { claim })?;
        }
        for who in sealed.iter().flat_map(|_| &checkers) {
            let (sealed, attester) = (sealed.unwrap_or_default(), address(*who));
            self.must(*who, &Action::CollectAttention { sealed, attester })?;
        }
        Ok(is_false && !falls)
    }

    /// All who looked challenge; the first demands, calls time on the silent liar, and the others collect.
    /// Nobody else claims, so the client has its money back.
    fn refuted(&mut self, claim: ClaimId, checkers: &[u8]) -> Result<(), EconomyError> {
        for who in checkers {
            self.must(*who, &Action::Challenge { claim })?;
        }
        if let Some((first, others)) = checkers.split_first() {
            let place = Place {
                tree: Tree::Sequence {},
                kind: TreeKind::List { count: 1 },
                depth: 0,
                index: 0,
                hash: self.lie.terms.sequence_root,
            };
            let (ask, showings, path, from) = (Ask::Open { place }, Vec::new(), Vec::new(), None);
            self.must(*first, &Action::Demand { claim, showings, ask, path, from })?;
            self.town.now_ms += self.town.state.parameters().executor_clock_ms + 1;
            self.must(*first, &Action::CallTime { claim, challenger: address(*first) })?;
            for who in others {
                self.must(*who, &Action::Collect { claim, challenger: address(*who) })?;
            }
        }
        // After a fall others could claim for a while.
        self.town.now_ms += self.town.state.parameters().executor_clock_ms + 1;
        self.must(CLIENT, &Action::ExpireJob { job: self.job })?;
        Ok(())
    }

    /// Seals, attests, opens, proves.
    fn sealed(
        &mut self,
        statement: Statement,
        checkers: &[u8],
    ) -> Result<(ClaimId, SealedId), EconomyError> {
        let salt = |who: u8| Digest([who; 32]);
        let (claimed, true_root) = (statement.terms.sequence_root, self.truth.terms.sequence_root);
        let own = seal::<Toy>(&address(EXECUTOR), &claimed, &salt(EXECUTOR));
        let events = self.must(EXECUTOR, &Action::SealClaim { job: self.job, seal: own })?;
        let sealed = events.iter().find_map(|event| match event {
            Event::ClaimSealed { sealed, .. } => Some(*sealed),
            _ => None,
        });
        let sealed = sealed.unwrap_or_default();
        for who in checkers {
            let word = word::<Toy>(&address(*who), &true_root, &salt(*who));
            self.must(*who, &Action::Attest { sealed, word })?;
        }
        self.town.now_ms += self.town.state.parameters().seal_ms + 1;
        let opening = Action::OpenClaim { sealed, statement, salt: salt(EXECUTOR) };
        let claim = posted(&self.must(EXECUTOR, &opening)?);
        for who in checkers.iter().filter(|_| claimed == true_root) {
            self.must(*who, &Action::ProveAttention { claim, salt: salt(*who) })?;
        }
        Ok((claim, sealed))
    }
}

fn posted(events: &[Event]) -> ClaimId {
    let claim = events.iter().find_map(|event| match event {
        Event::ClaimPosted { claim, .. } => Some(*claim),
        _ => None,
    });
    claim.unwrap_or_default()
}

/// Windows of rounds, each with one share of verifiers that ran and one of jobs that were lied on.
const WINDOWS: usize = 20;

/// Rounds after which the ledger begins anew: what is over is not needed, and only slows down.
const ROUNDS_OF_A_LEDGER: u32 = 50;

/// What is counted while an economy is played.
struct Counts {
    watched: u64,
    lied: u64,
    false_final: u64,
    counted: u64,
    watching: Vec<f64>,
    lying: Vec<f64>,
}

impl Counts {
    fn new() -> Self {
        let (watching, lying) = (vec![0.0; WINDOWS], vec![0.0; WINDOWS]);
        Self { watched: 0, lied: 0, false_final: 0, counted: 0, watching, lying }
    }

    fn note(&mut self, economy: &Economy, round: u32, lies: bool, checks: &[bool], is_false: bool) {
        let per_window = (economy.rounds as usize / WINDOWS).max(1);
        let window = (round as usize / per_window).min(WINDOWS - 1);
        let share =
            checks.iter().filter(|checks| **checks).count() as f64 / checks.len().max(1) as f64;
        if let Some(watching) = self.watching.get_mut(window) {
            *watching += share / per_window as f64;
        }
        if let Some(lying) = self.lying.get_mut(window) {
            *lying += f64::from(u8::from(lies)) / per_window as f64;
        }
        if round >= economy.rounds / 2 {
            self.counted += 1;
            self.watched += u64::from(checks.iter().any(|checks| *checks));
            self.lied += u64::from(lies);
            self.false_final += u64::from(is_false);
        }
    }

    fn behaviours(self, economy: &Economy) -> Behaviours {
        Behaviours {
            attention_microether: economy.attention_microether,
            watched: rate(self.watched, self.counted),
            lied: rate(self.lied, self.counted),
            false_final: rate(self.false_final, self.counted),
            watching: self.watching,
            lying: self.lying,
        }
    }
}

/// Everybody who learns.
struct Crowd {
    executor: Learner,
    watchers: Vec<Learner>,
}

impl Crowd {
    fn new(verifiers: u8) -> Self {
        // Everybody begins by looking.
        let watchers = vec![Learner { earned: [0.0, 0.001] }; usize::from(verifiers)];
        Self { executor: Learner { earned: [0.0, 0.0] }, watchers }
    }

    /// Whether the executor lies in the next round, and which verifiers run the job.
    fn choose(&self, rng: &mut WorldRng) -> (bool, Vec<bool>) {
        let lies = self.executor.choose(rng) == 1;
        (lies, self.watchers.iter().map(|watcher| watcher.choose(rng) == 1).collect())
    }

    /// Learns from what a round changed on the ledger, `earned` in ether by account.
    fn learn(
        &mut self,
        economy: &Economy,
        (lies, checks): (bool, &[bool]),
        is_false: bool,
        earned: impl Fn(u8) -> f64,
    ) {
        let cost = economy.run_microether as f64 / 1e6;
        let gain = if is_false { economy.gain_microether as f64 / 1e6 } else { 0.0 };
        let own_cost = if lies { 0.0 } else { cost };
        self.executor.learn(usize::from(lies), earned(EXECUTOR) + gain - own_cost);
        for ((who, watcher), checks) in (FIRST_VERIFIER..).zip(&mut self.watchers).zip(checks) {
            let own_cost = if *checks { cost } else { 0.0 };
            watcher.learn(usize::from(*checks), earned(who) - own_cost);
        }
    }
}

/// Plays an economy on the first toy model.
///
/// # Errors
/// When the ledger refuses what it should take.
pub fn play(environments: &Environments, economy: &Economy) -> Result<Behaviours, EconomyError> {
    let verifiers = u8::try_from(economy.verifiers).ok().filter(|count| *count <= 200);
    let verifiers = verifiers.ok_or(EconomyError::TooMany)?;
    let fixtures = &environments.toy().fixtures;
    let truth = fixtures.truth(0, 0)?;
    let missing = || FixtureError::Missing { what: "a lie in the first model".to_owned() };
    let lie = fixtures.run(0, 0, Some(&Lie::Selective))?.ok_or_else(missing)?;
    let model_root = truth.run.model().root();
    let statement = |job: JobId, known: &Known<Toy>| {
        executor::statement_of(job, model_root, known.run.trace()).ok_or_else(missing)
    };
    let mut town = Town { state: Settlement::new_unchecked(genesis()), now_ms: 1 };
    let mut rng = WorldRng::new(economy.seed, Purpose::Search);
    let (mut crowd, mut counts) = (Crowd::new(verifiers), Counts::new());
    for round in 0..economy.rounds {
        if round % ROUNDS_OF_A_LEDGER == 0 {
            town.begin_anew(verifiers, &truth);
        }
        let before: Vec<u128> =
            (0..FIRST_VERIFIER + verifiers).map(|who| town.free_wei(who)).collect();
        let job = post(&mut town, economy, (model_root, round), &truth)?;
        let (lies, checks) = crowd.choose(&mut rng);
        let mut one = Round {
            town: &mut town,
            economy,
            truth: statement(job, &truth)?,
            lie: statement(job, &lie)?,
            job,
        };
        let is_false = one.play(lies, &checks)?;
        crowd.learn(economy, (lies, &checks), is_false, |who| {
            let before = before.get(usize::from(who)).copied().unwrap_or(0);
            (town.free_wei(who) as i128 - before as i128) as f64 / 1e18
        });
        counts.note(economy, round, lies, &checks, is_false);
    }
    Ok(counts.behaviours(economy))
}

fn genesis() -> Genesis {
    Genesis {
        chain_id: 1,
        salt: Digest::default(),
        begun_ms: 0,
        bank: address(BANK),
        parameters: Parameters::default(),
    }
}

fn post(
    town: &mut Town,
    economy: &Economy,
    (model_root, round): (Digest, u32),
    truth: &Known<Toy>,
) -> Result<JobId, EconomyError> {
    let parameters = town.state.parameters().clone();
    let input_root = truth.run.trace().state_roots().first().copied().unwrap_or_default();
    let terms = JobTerms {
        model_root,
        input_root,
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: 20_000 * MICROETHER,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms: parameters.window_ms_min,
        // The executor claims at once.
        open_ms: 1,
        attention_wei: u128::from(economy.attention_microether) * MICROETHER,
        salt: u64::from(round),
    };
    let events = town
        .act(CLIENT, &Action::PostJob { terms })
        .map_err(|rejection| EconomyError::Refused { action: "post-job", rejection })?;
    let job = events.iter().find_map(|event| match event {
        Event::JobPosted { job } => Some(*job),
        _ => None,
    });
    // Every accepted post tells its job; the tag only keeps this total.
    Ok(job.unwrap_or_else(|| JobId(Toy::tagged(Tag::Empty, &[]))))
}
