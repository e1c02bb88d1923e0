//! What a ledger fixes for good at its start.

use crate::encoding::canonical_struct;
use crate::hash::{self, Digest, Tag};
use crate::transaction::{Address, Domain};

/// Clocks, money and limits of a ledger. Fixed at genesis, so that no live dispute can change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Least time for challenges after a claim.
    pub window_ms_min: u64,
    /// Most time for challenges that a job may name.
    pub window_ms_max: u64,
    /// Budget of the executor in each challenge. Safe from `demands_max` times the time of one
    /// reply, plus the longest time for which an honest executor may be cut off, censored or down:
    /// after that only `move_floor_ms` is left for each reply (`docs/simulation.md`, clocks).
    pub executor_clock_ms: u64,
    /// Budget of the challenger in each challenge.
    pub challenger_clock_ms: u64,
    /// Time that each move has at least, budget or not, so that inclusion delay cannot eat it.
    pub move_floor_ms: u64,
    /// Least stake of a claim.
    pub stake_wei_min: u128,
    /// Least bond of a challenge.
    pub bond_wei_min: u128,
    /// Paid by the challenger for each demand; covers the reply.
    pub demand_fee_wei: u128,
    /// Paid to the executor out of the bond for each reply, when the claim is upheld.
    pub reply_cost_wei: u128,
    /// Paid out of the stake to each challenger of a claim that falls, before any reward.
    pub challenge_cost_wei: u128,
    /// Thousandths of the stake that the challengers share; 500 at most.
    pub reward_permille: u32,
    /// Levels of one opening: 6 show 64 children.
    pub arity_log2: u32,
    /// Demands of one challenge.
    pub demands_max: u32,
    /// Time for attesting to a sealed claim, and then again for opening it.
    pub seal_ms: u64,
    /// Attesters of one sealed claim.
    pub attestations_max: u32,
}
canonical_struct!(Parameters {
    window_ms_min,
    window_ms_max,
    executor_clock_ms,
    challenger_clock_ms,
    move_floor_ms,
    stake_wei_min,
    bond_wei_min,
    demand_fee_wei,
    reply_cost_wei,
    challenge_cost_wei,
    reward_permille,
    arity_log2,
    demands_max,
    seal_ms,
    attestations_max,
});

/// One ether, in wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window_ms_min: 60_000,
            window_ms_max: 30 * 24 * 3_600_000,
            executor_clock_ms: 120_000,
            challenger_clock_ms: 120_000,
            move_floor_ms: 5_000,
            stake_wei_min: ETHER,
            bond_wei_min: ETHER / 10,
            demand_fee_wei: ETHER / 1_000,
            reply_cost_wei: ETHER / 1_000,
            challenge_cost_wei: ETHER / 100,
            reward_permille: 400,
            arity_log2: 6,
            demands_max: 24,
            seal_ms: 30_000,
            attestations_max: 64,
        }
    }
}

/// Why a set of parameters is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name} is outside its bounds: {bounds}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What it must satisfy.
    pub bounds: &'static str,
}

const HOUR_MS: u64 = 3_600_000;

/// Longest time that a parameter may name: ten years, in milliseconds.
const DURATION_MS_MAX: u64 = 10 * 365 * 24 * HOUR_MS;
/// Largest sum that a parameter may name, in wei.
const MONEY_WEI_MAX: u128 = 1 << 100;

/// What a parameter must satisfy.
struct Bound {
    /// The parameter that is named when it does not hold.
    name: &'static str,
    /// The bound in words.
    bounds: &'static str,
    /// Whether a ledger's parameters satisfy it.
    holds: fn(&Parameters) -> bool,
}

