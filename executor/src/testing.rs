//! What the tests of this crate share: a small model, and a ledger whose time passes by hand.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use inference::compute_honestly;
use inference::{ComputePolicy, Engine, EngineError, Honest, Isa, Model, Run, Runner, Tensor};
use ledger::View;
use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile};
use protocol::hash::{Digest, Keccak, leaf};
use protocol::ids::{ClaimId, JobId};
use protocol::roots::sequence_tree;
use protocol::settlement::{
    ETHER, Event, Genesis, Parameters, Rejection, Settlement, claim_id, job_id,
};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms, Key};

use crate::core::statement_of;

pub(crate) mod asks;

fn f32s(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

fn floats(kind: &TensorType, salt: u64) -> Tensor {
    let element = |at: u64| ((at * 7 + salt * 5) % 17) as f32 * 0.125 + 0.5;
    Tensor::from_f32(&kind.shape, (0..kind.shape.count()).map(element).collect()).unwrap()
}

/// The operator of [`model`] that folds, and its elements.
pub(crate) const FOLD: u32 = 2;
pub(crate) const FOLDED: u64 = 2;

/// `sum((x + w) · w) + y` in three layers, for an x of two rows of 150. The states hold values
/// (0, 1), (1, 3), (1, 5) and (6).
pub(crate) fn model() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let made = || {
        let (rows, row, sums) = (f32s(&[2, 150]), f32s(&[150]), f32s(&[2]));
        let of = |value: u32, kind: &TensorType| Operand { value, kind: kind.clone() };
        let node = |operator, operands, output: &TensorType| Node {
            operator,
            operands,
            output: output.clone(),
        };
        let map = |function| Operator::Map { function };
        let nodes = vec![
            node(map(MapFunction::Add), vec![of(0, &rows), of(2, &row)], &rows),
            node(map(MapFunction::Multiply), vec![of(3, &rows), of(2, &row)], &rows),
            node(Operator::Reduce { fold: Fold::Sum }, vec![of(4, &rows)], &sums),
            node(map(MapFunction::Add), vec![of(5, &sums), of(1, &sums)], &sums),
        ];
        let layer = |first_operator, operator_count, live_in: &[u32], live_out: &[u32]| Layer {
            first_operator,
            operator_count,
            live_in: live_in.to_vec(),
            live_out: live_out.to_vec(),
        };
        let layers = vec![
            layer(0, 1, &[0, 1], &[1, 3]),
            layer(1, 2, &[1, 3], &[1, 5]),
            layer(3, 1, &[1, 5], &[6]),
        ];
        let graph = Graph {
            inputs: vec![rows, sums],
            weights: vec![row.clone()],
            nodes,
            layers,
            ..Graph::default()
        };
        let names = vec!["x".to_owned(), "y".to_owned()];
        let operators = (0..4).map(|index| format!("node {index}")).collect();
        let outputs = vec![("output".to_owned(), 6)];
        let weights = vec![floats(&row, 3)];
        let model = Model::new(graph, weights, names, outputs, operators, Profile::StrictF32);
        Arc::new(model.unwrap())
    };
    Arc::clone(MODEL.get_or_init(made))
}

fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Isa::PORTABLE, 1).unwrap()).clone()
}

/// The run of an input of the model. Each number is another input.
fn run_of(input: u64, compute_policy: Arc<dyn ComputePolicy>) -> Arc<Run> {
    let (engine, model) = (engine(), model());
    let runner = Runner { engine: &engine, model: &model, compute_policy: compute_policy.as_ref() };
    let inputs = HashMap::from([
        ("x".to_owned(), floats(&f32s(&[2, 150]), input)),
        ("y".to_owned(), floats(&f32s(&[2]), input)),
    ]);
    let trace = runner.run(runner.input_state(&inputs).unwrap()).unwrap();
    Arc::new(Run::new(engine, model, compute_policy, trace))
}

/// Root of the sequence of a run of one iteration.
pub(crate) fn sequence_root(run: &Arc<Run>) -> Digest {
    sequence_tree::<Keccak>(&[run.trace().root()]).unwrap().root()
}

pub(crate) fn honest(input: u64) -> Arc<Run> {
    run_of(input, Arc::new(Honest))
}

/// Errs in the first element of the first operator.
#[derive(Debug)]
struct Wrong;

impl ComputePolicy for Wrong {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let output = compute_honestly(engine, model, operator, operands)?;
        let mut elements = output.as_f32().to_vec();
        if operator == 0 {
            elements[0] += 1.0;
        }
        Ok(Tensor::from_f32(output.shape(), elements).unwrap())
    }
}

/// A run of the input with an error in it.
pub(crate) fn wrong(input: u64) -> Arc<Run> {
    run_of(input, Arc::new(Wrong))
}

/// Cannot compute anything.
#[derive(Debug)]
struct Unable;

impl ComputePolicy for Unable {
    fn compute(&self, _: &Engine, _: &Model, _: u32, _: &[&Tensor]) -> Result<Tensor, EngineError> {
        Err(EngineError::Undefined { kind: "nothing", element: 0 })
    }
}

/// The run of an input, of which no layer can be computed again.
pub(crate) fn lost(input: u64) -> Arc<Run> {
    let trace = honest(input).trace().clone();
    Arc::new(Run::new(engine(), model(), Arc::new(Unable), trace))
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Bank,
    Client,
    Executor,
    Rival,
    Challenger,
    Second,
}

