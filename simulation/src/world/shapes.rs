//! Which states a world has reached: each move with what came of it, and the shape of what it was about.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use protocol::hash::Commitment;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{
    ChallengeStatus, ClaimStatus, Event, JobStatus, Rejection, SealedStatus, Settlement, Turn,
};
use protocol::transaction::Action;

use super::World;
use super::party::Mixer;
use crate::invariants::{claim_of, job_of};

/// Of what is counted none, one and more are told apart.
fn few(count: u64) -> u64 {
    count.min(2)
}

impl<C: Commitment> World<C> {
    /// Notes a move with what came of it, if somebody looks for what is new.
    pub(super) fn note_shape(&mut self, action: &Action, outcome: &Result<Vec<Event>, Rejection>) {
        let Some(shapes) = &mut self.shapes else { return };
        let mut mixer = Mixer::default();
        action.name().hash(&mut mixer);
        match outcome {
            Ok(events) => (0u16, few(events.len() as u64)).hash(&mut mixer),
            Err(rejection) => rejection.code().hash(&mut mixer),
        }
        let settlement = &self.settlement;
        let (claim, job) = (claim_of(action), job_of(settlement, action));
        if let Some(id) = claim {
            let truth = self.audit.books.claims.get(&id).map(|entry| entry.is_true);
            (truth, claim_shape(settlement, &id)).hash(&mut mixer);
        }
        if let Some(id) = job {
            job_shape(settlement, &id).hash(&mut mixer);
        }
        shapes.insert(mixer.finish());
    }
}

fn claim_shape<C: Commitment>(settlement: &Settlement<C>, id: &ClaimId) -> u64 {
    let mut mixer = Mixer::default();
    let Some(claim) = settlement.claim(id) else { return 0 };
    let status = match claim.status {
        ClaimStatus::Standing => 0u8,
        ClaimStatus::Fallen { .. } => 1,
        ClaimStatus::Final { .. } => 2,
        ClaimStatus::Released { .. } => 3,
    };
    let said = !claim.said.is_empty();
    (status, claim.sealed.is_some(), said, claim.proofs > 0, claim.owed_wei > 0).hash(&mut mixer);
    // Of its challenges, which there are.
    let mut kinds: BTreeSet<(u8, bool, bool)> = BTreeSet::new();
    for challenge in settlement.challenges_of(id).filter_map(|id| settlement.challenge(id)) {
        let status = match challenge.status {
            ChallengeStatus::Queued => 0,
            ChallengeStatus::Open { turn: Turn::Challenger, .. } => 1,
            ChallengeStatus::Open { turn: Turn::Executor, .. } => 2,
            ChallengeStatus::Won { .. } => 3,
            ChallengeStatus::Lost => 4,
            ChallengeStatus::Withdrawn => 5,
        };
        kinds.insert((status, challenge.demands > 0, challenge.end_asks > 0));
    }
    kinds.hash(&mut mixer);
    mixer.finish()
}

fn job_shape<C: Commitment>(settlement: &Settlement<C>, id: &JobId) -> u64 {
    let mut mixer = Mixer::default();
    let Some(job) = settlement.job(id) else { return 0 };
    let status = match job.status {
        JobStatus::Open => 0u8,
        JobStatus::Done { .. } => 1,
        JobStatus::Expired => 2,
    };
    let counts = [job.claims, job.first_standing, job.standing, job.seals_waiting];
    let seals = settlement.all_sealed().filter(|(_, one)| one.job == *id);
    let seals = seals.fold([0u64; 3], |mut all, (_, one)| {
        let place = match one.status {
            SealedStatus::Waiting => 0,
            SealedStatus::Opened { .. } => 1,
            SealedStatus::Expired => 2,
        };
        all[place] += 1;
        all
    });
    let is_late = settlement.now_ms() > job.open_until_ms;
    (status, counts.map(|count| few(u64::from(count))), seals.map(few), is_late).hash(&mut mixer);
    (job.terms.attention_wei > 0).hash(&mut mixer);
    mixer.finish()
}
