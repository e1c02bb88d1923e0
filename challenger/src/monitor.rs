//! What a watcher makes of a ledger: how each dispute must end, who can pay for it, what somebody should
//! look at. From the ledger's state and the watcher's own runs alone; it signs nothing.
//!
//! The idea is op-dispute-mon's: forecasts by a recomputation that shares nothing with the players.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ledger::View;
use node::Exposure;
use protocol::hash::Commitment;
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Challenge, ChallengeStatus, Claim, ClaimStatus, Turn};
use protocol::transaction::{Address, ClaimTerms};
use serde::Serialize;

use crate::coverage::Gap;
use crate::truth::Truth;

/// How a dispute ends if both sides play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecast {
    /// The claim falls.
    Falls,
    /// The claim stands.
    Stands,
    /// The watcher has no run of this job that goes so far.
    Unknown,
}

impl Forecast {
    /// How a dispute about a claim with these terms ends.
    fn of(truth: Option<&Truth>, terms: &ClaimTerms) -> Self {
        match truth.and_then(|truth| truth.judges(terms)) {
            None => Self::Unknown,
            Some(true) => Self::Stands,
            Some(false) => Self::Falls,
        }
    }
}

/// An open dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dispute {
    /// The challenge.
    pub challenge: String,
    /// The claim.
    pub claim: String,
    /// Who claims.
    pub executor: String,
    /// Who challenges.
    pub challenger: String,
    /// How it ends if both sides play.
    pub forecast: Forecast,
    /// Whose move it is: `executor` or `challenger`; `queue` while earlier challenges must end first.
    pub turn: &'static str,
    /// Until when, on the ledger's clock; `None` while the challenge waits for its turn.
    pub deadline_ms: Option<u64>,
    /// Money that is decided.
    pub at_risk_wei: String,
}

/// A party with something at stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collateral {
    /// Its account.
    pub account: String,
    /// Its free money.
    pub free_wei: String,
    /// What its open challenges may still need of it.
    pub needed_wei: String,
    /// Stakes, bonds and fees.
    pub locked_wei: String,
    /// Whether it can pay.
    pub covered: bool,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "alert", rename_all = "kebab-case")]
pub enum Alert {
    /// A false claim stands and nobody challenges it, or only those who make no move.
    Unchallenged {
        /// The claim.
        claim: String,
        /// End of the time for challenges.
        window_end_ms: u64,
        /// Its open challenges, none of which has made a move.
        silent_challenges: u32,
    },
    /// A dispute ended otherwise than forecast.
    WrongForecast {
        /// The challenge.
        challenge: String,
        /// What was forecast.
        forecast: String,
    },
    /// A side that is right by the watcher's run has little time left.
    LittleTime {
        /// The challenge.
        challenge: String,
        /// Whose move it is.
        turn: &'static str,
        /// Until when.
        deadline_ms: u64,
    },
    /// A standing claim is not checked by this watcher.
    Unchecked {
        /// The claim.
        claim: String,
        /// End of the time for challenges.
        window_end_ms: u64,
        /// Why, and what would help.
        reason: String,
    },
    /// A false claim became its job's answer.
    FalseFinal {
        /// The claim.
        claim: String,
        /// Its job.
        job: String,
    },
    /// A challenger cannot pay for what it may have to ask.
    Uncovered {
        /// Its account.
        account: String,
    },
}

/// A watcher's look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Height of the ledger.
    pub height: u64,
    /// Its clock.
    pub now_ms: u64,
    /// Standing claims.
    pub claims: usize,
    /// Standing claims that differ from the watcher's run.
    pub false_claims: Vec<String>,
    /// Standing claims that the watcher has not compared with a run of its own: what is not in
    /// `unchecked` may still be run.
    pub unknown_claims: usize,
    /// Standing claims that the watcher does not check, and why.
    pub unchecked: Vec<Gap>,
    /// Open disputes, the most urgent first.
    pub disputes: Vec<Dispute>,
    /// Parties of open disputes and standing claims.
    pub parties: Vec<Collateral>,
    /// What somebody should look at.
    pub alerts: Vec<Alert>,
}

