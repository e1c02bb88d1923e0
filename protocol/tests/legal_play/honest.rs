//! What honest parties intend, each with the moment at which it does it. Time stops at every such moment.

use protocol::asks::Ask;
use protocol::hash::{Digest, Keccak};
use protocol::settlement::attention::{seal, word};
use protocol::settlement::{
    AttestationStatus, ChallengeStatus, ClaimStatus, JobStatus, SealedStatus, Turn, challenge_id,
};
use protocol::transaction::{Action, Address};
use protocol::{ChallengeId, ClaimId, JobId, SealedId};

use crate::draw::mixed;
use crate::library::LIBRARY;
use crate::solver::{Plan, plan, way_down};
use crate::world::{ATTESTER, CHALLENGER, EXECUTOR, HONEST, Verdict, World};

/// What somebody honest does.
#[derive(Clone, Debug)]
pub(crate) enum Intention {
    Answer(ClaimId, Ask),
    Claim(JobId),
    Open(SealedId),
    Challenge(ClaimId),
    Dispute(ChallengeId),
    Attest(SealedId),
    Prove(ClaimId),
    /// What anybody may do.
    Chore(Box<Action>),
}

/// A number of an id.
fn number(id: &Digest) -> u64 {
    id.0[..8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// The salt of a party's seal or word.
pub(crate) fn salt(account: &Address, number: u64) -> Digest {
    let mut salt = Digest([account.0[0]; 32]);
    salt.0[24..].copy_from_slice(&number.to_be_bytes());
    salt
}

impl World {
    /// A delay that follows from the game's seed and what is done.
    fn delay_ms(&self, of: &Digest, step: u64, most_ms: u64) -> u64 {
        mixed(&[self.seed, number(of), step]) % (most_ms + 1)
    }

    /// All intentions with their times, some in the past.
    pub(crate) fn intentions(&self) -> Vec<(u64, Intention)> {
        let mut all = Vec::new();
        self.executor_intends(&mut all);
        self.challenger_intends(&mut all);
        self.attester_intends(&mut all);
        let chores = self.chores();
        all.extend(chores.into_iter().map(|(at_ms, id, action)| {
            let delay_ms = self.delay_ms(&id, 1, self.habits.lazy_ms);
            (at_ms + delay_ms, Intention::Chore(Box::new(action)))
        }));
        all
    }

    fn executor_intends(&self, all: &mut Vec<(u64, Intention)>) {
        let (parameters, state) = (self.state.parameters(), &self.state);
        let mine = |id: &ClaimId| {
            state.claim(id).is_some_and(|claim| claim.executor == EXECUTOR && claim.stands())
        };
        let pending = state.challenges().filter_map(|(_, one)| {
            let ask = one.pending().filter(|_| mine(&one.claim))?;
            Some((one.deadline_ms(parameters.move_floor_ms)?, one.claim, ask))
        });
        // The most urgent first, one after the other.
        if let Some((_, claim, ask)) = pending.min_by_key(|(deadline_ms, ..)| *deadline_ms) {
            all.push((self.busy_until_ms, Intention::Answer(claim, ask.clone())));
        }
        let seals: Vec<_> =
            state.all_sealed().filter(|(_, sealed)| sealed.executor == EXECUTOR).collect();
        let waiting = seals.iter().filter(|(_, one)| one.status == SealedStatus::Waiting);
        for (id, sealed) in waiting.clone() {
            let seal_ms = self.seal_ms(sealed);
            let delay_ms = self.delay_ms(&id.0, 2, seal_ms - 1);
            let from_ms = sealed.sealed_ms + seal_ms + 1;
            all.push((from_ms + delay_ms, Intention::Open(**id)));
        }
        // No more claims at once than it can answer for.
        let standing = state.claims().filter(|(id, _)| mine(id)).count() + waiting.count();
        let reply_ms = parameters.reply_ms * u64::from(parameters.served_max);
        if standing as u64 >= (parameters.move_floor_ms / reply_ms).max(1) {
            return;
        }
        for (id, job) in state.jobs().filter(|(_, job)| job.status == JobStatus::Open) {
            let sealed = seals.iter().any(|(_, one)| one.job == *id);
            let mut claims = state.claims_of(id).filter_map(|claim| state.claim(claim));
            let claimed = sealed || claims.any(|claim| claim.executor == EXECUTOR);
            let needed_wei = job.terms.stake_wei + parameters.record_fee_wei;
            let can = job.terms.admits(&EXECUTOR) && self.free_wei(&EXECUTOR) >= needed_wei;
            // While another's root is public nothing is sealed.
            let waits = job.terms.attention_wei > 0 && job.standing > 0;
            if claimed || !can || waits || self.now_ms > job.open_until_ms {
                continue;
            }
            let delay_ms =
                self.delay_ms(&id.0, 3, job.terms.open_ms.min(2 * parameters.move_floor_ms));
            all.push((job.posted_ms + delay_ms, Intention::Claim(*id)));
        }
    }

    fn challenger_intends(&self, all: &mut Vec<(u64, Intention)>) {
        let floor_ms = self.state.parameters().move_floor_ms;
        for (id, claim) in self.state.claims().filter(|(_, claim)| claim.stands()) {
            if self.claims[id].is_true {
                continue;
            }
            let challenge = challenge_id(*id, CHALLENGER);
            let window_ms = claim.window_end_ms - claim.posted_ms;
            match self.state.challenge(&challenge).map(|one| (one, &one.status)) {
                None if self.now_ms <= claim.window_end_ms => {
                    let delay_ms = self.delay_ms(&id.0, 4, window_ms.min(3 * floor_ms));
                    all.push((claim.posted_ms + delay_ms, Intention::Challenge(*id)));
                }
                Some((one, ChallengeStatus::Open { turn: Turn::Challenger, since_ms })) => {
                    let delay_ms = self.delay_ms(&challenge.0, one.work(), floor_ms);
                    all.push((since_ms + delay_ms, Intention::Dispute(challenge)));
                }
                _ => {}
            }
        }
    }

    fn attester_intends(&self, all: &mut Vec<(u64, Intention)>) {
        let (parameters, state) = (self.state.parameters(), &self.state);
        for (id, sealed) in state.all_sealed() {
            let seal_ms = self.seal_ms(sealed);
            let until_ms = sealed.sealed_ms + seal_ms;
            let job = state.job(&sealed.job).expect("it was sealed");
            let free = sealed.attesters < parameters.attestations_max && job.standing == 0;
            let needed_wei = parameters.attest_bond_wei + parameters.record_fee_wei;
            let can = self.free_wei(&ATTESTER) >= needed_wei;
            let given = state.attestation(id, &ATTESTER).is_some();
            let open = sealed.status == SealedStatus::Waiting && self.now_ms <= until_ms;
            if free && can && open && !given {
                let delay_ms = self.delay_ms(&id.0, 5, seal_ms);
                all.push((sealed.sealed_ms + delay_ms, Intention::Attest(*id)));
            }
            let SealedStatus::Opened { claim: id_of_claim } = sealed.status else { continue };
            let claim = state.claim(&id_of_claim).expect("it was opened");
            let proves = self.is_given(id, &ATTESTER) && self.claims[&id_of_claim].is_true;
            if proves && claim.stands() && self.now_ms <= claim.window_end_ms {
                let delay_ms = self.delay_ms(&id.0, 6, claim.window_end_ms - claim.posted_ms);
                all.push((claim.posted_ms + delay_ms, Intention::Prove(id_of_claim)));
            }
        }
    }

    /// What anybody may do, with the moment from which it may be done.
    pub(crate) fn chores(&self) -> Vec<(u64, Digest, Action)> {
        let (parameters, state) = (self.state.parameters(), &self.state);
        let mut all = Vec::new();
        for (id, one) in state.challenges().filter(|(_, one)| one.is_open()) {
            let (claim, challenger) = (one.claim, one.challenger);
            if !state.is_under_way(one) {
                all.push((0, id.0, Action::Collect { claim, challenger }));
            } else if let Some(end_ms) = one.deadline_ms(parameters.move_floor_ms) {
                all.push((end_ms + 1, id.0, Action::CallTime { claim, challenger }));
            }
        }
        for (id, claim) in state.claims().filter(|(_, claim)| claim.stands() && claim.open == 0) {
            let job = state.job(&claim.terms.job).expect("it was posted");
            if job.status != JobStatus::Open {
                all.push((0, id.0, Action::Release { claim: *id }));
            } else if job.first_standing == claim.number {
                all.push((claim.window_end_ms + 1, id.0, Action::Finalise { claim: *id }));
            }
        }
        for (id, job) in state.jobs().filter(|(_, job)| job.status == JobStatus::Open) {
            let first = state.claims_of(id).nth(job.first_standing as usize);
            let fell = |claim: &&ClaimId| {
                let status = &state.claim(claim).expect("it was posted").status;
                matches!(status, ClaimStatus::Fallen { .. })
            };
            if let Some(claim) = first.filter(fell) {
                all.push((0, id.0, Action::Pass { job: *id, claims: vec![*claim] }));
            }
            if job.standing == 0 && job.seals_waiting == 0 {
                all.push((job.open_until_ms + 1, id.0, Action::ExpireJob { job: *id }));
            }
        }
        for (id, sealed) in state.all_sealed() {
            let over = match sealed.status {
                SealedStatus::Waiting => {
                    let end_ms = sealed.sealed_ms + 2 * self.seal_ms(sealed);
                    all.push((end_ms + 1, id.0, Action::ExpireSeal { sealed: *id }));
                    false
                }
                SealedStatus::Opened { claim } => {
                    !state.claim(&claim).is_some_and(protocol::settlement::Claim::stands)
                }
                SealedStatus::Expired => true,
            };
            for (attester, one) in state.attestations_of(id).filter(|_| over) {
                if one.status != AttestationStatus::Collected {
                    let (sealed, attester) = (*id, *attester);
                    all.push((0, id.0, Action::CollectAttention { sealed, attester }));
                }
            }
        }
        all
    }

    /// Does what is intended.
    ///
    /// # Errors
    /// When it is refused, or something does not hold after it.
    pub(crate) fn carry_out(&mut self, intention: Intention) -> Verdict {
        match intention {
            Intention::Answer(claim, ask) => self.answer(claim, ask),
            Intention::Claim(job) => self.claim_or_seal(job),
            Intention::Open(sealed) => {
                let (book, salt) = self.seals[&sealed];
                let mut statement = LIBRARY.books[book].statement.clone();
                statement.terms.job = self.state.sealed(&sealed).expect("it is sealed").job;
                self.must(EXECUTOR, &Action::OpenClaim { sealed, statement, salt })
            }
            Intention::Challenge(claim) => self.must(CHALLENGER, &Action::Challenge { claim }),
            Intention::Dispute(challenge) => self.dispute(challenge),
            Intention::Attest(sealed) => {
                let job = self.state.sealed(&sealed).expect("it is sealed").job;
                let terms = &self.state.job(&job).expect("it was posted").terms;
                let book = LIBRARY.truth(terms).ok_or("a job without a true run")?;
                let root = LIBRARY.books[book].statement.terms.sequence_root;
                let salt = salt(&ATTESTER, 0);
                let word = word::<Keccak>(&ATTESTER, &root, &salt);
                self.must(ATTESTER, &Action::Attest { sealed, word })
            }
            Intention::Prove(claim) => {
                let salt = salt(&ATTESTER, 0);
                self.must(ATTESTER, &Action::ProveAttention { claim, salt })
            }
            Intention::Chore(action) => {
                let who = HONEST[(self.sent % HONEST.len() as u64) as usize];
                self.must(who, &action)
            }
        }
    }

    fn answer(&mut self, claim: ClaimId, ask: Ask) -> Verdict {
        let waits = self.state.challenges_of(&claim).filter_map(|id| {
            let one = self.state.challenge(id)?;
            (one.pending() == Some(&ask)).then_some((one.number, one.challenger))
        });
        let floor_ms = self.state.parameters().move_floor_ms;
        let urgent = |(_, who): &(u32, Address)| {
            self.state.challenge_by(&claim, who).and_then(|one| one.deadline_ms(floor_ms))
        };
        let mut waits: Vec<(u32, Address)> = waits.collect();
        waits.sort_by_key(urgent);
        let most = if self.habits.shares { 16 } else { 1 };
        let challengers = waits.into_iter().take(most).map(|(_, who)| who).collect();
        let answer = self.honest_answer(&claim, &ask);
        self.must(EXECUTOR, &Action::Reveal { claim, challengers, ask, answer })?;
        self.busy_until_ms = self.now_ms + self.state.parameters().reply_ms;
        Ok(())
    }

    fn claim_or_seal(&mut self, job: JobId) -> Verdict {
        let terms = &self.state.job(&job).expect("it was posted").terms;
        let book = LIBRARY.truth(terms).ok_or("a job without a true run")?;
        let mut statement = LIBRARY.books[book].statement.clone();
        statement.terms.job = job;
        if terms.attention_wei == 0 {
            return self.must(EXECUTOR, &Action::PostClaim { statement });
        }
        let salt = salt(&EXECUTOR, 0);
        let seal = seal::<Keccak>(&EXECUTOR, &statement.terms.sequence_root, &salt);
        let sealed = protocol::settlement::attention::sealed_id::<Keccak>(&EXECUTOR, &job, &seal);
        self.seals.insert(sealed, (book, salt));
        self.must(EXECUTOR, &Action::SealClaim { job, seal })
    }

    /// The challenger's next move: down to the lie, then the proof.
    fn dispute(&mut self, challenge: ChallengeId) -> Verdict {
        let one = self.state.challenge(&challenge).expect("it is open");
        let claim = one.claim;
        let asks = (one.demands + one.end_asks) as usize;
        let view = self.view(&claim);
        let opened = way_down(&view);
        let next = match opened.get(asks).filter(|_| self.habits.walks) {
            Some(want) => Plan::Ask(*want),
            None => plan(&view, self.terms_of(&claim)).ok_or("a false claim without a lie")?,
        };
        let action = match next {
            Plan::Ask(want) => {
                let showings = view.showings_to(want.tree()).ok_or("nothing leads there")?;
                let (ask, path) = view.ask(want, 0).ok_or("nothing is there")?;
                Action::Demand { claim, showings, ask, path, from: None }
            }
            Plan::Prove(proof) => {
                let (showings, refutation) = *proof;
                let challenger = CHALLENGER;
                Action::Refute { claim, challenger, showings, refutation, from: None }
            }
        };
        self.must(CHALLENGER, &action)
    }

    /// Time passes; whoever is honest acts in time.
    ///
    /// # Errors
    /// When an honest move is refused, or something does not hold after one.
    pub(crate) fn wait(&mut self, by_ms: u64) -> Verdict {
        let until_ms = self.now_ms + by_ms;
        for _ in 0..100_000 {
            let next = self.intentions().into_iter().min_by_key(|(at_ms, _)| *at_ms);
            match next.filter(|(at_ms, _)| *at_ms <= until_ms) {
                Some((at_ms, intention)) => {
                    self.now_ms = self.now_ms.max(at_ms);
                    self.check_bounds()?;
                    self.carry_out(intention)?;
                }
                None => {
                    self.now_ms = until_ms;
                    return self.check_bounds();
                }
            }
        }
        Err("honest parties never come to rest".to_owned())
    }

    /// Time passes until all is over.
    ///
    /// # Errors
    /// As [`World::wait`], or when it is never over.
    pub(crate) fn end(&mut self) -> Verdict {
        for _ in 0..64 {
            if self.state.money().locked_wei() == 0 {
                break;
            }
            self.wait(self.state.parameters().challenge_ms_max())?;
        }
        self.check_end()
    }
}
