//! Random play: whatever the order of moves, no invariant of the settlement breaks, and from wherever it
//! leads, strangers without money bring everything to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{Game, Run, TRACE, Toy, Who, address, inside, salt};
use proptest::prelude::*;
use protocol::facts::{Children, Request, Reveal, TreeId};
use protocol::graph::ModelHeader;
use protocol::hash::{Digest, Keccak};
use protocol::referee::Refutation;
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
const KINDS: [u8; 40] = [
    0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 9, 9, 9, 10, 11, 12, 13, 13, 13,
    14, 14, 15, 15, 16, 17, 17, 18, 19, 20,
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

/// Where a game begins.
fn start(number: u8, run: &Run) -> Game {
    let plain = Game::new()
        .posts(|terms| (terms.salt, terms.attention_wei) = (1, ETHER / 25))
        .posts(|terms| (terms.salt, terms.open_ms) = (2, 20_000));
    let claimed = || {
        let mut game = Game::new().posts(|terms| (terms.salt, terms.open_ms) = (2, 90_000));
        for who in [Who::Executor, Who::Rival, Who::Third] {
            game = game.claims(who, run);
        }
        game.challenges(Who::Challenger, Who::Executor)
            .challenges(Who::Second, Who::Executor)
            .challenges(Who::Challenger, Who::Rival)
    };
    let sealed = || {
        Game::new()
            .posts(|terms| (terms.salt, terms.attention_wei) = (1, ETHER / 25))
            .seals(Who::Executor)
            .seals(Who::Rival)
            .attests(Who::Challenger, Who::Executor)
            .attests(Who::Second, Who::Rival)
    };
    match number {
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
            let (showings, request) = (Vec::new(), TRACE);
            game.accepts(Who::Challenger, Action::Demand { claim, showings, request })
                .demands(Who::Challenger, &[], TRACE)
                .wait(120_001)
                .accepts(Who::Stranger, Action::CallTime { claim, challenger })
                .calls_time(Who::Challenger)
        }
        // Open down to the running sums, which are all wrong.
        _ => {
            let leaf = Request::Leaf { operator: 2, leaf: 0 };
            let sums = Request::Accumulators { operator: 2, element: 0 };
            let only = &[Who::Challenger];
            claimed()
                .demands(Who::Challenger, &[1], inside(1))
                .reveals(only, inside(1), run.open_subtrace(1))
                .plays(Who::Challenger, |game| {
                    game.demand_showing(vec![game.toy.operator(2)], leaf)
                })
                .reveals(only, leaf, run.open_leaf(2, 0))
                .demands(Who::Challenger, &[], sums)
                .reveals(only, sums, Reveal::Accumulators { words: vec![0; 64] })
        }
    }
}

fn name_of(account: Address) -> Option<Who> {
    PARTIES.into_iter().find(|who| address(*who) == account)
}

