//! Made-up worlds: every honest party inside what the clocks allow, everybody else as the seed says.

use std::collections::{BTreeMap, BTreeSet};

use dispute::lies::Lie;
use protocol::hash::Commitment;

use crate::rng::{Purpose, WorldRng};
use crate::scenario::{
    CommitmentKind, MICROETHER, MILLIETHER, Ordering, Outage, OutageKind, ParameterPatch,
    PartySpec, Scenario, Side,
};
use crate::strategy::{Entry, Numbers};
use crate::world::Environment;

/// How many of the worlds have what is not in all of them, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Parties that draw among all that is legal.
    pub chaos_permille: u32,
    /// Models, inputs or parameters that honest parties cannot help.
    pub hostile_permille: u32,
}

impl Shares {
    /// Neither: named strategies and faults alone.
    pub const NONE: Self = Self { chaos_permille: 0, hostile_permille: 0 };
}

impl Default for Shares {
    /// What worlds are made up with that are played again by their seeds alone.
    fn default() -> Self {
        Self { chaos_permille: 200, hostile_permille: 150 }
    }
}

/// Places of made-up lies, so few that the runs with each of them can be kept: the first layers, the first operators of
/// each, and these elements.
const LAYERS_OF_LIES: u32 = 6;
const OPERATORS_OF_LIES: u32 = 4;
const ELEMENTS_OF_LIES: [u64; 4] = [0, 1, 31, 39];

/// Challengers that each alone keep false claims from becoming final.
const GUARDIANS: [&str; 6] =
    ["prompt", "slow", "crash-prone", "torn-journal", "earliest-deadline", "largest-stake"];
const EXECUTORS: [&str; 5] =
    ["honest", "honest-publishing", "honest-slow", "honest-narrow", "honest-crash-prone"];
const COMPANIONS: [&str; 3] = ["sampling", "poor", "prompt"];

