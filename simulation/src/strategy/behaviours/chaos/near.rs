//! Moves that are nearly legal: one thing is changed, or the time. Whether they are taken is the ledger's affair;
//! nothing that must hold may break by them.

use protocol::asks::{Ask, Refutation, Tree};
use protocol::hash::{Commitment, Digest};
use protocol::settlement::Challenge;
use protocol::transaction::{Action, Address, JobTerms};

use super::{KINDS, Kind, Table};
use crate::strategy::Intent;

impl<C: Commitment> Table<'_, '_, C> {
    pub(super) fn near(&mut self) -> Option<Intent> {
        match self.rng().below(5) {
            0 => self.untimely(),
            1 => self.at_the_edge(),
            2 => self.for_others(),
            3 if self.rng().chance(100) => {
                // Only the bank may say that money came in.
                let (account, amount_wei) = (self.sight.me, self.state.parameters().stake_wei_min);
                Some(Intent::new(Action::Deposit { account, amount_wei }))
            }
            _ => {
                let kind = self.kind()?;
                let mut action = self.action(kind)?;
                self.change(&mut action)?;
                Some(Intent::new(action))
            }
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        self.rng().pick(&KINDS).copied().filter(|kind| *kind != Kind::Near)
    }

    /// What only others may do: an answer for another executor, a move or a refutation in another's dispute.
    fn for_others(&mut self) -> Option<Intent> {
        const OF_OTHERS: [Kind; 5] =
            [Kind::Answer, Kind::AnswerOtherwise, Kind::Refute, Kind::Leave, Kind::Open];
        let kind = *self.rng().pick(&OF_OTHERS)?;
        self.for_anybody = true;
        let made_up = self.made_up(kind);
        self.for_anybody = false;
        made_up
    }

    /// A legal move that is held until a moment about the end of somebody's time: a block before, at it, after.
    fn at_the_edge(&mut self) -> Option<Intent> {
        const BLOCK_MS: u64 = 1_000;
        let kind = self.kind()?;
        let intent = self.made_up(kind)?;
        let floor_ms = self.state.parameters().move_floor_ms;
        let ends = self.state.challenges().filter_map(|(_, one)| one.deadline_ms(floor_ms));
        let windows = self.state.claims().map(|(_, claim)| claim.window_end_ms);
        let jobs = self.state.jobs().map(|(_, job)| job.open_until_ms);
        let now_ms = self.now_ms();
        let ends: Vec<u64> = ends.chain(windows).chain(jobs).filter(|at| *at > now_ms).collect();
        let end_ms = self.pick(ends)?;
        let edges = [end_ms.saturating_sub(BLOCK_MS), end_ms, end_ms + 1, end_ms + BLOCK_MS];
        let not_before_ms = *self.rng().pick(&edges)?;
        Some(Intent { not_before_ms, ..intent })
    }

    fn any_challenge(&mut self) -> Option<Challenge> {
        let all: Vec<Challenge> = self.state.challenges().map(|(_, one)| one.clone()).collect();
        self.pick(all)
    }

    /// What may be done at another time, by somebody else, or never.
    fn untimely(&mut self) -> Option<Intent> {
        let one = self.any_challenge()?;
        let (claim, challenger) = (one.claim, one.challenger);
        let job = self.state.claim(&claim)?.terms.job;
        let actions = vec![
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
        self.pick(actions).map(Intent::new)
    }

    /// Another party's last ask: a stale anchor.
    fn others_ask(&mut self) -> Option<Ask> {
        self.any_challenge()?.last_ask().cloned()
    }

    fn anybody(&mut self) -> Address {
        let challengers = self.state.challenges().map(|(_, one)| one.challenger);
        let executors = self.state.claims().map(|(_, claim)| claim.executor);
        let allies = self.sight.allies.iter().copied();
        let all: Vec<Address> = challengers.chain(executors).chain(allies).collect();
        self.pick(all).unwrap_or_default()
    }

    fn change(&mut self, action: &mut Action) -> Option<()> {
        match action {
            Action::Demand { showings, ask, path, from, .. } => match self.rng().below(7) {
                0 => *from = Some(self.others_ask()?),
                1 => drop(showings.pop()?),
                2 => drop(path.pop()?),
                3 => path.push(Digest::default()),
                4 => *ask = self.others_ask()?,
                5 => *from = None,
                _ => self.change_ask(ask),
            },
            Action::Reveal { ask, challengers, .. } => match self.rng().below(3) {
                0 => *ask = self.others_ask()?,
                1 => *challengers = vec![Address::default(); 1 + self.rng().below(17) as usize],
                _ => challengers.clear(),
            },
            Action::Refute { showings, refutation, from, challenger, .. } => {
                match self.rng().below(4) {
                    0 => drop(showings.pop()?),
                    1 => *from = Some(self.others_ask()?),
                    2 => *challenger = self.anybody(),
                    _ => self.change_refutation(refutation)?,
                }
            }
            Action::PostJob { terms } => self.change_terms(terms),
            Action::PostClaim { statement } | Action::OpenClaim { statement, .. } => {
                match self.rng().below(5) {
                    0 => statement.terms.output_root.0[0] ^= 1,
                    1 => statement.terms.iterations += 1,
                    2 => statement.terms.input_root.0[0] ^= 1,
                    3 => drop(statement.binding.output.state_path.pop()?),
                    _ => statement.terms.sequence_root.0[0] ^= 1,
                }
            }
            Action::Attest { word, .. } => *word = Digest::default(),
            Action::ProveAttention { salt, .. } => salt.0[0] ^= 1,
            Action::Withdraw { amount_wei } => {
                *amount_wei = *self.rng().pick(&[0, 1, u128::MAX])?;
            }
            Action::Pass { claims, .. } => claims.push(*claims.first()?),
            Action::Collect { challenger, .. } | Action::CallTime { challenger, .. } => {
                *challenger = self.anybody();
            }
            _ => return None,
        }
        Some(())
    }

    fn change_ask(&mut self, ask: &mut Ask) {
        match ask {
            Ask::Open { place } | Ask::Leaves { place } => match self.rng().below(4) {
                0 => place.index ^= 1,
                1 => place.depth += 1,
                2 => place.hash.0[0] ^= 1,
                _ => {
                    let place = place.clone();
                    *ask = Ask::Leaves { place };
                }
            },
            Ask::Say { tree, .. } => {
                if let Tree::Subtrace { iteration, .. } = tree {
                    *iteration += 1;
                }
            }
        }
    }

    fn change_refutation(&mut self, refutation: &mut Refutation) -> Option<()> {
        match refutation {
            Refutation::Step { element, segment, operands, states, .. } => {
                match self.rng().below(4) {
                    0 => *element += 1,
                    1 => *segment += 1,
                    2 => drop(operands.pop()?),
                    _ => drop(states.pop()?),
                }
            }
            Refutation::Binding { operator, .. } => *operator += 1,
            Refutation::Carry { value, .. } => *value += 1,
            Refutation::StateValue { position, .. } => *position += 1,
            Refutation::Leaf { leaf, .. } => *leaf ^= 1,
            Refutation::Link { input, .. } => *input += 1,
            Refutation::Entry { iteration } | Refutation::Stop { iteration } => *iteration += 1,
        }
        Some(())
    }

    fn change_terms(&mut self, terms: &mut JobTerms) {
        let limits = self.state.parameters().clone();
        match self.rng().below(8) {
            0 => terms.stake_wei = limits.stake_wei_max + 1,
            1 => terms.stake_wei = limits.stake_wei_min.saturating_sub(1),
            2 => terms.window_ms = limits.window_ms_min.saturating_sub(1),
            3 => terms.may_cut = !terms.may_cut,
            4 => terms.open_ms = 0,
            5 => terms.window_ms = u64::MAX,
            6 => terms.open_ms = u64::MAX,
            _ => (terms.fee_wei, terms.fee_iteration_wei, terms.attention_wei) = (0, 0, 0),
        }
    }
}
