//! The best an attacker can do: a search over its parameters, then over its moves in copies of the
//! world. What it finds is a lower bound on what can be won, not a proof that no more can.

use serde::Serialize;

use crate::check::tidy;
use crate::environments::Environments;
use crate::made_up::dishonest;
use crate::rng::{Purpose, WorldRng, seed_of};
use crate::scenario::{MILLIETHER, PartySpec, Scenario, ScenarioError};
use crate::statistics::Tally;
use crate::world::{Choice, Ended, LogLine, World};
use dispute::lies::Lie;

/// What is searched.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Decides everything.
    pub seed: u64,
    /// Plays in all.
    pub plays: u64,
    /// What a false answer is worth to the attacker if it becomes final, beyond the fee.
    pub gain_milliether: u64,
    /// The world without attackers: its ledger, network and honest parties.
    pub base: Scenario,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Whether the parameters are inside the protocol's bounds, and which is not.
    pub outside: Option<String>,
    /// Plays of the parameter search and of the tree search.
    pub plays: (u64, u64),
    /// The best attacker's mean profit in ether, with its 95 % interval.
    pub best_ether: [f64; 3],
    /// Whether its whole interval is above what honest work can earn: all fees.
    pub profitable: bool,
    /// Its strategy.
    pub strategy: String,
    /// Its scenario, as TOML, ready to be run.
    pub scenario: String,
    /// The best play of the tree search and the best single play, in ether.
    pub tree_ether: f64,
    /// The moves of the best play.
    pub moves: Vec<String>,
    /// The best profit of honest play with the same means, in ether.
    pub honest_ether: f64,
}

/// Demands that an honest challenger of the widest shipped model may need.
const DEMANDS_NEEDED: u64 = 12;

/// Which bound the parameters leave: the protocol's own, or one that follows from how fast honest
/// parties and the ledger are (`docs/simulation.md`, bounds). `None` when they are inside.
pub fn outside_bounds(scenario: &Scenario) -> Option<String> {
    let parameters = scenario.parameters.apply();
    if let Err(error) = scenario.parameters.of_ledger().check() {
        return Some(error.to_string());
    }
    const INFERENCE_MS: u64 = 400;
    let (network, block_ms) = (&scenario.network, scenario.ledger.block_ms);
    // To look, to think, to send, to be taken.
    let reply_ms = 2 * network.delay_ms_max + 2 * block_ms;
    let away_ms: u64 = scenario.outage.iter().map(|outage| outage.for_ms).max().unwrap_or(0);
    let slowest_ms = scenario.party.iter().filter_map(|party| party.inference_ms).max();
    let window_ms = slowest_ms.unwrap_or(INFERENCE_MS) + reply_ms + away_ms;
    let executor_ms = u64::from(parameters.demands_max) * reply_ms + away_ms;
    let challenger_ms = DEMANDS_NEEDED * reply_ms + away_ms;
    let floor_suffices = parameters.move_floor_ms >= reply_ms + away_ms;
    let checks = [
        (parameters.window_ms_min >= window_ms, "window_ms_min", window_ms),
        (
            parameters.executor_clock_ms >= executor_ms || floor_suffices,
            "executor_clock_ms",
            executor_ms,
        ),
        (
            parameters.challenger_clock_ms >= challenger_ms || floor_suffices,
            "challenger_clock_ms",
            challenger_ms,
        ),
    ];
    let broken = checks.into_iter().find(|(holds, ..)| !holds);
    broken.map(|(_, name, least_ms)| format!("{name} must be at least {least_ms} for this world"))
}

/// The honest world that attackers are let loose on.
pub fn base() -> Scenario {
    Scenario {
        name: "best-response".to_owned(),
        party: vec![PartySpec::new("executor", "honest"), PartySpec::new("guardian", "prompt")],
        ..Scenario::default()
    }
}

/// A set of attackers.
#[derive(Clone, Debug)]
struct Candidate {
    attackers: Vec<PartySpec>,
    profit: Tally,
}

fn profit_ether(hunt: &Hunt, ended: &Ended) -> f64 {
    let gain = hunt.gain_milliether as i128 * MILLIETHER as i128;
    let groups = ended.groups.iter().filter(|group| !group.honest);
    let wei: i128 =
        groups.map(|group| group.profit_wei + if group.false_final { gain } else { 0 }).sum();
    wei as f64 / 1e18
}

