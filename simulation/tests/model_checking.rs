//! Exhaustive search of small worlds with the real challenger, the real referee and the real
//! settlement: an adversary answers, waits and censors as it likes, within a budget. What is looked
//! for is the smallest clock with which the honest challenger never loses; `docs/simulation.md`
//! has the table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use challenger::{ChallengerCore, HonestView, Policy};
use dispute::lies::Lie;
use executor::{Defender, statement_of};
use inference::{Engine, Isa};
use ledger::View;
use node::Core;
use protocol::asks::Ask;
use protocol::graph::Profile;
use protocol::hash::Digest;
use protocol::ids::ClaimId;
use protocol::settlement::{ChallengeStatus, ETHER, Event, Genesis, Parameters, Settlement};
use protocol::transaction::{Action, Address, JobTerms};
use simulation::fixtures::Fixtures;
use simulation::toy::{Toy, ToySize};
use stateright::{Checker, Model, Property};

const TICK_MS: u64 = 1_000;
const BANK: Address = Address([9; 20]);
const LIAR: Address = Address([1; 20]);
const HONEST: Address = Address([2; 20]);

/// A bounded world.
#[derive(Clone)]
struct Bounded {
    start: State,
    challenger: ChallengerCore<Toy>,
    defenders: Vec<(ClaimId, Defender<Toy>)>,
    /// Moves that the honest challenger lands in one tick.
    capacity: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    ledger: Settlement<Toy>,
    tick: u64,
    /// Ticks for which the adversary can still keep the challenger out.
    censorship: u32,
}

/// What the adversary does in a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tick {
    censors: bool,
    /// Which of the waiting demands it answers, as bits.
    answers: u32,
}

impl Bounded {
    fn new(disputes: usize, size: ToySize, clock: u64, censorship: u32, capacity: usize) -> Self {
        let engine = Engine::new(Isa::detect(), 1).unwrap();
        let fixtures = Fixtures::<Toy>::of_toys(engine, &[size]).unwrap();
        let parameters = Parameters {
            executor_clock_ms: 1_000 * TICK_MS,
            challenger_clock_ms: clock * TICK_MS,
            // No floor and no time for waiting: what is asked is what the budget alone must hold.
            move_floor_ms: 1,
            ..Parameters::default()
        };
        let genesis = Genesis {
            chain_id: 1,
            salt: Digest::default(),
            begun_ms: 0,
            bank: BANK,
            parameters: parameters.clone(),
        };
        let mut ledger = Settlement::<Toy>::new_unchecked(genesis);
        let mut act = |who: Address, action: Action| {
            let nonce = ledger.nonce(&who);
            ledger.perform_numbered(0, who, nonce, &action).unwrap()
        };
        for account in [LIAR, HONEST, BANK] {
            act(BANK, Action::Deposit { account, amount_wei: 100 * ETHER });
        }
        let truth = fixtures.truth(0, 0).unwrap();
        let lie = fixtures.run(0, 0, Some(&lie_of(size))).unwrap().unwrap();
        act(BANK, Action::RegisterModel { header: truth.run.model().header().clone() });
        let mut challenger = ChallengerCore::new(HONEST, Policy::Differing);
        let mut defenders = Vec::new();
        for number in 0..disputes {
            let terms = JobTerms {
                model_root: truth.run.model().root(),
                input_root: truth.run.trace().state_roots()[0],
                profile: Profile::StrictF32,
                executor: Address::default(),
                fee_wei: 1,
                fee_iteration_wei: 0,
                iterations_max: 1,
                may_cut: false,
                stake_wei: parameters.stake_wei_min,
                window_ms: parameters.window_ms_min,
                open_ms: 1,
                attention_wei: 0,
                salt: number as u64,
            };
            let events = act(BANK, Action::PostJob { terms });
            let Event::JobPosted { job } = events[0] else { panic!() };
            let root = truth.run.model().root();
            let statement = statement_of(job, root, lie.run.trace()).unwrap();
            let events = act(LIAR, Action::PostClaim { statement });
            let Event::ClaimPosted { claim, .. } = events[0] else { panic!() };
            act(HONEST, Action::Challenge { claim });
            challenger.watch(job, HonestView::of_run(Arc::clone(&truth.run), Arc::default()));
            let defender = Defender::of_run(Arc::clone(&lie.run), parameters.arity_log2);
            defenders.push((claim, defender));
        }
        let start = State { ledger, tick: 0, censorship };
        Self { start, challenger, defenders, capacity }
    }

    /// Demands that wait for the liar.
    fn waiting(state: &State) -> Vec<(ClaimId, Ask)> {
        let challenges = state.ledger.challenges();
        challenges.filter_map(|(_, one)| Some((one.claim, one.pending()?.clone()))).collect()
    }
}

fn perform(ledger: &mut Settlement<Toy>, now_ms: u64, who: Address, action: &Action) -> bool {
    let nonce = ledger.nonce(&who);
    ledger.perform_numbered(now_ms, who, nonce, action).is_ok()
}

fn is_lost(state: &State) -> bool {
    state.ledger.challenges().any(|(_, one)| one.status == ChallengeStatus::Lost)
}

impl Model for Bounded {
    type State = State;
    type Action = Tick;

