//! The audit and the challenger's core agree about who has money enough: on either side of the bound.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use inference::{Engine, Isa};
use simulation::environments::Environments;
use simulation::invariants::{Invariant, Sometimes};
use simulation::scenario::{Outage, OutageKind, PartySpec, Scenario};
use simulation::world::Ended;

/// One bond (100), the fees of sixteen demands (1 each) and of one record (1), in thousandths of an ether.
const NEEDED: u64 = 117;

/// The record fee, in millionths of an ether: here as much as a demand's.
const RECORD_FEE_MICROETHER: u64 = 1_000;

fn world(capital_milliether: u64, liars: u32, away: bool) -> Ended {
    let environments =
        Environments::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new()).unwrap();
    let mut guardian = PartySpec::new("guardian", "prompt");
    guardian.capital_milliether = Some(capital_milliether);
    let mut liar = PartySpec::new("liar", "selective");
    liar.count = liars;
    let mut scenario = Scenario { party: vec![guardian, liar], seed: 3, ..Scenario::default() };
    scenario.parameters.record_fee_microether = Some(RECORD_FEE_MICROETHER);
    if away {
        scenario.outage.push(Outage {
            party: "guardian".to_owned(),
            kind: OutageKind::Partitioned,
            from_ms: 0,
            for_ms: 3_600_000,
            slices: 1,
        });
    }
    environments.play(&scenario, false).unwrap()
}

fn broken(ended: &Ended) -> Vec<Invariant> {
    ended.violations.iter().map(|one| one.invariant).collect()
}

fn liar(ended: &Ended) -> &str {
    &ended.groups.iter().find(|group| group.name == "liar").unwrap().outcome
}

fn unwatched(ended: &Ended) -> bool {
    let at = Sometimes::ALL.iter().position(|one| *one == Sometimes::FalseFinalUnwatched).unwrap();
    (ended.sometimes >> at) & 1 == 1
}

#[test]
fn a_guardian_that_cannot_pay_breaks_no_promise_and_one_that_can_refutes() {
    for capital in [1, 99, 100, 112, NEEDED - 2, NEEDED - 1] {
        let ended = world(capital, 1, false);
        assert_eq!(broken(&ended), [], "{capital}");
        assert_eq!(liar(&ended), "final", "{capital}");
        assert!(unwatched(&ended), "{capital}");
    }
    for capital in [NEEDED, NEEDED + 1, 20_000] {
        let ended = world(capital, 1, false);
        assert_eq!((broken(&ended), liar(&ended)), (vec![], "fraud/step"), "{capital}");
        assert!(!unwatched(&ended), "{capital}");
    }
}

#[test]
fn the_audit_still_accuses_a_guardian_in_funds_that_does_nothing() {
    assert_eq!(broken(&world(NEEDED, 1, true)), [Invariant::NoFalseFinal]);
    assert_eq!(broken(&world(NEEDED - 1, 1, true)), []);
    // Two false claims at once take twice as much.
    assert_eq!(broken(&world(2 * NEEDED, 2, true)), [Invariant::NoFalseFinal]);
    assert_eq!(broken(&world(2 * NEEDED - 1, 2, true)), []);
    assert_eq!(broken(&world(2 * NEEDED - 1, 2, false)), []);
    let ended = world(2 * NEEDED, 2, false);
    assert_eq!((broken(&ended), liar(&ended)), (vec![], "fraud/step"));
}
