//! What a ledger's parameters must satisfy: a table, in the order in which it is checked.

use super::Parameters;

/// Longest time that a parameter or a term may name: ten years, in milliseconds.
pub(super) const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
/// Largest sum that a parameter or a term may name, in wei.
pub(super) const MONEY_WEI_MAX: u128 = 1 << 100;

/// Why a set of parameters is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name} is outside its bounds: {bounds}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What it must satisfy.
    pub bounds: &'static str,
}

/// What a parameter must satisfy.
pub(super) struct Bound {
    /// The parameter that is named when it does not hold.
    pub(super) name: &'static str,
    /// The bound in words.
    pub(super) bounds: &'static str,
    /// Whether a ledger's parameters satisfy it.
    pub(super) holds: fn(&Parameters) -> bool,
}

/// Every bound, in the order in which they are checked.
pub(super) const BOUNDS: [Bound; 35] = [
    Bound {
        name: "window_ms_min",
        bounds: "1 ≤ window_ms_min ≤ window_ms_max",
        holds: |all| (1..=all.window_ms_max).contains(&all.window_ms_min),
    },
    Bound {
        name: "window_ms_max",
        bounds: "at most ten years",
        holds: |all| all.window_ms_max <= DURATION_MS_MAX,
    },
    Bound {
        name: "window_iteration_ms",
        bounds: "at most ten years",
        holds: |all| all.window_iteration_ms <= DURATION_MS_MAX,
    },
    Bound {
        name: "executor_clock_ms",
        bounds: "at most ten years",
        holds: |all| all.executor_clock_ms <= DURATION_MS_MAX,
    },
    Bound {
        name: "challenger_clock_ms",
        bounds: "at most ten years",
        holds: |all| all.challenger_clock_ms <= DURATION_MS_MAX,
    },
    Bound {
        name: "move_floor_ms",
        bounds: "1 ≤ move_floor_ms ≤ ten years",
        holds: |all| (1..=DURATION_MS_MAX).contains(&all.move_floor_ms),
    },
    Bound {
        name: "seal_ms",
        bounds: "at most ten years",
        holds: |all| all.seal_ms <= DURATION_MS_MAX,
    },
    Bound {
        name: "arity_log2",
        bounds: "1 ≤ arity_log2 ≤ 8",
        holds: |all| (1..=8).contains(&all.arity_log2),
    },
    Bound {
        name: "demands_max",
        bounds: "enough for the deepest dispute (22 at arity_log2 6, 26 at 5, 29 at 4)",
        holds: |all| all.demands_of_deepest_dispute() <= all.demands_max,
    },
    Bound {
        name: "end_log2",
        bounds: "at least arity_log2 − 3 and at most 12",
        holds: |all| (all.leaf_log2()..=12).contains(&all.end_log2),
    },
    Bound {
        name: "end_depth_max",
        bounds: "at most 12 more than end_log2",
        holds: |all| all.end_depth_max <= all.end_log2 + 12,
    },
    Bound {
        name: "end_asks_max",
        bounds: "enough for all of the largest input that can be demanded",
        holds: |all| all.end_asks_of_largest() <= all.end_asks_max,
    },
    Bound {
        name: "end_asks_max",
        bounds: "with demands_max at most 4095",
        holds: |all| all.demands_max.saturating_add(all.end_asks_max) <= 4095,
    },
    Bound {
        name: "executor_clock_ms",
        bounds: "at least move_floor_ms × demands_max, so that a dispute fits",
        holds: |all| all.moves_ms() <= all.executor_clock_ms,
    },
    Bound {
        name: "challenger_clock_ms",
        bounds: "at least move_floor_ms × demands_max, so that a dispute fits",
        holds: |all| all.moves_ms() <= all.challenger_clock_ms,
    },
    Bound {
        name: "window_ms_min",
        bounds: "at least move_floor_ms, so that a challenge can be sent in time",
        holds: |all| all.move_floor_ms <= all.window_ms_min,
    },
    Bound {
        name: "seal_ms",
        bounds: "at least move_floor_ms, so that a seal can be opened in time",
        holds: |all| all.move_floor_ms <= all.seal_ms,
    },
    Bound {
        name: "served_max",
        bounds: "1 ≤ served_max ≤ 4096",
        holds: |all| (1..=4096).contains(&all.served_max),
    },
    Bound {
        name: "reply_ms",
        bounds: "1 ≤ reply_ms ≤ move_floor_ms / served_max, so that each of those served is answered in time",
        holds: |all| {
            let all_ms = all.reply_ms.saturating_mul(u64::from(all.served_max));
            (1..=all.move_floor_ms).contains(&all_ms)
        },
    },
    Bound {
        name: "stake_wei_min",
        bounds: "1 ≤ stake_wei_min ≤ stake_wei_max",
        holds: |all| (1..=all.stake_wei_max).contains(&all.stake_wei_min),
    },
    Bound {
        name: "stake_wei_max",
        bounds: "at most 2^100",
        holds: |all| all.stake_wei_max <= MONEY_WEI_MAX,
    },
    Bound { name: "bond_permille", bounds: "at most 250", holds: |all| all.bond_permille <= 250 },
    Bound {
        name: "bond_wei_min",
        bounds: "1 ≤ bond_wei_min ≤ bond_wei_max",
        holds: |all| (1..=all.bond_wei_max).contains(&all.bond_wei_min),
    },
    Bound {
        name: "bond_wei_max",
        bounds: "at most a quarter of stake_wei_max",
        holds: |all| all.bond_wei_max <= all.stake_wei_max / 4,
    },
    Bound {
        name: "bond_wei_min",
        bounds: "at least reply_cost_wei × demands_max",
        holds: |all| all.replies_wei() <= all.bond_wei_min,
    },
    Bound {
        name: "bond_wei_min",
        bounds: "at most a quarter of stake_wei_min, so that a challenge can be afforded",
        holds: |all| all.bond_wei_min <= all.stake_wei_min / 4,
    },
    Bound {
        name: "demand_fee_wei",
        bounds: "at least reply_cost_wei, so that answering never costs",
        holds: |all| all.demand_fee_wei >= all.reply_cost_wei,
    },
    Bound {
        name: "demand_fee_wei",
        bounds: "with demands_max at most a quarter of stake_wei_min, so that a dispute can be afforded",
        holds: |all| all.demands_wei() <= all.stake_wei_min / 4,
    },
    Bound {
        name: "record_fee_wei",
        bounds: "1 ≤ record_fee_wei ≤ 2 × work_cost_wei: what is kept for ever is not free, and who convicts has \
                 it back",
        holds: |all| (1..=all.work_cost_wei.saturating_mul(2)).contains(&all.record_fee_wei),
    },
    Bound {
        name: "attest_bond_wei",
        bounds: "1 ≤ attest_bond_wei ≤ 2^100: a place that others want is not free",
        holds: |all| (1..=MONEY_WEI_MAX).contains(&all.attest_bond_wei),
    },
    Bound {
        name: "transfer_wei_min",
        bounds: "1 ≤ transfer_wei_min ≤ stake_wei_min, so that a stake can be paid in",
        holds: |all| (1..=all.stake_wei_min).contains(&all.transfer_wei_min),
    },
    Bound {
        name: "work_cost_wei",
        bounds: "with the work of a whole challenge at most half of stake_wei_min, so that who convicts has its cost back",
        holds: |all| all.work_cost_wei.saturating_mul(all.work_max()) <= all.stake_wei_min / 2,
    },
    Bound {
        name: "reward_permille",
        bounds: "at most 500: half of a stake burns, or challenging oneself would be free",
        holds: |all| all.reward_permille <= 500,
    },
    Bound {
        name: "withdraw_permille",
        bounds: "10 ≤ withdraw_permille ≤ 1000: delay is not free",
        holds: |all| (10..=1000).contains(&all.withdraw_permille),
    },
    Bound {
        name: "attestations_max",
        bounds: "1 ≤ attestations_max ≤ 4096",
        holds: |all| (1..=4096).contains(&all.attestations_max),
    },
];

