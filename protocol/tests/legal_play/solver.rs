//! How an honest challenger goes from a false claim to what convicts it: by a simple descent that knows all runs, and
//! asks for what only the executor can say.

use protocol::asks::Tree;
use protocol::law;
use protocol::tensor::{leaf_element, leaf_is_canonical};
use protocol::transaction::JobTerms;

use crate::common::Want;
use crate::common::answers::{Grown, Proof};
use crate::library::{Book, LIBRARY, View, leaf_of, root_of, type_of};

/// The next move against a false claim.
pub(crate) enum Plan {
    Ask(Want),
    Prove(Box<Proof>),
}

/// The next move against a claim; none against a true one.
pub(crate) fn plan(view: &View<'_>, job: &JobTerms) -> Option<Plan> {
    let reference = LIBRARY.reference(view.book.model);
    let Some((iteration, boundary)) = first_difference(view.book, reference) else {
        return length(view, job);
    };
    match boundary.checked_sub(1) {
        None => beginning(view, reference, iteration),
        Some(layer) => inside(view, reference, (iteration, layer)),
    }
}

/// What a walker opens on its way down, before it asks for what it needs.
pub(crate) fn way_down(view: &View<'_>) -> Vec<Want> {
    let reference = LIBRARY.reference(view.book.model);
    let (iteration, boundary) = first_difference(view.book, reference).unwrap_or((0, 0));
    vec![
        Want::Open(Tree::Sequence {}, 0, 0),
        Want::Open(Tree::Trace { iteration }, 0, 0),
        Want::Open(Tree::State { iteration, boundary }, 0, 0),
    ]
}

/// What convicts a claim for what its executor said, whatever its run is.
pub(crate) fn false_saying(view: &View<'_>) -> Option<Box<Proof>> {
    let reference = LIBRARY.reference(view.book.model);
    view.said.keys().find_map(|tree| {
        let Tree::Subtrace { iteration, layer } = *tree else { return None };
        let before = (iteration, layer);
        if view.book.states.get(&before) != reference.states.get(&before) {
            return None;
        }
        if let Some(proof) = never_stored(view, iteration, layer) {
            return Some(Box::new(proof));
        }
        match inside(view, reference, (iteration, layer))? {
            Plan::Prove(proof) => Some(proof),
            Plan::Ask(_) => None,
        }
    })
}

/// That a leaf inside a layer holds bits which no stored value has.
fn never_stored(view: &View<'_>, iteration: u32, layer: u32) -> Option<Proof> {
    let definition = &view.model().graph.layers[layer as usize];
    let operators = (0..definition.operator_count).map(|place| definition.first_operator + place);
    operators.into_iter().find_map(|operator| {
        let tensor = Tree::Tensor { iteration, operator };
        let grown = view.tree(tensor)?;
        let kind = type_of(grown);
        let leaves = 0..grown.nodes.shape().leaves();
        let bad = leaves.into_iter().find(|leaf| {
            let count = kind.leaf_range(*leaf).map_or(0, |(_, count)| count);
            !leaf_is_canonical(kind.element, &leaf_of(tensor, grown, *leaf), count)
        });
        view.leaf_proof(iteration, operator, bad?)
    })
}

fn prove(proof: Option<Proof>) -> Option<Plan> {
    proof.map(|proof| Plan::Prove(Box::new(proof)))
}

/// The first state, by iteration and boundary, that is not the lawful run's.
fn first_difference(book: &Book, reference: &Book) -> Option<(u32, u32)> {
    let mut states = book.states.iter();
    let first = states.find(|(place, values)| reference.states.get(place) != Some(values));
    first.map(|(place, _)| *place)
}

/// A run that is lawful, but ends too early or too late.
fn length(view: &View<'_>, job: &JobTerms) -> Option<Plan> {
    let (iterations, end) = (view.book.iterations(), view.model().end?);
    if iterations > end {
        return prove(view.stop(end - 1));
    }
    let is_short = iterations < view.model().natural(job.iterations_max) && !job.may_cut;
    if is_short { prove(view.stop(iterations - 1)) } else { None }
}

