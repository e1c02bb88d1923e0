//! Which published states somebody must or may want to read, and whose are being looked through.

use std::collections::HashSet;
use std::time::Instant;

use protocol::hash::Digest;
use protocol::settlement::{ClaimStatus, JobStatus, Settlement};
use protocol::transaction::Address;

/// Whose states are looked through for what nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Of(Address),
    All,
}

/// How far a look through the states of somebody is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tidying {
    UnderWay,
    Exhausted(Instant),
}

/// Published states that somebody must or may want to read: whose, and their roots.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Needs {
    /// Inputs of jobs that take claims and of those with standing claims, outputs of standing claims.
    pub(super) needed: HashSet<(Address, Digest)>,
    /// Inputs and outputs of final claims.
    pub(super) wanted: HashSet<(Address, Digest)>,
}

/// What of the published states is needed, and what is wanted.
pub(in crate::http) fn needed(settlement: &Settlement) -> Needs {
    let mut needs = Needs::default();
    for (id, job) in settlement.jobs() {
        // Nothing can be claimed any more after its time, whether or not somebody has expired it.
        let takes_claims = settlement.now_ms() <= job.open_until_ms || job.seals_waiting > 0;
        let (mut stands, mut is_final) = (job.status == JobStatus::Open && takes_claims, false);
        for claim in settlement.claims_of(id).filter_map(|id| settlement.claim(id)) {
            match claim.status {
                ClaimStatus::Standing => {
                    stands = true;
                    needs.needed.insert((claim.executor, claim.terms.output_root));
                }
                ClaimStatus::Final { .. } => {
                    is_final = true;
                    needs.wanted.insert((claim.executor, claim.terms.output_root));
                }
                ClaimStatus::Fallen { .. } | ClaimStatus::Released { .. } => {}
            }
        }
        if stands {
            needs.needed.insert((job.poster, job.terms.input_root));
        } else if is_final {
            needs.wanted.insert((job.poster, job.terms.input_root));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        CHALLENGER, Court, EXECUTOR, OPEN_MS, POSTER, STRANGER, input_root, statement,
    };
    use protocol::settlement::ETHER;
    use protocol::transaction::Action;

    fn the_input() -> HashSet<(Address, Digest)> {
        HashSet::from([(POSTER, input_root())])
    }

    fn passes(court: &mut Court, milliseconds: u64) {
        court.now_ms += milliseconds;
        court.does(STRANGER, &Action::Withdraw { amount_wei: ETHER });
    }

    #[test]
    fn an_input_is_needed_while_its_job_takes_claims_and_not_after_its_expiry() {
        let mut court = Court::new();
        let job = court.job(0);
        assert_eq!(needed(&court.settlement).needed, the_input());
        let claim = court.claim(job, b"lie");
        court.fall(claim, &[CHALLENGER]);
        // Another claim can come until the time for claims is over.
        assert_eq!(needed(&court.settlement).needed, the_input());
        passes(&mut court, OPEN_MS);
        assert!(needed(&court.settlement).needed.is_empty());
        court.does(STRANGER, &Action::ExpireJob { job });
        let needs = needed(&court.settlement);
        assert!(needs.needed.is_empty() && needs.wanted.is_empty(), "{needs:?}");
    }

    #[test]
    fn input_and_output_of_a_standing_claim_are_needed_after_the_time_for_claims_and_then_wanted() {
        let mut court = Court::new();
        let job = court.job(0);
        let claim = court.claim(job, b"output");
        let output = (EXECUTOR, statement(job, b"output").terms.output_root);
        let both = HashSet::from([(POSTER, input_root()), output]);
        passes(&mut court, OPEN_MS + 1);
        assert_eq!(needed(&court.settlement).needed, both);
        court.does(STRANGER, &Action::Finalise { claim });
        let needs = needed(&court.settlement);
        assert_eq!((needs.needed, needs.wanted), (HashSet::new(), both));
    }

    #[test]
    fn an_input_is_needed_while_a_seal_on_its_job_waits() {
        let mut court = Court::new();
        let job = court.job(ETHER);
        passes(&mut court, OPEN_MS - 1);
        court.does(EXECUTOR, &Action::SealClaim { job, seal: input_root() });
        passes(&mut court, 2);
        assert_eq!(needed(&court.settlement).needed, the_input());
    }
}
