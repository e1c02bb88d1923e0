//! A small world: who is in it, what its ledger counts, and everything that anybody can send in it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use protocol::asks::{Answer, Ask, OperandProof, Refutation, Showing, Tree};
use protocol::graph::Profile;
use protocol::hash::{self, Digest, Keccak};
use protocol::settlement::{ETHER, Event, Genesis, Parameters, Settlement};
use protocol::transaction::{Action, Address, JobTerms};
use protocol::{ClaimId, JobId};

use crate::common::answers::{Proof, TRACE, inside, leaves, state as state_of};
use crate::common::{Answers, Want};

/// Time in which each honest party lands one transaction. All moves happen at whole ticks.
pub(crate) const TICK_MS: u64 = 1_000;
/// Money of each account at the beginning.
pub(crate) const FUNDS_WEI: u128 = 10 * ETHER;
/// What is paid for the claim's answer.
pub(crate) const FEE_WEI: u128 = ETHER / 10;

const fn party(number: u8) -> Address {
    Address([number; 20])
}

pub(crate) const BANK: Address = party(1);
pub(crate) const POSTER: Address = party(2);
pub(crate) const EXECUTOR: Address = party(3);
/// Posted a true claim after the liar's.
pub(crate) const RIVAL: Address = party(5);
/// The honest challenger.
pub(crate) const CHALLENGER: Address = party(4);
/// Has no money, and does what anybody may.
pub(crate) const STRANGER: Address = party(6);

/// Whom an honest executor names in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// All that wait for the same when it signs.
    Waiting,
    /// Everybody who has a challenge, also in vain: whoever asks for the same until the answer lands is served.
    Everybody,
    /// The most urgent alone: an executor as it should not be.
    First,
}

/// Who posted the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executor {
    /// The claim is true, and all asks are answered, the most urgent first, one transaction a tick.
    Honest(Naming),
    /// The claim is true, and its executor answers the most urgent last: an executor as it should not be.
    Careless,
    /// The claim is false, and its executor answers whom it likes when it likes.
    Liar,
}

/// What is wrong with a world, or with what is expected of it, and must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    /// Nobody calls time.
    NobodyCalls,
    /// The bank puts in money of which nobody else knows.
    BankPays,
    /// The executor has lost the input, and answers with another.
    LostInput,
    /// Expected: a bound that knows nothing of the queue, nor of earlier claims.
    BoundOfOneRound,
    /// Expected: who asked twice cannot withdraw.
    WithdrawalAfterOneAsk,
    /// Expected: a withdrawal costs nothing.
    WithdrawalForNothing,
    /// Expected: the first challenge collects more.
    FirstTakesMore,
    /// Expected: one challenge fewer is served.
    ServesOneFewer,
}

/// A world before it begins. Times are in ticks.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) executor: Executor,
    /// Whether an honest challenger is there, beside the others.
    pub(crate) challenger: bool,
    /// Whether a true claim stands behind the lie.
    pub(crate) rival: bool,
    /// Adversarial challengers.
    pub(crate) sybils: usize,
    pub(crate) served_max: u32,
    pub(crate) floor: u64,
    pub(crate) executor_clock: u64,
    pub(crate) challenger_clock: u64,
    pub(crate) window: u64,
    pub(crate) demands_max: u32,
    pub(crate) end_asks_max: u32,
    /// What adversarial challengers ask for.
    pub(crate) menu: &'static [Want],
    /// Whether they may refute what is right, and so end their own challenge.
    pub(crate) gives_up: bool,
    /// Whether somebody calls time and finalises at once; otherwise the adversary does or does not.
    pub(crate) prompt: bool,
    /// Ticks for which the adversary can keep the honest party out, altogether.
    pub(crate) kept_out: u32,
    /// Whether the liar may say roots that are not of its run.
    pub(crate) junk: bool,
    /// Ticks after which nothing is looked at.
    pub(crate) ticks: u64,
    /// Whether each state is played to its end.
    pub(crate) closes: bool,
    pub(crate) sabotage: Sabotage,
    /// The property that is looked at alone.
    pub(crate) only: Option<&'static str>,
    pub(crate) change: fn(&mut Parameters),
}

impl Setup {
    /// A true claim, two challengers, clocks as short as two answers take.
    pub(crate) const fn honest() -> Self {
        Self {
            executor: Executor::Honest(Naming::Waiting),
            challenger: false,
            rival: false,
            sybils: 2,
            served_max: 2,
            floor: 2,
            executor_clock: 2,
            challenger_clock: 2,
            window: 2,
            demands_max: 1,
            end_asks_max: 1,
            menu: &[],
            gives_up: false,
            prompt: true,
            kept_out: 0,
            junk: false,
            ticks: u64::MAX,
            closes: false,
            sabotage: Sabotage::None,
            only: None,
            change: |_| {},
        }
    }

