//! Builds the canonical graph, folding whatever is constant as it goes.
//!
//! Folding and execution are one mechanism: an operator whose operands are all constants is run by
//! the engine at once, so that shape arithmetic disappears and constants have canonical bits.

use std::collections::HashMap;

use protocol::graph::{Fold, MapFunction, Node, OPERATORS_MAX, Operand, Operator};
use protocol::law::{self, CheckedNode, NodeFault};
use protocol::tensor::{ElementType, Shape, TensorType};

use super::shapes::{Lowered, broadcast, inverse, make_shape};
use super::value::Value;
use crate::engine::Engine;
use crate::tensor::Tensor;

/// An operator whose operands are still the builder's values.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it computes.
    pub operator: Operator,
    /// From what.
    pub operands: Vec<Value>,
    /// Type of the result.
    pub output: TensorType,
    /// The ONNX node it came from.
    pub origin: String,
}

/// The graph under construction.
#[derive(Debug)]
pub struct Builder {
    engine: Engine,
    inputs: Vec<TensorType>,
    drafts: Vec<Draft>,
    origin: String,
    known: HashMap<(Operator, Vec<usize>), usize>,
    folded: u64,
    grown: u64,
}

/// Most work of constant folding: elements times what is folded into each.
const FOLDING_MAX: u64 = 1 << 31;
/// Most elements of a value that is computed at run time.
const VALUE_ELEMENTS_MAX: u64 = 1 << 28;
/// Most elements by which constants may grow: a small file must not ask for much memory.
const GROWTH_MAX: u64 = 1 << 26;
/// Work of one element that only the law computes, against one of a kernel.
const LAW_COST: u64 = 256;

impl Builder {
    /// An empty graph with these inputs.
    pub fn new(engine: Engine, inputs: Vec<TensorType>) -> Self {
        Self {
            engine,
            inputs,
            drafts: Vec::new(),
            origin: String::new(),
            known: HashMap::new(),
            folded: 0,
            grown: 0,
        }
    }

    /// Names the ONNX node that the next operators come from.
    pub fn set_origin(&mut self, origin: &str) {
        self.origin = origin.to_owned();
    }

    /// The value of an input.
    pub fn input(&self, index: usize) -> Option<Value> {
        self.inputs.get(index).map(|kind| Value::Runtime { id: index, kind: kind.clone() })
    }

    /// The inputs' types and the operators, in topological order.
    pub fn finish(self) -> (Vec<TensorType>, Vec<Draft>) {
        (self.inputs, self.drafts)
    }

    /// Adds an operator, or runs it when everything is known.
    ///
    /// # Errors
    /// When the node is not well formed or has no result.
    pub fn emit(
        &mut self,
        operator: Operator,
        operands: Vec<Value>,
        element: ElementType,
        shape: Shape,
    ) -> Lowered<Value> {
        let output = TensorType { element, shape };
        let node = Node {
            operator,
            operands: operands
                .iter()
                .map(|value| Operand { value: 0, kind: value.kind().clone() })
                .collect(),
            output,
        };
        let checked = law::check(&node).map_err(|fault| misfit(&node, fault))?;
        let constants: Option<Vec<&Tensor>> = operands.iter().map(Value::constant).collect();
        match constants {
            Some(constants) => self.fold(checked, &constants),
            None => self.append_once(node.operator, operands, node.output),
        }
    }

    /// Runs an operator now, within the limits of what a model may ask for.
    fn fold(&mut self, node: CheckedNode<'_>, constants: &[&Tensor]) -> Lowered<Value> {
        let by_law = node.output.element != ElementType::F32;
        let each = law::multiply_adds(node) * if by_law { LAW_COST } else { 1 };
        let count = node.output.shape.count();
        self.folded = self.folded.saturating_add(count.saturating_mul(each));
        let given: u64 = constants.iter().map(|tensor| tensor.shape().count()).sum();
        self.grown = self.grown.saturating_add(count.saturating_sub(given));
        if self.grown > GROWTH_MAX {
            return Err("the model's constants grow too much when they are folded; export them \
                        in the shape in which they are used"
                .to_owned());
        }
        if self.folded > FOLDING_MAX {
            return Err("the model's constants take too much work to fold; fold them before \
                        exporting, or export fewer"
                .to_owned());
        }
        let folded = self.engine.run(node, constants, None);
        folded.map(Value::Constant).map_err(|error| error.to_string())
    }

