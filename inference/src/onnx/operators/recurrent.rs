//! Recurrent layers, unrolled over their steps.

use protocol::graph::{MapFunction as F, Operator};
use protocol::tensor::ElementType;

use super::{Context, Inputs};
use crate::onnx::builder::{Builder, Lowered, Value, make_shape};
use crate::onnx::fold_shapes::{expand_to, part};

/// Most steps: each becomes operators of its own.
const STEPS_MAX: u64 = 2048;

/// One direction of a layer.
struct Direction<'a> {
    operator: &'a str,
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

fn stack(builder: &mut Builder, parts: Vec<Value>, axis: usize) -> Lowered<Value> {
    let first = parts.first().ok_or("no steps")?.clone();
    if parts.len() == 1 {
        return Ok(first);
    }
    let mut dimensions = first.dimensions().to_vec();
    dimensions[axis] = parts.iter().map(|part| part.dimensions()[axis]).sum();
    let (shape, element) = (make_shape(&dimensions)?, first.element());
    // Operators take 64 operands at most.
    if parts.len() > 64 {
        let groups: Lowered<Vec<Value>> =
            parts.chunks(64).map(|group| stack(builder, group.to_vec(), axis)).collect();
        return stack(builder, groups?, axis);
    }
    builder.emit(Operator::Concat { axis: axis as u32 }, parts, element, shape)
}