    /// A false claim and an honest challenger beside one of the liar's own.
    pub(crate) const fn lie() -> Self {
        Self {
            executor: Executor::Liar,
            challenger: true,
            sybils: 1,
            served_max: 1,
            demands_max: 3,
            ..Self::honest()
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self.executor {
            Executor::Honest(_) | Executor::Careless => true,
            Executor::Liar => false,
        }
    }

    fn parameters(&self) -> Parameters {
        let work_max = u128::from(2 + self.demands_max + self.end_asks_max);
        let mut parameters = Parameters {
            window_ms_min: self.window * TICK_MS,
            executor_clock_ms: self.executor_clock * TICK_MS,
            challenger_clock_ms: self.challenger_clock * TICK_MS,
            move_floor_ms: self.floor * TICK_MS,
            demands_max: self.demands_max,
            end_asks_max: self.end_asks_max,
            served_max: self.served_max,
            // As much as a stake can pay.
            work_cost_wei: ETHER / 2 / work_max,
            ..Parameters::default()
        };
        (self.change)(&mut parameters);
        parameters
    }
}

/// An ask with what is sent about it.
pub(crate) struct Item {
    pub(crate) want: Want,
    pub(crate) ask: Ask,
    pub(crate) demand: Action,
    /// What the claim's executor answers; of a liar, what fits its run.
    pub(crate) answer: Answer,
    /// What a liar may say instead.
    pub(crate) junk: Option<Answer>,
}

/// A ledger with a claim, and all transactions that can be sent about it, built once.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) start: Settlement,
    pub(crate) job: JobId,
    pub(crate) claim: ClaimId,
    /// The true claim that stands behind it.
    pub(crate) rival: Option<ClaimId>,
    /// All that can be asked for: the menu first, then what the honest challenger asks for.
    pub(crate) items: Vec<Item>,
    /// The accounts of challengers: the adversary's, then the honest one.
    pub(crate) challengers: Vec<Address>,
    /// A refutation of what is right.
    pub(crate) sound: Proof,
    /// What the honest challenger refutes with, when the liar said what is of its run, and when it said other.
    pub(crate) step: Proof,
    pub(crate) binding: Proof,
    /// The root of the first layer's inside, in the claim's run.
    pub(crate) said_of_run: Digest,
    /// How often each thing happened, over all transitions.
    pub(crate) counts: Counts,
}

/// How often something happened, by its name.
pub(crate) type Counts = Mutex<BTreeMap<&'static str, u64>>;

/// The lie: the first layer's output differs in one bit.
const FLIP: (usize, usize) = (0, 70);

/// What the honest challenger asks for in turn, when the liar says what is of its run.
pub(crate) const DESCENT: [Want; 2] = [inside(0), leaves(0)];
/// And when it says other.
pub(crate) const DESCENT_OF_JUNK: [Want; 3] = [inside(0), TRACE, state_of(1)];