    /// Adds an operator, unless the same movement or function of the same runtime values is there
    /// already.
    fn append_once(
        &mut self,
        operator: Operator,
        operands: Vec<Value>,
        output: TensorType,
    ) -> Lowered<Value> {
        let count = output.shape.count();
        if count > VALUE_ELEMENTS_MAX {
            return Err(format!(
                "its output of {count} elements is over the limit of {VALUE_ELEMENTS_MAX}; use \
                 smaller batches"
            ));
        }
        let ids: Option<Vec<usize>> = operands
            .iter()
            .map(|value| match value {
                Value::Runtime { id, .. } => Some(*id),
                Value::Constant(_) => None,
            })
            .collect();
        let Some(ids) = ids else {
            return self.append(operator, operands, output);
        };
        let key = (operator.clone(), ids);
        if let Some(id) = self.known.get(&key)
            && self.drafts[*id - self.inputs.len()].output == output
        {
            return Ok(Value::Runtime { id: *id, kind: output });
        }
        let next = self.inputs.len() + self.drafts.len();
        let appended = self.append(operator, operands, output)?;
        self.known.insert(key, next);
        Ok(appended)
    }

    fn append(
        &mut self,
        operator: Operator,
        operands: Vec<Value>,
        output: TensorType,
    ) -> Lowered<Value> {
        if self.drafts.len() >= OPERATORS_MAX as usize {
            return Err(format!("the model has more than {OPERATORS_MAX} canonical operators"));
        }
        let (id, kind) = (self.inputs.len() + self.drafts.len(), output.clone());
        let origin = self.origin.clone();
        self.drafts.push(Draft { operator, operands, output, origin });
        Ok(Value::Runtime { id, kind })
    }

    /// A constant as a value of run time, for outputs that no input changes.
    ///
    /// # Errors
    /// When the model has too many operators.
    pub fn at_run_time(&mut self, value: &Value) -> Lowered<Value> {
        self.append(Operator::Reshape {}, vec![value.clone()], value.kind().clone())
    }

    /// A scalar function of operands that broadcast.
    ///
    /// # Errors
    /// When shapes or types do not fit.
    pub fn map(&mut self, function: MapFunction, operands: &[&Value]) -> Lowered<Value> {
        let mut shape = make_shape(&[])?;
        for operand in operands {
            shape = broadcast(&shape, operand.shape())?;
        }
        use MapFunction as F;
        let element = match function {
            F::Equal | F::Less | F::LessOrEqual | F::IsNan => ElementType::Bool,
            F::Random => ElementType::U32,
            _ => operands.last().map_or(ElementType::F32, |operand| operand.element()),
        };
        if let Some(sunk) = self.map_below_transpose(function, operands, element, &shape)? {
            return Ok(sunk);
        }
        let operands = operands.iter().map(|value| (*value).clone()).collect();
        self.emit(Operator::Map { function }, operands, element, shape)
    }

    /// The permutation and the source of a value that a transpose wrote.
    fn transposed(&self, value: &Value) -> Option<(Vec<usize>, Value)> {
        let Value::Runtime { id, .. } = value else {
            return None;
        };
        let draft = self.drafts.get(id.checked_sub(self.inputs.len())?)?;
        let Operator::Transpose { permutation } = &draft.operator else {
            return None;
        };
        let permutation = permutation.iter().map(|axis| *axis as usize).collect();
        Some((permutation, draft.operands.first()?.clone()))
    }

    /// Maps before a transpose instead of after it, so that transposes meet and cancel: a network
    /// in channels-first order then runs in channels-last order throughout.
    fn map_below_transpose(
        &mut self,
        function: MapFunction,
        operands: &[&Value],
        element: ElementType,
        shape: &Shape,
    ) -> Lowered<Option<Value>> {
        let Some((permutation, _)) = operands.iter().find_map(|value| self.transposed(value))
        else {
            return Ok(None);
        };
        let inverse = inverse(&permutation);
        let mut below = Vec::new();
        for operand in operands {
            let source = match (self.transposed(operand), operand) {
                (Some((same, source)), _) if same == permutation => source,
                (_, Value::Constant(_)) if operand.rank() <= permutation.len() => {
                    let mut dimensions = vec![1; permutation.len() - operand.rank()];
                    dimensions.extend(operand.dimensions());
                    let raised = self.reshape(operand, &dimensions)?;
                    self.transpose(&raised, &inverse)?
                }
                _ => return Ok(None),
            };
            below.push(source);
        }
        let dimensions: Vec<u64> = inverse
            .iter()
            .map(|axis| shape.dimensions().get(*axis).copied().unwrap_or(1))
            .collect();
        if shape.rank() != permutation.len() {
            return Ok(None);
        }
        let shape = make_shape(&dimensions)?;
        let mapped = self.emit(Operator::Map { function }, below, element, shape)?;
        self.transpose(&mapped, &permutation).map(Some)
    }

