//! What the ledger counts so that no transition has to loop: each number is what a scan of the objects gives.

use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{
    AttestationStatus, ChallengeStatus, Claim, ClaimStatus, JobStatus, SealedStatus, Settlement,
};
use protocol::transaction::Action;

use super::{Audit, Invariant, Surroundings};

/// Of so many transactions one is followed by a scan of everything, the others by one of what they touched.
const SCAN_EVERY: u64 = 16;

impl<C: Commitment> Audit<C> {
    /// Whether the counts of what a transaction touched are right; now and then, whether all are.
    pub(super) fn counters(
        &mut self,
        around: &Surroundings<'_>,
        state: &Settlement<C>,
        action: &Action,
    ) {
        let seldom = self.checks[Invariant::Counters as usize];
        if seldom.is_multiple_of(SCAN_EVERY) {
            self.all_counters(around, state);
            return;
        }
        if let Some(claim) = claim_of(action) {
            self.claim_counters(around, state, &claim);
        }
        if let Some(job) = job_of(state, action) {
            self.job_counters(around, state, &job);
        }
    }

    /// Whether every count is right.
    pub(super) fn all_counters(&mut self, around: &Surroundings<'_>, state: &Settlement<C>) {
        self.listed(around, state);
        for (id, _) in state.jobs() {
            self.job_counters(around, state, id);
        }
        for (id, _) in state.claims() {
            self.claim_counters(around, state, id);
        }
    }

    /// Whether what is listed as not over is all that is not, and nothing else.
    fn listed(&mut self, around: &Surroundings<'_>, state: &Settlement<C>) {
        let jobs = state.jobs().filter(|(_, job)| job.status == JobStatus::Open);
        let claims = state.claims().filter(|(_, claim)| claim.status == ClaimStatus::Standing);
        let challenges = state.challenges().filter(|(_, one)| {
            matches!(one.status, ChallengeStatus::Queued | ChallengeStatus::Open { .. })
        });
        let rows = [
            ("jobs that are open", jobs.map(|(id, _)| id).eq(state.open_jobs().map(|(id, _)| id))),
            (
                "claims that stand",
                claims.map(|(id, _)| id).eq(state.standing_claims().map(|(id, _)| id)),
            ),
            (
                "challenges that have not ended",
                challenges.map(|(id, _)| id).eq(state.open_challenges().map(|(id, _)| id)),
            ),
        ];
        for (what, holds) in rows {
            self.hold(Invariant::Counters, around.now_ms, holds, || {
                format!("the ledger's list of {what} is not what its objects say")
            });
        }
    }

    fn job_counters(&mut self, around: &Surroundings<'_>, state: &Settlement<C>, id: &JobId) {
        let Some(job) = state.job(id) else { return };
        let (mut claims, mut standing, mut first) = (0u32, 0u32, None);
        for (number, claim) in state
            .claims_of(id)
            .filter_map(|id| state.claim(id))
            .zip(0u32..)
            .map(|(claim, number)| (number, claim))
        {
            claims += 1;
            standing += u32::from(claim.stands());
            if claim.stands() && first.is_none() {
                first = Some(number);
            }
            let placed = claim.number == number && claim.terms.job == *id;
            self.hold(Invariant::Counters, around.now_ms, placed, || {
                format!("{id}: its claim {number} has the number {}", claim.number)
            });
        }
        let sealed = state.all_sealed().map(|(_, sealed)| sealed);
        let waiting = sealed
            .filter(|sealed| sealed.job == *id && sealed.status == SealedStatus::Waiting)
            .count();
        let counted = (job.claims, job.standing, job.seals_waiting as usize);
        let is = (claims, standing, waiting);
        self.hold(Invariant::Counters, around.now_ms, counted == is, || {
            format!("{id} counts claims, standing, waiting seals {counted:?}; there are {is:?}")
        });
        // What stands is never passed; once the job is over nobody asks any more.
        let passed = first.is_some_and(|first| first < job.first_standing);
        let beyond = job.first_standing > claims;
        self.hold(Invariant::Counters, around.now_ms, !passed && !beyond, || {
            format!("{id} passed to {} of {claims} claims, {first:?} stands", job.first_standing)
        });
    }

