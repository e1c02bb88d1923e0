//! A scenario: everything about a world but chance, as plain data that TOML can hold.

mod party;

use protocol::settlement::Parameters;
use serde::{Deserialize, Serialize};

pub use party::{PartySpec, ScriptedMove};

/// Why a scenario cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The text is not a scenario.
    #[error("the scenario cannot be read: {reason}")]
    Text {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A strategy of this name does not exist.
    #[error("party {party}: no strategy {name:?}; `rebut sim strategies` lists them")]
    UnknownStrategy {
        /// The party.
        party: String,
        /// The name given.
        name: String,
    },
    /// A field is outside its range.
    #[error("{field} must be {bounds}")]
    Field {
        /// The field.
        field: String,
        /// Its range.
        bounds: String,
    },
    /// What the world needs cannot be computed.
    #[error(transparent)]
    Fixtures(#[from] crate::fixtures::FixtureError),
}

/// Which commitment a world settles under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitmentKind {
    /// A 64-bit mix over small integer models.
    #[default]
    Toy,
    /// Keccak-256 over the shipped models.
    Real,
}

/// In which order a block takes its transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// As they arrived.
    #[default]
    Fair,
    /// The highest bid first.
    Fee,
    /// Those of dishonest parties first.
    Builder,
}

/// The stand-in for a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSetting {
    /// Time between blocks.
    pub block_ms: u64,
    /// Transactions of one block.
    pub block_transactions: u32,
    /// Order inside a block.
    pub ordering: Ordering,
    /// Chance that a block replaces earlier ones, in thousandths.
    pub reorganisation_permille: u32,
    /// Blocks that are replaced.
    pub reorganisation_blocks: u32,
    /// What a transaction costs its sender outside the protocol, in micro-ether.
    pub transaction_microether: u64,
}

impl Default for LedgerSetting {
    fn default() -> Self {
        Self {
            block_ms: 1_000,
            block_transactions: 1_000,
            ordering: Ordering::Fair,
            reorganisation_permille: 0,
            reorganisation_blocks: 2,
            transaction_microether: 0,
        }
    }
}

/// Between the parties and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSetting {
    /// Least delay of a message.
    pub delay_ms_min: u64,
    /// Most delay of a message; messages overtake each other.
    pub delay_ms_max: u64,
    /// Messages lost, in thousandths.
    pub loss_permille: u32,
    /// Messages that arrive twice, in thousandths.
    pub duplicate_permille: u32,
    /// A party sends again what was not taken after this time.
    pub resend_ms: u64,
}

impl Default for NetworkSetting {
    fn default() -> Self {
        Self {
            delay_ms_min: 50,
            delay_ms_max: 300,
            loss_permille: 0,
            duplicate_permille: 0,
            resend_ms: 2_000,
        }
    }
}

/// A time in which a party is cut off, censored or down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Name of the party; all of its identities are hit.
    pub party: String,
    /// What happens to it.
    pub kind: OutageKind,
    /// From when.
    pub from_ms: u64,
    /// For how long in all.
    pub for_ms: u64,
    /// In how many slices, each followed by a pause of the same length.
    #[serde(default = "one")]
    pub slices: u32,
}

fn one() -> u32 {
    1
}

/// What an outage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageKind {
    /// Its transactions are not taken.
    Censored,
    /// It neither sees nor says anything.
    Partitioned,
    /// It has crashed and starts again from its journal, whose tail is lost.
    Crashed,
}

/// Who a party is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Claims.
    #[default]
    Executor,
    /// Checks.
    Challenger,
    /// Posts jobs.
    Client,
    /// Anybody else.
    Stranger,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Ledger parameters that differ from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are those of the protocol's parameters")]
pub struct ParameterPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms_min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_clock_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenger_clock_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_floor_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stake_milliether_min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stake_milliether_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_permille: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_milliether_min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_milliether_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand_fee_microether: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_cost_microether: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_cost_milliether: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_fee_microether: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward_permille: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw_permille: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arity_log2: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demands_max: Option<u32>,
}

