//! A party: its real core, its behaviours, and the shell around them: journal, slots, clock, crashes.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use challenger::ChallengerCore;
use executor::ExecutorCore;
use ledger::View;
use node::{Core, Decision};
use protocol::hash::Commitment;
use protocol::ids::JobId;
use protocol::settlement::JobStatus;
use protocol::transaction::{Action, Address};

use crate::strategy::Plan;

/// The core of a party.
#[derive(Clone, Debug)]
pub(crate) enum PartyCore<C: Commitment> {
    Executor(ExecutorCore<C>),
    Challenger(ChallengerCore<C>),
    /// Posts jobs, and expires those that nobody answers.
    Client {
        jobs: Vec<JobId>,
    },
}

impl<C: Commitment> PartyCore<C> {
    pub(crate) fn decide(&mut self, view: &View<C>) -> Vec<Decision> {
        match self {
            Self::Executor(core) => core.decide(view),
            Self::Challenger(core) => core.decide(view),
            Self::Client { jobs } => {
                let mut decisions = expiries(jobs, view);
                decisions.extend(jobs.iter().flat_map(|job| unsettled(job, view)));
                decisions
            }
        }
    }

    pub(crate) fn next_look_ms(&self, view: &View<C>) -> Option<u64> {
        match self {
            Self::Executor(core) => core.next_look_ms(view),
            Self::Challenger(core) => core.next_look_ms(view),
            Self::Client { jobs } => {
                let jobs = jobs.iter().filter_map(|id| view.settlement.job(id));
                let open = jobs.filter(|job| job.status == JobStatus::Open);
                let times = open.map(|job| {
                    let ripe_ms = job.open_until_ms.saturating_add(1);
                    let soon_ms = view.now_ms.saturating_add(UNSETTLED_MS);
                    if ripe_ms > view.now_ms { ripe_ms.min(soon_ms) } else { soon_ms }
                });
                times.min()
            }
        }
    }
}

/// Jobs whose time for claims is over and that no standing or sealed claim answers.
fn expiries<C: Commitment>(jobs: &[JobId], view: &View<C>) -> Vec<Decision> {
    let ripe = jobs.iter().filter(|id| {
        view.settlement.job(id).is_some_and(|job| {
            job.status == JobStatus::Open
                && view.now_ms > job.open_until_ms
                && job.standing == 0
                && job.seals_waiting == 0
        })
    });
    ripe.map(|job| Decision {
        action: Action::ExpireJob { job: *job },
        reason: "nobody answers the job".to_owned(),
        deadline_ms: None,
    })
    .collect()
}

/// How long a client leaves it to others to settle its job; it also looks as often as this.
const UNSETTLED_MS: u64 = 10_000;

/// What keeps a job from its answer, although nobody's time is left: challenges whose side to move is late, and a
/// claim that nobody makes final. Its executor may be gone, and its challenger an accomplice.
fn unsettled<C: Commitment>(job: &JobId, view: &View<C>) -> Vec<Decision> {
    let settlement = &view.settlement;
    let is_open = settlement.job(job).is_some_and(|job| job.status == JobStatus::Open);
    let claims = settlement.claims_of(job).filter_map(|id| Some((id, settlement.claim(id)?)));
    let first = claims.filter(|(_, claim)| claim.stands()).map(|(id, claim)| (*id, claim)).next();
    let Some((id, claim)) = first.filter(|_| is_open) else {
        return Vec::new();
    };
    let late_ms = view.now_ms.saturating_sub(UNSETTLED_MS);
    let plain = |action, reason: &str| {
        let reason = reason.to_owned();
        Decision { action, reason, deadline_ms: None }
    };
    let floor_ms = settlement.parameters().move_floor_ms;
    let challenges = settlement.challenges_of(&id).filter_map(|id| settlement.challenge(id));
    let late = challenges
        .filter(|challenge| challenge.deadline_ms(floor_ms).is_some_and(|at_ms| late_ms > at_ms));
    let calls = late.map(|challenge| {
        let action = Action::CallTime { claim: id, challenger: challenge.challenger };
        plain(action, "a side is late, and nobody ends it")
    });
    let mut decisions: Vec<Decision> = calls.collect();
    if !claim.is_disputed() && late_ms > claim.window_end_ms {
        let fallen = settlement.to_pass(job, claim.number).unwrap_or_default();
        let action = match fallen.as_slice() {
            [] => Action::Finalise { claim: id },
            _ => Action::Pass { job: *job, claims: fallen },
        };
        decisions.push(plain(action, "nobody makes the claim final"));
    }
    decisions
}

