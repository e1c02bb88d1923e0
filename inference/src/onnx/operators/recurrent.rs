//! Recurrent layers, unrolled over their steps.

use protocol::graph::MapFunction as F;
use protocol::tensor::ElementType;

use super::activation::{clipped, rectified};
use crate::onnx::builder::Builder;
use crate::onnx::lowering::{OnnxNode, with_bias};
use crate::onnx::movement::{expand_to, joined, part};
use crate::onnx::shapes::Lowered;
use crate::onnx::value::Value;

/// Most steps: each becomes operators of its own.
const STEPS_MAX: u64 = 2048;

/// What a step of a layer computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// RNN: one activation.
    Plain,
    /// GRU: a state that gates update and reset.
    Gated,
    /// LSTM: a state and a cell, that gates write, keep and show.
    Memory,
}

impl Cell {
    fn default_activations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gated => &["Sigmoid", "Tanh"],
            Self::Memory => &["Sigmoid", "Tanh", "Tanh"],
        }
    }

    fn gates(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Gated => 3,
            Self::Memory => 4,
        }
    }
}

/// A layer: its input, step by step, and its sizes.
struct Layer {
    cell: Cell,
    /// `[steps, batch, width]`.
    x: Value,
    steps: u64,
    batch: u64,
    directions: u64,
    hidden: u64,
    /// Input, outputs and states have the batch first.
    batch_first: bool,
    /// Steps of each row of the batch, where they differ.
    lengths: Option<Value>,
}

impl Layer {
    fn of(builder: &mut Builder, node: &OnnxNode<'_>, cell: Cell) -> Lowered<Self> {
        let batch_first = node.flag("layout", false);
        let x = in_steps(builder, node.input(0)?, batch_first)?;
        let &[steps, batch, _] = x.dimensions() else {
            return Err("the input needs rank 3".to_owned());
        };
        if steps > STEPS_MAX {
            return Err(format!("more than {STEPS_MAX} steps"));
        }
        let &[directions @ 1..=2, _, hidden] = node.input(2)?.dimensions() else {
            return Err("input 2 needs rank 3 and one or two directions".to_owned());
        };
        let lengths =
            node.optional(4).map(|lengths| builder.cast(lengths, ElementType::I64)).transpose()?;
        Ok(Self { cell, x, steps, batch, directions, hidden, batch_first, lengths })
    }

    /// A state before the first step, as an input gives it.
    fn initial(&self, builder: &mut Builder, given: &Value, direction: u64) -> Lowered<Value> {
        let given = in_steps(builder, given, self.batch_first)?;
        let part = part(builder, &given, 0, direction, 1)?;
        builder.reshape(&part, &[self.batch, self.hidden])
    }

    /// All steps of one direction: outputs `[steps, 1, batch, hidden]`, the last state, the last cell.
    fn unrolled(
        &self,
        builder: &mut Builder,
        node: &OnnxNode<'_>,
        direction: u64,
    ) -> Lowered<(Value, Value, Option<Value>)> {
        let one = Direction::of(builder, node, self, direction)?;
        let nothing = builder.scalar(0.0)?;
        let nothing = expand_to(builder, &nothing, &[self.batch, self.hidden])?;
        let mut initial = |index: usize| match node.optional(index) {
            Some(given) => self.initial(builder, given, direction),
            None => Ok(nothing.clone()),
        };
        let mut state = initial(5)?;
        let mut cell = match self.cell {
            Cell::Memory => Some(initial(6)?),
            Cell::Plain | Cell::Gated => None,
        };
        let kind = node.attributes.text("direction", "forward");
        let backwards = kind == "reverse" || direction == 1;
        let of_input = one.of_input(builder, &self.x)?;
        let mut outputs = Vec::new();
        for number in 0..self.steps {
            let at = if backwards { self.steps - 1 - number } else { number };
            let input = part(builder, &of_input, 0, at * self.batch, self.batch)?;
            let mut next = one.step(builder, &input, &state, cell.as_ref())?;
            let shown = self.running(builder, at, (&state, cell.as_ref()), &mut next)?;
            (state, cell) = next;
            outputs.push(builder.reshape(&shown, &[1, 1, self.batch, self.hidden])?);
        }
        if backwards {
            outputs.reverse();
        }
        Ok((joined(builder, outputs, 0)?, state, cell))
    }