    fn claim_counters(&mut self, around: &Surroundings<'_>, state: &Settlement<C>, id: &ClaimId) {
        let Some(claim) = state.claim(id) else { return };
        let (mut all, mut open, mut served, mut work, mut owed_wei) =
            (0u32, 0u32, 0u32, 0u64, 0u128);
        let share = |work: u64| match claim.status {
            ClaimStatus::Fallen { unit_wei, share_wei, .. } => {
                unit_wei * u128::from(work) + share_wei
            }
            ClaimStatus::Standing | ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => 0,
        };
        for challenge in state.challenges_of(id).filter_map(|id| state.challenge(id)) {
            all += 1;
            let asks = u64::from(challenge.demands) + u64::from(challenge.end_asks);
            let own_work = if challenge.served { 2 + asks } else { 0 };
            // A fall ends no other challenge, and collecting takes nothing from the counts.
            match challenge.status {
                ChallengeStatus::Queued | ChallengeStatus::Open { .. } => {
                    (open, work) = (open + 1, work + own_work);
                    owed_wei += share(own_work);
                    served += u32::from(challenge.served);
                }
                ChallengeStatus::Won { .. } => (open, work) = (open + 1, work + own_work),
                ChallengeStatus::Lost | ChallengeStatus::Withdrawn => {}
            }
        }
        let counted = (claim.challenges, claim.open, claim.work);
        let is = (all, open, work);
        self.hold(Invariant::Counters, around.now_ms, counted == is, || {
            format!("{id} counts challenges, open, work {counted:?}; there are {is:?}")
        });
        // As many are served as may be, or all that are open.
        let served_max = state.parameters().served_max;
        let turns = !claim.stands() || served == open.min(served_max);
        self.hold(Invariant::Counters, around.now_ms, turns, || {
            format!("{id} has {open} open challenges and serves {served}, not {served_max}")
        });
        owed_wei += attention_owed_wei(state, claim);
        self.hold(Invariant::Counters, around.now_ms, claim.owed_wei == owed_wei, || {
            format!("{id} owes {} wei; {owed_wei} wei can be collected", claim.owed_wei)
        });
    }
}

/// The claim that a move is about, if it stands on the ledger already.
pub(crate) fn claim_of(action: &Action) -> Option<ClaimId> {
    match action {
        Action::Challenge { claim }
        | Action::Demand { claim, .. }
        | Action::Reveal { claim, .. }
        | Action::Refute { claim, .. }
        | Action::CallTime { claim, .. }
        | Action::Finalise { claim }
        | Action::WithdrawChallenge { claim }
        | Action::Collect { claim, .. }
        | Action::Release { claim }
        | Action::ProveAttention { claim, .. } => Some(*claim),
        Action::Deposit { .. }
        | Action::Withdraw { .. }
        | Action::RegisterModel { .. }
        | Action::PostJob { .. }
        | Action::ExpireJob { .. }
        | Action::PostClaim { .. }
        | Action::SealClaim { .. }
        | Action::Attest { .. }
        | Action::OpenClaim { .. }
        | Action::ExpireSeal { .. }
        | Action::Pass { .. }
        | Action::CollectAttention { .. } => None,
    }
}

/// The job that a move is about, if it stands on the ledger already.
pub(crate) fn job_of<C: Commitment>(state: &Settlement<C>, action: &Action) -> Option<JobId> {
    match action {
        Action::PostClaim { statement } | Action::OpenClaim { statement, .. } => {
            Some(statement.terms.job)
        }
        Action::ExpireJob { job } | Action::Pass { job, .. } | Action::SealClaim { job, .. } => {
            Some(*job)
        }
        Action::Attest { sealed, .. }
        | Action::ExpireSeal { sealed }
        | Action::CollectAttention { sealed, .. } => state.sealed(sealed).map(|sealed| sealed.job),
        _ => state.claim(&claim_of(action)?).map(|claim| claim.terms.job),
    }
}

/// What attesters of a final claim can still collect of its attention money.
fn attention_owed_wei<C: Commitment>(state: &Settlement<C>, claim: &Claim<C>) -> u128 {
    let (ClaimStatus::Final { attention_share_wei, .. }, Some(sealed)) =
        (&claim.status, &claim.sealed)
    else {
        return 0;
    };
    let proven = state
        .attestations_of(sealed)
        .filter(|(_, attestation)| attestation.status == AttestationStatus::Proven)
        .count();
    attention_share_wei * proven as u128
}
