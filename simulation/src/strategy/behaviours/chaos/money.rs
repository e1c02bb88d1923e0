//! Moves about money, models, jobs and claims, and what anybody may do.

use protocol::graph::Profile;
use protocol::hash::{Commitment, Digest};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::JobStatus;
use protocol::transaction::{Action, Address, JobTerms};

use super::Table;

/// Jobs of one world to which parties of chaos add none, so that a slow challenger can run all of them within a
/// window (`docs/simulation.md`, capacity), and claims.
const JOBS_MAX: usize = 5;
const CLAIMS_MAX: usize = 24;

impl<C: Commitment> Table<'_, '_, C> {
    pub(super) fn withdraw(&mut self) -> Option<Action> {
        let (free_wei, least_wei) = (self.free_wei(), self.state.parameters().transfer_wei_min);
        let amounts = [least_wei, free_wei / 2, free_wei / 2, free_wei];
        Some(Action::Withdraw { amount_wei: *self.rng().pick(&amounts)? })
    }

    /// The world's model with another card: another root, and nobody's work.
    pub(super) fn register(&mut self) -> Option<Action> {
        let mut header = self.sight.fixtures.model(self.sight.model).ok()?.header().clone();
        header.card = Digest([self.rng().below(256) as u8; 32]);
        Some(Action::RegisterModel { header })
    }

    pub(super) fn post_job(&mut self) -> Option<Action> {
        if self.state.jobs().count() >= JOBS_MAX {
            return None;
        }
        let (fixtures, model) = (self.sight.fixtures, self.sight.model);
        let input = self.rng().below(fixtures.inputs(model) as u64) as usize;
        let model_root = fixtures.model(model).ok()?.root();
        let input_root = fixtures.input_root(model, input).ok()?;
        let parameters = self.state.parameters().clone();
        let open_ms = self.state.jobs().map(|(_, job)| job.terms.open_ms).min()?;
        let (me, now_ms) = (self.sight.me, self.now_ms());
        let named: Vec<Address> = self.state.claims().map(|(_, claim)| claim.executor).collect();
        let named = self.pick(named).unwrap_or(me);
        let rng = self.rng();
        let least_wei = parameters.stake_wei_min;
        Some(Action::PostJob {
            terms: JobTerms {
                model_root,
                input_root,
                profile: Profile::StrictF32,
                executor: *rng.pick(&[Address::default(), Address::default(), me, named])?,
                fee_wei: u128::from(rng.below(1 << 50)) + 1,
                fee_iteration_wei: u128::from(rng.below(2)),
                iterations_max: 1,
                may_cut: false,
                stake_wei: *rng.pick(&[
                    least_wei,
                    least_wei,
                    3 * least_wei,
                    parameters.stake_wei_max,
                ])?,
                window_ms: parameters.window_ms_min * (1 + rng.below(3)),
                open_ms: 1 + rng.below(open_ms),
                attention_wei: *rng.pick(&[0, 0, 100, least_wei / 100])?,
                salt: now_ms ^ rng.below(4),
            },
        })
    }

    /// A job that is open, with or without attention, among those whose input somebody has.
    pub(super) fn open_job(&mut self, sealed: bool) -> Option<(JobId, usize)> {
        if self.state.claims().count() >= CLAIMS_MAX {
            return None;
        }
        let (fixtures, model) = (self.sight.fixtures, self.sight.model);
        let root = fixtures.model(model).ok()?.root();
        let now_ms = self.now_ms();
        let open: Vec<(JobId, Digest)> = self
            .state
            .jobs()
            .filter(|(_, job)| {
                let takes = (job.terms.attention_wei > 0) == sealed && job.terms.model_root == root;
                takes && job.status == JobStatus::Open && now_ms <= job.open_until_ms
            })
            .map(|(id, job)| (*id, job.terms.input_root))
            .collect();
        let (job, input_root) = self.pick(open)?;
        Some((job, fixtures.input_of(model, &input_root)?))
    }

    pub(super) fn post_claim(&mut self, is_true: bool) -> Option<Action> {
        let (job, input) = self.open_job(false)?;
        let mut statement = self.run(input, is_true)?;
        (statement.terms.job, statement.terms.salt) = (job, self.rng().below(3));
        Some(Action::PostClaim { statement })
    }

    pub(super) fn challenge(&mut self) -> Option<Action> {
        let me = self.sight.me;
        let fits = self
            .state
            .claims()
            .filter(|(id, claim)| claim.stands() && self.state.challenge_by(id, &me).is_none());
        let all: Vec<ClaimId> = fits.map(|(id, _)| *id).collect();
        Some(Action::Challenge { claim: self.pick(all)? })
    }

    /// What anybody may do, at its time or not.
    pub(super) fn chore(&mut self) -> Option<Action> {
        let mut all: Vec<Action> = Vec::new();
        for (_, one) in self.state.challenges().filter(|(_, one)| one.is_open()) {
            let (claim, challenger) = (one.claim, one.challenger);
            all.push(match self.state.is_under_way(one) {
                true => Action::CallTime { claim, challenger },
                false => Action::Collect { claim, challenger },
            });
        }
        for (id, claim) in self.state.claims() {
            let job = claim.terms.job;
            if claim.stands() {
                all.extend([Action::Finalise { claim: *id }, Action::Release { claim: *id }]);
            } else {
                all.push(Action::Pass { job, claims: vec![*id] });
            }
        }
        for (id, job) in self.state.jobs() {
            if job.status == JobStatus::Open {
                all.push(Action::ExpireJob { job: *id });
            }
        }
        for (id, _) in self.state.all_sealed() {
            all.push(Action::ExpireSeal { sealed: *id });
            for (attester, _) in self.state.attestations_of(id) {
                all.push(Action::CollectAttention { sealed: *id, attester: *attester });
            }
        }
        // One that is due, if it is found soon: there are many more that are not.
        const LOOKS: usize = 8;
        let (now_ms, me) = (self.now_ms(), self.sight.me);
        let mut last = None;
        for _ in 0..LOOKS {
            let place = self.rng().below(all.len() as u64) as usize;
            let action = all.get(place)?.clone();
            if self.state.clone().perform(now_ms, me, 0, &action).is_ok() {
                return Some(action);
            }
            last = Some(action);
        }
        last
    }
}
