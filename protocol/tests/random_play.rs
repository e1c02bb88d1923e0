//! Random play: whatever the order of moves, no invariant of the settlement breaks, and from wherever it
//! leads, strangers without money bring everything to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::answers::{Proof, SUMS, TRACE, inside, leaves};
use common::{Answers, Game, Run, Toy, Want, Who, address, salt};
use proptest::prelude::*;
use protocol::asks::{Ask, Refutation, Showing};
use protocol::graph::ModelHeader;
use protocol::hash::{Digest, Keccak};
use protocol::settlement::attention::{seal, word};
use protocol::settlement::{
    AttestationStatus, ClaimStatus, ETHER, JobStatus, Parameters, SealedStatus,
};
use protocol::transaction::{Action, Address, JobTerms, Statement};
use protocol::{ChallengeId, ClaimId, JobId, SealedId};

const PARTIES: [Who; 9] = [
    Who::Bank,
    Who::Client,
    Who::Executor,
    Who::Rival,
    Who::Challenger,
    Who::Second,
    Who::Third,
    Who::Stranger,
    Who::Crowd(0),
];

/// Most moves take no time.
const WAITS_MS: [u64; 8] = [1, 700, 5_001, 10_000, 20_001, 30_001, 60_001, 120_001];

/// Kinds of actions, in the order of their tags, those oftener that have more to fit.
const KINDS: [u8; 46] = [
    0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 10, 11,
    12, 13, 13, 13, 14, 14, 15, 15, 16, 17, 17, 18, 19, 20, 21,
];

/// Numbers that decide one move.
#[derive(Clone, Copy, Debug)]
struct Draw {
    kind: u8,
    wait: u8,
    numbers: [u32; 4],
}

impl Draw {
    /// Something of a list, by one of the numbers; now and then, and of an empty list, what is nowhere.
    fn pick<T: Copy + Default>(&self, number: usize, list: &[T]) -> T {
        let number = self.numbers[number];
        if number % 16 == 15 || list.is_empty() {
            return T::default();
        }
        list[(number / 16) as usize % list.len()]
    }

    /// True as often as one of so many.
    fn one_of(&self, number: usize, many: u32) -> bool {
        (self.numbers[number] >> 8).is_multiple_of(many)
    }
}

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

fn name_of(account: Address) -> Option<Who> {
    PARTIES.into_iter().find(|who| address(*who) == account)
}

/// What the ledger holds, as lists to pick from.
struct Objects {
    jobs: Vec<JobId>,
    claims: Vec<ClaimId>,
    challenges: Vec<ChallengeId>,
    sealed: Vec<SealedId>,
    attestations: Vec<(SealedId, Address)>,
}

fn objects(game: &Game) -> Objects {
    let sealed: Vec<SealedId> = game.state.all_sealed().map(|(id, _)| *id).collect();
    let attestations = sealed
        .iter()
        .flat_map(|id| game.state.attestations_of(id).map(|(attester, _)| (*id, *attester)));
    Objects {
        jobs: game.state.jobs().map(|(id, _)| *id).collect(),
        claims: game.state.claims().map(|(id, _)| *id).collect(),
        challenges: game.state.challenges().map(|(id, _)| *id).collect(),
        attestations: attestations.collect(),
        sealed,
    }
}

fn terms(game: &Game, draw: &Draw) -> JobTerms {
    let mut terms = game.job_terms();
    terms.salt = u64::from(draw.numbers[0] % 8);
    terms.attention_wei = [0, 100, ETHER / 25][draw.numbers[1] as usize % 3];
    terms.open_ms = [1, 20_000, 600_000, u64::MAX][draw.numbers[2] as usize % 4];
    terms.fee_wei = [ETHER / 10, 0, 1 << 100, u128::MAX][draw.numbers[3] as usize % 4];
    if draw.one_of(0, 3) {
        terms.executor = address(Who::Executor);
    }
    terms
}

fn statement(run: &Run, draw: &Draw, job: JobId) -> Statement {
    let mut statement = run.statement(job);
    statement.terms.salt = u64::from(draw.numbers[1] % 3);
    if draw.one_of(2, 8) {
        statement.terms.output_root = Digest::default();
    }
    statement
}

