//! Posting a job: its terms, what it takes, and the steps until the ledger has it.

use std::time::{Duration, Instant};

use ::ledger::http::{HttpLedger, UploadError};
use ::ledger::words::ether;
use ::ledger::{Ledger as _, LedgerError, View};
use inference::state_transfer::state_bytes;
use inference::{Model, State};
use protocol::graph::Profile;
use protocol::ids::JobId;
use protocol::settlement::{Parameters, Rejection, job_id};
use protocol::transaction::{Action, Address, JobTerms, Key};

use crate::arguments::Request;
use crate::commands::services::{connection, ids};
use crate::error::{CommandError, system};

/// Terms of the job, within the ledger's bounds. The salt is the number of the account's next transaction,
/// so that the same request twice makes two jobs.
fn terms(
    arguments: &Request,
    parameters: &Parameters,
    model: &Model,
    input: &State,
    salt: u64,
) -> Result<JobTerms, CommandError> {
    let wrong = |argument, reason| Err(CommandError::Argument { argument, reason });
    let (least, most) = (parameters.window_ms_of(1), parameters.window_ms_max);
    let window_ms = arguments.window_ms.unwrap_or(least);
    if !(least..=most).contains(&window_ms) {
        let reason = format!("{window_ms} is not between {least} and {most}, the ledger's bounds");
        return wrong("--window-ms", reason);
    }
    if arguments.open_ms == 0 {
        return wrong("--open-ms", "nobody can claim in no time; the ledger refuses it".to_owned());
    }
    if arguments.fee_wei == 0 {
        return wrong("--fee", "nobody works for nothing; the ledger refuses it".to_owned());
    }
    let executor = match &arguments.executor {
        None => Address::default(),
        Some(text) => ids::address("--executor", text)?,
    };
    Ok(JobTerms {
        model_root: model.root(),
        input_root: input.root(),
        profile: Profile::StrictF32,
        executor,
        fee_wei: arguments.fee_wei,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms,
        open_ms: arguments.open_ms,
        attention_wei: 0,
        salt,
    })
}

/// Says before anything is posted that a fee is one for which executors do not work unless told to.
fn warn_of_small_fee(terms: &JobTerms) {
    let policy = ::executor::JobPolicy::default();
    let least_wei = policy.fee_wei_min.max(policy.return_wei(terms.stake_wei, terms.window_ms));
    let fee_wei = terms.fee_wei;
    if fee_wei < least_wei {
        eprintln!(
            "warning: the job pays {}, and executors with default settings decline what pays less than \
             {} for its stake and time; --fee raises it",
            ether(fee_wei),
            ether(least_wei)
        );
    }
}

/// That the account has what the job takes: what it locks, and the fees that burn for its record and, where
/// the ledger does not know it, the model's.
fn check_money(view: &View, account: &Address, terms: &JobTerms) -> Result<(), CommandError> {
    let settlement = &view.settlement;
    let is_known = settlement.model(&terms.model_root).is_some();
    let record_fee_wei = settlement.parameters().record_fee_wei;
    let fees_wei = record_fee_wei.saturating_mul(if is_known { 1 } else { 2 });
    let needed_wei = terms.locked_wei().unwrap_or(u128::MAX).saturating_add(fees_wei);
    let free_wei = settlement.money().free_wei(account);
    if free_wei >= needed_wei {
        return Ok(());
    }
    let records = if is_known { "the job's record" } else { "the records of job and model" };
    Err(CommandError::Argument {
        argument: "--fee",
        reason: format!(
            "the account {account} has {} free and posting takes {} ({} for the executor, and {} that \
             burn for {records}); deposit more",
            ether(free_wei),
            ether(needed_wei),
            ether(terms.fee_wei),
            ether(fees_wei)
        ),
    })
}

/// Publishes the input, makes the model known, posts the job.
pub(super) async fn post(
    arguments: &Request,
    ledger: &HttpLedger,
    model: &Model,
    input: &State,
) -> Result<(JobId, Key), CommandError> {
    let until = Some(Instant::now() + Duration::from_secs(60));
    let key: Key = connection::key_at(&arguments.key, ledger, until).await?;
    let view = connection::patiently(until, async || Ok(ledger.view().await?)).await?;
    let (account, settlement) = (key.address(), &view.settlement);
    let salt = settlement.nonce(&account);
    let terms = terms(arguments, settlement.parameters(), model, input, salt)?;
    check_money(&view, &account, &terms)?;
    warn_of_small_fee(&terms);
    let bytes = state_bytes(input);
    let upload = async || {
        ledger.upload(&key, &terms.input_root, bytes.clone()).await.map_err(|error| match error {
            UploadError::Ledger(error) => CommandError::Ledger(error),
            refused => system("publishing the input", refused),
        })
    };
    connection::patiently(until, upload).await?;
    if settlement.model(&model.root()).is_none() {
        let header = model.header().clone();
        match connection::act(ledger, &key, &Action::RegisterModel { header }, until).await {
            // Somebody else made it known meanwhile.
            Ok(_) | Err(CommandError::Ledger(LedgerError::Rejected(Rejection::Exists { .. }))) => {}
            Err(error) => return Err(error),
        }
    }
    let job = job_id(account, &terms);
    match connection::act(ledger, &key, &Action::PostJob { terms }, until).await {
        // What exists with this id is this account's job, on these terms and paid once.
        Ok(_) | Err(CommandError::Ledger(LedgerError::Rejected(Rejection::Exists { .. }))) => {
            Ok((job, key))
        }
        Err(error) => Err(error),
    }
}
