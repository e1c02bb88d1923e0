//! The root of a small ledger, and every field that it depends on.

pub(in crate::settlement) mod objects;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::asks::Tree;
use crate::graph::ModelHeader;
use crate::hash::leaf;
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::knowledge::Known;
use crate::settlement::{
    Asked, Attestation, AttestationStatus, Challenge, ChallengeStatus, Claim, ClaimStatus,
    FallReason, Genesis, Job, JobStatus, Parameters, Sealed, SealedStatus, Turn,
};
use crate::tensor::TensorType;
use crate::transaction::{ClaimTerms, JobTerms};
use objects::{ADDRESS, ask, challenge, claim, digest, evidence, header, job, kind, ledger, said};

/// Another value of the same type.
trait Other {
    fn other(&self) -> Self;
}

macro_rules! other {
    ($($kind:ty: $one:ident => $other:expr),* $(,)?) => {$(
        impl Other for $kind {
            fn other(&self) -> Self {
                let $one = self;
                $other
            }
        }
    )*};
}
other! {
    u32: one => one ^ 1,
    u64: one => one ^ 1,
    u128: one => one ^ 1,
    bool: one => !one,
    Digest: one => leaf(&one.0),
    Address: one => Address([one.0[0] ^ 1; 20]),
    JobId: one => JobId(one.0.other()),
    ClaimId: one => ClaimId(one.0.other()),
    Option<u32>: one => if one.is_some() { None } else { Some(0) },
    Option<SealedId>: one => if one.is_some() { None } else { Some(SealedId::default()) },
    Vec<u32>: one => [one.as_slice(), &[1]].concat(),
    Vec<TensorType>: one => [one.as_slice(), &[kind()]].concat(),
    Parameters: one => Parameters { seal_ms: one.seal_ms + 1, ..one.clone() },
    JobTerms: one => JobTerms { salt: one.salt + 6, ..one.clone() },
    ClaimTerms: one => ClaimTerms { salt: one.salt + 6, ..one.clone() },
    BTreeMap<Tree, Digest>: one => one.iter().map(|(tree, root)| (*tree, root.other())).collect(),
    Option<Asked>: one => one.clone().map(|one| Asked { is_end: !one.is_end, ..one }),
    JobStatus: _one => JobStatus::Expired,
    ClaimStatus: _one => ClaimStatus::Released { at_ms: 1 },
    ChallengeStatus: _one => ChallengeStatus::Lost,
    SealedStatus: _one => SealedStatus::Expired,
    AttestationStatus: _one => AttestationStatus::Proven,
}

