//! Each kind of refutation: what it convicts, what it finds sound, and what it cannot be built on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol::asks::{
    Context, Evidence, Finding, OperandProof, Proven, RefereeError, Refutation, Showing, Tree,
    judge,
};
use protocol::graph::{
    CommittedGraph, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand, Operator,
    Profile,
};
use protocol::hash::{Digest, leaf};
use protocol::merkle::ListTree;
use protocol::roots::{state_tree, subtrace_tree, trace_tree};
use protocol::tensor::{ElementType, LeafBytes, Shape, TensorType, pack_leaf};
use protocol::transaction::{RunLength, Statement};
use protocol::{JobId, Keccak};
use std::collections::BTreeMap;

const NEGATIVE_ZERO: u32 = 0x8000_0000;

fn number() -> TensorType {
    TensorType { element: ElementType::F32, shape: Shape::new(&[1]).unwrap() }
}

fn bytes(value: f32) -> LeafBytes {
    pack_leaf(ElementType::F32, [u64::from(value.to_bits())])
}

fn root(value: f32) -> Digest {
    number().root(&leaf(&bytes(value)))
}

fn words(value: f32) -> Vec<u64> {
    vec![u64::from(value.to_bits())]
}

/// `x + (−x)` in two layers: values 0 is x, 1 an unused weight, 2 is −x, 3 the sum. The first layer
/// hands x on.
fn model() -> (Graph, CommittedGraph) {
    let operand = |value| Operand { value, kind: number() };
    let map = |function, operands| Node {
        operator: Operator::Map { function },
        operands,
        output: number(),
    };
    let nodes = vec![
        map(MapFunction::Negate, vec![operand(0)]),
        map(MapFunction::Add, vec![operand(0), operand(2)]),
    ];
    let layer = |first_operator, live_in: &[u32], live_out: &[u32]| Layer {
        first_operator,
        operator_count: 1,
        live_in: live_in.to_vec(),
        live_out: live_out.to_vec(),
    };
    let layers = vec![layer(0, &[0], &[0, 2]), layer(1, &[0, 2], &[3])];
    let graph = Graph {
        inputs: vec![number()],
        weights: vec![number()],
        nodes,
        layers,
        ..Graph::default()
    };
    let committed = graph.commit(&[root(0.0)], Profile::StrictF32).unwrap();
    (graph, committed)
}

/// A claimed run: the middle state as (value, number), and what the operators wrote.
struct Claim {
    middle: Vec<(u32, f32)>,
    outputs: [f32; 2],
}

impl Claim {
    fn honest() -> Self {
        Self { middle: vec![(0, 1.0), (2, -1.0)], outputs: [-1.0, 0.0] }
    }

    fn states(&self) -> [Vec<(u32, Digest)>; 3] {
        [vec![(0, 1.0)], self.middle.clone(), vec![(3, self.outputs[1])]]
            .map(|values| values.into_iter().map(|(id, value)| (id, root(value))).collect())
    }

    fn trees(&self) -> [ListTree; 3] {
        self.states().map(|values| state_tree(values).unwrap())
    }

