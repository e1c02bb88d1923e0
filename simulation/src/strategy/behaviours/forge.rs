//! Forged answers.

use protocol::asks::{Answer, Ask, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::tensor::LeafBytes;
use protocol::transaction::Action;

use crate::strategy::{Intent, Sight, Strategy};

/// How an answer is forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Every hash and byte zero.
    Zeros,
    /// Bits flipped.
    Garbage,
    /// One child too few.
    TooFew,
    /// One child too many.
    TooMany,
    /// An answer of another kind.
    WrongKind,
    /// Children in reverse order: proofs for other indices.
    Reversed,
    /// Leaves passed off as inner nodes and back.
    LeafAsNode,
    /// Another value than was committed, only when the leaf is reached.
    LeafSwitched,
    /// Running sums that are false although the element is right, or right although it is false.
    Sums,
}

/// Forges answers.
#[derive(Clone, Debug)]
pub struct Forge {
    /// How.
    pub forgery: Forgery,
}

fn flip(digest: &mut Digest) {
    digest.0[0] ^= 0x80;
}

impl Forge {
    /// Takes items away or adds them; says whether it is a forgery of that kind.
    fn length<T>(&self, items: &mut Vec<T>, added: T) -> bool {
        match self.forgery {
            Forgery::TooFew => drop(items.pop()),
            Forgery::TooMany => items.push(added),
            Forgery::Reversed => items.reverse(),
            Forgery::Zeros
            | Forgery::Garbage
            | Forgery::WrongKind
            | Forgery::LeafAsNode
            | Forgery::LeafSwitched
            | Forgery::Sums => return false,
        }
        true
    }

    /// Whether the items themselves are false, each by flipped bits or as zeros.
    fn is_of_items(&self) -> bool {
        matches!(self.forgery, Forgery::Zeros | Forgery::Garbage)
    }

    fn digest(&self, digest: &mut Digest) {
        if self.forgery == Forgery::Zeros {
            *digest = Digest::default();
        } else {
            flip(digest);
        }
    }

    /// Forges one answer to an ask about this tree.
    pub fn forge(&self, tree: &Tree, answer: &mut Answer) {
        let zero = Digest::default();
        let of_sums = self.forgery == Forgery::Sums && matches!(tree, Tree::Accumulators { .. });
        match (self.forgery, &mut *answer) {
            (Forgery::WrongKind, Answer::Leaves { .. }) => {
                *answer = Answer::Hashes { hashes: vec![zero] };
            }
            (Forgery::WrongKind, _) => *answer = Answer::Leaves { leaves: vec![[0; 256]] },
            (Forgery::LeafAsNode, Answer::Roots { roots }) => {
                *answer = Answer::Hashes { hashes: std::mem::take(roots) };
            }
            (Forgery::LeafAsNode, Answer::Hashes { hashes }) => {
                *answer = Answer::Roots { roots: std::mem::take(hashes) };
            }
            (_, Answer::Hashes { hashes: list } | Answer::Roots { roots: list }) => {
                if !self.length(list, zero) && (self.is_of_items() || of_sums) {
                    list.iter_mut().for_each(|one| self.digest(one));
                }
            }
            (_, Answer::Values { values }) => {
                if !self.length(values, (0, zero)) && self.is_of_items() {
                    values.iter_mut().for_each(|(_, root)| self.digest(root));
                }
            }
            (_, Answer::Leaves { leaves }) => self.leaves(leaves, of_sums),
        }
    }

    fn leaves(&self, leaves: &mut Vec<LeafBytes>, of_sums: bool) {
        if self.length(leaves, [0; 256]) {
            return;
        }
        match self.forgery {
            Forgery::Zeros => leaves.iter_mut().for_each(|bytes| *bytes = [0; 256]),
            Forgery::LeafSwitched | Forgery::Garbage => {
                leaves.iter_mut().for_each(|bytes| bytes[7] ^= 1);
            }
            _ if of_sums => leaves.iter_mut().take(1).for_each(|bytes| bytes[7] ^= 1),
            _ => {}
        }
    }
}

impl<C: Commitment> Strategy<C> for Forge {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for intent in &mut intents {
            if let Action::Reveal { ask, answer, .. } = &mut intent.action {
                self.forge(ask.tree(), answer);
            }
        }
        intents
    }
    fn boxed(&self) -> Box<dyn Strategy<C>> {
        Box::new(self.clone())
    }
}

/// Says one thing to the first challenger who asks for what only an executor can say, and another to the others.
#[derive(Clone, Debug)]
pub struct SaysTwo;

impl<C: Commitment> Strategy<C> for SaysTwo {
    fn play(&mut self, _: &mut Sight<'_, C>, intents: Vec<Intent>) -> Vec<Intent> {
        let other = Forge { forgery: Forgery::Garbage };
        let split = |intent: Intent| {
            let Action::Reveal { claim, challengers, ask: ask @ Ask::Say { .. }, answer } =
                &intent.action
            else {
                return vec![intent];
            };
            let one_by_one = challengers.iter().enumerate().map(|(number, challenger)| {
                let mut answer = answer.clone();
                if number > 0 {
                    other.forge(ask.tree(), &mut answer);
                }
                let (claim, ask, challengers) = (*claim, ask.clone(), vec![*challenger]);
                let action = Action::Reveal { claim, challengers, ask, answer };
                Intent { action, ..intent.clone() }
            });
            one_by_one.collect()
        };
        intents.into_iter().flat_map(split).collect()
    }
    boxed!();
}