/// A watcher: what it forecast, to compare with what came.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    forecasts: BTreeMap<ChallengeId, Forecast>,
    wrong: BTreeSet<Alert>,
    /// Claims that were false while they stood.
    false_claims: BTreeSet<ClaimId>,
    /// Those of them that became final: told for ever.
    false_final: BTreeSet<Alert>,
}

/// Time under which a side that is right is worried about.
const LITTLE_MS: u64 = 60_000;

impl Monitor {
    /// Looks at a ledger with what the watcher's own runs say, by job.
    ///
    /// `gaps` are the standing claims that it does not check.
    pub fn look<C: Commitment>(
        &mut self,
        view: &View<C>,
        truths: &HashMap<JobId, Truth>,
        gaps: &[Gap],
    ) -> Observation {
        let settlement = &view.settlement;
        let mut look =
            Observation { height: view.height, now_ms: view.now_ms, ..Observation::default() };
        let mut accounts: BTreeSet<Address> = BTreeSet::new();
        for (id, claim) in settlement.standing_claims() {
            accounts.insert(claim.executor);
            look.claims += 1;
            let truth = truths.get(&claim.terms.job);
            let known = truth.and_then(|truth| truth.judges(&claim.terms));
            look.unknown_claims += usize::from(known.is_none());
            if known != Some(false) {
                continue;
            }
            look.false_claims.push(id.to_string());
            self.false_claims.insert(*id);
            look.alerts.extend(unchallenged(view, id, claim));
        }
        look.unchecked = gaps.to_vec();
        let alarming = gaps.iter().filter(|gap| gap.unchecked.is_alarming());
        look.alerts.extend(alarming.map(|gap| Alert::Unchecked {
            claim: gap.claim.clone(),
            window_end_ms: gap.window_end_ms,
            reason: gap.unchecked.to_string(),
        }));
        self.disputes(view, truths, &mut look, &mut accounts);
        for account in accounts {
            let exposure = Exposure::of(view, &account);
            let locked_wei = exposure.total_wei() - exposure.free_wei;
            let covered = exposure.free_wei >= exposure.needed_wei;
            if !covered {
                look.alerts.push(Alert::Uncovered { account: account.to_string() });
            }
            look.parties.push(Collateral {
                account: account.to_string(),
                free_wei: exposure.free_wei.to_string(),
                needed_wei: exposure.needed_wei.to_string(),
                locked_wei: locked_wei.to_string(),
                covered,
            });
        }
        self.false_claims.retain(|id| {
            let claim = settlement.claim(id);
            if let Some(claim) = claim
                && matches!(claim.status, ClaimStatus::Final { .. })
            {
                let (claim, job) = (id.to_string(), claim.terms.job.to_string());
                self.false_final.insert(Alert::FalseFinal { claim, job });
            }
            claim.is_some_and(|claim| claim.status == ClaimStatus::Standing)
        });
        look.alerts.extend(self.wrong.iter().chain(&self.false_final).cloned());
        look.alerts.sort();
        look
    }

    fn disputes<C: Commitment>(
        &mut self,
        view: &View<C>,
        truths: &HashMap<JobId, Truth>,
        look: &mut Observation,
        accounts: &mut BTreeSet<Address>,
    ) {
        let settlement = &view.settlement;
        let floor_ms = settlement.parameters().move_floor_ms;
        for (id, challenge) in settlement.challenges() {
            let Some(claim) = settlement.claim(&challenge.claim) else {
                continue;
            };
            let turn = match &challenge.status {
                // The claim fell by another challenge.
                ChallengeStatus::Queued | ChallengeStatus::Open { .. }
                    if !settlement.is_under_way(challenge) =>
                {
                    self.compare(id, true);
                    continue;
                }
                ChallengeStatus::Queued => "queue",
                ChallengeStatus::Open { turn: Turn::Challenger, .. } => "challenger",
                ChallengeStatus::Open { turn: Turn::Executor, .. } => "executor",
                ended @ (ChallengeStatus::Won { .. } | ChallengeStatus::Lost) => {
                    let fell = matches!(ended, ChallengeStatus::Won { .. });
                    self.compare(id, fell);
                    continue;
                }
                // It ended without a word about the claim.
                ChallengeStatus::Withdrawn => {
                    self.forecasts.remove(id);
                    continue;
                }
            };
            accounts.extend([claim.executor, challenge.challenger]);
            let forecast = Forecast::of(truths.get(&claim.terms.job), &claim.terms);
            if forecast != Forecast::Unknown {
                self.forecasts.insert(*id, forecast);
            }
            let deadline_ms = challenge.deadline_ms(floor_ms);
            let right = match forecast {
                Forecast::Falls => turn == "challenger",
                Forecast::Stands => turn == "executor",
                Forecast::Unknown => false,
            };
            if let Some(deadline_ms) = deadline_ms.filter(|_| right)
                && deadline_ms.saturating_sub(view.now_ms) < LITTLE_MS.min(floor_ms / 2)
            {
                let challenge = id.to_string();
                look.alerts.push(Alert::LittleTime { challenge, turn, deadline_ms });
            }
            let at_risk_wei = claim.stake_wei.saturating_add(challenge.bond_wei);
            look.disputes.push(Dispute {
                challenge: id.to_string(),
                claim: challenge.claim.to_string(),
                executor: claim.executor.to_string(),
                challenger: challenge.challenger.to_string(),
                forecast,
                turn,
                deadline_ms,
                at_risk_wei: at_risk_wei.to_string(),
            });
        }
        look.disputes.sort_by_key(|dispute| dispute.deadline_ms.unwrap_or(u64::MAX));
    }

