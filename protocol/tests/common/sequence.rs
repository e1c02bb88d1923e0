//! A small recurrent model with its runs of many iterations, honest or false at one place, and all their trees.
//!
//! Its values: 0 a counter, 1 a row of memory, 2 a constant row and 3 a number that no operator reads, both linked
//! to themselves; weights 4 and 5; 6 the counter and one, 7 memory and constant, 8 the sum of 7, 9 whether the run
//! ends.

use protocol::JobId;
use protocol::asks::{Answer, Ask, Context, Proven, Showing, Tree, TreeKind};
use protocol::graph::{
    CommittedGraph, Fold, Graph, Layer, LayerProof, MapFunction, ModelHeader, Node, NodeProof,
    Operand, Operator, Profile, Recurrence,
};
use protocol::hash::{Digest, Keccak};
use protocol::law;
use protocol::merkle::ListTree;
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{RunLength, RunRoots, Statement};
use std::collections::BTreeMap;

use super::answers::{Grown, of_bits, of_roots, of_values};
use super::{Bits, Held, Want};

/// Inputs of the model, and its first output.
pub const INPUTS: u32 = 4;
pub const FIRST_OUTPUT: u32 = 6;
/// The value that says whether the run ends.
pub const STOP: u32 = 9;
/// Its layers.
pub const LAYERS: u32 = 2;
/// The sum, an operator of two segments.
pub const SUM: u32 = 2;

/// What one iteration hands to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Links, and a value that says when the run ends.
    Stopping,
    /// Links alone.
    Endless,
    /// Nothing: of many iterations it is a batch.
    Batch,
}

/// Where a run is false. What follows from the lie is computed by the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The lowest bit of an element of an operator's output is flipped.
    Element { iteration: usize, operator: usize, element: usize },
    /// An iteration begins with an input whose first element has its lowest bit flipped.
    Begins { iteration: usize, input: usize },
    /// An iteration's first state has another value id in the place of the memory's.
    Renames { iteration: usize },
}

/// The id that [`Lie::Renames`] writes.
pub const RENAMED: u32 = 7;

/// The model.
#[derive(Clone)]
pub struct Machine {
    pub graph: Graph,
    pub committed: CommittedGraph,
    pub weights: [Bits; 2],
}

/// One iteration.
#[derive(Clone)]
pub struct Pass {
    pub inputs: Vec<Bits>,
    pub outputs: Vec<Bits>,
}

/// A run with all its trees.
#[derive(Clone)]
pub struct Course {
    pub machine: Machine,
    pub passes: Vec<Pass>,
    /// Of a batch, its entries' state roots.
    pub entries: Vec<Digest>,
    pub statement: Statement,
    pub trees: BTreeMap<Tree, Grown>,
    pub said: BTreeMap<Tree, Digest>,
    pub length: RunLength,
}

pub fn kind(element: ElementType, dimensions: &[u64]) -> TensorType {
    TensorType { element, shape: Shape::new(dimensions).unwrap() }
}

fn row() -> TensorType {
    kind(ElementType::F32, &[100])
}

fn number(value: u64) -> Bits {
    Bits(kind(ElementType::I64, &[1]), vec![value])
}

fn floats(first: f32, step: f32) -> Bits {
    let values = (0..100).map(|index| u64::from((first + step * index as f32).to_bits()));
    Bits(row(), values.collect())
}

fn graph() -> Graph {
    let (one, row) = (kind(ElementType::I64, &[1]), row());
    let truth = kind(ElementType::Bool, &[1]);
    let of = |value, kind: &TensorType| Operand { value, kind: kind.clone() };
    let node = |operator, operands, output: &TensorType| Node {
        operator,
        operands,
        output: output.clone(),
    };
    let map = |function| Operator::Map { function };
    let nodes = vec![
        node(map(MapFunction::Add), vec![of(0, &one), of(4, &one)], &one),
        node(map(MapFunction::Add), vec![of(1, &row), of(2, &row)], &row),
        node(Operator::Reduce { fold: Fold::Sum }, vec![of(7, &row)], &kind(ElementType::F32, &[])),
        node(map(MapFunction::Less), vec![of(5, &one), of(6, &one)], &truth),
    ];
    let layer = |first_operator, live_in: &[u32], live_out: &[u32]| Layer {
        first_operator,
        operator_count: 2,
        live_in: live_in.to_vec(),
        live_out: live_out.to_vec(),
    };
    let layers =
        vec![layer(0, &[0, 1, 2, 3], &[2, 3, 6, 7]), layer(2, &[2, 3, 6, 7], &[2, 3, 6, 7, 8, 9])];
    let inputs = vec![one.clone(), row.clone(), row, one.clone()];
    Graph { inputs, weights: vec![one.clone(), one], nodes, layers, ..Graph::default() }
}

