//! Inside a layer: the first operator whose output differs, or, where none does, how the state after the
//! layer contradicts its inside.

use protocol::hash::Commitment;

use super::argument::Argument;
use super::moves::{End, Fault, Next, Reasoned, SolveError, reasoned, refute, stuck};
use super::trees;
use crate::honest_view::HonestView;

impl<C: Commitment> HonestView<C> {
    /// The first operator of a layer whose output differs, once its root is known; `None` when all outputs
    /// agree.
    pub(super) fn first_operator(
        &self,
        argument: &Argument<'_, C>,
        layer: u32,
    ) -> Result<Option<Next<u32>>, SolveError> {
        let tree = trees::inside(self.iteration(), layer);
        if argument.root(&tree).is_none() {
            let reason = match self.run().no_result().filter(|end| end.layer == layer) {
                None => format!("layer {layer} is the first whose result differs"),
                Some(end) => format!("layer {layer} has no result: {end}"),
            };
            return Ok(Some(Next::Ask(reasoned(End::Say(tree), reason))));
        }
        let definition = self.model().layer(layer).ok_or_else(|| stuck("no such layer"))?;
        let operator_at = |position: u32| definition.first_operator.checked_add(position);
        let operator = |position: u32| {
            let operator = operator_at(position)?;
            // Of an operator without a result nothing needs to be known that was claimed.
            let is_end = self.undefined_element(operator).is_some();
            (is_end || argument.root(&trees::output(self.iteration(), operator)).is_some())
                .then_some(operator)
        };
        let reason = format!("the insides of layer {layer} differ below this node");
        Ok(match self.first_in_list(argument, tree, operator, reason)? {
            None => None,
            Some(Next::Known((_, operator))) => Some(Next::Known(operator)),
            Some(Next::Ask(end)) => Some(Next::Ask(end)),
        })
    }

    /// The iteration begins with another state than it must: with another entry of a batch, or with another value
    /// than the iteration before it handed on.
    pub(super) fn false_beginning(
        &self,
        argument: &Argument<'_, C>,
    ) -> Result<Reasoned, SolveError> {
        let iteration = self.iteration();
        if argument.known.terms().is_batch(argument.known.header()) {
            let reason = format!("iteration {iteration} begins with another input than its entry");
            return Ok(refute(Fault::Entry, reason));
        }
        if iteration == 0 {
            #[cfg(test)]
            cov_mark::hit!(input_states_differ);
            return Err(stuck("the input states differ"));
        }
        let content = |position| argument.known.value(iteration, 0, position);
        let reason = format!("iteration {iteration} begins with another state");
        let first = self.first_in_list(argument, trees::state(iteration, 0), content, reason)?;
        let (position, (found, _)) = match first {
            Some(Next::Known(known)) => known,
            Some(Next::Ask(end)) => return Ok(end),
            None => return Err(stuck("the states agree")),
        };
        // Inputs are the first values, in their order.
        if found != position {
            let fault = Fault::StateValue { boundary: 0, position };
            return Ok(refute(fault, format!("value {found} stands where {position} must")));
        }
        let reason = format!("input {position} is not what the iteration before handed on");
        Ok(refute(Fault::Link { input: position }, reason))
    }

    /// The inside of the layer agrees, so a value of the state after it contradicts the inside or the
    /// state before.
    pub(super) fn contradiction(
        &self,
        argument: &Argument<'_, C>,
        layer: u32,
    ) -> Result<Reasoned, SolveError> {
        let boundary = layer.checked_add(1).ok_or_else(|| stuck("no such layer"))?;
        let content = |position| argument.known.value(self.iteration(), boundary, position);
        let reason = "the state after the layer differs";
        let first = self.first_in_list(
            argument,
            trees::state(self.iteration(), boundary),
            content,
            reason,
        )?;
        let (position, (found, _)) = match first {
            Some(Next::Known(known)) => known,
            Some(Next::Ask(end)) => return Ok(end),
            None => return Err(stuck("the state after the layer agrees")),
        };
        let definition = self.model().layer(layer).ok_or_else(|| stuck("no such layer"))?;
        let expected = definition.live_out.get(position as usize).copied();
        let value = expected.ok_or_else(|| stuck("no such value"))?;
        if found != value {
            let fault = Fault::StateValue { boundary, position };
            return Ok(refute(fault, format!("value {found} stands where {value} must")));
        }
        let written = (definition.first_operator..)
            .take(definition.operator_count as usize)
            .find(|operator| self.model().header().output_of(*operator) == value);
        Ok(match written {
            Some(operator) => {
                let reason = format!("the state does not hold what operator {operator} wrote");
                refute(Fault::Binding { layer, operator }, reason)
            }
            None => {
                let reason = format!("value {value} passes through layer {layer} and changes");
                refute(Fault::Carry { layer, value }, reason)
            }
        })
    }
}
