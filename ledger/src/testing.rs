//! What the tests of this crate share: a ledger's state with jobs, claims and challenges of a model that
//! nobody runs.

use protocol::asks::{Ask, Place, Refutation, Showing, Tree, TreeKind};
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Digest, Keccak, leaf};
use protocol::ids::{ClaimId, JobId};
use protocol::merkle::ListTree;
use protocol::roots::{batch_tree, sequence_tree, trace_tree};
use protocol::settlement::{
    Challenge, ETHER, Event, Genesis, Parameters, Settlement, challenge_id, claim_id, job_id,
};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms, RunRoots, Statement};

pub(crate) const BANK: Address = Address([1; 20]);
pub(crate) const POSTER: Address = Address([2; 20]);
pub(crate) const EXECUTOR: Address = Address([3; 20]);
pub(crate) const CHALLENGER: Address = Address([4; 20]);
pub(crate) const SECOND: Address = Address([5; 20]);
/// Has money and no part in anything.
pub(crate) const STRANGER: Address = Address([6; 20]);

/// The first thing that can be asked of a claim with this sequence root.
pub(crate) fn asked(hash: Digest) -> Ask {
    let (tree, kind) = (Tree::Sequence {}, TreeKind::List { count: 1 });
    Ask::Open { place: Place { tree, kind, depth: 0, index: 0, hash } }
}

/// Time in which a job takes claims.
pub(crate) const OPEN_MS: u64 = 600_000;

pub(crate) fn header() -> ModelHeader {
    ModelHeader {
        graph_root: leaf(b"graph"),
        weights_root: leaf(b"weights"),
        layers_root: leaf(b"layers"),
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

pub(crate) fn input_root() -> Digest {
    leaf(b"input")
}

/// The claim of a run with this output.
pub(crate) fn statement(job: JobId, output: &[u8]) -> Statement {
    let states = [input_root(), leaf(output)];
    Statement::of_run::<Keccak>(job, header().root(), &states).unwrap()
}

/// Input and output of each iteration of a false claim on a batch.
const BATCH: [(&[u8], &[u8]); 2] = [(b"input", b"output"), (b"lie", b"output")];

/// A state of a ledger whose time passes by hand. Everybody but the bank has money.
#[derive(Clone, Debug)]
pub(crate) struct Court {
    pub(crate) settlement: Settlement,
    pub(crate) now_ms: u64,
}

impl Court {
    pub(crate) fn new() -> Self {
        let (salt, parameters) = (leaf(b"salt"), Parameters::default());
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 1_000, bank: BANK, parameters };
        let settlement = Settlement::new(genesis).unwrap();
        let mut court = Self { settlement, now_ms: 1_000 };
        for account in [POSTER, EXECUTOR, CHALLENGER, SECOND, STRANGER] {
            court.does(BANK, &Action::Deposit { account, amount_wei: 1_000 * ETHER });
        }
        court.does(POSTER, &Action::RegisterModel { header: header() });
        court
    }

    pub(crate) fn does(&mut self, sender: Address, action: &Action) -> Vec<Event> {
        let outcome = self.settlement.perform(self.now_ms, sender, 0, action);
        outcome.unwrap_or_else(|rejection| panic!("{sender} {action:?}: {rejection}"))
    }

    fn terms(&self, attention_wei: u128) -> JobTerms {
        let parameters = self.settlement.parameters();
        JobTerms {
            model_root: header().root(),
            input_root: input_root(),
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: ETHER / 100,
            fee_iteration_wei: 0,
            iterations_max: 1,
            may_cut: false,
            stake_wei: ETHER,
            window_ms: parameters.window_ms_of(1),
            open_ms: OPEN_MS,
            attention_wei,
            salt: self.settlement.jobs().count() as u64,
        }
    }

    pub(crate) fn job(&mut self, attention_wei: u128) -> JobId {
        let terms = self.terms(attention_wei);
        self.does(POSTER, &Action::PostJob { terms: terms.clone() });
        job_id(POSTER, &terms)
    }

    /// A claim on a batch of two inputs whose second iteration begins with another, and its job.
    pub(crate) fn false_batch(&mut self) -> (JobId, ClaimId) {
        let entries = [input_root(), leaf(b"second")];
        let mut terms = self.terms(0);
        terms.input_root = batch_tree::<Keccak>(&entries).unwrap().root();
        terms.window_ms = self.settlement.parameters().window_ms_of(2);
        (terms.iterations_max, terms.fee_iteration_wei) = (2, 7);
        self.does(POSTER, &Action::PostJob { terms: terms.clone() });
        let job = job_id(POSTER, &terms);
        let states = BATCH.map(|(input, output)| [leaf(input), leaf(output)]);
        let traces = states.map(|states| trace_tree::<Keccak>(&states).unwrap().root());
        let [first_states, last_states] = &states;
        let roots = RunRoots { traces: &traces, first_states, last_states, entries: &entries };
        let statement = Statement::of_sequence::<Keccak>(job, header().root(), roots).unwrap();
        let claim = claim_id(EXECUTOR, &statement.terms);
        self.does(EXECUTOR, &Action::PostClaim { statement });
        (job, claim)
    }

    /// What convicts a claim of [`Court::false_batch`].
    pub(crate) fn refuted_entry(&self, claim: ClaimId) -> Action {
        let states = BATCH.map(|(input, output)| [leaf(input), leaf(output)]);
        let trees = states.map(|states| trace_tree::<Keccak>(&states).unwrap());
        let [first, second] = trees.each_ref().map(ListTree::root);
        let sequence = sequence_tree::<Keccak>(&[first, second]).unwrap();
        let batch = batch_tree::<Keccak>(&[input_root(), leaf(b"second")]).unwrap();
        let path = |tree: &ListTree, at: u64| tree.path(at).unwrap();
        let (iteration, boundary) = (1, 0);
        let showings = vec![
            Showing::SequenceLeaf { iteration, root: second, path: path(&sequence, 1) },
            Showing::TraceLeaf {
                iteration,
                boundary,
                root: leaf(b"lie"),
                path: path(&trees[1], 0),
            },
            Showing::Entry { iteration, root: leaf(b"second"), path: path(&batch, 1) },
        ];
        let refutation = Refutation::Entry { iteration };
        Action::Refute { claim, challenger: CHALLENGER, showings, refutation, from: None }
    }

    pub(crate) fn claim(&mut self, job: JobId, output: &[u8]) -> ClaimId {
        let statement = statement(job, output);
        let claim = claim_id(EXECUTOR, &statement.terms);
        self.does(EXECUTOR, &Action::PostClaim { statement });
        claim
    }

    pub(crate) fn demand(&mut self, challenger: Address, claim: ClaimId) {
        let (showings, path) = (Vec::new(), Vec::new());
        let hash = self.settlement.claim(&claim).unwrap().terms.sequence_root;
        let demand = Action::Demand { claim, showings, ask: asked(hash), path, from: None };
        self.does(challenger, &demand);
    }

    /// Lets a claim fall because the first of these challengers got no answer; the others wait too.
    pub(crate) fn fall(&mut self, claim: ClaimId, challengers: &[Address]) {
        for challenger in challengers {
            self.does(*challenger, &Action::Challenge { claim });
            self.demand(*challenger, claim);
        }
        self.now_ms += self.settlement.parameters().executor_clock_ms + 1;
        self.does(STRANGER, &Action::CallTime { claim, challenger: challengers[0] });
    }

    pub(crate) fn challenge(&self, claim: ClaimId, challenger: Address) -> &Challenge {
        self.settlement.challenge(&challenge_id(claim, challenger)).unwrap()
    }
}
