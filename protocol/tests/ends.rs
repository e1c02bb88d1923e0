//! Inputs and outputs of a run: who wants to see them may, pays for it, and may leave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::answers::{INPUT, OUTPUT, TRACE, inside, state};
use common::{Game, Toy, Want, Who, address};
use protocol::asks::{Ask, AskError, Asking, Context, Cost, Place, Tree, TreeKind};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, ETHER, Event, FallReason, Parameters, Rejection, Turn,
};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::Action;

const CLOCK_MS: u64 = 120_000;
const FEE_WEI: u128 = ETHER / 1_000;
const BOND_WEI: u128 = ETHER / 10;
const RECORD_WEI: u128 = ETHER / 10_000;
const INPUT_TREE: Tree = Tree::Input { iteration: 0, value: 0 };
/// The states that hold the input and the output.
const FIRST: Want = state(0);
const LAST: Want = state(2);

fn disputed(parameters: Parameters) -> Game {
    let run = Toy::new().run(None);
    Game::under(parameters).claims(Who::Executor, &run).challenges(Who::Challenger, Who::Executor)
}

/// What leaves below a node at this depth of a tensor with 2^12 leaves cost.
fn cost_of(tree: Tree, depth: u32, asking: Asking) -> Cost {
    let game = Game::new();
    let (header, statement) = (&game.toy.committed.header, game.toy.run(None).statement(game.job));
    let (said, arity_log2) = (Default::default(), asking.arity_log2);
    let (terms, length) = (&statement.terms, game.job_of().terms.length());
    let context = Context { terms, header, length, said: &said, from: None, arity_log2 };
    let shape = Shape::new(&[64 << 12]).unwrap();
    let kind = TreeKind::Tensor { kind: TensorType { element: ElementType::F32, shape } };
    let place = Place { tree, kind, depth, index: 0, hash: Default::default() };
    asking.cost(&context, &Ask::Leaves { place })
}

#[test]
fn leaves_of_an_input_or_output_cost_a_fee_for_each_opening_that_they_fill() {
    let asking = Parameters::default().asking();
    assert_eq!((asking.leaf_log2, asking.end_log2), (3, 8));
    for (depth, fees) in [(12, 1), (10, 1), (9, 1), (8, 2), (6, 8), (4, 32), (0, 512)] {
        for tree in [INPUT_TREE, Tree::Output { iteration: 0, value: 4 }] {
            let cost = cost_of(tree, depth, asking);
            assert_eq!(cost, Cost { is_end: true, fees }, "{tree:?} at {depth}");
        }
        let ordinary = cost_of(Tree::Tensor { iteration: 0, operator: 0 }, depth, asking);
        assert_eq!(ordinary, Cost { is_end: false, fees: 1 });
    }
    for (arity_log2, fees) in [(1, 4096), (3, 4096), (4, 2048), (8, 128)] {
        let narrow = Parameters { arity_log2, ..Parameters::default() }.asking();
        assert_eq!(cost_of(INPUT_TREE, 0, narrow).fees, fees);
    }
    // On a ledger with openings of one level the two leaves of the toy's input are two openings.
    let narrow = Parameters { arity_log2: 1, end_log2: 1, ..Parameters::default() };
    let game = disputed(narrow).opens_up(Who::Challenger, &[INPUT]);
    assert_eq!(game.challenge_of(Who::Challenger).fees_wei, 2 * FEE_WEI);
    let game = game.opens_up(Who::Challenger, &[Want::Leaves(INPUT_TREE, 1, 1)]);
    assert_eq!(game.challenge_of(Who::Challenger).fees_wei, 3 * FEE_WEI);
}

#[test]
fn inputs_and_outputs_and_the_states_that_hold_them_are_counted_beside_other_demands() {
    let parameters = Parameters { demands_max: 1, end_asks_max: 5, ..Parameters::default() };
    let ends = [INPUT, OUTPUT, FIRST, LAST, Want::Open(INPUT_TREE, 0, 0)];
    let game = disputed(parameters).opens_up(Who::Challenger, &ends);
    let one = game.challenge_of(Who::Challenger);
    assert_eq!((one.demands, one.end_asks), (0, 5));
    assert_eq!((one.replies, one.end_replies), (0, 5));
    assert_eq!(one.work(), 7);
    let used = || Rejection::DemandsUsed;
    let mut game = game;
    for end in ends {
        game = game.refuses(Who::Challenger, |game| game.demand(end), used());
    }
    // The state between is none, nor is the trace.
    let game = game.opens_up(Who::Challenger, &[state(1)]);
    let game = game.refuses(Who::Challenger, |game| game.demand(TRACE), used());
    let one = game.challenge_of(Who::Challenger);
    assert_eq!((one.demands, one.end_asks, one.replies, one.end_replies), (1, 5, 1, 5));
}

