//! Each kind of refutation: what it convicts, what it finds sound, and what it cannot be built on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol::facts::{Children, Facts, LeafProof, Request, Reveal, Showing, TreeId};
use protocol::graph::{
    CommittedGraph, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand, Operator,
    Profile,
};
use protocol::hash::{Digest, leaf};
use protocol::merkle::ListTree;
use protocol::referee::{Evidence, Finding, OperandProof, RefereeError, Refutation, judge};
use protocol::roots::{state_tree, subtrace_tree, trace_tree};
use protocol::tensor::{ElementType, LeafBytes, Shape, TensorType, pack_leaf};

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
    let graph = Graph { inputs: vec![number()], weights: vec![number()], nodes, layers };
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

    /// What is known when the claim is posted.
    fn posted(&self) -> Facts {
        let [input, middle, output] = self.trees().map(|tree| tree.root());
        let trace: ListTree = trace_tree(&[input, middle, output]).unwrap();
        Facts::new(model().1.header, 4, trace.root(), input, output)
    }

    /// Everything open: the model, the states, what the operators wrote.
    fn opened(&self) -> Facts {
        let (graph, committed) = model();
        let mut facts = self.posted();
        for (index, (layer, node)) in (0u32..).zip(graph.layers.into_iter().zip(graph.nodes)) {
            let path = committed.layers.path(u64::from(index)).unwrap();
            facts.show(&Showing::Layer { proof: LayerProof { index, layer, path } }).unwrap();
            let path = committed.nodes.path(u64::from(index)).unwrap();
            facts.show(&Showing::Operator { proof: NodeProof { index, node, path } }).unwrap();
        }
        let roots = self.trees().iter().map(ListTree::root).collect();
        let top = |tree| Request::Node { tree, depth: 0, index: 0 };
        let children = Children::Roots { roots };
        facts.reveal(&top(TreeId::Trace {}), &Reveal::Node { children }).unwrap();
        for (boundary, values) in (0u32..).zip(self.states()) {
            let children = Children::Values { values };
            let tree = TreeId::State { boundary };
            facts.reveal(&top(tree), &Reveal::Node { children }).unwrap();
        }
        for (layer, output) in (0u32..).zip(self.outputs) {
            let inside: ListTree = subtrace_tree(&[root(output)]).unwrap();
            let children = Children::Roots { roots: vec![root(output)] };
            let said = Reveal::Subtrace { root: inside.root(), children };
            facts.reveal(&Request::Subtrace { layer }, &said).unwrap();
            let said = Reveal::Leaf { bytes: bytes(output) };
            facts.reveal(&Request::Leaf { operator: layer, leaf: 0 }, &said).unwrap();
        }
        facts
    }
}

fn operand(value: f32, path: Vec<Digest>) -> OperandProof {
    let read = LeafProof { position: 0, bytes: bytes(value), path: Vec::new() };
    OperandProof { root: root(value), path, leaves: vec![read] }
}

fn negation(operands: Vec<OperandProof>) -> Refutation {
    Refutation::Step { operator: 0, element: 0, segment: 0, operands }
}

/// The second operator's step, with its operands from the middle state.
fn sum(claim: &Claim) -> Refutation {
    let [_, middle, _] = claim.trees();
    let operands = (0u64..)
        .zip(&claim.middle)
        .map(|(place, (_, value))| operand(*value, middle.path(place).unwrap()));
    Refutation::Step { operator: 1, element: 0, segment: 0, operands: operands.collect() }
}

#[test]
fn nothing_refutes_an_honest_run() {
    let claim = Claim::honest();
    let facts = claim.opened();
    for refutation in [
        negation(vec![operand(1.0, Vec::new())]),
        sum(&claim),
        Refutation::Binding { layer: 0, operator: 0 },
        Refutation::Binding { layer: 1, operator: 1 },
        Refutation::Carry { layer: 0, value: 0 },
        Refutation::StateValue { boundary: 0, position: 0 },
        Refutation::StateValue { boundary: 1, position: 1 },
        Refutation::StateValue { boundary: 2, position: 0 },
        Refutation::Leaf { operator: 0, leaf: 0 },
    ] {
        assert_eq!(judge(&facts, &refutation), Ok(Finding::Sound), "{refutation:?}");
    }
}

#[test]
fn a_wrong_result_is_convicted_by_its_step() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 1.0)], outputs: [1.0, 2.0] };
    let facts = claim.opened();
    let evidence = Evidence::Step {
        operator: 0,
        element: 0,
        segment: 0,
        claimed: words(1.0),
        expected: Some(words(-1.0)),
        multiply_adds: 1,
    };
    let refutation = negation(vec![operand(1.0, Vec::new())]);
    assert_eq!(judge(&facts, &refutation), Ok(Finding::Fraud(evidence)));
    // What follows from the wrong result is right by itself.
    assert_eq!(judge(&facts, &sum(&claim)), Ok(Finding::Sound));
}