/// Every bound, in the order in which they are checked.
const BOUNDS: [Bound; 21] = [
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
        name: "stake_wei_min",
        bounds: "1 ≤ stake_wei_min ≤ 2^100",
        holds: |all| (1..=MONEY_WEI_MAX).contains(&all.stake_wei_min),
    },
    Bound {
        name: "bond_wei_min",
        bounds: "1 ≤ bond_wei_min ≤ 2^100",
        holds: |all| (1..=MONEY_WEI_MAX).contains(&all.bond_wei_min),
    },
    Bound {
        name: "demand_fee_wei",
        bounds: "at least reply_cost_wei, so that answering never costs",
        holds: |all| all.demand_fee_wei >= all.reply_cost_wei,
    },
    Bound {
        name: "bond_wei_min",
        bounds: "at least reply_cost_wei × demands_max",
        holds: |all| all.replies_wei() <= all.bond_wei_min,
    },
    Bound {
        name: "bond_wei_min",
        bounds: "at most a quarter of stake_wei_min, so that a challenge can be afforded",
        holds: |all| all.bond_wei_min <= Parameters::bond_wei_max(all.stake_wei_min),
    },
    Bound {
        name: "demand_fee_wei",
        bounds: "at most 2^100",
        holds: |all| all.demand_fee_wei <= MONEY_WEI_MAX,
    },
    Bound {
        name: "challenge_cost_wei",
        bounds: "at most half of stake_wei_min, so that the challenger's cost can be paid",
        holds: |all| all.challenge_cost_wei <= all.stake_wei_min / 2,
    },
    Bound {
        name: "reward_permille",
        bounds: "at most 500: half of a stake burns, or challenging oneself would be free",
        holds: |all| all.reward_permille <= 500,
    },
    Bound {
        name: "arity_log2",
        bounds: "1 ≤ arity_log2 ≤ 8",
        holds: |all| (1..=8).contains(&all.arity_log2),
    },
    Bound {
        name: "demands_max",
        bounds: "enough for the deepest dispute (16 at arity_log2 6, 22 at 4), and at most 4096",
        holds: |all| (all.demands_of_deepest_dispute()..=4096).contains(&all.demands_max),
    },
    Bound {
        name: "seal_ms",
        bounds: "1 ≤ seal_ms ≤ ten years",
        holds: |all| (1..=DURATION_MS_MAX).contains(&all.seal_ms),
    },
    Bound {
        name: "attestations_max",
        bounds: "1 ≤ attestations_max ≤ 4096",
        holds: |all| (1..=4096).contains(&all.attestations_max),
    },
];

impl Parameters {
    /// Windows of five seconds, clocks of 24: for tests and the quick start. A challenger that is away
    /// for five seconds misses a lie.
    pub fn fast() -> Self {
        Self {
            window_ms_min: 5_000,
            executor_clock_ms: 24_000,
            challenger_clock_ms: 24_000,
            move_floor_ms: 1_000,
            seal_ms: 2_000,
            ..Self::default()
        }
    }

    /// Windows of a day, clocks of six hours.
    pub fn mainnet_like() -> Self {
        Self {
            window_ms_min: 24 * HOUR_MS,
            executor_clock_ms: 6 * HOUR_MS,
            challenger_clock_ms: 6 * HOUR_MS,
            move_floor_ms: HOUR_MS / 4,
            seal_ms: 6 * HOUR_MS,
            ..Self::default()
        }
    }

    /// Largest bond that a job with this stake may ask for: a quarter of it, so that who can answer for a
    /// claim's truth can afford to dispute it.
    pub const fn bond_wei_max(stake_wei: u128) -> u128 {
        stake_wei / 4
    }

    /// Demands that the deepest dispute over the largest model takes: a trace of 2^16 layers, a layer of
    /// 2^16 operators, an output whose tree is 31 levels deep, a state of 2^12 values, one leaf and one
    /// list of running sums.
    pub fn demands_of_deepest_dispute(&self) -> u32 {
        let arity_log2 = self.arity_log2.max(1);
        [17u32, 16, 31, 12].map(|depth| depth.div_ceil(arity_log2)).iter().sum::<u32>() + 2
    }

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

    /// Time that the least moves of one side take, when it makes all it may.
    fn moves_ms(&self) -> u64 {
        self.move_floor_ms.saturating_mul(u64::from(self.demands_max))
    }

    /// What the replies to all demands of one challenge cost.
    fn replies_wei(&self) -> u128 {
        self.reply_cost_wei.saturating_mul(u128::from(self.demands_max))
    }

    /// Longest time from the start of a challenge to its end, whatever anybody does.
    pub fn challenge_ms_max(&self) -> u64 {
        let moves = u64::from(self.demands_max).saturating_mul(2).saturating_add(2);
        self.executor_clock_ms
            .saturating_add(self.challenger_clock_ms)
            .saturating_add(self.move_floor_ms.saturating_mul(moves))
    }
}

/// A ledger's beginning. Salt and time make each one's signing domain its own, though all else be equal:
/// what is signed for one ledger means nothing on another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Genesis {
    /// Chain id, part of every signature.
    pub chain_id: u64,
    /// 32 bytes from the machine's random source, drawn when the ledger began.
    pub salt: Digest,
    /// When the ledger began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// The account that may credit deposits.
    pub bank: Address,
    /// The ledger's parameters.
    pub parameters: Parameters,
}
canonical_struct!(Genesis { chain_id, salt, begun_ms, bank, parameters });

impl Genesis {
    /// Hash of the genesis.
    pub fn root(&self) -> Digest {
        hash::tagged_value(Tag::Genesis, self)
    }

    /// The EIP-712 domain of the ledger.
    pub fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, genesis: self.root() }
    }
}
