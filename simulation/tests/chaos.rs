//! Parties that draw among all that is legal: what they must reach.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use inference::{Engine, Isa};
use simulation::environments::Environments;
use simulation::made_up::has_chaos;
use simulation::rng::seed_of;
use simulation::scenario::CommitmentKind;

/// Worlds that are looked through for those with chaos.
const SEEDS: u64 = 1_500;

#[test]
fn parties_of_chaos_do_everything_that_a_ledger_takes() {
    let engine = Engine::new(Isa::detect(), 1).unwrap();
    let environments = Environments::new(&engine, Vec::new()).unwrap();
    let mut taken: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut refused = 0;
    for index in 0..SEEDS {
        let scenario = environments.made_up(seed_of(3, index), CommitmentKind::Toy).unwrap();
        if !has_chaos(&scenario) {
            continue;
        }
        let ended = environments.play(&scenario, true).unwrap();
        assert_eq!(ended.violations, [], "{}", scenario.name);
        for line in &ended.log {
            let of = scenario.party.get(line.group).unwrap();
            if !of.strategy.starts_with(simulation::strategy::CHAOS) {
                continue;
            }
            match line.outcome {
                Ok(()) => *taken.entry(line.action.name()).or_default() += 1,
                Err(_) => refused += 1,
            }
        }
    }
    for name in [
        "withdraw",
        "register-model",
        "post-job",
        "expire-job",
        "post-claim",
        "challenge",
        "demand",
        "reveal",
        "refute",
        "call-time",
        "finalise",
        "seal-claim",
        "attest",
        "open-claim",
        "prove-attention",
        "expire-seal",
        "withdraw-challenge",
        "collect",
        "release",
        "pass",
        "collect-attention",
    ] {
        assert!(taken.contains_key(name), "{name} is never taken: {taken:#?}");
    }
    assert!(refused > 100, "what is nearly legal is refused: {refused}");
    println!("{taken:#?}, {refused} refused");
}
