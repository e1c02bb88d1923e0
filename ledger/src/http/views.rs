//! What people and scripts read: JSON shapes of the ledger's objects. Amounts are decimal texts, for
//! JSON's numbers do not hold them.

use std::fmt;

use protocol::graph::ModelHeader;
use protocol::hash::Digest;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{
    Challenge, ChallengeStatus, Claim, ClaimStatus, Event, FallReason, Job, JobStatus, Settlement,
    Turn,
};
use protocol::tensor::TensorType;
use protocol::transaction::Address;
use serde::Serialize;
use serde_json::{Value, json};

use crate::embedded::Start;
use crate::{Receipt, View, words};

/// Version of all shapes.
pub(super) const SCHEMA: u32 = 5;

#[derive(Debug, Serialize)]
pub(super) struct Listed {
    schema: u32,
    height: u64,
    now_ms: u64,
    /// How many fit the filters.
    total: usize,
    items: Vec<Value>,
}

impl Listed {
    pub(super) fn new(view: &View, items: Vec<Value>, total: usize) -> Self {
        Self { schema: SCHEMA, height: view.height, now_ms: view.now_ms, total, items }
    }
}

pub(super) fn status(
    view: &View,
    upload_bytes: u64,
    start: Start,
    signer: Option<Address>,
) -> Value {
    let settlement = &view.settlement;
    let money = settlement.money();
    let wei = |amount: u128| amount.to_string();
    let (mut challenges_open, mut to_collect) = (0u64, 0u64);
    for (_, challenge) in settlement.open_challenges() {
        let is_open = settlement.is_under_way(challenge);
        challenges_open += u64::from(is_open);
        to_collect += u64::from(!is_open);
    }
    let (mut open, mut to_expire) = (0u64, 0u64);
    for (_, job) in settlement.open_jobs() {
        let waits = job.standing > 0 || job.seals_waiting > 0;
        open += 1;
        to_expire += u64::from(!waits && view.now_ms > job.open_until_ms);
    }
    json!({
        "schema": SCHEMA, "height": view.height, "now_ms": view.now_ms,
        "genesis": settlement.genesis().root().to_string(),
        "chain_id": settlement.genesis().chain_id,
        "bank": settlement.genesis().bank.to_string(),
        "jobs": settlement.jobs().count(), "claims": settlement.claims().count(),
        "challenges": settlement.challenges().count(), "jobs_open": open,
        "claims_standing": settlement.standing_claims().count(),
        "challenges_open": challenges_open, "challenges_to_collect": to_collect,
        "jobs_to_expire": to_expire,
        "free_wei": wei(money.free_total_wei()), "locked_wei": wei(money.locked_wei()),
        "burned_wei": wei(money.burned_wei()), "deposited_wei": wei(money.deposited_wei()),
        "withdrawn_wei": wei(money.withdrawn_wei()), "upload_bytes_max": upload_bytes,
        "started_from": start.snapshot, "replayed": start.replayed,
        "signer": signer.map(|signer| signer.to_string()),
    })
}

