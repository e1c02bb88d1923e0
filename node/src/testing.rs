//! What the tests of this crate share: a ledger's state with claims and challenges of a model that nobody runs.

use std::sync::Arc;

use ledger::View;
use protocol::asks::{Ask, Place, Tree, TreeKind};
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Digest, Keccak, leaf};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ETHER, Genesis, Parameters, Settlement, claim_id, job_id};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms, Statement};

pub(crate) const BANK: Address = Address([1; 20]);
pub(crate) const POSTER: Address = Address([2; 20]);
pub(crate) const EXECUTOR: Address = Address([3; 20]);
pub(crate) const CHALLENGER: Address = Address([4; 20]);
pub(crate) const SECOND: Address = Address([5; 20]);

/// What each account put in.
pub(crate) const PUT_IN_WEI: u128 = 100 * ETHER;

pub(crate) fn header() -> ModelHeader {
    let root = leaf(b"model");
    ModelHeader {
        graph_root: root,
        weights_root: root,
        layers_root: root,
        operator_count: 1,
        weight_count: 1,
        inputs: vec![TensorType { element: ElementType::F32, shape: Shape::new(&[1]).unwrap() }],
        layer_count: 1,
        profile: Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    }
}

pub(crate) fn statement(job: JobId) -> Statement {
    let states = [leaf(b"input"), leaf(b"output")];
    Statement::of_run::<Keccak>(job, header().root(), &states).unwrap()
}

/// A ledger on which everybody put in the same, and whose time passes by hand.
pub(crate) struct Court {
    pub(crate) settlement: Settlement,
    pub(crate) now_ms: u64,
}

impl Court {
    pub(crate) fn new() -> Self {
        let (salt, parameters) = (Digest::default(), Parameters::default());
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank: BANK, parameters };
        let mut court = Self { settlement: Settlement::new(genesis).unwrap(), now_ms: 1_000 };
        for account in [BANK, POSTER, EXECUTOR, CHALLENGER, SECOND] {
            court.does(BANK, &Action::Deposit { account, amount_wei: PUT_IN_WEI });
        }
        court.does(BANK, &Action::RegisterModel { header: header() });
        court
    }

    pub(crate) fn does(&mut self, sender: Address, action: &Action) {
        let outcome = self.settlement.perform(self.now_ms, sender, 0, action);
        outcome.unwrap_or_else(|rejection| panic!("{sender} {action:?}: {rejection}"));
    }

    pub(crate) fn view(&self) -> View {
        let settlement = Arc::new(self.settlement.clone());
        View { height: 0, now_ms: self.now_ms, settlement }
    }

    pub(crate) fn job(&mut self, attention_wei: u128) -> JobId {
        let terms = JobTerms {
            model_root: header().root(),
            input_root: leaf(b"input"),
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: ETHER / 100,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: ETHER,
            window_ms: self.settlement.parameters().window_ms_of(1),
            open_ms: 600_000,
            attention_wei,
            salt: self.settlement.jobs().count() as u64,
        };
        self.does(POSTER, &Action::PostJob { terms: terms.clone() });
        job_id(POSTER, &terms)
    }

    pub(crate) fn claim(&mut self) -> ClaimId {
        let job = self.job(0);
        let statement = statement(job);
        let claim = claim_id(EXECUTOR, &statement.terms);
        self.does(EXECUTOR, &Action::PostClaim { statement });
        claim
    }

    pub(crate) fn demand(&mut self, challenger: Address, claim: ClaimId) {
        let root = self.settlement.claim(&claim).unwrap().terms.sequence_root;
        let (tree, kind) = (Tree::Sequence {}, TreeKind::List { count: 1 });
        let ask = Ask::Open { place: Place { tree, kind, depth: 0, index: 0, hash: root } };
        let (showings, path) = (Vec::new(), Vec::new());
        self.does(challenger, &Action::Demand { claim, showings, ask, path, from: None });
    }
}