/// Any ask about any node of any tree, legal or not.
fn want(answers: &Answers, draw: &Draw) -> Want {
    let all = answers.all_wants();
    all[draw.numbers[0] as usize / 16 % all.len()]
}

/// A demand: mostly with what it must show, now and then by the place that was asked last, with something left
/// out, or with something else beside.
fn demand(answers: &Answers, draw: &Draw, claim: ClaimId, last: Option<&Ask>) -> Action {
    let want = want(answers, draw);
    let from = last.filter(|last| {
        let ((depth, index), (from, above)) = (answers.ask(want).node(), last.node());
        *last.tree() == want.tree() && depth >= from && index >> (depth - from) == above
    });
    let mut action = match from {
        Some(from) if draw.one_of(1, 2) => answers.demand_below(claim, want, from),
        _ => answers.demand(claim, want),
    };
    if let Action::Demand { showings, ask, path, from, .. } = &mut action {
        match draw.numbers[2] % 24 {
            0 => drop(showings.pop()),
            1 => drop(path.pop()),
            2 => *from = last.cloned(),
            3 => {
                if let Ask::Open { place } | Ask::Leaves { place } = ask {
                    place.index ^= 1;
                }
            }
            4 => {
                if let Ask::Open { place } | Ask::Leaves { place } = ask {
                    place.hash = Digest::default();
                }
            }
            5..12 => showings.extend((0..2).map(|layer| answers.layer(layer))),
            _ => {}
        }
    }
    action
}

/// A refutation of something, true or not, with or without what it must show.
fn proof(answers: &Answers, draw: &Draw) -> Proof {
    let [a, b, c, d] = draw.numbers;
    let iteration = u32::from(d % 16 == 0);
    let bare = |refutation| {
        let model = vec![answers.layer(a / 4 % 2), answers.operator(b / 4 % 3)];
        (model, refutation)
    };
    let (mut showings, refutation) = match c / 16 % 8 {
        0 => bare(Refutation::Binding { iteration, layer: a % 3, operator: b % 4 }),
        1 => bare(Refutation::Carry { iteration, layer: a % 3, value: b % 6 }),
        2 => bare(Refutation::StateValue { iteration, boundary: a % 4, position: 0 }),
        3 | 4 => answers.leaf_proof(a % 3, u64::from(a % 3 != 2 && b.is_multiple_of(2))),
        5 => answers.product_proof(u64::from(b % 100)),
        _ => answers.sum_proof(u64::from(a % 3)),
    };
    if d % 16 == 1 {
        showings.pop();
    }
    (showings, refutation)
}

/// The answer to what is pending, mostly; or to something else, or another one.
fn reveal(game: &Game, draw: &Draw, claim: ClaimId, pending: Option<&Ask>) -> Action {
    let answers = &game.answers;
    let arity_log2 = game.state.parameters().arity_log2;
    let asked = match pending.filter(|_| !draw.one_of(1, 8)) {
        Some(ask) => ask.clone(),
        None => answers.ask(want(answers, draw)),
    };
    let said = match draw.one_of(2, 8) {
        true => answers.ask(want(answers, draw)),
        false => asked.clone(),
    };
    // Sums may be said otherwise, and what was said binds.
    let other = answers.clone().with_sums(u64::from(draw.numbers[2] % 2));
    let answers = if draw.one_of(2, 5) { &other } else { answers };
    let answer = answers.answer(&said, arity_log2);
    let challengers = if draw.one_of(3, 4) { PARTIES.map(address).to_vec() } else { Vec::new() };
    Action::Reveal { claim, challengers, ask: asked, answer }
}

