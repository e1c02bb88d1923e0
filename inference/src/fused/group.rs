//! Which operators of a layer become one stage.

use std::collections::HashMap;

use protocol::graph::{Layer, ModelHeader, Node, Operator, ValueSource};
use protocol::tensor::ElementType;

use super::layout::{Layout, Origin, RowOffsets, row_major, sizes};
use super::plan::{Kept, LayerPlan, Step};
use super::program::{Function, Input, Instruction, Output, Place, Source, Stage};
use super::window::is_served;
use kernels::maps_rows;

/// Rows under which a source is shared out by columns, so that nothing after it may fold a row.
const ROWS_MIN: usize = 16;
/// Most registers of a stage: what a block of rows occupies must stay in the cache.
const REGISTERS_MAX: usize = 24;

/// A value inside a stage.
#[derive(Clone, Debug)]
struct Inside {
    register: usize,
    /// Its shape, as operators see it.
    dimensions: Vec<usize>,
    narrow: bool,
}

impl LayerPlan {
    /// Plans a layer. `None` when it is not well formed.
    pub(crate) fn new(header: &ModelHeader, nodes: &[Node], layer: &Layer) -> Option<Self> {
        Grouping::new(header, nodes, layer)?.plan()
    }
}

/// A layer while it is planned.
struct Grouping<'a> {
    header: &'a ModelHeader,
    nodes: &'a [Node],
    layer: &'a Layer,
    live: usize,
    /// How each value of the layer is read, by id.
    layouts: HashMap<u32, Layout>,
    /// Position of the last operator that reads a value; those after it for results.
    last_use: HashMap<u32, usize>,
    steps: Vec<Step>,
}

impl<'a> Grouping<'a> {
    fn new(header: &'a ModelHeader, nodes: &'a [Node], layer: &'a Layer) -> Option<Self> {
        let first = layer.first_operator as usize;
        let nodes = nodes.get(first..first + layer.operator_count as usize)?;
        let live = layer.live_in.len();
        let mut grouping = Self {
            header,
            nodes,
            layer,
            live,
            layouts: HashMap::new(),
            last_use: HashMap::new(),
            steps: Vec::new(),
        };
        for (position, node) in nodes.iter().enumerate() {
            for operand in &node.operands {
                grouping.last_use.insert(operand.value, position);
                let origin = grouping.origin(operand.value)?;
                let whole = Layout::whole(origin, sizes(&operand.kind.shape));
                grouping.layouts.entry(operand.value).or_insert(whole);
            }
        }
        for value in &layer.live_out {
            grouping.last_use.insert(*value, nodes.len());
        }
        Some(grouping)
    }

    fn origin(&self, value: u32) -> Option<Origin> {
        match self.header.source(value)? {
            ValueSource::Weight(weight) => Some(Origin::Weight(weight as usize)),
            ValueSource::Operator(operator) => match self.layer.position(operator) {
                Some(position) => Some(Origin::Cell(self.live + position as usize)),
                None => self.live_cell(value),
            },
            ValueSource::Input(_) => self.live_cell(value),
        }
    }

    fn live_cell(&self, value: u32) -> Option<Origin> {
        self.layer.live_in.binary_search(&value).ok().map(Origin::Cell)
    }

    fn value_of(&self, position: usize) -> u32 {
        self.header.output_of(self.layer.first_operator + position as u32)
    }

    fn used_after(&self, value: u32, position: usize) -> bool {
        self.last_use.get(&value).is_some_and(|last| *last > position)
    }

    fn plan(mut self) -> Option<LayerPlan> {
        let mut position = 0;
        while let Some(node) = self.nodes.get(position) {
            let value = self.value_of(position);
            if let Some((stage, after)) = self.stage(position)? {
                self.steps.push(Step::Rows(Box::new(stage)));
                position = after;
                continue;
            }
            if let Some(view) = self.view(node) {
                self.layouts.insert(value, view);
            } else {
                for operand in &node.operands {
                    self.make_whole(operand.value)?;
                }
                let operands: Option<Vec<Origin>> =
                    node.operands.iter().map(|operand| self.origin(operand.value)).collect();
                self.steps.push(Step::Single { position, operands: operands? });
            }
            position += 1;
        }
        let results: Option<Vec<Kept>> =
            self.layer.live_out.iter().map(|value| self.kept(*value)).collect();
        let results = results?;
        let cells = self.live + self.nodes.len();
        let dead = dead_after(&self.steps, &results, cells);
        Some(LayerPlan { steps: self.steps, dead, results, cells })
    }

