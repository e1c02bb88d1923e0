//! The report: one HTML file that needs nothing else.

mod chart;
mod page;
mod profits;
mod table;
mod text;
mod timeline;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::best_response::Found;
use crate::environments::Environments;
use crate::invariants::{Invariant, Sometimes};
use crate::rng::seed_of;
use crate::scenario::{CommitmentKind, PartySpec, Scenario, ScenarioError};
use crate::swarm::Totals;
use crate::sweep::CellResult;
use crate::world::Ended;

pub use page::render;

/// What the report tells.
#[derive(Debug)]
pub struct Report<'a> {
    /// Version of the command.
    pub version: &'a str,
    /// Commit that it was built from, or `unknown`.
    pub commit: &'a str,
    /// When the report was made, for people.
    pub made_at: &'a str,
    /// The command line that makes it.
    pub command: &'a str,
    /// The honest strategies; all others attack.
    pub honest: &'a BTreeSet<&'static str>,
    /// Seed of the swarm.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// The swarm.
    pub totals: &'a Totals,
    /// Attackers, honest openings and delay.
    pub crowd: &'a [CrowdPoint],
    /// A sweep, with its axes.
    pub sweep: Option<(&'a [String], &'a [CellResult])>,
    /// The best attacks found, each with the name of its parameter set.
    pub best: &'a [(String, Found)],
    /// The world whose dispute took longest.
    pub worst: Option<(Scenario, Ended)>,
}

/// What a number of attackers costs the honest side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CrowdPoint {
    /// Attackers in the world.
    pub attackers: u32,
    /// Parties in all.
    pub parties: u32,
    /// Most openings of an honest claim.
    pub honest_openings: u32,
    /// Transactions of the honest executor for its claim.
    pub delay_s: f64,
    /// What the honest executor and challenger won, in ether.
    pub honest_profit_ether: f64,
    /// Invariants that broke.
    pub violations: u32,
}

/// One honest executor and one honest challenger against ever more attackers: half of them
/// challenge the true claim falsely, half claim falsely.
///
/// # Errors
/// When a world cannot be set up.
pub fn crowd(
    environments: &Environments,
    seed: u64,
    sizes: &[u32],
) -> Result<Vec<CrowdPoint>, ScenarioError> {
    let point = |attackers: u32| {
        let scenario = crowd_scenario(attackers, seed_of(seed, u64::from(attackers)));
        let ended = environments.play(&scenario, false)?;
        let honest = ended.groups.iter().filter(|group| group.honest);
        let wei: i128 = honest.map(|group| group.profit_wei).sum();
        Ok(CrowdPoint {
            attackers,
            parties: scenario.party.iter().map(|party| party.count).sum(),
            honest_openings: ended.honest_openings_max,
            delay_s: ended.finality_ms.iter().copied().max().unwrap_or(0) as f64 / 1e3,
            honest_profit_ether: wei as f64 / 1e18,
            violations: ended.violations.len() as u32,
        })
    };
    sizes.iter().map(|size| point(*size)).collect()
}

/// The world of [`crowd`].
pub fn crowd_scenario(attackers: u32, seed: u64) -> Scenario {
    let mut scenario = Scenario {
        name: format!("crowd-{attackers}"),
        summary: "one honest side against many".to_owned(),
        seed,
        commitment: CommitmentKind::Toy,
        ..Scenario::default()
    };
    scenario.ledger.block_transactions = 10_000;
    let mut honest = PartySpec::new("executor", "honest");
    honest.slots = Some(10_000);
    let mut guardian = PartySpec::new("guardian", "prompt");
    // One bond and its fees for each false claim.
    guardian.capital_milliether = Some(10_000 + 200 * u64::from(attackers));
    guardian.slots = Some(10_000);
    scenario.party.extend([honest, guardian]);
    for (name, strategy, count) in [
        ("claimers", "crowd-of-claims", attackers / 2),
        ("challengers", "crowd-of-challengers", attackers - attackers / 2),
    ] {
        let mut spec = PartySpec::new(name, strategy);
        spec.count = count;
        spec.capital_milliether = Some(1_200);
        // Everybody is ready at the same time, after the honest claim.
        spec.inference_ms = Some(900);
        if count > 0 {
            scenario.party.push(spec);
        }
    }
    scenario
}

/// How often each of some things happened.
pub type Counts<T> = Vec<(T, u64)>;

/// Counts of the invariants and of what should happen sometimes.
pub fn counts(totals: &Totals) -> (Counts<Invariant>, Counts<&'static str>) {
    let at = |list: &[u64], index: usize| list.get(index).copied().unwrap_or(0);
    let invariants = Invariant::ALL
        .iter()
        .enumerate()
        .map(|(index, one)| (*one, at(&totals.checks, index)))
        .collect();
    let sometimes = Sometimes::ALL
        .iter()
        .enumerate()
        .map(|(index, one)| (one.name(), at(&totals.sometimes, index)))
        .collect();
    (invariants, sometimes)
}
