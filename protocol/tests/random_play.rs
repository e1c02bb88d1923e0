//! Random play: whatever the order of moves, no invariant of the settlement breaks, and from wherever it
//! leads, strangers without money bring everything to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "random_play/moves.rs"]
mod moves;

use std::collections::BTreeMap;

use common::answers::{SUMS, TRACE, inside, leaves};
use common::{Answers, Game, Run, Toy, Who, address, check_records};
use moves::{Draw, KINDS, Objects, next, objects};
use proptest::prelude::*;
use protocol::asks::{Ask, Showing, Tree};
use protocol::encoding::Canonical;
use protocol::settlement::{
    AttestationStatus, ClaimStatus, ETHER, JobStatus, Parameters, Record, SealedStatus,
    challenge_id,
};
use protocol::transaction::Action;

/// Openings of six levels, or of one.
fn parameters(number: u8) -> Parameters {
    let parameters = Parameters::default();
    match number / 7 {
        0 => parameters,
        _ => Parameters { arity_log2: 1, end_log2: 1, served_max: 2, ..parameters },
    }
}

/// Where a game begins.
fn start(number: u8, run: &Run) -> Game {
    let new = || Game::under(parameters(number));
    let plain = new()
        .posts(|terms| (terms.salt, terms.attention_wei) = (1, ETHER / 25))
        .posts(|terms| (terms.salt, terms.open_ms) = (2, 20_000));
    let claimed = || {
        let mut game = new().posts(|terms| (terms.salt, terms.open_ms) = (2, 90_000));
        for who in [Who::Executor, Who::Rival, Who::Third] {
            game = game.claims(who, run);
        }
        game.challenges(Who::Challenger, Who::Executor)
            .challenges(Who::Second, Who::Executor)
            .challenges(Who::Challenger, Who::Rival)
    };
    let sealed = || {
        new()
            .posts(|terms| (terms.salt, terms.attention_wei) = (1, ETHER / 25))
            .seals(Who::Executor)
            .seals(Who::Rival)
            .attests(Who::Challenger, Who::Executor)
            .attests(Who::Second, Who::Rival)
    };
    match number % 7 {
        0 => plain,
        1 => claimed(),
        2 => sealed(),
        3 => sealed().wait(30_001).opens(Who::Executor).opens(Who::Rival),
        // The executor's claim is final, the rival's stands.
        6 => sealed()
            .wait(30_001)
            .opens(Who::Executor)
            .opens(Who::Rival)
            .plays(Who::Challenger, |game| game.prove(Who::Challenger, Who::Executor))
            .wait(60_001)
            .finalises(Who::Executor),
        // The rival's claim, the second, falls before the first.
        4 => {
            let game = claimed();
            let (claim, challenger) = (game.claim(Who::Rival), address(Who::Challenger));
            let demand = game.answers.demand(claim, TRACE);
            game.accepts(Who::Challenger, demand)
                .demands(Who::Challenger, TRACE)
                .wait(120_001)
                .accepts(Who::Stranger, Action::CallTime { claim, challenger })
                .calls_time(Who::Challenger)
        }
        // Open down to the running sums, which are all wrong.
        _ => {
            let mut game = claimed().opens_up(Who::Challenger, &[inside(1), leaves(2)]);
            game.answers = game.answers.with_sums(0);
            game.opens_up(Who::Challenger, &[SUMS])
        }
    }
}

/// The run that is claimed: a lie, where the game's beginning does not depend on it.
fn run(number: u8, lie: bool) -> Run {
    Toy::new().run((lie && number % 7 < 2).then_some((2, 0)))
}

/// The action's name, and of a demand or a refutation what it is about.
fn names(game: &Game, action: &Action) -> Vec<String> {
    let mut names = vec![action.name().to_owned()];
    match action {
        Action::Demand { ask, from, .. } => {
            let kind = match ask {
                Ask::Open { .. } => "open",
                Ask::Leaves { .. } => "leaves",
                Ask::Say { .. } => "say",
            };
            let tree = format!("{:?}", ask.tree());
            let tree = tree.split_whitespace().next().unwrap_or_default();
            names.push(format!("{kind} {tree}"));
            names.extend(from.as_ref().map(|_| "demand from the last place".to_owned()));
        }
        Action::Refute { claim, .. } => {
            let stands = game.state.claim(claim).unwrap().stands();
            names.push(if stands { "sound" } else { "fraud" }.to_owned());
        }
        _ => {}
    }
    names
}

/// Plays the moves; counts the accepted ones by name. The game builder checks all counts, sums and money
/// after each.
fn play(number: u8, lie: bool, draws: &[Draw], accepted: &mut BTreeMap<String, u32>) -> Game {
    let run = run(number, lie);
    let mut game = start(number, &run);
    if number.is_multiple_of(7) {
        game.answers = Answers::of(&game.toy, &run);
    }
    for draw in draws {
        let (sender, action) = next(&mut game, &run, draw);
        if game.send(sender, &action).is_ok() {
            for name in names(&game, &action) {
                *accepted.entry(name).or_default() += 1;
            }
        }
    }
    game
}

