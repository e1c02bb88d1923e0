//! What parties lose and win at most, beside what the formulas of `docs/protocol.md`, section 9, allow: one row for
//! each formula, with the case that came nearest to its bound or went furthest beyond it.

/// A formula, by whose money or time it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Formula {
    /// What an honest executor loses: record fees.
    Executor,
    /// What an honest challenger loses: record fees, and what it pays for looking.
    Challenger,
    /// What an honest poster loses, beside the fees of answers: record fees.
    Poster,
    /// What all attackers win together, with what burned of their money: what they earned.
    Coalition,
    /// What does not burn of the stake of a claim that falls: half of it.
    Stake,
    /// What whoever convicts loses: nothing.
    Conviction,
    /// What comes back of the bond of a challenge that is withdrawn: all but its share.
    Withdrawal,
    /// When a claim is final, counted from its post.
    Delay,
}

impl Formula {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Executor,
        Self::Challenger,
        Self::Poster,
        Self::Coalition,
        Self::Stake,
        Self::Conviction,
        Self::Withdrawal,
        Self::Delay,
    ];

    /// Whom it is about, for people.
    pub const fn who(self) -> &'static str {
        match self {
            Self::Executor => "executor, honest: loses",
            Self::Challenger => "challenger, honest: loses",
            Self::Poster => "poster, honest: loses, beside the fees of answers",
            Self::Coalition => "all attackers of a world: win, with what burned of their money",
            Self::Stake => "liar, seen: keeps of its stake, with its own challengers",
            Self::Conviction => "challenger that convicts: loses (below zero: wins)",
            Self::Withdrawal => "challenger that withdraws: has back of its bond",
            Self::Delay => "a claim is final after",
        }
    }

    /// What bounds it, for people.
    pub const fn bound(self) -> &'static str {
        match self {
            Self::Executor => "its record fees",
            Self::Challenger => {
                "its record fees; of challenges that it withdrew, their fees and bond_wei × withdraw_permille / 1000"
            }
            Self::Poster => "its record fees",
            Self::Coalition => {
                "fees of honest posters' jobs that they answered, and what honest challengers paid them for looking"
            }
            Self::Stake => "stake_wei / 2",
            Self::Conviction => "nothing: record_fee_wei is at most 2 × work_cost_wei",
            Self::Withdrawal => "bond_wei − bond_wei × withdraw_permille / 1000",
            Self::Delay => {
                "window + T, and the time of blocks; T more for each further served_max challenges"
            }
        }
    }

    /// Whether it bounds a time in milliseconds; otherwise money in wei.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Delay)
    }
}

/// The case of a formula that came nearest to its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// How often the formula was tried.
    pub times: u64,
    /// What was found where it came nearest to its bound, in wei or milliseconds.
    pub found: i128,
    /// What the formula allowed there.
    pub allowed: i128,
}

impl Case {
    /// What was found and what was allowed, for people; dashes where nothing was tried.
    pub fn told(&self, formula: Formula) -> [String; 2] {
        [self.found, self.allowed].map(|number| match (self.times, formula.is_time()) {
            (0, _) => "–".to_owned(),
            (_, true) => format!("{:.1} s", number as f64 / 1e3),
            (_, false) => format!("{:.6} ETH", number as f64 / 1e18),
        })
    }

    /// Whether this case is nearer to its bound, or further beyond it. Of equals, the one about more.
    fn is_nearer(&self, other: &Self) -> bool {
        let beyond = |case: &Self| (case.found.saturating_sub(case.allowed), case.found);
        beyond(self) > beyond(other)
    }
}

/// An amount that formulas subtract from. No amount of a ledger comes near 127 bits.
pub(crate) fn signed(amount_wei: u128) -> i128 {
    i128::try_from(amount_wei).unwrap_or(i128::MAX)
}

/// The cases of all formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorstCases([Case; Formula::ALL.len()]);

impl WorstCases {
    /// Takes down one case.
    pub fn note(&mut self, formula: Formula, found: i128, allowed: i128) {
        self.add(formula, Case { times: 1, found, allowed });
    }

    /// Adds what was seen elsewhere.
    pub fn join(&mut self, other: &Self) {
        for (formula, case) in Formula::ALL.into_iter().zip(other.0) {
            self.add(formula, case);
        }
    }

    fn add(&mut self, formula: Formula, case: Case) {
        let Some(known) = self.0.get_mut(formula as usize) else { return };
        if case.times == 0 {
            return;
        }
        let times = known.times.saturating_add(case.times);
        let nearest = if known.times == 0 || case.is_nearer(known) { case } else { *known };
        *known = Case { times, ..nearest };
    }

    /// Each formula with its case.
    pub fn rows(&self) -> impl Iterator<Item = (Formula, Case)> {
        Formula::ALL.into_iter().zip(self.0)
    }

    /// Whether nothing went beyond what a formula allows.
    pub fn hold(&self) -> bool {
        self.0.iter().all(|case| case.found <= case.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_nearest_to_its_bound_is_kept_and_one_beyond_it_does_not_hold() {
        let mut seen = WorstCases::default();
        seen.note(Formula::Executor, 3, 10);
        seen.note(Formula::Executor, 2, 2);
        seen.note(Formula::Executor, 90, 100);
        let mut other = WorstCases::default();
        other.note(Formula::Executor, 5, 5);
        seen.join(&other);
        let (_, case) = seen.rows().next().unwrap();
        assert_eq!(case, Case { times: 4, found: 5, allowed: 5 });
        assert!(seen.hold());
        seen.note(Formula::Delay, 7, 6);
        assert!(!seen.hold());
        let untried = seen.rows().filter(|(_, case)| case.times == 0).count();
        assert_eq!(untried, 6);
    }
}
