//! The law of Rebut: commitments, the scalar meaning of every operator, the referee and the
//! settlement state machine.
//!
//! The crate knows no clock, thread, file, socket or float unit: time and bytes come in as
//! arguments, decisions go out as values, and every input, however hostile, ends in a value or a
//! typed error. It is `no_std` with `alloc`.
//!
//! # Order of calls
//!
//! 1. **Perform.** [`Settlement::new`] makes a ledger from its [`Genesis`]. Each signed action goes to
//!    [`Settlement::apply`] with the time at which it arrived; where senders and their order are known
//!    otherwise, [`Settlement::perform`] takes the bare [`Action`]. An accepted action gives its [`Event`]s, a refused
//!    one a [`Rejection`], which changes nothing and whose [`Severity`] says whether trying again can help.
//! 2. **View.** [`Settlement::claim`], [`Settlement::challenge`] and the others read the state. A claim
//!    carries its [`Knowledge`]: everything that was shown and answered so far. A challenger compares it with
//!    its own run, demands the next opening, and goes on until one step can be checked by itself. The
//!    settlement itself does not read it: every transaction proves what it builds on, by its [`Showing`]s.
//! 3. **Judge.** [`judge`] recomputes that step from committed operands by the [`law`] and returns a
//!    [`Finding`]. It reads what is [`Proven`](asks::Proven) and changes nothing, so a challenger asks it
//!    before it sends [`Action::Refute`], upon which the settlement asks the same function.
//!
//! ```
//! use protocol::asks::{OperandProof, Place, Proven, Tree, TreeKind};
//! use protocol::graph::{
//!     Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand, Operator, Profile,
//! };
//! use protocol::hash::leaf;
//! use protocol::roots::state_tree;
//! use protocol::settlement::{ClaimStatus, ETHER, claim_id, job_id};
//! use protocol::tensor::{ElementType, Shape, TensorType, pack_leaf};
//! use protocol::transaction::{JobTerms, Statement};
//! use protocol::{
//!     Action, Address, Answer, Ask, Digest, Evidence, Finding, Genesis, Keccak, Parameters,
//!     Refutation, Settlement, Showing, judge,
//! };
//!
//! // A model of one operator: the negative of its input. Value 0 is the input, 1 a weight that nothing
//! // reads, 2 the output.
//! let number = TensorType { element: ElementType::F32, shape: Shape::new(&[1]).unwrap() };
//! let bytes = |value: f32| pack_leaf(ElementType::F32, [u64::from(value.to_bits())]);
//! let root = |value: f32| number.root(&leaf(&bytes(value)));
//! let operator = Operator::Map { function: MapFunction::Negate };
//! let operands = vec![Operand { value: 0, kind: number.clone() }];
//! let node = Node { operator, operands, output: number.clone() };
//! let layer = Layer { first_operator: 0, operator_count: 1, live_in: vec![0], live_out: vec![2] };
//! let graph = Graph {
//!     inputs: vec![number.clone()],
//!     weights: vec![number.clone()],
//!     nodes: vec![node.clone()],
//!     layers: vec![layer.clone()],
//!     ..Graph::default()
//! };
//! let model = graph.commit::<Keccak>(&[root(0.0)], Profile::StrictF32).unwrap();
//!
//! // A run that lies: the negative of 1 is not 1.
//! let input = state_tree::<Keccak>([(0, root(1.0))]).unwrap();
//! let output = state_tree::<Keccak>([(2, root(1.0))]).unwrap();
//!
//! // Perform: money, a model, a job, a claim, a challenge.
//! let [bank, executor, challenger] = [1, 2, 3].map(|account| Address([account; 20]));
//! let parameters = Parameters::default();
//! let genesis = Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank, parameters };
//! let mut ledger: Settlement = Settlement::new(genesis)?;
//! let perform = |ledger: &mut Settlement, sender: Address, action: Action| {
//!     ledger.perform(10, sender, 0, &action)
//! };
//! for account in [bank, executor, challenger] {
//!     perform(&mut ledger, bank, Action::Deposit { account, amount_wei: 2 * ETHER })?;
//! }
//! let model_root = model.header.root();
//! perform(&mut ledger, bank, Action::RegisterModel { header: model.header.clone() })?;
//! let terms = JobTerms {
//!     model_root,
//!     input_root: input.root(),
//!     profile: Profile::StrictF32,
//!     executor: Address::default(),
//!     fee_wei: ETHER / 10,
//!     fee_iteration_wei: 0,
//!     iterations_max: 1,
//!     may_cut: false,
//!     stake_wei: ETHER,
//!     window_ms: 60_000,
//!     open_ms: 3_600_000,
//!     attention_wei: 0,
//!     salt: 0,
//! };
//! let job = job_id(bank, &terms);
//! perform(&mut ledger, bank, Action::PostJob { terms })?;
//! let states = [input.root(), output.root()];
//! let statement = Statement::of_run::<Keccak>(job, model_root, &states).unwrap();
//! let claim = claim_id(executor, &statement.terms);
//! perform(&mut ledger, executor, Action::PostClaim { statement })?;
//! perform(&mut ledger, challenger, Action::Challenge { claim })?;
//!
//! // The challenger shows the layer; the executor must say what was written in it.
//! let challengers = vec![challenger];
//! let shown_layer = Showing::Layer { proof: LayerProof { index: 0, layer, path: Vec::new() } };
//! let inside = Tree::Subtrace { iteration: 0, layer: 0 };
//! let ask = Ask::Say { tree: inside, kind: TreeKind::List { count: 1 } };
//! let (showings, path) = (vec![shown_layer.clone()], Vec::new());
//! let demand = Action::Demand { claim, showings, ask: ask.clone(), path, from: None };
//! perform(&mut ledger, challenger, demand)?;
//! let answer = Answer::Roots { roots: vec![root(1.0)] };
//! let reveal = Action::Reveal { claim, challengers: challengers.clone(), ask, answer };
//! perform(&mut ledger, executor, reveal)?;
//! // Then the bytes: it shows that this root was said, and of which operator it is.
//! let mut showings = vec![
//!     shown_layer,
//!     Showing::Operator { proof: NodeProof { index: 0, node, path: Vec::new() } },
//!     Showing::SubtraceLeaf {
//!         iteration: 0,
//!         layer: 0,
//!         position: 0,
//!         root: root(1.0),
//!         path: Vec::new(),
//!     },
//! ];
//! let tree = Tree::Tensor { iteration: 0, operator: 0 };
//! let kind = TreeKind::Tensor { kind: number.clone() };
//! let ask = Ask::Leaves { place: Place { tree, kind, depth: 0, index: 0, hash: root(1.0) } };
//! let (path, from) = (Vec::new(), None);
//! let demand = Action::Demand { claim, showings: showings.clone(), ask: ask.clone(), path, from };
//! perform(&mut ledger, challenger, demand)?;
//! let answer = Answer::Leaves { leaves: vec![bytes(1.0)] };
//! perform(&mut ledger, executor, Action::Reveal { claim, challengers, ask, answer })?;
//!
//! // View: what the executor answered. Judge: it is not what the law gives.
//! let known = ledger.claim(&claim).unwrap().knowledge.run().unwrap();
//! let leaf = *known.leaf(&tree, 0).unwrap();
//! assert_eq!(leaf, bytes(1.0));
//! showings.push(Showing::TensorLeaf {
//!     iteration: 0,
//!     operator: 0,
//!     leaf: 0,
//!     bytes: leaf,
//!     path: Vec::new(),
//! });
//! let operand = OperandProof {
//!     root: root(1.0),
//!     path: Vec::new(),
//!     positions: vec![0],
//!     leaves: vec![bytes(1.0)],
//!     siblings: Vec::new(),
//! };
//! let refutation = Refutation::Step {
//!     iteration: 0,
//!     layer: 0,
//!     operator: 0,
//!     element: 0,
//!     segment: 0,
//!     operands: vec![(0, operand)],
//!     states: Vec::new(),
//! };
//! let proven = Proven::new::<Keccak>(known.context(None), &showings)?;
//! match judge::<Keccak>(&proven, &refutation)? {
//!     Finding::Fraud(Evidence::Step { expected, .. }) => {
//!         assert_eq!(expected, Some(vec![u64::from((-1f32).to_bits())]));
//!     }
//!     other => panic!("{other:?}"),
//! }
//! let refute = Action::Refute { claim, challenger, showings, refutation, from: None };
//! perform(&mut ledger, challenger, refute)?;
//! assert!(matches!(ledger.claim(&claim).unwrap().status, ClaimStatus::Fallen { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod asks;
pub mod encoding;
mod functions;
pub mod graph;
pub mod hash;
pub mod ids;
pub mod knowledge;
pub mod law;
pub mod merkle;
pub mod numerics;
pub mod persistent;
pub mod roots;
pub mod settlement;
mod severity;
pub mod state_stream;
mod streamed;
pub mod tensor;
pub mod transaction;
pub mod validate;

pub use asks::{Answer, Ask, Evidence, Finding, Refutation, Showing, judge};
pub use encoding::{Canonical, DecodeError};
pub use graph::{Graph, ModelHeader};
pub use hash::{Commitment, Digest, Keccak};
pub use ids::{ChallengeId, ClaimId, JobId, SealedId};
pub use knowledge::Knowledge;
pub use settlement::{Event, Genesis, Parameters, Rejection, Settlement};
pub use severity::Severity;
pub use transaction::{Action, Address, Key, SignedTransaction};
