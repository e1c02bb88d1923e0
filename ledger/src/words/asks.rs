//! Words for what is asked, answered and refuted.

use protocol::asks::{Answer, Ask, Refutation, Tree};

use super::common::{count, state};

/// Something of an iteration; of the first one nothing is said, since most runs have no other.
pub(super) fn within(iteration: u32, what: String) -> String {
    match iteration {
        0 => what,
        _ => at_iteration(iteration, what),
    }
}

/// Something that only runs of several iterations have: the first is named as well.
pub(super) fn at_iteration(iteration: u32, what: String) -> String {
    format!("iteration {iteration}: {what}")
}

/// A tree of a claim.
pub fn tree(tree: &Tree) -> String {
    let what = match tree {
        Tree::Sequence {} => "iterations of the run".to_owned(),
        Tree::Trace { .. } => "states of the run".to_owned(),
        Tree::State { boundary, .. } => state(*boundary),
        Tree::Subtrace { layer, .. } => format!("operators inside layer {layer}"),
        Tree::Tensor { operator, .. } => format!("output of operator {operator}"),
        Tree::Accumulators { operator, element, .. } => {
            format!("running sums of element {element} of operator {operator}")
        }
        Tree::Input { value, .. } => format!("input {value} of the run"),
        Tree::Output { value, .. } => format!("output {value} of the run"),
    };
    within(tree.iteration(), what)
}

/// What an executor is asked to open.
pub fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Say { tree: of, .. } => tree(of),
        Ask::Open { place } => match (place.depth, place.index) {
            (depth, 0) => format!("{}, level {depth}", tree(&place.tree)),
            (depth, index) => format!("{}, level {depth}, node {index}", tree(&place.tree)),
        },
        Ask::Leaves { place } => {
            let shape = place.kind.shape();
            let levels = shape.map_or(0, |shape| shape.depth().saturating_sub(place.depth));
            let first = place.index.checked_shl(levels).unwrap_or(u64::MAX);
            match first.saturating_add((1_u64.checked_shl(levels).unwrap_or(u64::MAX)) - 1) {
                last if last == first => format!("{}, leaf {first}", tree(&place.tree)),
                last => format!("{}, leaves {first} to {last}", tree(&place.tree)),
            }
        }
    }
}

/// How much an answer opens.
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Hashes { hashes } => count(hashes.len() as u64, "hash", "hashes"),
        Answer::Roots { roots } => count(roots.len() as u64, "root", "roots"),
        Answer::Values { values } => count(values.len() as u64, "value", "values"),
        Answer::Leaves { leaves } => count(leaves.len() as u64, "leaf", "leaves"),
    }
}

/// What a challenger says is false.
pub fn refutation(refutation: &Refutation) -> String {
    let (iteration, what) = match refutation {
        Refutation::Link { iteration, input } => {
            let what = format!("input {input} is not what the iteration before handed on");
            return at_iteration(*iteration, what);
        }
        Refutation::Entry { iteration } => {
            let what = "it begins with another state than the job's entry for it".to_owned();
            return at_iteration(*iteration, what);
        }
        Refutation::Stop { iteration } => {
            let what = "the run ends here or goes on, against what the model says".to_owned();
            return at_iteration(*iteration, what);
        }
        Refutation::Step { iteration, operator, element, segment: 0, .. } => {
            (iteration, format!("operator {operator}, element {element}"))
        }
        Refutation::Step { iteration, operator, element, segment, .. } => {
            (iteration, format!("operator {operator}, element {element}, running sum {segment}"))
        }
        Refutation::Binding { iteration, layer, operator } => {
            let after = state(layer.saturating_add(1));
            let what = format!(
                "output of operator {operator} differs between layer {layer} and the {after}"
            );
            (iteration, what)
        }
        Refutation::Carry { iteration, layer, value } => {
            (iteration, format!("value {value} changes while it passes layer {layer}"))
        }
        Refutation::StateValue { iteration, boundary, position } => {
            let what = format!("{}, position {position}, holds another value", state(*boundary));
            (iteration, what)
        }
        Refutation::Leaf { iteration, operator, leaf } => {
            let what =
                format!("output of operator {operator}, leaf {leaf}, holds bits that no value has");
            (iteration, what)
        }
    };
    within(*iteration, what)
}
