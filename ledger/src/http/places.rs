//! Addresses whose connections are kept when there are too many: those from which an account with money on the ledger
//! said so, by its signature. Who has most money comes first, so that a crowd of addresses without money, or with
//! little, keeps nobody from the ledger who has something to lose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protocol::hash::Commitment;
use protocol::settlement::Settlement;
use protocol::transaction::Address;

use super::limits::Source;

/// Connections of one address that are kept.
pub(super) const KEPT_OF_ONE: usize = 8;
/// Addresses of one account.
const SOURCES_OF_ONE: usize = 4;
/// For how long an address keeps its places at most before its account must say so again.
pub(super) const PLACE_TIME_MAX: Duration = Duration::from_secs(600);

/// Whose connections are kept.
#[derive(Clone, Debug)]
pub(super) struct Places {
    of: Arc<Mutex<HashMap<Source, Place>>>,
    /// Addresses at most.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    account: Address,
    wei: u128,
    since: Instant,
    until: Instant,
}

impl Places {
    /// Half of so many connections is kept for addresses that have places.
    pub(super) fn of_connections(connections: usize) -> Self {
        Self { of: Arc::default(), most: (connections / 2 / KEPT_OF_ONE).max(1) }
    }

    /// Nobody has a place.
    pub(super) fn none() -> Self {
        Self { of: Arc::default(), most: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Place>> {
        // Whole at any time: what a panic left is as good.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an account's address a place for a time. False where all are taken by accounts with as much money.
    pub(super) fn take(
        &self,
        source: Source,
        account: Address,
        wei: u128,
        time: Duration,
        now: Instant,
    ) -> bool {
        let mut places = self.lock();
        places.retain(|_, place| place.until > now);
        // An address that many share keeps what the richest of them has.
        if let Some(place) = places.get_mut(&source)
            && place.account != account
            && place.wei > wei
        {
            return true;
        }
        places.remove(&source);
        let own = places.iter().filter(|(_, place)| place.account == account);
        let oldest = own.clone().min_by_key(|(_, place)| place.since).map(|(source, _)| *source);
        if own.count() >= SOURCES_OF_ONE
            && let Some(oldest) = oldest
        {
            places.remove(&oldest);
        }
        if places.len() >= self.most {
            let poorest = places.iter().min_by_key(|(_, place)| place.wei);
            let Some(poorest) = poorest.filter(|(_, place)| place.wei < wei).map(|(one, _)| *one)
            else {
                return false;
            };
            places.remove(&poorest);
        }
        let until = now + time.min(PLACE_TIME_MAX);
        places.insert(source, Place { account, wei, since: now, until });
        true
    }

    /// Whether an address has a place now.
    pub(super) fn has(&self, source: &Source, now: Instant) -> bool {
        self.lock().get(source).is_some_and(|place| place.until > now)
    }
}

/// What an account has free and at stake.
pub(super) fn worth_wei<C: Commitment>(settlement: &Settlement<C>, account: &Address) -> u128 {
    let stakes = settlement.standing_claims().filter(|(_, claim)| claim.executor == *account);
    let bonds = settlement.open_challenges().filter(|(_, one)| one.challenger == *account);
    let staked_wei: u128 = stakes.map(|(_, claim)| claim.stake_wei).sum();
    let bonded_wei: u128 = bonds.map(|(_, one)| one.bond_wei).sum();
    settlement.money().free_wei(account).saturating_add(staked_wei).saturating_add(bonded_wei)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u8) -> Source {
        Source::V4([number; 4])
    }

    fn account(number: u8) -> Address {
        Address([number; 20])
    }

    #[test]
    fn who_has_more_money_takes_the_place_of_who_has_least_and_no_other() {
        let (places, now) = (Places { of: Arc::default(), most: 2 }, Instant::now());
        let take = |number: u8, wei| {
            places.take(of(number), account(number), wei, Duration::from_secs(60), now)
        };
        assert!(take(1, 10) && take(2, 20));
        assert!(!take(3, 10) && !take(4, 0));
        assert!(take(5, 11));
        let kept = |number: u8| places.has(&of(number), now);
        assert!(!kept(1) && kept(2) && !kept(3) && kept(5));
        // After its time a place is free.
        let later = now + Duration::from_secs(61);
        assert!(!places.has(&of(2), later));
        assert!(places.take(of(3), account(3), 1, Duration::from_secs(9_999), later));
        assert!(places.has(&of(3), later + PLACE_TIME_MAX / 2));
        assert!(!places.has(&of(3), later + PLACE_TIME_MAX));
    }

    #[test]
    fn one_account_has_few_addresses_and_a_shared_address_is_the_richest_one_s() {
        let (places, begun) = (Places::of_connections(2_048), Instant::now());
        for number in 0..9 {
            let now = begun + Duration::from_secs(number);
            let source = of(number as u8);
            assert!(places.take(source, account(1), 5, Duration::from_secs(60), now));
        }
        let now = begun + Duration::from_secs(9);
        let kept: Vec<u8> = (0..9).filter(|number| places.has(&of(*number), now)).collect();
        assert_eq!(kept, [5, 6, 7, 8]);
        assert!(places.take(of(8), account(2), 4, Duration::from_secs(60), now));
        assert_eq!(places.lock()[&of(8)].account, account(1));
        assert!(places.take(of(8), account(2), 6, Duration::from_secs(60), now));
        assert_eq!(places.lock()[&of(8)].account, account(2));
        let nobody = Places::none();
        assert!(!nobody.take(of(1), account(1), 1, Duration::from_secs(60), now));
    }
}
