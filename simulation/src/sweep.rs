//! Sweeps: one scenario over a grid or a Latin hypercube of any of its fields.

use protocol::encoding::Canonical as _;
use protocol::hash::keccak;
use serde::{Deserialize, Serialize};

use crate::environments::Environments;
use crate::rng::{Purpose, WorldRng, seed_of};
use crate::scenario::{Scenario, ScenarioError};
use crate::statistics::{Tally, rate};
use crate::swarm::Totals;

/// How cells are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every combination.
    #[default]
    Grid,
    /// `samples` cells, each value of each axis about equally often (McKay et al., 1979).
    LatinHypercube,
}

/// One field and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Path of the field in the scenario: `parameters.challenger_clock_ms`, `party.1.count`.
    pub field: String,
    /// Its values, in order.
    pub values: Vec<toml::Value>,
}

/// A sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Name.
    pub name: String,
    /// Decides everything that is left to chance.
    #[serde(default)]
    pub seed: u64,
    /// Worlds of each cell; the same seeds in every cell, so that cells compare.
    pub worlds: u32,
    /// How cells are chosen.
    #[serde(default)]
    pub method: Method,
    /// Cells of a Latin hypercube.
    #[serde(default)]
    pub samples: u32,
    /// The fields.
    pub axis: Vec<Axis>,
    /// What is varied.
    pub scenario: Scenario,
}

/// Most cells of one sweep.
const CELLS_MAX: usize = 1_000_000;

/// One cell: its number and one value for each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Number.
    pub number: usize,
    /// Values, in the order of the axes.
    pub values: Vec<toml::Value>,
}

/// What a cell came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellResult {
    /// Number of the cell.
    pub cell: usize,
    /// Values of the axes, as text.
    pub values: Vec<String>,
    /// Worlds.
    pub worlds: u64,
    /// Disputes.
    pub disputes: u64,
    /// Worlds in which an invariant broke.
    pub broken: u64,
    /// Lower end of the 95 % interval of their share.
    pub broken_low: f64,
    /// Upper end.
    pub broken_high: f64,
    /// The invariant that broke most often; empty for none.
    pub invariant: String,
    /// What a dishonest party won, in ether: mean, lower and upper end of its 95 % interval.
    pub attacker_profit_ether: [f64; 3],
    /// What an honest challenger won, in ether.
    pub challenger_profit_ether: [f64; 3],
    /// Mean time from claim to finality, in seconds, with its interval.
    pub finality_s: [f64; 3],
    /// Most openings of an honest claim.
    pub honest_openings_max: u32,
}

fn field_error(field: &str, bounds: impl Into<String>) -> ScenarioError {
    ScenarioError::Field { field: field.to_owned(), bounds: bounds.into() }
}