    fn kept(&self, value: u32) -> Option<Kept> {
        if let Ok(cell) = self.layer.live_in.binary_search(&value) {
            return Some(Kept::Passed(cell));
        }
        if let Some(layout) = self.layouts.get(&value) {
            return Some(Kept::Made(layout.clone()));
        }
        // Nobody in the layer reads it.
        let ValueSource::Operator(operator) = self.header.source(value)? else {
            return None;
        };
        let position = self.layer.position(operator)?;
        let shape = &self.nodes.get(position as usize)?.output.shape;
        Some(Kept::Made(Layout::whole(self.origin(value)?, sizes(shape))))
    }

    /// Sees to it that a value's elements lie in row-major order in a cell of their own.
    fn make_whole(&mut self, value: u32) -> Option<()> {
        let layout = self.layouts.get(&value)?;
        let own = self.origin(value)?;
        if layout.is_whole() && layout.base == own {
            return Some(());
        }
        let Origin::Cell(to) = own else { return None };
        let whole = Layout::whole(own, layout.dimensions.clone());
        #[cfg(test)]
        cov_mark::hit!(elements_are_gathered);
        self.steps.push(Step::Gather { to, from: layout.clone() });
        self.layouts.insert(value, whole);
        Some(())
    }

    /// A movement as another way of reading the same memory.
    fn view(&self, node: &Node) -> Option<Layout> {
        let operand = node.operands.first()?;
        if node.output.element != ElementType::F32 {
            return None;
        }
        let layout = self.layouts.get(&operand.value)?;
        let to = sizes(&node.output.shape);
        match &node.operator {
            Operator::Reshape {} => layout.reshaped(to),
            Operator::Transpose { permutation } => Some(layout.permuted(permutation)),
            Operator::Slice { starts, steps } => layout.sliced(starts, steps, to),
            Operator::Expand {} => layout.expanded(&to),
            _ => None,
        }
    }

    /// What a stage that begins with an operator reads, and the dimensions over which it runs; `None`
    /// when no stage begins with it, and a plan cannot be made when a value it reads is not there.
    fn source(&mut self, position: usize) -> Option<Option<(Source, Vec<usize>)>> {
        let Some(node) = self.nodes.get(position) else { return Some(None) };
        if !node.operands.iter().all(|operand| fits(operand.kind.element)) {
            return Some(None);
        }
        let float = |at: usize| {
            node.operands.get(at).is_some_and(|one| one.kind.element == ElementType::F32)
        };
        let (source, mut dimensions) = match &node.operator {
            Operator::Contract {} if float(0) && float(1) => {
                let left = self.rows_in_line(node.operands.first()?.value)?;
                let right = self.layouts.get(&node.operands.get(1)?.value)?.clone();
                let source = Source::Contract { position, left, right };
                (source, sizes(&node.output.shape))
            }
            Operator::Convolve { window, groups } if is_served(node, window, *groups) => {
                let (input, kernel) = (node.operands.first()?.value, node.operands.get(1)?.value);
                self.make_whole(input)?;
                self.make_whole(kernel)?;
                let input = self.layouts.get(&input)?.clone();
                let kernel = self.layouts.get(&kernel)?.clone();
                (Source::Convolve { position, input, kernel }, sizes(&node.output.shape))
            }
            Operator::Map { function }
                if maps_rows(*function) && node.output.element == ElementType::F32 =>
            {
                (Source::Inputs, sizes(&node.output.shape))
            }
            Operator::Reduce { .. } if float(0) => {
                (Source::Inputs, sizes(&node.operands.first()?.kind.shape))
            }
            _ => return Some(None),
        };
        if dimensions.is_empty() {
            dimensions.push(1);
        }
        Some(Some((source, dimensions)))
    }