    /// Everything that can be shown of the model, the states and what the operators wrote.
    fn showings(&self) -> Vec<Showing> {
        let (graph, committed) = model();
        let trees = self.trees();
        let roots: Vec<Digest> = trees.iter().map(ListTree::root).collect();
        let trace: ListTree = trace_tree(&roots).unwrap();
        let (iteration, path) = (0, Vec::new());
        let mut all = vec![
            Showing::SequenceLeaf { iteration, root: trace.root(), path },
            Showing::TraceLeaf {
                iteration,
                boundary: 1,
                root: roots[1],
                path: trace.path(1).unwrap(),
            },
        ];
        for (index, (layer, node)) in (0u32..).zip(graph.layers.into_iter().zip(graph.nodes)) {
            let path = committed.layers.path(u64::from(index)).unwrap();
            all.push(Showing::Layer { proof: LayerProof { index, layer, path } });
            let path = committed.nodes.path(u64::from(index)).unwrap();
            all.push(Showing::Operator { proof: NodeProof { index, node, path } });
        }
        for (boundary, (values, tree)) in (0u32..).zip(self.states().into_iter().zip(&trees)) {
            for (position, (value, root)) in (0u32..).zip(values) {
                let path = tree.path(u64::from(position)).unwrap();
                all.push(Showing::StateLeaf { iteration, boundary, position, value, root, path });
            }
        }
        for (layer, output) in (0u32..).zip(self.outputs) {
            let (root, bytes, position) = (root(output), bytes(output), 0);
            let (operator, leaf) = (layer, 0);
            let path = Vec::new();
            all.push(Showing::SubtraceLeaf { iteration, layer, position, root, path });
            let path = Vec::new();
            all.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        }
        all
    }

    /// What the referee says when these are shown.
    fn judged(
        &self,
        showings: &[Showing],
        refutation: &Refutation,
    ) -> Result<Finding, RefereeError> {
        let header = model().1.header;
        let roots: Vec<Digest> = self.trees().iter().map(ListTree::root).collect();
        let job = JobId::default();
        let terms = Statement::of_run::<Keccak>(job, header.root(), &roots).unwrap().terms;
        // Both layers' insides were said.
        let inside = |layer: u32| {
            let tree: ListTree = subtrace_tree(&[root(self.outputs[layer as usize])]).unwrap();
            (Tree::Subtrace { iteration: 0, layer }, tree.root())
        };
        let said = BTreeMap::from([inside(0), inside(1)]);
        let (terms, header) = (&terms, &header);
        let length = RunLength::exactly(1);
        let context = Context { terms, header, length, said: &said, from: None, arity_log2: 4 };
        let proven = Proven::new::<Keccak>(context, showings).unwrap();
        judge::<Keccak>(&proven, refutation)
    }

    /// What the referee says when everything is shown.
    fn judge(&self, refutation: &Refutation) -> Result<Finding, RefereeError> {
        self.judged(&self.showings(), refutation)
    }
}

/// An operand of one leaf.
fn operand(value: f32, path: Vec<Digest>) -> OperandProof {
    operand_of(root(value), bytes(value), path)
}

fn operand_of(root: Digest, bytes: LeafBytes, path: Vec<Digest>) -> OperandProof {
    let (positions, leaves, siblings) = (vec![0], vec![bytes], Vec::new());
    OperandProof { root, path, positions, leaves, siblings }
}

/// A step of the operator of a layer.
fn step(layer: u32, element: u64, operands: Vec<OperandProof>) -> Refutation {
    Refutation::Step {
        iteration: 0,
        layer,
        operator: layer,
        element,
        segment: 0,
        operands: (0u8..).zip(operands).collect(),
        states: Vec::new(),
    }
}

fn negation(operands: Vec<OperandProof>) -> Refutation {
    step(0, 0, operands)
}

fn binding(layer: u32, operator: u32) -> Refutation {
    Refutation::Binding { iteration: 0, layer, operator }
}

fn carry(layer: u32, value: u32) -> Refutation {
    Refutation::Carry { iteration: 0, layer, value }
}

fn state_value(boundary: u32, position: u32) -> Refutation {
    Refutation::StateValue { iteration: 0, boundary, position }
}

fn leaf_of(operator: u32, leaf: u64) -> Refutation {
    Refutation::Leaf { iteration: 0, operator, leaf }
}

/// The second operator's step, with its operands from the middle state.
fn sum(claim: &Claim) -> Refutation {
    let [_, middle, _] = claim.trees();
    let operands = (0u64..)
        .zip(&claim.middle)
        .map(|(place, (_, value))| operand(*value, middle.path(place).unwrap()));
    step(1, 0, operands.collect())
}