impl Who {
    fn key(self) -> Key {
        Key::from_secret(&[self as u8 + 1; 32]).unwrap()
    }

    pub(crate) fn address(self) -> Address {
        self.key().address()
    }
}

/// Time for challenges of a job: shorter than the clocks.
pub(crate) const WINDOW_MS: u64 = 60_000;

/// Time for claims on a job: longer than all that happens in most tests.
pub(crate) const OPEN_MS: u64 = 3_600_000;

/// A ledger. Everybody but the executor has money.
#[derive(Clone, Debug)]
pub(crate) struct Court {
    pub(crate) settlement: Settlement,
    pub(crate) now_ms: u64,
    /// Time for challenges of the jobs to come.
    pub(crate) window_ms: u64,
    /// Who alone may claim the jobs to come; the zero address: anybody.
    pub(crate) named: Address,
}

impl Court {
    pub(crate) fn new() -> Self {
        Self::under(Parameters::default())
    }

    fn under(parameters: Parameters) -> Self {
        let genesis = Genesis {
            chain_id: 7,
            salt: leaf(b"salt"),
            begun_ms: 1_000,
            bank: Who::Bank.address(),
            parameters,
        };
        let settlement = Settlement::new(genesis).unwrap();
        let mut court =
            Self { settlement, now_ms: 1_000, window_ms: WINDOW_MS, named: Address::default() };
        for who in [Who::Client, Who::Rival, Who::Challenger, Who::Second] {
            court.deposit(who, 1_000 * ETHER);
        }
        let header = model().header().clone();
        court.does(Who::Client, &Action::RegisterModel { header });
        court
    }

    /// As [`Court::new`], with money for the executor.
    pub(crate) fn funded() -> Self {
        Self::serving(Parameters::default().served_max)
    }

    /// As [`Court::funded`], on a ledger that serves so many challenges of a claim at once.
    pub(crate) fn serving(served_max: u32) -> Self {
        let mut court = Self::under(Parameters { served_max, ..Parameters::default() });
        court.deposit(Who::Executor, 1_000 * ETHER);
        court
    }

    pub(crate) fn submit(&mut self, who: Who, action: &Action) -> Result<Vec<Event>, Rejection> {
        let nonce = self.settlement.nonce(&who.address());
        let signed = who.key().sign(&self.settlement.domain(), nonce, action);
        self.settlement.apply(self.now_ms, &signed)
    }

    pub(crate) fn does(&mut self, who: Who, action: &Action) -> Vec<Event> {
        let outcome = self.submit(who, action);
        outcome.unwrap_or_else(|rejection| panic!("{who:?} {action:?}: {rejection}"))
    }

    pub(crate) fn deposit(&mut self, who: Who, amount_wei: u128) {
        self.does(Who::Bank, &Action::Deposit { account: who.address(), amount_wei });
    }

    /// A job on an input of the model.
    pub(crate) fn job(&mut self, input: u64, stake_wei: u128) -> JobId {
        self.job_of(Who::Client, input, stake_wei)
    }

    /// A job that somebody posts.
    pub(crate) fn job_of(&mut self, poster: Who, input: u64, stake_wei: u128) -> JobId {
        let terms = JobTerms {
            model_root: model().root(),
            input_root: honest(input).trace().state_roots()[0],
            profile: Profile::StrictF32,
            executor: self.named,
            fee_wei: ETHER / 100,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei,
            window_ms: self.window_ms,
            open_ms: OPEN_MS,
            attention_wei: 0,
            salt: self.settlement.jobs().count() as u64,
        };
        self.does(poster, &Action::PostJob { terms: terms.clone() });
        job_id(poster.address(), &terms)
    }

    /// A claim of a run, told apart from others of the same account and run by its salt.
    pub(crate) fn claim_salted(&mut self, who: Who, job: JobId, run: &Run, salt: u64) -> ClaimId {
        let mut statement = statement_of(job, model().root(), run.trace()).unwrap();
        statement.terms.salt = salt;
        let claim = claim_id(who.address(), &statement.terms);
        self.does(who, &Action::PostClaim { statement });
        claim
    }

    pub(crate) fn claim(&mut self, who: Who, job: JobId, run: &Run) -> ClaimId {
        self.claim_salted(who, job, run, 0)
    }

    pub(crate) fn challenge(&mut self, who: Who, claim: ClaimId) {
        self.does(who, &Action::Challenge { claim });
    }

    /// An account beside the named ones, with money and a challenge of a claim.
    pub(crate) fn crowd(&mut self, number: u8, claim: ClaimId) -> Key {
        let key = Key::from_secret(&[100 + number; 32]).unwrap();
        let account = key.address();
        self.does(Who::Bank, &Action::Deposit { account, amount_wei: ETHER });
        self.signed(&key, &Action::Challenge { claim });
        key
    }

    /// Does what somebody beside the named ones signs.
    pub(crate) fn signed(&mut self, key: &Key, action: &Action) {
        let nonce = self.settlement.nonce(&key.address());
        let signed = key.sign(&self.settlement.domain(), nonce, action);
        let outcome = self.settlement.apply(self.now_ms, &signed);
        outcome.unwrap_or_else(|rejection| panic!("{action:?}: {rejection}"));
    }

    pub(crate) fn view(&self) -> View {
        View { height: 0, now_ms: self.now_ms, settlement: Arc::new(self.settlement.clone()) }
    }
}
