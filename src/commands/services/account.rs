//! `rebut account`: money of an account.

use ::ledger::Ledger as _;
use protocol::settlement::ClaimStatus;
use protocol::transaction::{Action, Address, Key};
use serde_json::json;

use crate::arguments::{AccountAction, AccountCommand, LedgerAt};
use crate::error::CommandError;
use crate::print;

pub(crate) fn run(command: &AccountCommand, as_json: bool) -> Result<bool, CommandError> {
    super::runtime()?.block_on(async {
        match &command.action {
            AccountAction::Show { address, at } => {
                show(super::address(address)?, at, as_json).await
            }
            AccountAction::Deposit { address, amount_wei, key, at } => {
                let account = super::address(address)?;
                let action = Action::Deposit { account, amount_wei: *amount_wei };
                let key = super::key::read(key)?;
                done(&key, &action, at, as_json).await
            }
            AccountAction::Withdraw { amount_wei, key, at } => {
                let key = super::key::read(key)?;
                done(&key, &Action::Withdraw { amount_wei: *amount_wei }, at, as_json).await
            }
        }
    })?;
    Ok(false)
}

async fn done(
    key: &Key,
    action: &Action,
    at: &LedgerAt,
    as_json: bool,
) -> Result<(), CommandError> {
    let ledger = super::connect(at).await?;
    let receipt = super::act(&ledger, key, action, Some(std::time::Instant::now())).await?;
    match as_json {
        true => print::json(&json!({ "height": receipt.height, "at_ms": receipt.at_ms })),
        false => {
            println!("accepted at height {}", receipt.height);
            Ok(())
        }
    }
}

async fn show(account: Address, at: &LedgerAt, as_json: bool) -> Result<(), CommandError> {
    let ledger = super::connect(at).await?;
    let view = ledger.view().await?;
    let settlement = &view.settlement;
    let free_wei = settlement.money().free_wei(&account);
    let stakes_wei: u128 = settlement
        .claims()
        .filter(|(_, claim)| claim.executor == account && claim.status == ClaimStatus::Standing)
        .map(|(_, claim)| claim.stake_wei)
        .sum();
    let bonds_wei: u128 = settlement
        .challenges()
        .filter(|(_, challenge)| challenge.challenger == account && challenge.is_open())
        .map(|(_, challenge)| challenge.bond_wei + challenge.fees_wei)
        .sum();
    if as_json {
        return print::json(&json!({
            "account": account.to_string(), "free_wei": free_wei.to_string(),
            "stakes_wei": stakes_wei.to_string(), "bonds_wei": bonds_wei.to_string(),
            "nonce": settlement.nonce(&account), "height": view.height,
        }));
    }
    println!("free          {}", print::ether(free_wei as i128));
    println!("in stakes     {}", print::ether(stakes_wei as i128));
    println!("in bonds      {}", print::ether(bonds_wei as i128));
    Ok(())
}