/// A stranger's action that must be accepted.
fn must(game: &mut Game, action: Action) {
    if let Err(rejection) = game.send(Who::Stranger, &action) {
        panic!("{action:?}: {rejection}");
    }
}

/// Time passes, and a stranger without money ends everything: no job, claim, challenge or seal can keep
/// what it holds.
fn end_everything(mut game: Game) {
    game.now_ms += game.state.parameters().challenge_ms_max() + 600_000;
    let all: Vec<_> = game.state.challenges().map(|(_, one)| (one.claim, one.challenger)).collect();
    for round in 0..6 {
        for (claim, challenger) in all.iter().copied() {
            let id = challenge_id(claim, challenger);
            let is_open = game.state.challenge(&id).unwrap().is_open();
            let stands = game.state.claim(&claim).unwrap().stands();
            match (is_open, stands) {
                (true, true) => {
                    // Not yet of those that wait, or whose turn came in this round.
                    let floor_ms = game.state.parameters().move_floor_ms;
                    let end_ms = game.state.challenge(&id).unwrap().deadline_ms(floor_ms);
                    if end_ms.is_some_and(|end_ms| end_ms < game.now_ms) {
                        must(&mut game, Action::CallTime { claim, challenger });
                    }
                }
                (true, false) => must(&mut game, Action::Collect { claim, challenger }),
                (false, _) => {}
            }
        }
        let open = game.state.challenges().filter(|(_, one)| one.is_open()).count();
        assert!(open == 0 || round < 5, "{open} challenges are under way");
        game.now_ms += game.state.parameters().challenge_ms_max();
    }
    let Objects { jobs, claims, sealed, attestations, .. } = objects(&game);
    for id in sealed {
        if game.state.sealed(&id).unwrap().status == SealedStatus::Waiting {
            must(&mut game, Action::ExpireSeal { sealed: id });
        }
    }
    for job in jobs {
        if game.state.job(&job).unwrap().status != JobStatus::Open {
            continue;
        }
        let first = game.state.claims_of(&job).find(|id| game.state.claim(id).unwrap().stands());
        let Some(claim) = first.copied() else {
            must(&mut game, Action::ExpireJob { job });
            continue;
        };
        let number = game.state.claim(&claim).unwrap().number;
        let passed = game.state.to_pass(&job, number).unwrap();
        if !passed.is_empty() {
            must(&mut game, Action::Pass { job, claims: passed });
        }
        must(&mut game, Action::Finalise { claim });
    }
    for claim in claims {
        if game.state.claim(&claim).unwrap().status == ClaimStatus::Standing {
            must(&mut game, Action::Release { claim });
        }
    }
    for (sealed, attester) in attestations {
        let status = game.state.attestation(&sealed, &attester).unwrap().status;
        if status != AttestationStatus::Collected {
            must(&mut game, Action::CollectAttention { sealed, attester });
        }
    }
    assert_eq!(game.state.money().locked_wei(), 0, "something is held for ever");
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let one = (proptest::sample::select(&KINDS), 0u8..120, any::<[u32; 4]>());
    let one = one.prop_map(|(kind, wait, numbers)| Draw { kind, wait, numbers });
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any order of plausible and implausible moves keeps the money, and no rejection leaves a trace (the
    /// game builder asserts both after every move).
    #[test]
    fn random_play_never_breaks_an_invariant_and_always_comes_to_an_end(
        number in 0u8..14, lie: bool, draws in draws(),
    ) {
        end_everything(play(number, lie, &draws, &mut BTreeMap::new()));
    }
}

proptest! {
    // Each case is two games.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Two games that differ in what is known, and in nothing else, go on alike: every move is accepted in both
    /// or refused in both for the same reason, and nothing but what is known differs.
    #[test]
    fn what_is_known_decides_nothing(number in 0u8..14, lie: bool, draws in draws()) {
        let run = run(number, lie);
        let begun = || start(number / 7 * 7 + 1, &run);
        let (mut plain, mut shown) = (begun(), begun());
        let claim = plain.claim(Who::Executor);
        // The same demand, once with much else shown beside.
        let demand = plain.answers.demand(claim, TRACE);
        let mut telling = demand.clone();
        if let Action::Demand { showings, .. } = &mut telling {
            showings.extend(more_showings(&plain.answers));
        }
        plain = plain.accepts(Who::Second, demand);
        shown = shown.accepts(Who::Second, telling);
        let known = |game: &Game| game.state.claim(&claim).unwrap().knowledge.clone();
        prop_assert_ne!(known(&plain), known(&shown));
        prop_assert_eq!(plain.state.root(), shown.state.root());
        prop_assert_eq!(without_knowledge(&plain), without_knowledge(&shown));
        for draw in &draws {
            let (sender, action) = next(&mut plain, &run, draw);
            shown.now_ms = plain.now_ms;
            prop_assert_eq!(plain.send(sender, &action), shown.send(sender, &action));
        }
        prop_assert_eq!(without_knowledge(&plain), without_knowledge(&shown));
        prop_assert_eq!(plain.state.root(), shown.state.root());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each object is read again from its encoding as it was; a changed encoding is refused, or is that of another
    /// object; and who replays what was accepted has the same root, which each accepted transaction changed.
    #[test]
    fn what_a_ledger_keeps_has_one_encoding_and_follows_from_what_was_accepted(
        number in 0u8..14, lie: bool, draws in draws(), at: prop::sample::Index, flip in 1u8..,
    ) {
        let game = play(number, lie, &draws, &mut BTreeMap::new());
        check_records(&game.state);
        for record in game.state.records() {
            let mut bytes = record.to_canonical();
            *at.get_mut(&mut bytes) ^= flip;
            if let Ok(other) = Record::from_canonical(&bytes) {
                prop_assert_ne!(&other, &record);
                prop_assert_eq!(other.to_canonical(), bytes);
            }
        }
        let replayed = game.replayed();
        prop_assert_eq!(replayed.root(), game.state.root());
        prop_assert_eq!(&replayed, &game.state);
        let shorter = Game { log: game.log[..game.log.len() - 1].to_vec(), ..game.clone() };
        prop_assert_ne!(shorter.replayed().root(), game.state.root());
    }
}

/// What can be shown of a claim of which nothing was said.
fn more_showings(answers: &Answers) -> Vec<Showing> {
    let mut all: Vec<Showing> = (0..2).map(|layer| answers.layer(layer)).collect();
    all.extend((0..3).map(|operator| answers.operator(operator)));
    for boundary in 0..3 {
        let tree = Tree::State { iteration: 0, boundary };
        all.extend(answers.showings_to(tree));
    }
    let input = Tree::Input { iteration: 0, value: 0 };
    let output = Tree::Output { iteration: 0, value: 4 };
    all.extend(answers.showings_to(input).pop());
    all.extend(answers.showings_to(output).pop());
    all
}

/// All that a ledger holds, as text, what is known of claims left out.
fn without_knowledge(game: &Game) -> Vec<String> {
    let state = &game.state;
    let mut all = vec![format!("{:?}", state.money())];
    all.extend(state.jobs().map(|one| format!("{one:?}")));
    all.extend(state.claims().map(|(id, claim)| {
        let protocol::settlement::Claim {
            executor,
            terms,
            number,
            posted_ms,
            window_end_ms,
            last_finality_ms,
            stake_wei,
            trace_root,
            said,
            knowledge: _,
            sealed,
            proofs,
            challenges,
            open,
            ended,
            work,
            reveals,
            owed_wei,
            status,
        } = claim;
        let times = (posted_ms, window_end_ms, last_finality_ms);
        let roots = (trace_root, said, sealed);
        let counts = (number, proofs, challenges, open, ended, work, reveals);
        format!("{id:?} {executor:?} {terms:?} {times:?} {stake_wei} {roots:?} {counts:?} {owed_wei} {status:?}")
    }));
    all.extend(state.challenges().map(|one| format!("{one:?}")));
    all.extend(state.all_sealed().map(|one| format!("{one:?}")));
    for (sealed, _) in state.all_sealed() {
        all.extend(state.attestations_of(sealed).map(|one| format!("{one:?}")));
    }
    all
}

/// The same games each time, so that what they reach is known.
#[test]
fn random_play_reaches_every_action() {
    let mut state = 0xBB72_8D28_3026_A108u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let mut accepted = BTreeMap::new();
    for number in 0..112u8 {
        let draws: Vec<Draw> = (0..60)
            .map(|_| Draw {
                kind: KINDS[next() as usize % KINDS.len()],
                wait: (next() % 120) as u8,
                numbers: [next(), next(), next(), next()],
            })
            .collect();
        end_everything(play(number % 14, number % 2 == 0, &draws, &mut accepted));
    }
    let asks = [
        "open Sequence",
        "open Trace",
        "open State",
        "open Subtrace",
        "open Tensor",
        "open Input",
        "leaves Tensor",
        "leaves Accumulators",
        "leaves Input",
        "leaves Output",
        "say Subtrace",
        "say Accumulators",
        "demand from the last place",
        "sound",
        "fraud",
    ];
    for name in asks {
        assert!(accepted.contains_key(name), "{name}: {accepted:?}");
    }
    assert_eq!(accepted.len(), 22 + asks.len(), "{accepted:?}");
}