#[test]
fn nothing_refutes_an_honest_run() {
    let claim = Claim::honest();
    for refutation in [
        negation(vec![operand(1.0, Vec::new())]),
        sum(&claim),
        binding(0, 0),
        binding(1, 1),
        carry(0, 0),
        state_value(0, 0),
        state_value(1, 1),
        state_value(2, 0),
        leaf_of(0, 0),
    ] {
        assert_eq!(claim.judge(&refutation), Ok(Finding::Sound), "{refutation:?}");
    }
}

#[test]
fn a_wrong_result_is_convicted_by_its_step() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 1.0)], outputs: [1.0, 2.0] };
    let evidence = Evidence::Step {
        iteration: 0,
        operator: 0,
        element: 0,
        segment: 0,
        claimed: words(1.0),
        expected: Some(words(-1.0)),
        multiply_adds: 1,
    };
    let refutation = negation(vec![operand(1.0, Vec::new())]);
    assert_eq!(claim.judge(&refutation), Ok(Finding::Fraud(evidence)));
    // What follows from the wrong result is right by itself.
    assert_eq!(claim.judge(&sum(&claim)), Ok(Finding::Sound));
}

#[test]
fn a_state_that_is_not_what_the_layer_wrote_or_took_over_is_a_contradiction() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 5.0)], ..Claim::honest() };
    let (iteration, claimed, expected) = (0, root(5.0), root(-1.0));
    let contradiction = Evidence::Contradiction { iteration, value: 2, claimed, expected };
    assert_eq!(claim.judge(&binding(0, 0)), Ok(Finding::Fraud(contradiction)));
    let claim = Claim { middle: vec![(0, 7.0), (2, -1.0)], ..Claim::honest() };
    let (claimed, expected) = (root(7.0), root(1.0));
    let contradiction = Evidence::Contradiction { iteration, value: 0, claimed, expected };
    assert_eq!(claim.judge(&carry(0, 0)), Ok(Finding::Fraud(contradiction)));
}

#[test]
fn a_state_of_other_values_than_the_models_is_convicted() {
    let claim = Claim { middle: vec![(0, 1.0), (3, -1.0)], ..Claim::honest() };
    let evidence = Evidence::StateValue { iteration: 0, boundary: 1, claimed: 3, expected: 2 };
    assert_eq!(claim.judge(&state_value(1, 1)), Ok(Finding::Fraud(evidence)));
    // Where another value stands, the value of the model is not shown.
    assert_eq!(claim.judge(&binding(0, 0)), Err(RefereeError::NotShown));
}

#[test]
fn a_leaf_of_bits_that_are_never_stored_is_convicted() {
    let foreign = f32::from_bits(NEGATIVE_ZERO);
    let claim = Claim { outputs: [-1.0, foreign], ..Claim::honest() };
    let evidence = Evidence::Leaf { iteration: 0, operator: 1, leaf: 0 };
    assert_eq!(claim.judge(&leaf_of(1, 0)), Ok(Finding::Fraud(evidence)));
}

