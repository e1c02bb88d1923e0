//! `rebut account`: money of an account.

use ::ledger::{Ledger as _, LedgerError, View, words};
use node::exposure::Exposure;
use node::exposure::{challenge_takes_wei, claim_takes_wei};
use node::late::calls_for_job;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{PASSED_MAX, Settlement};
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
            AccountAction::ExpireJob { job, key, at } => {
                let key = super::key::read(key)?;
                let job = job_named(job, &view(at).await?)?;
                done(&key, &Action::ExpireJob { job }, at, as_json).await
            }
            AccountAction::SettleJob { job, key, at } => {
                let key = super::key::read(key)?;
                settle(&key, job, at, as_json).await
            }
            AccountAction::Collect { claim, challenger, key, at } => {
                let key = super::key::read(key)?;
                let claim = claim_named(claim, &view(at).await?)?;
                let challenger = match challenger {
                    Some(text) => super::ids::address("--challenger", text)?,
                    None => key.address(),
                };
                done(&key, &Action::Collect { claim, challenger }, at, as_json).await
            }
            AccountAction::Release { claim, key, at } => {
                let key = super::key::read(key)?;
                let claim = claim_named(claim, &view(at).await?)?;
                done(&key, &Action::Release { claim }, at, as_json).await
            }
            AccountAction::Withdraw { amount_wei, key, at } => {
                let key = super::key::read(key)?;
                done(&key, &Action::Withdraw { amount_wei: *amount_wei }, at, as_json).await
            }
        }
    })?;
    Ok(Ending::Done)
}

async fn view(at: &LedgerAt) -> Result<View, CommandError> {
    Ok(super::connection::connect(at).await?.view().await?)
}

fn job_named(job: &str, view: &View) -> Result<JobId, CommandError> {
    super::ids::named("JOB", job, "job", view.settlement.jobs().map(|(id, _)| id))
}

fn claim_named(claim: &str, view: &View) -> Result<ClaimId, CommandError> {
    super::ids::named("CLAIM", claim, "claim", view.settlement.claims().map(|(id, _)| id))
}

/// What must come before the claim of this number can become its job's answer: claims before it that were
/// rejected are passed, in parts.
pub(super) fn passing(settlement: &Settlement, job: &JobId, number: u32) -> Vec<Action> {
    let fallen = settlement.to_pass(job, number).unwrap_or_default();
    let parts = fallen.chunks(PASSED_MAX);
    parts.map(|claims| Action::Pass { job: *job, claims: claims.to_vec() }).collect()
}

/// Ends what is late about a job, and settles it.
async fn settle(key: &Key, job: &str, at: &LedgerAt, as_json: bool) -> Result<(), CommandError> {
    let ledger = super::connection::connect(at).await?;
    let mut view = ledger.view().await?;
    let job = job_named(job, &view)?;
    let calls = calls_for_job(&view, &job, 0, |_| None);
    for call in &calls {
        match super::connection::act(&ledger, key, call, Some(std::time::Instant::now())).await {
            Ok(_) if !as_json => println!("{}", words::action(call)),
            // Somebody else was faster, or the late side moved.
            Ok(_) | Err(CommandError::Ledger(LedgerError::Rejected(_))) => {}
            Err(error) => return Err(error),
        }
    }
    if !calls.is_empty() {
        view = ledger.view().await?;
    }
    let settlement = &view.settlement;
    let mut claims = settlement.claims_of(&job).filter_map(|id| Some((id, settlement.claim(id)?)));
    let Some((id, claim)) = claims.find(|(_, claim)| claim.stands()) else {
        let reason = format!(
            "no claim stands on {job}; once its time for claims is over, `rebut account expire-job \
             {job}` gives its fee back"
        );
        return Err(CommandError::Argument { argument: "JOB", reason });
    };
    for action in passing(settlement, &job, claim.number) {
        super::connection::act(&ledger, key, &action, Some(std::time::Instant::now())).await?;
    }
    done(key, &Action::Finalise { claim: *id }, at, as_json).await
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
    let parameters = view.settlement.parameters();
    let stake_wei = parameters.stake_wei_min;
    let claim_wei = claim_takes_wei(parameters, stake_wei);
    let challenge_wei = challenge_takes_wei(parameters, stake_wei);
    if as_json {
        let wei = |amount: u128| amount.to_string();
        return print::json(&json!({
            "account": account.to_string(), "free_wei": wei(exposure.free_wei),
            "stakes_wei": wei(exposure.stakes_wei), "bonds_wei": wei(exposure.bonds_wei),
            "fees_wei": wei(exposure.fees_wei), "needed_wei": wei(exposure.needed_wei),
            "gained_wei": gained_wei.to_string(), "claims": exposure.claims,
            "disputes": exposure.disputes, "challenges": exposure.challenges,
            "to_move": exposure.to_move, "deadline_ms": exposure.deadline_ms,
            "to_collect": exposure.to_collect, "to_release": exposure.to_release,
            "to_expire": exposure.to_expire, "claim_takes_wei": wei(claim_wei),
            "challenge_takes_wei": wei(challenge_wei),
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
    if exposure.to_collect + exposure.to_release + exposure.to_expire > 0 {
        println!(
            "to fetch      {} to collect, {} to release, {} to expire",
            words::count(exposure.to_collect, "challenge", "challenges"),
            words::count(exposure.to_release, "claim", "claims"),
            words::count(exposure.to_expire, "job", "jobs")
        );
    }
    println!(
        "takes         {} for a claim of the least stake, with its record fee",
        words::ether(claim_wei)
    );
    println!(
        "              {} for a challenge of it, with record fee and demands",
        words::ether(challenge_wei)
    );
    Ok(())
}
