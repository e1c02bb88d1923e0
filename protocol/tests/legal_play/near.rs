//! Moves that are nearly legal: one thing is changed. Whether they are accepted is the ledger's affair; nothing that
//! must hold may break by them.

use protocol::asks::{Ask, Refutation};
use protocol::hash::Digest;
use protocol::transaction::{Action, Address, JobTerms};

use crate::draw::Draw;
use crate::moves::{KINDS, Kind, Move};
use crate::watch::others;
use crate::world::{HONEST, World};

impl World {
    pub(crate) fn near(&self, draw: &mut Draw) -> Option<Move> {
        if draw.one_in(3) {
            let mut one = self.untimely(draw)?;
            one.who = self.anybody(draw);
            return Some(one);
        }
        let kinds: Vec<Kind> = KINDS.into_iter().filter(|one| *one != Kind::Near).collect();
        let kind = *draw.pick(&kinds)?;
        let mut one = self.draw_of(kind, draw)?;
        one.is_legal = false;
        if draw.one_in(3) {
            // Nobody acts in the name of somebody honest.
            one.who = self.anybody(draw);
        } else {
            self.change(&mut one.action, draw)?;
        }
        let in_name = HONEST.contains(&one.who) || !self.chaos.contains(&one.who);
        if in_name {
            one.who = self.anybody(draw);
        }
        Some(one)
    }

    /// What may be done at another time, or never.
    fn untimely(&self, draw: &mut Draw) -> Option<Move> {
        let (_, one) = self.any_challenge(draw)?;
        let (claim, challenger) = (one.claim, one.challenger);
        let job = self.state.claim(&claim)?.terms.job;
        let actions = [
            Action::CallTime { claim, challenger },
            Action::Collect { claim, challenger },
            Action::Finalise { claim },
            Action::Release { claim },
            Action::ExpireJob { job },
            Action::Pass { job, claims: vec![claim] },
            Action::Pass { job, claims: Vec::new() },
            Action::WithdrawChallenge { claim },
            Action::Challenge { claim },
            Action::ProveAttention { claim, salt: Digest::default() },
        ];
        let action = draw.pick(&actions)?.clone();
        Some(Move { who: challenger, action, is_legal: false })
    }

    /// Another party's last ask.
    fn others_ask(&self, draw: &mut Draw) -> Option<Ask> {
        self.any_challenge(draw)?.1.last_ask().cloned()
    }

    fn change(&self, action: &mut Action, draw: &mut Draw) -> Option<()> {
        match action {
            Action::Demand { showings, ask, path, from, .. } => match draw.below(7) {
                0 => *from = Some(self.others_ask(draw)?),
                1 => drop(showings.pop()?),
                2 => drop(path.pop()?),
                3 => path.push(Digest::default()),
                4 => *ask = self.others_ask(draw)?,
                5 => *from = None,
                _ => change_ask(ask, draw),
            },
            Action::Reveal { ask, answer, challengers, .. } => match draw.below(4) {
                0 => *ask = self.others_ask(draw)?,
                1 => *challengers = vec![Address::default(); 1 + draw.below(16) as usize],
                2 => *challengers = Vec::new(),
                _ => *answer = draw.pick(&others(answer))?.clone(),
            },
            Action::Refute { showings, refutation, from, challenger, .. } => match draw.below(4) {
                0 => drop(showings.pop()?),
                1 => *from = Some(self.others_ask(draw)?),
                2 => *challenger = self.anybody(draw),
                _ => change_refutation(refutation, draw)?,
            },
            Action::PostJob { terms } => change_terms(terms, self, draw),
            Action::PostClaim { statement } | Action::OpenClaim { statement, .. } => {
                match draw.below(5) {
                    0 => statement.terms.output_root.0[0] ^= 1,
                    1 => statement.terms.iterations += 1,
                    2 => statement.terms.input_root.0[0] ^= 1,
                    3 => drop(statement.binding.output.state_path.pop()?),
                    _ => statement.binding.entry = None,
                }
            }
            Action::Attest { word, .. } => *word = Digest::default(),
            Action::ProveAttention { salt, .. } => salt.0[0] ^= 1,
            Action::Withdraw { amount_wei } => *amount_wei = draw.of([0, u128::MAX]),
            Action::Pass { claims, .. } => claims.push(*claims.first()?),
            Action::Collect { challenger, .. } | Action::CallTime { challenger, .. } => {
                *challenger = self.anybody(draw);
            }
            _ => return None,
        }
        Some(())
    }
}

fn change_ask(ask: &mut Ask, draw: &mut Draw) {
    match ask {
        Ask::Open { place } | Ask::Leaves { place } => match draw.below(4) {
            0 => place.index ^= 1,
            1 => place.depth += 1,
            2 => place.hash.0[0] ^= 1,
            _ => {
                let place = place.clone();
                *ask = Ask::Leaves { place };
            }
        },
        Ask::Say { tree, .. } => {
            if let protocol::asks::Tree::Subtrace { iteration, .. } = tree {
                *iteration += 1;
            }
        }
    }
}

fn change_refutation(refutation: &mut Refutation, draw: &mut Draw) -> Option<()> {
    match refutation {
        Refutation::Step { element, segment, operands, states, .. } => match draw.below(4) {
            0 => *element += 1,
            1 => *segment += 1,
            2 => drop(operands.pop()?),
            _ => drop(states.pop()?),
        },
        Refutation::Binding { operator, .. } => *operator += 1,
        Refutation::Carry { value, .. } => *value += 1,
        Refutation::StateValue { position, .. } => *position += 1,
        Refutation::Leaf { leaf, .. } => *leaf ^= 1,
        Refutation::Link { input, .. } => *input += 1,
        Refutation::Entry { iteration } | Refutation::Stop { iteration } => *iteration += 1,
    }
    Some(())
}

fn change_terms(terms: &mut JobTerms, world: &World, draw: &mut Draw) {
    let limits = world.limits();
    match draw.below(6) {
        0 => terms.stake_wei = limits.stake_wei_max + 1,
        1 => terms.stake_wei = limits.stake_wei_min - 1,
        2 => terms.window_ms = limits.window_ms_min - 1,
        3 => terms.may_cut = !terms.may_cut,
        4 => terms.open_ms = 0,
        _ => (terms.fee_wei, terms.fee_iteration_wei, terms.attention_wei) = (0, 0, 0),
    }
}