#[test]
fn what_is_not_shown_or_not_of_the_claim_decides_nothing() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 1.0)], outputs: [1.0, 2.0] };
    let good = negation(vec![operand(1.0, Vec::new())]);
    for refutation in [good.clone(), binding(0, 0), carry(0, 0), state_value(1, 0), leaf_of(0, 0)] {
        let found = claim.judged(&[], &refutation);
        assert_eq!(found, Err(RefereeError::NotShown), "{refutation:?}");
    }
    let bad = RefereeError::BadOperand { operand: 0 };
    let mut leafless = operand(1.0, Vec::new());
    leafless.leaves.clear();
    let mut other_leaf = operand(1.0, Vec::new());
    other_leaf.leaves[0] = bytes(3.0);
    let mut of_nothing = operand(1.0, Vec::new());
    of_nothing.positions.clear();
    of_nothing.leaves.clear();
    let mut siblings = operand(1.0, Vec::new());
    siblings.siblings.push(Digest::default());
    let missing = RefereeError::MissingLeaf { operand: 0 };
    let at = |iteration: u32| match good.clone() {
        Refutation::Step { layer, operator, element, segment, operands, states, .. } => {
            Refutation::Step { iteration, layer, operator, element, segment, operands, states }
        }
        other => other,
    };
    for (refutation, error) in [
        // Another input, another leaf of the right input, a path that is too long.
        (negation(vec![operand(3.0, Vec::new())]), bad),
        (negation(vec![other_leaf]), bad),
        (negation(vec![operand(1.0, vec![Digest::default()])]), bad),
        // A position without its leaf, a sibling that belongs to nothing, no leaf, no operand.
        (negation(vec![leafless]), bad),
        (negation(vec![siblings]), bad),
        (negation(vec![of_nothing]), bad),
        (negation(Vec::new()), missing),
        // More than there are.
        (negation(vec![operand(1.0, Vec::new()); 2]), RefereeError::OutOfRange),
        (step(0, 1, Vec::new()), RefereeError::OutOfRange),
        (at(1), RefereeError::OutOfRange),
        (binding(0, 1), RefereeError::OutOfRange),
        (carry(0, 2), RefereeError::OutOfRange),
        (carry(u32::MAX, 2), RefereeError::NotShown),
        (state_value(1, 2), RefereeError::NotShown),
        (leaf_of(0, 1), RefereeError::NotShown),
    ] {
        assert_eq!(claim.judge(&refutation), Err(error), "{refutation:?}");
    }
    assert!(matches!(claim.judge(&good), Ok(Finding::Fraud(_))));
}

/// What is shown serves in one transaction: each piece that a refutation needs, left out, makes it decide
/// nothing, and never another way.
#[test]
fn whatever_is_left_out_of_what_is_shown_convicts_nobody_else() {
    let honest = Claim::honest();
    let lie = Claim { middle: vec![(0, 1.0), (2, 1.0)], outputs: [1.0, 2.0] };
    let of = |claim: &Claim| {
        [negation(vec![operand(1.0, Vec::new())]), sum(claim), binding(0, 0), carry(0, 0)]
    };
    let mut needed = 0;
    for (claim, honest) in [(&honest, true), (&lie, false)] {
        for refutation in of(claim) {
            let whole = claim.judge(&refutation);
            for missing in 0..claim.showings().len() {
                let mut fewer = claim.showings();
                let left_out = fewer.remove(missing);
                // What builds on it is left out as well.
                fewer.retain(|showing| !builds_on(showing, &left_out));
                let found = claim.judged(&fewer, &refutation);
                assert!(found == whole || found.is_err(), "{left_out:?}: {found:?}");
                assert!(!honest || !matches!(found, Ok(Finding::Fraud(_))));
                needed += usize::from(found != whole);
            }
        }
    }
    assert!(needed > 20, "{needed}");
}

/// Whether a showing is refused when another is not there.
fn builds_on(showing: &Showing, on: &Showing) -> bool {
    match (showing, on) {
        (Showing::TraceLeaf { .. }, Showing::SequenceLeaf { .. }) => true,
        (
            Showing::StateLeaf { boundary: 1, .. },
            Showing::SequenceLeaf { .. } | Showing::TraceLeaf { .. },
        ) => true,
        // The middle state's values are those that the second layer takes, or the first leaves.
        (Showing::StateLeaf { boundary: 0, .. }, Showing::Layer { proof }) => proof.index == 0,
        (Showing::StateLeaf { boundary: 2, .. }, Showing::Layer { proof }) => proof.index == 1,
        (Showing::SubtraceLeaf { layer, .. }, Showing::Layer { proof }) => *layer == proof.index,
        (Showing::TensorLeaf { operator, .. }, Showing::Layer { proof }) => {
            *operator == proof.index
        }
        (Showing::TensorLeaf { operator, .. }, Showing::Operator { proof }) => {
            *operator == proof.index
        }
        (Showing::TensorLeaf { operator, .. }, Showing::SubtraceLeaf { layer, .. }) => {
            operator == layer
        }
        _ => false,
    }
}

