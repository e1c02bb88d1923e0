//! What a transaction costs among many others' objects: next to nothing more. Times are the least of many, on the
//! same machine a moment apart, and far from the bound on either side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Game, Who, address};
use protocol::hash::leaf;
use protocol::settlement::{ETHER, Settlement};
use protocol::transaction::Action;

/// Objects of others.
const MANY: u64 = 4_000;
/// What is linear in them takes a hundred times as long as among none, and what is not as long.
const TIMES_MAX: u32 = 20;

/// The least time of a transaction on a state that somebody else holds as well.
fn least_time(game: &Game, action: &Action) -> Duration {
    let sender = address(Who::Client);
    let once = || {
        let (mut state, begun) = (game.state.clone(), Instant::now());
        for _ in 0..10 {
            state = game.state.clone();
            state.perform(game.now_ms, sender, 0, action).unwrap();
        }
        drop(state);
        begun.elapsed() / 10
    };
    (0..50).map(|_| once()).min().unwrap()
}

fn assert_alike(few: &Game, many: &Game, action: &Action) {
    let (few, many) = (least_time(few, action), least_time(many, action));
    assert!(many < few * TIMES_MAX, "{many:?} among many, {few:?} among few");
}

/// Does as many things as there are to be, each of which brings its own money.
fn crowded(mut game: Game, each: impl Fn(&mut Settlement, u64, u64)) -> Game {
    for number in 0..MANY {
        each(&mut game.state, game.now_ms, number);
    }
    game
}

#[test]
fn audit_a16_a_job_expires_at_the_same_cost_however_many_seals_wait_elsewhere() {
    let game = Game::new()
        .posts(|terms| (terms.salt, terms.attention_wei, terms.open_ms) = (1, ETHER, 600_000));
    let sealed = game.job;
    let game = game.posts(|terms| (terms.salt, terms.open_ms) = (2, 1));
    let many = crowded(game.clone(), |state, now_ms, number| {
        let action = Action::SealClaim { job: sealed, seal: leaf(&number.to_be_bytes()) };
        state.perform(now_ms, address(Who::Rival), 2 * ETHER, &action).unwrap();
    });
    let action = Action::ExpireJob { job: game.job };
    assert_alike(&game.wait(2), &many.wait(2), &action);
}

#[test]
fn audit_a7_a_transaction_costs_the_same_however_many_jobs_a_held_view_shows() {
    let game = Game::new();
    let terms = game.job_terms();
    let many = crowded(game.clone(), |state, now_ms, number| {
        let terms = protocol::transaction::JobTerms { salt: 10 + number, ..terms.clone() };
        let action = Action::PostJob { terms };
        state.perform(now_ms, address(Who::Rival), 2 * ETHER, &action).unwrap();
    });
    let action = Action::Withdraw { amount_wei: ETHER };
    assert_alike(&game, &many, &action);
}