type Change = (&'static str, Box<dyn Fn(&mut Settlement)>);

/// A change of each field of an object that a ledger has, those named last left out. A field that is neither
/// named nor left out does not compile.
macro_rules! fields {
    ($object:ident at $get:expr, { $($field:ident),* $(,)? } without { $($left:ident),* }) => {{
        let _ = |object: $object| {
            let $object { $($field: _,)* $($left: _,)* } = object;
        };
        let changes: Vec<Change> = vec![$((
            concat!(stringify!($object), " ", stringify!($field)),
            Box::new(|state: &mut Settlement| {
                let get: fn(&mut Settlement) -> &mut $object = $get;
                let object = get(state);
                object.$field = object.$field.other();
            }),
        )),*];
        changes
    }};
}

fn the_job(state: &mut Settlement) -> &mut Job {
    state.jobs.get_mut(&JobId(digest("job"))).unwrap()
}

fn the_claim(state: &mut Settlement) -> &mut Claim {
    state.claims.get_mut(&ClaimId(digest("claim"))).unwrap()
}

fn the_challenge(state: &mut Settlement) -> &mut Challenge {
    state.challenges.get_mut(&ChallengeId(digest("challenge"))).unwrap()
}

fn changes_of_fields() -> Vec<Change> {
    let genesis = fields!(Genesis at |state| &mut state.genesis,
        { chain_id, salt, begun_ms, bank, parameters } without {});
    // There is one profile.
    let model = fields!(ModelHeader at |state| state.models.get_mut(&header().root()).unwrap(),
        { graph_root, weights_root, layers_root, operator_count, weight_count, inputs,
          layer_count, links, stop, card } without { profile });
    let job = fields!(Job at the_job,
        { poster, terms, posted_ms, open_until_ms, claims, first_standing, standing,
          seals_waiting, status } without {});
    let job_terms = fields!(JobTerms at |state| &mut the_job(state).terms,
        { model_root, input_root, executor, fee_wei, fee_iteration_wei, iterations_max, may_cut,
          stake_wei, window_ms, open_ms, attention_wei, salt } without { profile });
    let claim = fields!(Claim at the_claim,
        { executor, terms, number, posted_ms, window_end_ms, last_finality_ms, stake_wei,
          trace_root, said, sealed, proofs, challenges, open, ended, work, reveals, owed_wei,
          status } without { knowledge });
    let claim_terms = fields!(ClaimTerms at |state| &mut the_claim(state).terms,
        { job, model_root, input_root, output_root, iterations, sequence_root, salt } without {});
    let challenge = fields!(Challenge at the_challenge,
        { claim, challenger, number, opened_ms, bond_wei, fees_wei, served, demands, end_asks,
          replies, end_replies, asked, executor_clock_ms, challenger_clock_ms, status } without {});
    let sealed = fields!(Sealed at |state| {
            state.sealed.get_mut(&SealedId(digest("sealed"))).unwrap()
        },
        { job, executor, seal, sealed_ms, stake_wei, attesters, status } without {});
    let attestation = fields!(Attestation at |state| {
            state.attestations.get_mut(&(SealedId(digest("sealed")), ADDRESS)).unwrap()
        },
        { word, bond_wei, status } without {});
    [genesis, model, job, job_terms, claim, claim_terms, challenge, sealed, attestation]
        .into_iter()
        .flatten()
        .collect()
}

/// What is no field of an object: clock, money, accounts, and what objects are found by.
fn other_changes() -> Vec<Change> {
    fn change(name: &'static str, change: fn(&mut Settlement)) -> Change {
        (name, Box::new(change))
    }
    vec![
        change("clock", |state| state.now_ms += 1),
        change("nonce", |state| state.nonces.insert(ADDRESS, 5)),
        change("first nonce of an account", |state| state.nonces.insert(ADDRESS.other(), 1)),
        change("account with nothing left", |state| {
            state.money.deposit(ADDRESS.other(), 1).unwrap();
            state.money.withdraw(&ADDRESS.other(), 1).unwrap();
        }),
        change("deposit", |state| state.money.deposit(ADDRESS, 1).unwrap()),
        change("withdrawal", |state| state.money.withdraw(&ADDRESS, 1).unwrap()),
        change("lock", |state| state.money.lock(&ADDRESS, 1).unwrap()),
        change("release", |state| state.money.release(ADDRESS, 1)),
        change("release to another", |state| state.money.release(ADDRESS.other(), 1)),
        change("burn", |state| state.money.burn(1)),
        change("burn of free money", |state| state.money.burn_free(&ADDRESS, 1).unwrap()),
        change("root of a model", |state| {
            state.models.remove(&header().root());
            state.models.insert(digest("another"), header());
        }),
        change("id of a job", |state| {
            state.jobs.remove(&JobId(digest("job")));
            state.jobs.insert(JobId(digest("another")), job());
        }),
        change("id of a claim", |state| {
            state.claims.remove(&ClaimId(digest("claim")));
            state.claims.insert(ClaimId(digest("another")), claim());
        }),
        change("id of a challenge", |state| {
            state.challenges.remove(&ChallengeId(digest("challenge")));
            state.challenges.insert(ChallengeId(digest("another")), challenge());
        }),
        change("one job more", |state| state.jobs.insert(JobId(digest("another")), job())),
        change("one claim more", |state| state.claims.insert(ClaimId(digest("another")), claim())),
        change("a sealed claim less", |state| state.sealed.remove(&SealedId(digest("sealed")))),
        change("another attester", |state| {
            let key = (SealedId(digest("sealed")), ADDRESS);
            let attestation = state.attestations.get(&key).unwrap().clone();
            state.attestations.remove(&key);
            state.attestations.insert((key.0, ADDRESS.other()), attestation);
        }),
        change("another ask", |state| the_challenge(state).asked.as_mut().unwrap().ask = said()),
        change("no ask", |state| the_challenge(state).asked = None),
        change("more said", |state| {
            the_claim(state).said.insert(Tree::Subtrace { iteration: 0, layer: 1 }, digest("next"));
        }),
    ]
}

/// Every status of a claim, a job, a challenge, a sealed claim and an attestation.
fn changes_of_statuses() -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    let mut reasons: Vec<FallReason> = evidence().into_iter().map(FallReason::Refuted).collect();
    reasons.extend([FallReason::Silence(ask()), FallReason::Silence(said())]);
    let (by, one, two) =
        (ChallengeId(digest("challenge")), (1, 1, 1), [(2, 1, 1), (1, 2, 1), (1, 1, 2)]);
    let fallen = |reason, challenge, (at_ms, unit_wei, share_wei)| ClaimStatus::Fallen {
        reason,
        challenge,
        at_ms,
        unit_wei,
        share_wei,
    };
    let silence = || FallReason::Silence(ask());
    let mut claims: Vec<_> = reasons.into_iter().map(|reason| fallen(reason, by, one)).collect();
    claims.extend(two.map(|numbers| fallen(silence(), by, numbers)));
    claims.push(fallen(silence(), ChallengeId::default(), one));
    claims.extend(
        [(1, 1), (1, 2), (2, 1)]
            .map(|(at_ms, attention_share_wei)| ClaimStatus::Final { at_ms, attention_share_wei }),
    );
    claims.extend([1, 2].map(|at_ms| ClaimStatus::Released { at_ms }));
    for status in claims {
        let change = move |state: &mut Settlement| the_claim(state).status = status.clone();
        all.push(("status of a claim", Box::new(change)));
    }
    let done = |name| JobStatus::Done { claim: ClaimId(digest(name)) };
    for status in [done("one"), done("two"), JobStatus::Expired] {
        let change = move |state: &mut Settlement| the_job(state).status = status;
        all.push(("status of a job", Box::new(change)));
    }
    for status in [
        ChallengeStatus::Queued,
        ChallengeStatus::Open { turn: Turn::Challenger, since_ms: 11 },
        ChallengeStatus::Open { turn: Turn::Executor, since_ms: 12 },
        ChallengeStatus::Won { reward_wei: 1 },
        ChallengeStatus::Won { reward_wei: 2 },
        ChallengeStatus::Lost,
        ChallengeStatus::Withdrawn,
    ] {
        let change = move |state: &mut Settlement| the_challenge(state).status = status.clone();
        all.push(("status of a challenge", Box::new(change)));
    }
    let opened = |name| SealedStatus::Opened { claim: ClaimId(digest(name)) };
    for status in [opened("one"), opened("two"), SealedStatus::Expired] {
        let change = move |state: &mut Settlement| {
            state.sealed.get_mut(&SealedId(digest("sealed"))).unwrap().status = status;
        };
        all.push(("status of a sealed claim", Box::new(change)));
    }
    for status in [AttestationStatus::Proven, AttestationStatus::Collected] {
        let change = move |state: &mut Settlement| {
            let key = (SealedId(digest("sealed")), ADDRESS);
            state.attestations.get_mut(&key).unwrap().status = status;
        };
        all.push(("status of an attestation", Box::new(change)));
    }
    all
}