/// A thousandth of an ether, in wei.
pub const MILLIETHER: u128 = 1_000_000_000_000_000;
/// A millionth of an ether, in wei.
pub const MICROETHER: u128 = 1_000_000_000_000;

/// Levels of an opening in simulated worlds: their models are so small that the ledger's default
/// would open most trees at once, and no descent could go astray.
const ARITY_LOG2: u32 = 4;

impl ParameterPatch {
    /// The default parameters with these changes, for a world: openings show four levels unless one says
    /// other.
    pub fn apply(&self) -> Parameters {
        Parameters { arity_log2: self.arity_log2.unwrap_or(ARITY_LOG2), ..self.of_ledger() }
    }

    /// The default parameters with these changes, for a ledger of models of any size: what the protocol's
    /// own bounds are about.
    pub fn of_ledger(&self) -> Parameters {
        let mut all = Parameters::default();
        let set = |target: &mut u64, value: Option<u64>| {
            if let Some(value) = value {
                *target = value;
            }
        };
        set(&mut all.window_ms_min, self.window_ms_min);
        set(&mut all.executor_clock_ms, self.executor_clock_ms);
        set(&mut all.challenger_clock_ms, self.challenger_clock_ms);
        all.served_max = self.served_max.unwrap_or(all.served_max);
        set(&mut all.reply_ms, self.reply_ms);
        set(&mut all.move_floor_ms, self.move_floor_ms);
        let wei = |target: &mut u128, value: Option<u64>, unit: u128| {
            if let Some(value) = value {
                *target = u128::from(value) * unit;
            }
        };
        wei(&mut all.stake_wei_min, self.stake_milliether_min, MILLIETHER);
        wei(&mut all.stake_wei_max, self.stake_milliether_max, MILLIETHER);
        // The ledger's bounds: a quarter of the stake, at most.
        all.bond_wei_min = all.bond_wei_min.min(all.stake_wei_min / 4);
        all.bond_wei_max = all.bond_wei_max.min(all.stake_wei_max / 4);
        wei(&mut all.bond_wei_min, self.bond_milliether_min, MILLIETHER);
        wei(&mut all.bond_wei_max, self.bond_milliether_max, MILLIETHER);
        all.bond_permille = self.bond_permille.unwrap_or(all.bond_permille);
        wei(&mut all.demand_fee_wei, self.demand_fee_microether, MICROETHER);
        wei(&mut all.reply_cost_wei, self.reply_cost_microether, MICROETHER);
        wei(&mut all.work_cost_wei, self.work_cost_milliether, MILLIETHER);
        wei(&mut all.record_fee_wei, self.record_fee_microether, MICROETHER);
        all.reward_permille = self.reward_permille.unwrap_or(all.reward_permille);
        all.withdraw_permille = self.withdraw_permille.unwrap_or(all.withdraw_permille);
        all.arity_log2 = self.arity_log2.unwrap_or(all.arity_log2);
        all.demands_max = self.demands_max.unwrap_or(all.demands_max);
        all
    }
}

/// A whole world, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Name.
    pub name: String,
    /// What it shows.
    pub summary: String,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Which commitment, and with it which models.
    pub commitment: CommitmentKind,
    /// Number of the model in its library.
    pub model: u32,
    /// Jobs.
    pub jobs: u32,
    /// Time between two jobs.
    pub job_every_ms: u64,
    /// Time for claims on a job; without one the client expires it afterwards.
    pub open_ms: u64,
    /// Fee of a job.
    pub fee_milliether: u64,
    /// What the dishonest parties' outcome must be (see `docs/simulation.md`); empty for none.
    pub expect: String,
    /// Whether only executors are given the inputs: others must ask for them.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden_inputs: bool,
    /// Chance faults stop at this time; 0 for no such time.
    pub faults_until_ms: u64,
    /// Submissions, by their number, that never leave their sender: what the shrinker takes away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<u64>,
    /// Ledger parameters.
    pub parameters: ParameterPatch,
    /// The ledger.
    pub ledger: LedgerSetting,
    /// The network.
    pub network: NetworkSetting,
    /// Outages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outage: Vec<Outage>,
    /// The parties.
    pub party: Vec<PartySpec>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            summary: String::new(),
            seed: 0,
            commitment: CommitmentKind::Toy,
            model: 1,
            jobs: 1,
            job_every_ms: 1_000,
            open_ms: 600_000,
            fee_milliether: 50,
            expect: String::new(),
            hidden_inputs: false,
            faults_until_ms: 0,
            dropped: Vec::new(),
            parameters: ParameterPatch::default(),
            ledger: LedgerSetting::default(),
            network: NetworkSetting::default(),
            outage: Vec::new(),
            party: Vec::new(),
        }
    }
}

