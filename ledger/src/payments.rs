//! What accounts put in and took out, summed over the log.

use std::collections::HashMap;

use protocol::settlement::Event;
use protocol::transaction::Address;

/// What an account put in and took out, summed over the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// Put in.
    pub in_wei: u128,
    /// Taken out.
    pub out_wei: u128,
}

/// What all accounts put in and took out.
///
/// ```
/// use ledger::payments::Payments;
/// use protocol::settlement::Event;
/// use protocol::transaction::Address;
///
/// let account = Address([1; 20]);
/// let mut payments = Payments::default();
/// payments.see(&[Event::Deposited { account, amount_wei: 5 }]);
/// assert_eq!(payments.of(&account).in_wei, 5);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Payments(HashMap<Address, Paid>);

impl Payments {
    /// Adds what a transaction led to.
    pub fn see(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Deposited { account, amount_wei } => {
                    let paid = self.0.entry(*account).or_default();
                    paid.in_wei = paid.in_wei.saturating_add(*amount_wei);
                }
                Event::Withdrawn { account, amount_wei } => {
                    let paid = self.0.entry(*account).or_default();
                    paid.out_wei = paid.out_wei.saturating_add(*amount_wei);
                }
                _ => {}
            }
        }
    }

    /// Of an account.
    pub fn of(&self, account: &Address) -> Paid {
        self.0.get(account).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_accounts_put_in_and_took_out_is_summed_for_each() {
        let [one, other] = [1, 2].map(|number| Address([number; 20]));
        let mut payments = Payments::default();
        payments.see(&[
            Event::Deposited { account: one, amount_wei: 50 },
            Event::Deposited { account: other, amount_wei: 7 },
        ]);
        payments.see(&[Event::Withdrawn { account: one, amount_wei: 20 }]);
        assert_eq!(payments.of(&one), Paid { in_wei: 50, out_wei: 20 });
        assert_eq!(payments.of(&other), Paid { in_wei: 7, out_wei: 0 });
        assert_eq!(payments.of(&Address([3; 20])), Paid::default());
    }
}