#[test]
fn a_limit_says_how_much_of_an_input_or_output_is_asked_for_at_once_and_at_all() {
    let refused = || Rejection::Ask(AskError::OutOfRange);
    // One leaf at a time.
    let single = Parameters { arity_log2: 1, end_log2: 0, ..Parameters::default() };
    disputed(single)
        .refuses(Who::Challenger, |game| game.demand(INPUT), refused())
        .opens_up(
            Who::Challenger,
            &[Want::Leaves(INPUT_TREE, 1, 0), Want::Leaves(INPUT_TREE, 1, 1)],
        )
        .opens_up(Who::Challenger, &[OUTPUT]);
    // The input is too large to be asked for, in whatever way; the output is not.
    let shallow = Parameters { end_depth_max: 0, ..Parameters::default() };
    let mut game = disputed(shallow);
    for want in [INPUT, Want::Open(INPUT_TREE, 0, 0), Want::Leaves(INPUT_TREE, 1, 0)] {
        game = game.refuses(Who::Challenger, |game| game.demand(want), refused());
    }
    game.opens_up(Who::Challenger, &[OUTPUT, FIRST]);
}

#[test]
fn an_input_or_output_that_nobody_gets_loses() {
    for want in [INPUT, OUTPUT, FIRST, LAST] {
        let mut game = disputed(Parameters::default()).demands(Who::Challenger, want);
        game.now_ms = game.deadline_ms(Who::Challenger) + 1;
        let asked = game.ask(want);
        let game = game.calls_time(Who::Challenger);
        match &game.claim_of(Who::Executor).status {
            ClaimStatus::Fallen { reason: FallReason::Silence(ask), .. } => assert_eq!(*ask, asked),
            other => panic!("{other:?}"),
        }
        // Its cost, three pieces of work, and its share.
        let parameters = game.state.parameters();
        let reward_wei = 3 * parameters.work_cost_wei + ETHER * 2 / 5;
        let challenger = game.challenge_of(Who::Challenger);
        assert_eq!(challenger.status, ChallengeStatus::Won { reward_wei });
    }
}

#[test]
fn a_challenge_that_looked_at_inputs_and_outputs_only_may_be_withdrawn() {
    let game = disputed(Parameters { served_max: 1, ..Parameters::default() })
        .challenges(Who::Second, Who::Executor)
        .opens_up(Who::Challenger, &[INPUT, FIRST, OUTPUT, LAST]);
    let before_wei = game.state.money().burned_wei();
    assert_eq!(game.challenge_of(Who::Second).status, ChallengeStatus::Queued);
    let (first, second) = (game.challenge(Who::Challenger), game.challenge(Who::Second));
    let game = game.wait(5).withdraws(Who::Challenger);
    // A tenth of the bond burns, four fees are the executor's, the rest is the challenger's.
    let burned_wei = BOND_WEI / 10;
    let (challenge, challenger) = (first, address(Who::Challenger));
    assert_eq!(
        game.last,
        [
            Event::ChallengeWithdrawn { challenge, challenger, burned_wei },
            Event::ChallengeServed { challenge: second },
        ]
    );
    assert_eq!(game.state.money().burned_wei(), before_wei + burned_wei);
    let spent_wei = burned_wei + 4 * FEE_WEI + RECORD_WEI;
    assert_eq!(game.delta(Who::Challenger), -(spent_wei as i128));
    let staked_wei = (ETHER + RECORD_WEI) as i128;
    assert_eq!(game.delta(Who::Executor), (4 * FEE_WEI) as i128 - staked_wei);
    assert_eq!(game.challenge_of(Who::Challenger).status, ChallengeStatus::Withdrawn);
    // Who waited is served now, with clocks of its own.
    let (turn, since_ms) = (Turn::Challenger, game.now_ms);
    assert_eq!(game.challenge_of(Who::Second).status, ChallengeStatus::Open { turn, since_ms });
    let claim = game.claim_of(Who::Executor);
    assert_eq!((claim.open, claim.ended, claim.work), (1, 1, 2));
    // Stake, fee and the second's bond are held, nothing of the first's.
    assert_eq!(game.state.money().locked_wei(), ETHER + ETHER / 10 + BOND_WEI);
    let game = game.wait(CLOCK_MS + 1).calls_time(Who::Second).finalises(Who::Executor);
    assert_eq!(game.state.money().locked_wei(), 0);
}

