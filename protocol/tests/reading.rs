//! What the law reads the bits of an input and of a weight as, whatever they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use common::Bits;
use protocol::asks::{Context, Finding, OperandProof, Proven, Refutation, Showing, Tree, judge};
use protocol::graph::{
    CommittedGraph, Fold, Graph, Layer, LayerProof, MapFunction, Node, NodeProof, Operand,
    Operator, Profile,
};
use protocol::law::{self, Operands};
use protocol::merkle::ListTree;
use protocol::roots::{state_tree, subtrace_tree};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{RunLength, Statement};
use protocol::{JobId, Keccak};

fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

/// Operands, and which of them were read.
struct Held<'a>(Vec<&'a Bits>, RefCell<BTreeSet<usize>>);

impl Operands for Held<'_> {
    type Error = ();
    fn element(&mut self, operand: usize, index: u64) -> Result<u64, ()> {
        self.1.borrow_mut().insert(operand);
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
            ..Graph::default()
        };
        // −0, a subnormal, the NaN of another machine, infinity.
        let input = Bits(row.clone(), vec![0x8000_0000, 1, 0xFFC0_0001, 0x7F80_0000]);
        let given = Bits(truths, vec![2, 0, 1, 255]);
        let weight = Bits(row, vec![0x8000_0000, 0x8000_0001, 0x2B7F_FFFF, 0x3F80_0000]);
        let committed = graph.commit(&[weight.root()], Profile::StrictF32).unwrap();
        let mut values = vec![input, given, weight];
        for node in &graph.nodes {
            let operands = node.operands.iter().map(|one| &values[one.value as usize]).collect();
            let mut operands = Held(operands, RefCell::default());
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

    /// Everything that is shown of the model and of what its operators wrote.
    fn showings(&self) -> Vec<Showing> {
        let (iteration, inside) = (0, self.inside());
        let layer = &self.graph.layers[0];
        let path = self.committed.layers.path(0).unwrap();
        let proof = LayerProof { index: 0, layer: layer.clone(), path };
        let mut all = vec![Showing::Layer { proof }];
        for (index, node) in (0u32..).zip(self.graph.nodes.iter().cloned()) {
            let path = self.committed.nodes.path(u64::from(index)).unwrap();
            all.push(Showing::Operator { proof: NodeProof { index, node, path } });
            let bits = &self.values[index as usize + 3];
            let (root, path) = (bits.root(), inside.path(u64::from(index)).unwrap());
            let (layer, position) = (0, index);
            all.push(Showing::SubtraceLeaf { iteration, layer, position, root, path });
            let (operator, leaf, bytes, path) = (index, 0, bits.leaf(0), Vec::new());
            all.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        }
        all
    }

    /// The values of the last state, as far as operators wrote them.
    fn last_state(&self) -> Vec<Showing> {
        let live = &self.graph.layers[0].live_out;
        let tree = self.state(live);
        let shown = (0u32..).zip(live).map(|(position, value)| Showing::StateLeaf {
            iteration: 0,
            boundary: 1,
            position,
            value: *value,
            root: self.values[*value as usize].root(),
            path: tree.path(u64::from(position)).unwrap(),
        });
        shown.collect()
    }

    fn judged(&self, showings: &[Showing], refutation: &Refutation) -> Finding {
        let layer = &self.graph.layers[0];
        let roots = [self.state(&layer.live_in), self.state(&layer.live_out)];
        let (job, header) = (JobId::default(), &self.committed.header);
        let roots = roots.map(|tree| tree.root());
        let terms = Statement::of_run::<Keccak>(job, header.root(), &roots).unwrap().terms;
        let inside = Tree::Subtrace { iteration: 0, layer: 0 };
        let said = BTreeMap::from([(inside, self.inside().root())]);
        let (terms, length) = (&terms, RunLength::exactly(1));
        let context = Context { terms, header, length, said: &said, from: None, arity_log2: 4 };
        let proven = Proven::new::<Keccak>(context, showings).unwrap();
        judge::<Keccak>(&proven, refutation).unwrap()
    }

    fn step(&self, operator: u32, element: u64) -> Refutation {
        let live_in = &self.graph.layers[0].live_in;
        let node = &self.graph.nodes[operator as usize];
        let bits = node.operands.iter().map(|one| &self.values[one.value as usize]).collect();
        let mut held = Held(bits, RefCell::default());
        law::element(law::check(node).unwrap(), element, &mut held).unwrap();
        // What the law does not read for the element is left out.
        let operands = held.1.take().into_iter().map(|place| {
            let value = node.operands[place].value;
            let bits = &self.values[value as usize];
            let path = match value {
                2 => self.committed.weights.path(0).unwrap(),
                value => {
                    let place = live_in.iter().position(|live| *live == value).unwrap();
                    self.state(live_in).path(place as u64).unwrap()
                }
            };
            let (positions, leaves, siblings) = (vec![0], vec![bits.leaf(0)], Vec::new());
            let root = bits.root();
            (place as u8, OperandProof { root, path, positions, leaves, siblings })
        });
        let (iteration, layer, segment, states) = (0, 0, 0, Vec::new());
        let operands = operands.collect();
        Refutation::Step { iteration, layer, operator, element, segment, operands, states }
    }
}

#[test]
fn audit_a15_an_input_of_any_bits_has_a_true_claim_and_it_stands() {
    let case = Case::new();
    let outputs: Vec<&[u64]> = case.values[3..].iter().map(|bits| bits.1.as_slice()).collect();
    const NAN: u64 = 0x7FC0_0000;
    assert_eq!(
        outputs,
        [&[0, 0, NAN, 0xFF80_0000][..], &[0, 0, NAN, 0x7F80_0000], &[0, 1, 0, 0], &[0x3F80_0000],]
    );
    let mut showings = case.showings();
    for operator in 0..4 {
        for element in 0..case.graph.nodes[operator as usize].output.shape.count() {
            let judged = case.judged(&showings, &case.step(operator, element));
            assert_eq!(judged, Finding::Sound, "operator {operator}, element {element}");
        }
        let leaf = Refutation::Leaf { iteration: 0, operator, leaf: 0 };
        assert_eq!(case.judged(&showings, &leaf), Finding::Sound);
    }
    showings.extend(case.last_state());
    for operator in 0..4 {
        let binding = Refutation::Binding { iteration: 0, layer: 0, operator };
        assert_eq!(case.judged(&showings, &binding), Finding::Sound);
    }
}

#[test]
fn audit_a15_another_result_for_an_input_of_any_bits_is_convicted() {
    for (operator, element, bits) in
        [(0, 0, 0x8000_0000), (0, 2, 0x7FC0_0001), (1, 1, 0x8000_0001), (2, 0, 1), (3, 0, 0)]
    {
        let mut case = Case::new();
        case.values[operator as usize + 3].1[element as usize] = bits;
        let judged = case.judged(&case.showings(), &case.step(operator, element));
        assert!(matches!(judged, Finding::Fraud(_)), "operator {operator}: {judged:?}");
    }
}
