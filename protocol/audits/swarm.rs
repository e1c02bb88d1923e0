//! The swarm knows no list of holes: with a part of a mend taken out, worlds with chaos and hostile worlds break an
//! invariant within a minute, and the world shrinks to a few events. This file lies beside the mends' patches and is
//! a test of the copy that has them (`protocol/audits/copy`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::time::{Duration, Instant};

use inference::{Engine, Isa};
use protocol::audits::{Audit, VARIABLE};
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::made_up::{Shares, dishonest, make_up};
use simulation::shrink::{moves, shrink};

/// Moves of a shrunk play at most. What is wrong with A11 shows only once the work of a claim's challengers costs more
/// than half a stake, which is 46 pieces or more; a move is two pieces at most, and an answered demand, two moves, is one.
const fn events_max(number: u8) -> usize {
    if number == Audit::A11 as u8 { 100 } else { 20 }
}
const SECONDS_MAX: u64 = 60;
/// Half of the worlds have chaos, half are hostile.
const SHARES: Shares = Shares { chaos_permille: 500, hostile_permille: 500 };

/// The parts that the machine or the roles' cores decide. (Which terms an executor admits its daemon decides, before its
/// core hears of a job: `Audit::A8Terms` is not among them.)
const PARTS: &[Audit] = &[
    Audit::A1,
    Audit::A2Challenged,
    Audit::A2Solver,
    Audit::A4,
    Audit::A5,
    Audit::A7Fees,
    Audit::A7Nothing,
    Audit::A8Expiry,
    Audit::A9,
    Audit::A11,
    Audit::A12,
    Audit::A13,
    Audit::A14,
    Audit::A15,
    Audit::Planted,
];

fn number() -> u8 {
    std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn each_mend_that_is_taken_out_is_found_and_shrinks_to_few_events() {
    if number() != 0 {
        return;
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |part: &&Audit| only.is_empty() || only.split(' ').any(|one| one == (**part as u8).to_string());
    let mut failures = Vec::new();
    for part in PARTS.iter().filter(wanted) {
        // A process is without one part from its start to its end.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_part_of_this_process_is_found", "--nocapture"])
            .env(VARIABLE, (*part as u8).to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().find(|line| line.contains(" plays, "));
        println!("{part:?}: {}", found.unwrap_or("not found"));
        if !output.status.success() || found.is_none() {
            failures.push(format!("{part:?}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_part_of_this_process_is_found() {
    // Without a number there is nothing to find: the other test starts this one with each.
    if number() == 0 {
        return;
    }
    let environments =
        Environments::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new()).unwrap();
    let begun = Instant::now();
    let plan = SwarmPlan { seed: 5, threads: 2, real_permille: 0, shares: SHARES, worlds: None };
    let go_on = |known: &simulation::swarm::Totals| {
        known.violations.is_empty() && begun.elapsed() < Duration::from_secs(SECONDS_MAX)
    };
    let totals = swarm(&environments, &plan, &go_on).unwrap();
    let took = begun.elapsed();
    let (seed, kind, violation) = totals.violations.first().expect("nothing was found");
    let names = dishonest(environments.toy());
    let scenario = make_up(environments.toy(), &names, *seed, *kind, SHARES);
    let shrunk = shrink(&environments, &scenario).unwrap().expect("it fails again");
    let (events, events_max) = (moves(&shrunk.ended), events_max(number()));
    println!(
        "{} after {:.2} s, {} worlds, {} disputes; {events} events after {} plays, {:.1} s",
        violation.invariant.name(),
        took.as_secs_f64(),
        totals.worlds,
        totals.disputes,
        shrunk.tries,
        begun.elapsed().as_secs_f64()
    );
    for line in shrunk.ended.log.iter().filter(|_| events > events_max) {
        let (party, action) = (&shrunk.scenario.party[line.group], line.action.name());
        println!("    {:>8} {} {action} {:?}", line.at_ms, party.strategy, line.outcome);
    }
    assert!(events <= events_max, "{events} events after shrinking");
}