fn draw(rng: &mut WorldRng, names: &[&'static str]) -> Vec<PartySpec> {
    (0..rng.between(1, 2))
        .filter_map(|number| {
            let mut spec = PartySpec::new(&format!("attacker-{number}"), rng.pick(names)?);
            spec.count = rng.between(1, 3) as u32;
            if rng.chance(300) {
                let lies = Lie::names();
                spec.lie = rng.pick(&lies).map(|lie| (*lie).to_owned());
            }
            spec.inference_ms = Some(rng.between(1, 2_000));
            for (name, most) in
                [("margin_ms", 30_000), ("after", 6), ("later_ms", 9_000), ("until_ms", 60_000)]
            {
                if rng.chance(400) {
                    spec.with.insert(name.to_owned(), rng.below(most));
                }
            }
            Some(spec)
        })
        .collect()
}

fn with_attackers(hunt: &Hunt, attackers: &[PartySpec], seed: u64) -> Scenario {
    let mut scenario = hunt.base.clone();
    scenario.party.extend(attackers.iter().cloned());
    scenario.seed = seed;
    scenario
}

/// Plays a candidate on some seeds, the same for every candidate.
fn sample(
    environments: &Environments,
    hunt: &Hunt,
    candidate: &mut Candidate,
    seeds: u64,
) -> Result<u64, ScenarioError> {
    let from = candidate.profit.count;
    for index in from..from + seeds {
        let scenario = with_attackers(hunt, &candidate.attackers, seed_of(hunt.seed, index));
        let mut world = World::new(environments.toy(), &scenario, scenario.seed)?;
        world.without_audit();
        world.play();
        candidate.profit.add(profit_ether(hunt, &world.end()));
    }
    Ok(seeds)
}

/// Searches parameters by successive halving (Jamieson and Talwalkar, AISTATS 2016).
fn search_parameters(
    environments: &Environments,
    hunt: &Hunt,
    plays_max: u64,
) -> Result<(Candidate, u64), ScenarioError> {
    const FIRST: u64 = 4;
    let names = dishonest(environments.toy());
    let mut rng = WorldRng::new(hunt.seed, Purpose::Search);
    // Half of the plays go to the first look at as many candidates as that allows.
    let count = (plays_max / 2 / FIRST).max(1);
    let mut plays = 0;
    let mut best: Vec<Candidate> = Vec::new();
    let keep = (count / 8).clamp(1, 4_096) as usize;
    for _ in 0..count {
        let attackers = draw(&mut rng, &names);
        let mut candidate = Candidate { attackers, profit: Tally::default() };
        plays += sample(environments, hunt, &mut candidate, FIRST)?;
        best.push(candidate);
        if best.len() >= 4 * keep {
            order(&mut best);
            best.truncate(keep);
        }
    }
    order(&mut best);
    best.truncate(keep);
    while best.len() > 1 && plays < plays_max {
        let share = (plays_max - plays) / 2 / best.len() as u64;
        for candidate in &mut best {
            plays += sample(environments, hunt, candidate, share.clamp(1, 1_000))?;
        }
        order(&mut best);
        best.truncate(best.len().div_ceil(4));
    }
    let mut winner = best
        .into_iter()
        .next()
        .unwrap_or(Candidate { attackers: Vec::new(), profit: Tally::default() });
    // A fresh look at seeds that had no part in the choice.
    let fresh = Candidate { attackers: winner.attackers.clone(), profit: Tally::default() };
    let mut judged = fresh;
    let apart = Hunt { seed: seed_of(hunt.seed, u64::MAX), ..hunt.clone() };
    plays += sample(environments, &apart, &mut judged, 400)?;
    winner.profit = judged.profit;
    Ok((winner, plays))
}

fn order(candidates: &mut [Candidate]) {
    candidates.sort_by(|one, other| other.profit.mean.total_cmp(&one.profit.mean));
}

/// A place in the attacker's tree of choices.
struct Place {
    visits: u64,
    sum: f64,
    children: Vec<Option<usize>>,
}

impl Place {
    fn new() -> Self {
        Self { visits: 0, sum: 0.0, children: vec![None; Choice::ALL.len()] }
    }
}

/// The choice that looks best so far, or one that was not tried (UCB1, Auer et al., 2002).
fn next_choice(tree: &[Place], at: usize) -> usize {
    const BOLDNESS: f64 = 1.5;
    let Some(place) = tree.get(at) else { return 0 };
    if let Some(untried) = place.children.iter().position(Option::is_none) {
        return untried;
    }
    let total = (place.visits.max(1) as f64).ln();
    let value = |child: &Option<usize>| {
        let child = child.and_then(|index| tree.get(index));
        child.map_or(f64::MIN, |child| {
            let visits = child.visits.max(1) as f64;
            child.sum / visits + BOLDNESS * (total / visits).sqrt()
        })
    };
    let best = place
        .children
        .iter()
        .enumerate()
        .max_by(|one, other| value(one.1).total_cmp(&value(other.1)));
    best.map_or(0, |(index, _)| index)
}

/// Searches the moves of one world: copies of it are played from each decision on.
fn search_tree(
    environments: &Environments,
    hunt: &Hunt,
    attackers: &[PartySpec],
    plays_max: u64,
) -> Result<(f64, Vec<LogLine>), ScenarioError> {
    const DEPTH: usize = 12;
    let scenario = with_attackers(hunt, attackers, seed_of(hunt.seed, 0x7EEE));
    let mut start = World::new(environments.toy(), &scenario, scenario.seed)?;
    start.without_audit();
    start.keep_log();
    let mut rng = WorldRng::new(hunt.seed, Purpose::Search);
    let mut tree = vec![Place::new()];
    let mut best = (f64::MIN, Vec::new());
    for _ in 0..plays_max {
        let mut world = start.clone();
        let (mut at, mut path) = (0, vec![0]);
        let mut depth = 0;
        while world.to_next_choice() {
            let choice = if depth < DEPTH && at != usize::MAX {
                next_choice(&tree, at)
            } else {
                // Beyond the tree, mostly as planned.
                if rng.chance(800) { 0 } else { rng.below(Choice::ALL.len() as u64) as usize }
            };
            world.choose(Choice::ALL.get(choice).copied().unwrap_or(Choice::AsPlanned));
            if depth < DEPTH && at != usize::MAX {
                let known =
                    tree.get(at).and_then(|place| place.children.get(choice).copied().flatten());
                match known {
                    Some(child) => at = child,
                    None => {
                        tree.push(Place::new());
                        let child = tree.len() - 1;
                        if let Some(slot) =
                            tree.get_mut(at).and_then(|place| place.children.get_mut(choice))
                        {
                            *slot = Some(child);
                        }
                        path.push(child);
                        at = usize::MAX;
                        depth += 1;
                        continue;
                    }
                }
                path.push(at);
            }
            depth += 1;
        }
        world.play();
        let ended = world.end();
        let profit = profit_ether(hunt, &ended);
        for index in &path {
            if let Some(place) = tree.get_mut(*index) {
                place.visits += 1;
                place.sum += profit;
            }
        }
        if profit > best.0 {
            best = (profit, ended.log);
        }
    }
    Ok(best)
}

/// Hunts for the best attack.
///
/// # Errors
/// When a world cannot be set up.
pub fn hunt(environments: &Environments, hunt: &Hunt) -> Result<Found, ScenarioError> {
    let outside = outside_bounds(&hunt.base);
    let tree_plays = hunt.plays / 5;
    let (winner, plays) = search_parameters(environments, hunt, hunt.plays - tree_plays)?;
    let (tree_ether, log) = search_tree(environments, hunt, &winner.attackers, tree_plays)?;
    let mut honest = Candidate {
        attackers: vec![PartySpec::new("attacker-0", "honest")],
        profit: Tally::default(),
    };
    honest.attackers.iter_mut().for_each(|spec| spec.inference_ms = Some(1));
    let mut honest_ether = Tally::default();
    for index in 0..100 {
        let scenario = with_attackers(hunt, &honest.attackers, seed_of(hunt.seed, index));
        let mut world = World::new(environments.toy(), &scenario, scenario.seed)?;
        world.play();
        let ended = world.end();
        let own = ended.groups.iter().find(|group| group.name == "attacker-0");
        honest_ether.add(own.map_or(0.0, |group| group.profit_wei as f64 / 1e18));
    }
    let [low, high] = winner.profit.interval_95();
    let fees_ether = (hunt.base.fee_milliether * u64::from(hunt.base.jobs)) as f64 / 1e3;
    let names: Vec<&str> = winner.attackers.iter().map(|spec| spec.strategy.as_str()).collect();
    let mut scenario = with_attackers(hunt, &winner.attackers, seed_of(hunt.seed, 0));
    tidy(environments.toy(), &mut scenario);
    Ok(Found {
        outside,
        plays: (plays, tree_plays),
        best_ether: [winner.profit.mean, low, high],
        // What honest work can earn at best, every job's fee, is no profit of an attack.
        profitable: low > fees_ether + 1e-6,
        strategy: names.join(" + "),
        moves: log.iter().map(|line| move_text(&scenario, line)).collect(),
        scenario: scenario.to_toml(),
        tree_ether,
        honest_ether: honest_ether.mean,
    })
}

fn move_text(scenario: &Scenario, line: &LogLine) -> String {
    let name = scenario.party.get(line.group).map_or("", |spec| spec.name.as_str());
    let outcome = match &line.outcome {
        Ok(()) => "taken".to_owned(),
        Err(reason) => format!("refused: {reason}"),
    };
    format!("{:>8} ms  {name:<12} {:<16} {outcome}", line.at_ms, line.action.name())
}

/// Several hunts at once, one seed each, on that many threads: the best of what they find.
///
/// # Errors
/// When a world cannot be set up.
pub fn hunt_on(
    environments: &Environments,
    plan: &Hunt,
    threads: usize,
) -> Result<Found, ScenarioError> {
    let threads = threads.max(1) as u64;
    let results: Vec<Result<Found, ScenarioError>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|index| {
                let own = Hunt {
                    seed: seed_of(plan.seed, index),
                    plays: plan.plays.div_ceil(threads),
                    ..plan.clone()
                };
                scope.spawn(move || hunt(environments, &own))
            })
            .collect();
        started.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut all = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    let plays = all.iter().fold((0, 0), |sum, one| (sum.0 + one.plays.0, sum.1 + one.plays.1));
    all.sort_by(|one, other| other.best_ether[0].total_cmp(&one.best_ether[0]));
    let missing = || ScenarioError::Text { reason: "a search thread failed".to_owned() };
    let mut best = all.into_iter().next().ok_or_else(missing)?;
    best.plays = plays;
    Ok(best)
}
