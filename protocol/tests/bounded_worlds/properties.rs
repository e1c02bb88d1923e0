//! What holds in every state of every world.

use protocol::settlement::rules::ChallengePhase;
use protocol::settlement::{Challenge, ChallengeStatus, Claim, ClaimStatus, JobStatus, Settlement};
use protocol::transaction::{Action, Address};
use stateright::Property;

use crate::honest::{has_fallen, is_final};
use crate::state::State;
use crate::world::{
    CHALLENGER, EXECUTOR, Executor, FEE_WEI, FUNDS_WEI, RIVAL, STRANGER, Sabotage, World,
};

pub(crate) const STANDS: &str = "a true claim never falls, and its executor is whole";
pub(crate) const FALLS: &str = "a false claim is never final";
pub(crate) const ANSWERABLE: &str = "every ask that waits can be answered in time";
pub(crate) const KEPT: &str = "an honest challenge is never lost";
pub(crate) const PAID: &str = "who convicts has its whole cost, and half of the stake burns";
pub(crate) const CONSERVED: &str = "money is conserved, and objects hold what is locked";
pub(crate) const BOUND: &str = "a claim ends within its bound";
pub(crate) const WITHDRAWS: &str =
    "who asked for ends alone and was answered may withdraw, nobody else";
pub(crate) const CLOSES: &str = "nothing is stuck";
pub(crate) const COLLECTS: &str = "what a fall leaves is collected exactly once";
pub(crate) const TOUCHES: &str = "a move changes nothing that is not its own";
pub(crate) const SERVES: &str = "as many are served as the ledger says, in their order";

type Condition = fn(&World, &State) -> bool;

const ALL: [(&str, Condition); 12] = [
    (STANDS, stands),
    (FALLS, |world, state| !world.setup.challenger || !is_final(&world.of(state).status)),
    (ANSWERABLE, answerable),
    (KEPT, |world, state| {
        let own = state.ledger.challenge_by(&world.claim, &CHALLENGER);
        own.is_none_or(|one| one.status != ChallengeStatus::Lost)
    }),
    (PAID, paid),
    (CONSERVED, conserved),
    (BOUND, bound),
    (WITHDRAWS, withdraws),
    (CLOSES, closes),
    (COLLECTS, collects),
    (TOUCHES, |_, state| state.fault.is_none()),
    (SERVES, serves),
];

/// All properties, or the one that is asked for.
pub(crate) fn all(only: Option<&'static str>) -> Vec<Property<World>> {
    let asked = ALL.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    asked.map(|(name, holds)| Property::always(name, *holds)).collect()
}

impl World {
    pub(crate) fn of<'a>(&self, state: &'a State) -> &'a Claim {
        state.ledger.claim(&self.claim).expect("it was posted")
    }

    fn is_honest(&self) -> bool {
        match self.setup.executor {
            Executor::Honest(_) | Executor::Careless => true,
            Executor::Liar => false,
        }
    }
}

/// Its executor has at the end what it had, the fee, and no less than that.
fn stands(world: &World, state: &State) -> bool {
    let status = &world.of(state).status;
    let free_wei = state.ledger.money().free_wei(&EXECUTOR);
    let record_wei = state.ledger.parameters().record_fee_wei;
    let is_whole = !is_final(status) || free_wei >= FUNDS_WEI - record_wei + FEE_WEI;
    !world.setup.is_true() || (!has_fallen(status) && is_whole)
}

/// Tried on a copy: now for the challenger alone, and at the deadline for everybody.
fn answerable(world: &World, state: &State) -> bool {
    if !world.is_honest() {
        return true;
    }
    let now_ms = world.now_ms(state);
    let floor_ms = state.ledger.parameters().move_floor_ms;
    world.challenges(&state.ledger).all(|one| {
        let in_time = state.ledger.phase_of(one, now_ms) == ChallengePhase::ExecutorToMove;
        let (true, Some(ask), Some(end_ms)) = (in_time, one.pending(), one.deadline_ms(floor_ms))
        else {
            return true;
        };
        let item = world.item(ask);
        let alone = (now_ms, vec![one.challenger]);
        let together = (end_ms, world.challengers.clone());
        [alone, together].into_iter().all(|(at_ms, named)| {
            let answer = world.reveal(item, named, false);
            let mut copy = state.ledger.clone();
            let accepted = copy.perform(at_ms, EXECUTOR, 0, &answer).is_ok();
            let after = copy.challenge_by(&world.claim, &one.challenger);
            accepted && after.is_some_and(|one| one.pending().is_none())
        })
    })
}

fn paid(world: &World, state: &State) -> bool {
    let claim = world.of(state);
    let ClaimStatus::Fallen { challenge, share_wei, .. } = &claim.status else { return true };
    let parameters = state.ledger.parameters();
    let one = state.ledger.challenge(challenge).expect("it convicted");
    let ChallengeStatus::Won { reward_wei } = one.status else { return false };
    let cost_wei = parameters.work_cost_wei * u128::from(one.work());
    let out_wei = reward_wei + others_wei(claim, state, one.challenger);
    reward_wei >= cost_wei + share_wei && out_wei <= claim.stake_wei / 2
}