    /// Casts to another element type.
    ///
    /// # Errors
    /// When a constant cannot be cast.
    pub fn cast(&mut self, value: &Value, element: ElementType) -> Lowered<Value> {
        if value.element() == element {
            return Ok(value.clone());
        }
        let operator = Operator::Map { function: MapFunction::Cast };
        self.emit(operator, vec![value.clone()], element, value.shape().clone())
    }

    /// A binary32 constant without dimensions.
    ///
    /// # Errors
    /// Never for finite constants.
    pub fn scalar(&self, value: f32) -> Lowered<Value> {
        Value::floats(&[], vec![value])
    }

    /// A constant of an element type without dimensions.
    ///
    /// # Errors
    /// When the type cannot hold the value.
    pub fn scalar_of(&mut self, element: ElementType, value: f32) -> Lowered<Value> {
        let scalar = self.scalar(value)?;
        self.cast(&scalar, element)
    }

    /// An integer constant of one dimension.
    ///
    /// # Errors
    /// When it is empty.
    pub fn integers(&self, values: Vec<i64>) -> Lowered<Value> {
        let shape = make_shape(&[values.len() as u64])?;
        let tensor = Tensor::from_i64(&shape, values);
        tensor.map(Value::Constant).ok_or_else(|| "one element for each place".to_owned())
    }

    /// An integer constant without dimensions.
    ///
    /// # Errors
    /// When the model's constants are over a limit.
    pub fn integer(&mut self, value: i64) -> Lowered<Value> {
        let list = self.integers(vec![value])?;
        self.reshape(&list, &[])
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// When the counts differ.
    pub fn reshape(&mut self, value: &Value, dimensions: &[u64]) -> Lowered<Value> {
        if value.dimensions() == dimensions {
            return Ok(value.clone());
        }
        let shape = make_shape(dimensions)?;
        self.emit(Operator::Reshape {}, vec![value.clone()], value.element(), shape)
    }

    /// Permutes the axes.
    ///
    /// # Errors
    /// When it is no permutation.
    pub fn transpose(&mut self, value: &Value, permutation: &[usize]) -> Lowered<Value> {
        if permutation.iter().enumerate().all(|(axis, from)| axis == *from) {
            return Ok(value.clone());
        }
        if let Some((before, source)) = self.transposed(value)
            && before.len() == permutation.len()
        {
            let both: Option<Vec<usize>> =
                permutation.iter().map(|axis| before.get(*axis).copied()).collect();
            return self.transpose(&source, &both.ok_or("the permutation names a missing axis")?);
        }
        let from = value.dimensions();
        let dimensions: Option<Vec<u64>> =
            permutation.iter().map(|axis| from.get(*axis).copied()).collect();
        let shape = make_shape(&dimensions.ok_or("the permutation names a missing axis")?)?;
        let permutation = permutation.iter().map(|axis| *axis as u32).collect();
        let operator = Operator::Transpose { permutation };
        self.emit(operator, vec![value.clone()], value.element(), shape)
    }

    /// Moves an axis after the others; also gives the permutation that moves it back.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn axis_last(&mut self, value: &Value, axis: usize) -> Lowered<(Value, Vec<usize>)> {
        let rank = value.rank();
        let order: Vec<usize> = (0..rank).filter(|other| *other != axis).chain([axis]).collect();
        Ok((self.transpose(value, &order)?, inverse(&order)))
    }

    /// Swaps the last two axes.
    ///
    /// # Errors
    /// When there are not two.
    pub fn swap_last(&mut self, value: &Value) -> Lowered<Value> {
        let rank = value.rank();
        let first = rank.checked_sub(2).ok_or("needs two axes")?;
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(first, rank - 1);
        self.transpose(value, &permutation)
    }