/// An action of a claim's dispute with who is likely to send it.
fn in_dispute(game: &Game, draw: &Draw) -> (Option<Who>, Action) {
    let Objects { claims, challenges, .. } = objects(game);
    let fits = |id: &&ChallengeId| {
        let one = game.state.challenge(id).unwrap();
        match draw.kind {
            8 => one.pending().is_some(),
            21 => one.pending().is_none() && one.can_be_withdrawn(),
            _ => one.is_open() && one.pending().is_none(),
        }
    };
    let fitting: Vec<ChallengeId> = challenges.iter().filter(fits).copied().collect();
    let list = if draw.one_of(1, 4) { &challenges } else { &fitting };
    let picked = game.state.challenge(&draw.pick(0, list));
    let claim = picked.map_or_else(|| draw.pick(0, &claims), |challenge| challenge.claim);
    let challenger = picked.map_or_else(Address::default, |challenge| challenge.challenger);
    let executor = game.state.claim(&claim).map(|claim| claim.executor);
    let answers = &game.answers;
    let last = picked.and_then(|challenge| challenge.last_ask());
    match draw.kind {
        7 => (name_of(challenger), demand(answers, draw, claim, last)),
        8 => {
            let pending = picked.and_then(|challenge| challenge.pending());
            let mut action = reveal(game, draw, claim, pending);
            if let Action::Reveal { challengers, .. } = &mut action
                && challengers.is_empty()
            {
                challengers.push(challenger);
            }
            (executor.and_then(name_of), action)
        }
        9 => {
            let mut action = answers.refute(claim, challenger, proof(answers, draw));
            if let Action::Refute { from, .. } = &mut action
                && draw.one_of(1, 4)
            {
                *from = last.cloned();
            }
            (name_of(challenger), action)
        }
        10 => (None, Action::CallTime { claim, challenger }),
        21 => (name_of(challenger), Action::WithdrawChallenge { claim }),
        _ => (None, Action::Collect { claim, challenger }),
    }
}

/// An action about a sealed claim with who is likely to send it.
fn in_attention(game: &Game, run: &Run, draw: &Draw, who: Who) -> (Option<Who>, Action) {
    let Objects { jobs, claims, sealed, attestations, .. } = objects(game);
    let (root, id) = (run.sequence_root(), draw.pick(0, &sealed));
    let holder = game.state.sealed(&id);
    match draw.kind {
        12 => {
            let job = draw.pick(0, &jobs);
            (
                None,
                Action::SealClaim { job, seal: seal::<Keccak>(&address(who), &root, &salt(who)) },
            )
        }
        13 => {
            let junk = if draw.one_of(1, 3) { Digest::default() } else { root };
            let word = word::<Keccak>(&address(who), &junk, &salt(who));
            (Some(who), Action::Attest { sealed: id, word })
        }
        14 => {
            let sealer = holder.and_then(|sealed| name_of(sealed.executor));
            let job = holder.map(|sealed| sealed.job).unwrap_or_default();
            let (statement, salt) = (statement(run, draw, job), salt(sealer.unwrap_or(who)));
            (sealer, Action::OpenClaim { sealed: id, statement, salt })
        }
        15 => {
            let (sealed, attester) = draw.pick(0, &attestations);
            let opened = claims.iter().find(|claim| {
                game.state.claim(claim).is_some_and(|claim| claim.sealed == Some(sealed))
            });
            let claim = opened.copied().unwrap_or_else(|| draw.pick(1, &claims));
            let attester = name_of(attester);
            (attester, Action::ProveAttention { claim, salt: salt(attester.unwrap_or(who)) })
        }
        16 => (None, Action::ExpireSeal { sealed: id }),
        _ => {
            let (sealed, attester) = draw.pick(0, &attestations);
            (None, Action::CollectAttention { sealed, attester })
        }
    }
}

/// The claims that a job's next pass would name, or some claims.
fn to_pass(game: &Game, draw: &Draw) -> Action {
    let Objects { jobs, claims, .. } = objects(game);
    let job = draw.pick(0, &jobs);
    let first = game.state.job(&job).map_or(0, |job| job.first_standing);
    let next = game.state.to_pass(&job, first + 1 + draw.numbers[1] % 2);
    let claims = next.filter(|_| !draw.one_of(2, 4)).unwrap_or(vec![draw.pick(3, &claims)]);
    Action::Pass { job, claims }
}