/// Most identities of one world.
pub const PARTIES_MAX: u32 = 10_000;
/// Most jobs of one world.
pub const JOBS_MAX: u32 = 10_000;
/// Largest scenario file.
pub const SCENARIO_BYTES_MAX: usize = 1 << 20;

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// When the text is too long, not a scenario, or a field is outside its range.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > SCENARIO_BYTES_MAX {
            let reason = format!("it is longer than {SCENARIO_BYTES_MAX} bytes");
            return Err(ScenarioError::Text { reason });
        }
        let scenario: Self = toml::from_str(text)
            .map_err(|error| ScenarioError::Text { reason: error.to_string() })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenario as TOML.
    pub fn to_toml(&self) -> String {
        // Every field has a TOML form.
        toml::to_string(self).unwrap_or_default()
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first field outside its range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        const TIME_MS_MAX: u64 = 365 * 24 * 3_600_000;
        let parties = self.party.iter().fold(0u32, |sum, party| sum.saturating_add(party.count));
        let times = [
            self.job_every_ms,
            self.open_ms,
            self.faults_until_ms,
            self.network.delay_ms_max,
            self.network.resend_ms,
            self.ledger.block_ms,
        ];
        let outages = self.outage.iter().all(|outage| {
            outage.from_ms <= TIME_MS_MAX
                && outage.for_ms <= TIME_MS_MAX
                && (1..=1000).contains(&outage.slices)
        });
        let network = &self.network;
        let checks = [
            ((1..=PARTIES_MAX).contains(&parties), "party", "1 to 10000 identities in all"),
            ((1..=JOBS_MAX).contains(&self.jobs), "jobs", "1 to 10000"),
            (times.iter().all(|time| *time <= TIME_MS_MAX), "every time", "at most a year"),
            (self.open_ms >= 1, "open_ms", "at least 1"),
            (self.ledger.block_ms >= 1, "ledger.block_ms", "at least 1"),
            (self.ledger.block_transactions >= 1, "ledger.block_transactions", "at least 1"),
            (self.network.resend_ms >= 1, "network.resend_ms", "at least 1"),
            (outages, "outage", "at most a year, in 1 to 1000 slices"),
            (
                network.delay_ms_min <= network.delay_ms_max,
                "network.delay_ms_min",
                "at most network.delay_ms_max",
            ),
            (
                network.loss_permille < 1000 && network.duplicate_permille <= 1000,
                "network.loss_permille",
                "under 1000",
            ),
            (
                self.ledger.reorganisation_permille < 1000
                    && (1..=64).contains(&self.ledger.reorganisation_blocks),
                "ledger.reorganisation_permille",
                "under 1000, over 1 to 64 blocks",
            ),
        ];
        if let Some((_, field, bounds)) = checks.into_iter().find(|(holds, ..)| !holds) {
            let (field, bounds) = (field.to_owned(), bounds.to_owned());
            return Err(ScenarioError::Field { field, bounds });
        }
        let known = |name: &str| self.party.iter().any(|party| party.name == name);
        match self.outage.iter().find(|outage| !known(&outage.party)) {
            Some(outage) => {
                let names: Vec<&str> = self.party.iter().map(|party| party.name.as_str()).collect();
                let bounds = format!("one of {}, not {}", names.join(", "), outage.party);
                Err(ScenarioError::Field { field: "outage.party".to_owned(), bounds })
            }
            None => Ok(()),
        }
    }
}
