//! Inside a layer: the first operator whose output differs, or, where none does, how the state after the
//! layer contradicts its inside.

use inference::RunError;
use protocol::facts::{Facts, Request, Showing, TreeId};
use protocol::graph::Layer;
use protocol::hash::Commitment;
use protocol::referee::Refutation;

use super::argument::Argument;
use super::descent::{Compared, Descent};
use super::moves::{Next, Reasoned, SolveError, demand, refute, stuck};
use crate::honest_view::HonestView;
use crate::own_tree::OwnTree;

impl<C: Commitment> HonestView<C> {
    /// The first operator of a layer whose output differs; `None` when all outputs agree.
    pub(super) fn first_operator(
        &self,
        argument: &Argument<'_, C>,
        layer: u32,
    ) -> Result<Option<Next<u32>>, SolveError> {
        let (facts, id) = (argument.known(), TreeId::Subtrace { layer });
        if facts.root(id).is_none() {
            let reason = match self.run().no_result().filter(|end| end.layer == layer) {
                None => format!("layer {layer} is the first whose result differs"),
                Some(end) => format!("layer {layer} has no result: {end}"),
            };
            return Ok(Some(Next::Ask(demand(Request::Subtrace { layer }, reason))));
        }
        Ok(match self.compared_inside(facts, layer)?.descend() {
            Descent::Equal => None,
            Descent::Leaf(position) => {
                let first = self.model().layer(layer).map_or(0, |layer| layer.first_operator);
                Some(Next::Known(first + position as u32))
            }
            Descent::Open { depth, index } => {
                let request = Request::Node { tree: id, depth, index };
                let reason = format!("the insides of layer {layer} differ below this node");
                Some(Next::Ask(demand(request, reason)))
            }
        })
    }

    /// The inside of a layer as the executor says it, beside the challenger's own.
    pub(super) fn compared_inside<'a>(
        &'a self,
        facts: &'a Facts<C>,
        layer: u32,
    ) -> Result<Compared<'a, C>, RunError> {
        let (id, own) = (TreeId::Subtrace { layer }, self.own_inside(layer)?);
        let is_whole = self.run().no_result().is_none_or(|end| end.layer != layer);
        let claimed = facts.root(id);
        let equal = is_whole && claimed == Some(self.run().inside(layer)?.tree().root());
        Ok(Compared { facts, id, own, equal })
    }

    /// The inside of the layer agrees, so a value of the state after it contradicts the inside or the
    /// state before.
    pub(super) fn contradiction(
        &self,
        argument: &mut Argument<'_, C>,
        layer: u32,
    ) -> Result<Reasoned, SolveError> {
        let boundary = layer + 1;
        let position = match self.first_value(argument, boundary)? {
            Next::Known(position) => position,
            Next::Ask(end) => return Ok(end),
        };
        let definition = self.model().layer(layer).ok_or(stuck("no such layer"))?;
        let expected = definition.live_out.get(position as usize).copied();
        let value = expected.ok_or(stuck("no such value"))?;
        let open = argument.known().value(boundary, position);
        let (found, _) = open.ok_or(stuck("the value is not open"))?;
        if found != value {
            let refutation = Refutation::StateValue { boundary, position };
            return Ok(refute(refutation, format!("value {found} stands where {value} must")));
        }
        let written = (definition.first_operator..)
            .take(definition.operator_count as usize)
            .find(|operator| self.model().header().output_of(*operator) == value);
        match written {
            Some(operator) => self.not_what_was_written(argument, layer, definition, operator),
            None => self.not_what_came_in(argument, layer, definition, value),
        }
    }

    /// Position of the first value of a state that differs.
    fn first_value(
        &self,
        argument: &Argument<'_, C>,
        boundary: u32,
    ) -> Result<Next<u32>, SolveError> {
        let own = self.own_state(boundary).ok_or(stuck("no such state"))?.tree().tree();
        let own = OwnTree::whole(own);
        let (facts, id) = (argument.known(), TreeId::State { boundary });
        if facts.root(id).is_none() {
            return Err(stuck("the state after the layer is not known"));
        }
        let (depth, index) = match (Compared { facts, id, own, equal: false }).descend() {
            Descent::Open { depth, index } => (depth, index),
            Descent::Leaf(position) if own.shape().depth() > 0 => {
                return Ok(Next::Known(position as u32));
            }
            // A state of one value: its root is its only leaf, opened at once.
            _ if facts.value(boundary, 0).is_some() => {
                #[cfg(test)]
                cov_mark::hit!(state_has_one_value);
                return Ok(Next::Known(0));
            }
            _ => (0, 0),
        };
        let request = Request::Node { tree: id, depth, index };
        Ok(Next::Ask(demand(request, "the state after the layer differs")))
    }

    /// The state does not hold what an operator of the layer wrote.
    fn not_what_was_written(
        &self,
        argument: &mut Argument<'_, C>,
        layer: u32,
        definition: &Layer,
        operator: u32,
    ) -> Result<Reasoned, SolveError> {
        if argument.known().root(TreeId::Tensor { operator }).is_none() {
            #[cfg(test)]
            cov_mark::hit!(root_of_an_output_is_shown);
            let position = operator - definition.first_operator;
            let subtrace = self.run().inside(layer)?;
            let root = subtrace.roots()[position as usize];
            let path = subtrace.tree().tree().path(u64::from(position));
            let path = path.ok_or(stuck("no such operator"))?;
            argument.show(Showing::SubtraceLeaf { layer, position, root, path });
        }
        let reason = format!("the state does not hold what operator {operator} wrote");
        Ok(refute(Refutation::Binding { layer, operator }, reason))
    }

    /// A value passes through the layer and changes.
    fn not_what_came_in(
        &self,
        argument: &mut Argument<'_, C>,
        layer: u32,
        definition: &Layer,
        value: u32,
    ) -> Result<Reasoned, SolveError> {
        let place = definition.live_in.binary_search(&value).map_err(|_| stuck("no such value"))?;
        if argument.known().value(layer, place as u32).is_none() {
            #[cfg(test)]
            cov_mark::hit!(value_before_the_layer_is_shown);
            let before = self.own_state(layer).ok_or(stuck("no such state"))?;
            let root = *before.roots().get(place).ok_or(stuck("no such value"))?;
            let path = before.tree().tree().path(place as u64).ok_or(stuck("no such value"))?;
            let (boundary, position) = (layer, place as u32);
            argument.show(Showing::StateLeaf { boundary, position, value, root, path });
        }
        let reason = format!("value {value} passes through layer {layer} and changes");
        Ok(refute(Refutation::Carry { layer, value }, reason))
    }
}