/// The action that the numbers decide, with who is likely to send it.
fn action(game: &Game, run: &Run, draw: &Draw, who: Who) -> (Option<Who>, Action) {
    let Objects { jobs, claims, .. } = objects(game);
    let (job, claim) = (draw.pick(0, &jobs), draw.pick(0, &claims));
    let amounts_wei = [0, ETHER / 1_000 - 1, ETHER / 1_000, ETHER, 11 * ETHER, u128::MAX];
    let amount_wei = amounts_wei[draw.numbers[1] as usize % amounts_wei.len()];
    match draw.kind {
        0 => (Some(Who::Bank), Action::Deposit { account: address(who), amount_wei }),
        1 => (None, Action::Withdraw { amount_wei }),
        2 => {
            let mut header: ModelHeader = game.toy.committed.header.clone();
            header.graph_root = Digest([draw.numbers[0] as u8; 32]);
            (None, Action::RegisterModel { header })
        }
        3 => (None, Action::PostJob { terms: terms(game, draw) }),
        4 => (None, Action::ExpireJob { job }),
        5 => (None, Action::PostClaim { statement: statement(run, draw, job) }),
        6 => (None, Action::Challenge { claim }),
        11 => (None, Action::Finalise { claim }),
        18 => (None, Action::Release { claim }),
        19 => (None, to_pass(game, draw)),
        7..=10 | 17 | 21 => in_dispute(game, draw),
        _ => in_attention(game, run, draw, who),
    }
}

/// The run that is claimed: a lie, where the game's beginning does not depend on it.
fn run(number: u8, lie: bool) -> Run {
    Toy::new().run((lie && number % 7 < 2).then_some((2, 0)))
}

/// Time passes, and the next action with its sender is drawn.
fn next(game: &mut Game, run: &Run, draw: &Draw) -> (Who, Action) {
    game.now_ms += WAITS_MS.get(usize::from(draw.wait)).copied().unwrap_or(0);
    let who = PARTIES[(draw.numbers[3] / 64) as usize % PARTIES.len()];
    let (likely, action) = action(game, run, draw, who);
    (likely.filter(|_| !draw.one_of(3, 8)).unwrap_or(who), action)
}

/// Plays the moves; counts the accepted ones by name. The game builder checks all counts, sums and money
/// after each.
fn play(number: u8, lie: bool, draws: &[Draw], accepted: &mut BTreeMap<&'static str, u32>) -> Game {
    let run = run(number, lie);
    let mut game = start(number, &run);
    if number.is_multiple_of(7) {
        game.answers = Answers::of(&game.toy, &run);
    }
    for draw in draws {
        let (sender, action) = next(&mut game, &run, draw);
        if game.send(sender, &action).is_ok() {
            *accepted.entry(action.name()).or_default() += 1;
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
            let id = protocol::settlement::challenge_id(claim, challenger);
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
        prop_assert_eq!(without_knowledge(&plain), without_knowledge(&shown));
        for draw in &draws {
            let (sender, action) = next(&mut plain, &run, draw);
            shown.now_ms = plain.now_ms;
            prop_assert_eq!(plain.send(sender, &action), shown.send(sender, &action));
            prop_assert_eq!(without_knowledge(&plain), without_knowledge(&shown));
        }
    }
}

/// What can be shown of a claim of which nothing was said.
fn more_showings(answers: &Answers) -> Vec<Showing> {
    let mut all: Vec<Showing> = (0..2).map(|layer| answers.layer(layer)).collect();
    all.extend((0..3).map(|operator| answers.operator(operator)));
    for boundary in 0..3 {
        let tree = protocol::asks::Tree::State { iteration: 0, boundary };
        all.extend(answers.showings_to(tree));
    }
    let input = protocol::asks::Tree::Input { iteration: 0, value: 0 };
    let output = protocol::asks::Tree::Output { iteration: 0, value: 4 };
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
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let mut accepted = BTreeMap::new();
    for number in 0..84u8 {
        let draws: Vec<Draw> = (0..60)
            .map(|_| Draw {
                kind: KINDS[next() as usize % KINDS.len()],
                wait: (next() % 120) as u8,
                numbers: [next(), next(), next(), next()],
            })
            .collect();
        end_everything(play(number % 14, number % 2 == 0, &draws, &mut accepted));
    }
    assert_eq!(accepted.len(), 22, "{accepted:?}");
}
