//! An accomplice of the executor that meddles with what an honest challenger looks at.

use super::*;

#[test]
fn an_accomplice_that_shows_earlier_faults_does_not_use_up_our_demands() {
    use crate::testing::game::inside;
    use crate::testing::models::RUNGS;
    use crate::testing::statement::with_other;
    use protocol::facts::Showing;
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
    let tree =
        protocol::roots::trace_tree::<protocol::hash::Keccak>(statement.state_roots()).unwrap();
    let pair = |layer: u32| {
        [layer, layer + 1].map(|boundary| Showing::TraceLeaf {
            boundary,
            root: statement.state_roots()[boundary as usize],
            path: tree.tree().path(u64::from(boundary)).unwrap(),
        })
    };
    // The accomplice demands the inside of a true layer each time, and shows a false one beside it.
    let meddle = |court: &mut Court, number: u32| {
        let mut showings = pair(17 - 2 * number).to_vec();
        let layer = 2 * number;
        showings.push(Showing::Layer { proof: network.model.layer_proof(layer).unwrap() });
        court.perform(Who::Second, Action::Demand { claim, showings, request: inside(layer) });
    };
    court.challenge(Who::Second, claim);
    meddle(&mut court, 0);
    court.answer_all();
    let mut play = court.played_by(core).does(&["challenge claim"]);
    let mut number = 1;
    for demand in 0..24 {
        let decisions = play.decisions();
        let [decision] = &decisions[..] else { panic!("{demand}: {decisions:?}") };
        play.court.perform(Who::Challenger, decision.action.clone());
        if matches!(play.court.status(claim), ClaimStatus::Fallen { .. }) {
            return;
        }
        // What is asked is the last that is missing: the accomplice shows an earlier layer first.
        if decision.reason.starts_with("leaf") && number < 9 {
            meddle(&mut play.court, number);
            number += 1;
        }
        play.court.answer_all();
    }
    panic!("all demands are used and the false claim stands");
}
