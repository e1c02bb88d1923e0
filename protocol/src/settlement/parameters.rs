//! What a ledger fixes for good at its start.

use crate::asks::{self, Asking};
use crate::encoding::canonical_struct;
use crate::hash::{self, Digest, Tag};
use crate::transaction::{Address, Domain};

/// Clocks, money and limits of a ledger. Fixed at genesis, so that no live dispute can change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Least time for challenges after a claim of one iteration.
    pub window_ms_min: u64,
    /// Most time for challenges that a job may name.
    pub window_ms_max: u64,
    /// Added to the least window for each iteration that a job allows.
    pub window_iteration_ms: u64,
    /// Budget of the executor in each challenge. Safe from `(demands_max + end_asks_max) × served_max` times
    /// the time of one reply, plus the longest time for which an honest executor may be cut off, censored or
    /// down: after that only `move_floor_ms` is left for each reply (`docs/simulation.md`, bounded worlds).
    pub executor_clock_ms: u64,
    /// Budget of the challenger in each challenge.
    pub challenger_clock_ms: u64,
    /// Time that an executor takes at most for one reply, sent and accepted, when it answers one after the
    /// other. `served_max` of them fit into `move_floor_ms`.
    pub reply_ms: u64,
    /// Time that each move has at least, budget or not, so that inclusion delay cannot eat it.
    pub move_floor_ms: u64,
    /// Time for attesting to a sealed claim, and then again for opening it.
    pub seal_ms: u64,
    /// Least stake of a claim.
    pub stake_wei_min: u128,
    /// Largest stake of a claim.
    pub stake_wei_max: u128,
    /// Thousandths of the stake that a challenge's bond is, between its least and its most.
    pub bond_permille: u32,
    /// Least bond of a challenge.
    pub bond_wei_min: u128,
    /// Largest bond of a challenge: whatever is at stake, a challenge can be afforded.
    pub bond_wei_max: u128,
    /// Paid by the challenger for each demand; covers the reply.
    pub demand_fee_wei: u128,
    /// Paid to the executor out of the bond for each reply, when the claim is upheld.
    pub reply_cost_wei: u128,
    /// Paid out of the stake of a claim that falls for each piece of work of a challenge: two for the
    /// challenge, one for each demand.
    pub work_cost_wei: u128,
    /// Thousandths of the stake that the challengers share; 500 at most.
    pub reward_permille: u32,
    /// Thousandths of the bond that burn when a challenge is withdrawn.
    pub withdraw_permille: u32,
    /// Burned for each model, job, seal, word and challenge, and for a claim that no seal paid for, so that
    /// keeping them is not free.
    pub record_fee_wei: u128,
    /// Locked by an attester; burned when the claim becomes final and nothing was proven.
    pub attest_bond_wei: u128,
    /// Least amount that can be put in or taken out.
    pub transfer_wei_min: u128,
    /// Levels of one opening: 6 show 64 children.
    pub arity_log2: u32,
    /// Demands of one challenge.
    pub demands_max: u32,
    /// Demands for a run's inputs and outputs of one challenge, beside the others.
    pub end_asks_max: u32,
    /// Levels of leaves that one demand for an input or output may show.
    pub end_log2: u32,
    /// Deepest tree of an input or output that can be demanded.
    pub end_depth_max: u32,
    /// Challenges of one claim that are served at once; later ones wait their turn, without a clock. So
    /// however many there are, an honest executor is in time for each.
    pub served_max: u32,
    /// Attesters of one sealed claim.
    pub attestations_max: u32,
}
canonical_struct!(Parameters {
    window_ms_min,
    window_ms_max,
    window_iteration_ms,
    executor_clock_ms,
    challenger_clock_ms,
    reply_ms,
    move_floor_ms,
    seal_ms,
    stake_wei_min,
    stake_wei_max,
    bond_permille,
    bond_wei_min,
    bond_wei_max,
    demand_fee_wei,
    reply_cost_wei,
    work_cost_wei,
    reward_permille,
    withdraw_permille,
    record_fee_wei,
    attest_bond_wei,
    transfer_wei_min,
    arity_log2,
    demands_max,
    end_asks_max,
    end_log2,
    end_depth_max,
    served_max,
    attestations_max,
});

/// One ether, in wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window_ms_min: 60_000,
            window_ms_max: 30 * 24 * HOUR_MS,
            window_iteration_ms: 100,
            executor_clock_ms: 120_000,
            challenger_clock_ms: 120_000,
            reply_ms: 200,
            move_floor_ms: 5_000,
            seal_ms: 30_000,
            stake_wei_min: ETHER,
            stake_wei_max: 1_000 * ETHER,
            bond_permille: 20,
            bond_wei_min: ETHER / 10,
            bond_wei_max: 10 * ETHER,
            demand_fee_wei: ETHER / 1_000,
            reply_cost_wei: ETHER / 1_000,
            work_cost_wei: ETHER / 100,
            reward_permille: 400,
            withdraw_permille: 100,
            record_fee_wei: ETHER / 10_000,
            attest_bond_wei: ETHER / 100,
            transfer_wei_min: ETHER / 1_000,
            arity_log2: 6,
            demands_max: 24,
            end_asks_max: 20,
            end_log2: 8,
            end_depth_max: 12,
            served_max: 16,
            attestations_max: 64,
        }
    }
}

