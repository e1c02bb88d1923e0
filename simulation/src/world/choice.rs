//! What a search may have an attacker do instead of what its strategy plans.

use protocol::transaction::Action;

use crate::strategy::Intent;
use crate::strategy::behaviours::{Forge, Forgery};

/// What a searched attacker does at one of its looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What its strategy plans.
    #[default]
    AsPlanned,
    /// Nothing at all.
    Nothing,
    /// No answers, everything else.
    NoAnswers,
    /// Everything, but shortly before each deadline.
    LastSecond,
    /// Answers with flipped bits.
    Forged,
    /// Everything but challenges.
    NoChallenges,
}

impl Choice {
    /// All of them; the first is as planned.
    pub const ALL: &'static [Self] = &[
        Self::AsPlanned,
        Self::Nothing,
        Self::NoAnswers,
        Self::LastSecond,
        Self::Forged,
        Self::NoChallenges,
    ];

    pub(super) fn apply(self, mut intents: Vec<Intent>) -> Vec<Intent> {
        match self {
            Self::AsPlanned => {}
            Self::Nothing => intents.clear(),
            Self::NoAnswers => {
                intents.retain(|intent| !matches!(intent.action, Action::Reveal { .. }));
            }
            Self::NoChallenges => {
                intents.retain(|intent| !matches!(intent.action, Action::Challenge { .. }));
            }
            Self::LastSecond => intents.iter_mut().for_each(|intent| {
                let late_ms = intent.deadline_ms.map(|at_ms| at_ms.saturating_sub(2_500));
                intent.not_before_ms = late_ms.unwrap_or(intent.not_before_ms);
            }),
            Self::Forged => intents.iter_mut().for_each(|intent| {
                if let Action::Reveal { ask, answer, .. } = &mut intent.action {
                    Forge { forgery: Forgery::Garbage }.forge(ask.tree(), answer);
                }
            }),
        }
        intents
    }
}
