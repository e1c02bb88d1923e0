//! A search that knows neither attacks nor profits beforehand: plays of parties of chaos that reach what no play
//! reached before are kept and changed, and so are those that win most. What is kept is a corpus, played again by
//! the gate.
//!
//! Novelty first: Lehman and Stanley, Evolutionary Computation 19(2), 2011; what counts as new is coverage of the
//! ledger's states, as fuzzers count branches.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::environments::Environments;
use crate::invariants::Violation;
use crate::made_up::{self, at_a_bound};
use crate::rng::{Purpose, WorldRng, seed_of};
use crate::scenario::{MILLIETHER, Ordering, PartySpec, Scenario, ScenarioError};
use crate::worst_cases::WorstCases;

/// What is searched.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Plays in all.
    pub plays: u64,
    /// Threads; never changes what is found.
    pub threads: usize,
    /// The world without attackers: its ledger, network and honest parties.
    pub base: Scenario,
    /// What a false answer is worth to the attackers if it becomes final, beyond the fee.
    pub gain_milliether: u64,
    /// Whether parameters and models stay those of the base.
    pub keep_base: bool,
}

/// Plays that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Corpus {
    /// Each reached something that none before it did.
    pub play: Vec<Scenario>,
}

impl Corpus {
    /// Reads kept plays.
    ///
    /// # Errors
    /// When the text is too long or no corpus, or a scenario in it is outside its ranges.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > CORPUS_BYTES_MAX {
            let reason = format!("it is longer than {CORPUS_BYTES_MAX} bytes");
            return Err(ScenarioError::Text { reason });
        }
        let corpus: Self = toml::from_str(text)
            .map_err(|error| ScenarioError::Text { reason: error.to_string() })?;
        corpus.play.iter().try_for_each(Scenario::check)?;
        Ok(corpus)
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Plays.
    pub plays: u64,
    /// Disputes that ended in them.
    pub disputes: u64,
    /// Pairs of a move, what came of it, and the shape of the state, each counted once.
    pub shapes: BTreeSet<u64>,
    /// The plays that reached something new, in the order they were found, with all that each reached.
    pub kept: Vec<(Scenario, BTreeSet<u64>)>,
    /// What all attackers of a world won together beyond what they earned, at most, in wei; and in which world.
    pub best: Option<(i128, Scenario)>,
    /// What came nearest to the bounds of money and time.
    pub worst_cases: WorstCases,
    /// Worlds in which something did not hold.
    pub violations: Vec<(Scenario, Violation)>,
}

/// Largest file of kept plays.
const CORPUS_BYTES_MAX: usize = 64 << 20;
/// Plays between two looks at what was found.
const ROUND: u64 = 64;
/// Worlds of most profit from which others are made.
const RICH_MAX: usize = 16;
/// Most parties of one world that are attackers.
const ATTACKERS_MAX: u32 = 6;

/// A play that has ended.
struct Played {
    scenario: Scenario,
    disputes: u64,
    shapes: BTreeSet<u64>,
    profit_wei: i128,
    worst_cases: WorstCases,
    violation: Option<Violation>,
}

/// Searches. `go_on` is asked before each round, with what is known so far.
///
/// # Errors
/// When a world cannot be set up.
pub fn explore(
    environments: &Environments,
    plan: &Plan,
    corpus: &Corpus,
    go_on: &mut dyn FnMut(&Explored) -> bool,
) -> Result<Explored, ScenarioError> {
    let mut found = Explored::default();
    let mut rich: Vec<(i128, Scenario)> = Vec::new();
    // What was kept before comes first, so that what it reached is not new again.
    let mut waiting: Vec<Scenario> = corpus.play.iter().rev().cloned().collect();
    while found.plays < plan.plays && go_on(&found) {
        let round: Vec<Scenario> = (0..ROUND.min(plan.plays - found.plays))
            .map(|place| {
                let seed = seed_of(plan.seed, found.plays + place);
                waiting.pop().unwrap_or_else(|| another(environments, plan, &found, &rich, seed))
            })
            .collect();
        for played in play_all(environments, plan, round)? {
            found.plays += 1;
            found.disputes += played.disputes;
            found.worst_cases.join(&played.worst_cases);
            if found.best.as_ref().is_none_or(|(wei, _)| played.profit_wei > *wei) {
                found.best = Some((played.profit_wei, played.scenario.clone()));
            }
            if let Some(violation) = played.violation {
                found.violations.push((played.scenario, violation));
                continue;
            }
            rich.push((played.profit_wei, played.scenario.clone()));
            rich.sort_by_key(|(profit_wei, _)| std::cmp::Reverse(*profit_wei));
            rich.truncate(RICH_MAX);
            if !played.shapes.is_subset(&found.shapes) {
                found.shapes.extend(&played.shapes);
                found.kept.push((played.scenario, played.shapes));
            }
        }
    }
    Ok(found)
}