/// An iteration that begins otherwise than the one before it, or its entry, says.
fn beginning(view: &View<'_>, reference: &Book, iteration: u32) -> Option<Plan> {
    let (claimed, lawful) =
        (view.book.states.get(&(iteration, 0))?, reference.states.get(&(iteration, 0))?);
    let place = claimed.iter().zip(lawful).position(|(one, other)| one != other)?;
    if claimed[place].0 != lawful[place].0 {
        return prove(view.state_value(iteration, 0, place as u32));
    }
    if view.is_batch() {
        return prove(view.entry_proof(iteration));
    }
    prove(view.link(iteration, lawful[place].0))
}

/// A layer whose state before it is lawful and whose state after it is not.
fn inside(view: &View<'_>, reference: &Book, (iteration, layer): (u32, u32)) -> Option<Plan> {
    let within = Tree::Subtrace { iteration, layer };
    if !view.said.contains_key(&within) {
        return Some(Plan::Ask(Want::Say(within)));
    }
    let definition = &view.model().graph.layers[layer as usize];
    let operators =
        definition.first_operator..definition.first_operator + definition.operator_count;
    for operator in operators {
        let tensor = Tree::Tensor { iteration, operator };
        let lawful = reference.trees.get(&tensor)?;
        if view.output_root(iteration, operator)? == root_of(tensor, lawful) {
            continue;
        }
        let Some(claimed) = view.tree(tensor) else {
            // Whoever said this root may be the only one to know what is below, or nobody does.
            let is_leaf = lawful.nodes.shape().depth() == 0;
            let whole = if is_leaf { Want::Leaves } else { Want::Open };
            return Some(Plan::Ask(whole(tensor, 0, 0)));
        };
        if let Some(element) = first_element(tensor, claimed, lawful) {
            return step(view, reference, (iteration, operator, element));
        }
    }
    // The layer was said to be lawful: then the state after it is not what was said.
    let (claimed, lawful) = (
        view.book.states.get(&(iteration, layer + 1))?,
        reference.states.get(&(iteration, layer + 1))?,
    );
    let place = claimed.iter().zip(lawful).position(|(one, other)| one != other)?;
    let value = lawful[place].0;
    let first = view.model().committed.header.output_of(0);
    let written = value.checked_sub(first).filter(|one| definition.position(*one).is_some());
    match written {
        Some(operator) => prove(view.binding(iteration, operator)),
        None => prove(view.carry(iteration, layer, value)),
    }
}

/// An element that is not what the law gives for operands which are lawful.
fn step(view: &View<'_>, reference: &Book, place: (u32, u32, u64)) -> Option<Plan> {
    let (iteration, operator, element) = place;
    let node = law::check(&view.model().graph.nodes[operator as usize]).ok()?;
    let segments = law::segment_count(node);
    if segments == 1 {
        return prove(view.step((iteration, operator, element, 0)));
    }
    let sums = Tree::Accumulators { iteration, operator, element };
    let Some(claimed) = view.tree(sums) else {
        return Some(Plan::Ask(Want::Say(sums)));
    };
    let word = first_element(sums, claimed, reference.trees.get(&sums)?);
    let segment = word.map_or(segments, |word| word / law::state_words(node) as u64);
    prove(view.step((iteration, operator, element, segment)))
}

/// The first element in which two tensors of one shape differ.
pub(crate) fn first_element(tree: Tree, one: &Grown, other: &Grown) -> Option<u64> {
    if one.nodes.root() == other.nodes.root() {
        return None;
    }
    let (kind, shape) = (type_of(one), one.nodes.shape());
    let leaves = (0..1 << shape.depth()).filter(|leaf| !shape.is_padding(shape.depth(), *leaf));
    for leaf in leaves {
        let (bytes, others) = (leaf_of(tree, one, leaf), leaf_of(tree, other, leaf));
        let (first, count) = kind.leaf_range(leaf)?;
        let at = |bytes, place| leaf_element(kind.element, bytes, place);
        let differs = |place: &usize| at(&bytes, *place) != at(&others, *place);
        if let Some(place) = (0..count).find(differs) {
            return Some(first + place as u64);
        }
    }
    None
}
