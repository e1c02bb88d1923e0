//! What holds after every transition: counts and sums that the settlement keeps are what a scan of its
//! objects gives.

use protocol::asks::Evidence;
use protocol::encoding::Canonical;
use protocol::hash::Keccak;
use protocol::knowledge::{DESCENT_MAX, Known};
use protocol::settlement::{
    AttestationStatus, Challenge, ChallengeStatus, Claim, ClaimStatus, Event, FallReason, Job,
    JobStatus, Part, Record, Restoring, SealedStatus, Settlement, SnapshotHead, Turn,
};
use protocol::{ClaimId, JobId};

/// Money, counts and sums against a scan of all objects.
pub fn check_objects(state: &Settlement) {
    assert!(state.money().is_conserved());
    assert_eq!(state.money().locked_wei(), state.locked_by_objects_wei());
    let free_wei: u128 = state.money().accounts().map(|(_, free_wei)| free_wei).sum();
    assert_eq!(state.money().free_total_wei(), free_wei);
    for (id, job) in state.jobs() {
        check_job(state, id, job);
    }
    for (id, claim) in state.claims() {
        check_claim(state, id, claim);
    }
    for (_, challenge) in state.challenges() {
        check_challenge(state, challenge);
    }
    for (id, sealed) in state.all_sealed() {
        assert_eq!(sealed.attesters as usize, state.attestations_of(id).count());
        assert!(sealed.attesters <= state.parameters().attestations_max);
    }
}

fn check_job(state: &Settlement, id: &JobId, job: &Job) {
    let claims: Vec<&Claim> =
        state.claims_of(id).map(|claim| state.claim(claim).unwrap()).collect();
    let all = state.claims().filter(|(_, claim)| claim.terms.job == *id).count();
    assert_eq!((claims.len(), job.claims as usize), (all, all));
    let standing = claims.iter().filter(|claim| claim.stands()).count();
    assert_eq!(job.standing as usize, standing, "claims that stand");
    let waiting = state
        .all_sealed()
        .filter(|(_, sealed)| sealed.job == *id && sealed.status == SealedStatus::Waiting)
        .count();
    assert_eq!(job.seals_waiting as usize, waiting, "seals that wait");
    for (number, claim) in (0..).zip(&claims) {
        assert_eq!(claim.number, number);
        if number < job.first_standing {
            let fell = matches!(claim.status, ClaimStatus::Fallen { .. });
            assert!(fell, "claim {number} was passed and did not fall");
        }
    }
    match job.status {
        JobStatus::Open => {}
        JobStatus::Done { claim } => {
            assert_eq!(state.claim(&claim).unwrap().number, job.first_standing);
        }
        JobStatus::Expired => assert_eq!((standing, waiting), (0, 0)),
    }
}

fn check_claim(state: &Settlement, id: &ClaimId, claim: &Claim) {
    check_shrunk(claim);
    let challenges: Vec<&Challenge> =
        state.challenges_of(id).map(|challenge| state.challenge(challenge).unwrap()).collect();
    let all = state.challenges().filter(|(_, challenge)| challenge.claim == *id).count();
    assert_eq!((challenges.len(), claim.challenges as usize), (all, all));
    let open: Vec<&&Challenge> = challenges.iter().filter(|one| one.is_open()).collect();
    let work = |of: &[&&Challenge]| of.iter().map(|one| one.work()).sum::<u64>();
    let owed_wei = match &claim.status {
        ClaimStatus::Standing => {
            assert_eq!((claim.open as usize, claim.work), (open.len(), work(&open)));
            assert_eq!((claim.open + claim.ended) as usize, challenges.len());
            check_turns(state, claim, &challenges);
            0
        }
        ClaimStatus::Fallen { unit_wei, share_wei, .. } => {
            // Counts stay what they were at the fall: of those that had not ended before.
            let was_open = |one: &&&Challenge| match one.status {
                ChallengeStatus::Open { .. }
                | ChallengeStatus::Queued
                | ChallengeStatus::Won { .. } => true,
                ChallengeStatus::Lost | ChallengeStatus::Withdrawn => false,
            };
            let then: Vec<&&Challenge> = challenges.iter().filter(was_open).collect();
            assert_eq!((claim.open as usize, claim.work), (then.len(), work(&then)));
            unit_wei * u128::from(work(&open)) + share_wei * open.len() as u128
        }
        ClaimStatus::Final { attention_share_wei, .. } => {
            assert_eq!((claim.open, claim.work, open.len()), (0, 0, 0));
            let sealed = claim.sealed.as_ref();
            let proven = sealed.into_iter().flat_map(|sealed| state.attestations_of(sealed));
            let proven = proven.filter(|(_, one)| one.status == AttestationStatus::Proven).count();
            attention_share_wei * proven as u128
        }
        ClaimStatus::Released { .. } => {
            assert_eq!((claim.open, claim.work, open.len()), (0, 0, 0));
            0
        }
    };
    assert_eq!(claim.owed_wei, owed_wei, "money that others can collect");
}