#[test]
fn withdraw_delay() {
    // However cheap or dear it is: what burns is the ledger's share of the bond.
    for (withdraw_permille, burned_wei) in [(0, 0), (1, BOND_WEI / 1_000), (1_000, BOND_WEI)] {
        let parameters = Parameters { withdraw_permille, ..Parameters::default() };
        let game =
            disputed(parameters).opens_up(Who::Challenger, &[OUTPUT]).withdraws(Who::Challenger);
        let spent_wei = burned_wei + FEE_WEI + RECORD_WEI;
        assert_eq!(game.delta(Who::Challenger), -(spent_wei as i128));
        // Once for each account.
        let claim = game.claim(Who::Executor);
        let exists = Rejection::Exists { kind: "challenge" };
        game.rejects(Who::Challenger, Action::Challenge { claim }, exists).refuses(
            Who::Challenger,
            Game::withdraw,
            Rejection::Over { kind: "challenge" },
        );
    }
}

#[test]
fn a_challenge_is_withdrawn_by_its_challenger_in_its_turn_in_time_and_after_an_answer() {
    let not_it = || Rejection::NotWithdrawable;
    let unknown = || Rejection::Unknown { kind: "challenge" };
    let withdraw = Game::withdraw;
    let looked = disputed(Parameters::default())
        // Nothing was asked, or nothing answered.
        .refuses(Who::Challenger, withdraw, not_it())
        .demands(Who::Challenger, INPUT)
        .refuses(Who::Challenger, withdraw, Rejection::NotYourMove)
        .answers(&[Who::Challenger], INPUT)
        // Others have no challenge to withdraw.
        .refuses(Who::Executor, withdraw, unknown())
        .refuses(Who::Stranger, withdraw, unknown())
        .challenges(Who::Second, Who::Executor)
        .refuses(Who::Second, withdraw, not_it());
    // An ordinary demand, before or after, makes it an ordinary challenge.
    looked.clone().opens_up(Who::Challenger, &[TRACE]).refuses(Who::Challenger, withdraw, not_it());
    disputed(Parameters::default()).opens_up(Who::Challenger, &[inside(0), INPUT, OUTPUT]).refuses(
        Who::Challenger,
        withdraw,
        not_it(),
    );
    // Pending again, late, or after the fall.
    looked.clone().demands(Who::Challenger, OUTPUT).refuses(
        Who::Challenger,
        withdraw,
        Rejection::NotYourMove,
    );
    let late = looked.clone().wait(CLOCK_MS + 1);
    let at_ms = late.deadline_ms(Who::Challenger);
    late.refuses(Who::Challenger, withdraw, Rejection::TooLate { at_ms });
    looked.clone().wait(CLOCK_MS).withdraws(Who::Challenger);
    looked.falls_by_silence(Who::Second).refuses(
        Who::Challenger,
        withdraw,
        Rejection::Over { kind: "challenge" },
    );
    // Nor is one that waits its turn.
    disputed(Parameters { served_max: 1, ..Parameters::default() })
        .challenges(Who::Second, Who::Executor)
        .refuses(
            Who::Second,
            withdraw,
            Rejection::Waiting { what: "an earlier challenge of the claim" },
        );
}

#[test]
fn of_a_challenge_that_is_upheld_the_bond_pays_ordinary_replies_and_the_fee_alone_the_others() {
    let asked = [INPUT, TRACE, OUTPUT, inside(0), FIRST];
    let game = disputed(Parameters::default())
        .opens_up(Who::Challenger, &asked)
        .wait(CLOCK_MS + 1)
        .calls_time(Who::Challenger);
    let one = game.challenge_of(Who::Challenger);
    assert_eq!((one.status.clone(), one.replies, one.end_replies), (ChallengeStatus::Lost, 2, 3));
    let reply_wei = game.state.parameters().reply_cost_wei;
    let earned_wei = 5 * FEE_WEI + 2 * reply_wei;
    let staked_wei = (ETHER + RECORD_WEI) as i128;
    assert_eq!(game.delta(Who::Executor), earned_wei as i128 - staked_wei);
    let spent_wei = BOND_WEI + 5 * FEE_WEI + RECORD_WEI;
    assert_eq!(game.delta(Who::Challenger), -(spent_wei as i128));
    match game.last[..] {
        [Event::ChallengeLost { burned_wei, .. }] => {
            assert_eq!(burned_wei, BOND_WEI - 2 * reply_wei);
        }
        ref other => panic!("{other:?}"),
    }
}