/// What the others were or will be paid beyond their own money.
fn others_wei(claim: &Claim, state: &State, convicted: Address) -> u128 {
    let paid = state.ledger.challenges().map(|(_, one)| match one.status {
        ChallengeStatus::Won { reward_wei } if one.challenger != convicted => reward_wei,
        _ => 0,
    });
    paid.sum::<u128>() + claim.owed_wei
}

fn conserved(world: &World, state: &State) -> bool {
    let money = state.ledger.money();
    let inside = money.free_total_wei() + money.locked_wei() + money.burned_wei();
    money.is_conserved()
        && money.locked_wei() == state.ledger.locked_by_objects_wei()
        && inside == world.start.money().deposited_wei()
}

/// Where somebody does at once what anybody may do.
fn bound(world: &World, state: &State) -> bool {
    let claim = world.of(state);
    let one_round = world.setup.sabotage == Sabotage::BoundOfOneRound;
    let by_ms = if one_round {
        claim.window_end_ms + state.ledger.parameters().challenge_ms_max()
    } else {
        state.ledger.final_by_ms(claim)
    };
    !world.setup.prompt || !claim.stands() || world.now_ms(state) <= by_ms
}

/// Tried on a copy, in every challenge.
fn withdraws(world: &World, state: &State) -> bool {
    let now_ms = world.now_ms(state);
    let one_ask = world.setup.sabotage == Sabotage::WithdrawalAfterOneAsk;
    world.challenges(&state.ledger).all(|one| {
        let turn = state.ledger.phase_of(one, now_ms) == ChallengePhase::ChallengerToMove;
        let looked = one.demands == 0 && one.end_replies > 0 && !(one_ask && one.end_asks > 1);
        let withdraw = Action::WithdrawChallenge { claim: world.claim };
        let mut copy = state.ledger.clone();
        let accepted = copy.perform(now_ms, one.challenger, 0, &withdraw).is_ok();
        accepted == (turn && looked)
    })
}

/// Anybody can bring it to its end from here: time is called, a claim becomes final, or the job expires and all
/// collect. Then nothing is held any more, and a true claim behind a lie was final within its bound.
fn closes(world: &World, state: &State) -> bool {
    if !world.setup.closes {
        return true;
    }
    let mut copy = state.clone();
    let (mut now_ms, by_ms) = (world.now_ms(state), rival_by_ms(world, &state.ledger));
    for _ in 0..4 * (world.challengers.len() + 2) {
        if copy.ledger.money().locked_wei() == 0 {
            return is_settled(world, &copy.ledger);
        }
        let Some((at_ms, action)) = next_chore(world, &copy.ledger) else { return false };
        now_ms = now_ms.max(at_ms);
        let is_rival_s = matches!(action, Action::Finalise { claim } if world.rival == Some(claim));
        let in_time = !is_rival_s || !world.setup.prompt || now_ms <= by_ms;
        if !in_time || !world.act(&mut copy, now_ms, STRANGER, &action) {
            return false;
        }
    }
    false
}

/// The bound of the claim that stands behind the lie, as it is printed now.
fn rival_by_ms(world: &World, ledger: &Settlement) -> u64 {
    let rival = world.rival.and_then(|claim| ledger.claim(&claim));
    match (world.setup.sabotage, rival) {
        (_, None) => u64::MAX,
        (Sabotage::BoundOfOneRound, Some(rival)) => rival.last_finality_ms,
        (_, Some(rival)) => ledger.final_by_ms(rival),
    }
}

fn is_settled(world: &World, ledger: &Settlement) -> bool {
    let claim = ledger.claim(&world.claim).expect("it was posted");
    let job = ledger.job(&world.job).expect("it was posted");
    let record_wei = ledger.parameters().record_fee_wei;
    let is_paid = |account| ledger.money().free_wei(account) == FUNDS_WEI - record_wei + FEE_WEI;
    match job.status {
        JobStatus::Done { claim } if world.rival == Some(claim) => is_paid(&RIVAL),
        JobStatus::Done { .. } => is_final(&claim.status),
        JobStatus::Expired => has_fallen(&claim.status) && world.rival.is_none(),
        JobStatus::Open => false,
    }
}

fn next_chore(world: &World, ledger: &Settlement) -> Option<(u64, Action)> {
    let claim = ledger.claim(&world.claim).expect("it was posted");
    let id = world.claim;
    if has_fallen(&claim.status) {
        let mut open = world.challenges(ledger).filter(|one| one.is_open());
        if let Some(one) = open.next() {
            return Some((0, Action::Collect { claim: id, challenger: one.challenger }));
        }
        if let Some(claim) = world.rival {
            let end_ms = ledger.claim(&claim)?.window_end_ms;
            return Some((end_ms + 1, Action::Finalise { claim }));
        }
        let until_ms = ledger.job(&world.job)?.open_until_ms;
        return Some((until_ms + 1, Action::ExpireJob { job: world.job }));
    }
    if is_final(&claim.status) {
        return world.rival.map(|claim| (0, Action::Release { claim }));
    }
    let floor_ms = ledger.parameters().move_floor_ms;
    let deadline = |one: &Challenge| Some((one.deadline_ms(floor_ms)?, one.challenger));
    match world.challenges(ledger).filter_map(deadline).min() {
        Some((end_ms, challenger)) => {
            Some((end_ms + 1, Action::CallTime { claim: id, challenger }))
        }
        None => Some((claim.window_end_ms + 1, Action::Finalise { claim: id })),
    }
}

