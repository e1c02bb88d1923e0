//! What a challenger does not check, and why. A claim that nobody could check becomes final like any other:
//! so each is told, counted, shown and alarmed.

use std::collections::BTreeMap;
use std::fmt;

use ledger::View;
use protocol::hash::{Commitment, Digest};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::Claim;
use serde::Serialize;

use crate::queue::Contested;

/// Why a job's claims are not compared with a run of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Unchecked {
    /// Its model is not in the folder.
    ModelMissing {
        /// The model.
        model_root: String,
    },
    /// Its input is not published, or is something else than its root.
    InputMissing {
        /// What was found instead.
        reason: String,
    },
    /// The run has no result here.
    NoResult {
        /// Why.
        reason: String,
    },
    /// Runs of it were killed; it is not tried again.
    Quarantined {
        /// How the last one ended.
        reason: String,
    },
    /// It is a batch of inputs, of which this version checks none.
    Batch {
        /// Number of its inputs.
        entries: u32,
    },
    /// Another run of many iterations is being made, and this one waits for it.
    LongRun,
    /// It was not drawn (`--sample-permille`).
    NotDrawn,
}

impl Unchecked {
    /// Whether somebody must do something: samples are left out on purpose.
    pub fn is_alarming(&self) -> bool {
        !matches!(self, Self::NotDrawn)
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModelMissing { model_root } => {
                write!(formatter, "model missing: put the model {model_root} into the folder")
            }
            Self::InputMissing { reason } => write!(formatter, "input missing: {reason}"),
            Self::LongRun => {
                write!(formatter, "it waits for another run of many iterations to end")
            }
            Self::Batch { entries } => {
                write!(formatter, "a batch of {entries} inputs: this version checks none of them")
            }
            Self::NoResult { reason } => write!(formatter, "no run of its own: {reason}"),
            Self::Quarantined { reason } => {
                write!(formatter, "quarantined: its runs were killed ({reason})")
            }
            Self::NotDrawn => write!(formatter, "not drawn for the sample"),
        }
    }
}

/// A standing claim that is not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The claim.
    pub claim: String,
    /// Its job.
    pub job: String,
    /// Until when it can be challenged, on the ledger's clock.
    pub window_end_ms: u64,
    /// Its stake.
    pub stake_wei: String,
    /// Why it is not checked.
    #[serde(flatten)]
    pub unchecked: Unchecked,
}

/// Standing claims that are not checked, from the jobs that are not: the first window to end first. What is known of
/// some claims on a job is no gap: `lacks_run` tells which wait for a run, or for more of one.
pub fn gaps<C: Commitment>(
    view: &View<C>,
    unchecked: &BTreeMap<JobId, Unchecked>,
    lacks_run: impl Fn(&ClaimId, &Claim<C>) -> bool,
) -> Vec<Gap> {
    let settlement = &view.settlement;
    let mut gaps = Vec::new();
    for (job_id, why) in unchecked {
        for id in settlement.claims_of(job_id) {
            let Some(claim) = settlement.claim(id) else {
                continue;
            };
            if claim.stands() && lacks_run(id, claim) {
                gaps.push(Gap {
                    claim: id.to_string(),
                    job: job_id.to_string(),
                    window_end_ms: claim.window_end_ms,
                    stake_wei: claim.stake_wei.to_string(),
                    unchecked: why.clone(),
                });
            }
        }
    }
    gaps.sort_by(|one, other| {
        (one.window_end_ms, &one.claim).cmp(&(other.window_end_ms, &other.claim))
    });
    gaps
}

/// Why contested jobs are not checked, as far as it follows from the models available: those that a daemon
/// tried and could not run, it adds itself.
pub fn without_model<'a>(
    contested: &'a [Contested],
    has_model: impl Fn(&Digest) -> bool + 'a,
) -> impl Iterator<Item = (JobId, Unchecked)> + 'a {
    contested
        .iter()
        .filter(move |one| !has_model(&one.model_root))
        .map(|one| (one.job, Unchecked::ModelMissing { model_root: one.model_root.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::transaction::Address;

    #[test]
    fn a_job_whose_model_is_missing_is_a_gap_that_says_what_to_do() {
        let (known, foreign) = (Digest([1; 32]), Digest([2; 32]));
        let of = |number: u8, model_root| Contested {
            job: JobId(Digest([number; 32])),
            poster: Address([0; 20]),
            model_root,
            input_root: known,
            urgent_ms: 5,
            stake_wei: 1,
            iterations: 1,
        };
        let contested = [of(7, known), of(8, foreign)];
        let found: Vec<_> = without_model(&contested, |root| *root == known).collect();
        let (job, why) = &found[0];
        assert_eq!((found.len(), *job), (1, JobId(Digest([8; 32]))));
        assert!(why.is_alarming() && !Unchecked::NotDrawn.is_alarming());
        assert!(why.to_string().contains(&foreign.to_string()));
    }
}
