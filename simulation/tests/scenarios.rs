//! Every named strategy has a scenario, and every toy scenario ends as it says, without a broken
//! invariant. The real ones are run by `rebut sim run simulation/scenarios`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use inference::{Engine, Isa as Instructions};
use protocol::settlement::Parameters;
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::invariants::Sometimes;
use simulation::made_up::Shares;
use simulation::report::crowd_scenario;
use simulation::scenario::{CommitmentKind, Scenario};
use simulation::shrink::shrink;
use simulation::world::{Ended, outcome_matches};

fn environments() -> Environments {
    Environments::new(&Engine::new(Instructions::detect(), 1).unwrap(), Vec::new()).unwrap()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn scenario(name: &str) -> Scenario {
    let text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    Scenario::parse(&text).unwrap()
}

#[test]
fn every_strategy_has_a_scenario_and_every_scenario_ends_as_it_says() {
    let environments = environments();
    for entry in environments.toy().catalogue.entries() {
        let scenario = scenario(entry.name);
        let sent = scenario.party.iter().any(|party| party.strategy == entry.name);
        assert!(sent, "{} does not play its strategy", entry.name);
    }
    let (mut played, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let scenario = Scenario::parse(&text).unwrap();
        if scenario.commitment == CommitmentKind::Real {
            continue;
        }
        let ended = environments.play(&scenario, false).unwrap();
        assert!(!scenario.expect.is_empty(), "{} expects nothing", scenario.name);
        let dishonest = ended.groups.iter().find(|group| !group.honest);
        let outcome = &dishonest.unwrap_or(&ended.groups[0]).outcome;
        if !ended.violations.is_empty() || !outcome_matches(&scenario.expect, outcome) {
            let (name, expect) = (&scenario.name, &scenario.expect);
            let violations = &ended.violations;
            wrong.push(format!("{name}: expected {expect}, came to {outcome} {violations:?}"));
        }
        played += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(played >= 115, "{played}");
}

#[test]
fn the_same_seed_gives_the_same_event_log_twice_and_on_any_number_of_threads() {
    let environments = environments();
    let plan = |threads| SwarmPlan {
        seed: 11,
        threads,
        real_permille: 0,
        shares: Shares::default(),
        worlds: Some(600),
    };
    let first = swarm(&environments, &plan(1), &|_| true).unwrap();
    let again = swarm(&environments, &plan(1), &|_| true).unwrap();
    let threads = swarm(&environments, &plan(2), &|_| true).unwrap();
    assert_eq!(first.log_hash, again.log_hash);
    assert_eq!(first.log_hash, threads.log_hash);
    assert_eq!(first.disputes, threads.disputes);
    assert_eq!(first.violations, []);
    // Also what is summed in floating point: worlds are added in their order.
    for (name, tally) in &first.strategies {
        assert_eq!(tally.profit_ether, threads.strategies[name].profit_ether, "{name}");
    }
}

#[test]
fn a_thousand_parties_with_one_honest_side_end_with_the_truth() {
    let environments = environments();
    let alone = environments.play(&crowd_scenario(2, 1), false).unwrap();
    let ended = environments.play(&crowd_scenario(998, 1), false).unwrap();
    assert_eq!(ended.violations, []);
    let executor = ended.groups.iter().find(|group| group.name == "executor").unwrap();
    assert_eq!(executor.outcome, "final");
    let claimers = ended.groups.iter().find(|group| group.name == "claimers").unwrap();
    assert_eq!(claimers.outcome, "fraud/step");
    assert_eq!(ended.honest_openings_max, alone.honest_openings_max);
    assert!(ended.groups.iter().filter(|group| group.honest).all(|group| group.profit_wei > 0));
}

#[test]
fn sixty_sybils_of_a_liar_leave_the_challenger_that_convicts_its_whole_cost() {
    let environments = environments();
    let ended = environments.play(&scenario("sixty-sybils"), false).unwrap();
    assert_eq!(ended.violations, []);
    let profit_wei =
        |name: &str| ended.groups.iter().find(|group| group.name == name).unwrap().profit_wei;
    // Two pieces of work at least, less one record fee.
    let parameters = Parameters::default();
    let least_wei = 2 * parameters.work_cost_wei - parameters.record_fee_wei;
    assert!(profit_wei("guardian") >= least_wei as i128, "{}", profit_wei("guardian"));
    // What the crowd takes, the liar has lost twice.
    let together_wei = profit_wei("attacker") + profit_wei("liar");
    assert!(together_wei <= -(parameters.stake_wei_min as i128 / 2), "{together_wei}");
}

fn saw(ended: &Ended, what: Sometimes) -> bool {
    let at = Sometimes::ALL.iter().position(|one| *one == what).unwrap();
    (ended.sometimes >> at) & 1 == 1
}

fn outcome<'a>(ended: &'a Ended, name: &str) -> &'a str {
    &ended.groups.iter().find(|group| group.name == name).unwrap().outcome
}