/// What only disputes need is there while the claim stands, and no longer.
fn check_shrunk(claim: &Claim) {
    match (&claim.status, &claim.knowledge) {
        (ClaimStatus::Standing, Known::Run(known)) => assert_eq!(known.terms(), &claim.terms),
        (ClaimStatus::Fallen { reason, .. }, Known::Fall(descent)) => {
            assert!(descent.trees.len() <= DESCENT_MAX);
            let of_operator = matches!(
                reason,
                FallReason::Refuted(Evidence::Step { .. } | Evidence::Leaf { .. })
            );
            assert_eq!(descent.operator.is_some(), of_operator, "{reason:?}");
        }
        (ClaimStatus::Final { .. } | ClaimStatus::Released { .. }, Known::Nothing) => {}
        (status, known) => panic!("{known:?} is known of a claim that is {status:?}"),
    }
    assert!(claim.stands() || claim.said.is_empty(), "{:?}", claim.said);
}

/// As many as are served at once, in the order of their numbers: no more, and no fewer while others wait.
fn check_turns(state: &Settlement, claim: &Claim, challenges: &[&Challenge]) {
    let served_max = state.parameters().served_max;
    let is_queued = |one: &&&Challenge| one.status == ChallengeStatus::Queued;
    let (queued, served): (Vec<&&Challenge>, Vec<&&Challenge>) =
        challenges.iter().partition(is_queued);
    let served = served.iter().filter(|one| one.is_open()).count();
    assert!(served <= served_max as usize, "{served} challenges are served at once");
    for one in &queued {
        assert!(one.number >= claim.ended + served_max, "{one:?} waits though a place is free");
        assert_eq!((one.demands, one.replies, one.fees_wei, one.served), (0, 0, 0, false));
        assert_eq!((one.end_asks, one.end_replies, &one.asked), (0, 0, &None));
    }
    assert!(queued.is_empty() || served == served_max as usize, "a place is free");
}

fn check_challenge(state: &Settlement, challenge: &Challenge) {
    let parameters = state.parameters();
    assert!(challenge.executor_clock_ms <= parameters.executor_clock_ms);
    assert!(challenge.challenger_clock_ms <= parameters.challenger_clock_ms);
    assert!(challenge.demands <= parameters.demands_max);
    assert!(challenge.replies <= challenge.demands);
    assert!(challenge.end_asks <= parameters.end_asks_max);
    assert!(challenge.end_replies <= challenge.end_asks);
    let (asks, replies) =
        (challenge.demands + challenge.end_asks, challenge.replies + challenge.end_replies);
    // What is over keeps nothing that only its dispute needs.
    assert_eq!(challenge.asked.is_some(), asks > 0 && challenge.is_open());
    // One ask at a time: all but the last were answered.
    assert!(asks - replies <= 1);
    if let ChallengeStatus::Open { turn, .. } = challenge.status {
        assert_eq!(turn == Turn::Executor, asks - replies == 1);
        assert_eq!(challenge.pending().is_some(), turn == Turn::Executor);
    }
    let claim = state.claim(&challenge.claim).unwrap();
    assert_eq!(challenge.bond_wei, parameters.bond_wei(claim.stake_wei));
    let fee_wei = parameters.demand_fee_wei;
    let least_wei = fee_wei * u128::from(asks);
    let dearest = 1u128 << parameters.end_log2.saturating_sub(parameters.leaf_log2());
    let more_wei = fee_wei * (dearest - 1) * u128::from(challenge.end_asks);
    let fees_wei = challenge.fees_wei;
    assert!((least_wei..=least_wei + more_wei).contains(&fees_wei), "{fees_wei} of fees");
}

