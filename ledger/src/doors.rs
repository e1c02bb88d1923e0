//! Two queues before the thread that writes: moves of parties with money at stake go first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use protocol::hash::Commitment;
use protocol::settlement::{AttestationStatus, SealedStatus, Settlement};
use protocol::transaction::{Action, Address};
use tokio::sync::Semaphore;

/// Most transactions that wait in each queue; who comes then waits before the door.
const WAITING_MAX: usize = 1_024;

/// Whether the sender would lose money if this came too late.
pub(crate) fn is_urgent<C: Commitment>(
    settlement: &Settlement<C>,
    sender: &Address,
    action: &Action,
) -> bool {
    let own_claim =
        |id| settlement.claim(id).is_some_and(|claim| claim.executor == *sender && claim.stands());
    let under_way = |claim, challenger| {
        let challenge = settlement.challenge_by(claim, challenger);
        challenge.is_some_and(|challenge| settlement.is_under_way(challenge))
    };
    match action {
        Action::Reveal { claim, .. } => own_claim(claim),
        Action::Demand { claim, .. } => under_way(claim, sender),
        Action::Refute { claim, challenger, .. } => {
            challenger == sender && under_way(claim, challenger)
        }
        Action::CallTime { claim, challenger } => {
            (challenger == sender || own_claim(claim)) && under_way(claim, challenger)
        }
        Action::WithdrawChallenge { claim } => under_way(claim, sender),
        // A window ends; who has the bond may still keep a lie from becoming final.
        Action::Challenge { claim } => settlement.claim(claim).is_some_and(|found| {
            let parameters = settlement.parameters();
            let locked_wei =
                parameters.bond_wei(found.stake_wei).saturating_add(parameters.record_fee_wei);
            found.stands()
                && settlement.challenge_by(claim, sender).is_none()
                && settlement.money().free_wei(sender) >= locked_wei
        }),
        // A seal that is not opened in time burns a bond.
        Action::OpenClaim { sealed, .. } => settlement.sealed(sealed).is_some_and(|sealed| {
            sealed.executor == *sender && sealed.status == SealedStatus::Waiting
        }),
        // A word that is not proven in the window burns its bond.
        Action::ProveAttention { claim, .. } => settlement.claim(claim).is_some_and(|found| {
            let given = found.sealed.and_then(|sealed| settlement.attestation(&sealed, sender));
            found.stands() && given.is_some_and(|given| given.status == AttestationStatus::Given)
        }),
        Action::Deposit { .. }
        | Action::Withdraw { .. }
        | Action::RegisterModel { .. }
        | Action::PostJob { .. }
        | Action::ExpireJob { .. }
        | Action::PostClaim { .. }
        | Action::Finalise { .. }
        | Action::SealClaim { .. }
        | Action::Attest { .. }
        | Action::ExpireSeal { .. }
        | Action::Collect { .. }
        | Action::Release { .. }
        | Action::Pass { .. }
        | Action::CollectAttention { .. } => false,
    }
}

#[derive(Debug)]
struct Queues<T> {
    urgent: VecDeque<T>,
    ordinary: VecDeque<T>,
    closed: bool,
}

/// Two bounded queues with one reader.
#[derive(Debug)]
pub(crate) struct Doors<T> {
    queues: Mutex<Queues<T>>,
    filled: Condvar,
    urgent_room: Semaphore,
    ordinary_room: Semaphore,
}

