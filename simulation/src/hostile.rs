//! Small models and inputs on which much goes wrong: operators without a result, bits that no stored value has.

use inference::{ComputePolicy, Engine, EngineError, Model, Tensor, compute_honestly};
use protocol::graph::{Fold, Graph, Layer, MapFunction, Node, Operand, Operator, Profile};
use protocol::hash::Commitment;
use protocol::tensor::{ElementType, Shape, TensorType};

/// Elements of a row of the model whose operators may have no result.
const WIDTH: u64 = 40;
/// Elements of a row of floats: over one segment of a sum.
const FLOATS: u64 = 70;

/// Models with their inputs.
pub(crate) type Inputs = Vec<Tensor>;

/// Puts a graph together, operator by operator.
struct Sketch {
    inputs: Vec<TensorType>,
    weights: Vec<Tensor>,
    nodes: Vec<Node>,
    layers: Vec<Layer>,
}

impl Sketch {
    fn new(input: &TensorType, weights: Vec<Tensor>) -> Self {
        Self { inputs: vec![input.clone()], weights, nodes: Vec::new(), layers: Vec::new() }
    }

    fn weight(number: u32) -> u32 {
        1 + number
    }

    /// The value that the operator of this number writes.
    fn written(&self, operator: u32) -> u32 {
        1 + self.weights.len() as u32 + operator
    }

    fn kind(&self, value: u32) -> Option<TensorType> {
        let weights = self.weights.iter().map(Tensor::kind);
        let written = self.nodes.iter().map(|node| &node.output);
        self.inputs.iter().chain(weights).chain(written).nth(value as usize).cloned()
    }

    fn node(&mut self, operator: Operator, values: &[u32], output: &TensorType) -> Option<u32> {
        let operands = values.iter().map(|value| {
            let kind = self.kind(*value)?;
            Some(Operand { value: *value, kind })
        });
        let operands = operands.collect::<Option<_>>()?;
        self.nodes.push(Node { operator, operands, output: output.clone() });
        Some(self.written(self.nodes.len() as u32 - 1))
    }

    /// All operators since the last layer are one, which hands on this value.
    fn layer(&mut self, live_in: &[u32], live_out: &[u32]) {
        let first_operator = self.layers.iter().map(|layer| layer.operator_count).sum();
        let operator_count = self.nodes.len() as u32 - first_operator;
        let (live_in, live_out) = (live_in.to_vec(), live_out.to_vec());
        self.layers.push(Layer { first_operator, operator_count, live_in, live_out });
    }

    fn model<C: Commitment>(self) -> Option<Model<C>> {
        let output = self.written(self.nodes.len() as u32 - 1);
        let names = (0..self.nodes.len()).map(|number| format!("operator {number}")).collect();
        let graph = Graph {
            inputs: self.inputs,
            weights: self.weights.iter().map(|weight| weight.kind().clone()).collect(),
            nodes: self.nodes,
            layers: self.layers,
            ..Graph::default()
        };
        let outputs = vec![("output".to_owned(), output)];
        let inputs = vec!["input".to_owned()];
        Model::new(graph, self.weights, inputs, outputs, names, Profile::StrictF32).ok()
    }
}

fn map(function: MapFunction) -> Operator {
    Operator::Map { function }
}

/// Integers that are added, divided and folded, with inputs under which a sum overflows, a divisor is 0, a quotient
/// leaves 64 bits, and one under which all is well.
pub(crate) fn undefined<C: Commitment>() -> Option<(Model<C>, Inputs)> {
    let shape = Shape::new(&[WIDTH])?;
    let row = TensorType { element: ElementType::I64, shape: shape.clone() };
    let ones = |at: u64, other: (u64, i64)| if at == other.0 { other.1 } else { 1 };
    let added = (0..WIDTH).map(|at| (at * 7 % 5) as i64).collect();
    let divided = (0..WIDTH).map(|at| ones(at, (5, i64::MIN))).collect();
    let weights = vec![Tensor::from_i64(&shape, added)?, Tensor::from_i64(&shape, divided)?];
    let mut sketch = Sketch::new(&row, weights);
    let (added, divided) = (Sketch::weight(0), Sketch::weight(1));
    let sum = sketch.node(map(MapFunction::Add), &[0, added], &row)?;
    sketch.layer(&[0], &[sum]);
    let quotient = sketch.node(map(MapFunction::Divide), &[divided, sum], &row)?;
    let least = sketch.node(map(MapFunction::Minimum), &[quotient, sum], &row)?;
    sketch.layer(&[sum], &[least]);
    let last = sketch.node(map(MapFunction::Maximum), &[least, added], &row)?;
    sketch.layer(&[least], &[last]);
    let input = |others: &[(u64, i64)]| {
        let plain = |at: u64| 50 + (at * 31 % 17) as i64;
        let other =
            |at: u64| others.iter().find(|(place, _)| *place == at).map(|(_, value)| *value);
        let elements = (0..WIDTH).map(|at| other(at).unwrap_or_else(|| plain(at)));
        Tensor::from_i64(&shape, elements.collect())
    };
    let inputs = vec![
        input(&[])?,
        // The divisor of element 9 is 0; so is a later one.
        input(&[(9, -((9 * 7 % 5) as i64)), (30, 0)])?,
        // The least integer divided by -1.
        input(&[(5, -1 - (5 * 7 % 5) as i64)])?,
        // A sum over the largest integer.
        input(&[(3, i64::MAX)])?,
    ];
    Some((sketch.model()?, inputs))
}

