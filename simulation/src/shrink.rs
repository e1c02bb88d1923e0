//! From a failing world to the smallest one that still fails, and to a test that shows it.

use crate::environments::Environments;
use crate::invariants::Invariant;
use crate::made_up::is_chaos;
use crate::scenario::{
    LedgerSetting, NetworkSetting, Ordering, ParameterPatch, Scenario, ScenarioError,
};
use crate::world::Ended;
use protocol::transaction::Action;

/// A minimal failing scenario.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// Its play.
    pub ended: Ended,
    /// Worlds that were played to find it.
    pub tries: u32,
}

/// Worlds played at most.
const TRIES_MAX: u32 = 6_000;
/// Seeds that are tried instead of the world's own.
const SEEDS: u64 = 48;

/// Moves of a play: one that is sent again because it was refused, or twice in one block, counts once.
pub fn moves(ended: &Ended) -> usize {
    let mut seen: Vec<(usize, &Action)> = Vec::new();
    for line in &ended.log {
        if !seen.contains(&(line.party, &line.action)) {
            seen.push((line.party, &line.action));
        }
    }
    seen.len()
}

struct Shrinker<'a> {
    environments: &'a Environments,
    invariant: Invariant,
    best: Scenario,
    ended: Ended,
    tries: u32,
}

impl Shrinker<'_> {
    /// Takes a candidate if it still breaks the same invariant first.
    fn attempt(&mut self, candidate: Scenario) -> bool {
        let playable = || candidate.check().is_ok() && self.environments.check(&candidate).is_ok();
        if candidate == self.best || self.tries >= TRIES_MAX || !playable() {
            return false;
        }
        self.tries += 1;
        let Ok(ended) = self.environments.play(&candidate, true) else {
            return false;
        };
        let fails = ended.violations.first().is_some_and(|one| one.invariant == self.invariant);
        // Fewer events, or as many and a shorter scenario.
        let (now, before) = (moves(&ended), moves(&self.ended));
        let shorter = || candidate.to_toml().len() < self.best.to_toml().len();
        if fails && (now < before || (now == before && shorter())) {
            (self.best, self.ended) = (candidate, ended);
            return true;
        }
        false
    }

    fn change(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        self.attempt(candidate)
    }

    /// Turns off faults, parties and identities.
    fn features(&mut self) -> bool {
        let mut smaller = false;
        for index in (0..self.best.outage.len()).rev() {
            smaller |= self.change(|scenario| drop(scenario.outage.remove(index)));
        }
        for index in (0..self.best.party.len()).rev() {
            if self.best.party.len() > 1 {
                smaller |= self.change(|scenario| drop(scenario.party.remove(index)));
            }
        }
        for index in 0..self.best.party.len() {
            smaller |= self.change(|scenario| {
                if let Some(party) = scenario.party.get_mut(index) {
                    party.count = 1;
                }
            });
            smaller |= self.change(|scenario| {
                if let Some(party) = scenario.party.get_mut(index) {
                    party.clock_skew_ms = 0;
                    party.capital_milliether = None;
                }
            });
        }
        for index in 0..self.best.party.len() {
            // The plainest strategies of each kind.
            for plain in ["honest", "prompt", "selective", "silent", "frivolous"] {
                smaller |= self.change(|scenario| {
                    if let Some(party) = scenario.party.get_mut(index) {
                        party.strategy = plain.to_owned();
                        party.lie = None;
                        party.with.clear();
                    }
                });
            }
        }
        smaller |= self.change(|scenario| scenario.jobs = 1);
        smaller |= self.change(|scenario| scenario.open_ms = 10_000);
        smaller |= self.change(|scenario| scenario.network = NetworkSetting::default());
        smaller |= self.change(|scenario| {
            scenario.ledger.reorganisation_permille = 0;
        });
        smaller |= self.change(|scenario| scenario.ledger = LedgerSetting::default());
        smaller |= self.change(|scenario| scenario.ledger.ordering = Ordering::Fair);
        smaller |= self.change(|scenario| scenario.faults_until_ms = 0);
        smaller |= self.change(|scenario| scenario.hidden_inputs = false);
        smaller |= self.change(|scenario| scenario.parameters = ParameterPatch::default());
        smaller |= self.chaos();
        smaller |= self.change(|scenario| scenario.dropped.clear());
        // Another chance may need fewer events.
        for seed in 0..SEEDS {
            smaller |= self.change(|scenario| scenario.seed = seed);
        }
        for model in 0..self.best.model {
            smaller |= self.change(|scenario| scenario.model = model);
        }
        smaller
    }

    /// Parties of chaos play for a shorter time.
    fn chaos(&mut self) -> bool {
        let mut smaller = false;
        for index in 0..self.best.party.len() {
            for until_ms in [3_000, 10_000, 30_000, 80_000] {
                smaller |= self.change(|scenario| {
                    let party = scenario.party.get_mut(index);
                    if let Some(party) = party.filter(|party| is_chaos(&party.strategy)) {
                        party.with.insert("until_ms".to_owned(), until_ms);
                    }
                });
            }
        }
        smaller
    }

    /// Takes away submissions: many at once, then fewer (ddmin, Zeller and Hildebrandt, 2002).
    fn submissions(&mut self) -> bool {
        let mut smaller = false;
        let mut size = (self.ended.log.len() / 2).max(1);
        loop {
            let mut at = 0;
            loop {
                let mut all: Vec<u64> = self.ended.log.iter().map(|line| line.submission).collect();
                all.sort_unstable();
                all.dedup();
                let Some(chunk) = all.get(at..) else { break };
                let chunk: Vec<u64> = chunk.iter().take(size).copied().collect();
                if chunk.is_empty() {
                    break;
                }
                let taken = self.change(|scenario| {
                    scenario.dropped.extend(chunk);
                    scenario.dropped.sort_unstable();
                    scenario.dropped.dedup();
                });
                smaller |= taken;
                if !taken {
                    at += size;
                }
            }
            if size == 1 || self.tries >= TRIES_MAX {
                return smaller;
            }
            size /= 2;
        }
    }
}

/// Shrinks a scenario; `None` when it breaks nothing.
///
/// # Errors
/// When the scenario cannot be played.
pub fn shrink(
    environments: &Environments,
    scenario: &Scenario,
) -> Result<Option<Shrunk>, ScenarioError> {
    let ended = environments.play(scenario, true)?;
    let Some(violation) = ended.violations.first() else {
        return Ok(None);
    };
    let invariant = violation.invariant;
    let best = scenario.clone();
    let mut shrinker = Shrinker { environments, invariant, best, ended, tries: 0 };
    while shrinker.features() || shrinker.submissions() {
        if shrinker.tries >= TRIES_MAX {
            break;
        }
    }
    let Shrinker { best, ended, tries, .. } = shrinker;
    Ok(Some(Shrunk { scenario: best, ended, tries }))
}

/// A test that plays a scenario and expects that nothing breaks, ready to be pasted.
pub fn as_test(scenario: &Scenario, invariant: Invariant) -> String {
    let name = format!("{}_{:016x}", invariant.name().replace('-', "_"), scenario.seed);
    let text = scenario.to_toml();
    format!(
        "#[test]\nfn {name}() {{\n    let scenario = simulation::scenario::Scenario::parse(\n        \
         r#\"\n{text}\"#,\n    )\n    .unwrap();\n    let ended = environments().play(&scenario, \
         false).unwrap();\n    assert_eq!(ended.violations, []);\n}}\n"
    )
}
