//! A toy model with its honest run, and a game builder: moves with their expectation inline.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol::facts::{Children, Reveal, Showing};
use protocol::graph::{
    CommittedGraph, Fold, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand,
    Operator, Profile,
};
use protocol::hash::{self, Digest, Keccak};
use protocol::law::{self, Operands};
use protocol::merkle::{ListTree, Tree};
use protocol::roots::{state_tree, subtrace_tree, trace_tree};
use protocol::settlement::{ETHER, Event, Genesis, Parameters, Rejection, Settlement};
use protocol::tensor::{ElementType, Shape, TensorType, pack_leaf};
use protocol::transaction::{Action, Address, ClaimTerms, JobTerms, Key};

/// A tensor of bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Bits(pub TensorType, pub Vec<u64>);

impl Bits {
    pub fn leaf(&self, position: u64) -> [u8; 256] {
        let (first, count) = self.0.leaf_range(position).unwrap();
        pack_leaf(self.0.element, self.1[first as usize..first as usize + count].iter().copied())
    }

    pub fn tree(&self) -> Tree {
        let shape = self.0.tree_shape().unwrap();
        let leaves: Vec<Digest> = (0..1 << shape.depth())
            .filter(|position| !shape.is_padding(shape.depth(), *position))
            .map(|position| hash::leaf(&self.leaf(position)))
            .collect();
        Tree::new(shape, &leaves).unwrap()
    }

    pub fn root(&self) -> Digest {
        self.0.root(&self.tree().root())
    }
}

struct Held<'a>(Vec<&'a Bits>);

impl Operands for Held<'_> {
    type Error = ();
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0.get(operand).and_then(|bits| bits.1.get(index as usize)).copied().ok_or(())
    }
}

/// `sum((x + w) · w)` in two layers: the addition; the product and the sum.
pub struct Toy {
    pub graph: Graph,
    pub committed: CommittedGraph,
    pub weight: Bits,
}

fn kind(dimensions: &[u64]) -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(dimensions).unwrap() }
}

fn floats(values: &[f32]) -> Vec<u64> {
    values.iter().map(|value| u64::from(value.to_bits())).collect()
}

/// The committed run of the toy, honest or with one bit of one operator's output flipped.
pub struct Run {
    pub states: Vec<ListTree>,
    pub entries: Vec<Vec<(u32, Digest)>>,
    pub outputs: Vec<Bits>,
    pub trace: ListTree,
    pub subtraces: Vec<ListTree>,
}

impl Toy {
    pub fn new() -> Self {
        let row = kind(&[100]);
        let of = |value, kind: &TensorType| Operand { value, kind: kind.clone() };
        let map = |function| Operator::Map { function };
        let node = |operator, operands, output: &TensorType| Node {
            operator,
            operands,
            output: output.clone(),
        };
        let nodes = vec![
            node(map(MapFunction::Add), vec![of(0, &row), of(1, &row)], &row),
            node(map(MapFunction::Multiply), vec![of(2, &row), of(1, &row)], &row),
            node(Operator::Reduce { fold: Fold::Sum }, vec![of(3, &row)], &kind(&[])),
        ];
        let layer = |first_operator, operator_count, live_in: &[u32], live_out: &[u32]| Layer {
            first_operator,
            operator_count,
            live_in: live_in.to_vec(),
            live_out: live_out.to_vec(),
        };
        let layers = vec![layer(0, 1, &[0], &[2]), layer(1, 2, &[2], &[4])];
        let weights: Vec<f32> = (0..100).map(|index| index as f32 * 0.25 - 7.0).collect();
        let weight = Bits(row.clone(), floats(&weights));
        let graph = Graph { inputs: vec![row.clone()], weights: vec![row], nodes, layers };
        let committed = graph.commit(&[weight.root()], Profile::StrictF32).unwrap();
        Self { graph, committed, weight }
    }

    pub fn input(&self) -> Bits {
        let values: Vec<f32> = (0..100).map(|index| 1.0 / (index as f32 + 1.0)).collect();
        Bits(kind(&[100]), floats(&values))
    }

    /// Runs the toy; `flip` flips the lowest bit of an element of an operator's output.
    pub fn run(&self, flip: Option<(usize, usize)>) -> Run {
        let input = self.input();
        let mut outputs: Vec<Bits> = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let operands: Vec<&Bits> = node
                .operands
                .iter()
                .map(|operand| match operand.value {
                    0 => &input,
                    1 => &self.weight,
                    value => &outputs[value as usize - 2],
                })
                .collect();
            let checked = law::check(node).unwrap();
            let mut bits: Vec<u64> = (0..node.output.shape.count())
                .map(|element| law::element(checked, element, &mut Held(operands.clone())).unwrap())
                .collect();
            if let Some((operator, element)) = flip
                && operator == index
            {
                bits[element] ^= 1;
            }
            outputs.push(Bits(node.output.clone(), bits));
        }
        let entries = vec![
            vec![(0, input.root())],
            vec![(2, outputs[0].root())],
            vec![(4, outputs[2].root())],
        ];
        let states: Vec<ListTree> =
            entries.iter().map(|entries| state_tree(entries.iter().copied()).unwrap()).collect();
        let state_roots: Vec<Digest> = states.iter().map(ListTree::root).collect();
        let trace = trace_tree(&state_roots).unwrap();
        let output_roots: Vec<Digest> = outputs.iter().map(Bits::root).collect();
        let (first, second) = output_roots.split_at(1);
        let subtraces = vec![subtrace_tree(first).unwrap(), subtrace_tree(second).unwrap()];
        Run { states, entries, outputs, trace, subtraces }
    }

    pub fn layer(&self, index: u32) -> Showing {
        let layer = self.graph.layers[index as usize].clone();
        let path = self.committed.layers.path(u64::from(index)).unwrap();
        Showing::Layer { proof: LayerProof { index, layer, path } }
    }

    pub fn operator(&self, index: u32) -> Showing {
        let node = self.graph.nodes[index as usize].clone();
        let path = self.committed.nodes.path(u64::from(index)).unwrap();
        Showing::Operator { proof: NodeProof { index, node, path } }
    }
}

