//! A machine that knows nothing: what it decides, and what it changes, follows from a claim's terms, the model's
//! header, what was said and what each challenge asked last. It is held against every transition of every game.

use protocol::asks::{Ask, AskError, Context, Finding, Proven, Showing, fits, judge};
use protocol::hash::{Digest, Keccak};
use protocol::settlement::rules::ChallengePhase;
use protocol::settlement::{
    Challenge, ChallengeStatus, Claim, Event, MoneyError, Rejection, Settlement, Turn,
};
use protocol::transaction::{Action, Address};

/// When an action arrives, and who sends it.
type Sent = (u64, Address);

/// What the settlement decided is what the machine decides that knows nothing.
pub fn check_decision(
    before: &Settlement,
    after: &Settlement,
    sent: Sent,
    action: &Action,
    outcome: &Result<Vec<Event>, Rejection>,
) {
    if sent.0 < before.now_ms() {
        return;
    }
    let decided = match action {
        Action::Demand { .. } => demanded(before, sent, action),
        Action::Reveal { .. } => revealed(before, sent, action),
        Action::Refute { .. } => refuted(before, sent, action),
        Action::WithdrawChallenge { claim } => {
            turn_of_challenger(before, sent, before.challenge_by(claim, &sent.1)).and_then(|one| {
                match one.demands == 0 && one.end_replies > 0 {
                    true => Ok(()),
                    false => Err(Rejection::NotWithdrawable),
                }
            })
        }
        _ => return,
    };
    assert_eq!(outcome.as_ref().err(), decided.as_ref().err(), "{action:?}");
    if outcome.is_ok() {
        check_change(before, after, sent, action);
    }
}

fn turn_of_challenger<'a>(
    state: &Settlement,
    (now_ms, _): Sent,
    challenge: Option<&'a Challenge>,
) -> Result<&'a Challenge, Rejection> {
    let one = challenge.ok_or(Rejection::Unknown { kind: "challenge" })?;
    let end_ms = one.deadline_ms(state.parameters().move_floor_ms).unwrap_or_default();
    match state.phase_of(one, now_ms) {
        ChallengePhase::Collectable | ChallengePhase::Ended => {
            Err(Rejection::Over { kind: "challenge" })
        }
        ChallengePhase::Queued => {
            Err(Rejection::Waiting { what: "an earlier challenge of the claim" })
        }
        ChallengePhase::ChallengerLate | ChallengePhase::ExecutorLate => {
            Err(Rejection::TooLate { at_ms: end_ms })
        }
        ChallengePhase::ExecutorToMove => Err(Rejection::NotYourMove),
        ChallengePhase::ChallengerToMove => Ok(one),
    }
}

fn context<'a>(state: &'a Settlement, claim: &'a Claim, from: Option<&'a Ask>) -> Context<'a> {
    let header = state.model(&claim.terms.model_root).unwrap();
    let arity_log2 = state.parameters().arity_log2;
    let length = state.job(&claim.terms.job).unwrap().terms.length();
    Context { terms: &claim.terms, header, length, said: &claim.said, from, arity_log2 }
}

fn proven<'a>(
    state: &'a Settlement,
    one: &Challenge,
    showings: &[Showing],
    from: Option<&'a Ask>,
) -> Result<Proven<'a>, Rejection> {
    if showings.len() > 16 {
        return Err(Rejection::Terms { name: "showings", bounds: "at most 16" });
    }
    // Hashes are all that a chain keeps.
    let asked = one.last_ask().map(Ask::hash::<Keccak>);
    if from.is_some_and(|from| Some(from.hash::<Keccak>()) != asked) {
        return Err(AskError::NotAsked.into());
    }
    let claim = state.claim(&one.claim).unwrap();
    Ok(Proven::new::<Keccak>(context(state, claim, from), showings)?)
}

fn demanded(state: &Settlement, sent: Sent, action: &Action) -> Result<(), Rejection> {
    let Action::Demand { claim, showings, ask, path, from } = action else { unreachable!() };
    let one = turn_of_challenger(state, sent, state.challenge_by(claim, &sent.1))?;
    let (parameters, asking) = (state.parameters(), state.parameters().asking());
    let claim = state.claim(claim).unwrap();
    let cost = asking.cost(&context(state, claim, None), ask);
    let is_left = match cost.is_end {
        true => one.end_asks < parameters.end_asks_max,
        false => one.demands < parameters.demands_max,
    };
    if !is_left {
        return Err(Rejection::DemandsUsed);
    }
    let free_wei = state.money().free_wei(&sent.1);
    let needed_wei = parameters.demand_fee_wei.saturating_mul(u128::from(cost.fees));
    if free_wei < needed_wei {
        return Err(MoneyError::Insufficient { free_wei, needed_wei }.into());
    }
    let proven = proven(state, one, showings, from.as_ref())?;
    Ok(asking.check::<Keccak>(&proven, ask, path)?)
}

