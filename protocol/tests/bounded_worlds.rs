//! Small worlds, each searched to its end: whatever the adversary sends, in whatever order within a tick, whenever it
//! moves and calls time, honest parties that land one transaction a tick come out whole. `docs/simulation.md` says
//! what is searched and how many states that is.
//!
//! `REBUT_BOUNDED_THOROUGH` searches larger worlds as well, for minutes; `REBUT_BOUNDED_COUNTS` prints what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

#[path = "bounded_worlds/honest.rs"]
mod honest;
#[path = "bounded_worlds/model.rs"]
mod model;
#[path = "bounded_worlds/properties.rs"]
mod properties;
#[path = "bounded_worlds/search.rs"]
mod search;
#[path = "bounded_worlds/state.rs"]
mod state;
#[path = "bounded_worlds/world.rs"]
mod world;

use common::Want;
use common::answers::{INPUT, OUTPUT, TRACE, inside};
use properties::{
    ANSWERABLE, BOUND, CLOSES, COLLECTS, CONSERVED, FALLS, KEPT, PAID, SERVES, STANDS, TOUCHES,
    WITHDRAWS,
};
use protocol::settlement::ETHER;
use search::{fails, hold, is_safe, is_thorough};
use world::{Executor, Naming, Sabotage, Setup};

const MENU: &[Want] = &[TRACE, inside(0), INPUT];
/// The root of a layer's inside, which is said once, and an end.
const SAID_AND_END: &[Want] = &[inside(0), INPUT];
const ENDS: &[Want] = &[INPUT, OUTPUT];
const SAME: &[Want] = &[TRACE];

const REFUSED: &str = "the honest party's transaction is refused";

/// Two challenges are served at once, and two answers fit into the least time of a move.
fn honest() -> Setup {
    Setup { menu: MENU, ..Setup::honest() }
}

#[test]
fn a_true_claim_stands_whatever_challengers_ask_in_whatever_order() {
    let everybody = Executor::Honest(Naming::Everybody);
    let short = Setup { floor: 1, executor_clock: 1, ..honest() };
    let mut rows: Vec<search::Row> = vec![
        ("two challengers", honest(), &["final", "lost", "answered together"]),
        (
            "two that give up",
            Setup { gives_up: true, ..honest() },
            &["refute", "withdraw-challenge"],
        ),
        (
            "everybody is named",
            Setup { executor: everybody, gives_up: true, ..honest() },
            &["named in vain", "answered together"],
        ),
        ("nobody hurries", Setup { prompt: false, ticks: 10, ..honest() }, &["call-time", "final"]),
        (
            "three challengers, one served",
            Setup { sybils: 3, served_max: 1, ..short.clone() },
            &["served after waiting", "final"],
        ),
        (
            "three challengers, two served",
            Setup { sybils: 3, menu: SAID_AND_END, ..honest() },
            &["served after waiting", "answered together", "final"],
        ),
        ("the same alone", Setup { demands_max: 2, menu: SAME, ..short }, &["answered together"]),
        (
            "kept out for a tick",
            Setup { executor_clock: 4, kept_out: 1, menu: SAID_AND_END, ..honest() },
            &["final"],
        ),
        (
            "kept out, and a floor for it",
            Setup { floor: 3, executor_clock: 3, kept_out: 1, menu: SAID_AND_END, ..honest() },
            &["final"],
        ),
    ];
    if is_thorough() {
        let three = Setup { sybils: 3, ..honest() };
        rows.extend([
            ("three challengers, three asks", three.clone(), &["served after waiting"] as &[_]),
            ("everybody of three is named", Setup { executor: everybody, ..three.clone() }, &[]),
            ("three that give up", Setup { gives_up: true, ..three.clone() }, &[]),
            ("three served", Setup { served_max: 3, floor: 3, ..three.clone() }, &[]),
            ("two asks each", Setup { demands_max: 2, end_asks_max: 2, ..honest() }, &[]),
        ]);
    }
    hold(rows);
}

/// A lie, and beside the honest challenger others that are the liar's.
fn lie() -> Setup {
    Setup { menu: SAID_AND_END, junk: true, ..Setup::lie() }
}

