//! What accounts have published and are publishing, counted as a disk counts: in blocks, with one for the
//! entry, so that many small files are no cheaper than they are.

use std::collections::HashMap;

use protocol::transaction::Address;

/// Uploads of one account at a time.
pub(super) const AT_ONCE_MAX: usize = 4;
const BLOCK_BYTES: u64 = 4 << 10;

/// Most bytes that published states may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Those of one account.
    pub(super) account_bytes: u64,
    /// Those of all accounts.
    pub(super) all_bytes: u64,
}

/// Which bound an upload would be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// As many are under way as one account may have.
    AtOnce,
    /// The account's bound.
    Account,
    /// The bound of all.
    All,
}

#[derive(Debug, Default)]
struct Account {
    kept: u64,
    under_way: Vec<u64>,
}

impl Account {
    fn total(&self) -> u64 {
        self.under_way.iter().fold(self.kept, |sum, one| sum.saturating_add(*one))
    }
}

/// Counts of all accounts.
#[derive(Debug, Default)]
pub(super) struct Quota {
    accounts: HashMap<Address, Account>,
    /// Sum of all accounts.
    all: u64,
}

/// What a file of so many bytes takes.
pub(super) fn charge(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_add(1).saturating_mul(BLOCK_BYTES)
}

impl Quota {
    /// Sets room aside for an upload.
    pub(super) fn reserve(
        &mut self,
        account: Address,
        bytes: u64,
        bounds: &Bounds,
    ) -> Result<(), Over> {
        let charged = charge(bytes);
        let own = self.accounts.get(&account);
        if own.is_some_and(|own| own.under_way.len() >= AT_ONCE_MAX) {
            #[cfg(test)]
            cov_mark::hit!(too_many_uploads_at_once);
            return Err(Over::AtOnce);
        }
        if own.map_or(0, Account::total).saturating_add(charged) > bounds.account_bytes {
            return Err(Over::Account);
        }
        if self.all.saturating_add(charged) > bounds.all_bytes {
            #[cfg(test)]
            cov_mark::hit!(all_uploads_are_at_their_bound);
            return Err(Over::All);
        }
        self.accounts.entry(account).or_default().under_way.push(charged);
        self.all = self.all.saturating_add(charged);
        Ok(())
    }

    /// An upload ended: its room is given back unless it is kept.
    pub(super) fn end(&mut self, account: Address, bytes: u64, is_kept: bool) {
        let charged = charge(bytes);
        let Some(own) = self.accounts.get_mut(&account) else {
            #[cfg(test)]
            cov_mark::hit!(upload_ended_twice);
            return;
        };
        let Some(place) = own.under_way.iter().position(|one| *one == charged) else {
            #[cfg(test)]
            cov_mark::hit!(upload_is_not_under_way);
            return;
        };
        own.under_way.swap_remove(place);
        if is_kept {
            own.kept = own.kept.saturating_add(charged)
        } else {
            self.all = self.all.saturating_sub(charged)
        }
        self.tidy(account);
    }

    /// A file that lay there when the server started.
    pub(super) fn found(&mut self, account: Address, bytes: u64) {
        let charged = charge(bytes);
        let own = self.accounts.entry(account).or_default();
        own.kept = own.kept.saturating_add(charged);
        self.all = self.all.saturating_add(charged);
    }

    /// A kept file was removed.
    pub(super) fn removed(&mut self, account: Address, bytes: u64) {
        let charged = charge(bytes);
        if let Some(own) = self.accounts.get_mut(&account) {
            own.kept = own.kept.saturating_sub(charged);
            self.all = self.all.saturating_sub(charged);
        }
        self.tidy(account);
    }

    /// Bytes that an account's files and uploads take.
    pub(super) fn of(&self, account: &Address) -> u64 {
        self.accounts.get(account).map_or(0, Account::total)
    }

