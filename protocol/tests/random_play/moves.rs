//! Moves that a few numbers decide: any action that could be sent, legal or nearly so.

use protocol::asks::{Ask, Refutation};
use protocol::graph::ModelHeader;
use protocol::hash::{Digest, Keccak};
use protocol::settlement::ETHER;
use protocol::settlement::attention::{seal, word};
use protocol::transaction::{Action, Address, JobTerms, Statement};
use protocol::{ChallengeId, ClaimId, JobId, SealedId};

use crate::common::answers::Proof;
use crate::common::{Answers, Game, Run, Want, Who, address, salt};

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
pub(crate) const KINDS: [u8; 46] = [
    0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 10, 11,
    12, 13, 13, 13, 14, 14, 15, 15, 16, 17, 17, 18, 19, 20, 21,
];

/// Numbers that decide one move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub kind: u8,
    pub wait: u8,
    pub numbers: [u32; 4],
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

fn name_of(account: Address) -> Option<Who> {
    PARTIES.into_iter().find(|who| address(*who) == account)
}

/// What the ledger holds, as lists to pick from.
pub(crate) struct Objects {
    pub jobs: Vec<JobId>,
    pub claims: Vec<ClaimId>,
    pub challenges: Vec<ChallengeId>,
    pub sealed: Vec<SealedId>,
    pub attestations: Vec<(SealedId, Address)>,
}

pub(crate) fn objects(game: &Game) -> Objects {
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

/// Any ask about any node of any tree, legal or not; now and then of the tree that was asked about last.
fn want(answers: &Answers, draw: &Draw, last: Option<&Ask>) -> Want {
    let mut all = answers.all_wants();
    if let Some(last) = last.filter(|_| draw.one_of(3, 2)) {
        all.retain(|want| want.tree() == *last.tree());
    }
    all[draw.numbers[0] as usize / 16 % all.len()]
}

/// A demand: mostly with what it must show, now and then by the place that was asked last, with something left
/// out, or with something else beside.
fn demand(answers: &Answers, draw: &Draw, claim: ClaimId, last: Option<&Ask>) -> Action {
    let want = want(answers, draw, last);
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
    let (mut showings, refutation) = match c / 16 % 9 {
        0 => bare(Refutation::Binding { iteration, layer: a % 3, operator: b % 4 }),
        1 => bare(Refutation::Carry { iteration, layer: a % 3, value: b % 6 }),
        2 => bare(Refutation::StateValue { iteration, boundary: a % 4, position: 0 }),
        3 | 4 => answers.leaf_proof(a % 3, u64::from(a % 3 != 2 && b.is_multiple_of(2))),
        5 => answers.product_proof(u64::from(b % 100)),
        8 => bare(match a % 3 {
            0 => Refutation::Link { iteration, input: b % 2 },
            1 => Refutation::Entry { iteration },
            _ => Refutation::Stop { iteration },
        }),
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
        None => answers.ask(want(answers, draw, None)),
    };
    let said = match draw.one_of(2, 8) {
        true => answers.ask(want(answers, draw, None)),
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

/// Time passes, and the next action with its sender is drawn.
pub(crate) fn next(game: &mut Game, run: &Run, draw: &Draw) -> (Who, Action) {
    game.now_ms += WAITS_MS.get(usize::from(draw.wait)).copied().unwrap_or(0);
    let who = PARTIES[(draw.numbers[3] / 64) as usize % PARTIES.len()];
    let (likely, action) = action(game, run, draw, who);
    (likely.filter(|_| !draw.one_of(3, 8)).unwrap_or(who), action)
}
