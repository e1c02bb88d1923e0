//! A small ledger with one object of each kind.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::asks::{Ask, Evidence, Place, Tree, TreeKind};
use crate::graph::{ModelHeader, Profile};
use crate::hash::{Digest, leaf};
use crate::ids::{ChallengeId, ClaimId, JobId, SealedId};
use crate::knowledge::{Knowledge, Known};
use crate::settlement::{
    Asked, Attestation, AttestationStatus, Challenge, ChallengeStatus, Claim, ClaimStatus, Genesis,
    Job, JobStatus, Parameters, Sealed, SealedStatus, Settlement, Turn,
};
use crate::tensor::{ElementType, Shape, TensorType};
use crate::transaction::{
    Address, Binding, BoundState, ClaimTerms, JobTerms, RunLength, Statement,
};

pub(super) const ADDRESS: Address = Address([7; 20]);

pub(super) fn digest(text: &str) -> Digest {
    leaf(text.as_bytes())
}

pub(super) fn kind() -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(&[3]).unwrap() }
}

pub(super) fn header() -> ModelHeader {
    ModelHeader {
        graph_root: digest("graph"),
        weights_root: digest("weights"),
        layers_root: digest("layers"),
        operator_count: 2,
        weight_count: 1,
        inputs: vec![kind()],
        layer_count: 1,
        profile: Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    }
}

pub(super) fn job() -> Job {
    let terms = JobTerms {
        model_root: header().root(),
        input_root: digest("input"),
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: 1,
        fee_iteration_wei: 2,
        iterations_max: 3,
        may_cut: false,
        stake_wei: 4,
        window_ms: 5,
        open_ms: 6,
        attention_wei: 7,
        salt: 8,
    };
    Job {
        poster: ADDRESS,
        terms,
        posted_ms: 9,
        open_until_ms: 10,
        claims: 11,
        first_standing: 12,
        standing: 13,
        seals_waiting: 14,
        status: JobStatus::Open,
    }
}

pub(super) fn claim_terms() -> ClaimTerms {
    ClaimTerms {
        job: JobId(digest("job")),
        model_root: header().root(),
        input_root: digest("input"),
        output_root: digest("output"),
        iterations: 1,
        sequence_root: digest("sequence"),
        salt: 2,
    }
}

pub(in crate::settlement) fn ask() -> Ask {
    let (tree, kind) =
        (Tree::Tensor { iteration: 0, operator: 1 }, TreeKind::Tensor { kind: kind() });
    Ask::Leaves { place: Place { tree, kind, depth: 0, index: 0, hash: digest("tensor") } }
}

pub(super) fn claim() -> Claim {
    let bound = || BoundState {
        trace_root: digest("trace"),
        sequence_path: Vec::new(),
        state_path: Vec::new(),
    };
    let binding = Binding { input: bound(), output: bound(), entry: None };
    let statement = Statement { terms: claim_terms(), binding };
    Claim {
        executor: ADDRESS,
        terms: claim_terms(),
        number: 3,
        posted_ms: 4,
        window_end_ms: 5,
        last_finality_ms: 6,
        stake_wei: 7,
        trace_root: digest("trace"),
        said: BTreeMap::from([(Tree::Subtrace { iteration: 0, layer: 0 }, digest("inside"))]),
        knowledge: Known::Run(Box::new(Knowledge::new(
            header(),
            RunLength::exactly(1),
            6,
            &statement,
        ))),
        sealed: None,
        proofs: 8,
        challenges: 9,
        open: 10,
        ended: 11,
        work: 12,
        reveals: 13,
        owed_wei: 14,
        status: ClaimStatus::Standing,
    }
}

pub(super) fn challenge() -> Challenge {
    Challenge {
        claim: ClaimId(digest("claim")),
        challenger: ADDRESS,
        number: 1,
        opened_ms: 2,
        bond_wei: 3,
        fees_wei: 4,
        served: true,
        demands: 5,
        end_asks: 6,
        replies: 7,
        end_replies: 8,
        asked: Some(Asked { ask: ask(), is_end: false }),
        executor_clock_ms: 9,
        challenger_clock_ms: 10,
        status: ChallengeStatus::Open { turn: Turn::Executor, since_ms: 11 },
    }
}

/// A ledger with one object of each kind. They need not fit each other.
pub(in crate::settlement) fn ledger() -> Settlement {
    let (salt, parameters) = (digest("genesis"), Parameters::default());
    let genesis = Genesis { chain_id: 1, salt, begun_ms: 2, bank: ADDRESS, parameters };
    let mut state: Settlement = Settlement::new_unchecked(genesis);
    state.now_ms = 3;
    state.money.deposit(ADDRESS, 1_000).unwrap();
    state.money.lock(&ADDRESS, 500).unwrap();
    state.nonces.insert(ADDRESS, 4);
    state.models.insert(header().root(), header());
    state.jobs.insert(JobId(digest("job")), job());
    state.claims.insert(ClaimId(digest("claim")), claim());
    state.challenges.insert(ChallengeId(digest("challenge")), challenge());
    let sealed = Sealed {
        job: JobId(digest("job")),
        executor: ADDRESS,
        seal: digest("seal"),
        sealed_ms: 1,
        stake_wei: 2,
        attesters: 3,
        status: SealedStatus::Waiting,
    };
    state.sealed.insert(SealedId(digest("sealed")), sealed);
    let status = AttestationStatus::Given;
    let attestation = Attestation { word: digest("word"), bond_wei: 1, status };
    state.attestations.insert((SealedId(digest("sealed")), ADDRESS), attestation);
    state
}

pub(in crate::settlement) fn said() -> Ask {
    Ask::Say { tree: Tree::Subtrace { iteration: 0, layer: 0 }, kind: TreeKind::List { count: 1 } }
}

/// Evidence of each kind, and of each kind some that differs in one word.
pub(super) fn evidence() -> Vec<Evidence> {
    let (iteration, claimed, expected) = (1, digest("claimed"), digest("expected"));
    let step = |claimed: &[u64], expected: Option<&[u64]>, multiply_adds| Evidence::Step {
        iteration,
        operator: 2,
        element: 3,
        segment: 4,
        claimed: claimed.to_vec(),
        expected: expected.map(<[u64]>::to_vec),
        multiply_adds,
    };
    vec![
        step(&[5], Some(&[6]), 7),
        step(&[5], Some(&[6]), 8),
        step(&[5, 0], Some(&[6]), 7),
        step(&[], None, 7),
        step(&[], Some(&[]), 7),
        Evidence::Contradiction { iteration, value: 1, claimed, expected },
        Evidence::Contradiction { iteration, value: 1, claimed: expected, expected: claimed },
        Evidence::StateValue { iteration, boundary: 1, claimed: 2, expected: 3 },
        Evidence::StateValue { iteration, boundary: 1, claimed: 3, expected: 2 },
        Evidence::Leaf { iteration, operator: 1, leaf: 2 },
        Evidence::Link { iteration, input: 1, claimed, expected },
        Evidence::Entry { iteration, claimed, expected },
        Evidence::Stop { iteration, is_last: true, claimed },
        Evidence::Stop { iteration, is_last: false, claimed },
    ]
}
