//! Two queues before the thread that writes: moves of parties with money at stake go first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use protocol::hash::Commitment;
use protocol::settlement::{ClaimStatus, Settlement};
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
    let own_claim = |id| {
        settlement
            .claim(id)
            .is_some_and(|claim| claim.executor == *sender && claim.status == ClaimStatus::Standing)
    };
    let open = |id| settlement.challenge(id).filter(|challenge| challenge.is_open());
    match action {
        Action::Reveal { claim, .. } => own_claim(claim),
        Action::Demand { challenge, .. } | Action::Refute { challenge, .. } => {
            open(challenge).is_some_and(|challenge| challenge.challenger == *sender)
        }
        Action::CallTime { challenge } => open(challenge).is_some_and(|challenge| {
            challenge.challenger == *sender || own_claim(&challenge.claim)
        }),
        // A window ends; who has the bond may still keep a lie from becoming final.
        Action::Challenge { claim } => settlement.claim(claim).is_some_and(|found| {
            let bond_wei = settlement.job(&found.terms.job).map(|job| job.terms.bond_wei);
            let free_wei = settlement.money().free_wei(sender);
            found.status == ClaimStatus::Standing
                && bond_wei.is_some_and(|bond_wei| free_wei >= bond_wei)
        }),
        Action::OpenClaim { sealed, .. } => {
            settlement.sealed(sealed).is_some_and(|sealed| sealed.executor == *sender)
        }
        Action::Deposit { .. }
        | Action::Withdraw { .. }
        | Action::RegisterModel { .. }
        | Action::PostJob { .. }
        | Action::CancelJob { .. }
        | Action::PostClaim { .. }
        | Action::Finalise { .. }
        | Action::SealClaim { .. }
        | Action::Attest { .. }
        | Action::ProveAttention { .. }
        | Action::ExpireSeal { .. } => false,
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
    use std::sync::Arc;
    use std::time::Duration;

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