    fn compare(&mut self, id: &ChallengeId, fell: bool) {
        let came = if fell { Forecast::Falls } else { Forecast::Stands };
        if let Some(forecast) = self.forecasts.remove(id)
            && forecast != came
        {
            let forecast = format!("{forecast:?}").to_lowercase();
            self.wrong.insert(Alert::WrongForecast { challenge: id.to_string(), forecast });
        }
    }

    /// Disputes that ended otherwise than forecast, so far.
    pub fn wrong(&self) -> usize {
        self.wrong.len()
    }
}

/// That nobody fights a false claim that stands.
///
/// A challenge alone says nothing: the executor's accomplice may have opened it to be silent. Until its first move,
/// which an honest challenger needs a moment for, it counts for as long as a move has at least. Once the time for
/// challenges is over nobody can act beside those who did.
fn unchallenged<C: Commitment>(view: &View<C>, id: &ClaimId, claim: &Claim<C>) -> Option<Alert> {
    let settlement = &view.settlement;
    let floor_ms = settlement.parameters().move_floor_ms;
    let acts = |challenge: &Challenge| {
        let has_moved = challenge.demands > 0 || challenge.end_asks > 0;
        has_moved || view.now_ms.saturating_sub(challenge.opened_ms) < floor_ms
    };
    let is_fought = || {
        let challenges = settlement.challenges_of(id).filter_map(|id| settlement.challenge(id));
        challenges.filter(|challenge| challenge.is_open()).any(acts)
    };
    let is_too_late = view.now_ms > claim.window_end_ms;
    let is_unchallenged = !claim.is_disputed() || !(is_too_late || is_fought());
    is_unchallenged.then(|| Alert::Unchallenged {
        claim: id.to_string(),
        window_end_ms: claim.window_end_ms,
        silent_challenges: claim.open,
    })
}

#[cfg(test)]
mod tests {
    use protocol::hash::Digest;

    use super::*;

    #[test]
    fn only_a_dispute_that_ends_otherwise_than_forecast_is_told_and_once() {
        let id = |byte| ChallengeId(Digest([byte; 32]));
        let forecasts = BTreeMap::from([
            (id(1), Forecast::Falls),
            (id(2), Forecast::Falls),
            (id(3), Forecast::Stands),
            (id(4), Forecast::Stands),
        ]);
        let mut watcher = Monitor { forecasts, ..Monitor::default() };
        // The fifth was never forecast.
        for (byte, fell) in [(1, true), (2, false), (3, true), (4, false), (5, true), (2, false)] {
            watcher.compare(&id(byte), fell);
        }
        let told: Vec<String> = watcher
            .wrong
            .iter()
            .map(|alert| match alert {
                Alert::WrongForecast { challenge, forecast } => format!("{challenge} {forecast}"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [format!("{} falls", id(2)), format!("{} stands", id(3))]);
        assert!(watcher.forecasts.is_empty());
    }
}