/// Tried on a copy by one who has no part in it, in both orders: each open challenge of a fallen claim is paid its
/// bond, fees and share once, no other anything, and together it is what the claim owes.
fn collects(world: &World, state: &State) -> bool {
    let claim = world.of(state);
    let ClaimStatus::Fallen { unit_wei, share_wei, .. } = claim.status else { return true };
    let all: Vec<&Challenge> = world.challenges(&state.ledger).collect();
    let more_wei = u128::from(world.setup.sabotage == Sabotage::FirstTakesMore);
    let orders: [Vec<&Challenge>; 2] = [all.clone(), all.iter().rev().copied().collect()];
    orders.into_iter().all(|order| {
        let mut copy = state.ledger.clone();
        let now_ms = world.now_ms(state).max(copy.now_ms());
        let each = order.iter().all(|one| {
            let action = Action::Collect { claim: world.claim, challenger: one.challenger };
            let had_wei = copy.money().free_wei(&one.challenger);
            let accepted = copy.perform(now_ms, STRANGER, 0, &action).is_ok();
            let again = copy.perform(now_ms, STRANGER, 0, &action).is_ok();
            let got_wei = copy.money().free_wei(&one.challenger) - had_wei;
            let share_wei = unit_wei * u128::from(one.work()) + share_wei;
            let first_wei = if one.number == 0 { more_wei } else { 0 };
            let due_wei = one.bond_wei + one.fees_wei + share_wei + first_wei;
            accepted == one.is_open()
                && !again
                && got_wei == if one.is_open() { due_wei } else { 0 }
        });
        let left_wei = copy.claim(&world.claim).map(|claim| claim.owed_wei);
        // What is still locked is the poster's, and the stake of another claim.
        let rival = world.rival.and_then(|claim| copy.claim(&claim));
        let held_wei = FEE_WEI + rival.map_or(0, |rival| rival.stake_wei);
        each && left_wei == Some(0) && copy.money().locked_wei() == held_wei
    })
}

fn serves(world: &World, state: &State) -> bool {
    let fewer = usize::from(world.setup.sabotage == Sabotage::ServesOneFewer);
    let served_max = state.ledger.parameters().served_max as usize - fewer;
    let open: Vec<&Challenge> =
        world.challenges(&state.ledger).filter(|one| one.is_open()).collect();
    let is_queued = |one: &Challenge| one.status == ChallengeStatus::Queued;
    let served = open.iter().filter(|one| !is_queued(one)).count();
    let stands = world.of(state).stands();
    // Those that wait are the last ones, and no place is free while they do.
    let in_order = open.iter().skip(served).all(|one| is_queued(one));
    served <= served_max && in_order && (!stands || served == served_max.min(open.len()))
}

impl World {
    /// What a transition did that is not its own: to the money of others, to the claim, to other challenges.
    pub(crate) fn fault_of(
        &self,
        before: &Settlement,
        after: &Settlement,
        who: Address,
        action: &Action,
    ) -> Option<&'static str> {
        let Action::WithdrawChallenge { .. } = action else { return None };
        let parameters = before.parameters();
        let one = before.challenge_by(&self.claim, &who)?;
        let permille = match self.setup.sabotage {
            Sabotage::WithdrawalForNothing => 0,
            _ => u128::from(parameters.withdraw_permille),
        };
        let burned_wei = one.bond_wei * permille / 1_000;
        let expected = |account: &Address| {
            let had_wei = before.money().free_wei(account);
            match *account {
                EXECUTOR => had_wei + one.fees_wei,
                account if account == who => had_wei + one.bond_wei - burned_wei,
                _ => had_wei,
            }
        };
        let moved = after.money().accounts().all(|(account, wei)| wei == expected(account));
        if !moved || after.money().burned_wei() != before.money().burned_wei() + burned_wei {
            return Some("a withdrawal moves other money");
        }
        let (claim, then) = (before.claim(&self.claim)?, after.claim(&self.claim)?);
        let same_claim = then.status == claim.status && then.said == claim.said;
        let same_job = before.job(&self.job) == after.job(&self.job);
        let others = before.challenges().all(|(id, other)| {
            let served = other.status == ChallengeStatus::Queued;
            other.challenger == who || served || after.challenge(id) == Some(other)
        });
        (!same_claim || !same_job || !others).then_some("a withdrawal changes something else")
    }
}
