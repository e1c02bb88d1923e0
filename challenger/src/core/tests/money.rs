//! Challenges are opened as far as the money reaches, and none that could not be finished.

use super::*;
use node::exposure::demands_reserve_wei;

/// Money for the demands of one challenge.
const FEES_WEI: u128 = 16 * ETHER / 1_000;
/// Burned for each challenge.
const RECORD_FEE_WEI: u128 = ETHER / 10_000;
/// What a challenge with the least bond takes.
const CHALLENGE_WEI: u128 = BOND_WEI + RECORD_FEE_WEI + FEES_WEI;

/// As [`one_false_claim`], with this much money.
fn with_money(amount_wei: u128) -> (Play, ClaimId) {
    let network = ladder(3);
    let mut court = Court::new();
    if amount_wei > 0 {
        court.deposit(Who::Challenger, amount_wei);
    }
    let job = court.job(&network, ETHER);
    let claim = court.claim("claim", Who::Executor, job, &false_claim(&network));
    let mut core = core(Policy::Differing);
    core.watch(job, honest_view(&network));
    (court.played_by(core), claim)
}

fn unaffordable(play: &Play) -> Vec<ClaimId> {
    play.core.unaffordable(&play.court.view())
}

#[test]
fn the_reserve_is_that_of_the_ledgers_fees() {
    let reserve_wei = demands_reserve_wei(&Parameters::default());
    assert_eq!(reserve_wei, FEES_WEI);
}

#[test]
fn a_challenge_needs_its_bond_its_record_fee_and_the_fees_of_its_demands() {
    cov_mark::check!(challenge_is_unaffordable);
    let (play, _) = with_money(CHALLENGE_WEI);
    assert_eq!(unaffordable(&play), []);
    let play = play.does(&["challenge claim"]);
    // The record fee is gone; the fees of demands are still there.
    assert_eq!(play.court.free_wei(Who::Challenger), FEES_WEI);
    let (play, claim) = with_money(CHALLENGE_WEI - 1);
    let play = play.wants(&[]);
    assert_eq!(unaffordable(&play), [claim]);
    let (play, claim) = with_money(0);
    let play = play.wants(&[]);
    assert_eq!(unaffordable(&play), [claim]);
}

#[test]
fn who_only_wants_to_know_decides_without_money() {
    let (mut play, _) = with_money(0);
    play.core.suppose_funded();
    let play = play.wants(&["challenge claim"]);
    assert_eq!(unaffordable(&play), []);
}

#[test]
fn what_is_not_wanted_is_not_unaffordable() {
    let (mut play, _) = with_money(0);
    play.core.set_policy(Policy::Nothing);
    assert_eq!(unaffordable(&play), []);
    play.core.set_policy(Policy::Differing);
    let play = play.wait(WINDOW_MS + 1);
    assert_eq!(unaffordable(&play), []);
}

/// Claims by the names of "small", "middle" and "large", with five, ten and fifteen ether at stake: their
/// challenges take one, two and three of the least bonds.
fn three_claims(amount_wei: u128) -> (Play, [ClaimId; 3]) {
    let networks = [ladder(1), ladder(2), ladder(3)];
    let mut court = Court::new();
    court.deposit(Who::Challenger, amount_wei);
    let mut core = core(Policy::Differing);
    let mut claims = [ClaimId::default(); 3];
    for (place, name) in ["small", "middle", "large"].into_iter().enumerate() {
        let network = &networks[place];
        let job = court.job(network, (place as u128 + 1) * 5 * ETHER);
        claims[place] = court.claim(name, Who::Executor, job, &false_claim(network));
        court.now_ms += 10;
        core.watch(job, honest_view(network));
    }
    (court.played_by(core), claims)
}

#[test]
fn money_goes_where_the_most_is_at_stake() {
    // For all three, for the larger two, and for the largest alone: what is wanted is in the order
    // of the windows, what is chosen in that of the stakes.
    let all_wei = 6 * BOND_WEI + 3 * (FEES_WEI + RECORD_FEE_WEI);
    let (play, _) = three_claims(all_wei);
    let play = play.wants(&["challenge small", "challenge middle", "challenge large"]);
    assert_eq!(unaffordable(&play), []);
    let (play, [small, ..]) = three_claims(all_wei - 1);
    let play = play.wants(&["challenge middle", "challenge large"]);
    assert_eq!(unaffordable(&play), [small]);
    let (play, [small, middle, _]) = three_claims(4 * BOND_WEI);
    // What is left after the largest does not reach for the middle one, but nearly.
    let play = play.wants(&["challenge large"]);
    assert_eq!(unaffordable(&play), [middle, small]);
}

#[test]
fn a_claim_that_is_too_dear_does_not_stand_before_one_that_is_not() {
    let (play, [_, middle, large]) = three_claims(CHALLENGE_WEI);
    let play = play.wants(&["challenge small"]);
    assert_eq!(unaffordable(&play), [large, middle]);
}