/// The honest answer to a request, as far as this run has one.
fn answer(run: &Run, request: Request) -> Reveal {
    let node = |children| Reveal::Node { children };
    match request {
        Request::Node { tree: TreeId::Trace {}, .. } => run.open_trace(),
        Request::Node { tree: TreeId::State { boundary }, .. } => {
            let values = run.entries[boundary as usize % 3].clone();
            node(Children::Values { values })
        }
        Request::Node { tree: TreeId::Subtrace { layer }, .. } => {
            let Reveal::Subtrace { children, .. } = run.open_subtrace(layer as usize % 2) else {
                unreachable!()
            };
            node(children)
        }
        Request::Node { tree: TreeId::Tensor { operator }, .. } => {
            run.open_tensor(operator as usize % 3)
        }
        Request::Subtrace { layer } => run.open_subtrace(layer as usize % 2),
        Request::Leaf { operator, leaf } => {
            let operator = operator as usize % 3;
            run.open_leaf(operator, if operator == 2 { 0 } else { leaf % 2 })
        }
        Request::Accumulators { .. } => Reveal::Accumulators { words: vec![0; 64] },
    }
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

fn request(draw: &Draw) -> Request {
    let [a, b, ..] = draw.numbers;
    let (layer, operator) = (a % 3, b % 4);
    let trees = [
        TreeId::Trace {},
        TreeId::State { boundary: a % 4 },
        TreeId::Subtrace { layer },
        TreeId::Tensor { operator },
    ];
    let requests = [
        TRACE,
        inside(layer),
        Request::Node { tree: trees[b as usize / 7 % 4], depth: a / 9 % 2, index: 0 },
        Request::Leaf { operator, leaf: u64::from(a % 3) },
        Request::Accumulators { operator: 2, element: 0 },
    ];
    requests[(a / 16) as usize % requests.len()]
}

/// An action of a claim's dispute with who is likely to send it.
fn in_dispute(game: &Game, run: &Run, draw: &Draw) -> (Option<Who>, Action) {
    let Objects { claims, challenges, .. } = objects(game);
    let fits = |id: &&ChallengeId| {
        let one = game.state.challenge(id).unwrap();
        one.is_open() && (one.pending().is_some() == (draw.kind == 8))
    };
    let fitting: Vec<ChallengeId> = challenges.iter().filter(fits).copied().collect();
    let list = if draw.one_of(1, 4) { &challenges } else { &fitting };
    let picked = game.state.challenge(&draw.pick(0, list));
    let claim = picked.map_or_else(|| draw.pick(0, &claims), |challenge| challenge.claim);
    let challenger = picked.map_or_else(Address::default, |challenge| challenge.challenger);
    let executor = game.state.claim(&claim).map(|claim| claim.executor);
    let showings =
        vec![game.toy.layer(draw.numbers[2] % 2), game.toy.operator(draw.numbers[3] % 3)];
    match draw.kind {
        7 => (name_of(challenger), Action::Demand { claim, showings, request: request(draw) }),
        8 => {
            let pending = picked.and_then(|challenge| challenge.pending()).copied();
            let asked = pending.filter(|_| !draw.one_of(1, 8)).unwrap_or_else(|| request(draw));
            let said = if draw.one_of(2, 8) { request(draw) } else { asked };
            let reveal = answer(run, said);
            let challengers =
                if draw.one_of(3, 4) { PARTIES.map(address).to_vec() } else { vec![challenger] };
            let action = Action::Reveal { claim, challengers, request: asked, reveal };
            (executor.and_then(name_of), action)
        }
        9 => {
            let [_, a, b, c] = draw.numbers;
            let refutations = [
                Refutation::Binding { layer: a % 3, operator: b % 4 },
                Refutation::Carry { layer: a % 3, value: b % 6 },
                Refutation::Leaf { operator: a % 4, leaf: 0 },
                Refutation::StateValue { boundary: a % 4, position: 0 },
                Refutation::Step { operator: 2, element: 0, segment: 2, operands: Vec::new() },
            ];
            let refutation = refutations[c as usize % refutations.len()].clone();
            (name_of(challenger), Action::Refute { claim, challenger, showings, refutation })
        }
        10 => (None, Action::CallTime { claim, challenger }),
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
        7..=10 | 17 => in_dispute(game, run, draw),
        _ => in_attention(game, run, draw, who),
    }
}

/// Plays the moves; counts the accepted ones by name. The game builder checks all counts, sums and money
/// after each.
fn play(number: u8, lie: bool, draws: &[Draw], accepted: &mut BTreeMap<&'static str, u32>) -> Game {
    let run = Toy::new().run(lie.then_some((2, 0)));
    let honest = Toy::new().run(None);
    let mut game = start(number, if lie && number < 2 { &run } else { &honest });
    let run = if lie && number < 2 { run } else { honest };
    for draw in draws {
        game.now_ms += WAITS_MS.get(usize::from(draw.wait)).copied().unwrap_or(0);
        let who = PARTIES[(draw.numbers[3] / 64) as usize % PARTIES.len()];
        let (likely, action) = action(&game, &run, draw, who);
        let sender = likely.filter(|_| !draw.one_of(3, 8)).unwrap_or(who);
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
    let parameters = Parameters::default();
    game.now_ms += parameters.challenge_ms_max() + 600_000;
    let all: Vec<_> = game.state.challenges().map(|(_, one)| (one.claim, one.challenger)).collect();
    for round in 0..2 {
        for (claim, challenger) in all.iter().copied() {
            let id = protocol::settlement::challenge_id(claim, challenger);
            let is_open = game.state.challenge(&id).unwrap().is_open();
            let stands = game.state.claim(&claim).unwrap().stands();
            match (is_open, stands) {
                (true, true) => must(&mut game, Action::CallTime { claim, challenger }),
                (true, false) => must(&mut game, Action::Collect { claim, challenger }),
                (false, _) => {}
            }
        }
        let open = game.state.challenges().filter(|(_, one)| one.is_open()).count();
        assert!(open == 0 || round == 0, "{open} challenges are under way");
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
        number in 0u8..7, lie: bool, draws in draws(),
    ) {
        end_everything(play(number, lie, &draws, &mut BTreeMap::new()));
    }
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
    for number in 0..60u8 {
        let draws: Vec<Draw> = (0..60)
            .map(|_| Draw {
                kind: KINDS[next() as usize % KINDS.len()],
                wait: (next() % 120) as u8,
                numbers: [next(), next(), next(), next()],
            })
            .collect();
        end_everything(play(number % 7, number % 2 == 0, &draws, &mut accepted));
    }
    assert_eq!(accepted.len(), 21, "{accepted:?}");
}
