//! `rebut account`: money of an account.

use ::ledger::Ledger as _;
use ::ledger::words;
use node::exposure::Exposure;
use protocol::ids::JobId;
use protocol::transaction::{Action, Address, Key};
use serde_json::json;

use crate::arguments::{AccountAction, AccountCommand, LedgerAt};
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

pub(crate) fn run(command: &AccountCommand, as_json: bool) -> Result<Ending, CommandError> {
    super::process::runtime()?.block_on(async {
        match &command.action {
            AccountAction::Show { address, at } => {
                show(super::ids::address("ADDRESS", address)?, at, as_json).await
            }
            AccountAction::Deposit { address, amount_wei, key, at } => {
                let account = super::ids::address("ADDRESS", address)?;
                let action = Action::Deposit { account, amount_wei: *amount_wei };
                let key = super::key::read(key)?;
                done(&key, &action, at, as_json).await
            }
            AccountAction::CancelJob { job, key, at } => {
                let (key, job) = (super::key::read(key)?, named(job, at).await?);
                done(&key, &Action::CancelJob { job }, at, as_json).await
            }
            AccountAction::SettleJob { job, key, at } => {
                let (key, job) = (super::key::read(key)?, named(job, at).await?);
                done(&key, &Action::Finalise { job }, at, as_json).await
            }
            AccountAction::Withdraw { amount_wei, key, at } => {
                let key = super::key::read(key)?;
                done(&key, &Action::Withdraw { amount_wei: *amount_wei }, at, as_json).await
            }
        }
    })?;
    Ok(Ending::Done)
}

async fn named(job: &str, at: &LedgerAt) -> Result<JobId, CommandError> {
    let view = super::connection::connect(at).await?.view().await?;
    super::ids::named("JOB", job, "job", view.settlement.jobs().map(|(id, _)| id))
}

async fn done(
    key: &Key,
    action: &Action,
    at: &LedgerAt,
    as_json: bool,
) -> Result<(), CommandError> {
    let ledger = super::connection::connect(at).await?;
    let receipt =
        super::connection::act(&ledger, key, action, Some(std::time::Instant::now())).await?;
    if as_json {
        print::json(&json!({
            "did": words::action(action), "account": key.address().to_string(),
            "height": receipt.height, "at_ms": receipt.at_ms,
        }))
    } else {
        println!("{}; accepted at height {}", words::action(action), receipt.height);
        Ok(())
    }
}

async fn show(account: Address, at: &LedgerAt, as_json: bool) -> Result<(), CommandError> {
    let ledger = super::connection::connect(at).await?;
    let view = ledger.view().await?;
    let exposure = Exposure::of(&view, &account);
    let gained_wei = exposure.profit_wei(ledger.paid(&account).await);
    let nonce = view.settlement.nonce(&account);
    let is_known = exposure.free_wei > 0 || nonce > 0;
    if as_json {
        let wei = |amount: u128| amount.to_string();
        return print::json(&json!({
            "account": account.to_string(), "free_wei": wei(exposure.free_wei),
            "stakes_wei": wei(exposure.stakes_wei), "bonds_wei": wei(exposure.bonds_wei),
            "fees_wei": wei(exposure.fees_wei), "needed_wei": wei(exposure.needed_wei),
            "gained_wei": gained_wei.to_string(), "claims": exposure.claims,
            "disputes": exposure.disputes, "challenges": exposure.challenges,
            "to_move": exposure.to_move, "deadline_ms": exposure.deadline_ms,
            "nonce": nonce, "known": is_known, "height": view.height,
        }));
    }
    if !is_known {
        println!("note          this ledger knows nothing of {account}: no deposit, no action");
    }
    println!("free          {}", words::ether(exposure.free_wei));
    println!("in stakes     {}", words::ether(exposure.stakes_wei));
    println!("in challenges {}", words::ether(exposure.bonds_wei));
    println!("in fees       {}", words::ether(exposure.fees_wei));
    println!("reserve       {}", words::ether(exposure.needed_wei));
    match gained_wei {
        0.. => println!("profit        {}", words::ether(gained_wei.unsigned_abs())),
        _ => println!("loss          {}", words::ether(gained_wei.unsigned_abs())),
    }
    println!(
        "open          {}, {} against them, {} of others, {}",
        words::count(exposure.claims, "claim", "claims"),
        words::count(exposure.disputes, "challenge", "challenges"),
        words::count(exposure.challenges, "challenge", "challenges"),
        words::count(exposure.to_move, "move due", "moves due")
    );
    Ok(())
}
