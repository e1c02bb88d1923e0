//! A ledger with honest parties and others, and how a game on it begins.

use std::collections::BTreeMap;

use protocol::graph::Profile;
use protocol::hash::{self, Digest};
use protocol::settlement::{ETHER, Genesis, Parameters, Settlement};
use protocol::transaction::{Action, Address, JobTerms};
use protocol::{ClaimId, SealedId};

use crate::draw::Draw;
use crate::library::{Junk, LIBRARY, View};
use crate::moves::{KINDS, Kind};

/// What went wrong.
pub(crate) type Verdict = Result<(), String>;

const fn party(number: u8) -> Address {
    Address([number; 20])
}

pub(crate) const BANK: Address = party(1);
pub(crate) const POSTER: Address = party(2);
pub(crate) const EXECUTOR: Address = party(3);
pub(crate) const CHALLENGER: Address = party(4);
pub(crate) const ATTESTER: Address = party(5);
/// Has no money, and does what anybody may.
pub(crate) const STRANGER: Address = party(6);
/// Those that play by the rules and for themselves.
pub(crate) const HONEST: [Address; 5] = [POSTER, EXECUTOR, CHALLENGER, ATTESTER, STRANGER];

/// How parties of one game are.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// How long it takes at most until what anybody may do is done.
    pub(crate) lazy_ms: u64,
    /// The executor answers all that wait for the same together.
    pub(crate) shares: bool,
    /// The challenger opens more than it needs.
    pub(crate) walks: bool,
    /// How often each kind of move is drawn.
    pub(crate) weights: Vec<u64>,
    /// Times between moves, in milliseconds.
    pub(crate) waits_ms: [u64; 4],
}

/// What is known of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posed {
    pub(crate) book: usize,
    pub(crate) is_true: bool,
}

/// A game.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) state: Settlement,
    pub(crate) now_ms: u64,
    pub(crate) habits: Habits,
    /// Those that do anything.
    pub(crate) chaos: Vec<Address>,
    pub(crate) claims: BTreeMap<ClaimId, Posed>,
    /// Runs and salts of the honest executor's seals.
    pub(crate) seals: BTreeMap<SealedId, (usize, Digest)>,
    /// What was said and is in no run.
    pub(crate) junk: Junk,
    /// Until when the executor works on an answer.
    pub(crate) busy_until_ms: u64,
    /// Deposits and record fees of each honest party, in wei.
    pub(crate) deposited_wei: BTreeMap<Address, u128>,
    pub(crate) records_wei: BTreeMap<Address, u128>,
    /// Accepted actions by name.
    pub(crate) counts: BTreeMap<String, u64>,
    /// What happened, when somebody reads it.
    pub(crate) told: Option<Vec<String>>,
    /// Money that comes with the next transaction, in wei.
    pub(crate) brings_wei: u128,
    /// Transactions so far.
    pub(crate) sent: u64,
}

/// A ledger of wide bounds, one on which work costs as much as it may, one on which a crowd is served two at a time with no time to spare, and one with small
/// openings.
fn parameters(draw: &mut Draw) -> Parameters {
    let wide = Parameters::default();
    let dear = Parameters { work_cost_wei: ETHER / 92, ..wide.clone() };
    let tight = Parameters {
        window_ms_min: 2_000,
        executor_clock_ms: 9_600,
        challenger_clock_ms: 9_600,
        move_floor_ms: 400,
        seal_ms: 1_000,
        served_max: 2,
        work_cost_wei: ETHER / 92,
        ..wide.clone()
    };
    let small = Parameters {
        executor_clock_ms: 145_000,
        challenger_clock_ms: 145_000,
        work_cost_wei: ETHER / 102,
        arity_log2: 4,
        demands_max: 29,
        end_log2: 1,
        end_depth_max: 2,
        served_max: 5,
        attestations_max: 3,
        ..wide.clone()
    };
    let narrow = Parameters {
        executor_clock_ms: 500_000,
        challenger_clock_ms: 500_000,
        work_cost_wei: ETHER / 244,
        arity_log2: 1,
        demands_max: 100,
        end_log2: 1,
        end_depth_max: 2,
        ..wide.clone()
    };
    match draw.below(5) {
        0 => wide,
        1 => dear,
        2 => tight,
        3 => narrow,
        _ => small,
    }
}

/// Kinds that a crowd does which disputes one claim.
const OF_CROWDS: [Kind; 9] = [
    Kind::Challenge,
    Kind::Challenge,
    Kind::Say,
    Kind::Open,
    Kind::Leaves,
    Kind::End,
    Kind::Same,
    Kind::Answer,
    Kind::PostFalse,
];

/// Each kind as likely as the others; some often, some seldom, some not at all; or mostly disputes.
fn weights(draw: &mut Draw, is_crowd: bool) -> Vec<u64> {
    if is_crowd {
        let often = |kind: &Kind| OF_CROWDS.iter().filter(|one| *one == kind).count() as u64;
        return KINDS.iter().map(|kind| 1 + 24 * often(kind)).collect();
    }
    if draw.one_in(3) {
        return vec![1; KINDS.len()];
    }
    let mut all: Vec<u64> = KINDS.iter().map(|_| draw.of([0, 1, 1, 8])).collect();
    if all.iter().all(|weight| *weight == 0) {
        all.fill(1);
    }
    all
}

