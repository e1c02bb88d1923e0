//! A strategy of your own, sent into a world and then into a swarm's kind of statistics:
//! `cargo run --release -p simulation --example own_strategy`.

use dispute::lies::Lie;
use inference::{Engine, Isa};
use protocol::hash::Commitment;
use protocol::transaction::Action;
use simulation::environments::Environments;
use simulation::scenario::{PartySpec, Scenario, Side};
use simulation::strategy::{Entry, Intent, Plan, Sight, Strategy};

/// Answers only while its opponent is poorer than it is.
#[derive(Clone, Debug)]
struct Bully;

impl<C: Commitment> Strategy<C> for Bully {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let money = sight.view.settlement.money();
        let richest = money.accounts().map(|(_, wei)| wei).max().unwrap_or(0);
        let bully = money.free_wei(&sight.me) == richest;
        intents.retain(|intent| bully || !matches!(intent.action, Action::Reveal { .. }));
        intents
    }
    fn boxed(&self) -> Box<dyn Strategy<C>> {
        Box::new(self.clone())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut environments = Environments::new(&Engine::new(Isa::detect(), 1)?, Vec::new())?;
    environments.add_toy_strategy(Entry {
        name: "bully",
        source: "example",
        expect: "fraud/step|fraud/silence",
        summary: "lies, and answers only while it is the richest",
        plan: |_| Plan::dishonest(Side::Executor).lying(Lie::Selective).with(Bully),
    });
    let mut scenario = Scenario {
        party: vec![
            PartySpec::new("executor", "honest"),
            PartySpec::new("guardian", "prompt"),
            PartySpec::new("attacker", "bully"),
        ],
        ..Scenario::default()
    };
    for seed in 0..5 {
        scenario.seed = seed;
        let ended = environments.play(&scenario, false)?;
        let bully = &ended.groups[2];
        let ether = bully.profit_wei as f64 / 1e18;
        println!("seed {seed}: {}, {ether:+} ether, {:?}", bully.outcome, ended.violations);
    }
    Ok(())
}