    /// Folds the last axis away.
    ///
    /// # Errors
    /// When there is none.
    pub fn reduce_last(&mut self, fold: Fold, value: &Value) -> Lowered<Value> {
        let dimensions = value.dimensions();
        let kept = dimensions.split_last().ok_or("nothing to reduce")?.1;
        let shape = make_shape(kept)?;
        self.emit(Operator::Reduce { fold }, vec![value.clone()], value.element(), shape)
    }

    /// Rows of the elements along some axes, `[kept axes.., elements]`; and the dimensions with these
    /// axes of size 1.
    ///
    /// # Errors
    /// When an axis is missing.
    pub fn rows_of(&mut self, value: &Value, axes: &[usize]) -> Lowered<(Value, Vec<u64>)> {
        let kept: Vec<usize> = (0..value.rank()).filter(|axis| !axes.contains(axis)).collect();
        let mut dimensions = value.dimensions().to_vec();
        let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
        let moved = self.transpose(value, &order)?;
        let mut flat: Vec<u64> = kept.iter().map(|axis| dimensions[*axis]).collect();
        flat.push(axes.iter().map(|axis| dimensions[*axis]).product());
        let rows = self.reshape(&moved, &flat)?;
        axes.iter().for_each(|axis| dimensions[*axis] = 1);
        Ok((rows, dimensions))
    }

    /// Folds some axes, which stay with size 1.
    ///
    /// # Errors
    /// When an axis is missing.
    pub fn reduce_keep(&mut self, fold: Fold, value: &Value, axes: &[usize]) -> Lowered<Value> {
        if axes.is_empty() {
            return Ok(value.clone());
        }
        let (rows, dimensions) = self.rows_of(value, axes)?;
        let folded = self.reduce_last(fold, &rows)?;
        self.reshape(&folded, &dimensions)
    }

    /// Mean over some axes, which stay with size 1: the sum divided by the count.
    ///
    /// # Errors
    /// When an axis is missing.
    pub fn mean_keep(&mut self, value: &Value, axes: &[usize]) -> Lowered<Value> {
        let count: u64 = axes.iter().map(|axis| value.dimensions()[*axis]).product();
        let sum = self.reduce_keep(Fold::Sum, value, axes)?;
        let count = self.scalar_of(value.element(), count as f32)?;
        self.map(MapFunction::Divide, &[&sum, &count])
    }

    /// `[.., K] × [N, K]`: every row of the last axis with every row of a matrix.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn contract_rows(&mut self, value: &Value, matrix: &Value) -> Lowered<Value> {
        let (size, outer) = value.dimensions().split_last().ok_or("no axis")?;
        let (size, mut dimensions) = (*size, outer.to_vec());
        let rows = self.reshape(value, &[dimensions.iter().product(), size])?;
        let product = self.contract(&rows, matrix)?;
        dimensions.push(product.shape().columns());
        self.reshape(&product, &dimensions)
    }

    /// `[.., M, K] × [.., N, K]`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn contract(&mut self, left: &Value, right: &Value) -> Lowered<Value> {
        let split = |value: &Value| -> Lowered<(Shape, u64)> {
            let dimensions = value.dimensions();
            let at = dimensions.len().checked_sub(2).ok_or("needs two axes")?;
            Ok((make_shape(&dimensions[..at])?, dimensions[at]))
        };
        let ((a, rows), (b, columns)) = (split(left)?, split(right)?);
        let mut dimensions = broadcast(&a, &b)?.dimensions().to_vec();
        dimensions.extend([rows, columns]);
        let shape = make_shape(&dimensions)?;
        let operands = vec![left.clone(), right.clone()];
        self.emit(Operator::Contract {}, operands, ElementType::F32, shape)
    }
}

/// What does not fit, with the shapes or types that do not.
fn misfit(node: &Node, fault: NodeFault) -> String {
    let kind = node.operator.kind();
    let types = node.operands.iter().map(|operand| &operand.kind);
    let listed = |each: Vec<String>| each.join(" and ");
    match fault {
        NodeFault::Shapes => {
            let shapes = types.map(|one| format!("{:?}", one.shape.dimensions())).collect();
            let wanted = node.output.shape.dimensions();
            format!("{kind}: the shapes {} do not fit the output {wanted:?}", listed(shapes))
        }
        NodeFault::Elements => {
            let elements = types.map(|one| one.element.name().to_owned()).collect();
            format!("{kind}: the element types {} do not fit the operator", listed(elements))
        }
        fault => format!("{kind}: {fault}"),
    }
}