/// Makes up a scenario whose every honest party stays inside what the clocks allow, so that each
/// violation is a finding.
pub fn make_up<C: Commitment>(
    environment: &Environment<C>,
    dishonest: &[&'static str],
    seed: u64,
    commitment: CommitmentKind,
    shares: Shares,
) -> Scenario {
    let mut rng = WorldRng::new(seed, Purpose::Scenario);
    let mut scenario = Scenario {
        name: format!("swarm-{seed:016x}"),
        seed,
        commitment,
        model: rng.below(environment.fixtures.plain_models() as u64) as u32,
        jobs: rng.between(1, 3) as u32,
        job_every_ms: rng.between(500, 30_000),
        ..Scenario::default()
    };
    let deserted = rng.chance(40);
    if !deserted {
        let honest = rng.pick(&EXECUTORS).copied().unwrap_or("honest");
        scenario.party.push(PartySpec::new("executor", honest));
    }
    let guarded = !rng.chance(20);
    if guarded {
        let guardian = rng.pick(&GUARDIANS).copied().unwrap_or("prompt");
        scenario.party.push(PartySpec::new("guardian", guardian));
    }
    if rng.chance(300) {
        let companion = rng.pick(&COMPANIONS).copied().unwrap_or("prompt");
        scenario.party.push(PartySpec::new("companion", companion));
    }
    if deserted || rng.chance(100) {
        scenario.party.push(PartySpec::new("client", "client"));
    }
    for number in 0..rng.between(1, 3) {
        let Some(strategy) = rng.pick(dishonest).copied() else {
            continue;
        };
        let mut spec = PartySpec::new(&format!("attacker-{number}"), strategy);
        let most = if rng.chance(100) { 6 } else { 2 };
        spec.count = rng.between(1, most) as u32;
        // Who has few slots can follow few disputes at once (`docs/simulation.md`, capacity):
        // an attacker's money bounds how many it can open.
        spec.capital_milliether = Some(match rng.below(10) {
            0 => rng.between(50, 3_000),
            1 => 12_000,
            _ => 4_000,
        });
        scenario.party.push(spec);
    }
    faults(&mut rng, &mut scenario, guarded);
    // Last, so that a world without them is the same whatever their shares.
    if rng.chance(shares.chaos_permille) {
        chaos(&mut rng, &mut scenario, environment);
    }
    if rng.chance(shares.hostile_permille) {
        hostile(&mut rng, &mut scenario, environment);
    }
    // Few are served at once, so that others wait.
    if rng.chance(250) {
        scenario.parameters.served_max = Some(rng.between(1, 3) as u32);
    }
    scenario
}

/// Parties of chaos: alone, in pairs, in crowds, with and without money. All of them share what they know.
fn chaos<C: Commitment>(rng: &mut WorldRng, scenario: &mut Scenario, environment: &Environment<C>) {
    let names = of_chaos(environment);
    let groups = *rng.pick(&[1, 1, 2, 3]).unwrap_or(&1);
    for number in 0..groups {
        let Some(strategy) = rng.pick(&names).copied() else {
            continue;
        };
        let mut spec = PartySpec::new(&format!("chaos-{number}"), strategy);
        spec.count = match rng.below(4) {
            0 | 1 => 1,
            2 => 2,
            _ => rng.between(3, 12) as u32,
        };
        if strategy != "chaos-penniless" && strategy != "chaos-rich" {
            spec.capital_milliether =
                Some(*rng.pick(&[300, 4_000, 12_000, 60_000]).unwrap_or(&4_000));
        }
        scenario.party.push(spec);
    }
}

/// What honest parties cannot help: a model with operators that have no result, inputs in bits that no stored value
/// has, inputs that only executors were given, parameters at the bounds of the ledger's check.
fn hostile<C: Commitment>(
    rng: &mut WorldRng,
    scenario: &mut Scenario,
    environment: &Environment<C>,
) {
    let (plain, all) = (environment.fixtures.plain_models(), environment.fixtures.models());
    if rng.chance(500) && plain < all {
        scenario.model = (plain as u64 + rng.below((all - plain) as u64)) as u32;
    }
    if rng.chance(300) {
        scenario.hidden_inputs = true;
    }
    if rng.chance(400) {
        for _ in 0..rng.between(1, 4) {
            let before = scenario.parameters.clone();
            at_a_bound(rng, &mut scenario.parameters);
            // What the ledger refuses is no ledger's.
            if scenario.parameters.of_ledger().check().is_err() {
                scenario.parameters = before;
            }
        }
    }
    for party in 0..scenario.party.len() {
        let lie = any_place(rng, environment, scenario.model as usize);
        if let Some(party) = scenario.party.get_mut(party).filter(|one| lies(environment, one)) {
            party.lie =
                lie.filter(|_| rng.chance(300)).map(|lie| lie.to_string()).or(party.lie.take());
        }
    }
}

/// Whether a party's strategy uses a false run.
fn lies<C: Commitment>(environment: &Environment<C>, party: &PartySpec) -> bool {
    environment.catalogue.get(&party.strategy).is_some_and(|entry| {
        let plan = (entry.plan)(Numbers::of(&party.with));
        !plan.honest && (plan.side == Side::Executor || plan.corrupt_view)
    })
}

/// An element of an operator's output that is off by one.
pub(crate) fn any_place<C: Commitment>(
    rng: &mut WorldRng,
    environment: &Environment<C>,
    model: usize,
) -> Option<Lie> {
    let model = environment.fixtures.model(model).ok()?;
    let layer = rng.below(u64::from(model.header().layer_count.min(LAYERS_OF_LIES))) as u32;
    let definition = model.layer(layer)?;
    let operator = rng.below(u64::from(definition.operator_count.min(OPERATORS_OF_LIES))) as u32;
    let node = model.node(definition.first_operator.checked_add(operator)?)?;
    let element = *rng.pick(&ELEMENTS_OF_LIES)? % node.output.shape.count().max(1);
    Some(Lie::Ulps { layer, operator, element, ulps: 1 })
}

/// Puts one parameter to a bound of the check, next to it, or beyond: some that only money depends on.
pub fn at_a_bound(rng: &mut WorldRng, patch: &mut ParameterPatch) {
    let now = patch.of_ledger();
    let milliether = |wei: u128| u64::try_from(wei / MILLIETHER).unwrap_or(u64::MAX);
    let microether = |wei: u128| u64::try_from(wei / MICROETHER).unwrap_or(u64::MAX);
    let near = |rng: &mut WorldRng, bound: u64| {
        let values = [
            bound.saturating_sub(1),
            bound,
            bound,
            bound.saturating_add(1),
            bound.saturating_mul(2),
        ];
        rng.pick(&values).copied()
    };
    let small = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
    let work_max = 2 + u128::from(now.demands_max) + u128::from(now.end_asks_max);
    match rng.below(12) {
        0 => {
            patch.served_max =
                small(rng.pick(&[1, 2, 3, now.move_floor_ms / now.reply_ms.max(1)]).copied())
        }
        1 => {
            patch.reply_ms = near(rng, now.move_floor_ms / u64::from(now.served_max).max(1));
        }
        2 => patch.stake_milliether_min = near(rng, milliether(now.bond_wei_min).saturating_mul(4)),
        3 => patch.bond_permille = small(rng.pick(&[0, 1, 249, 250, 251, 1_000]).copied()),
        4 => patch.bond_milliether_min = near(rng, milliether(now.stake_wei_min / 4)),
        5 => patch.bond_milliether_max = near(rng, milliether(now.bond_wei_min)),
        6 => patch.demand_fee_microether = near(rng, microether(now.reply_cost_wei)),
        7 => {
            let most_wei = now.stake_wei_min / 2 / work_max;
            patch.work_cost_milliether = near(rng, milliether(most_wei));
        }
        8 => {
            patch.record_fee_microether = near(rng, microether(now.work_cost_wei.saturating_mul(2)))
        }
        9 => patch.reward_permille = small(rng.pick(&[0, 1, 499, 500, 501, 1_000]).copied()),
        10 => {
            patch.withdraw_permille = small(rng.pick(&[0, 9, 10, 11, 999, 1_000, 1_001]).copied())
        }
        _ => patch.demands_max = small(rng.pick(&[22, 23, 60]).copied()),
    }
}

/// Whether a strategy draws among all that is legal.
pub fn is_chaos(name: &str) -> bool {
    name.starts_with(crate::strategy::CHAOS)
}

/// Whether parties of a world draw among all that is legal.
pub fn has_chaos(scenario: &Scenario) -> bool {
    scenario.party.iter().any(|party| is_chaos(&party.strategy))
}

/// Each fault is on or off for the whole world (swarm testing: Groce et al., ISSTA 2012).
fn faults(rng: &mut WorldRng, scenario: &mut Scenario, guarded: bool) {
    if rng.chance(300) {
        scenario.network.loss_permille = rng.between(1, 40) as u32;
    }
    if rng.chance(300) {
        scenario.network.duplicate_permille = rng.between(1, 200) as u32;
    }
    if rng.chance(200) {
        scenario.network.delay_ms_max = rng.between(300, 1_200);
    }
    if rng.chance(80) {
        scenario.ledger.reorganisation_permille = rng.between(5, 60) as u32;
        scenario.ledger.reorganisation_blocks = rng.between(1, 3) as u32;
    }
    scenario.ledger.ordering = match rng.below(6) {
        0 => Ordering::Fee,
        1 => Ordering::Builder,
        _ => Ordering::Fair,
    };
    // Where blocks are full, only who bids is served: full blocks without bids are censorship.
    if scenario.ledger.ordering == Ordering::Fee && rng.chance(500) {
        scenario.ledger.block_transactions = rng.between(6, 12) as u32;
    }
    if rng.chance(150) {
        let most = if rng.chance(500) { 2_000 } else { 500 };
        for spec in scenario.party.iter_mut().take(2) {
            spec.clock_skew_ms = rng.between(0, 2 * most) as i64 - most as i64;
        }
    }
    if rng.chance(150) {
        let kinds = [OutageKind::Censored, OutageKind::Partitioned, OutageKind::Crashed];
        let hit = if guarded && rng.chance(600) { "guardian" } else { "executor" };
        scenario.outage.push(Outage {
            party: hit.to_owned(),
            kind: rng.pick(&kinds).copied().unwrap_or(OutageKind::Censored),
            from_ms: rng.between(1_000, 60_000),
            for_ms: rng.between(1_000, 12_000),
            slices: rng.between(1, 4) as u32,
        });
    }
    // Every world ends with a time without faults, in which all that is left must come to its end.
    let most_ms = if rng.chance(500) { 90_000 } else { 300_000 };
    scenario.faults_until_ms = rng.between(10_000, most_ms);
}

/// Names of the dishonest strategies that made-up worlds draw from; those of chaos come beside them.
pub fn dishonest<C: Commitment>(environment: &Environment<C>) -> Vec<&'static str> {
    names(environment, false).filter(|name| !is_chaos(name)).collect()
}

/// Names of the strategies that draw among all that is legal.
pub fn of_chaos<C: Commitment>(environment: &Environment<C>) -> Vec<&'static str> {
    names(environment, false).filter(|name| is_chaos(name)).collect()
}

/// Names of the honest strategies.
pub fn honest<C: Commitment>(environment: &Environment<C>) -> BTreeSet<&'static str> {
    names(environment, true).collect()
}

fn names<C: Commitment>(
    environment: &Environment<C>,
    honest: bool,
) -> impl Iterator<Item = &'static str> {
    let entries = environment.catalogue.entries().iter();
    let is_honest = |entry: &Entry<C>| (entry.plan)(Numbers::of(&BTreeMap::new())).honest;
    entries.filter(move |entry| is_honest(entry) == honest).map(|entry| entry.name)
}
