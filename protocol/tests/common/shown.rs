//! What a run of the recurrent model shows, asks, and what refutes it.

use protocol::ClaimId;
use protocol::asks::{OperandProof, Refutation, Showing, Tree};
use protocol::hash::{Digest, Keccak};
use protocol::roots::batch_tree;
use protocol::transaction::{Action, Address};

use super::Want;
use super::answers::Proof;
use super::sequence::{Course, FIRST_OUTPUT, LAYERS, STOP, committed_root};

/// What is shown of a run.
impl Course {
    fn leaf_path(&self, tree: Tree, index: u64) -> Vec<Digest> {
        self.trees[&tree].leaf_path(index)
    }

    pub fn sequence_leaf(&self, iteration: u32) -> Showing {
        let trace = Tree::Trace { iteration };
        let root = committed_root(trace, &self.trees[&trace]);
        let path = self.leaf_path(Tree::Sequence {}, u64::from(iteration));
        Showing::SequenceLeaf { iteration, root, path }
    }

    pub fn trace_leaf(&self, iteration: u32, boundary: u32) -> Showing {
        let state = Tree::State { iteration, boundary };
        let root = committed_root(state, &self.trees[&state]);
        let path = self.leaf_path(Tree::Trace { iteration }, u64::from(boundary));
        Showing::TraceLeaf { iteration, boundary, root, path }
    }

    pub fn state_leaf(&self, iteration: u32, boundary: u32, value: u32) -> Showing {
        let live = self.machine.live(boundary);
        let position = live.iter().position(|one| *one == value).unwrap() as u32;
        let root = self.passes[iteration as usize].value(value).root();
        let path = self.leaf_path(Tree::State { iteration, boundary }, u64::from(position));
        Showing::StateLeaf { iteration, boundary, position, value, root, path }
    }

    pub fn entry(&self, iteration: u32) -> Showing {
        let path = batch_tree::<Keccak>(&self.entries).unwrap().path(u64::from(iteration));
        let root = self.entries[iteration as usize];
        Showing::Entry { iteration, root, path: path.unwrap() }
    }

    /// The way to a state by the sequence and the trace.
    pub fn way_to_state(&self, iteration: u32, boundary: u32) -> Vec<Showing> {
        vec![self.sequence_leaf(iteration), self.trace_leaf(iteration, boundary)]
    }

    pub fn output_leaf(&self, iteration: u32, operator: u32) -> Showing {
        let (layer, position) = (operator / 2, operator % 2);
        let root = self.passes[iteration as usize].outputs[operator as usize].root();
        let path = self.leaf_path(Tree::Subtrace { iteration, layer }, u64::from(position));
        Showing::SubtraceLeaf { iteration, layer, position, root, path }
    }

    /// What proves a tree's kind and root, and no more.
    pub fn showings_to(&self, tree: Tree) -> Vec<Showing> {
        let (layer, operator) =
            (|index| self.machine.layer(index), |index| self.machine.operator(index));
        let last = self.iterations() - 1;
        match tree {
            Tree::Sequence {} => Vec::new(),
            Tree::Trace { iteration } => vec![self.sequence_leaf(iteration)],
            Tree::State { iteration, boundary } => {
                let mut way = match (iteration, boundary) {
                    (0, 0) if self.entries.is_empty() => Vec::new(),
                    (0, 0) => vec![self.entry(0)],
                    (iteration, LAYERS) if iteration == last => Vec::new(),
                    _ => self.way_to_state(iteration, boundary),
                };
                way.push(layer(boundary.min(1)));
                way
            }
            Tree::Subtrace { layer: index, .. } => vec![layer(index)],
            Tree::Tensor { iteration, operator: index } => {
                vec![layer(index / 2), operator(index), self.output_leaf(iteration, index)]
            }
            Tree::Accumulators { operator: index, .. } => vec![operator(index)],
            Tree::Input { iteration, value } => {
                let mut way = self.showings_to(Tree::State { iteration, boundary: 0 });
                way.push(self.state_leaf(iteration, 0, value));
                way
            }
            Tree::Output { iteration, value } => {
                let mut way = self.showings_to(Tree::State { iteration, boundary: LAYERS });
                way.extend(value.checked_sub(FIRST_OUTPUT).map(operator));
                way.push(self.state_leaf(iteration, LAYERS, value));
                way
            }
        }
    }
}

/// What refutes a run, with everything that it must show.
impl Course {
    pub fn link_proof(&self, iteration: u32, input: u32) -> Proof {
        let (before, value) = (iteration - 1, self.machine.graph.recurrence.links[input as usize]);
        let mut showings = vec![self.machine.layer(0), self.machine.layer(1)];
        showings.extend(self.way_to_state(before, LAYERS));
        showings.push(self.state_leaf(before, LAYERS, value));
        showings.extend(self.way_to_state(iteration, 0));
        showings.push(self.state_leaf(iteration, 0, input));
        (showings, Refutation::Link { iteration, input })
    }

    pub fn entry_proof(&self, iteration: u32) -> Proof {
        let mut showings = vec![self.entry(iteration)];
        showings.extend(self.way_to_state(iteration, 0));
        (showings, Refutation::Entry { iteration })
    }

    pub fn stop_proof(&self, iteration: u32) -> Proof {
        let mut showings = self.showings_to(Tree::State { iteration, boundary: LAYERS });
        showings.push(self.state_leaf(iteration, LAYERS, STOP));
        (showings, Refutation::Stop { iteration })
    }

    /// That an element of the new memory, the second operator's output, is not what the law gives.
    pub fn memory_proof(&self, iteration: u32, element: u64) -> Proof {
        let (operator, leaf, pass) = (1, element / 64, &self.passes[iteration as usize]);
        let (state, tensor) =
            (Tree::State { iteration, boundary: 0 }, Tree::Tensor { iteration, operator });
        let mut showings = self.showings_to(state);
        showings.extend([self.machine.operator(operator), self.output_leaf(iteration, operator)]);
        let (bytes, path) = (pass.outputs[1].leaf(leaf), self.leaf_path(tensor, leaf));
        showings.push(Showing::TensorLeaf { iteration, operator, leaf, bytes, path });
        let operand = |value: u32| {
            let bits = pass.value(value);
            OperandProof {
                root: bits.root(),
                path: self.leaf_path(state, u64::from(value)),
                positions: vec![leaf],
                leaves: vec![bits.leaf(leaf)],
                siblings: bits.tree().siblings_of(&[leaf]).unwrap(),
            }
        };
        let operands = vec![(0, operand(1)), (1, operand(2))];
        let (layer, segment, states) = (0, 0, Vec::new());
        let refutation =
            Refutation::Step { iteration, layer, operator, element, segment, operands, states };
        (showings, refutation)
    }

    pub fn demand(&self, claim: ClaimId, want: Want) -> Action {
        let ask = self.ask(want);
        let (showings, path) = (self.showings_to(want.tree()), self.path(&ask));
        Action::Demand { claim, showings, ask, path, from: None }
    }

    pub fn reveal(&self, claim: ClaimId, challengers: Vec<Address>, want: Want) -> Action {
        let ask = self.ask(want);
        let answer = self.answer(&ask, 6);
        Action::Reveal { claim, challengers, ask, answer }
    }

    pub fn refute(&self, claim: ClaimId, challenger: Address, proof: Proof) -> Action {
        let (showings, refutation) = proof;
        Action::Refute { claim, challenger, showings, refutation, from: None }
    }
}