#[test]
fn a_false_claim_falls_whoever_stands_before_the_honest_challenger() {
    let mut rows: Vec<search::Row> = vec![
        ("one in front", lie(), &["convicted", "fell by silence", "served after waiting"]),
        (
            "two in front, one served",
            Setup { sybils: 2, ..lie() },
            &["convicted", "served after waiting", "withdraw-challenge"],
        ),
        ("one beside", Setup { served_max: 2, ..lie() }, &["convicted", REFUSED]),
        (
            "nobody hurries",
            Setup { served_max: 2, prompt: false, ticks: 9, ..lie() },
            &["convicted", "call-time"],
        ),
        (
            "two beside that ask for nothing else",
            Setup { sybils: 2, served_max: 2, menu: &SAID_AND_END[..1], demands_max: 3, ..lie() },
            &["convicted", REFUSED, "served after waiting", "collect"],
        ),
    ];
    if is_thorough() {
        let two = Setup { sybils: 2, served_max: 2, ..lie() };
        rows.extend([
            ("two beside", two.clone(), &["convicted", REFUSED] as &'static [_]),
            ("two in front, three asks", Setup { served_max: 1, menu: MENU, ..two.clone() }, &[]),
            ("two beside, three asks", Setup { menu: MENU, ..two.clone() }, &[]),
        ]);
    }
    hold(rows);
}

#[test]
fn a_withdrawal_moves_no_other_money_and_leaves_nothing_stuck() {
    let looks = |setup: Setup| Setup { menu: ENDS, end_asks_max: 2, closes: true, ..setup };
    hold(vec![
        ("a true claim is looked at", looks(honest()), &["withdraw-challenge", "final", "lost"]),
        (
            "or more is asked",
            Setup { menu: &[TRACE, INPUT], end_asks_max: 1, gives_up: true, ..looks(honest()) },
            &["withdraw-challenge", "refute"],
        ),
        (
            "with one that waits",
            Setup { sybils: 2, served_max: 1, floor: 1, executor_clock: 1, ..looks(honest()) },
            &["withdraw-challenge", "served after waiting"],
        ),
        (
            "a lie is looked at",
            looks(lie()),
            &["withdraw-challenge", "convicted", "served after waiting"],
        ),
    ]);
}

#[test]
fn after_a_fall_every_challenge_is_collected_once_in_any_order() {
    let falls = |setup: Setup| Setup { window: 1, closes: true, ..setup };
    hold(vec![
        (
            "of three, one convicts",
            falls(Setup { sybils: 2, served_max: 3, menu: &SAID_AND_END[..1], ..lie() }),
            &["collect", "convicted", "fell by silence"],
        ),
        (
            "of four, two wait",
            falls(Setup {
                challenger: false,
                sybils: 4,
                served_max: 2,
                demands_max: 1,
                menu: SAME,
                ..lie()
            }),
            &["collect", "fell by silence", "lost"],
        ),
    ]);
}

#[test]
fn a_true_claim_behind_a_lie_is_final_within_its_bound() {
    let behind = |setup: Setup| Setup { rival: true, closes: true, ..setup };
    hold(vec![
        ("one in front of it", behind(lie()), &["convicted", "fell by silence", "final"]),
        ("one beside", behind(Setup { served_max: 2, ..lie() }), &["convicted", "final"]),
        ("two in front", behind(Setup { sybils: 2, menu: SAME, ..lie() }), &["convicted", "final"]),
    ]);
    let bound = Sabotage::BoundOfOneRound;
    let queue = behind(Setup { sybils: 2, menu: SAME, sabotage: bound, ..lie() });
    fails("a bound of its own alone", queue, CLOSES);
}

#[test]
fn clocks_that_are_too_short_and_executors_that_are_careless_are_found_out() {
    let short = Setup { floor: 1, executor_clock: 1, ..honest() };
    let first = Executor::Honest(Naming::First);
    let same = Setup { demands_max: 2, menu: SAME, ..short.clone() };
    fails("two served, time for one", short, STANDS);
    fails("one named", Setup { executor: first, ..same }, STANDS);
    fails("the most urgent last", Setup { executor: Executor::Careless, ..honest() }, STANDS);
    fails("kept out, no budget", Setup { kept_out: 1, ..honest() }, STANDS);
    let beside = Setup { floor: 1, challenger_clock: 1, served_max: 2, ..lie() };
    fails("said in front of the challenger", beside.clone(), KEPT);
    fails("said in front of the challenger", beside, FALLS);
}

#[test]
fn every_other_property_fails_where_it_must() {
    let sabotaged = |sabotage, setup: Setup| Setup { sabotage, ..setup };
    let ends = Setup { menu: ENDS, end_asks_max: 2, closes: true, ..honest() };
    let dear = Setup { change: |all| all.work_cost_wei = ETHER / 4, ..lie() };
    let alone = Setup { challenger: false, menu: SAME, demands_max: 1, ..lie() };
    let few = Setup { sybils: 1, menu: SAME, ..honest() };
    let queue = Setup { sybils: 4, ..alone };
    let waits = Setup { sybils: 3, ..honest() };
    let crowd = Setup { sybils: 2, served_max: 3, menu: &SAID_AND_END[..1], ..lie() };
    for (name, setup, property) in [
        ("the input is lost", sabotaged(Sabotage::LostInput, honest()), ANSWERABLE),
        ("work that no stake can pay", dear, PAID),
        ("money from nowhere", sabotaged(Sabotage::BankPays, honest()), CONSERVED),
        ("a queue, a bound without", sabotaged(Sabotage::BoundOfOneRound, queue), BOUND),
        ("nobody calls time", sabotaged(Sabotage::NobodyCalls, few), BOUND),
        ("nobody calls time", sabotaged(Sabotage::NobodyCalls, ends.clone()), CLOSES),
        ("once is enough", sabotaged(Sabotage::WithdrawalAfterOneAsk, ends.clone()), WITHDRAWS),
        ("it costs nothing", sabotaged(Sabotage::WithdrawalForNothing, ends), TOUCHES),
        ("the first takes more", sabotaged(Sabotage::FirstTakesMore, crowd), COLLECTS),
        ("one fewer is served", sabotaged(Sabotage::ServesOneFewer, waits), SERVES),
    ] {
        fails(name, setup, property);
    }
}

/// The smallest number of ticks with which a property holds.
fn smallest(property: &'static str, setup: impl Fn(u64) -> Setup) -> (u64, usize) {
    let mut looked = 0;
    for ticks in 1..12 {
        let (path, states) = is_safe(setup(ticks), property);
        looked += states;
        if path.is_none() {
            return (ticks, looked);
        }
    }
    panic!("no clock up to 12 ticks is safe");
}

/// Budgets that are safe without a floor of their own, for asks and those for ends, challenges that are served at once,
/// and ticks for which the executor is kept out.
const EXECUTOR_CLOCKS: [(u32, u32, u32, u32, u64); 10] = [
    (1, 0, 1, 0, 1),
    (1, 0, 1, 1, 2),
    (1, 0, 2, 0, 2),
    (1, 0, 2, 1, 3),
    (2, 0, 1, 0, 1),
    (2, 0, 1, 1, 3),
    (2, 0, 1, 2, 4),
    (1, 1, 1, 1, 3),
    (2, 0, 2, 0, 3),
    (2, 0, 2, 1, 5),
];

#[test]
fn the_smallest_safe_clocks_of_an_executor_are_those_of_the_document() {
    for (asks, ends, served_max, kept_out, wanted) in EXECUTOR_CLOCKS {
        let setup = |executor_clock| Setup {
            sybils: served_max as usize,
            served_max,
            floor: 1,
            executor_clock,
            window: 1,
            demands_max: asks,
            end_asks_max: ends,
            menu: if ends > 0 { SAID_AND_END } else { &MENU[..2] },
            kept_out,
            ..Setup::honest()
        };
        let (ticks, states) = smallest(STANDS, setup);
        let name = format!("{asks} and {ends} asks, {served_max} served, kept out {kept_out}");
        println!("{name}: {ticks} ticks, {states} states");
        assert_eq!(ticks, wanted, "{name}");
    }
}

#[test]
fn the_smallest_safe_clocks_of_a_challenger_are_those_of_the_document() {
    // Another that says nothing in front of it, and one that does.
    let mut rows: Vec<(&[Want], u32, u64)> = vec![(&MENU[2..], 0, 1), (SAID_AND_END, 0, 2)];
    rows.extend([(&MENU[2..], 1, 5)]);
    if is_thorough() {
        rows.extend([(SAID_AND_END, 1, 5), (SAID_AND_END, 2, 6)]);
    }
    for (menu, kept_out, wanted) in rows {
        let setup = |challenger_clock| Setup {
            served_max: 2,
            floor: 1,
            challenger_clock,
            menu,
            kept_out,
            ..lie()
        };
        let (ticks, states) = smallest(KEPT, setup);
        let asks = menu.len();
        println!("{asks} asks of others, kept out {kept_out}: {ticks}, {states} states");
        assert_eq!(ticks, wanted, "{asks} asks of others, kept out {kept_out}");
    }
}