impl Sweep {
    /// Reads a sweep.
    ///
    /// # Errors
    /// When the text is not a sweep or a field is outside its range.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > crate::scenario::SCENARIO_BYTES_MAX {
            return Err(ScenarioError::Text { reason: "it is too long".to_owned() });
        }
        let sweep: Self = toml::from_str(text)
            .map_err(|error| ScenarioError::Text { reason: error.to_string() })?;
        sweep.scenario.check()?;
        if sweep.worlds == 0 || sweep.axis.iter().any(|axis| axis.values.is_empty()) {
            return Err(field_error("worlds, axis.values", "at least one"));
        }
        let cells =
            sweep.axis.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.values.len()));
        if sweep.method == Method::Grid && cells.is_none_or(|cells| cells > CELLS_MAX) {
            return Err(field_error("axis", format!("at most {CELLS_MAX} cells in all")));
        }
        Ok(sweep)
    }

    /// Everything that decides the results, as one number: scenario, axes and their values, worlds, seed,
    /// the ledger's parameters with their defaults, this version. Results of one identity never stand for
    /// another.
    ///
    /// # Errors
    /// When the sweep has no TOML form.
    pub fn identity(&self) -> Result<u64, ScenarioError> {
        let reason = |error: toml::ser::Error| ScenarioError::Text { reason: error.to_string() };
        // Comments, order of keys and defaults written out or not are gone here.
        let definition = toml::to_string(self).map_err(reason)?;
        let parameters = self.scenario.parameters.apply().to_canonical();
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let parts = [b"rebut-sweep", version, &parameters, definition.as_bytes()];
        let hash = keccak(&parts.join(&b'\n'));
        let first = hash.0.first_chunk().copied().unwrap_or_default();
        Ok(u64::from_be_bytes(first))
    }

    /// All cells.
    pub fn cells(&self) -> Vec<Cell> {
        match self.method {
            Method::Grid => self.grid(),
            Method::LatinHypercube => self.hypercube(),
        }
    }

    fn grid(&self) -> Vec<Cell> {
        let count: usize = self.axis.iter().map(|axis| axis.values.len()).product();
        let cell = |number: usize| {
            let mut rest = number;
            let pick = |axis: &Axis| {
                let value = axis.values.get(rest % axis.values.len()).cloned();
                rest /= axis.values.len();
                value
            };
            Cell { number, values: self.axis.iter().filter_map(pick).collect() }
        };
        (0..count).map(cell).collect()
    }

    fn hypercube(&self) -> Vec<Cell> {
        let mut rng = WorldRng::new(self.seed, Purpose::Search);
        let samples = self.samples.max(1) as usize;
        let columns: Vec<Vec<toml::Value>> = self
            .axis
            .iter()
            .map(|axis| {
                // Each value as often as the others, then in another order.
                let mut column: Vec<_> =
                    axis.values.iter().cycle().take(samples).cloned().collect();
                for at in (1..column.len()).rev() {
                    column.swap(at, rng.below(at as u64 + 1) as usize);
                }
                column
            })
            .collect();
        (0..samples)
            .map(|number| {
                let values = columns.iter().filter_map(|column| column.get(number).cloned());
                Cell { number, values: values.collect() }
            })
            .collect()
    }

    /// The scenario of a cell.
    ///
    /// # Errors
    /// When a field does not exist or its value does not fit.
    pub fn scenario_of(&self, cell: &Cell) -> Result<Scenario, ScenarioError> {
        let text =
            |error: &dyn std::fmt::Display| ScenarioError::Text { reason: error.to_string() };
        let mut tree = toml::Value::try_from(&self.scenario).map_err(|error| text(&error))?;
        for (axis, value) in self.axis.iter().zip(&cell.values) {
            set(&mut tree, &axis.field, value.clone())?;
        }
        let scenario: Scenario = tree.try_into().map_err(|error: toml::de::Error| text(&error))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Plays a cell.
    ///
    /// # Errors
    /// When its scenario cannot be played.
    pub fn play(
        &self,
        environments: &Environments,
        cell: &Cell,
    ) -> Result<CellResult, ScenarioError> {
        let mut scenario = self.scenario_of(cell)?;
        let mut totals = Totals::default();
        let (mut attackers, mut challengers, mut finality) =
            (Tally::default(), Tally::default(), Tally::default());
        let (mut broken, mut openings) = (0, 0);
        for world in 0..self.worlds {
            scenario.seed = seed_of(self.seed, u64::from(world));
            let ended = environments.play(&scenario, false)?;
            broken += u64::from(!ended.violations.is_empty());
            openings = openings.max(ended.honest_openings_max);
            for group in &ended.groups {
                let profit = group.profit_wei as f64 / 1e18;
                match (group.honest, group.side) {
                    (false, _) => attackers.add(profit),
                    (true, crate::scenario::Side::Challenger) => challengers.add(profit),
                    (true, _) => {}
                }
            }
            ended.finality_ms.iter().for_each(|time| finality.add(*time as f64 / 1e3));
            totals.add(&scenario, &ended);
        }
        let share = rate(broken, u64::from(self.worlds));
        let mut counts = std::collections::BTreeMap::<&str, u64>::new();
        for (_, _, violation) in &totals.violations {
            *counts.entry(violation.invariant.name()).or_default() += 1;
        }
        let worst = counts.into_iter().max_by_key(|(_, count)| *count);
        let mean = |tally: &Tally| {
            let [low, high] = tally.interval_95();
            [tally.mean, low, high]
        };
        Ok(CellResult {
            cell: cell.number,
            values: cell.values.iter().map(plain).collect(),
            worlds: u64::from(self.worlds),
            disputes: totals.disputes,
            broken,
            broken_low: share.low,
            broken_high: share.high,
            invariant: worst.map(|(name, _)| name.to_owned()).unwrap_or_default(),
            attacker_profit_ether: mean(&attackers),
            challenger_profit_ether: mean(&challengers),
            finality_s: mean(&finality),
            honest_openings_max: openings,
        })
    }

    /// The header of the table that [`CellResult::row`] continues.
    pub fn header(&self) -> Vec<String> {
        let fixed = [
            "worlds",
            "disputes",
            "broken",
            "broken_low",
            "broken_high",
            "invariant",
            "attacker_profit_ether",
            "attacker_profit_low",
            "attacker_profit_high",
            "challenger_profit_ether",
            "challenger_profit_low",
            "challenger_profit_high",
            "finality_s",
            "finality_low",
            "finality_high",
            "honest_openings_max",
        ];
        let axes = self.axis.iter().map(|axis| axis.field.clone());
        let fixed = fixed.iter().map(|name| (*name).to_owned());
        std::iter::once("cell".to_owned()).chain(axes).chain(fixed).collect()
    }
}