const HOUR_MS: u64 = 3_600_000;

impl Parameters {
    /// Windows of five seconds, clocks of 24: for tests and the quick start. A challenger that is away
    /// for five seconds misses a lie.
    pub fn fast() -> Self {
        Self {
            window_ms_min: 5_000,
            window_iteration_ms: 10,
            executor_clock_ms: 24_000,
            challenger_clock_ms: 24_000,
            reply_ms: 50,
            move_floor_ms: 1_000,
            seal_ms: 2_000,
            ..Self::default()
        }
    }

    /// Windows of a day, clocks of six hours.
    pub fn mainnet_like() -> Self {
        Self {
            window_ms_min: 24 * HOUR_MS,
            window_iteration_ms: 1_000,
            executor_clock_ms: 6 * HOUR_MS,
            challenger_clock_ms: 6 * HOUR_MS,
            reply_ms: 10_000,
            move_floor_ms: HOUR_MS / 4,
            seal_ms: 6 * HOUR_MS,
            ..Self::default()
        }
    }

    /// Bond of each challenge of a claim with this stake: a share of it, between the ledger's least and
    /// most. The poster has no say in it, so that nobody can be priced out of challenging.
    pub fn bond_wei(&self, stake_wei: u128) -> u128 {
        let share_wei = permille_of(stake_wei, self.bond_permille);
        share_wei.max(self.bond_wei_min).min(self.bond_wei_max)
    }

    /// Least window of a job that allows this many iterations: in it somebody must be able to run them all.
    pub fn window_ms_of(&self, iterations_max: u32) -> u64 {
        self.window_ms_min.saturating_add(self.further_ms(iterations_max))
    }

    /// Time that is given for the iterations of a run after its first.
    pub(super) fn further_ms(&self, iterations_max: u32) -> u64 {
        self.window_iteration_ms.saturating_mul(u64::from(iterations_max.saturating_sub(1)))
    }

    /// Demands that the deepest dispute over the largest model takes: a sequence of 2^20 iterations, a
    /// trace of 2^17 states, a layer of 2^16 operators, an output whose tree is 31 levels deep, a state of
    /// 2^12 values, and one more each for a subtrace, its leaves, accumulators and theirs.
    pub fn demands_of_deepest_dispute(&self) -> u32 {
        let arity_log2 = self.arity_log2.max(1);
        [20u32, 17, 16, 31, 12].map(|depth| depth.div_ceil(arity_log2)).iter().sum::<u32>() + 4
    }

    /// Levels of leaves of an operator's output that one demand shows.
    pub fn leaf_log2(&self) -> u32 {
        asks::leaf_log2(self.arity_log2)
    }

    /// What can be asked.
    pub fn asking(&self) -> Asking {
        Asking {
            arity_log2: self.arity_log2,
            leaf_log2: self.leaf_log2(),
            end_log2: self.end_log2,
            end_depth_max: self.end_depth_max,
        }
    }

    /// Demands that showing the whole of the largest input takes.
    pub fn end_asks_of_largest(&self) -> u32 {
        let arity_log2 = self.arity_log2.clamp(1, 8);
        let pieces = 1u32 << self.end_depth_max.saturating_sub(self.end_log2).min(20);
        pieces + pieces.div_ceil((1 << arity_log2) - 1) + 1 + 12u32.div_ceil(arity_log2)
    }

    /// Longest time from the end of a claim's window to the end of its challenge of this number, from 0: as
    /// many as are served at once are over before the next as many begin.
    pub fn challenges_ms_max(&self, number: u32) -> u64 {
        let rounds = number.checked_div(self.served_max).unwrap_or(number).saturating_add(1);
        self.challenge_ms_max().saturating_mul(u64::from(rounds))
    }

    /// Most pieces of work that one challenge can be: two, and one for each demand.
    pub(super) fn work_max(&self) -> u128 {
        2 + u128::from(self.demands_max) + u128::from(self.end_asks_max)
    }

    /// Time that the least moves of one side take, when it makes all it may.
    pub(super) fn moves_ms(&self) -> u64 {
        self.move_floor_ms.saturating_mul(u64::from(self.demands_max))
    }

    /// What all demands of one challenge pay, those for inputs and outputs left out.
    pub(super) fn demands_wei(&self) -> u128 {
        self.demand_fee_wei.saturating_mul(u128::from(self.demands_max))
    }

    /// What the replies to all demands of one challenge cost.
    pub(super) fn replies_wei(&self) -> u128 {
        self.reply_cost_wei.saturating_mul(u128::from(self.demands_max))
    }

    /// Longest time from the moment at which a challenge is served to its end, whatever anybody does.
    pub fn challenge_ms_max(&self) -> u64 {
        let demands = u64::from(self.demands_max).saturating_add(u64::from(self.end_asks_max));
        let moves = demands.saturating_mul(2).saturating_add(2);
        self.executor_clock_ms
            .saturating_add(self.challenger_clock_ms)
            .saturating_add(self.move_floor_ms.saturating_mul(moves))
    }
}

/// Thousandths of an amount, rounded down, without overflow for any amount.
pub(super) fn permille_of(amount_wei: u128, permille: u32) -> u128 {
    let permille = u128::from(permille);
    let whole_wei = (amount_wei / 1000).saturating_mul(permille);
    whole_wei.saturating_add((amount_wei % 1000) * permille / 1000)
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
