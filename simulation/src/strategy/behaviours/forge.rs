//! Forged answers.

use protocol::facts::{Children, Reveal};
use protocol::hash::{Commitment, Digest};
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
    fn children(&self, children: &mut Children) {
        let zero = Digest::default();
        match (self.forgery, &mut *children) {
            (Forgery::LeafAsNode, Children::Roots { roots }) => {
                let hashes = roots.clone();
                *children = Children::Hashes { hashes };
            }
            (Forgery::LeafAsNode, Children::Hashes { hashes }) => {
                let roots = hashes.clone();
                *children = Children::Roots { roots };
            }
            (_, Children::Hashes { hashes: list } | Children::Roots { roots: list }) => {
                match self.forgery {
                    Forgery::Zeros => list.iter_mut().for_each(|one| *one = zero),
                    Forgery::Garbage => list.iter_mut().for_each(flip),
                    Forgery::TooFew => drop(list.pop()),
                    Forgery::TooMany => list.push(zero),
                    Forgery::Reversed => list.reverse(),
                    _ => {}
                }
            }
            (_, Children::Values { values }) => match self.forgery {
                Forgery::Zeros => values.iter_mut().for_each(|one| *one = (0, zero)),
                Forgery::Garbage => values.iter_mut().for_each(|one| flip(&mut one.1)),
                Forgery::TooFew => drop(values.pop()),
                Forgery::TooMany => values.push((0, zero)),
                Forgery::Reversed => values.reverse(),
                _ => {}
            },
        }
    }

    /// Forges one answer.
    pub fn forge(&self, reveal: &mut Reveal) {
        let at_leaf = matches!(self.forgery, Forgery::LeafSwitched | Forgery::Garbage);
        match reveal {
            Reveal::Node { children } => self.children(children),
            Reveal::Subtrace { root, children } => {
                if self.forgery == Forgery::Zeros {
                    *root = Digest::default();
                }
                self.children(children);
            }
            Reveal::Leaf { bytes } if at_leaf => bytes[7] ^= 1,
            Reveal::Leaf { bytes } if self.forgery == Forgery::Zeros => *bytes = [0; 256],
            Reveal::Leaf { .. } if self.forgery == Forgery::WrongKind => {
                *reveal = Reveal::Accumulators { words: vec![0] };
            }
            Reveal::Accumulators { words } => match self.forgery {
                Forgery::Sums | Forgery::Garbage => {
                    if let Some(first) = words.first_mut() {
                        *first ^= 1;
                    }
                }
                Forgery::Zeros => words.iter_mut().for_each(|word| *word = 0),
                Forgery::TooFew => drop(words.pop()),
                Forgery::TooMany => words.push(0),
                Forgery::Reversed => words.reverse(),
                _ => {}
            },
            Reveal::Leaf { .. } => {}
        }
        if self.forgery == Forgery::WrongKind && matches!(reveal, Reveal::Node { .. }) {
            *reveal = Reveal::Leaf { bytes: [0; 256] };
        }
    }
}

impl<C: Commitment> Strategy<C> for Forge {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for intent in &mut intents {
            if let Action::Reveal { reveal, .. } = &mut intent.action {
                self.forge(reveal);
            }
        }
        intents
    }
    fn boxed(&self) -> Box<dyn Strategy<C>> {
        Box::new(self.clone())
    }
}
