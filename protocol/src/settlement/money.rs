//! Accounts in wei. Money moves between free, locked and burned, and nowhere else.

use crate::persistent::Map;
use crate::transaction::Address;

/// Wei as people read it: `0.41 ETH`, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ether(pub u128);

impl core::fmt::Display for Ether {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (whole, mut rest) = (self.0 / super::ETHER, self.0 % super::ETHER);
        write!(out, "{whole}")?;
        let mut digits = 18;
        while rest != 0 && rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        match rest {
            0 => write!(out, " ETH"),
            rest => write!(out, ".{rest:0digits$} ETH"),
        }
    }
}

/// Why money cannot move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The account has less than needed.
    #[error(
        "the account has {} free and this takes {}; deposit the difference, or ask for less",
        Ether(*.free_wei),
        Ether(*.needed_wei)
    )]
    Insufficient {
        /// Free money.
        free_wei: u128,
        /// Money needed.
        needed_wei: u128,
    },
    /// The amount is larger than the ledger can count.
    #[error("the amount is larger than the ledger can count")]
    Overflow,
}

/// All money on a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Money {
    free: Map<Address, u128>,
    /// Sum of `free`, kept so that conservation is checked in constant time.
    free_wei: u128,
    locked_wei: u128,
    burned_wei: u128,
    deposited_wei: u128,
    withdrawn_wei: u128,
}

impl Money {
    /// Free money of an account.
    pub fn free_wei(&self, account: &Address) -> u128 {
        self.free.get(account).copied().unwrap_or(0)
    }

    /// Whether an account was ever given money: only the bank makes accounts known.
    pub fn knows(&self, account: &Address) -> bool {
        self.free.contains_key(account)
    }

    /// Free money of all accounts.
    pub fn free_total_wei(&self) -> u128 {
        self.free_wei
    }

    /// Money that jobs, claims, sealed claims and challenges hold.
    pub fn locked_wei(&self) -> u128 {
        self.locked_wei
    }

    /// Money that is gone.
    pub fn burned_wei(&self) -> u128 {
        self.burned_wei
    }

    /// Money that came in.
    pub fn deposited_wei(&self) -> u128 {
        self.deposited_wei
    }

    /// Money that went out.
    pub fn withdrawn_wei(&self) -> u128 {
        self.withdrawn_wei
    }