/// A transaction of a party that the ledger has not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) nonce: u64,
    pub(crate) fingerprint: u64,
    pub(crate) action: Arc<Action>,
    pub(crate) bid: u32,
    pub(crate) sent_ms: u64,
}

/// One party of a world.
#[derive(Clone, Debug)]
pub(crate) struct Party<C: Commitment> {
    pub(crate) group: usize,
    pub(crate) address: Address,
    pub(crate) plan: Plan<C>,
    pub(crate) core: PartyCore<C>,
    pub(crate) clock_skew_ms: i64,
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) busy_until_ms: u64,
    pub(crate) down_until_ms: u64,
    pub(crate) look_at_ms: Option<u64>,
    /// Content of what it said, by what it was about: never two different ones.
    pub(crate) said: Vec<(u64, u64)>,
    pub(crate) gas_wei: u128,
    /// Refusals since the last acceptance.
    pub(crate) rejections: u32,
    /// Whether anything was ever refused.
    pub(crate) refused: bool,
    pub(crate) transactions: u32,
    /// Moves without a deadline that were refused: content, when to try again, how often so far.
    pub(crate) patience: Vec<(u64, u64, u32)>,
    /// Jobs whose input executors have shown it, and whose run is begun.
    pub(crate) begun: Vec<JobId>,
    /// What a search has decided for its next look.
    pub(crate) choice: Option<super::Choice>,
}

/// A fast hasher without keys: the same on every machine and run. What is hashed are moves of the
/// simulation's own parties, none of whom looks for collisions.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let wide =
            u128::from(self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        self.0 = (wide >> 64) as u64 ^ (wide as u64).rotate_left(29);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(word.try_into().map_or(0, u64::from_le_bytes));
        }
        for byte in words.remainder() {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = Mixer::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Content of a move.
pub(crate) fn fingerprint(action: &Action) -> u64 {
    hash_of(action)
}

/// What a move is about, where saying two things about it is equivocation.
pub(crate) fn subject(action: &Action) -> Option<u64> {
    match action {
        Action::Reveal { claim, ask, .. } => Some(hash_of(&(1u8, claim, ask))),
        Action::PostClaim { statement } => Some(hash_of(&(2u8, statement.terms.job))),
        _ => None,
    }
}

/// What a move says about its subject: of an answer not to whom it is given.
fn saying(action: &Action) -> u64 {
    match action {
        Action::Reveal { answer, .. } => hash_of(answer),
        _ => hash_of(action),
    }
}

impl<C: Commitment> Party<C> {
    /// Its own clock.
    pub(crate) fn clock_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.clock_skew_ms)
    }

    /// Notes that a move without a deadline was refused; says how long to wait, longer each time.
    pub(crate) fn is_refused_again(&mut self, content: u64, now_ms: u64, block_ms: u64) -> u64 {
        const DOUBLINGS_MAX: u32 = 8;
        let known = self.patience.iter_mut().find(|(refused, ..)| *refused == content);
        match known {
            Some((_, until_ms, times)) => {
                *times = (*times + 1).min(DOUBLINGS_MAX);
                *until_ms = now_ms + (block_ms << *times);
                block_ms << *times
            }
            None => {
                self.patience.push((content, now_ms + 4 * block_ms, 2));
                4 * block_ms
            }
        }
    }

    /// Whether a move was refused and is not to be tried again yet.
    pub(crate) fn is_patient(&self, content: u64, now_ms: u64) -> bool {
        self.patience.iter().any(|(refused, until, _)| *refused == content && now_ms < *until)
    }

    /// The first number of its sequence that nothing under way carries: a gap would hold up
    /// everything after it.
    pub(crate) fn next_nonce(&self, ledger_nonce: u64) -> u64 {
        let mut nonce = ledger_nonce;
        while self.in_flight.iter().any(|one| one.nonce == nonce) {
            nonce += 1;
        }
        nonce
    }

    /// Notes what it says; false when it said something else about the same before.
    pub(crate) fn says(&mut self, action: &Action) -> bool {
        let Some(subject) = subject(action) else {
            return true;
        };
        match self.said.iter().find(|(about, _)| *about == subject) {
            Some((_, content)) => *content == saying(action),
            None => {
                self.said.push((subject, saying(action)));
                true
            }
        }
    }
}
