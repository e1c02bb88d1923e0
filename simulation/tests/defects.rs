//! Each invariant can fail: a deliberate defect makes exactly it fire, a swarm finds it, and it
//! shrinks to a few events. `cargo test --release -p simulation --features defects --test defects`.
#![cfg(feature = "defects")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use inference::{Engine, Isa};
use protocol::defects::{Defect, switch};
use simulation::arenas::{Arenas, SwarmPlan, swarm};
use simulation::invariants::Invariant;
use simulation::shrink::shrink;

const EVENTS_MAX: usize = 20;

const DEFECTS: [(Defect, Invariant); 22] = [
    (Defect::FinalThoughDisputed, Invariant::NoFalseFinal),
    (Defect::NeverFinal, Invariant::TrueFinal),
    (Defect::BondNotReturned, Invariant::NoHonestLoss),
    (Defect::MoneyAppears, Invariant::Conservation),
    (Defect::ClocksNeverRunOut, Invariant::DisputesEnd),
    (Defect::OpenedAgain, Invariant::OpeningsBounded),
    (Defect::ClockCredited, Invariant::ClocksMonotone),
    (Defect::AnswersChange, Invariant::NoEquivocation),
    (Defect::ForgetfulCore, Invariant::SameViewSameActions),
    (Defect::RivalsWaitInTurn, Invariant::DelayIndependent),
    (Defect::OneWinner, Invariant::RewardCoversCost),
    (Defect::StakeNotBurned, Invariant::HalfBurned),
    (Defect::RefereeSaysFraud, Invariant::VerdictIsTruth),
    (Defect::RefereeSaysSound, Invariant::HonestRefutationWins),
    (Defect::OnlyOneChallengeEnds, Invariant::VerdictEndsAll),
    (Defect::SolverGoesAstray, Invariant::DescentContainsDivergence),
    (Defect::SmallOpenings, Invariant::DemandsBounded),
    (Defect::AnswersNotShared, Invariant::AnswersShared),
    (Defect::WindowCutShort, Invariant::WindowRespected),
    (Defect::EndlessWork, Invariant::WorkBounded),
    (Defect::OpeningsNotChecked, Invariant::FactsAreCommitted),
    (Defect::LedgerForgets, Invariant::ReplayIsIdentical),
];

/// One test: the switch is the whole process's.
#[test]
fn each_defect_breaks_its_invariant_and_no_other_and_shrinks_to_few_events() {
    let named: BTreeSet<&str> = DEFECTS.iter().map(|(_, one)| one.name()).collect();
    assert_eq!(named.len(), Invariant::ALL.len(), "an invariant has no defect");
    let arenas = Arenas::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new()).unwrap();
    let mut failures = Vec::new();
    for (defect, expected) in DEFECTS {
        switch(Some(defect));
        let begun = Instant::now();
        let plan = SwarmPlan { seed: 5, threads: 1, real_permille: 0, worlds: None };
        let go_on = |known: &simulation::swarm::Totals| {
            known.violations.is_empty() && begun.elapsed() < Duration::from_secs(60)
        };
        let totals = swarm(&arenas, &plan, &go_on).unwrap();
        let found: BTreeSet<&str> =
            totals.violations.iter().map(|(_, _, one)| one.invariant.name()).collect();
        let took = begun.elapsed();
        let Some((seed, kind, _)) =
            totals.violations.iter().find(|(_, _, one)| one.invariant == expected)
        else {
            failures.push(format!("{defect:?}: {} not found, but {found:?}", expected.name()));
            continue;
        };
        let scenario = arenas.made_up(*seed, *kind).unwrap();
        let Some(shrunk) = shrink(&arenas, &scenario).unwrap() else {
            failures.push(format!("{defect:?}: does not fail again"));
            continue;
        };
        let events = shrunk.ended.log.len();
        println!(
            "{defect:?}: {found:?} after {:.2} s, {} disputes; {events} events after {} plays, {:.1} s",
            took.as_secs_f64(),
            totals.disputes,
            shrunk.tries,
            begun.elapsed().as_secs_f64()
        );
        if found.len() > 1 {
            failures.push(format!("{defect:?}: {found:?} instead of {} alone", expected.name()));
        }
        if events > EVENTS_MAX {
            for line in shrunk.ended.log.iter().rev().take(14).rev() {
                let (party, action) = (&shrunk.scenario.party[line.group], line.action.name());
                println!("    {:>8} {} {action} {:?}", line.at_ms, party.strategy, line.outcome);
            }
            failures.push(format!("{defect:?}: {events} events after shrinking"));
        }
    }
    switch(None);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