/// A row of which an integer chooses an element: value 0 is the integer, 1 the row, 2 what is chosen.
#[test]
fn a_step_without_a_result_is_convicted_whatever_is_claimed_and_shown_of_it() {
    let kind = |element, dimensions: &[u64]| TensorType {
        element,
        shape: Shape::new(dimensions).unwrap(),
    };
    let (index, row) = (kind(ElementType::I64, &[1]), kind(ElementType::F32, &[4]));
    let operands =
        vec![Operand { value: 1, kind: row.clone() }, Operand { value: 0, kind: index.clone() }];
    let (operator, output) = (Operator::Gather { axis: 0 }, number());
    let node = Node { operator, operands, output };
    let (live_in, live_out) = (vec![0], vec![2]);
    let layer = Layer { first_operator: 0, operator_count: 1, live_in, live_out };
    let numbers = pack_leaf(ElementType::F32, [0u64; 4]);
    let row_root = row.root(&leaf(&numbers));
    let (nodes, layers) = (vec![node.clone()], vec![layer.clone()]);
    let graph = Graph {
        inputs: vec![index.clone()],
        weights: vec![row],
        nodes,
        layers,
        ..Graph::default()
    };
    let committed: CommittedGraph = graph.commit(&[row_root], Profile::StrictF32).unwrap();
    let header = &committed.header;
    for (chosen, has_result) in
        [(0u64, true), (u64::MAX, true), (4, false), (1 << 63, false), (u64::MAX - 4, false)]
    {
        let number_leaf = pack_leaf(ElementType::I64, [chosen]);
        let index_root = index.root(&leaf(&number_leaf));
        let states: [ListTree; 2] =
            [state_tree([(0, index_root)]).unwrap(), state_tree([(2, root(0.0))]).unwrap()];
        let roots = states.map(|tree| tree.root());
        let job = JobId::default();
        let terms = Statement::of_run::<Keccak>(job, header.root(), &roots).unwrap().terms;
        let said = BTreeMap::new();
        let (terms, length) = (&terms, RunLength::exactly(1));
        let context = Context { terms, header, length, said: &said, from: None, arity_log2: 4 };
        // Not even the root of what the layer wrote is shown.
        let showings = [
            Showing::Layer { proof: LayerProof { index: 0, layer: layer.clone(), path: vec![] } },
            Showing::Operator { proof: NodeProof { index: 0, node: node.clone(), path: vec![] } },
        ];
        let proven = Proven::new::<Keccak>(context, &showings).unwrap();
        let operand = |root, bytes| operand_of(root, bytes, Vec::new());
        let (row, index) = ((0, operand(row_root, numbers)), (1, operand(index_root, number_leaf)));
        let with = |operands| Refutation::Step {
            iteration: 0,
            layer: 0,
            operator: 0,
            element: 0,
            segment: 0,
            operands,
            states: Vec::new(),
        };
        let judged = |operands| judge::<Keccak>(&proven, &with(operands));
        if has_result {
            // Where there is one, what is claimed must be shown.
            assert_eq!(judged(vec![row, index]), Err(RefereeError::NotShown), "{chosen}");
            continue;
        }
        let evidence = Evidence::Step {
            iteration: 0,
            operator: 0,
            element: 0,
            segment: 0,
            claimed: Vec::new(),
            expected: None,
            multiply_adds: 1,
        };
        assert_eq!(judged(vec![index.clone()]), Ok(Finding::Fraud(evidence)), "{chosen}");
        // The row is not read, so that it must be left out; the index is, so that it must be there.
        let unread = RefereeError::UnreadOperand { operand: 0 };
        assert_eq!(judged(vec![row.clone(), index]), Err(unread));
        assert_eq!(judged(vec![row]), Err(RefereeError::MissingLeaf { operand: 1 }));
    }
}
