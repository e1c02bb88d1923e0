//! What those may do who do anything: every legal action of every kind, drawn by kind first and then within the
//! kind. Moves in disputes stand beside.

use protocol::hash::{Digest, Keccak};
use protocol::settlement::attention::{seal, sealed_id, word};
use protocol::settlement::{JobStatus, Sealed, SealedStatus, challenge_id, claim_id, job_id};
use protocol::transaction::{Action, Address, Statement};
use protocol::{ClaimId, JobId, SealedId};

use crate::draw::Draw;
use crate::honest::salt;
use crate::library::LIBRARY;
use crate::world::{BANK, World};

/// Kinds of moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deposit,
    Withdraw,
    Register,
    PostJob,
    PostTrue,
    PostFalse,
    Challenge,
    Say,
    Open,
    Leaves,
    End,
    /// Any of the four, built on what was asked last.
    Below,
    /// Any of the four, with more shown than is needed.
    Beside,
    /// What others wait to be answered.
    Same,
    Answer,
    /// Another root than the claim's own run has.
    AnswerOtherwise,
    Convict,
    /// A refutation of any place.
    Refute,
    Leave,
    Seal,
    Attest,
    OpenSeal,
    Prove,
    /// What anybody may do.
    Chore,
    /// A move of another kind, with one thing changed.
    Near,
}

pub(crate) const KINDS: [Kind; 25] = [
    Kind::Deposit,
    Kind::Withdraw,
    Kind::Register,
    Kind::PostJob,
    Kind::PostTrue,
    Kind::PostFalse,
    Kind::Challenge,
    Kind::Say,
    Kind::Open,
    Kind::Leaves,
    Kind::End,
    Kind::Below,
    Kind::Beside,
    Kind::Same,
    Kind::Answer,
    Kind::AnswerOtherwise,
    Kind::Convict,
    Kind::Refute,
    Kind::Leave,
    Kind::Seal,
    Kind::Attest,
    Kind::OpenSeal,
    Kind::Prove,
    Kind::Chore,
    Kind::Near,
];

/// Most claims, seals and jobs of one game, so that it stays short.
const CLAIMS_MAX: usize = 10;
const JOBS_MAX: usize = 5;

/// A move that is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) who: Address,
    pub(crate) action: Action,
    /// Whether it must be accepted.
    pub(crate) is_legal: bool,
}

pub(crate) fn legal(who: Address, action: Action) -> Option<Move> {
    Some(Move { who, action, is_legal: true })
}

impl World {
    /// A move of some kind; none where nothing of several kinds can be done.
    pub(crate) fn draw_move(&self, draw: &mut Draw) -> Option<(Kind, Move)> {
        let total: u64 = self.habits.weights.iter().sum();
        (0..12).find_map(|_| {
            let mut number = draw.below(total);
            let kind = KINDS.iter().zip(&self.habits.weights).find_map(|(kind, weight)| {
                let is_it = number < *weight;
                number = number.saturating_sub(*weight);
                is_it.then_some(*kind)
            })?;
            Some((kind, self.draw_of(kind, draw)?))
        })
    }

    pub(crate) fn draw_of(&self, kind: Kind, draw: &mut Draw) -> Option<Move> {
        match kind {
            Kind::Deposit | Kind::Withdraw => self.transfer(kind, draw),
            Kind::Register => self.register(draw),
            Kind::PostJob => self.post_job(draw),
            Kind::PostTrue | Kind::PostFalse => self.post_claim(kind == Kind::PostTrue, draw),
            Kind::Challenge => self.challenge(draw),
            Kind::Seal => self.seal(draw),
            Kind::Attest => self.attest(draw),
            Kind::OpenSeal => self.open_seal(draw),
            Kind::Prove => self.prove(draw),
            Kind::Chore => self.chore(draw),
            Kind::Near => self.near(draw),
            Kind::Say
            | Kind::Open
            | Kind::Leaves
            | Kind::End
            | Kind::Below
            | Kind::Beside
            | Kind::Same
            | Kind::Answer
            | Kind::AnswerOtherwise
            | Kind::Convict
            | Kind::Refute
            | Kind::Leave => self.in_dispute(kind, draw),
        }
    }

    /// Somebody who has so much money.
    fn who_has(&self, amount_wei: u128, draw: &mut Draw) -> Option<Address> {
        let rich: Vec<Address> =
            self.chaos.iter().copied().filter(|who| self.free_wei(who) >= amount_wei).collect();
        draw.pick(&rich).copied()
    }

    fn transfer(&self, kind: Kind, draw: &mut Draw) -> Option<Move> {
        let least_wei = self.state.parameters().transfer_wei_min;
        if kind == Kind::Deposit {
            let account = *draw.pick(&self.chaos)?;
            let amount_wei = least_wei * draw.of([1, 100, 20_000]);
            return legal(BANK, Action::Deposit { account, amount_wei });
        }
        let who = self.who_has(least_wei, draw)?;
        let amount_wei = draw.of([least_wei, self.free_wei(&who) / 2]).max(least_wei);
        legal(who, Action::Withdraw { amount_wei })
    }

