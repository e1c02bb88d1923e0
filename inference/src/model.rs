//! A model ready to run: canonical graph, weights, commitments, names.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use protocol::graph::{
    CommittedGraph, Graph, Layer, LayerProof, ModelHeader, Node, NodeProof, Operator, Profile,
    ValueSource,
};
use protocol::hash::{Commitment, Digest, Keccak};
use protocol::law::{self, CheckedNode};
use protocol::merkle::Tree;
use protocol::tensor::{ElementType, TensorType};
use protocol::validate::{ModelFault, validate};

use crate::engine::Packed;
use crate::fused::window::Convolution;
use crate::fused::{LayerPlan, PackedKernel};
use crate::tensor::Tensor;
use kernels::PackedRows;

/// A committed model with its weights.
#[derive(Clone, Debug)]
pub struct Model<C: Commitment = Keccak> {
    graph: Graph,
    committed: CommittedGraph<C>,
    root: Digest,
    weights: Vec<Tensor>,
    weight_roots: Vec<Digest>,
    input_names: Vec<String>,
    outputs: Vec<(String, u32)>,
    operator_names: Vec<String>,
    packed: HashMap<u32, Packed>,
    plans: Vec<Option<LayerPlan>>,
    weight_trees: Vec<OnceLock<Tree<C>>>,
    halves: Halves,
}

/// What a model's file had as 16-bit floats; all of it is computed in binary32, into which 16-bit
/// floats widen exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Halves {
    /// Names of inputs and outputs.
    pub values: BTreeSet<String>,
    /// Number of weights.
    pub weights: usize,
}

impl<C: Commitment> Model<C> {
    /// Commits to a graph and its weights, once it is a model ([`validate`]).
    ///
    /// # Errors
    /// Why it is none; [`ModelFault::Counts`] as well when there is not a tensor of its type for each weight.
    pub fn new(
        graph: Graph,
        weights: Vec<Tensor>,
        input_names: Vec<String>,
        outputs: Vec<(String, u32)>,
        operator_names: Vec<String>,
        profile: Profile,
    ) -> Result<Self, ModelFault> {
        validate(&graph)?;
        let is_given = weights.iter().map(Tensor::kind).eq(&graph.weights);
        if !is_given {
            return Err(ModelFault::Counts);
        }
        let weight_roots: Vec<Digest> = weights.iter().map(Tensor::root_under::<C>).collect();
        let weight_trees = vec![OnceLock::new(); weights.len()];
        let committed = graph.commit(&weight_roots, profile).ok_or(ModelFault::Counts)?;
        let root = committed.header.root_under::<C>();
        let mut model = Self {
            graph,
            committed,
            root,
            weights,
            weight_roots,
            input_names,
            outputs,
            operator_names,
            packed: HashMap::new(),
            plans: Vec::new(),
            weight_trees,
            halves: Halves::default(),
        };
        model.pack_weights();
        model.plan_layers();
        Ok(model)
    }

    /// The same model and commitments over other weights: what a cheat would run.
    ///
    /// `None` unless there is a tensor of the same type for each weight.
    pub fn with_weights_unlike_commitment(&self, weights: Vec<Tensor>) -> Option<Self> {
        let fits = weights.len() == self.weights.len()
            && weights.iter().zip(&self.weights).all(|(new, old)| new.kind() == old.kind());
        let weight_trees = vec![OnceLock::new(); weights.len()];
        let mut model = Self { weights, weight_trees, ..self.clone() };
        model.pack_weights();
        fits.then_some(model)
    }

