//! States as they travel (`protocol::state_stream`: raw, by value and type), and the check against a root.

use std::collections::{BTreeMap, HashMap};

use protocol::hash::{Commitment, Digest};
use protocol::state_stream::StateHead;
use protocol::tensor::TensorType;

use crate::model::Model;
use crate::state::State;
use crate::tensor::Tensor;
use crate::trace::RunError;

/// Why published bytes are not the state that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishedError {
    /// They are no tensors.
    #[error("the published state cannot be read: {reason}")]
    Content {
        /// What is wrong.
        reason: String,
    },
    /// They do not fit the model.
    #[error(transparent)]
    Run(#[from] RunError),
    /// They are of another root: wrong data is the same as no data.
    #[error("the published state has the root {found}, not {wanted}")]
    OtherRoot {
        /// Root found.
        found: Digest,
        /// Root asked for.
        wanted: Digest,
    },
}

fn content(reason: impl Into<String>) -> PublishedError {
    PublishedError::Content { reason: reason.into() }
}

fn checked(state: State, wanted: Digest) -> Result<State, PublishedError> {
    let found = state.root();
    if found == wanted { Ok(state) } else { Err(PublishedError::OtherRoot { found, wanted }) }
}

/// Tensors of a state, named by their values' numbers.
pub fn state_tensors(state: &State) -> BTreeMap<String, Tensor> {
    state.values().iter().map(|(value, tensor)| (value.to_string(), tensor.clone())).collect()
}

fn head_of<'a>(values: impl Iterator<Item = (u32, &'a TensorType)>) -> StateHead {
    StateHead { values: values.map(|(value, kind)| (value, kind.clone())).collect() }
}

/// A state as it is published.
pub fn state_bytes(state: &State) -> Vec<u8> {
    let head = head_of(state.values().iter().map(|(value, tensor)| (*value, tensor.kind())));
    let mut bytes = head.prefix();
    bytes.reserve(usize::try_from(head.data_bytes()).unwrap_or(0));
    state.values().iter().for_each(|(_, tensor)| tensor.publish_into(&mut bytes));
    bytes
}

/// Bytes of a state as it is published.
pub fn state_length(state: &State) -> u64 {
    head_of(state.values().iter().map(|(value, tensor)| (*value, tensor.kind()))).total_bytes()
}

/// A part of a state as it is published, from a place on and `most` bytes at most; empty at its end. So it
/// is sent without a copy of the whole.
///
/// ```
/// use inference::state_transfer::{state_bytes, state_part};
/// use inference::{State, Tensor};
/// use protocol::tensor::Shape;
///
/// let tensor = Tensor::from_f32(&Shape::new(&[3]).unwrap(), vec![1.0, 2.0, 3.0]).unwrap();
/// let state: State = State::new(vec![(0, tensor)]).unwrap();
/// let whole = state_bytes(&state);
/// assert_eq!(state_part(&state, 5, 8), whole[5..13]);
/// ```
pub fn state_part(state: &State, from: u64, most: usize) -> Vec<u8> {
    let head = head_of(state.values().iter().map(|(value, tensor)| (*value, tensor.kind())));
    let prefix = head.prefix();
    let mut part = Vec::with_capacity(most);
    // What is left to pass over before the part begins.
    let mut skip = usize::try_from(from).unwrap_or(usize::MAX);
    part.extend(prefix.iter().skip(skip).take(most));
    skip = skip.saturating_sub(prefix.len());
    for (_, tensor) in state.values() {
        if part.len() >= most {
            break;
        }
        let width = tensor.kind().element.bytes();
        let length = usize::try_from(tensor.shape().count()).unwrap_or(usize::MAX) * width;
        if skip >= length {
            skip -= length;
            continue;
        }
        // Whole elements around what is wanted, then cut on both sides.
        let wanted = most - part.len();
        let (first, cut) = (skip / width, skip % width);
        let mut elements = Vec::new();
        let end = first.saturating_add((cut + wanted).div_ceil(width));
        tensor.publish_elements_into(first..end, &mut elements);
        part.extend(elements.iter().skip(cut).take(wanted));
        skip = 0;
    }
    part
}

/// What the published state at a boundary of a model must begin with, and so how long it is; `None` when
/// the model has no such boundary.
pub fn state_head(model: &Model, boundary: u32) -> Option<StateHead> {
    let values = model.live_values(boundary)?;
    let values = values.iter().map(|value| Some((*value, kind_of(model, *value)?)));
    Some(StateHead { values: values.collect::<Option<_>>()? })
}

/// What the published input of a model must begin with: all inputs, whether a layer reads them or not.
pub fn input_head<C: Commitment>(model: &Model<C>) -> StateHead {
    head_of((0..).zip(&model.graph().inputs))
}

/// Element type and shape of a value of the model.
pub(crate) fn kind_of(model: &Model, value: u32) -> Option<TensorType> {
    let graph = model.graph();
    if let Some(kind) = graph.inputs.get(value as usize) {
        return Some(kind.clone());
    }
    let operator = value.checked_sub(model.header().output_of(0))?;
    model.node(operator).map(|node| node.output.clone())
}

/// Names and types of the tensors of the state at a boundary; `None` when the model has none there.
pub fn state_types(model: &Model, boundary: u32) -> Option<Vec<(String, TensorType)>> {
    let values = model.live_values(boundary)?;
    values.iter().map(|value| Some((value.to_string(), kind_of(model, *value)?))).collect()
}

