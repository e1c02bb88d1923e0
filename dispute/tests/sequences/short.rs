//! A challenger that made no more of a run than the claims need that it has to decide.

use std::sync::Arc;

use challenger::{ChallengerCore, HonestView, Needed, Policy, SolveError, Truth};
use inference::SequenceRun;
use node::Core;
use protocol::asks::{Evidence, Tree};
use protocol::ids::ClaimId;
use protocol::transaction::{Action, RunLength};

use crate::game::{CHALLENGER, Ended, Game, key};
use crate::toy::{Form, Lie, NEXT_ROW, SUMS, model, run, run_first};

fn view_of(run: &Arc<SequenceRun>, may_cut: bool) -> HonestView {
    HonestView::of_sequence(Arc::clone(run), may_cut, Arc::default()).unwrap()
}

fn core(policy: Policy) -> ChallengerCore {
    ChallengerCore::new(key(CHALLENGER).address(), policy)
}

fn posted(game: &mut Game, claimed: &SequenceRun) -> ClaimId {
    let statement = claimed.statement(game.job, claimed.model().root()).unwrap();
    game.claims(statement)
}

#[test]
fn what_was_made_of_a_run_decides_claims_that_are_no_longer_and_no_others() {
    // The run ends after 20 iterations, by its model.
    let (model, most) = (model(Form::Stopping, 20), 50);
    let length = |may_cut| RunLength { iterations_max: most, may_cut };
    for may_cut in [false, true] {
        let honest = run(&model, None, length(may_cut));
        for made in [1, 2, 10, 19, 20, 21, 50] {
            let begun = run_first(&model, None, length(may_cut), made);
            let (truth, whole) = (Truth::new(&begun, may_cut), Truth::new(&honest, may_cut));
            for claimed in (1..=22).chain([49, 50]) {
                let lies = [None, Some(Lie::Element { iteration: 0, operator: SUMS, element: 1 })];
                for lie in lies.into_iter().chain([Some(Lie::Iterations(claimed))]) {
                    let all = RunLength { iterations_max: claimed, may_cut: false };
                    let run = run(&model, lie, all);
                    let Some(statement) = run.statement(Default::default(), model.root()) else {
                        continue;
                    };
                    let terms = statement.terms;
                    let known = terms.iterations <= made || made >= 20;
                    let expected = known.then(|| whole.judges(&terms).unwrap());
                    assert_eq!(truth.judges(&terms), expected, "{made} {lie:?} {claimed}");
                    assert_eq!(truth.admits(&terms), expected == Some(true));
                    assert_eq!(truth.refuses(&terms), expected == Some(false));
                }
            }
        }
    }
}

/// A dispute over a claim that ends: the challenger made only so many iterations as the claim has.
fn disputed(may_cut: bool, form: Form, iterations: u32, claimed: &Arc<SequenceRun>) -> Ended {
    let (model, length) = (model(form, iterations), RunLength { iterations_max: 90, may_cut });
    let begun = run_first(&model, None, length, claimed.iterations());
    let mut game = Game::new(&begun, length);
    let claim = posted(&mut game, claimed);
    let ended = game.plays(claim, claimed, &begun, Policy::Differing);
    game.money_is_whole();
    ended
}

#[test]
fn lies_in_short_claims_fall_by_a_run_that_goes_no_further() {
    let model = model(Form::Stopping, 80);
    for claimed in [1, 2, 33] {
        let lie = Lie::Iterations(claimed);
        let short = run(&model, Some(lie), RunLength { iterations_max: 90, may_cut: false });
        // It ends before the model says so, though its iterations are true.
        let ended = disputed(false, Form::Stopping, 80, &short);
        let Some(Evidence::Stop { iteration, is_last: true, .. }) = ended.evidence else {
            panic!("{ended:?}")
        };
        assert_eq!(iteration, claimed - 1);
        // Where the job allows a cut, it is true.
        let ended = disputed(true, Form::Stopping, 80, &short);
        assert_eq!(ended, Ended { evidence: None, demands: 0 });
        for iteration in [0, claimed / 2, claimed - 1] {
            let lie = Lie::Element { iteration, operator: NEXT_ROW, element: 3 };
            let cut = RunLength { iterations_max: claimed, may_cut: true };
            let claimed = run(&model, Some(lie), cut);
            for may_cut in [false, true] {
                let ended = disputed(may_cut, Form::Stopping, 80, &claimed);
                let Some(Evidence::Step { iteration: at, .. }) = ended.evidence else {
                    panic!("{lie:?}: {ended:?}")
                };
                assert_eq!(at, iteration);
            }
        }
    }
    // One that goes on after its model's end is decided by no more than the claim has.
    let model = crate::toy::model(Form::Stopping, 7);
    let long =
        run(&model, Some(Lie::Iterations(30)), RunLength { iterations_max: 90, may_cut: false });
    for may_cut in [false, true] {
        let ended = disputed(may_cut, Form::Stopping, 7, &long);
        let Some(Evidence::Stop { iteration: 6, is_last: false, .. }) = ended.evidence else {
            panic!("{ended:?}")
        };
    }
}