    /// What a step shows: after the end of its sequence a row keeps its state and shows nothing.
    fn running(
        &self,
        builder: &mut Builder,
        at: u64,
        (state, cell): (&Value, Option<&Value>),
        next: &mut (Value, Option<Value>),
    ) -> Lowered<Value> {
        let Some(lengths) = &self.lengths else {
            return Ok(next.0.clone());
        };
        let here = builder.integers(vec![at as i64])?;
        let running = builder.map(F::Less, &[&here, lengths])?;
        let running = builder.reshape(&running, &[self.batch, 1])?;
        let zero = builder.scalar(0.0)?;
        let shown = builder.map(F::Select, &[&running, &next.0, &zero])?;
        next.0 = builder.map(F::Select, &[&running, &next.0, state])?;
        if let (Some(new), Some(old)) = (&next.1, cell) {
            next.1 = Some(builder.map(F::Select, &[&running, new, old])?);
        }
        Ok(shown)
    }
}

/// `[batch, steps, ..]` as `[steps, batch, ..]` where the batch is first.
fn in_steps(builder: &mut Builder, value: &Value, batch_first: bool) -> Lowered<Value> {
    if batch_first { builder.transpose(value, &[1, 0, 2]) } else { Ok(value.clone()) }
}

/// RNN, GRU and LSTM.
pub(super) fn recurrent(
    builder: &mut Builder,
    node: &OnnxNode<'_>,
    cell: Cell,
) -> Lowered<Vec<Value>> {
    let layer = Layer::of(builder, node, cell)?;
    let (mut all, mut last_states, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
    for direction in 0..layer.directions {
        let (outputs, state, cell) = layer.unrolled(builder, node, direction)?;
        all.push(outputs);
        let one = [1, layer.batch, layer.hidden];
        last_states.push(builder.reshape(&state, &one)?);
        if let Some(cell) = cell {
            last_cells.push(builder.reshape(&cell, &one)?);
        }
    }
    let mut outputs = joined(builder, all, 1)?;
    let mut results = vec![joined(builder, last_states, 0)?];
    if !last_cells.is_empty() {
        results.push(joined(builder, last_cells, 0)?);
    }
    if layer.batch_first {
        outputs = builder.transpose(&outputs, &[2, 0, 1, 3])?;
        for value in &mut results {
            *value = builder.transpose(value, &[1, 0, 2])?;
        }
    }
    results.insert(0, outputs);
    Ok(results)
}

/// One direction of a layer.
struct Direction {
    cell: Cell,
    /// Weights of input and state, `[gates · hidden, ..]`, their biases, and the peepholes.
    input: Value,
    state: Value,
    input_bias: Option<Value>,
    state_bias: Option<Value>,
    peepholes: Option<Value>,
    activations: Vec<String>,
    hidden: u64,
    clip: Option<f32>,
    linear_before_reset: bool,
    input_forget: bool,
}

/// The part of an input for one direction.
fn of_direction(builder: &mut Builder, value: &Value, direction: u64) -> Lowered<Value> {
    let one = part(builder, value, 0, direction, 1)?;
    let rest = value.dimensions()[1..].to_vec();
    builder.reshape(&one, &rest)
}

impl Direction {
    fn of(
        builder: &mut Builder,
        node: &OnnxNode<'_>,
        layer: &Layer,
        direction: u64,
    ) -> Lowered<Self> {
        let pick = |builder: &mut Builder, index: usize| -> Lowered<Option<Value>> {
            let value = node.optional(index);
            value.map(|value| of_direction(builder, value, direction)).transpose()
        };
        let size = layer.cell.gates() * layer.hidden;
        let bias = pick(builder, 3)?;
        let half = |builder: &mut Builder, which: u64| -> Lowered<Option<Value>> {
            let bias = bias.as_ref();
            bias.map(|bias| part(builder, bias, 0, which * size, size)).transpose()
        };
        Ok(Self {
            cell: layer.cell,
            input: pick(builder, 1)?.ok_or("input 1 is missing")?,
            state: pick(builder, 2)?.ok_or("input 2 is missing")?,
            input_bias: half(builder, 0)?,
            state_bias: half(builder, 1)?,
            peepholes: if layer.cell == Cell::Memory { pick(builder, 7)? } else { None },
            activations: activations(node, layer.cell, direction),
            hidden: layer.hidden,
            clip: node.attributes.get("clip").map(|clip| clip.f),
            linear_before_reset: node.flag("linear_before_reset", false),
            input_forget: node.flag("input_forget", false),
        })
    }
}

/// The activations that a node names for a direction, or those of its kind of cell.
fn activations(node: &OnnxNode<'_>, cell: Cell, direction: u64) -> Vec<String> {
    let defaults = cell.default_activations();
    let named = node.attributes.get("activations").map_or(&[][..], |list| &list.strings);
    if named.is_empty() {
        return defaults.iter().map(|name| (*name).to_owned()).collect();
    }
    let own = named.iter().skip(direction as usize * defaults.len()).take(defaults.len());
    own.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

impl Direction {
    fn activate(&self, builder: &mut Builder, which: usize, value: &Value) -> Lowered<Value> {
        let function = match self.activations.get(which).map(String::as_str) {
            Some("Sigmoid") => F::Sigmoid,
            Some("Tanh") => F::Tanh,
            Some("Relu") => return rectified(builder, value),
            Some(other) => return Err(format!("activation {other} is not supported")),
            None => return Err("an activation is missing".to_owned()),
        };
        builder.map(function, &[value])
    }

    fn clipped(&self, builder: &mut Builder, value: Value) -> Lowered<Value> {
        let Some(clip) = self.clip else {
            return Ok(value);
        };
        let (least, most) = (builder.scalar(-clip)?, builder.scalar(clip)?);
        clipped(builder, &value, Some(&least), Some(&most))
    }

    fn gate(&self, builder: &mut Builder, value: &Value, gate: u64) -> Lowered<Value> {
        part(builder, value, 1, gate * self.hidden, self.hidden)
    }

    /// Everything the input adds to the gates, for all steps in one product: `[steps · batch, ..]`.
    fn of_input(&self, builder: &mut Builder, x: &Value) -> Lowered<Value> {
        let &[steps, batch, width] = x.dimensions() else {
            return Err("the input needs rank 3".to_owned());
        };
        let rows = builder.reshape(x, &[steps * batch, width])?;
        let product = builder.contract(&rows, &self.input)?;
        with_bias(builder, product, self.input_bias.as_ref())
    }

    fn of_state(&self, builder: &mut Builder, state: &Value) -> Lowered<Value> {
        let product = builder.contract(state, &self.state)?;
        with_bias(builder, product, self.state_bias.as_ref())
    }

    /// One step: input's part, state and cell to the next state and cell.
    fn step(
        &self,
        builder: &mut Builder,
        input: &Value,
        state: &Value,
        cell: Option<&Value>,
    ) -> Lowered<(Value, Option<Value>)> {
        match self.cell {
            Cell::Plain => {
                let recurrent = self.of_state(builder, state)?;
                let sum = builder.map(F::Add, &[input, &recurrent])?;
                let sum = self.clipped(builder, sum)?;
                Ok((self.activate(builder, 0, &sum)?, None))
            }
            Cell::Gated => self.gru(builder, input, state).map(|state| (state, None)),
            Cell::Memory => {
                let cell = cell.ok_or("the cell is missing")?;
                let (state, cell) = self.lstm(builder, input, state, cell)?;
                Ok((state, Some(cell)))
            }
        }
    }

    fn gru(&self, builder: &mut Builder, input: &Value, state: &Value) -> Lowered<Value> {
        let recurrent = self.of_state(builder, state)?;
        let mut gates = Vec::new();
        for gate in 0..2 {
            let (a, b) = (self.gate(builder, input, gate)?, self.gate(builder, &recurrent, gate)?);
            let sum = builder.map(F::Add, &[&a, &b])?;
            let sum = self.clipped(builder, sum)?;
            gates.push(self.activate(builder, 0, &sum)?);
        }
        let [update, reset] = gates.as_slice() else {
            return Err("two gates".to_owned());
        };
        let fresh = if self.linear_before_reset {
            let own = self.gate(builder, &recurrent, 2)?;
            builder.map(F::Multiply, &[reset, &own])?
        } else {
            let kept = builder.map(F::Multiply, &[reset, state])?;
            let weights = part(builder, &self.state, 0, 2 * self.hidden, self.hidden)?;
            let product = builder.contract(&kept, &weights)?;
            let bias = self.state_bias.as_ref();
            let bias = bias.map(|bias| part(builder, bias, 0, 2 * self.hidden, self.hidden));
            with_bias(builder, product, bias.transpose()?.as_ref())?
        };
        let input = self.gate(builder, input, 2)?;
        let sum = builder.map(F::Add, &[&input, &fresh])?;
        let sum = self.clipped(builder, sum)?;
        let candidate = self.activate(builder, 1, &sum)?;
        let one = builder.scalar(1.0)?;
        let rest = builder.map(F::Subtract, &[&one, update])?;
        let (new, old) = (
            builder.map(F::Multiply, &[&rest, &candidate])?,
            builder.map(F::Multiply, &[update, state])?,
        );
        builder.map(F::Add, &[&new, &old])
    }

    fn lstm(
        &self,
        builder: &mut Builder,
        input: &Value,
        state: &Value,
        cell: &Value,
    ) -> Lowered<(Value, Value)> {
        let recurrent = self.of_state(builder, state)?;
        let gates = builder.map(F::Add, &[input, &recurrent])?;
        let peep = |builder: &mut Builder, gate: Value, which: u64, cell: &Value| {
            let gate = match &self.peepholes {
                Some(weights) => {
                    let weights = part(builder, weights, 0, which * self.hidden, self.hidden)?;
                    let seen = builder.map(F::Multiply, &[&weights, cell])?;
                    builder.map(F::Add, &[&gate, &seen])?
                }
                None => gate,
            };
            self.clipped(builder, gate)
        };
        // Gates stand as input, output, forget, cell; peepholes as input, output, forget.
        let gate = self.gate(builder, &gates, 0)?;
        let gate = peep(builder, gate, 0, cell)?;
        let enter = self.activate(builder, 0, &gate)?;
        let forget = if self.input_forget {
            let one = builder.scalar(1.0)?;
            builder.map(F::Subtract, &[&one, &enter])?
        } else {
            let gate = self.gate(builder, &gates, 2)?;
            let gate = peep(builder, gate, 2, cell)?;
            self.activate(builder, 0, &gate)?
        };
        let gate = self.gate(builder, &gates, 3)?;
        let gate = self.clipped(builder, gate)?;
        let candidate = self.activate(builder, 1, &gate)?;
        let (kept, new) = (
            builder.map(F::Multiply, &[&forget, cell])?,
            builder.map(F::Multiply, &[&enter, &candidate])?,
        );
        let next = builder.map(F::Add, &[&kept, &new])?;
        let gate = self.gate(builder, &gates, 1)?;
        let gate = peep(builder, gate, 1, &next)?;
        let leave = self.activate(builder, 0, &gate)?;
        let shown = self.activate(builder, 2, &next)?;
        Ok((builder.map(F::Multiply, &[&leave, &shown])?, next))
    }
}
