//! Legal play: parties that choose among all legal actions, and nearly legal ones, as they like, beside honest
//! parties with simple strategies. Whatever the others do, honest parties come out whole and every ask about a true
//! claim can be answered.
//!
//! `REBUT_LEGAL_PLAYS` is the number of games, `REBUT_LEGAL_SEED` the seed of the first; each further game has the
//! next seed, so that a failing one is played again alone by its own. `REBUT_LEGAL_SECONDS` ends the play earlier,
//! `REBUT_LEGAL_COUNTS` prints what was reached, `REBUT_LEGAL_LOSSES` leaves out the checks of counts and
//! formulas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::duplicate_mod, reason = "the game builder keeps its checks for itself")]

mod common;

#[path = "common/checks.rs"]
#[allow(unreachable_pub, reason = "the game builder uses it, too")]
mod checks;
#[path = "common/decisions.rs"]
#[allow(unreachable_pub, reason = "the game builder uses it, too")]
mod decisions;
#[path = "legal_play/disputes.rs"]
mod disputes;
#[path = "legal_play/draw.rs"]
mod draw;
#[path = "legal_play/formulas.rs"]
mod formulas;
#[path = "legal_play/honest.rs"]
mod honest;
#[path = "legal_play/library.rs"]
mod library;
#[path = "legal_play/moves.rs"]
mod moves;
#[path = "legal_play/near.rs"]
mod near;
#[path = "legal_play/play.rs"]
mod play;
#[path = "legal_play/proofs.rs"]
mod proofs;
#[path = "legal_play/solver.rs"]
mod solver;
#[path = "legal_play/watch.rs"]
mod watch;
#[path = "legal_play/world.rs"]
mod world;

use std::time::{Duration, Instant};

use play::{All, Found, PLAYS, SEED, play_all, shrink};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn whatever_others_may_do_honest_parties_come_out_whole() {
    let (plays, seed) = (number("REBUT_LEGAL_PLAYS", PLAYS), number("REBUT_LEGAL_SEED", SEED));
    let most = Duration::from_secs(number("REBUT_LEGAL_SECONDS", u64::MAX / 2));
    let begun = Instant::now();
    let All { games, counts, found } = play_all(seed, plays, most);
    let took = begun.elapsed().as_secs_f64();
    let moves: u64 = counts.iter().filter(|(name, _)| is_action(name)).map(|(_, one)| one).sum();
    println!("{games} games from seed {seed} in {took:.1} s, {moves} accepted transactions");
    if let Some(Found { seed, steps }) = found {
        let told = shrink(seed, steps);
        panic!("seed {seed}, after {took:.1} s:\n{told}");
    }
    // Of few games nothing is expected.
    let kinds = moves::KINDS.iter().map(|kind| format!("{kind:?}"));
    let ends = play::ACTIONS.iter().chain(play::REACHED).map(|name| (*name).to_owned());
    let wanted = kinds.chain(ends);
    for name in wanted.filter(|_| games >= PLAYS) {
        assert!(counts.contains_key(&name), "{name} is never reached: {counts:#?}");
    }
    if std::env::var_os("REBUT_LEGAL_COUNTS").is_some() {
        println!("{counts:#?}");
    }
}

fn is_action(name: &str) -> bool {
    play::ACTIONS.contains(&name)
}
