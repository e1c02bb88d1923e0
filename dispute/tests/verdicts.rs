//! Verdicts that follow from the transactions of a ledger alone.

#![allow(clippy::unwrap_used, clippy::panic)]

use dispute::verdict::{IterationPlace, derive};
use ledger::LogEntry;
use protocol::asks::{Ask, Place, Refutation, Showing, Tree, TreeKind};
use protocol::encoding::Canonical as _;
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Digest, Keccak, leaf};
use protocol::ids::ClaimId;
use protocol::merkle::ListTree;
use protocol::roots::{batch_tree, sequence_tree, trace_tree};
use protocol::settlement::{ETHER, Genesis, Parameters, Settlement, claim_id, job_id};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms, Key, RunRoots, Statement};

const RECORD_FEE_WEI: u128 = ETHER / 10_000;

/// A ledger with its log.
struct Court {
    settlement: Settlement,
    entries: Vec<LogEntry>,
    now_ms: u64,
}

fn key(number: u8) -> Key {
    Key::from_secret(&[number; 32]).unwrap()
}

impl Court {
    fn new() -> Self {
        let (salt, parameters) = (leaf(b"salt"), Parameters::default());
        let bank = key(1).address();
        let genesis = Genesis { chain_id: 1, salt, begun_ms: 0, bank, parameters };
        let settlement = Settlement::new(genesis).unwrap();
        let mut court = Self { settlement, entries: Vec::new(), now_ms: 1_000 };
        for number in 2..=6 {
            let account = key(number).address();
            court.does(1, &Action::Deposit { account, amount_wei: 10 * ETHER });
        }
        court
    }

    fn does(&mut self, number: u8, action: &Action) {
        let key = key(number);
        let nonce = self.settlement.nonce(&key.address());
        let signed = key.sign(&self.settlement.domain(), nonce, action);
        self.settlement.apply(self.now_ms, &signed).unwrap();
        let transaction = signed.to_canonical();
        self.entries.push(LogEntry { at_ms: self.now_ms, transaction });
    }

    /// Terms of a job on a model that nobody runs, which becomes known.
    fn terms(&mut self, input_root: Digest, iterations_max: u32) -> JobTerms {
        let root = leaf(b"model");
        let header = ModelHeader {
            graph_root: root,
            weights_root: root,
            layers_root: root,
            operator_count: 1,
            weight_count: 1,
            inputs: vec![TensorType {
                element: ElementType::F32,
                shape: Shape::new(&[1]).unwrap(),
            }],
            layer_count: 1,
            profile: Profile::StrictF32,
            links: Vec::new(),
            stop: None,
            card: Digest::default(),
        };
        let model_root = header.root();
        self.does(2, &Action::RegisterModel { header });
        JobTerms {
            model_root,
            input_root,
            profile: Profile::StrictF32,
            executor: Address::default(),
            fee_wei: 1,
            fee_iteration_wei: 0,
            iterations_max,
            may_cut: false,
            stake_wei: ETHER,
            window_ms: self.settlement.parameters().window_ms_of(iterations_max),
            open_ms: 600_000,
            attention_wei: 0,
            salt: 0,
        }
    }

    /// A claim of account 3 on a job of account 2.
    fn claim(&mut self) -> ClaimId {
        let states = [leaf(b"input"), leaf(b"output")];
        let terms = self.terms(states[0], 1);
        let (job, model_root) = (job_id(key(2).address(), &terms), terms.model_root);
        self.does(2, &Action::PostJob { terms });
        let statement = Statement::of_run::<Keccak>(job, model_root, &states).unwrap();
        let claim = claim_id(key(3).address(), &statement.terms);
        self.does(3, &Action::PostClaim { statement });
        claim
    }

    /// The same on a batch of two inputs; the second iteration begins with another.
    fn false_batch(&mut self) -> ClaimId {
        let entries = [leaf(b"input"), leaf(b"second")];
        let input_root = batch_tree::<Keccak>(&entries).unwrap().root();
        let terms = self.terms(input_root, 2);
        let (job, model_root) = (job_id(key(2).address(), &terms), terms.model_root);
        self.does(2, &Action::PostJob { terms });
        let states = [[entries[0], leaf(b"output")], [leaf(b"lie"), leaf(b"output")]];
        let traces = states.map(|states| trace_tree::<Keccak>(&states).unwrap().root());
        let [first_states, last_states] = &states;
        let roots = RunRoots { traces: &traces, first_states, last_states, entries: &entries };
        let statement = Statement::of_sequence::<Keccak>(job, model_root, roots).unwrap();
        let claim = claim_id(key(3).address(), &statement.terms);
        self.does(3, &Action::PostClaim { statement });
        claim
    }