    /// The stage that begins at an operator, and the operator after it.
    fn stage(&mut self, position: usize) -> Option<Option<(Stage, usize)>> {
        let Some((source, dimensions)) = self.source(position)? else { return Some(None) };
        let mut draft = Draft::new(source, dimensions);
        let mut next = position;
        if draft.stage.has_source() {
            let inside = Inside {
                register: draft.register(false),
                dimensions: draft.stage.dimensions.clone(),
                narrow: false,
            };
            draft.inside.insert(self.value_of(position), inside);
            next += 1;
        }
        while let Some(node) = self.nodes.get(next) {
            let value = self.value_of(next);
            if self.extend(&mut draft, node, value).is_none() {
                break;
            }
            next += 1;
        }
        if next == position {
            return Some(None);
        }
        for at in position..next {
            let value = self.value_of(at);
            let Some(inside) = draft.inside.get(&value) else { continue };
            if self.used_after(value, next - 1) {
                let (register, narrow) = (inside.register, inside.narrow);
                let cell = self.live + at;
                draft.stage.outputs.push(Output { register, cell, narrow });
            }
        }
        // A truth that somebody outside wants is an operator of its own.
        let truth = |at: &usize| {
            self.nodes.get(*at).is_some_and(|node| node.output.element == ElementType::Bool)
                && self.used_after(self.value_of(*at), next - 1)
        };
        if (position..next).any(|at| truth(&at)) {
            #[cfg(test)]
            cov_mark::hit!(truth_is_wanted_outside_a_stage);
            return Some(None);
        }
        draft.stage.reuse_registers();
        Some(Some((draft.stage, next)))
    }

    /// How the left operand of a contraction is read: its rows must be contiguous.
    fn rows_in_line(&mut self, value: u32) -> Option<Layout> {
        let layout = self.layouts.get(&value)?;
        let depth = layout.dimensions.last().copied().unwrap_or(1);
        if depth > 1 && layout.strides.last() != Some(&1) {
            #[cfg(test)]
            cov_mark::hit!(left_rows_are_put_in_line);
            self.make_whole(value)?;
        }
        self.layouts.get(&value).cloned()
    }

    /// Adds an operator to a stage; `None` when it does not belong there.
    fn extend(&self, draft: &mut Draft, node: &Node, value: u32) -> Option<()> {
        let stage = &draft.stage;
        let shape = sizes(&node.output.shape);
        let outer = &stage.dimensions[..stage.dimensions.len() - 1];
        let kept: Vec<usize> = outer.iter().copied().chain([1]).collect();
        match &node.operator {
            Operator::Reshape {} => {
                // A folded row with or without its axis of size 1.
                let inside = draft.inside.get(&node.operands.first()?.value)?.clone();
                if !inside.narrow || (shape != kept && shape != outer) {
                    return None;
                }
                draft.inside.insert(value, Inside { dimensions: shape, ..inside });
                Some(())
            }
            Operator::Reduce { fold } => {
                let operand = node.operands.first()?;
                if sizes(&operand.kind.shape) != stage.dimensions
                    || node.output.element != ElementType::F32
                {
                    return None;
                }
                if stage.has_source() && stage.rows < ROWS_MIN {
                    #[cfg(test)]
                    cov_mark::hit!(rows_are_too_few_to_be_folded);
                    return None;
                }
                let (outer, whole) = (outer.to_vec(), stage.dimensions.clone());
                let place = self.place(draft, operand.value, &whole, true)?;
                let operands = [place, Place::Nothing, Place::Nothing];
                draft.instruct(Function::Reduce(*fold), operands, true, value, outer)?;
                draft.stage.folds = true;
                Some(())
            }
            Operator::Map { function } if maps_rows(*function) => {
                let narrow = stage.columns != 1 && shape == kept;
                if (!narrow
                    && shape != stage.dimensions
                    && !(shape.is_empty() && stage.columns == 1))
                    || !node.operands.iter().all(|operand| fits(operand.kind.element))
                    || !matches!(node.output.element, ElementType::F32 | ElementType::Bool)
                {
                    return None;
                }
                let shape = if shape.is_empty() { vec![1] } else { shape };
                let mut operands = [Place::Nothing; 3];
                for (place, operand) in operands.iter_mut().zip(&node.operands) {
                    let truths = operand.kind.element == ElementType::Bool;
                    // Only a selection reads truths; comparisons of truths are integers' work.
                    if truths && *function != protocol::graph::MapFunction::Select {
                        return None;
                    }
                    *place = self.place(draft, operand.value, &shape, false)?;
                }
                draft.instruct(Function::Map(*function), operands, narrow, value, shape)
            }
            _ => None,
        }
    }

