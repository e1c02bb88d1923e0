//! Ids of what is not over, for those who read: a ledger keeps every object that it ever had, and whoever decides
//! looks at what can still change. No transition goes through them, and none of it is under a root.

use super::Settlement;
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

impl<C: Commitment> Settlement<C> {
    /// Jobs that have no answer and did not expire.
    pub fn open_jobs(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.under_way.jobs.keys().filter_map(|id| Some((id, self.jobs.get(id)?)))
    }

    /// Claims that stand.
    pub fn standing_claims(&self) -> impl Iterator<Item = (&ClaimId, &Claim<C>)> {
        self.under_way.claims.keys().filter_map(|id| Some((id, self.claims.get(id)?)))
    }

    /// Challenges that have not ended: queued, under way, or to be collected, their claim having fallen.
    pub fn open_challenges(&self) -> impl Iterator<Item = (&ChallengeId, &Challenge)> {
        self.under_way.challenges.keys().filter_map(|id| Some((id, self.challenges.get(id)?)))
    }

    /// What is not over, found by going through everything.
    pub(super) fn found_under_way(&self) -> UnderWay {
        let mut found = UnderWay::default();
        for (id, _) in self.jobs().filter(|(_, job)| job.status == JobStatus::Open) {
            found.jobs.insert(*id, ());
        }
        for (id, _) in self.claims().filter(|(_, claim)| claim.status == ClaimStatus::Standing) {
            found.claims.insert(*id, ());
        }
        let is_open = |one: &Challenge| {
            matches!(one.status, ChallengeStatus::Queued | ChallengeStatus::Open { .. })
        };
        for (id, _) in self.challenges().filter(|(_, one)| is_open(one)) {
            found.challenges.insert(*id, ());
        }
        found
    }
}