    fn init_states(&self) -> Vec<State> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Tick>) {
        let open = state.ledger.challenges().any(|(_, one)| one.is_open());
        if !open || is_lost(state) {
            return;
        }
        let waiting = Self::waiting(state).len();
        let turns =
            state.ledger.challenges().any(|(_, one)| one.is_open() && one.pending().is_none());
        for answers in 0..1u32 << waiting {
            // Waiting while nobody else can move changes nothing: the clock that runs is the
            // liar's own, and it is long.
            if turns || answers > 0 {
                actions.push(Tick { censors: false, answers });
            }
            if turns && state.censorship > 0 {
                actions.push(Tick { censors: true, answers });
            }
        }
    }

    fn next_state(&self, state: &State, tick: Tick) -> Option<State> {
        let mut next = state.clone();
        next.tick += 1;
        let now_ms = next.tick * TICK_MS;
        // The challenger moves on what it saw at the end of the last tick, in its own order.
        let view = View { height: state.tick, now_ms, settlement: Arc::new(state.ledger.clone()) };
        let decisions = self.challenger.clone().decide(&view);
        if tick.censors {
            next.censorship -= 1;
        } else {
            for decision in decisions.iter().take(self.capacity) {
                perform(&mut next.ledger, now_ms, HONEST, &decision.action);
            }
        }
        for (index, (claim, ask)) in Self::waiting(state).into_iter().enumerate() {
            let defender = self.defenders.iter().find(|(id, _)| *id == claim)?;
            if tick.answers & (1 << index) != 0 {
                let answer = defender.1.answer(&ask).ok()?;
                let challengers = vec![HONEST];
                let reveal = Action::Reveal { claim, challengers, ask, answer };
                perform(&mut next.ledger, now_ms, LIAR, &reveal);
            }
        }
        // The adversary calls time as soon as it can.
        let late: Vec<ClaimId> = next
            .ledger
            .challenges()
            .filter(|(_, one)| one.deadline_ms(1).is_some_and(|at| now_ms > at))
            .map(|(_, one)| one.claim)
            .collect();
        for claim in late {
            let call = Action::CallTime { claim, challenger: HONEST };
            perform(&mut next.ledger, now_ms, LIAR, &call);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the honest challenger never loses", |_, state: &State| {
                !is_lost(state)
            }),
            Property::always("money is conserved", |_, state: &State| {
                state.ledger.money().is_conserved()
                    && state.ledger.money().locked_wei() == state.ledger.locked_by_objects_wei()
            }),
            Property::sometimes("a dispute is won", |_, state: &State| {
                let mut challenges = state.ledger.challenges();
                challenges.any(|(_, one)| matches!(one.status, ChallengeStatus::Won { .. }))
            }),
        ]
    }
}

/// The smallest clock, in ticks, with which the challenger never loses; and the states searched.
fn smallest_safe_clock(
    disputes: usize,
    size: ToySize,
    censorship: u32,
    capacity: usize,
) -> (u64, usize) {
    let mut states = 0;
    for clock in 1..=20 {
        let checker = Bounded::new(disputes, size, clock, censorship, capacity)
            .checker()
            .threads(1)
            .spawn_bfs()
            .join();
        states = states.max(checker.unique_state_count());
        assert!(checker.discovery("money is conserved").is_none());
        if checker.discovery("the honest challenger never loses").is_none() {
            assert!(checker.discovery("a dispute is won").is_some());
            return (clock, states);
        }
    }
    panic!("no clock up to 20 ticks is safe");
}

/// One layer: the inside of the layer, the leaves, the step.
const SHALLOW: ToySize = ToySize { layers: 1, width: 16 };
/// The trace, the inside of the layer, the nodes of the output, its leaves, the step.
const DEEPER: ToySize = ToySize { layers: 6, width: 512 };

/// What is shown at a claim's posting tells whether its first or last layer is false: of several layers the lie
/// is in one between.
fn lie_of(size: ToySize) -> Lie {
    match size.layers {
        1 => Lie::Selective,
        _ => Lie::Ulps { layer: 2, operator: 3, element: 0, ulps: 1 },
    }
}

#[test]
fn the_smallest_safe_clock_is_moves_plus_censorship_when_every_dispute_has_a_slot() {
    for (size, moves) in [(SHALLOW, 3), (DEEPER, 5)] {
        for censorship in [0, 1, 2, 4] {
            let (clock, states) = smallest_safe_clock(1, size, censorship, 1);
            println!(
                "1 dispute, {moves} moves, censorship {censorship}: {clock} ticks, {states} states"
            );
            assert_eq!(clock, moves + u64::from(censorship));
        }
    }
    for censorship in [0, 1] {
        let (clock, states) = smallest_safe_clock(2, SHALLOW, censorship, 2);
        println!("2 disputes, 2 slots, censorship {censorship}: {clock} ticks, {states} states");
        assert_eq!(clock, 3 + u64::from(censorship));
    }
}

#[test]
fn with_fewer_slots_than_disputes_the_clock_must_grow() {
    // Earliest deadline first: not the sum of all moves, as a fixed order would need.
    for (disputes, censorship, expected) in [(2, 0, 5), (2, 1, 6), (2, 2, 7), (3, 0, 7)] {
        let (clock, states) = smallest_safe_clock(disputes, SHALLOW, censorship, 1);
        println!(
            "{disputes} disputes, 1 slot, censorship {censorship}: {clock} ticks, {states} states"
        );
        assert_eq!(clock, expected, "{disputes} disputes, censorship {censorship}");
    }
}