/// The same plays in the same order on any number of threads.
fn play_all(
    environments: &Environments,
    plan: &Plan,
    round: Vec<Scenario>,
) -> Result<Vec<Played>, ScenarioError> {
    let size = round.len().div_ceil(plan.threads.max(1)).max(1);
    let chunks: Vec<Vec<Scenario>> = round.chunks(size).map(<[Scenario]>::to_vec).collect();
    let played = std::thread::scope(|scope| {
        let threads: Vec<_> = chunks
            .into_iter()
            .map(|chunk| {
                scope.spawn(move || {
                    chunk.into_iter().map(|scenario| play(environments, plan, scenario)).collect()
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(played) => played,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Vec<Result<Vec<Played>, ScenarioError>>>()
    });
    let mut all = Vec::new();
    for played in played {
        all.extend(played?);
    }
    Ok(all)
}

fn play(
    environments: &Environments,
    plan: &Plan,
    scenario: Scenario,
) -> Result<Played, ScenarioError> {
    let ended = environments.play_for_shapes(&scenario)?;
    let lies = ended.groups.iter().filter(|group| !group.honest && group.false_final).count();
    let gain_wei = i128::from(plan.gain_milliether) * MILLIETHER as i128;
    let profit_wei = ended.coalition_excess_wei + gain_wei * lies as i128;
    Ok(Played {
        scenario,
        disputes: ended.disputes,
        shapes: ended.shapes,
        profit_wei,
        worst_cases: ended.worst_cases,
        violation: ended.violations.into_iter().next(),
    })
}

/// Another world: a new one, or one that was kept with something changed.
fn another(
    environments: &Environments,
    plan: &Plan,
    found: &Explored,
    rich: &[(i128, Scenario)],
    seed: u64,
) -> Scenario {
    let mut rng = WorldRng::new(seed, Purpose::Search);
    let kept = &found.kept;
    // The newest half is changed more often: the frontier is there.
    let recent = kept.len() / 2 + rng.below(kept.len().div_ceil(2) as u64) as usize;
    let parent = match rng.below(8) {
        0 => None,
        1 | 2 => rng.pick(rich).map(|(_, scenario)| scenario),
        3 => rng.pick(kept).map(|(scenario, _)| scenario),
        _ => kept.get(recent).map(|(scenario, _)| scenario),
    };
    let mut scenario = parent.cloned().unwrap_or_else(|| begin(environments, plan, &mut rng));
    for _ in 0..rng.between(1, 3) {
        change(environments, plan, &mut scenario, &mut rng);
    }
    scenario.seed = if rng.chance(300) { scenario.seed } else { seed };
    scenario.name = format!("explored-{seed:016x}");
    scenario
}

fn begin(environments: &Environments, plan: &Plan, rng: &mut WorldRng) -> Scenario {
    let mut scenario = plan.base.clone();
    add_attacker(environments, &mut scenario, rng);
    scenario
}

fn add_attacker(environments: &Environments, scenario: &mut Scenario, rng: &mut WorldRng) {
    let chaos = made_up::of_chaos(environments.toy());
    let others = made_up::dishonest(environments.toy());
    let names = if rng.chance(750) { &chaos } else { &others };
    let Some(strategy) = rng.pick(names).copied() else { return };
    let name = format!("attacker-{}", scenario.party.len());
    let mut spec = PartySpec::new(&name, strategy);
    spec.count = rng.between(1, 3) as u32;
    redraw(&mut spec, rng);
    scenario.party.push(spec);
}

/// Another stream of draws for a party of chaos, and other means.
fn redraw(spec: &mut PartySpec, rng: &mut WorldRng) {
    if made_up::is_chaos(&spec.strategy) {
        spec.with.insert("draw".to_owned(), 1 + rng.below(1 << 32));
        if rng.chance(300) {
            spec.with.insert("until_ms".to_owned(), rng.between(10_000, 240_000));
        }
        if spec.strategy != "chaos-penniless" && rng.chance(300) {
            let means = [300, 1_500, 4_000, 20_000, 3_000_000];
            spec.capital_milliether = rng.pick(&means).copied();
        }
    }
}

fn change(environments: &Environments, plan: &Plan, scenario: &mut Scenario, rng: &mut WorldRng) {
    // By what they play, not by their place: a kept play may have other honest parties than the base.
    let honest = made_up::honest(environments.toy());
    let is_attacker = |spec: &PartySpec| !honest.contains(spec.strategy.as_str());
    let places = scenario.party.iter().enumerate().filter(|(_, spec)| is_attacker(spec));
    let attackers: Vec<usize> = places.map(|(place, _)| place).collect();
    let of = |rng: &mut WorldRng| rng.pick(&attackers).copied().unwrap_or(usize::MAX);
    let identities: u32 = attackers
        .iter()
        .filter_map(|place| scenario.party.get(*place))
        .map(|spec| spec.count)
        .fold(0, u32::saturating_add);
    match rng.below(10) {
        0 if identities < ATTACKERS_MAX => add_attacker(environments, scenario, rng),
        1 if attackers.len() > 1 => drop(scenario.party.remove(of(rng))),
        2 => {
            let place = of(rng);
            let most = 1 + ATTACKERS_MAX.saturating_sub(identities);
            if let Some(spec) = scenario.party.get_mut(place) {
                spec.count = rng.between(1, u64::from(most)) as u32;
            }
        }
        3 if !plan.keep_base => {
            scenario.model = rng.below(environments.toy().fixtures.models() as u64) as u32;
        }
        4 if !plan.keep_base => scenario.hidden_inputs = !scenario.hidden_inputs,
        5 if !plan.keep_base => {
            let before = scenario.parameters.clone();
            at_a_bound(rng, &mut scenario.parameters);
            if scenario.parameters.of_ledger().check().is_err() {
                scenario.parameters = before;
            }
        }
        6 => {
            let orders = [Ordering::Fair, Ordering::Fee, Ordering::Builder];
            scenario.ledger.ordering = rng.pick(&orders).copied().unwrap_or_default();
        }
        7 => scenario.jobs = rng.between(1, 2) as u32,
        _ => {
            let place = of(rng);
            if let Some(spec) = scenario.party.get_mut(place) {
                redraw(spec, rng);
            }
        }
    }
}

impl Explored {
    /// So many of the plays that were kept, those first that reach most of what those before them do not.
    pub fn corpus(&self, most: usize) -> Corpus {
        let mut left: BTreeMap<usize, &BTreeSet<u64>> =
            self.kept.iter().map(|(_, shapes)| shapes).enumerate().collect();
        let (mut reached, mut corpus) = (BTreeSet::new(), Corpus::default());
        while corpus.play.len() < most {
            let new = |shapes: &BTreeSet<u64>| shapes.difference(&reached).count();
            let most =
                left.iter().max_by_key(|(place, shapes)| (new(shapes), usize::MAX - **place));
            let Some((place, shapes)) = most.map(|(place, shapes)| (*place, *shapes)) else {
                break;
            };
            if new(shapes) == 0 {
                break;
            }
            left.remove(&place);
            reached.extend(shapes);
            corpus.play.extend(self.kept.get(place).map(|(scenario, _)| scenario.clone()));
        }
        corpus
    }
}