#[test]
fn every_field_of_every_object_changes_the_root_and_is_read_again_from_its_record() {
    let unchanged = ledger();
    for changes in [changes_of_fields(), other_changes(), changes_of_statuses()] {
        // Some are one change by two names, but only in different lists.
        let mut roots = BTreeMap::from([(unchanged.root(), "nothing")]);
        for (name, change) in changes {
            let mut state = ledger();
            change(&mut state);
            assert_ne!(state, unchanged, "{name}");
            if let Some(other) = roots.insert(state.root(), name) {
                panic!("{name} and {other} have one root");
            }
            for record in state.records() {
                assert_eq!(Record::from_canonical(&record.to_canonical()), Ok(record), "{name}");
            }
        }
    }
}

#[test]
fn every_field_of_the_head_changes_the_root() {
    let head = ledger().snapshot_head();
    assert_eq!(SnapshotHead::from_canonical(&head.to_canonical()), Ok(head));
    let bytes = head.to_canonical();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let changed = SnapshotHead::from_canonical(&changed).unwrap();
        assert_ne!(changed.root(), head.root(), "byte {at}");
    }
    let counts = [head.accounts, head.models, head.jobs, head.claims, head.challenges];
    assert_eq!(counts, [1; 5]);
    assert_eq!([head.sealed, head.attestations], [1; 2]);
}