    fn register(&self, draw: &mut Draw) -> Option<Move> {
        let who = self.who_has(self.state.parameters().record_fee_wei, draw)?;
        let model = draw.pick(&LIBRARY.models)?;
        let mut header = model.committed.header.clone();
        if self.state.model(&model.root).is_some() {
            header.card = Digest([draw.below(256) as u8; 32]);
        }
        if self.state.model(&header.root()).is_some() {
            return None;
        }
        legal(who, Action::RegisterModel { header })
    }

    fn post_job(&self, draw: &mut Draw) -> Option<Move> {
        if self.state.jobs().count() >= JOBS_MAX {
            return None;
        }
        let known = (0..LIBRARY.models.len())
            .filter(|model| self.state.model(&LIBRARY.models[*model].root).is_some());
        let known: Vec<usize> = known.collect();
        let terms = self.job_terms(draw, *draw.clone().pick(&known)?);
        let record_fee_wei = self.state.parameters().record_fee_wei;
        let who = self.who_has(terms.locked_wei()? + record_fee_wei, draw)?;
        if self.state.job(&job_id(who, &terms)).is_some() {
            return None;
        }
        legal(who, Action::PostJob { terms })
    }

    /// A job that takes claims, or seals, with one of those that it admits and that can pay.
    fn open_job(&self, sealed: bool, draw: &mut Draw) -> Option<(JobId, Address)> {
        let waiting = self.state.all_sealed().count();
        if self.state.claims().count() + waiting >= CLAIMS_MAX {
            return None;
        }
        let open: Vec<JobId> = self
            .state
            .jobs()
            .filter(|(_, job)| {
                let takes = (job.terms.attention_wei > 0) == sealed;
                takes && job.status == JobStatus::Open && self.now_ms <= job.open_until_ms
            })
            .map(|(id, _)| *id)
            .collect();
        let id = *draw.pick(&open)?;
        let terms = &self.state.job(&id)?.terms;
        let needed_wei = terms.stake_wei + self.state.parameters().record_fee_wei;
        let fits = |who: &Address| terms.admits(who) && self.free_wei(who) >= needed_wei;
        let all: Vec<Address> = self.chaos.iter().copied().filter(fits).collect();
        Some((id, *draw.pick(&all)?))
    }

    /// A run that can be claimed on a job.
    fn run_for(&self, job: JobId, is_true: Option<bool>, draw: &mut Draw) -> Option<usize> {
        let terms = &self.state.job(&job)?.terms;
        let model = LIBRARY.model_of(&terms.model_root);
        let header = &LIBRARY.models[model].committed.header;
        let fits = |place: &usize| {
            let book = &LIBRARY.books[*place];
            let is_wanted = is_true.is_none_or(|wanted| book.is_true(terms) == wanted);
            terms.length().admits(header, book.iterations())
                && book.statement.terms.input_root == terms.input_root
                && is_wanted
        };
        let all: Vec<usize> = LIBRARY.posable(model).into_iter().filter(fits).collect();
        draw.pick(&all).copied()
    }

    fn post_claim(&self, is_true: bool, draw: &mut Draw) -> Option<Move> {
        let (job, who) = self.open_job(false, draw)?;
        let book = self.run_for(job, Some(is_true), draw)?;
        let mut statement = LIBRARY.books[book].statement.clone();
        (statement.terms.job, statement.terms.salt) = (job, draw.below(3));
        if self.state.claim(&claim_id(who, &statement.terms)).is_some() {
            return None;
        }
        legal(who, Action::PostClaim { statement })
    }

    fn challenge(&self, draw: &mut Draw) -> Option<Move> {
        let fits = self
            .state
            .claims()
            .filter(|(_, claim)| claim.stands() && self.now_ms <= claim.window_end_ms);
        let all: Vec<ClaimId> = fits.map(|(id, _)| *id).collect();
        let claim = *draw.pick(&all)?;
        let parameters = self.state.parameters();
        let needed_wei =
            parameters.bond_wei(self.state.claim(&claim)?.stake_wei) + parameters.record_fee_wei;
        let who = self.who_has(needed_wei, draw)?;
        if self.state.challenge(&challenge_id(claim, who)).is_some() {
            return None;
        }
        legal(who, Action::Challenge { claim })
    }

    fn chore(&self, draw: &mut Draw) -> Option<Move> {
        let chores = self.chores().into_iter();
        let due: Vec<Action> =
            chores.filter(|(at_ms, ..)| *at_ms <= self.now_ms).map(|(.., one)| one).collect();
        legal(*draw.pick(&self.chaos)?, draw.pick(&due)?.clone())
    }
}