    /// What account 4 says against that.
    fn refute_entry(&mut self, claim: ClaimId) {
        let (iteration, boundary) = (1, 0);
        let states = [["input", "output"], ["lie", "output"]]
            .map(|states| states.map(|state| leaf(state.as_bytes())));
        let [first, second] = states.map(|states| trace_tree::<Keccak>(&states).unwrap());
        let sequence = sequence_tree::<Keccak>(&[first.root(), second.root()]).unwrap();
        let batch = batch_tree::<Keccak>(&[leaf(b"input"), leaf(b"second")]).unwrap();
        let path = |tree: &ListTree, at: u64| tree.path(at).unwrap();
        let showings = vec![
            Showing::SequenceLeaf { iteration, root: second.root(), path: path(&sequence, 1) },
            Showing::TraceLeaf { iteration, boundary, root: leaf(b"lie"), path: path(&second, 0) },
            Showing::Entry { iteration, root: leaf(b"second"), path: path(&batch, 1) },
        ];
        let (challenger, refutation) = (key(4).address(), Refutation::Entry { iteration });
        self.does(4, &Action::Refute { claim, challenger, showings, refutation, from: None });
    }

    /// Demands the first thing that can be demanded of every claim.
    fn demand(&mut self, challenger: u8, claim: ClaimId) {
        let root = self.settlement.claim(&claim).unwrap().terms.sequence_root;
        let (tree, kind) = (Tree::Sequence {}, TreeKind::List { count: 1 });
        let ask = Ask::Open { place: Place { tree, kind, depth: 0, index: 0, hash: root } };
        let (showings, path) = (Vec::new(), Vec::new());
        self.does(challenger, &Action::Demand { claim, showings, ask, path, from: None });
    }
}

#[test]
fn a_verdict_counts_what_is_collected_after_the_fall_as_the_claims_own() {
    let mut court = Court::new();
    let claim = court.claim();
    for challenger in [4, 5] {
        court.does(challenger, &Action::Challenge { claim });
        court.demand(challenger, claim);
        court.now_ms += 10;
    }
    let open = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!((open.verdict.as_str(), open.rounds, open.transactions), ("open", 2, 5));
    court.now_ms += court.settlement.parameters().executor_clock_ms;
    court.does(6, &Action::CallTime { claim, challenger: key(4).address() });
    let fallen = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    let found = (fallen.verdict.as_str(), fallen.reason.as_str(), fallen.transactions);
    assert_eq!(found, ("fraud", "silence", 6));
    assert_eq!(fallen.challenger, Some(key(4).address().to_string()));
    court.does(6, &Action::Collect { claim, challenger: key(5).address() });
    // Another transaction of a party moves nothing of the claim's.
    court.does(4, &Action::Withdraw { amount_wei: ETHER });
    let end = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!(end.transactions, 7);
    let wei = |amount_wei: u128| i128::try_from(amount_wei).unwrap();
    assert_eq!(end.money.executor_delta_wei, -wei(ETHER + RECORD_FEE_WEI));
    let gained_wei = court.settlement.money().free_wei(&key(4).address()) - 9 * ETHER;
    assert_eq!(end.money.challenger_delta_wei, wei(gained_wei));
    // All that the stake did not pay is burned, and so are the records of the claim and its challenges.
    let paid_wei = gained_wei + court.settlement.money().free_wei(&key(5).address()) - 10 * ETHER
        + 2 * RECORD_FEE_WEI;
    assert_eq!(end.money.burned_by_claim_wei, ETHER - paid_wei + 3 * RECORD_FEE_WEI);
    assert!(end.money.conserved && end.money.locked_wei == 1);
}

#[test]
fn a_verdict_names_the_iteration_and_the_entry_that_convicted_a_batch() {
    let mut court = Court::new();
    let claim = court.false_batch();
    court.does(4, &Action::Challenge { claim });
    let open = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!((open.verdict.as_str(), open.iteration), ("open", None));
    court.refute_entry(claim);
    let fallen = derive(court.settlement.genesis(), &court.entries, &claim).unwrap();
    assert_eq!((fallen.verdict.as_str(), fallen.reason.as_str()), ("fraud", "entry"));
    assert_eq!(fallen.iteration, Some(IterationPlace { index: 1, count: 2 }));
    let bits = (fallen.claimed_bits, fallen.true_bits);
    assert_eq!(bits, (Some(leaf(b"lie").to_string()), Some(leaf(b"second").to_string())));
    assert!(fallen.step_proof_bytes > 0);
}