fn habits(draw: &mut Draw, parameters: &Parameters, is_crowd: bool) -> Habits {
    let (reply_ms, floor_ms) = (parameters.reply_ms, parameters.move_floor_ms);
    let quick = [0, 0, reply_ms / 2, reply_ms];
    let waits_ms = draw.of([
        [0, 1, reply_ms, floor_ms],
        quick,
        [0, floor_ms / 2, parameters.seal_ms, parameters.window_ms_min],
        [1, floor_ms, parameters.executor_clock_ms, parameters.executor_clock_ms + 1],
    ]);
    Habits {
        lazy_ms: draw.of([0, 0, 4 * floor_ms, 2 * parameters.challenger_clock_ms]),
        shares: draw.one_in(2),
        walks: draw.one_in(2),
        weights: weights(draw, is_crowd),
        waits_ms: if is_crowd { quick } else { waits_ms },
    }
}

impl World {
    /// A game as its seed says.
    ///
    /// # Errors
    /// When an honest party cannot even begin.
    pub(crate) fn new(seed: u64) -> Result<Self, String> {
        let mut draw = Draw::new(seed);
        let parameters = parameters(&mut draw);
        let is_crowd = draw.one_in(4);
        let habits = habits(&mut draw, &parameters, is_crowd);
        let genesis = Genesis {
            chain_id: 7,
            salt: hash::leaf(b"legal play"),
            begun_ms: 1_000,
            bank: BANK,
            parameters,
        };
        let state = Settlement::new(genesis).map_err(|error| error.to_string())?;
        let count = if is_crowd { 18 } else { draw.of([1, 3, 6, 14]) };
        let mut world = Self {
            seed,
            state,
            now_ms: 1_000,
            habits,
            chaos: (0..count).map(|number| party(0x40 + number)).collect(),
            claims: BTreeMap::new(),
            seals: BTreeMap::new(),
            junk: BTreeMap::new(),
            busy_until_ms: 0,
            deposited_wei: BTreeMap::new(),
            records_wei: BTreeMap::new(),
            counts: BTreeMap::new(),
            told: None,
            brings_wei: 0,
            sent: 0,
        };
        world.begin(&mut draw)?;
        Ok(world)
    }

    fn begin(&mut self, draw: &mut Draw) -> Verdict {
        self.fund(POSTER, 50 * ETHER)?;
        self.fund(EXECUTOR, 5_000 * ETHER)?;
        self.fund(ATTESTER, ETHER)?;
        for account in self.chaos.clone() {
            let amount_wei = draw.of([ETHER, 20 * ETHER, 3_000 * ETHER]);
            self.fund(account, amount_wei)?;
        }
        let first = draw.below(LIBRARY.models.len() as u64) as usize;
        for model in [first, (first + 1 + draw.below(3) as usize) % LIBRARY.models.len()] {
            let header = LIBRARY.models[model].committed.header.clone();
            self.must(POSTER, &Action::RegisterModel { header })?;
        }
        for salt in 0..draw.of([1, 1, 2]) {
            let mut terms = self.job_terms(draw, first);
            (terms.salt, terms.may_cut) = (salt, false);
            terms.executor = draw.of([Address::default(), Address::default(), EXECUTOR]);
            self.must(POSTER, &Action::PostJob { terms })?;
        }
        Ok(())
    }

    /// Gives an account money from outside.
    pub(crate) fn fund(&mut self, account: Address, amount_wei: u128) -> Verdict {
        self.must(BANK, &Action::Deposit { account, amount_wei })
    }

    /// Terms that a job on a model may have.
    pub(crate) fn job_terms(&self, draw: &mut Draw, model: usize) -> JobTerms {
        let parameters = self.state.parameters();
        let repeats = LIBRARY.models[model].repeats;
        let iterations_max = if repeats { draw.of([2, 3, 4]) } else { 1 };
        let natural = LIBRARY.models[model].natural(iterations_max);
        let fits = |place: &usize| {
            let book = &LIBRARY.books[*place];
            book.lawful && book.iterations() == natural
        };
        let book = LIBRARY.posable(model).into_iter().find(fits).expect("every job has a run");
        let window_ms = parameters.window_ms_of(iterations_max);
        let recurrent = LIBRARY.models[model].committed.header.is_recurrent();
        let mut all = self.chaos.clone();
        all.push(EXECUTOR);
        let named = *draw.pick(&all).unwrap_or(&EXECUTOR);
        let may_cut = recurrent && draw.one_in(4);
        let executor = if may_cut || draw.one_in(4) { named } else { Address::default() };
        let stakes_wei = [parameters.stake_wei_min, 3 * ETHER, parameters.stake_wei_max];
        JobTerms {
            model_root: LIBRARY.models[model].root,
            input_root: LIBRARY.books[book].statement.terms.input_root,
            profile: Profile::StrictF32,
            executor,
            fee_wei: draw.of([ETHER / 10, ETHER / 100]),
            fee_iteration_wei: draw.of([0, ETHER / 100]),
            iterations_max,
            may_cut,
            stake_wei: stakes_wei[[0, 0, 1, 2][draw.below(4) as usize]],
            window_ms: draw.of([window_ms, window_ms, 3 * window_ms]),
            open_ms: draw.of([parameters.window_ms_min / 2, 5 * parameters.window_ms_min]),
            attention_wei: if may_cut { 0 } else { draw.of([0, 0, 100, ETHER / 25]) },
            salt: draw.below(4),
        }
    }

    /// A claim as everybody sees who has the runs.
    pub(crate) fn view(&self, claim: &ClaimId) -> View<'_> {
        let book = &LIBRARY.books[self.claims[claim].book];
        let said = &self.state.claim(claim).expect("it was posted").said;
        View { book, said, junk: &self.junk }
    }

    pub(crate) fn terms_of(&self, claim: &ClaimId) -> &JobTerms {
        let claim = self.state.claim(claim).expect("it was posted");
        &self.state.job(&claim.terms.job).expect("its job was posted").terms
    }

    pub(crate) fn free_wei(&self, account: &Address) -> u128 {
        self.state.money().free_wei(account)
    }
}