/// The state at a boundary from tensors named by their values' numbers; its root is the caller's to
/// check.
///
/// # Errors
/// When a value is missing or of another type.
pub fn state_of(
    model: &Model,
    boundary: u32,
    mut tensors: HashMap<String, Tensor>,
) -> Result<State, PublishedError> {
    let types =
        state_types(model, boundary).ok_or_else(|| content("the model has no such state"))?;
    let mut values = Vec::new();
    for (name, kind) in types {
        let tensor = tensors.remove(&name).filter(|tensor| *tensor.kind() == kind);
        let missing = || content(format!("value {name} is missing or of another type"));
        values.push((name.parse().map_err(|_| missing())?, tensor.ok_or_else(missing)?));
    }
    State::new(values).ok_or_else(|| content("it is empty"))
}

/// The state with this head from what somebody published.
///
/// # Errors
/// When the bytes are not that state.
pub fn published_state(
    head: &StateHead,
    bytes: &[u8],
    wanted: Digest,
) -> Result<State, PublishedError> {
    let prefix = head.prefix();
    let mut rest = bytes
        .strip_prefix(prefix.as_slice())
        .filter(|rest| rest.len() as u64 == head.data_bytes())
        .ok_or_else(|| content(format!("it must be {} bytes: {head}", head.total_bytes())))?;
    let mut values = Vec::new();
    for (value, kind) in &head.values {
        let length = kind.shape.count() as usize * kind.element.bytes();
        let wrong = || content(format!("value {value} is not what its type says"));
        let (own, after) = rest.split_at_checked(length).ok_or_else(wrong)?;
        values.push((*value, Tensor::from_published(kind, own).ok_or_else(wrong)?));
        rest = after;
    }
    checked(State::new(values).ok_or_else(|| content("it is empty"))?, wanted)
}

/// The input state of a job from what its poster published.
///
/// # Errors
/// When the bytes are not that state.
pub fn published_input(
    model: &Model,
    bytes: &[u8],
    wanted: Digest,
) -> Result<State, PublishedError> {
    published_state(&input_head(model), bytes, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::state_stream::{StateHasher, StateLimits};
    use protocol::tensor::{ElementType, Shape};

    #[test]
    fn a_published_state_is_read_back_and_has_the_root_that_its_bytes_stream_to() {
        let shape = Shape::new(&[5, 70]).unwrap();
        let floats = (0..350).map(|at| at as f32 * 0.37 - 5.0).collect();
        let values = vec![
            (0, Tensor::from_f32(&shape, floats).unwrap()),
            (2, Tensor::from_i64(&shape, (0..350).map(|at| at * 7 - 9).collect()).unwrap()),
            (3, Tensor::from_bool(&shape, vec![true; 350]).unwrap()),
            (4, Tensor::from_integers(ElementType::I16, &shape, &[-300; 350]).unwrap()),
            (9, Tensor::from_integers(ElementType::U8, &shape, &[200; 350]).unwrap()),
        ];
        let state = State::new(values).unwrap();
        let bytes = state_bytes(&state);
        assert_eq!(state_length(&state), bytes.len() as u64);
        for most in [1, 7, 64, 4_000, 1 << 20] {
            let mut parts = Vec::new();
            loop {
                let part = state_part(&state, parts.len() as u64, most);
                assert!(part.len() <= most);
                if part.is_empty() {
                    break;
                }
                parts.extend(part);
            }
            assert!(parts == bytes, "in parts of {most} bytes");
        }
        assert!(state_part(&state, u64::MAX, 100).is_empty());
        let mut hasher = StateHasher::<protocol::hash::Keccak>::new(StateLimits {
            bytes: 1 << 20,
            leaves: 1 << 20,
        });
        bytes.chunks(100).for_each(|part| hasher.push(part).unwrap());
        let head = hasher.head().unwrap().clone();
        assert_eq!(hasher.finish(), Ok(state.root()));
        let read = published_state(&head, &bytes, state.root()).unwrap();
        assert_eq!(read.values(), state.values());
        let other = Digest([1; 32]);
        let refused = published_state(&head, &bytes, other);
        assert!(matches!(refused, Err(PublishedError::OtherRoot { .. })));
        for wrong in [&bytes[..bytes.len() - 1], &bytes[1..], &[bytes.clone(), vec![0]].concat()] {
            let refused = published_state(&head, wrong, state.root());
            assert!(matches!(refused, Err(PublishedError::Content { .. })));
        }
    }

    #[test]
    fn bits_that_rule_q_does_not_store_are_read_back_as_they_were_published() {
        let shape = Shape::new(&[3]).unwrap();
        let zeros = Tensor::from_f32(&shape, vec![0.0; 3]).unwrap();
        let truths = Tensor::from_bool(&shape, vec![true; 3]).unwrap();
        let state: State = State::new(vec![(0, zeros), (1, truths)]).unwrap();
        let mut bytes = state_bytes(&state);
        let end = bytes.len();
        bytes[end - 7..end - 3].copy_from_slice(&0x8000_0000u32.to_be_bytes());
        bytes[end - 1] = 2;
        let mut hasher = StateHasher::<protocol::hash::Keccak>::new(StateLimits {
            bytes: 1 << 20,
            leaves: 1 << 20,
        });
        hasher.push(&bytes).unwrap();
        let head = hasher.head().unwrap().clone();
        let root = hasher.finish().unwrap();
        assert_ne!(root, state.root());
        let read = published_state(&head, &bytes, root).unwrap();
        assert!(state_bytes(&read) == bytes);
        let [(_, floats), (_, truths)] = read.values() else { panic!("two values") };
        // The engine computes with +0 and true.
        assert_eq!(floats.as_f32()[2].to_bits(), 0);
        assert_eq!(truths.integers().unwrap(), [1, 1, 1]);
    }
}