/// A snapshot's parts make the same state again, each read from its encoding.
fn check_parts(state: &Settlement) {
    let begun = Restoring::new_unchecked(state.genesis().clone(), state.snapshot_head());
    let mut restoring: Restoring = begun.unwrap();
    for part in state.parts() {
        let read = Part::from_canonical(&part.to_canonical()).unwrap();
        assert_eq!(read, part);
        restoring.take(read).unwrap();
    }
    assert_eq!(&restoring.done().unwrap(), state);
}

/// What the ledger keeps is read again from its encoding as it was, and with what only readers need it is the
/// objects themselves.
pub fn check_records(state: &Settlement) {
    check_parts(state);
    let head = state.snapshot_head();
    assert_eq!(SnapshotHead::from_canonical(&head.to_canonical()), Ok(head));
    assert_eq!((head.genesis, head.now_ms), (state.genesis().root(), state.now_ms()));
    let money = state.money();
    let inside_wei = [money.free_total_wei(), money.locked_wei(), money.burned_wei()];
    assert_eq!([head.free_wei, head.locked_wei, head.burned_wei], inside_wei);
    let moved_wei = [money.deposited_wei(), money.withdrawn_wei()];
    assert_eq!([head.deposited_wei, head.withdrawn_wei], moved_wei);
    for record in state.records() {
        let read = Record::from_canonical(&record.to_canonical());
        assert_eq!(read.as_ref(), Ok(&record));
        match record {
            Record::Claim { id, claim } => {
                let kept = state.claim(&id).unwrap();
                assert_eq!(&claim.with(kept.knowledge.clone()), kept);
            }
            Record::Challenge { id, challenge } => {
                let kept = state.challenge(&id).unwrap();
                let with_ask = challenge.with::<Keccak>(kept.last_ask().cloned());
                assert_eq!(with_ask.as_ref(), Some(kept));
            }
            Record::Job { id, job } => assert_eq!(state.job(&id), Some(&job)),
            Record::Sealed { id, sealed } => assert_eq!(state.sealed(&id), Some(&sealed)),
            Record::Attestation { sealed, attester, attestation } => {
                assert_eq!(state.attestation(&sealed, &attester), Some(&attestation));
            }
            Record::Model { root, header } => assert_eq!(header.root(), root),
            Record::Account { address, account } => {
                assert_eq!(account.nonce, state.nonce(&address));
                let free_wei = state.money().free_wei(&address);
                assert_eq!(account.free_wei.unwrap_or_default(), free_wei);
                assert_eq!(account.free_wei.is_some(), state.money().knows(&address));
            }
        }
    }
}

/// What a transition burns, by its events: a fee for each record, and what an event says is burned.
pub fn burned_by_wei(state: &Settlement, events: &[Event]) -> u128 {
    let record_fee_wei = state.parameters().record_fee_wei;
    events
        .iter()
        .map(|event| match event {
            // The record of an opened claim was paid for by its seal's.
            Event::ClaimPosted { claim, .. } if state.claim(claim).unwrap().sealed.is_some() => 0,
            Event::ModelRegistered { .. }
            | Event::JobPosted { .. }
            | Event::ClaimPosted { .. }
            | Event::Challenged { .. }
            | Event::ClaimSealed { .. }
            | Event::Attested { .. } => record_fee_wei,
            Event::ClaimFallen { burned_wei, .. }
            | Event::ChallengeLost { burned_wei, .. }
            | Event::ChallengeWithdrawn { burned_wei, .. }
            | Event::SealExpired { burned_wei, .. }
            | Event::AttentionCollected { burned_wei, .. } => *burned_wei,
            Event::Deposited { .. }
            | Event::Withdrawn { .. }
            | Event::JobExpired { .. }
            | Event::JobPassed { .. }
            | Event::ChallengeServed { .. }
            | Event::Demanded { .. }
            | Event::Revealed { .. }
            | Event::ChallengeWon { .. }
            | Event::ClaimFinal { .. }
            | Event::StakeReleased { .. }
            | Event::AttentionProven { .. } => 0,
        })
        .sum()
}