impl Run {
    pub fn terms(&self, job: Digest) -> ClaimTerms {
        let state_roots: Vec<Digest> = self.states.iter().map(ListTree::root).collect();
        ClaimTerms::of_run::<Keccak>(job, &state_roots).unwrap()
    }

    pub fn open_trace(&self) -> Reveal {
        let roots = self.states.iter().map(ListTree::root).collect();
        Reveal::Node { children: Children::Roots { roots } }
    }

    pub fn open_subtrace(&self, layer: usize) -> Reveal {
        let operators = if layer == 0 { 0..1 } else { 1..3 };
        let roots = operators.map(|operator| self.outputs[operator].root()).collect();
        let root = self.subtraces[layer].root();
        Reveal::Subtrace { root, children: Children::Roots { roots } }
    }
}

/// Who acts in a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Bank,
    Client,
    Executor,
    Rival,
    Challenger,
    Second,
    Stranger,
}

pub fn key(who: Who) -> Key {
    Key::from_secret(&[who as u8 + 1; 32]).unwrap()
}

pub fn address(who: Who) -> Address {
    key(who).address()
}

/// A settlement with funded parties, a registered toy and a posted job.
pub struct Game {
    pub toy: Toy,
    pub state: Settlement,
    pub now_ms: u64,
    pub job: Digest,
    pub last: Vec<Event>,
}

pub const FUNDS_WEI: u128 = 10 * ETHER;

pub fn genesis() -> Genesis {
    let (salt, begun_ms) = (hash::leaf(b"genesis"), 1_000);
    Genesis {
        chain_id: 7,
        salt,
        begun_ms,
        bank: address(Who::Bank),
        parameters: Parameters::default(),
    }
}

impl Game {
    pub fn new() -> Self {
        let toy = Toy::new();
        let state = Settlement::new(genesis()).unwrap();
        let mut game = Self { toy, state, now_ms: 1_000, job: Digest::default(), last: Vec::new() };
        for who in [Who::Client, Who::Executor, Who::Rival, Who::Challenger, Who::Second] {
            let deposit = Action::Deposit { account: address(who), amount_wei: FUNDS_WEI };
            game = game.accepts(Who::Bank, deposit);
        }
        let header = game.toy.committed.header.clone();
        game = game.accepts(Who::Client, Action::RegisterModel { header });
        let terms = game.job_terms();
        game = game.accepts(Who::Client, Action::PostJob { terms });
        game.job = game
            .last
            .iter()
            .find_map(|event| match event {
                Event::JobPosted { job } => Some(*job),
                _ => None,
            })
            .unwrap();
        game
    }

    pub fn job_terms(&self) -> JobTerms {
        let parameters = Parameters::default();
        JobTerms {
            model_root: self.toy.committed.header.root(),
            input_root: self.toy.run(None).states[0].root(),
            profile: Profile::StrictF32,
            fee_wei: ETHER / 10,
            stake_wei: parameters.stake_wei_min,
            bond_wei: parameters.bond_wei_min,
            window_ms: parameters.window_ms_min,
            attention_wei: 0,
        }
    }

    pub fn send(&mut self, who: Who, action: &Action) -> Result<Vec<Event>, Rejection> {
        let key = key(who);
        let nonce = self.state.nonce(&key.address());
        let signed = key.sign(&self.state.domain(), nonce, action);
        let before = self.state.clone();
        let outcome = self.state.apply(self.now_ms, &signed);
        // After every transition: money conserved, locks accounted for, rejections without trace.
        assert!(self.state.money().is_conserved());
        assert_eq!(self.state.money().locked_wei(), self.state.locked_by_objects_wei());
        if outcome.is_err() {
            assert_eq!(before, self.state, "a rejected transaction changed the state");
        }
        outcome
    }

    pub fn accepts(mut self, who: Who, action: Action) -> Self {
        match self.send(who, &action) {
            Ok(events) => self.last = events,
            Err(rejection) => panic!("{who:?} {action:?}: {rejection}"),
        }
        self
    }

    pub fn rejects(mut self, who: Who, action: Action, expected: Rejection) -> Self {
        assert_eq!(self.send(who, &action), Err(expected), "{who:?} {action:?}");
        self
    }

    pub fn wait(mut self, by_ms: u64) -> Self {
        self.now_ms += by_ms;
        self
    }

    pub fn claims(self, who: Who, run: &Run) -> Self {
        let terms = run.terms(self.job);
        self.accepts(who, Action::PostClaim { terms })
    }

    pub fn challenges(self, who: Who, executor: Who) -> Self {
        let claim = self.claim(executor);
        self.accepts(who, Action::Challenge { claim })
    }

    pub fn claim(&self, executor: Who) -> Digest {
        let mine = address(executor);
        self.state.claims().find(|(_, claim)| claim.executor == mine).map(|(id, _)| *id).unwrap()
    }

    pub fn challenge(&self, who: Who) -> Digest {
        let mine = address(who);
        let mut challenges = self.state.challenges();
        challenges.find(|(_, one)| one.challenger == mine).map(|(id, _)| *id).unwrap()
    }

    pub fn delta(&self, who: Who) -> i128 {
        self.state.money().free_wei(&address(who)) as i128 - FUNDS_WEI as i128
    }
}