    /// Lays out the weights of products once.
    fn pack_weights(&mut self) {
        self.packed.clear();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let Some(operand) = node.operands.get(1) else {
                continue;
            };
            let Some(ValueSource::Weight(weight)) = self.committed.header.source(operand.value)
            else {
                continue;
            };
            let Some(tensor) = self.weights.get(weight as usize) else {
                continue;
            };
            let shape = tensor.shape();
            let packed = match &node.operator {
                Operator::Contract {} if shape.rank() >= 2 => {
                    let rows = shape.dimensions()[shape.rank() - 2];
                    let floats = node.output.element == ElementType::F32;
                    (floats && shape.rows() == rows).then(|| {
                        let widened = tensor.widened();
                        let tensor = widened.as_ref().unwrap_or(tensor);
                        let depth = shape.count() / rows;
                        let (rows, depth) = (rows as usize, depth as usize);
                        Packed::Rows(PackedRows::new(tensor.as_f32(), rows, depth))
                    })
                }
                Operator::Convolve { window, groups } => Convolution::new(node, window, *groups)
                    .map(|convolution| Packed::Kernel(convolution.pack(tensor.as_f32()))),
                _ => None,
            };
            if let Some(packed) = packed {
                self.packed.insert(index as u32, packed);
            }
        }
    }

    /// Plans how each layer is run in few passes.
    fn plan_layers(&mut self) {
        let (header, nodes) = (&self.committed.header, &self.graph.nodes);
        let layers = self.graph.layers.iter();
        self.plans = layers.map(|layer| LayerPlan::new(header, nodes, layer)).collect();
    }

    /// The canonical graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The model root.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// What the model root commits to.
    pub fn header(&self) -> &ModelHeader {
        &self.committed.header
    }

    /// The trees under the model root.
    pub fn committed(&self) -> &CommittedGraph<C> {
        &self.committed
    }

    /// The weights, in the order of their numbers.
    pub fn weights(&self) -> &[Tensor] {
        &self.weights
    }

    /// Root of a weight tensor, as committed.
    pub fn weight_root(&self, weight: u32) -> Option<Digest> {
        self.weight_roots.get(weight as usize).copied()
    }

    /// Leaf tree of a weight tensor, built at the first call.
    pub fn weight_tree(&self, weight: u32) -> Option<&Tree<C>> {
        let cell = self.weight_trees.get(weight as usize)?;
        match cell.get() {
            Some(tree) => Some(tree),
            None => {
                let tree = self.weights.get(weight as usize)?.tree()?;
                Some(cell.get_or_init(|| tree))
            }
        }
    }

    /// Names of the inputs.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// Names and values of the outputs.
    pub fn outputs(&self) -> &[(String, u32)] {
        &self.outputs
    }

    /// Element type and shape of a value: of an input, a weight or an operator's output.
    pub fn value_type(&self, value: u32) -> Option<&TensorType> {
        let (value, graph) = (value as usize, &self.graph);
        let after = |list: usize| value.checked_sub(list);
        let inputs = graph.inputs.len();
        graph.inputs.get(value).or_else(|| graph.weights.get(after(inputs)?)).or_else(|| {
            let node = graph.nodes.get(after(inputs + graph.weights.len())?)?;
            Some(&node.output)
        })
    }

    /// What the file had as 16-bit floats.
    pub fn halves(&self) -> &Halves {
        &self.halves
    }

    /// The same model, with what its file had as 16-bit floats. No part of the model root.
    #[must_use]
    pub fn with_halves(mut self, halves: Halves) -> Self {
        self.halves = halves;
        self
    }

    /// The ONNX node that an operator came from.
    pub fn operator_name(&self, operator: u32) -> &str {
        self.operator_names.get(operator as usize).map_or("", String::as_str)
    }

    /// An operator's definition.
    pub fn node(&self, operator: u32) -> Option<&Node> {
        self.graph.nodes.get(operator as usize)
    }

    /// An operator's definition, as the law takes it.
    pub fn checked(&self, operator: u32) -> Option<CheckedNode<'_>> {
        law::check(self.node(operator)?).ok()
    }

    /// A layer.
    pub fn layer(&self, layer: u32) -> Option<&Layer> {
        self.graph.layers.get(layer as usize)
    }

    /// The layer that holds an operator.
    pub fn layer_of(&self, operator: u32) -> Option<u32> {
        let found = self.graph.layers.iter().position(|layer| layer.position(operator).is_some());
        found.map(|layer| layer as u32)
    }

    /// Values of a state, ascending.
    pub fn live_values(&self, boundary: u32) -> Option<&[u32]> {
        match boundary.checked_sub(1) {
            None => self.layer(0).map(|layer| layer.live_in.as_slice()),
            Some(before) => self.layer(before).map(|layer| layer.live_out.as_slice()),
        }
    }

    /// The second operand of a product, laid out beforehand.
    pub(crate) fn packed(&self, operator: u32) -> Option<&Packed> {
        self.packed.get(&operator)
    }

    /// As [`Model::packed`], of a contraction.
    pub(crate) fn packed_rows(&self, operator: u32) -> Option<&PackedRows> {
        match self.packed.get(&operator)? {
            Packed::Rows(rows) => Some(rows),
            Packed::Kernel(_) => None,
        }
    }

    /// As [`Model::packed`], of a convolution.
    pub(crate) fn packed_kernel(&self, operator: u32) -> Option<&PackedKernel> {
        match self.packed.get(&operator)? {
            Packed::Kernel(kernel) => Some(kernel),
            Packed::Rows(_) => None,
        }
    }

    /// How a layer is run in few passes.
    pub(crate) fn plan(&self, layer: u32) -> Option<&LayerPlan> {
        self.plans.get(layer as usize)?.as_ref()
    }

    /// Proof of an operator under the model root.
    pub fn node_proof(&self, operator: u32) -> Option<NodeProof> {
        let node = self.node(operator)?.clone();
        let path = self.committed.nodes.tree().path(u64::from(operator))?;
        Some(NodeProof { index: operator, node, path })
    }

    /// Proof of a layer under the model root.
    pub fn layer_proof(&self, layer: u32) -> Option<LayerProof> {
        let path = self.committed.layers.tree().path(u64::from(layer))?;
        Some(LayerProof { index: layer, layer: self.layer(layer)?.clone(), path })
    }

    /// Number of elements of all weights.
    pub fn parameters(&self) -> u64 {
        self.weights.iter().map(|tensor| tensor.shape().count()).sum()
    }

    /// Multiply-adds of one run, contractions and convolutions only.
    pub fn multiply_adds(&self) -> u64 {
        let products = self.graph.nodes.iter().filter(|node| {
            matches!(node.operator, Operator::Contract {} | Operator::Convolve { .. })
        });
        let products = products.filter_map(|node| law::check(node).ok());
        products.map(|node| node.output.shape.count() * law::multiply_adds(node)).sum()
    }
}