#[test]
fn the_scenarios_of_asks_show_what_they_say() {
    let environments = environments();
    let play = |name: &str| environments.play(&scenario(name), false).unwrap();

    let ended = play("named-challenger-leaves");
    assert!(saw(&ended, Sometimes::ChallengeWithdrawn) && saw(&ended, Sometimes::NamedSkipped));
    assert_eq!(outcome(&ended, "executor"), "final");

    let ended = play("withdraw-delay");
    assert!(saw(&ended, Sometimes::ChallengeWithdrawn));
    assert_eq!(outcome(&ended, "executor"), "final");
    // Each look costs its sender a share of the bond.
    let profit_wei =
        |name: &str| ended.groups.iter().find(|group| group.name == name).unwrap().profit_wei;
    let parameters = Parameters::default();
    let share_wei = parameters.bond_wei_min / 1_000 * u128::from(parameters.withdraw_permille);
    assert!(profit_wei("attacker") <= -6 * (share_wei as i128), "{}", profit_wei("attacker"));

    // What they ask for beside their proper moves is refused.
    for name in ["say-of-other-kind", "ask-beyond-iterations"] {
        let ended = play(name);
        assert_eq!(outcome(&ended, "executor"), "final", "{name}");
    }

    let ended = play("two-asks-one-saying");
    assert!(saw(&ended, Sometimes::BadAnswer), "nothing else was said");
    assert_eq!(outcome(&ended, "guardian"), "won");

    // The job has its answer, although its executor is gone and its only challenger never moves.
    for name in ["silent-accomplice", "gone-after-claim"] {
        let ended = play(name);
        let gone = if name == "silent-accomplice" { "ally" } else { "attacker" };
        assert_eq!(outcome(&ended, gone), "final", "{name}");
    }
}

#[test]
fn what_is_printed_as_a_scenario_is_read_as_the_same() {
    let environments = environments();
    for seed in 0..200 {
        let made_up = environments.made_up(seed, CommitmentKind::Toy).unwrap();
        assert_eq!(Scenario::parse(&made_up.to_toml()).unwrap(), made_up);
    }
}

#[test]
fn a_scenario_in_which_nothing_breaks_is_not_shrunk() {
    assert!(shrink(&environments(), &scenario("selective")).unwrap().is_none());
}

#[test]
fn rational_verifiers_stop_looking_under_the_plain_rule_and_go_on_with_attention_rewards() {
    use simulation::economy::{Economy, play};
    let environments = environments();
    let plain = play(&environments, &Economy::default()).unwrap();
    let attentive = Economy { attention_microether: 20_000, ..Economy::default() };
    let attentive = play(&environments, &attentive).unwrap();
    // Not one seed's luck: the intervals are far apart.
    assert!(plain.false_final.low > attentive.false_final.high, "{plain:?}\n{attentive:?}");
    assert!(attentive.watched.low > 0.95, "{attentive:?}");
    assert!(plain.watched.high < attentive.watched.low, "{plain:?}");
}
