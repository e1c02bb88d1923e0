//! What the law reads the bits of an input and of a weight as, whatever they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Bits;
use protocol::facts::{Children, Facts, LeafProof, Request, Reveal, Showing, TreeId};
use protocol::graph::{
    CommittedGraph, Fold, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand,
    Operator, Profile,
};
use protocol::law::{self, Operands};
use protocol::merkle::ListTree;
use protocol::referee::{Finding, OperandProof, Refutation, judge};
use protocol::roots::{state_tree, subtrace_tree, trace_tree};
use protocol::tensor::{ElementType, Shape, TensorType};

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

struct Held<'a>(Vec<&'a Bits>);

impl Operands for Held<'_> {
    type Error = ();
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.0.get(operand).and_then(|bits| bits.1.get(index as usize)).copied().ok_or(())
    }
}

/// Inputs 0 (floats) and 1 (truths), weight 2, operators 3 to 6 in one layer.
struct Case {
    graph: Graph,
    committed: CommittedGraph,
    values: Vec<Bits>,
}

impl Case {
    fn new() -> Self {
        let (row, truths) = (kind(ElementType::F32, &[4]), kind(ElementType::Bool, &[4]));
        let scalar = kind(ElementType::F32, &[]);
        let of = |value, kind: &TensorType| Operand { value, kind: kind.clone() };
        let node = |operator, operands, output: &TensorType| Node {
            operator,
            operands,
            output: output.clone(),
        };
        let map = |function| Operator::Map { function };
        let nodes = vec![
            node(map(MapFunction::Negate), vec![of(0, &row)], &row),
            node(map(MapFunction::Select), vec![of(1, &truths), of(0, &row), of(2, &row)], &row),
            node(map(MapFunction::Not), vec![of(1, &truths)], &truths),
            node(Operator::Reduce { fold: Fold::Sum }, vec![of(2, &row)], &scalar),
        ];
        let (live_in, live_out) = (vec![0, 1], vec![3, 4, 5, 6]);
        let layers = vec![Layer { first_operator: 0, operator_count: 4, live_in, live_out }];
        let graph = Graph {
            inputs: vec![row.clone(), truths.clone()],
            weights: vec![row.clone()],
            nodes,
            layers,
        };
        // −0, a subnormal, the NaN of another machine, infinity.
        let input = Bits(row.clone(), vec![0x8000_0000, 1, 0xFFC0_0001, 0x7F80_0000]);
        let given = Bits(truths, vec![2, 0, 1, 255]);
        let weight = Bits(row, vec![0x8000_0000, 0x8000_0001, 0x2B7F_FFFF, 0x3F80_0000]);
        let committed = graph.commit(&[weight.root()], Profile::StrictF32).unwrap();
        let mut values = vec![input, given, weight];
        for node in &graph.nodes {
            let operands = node.operands.iter().map(|one| &values[one.value as usize]).collect();
            let mut operands = Held(operands);
            let checked = law::check(node).unwrap();
            let count = node.output.shape.count();
            let bits = (0..count).map(|at| law::element(checked, at, &mut operands).unwrap());
            values.push(Bits(node.output.clone(), bits.collect()));
        }
        Self { graph, committed, values }
    }

    fn state(&self, live: &[u32]) -> ListTree {
        state_tree(live.iter().map(|value| (*value, self.values[*value as usize].root()))).unwrap()
    }

    fn inside(&self) -> ListTree {
        let roots: Vec<_> = self.values[3..].iter().map(Bits::root).collect();
        subtrace_tree(&roots).unwrap()
    }

