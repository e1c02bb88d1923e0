use protocol::hash::{Keccak, leaf};
use protocol::ids::ClaimId;
use protocol::settlement::{ETHER, attention};
use protocol::transaction::Action;

use super::*;
use crate::testing::{BANK, CHALLENGER, Court, EXECUTOR, POSTER, PUT_IN_WEI, SECOND, statement};

/// Burned for each object.
const RECORD_FEE_WEI: u128 = ETHER / 10_000;
/// Of a challenge of a claim with a stake of one ether.
const BOND_WEI: u128 = ETHER / 10;
const DEMAND_FEE_WEI: u128 = ETHER / 1_000;

impl Court {
    fn exposure(&self, account: Address) -> Exposure {
        Exposure::of(&self.view(), &account)
    }

    fn profit_wei(&self, account: Address) -> i128 {
        self.exposure(account).profit_wei(Paid { in_wei: PUT_IN_WEI, out_wei: 0 })
    }
}

/// A claim that two accounts challenge; both wait for an answer, the first since longer.
fn disputed() -> (Court, ClaimId) {
    let mut court = Court::new();
    let claim = court.claim();
    for challenger in [CHALLENGER, SECOND] {
        court.does(challenger, &Action::Challenge { claim });
        court.demand(challenger, claim);
        court.now_ms += 5;
    }
    (court, claim)
}

#[test]
fn profit_is_what_an_account_has_and_took_out_beyond_what_it_put_in() {
    let exposure = Exposure { free_wei: 40, stakes_wei: 5, ..Exposure::default() };
    for (in_wei, out_wei, profit_wei) in [(50, 20, 15), (45, 0, 0), (50, 0, -5)] {
        assert_eq!(exposure.profit_wei(Paid { in_wei, out_wei }), profit_wei);
    }
}

#[test]
fn parties_of_a_dispute_see_what_is_locked_and_whose_move_it_is() {
    let (court, _) = disputed();
    let deadline_ms = 1_000 + court.settlement.parameters().executor_clock_ms;
    let executor = court.exposure(EXECUTOR);
    let wanted = Exposure {
        free_wei: PUT_IN_WEI - ETHER - RECORD_FEE_WEI,
        stakes_wei: ETHER,
        claims: 1,
        disputes: 2,
        to_move: 2,
        deadline_ms: Some(deadline_ms),
        ..Exposure::default()
    };
    assert_eq!(executor, wanted);
    let locked_wei = BOND_WEI + DEMAND_FEE_WEI;
    let wanted = Exposure {
        free_wei: PUT_IN_WEI - locked_wei - RECORD_FEE_WEI,
        bonds_wei: locked_wei,
        needed_wei: demands_reserve_wei(court.settlement.parameters()) - DEMAND_FEE_WEI,
        challenges: 1,
        ..Exposure::default()
    };
    assert_eq!(court.exposure(SECOND), wanted);
    assert_eq!(court.exposure(POSTER).fees_wei, ETHER / 100);
    // Whoever does something pays for its record, and that is all.
    for account in [POSTER, EXECUTOR, CHALLENGER, SECOND] {
        assert_eq!(court.profit_wei(account), -(RECORD_FEE_WEI as i128));
    }
}

#[test]
fn an_open_challenge_of_a_fallen_claim_is_to_collect_and_has_no_clock_but_its_bond_is_locked() {
    let (mut court, claim) = disputed();
    court.now_ms = 1_001 + court.settlement.parameters().executor_clock_ms;
    court.does(BANK, &Action::CallTime { claim, challenger: CHALLENGER });
    let executor = court.exposure(EXECUTOR);
    let free_wei = PUT_IN_WEI - ETHER - RECORD_FEE_WEI;
    assert_eq!(executor, Exposure { free_wei, ..Exposure::default() });
    let second = court.exposure(SECOND);
    let bonds_wei = BOND_WEI + DEMAND_FEE_WEI;
    let free_wei = PUT_IN_WEI - bonds_wei - RECORD_FEE_WEI;
    assert_eq!(second, Exposure { free_wei, bonds_wei, to_collect: 1, ..Exposure::default() });
    // Who convicted has all of it already.
    let first = court.exposure(CHALLENGER);
    assert_eq!((first.bonds_wei, first.to_collect, first.challenges), (0, 0, 0));
    assert!(court.profit_wei(CHALLENGER) > 0);
    court.does(BANK, &Action::Collect { claim, challenger: SECOND });
    let collected = court.exposure(SECOND);
    assert_eq!((collected.bonds_wei, collected.to_collect), (0, 0));
    assert!(collected.free_wei > PUT_IN_WEI && court.profit_wei(SECOND) > 0);
}

#[test]
fn sealed_stakes_and_bonds_of_words_about_them_are_the_accounts_money() {
    let mut court = Court::new();
    let job = court.job(ETHER);
    let statement = statement(job);
    let (root, salt) = (statement.terms.sequence_root, leaf(b"salt"));
    let seal = attention::seal::<Keccak>(&EXECUTOR, &root, &salt);
    court.does(EXECUTOR, &Action::SealClaim { job, seal });
    let sealed = attention::sealed_id::<Keccak>(&EXECUTOR, &job, &seal);
    let word = attention::word::<Keccak>(&SECOND, &root, &salt);
    court.does(SECOND, &Action::Attest { sealed, word });
    assert_eq!(court.exposure(EXECUTOR).stakes_wei, ETHER);
    let bond_wei = court.settlement.parameters().attest_bond_wei;
    assert_eq!(court.exposure(SECOND).bonds_wei, bond_wei);
    assert_eq!(court.profit_wei(EXECUTOR), -(RECORD_FEE_WEI as i128));
    assert_eq!(court.profit_wei(SECOND), -(RECORD_FEE_WEI as i128));
    // Opened, the stake is the claim's, and counts once.
    court.now_ms += court.settlement.parameters().seal_ms + 1;
    court.does(EXECUTOR, &Action::OpenClaim { sealed, statement, salt });
    let executor = court.exposure(EXECUTOR);
    assert_eq!((executor.stakes_wei, executor.claims), (ETHER, 1));
}
