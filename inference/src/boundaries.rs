//! The values between layers while a model runs, and their roots, which are hashed meanwhile.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use protocol::hash::{Commitment, Digest};

use crate::state::State;
use crate::tensor::Tensor;

/// The root of a value and how long it took, as soon as it is hashed.
type Hashed = Arc<OnceLock<(Digest, Duration)>>;

/// The values between two layers, each with its root to come.
struct Boundary {
    values: Vec<(u32, Tensor)>,
    roots: Vec<Hashed>,
}

/// A value that is to be hashed.
pub(crate) struct Unhashed {
    tensor: Tensor,
    root: Hashed,
}

impl Unhashed {
    /// Hashes it.
    pub(crate) fn hash<C: Commitment>(self) {
        let started = Instant::now();
        let root = self.tensor.root_under::<C>();
        let _ = self.root.set((root, started.elapsed()));
    }
}

/// All boundaries so far, the input's first.
pub(crate) struct Boundaries<C: Commitment> {
    input: State<C>,
    all: Vec<Boundary>,
    /// What was hashed, or is being: each value that was written, once.
    written: Vec<Hashed>,
}

impl<C: Commitment> Boundaries<C> {
    /// The boundary before the first layer, which is hashed already.
    pub(crate) fn new(input: State<C>) -> Self {
        Self { input, all: Vec::new(), written: Vec::new() }
    }

    /// The values of the last boundary.
    pub(crate) fn last(&self) -> &[(u32, Tensor)] {
        self.all.last().map_or(self.input.values(), |boundary| &boundary.values)
    }

    /// The root of a value, where the last boundary has the same memory: what passes a layer is not
    /// hashed again.
    fn known(&self, value: u32, tensor: &Tensor) -> Option<Hashed> {
        let place = self
            .last()
            .iter()
            .position(|(other, old)| *other == value && old.is_same_memory(tensor))?;
        match self.all.last() {
            Some(boundary) => boundary.roots.get(place).cloned(),
            None => {
                let root = self.input.roots().get(place)?;
                Some(Arc::new(OnceLock::from((*root, Duration::ZERO))))
            }
        }
    }

    /// Adds a boundary. Gives what must be hashed for it.
    pub(crate) fn push(&mut self, values: Vec<(u32, Tensor)>) -> Vec<Unhashed> {
        let (mut roots, mut unhashed) = (Vec::new(), Vec::new());
        for (value, tensor) in &values {
            roots.push(self.known(*value, tensor).unwrap_or_else(|| {
                let root = Hashed::default();
                unhashed.push(Unhashed { tensor: tensor.clone(), root: Arc::clone(&root) });
                root
            }));
        }
        self.written.extend(unhashed.iter().map(|one| Arc::clone(&one.root)));
        self.all.push(Boundary { values, roots });
        unhashed
    }

    /// How long hashing took, as far as it is done.
    pub(crate) fn time_of_hashing(&self) -> Duration {
        self.written.iter().filter_map(|root| root.get()).map(|(_, took)| *took).sum()
    }

    /// The states, the input's first; `None` when a value is not hashed.
    pub(crate) fn into_states(self) -> Option<Vec<State<C>>> {
        let mut states = vec![self.input];
        for Boundary { values, roots } in self.all {
            let roots: Option<Vec<Digest>> =
                roots.iter().map(|root| root.get().map(|(root, _)| *root)).collect();
            states.push(State::with_roots(values, roots?)?);
        }
        Some(states)
    }
}