fn revealed(state: &Settlement, (now_ms, sender): Sent, action: &Action) -> Result<(), Rejection> {
    let Action::Reveal { claim: id, challengers, ask, answer } = action else { unreachable!() };
    let claim = state.claim(id).ok_or(Rejection::Unknown { kind: "claim" })?;
    if claim.executor != sender {
        return Err(Rejection::NotAllowed { who: "the claim's executor" });
    }
    if !claim.stands() {
        return Err(Rejection::Over { kind: "claim" });
    }
    if !(1..=16).contains(&challengers.len()) {
        return Err(Rejection::Terms { name: "challengers", bounds: "1 to 16" });
    }
    let floor_ms = state.parameters().move_floor_ms;
    let is_served = |who: &Address| {
        state.challenge_by(id, who).is_some_and(|one| {
            one.pending() == Some(ask) && one.deadline_ms(floor_ms).unwrap() >= now_ms
        })
    };
    if !challengers.iter().any(is_served) {
        return Err(Rejection::NotYourMove);
    }
    let said = fits::<Keccak>(ask, answer, state.parameters().arity_log2)?;
    match (said, claim.said.get(ask.tree())) {
        (Some(root), Some(first)) if root != *first => Err(AskError::Mismatch.into()),
        _ => Ok(()),
    }
}

fn refuted(state: &Settlement, sent: Sent, action: &Action) -> Result<(), Rejection> {
    let Action::Refute { claim, challenger, showings, refutation, from } = action else {
        unreachable!()
    };
    let one = turn_of_challenger(state, sent, state.challenge_by(claim, challenger))?;
    let proven = proven(state, one, showings, from.as_ref())?;
    match judge::<Keccak>(&proven, refutation)? {
        Finding::Fraud(_) => Ok(()),
        Finding::Sound if sent.1 == *challenger => Ok(()),
        Finding::Sound => Err(Rejection::NothingRefuted),
    }
}

/// What an accepted demand or answer changes.
fn check_change(before: &Settlement, after: &Settlement, (now_ms, sender): Sent, action: &Action) {
    match action {
        Action::Demand { claim: id, ask, .. } => {
            let (was, is) = (before.challenge_by(id, &sender), after.challenge_by(id, &sender));
            let (was, is) = (was.unwrap(), is.unwrap());
            let claim = before.claim(id).unwrap();
            let parameters = before.parameters();
            let cost = parameters.asking().cost(&context(before, claim, None), ask);
            let (ordinary, end) = (u32::from(!cost.is_end), u32::from(cost.is_end));
            assert_eq!(is.demands, was.demands + ordinary);
            assert_eq!(is.end_asks, was.end_asks + end);
            let fee_wei = parameters.demand_fee_wei * u128::from(cost.fees);
            assert_eq!(is.fees_wei, was.fees_wei + fee_wei);
            assert_eq!(is.pending(), Some(ask));
            assert_eq!(after.claim(id).unwrap().said, claim.said, "a demand says nothing");
        }
        Action::Reveal { claim: id, challengers, ask, answer } => {
            let (was, is) = (before.claim(id).unwrap(), after.claim(id).unwrap());
            let mut said = was.said.clone();
            let root: Option<Digest> =
                fits::<Keccak>(ask, answer, before.parameters().arity_log2).unwrap();
            said.extend(root.map(|root| (*ask.tree(), root)));
            assert_eq!(is.said, said);
            for (challenge, one) in before.challenges() {
                let then = after.challenge(challenge).unwrap();
                let in_time = one
                    .deadline_ms(before.parameters().move_floor_ms)
                    .is_some_and(|end| end >= now_ms);
                let is_served = one.claim == *id
                    && challengers.contains(&one.challenger)
                    && one.pending() == Some(ask)
                    && in_time;
                if is_served {
                    let (turn, since_ms) = (Turn::Challenger, now_ms);
                    assert_eq!(then.status, ChallengeStatus::Open { turn, since_ms });
                    let replies = then.replies + then.end_replies;
                    assert_eq!(replies, one.replies + one.end_replies + 1);
                } else {
                    assert_eq!(then, one, "nobody else's challenge is touched");
                }
            }
        }
        _ => {}
    }
}