impl<T> Doors<T> {
    pub(crate) fn new() -> Self {
        let queues = Queues { urgent: VecDeque::new(), ordinary: VecDeque::new(), closed: false };
        Self {
            queues: Mutex::new(queues),
            filled: Condvar::new(),
            urgent_room: Semaphore::new(WAITING_MAX),
            ordinary_room: Semaphore::new(WAITING_MAX),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues<T>> {
        // The queues hold whole items at any time: what a panic left can be used.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an item; waits while its queue is full. `false` once nobody reads any more.
    pub(crate) async fn push(&self, urgent: bool, item: T) -> bool {
        let room = if urgent { &self.urgent_room } else { &self.ordinary_room };
        let Ok(permit) = room.acquire().await else {
            #[cfg(test)]
            cov_mark::hit!(door_is_closed);
            return false;
        };
        permit.forget();
        let mut queues = self.lock();
        if queues.closed {
            #[cfg(test)]
            cov_mark::hit!(door_closed_behind_who_waited);
            return false;
        }
        if urgent {
            queues.urgent.push_back(item)
        } else {
            queues.ordinary.push_back(item)
        }
        self.filled.notify_one();
        true
    }

    /// Takes up to `most` items, the urgent ones first; waits for one. Empty once closed and drained.
    pub(crate) fn take(&self, most: usize) -> Vec<T> {
        let mut queues = self.lock();
        while queues.urgent.is_empty() && queues.ordinary.is_empty() && !queues.closed {
            queues = self.filled.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
        let urgent = queues.urgent.len().min(most);
        let ordinary = queues.ordinary.len().min(most - urgent);
        let mut items: Vec<T> = queues.urgent.drain(..urgent).collect();
        items.extend(queues.ordinary.drain(..ordinary));
        self.urgent_room.add_permits(urgent);
        self.ordinary_room.add_permits(ordinary);
        items
    }

    /// Lets nobody in any more; what is queued is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.urgent_room.close();
        self.ordinary_room.close();
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        CHALLENGER, Court, EXECUTOR, POSTER, SECOND, STRANGER, asked, header, statement,
    };
    use protocol::asks::{Answer, Refutation};
    use protocol::hash::{Digest, Keccak};
    use protocol::ids::{ClaimId, SealedId};
    use protocol::settlement::attention;
    use std::sync::Arc;
    use std::time::Duration;

    const SALT: Digest = Digest([7; 32]);

    /// Every action about a claim and its challenge by [`CHALLENGER`], with who must be heard in time.
    fn moves(claim: ClaimId) -> Vec<(Action, Vec<Address>)> {
        let challenger = CHALLENGER;
        let (showings, challengers) = (Vec::new(), vec![challenger]);
        let ask = asked(Digest::default());
        let answer = Answer::Roots { roots: vec![] };
        let refutation = Refutation::Leaf { iteration: 0, operator: 0, leaf: 0 };
        vec![
            (Action::Challenge { claim }, vec![SECOND]),
            (
                Action::Demand { claim, showings, ask: ask.clone(), path: vec![], from: None },
                vec![CHALLENGER],
            ),
            (Action::Reveal { claim, challengers, ask, answer }, vec![EXECUTOR]),
            (
                Action::Refute { claim, challenger, showings: vec![], refutation, from: None },
                vec![CHALLENGER],
            ),
            (Action::WithdrawChallenge { claim }, vec![CHALLENGER]),
            (Action::CallTime { claim, challenger }, vec![EXECUTOR, CHALLENGER]),
            (Action::Collect { claim, challenger }, vec![]),
            (Action::Release { claim }, vec![]),
            (Action::Finalise { claim }, vec![]),
        ]
    }

    /// Those of the accounts for whom an action is urgent.
    fn urgent_for(court: &Court, accounts: &[Address], action: &Action) -> Vec<Address> {
        let urgent = |sender: &&Address| is_urgent(&court.settlement, sender, action);
        accounts.iter().filter(urgent).copied().collect()
    }

    #[test]
    fn moves_in_a_dispute_are_urgent_for_its_parties_until_the_claim_fell() {
        let accounts = [EXECUTOR, CHALLENGER, SECOND, Address([0x99; 20])];
        let mut court = Court::new();
        let job = court.job(0);
        let claim = court.claim(job, b"lie");
        let mut disputed = court.clone();
        disputed.does(CHALLENGER, &Action::Challenge { claim });
        for (action, wanted) in moves(claim) {
            let found = urgent_for(&disputed, &accounts[..], &action);
            // The executor has the money to challenge its own claim.
            let found = found.into_iter().filter(|sender| {
                *sender != EXECUTOR || !matches!(action, Action::Challenge { .. })
            });
            assert_eq!(found.collect::<Vec<_>>(), wanted, "{}", action.name());
        }
        court.fall(claim, &[SECOND, CHALLENGER]);
        assert!(court.challenge(claim, CHALLENGER).is_open());
        for (action, _) in moves(claim) {
            assert_eq!(urgent_for(&court, &accounts, &action), [], "{}", action.name());
        }
    }

    #[test]
    fn what_loses_nobody_money_by_waiting_is_ordinary() {
        let mut court = Court::new();
        let job = court.job(0);
        let claim = court.claim(job, b"output");
        let sealed = SealedId(SALT);
        for action in [
            Action::Deposit { account: POSTER, amount_wei: 1 },
            Action::Withdraw { amount_wei: 1 },
            Action::RegisterModel { header: header() },
            Action::ExpireJob { job },
            Action::PostClaim { statement: statement(job, b"output") },
            Action::SealClaim { job, seal: SALT },
            Action::Attest { sealed, word: SALT },
            Action::ExpireSeal { sealed },
            Action::Pass { job, claims: vec![claim] },
            Action::CollectAttention { sealed, attester: SECOND },
        ] {
            let found = urgent_for(&court, &[POSTER, EXECUTOR, SECOND], &action);
            assert_eq!(found, [], "{}", action.name());
        }
    }

    #[test]
    fn a_seal_s_opening_and_an_attester_s_proof_are_urgent_while_a_bond_can_burn() {
        let mut court = Court::new();
        let job = court.job(protocol::settlement::ETHER);
        let statement = statement(job, b"output");
        let root = statement.terms.sequence_root;
        let seal = attention::seal::<Keccak>(&EXECUTOR, &root, &SALT);
        let sealed = attention::sealed_id::<Keccak>(&EXECUTOR, &job, &seal);
        court.does(EXECUTOR, &Action::SealClaim { job, seal });
        let word = attention::word::<Keccak>(&SECOND, &root, &SALT);
        court.does(SECOND, &Action::Attest { sealed, word });
        let accounts = [EXECUTOR, SECOND, STRANGER];
        let claim = protocol::settlement::claim_id(EXECUTOR, &statement.terms);
        let open = Action::OpenClaim { sealed, statement, salt: SALT };
        let prove = Action::ProveAttention { claim, salt: SALT };
        assert_eq!(urgent_for(&court, &accounts, &open), [EXECUTOR]);
        assert_eq!(urgent_for(&court, &accounts, &prove), []);
        court.now_ms += court.settlement.parameters().seal_ms + 1;
        court.does(EXECUTOR, &open);
        assert_eq!(urgent_for(&court, &accounts, &open), []);
        assert_eq!(urgent_for(&court, &accounts, &prove), [SECOND]);
        court.does(SECOND, &prove);
        assert_eq!(urgent_for(&court, &accounts, &prove), []);
    }

    #[tokio::test]
    async fn audit_a7_urgent_moves_pass_a_queue_that_others_have_filled() {
        cov_mark::check!(door_is_closed);
        let doors = Arc::new(Doors::new());
        for number in 0..WAITING_MAX {
            assert!(doors.push(false, number).await);
        }
        // The ordinary door is full; the urgent one is not.
        let full = tokio::time::timeout(Duration::from_millis(20), doors.push(false, 0)).await;
        assert!(full.is_err());
        let urgent = tokio::time::timeout(Duration::from_secs(5), doors.push(true, 9_999)).await;
        assert!(urgent.unwrap());
        assert_eq!(doors.take(3), [9_999, 0, 1]);
        assert!(doors.push(false, 7).await && doors.push(false, 8).await);
        doors.close();
        assert!(!doors.push(true, 1).await && !doors.push(false, 1).await);
        assert_eq!(doors.take(usize::MAX).len(), WAITING_MAX);
        assert!(doors.take(5).is_empty());
    }

    #[tokio::test]
    async fn who_had_room_when_the_door_closed_is_sent_away() {
        cov_mark::check!(door_closed_behind_who_waited);
        let doors = Doors::new();
        // What `close` does first, before it closes the room.
        doors.lock().closed = true;
        assert!(!doors.push(false, 1).await);
        assert!(doors.take(1).is_empty());
    }
}