    /// Where an operand of an operator with this output shape is found.
    fn place(&self, draft: &mut Draft, value: u32, shape: &[usize], whole: bool) -> Option<Place> {
        let wide = shape == draft.stage.dimensions;
        if let Some(inside) = draft.inside.get(&value) {
            // A folded row without its axis would broadcast along the wrong one.
            let missing = shape.len().checked_sub(inside.dimensions.len())?;
            let aligned = match (inside.narrow, wide) {
                (false, _) => inside.dimensions == shape,
                (true, _) => {
                    let outer = shape.len() - 1;
                    missing == 0
                        && inside.dimensions[..outer] == shape[..outer]
                        && inside.dimensions[outer] == 1
                }
            };
            return aligned.then_some(Place::Register(inside.register));
        }
        let layout = self.layouts.get(&value)?;
        let expanded = layout.expanded(shape)?;
        let (last, outer) = expanded.strides.split_last()?;
        let narrow = *last == 0;
        if (*last > 1) || (whole && narrow && shape.last() != Some(&1)) {
            return None;
        }
        let rows = RowOffsets::new(&shape[..outer.len()], outer);
        let truths = self.is_truth(value);
        let input = Input { layout: expanded, rows, narrow, truths };
        let known = draft.stage.inputs.iter().position(|one| {
            one.layout == input.layout && one.narrow == input.narrow && one.truths == truths
        });
        Some(Place::Input(known.unwrap_or_else(|| {
            draft.stage.inputs.push(input);
            draft.stage.inputs.len() - 1
        })))
    }

    fn is_truth(&self, value: u32) -> bool {
        let mut operands = self.nodes.iter().flat_map(|node| &node.operands);
        operands.any(|one| one.value == value && one.kind.element == ElementType::Bool)
    }
}

fn fits(element: ElementType) -> bool {
    matches!(element, ElementType::F32 | ElementType::Bool)
}

/// A stage while it grows.
struct Draft {
    stage: Stage,
    inside: HashMap<u32, Inside>,
}

impl Draft {
    fn new(source: Source, dimensions: Vec<usize>) -> Self {
        let (columns, outer) = match dimensions.split_last() {
            Some((columns, outer)) => (*columns, outer),
            None => (1, &[][..]),
        };
        let rows = outer.iter().product();
        debug_assert_eq!(row_major(&dimensions).len(), dimensions.len());
        Self {
            stage: Stage {
                source,
                rows,
                columns,
                dimensions,
                inputs: Vec::new(),
                program: Vec::new(),
                narrow: Vec::new(),
                outputs: Vec::new(),
                folds: false,
            },
            inside: HashMap::new(),
        }
    }

    fn register(&mut self, narrow: bool) -> usize {
        self.stage.narrow.push(narrow);
        self.stage.narrow.len() - 1
    }

    fn instruct(
        &mut self,
        function: Function,
        operands: [Place; 3],
        narrow: bool,
        value: u32,
        dimensions: Vec<usize>,
    ) -> Option<()> {
        if self.stage.narrow.iter().filter(|narrow| !**narrow).count() >= REGISTERS_MAX {
            #[cfg(test)]
            cov_mark::hit!(stage_is_full);
            return None;
        }
        let to = self.register(narrow);
        self.stage.program.push(Instruction { function, operands, to, narrow });
        self.inside.insert(value, Inside { register: to, dimensions, narrow });
        Some(())
    }
}

/// Cells that nobody reads after each step.
fn dead_after(steps: &[Step], results: &[Kept], cells: usize) -> Vec<Vec<usize>> {
    let mut last = vec![None; cells];
    let mut note = |layout: &Layout, at: usize| {
        if let Origin::Cell(cell) = layout.base
            && let Some(entry) = last.get_mut(cell)
        {
            *entry = Some(at);
        }
    };
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Single { operands, .. } => {
                for base in operands {
                    note(&Layout::whole(*base, Vec::new()), at);
                }
            }
            Step::Gather { from, .. } => note(from, at),
            Step::Rows(stage) => {
                stage.inputs.iter().for_each(|input| note(&input.layout, at));
                match &stage.source {
                    Source::Inputs => {}
                    Source::Contract { left, right, .. } => {
                        note(left, at);
                        note(right, at);
                    }
                    Source::Convolve { input, kernel, .. } => {
                        note(input, at);
                        note(kernel, at);
                    }
                }
            }
        }
    }
    for kept in results {
        if let Kept::Made(layout) = kept {
            note(layout, steps.len());
        }
    }
    let mut dead = vec![Vec::new(); steps.len()];
    for (cell, at) in last.into_iter().enumerate() {
        if let Some(at) = at
            && let Some(cells) = dead.get_mut(at)
        {
            cells.push(cell);
        }
    }
    dead
}