    /// The accounts with their free money.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (&Address, u128)> {
        self.free.iter().map(|(account, amount_wei)| (account, *amount_wei))
    }

    /// free + locked + burned = deposited − withdrawn.
    pub fn is_conserved(&self) -> bool {
        let inside = self
            .free_total_wei()
            .checked_add(self.locked_wei)
            .and_then(|sum| sum.checked_add(self.burned_wei));
        inside.is_some() && inside == self.deposited_wei.checked_sub(self.withdrawn_wei)
    }

    /// Whether an account can pay.
    pub(super) fn check(&self, account: &Address, needed_wei: u128) -> Result<(), MoneyError> {
        let free_wei = self.free_wei(account);
        if free_wei >= needed_wei {
            Ok(())
        } else {
            Err(MoneyError::Insufficient { free_wei, needed_wei })
        }
    }

    /// Puts an account back as a snapshot has it. Only for a state that is being made again.
    pub(super) fn restore(&mut self, account: Address, free_wei: u128) -> Result<(), MoneyError> {
        self.free_wei = self.free_wei.checked_add(free_wei).ok_or(MoneyError::Overflow)?;
        self.free.insert(account, free_wei);
        Ok(())
    }

    /// Puts back what is no account's: what is locked, and what was burned, deposited and withdrawn.
    pub(super) fn restore_sums(
        &mut self,
        locked_wei: u128,
        [burned_wei, in_wei, out_wei]: [u128; 3],
    ) {
        (self.locked_wei, self.burned_wei) = (locked_wei, burned_wei);
        (self.deposited_wei, self.withdrawn_wei) = (in_wei, out_wei);
    }

    pub(super) fn deposit(&mut self, account: Address, amount_wei: u128) -> Result<(), MoneyError> {
        // Every other sum is a part of this one, so that none of them can overflow.
        self.deposited_wei =
            self.deposited_wei.checked_add(amount_wei).ok_or(MoneyError::Overflow)?;
        self.credit(account, amount_wei);
        Ok(())
    }

    /// Undoes a deposit of which nothing was used; an account that it made known is so no more.
    pub(super) fn take_back(&mut self, account: &Address, amount_wei: u128, was_known: bool) {
        if let Some(free) = self.free.get_mut(account) {
            *free -= amount_wei;
            self.free_wei -= amount_wei;
            self.deposited_wei -= amount_wei;
        }
        if !was_known {
            self.free.remove(account);
        }
    }

    pub(super) fn withdraw(
        &mut self,
        account: &Address,
        amount_wei: u128,
    ) -> Result<(), MoneyError> {
        self.debit(account, amount_wei)?;
        self.withdrawn_wei += amount_wei;
        Ok(())
    }

    /// Free money becomes locked.
    pub(super) fn lock(&mut self, account: &Address, amount_wei: u128) -> Result<(), MoneyError> {
        self.debit(account, amount_wei)?;
        self.locked_wei += amount_wei;
        Ok(())
    }

    /// Free money is gone.
    pub(super) fn burn_free(
        &mut self,
        account: &Address,
        amount_wei: u128,
    ) -> Result<(), MoneyError> {
        self.debit(account, amount_wei)?;
        self.burned_wei += amount_wei;
        Ok(())
    }

    /// Locked money becomes free again, for this account.
    pub(super) fn release(&mut self, account: Address, amount_wei: u128) {
        // Only what was locked is ever released: the callers take it from a job, claim or challenge.
        assert!(self.locked_wei >= amount_wei, "released more than was locked");
        self.locked_wei -= amount_wei;
        self.credit(account, amount_wei);
    }

    /// Locked money is gone.
    pub(super) fn burn(&mut self, amount_wei: u128) {
        assert!(self.locked_wei >= amount_wei, "burned more than was locked");
        self.locked_wei -= amount_wei;
        self.burned_wei += amount_wei;
    }

    fn debit(&mut self, account: &Address, amount_wei: u128) -> Result<(), MoneyError> {
        self.check(account, amount_wei)?;
        if let Some(free) = self.free.get_mut(account) {
            *free -= amount_wei;
            self.free_wei -= amount_wei;
        }
        Ok(())
    }

    fn credit(&mut self, account: Address, amount_wei: u128) {
        let free_wei = self.free.get(&account).copied().unwrap_or_default();
        self.free.insert(account, free_wei + amount_wei);
        self.free_wei += amount_wei;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_ledger_can_count_is_refused_and_changes_nothing() {
        let account = Address([1; 20]);
        let mut money = Money::default();
        money.deposit(account, u128::MAX - 1).unwrap();
        let before = money.clone();
        assert_eq!(money.deposit(Address([2; 20]), 2), Err(MoneyError::Overflow));
        assert_eq!(money, before);
        money.deposit(account, 1).unwrap();
        money.lock(&account, u128::MAX).unwrap();
        money.burn(u128::MAX - 1);
        money.release(account, 1);
        assert!(money.is_conserved());
    }

    #[test]
    fn a_deposit_that_is_taken_back_leaves_no_trace_of_an_account_it_made_known() {
        let (known, unknown) = (Address([1; 20]), Address([2; 20]));
        let mut money = Money::default();
        money.deposit(known, 5).unwrap();
        let before = money.clone();
        for account in [known, unknown] {
            let was_known = money.knows(&account);
            money.deposit(account, 7).unwrap();
            money.take_back(&account, 7, was_known);
            assert_eq!(money, before);
        }
    }
}