    /// Accounts that have anything, those with most first.
    pub(super) fn accounts(&self) -> Vec<Address> {
        let mut all: Vec<(u64, Address)> =
            self.accounts.iter().map(|(account, own)| (own.total(), *account)).collect();
        all.sort_by_key(|(bytes, account)| (std::cmp::Reverse(*bytes), *account));
        all.into_iter().map(|(_, account)| account).collect()
    }

    /// Bytes that all take.
    pub(super) fn all(&self) -> u64 {
        self.all
    }

    fn tidy(&mut self, account: Address) {
        if self.accounts.get(&account).is_some_and(|own| own.total() == 0) {
            self.accounts.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Address = Address([1; 20]);
    const OTHER: Address = Address([2; 20]);

    #[test]
    fn audit_a16_uploads_under_way_at_once_cannot_share_the_quota() {
        let mut quota = Quota::default();
        let bounds = Bounds { account_bytes: 20 << 10, all_bytes: 44 << 10 };
        assert_eq!(quota.reserve(ONE, 8 << 10, &bounds), Ok(()));
        assert_eq!(quota.reserve(ONE, 8 << 10, &bounds), Err(Over::Account));
        assert_eq!(quota.reserve(OTHER, 8 << 10, &bounds), Ok(()));
        quota.end(ONE, 8 << 10, false);
        assert_eq!(quota.reserve(ONE, 8 << 10, &bounds), Ok(()));
        quota.end(ONE, 8 << 10, true);
        // What is kept counts like what is under way.
        assert_eq!(quota.reserve(ONE, 8 << 10, &bounds), Err(Over::Account));
        assert_eq!(quota.of(&ONE), 12 << 10);
        quota.removed(ONE, 8 << 10);
        assert_eq!((quota.of(&ONE), quota.all()), (0, 12 << 10));
    }

    #[test]
    fn small_files_cost_their_blocks_and_all_accounts_have_one_bound_together() {
        cov_mark::check!(all_uploads_are_at_their_bound);
        let mut quota = Quota::default();
        let bounds = Bounds { account_bytes: 1 << 20, all_bytes: 64 << 10 };
        let mut reserved = 0;
        for number in 0..20 {
            let account = Address([number; 20]);
            if quota.reserve(account, 1, &bounds) == Ok(()) {
                quota.end(account, 1, true);
                reserved += 1;
            }
        }
        // Two blocks each, however short they are.
        assert_eq!((reserved, quota.all()), (8, 64 << 10));
        assert_eq!(quota.reserve(ONE, 1, &bounds), Err(Over::All));
    }

    #[test]
    fn an_account_has_few_uploads_at_a_time_and_none_is_given_back_twice() {
        cov_mark::check!(too_many_uploads_at_once);
        cov_mark::check!(upload_ended_twice);
        let mut quota = Quota::default();
        let bounds = Bounds { account_bytes: 1 << 20, all_bytes: 1 << 20 };
        for _ in 0..AT_ONCE_MAX {
            assert_eq!(quota.reserve(ONE, 10, &bounds), Ok(()));
        }
        assert_eq!(quota.reserve(ONE, 10, &bounds), Err(Over::AtOnce));
        for _ in 0..2 * AT_ONCE_MAX {
            quota.end(ONE, 10, false);
        }
        assert_eq!((quota.of(&ONE), quota.all(), quota.accounts.len()), (0, 0, 0));
        quota.removed(ONE, 10);
        // One that is kept is not given back by an upload that ends again.
        cov_mark::check!(upload_is_not_under_way);
        assert_eq!(quota.reserve(ONE, 10, &bounds), Ok(()));
        quota.end(ONE, 10, true);
        quota.end(ONE, 10, false);
        assert_eq!((quota.of(&ONE), quota.all()), (8 << 10, 8 << 10));
        quota.removed(ONE, 10);
        quota.found(OTHER, 10);
        assert_eq!(quota.of(&OTHER), 8 << 10);
    }
}