impl CellResult {
    /// The cell as a row of text.
    pub fn row(&self) -> Vec<String> {
        let mut row = vec![self.cell.to_string()];
        row.extend(self.values.iter().cloned());
        row.extend([self.worlds, self.disputes, self.broken].map(|count| count.to_string()));
        row.extend([self.broken_low, self.broken_high].map(|share| share.to_string()));
        row.push(self.invariant.clone());
        let means = [self.attacker_profit_ether, self.challenger_profit_ether, self.finality_s];
        row.extend(means.iter().flatten().map(ToString::to_string));
        row.push(self.honest_openings_max.to_string());
        row
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn set(tree: &mut toml::Value, field: &str, value: toml::Value) -> Result<(), ScenarioError> {
    let unknown = || field_error(field, "a field of the scenario, such as parameters.arity_log2");
    let mut at = tree;
    let mut parts = field.split('.').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        at = match at {
            toml::Value::Table(table) if last => {
                table.insert(part.to_owned(), value);
                return Ok(());
            }
            toml::Value::Table(table) => table.get_mut(part).ok_or_else(unknown)?,
            toml::Value::Array(items) => {
                let index: usize = part.parse().map_err(|_| unknown())?;
                items.get_mut(index).ok_or_else(unknown)?
            }
            _ => return Err(unknown()),
        };
    }
    Err(unknown())
}

/// One line of comma-separated values.
pub fn csv_line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "clocks"
        worlds = 2
        [[axis]]
        field = "parameters.challenger_clock_ms"
        values = [1000, 60000]
        [[axis]]
        field = "party.1.count"
        values = [1, 2, 3]
        [scenario]
        name = "base"
        [[scenario.party]]
        name = "challenger"
        strategy = "prompt"
        [[scenario.party]]
        name = "liar"
        strategy = "selective"
    "#;

    #[test]
    fn a_grid_has_every_combination_once() {
        let sweep = Sweep::parse(TEXT).unwrap();
        let cells = sweep.cells();
        assert_eq!(cells.len(), 6);
        let scenario = sweep.scenario_of(&cells[5]).unwrap();
        assert_eq!(scenario.parameters.challenger_clock_ms, Some(60_000));
        assert_eq!(scenario.party[1].count, 3);
    }

    #[test]
    fn whatever_decides_the_results_changes_the_identity_and_nothing_else_does() {
        let of = |text: &str| Sweep::parse(text).unwrap().identity().unwrap();
        let known = of(TEXT);
        let same = format!("# a comment\nseed = 0\nmethod = \"grid\"\n{TEXT}");
        assert_eq!(of(&same), known);
        let changes = [
            ("[1000, 60000]", "[1000, 60001]"),
            ("[1000, 60000]", "[60000, 1000]"),
            ("worlds = 2", "worlds = 3"),
            ("worlds = 2", "worlds = 2\nseed = 1"),
            ("worlds = 2", "worlds = 2\nmethod = \"latin-hypercube\"\nsamples = 6"),
            ("strategy = \"selective\"", "strategy = \"weight-bit\""),
            ("name = \"liar\"", "name = \"liar\"\ncount = 2"),
            ("party.1.count", "party.0.count"),
            ("name = \"base\"", "name = \"base\"\njobs = 2"),
        ];
        for (from, to) in changes {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from}");
            assert_ne!(of(&text), known, "{to}");
        }
    }

    #[test]
    fn a_latin_hypercube_uses_each_value_about_equally_often() {
        let mut sweep = Sweep::parse(TEXT).unwrap();
        (sweep.method, sweep.samples) = (Method::LatinHypercube, 12);
        let cells = sweep.cells();
        assert_eq!(cells.len(), 12);
        let first = cells.iter().filter(|cell| cell.values[0].as_integer() == Some(1000)).count();
        assert_eq!(first, 6);
    }

    #[test]
    fn a_field_that_does_not_exist_is_an_error_that_names_it() {
        let mut sweep = Sweep::parse(TEXT).unwrap();
        sweep.axis[0].field = "parameters.no_such".to_owned();
        let error = sweep.scenario_of(&sweep.cells()[0]).unwrap_err();
        assert!(error.to_string().contains("no_such"), "{error}");
    }
}