/// Moves about sealed claims.
impl World {
    /// The run of a seal or a word, and its salt, follow from who gives it and one number.
    pub(crate) fn seal_of(&self, who: Address, book: usize) -> (Digest, Digest) {
        let salt = salt(&who, book as u64);
        let root = LIBRARY.books[book].statement.terms.sequence_root;
        (seal::<Keccak>(&who, &root, &salt), salt)
    }

    /// Time for words about a sealed claim: longer by the iterations of its job.
    pub(crate) fn seal_ms(&self, sealed: &Sealed) -> u64 {
        let job = self.state.job(&sealed.job).expect("it was sealed");
        let parameters = self.state.parameters();
        let further_ms = parameters.window_iteration_ms * u64::from(job.terms.iterations_max - 1);
        parameters.seal_ms + further_ms
    }

    fn seal(&self, draw: &mut Draw) -> Option<Move> {
        let (job, who) = self.open_job(true, draw)?;
        if self.state.job(&job)?.standing > 0 {
            return None;
        }
        let book = self.run_for(job, None, draw)?;
        let (seal, _) = self.seal_of(who, book);
        if self.state.sealed(&sealed_id::<Keccak>(&who, &job, &seal)).is_some() {
            return None;
        }
        legal(who, Action::SealClaim { job, seal })
    }

    fn waiting(&self, draw: &mut Draw) -> Option<SealedId> {
        let waits = self.state.all_sealed().filter(|(_, one)| one.status == SealedStatus::Waiting);
        let waits: Vec<SealedId> = waits.map(|(id, _)| *id).collect();
        draw.pick(&waits).copied()
    }

    /// The root that a party's word is on: of some run of the job, or junk.
    fn word_root(&self, who: Address, sealed: &SealedId) -> Option<Digest> {
        let job = self.state.job(&self.state.sealed(sealed)?.job)?;
        let book = LIBRARY.truth(&job.terms)?;
        let root = LIBRARY.books[book].statement.terms.sequence_root;
        Some(if who.0[0].is_multiple_of(2) { root } else { Digest::default() })
    }

    fn attest(&self, draw: &mut Draw) -> Option<Move> {
        let parameters = self.state.parameters();
        let id = self.waiting(draw)?;
        let sealed = self.state.sealed(&id)?;
        let who = self.who_has(parameters.attest_bond_wei + parameters.record_fee_wei, draw)?;
        let open = self.now_ms <= sealed.sealed_ms + self.seal_ms(sealed)
            && self.state.job(&sealed.job)?.standing == 0;
        let free = sealed.attesters < parameters.attestations_max && sealed.executor != who;
        if !open || !free || self.state.attestation(&id, &who).is_some() {
            return None;
        }
        let root = self.word_root(who, &id)?;
        let word = word::<Keccak>(&who, &root, &salt(&who, 0));
        legal(who, Action::Attest { sealed: id, word })
    }

    fn open_seal(&self, draw: &mut Draw) -> Option<Move> {
        let id = self.waiting(draw)?;
        let sealed = self.state.sealed(&id)?;
        let seal_ms = self.seal_ms(sealed);
        let from_ms = sealed.sealed_ms + seal_ms;
        let in_time = self.now_ms > from_ms && self.now_ms <= from_ms + seal_ms;
        if !self.is_chaos(&sealed.executor) || !in_time {
            return None;
        }
        let is_it = |book: &usize| self.seal_of(sealed.executor, *book).0 == sealed.seal;
        let book = (0..LIBRARY.books.len()).find(is_it)?;
        let mut statement: Statement = LIBRARY.books[book].statement.clone();
        statement.terms.job = sealed.job;
        // A claim of the same terms may stand; then nothing is claimed.
        if self.state.claim(&claim_id(sealed.executor, &statement.terms)).is_some() {
            return None;
        }
        let salt = self.seal_of(sealed.executor, book).1;
        legal(sealed.executor, Action::OpenClaim { sealed: id, statement, salt })
    }

    fn prove(&self, draw: &mut Draw) -> Option<Move> {
        let fits = self.state.claims().filter(|(_, claim)| {
            claim.stands() && claim.sealed.is_some() && self.now_ms <= claim.window_end_ms
        });
        let all: Vec<ClaimId> = fits.map(|(id, _)| *id).collect();
        let id = *draw.pick(&all)?;
        let claim = self.state.claim(&id)?;
        let sealed = claim.sealed?;
        let given: Vec<Address> = self
            .chaos
            .iter()
            .copied()
            .filter(|who| self.is_given(&sealed, who))
            .filter(|who| {
                let word = word::<Keccak>(who, &claim.terms.sequence_root, &salt(who, 0));
                self.state.attestation(&sealed, who).is_some_and(|one| one.word == word)
            })
            .collect();
        let who = *draw.pick(&given)?;
        legal(who, Action::ProveAttention { claim: id, salt: salt(&who, 0) })
    }
}