#[test]
fn what_is_known_of_a_claim_does_not_change_the_root() {
    let (unchanged, mut state) = (ledger(), ledger());
    let Known::Run(known) = &mut the_claim(&mut state).knowledge else { unreachable!() };
    known.learn_ask(&said());
    assert_ne!(state, unchanged);
    assert_eq!(state.root(), unchanged.root());
}

#[test]
fn records_become_the_objects_again_with_what_they_leave_out_and_with_nothing_else() {
    let (claim, challenge) = (claim(), challenge());
    let known = claim.knowledge.clone();
    assert_eq!(ClaimRecord::of(&claim).with(known), claim);
    let record = || ChallengeRecord::of::<Keccak>(&challenge);
    assert_eq!(record().with::<Keccak>(Some(ask())), Some(challenge.clone()));
    assert_eq!(record().with::<Keccak>(Some(said())), None);
    assert_eq!(record().with::<Keccak>(None), None);
    let unasked = ChallengeRecord { asked: None, ..record() };
    assert_eq!(unasked.clone().with::<Keccak>(Some(ask())), None);
    let wanted = Challenge { asked: None, ..challenge.clone() };
    assert_eq!(unasked.with::<Keccak>(None), Some(wanted));
}

#[test]
fn the_tree_is_a_list_of_all_records() {
    let leaves = |state: &Settlement| -> Vec<Digest> {
        state.records().map(|record| leaf(&record.to_canonical())).collect()
    };
    let (salt, parameters) = (Digest::default(), Parameters::default());
    let genesis = Genesis { chain_id: 1, salt, begun_ms: 2, bank: ADDRESS, parameters };
    let mut state: Settlement = Settlement::new_unchecked(genesis);
    assert_eq!(state.snapshot_head().records, empty_subtree::<Keccak>(0));
    for count in 1..20u8 {
        state.jobs.insert(JobId(leaf(&[count])), job());
        let shape = TreeShape::list(u64::from(count)).unwrap();
        let tree: crate::merkle::Tree = crate::merkle::Tree::new(shape, &leaves(&state)).unwrap();
        assert_eq!(state.snapshot_head().records, tree.root(), "{count} records");
    }
}

#[test]
fn records_stand_in_the_order_of_their_kinds_and_keys() {
    let mut state = ledger();
    for byte in [9, 3, 200] {
        state.nonces.insert(Address([byte; 20]), 1);
        state.jobs.insert(JobId(leaf(&[byte])), job());
        state.attestations.insert(
            (SealedId(leaf(&[byte])), Address([byte; 20])),
            Attestation { word: digest("word"), bond_wei: 1, status: AttestationStatus::Given },
        );
    }
    // Kind and key are the first bytes.
    let starts: Vec<Vec<u8>> =
        state.records().map(|record| record.to_canonical()[..21].to_vec()).collect();
    assert!(starts.is_sorted(), "{starts:?}");
    assert_eq!(starts.len(), 16);
}