impl Direction<'_> {
    fn activate(&self, builder: &mut Builder, which: usize, value: &Value) -> Lowered<Value> {
        let function = match self.activations.get(which).map(String::as_str) {
            Some("Sigmoid") => F::Sigmoid,
            Some("Tanh") => F::Tanh,
            Some("Relu") => {
                let zero = builder.scalar(0.0)?;
                return builder.map(F::Maximum, &[value, &zero]);
            }
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
        let value = builder.map(F::Maximum, &[&value, &least])?;
        builder.map(F::Minimum, &[&value, &most])
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
        match &self.input_bias {
            Some(bias) => builder.map(F::Add, &[&product, bias]),
            None => Ok(product),
        }
    }

    fn of_state(&self, builder: &mut Builder, state: &Value) -> Lowered<Value> {
        let product = builder.contract(state, &self.state)?;
        match &self.state_bias {
            Some(bias) => builder.map(F::Add, &[&product, bias]),
            None => Ok(product),
        }
    }

    /// One step: input's part, state and cell to the next state and cell.
    fn step(
        &self,
        builder: &mut Builder,
        input: &Value,
        state: &Value,
        cell: Option<&Value>,
    ) -> Lowered<(Value, Option<Value>)> {
        match self.operator {
            "RNN" => {
                let recurrent = self.of_state(builder, state)?;
                let sum = builder.map(F::Add, &[input, &recurrent])?;
                let sum = self.clipped(builder, sum)?;
                Ok((self.activate(builder, 0, &sum)?, None))
            }
            "GRU" => self.gru(builder, input, state).map(|state| (state, None)),
            _ => {
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
        let fresh = match self.linear_before_reset {
            true => {
                let own = self.gate(builder, &recurrent, 2)?;
                builder.map(F::Multiply, &[reset, &own])?
            }
            false => {
                let kept = builder.map(F::Multiply, &[reset, state])?;
                let weights = part(builder, &self.state, 0, 2 * self.hidden, self.hidden)?;
                let product = builder.contract(&kept, &weights)?;
                match &self.state_bias {
                    Some(bias) => {
                        let bias = part(builder, bias, 0, 2 * self.hidden, self.hidden)?;
                        builder.map(F::Add, &[&product, &bias])?
                    }
                    None => product,
                }
            }
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
        let forget = match self.input_forget {
            true => {
                let one = builder.scalar(1.0)?;
                builder.map(F::Subtract, &[&one, &enter])?
            }
            false => {
                let gate = self.gate(builder, &gates, 2)?;
                let gate = peep(builder, gate, 2, cell)?;
                self.activate(builder, 0, &gate)?
            }
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

pub(super) fn recurrent(
    builder: &mut Builder,
    operator: &str,
    inputs: &Inputs<'_>,
    context: &Context<'_>,
) -> Lowered<Vec<Value>> {
    let attributes = &context.attributes;
    let batch_first = attributes.int("layout", 0) != 0;
    let x = match batch_first {
        true => builder.transpose(inputs.get(0)?, &[1, 0, 2])?,
        false => inputs.get(0)?.clone(),
    };
    let &[steps, batch, _] = x.dimensions() else {
        return Err("the input needs rank 3".to_owned());
    };
    if steps > STEPS_MAX {
        return Err(format!("more than {STEPS_MAX} steps"));
    }
    let weights = inputs.get(2)?;
    let &[directions @ 1..=2, _, hidden] = weights.dimensions() else {
        return Err("input 2 needs rank 3 and one or two directions".to_owned());
    };
    let kind = attributes.text("direction", "forward");
    let (defaults, gates): (&[&str], u64) = match operator {
        "RNN" => (&["Tanh"], 1),
        "GRU" => (&["Sigmoid", "Tanh"], 3),
        _ => (&["Sigmoid", "Tanh", "Tanh"], 4),
    };
    let named: Vec<String> = attributes
        .get("activations")
        .map(|list| list.strings.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect())
        .unwrap_or_default();
    let lengths = match inputs.optional(4) {
        Some(lengths) => Some(builder.cast(lengths, ElementType::I64)?),
        None => None,
    };
    let (mut all, mut last_states, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
    for direction in 0..directions {
        let pick = |builder: &mut Builder, index: usize| -> Lowered<Option<Value>> {
            let Some(value) = inputs.optional(index) else { return Ok(None) };
            let one = part(builder, value, 0, direction, 1)?;
            let rest = value.dimensions()[1..].to_vec();
            builder.reshape(&one, &rest).map(Some)
        };
        let bias = pick(builder, 3)?;
        let half = |builder: &mut Builder, which: u64| -> Lowered<Option<Value>> {
            let Some(bias) = &bias else { return Ok(None) };
            part(builder, bias, 0, which * gates * hidden, gates * hidden).map(Some)
        };
        let activations = match named.is_empty() {
            true => defaults.iter().map(|name| (*name).to_owned()).collect(),
            false => named
                .iter()
                .skip(direction as usize * defaults.len())
                .take(defaults.len())
                .cloned()
                .collect(),
        };
        let one = Direction {
            operator,
            input: pick(builder, 1)?.ok_or("input 1 is missing")?,
            state: pick(builder, 2)?.ok_or("input 2 is missing")?,
            input_bias: half(builder, 0)?,
            state_bias: half(builder, 1)?,
            peepholes: if operator == "LSTM" { pick(builder, 7)? } else { None },
            activations,
            hidden,
            clip: attributes.get("clip").map(|clip| clip.f),
            linear_before_reset: attributes.int("linear_before_reset", 0) != 0,
            input_forget: attributes.int("input_forget", 0) != 0,
        };
        let nothing = builder.scalar(0.0)?;
        let nothing = expand_to(builder, &nothing, &[batch, hidden])?;
        let initial = |builder: &mut Builder, index: usize| -> Lowered<Value> {
            match inputs.optional(index) {
                None => Ok(nothing.clone()),
                Some(given) => {
                    let given = match batch_first {
                        true => builder.transpose(given, &[1, 0, 2])?,
                        false => given.clone(),
                    };
                    let part = part(builder, &given, 0, direction, 1)?;
                    builder.reshape(&part, &[batch, hidden])
                }
            }
        };
        let mut state = initial(builder, 5)?;
        let mut cell = if operator == "LSTM" { Some(initial(builder, 6)?) } else { None };
        let backwards = kind == "reverse" || direction == 1;
        let of_input = one.of_input(builder, &x)?;
        let mut outputs = Vec::new();
        for number in 0..steps {
            let at = if backwards { steps - 1 - number } else { number };
            let input = part(builder, &of_input, 0, at * batch, batch)?;
            let (mut next, mut next_cell) = one.step(builder, &input, &state, cell.as_ref())?;
            let mut shown = next.clone();
            if let Some(lengths) = &lengths {
                // Behind the end of its sequence a row keeps its state and shows nothing.
                let here = builder.integers(vec![at as i64])?;
                let running = builder.map(F::Less, &[&here, lengths])?;
                let running = builder.reshape(&running, &[batch, 1])?;
                let zero = builder.scalar(0.0)?;
                shown = builder.map(F::Select, &[&running, &next, &zero])?;
                next = builder.map(F::Select, &[&running, &next, &state])?;
                if let (Some(new), Some(old)) = (&next_cell, &cell) {
                    next_cell = Some(builder.map(F::Select, &[&running, new, old])?);
                }
            }
            (state, cell) = (next, next_cell);
            outputs.push(builder.reshape(&shown, &[1, 1, batch, hidden])?);
        }
        if backwards {
            outputs.reverse();
        }
        all.push(stack(builder, outputs, 0)?);
        last_states.push(builder.reshape(&state, &[1, batch, hidden])?);
        if let Some(cell) = cell {
            last_cells.push(builder.reshape(&cell, &[1, batch, hidden])?);
        }
    }
    let mut results = vec![stack(builder, all, 1)?, stack(builder, last_states, 0)?];
    if !last_cells.is_empty() {
        results.push(stack(builder, last_cells, 0)?);
    }
    if batch_first {
        results[0] = builder.transpose(&results[0], &[2, 0, 1, 3])?;
        for value in &mut results[1..] {
            *value = builder.transpose(value, &[1, 0, 2])?;
        }
    }
    Ok(results)
}