pub(super) fn job(id: &JobId, job: &Job, settlement: &Settlement) -> Value {
    let (terms, parameters) = (&job.terms, settlement.parameters());
    let executor = (terms.executor != Address::default()).then(|| terms.executor.to_string());
    let claim = match job.status {
        JobStatus::Done { claim } => Some(claim.to_string()),
        JobStatus::Open | JobStatus::Expired => None,
    };
    json!({
        "job": id.to_string(), "poster": job.poster.to_string(), "posted_ms": job.posted_ms,
        "model_root": terms.model_root.to_string(), "input_root": terms.input_root.to_string(),
        "fee_wei": terms.fee_wei.to_string(),
        "fee_iteration_wei": terms.fee_iteration_wei.to_string(),
        "iterations_max": terms.iterations_max, "may_cut": terms.may_cut,
        "stake_wei": terms.stake_wei.to_string(),
        "bond_wei": parameters.bond_wei(terms.stake_wei).to_string(), "window_ms": terms.window_ms,
        "open_until_ms": job.open_until_ms, "executor": executor, "salt": terms.salt.to_string(),
        "status": words::job_status(&job.status), "final_claim": claim,
        "first_standing": job.first_standing, "seals_waiting": job.seals_waiting,
        "claims": settlement.claims_of(id).map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub(super) fn model(id: &str, header: &ModelHeader) -> Value {
    let kind = |kind: &TensorType| json!({ "element_type": kind.element.name(), "shape": kind.shape.dimensions() });
    // Zeros stand for no card.
    let card = (header.card != Digest::default()).then(|| header.card.to_string());
    json!({
        "schema": SCHEMA, "model": id, "layers": header.layer_count, "operators": header.operator_count,
        "weights": header.weight_count, "inputs": header.input_count(),
        "input_types": header.inputs.iter().map(kind).collect::<Vec<_>>(),
        "links": header.links, "stop": header.stop, "card": card,
        "graph_root": header.graph_root.to_string(),
        "weights_root": header.weights_root.to_string(),
        "layers_root": header.layers_root.to_string(),
    })
}

pub(super) fn claim(id: &ClaimId, claim: &Claim, settlement: &Settlement) -> Value {
    let (reason, at_ms) = match &claim.status {
        ClaimStatus::Standing => (None, None),
        ClaimStatus::Fallen { reason, at_ms, .. } => {
            (Some(words::fall(reason, Some(&claim.knowledge))), Some(*at_ms))
        }
        ClaimStatus::Final { at_ms, .. } | ClaimStatus::Released { at_ms } => (None, Some(*at_ms)),
    };
    json!({
        "claim": id.to_string(), "job": claim.terms.job.to_string(), "number": claim.number,
        "model_root": claim.terms.model_root.to_string(),
        "executor": claim.executor.to_string(),
        "output_root": claim.terms.output_root.to_string(),
        "iterations": claim.terms.iterations,
        "sequence_root": claim.terms.sequence_root.to_string(),
        "trace_root": claim.trace_root.to_string(), "posted_ms": claim.posted_ms,
        "window_end_ms": claim.window_end_ms, "last_finality_ms": settlement.final_by_ms(claim),
        "stake_wei": claim.stake_wei.to_string(), "status": words::claim_status(&claim.status), "reason": reason,
        "at_ms": at_ms, "reveals": claim.reveals,
        "challenges": settlement.challenges_of(id).map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// A claim with what its disputes opened, and what convicted it.
pub(super) fn whole_claim(id: &ClaimId, claim: &Claim, settlement: &Settlement) -> Value {
    let mut document = self::claim(id, claim, settlement);
    let mut descent: Vec<String> = claim.knowledge.opened_trees().iter().map(words::tree).collect();
    let verdict = match &claim.status {
        ClaimStatus::Fallen { reason: FallReason::Refuted(found), .. } => {
            Some(words::verdict(found, claim.knowledge.operator_of(found)))
        }
        _ => None,
    };
    descent.extend(verdict.as_ref().map(|found| found.place.clone()));
    let convicting = match &claim.status {
        ClaimStatus::Fallen { challenge, .. } => Some(challenge.to_string()),
        _ => None,
    };
    if let Some(fields) = document.as_object_mut() {
        fields.insert("descent".to_owned(), json!(descent));
        fields.insert("convicting_challenge".to_owned(), json!(convicting));
        let verdict = verdict.map(|found| {
            json!({ "place": found.place, "claimed": found.claimed, "correct": found.correct })
        });
        fields.insert("verdict".to_owned(), json!(verdict));
    }
    document
}

pub(super) fn challenge(id: &str, challenge: &Challenge, settlement: &Settlement) -> Value {
    // Of a claim that fell it is nobody's turn, and no clock runs.
    let under_way = settlement.is_under_way(challenge);
    let deadline_ms =
        challenge.deadline_ms(settlement.parameters().move_floor_ms).filter(|_| under_way);
    let turn = match &challenge.status {
        ChallengeStatus::Open { .. } if !under_way => None,
        ChallengeStatus::Open { turn: Turn::Challenger, .. } => Some("challenger"),
        ChallengeStatus::Open { turn: Turn::Executor, .. } => Some("executor"),
        ChallengeStatus::Queued
        | ChallengeStatus::Won { .. }
        | ChallengeStatus::Lost
        | ChallengeStatus::Withdrawn => None,
    };
    let ask = challenge.pending().filter(|_| under_way).map(words::ask);
    let reward_wei = match &challenge.status {
        ChallengeStatus::Won { reward_wei } => Some(reward_wei.to_string()),
        ChallengeStatus::Queued
        | ChallengeStatus::Open { .. }
        | ChallengeStatus::Lost
        | ChallengeStatus::Withdrawn => None,
    };
    json!({
        "challenge": id, "claim": challenge.claim.to_string(),
        "challenger": challenge.challenger.to_string(), "opened_ms": challenge.opened_ms,
        "bond_wei": challenge.bond_wei.to_string(), "fees_wei": challenge.fees_wei.to_string(),
        "demands": challenge.demands, "replies": challenge.replies,
        "end_asks": challenge.end_asks, "end_replies": challenge.end_replies,
        "executor_clock_ms": challenge.executor_clock_ms,
        "challenger_clock_ms": challenge.challenger_clock_ms,
        "status": words::challenge_status(&challenge.status, under_way), "turn": turn, "ask": ask,
        "reward_wei": reward_wei, "deadline_ms": deadline_ms,
    })
}

pub(super) fn receipt(receipt: &Receipt) -> Value {
    json!({
        "schema": SCHEMA, "height": receipt.height, "at_ms": receipt.at_ms,
        "events": receipt.events.iter().map(event).collect::<Vec<_>>(),
    })
}

/// An event by its name and the ids in it.
fn event(event: &Event) -> Value {
    let id = |key: &str, name: &str, id: &dyn fmt::Display| json!({ "event": name, key: id.to_string() });
    match event {
        Event::Deposited { account, amount_wei } => {
            json!({ "event": "deposited", "account": account.to_string(), "amount_wei": amount_wei.to_string() })
        }
        Event::Withdrawn { account, amount_wei } => {
            json!({ "event": "withdrawn", "account": account.to_string(), "amount_wei": amount_wei.to_string() })
        }
        Event::ModelRegistered { model_root } => id("model_root", "model-registered", model_root),
        Event::JobPosted { job } => id("job", "job-posted", job),
        Event::JobExpired { job } => id("job", "job-expired", job),
        Event::JobPassed { job, first_standing } => {
            json!({ "event": "job-passed", "job": job.to_string(), "first_standing": first_standing })
        }
        Event::ClaimPosted { claim, job, .. } => {
            json!({ "event": "claim-posted", "claim": claim.to_string(), "job": job.to_string() })
        }
        Event::Challenged { challenge, claim } => {
            json!({ "event": "challenged", "challenge": challenge.to_string(), "claim": claim.to_string() })
        }
        Event::ChallengeServed { challenge } => id("challenge", "challenge-served", challenge),
        Event::Demanded { challenge, ask } => {
            json!({ "event": "demanded", "challenge": challenge.to_string(), "ask": words::ask(ask) })
        }
        Event::Revealed { claim, ask } => {
            json!({ "event": "revealed", "claim": claim.to_string(), "ask": words::ask(ask) })
        }
        Event::ClaimFallen { claim, reason, burned_wei } => {
            json!({ "event": "claim-rejected", "claim": claim.to_string(), "reason": words::fall(reason, None), "burned_wei": burned_wei.to_string() })
        }
        Event::ChallengeWon { challenge, reward_wei, .. } => {
            json!({ "event": "challenge-won", "challenge": challenge.to_string(), "reward_wei": reward_wei.to_string() })
        }
        Event::ChallengeLost { challenge, .. } => id("challenge", "challenge-lost", challenge),
        Event::ChallengeWithdrawn { challenge, .. } => {
            id("challenge", "challenge-withdrawn", challenge)
        }
        Event::ClaimFinal { claim, job } => {
            json!({ "event": "claim-final", "claim": claim.to_string(), "job": job.to_string() })
        }
        Event::StakeReleased { claim } => id("claim", "stake-released", claim),
        Event::ClaimSealed { sealed, .. } => id("sealed", "claim-sealed", sealed),
        Event::Attested { sealed, .. } => id("sealed", "attested", sealed),
        Event::SealExpired { sealed, .. } => id("sealed", "seal-expired", sealed),
        Event::AttentionProven { claim, .. } => id("claim", "attention-proven", claim),
        Event::AttentionCollected { sealed, attester, share_wei, burned_wei } => {
            json!({ "event": "attention-collected", "sealed": sealed.to_string(), "attester": attester.to_string(), "share_wei": share_wei.to_string(), "burned_wei": burned_wei.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CHALLENGER, Court, EXECUTOR, OPEN_MS, SECOND, STRANGER, statement};
    use protocol::hash::leaf;
    use protocol::settlement::{ETHER, challenge_id};
    use protocol::transaction::Action;

    fn job_of(court: &Court, id: &JobId) -> Value {
        job(id, court.settlement.job(id).unwrap(), &court.settlement)
    }

    fn claim_of(court: &Court, id: &ClaimId) -> Value {
        whole_claim(id, court.settlement.claim(id).unwrap(), &court.settlement)
    }

    fn challenge_of(court: &Court, claim: ClaimId, challenger: Address) -> Value {
        let id = challenge_id(claim, challenger).to_string();
        challenge(&id, court.challenge(claim, challenger), &court.settlement)
    }

    #[track_caller]
    fn says(document: &Value, fields: Value) {
        for (name, wanted) in fields.as_object().unwrap() {
            assert_eq!(document.get(name), Some(wanted), "{name}");
        }
    }

    #[test]
    fn the_shapes_have_the_fifth_version() {
        let court = Court::new();
        let settlement = std::sync::Arc::new(court.settlement);
        let start = Start { snapshot: 3, replayed: 4 };
        let document = status(&View { height: 0, now_ms: 5, settlement }, 7, start, Some(STRANGER));
        says(
            &document,
            json!({ "schema": 5, "started_from": 3, "replayed": 4, "signer": STRANGER.to_string() }),
        );
    }

    #[test]
    fn a_job_tells_until_when_it_takes_claims_and_which_of_them_comes_next() {
        let mut court = Court::new();
        let id = court.job(0);
        let posted_ms = court.now_ms;
        says(
            &job_of(&court, &id),
            json!({
                "status": "open", "open_until_ms": posted_ms + OPEN_MS, "executor": null,
                "iterations_max": 1, "may_cut": false, "fee_iteration_wei": "0",
                "bond_wei": (ETHER / 10).to_string(), "salt": "0", "first_standing": 0,
                "seals_waiting": 0, "claims": [], "final_claim": null,
            }),
        );
        let claims = [court.claim(id, b"lie"), court.claim(id, b"output")];
        court.fall(claims[0], &[CHALLENGER]);
        says(
            &job_of(&court, &id),
            json!({ "first_standing": 1, "claims": claims.map(|claim| claim.to_string()) }),
        );
        court.does(STRANGER, &Action::Finalise { claim: claims[1] });
        says(
            &job_of(&court, &id),
            json!({ "status": "done", "final_claim": claims[1].to_string() }),
        );
        let other = court.job(0);
        court.now_ms += OPEN_MS + 1;
        court.does(STRANGER, &Action::ExpireJob { job: other });
        says(&job_of(&court, &other), json!({ "status": "expired", "salt": "1" }));
    }

    #[test]
    fn a_model_tells_what_it_takes_and_what_its_iterations_hand_on() {
        let mut header = crate::testing::header();
        let kinds = json!([{ "element_type": "f32", "shape": [1] }]);
        says(
            &model("0x", &header),
            json!({ "inputs": 1, "input_types": kinds, "links": [], "stop": null, "card": null }),
        );
        (header.links, header.stop, header.card) = (vec![2], Some(2), Digest([7; 32]));
        let card = header.card.to_string();
        says(&model("0x", &header), json!({ "links": [2], "stop": 2, "card": card }));
    }

    #[test]
    fn a_claim_on_a_batch_tells_its_iterations_and_which_entry_convicted_it() {
        let mut court = Court::new();
        let (job, claim) = court.false_batch();
        says(
            &job_of(&court, &job),
            json!({ "iterations_max": 2, "may_cut": false, "fee_iteration_wei": "7" }),
        );
        says(&claim_of(&court, &claim), json!({ "iterations": 2, "verdict": null }));
        court.does(CHALLENGER, &Action::Challenge { claim });
        court.does(CHALLENGER, &court.refuted_entry(claim));
        let document = claim_of(&court, &claim);
        let place = "iteration 1: the entry that it begins with";
        let verdict = json!({
            "place": place, "claimed": leaf(b"lie").to_string(),
            "correct": leaf(b"second").to_string(),
        });
        says(&document, json!({ "status": "rejected", "verdict": verdict, "descent": [place] }));
        let reason = document["reason"].as_str().unwrap();
        assert!(reason.starts_with("rejected: iteration 1 begins with 0x"), "{reason}");
    }

    #[test]
    fn a_claim_tells_its_number_and_both_roots_of_its_run() {
        let mut court = Court::new();
        let id = court.job(0);
        court.claim(id, b"first");
        let second = court.claim(id, b"second");
        let wanted = statement(id, b"second");
        says(
            &claim_of(&court, &second),
            json!({
                "number": 1, "status": "standing", "job": id.to_string(), "iterations": 1,
                "executor": EXECUTOR.to_string(), "challenges": [],
                "sequence_root": wanted.terms.sequence_root.to_string(),
                "trace_root": wanted.trace_root().to_string(),
            }),
        );
    }

    #[test]
    fn an_open_challenge_of_a_fallen_claim_has_no_turn_and_no_deadline_and_is_to_collect() {
        let mut court = Court::new();
        let id = court.job(0);
        let claim = court.claim(id, b"lie");
        let mut disputed = court.clone();
        disputed.does(SECOND, &Action::Challenge { claim });
        let deadline_ms = court.now_ms + court.settlement.parameters().challenger_clock_ms;
        says(
            &challenge_of(&disputed, claim, SECOND),
            json!({
                "status": "open", "turn": "challenger", "ask": null, "reward_wei": null,
                "deadline_ms": deadline_ms,
            }),
        );
        disputed.demand(SECOND, claim);
        says(
            &challenge_of(&disputed, claim, SECOND),
            json!({
                "status": "open", "turn": "executor", "ask": "iterations of the run, level 0",
                "demands": 1, "end_asks": 0, "fees_wei": (ETHER / 1000).to_string(),
            }),
        );
        court.fall(claim, &[CHALLENGER, SECOND]);
        let convicting = challenge_id(claim, CHALLENGER).to_string();
        let ids = [convicting.clone(), challenge_id(claim, SECOND).to_string()];
        says(
            &claim_of(&court, &claim),
            json!({ "status": "rejected", "convicting_challenge": convicting, "challenges": ids }),
        );
        says(
            &challenge_of(&court, claim, SECOND),
            json!({
                "status": "to-collect", "turn": null, "ask": null, "reward_wei": null,
                "deadline_ms": null,
            }),
        );
        let events = court.does(STRANGER, &Action::Collect { claim, challenger: SECOND });
        let [Event::ChallengeWon { reward_wei, .. }] = events.as_slice() else {
            panic!("{events:?}");
        };
        let reward_wei = reward_wei.to_string();
        says(
            &challenge_of(&court, claim, SECOND),
            json!({ "status": "won", "reward_wei": reward_wei, "deadline_ms": null }),
        );
    }
    #[test]
    fn a_challenge_tells_its_asks_for_the_ends_apart_and_that_it_was_withdrawn() {
        let mut court = Court::new();
        let id = court.job(0);
        let claim = court.claim(id, b"output");
        court.does(CHALLENGER, &Action::Challenge { claim });
        // Of a model that nobody runs no end can be shown.
        let mut one = court.challenge(claim, CHALLENGER).clone();
        (one.end_asks, one.end_replies, one.status) = (3, 2, ChallengeStatus::Withdrawn);
        says(
            &challenge("0x", &one, &court.settlement),
            json!({
                "demands": 0, "replies": 0, "end_asks": 3, "end_replies": 2, "status": "withdrawn",
                "turn": null, "ask": null, "reward_wei": null, "deadline_ms": null,
            }),
        );
        let id = challenge_id(claim, CHALLENGER);
        let withdrawn =
            Event::ChallengeWithdrawn { challenge: id, challenger: CHALLENGER, burned_wei: 1 };
        let told = event(&withdrawn);
        says(&told, json!({ "event": "challenge-withdrawn", "challenge": id.to_string() }));
    }
}