impl Machine {
    /// The model; its run ends after so many iterations, where it says when.
    pub fn new(form: Form, iterations: u32) -> Self {
        let links = vec![6, 7, 2, 3];
        let recurrence = match form {
            Form::Stopping => Recurrence { links, stop: Some(STOP) },
            Form::Endless => Recurrence { links, stop: None },
            Form::Batch => Recurrence::default(),
        };
        let graph = Graph { recurrence, ..graph() };
        let weights = [number(1), number(u64::from(iterations) - 1)];
        let roots = weights.each_ref().map(Bits::root);
        let committed = graph.commit(&roots, Profile::StrictF32).unwrap();
        Self { graph, committed, weights }
    }

    pub fn header(&self) -> &ModelHeader {
        &self.committed.header
    }

    /// What the run begins with; of a batch, one entry.
    pub fn inputs(&self, entry: usize) -> Vec<Bits> {
        let memory = floats(0.5 + entry as f32, 0.25);
        vec![number(10 * entry as u64), memory, floats(1.0, -0.125), number(entry as u64 + 77)]
    }

    fn pass(&self, iteration: usize, mut inputs: Vec<Bits>, lie: Option<Lie>) -> Pass {
        match lie {
            Some(Lie::Begins { iteration: at, input }) if at == iteration => {
                inputs[input].1[0] ^= 1;
            }
            _ => {}
        }
        let mut outputs: Vec<Bits> = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let of = |operand: &Operand| match operand.value {
                value if value < INPUTS => &inputs[value as usize],
                value if value < FIRST_OUTPUT => &self.weights[(value - INPUTS) as usize],
                value => &outputs[(value - FIRST_OUTPUT) as usize],
            };
            let operands: Vec<&Bits> = node.operands.iter().map(of).collect();
            let checked = law::check(node).unwrap();
            let mut bits: Vec<u64> = (0..node.output.shape.count())
                .map(|element| law::element(checked, element, &mut Held(operands.clone())).unwrap())
                .collect();
            match lie {
                Some(Lie::Element { iteration: at, operator, element })
                    if (at, operator) == (iteration, index) =>
                {
                    bits[element] ^= 1;
                }
                _ => {}
            }
            outputs.push(Bits(node.output.clone(), bits));
        }
        Pass { inputs, outputs }
    }

    /// A run of so many iterations, whatever the model says about its end.
    pub fn run(&self, iterations: u32, lie: Option<Lie>) -> Course {
        let mut passes: Vec<Pass> = Vec::new();
        for iteration in 0..iterations as usize {
            let links = &self.graph.recurrence.links;
            let inputs = match passes.last() {
                Some(before) if !links.is_empty() => {
                    links.iter().map(|value| before.value(*value).clone()).collect()
                }
                _ => self.inputs(iteration),
            };
            passes.push(self.pass(iteration, inputs, lie));
        }
        Course::of(self, passes, lie)
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

    /// The values live at a boundary.
    pub fn live(&self, boundary: u32) -> &[u32] {
        match boundary.checked_sub(1) {
            None => &self.graph.layers[0].live_in,
            Some(layer) => &self.graph.layers[layer as usize].live_out,
        }
    }

    /// The states after each segment of the sum.
    fn sums(&self, pass: &Pass) -> Bits {
        let node = &self.graph.nodes[SUM as usize];
        let checked = law::check(node).unwrap();
        let mut operands = Held(vec![&pass.outputs[1]]);
        let (mut words, mut state): (Vec<u64>, Option<Vec<u64>>) = (Vec::new(), None);
        for segment in 0..law::segment_count(checked) {
            let start = law::start(checked, segment, state.as_deref());
            let after = law::segment(checked, 0, segment, start, &mut operands).unwrap();
            words.extend(&after);
            state = Some(after);
        }
        let Some(TreeKind::Tensor { kind }) = TreeKind::of_accumulators(node) else {
            panic!("the sum has two segments");
        };
        Bits(kind, words)
    }
}

impl Pass {
    pub fn value(&self, value: u32) -> &Bits {
        match value.checked_sub(FIRST_OUTPUT) {
            Some(operator) => &self.outputs[operator as usize],
            None => &self.inputs[value as usize],
        }
    }
}

pub fn committed_root(tree: Tree, grown: &Grown) -> Digest {
    tree.commit::<Keccak>(&grown.kind, &grown.nodes.root()).unwrap()
}