/// Floats that are moved, multiplied, compared and summed up, with inputs of infinities, subnormals, zeros with a sign
/// and values that are no numbers, each in bits that no stored value has, and an input of nothing else.
pub(crate) fn floats<C: Commitment>() -> Option<(Model<C>, Inputs)> {
    let shape = Shape::new(&[FLOATS])?;
    let row = TensorType { element: ElementType::F32, shape: shape.clone() };
    let scalar = TensorType { element: ElementType::F32, shape: Shape::new(&[])? };
    let weight = |step: f32| {
        Tensor::from_f32(&shape, (0..FLOATS).map(|at| 0.5 + step * (at % 7) as f32).collect())
    };
    let mut sketch = Sketch::new(&row, vec![weight(0.25)?, weight(-0.125)?]);
    let (factor, added) = (Sketch::weight(0), Sketch::weight(1));
    // What is only moved shows the bits that were read.
    let moved = sketch.node(Operator::Reshape {}, &[0], &row)?;
    let product = sketch.node(map(MapFunction::Multiply), &[moved, factor], &row)?;
    let sum = sketch.node(map(MapFunction::Add), &[product, added], &row)?;
    sketch.layer(&[0], &[moved, sum]);
    let largest = sketch.node(map(MapFunction::Maximum), &[sum, moved], &row)?;
    let total = sketch.node(Operator::Reduce { fold: Fold::Sum }, &[largest], &scalar)?;
    let spread = sketch.node(map(MapFunction::Add), &[largest, total], &row)?;
    sketch.layer(&[moved, sum], &[spread]);
    let last = sketch.node(map(MapFunction::Minimum), &[spread, factor], &row)?;
    sketch.layer(&[spread], &[last]);
    let input = |others: &[(u64, u32)]| {
        let plain = |at: u64| (at as f32) * 0.375 - 11.0;
        let other = |at: u64| others.iter().find(|(place, _)| *place == at);
        let element =
            |at: u64| other(at).map_or_else(|| plain(at), |(_, bits)| f32::from_bits(*bits));
        Tensor::given_f32(&shape, (0..FLOATS).map(element).collect())
    };
    let zeros = [0x8000_0000, 0x0000_0001, 0x8000_0001];
    let unusual = [0x7FA0_0001, 0x8000_0000, 0x0000_0001, 0xFFC1_2345, 0x807F_FFFF];
    // Every other element is a zero that is stored otherwise, beside what is to go wrong.
    let with_zeros = |others: &[(u64, u32)]| {
        let zeros = (0..FLOATS).step_by(2).zip(zeros.into_iter().cycle());
        input(&others.iter().copied().chain(zeros).collect::<Vec<_>>())
    };
    let all: Vec<(u64, u32)> = (0..FLOATS).zip(unusual.into_iter().cycle()).collect();
    let inputs = vec![
        with_zeros(&[])?,
        with_zeros(&[(7, 0x7F80_0000), (65, 0xFF80_0000)])?,
        with_zeros(&[(3, 0x7FA0_0001), (66, 0xFFC1_2345)])?,
        with_zeros(&[(1, 0x7F7F_FFFF), (2, 0x7F7F_FFFF), (69, 0x8000_0000)])?,
        input(&all)?,
    ];
    Some((sketch.model()?, inputs))
}

/// Does what the model says, and invents ones where there is no result: what somebody must do who claims a run that
/// there is none of. It may lie about the last operator as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inventing {
    /// Whether the last operator's first element is another one.
    pub(crate) lies_at_the_end: bool,
}

impl<C: Commitment> ComputePolicy<C> for Inventing {
    fn compute(
        &self,
        engine: &Engine,
        model: &Model<C>,
        operator: u32,
        operands: &[&Tensor],
    ) -> Result<Tensor, EngineError> {
        let missing = || EngineError::Operands { kind: "unknown" };
        let node = model.node(operator).ok_or_else(missing)?;
        let is_last = operator.checked_add(1) == Some(model.header().operator_count);
        let count = usize::try_from(node.output.shape.count()).map_err(|_| missing())?;
        let ones = || Tensor::from_bits(&node.output, &vec![1; count]).ok_or_else(missing);
        match compute_honestly(engine, model, operator, operands) {
            Ok(_) if is_last && self.lies_at_the_end => ones(),
            Ok(output) => Ok(output),
            Err(EngineError::Undefined { .. }) => ones(),
            Err(error) => Err(error),
        }
    }
}