    /// A claim of this run with everything open.
    fn opened(&self) -> Facts {
        let layer = &self.graph.layers[0];
        let states = [self.state(&layer.live_in), self.state(&layer.live_out)];
        let roots: Vec<_> = states.iter().map(ListTree::root).collect();
        let trace: ListTree = trace_tree(&roots).unwrap();
        let header = self.committed.header.clone();
        let mut facts = Facts::new(header, 4, trace.root(), roots[0], roots[1]);
        let path = self.committed.layers.path(0).unwrap();
        let proof = LayerProof { index: 0, layer: layer.clone(), path };
        facts.show(&Showing::Layer { proof }).unwrap();
        let roots = self.values[3..].iter().map(Bits::root).collect();
        let said =
            Reveal::Subtrace { root: self.inside().root(), children: Children::Roots { roots } };
        facts.reveal(&Request::Subtrace { layer: 0 }, &said).unwrap();
        for (index, node) in (0u32..).zip(self.graph.nodes.iter().cloned()) {
            let path = self.committed.nodes.path(u64::from(index)).unwrap();
            facts.show(&Showing::Operator { proof: NodeProof { index, node, path } }).unwrap();
            let bytes = self.values[index as usize + 3].leaf(0);
            let request = Request::Leaf { operator: index, leaf: 0 };
            facts.reveal(&request, &Reveal::Leaf { bytes }).unwrap();
        }
        facts
    }

    fn step(&self, operator: u32, element: u64) -> Refutation {
        let live_in = &self.graph.layers[0].live_in;
        let operands = self.graph.nodes[operator as usize].operands.iter().map(|operand| {
            let bits = &self.values[operand.value as usize];
            let path = match operand.value {
                2 => self.committed.weights.path(0).unwrap(),
                value => {
                    let place = live_in.iter().position(|live| *live == value).unwrap();
                    self.state(live_in).path(place as u64).unwrap()
                }
            };
            let leaf = LeafProof { position: 0, bytes: bits.leaf(0), path: Vec::new() };
            OperandProof { root: bits.root(), path, leaves: vec![leaf] }
        });
        Refutation::Step { operator, element, segment: 0, operands: operands.collect() }
    }
}

#[test]
fn audit_a15_an_input_of_any_bits_has_a_true_claim_and_it_stands() {
    let case = Case::new();
    let facts = case.opened();
    let outputs: Vec<&[u64]> = case.values[3..].iter().map(|bits| bits.1.as_slice()).collect();
    const NAN: u64 = 0x7FC0_0000;
    assert_eq!(
        outputs,
        [&[0, 0, NAN, 0xFF80_0000][..], &[0, 0, NAN, 0x7F80_0000], &[0, 1, 0, 0], &[0x3F80_0000],]
    );
    for operator in 0..4 {
        for element in 0..case.graph.nodes[operator as usize].output.shape.count() {
            let judged = judge(&facts, &case.step(operator, element));
            assert_eq!(judged, Ok(Finding::Sound), "operator {operator}, element {element}");
        }
        let leaf = Refutation::Leaf { operator, leaf: 0 };
        assert_eq!(judge(&facts, &leaf), Ok(Finding::Sound));
        let binding = Refutation::Binding { layer: 0, operator };
        let values = case.graph.layers[0].live_out.iter();
        let values = values.map(|value| (*value, case.values[*value as usize].root())).collect();
        let mut facts = facts.clone();
        let roots = [&case.graph.layers[0].live_in, &case.graph.layers[0].live_out];
        let roots = roots.map(|live| case.state(live).root()).to_vec();
        let top = |tree| Request::Node { tree, depth: 0, index: 0 };
        let children = Children::Roots { roots };
        facts.reveal(&top(TreeId::Trace {}), &Reveal::Node { children }).unwrap();
        let children = Children::Values { values };
        facts.reveal(&top(TreeId::State { boundary: 1 }), &Reveal::Node { children }).unwrap();
        assert_eq!(judge(&facts, &binding), Ok(Finding::Sound));
    }
}

#[test]
fn audit_a15_another_result_for_an_input_of_any_bits_is_convicted() {
    for (operator, element, bits) in
        [(0, 0, 0x8000_0000), (0, 2, 0x7FC0_0001), (1, 1, 0x8000_0001), (2, 0, 1), (3, 0, 0)]
    {
        let mut case = Case::new();
        case.values[operator as usize + 3].1[element as usize] = bits;
        let judged = judge(&case.opened(), &case.step(operator, element));
        assert!(matches!(judged, Ok(Finding::Fraud(_))), "operator {operator}: {judged:?}");
    }
}
