//! What is tried with what an end leaves, and before there is one.

use protocol::hash::Commitment;
use protocol::transaction::Action;

use super::super::{Intent, Sight, Strategy};

/// Calls time in every challenge of a claim that fell and was not collected yet.
#[derive(Clone, Debug)]
pub struct CallAfterFall;

impl<C: Commitment> Strategy<C> for CallAfterFall {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        for (_, challenge) in settlement.challenges() {
            if challenge.is_open() && !settlement.is_under_way(challenge) {
                let (claim, challenger) = (challenge.claim, challenge.challenger);
                intents.push(Intent::new(Action::CallTime { claim, challenger }));
            }
        }
        intents
    }
    boxed!();
}

/// Passes over whatever is before its own standing claims, and makes those final.
#[derive(Clone, Debug)]
pub struct PassOver;

impl<C: Commitment> Strategy<C> for PassOver {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let settlement = &sight.view.settlement;
        for (id, claim) in settlement.claims() {
            if claim.executor != sight.me || !claim.stands() {
                continue;
            }
            let job = claim.terms.job;
            let first = settlement.job(&job).map_or(0, |job| job.first_standing) as usize;
            let before = settlement.claims_of(&job).skip(first).take_while(|one| *one != id);
            let claims: Vec<_> = before.copied().collect();
            if !claims.is_empty() {
                intents.push(Intent::new(Action::Pass { job, claims }));
            }
            if sight.now_ms > claim.window_end_ms {
                intents.push(Intent::new(Action::Finalise { claim: *id }));
            }
        }
        intents
    }
    boxed!();
}

/// Takes its stake back and expires the job, as soon as somebody challenges its claim.
#[derive(Clone, Debug)]
pub struct TakeBack;

impl<C: Commitment> Strategy<C> for TakeBack {
    fn play(&mut self, sight: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        for (id, claim) in sight.view.settlement.claims() {
            if claim.executor == sight.me && claim.is_disputed() {
                intents.push(Intent::new(Action::Release { claim: *id }));
                intents.push(Intent::new(Action::ExpireJob { job: claim.terms.job }));
            }
        }
        intents
    }
    boxed!();
}

/// Posts each claim a second time under another salt.
#[derive(Clone, Debug)]
pub struct ClaimTwice;

impl<C: Commitment> Strategy<C> for ClaimTwice {
    fn play(&mut self, _: &mut Sight<'_, C>, mut intents: Vec<Intent>) -> Vec<Intent> {
        let again = |intent: &Intent| {
            let Action::PostClaim { statement } = &intent.action else {
                return None;
            };
            let mut statement = statement.clone();
            statement.terms.salt = statement.terms.salt.wrapping_add(1);
            Some(Intent { action: Action::PostClaim { statement }, ..intent.clone() })
        };
        let second: Vec<Intent> = intents.iter().filter_map(again).collect();
        intents.extend(second);
        intents
    }
    boxed!();
}