fn terms(parameters: &Parameters, answers: &Answers) -> JobTerms {
    JobTerms {
        model_root: answers.toy.committed.header.root(),
        input_root: answers.run.states[0].root(),
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: FEE_WEI,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms: parameters.window_ms_min,
        open_ms: 1,
        attention_wei: 0,
        salt: 0,
    }
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let truth = Answers::new(None);
        let run = if setup.is_true() { truth.clone() } else { Answers::new(Some(FLIP)) };
        let parameters = setup.parameters();
        let (chain_id, begun_ms) = (7, 0);
        let salt = hash::leaf(b"bounded worlds");
        let genesis =
            Genesis { chain_id, salt, begun_ms, bank: BANK, parameters: parameters.clone() };
        let mut start = Settlement::new_unchecked(genesis);
        let mut act = |who, action: &Action| start.perform(TICK_MS, who, 0, action).unwrap();
        let sybils = (0..setup.sybils).map(|number| party(0x40 + number as u8));
        let challengers: Vec<Address> =
            sybils.chain(setup.challenger.then_some(CHALLENGER)).collect();
        for account in challengers.iter().copied().chain([POSTER, EXECUTOR, RIVAL]) {
            act(BANK, &Action::Deposit { account, amount_wei: FUNDS_WEI });
        }
        let header = truth.toy.committed.header.clone();
        act(POSTER, &Action::RegisterModel { header });
        let posted = act(POSTER, &Action::PostJob { terms: terms(&parameters, &truth) });
        let Event::JobPosted { job } = posted[0] else { panic!("no job") };
        let statement = run.run.statement(job);
        let claimed = act(EXECUTOR, &Action::PostClaim { statement });
        let Event::ClaimPosted { claim, .. } = claimed[0] else { panic!("no claim") };
        let statement = truth.run.statement(job);
        let rival = setup.rival.then(|| {
            let claimed = act(RIVAL, &Action::PostClaim { statement });
            let Event::ClaimPosted { claim, .. } = claimed[0] else { panic!("no claim") };
            claim
        });
        let mut wants = setup.menu.to_vec();
        if setup.challenger {
            wants.extend(DESCENT);
            wants.extend(DESCENT_OF_JUNK.iter().filter(|_| setup.junk));
        }
        let mut items: Vec<Item> = Vec::new();
        for want in wants {
            // One of each.
            if items.iter().all(|item| item.want != want) {
                items.push(item(&setup, want, claim, (&run, &truth)));
            }
        }
        let (sound, step, binding) =
            (state_value_proof(&run), sum_proof(&run), binding_proof(&run, &truth));
        let inside = &run.trees[&DESCENT[0].tree()];
        let said_of_run =
            DESCENT[0].tree().commit::<Keccak>(&inside.kind, &inside.nodes.root()).unwrap();
        let counts = Counts::default();
        Self {
            setup,
            start,
            job,
            claim,
            rival,
            items,
            challengers,
            said_of_run,
            counts,
            sound,
            step,
            binding,
        }
    }

    pub(crate) fn count(&self, name: &'static str) {
        *self.counts.lock().unwrap().entry(name).or_default() += 1;
    }

    /// The number of an ask among all that can be asked for.
    pub(crate) fn item(&self, ask: &Ask) -> usize {
        self.items.iter().position(|item| item.ask == *ask).expect("nothing else is asked for")
    }
}

fn item(setup: &Setup, want: Want, claim: ClaimId, (run, truth): (&Answers, &Answers)) -> Item {
    let (ask, arity_log2) = (run.ask(want), setup.parameters().arity_log2);
    let may_differ = setup.junk && matches!(want, Want::Say(_));
    let junk = may_differ.then(|| truth.answer(&ask, arity_log2));
    let (demand, mut answer) = (run.demand(claim, want), run.answer(&ask, arity_log2));
    if let (Sabotage::LostInput, Answer::Leaves { leaves }) = (setup.sabotage, &mut answer) {
        leaves[0][0] ^= 1;
    }
    Item { want, ask, demand, answer, junk }
}

/// A leaf of a state with a single value.
fn state_leaf(run: &Answers, boundary: u32) -> Showing {
    let (value, root) = run.run.entries[boundary as usize][0];
    Showing::StateLeaf { iteration: 0, boundary, position: 0, value, root, path: Vec::new() }
}

/// That the input's state holds another value than it should, which it does not.
fn state_value_proof(run: &Answers) -> Proof {
    let showings = vec![run.layer(0), state_leaf(run, 0)];
    (showings, Refutation::StateValue { iteration: 0, boundary: 0, position: 0 })
}

/// That an element of the first sum is not what the law gives.
fn sum_proof(run: &Answers) -> Proof {
    let (element, leaf) = (FLIP.1 as u64, FLIP.1 as u64 / 64);
    let showings = vec![run.layer(0), run.operator(0), run.output(0), run.leaf(0, leaf)];
    let input = run.toy.input();
    let weights = run.toy.committed.weights.path(0).unwrap();
    let operand = |bits: &crate::common::Bits, path: Vec<Digest>| OperandProof {
        root: bits.root(),
        path,
        positions: vec![leaf],
        leaves: vec![bits.leaf(leaf)],
        siblings: bits.tree().siblings_of(&[leaf]).unwrap(),
    };
    let operands = vec![(0, operand(&input, Vec::new())), (1, operand(&run.toy.weight, weights))];
    let (iteration, layer, operator, segment, states) = (0, 0, 0, 0, Vec::new());
    let refutation =
        Refutation::Step { iteration, layer, operator, element, segment, operands, states };
    (showings, refutation)
}

/// That the state after the first layer is not what was said of the inside of the layer.
fn binding_proof(run: &Answers, said: &Answers) -> Proof {
    let mut showings = run.showings_to(Tree::State { iteration: 0, boundary: 1 });
    showings.extend([run.layer(0), said.output(0), state_leaf(run, 1)]);
    (showings, Refutation::Binding { iteration: 0, layer: 0, operator: 0 })
}
