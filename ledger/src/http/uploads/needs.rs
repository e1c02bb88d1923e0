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
    /// Inputs of open jobs and of those with standing claims, outputs of standing claims.
    pub(super) needed: HashSet<(Address, Digest)>,
    /// Inputs and outputs of final claims.
    pub(super) wanted: HashSet<(Address, Digest)>,
}

/// What of the published states is needed, and what is wanted.
pub(in crate::http) fn needed(settlement: &Settlement) -> Needs {
    let mut needs = Needs::default();
    for (id, job) in settlement.jobs() {
        let (mut stands, mut is_final) = (job.status == JobStatus::Open, false);
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