#[test]
fn a_state_that_is_not_what_the_layer_wrote_or_took_over_is_a_contradiction() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 5.0)], ..Claim::honest() };
    let (claimed, expected) = (root(5.0), root(-1.0));
    let found = judge(&claim.opened(), &Refutation::Binding { layer: 0, operator: 0 });
    let contradiction = Evidence::Contradiction { value: 2, claimed, expected };
    assert_eq!(found, Ok(Finding::Fraud(contradiction)));
    let claim = Claim { middle: vec![(0, 7.0), (2, -1.0)], ..Claim::honest() };
    let found = judge(&claim.opened(), &Refutation::Carry { layer: 0, value: 0 });
    let (claimed, expected) = (root(7.0), root(1.0));
    let contradiction = Evidence::Contradiction { value: 0, claimed, expected };
    assert_eq!(found, Ok(Finding::Fraud(contradiction)));
}

#[test]
fn a_state_of_other_values_than_the_models_is_convicted() {
    let claim = Claim { middle: vec![(0, 1.0), (3, -1.0)], ..Claim::honest() };
    let facts = claim.opened();
    let found = judge(&facts, &Refutation::StateValue { boundary: 1, position: 1 });
    assert_eq!(found, Ok(Finding::Fraud(Evidence::StateValue { claimed: 3, expected: 2 })));
    // Where another value stands, the value of the model is not open.
    let found = judge(&facts, &Refutation::Binding { layer: 0, operator: 0 });
    assert_eq!(found, Err(RefereeError::NotOpen));
}

#[test]
fn a_leaf_of_bits_that_are_never_stored_is_convicted() {
    let foreign = f32::from_bits(NEGATIVE_ZERO);
    let claim = Claim { outputs: [-1.0, foreign], ..Claim::honest() };
    let found = judge(&claim.opened(), &Refutation::Leaf { operator: 1, leaf: 0 });
    assert_eq!(found, Ok(Finding::Fraud(Evidence::Leaf { operator: 1, leaf: 0 })));
}

#[test]
fn what_is_not_open_or_not_of_the_claim_decides_nothing() {
    let claim = Claim { middle: vec![(0, 1.0), (2, 1.0)], outputs: [1.0, 2.0] };
    let (posted, opened) = (claim.posted(), claim.opened());
    let good = negation(vec![operand(1.0, Vec::new())]);
    for refutation in [
        good.clone(),
        Refutation::Binding { layer: 0, operator: 0 },
        Refutation::Carry { layer: 0, value: 0 },
        Refutation::StateValue { boundary: 1, position: 0 },
        Refutation::Leaf { operator: 0, leaf: 0 },
    ] {
        assert_eq!(judge(&posted, &refutation), Err(RefereeError::NotOpen), "{refutation:?}");
    }
    let bad = RefereeError::BadOperand { operand: 0 };
    let mut leafless = operand(1.0, Vec::new());
    leafless.leaves.clear();
    let mut other_leaf = operand(1.0, Vec::new());
    other_leaf.leaves[0].bytes = bytes(3.0);
    for (refutation, error) in [
        // Another input, another leaf of the right input, a path that is too long, no leaf at all.
        (negation(vec![operand(3.0, Vec::new())]), bad),
        (negation(vec![other_leaf]), bad),
        (negation(vec![operand(1.0, vec![Digest::default()])]), bad),
        (negation(vec![leafless]), RefereeError::MissingLeaf { operand: 0 }),
        (negation(Vec::new()), RefereeError::OutOfRange),
        (
            Refutation::Step { operator: 0, element: 1, segment: 0, operands: Vec::new() },
            RefereeError::OutOfRange,
        ),
        (Refutation::Binding { layer: 0, operator: 1 }, RefereeError::OutOfRange),
        (Refutation::Carry { layer: 0, value: 2 }, RefereeError::OutOfRange),
        (Refutation::Carry { layer: u32::MAX, value: 2 }, RefereeError::NotOpen),
        (Refutation::StateValue { boundary: 1, position: 2 }, RefereeError::NotOpen),
        (Refutation::Leaf { operator: 0, leaf: 1 }, RefereeError::NotOpen),
    ] {
        assert_eq!(judge(&opened, &refutation), Err(error), "{refutation:?}");
    }
    assert!(matches!(judge(&opened, &good), Ok(Finding::Fraud(_))));
}