/// The trees of one iteration, and its states' roots.
fn trees_of(
    machine: &Machine,
    index: usize,
    pass: &Pass,
    lie: Option<Lie>,
) -> (BTreeMap<Tree, Grown>, Vec<Digest>) {
    let iteration = index as u32;
    let mut trees = BTreeMap::new();
    let mut states = Vec::new();
    for boundary in 0..=LAYERS {
        let live = machine.live(boundary).iter();
        let mut values: Vec<(u32, Digest)> =
            live.map(|value| (*value, pass.value(*value).root())).collect();
        if boundary == 0 && lie == Some(Lie::Renames { iteration: index }) {
            values[1].0 = RENAMED;
        }
        let tree = Tree::State { iteration, boundary };
        let grown = of_values(&values);
        states.push(committed_root(tree, &grown));
        trees.insert(tree, grown);
    }
    trees.insert(Tree::Trace { iteration }, of_roots(&states));
    for (layer, outputs) in (0u32..).zip(pass.outputs.chunks(2)) {
        let roots: Vec<Digest> = outputs.iter().map(Bits::root).collect();
        trees.insert(Tree::Subtrace { iteration, layer }, of_roots(&roots));
    }
    for (operator, bits) in (0u32..).zip(&pass.outputs) {
        trees.insert(Tree::Tensor { iteration, operator }, of_bits(bits));
    }
    let sums = Tree::Accumulators { iteration, operator: SUM, element: 0 };
    trees.insert(sums, of_bits(&machine.sums(pass)));
    for (value, bits) in (0u32..).zip(&pass.inputs) {
        trees.insert(Tree::Input { iteration, value }, of_bits(bits));
    }
    for value in machine.live(LAYERS).iter().copied() {
        trees.insert(Tree::Output { iteration, value }, of_bits(pass.value(value)));
    }
    (trees, states)
}

/// Root of the state that holds these inputs.
fn input_root(inputs: &[Bits]) -> Digest {
    let values: Vec<(u32, Digest)> = (0u32..).zip(inputs.iter().map(Bits::root)).collect();
    committed_root(Tree::State { iteration: 0, boundary: 0 }, &of_values(&values))
}

impl Course {
    fn of(machine: &Machine, passes: Vec<Pass>, lie: Option<Lie>) -> Self {
        let (mut trees, mut states, mut traces) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (index, pass) in passes.iter().enumerate() {
            let (more, roots) = trees_of(machine, index, pass, lie);
            let trace = Tree::Trace { iteration: index as u32 };
            traces.push(committed_root(trace, &more[&trace]));
            trees.extend(more);
            states.push(roots);
        }
        trees.insert(Tree::Sequence {}, of_roots(&traces));
        let is_batch = !machine.header().is_recurrent() && passes.len() > 1;
        let of_entry = |entry| input_root(&machine.inputs(entry));
        let entries: Vec<Digest> =
            if is_batch { (0..passes.len()).map(of_entry).collect() } else { Vec::new() };
        let (first_states, last_states) = (states.first().unwrap(), states.last().unwrap());
        let roots = RunRoots { traces: &traces, first_states, last_states, entries: &entries };
        let (job, model_root) = (JobId::default(), machine.header().root());
        let statement = Statement::of_sequence::<Keccak>(job, model_root, roots).unwrap();
        let (machine, said) = (machine.clone(), BTreeMap::new());
        let length = RunLength::exactly(passes.len() as u32);
        Self { machine, passes, entries, statement, trees, said, length }
    }

    /// Everything that can be said is said.
    pub fn with_all_said(mut self) -> Self {
        for (tree, grown) in self.trees.iter().filter(|(tree, _)| tree.is_said()) {
            self.said.insert(*tree, committed_root(*tree, grown));
        }
        self
    }

    /// On a job of another length.
    pub fn within(mut self, iterations_max: u32, may_cut: bool) -> Self {
        self.length = RunLength { iterations_max, may_cut };
        self
    }

    pub fn iterations(&self) -> u32 {
        self.statement.terms.iterations
    }

    pub fn claimed(&self, job: JobId) -> Statement {
        let mut statement = self.statement.clone();
        statement.terms.job = job;
        statement
    }

    pub fn context<'a>(&'a self, from: Option<&'a Ask>, arity_log2: u32) -> Context<'a> {
        let (terms, header) = (&self.statement.terms, self.machine.header());
        let (length, said) = (self.length, &self.said);
        Context { terms, header, length, said, from, arity_log2 }
    }

    pub fn proven(&self, showings: &[Showing]) -> Proven<'_> {
        Proven::new::<Keccak>(self.context(None, 6), showings).unwrap()
    }

    pub fn all_wants(&self) -> Vec<Want> {
        self.trees.iter().flat_map(|(tree, grown)| grown.all_wants(*tree)).collect()
    }

    pub fn ask(&self, want: Want) -> Ask {
        self.trees[&want.tree()].ask(want)
    }

    pub fn answer(&self, ask: &Ask, arity_log2: u32) -> Answer {
        self.trees[ask.tree()].answer(ask, arity_log2)
    }

    /// The path of a node to the root of its tree.
    pub fn path(&self, ask: &Ask) -> Vec<Digest> {
        let (depth, index) = ask.node();
        self.trees[ask.tree()].path(depth, index, 0)
    }
}
