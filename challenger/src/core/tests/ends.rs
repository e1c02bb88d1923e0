//! However a claim is false, the core wins at the ledger; however true, no core makes it fall.

use protocol::asks::Evidence;
use protocol::hash::leaf;
use protocol::tensor::{ElementType, pack_leaf};

use super::*;
use crate::testing::models::{FIRST_OUTPUT, PASSING, carried, summed};

/// How a claim fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fall {
    Step,
    Contradiction,
    StateValue,
    Leaf,
    Silence,
}

/// Plays until nothing is left to do: what the executor cannot answer costs it its time.
fn play_out(mut play: Play) -> Play {
    for _ in 0..64 {
        let decisions = play.decisions();
        if decisions.is_empty() && play.court.pending() == 0 {
            return play;
        }
        let nothing = decisions.is_empty();
        for decision in decisions {
            play.court.perform(Who::Challenger, decision.action);
        }
        if nothing && play.court.answer_all() == 0 {
            play.court.now_ms += CLOCK_MS + 1;
        }
    }
    panic!("the dispute does not end");
}

fn fall_of(play: &Play, claim: ClaimId) -> Option<Fall> {
    match play.court.status(claim) {
        ClaimStatus::Fallen { reason: FallReason::Silence(_), .. } => Some(Fall::Silence),
        ClaimStatus::Fallen { reason: FallReason::Refuted(evidence), .. } => Some(match evidence {
            Evidence::Step { .. } => Fall::Step,
            Evidence::Contradiction { .. } => Fall::Contradiction,
            Evidence::StateValue { .. } => Fall::StateValue,
            Evidence::Leaf { .. } => Fall::Leaf,
            Evidence::Link { .. } | Evidence::Entry { .. } | Evidence::Stop { .. } => {
                panic!("of a run of one iteration")
            }
        }),
        _ => None,
    }
}

/// A challenger with the honest run against a claim on a network's input.
fn against(
    network: &Network,
    own: HonestView,
    statement: &Statement,
    policy: Policy,
) -> (Play, ClaimId) {
    let mut court = Court::funded();
    let job = court.job(network, ETHER);
    let claim = court.claim("claim", Who::Executor, job, statement);
    let mut core = core(policy);
    core.watch(job, own);
    (court.played_by(core), claim)
}

fn said(network: &Network, change: impl FnOnce(&mut Statement)) -> Statement {
    let mut statement = true_claim(network);
    change(&mut statement);
    statement
}

fn computed(network: &Network, operator: u32, element: u64) -> Statement {
    Statement::of(&network.run(Arc::new(Wrong(vec![(operator, element)]))))
}

#[test]
fn every_kind_of_false_claim_falls() {
    let (carried, summed) = (carried(), summed());
    let nothing = leaf(b"nothing");
    let minus_zero = pack_leaf(ElementType::F32, [0x8000_0000]);
    let sums = summed.honest().accumulators(2, 1).unwrap().to_vec();
    let mut false_sums = computed(&summed, 2, 1);
    false_sums.sums(2, 1, sums.iter().map(|word| word ^ (1 << 20)).collect());
    for (network, statement, fall) in [
        (&carried, computed(&carried, 0, 3), Fall::Step),
        (&carried, computed(&carried, 3, 9), Fall::Step),
        // The sums are true and do not end in the element; and they are false.
        (&summed, computed(&summed, 2, 1), Fall::Step),
        (&summed, false_sums, Fall::Step),
        (&carried, said(&carried, |one| one.entry(1, 0, (PASSING, nothing))), Fall::Contradiction),
        (
            &carried,
            said(&carried, |one| one.entry(2, 1, (FIRST_OUTPUT, nothing))),
            Fall::Contradiction,
        ),
        (&carried, said(&carried, |one| one.entry(3, 0, (6, nothing))), Fall::Contradiction),
        (&carried, said(&carried, |one| one.entry(2, 0, (9, nothing))), Fall::StateValue),
        (
            &carried,
            said(&carried, |one| {
                one.leaf(3, 0, minus_zero);
                one.write_to_states(3);
            }),
            Fall::Leaf,
        ),
        (&carried, said(&carried, |one| one.state_root(2, nothing)), Fall::Silence),
        (
            &carried,
            said(&carried, |one| {
                one.state_root(2, nothing);
                one.output_root_of_nothing(1, nothing);
            }),
            Fall::Silence,
        ),
    ] {
        let (play, claim) = against(network, honest_view(network), &statement, Policy::Differing);
        let before_wei = play.court.free_wei(Who::Challenger);
        let play = play_out(play);
        assert_eq!(fall_of(&play, claim), Some(fall));
        assert!(play.court.free_wei(Who::Challenger) > before_wei, "{fall:?} pays");
        assert!(play.core.stuck().is_empty());
    }
}

#[test]
fn a_true_claim_outlives_a_challenger_that_erred() {
    let network = carried();
    for operator in 0..4 {
        let own = network.run(Arc::new(Wrong(vec![(operator, 2)])));
        let own = HonestView::of_run(own, Arc::new(Announcement::default()));
        let statement = true_claim(&network);
        let (play, claim) = against(&network, own, &statement, Policy::Differing);
        let before_wei = play.court.free_wei(Who::Challenger);
        let play = play_out(play);
        assert_eq!(*play.court.status(claim), ClaimStatus::Standing);
        assert_eq!(*play.challenge_status(), ChallengeStatus::Lost);
        assert!(play.court.free_wei(Who::Challenger) < before_wei);
    }
}

#[test]
fn an_opening_that_is_not_what_was_committed_is_as_good_as_silence() {
    let network = ladder(3);
    let (play, claim) = one_false_claim();
    let mut play = play.does(&["challenge claim"]).does(&[DEMAND_TRACE]);
    // The executor would rather have claimed the truth.
    let challenge = play.court.settlement.challenge(&play.challenge()).unwrap();
    let ask = challenge.pending().unwrap().clone();
    let answer = true_claim(&network).answer(&ask, 6);
    let challengers = vec![Who::Challenger.address()];
    let action = Action::Reveal { claim, challengers, ask, answer };
    assert!(play.court.submit(Who::Executor, &action).is_err());
    let play = play.wants(&[]).wait(CLOCK_MS + 1).does(&["call time on claim"]);
    assert_eq!(fall_of(&play, claim), Some(Fall::Silence));
}