impl Parameters {
    /// Checks every bound from which honesty pays and every dispute can be finished.
    ///
    /// # Errors
    /// The first parameter that is outside its bounds.
    pub fn check(&self) -> Result<(), ParameterError> {
        match BOUNDS.iter().find(|bound| !(bound.holds)(self)) {
            Some(Bound { name, bounds, .. }) => Err(ParameterError { name, bounds }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Canonical as _;
    use crate::settlement::{ETHER, ParameterError};

    type Change = fn(&mut Parameters);

    /// A case for each row, in the order of the table: parameters that this row alone refuses, and the
    /// same at the bound, where it allows them.
    const CASES: [(Change, Change); 35] = [
        (
            |all| all.window_ms_min = all.window_ms_max + 1,
            |all| all.window_ms_min = all.window_ms_max,
        ),
        (|all| all.window_ms_max = DURATION_MS_MAX + 1, |all| all.window_ms_max = DURATION_MS_MAX),
        (
            |all| all.window_iteration_ms = DURATION_MS_MAX + 1,
            |all| all.window_iteration_ms = DURATION_MS_MAX,
        ),
        (
            |all| all.executor_clock_ms = DURATION_MS_MAX + 1,
            |all| all.executor_clock_ms = DURATION_MS_MAX,
        ),
        (
            |all| all.challenger_clock_ms = DURATION_MS_MAX + 1,
            |all| all.challenger_clock_ms = DURATION_MS_MAX,
        ),
        (
            |all| (all.move_floor_ms, all.reply_ms) = (0, 0),
            |all| (all.move_floor_ms, all.reply_ms, all.served_max) = (1, 1, 1),
        ),
        (|all| all.seal_ms = DURATION_MS_MAX + 1, |all| all.seal_ms = DURATION_MS_MAX),
        (|all| all.arity_log2 = 9, |all| all.arity_log2 = 8),
        (|all| all.demands_max = 21, |all| all.demands_max = 22),
        (|all| all.end_log2 = 2, |all| (all.end_log2, all.end_depth_max) = (3, 3)),
        // One level more would take more demands than two rows further allow.
        (
            |all| all.end_depth_max = 21,
            |all| {
                (all.end_depth_max, all.end_asks_max) = (19, 2_084);
                all.stake_wei_min = 100 * ETHER;
            },
        ),
        (|all| all.end_asks_max = 19, |all| all.end_asks_max = 20),
        (
            |all| (all.end_asks_max, all.stake_wei_min) = (4_072, 1_000 * ETHER),
            |all| (all.end_asks_max, all.stake_wei_min) = (4_071, 1_000 * ETHER),
        ),
        (|all| all.executor_clock_ms = 119_999, |all| all.executor_clock_ms = 120_000),
        (|all| all.challenger_clock_ms = 119_999, |all| all.challenger_clock_ms = 120_000),
        (|all| all.window_ms_min = 4_999, |all| all.window_ms_min = 5_000),
        (|all| all.seal_ms = 4_999, |all| all.seal_ms = 5_000),
        (
            |all| (all.served_max, all.reply_ms) = (4_097, 1),
            |all| (all.served_max, all.reply_ms) = (4_096, 1),
        ),
        (|all| all.reply_ms = 313, |all| all.reply_ms = 312),
        (
            |all| all.stake_wei_min = all.stake_wei_max + 1,
            |all| all.stake_wei_min = all.stake_wei_max,
        ),
        (|all| all.stake_wei_max = MONEY_WEI_MAX + 1, |all| all.stake_wei_max = MONEY_WEI_MAX),
        (|all| all.bond_permille = 251, |all| all.bond_permille = 250),
        (|all| all.bond_wei_min = all.bond_wei_max + 1, |all| all.bond_wei_max = all.bond_wei_min),
        (|all| all.bond_wei_max = 250 * ETHER + 1, |all| all.bond_wei_max = 250 * ETHER),
        (
            |all| all.reply_cost_wei = all.bond_wei_min / 24 + 1,
            |all| {
                all.reply_cost_wei = all.bond_wei_min / 24;
                all.demand_fee_wei = all.reply_cost_wei;
            },
        ),
        (|all| all.bond_wei_min = ETHER / 4 + 1, |all| all.bond_wei_min = ETHER / 4),
        (
            |all| all.demand_fee_wei = all.reply_cost_wei - 1,
            |all| all.demand_fee_wei = all.reply_cost_wei,
        ),
        (|all| all.demand_fee_wei = ETHER / 96 + 1, |all| all.demand_fee_wei = ETHER / 96),
        (|all| all.record_fee_wei = ETHER / 50 + 1, |all| all.record_fee_wei = ETHER / 50),
        (|all| all.attest_bond_wei = MONEY_WEI_MAX + 1, |all| all.attest_bond_wei = MONEY_WEI_MAX),
        (|all| all.transfer_wei_min = 0, |all| all.transfer_wei_min = 1),
        (|all| all.work_cost_wei = ETHER / 92 + 1, |all| all.work_cost_wei = ETHER / 92),
        (|all| all.reward_permille = 501, |all| all.reward_permille = 500),
        (|all| all.withdraw_permille = 1_001, |all| all.withdraw_permille = 1_000),
        (|all| all.attestations_max = 4_097, |all| all.attestations_max = 4_096),
    ];

    #[test]
    fn audit_a14_each_bound_refuses_what_is_outside_it_and_allows_what_is_at_it() {
        // The number of cases is the number of rows, or this does not compile.
        let rows: [(&Bound, &(Change, Change)); BOUNDS.len()] =
            core::array::from_fn(|row| (&BOUNDS[row], &CASES[row]));
        for (row, (bound, (outside, at))) in rows.into_iter().enumerate() {
            let Bound { name, bounds, .. } = bound;
            let mut parameters = Parameters::default();
            outside(&mut parameters);
            let refused = Err(ParameterError { name, bounds });
            assert_eq!(parameters.check(), refused, "row {row}: {parameters:?}");
            let mut parameters = Parameters::default();
            at(&mut parameters);
            assert!((bound.holds)(&parameters), "row {row}: {name} {bounds}");
            assert_eq!(parameters.check(), Ok(()), "row {row}: {name} {bounds}");
        }
    }

    #[test]
    fn bounds_from_two_sides_refuse_on_both() {
        let table: [(&str, Change); 17] = [
            ("window_ms_min", |all| all.window_ms_min = 0),
            ("move_floor_ms", |all| all.move_floor_ms = DURATION_MS_MAX + 1),
            ("arity_log2", |all| all.arity_log2 = 0),
            ("end_log2", |all| all.end_log2 = 13),
            ("end_asks_max", |all| all.demands_max = u32::MAX),
            ("served_max", |all| all.served_max = 0),
            ("record_fee_wei", |all| all.record_fee_wei = 0),
            ("attest_bond_wei", |all| all.attest_bond_wei = 0),
            ("stake_wei_min", |all| all.stake_wei_min = 0),
            ("bond_wei_min", |all| all.bond_wei_min = 0),
            ("transfer_wei_min", |all| all.transfer_wei_min = all.stake_wei_min + 1),
            ("reply_ms", |all| all.reply_ms = 0),
            ("withdraw_permille", |all| all.withdraw_permille = 9),
            ("demand_fee_wei", |all| all.demand_fee_wei = u128::MAX),
            ("attestations_max", |all| all.attestations_max = 0),
            ("demand_fee_wei", |all| (all.demand_fee_wei, all.reply_cost_wei) = (0, 1)),
            ("demands_max", |all| (all.arity_log2, all.demands_max) = (1, 99)),
        ];
        for (name, change) in table {
            let mut parameters = Parameters::default();
            change(&mut parameters);
            match parameters.check() {
                Err(ParameterError { name: found, .. }) => assert_eq!(found, name),
                Ok(()) => panic!("{name}: {parameters:?}"),
            }
        }
    }

    #[test]
    fn each_preset_is_within_its_bounds() {
        for preset in [Parameters::default(), Parameters::fast(), Parameters::mainnet_like()] {
            assert_eq!(preset.check(), Ok(()), "{preset:?}");
        }
    }

    #[test]
    fn the_deepest_dispute_takes_as_many_demands_as_the_specification_says() {
        for (arity_log2, demands) in [(1, 100), (4, 29), (5, 26), (6, 22), (8, 18)] {
            let parameters = Parameters { arity_log2, ..Parameters::default() };
            assert_eq!(parameters.demands_of_deepest_dispute(), demands, "{arity_log2}");
        }
    }

    #[test]
    fn no_number_is_too_large_to_be_checked() {
        let length = Parameters::default().to_canonical().len();
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            let parameters = Parameters::from_canonical(&std::vec![byte; length]).unwrap();
            assert!(parameters.check().is_err());
            for (stake_wei, iterations) in [(0, 0), (1, 1), (u128::MAX, u32::MAX)] {
                let bond_wei = parameters.bond_wei(stake_wei);
                assert!(bond_wei <= parameters.bond_wei_max);
                let window_ms = parameters.window_ms_of(iterations);
                assert!(window_ms >= parameters.window_ms_min);
            }
            assert!(parameters.challenge_ms_max() >= parameters.executor_clock_ms);
        }
    }
}
