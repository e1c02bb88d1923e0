//! From a failing world to the smallest one that still fails, and to a test that shows it.

use crate::environments::Environments;
use crate::invariants::Invariant;
use crate::made_up::is_chaos;
use crate::scenario::{
    LedgerSetting, NetworkSetting, Ordering, ParameterPatch, PartySpec, Scenario, ScenarioError,
    ScriptedMove,
};
use crate::strategy::{Entry, Numbers};
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

/// What a message takes in a network without chance.
const DELAY_MS: u64 = 100;

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
    /// Takes a candidate if it still breaks the same invariant first, in fewer moves, or in as many and is shorter.
    fn attempt(&mut self, candidate: Scenario) -> bool {
        self.attempt_if(candidate, |best, candidate| candidate < best)
    }

    /// Takes a candidate if it still breaks the same invariant first, and its size is welcome beside the best's.
    fn attempt_if(
        &mut self,
        candidate: Scenario,
        is_welcome: impl FnOnce((usize, usize), (usize, usize)) -> bool,
    ) -> bool {
        let playable = || candidate.check().is_ok() && self.environments.check(&candidate).is_ok();
        if candidate == self.best || self.tries >= TRIES_MAX || !playable() {
            return false;
        }
        self.tries += 1;
        let Ok(ended) = self.environments.play(&candidate, true) else {
            return false;
        };
        let fails = ended.violations.first().is_some_and(|one| one.invariant == self.invariant);
        let size = |scenario: &Scenario, ended: &Ended| (moves(ended), scenario.to_toml().len());
        if fails && is_welcome(size(&self.best, &self.ended), size(&candidate, &ended)) {
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
                        party.script = None;
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

    /// Dishonest parties make the moves that they made, whatever else changes from now on: what draws its moves would
    /// draw others as soon as anything is taken away. All of them, for they share what they draw from; where that
    /// breaks nothing, one after the other.
    fn write_down(&mut self) {
        let all: Vec<usize> = (0..self.best.party.len()).collect();
        if !self.write_down_of(&all) {
            for group in all {
                self.write_down_of(&[group]);
            }
        }
    }

    fn write_down_of(&mut self, groups: &[usize]) -> bool {
        let calm = NetworkSetting {
            delay_ms_min: DELAY_MS,
            delay_ms_max: DELAY_MS,
            ..NetworkSetting::default()
        };
        [calm, self.best.network.clone()].into_iter().any(|network| {
            let mut candidate = Scenario { network, ..self.best.clone() };
            for group in groups {
                let party = candidate.party.get_mut(*group);
                if let Some(party) = party.filter(|party| !self.decides_itself(party)) {
                    party.script = Some(self.script(*group));
                    (party.lie, party.clock_skew_ms) = (None, 0);
                    party.with.clear();
                }
            }
            self.attempt_if(candidate, |_, _| true)
        })
    }

    fn decides_itself(&self, party: &PartySpec) -> bool {
        let entry = self.environments.toy().catalogue.get(&party.strategy);
        let honest = |entry: &Entry<_>| (entry.plan)(Numbers::of(&party.with)).honest;
        party.script.is_some() || entry.is_none_or(honest)
    }

    /// What the identities of a party did, sent so that it is in the same blocks in the same order.
    fn script(&self, group: usize) -> Vec<ScriptedMove> {
        let before = self.best.party.iter().take(group).map(|party| party.count as usize);
        let first: usize = before.sum();
        let block_ms = self.best.ledger.block_ms;
        let mut moves = Vec::new();
        for block in self.ended.log.chunk_by(|one, other| one.at_ms == other.at_ms) {
            let step_ms = block_ms.saturating_sub(2 * DELAY_MS) / (block.len() as u64 + 1);
            for (number, line) in (0..).zip(block).filter(|(_, line)| line.group == group) {
                let identity = line.party.checked_sub(first).and_then(|one| one.try_into().ok());
                let begins_ms = line.at_ms.saturating_sub(block_ms);
                if let Some(identity) = identity.filter(|_| line.outcome.is_ok()) {
                    let at_ms = begins_ms + 1 + step_ms * number;
                    moves.push(ScriptedMove::new(at_ms, identity, &line.action));
                }
            }
        }
        moves
    }

    /// Takes away moves that are written down.
    fn written(&mut self) -> bool {
        let lines = |shrinker: &Self| -> Vec<(usize, usize)> {
            let parties = shrinker.best.party.iter().enumerate();
            let of = |party: &PartySpec| party.script.as_ref().map_or(0, Vec::len);
            parties
                .flat_map(|(group, party)| (0..of(party)).map(move |line| (group, line)))
                .collect()
        };
        self.take_away(lines, |scenario, chunk| {
            for (group, party) in scenario.party.iter_mut().enumerate() {
                let mut number = 0..;
                let stays = |_: &ScriptedMove| {
                    number.next().is_none_or(|line| !chunk.contains(&(group, line)))
                };
                if let Some(script) = &mut party.script {
                    script.retain(stays);
                }
            }
        })
    }

    /// Takes away submissions.
    fn submissions(&mut self) -> bool {
        let lines = |shrinker: &Self| -> Vec<u64> {
            let mut all: Vec<u64> = shrinker.ended.log.iter().map(|line| line.submission).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        self.take_away(lines, |scenario, chunk| {
            scenario.dropped.extend(chunk);
            scenario.dropped.sort_unstable();
            scenario.dropped.dedup();
        })
    }

    /// Takes things away: many at once, then fewer (ddmin, Zeller and Hildebrandt, 2002).
    fn take_away<T: Clone>(
        &mut self,
        things: impl Fn(&Self) -> Vec<T>,
        without: impl Fn(&mut Scenario, &[T]),
    ) -> bool {
        let mut smaller = false;
        let mut size = (things(self).len() / 2).max(1);
        loop {
            let mut at = 0;
            loop {
                let chunk: Vec<T> = things(self).into_iter().skip(at).take(size).collect();
                if chunk.is_empty() {
                    break;
                }
                let taken = self.change(|scenario| without(scenario, &chunk));
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
    shrinker.features();
    shrinker.write_down();
    while shrinker.features() || shrinker.written() || shrinker.submissions() {
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

#[cfg(test)]
mod tests {
    use inference::{Engine, Isa};

    use super::*;

    #[test]
    fn what_parties_did_is_written_down_so_that_they_do_it_again() {
        let engine = Engine::new(Isa::PORTABLE, 1).unwrap();
        let environments = Environments::new(&engine, Vec::new()).unwrap();
        let mut best = Scenario { model: 1, seed: 5, ..Scenario::default() };
        for (name, strategy) in
            [("executor", "honest"), ("guardian", "prompt"), ("chaos", "chaos-liar")]
        {
            best.party.push(PartySpec::new(name, strategy));
        }
        if let Some(chaos) = best.party.last_mut() {
            chaos.count = 2;
        }
        let ended = environments.play(&best, true).unwrap();
        let invariant = Invariant::VerdictIsTruth;
        let shrinker = Shrinker {
            environments: &environments,
            invariant,
            best: best.clone(),
            ended,
            tries: 0,
        };
        assert!(
            shrinker.decides_itself(&best.party[0]) && !shrinker.decides_itself(&best.party[2])
        );
        let mut written = best.clone();
        written.party[2].script = Some(shrinker.script(2));
        (written.network.delay_ms_min, written.network.delay_ms_max) = (DELAY_MS, DELAY_MS);
        let written = Scenario::parse(&written.to_toml()).unwrap();
        assert!(shrinker.decides_itself(&written.party[2]));
        environments.check(&written).unwrap();
        let again = environments.play(&written, true).unwrap();
        let done = |ended: &Ended| -> Vec<(usize, Action)> {
            let own = ended.log.iter().filter(|line| line.group == 2 && line.outcome.is_ok());
            own.map(|line| (line.party, line.action.clone())).take(20).collect()
        };
        let before = done(&shrinker.ended);
        assert!(before.len() == 20, "{} moves", before.len());
        assert_eq!(done(&again), before);
    }
}
