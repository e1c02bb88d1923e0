//! Random play: whatever the order of moves, no invariant of the settlement breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Game, Toy, Who, address};
use proptest::prelude::*;
use protocol::facts::{Request, Reveal, TreeId};
use protocol::ids::{ChallengeId, ClaimId};
use protocol::referee::Refutation;
use protocol::transaction::Action;

const TRACE: Request = Request::Node { tree: TreeId::Trace {}, depth: 0, index: 0 };

/// One of these ids; that of nothing when there is none.
fn pick<Id: Copy + Default>(ids: &[Id], choice: u32) -> Id {
    ids.get(choice as usize % ids.len().max(1)).copied().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of plausible moves keeps the money, and no rejection leaves a trace (the game
    /// builder asserts both after every move).
    #[test]
    fn random_play_never_breaks_an_invariant(
        moves in proptest::collection::vec((0usize..7, 0u8..12, 0u64..40_000, any::<u32>()), 1..60),
        lie: bool,
    ) {
        let flip = lie.then_some((1, 3));
        let run = Toy::new().run(flip);
        let mut game = Game::new();
        let parties = [
            Who::Client, Who::Executor, Who::Rival, Who::Challenger, Who::Second, Who::Stranger,
            Who::Bank,
        ];
        for (who, what, wait, choice) in moves {
            let who = parties[who];
            let claims: Vec<ClaimId> = game.state.claims().map(|(id, _)| *id).collect();
            let challenges: Vec<ChallengeId> = game.state.challenges().map(|(id, _)| *id).collect();
            let (claim, challenge) = (pick(&claims, choice), pick(&challenges, choice));
            let job = game.job;
            let requests = [
                TRACE,
                Request::Subtrace { layer: choice % 3 },
                Request::Leaf { operator: choice % 4, leaf: u64::from(choice % 3) },
                Request::Accumulators { operator: 2, element: 0 },
            ];
            let request = requests[choice as usize % requests.len()];
            let showings = vec![game.toy.layer(choice % 2), game.toy.operator(choice % 3)];
            let answers = [
                run.open_trace(),
                run.open_subtrace(0),
                run.open_subtrace(1),
                Reveal::Leaf { bytes: run.outputs[1].leaf(0) },
                Reveal::Accumulators { words: vec![u64::from(choice); 64] },
            ];
            let action = match what {
                0 => Action::PostClaim { terms: run.terms(job) },
                1 => Action::Challenge { claim },
                2 | 3 => Action::Demand { challenge, showings, request },
                4 | 5 => {
                    let reveal = answers[choice as usize % answers.len()].clone();
                    Action::Reveal { claim, request, reveal }
                }
                6 => {
                    let operator = choice % 4;
                    let refutations = [
                        Refutation::Binding { layer: choice % 3, operator },
                        Refutation::Carry { layer: choice % 3, value: choice % 6 },
                        Refutation::Leaf { operator, leaf: 0 },
                        Refutation::Step { operator, element: 0, segment: 2, operands: Vec::new() },
                    ];
                    let refutation = refutations[choice as usize % 4].clone();
                    Action::Refute { challenge, showings, refutation }
                }
                7 => Action::CallTime { challenge },
                8 => Action::Finalise { job },
                9 => Action::CancelJob { job },
                10 => Action::Withdraw { amount_wei: u128::from(choice) },
                _ => Action::Deposit { account: address(who), amount_wei: u128::from(choice) },
            };
            game.now_ms += wait;
            let _ = game.send(who, &action);
        }
    }
}
