//! A ledger of one's own, in a folder: the bank credits an account, the account withdraws, and the log says
//! what happened. `cargo run --example own_ledger`

use std::sync::Arc;

use ledger::{EmbeddedLedger, Ledger as _, SystemClock, words};
use protocol::hash::Digest;
use protocol::settlement::{ETHER, Genesis, Parameters};
use protocol::transaction::{Action, Key};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (bank, user) = (key(1)?, key(2)?);
    let genesis = Genesis {
        chain_id: 31_337,
        // Random in earnest: what is signed for one ledger must mean nothing on another.
        salt: Digest([9; 32]),
        begun_ms: 0,
        bank: bank.address(),
        parameters: Parameters::default(),
    };
    let domain = genesis.domain();
    let folder = tempfile::tempdir()?;
    let ledger = EmbeddedLedger::open(folder.path(), genesis, Arc::new(SystemClock))?;
    let deposit = Action::Deposit { account: user.address(), amount_wei: 3 * ETHER };
    // Signed for this ledger, with the sender's next number.
    ledger.submit(bank.sign(&domain, 0, &deposit)).await?;
    let receipt =
        ledger.submit(user.sign(&domain, 0, &Action::Withdraw { amount_wei: ETHER })).await?;
    let view = ledger.view().await?;
    println!("height {}, at {} ms", receipt.height, receipt.at_ms);
    println!("left   {}", words::ether(view.settlement.money().free_wei(&user.address())));
    assert!(view.settlement.money().is_conserved());
    Ok(())
}

fn key(number: u8) -> Result<Key, String> {
    Key::from_secret(&[number; 32]).ok_or("no key".to_owned())
}