/// Two claims of the same stake; the second comes later.
fn one_after_another(amount_wei: u128) -> (Play, JobId, Network) {
    let (first, second) = (ladder(2), ladder(3));
    let mut court = Court::new();
    court.deposit(Who::Challenger, amount_wei);
    let job = court.job(&first, ETHER);
    court.claim("first", Who::Executor, job, &false_claim(&first));
    let later = court.job(&second, ETHER);
    let mut core = core(Policy::Differing);
    core.watch(job, honest_view(&first));
    core.watch(later, honest_view(&second));
    (court.played_by(core), later, second)
}

#[test]
fn what_open_challenges_may_still_need_is_not_spent_on_new_ones() {
    cov_mark::check!(open_challenge_needs_a_reserve);
    for (amount_wei, reaches) in [(2 * CHALLENGE_WEI, true), (2 * CHALLENGE_WEI - 1, false)] {
        // Fees that were paid already are not set aside again: before and after a demand, the
        // same sum is enough.
        for demands in [0, 1, 2] {
            let (play, job, network) = one_after_another(amount_wei);
            let mut play = play.does(&["challenge first"]);
            for expected in [
                "demand of first: states of the run, level 0",
                "demand of first: operators inside layer 0",
            ]
            .iter()
            .take(demands)
            {
                play = play.does(&[*expected]).answered();
            }
            let statement = false_claim(&network);
            let claim = play.court.claim("second", Who::Rival, job, &statement);
            let decisions = play.decisions();
            let wanted = decisions.iter().any(|one| one.action == Action::Challenge { claim });
            assert_eq!(wanted, reaches, "{demands} demands");
            assert_eq!(unaffordable(&play).contains(&claim), !reaches);
        }
    }
}

#[test]
fn what_is_over_needs_nothing_any_more() {
    let (play, job, network) = one_after_another(BOND_WEI + RECORD_FEE_WEI + CHALLENGE_WEI);
    let mut play = play.does(&["challenge first"]).wait(CLOCK_MS + 1);
    let first = play.court.settlement.challenge(&play.challenge()).unwrap().claim;
    play.court.perform(Who::Executor, call_time(first, Who::Challenger));
    // The bond is lost; what was set aside for demands is free.
    assert_eq!(play.court.free_wei(Who::Challenger), CHALLENGE_WEI);
    play.court.claim("second", Who::Rival, job, &false_claim(&network));
    play.does(&["challenge second"]);
}

#[test]
fn the_money_of_others_challenges_is_not_ours_to_set_aside() {
    let (mut play, claim) = with_money(CHALLENGE_WEI);
    play.court.challenge(Who::Second, claim);
    play.wants(&["challenge claim"]);
}

#[test]
fn what_is_to_be_collected_sets_nothing_aside_and_cannot_be_spent() {
    let (play, job, network) = one_after_another(BOND_WEI + RECORD_FEE_WEI + CHALLENGE_WEI);
    let mut play = play.does(&["challenge first"]);
    let first = play.court.settlement.challenge(&play.challenge()).unwrap().claim;
    play.court.challenge(Who::Second, first);
    play.court.demand_trace(Who::Second, first);
    play = play.wait(CLOCK_MS + 1);
    play.court.perform(Who::Second, call_time(first, Who::Second));
    // The bond is still locked; what was set aside for demands is free.
    assert_eq!(play.court.free_wei(Who::Challenger), CHALLENGE_WEI);
    play.court.claim("second", Who::Rival, job, &false_claim(&network));
    let play = play.wants(&["challenge second", "collect from first"]);
    assert_eq!(unaffordable(&play), []);
    let mut poor = play.clone();
    let amount_wei = ETHER / 1_000;
    poor.court.perform(Who::Challenger, Action::Withdraw { amount_wei });
    // Once collected, it is there.
    poor.does(&["collect from first"]).wants(&["challenge second"]);
}

#[test]
fn audit_a4_the_largest_stake_takes_the_largest_bond_and_no_more() {
    let network = ladder(1);
    let most_wei = 10 * ETHER + RECORD_FEE_WEI + FEES_WEI;
    for (amount_wei, reaches) in [(most_wei, true), (most_wei - 1, false)] {
        let mut court = Court::new();
        court.deposit(Who::Challenger, amount_wei);
        let job = court.job(&network, 900 * ETHER);
        let claim = court.claim("huge", Who::Executor, job, &false_claim(&network));
        let mut core = core(Policy::Differing);
        core.watch(job, honest_view(&network));
        let wanted: &[&str] = if reaches { &["challenge huge"] } else { &[] };
        let play = court.played_by(core).wants(wanted);
        assert_eq!(unaffordable(&play).contains(&claim), !reaches);
    }
}