#[test]
fn a_claim_that_goes_on_after_what_was_made_is_neither_challenged_nor_refuted() {
    for may_cut in [false, true] {
        let (model, length) =
            (model(Form::Stopping, 40), RunLength { iterations_max: 90, may_cut });
        let honest = run(&model, None, length);
        let lie = Lie::Element { iteration: 3, operator: SUMS, element: 0 };
        for claimed in [&honest, &run(&model, Some(lie), length)] {
            let mut game = Game::new(&honest, length);
            let claim = posted(&mut game, claimed);
            let mut challenger = core(Policy::Differing);
            let job = game.job;
            let whole = Needed { shortest: 40, next: 40, longest: 40, in_play: false };
            assert_eq!(challenger.needed(&game.view(), &job, false), Some(whole));
            let begun = run_first(&model, None, length, 25);
            challenger.watch(job, view_of(&begun, may_cut));
            assert_eq!(challenger.decide(&game.view()), []);
            assert!(!challenger.is_in_play(&game.view(), &job));
            assert_eq!(challenger.needed(&game.view(), &job, false), Some(whole));
            // In a challenge of its own from before it was restarted, it waits for its run.
            game.perform(CHALLENGER, &Action::Challenge { claim });
            assert_eq!(challenger.decide(&game.view()), []);
            let stuck: Vec<_> = challenger.stuck().values().cloned().collect();
            assert_eq!(stuck, [SolveError::RunMissing]);
            let in_play = Needed { in_play: true, ..whole };
            assert_eq!(challenger.needed(&game.view(), &job, false), Some(in_play));
            // Made longer, it is played.
            let longer = Arc::new(begun.computed_on(40).unwrap());
            challenger.watch(job, view_of(&longer, may_cut));
            assert_eq!(challenger.needed(&game.view(), &job, false), None);
            // A claim that is right is asked for an end, so that the challenge can be withdrawn.
            let [decision] = challenger.decide(&game.view()).try_into().unwrap();
            let Action::Demand { ask, .. } = decision.action else { panic!() };
            let asks_what_differs = *ask.tree() == (Tree::Sequence {});
            assert_eq!(asks_what_differs, claimed.root() != honest.root());
            assert!(challenger.stuck().is_empty());
        }
    }
}

#[test]
fn of_several_claims_the_shortest_is_decided_first_and_what_is_decided_needs_no_more() {
    let length = RunLength { iterations_max: 1 << 20, may_cut: true };
    let model = model(Form::Endless, 1);
    let begun = run_first(&model, None, length, 5);
    let mut game = Game::new(&begun, length);
    let (job, mut challenger) = (game.job, core(Policy::Differing));
    let of =
        |iterations| run(&model, None, RunLength { iterations_max: iterations, may_cut: true });
    let needed = |challenger: &ChallengerCore, game: &Game| {
        let needed = challenger.needed(&game.view(), &job, false)?;
        Some((needed.shortest, needed.next, needed.longest))
    };
    for (claimed, expected) in [(300, (300, 300, 300)), (6, (6, 6, 300)), (12, (6, 12, 300))] {
        posted(&mut game, &of(claimed));
        assert_eq!(needed(&challenger, &game), Some(expected));
    }
    for (made, expected) in [
        (5, Some((6, 12, 300))),
        (6, Some((12, 12, 300))),
        (12, Some((300, 300, 300))),
        (300, None),
    ] {
        challenger.watch(job, view_of(&run_first(&model, None, length, made), true));
        assert_eq!(needed(&challenger, &game), expected, "{made}");
    }
    // What was decided stays so, when the run is let go and made again up to a shorter claim.
    let lie = Lie::Element { iteration: 2, operator: SUMS, element: 0 };
    let false_claim = run(&model, Some(lie), RunLength { iterations_max: 4, may_cut: true });
    posted(&mut game, &false_claim);
    assert_eq!(needed(&challenger, &game), None);
    challenger.let_go(&job);
    assert_eq!(needed(&challenger, &game), Some((4, 4, 4)));
    challenger.watch(job, view_of(&run_first(&model, None, length, 4), true));
    assert_eq!(needed(&challenger, &game), None);
    assert_eq!(challenger.begun(&job).map(|begun| begun.iterations()), Some(4));
    let long = of(300).statement(job, model.root()).unwrap().terms;
    assert_eq!(challenger.truth(&job).and_then(|truth| truth.judges(&long)), Some(true));
}
