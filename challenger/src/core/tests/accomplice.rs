//! An accomplice of the executor that meddles with what an honest challenger looks at.

use super::*;
use crate::monitor::{Alert, Monitor};

#[test]
fn an_accomplice_whose_challenge_makes_no_move_does_not_silence_a_watcher() {
    let (mut play, claim) = one_false_claim();
    let (truths, window_end_ms) = (play.core.truths(), play.court.now_ms + WINDOW_MS);
    // Open challenges of the claim that is told as unchallenged.
    let told = |play: &Play| {
        let look = Monitor::default().look(&play.court.view(), &truths, &[]);
        look.alerts.into_iter().find_map(|alert| {
            let Alert::Unchallenged { claim: of, window_end_ms: end_ms, silent_challenges } = alert
            else {
                return None;
            };
            assert_eq!((of, end_ms), (claim.to_string(), window_end_ms));
            Some(silent_challenges)
        })
    };
    assert_eq!(told(&play), Some(0));
    // It may be honest, and about to make its first move.
    play.court.challenge(Who::Second, claim);
    let play = play.wait(FLOOR_MS - 1);
    assert_eq!(told(&play), None);
    let play = play.wait(1);
    assert_eq!(told(&play), Some(1));
    // To the end of the time in which somebody else can challenge it.
    let late = play.clone().wait(WINDOW_MS - FLOOR_MS);
    assert_eq!(told(&late), Some(1));
    assert_eq!(told(&late.wait(1)), None);
    // An honest one, who moves in time.
    let play = play.does(&["challenge claim"]);
    assert_eq!(told(&play), None);
    let play = play.does(&[DEMAND_TRACE]).wait(FLOOR_MS);
    assert_eq!(told(&play), None);
}

#[test]
fn an_accomplice_that_shows_earlier_faults_does_not_use_up_our_demands() {
    use crate::testing::models::RUNGS;
    use crate::testing::questions::inside;
    use crate::testing::statement::with_other;
    use protocol::asks::{Ask, Showing};
    let network = ladder(20);
    let mut statement = true_claim(&network);
    let false_layers: Vec<u32> = (0..9).map(|n| 17 - 2 * n).chain([19]).collect();
    for layer in &false_layers {
        let operator = layer * RUNGS + RUNGS - 1;
        let output = network.honest().output(operator).unwrap().clone();
        statement.output(operator, &with_other(&output, 0));
        let (root, value) =
            (statement.output_root(operator), network.model.header().output_of(operator));
        statement.entry(layer + 1, 0, (value, root));
    }
    let mut court = Court::funded();
    let job = court.job(&network, ETHER);
    let claim = court.claim("claim", Who::Executor, job, &statement);
    let mut core = core(Policy::Differing);
    core.watch(job, honest_view(&network));
    // The accomplice demands the inside of a true layer each time, and shows a false one beside it.
    let meddle = |court: &mut Court, number: u32| {
        let (false_layer, layer) = (17 - 2 * number, 2 * number);
        let mut showings = vec![statement.trace_showing()];
        showings.extend([false_layer, false_layer + 1].map(|at| statement.state_showing(at)));
        showings.push(Showing::Layer { proof: network.model.layer_proof(layer).unwrap() });
        let (ask, path, from) = (statement.ask(inside(layer)).unwrap(), Vec::new(), None);
        court.perform(Who::Second, Action::Demand { claim, showings, ask, path, from });
    };
    court.challenge(Who::Second, claim);
    meddle(&mut court, 0);
    court.answer_all();
    let mut play = court.played_by(core).does(&["challenge claim"]);
    let mut number = 1;
    for demand in 0..24 {
        let decisions = play.decisions();
        let [decision] = &decisions[..] else { panic!("{demand}: {decisions:?}") };
        let is_last = matches!(&decision.action, Action::Demand { ask: Ask::Leaves { .. }, .. });
        play.court.perform(Who::Challenger, decision.action.clone());
        if matches!(play.court.status(claim), ClaimStatus::Fallen { .. }) {
            return;
        }
        // What is asked is the last that is missing: the accomplice shows an earlier layer first.
        if is_last && number < 9 {
            meddle(&mut play.court, number);
            number += 1;
        }
        play.court.answer_all();
    }
    panic!("all demands are used and the false claim stands");
}
