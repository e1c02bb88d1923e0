//! Ids of what is not over, for those who read: a ledger keeps every object that it ever had, and whoever decides
//! looks at what can still change. No transition goes through them, and none of it is under a root.

use super::objects::{Challenge, ChallengeStatus, Claim, ClaimStatus, Event, Job, JobStatus};
use crate::hash::Commitment;
use crate::ids::{ChallengeId, ClaimId, JobId};
use crate::persistent::Map;

/// What is not over, in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct UnderWay {
    jobs: Map<JobId, ()>,
    claims: Map<ClaimId, ()>,
    challenges: Map<ChallengeId, ()>,
}

impl UnderWay {
    /// What is not over among all that there is.
    pub(super) fn among<C: Commitment>(
        jobs: &Map<JobId, Job>,
        claims: &Map<ClaimId, Claim<C>>,
        challenges: &Map<ChallengeId, Challenge>,
    ) -> Self {
        let mut found = Self::default();
        for (id, _) in jobs.iter().filter(|(_, job)| job.status == JobStatus::Open) {
            found.jobs.insert(*id, ());
        }
        for (id, _) in claims.iter().filter(|(_, claim)| claim.status == ClaimStatus::Standing) {
            found.claims.insert(*id, ());
        }
        let is_open = |one: &Challenge| {
            matches!(one.status, ChallengeStatus::Queued | ChallengeStatus::Open { .. })
        };
        for (id, _) in challenges.iter().filter(|(_, one)| is_open(one)) {
            found.challenges.insert(*id, ());
        }
        found
    }

    /// Jobs that are open.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &JobId> {
        self.jobs.keys()
    }

    /// Claims that stand.
    pub(super) fn claims(&self) -> impl Iterator<Item = &ClaimId> {
        self.claims.keys()
    }

    /// Challenges that have not ended.
    pub(super) fn challenges(&self) -> impl Iterator<Item = &ChallengeId> {
        self.challenges.keys()
    }

    /// Follows a transition.
    pub(super) fn follow(&mut self, event: &Event) {
        match event {
            Event::JobPosted { job } => {
                self.jobs.insert(*job, ());
            }
            Event::JobExpired { job } => {
                self.jobs.remove(job);
            }
            Event::ClaimPosted { claim, .. } => {
                self.claims.insert(*claim, ());
            }
            Event::ClaimFallen { claim, .. } | Event::StakeReleased { claim } => {
                self.claims.remove(claim);
            }
            Event::ClaimFinal { claim, job } => {
                self.claims.remove(claim);
                self.jobs.remove(job);
            }
            Event::Challenged { challenge, .. } => {
                self.challenges.insert(*challenge, ());
            }
            Event::ChallengeWon { challenge, .. }
            | Event::ChallengeLost { challenge, .. }
            | Event::ChallengeWithdrawn { challenge, .. } => {
                self.challenges.remove(challenge);
            }
            Event::Deposited { .. }
            | Event::Withdrawn { .. }
            | Event::ModelRegistered { .. }
            | Event::JobPassed { .. }
            | Event::ChallengeServed { .. }
            | Event::Demanded { .. }
            | Event::Revealed { .. }
            | Event::ClaimSealed { .. }
            | Event::Attested { .. }
            | Event::SealExpired { .. }
            | Event::AttentionProven { .. }
            | Event::AttentionCollected { .. } => {}
        }
    }
}
