//! Each invariant can fail: a deliberate defect makes exactly it fire, a swarm finds it, and it shrinks to a few
//! events. This file lies beside the defects' patches and is a test of the copy that has them
//! (`simulation/defects/copy`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use inference::{Engine, Isa};
use protocol::defects::{Defect, VARIABLE, active};
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::invariants::Invariant;
use simulation::made_up::{Shares, dishonest, make_up};
use simulation::shrink::shrink;

const EVENTS_MAX: usize = 20;

const DEFECTS: &[(Defect, Invariant)] = &[
    (Defect::FinalThoughDisputed, Invariant::NoFalseFinal),
    (Defect::NeverFinal, Invariant::TrueFinal),
    (Defect::StakeNotReturned, Invariant::NoHonestLoss),
    (Defect::MoneyAppears, Invariant::Conservation),
    (Defect::ClocksNeverRunOut, Invariant::DisputesEnd),
    (Defect::AsksNotChecked, Invariant::AsksProven),
    (Defect::OpenRefused, Invariant::PendingAnswerable),
    (Defect::SaidTwice, Invariant::KnowledgeConsistent),
    (Defect::ClockCredited, Invariant::ClocksMonotone),
    (Defect::AnswersChange, Invariant::NoEquivocation),
    (Defect::ForgetfulCore, Invariant::SameViewSameActions),
    (Defect::RivalsWaitInTurn, Invariant::DelayIndependent),
    (Defect::OneWinner, Invariant::RewardCoversCost),
    (Defect::StakeNotBurned, Invariant::HalfBurned),
    (Defect::RefereeSaysFraud, Invariant::VerdictIsTruth),
    (Defect::RefereeSaysSound, Invariant::HonestRefutationWins),
    (Defect::MovesAfterFall, Invariant::VerdictEndsAll),
    (Defect::SolverGoesAstray, Invariant::DescentContainsDivergence),
    (Defect::SmallOpenings, Invariant::DemandsBounded),
    (Defect::AnswersNotShared, Invariant::AnswersShared),
    (Defect::WindowCutShort, Invariant::WindowRespected),
    (Defect::EndlessWork, Invariant::WorkBounded),
    (Defect::OpeningsNotChecked, Invariant::FactsAreCommitted),
    (Defect::LedgerForgets, Invariant::ReplayIsIdentical),
    (Defect::ConvictorUnpaid, Invariant::RewardCoversCost),
    (Defect::CollectPaysTwice, Invariant::Conservation),
    (Defect::PlaceNotFreed, Invariant::Counters),
    (Defect::QueueIgnored, Invariant::Counters),
    (Defect::PassOverStanding, Invariant::Counters),
    (Defect::RecordFeeKept, Invariant::BurnedIsTold),
    (Defect::ReleasedThoughDisputed, Invariant::EndsRightly),
    (Defect::ExpiredThoughClaimed, Invariant::EndsRightly),
    (Defect::BondsForTheRich, Invariant::Challengeable),
    (Defect::BondsNotHeld, Invariant::NoFreeLock),
    (Defect::DomainForgetsSalt, Invariant::NoForeignSignature),
    (Defect::AnyWindow, Invariant::EndsInsideItsParameters),
    (Defect::NoRunUnseen, Invariant::NoRunNoPass),
    (Defect::FeeGoesAstray, Invariant::NoCoalitionProfit),
    (Defect::NumbersCountAgain, Invariant::NumbersCountOnce),
    (Defect::RepliesUnpaid, Invariant::PaidByTheRules),
];

/// What else a defect breaks elsewhere, and rightly so.
const BESIDE: &[(Defect, Invariant)] = &[
    // A job whose claim is never final does not end.
    (Defect::NeverFinal, Invariant::DisputesEnd),
];

#[test]
fn each_defect_breaks_its_invariant_and_no_other_and_shrinks_to_few_events() {
    let named: BTreeSet<&str> = DEFECTS.iter().map(|(_, one)| one.name()).collect();
    assert_eq!(named.len(), Invariant::ALL.len(), "an invariant has no defect");
    let mut failures = Vec::new();
    for &(defect, _) in DEFECTS {
        // A process has one defect from its start to its end.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_defect_of_this_process_is_found", "--nocapture"])
            .env(VARIABLE, (defect as u8).to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().find(|line| line.contains(" plays, "));
        println!("{}", found.unwrap_or("nothing was tried"));
        // A process that looked for nothing ends well, too.
        let is_of_it = found.is_some_and(|line| line.contains(&format!("{defect:?}: ")));
        if !output.status.success() || !is_of_it {
            failures.push(format!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_defect_of_this_process_is_found() {
    // Without a defect there is nothing to find: the other test starts this one with each.
    let Some(&(defect, expected)) = DEFECTS.iter().find(|(defect, _)| active(*defect)) else {
        return;
    };
    let environments =
        Environments::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new()).unwrap();
    let begun = Instant::now();
    let shares = match expected {
        Invariant::NoRunNoPass => Shares::default(),
        _ => Shares::NONE,
    };
    let plan = SwarmPlan { seed: 5, threads: 1, real_permille: 0, shares, worlds: None };
    // Most that breaks moves money wrongly as well, somewhere: that alone is not what is looked for.
    let is_beside = |one: Invariant| {
        (one == Invariant::PaidByTheRules && one != expected) || BESIDE.contains(&(defect, one))
    };
    let go_on = |known: &simulation::swarm::Totals| {
        let none = known.violations.iter().all(|(.., one)| is_beside(one.invariant));
        none && begun.elapsed() < Duration::from_secs(60)
    };
    let totals = swarm(&environments, &plan, &go_on).unwrap();
    let found: BTreeSet<&str> = totals
        .violations
        .iter()
        .map(|(_, _, one)| one.invariant)
        .filter(|one| !is_beside(*one))
        .map(Invariant::name)
        .collect();
    let took = begun.elapsed();
    let others = totals.violations.iter().filter(|(.., one)| one.invariant != expected);
    for (seed, _, one) in others.take(5) {
        println!("    {seed:016x} {} at {}: {}", one.invariant.name(), one.at_ms, one.detail);
    }
    let first = totals.violations.iter().find(|(_, _, one)| one.invariant == expected);
    let Some((seed, kind, _)) = first else {
        panic!("{defect:?}: {} not found, but {found:?}", expected.name());
    };
    let names = dishonest(environments.toy());
    let scenario = make_up(environments.toy(), &names, *seed, *kind, shares);
    let shrunk = shrink(&environments, &scenario).unwrap();
    let shrunk = shrunk.unwrap_or_else(|| panic!("{defect:?}: does not fail again"));
    let events = shrunk.ended.log.len();
    println!(
        "{defect:?}: {found:?} after {:.2} s, {} disputes; {events} events after {} plays, {:.1} s",
        took.as_secs_f64(),
        totals.disputes,
        shrunk.tries,
        begun.elapsed().as_secs_f64()
    );
    for line in shrunk.ended.log.iter().rev().take(14).rev().filter(|_| events > EVENTS_MAX) {
        let (party, action) = (&shrunk.scenario.party[line.group], line.action.name());
        println!("    {:>8} {} {action} {:?}", line.at_ms, party.strategy, line.outcome);
    }
    assert_eq!(found.len(), 1, "{defect:?}: {found:?} instead of {} alone", expected.name());
    assert!(events <= EVENTS_MAX, "{defect:?}: {events} events after shrinking");
}
