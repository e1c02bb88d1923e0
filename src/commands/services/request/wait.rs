//! Waiting for a job's final claim: as long as the ledger's rules may take, and no longer in silence.

use std::time::{Duration, Instant};

use ::ledger::http::HttpLedger;
use ::ledger::{Ledger as _, LedgerError, View, words};
use node::late::calls_for_job;
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{Claim, ClaimStatus, Event, Job, JobStatus, Settlement};
use protocol::transaction::{Action, Key};
use serde::Serialize;

use super::super::account::passing;
use super::check::OwnRun;
use crate::arguments::Request;
use crate::error::{CommandError, system};

/// How long nobody may claim before the client gives up, unless it says otherwise.
const UNCLAIMED: Duration = Duration::from_secs(600);
/// What a claim may take beyond its last possible end: somebody must send the last transaction.
const AFTER_LAST: Duration = Duration::from_secs(60);
/// How long others may take to settle a job whose claim nobody can dispute any more, and to call time on who is
/// late, before it is done here.
const UNSETTLED_MS: u64 = 3_000;

/// How long to wait: as the caller said, or as long as the job's claims may take.
pub(super) struct Patience {
    started: Instant,
    given: Option<Duration>,
}

impl Patience {
    pub(super) fn new(arguments: &Request, started: Instant) -> Self {
        Self { started, given: arguments.patience_seconds.map(Duration::from_secs) }
    }

    /// When a given patience ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.given.map(|given| self.started + given)
    }

    /// Whether it is over, with the reason.
    fn over(&self, view: &View, id: &JobId) -> Option<String> {
        let waited = self.started.elapsed();
        if let Some(given) = self.given {
            let over = waited >= given;
            return over.then(|| format!("nothing is final after {} s", given.as_secs()));
        }
        match standing(view, id).map(|(_, claim)| claim.last_finality_ms).max() {
            None => (waited >= UNCLAIMED).then(|| {
                format!("no executor has claimed this model within {} s", UNCLAIMED.as_secs())
            }),
            Some(last_ms) => {
                let after_ms = u64::try_from(AFTER_LAST.as_millis()).unwrap_or(u64::MAX);
                (view.now_ms > last_ms.saturating_add(after_ms))
                    .then(|| "its claim could be final, and nobody settles it".to_owned())
            }
        }
    }
}

/// A job that has its answer.
pub(super) struct Ended {
    pub(super) id: ClaimId,
    pub(super) claim: Claim,
    pub(super) others: Vec<Other>,
}

/// Another claim on the job, and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct Other {
    pub(super) claim: String,
    pub(super) executor: String,
    pub(super) status: String,
    /// Why it was rejected, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl std::fmt::Display for Other {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} by {}: {}", self.claim, self.executor, self.status)?;
        match &self.reason {
            Some(reason) => write!(out, ", {reason}"),
            None => Ok(()),
        }
    }
}

/// The claims of a job that stand, in the order of their numbers.
fn standing<'a>(view: &'a View, job: &JobId) -> impl Iterator<Item = (ClaimId, &'a Claim)> {
    let settlement = &view.settlement;
    let claims = settlement.claims_of(job).filter_map(|id| Some((*id, settlement.claim(id)?)));
    claims.filter(|(_, claim)| claim.stands())
}

/// Waits for the final claim; tells what happens meanwhile.
pub(super) async fn wait(
    ledger: &HttpLedger,
    id: &JobId,
    own: &OwnRun,
    patience: &Patience,
    key: Option<&Key>,
    as_json: bool,
) -> Result<Ended, CommandError> {
    let mut told = 0;
    let mut unsettled_told = false;
    let mut away_since: Option<Instant> = None;
    loop {
        let seen = async {
            let view = ledger.view().await?;
            Ok::<_, LedgerError>((ledger.events_after(told, usize::MAX).await?, view))
        };
        let (receipts, view) = match seen.await {
            Ok(seen) => seen,
            // It may come back; the job is on its disk.
            Err(error) if error.is_away() => {
                let since = *away_since.get_or_insert_with(|| {
                    eprintln!("waiting: {error}");
                    Instant::now()
                });
                if patience.until().is_some_and(|until| Instant::now() >= until)
                    || since.elapsed() > UNCLAIMED
                {
                    return Err(later(id, "the ledger is not reached".to_owned(), false));
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        away_since = None;
        for receipt in receipts {
            told = receipt.height;
            for event in &receipt.events {
                if let (Some(line), false) = (line_of(event, id, &view.settlement, own), as_json) {
                    println!("{line}");
                }
            }
        }
        let job = view.settlement.job(id).ok_or_else(|| system("the job", "is lost"))?;
        match job.status {
            JobStatus::Done { claim } => return ended(&view, id, claim),
            JobStatus::Expired => return Err(expired(id)),
            JobStatus::Open => {}
        }
        match push(ledger, &view, id, own, key).await? {
            Some(help) if !unsettled_told => {
                unsettled_told = true;
                eprintln!("waiting       {help}");
            }
            _ => {}
        }
        if let Some(key) = key.filter(|_| may_expire(job, view.now_ms)) {
            done(ledger, key, &Action::ExpireJob { job: *id }).await?;
        } else if let Some(reason) = patience.over(&view, id) {
            return Err(later(id, reason, job.claims == 0));
        }
        let wake_ups = ledger.wait_beyond(view.height);
        // A ledger that went away is asked again above.
        let _ = tokio::time::timeout(Duration::from_secs(1), wake_ups).await;
    }
}

/// Does what a job waits for and nobody does: calls time on who is late, and settles it. Where that is not for
/// this client to do, says what its user can.
async fn push(
    ledger: &HttpLedger,
    view: &View,
    id: &JobId,
    own: &OwnRun,
    key: Option<&Key>,
) -> Result<Option<String>, CommandError> {
    let calls = calls_for_job(view, id, UNSETTLED_MS, |claim| own.agrees(claim));
    match key {
        Some(key) => {
            for call in &calls {
                done(ledger, key, call).await?;
            }
        }
        None if !calls.is_empty() => return Ok(Some(how_to_end(id))),
        None => {}
    }
    let Some((claim_id, claim)) = unsettled(view, id) else {
        return Ok(None);
    };
    match key.filter(|_| own.agrees(claim) != Some(false)) {
        Some(key) => settle(ledger, key, view, (claim_id, claim)).await.map(|()| None),
        None => Ok(Some(how_to_settle(id))),
    }
}

/// The claim that would be a job's answer if somebody settled it, and nobody does.
fn unsettled<'a>(view: &'a View, job: &JobId) -> Option<(ClaimId, &'a Claim)> {
    let (id, first) = standing(view, job).next()?;
    let is_over = view.now_ms > first.window_end_ms.saturating_add(UNSETTLED_MS);
    (is_over && !first.is_disputed()).then_some((id, first))
}

/// Whether nothing can become of a job any more, so that its money can go back.
fn may_expire(job: &Job, now_ms: u64) -> bool {
    now_ms > job.open_until_ms && job.standing == 0 && job.seals_waiting == 0
}

/// Makes a claim its job's answer, past claims before it that were rejected.
async fn settle(
    ledger: &HttpLedger,
    key: &Key,
    view: &View,
    (id, claim): (ClaimId, &Claim),
) -> Result<(), CommandError> {
    for action in passing(&view.settlement, &claim.terms.job, claim.number) {
        done(ledger, key, &action).await?;
    }
    done(ledger, key, &Action::Finalise { claim: id }).await
}

async fn done(ledger: &HttpLedger, key: &Key, action: &Action) -> Result<(), CommandError> {
    let until = Some(Instant::now() + Duration::from_secs(10));
    match super::super::connection::act(ledger, key, action, until).await {
        // Somebody else was faster, or a challenge came: the next look says.
        Ok(_) | Err(CommandError::Ledger(LedgerError::Rejected(_))) => Ok(()),
        Err(error) => Err(error),
    }
}

fn expired(id: &JobId) -> CommandError {
    let reason = "expired: its time for claims is over and none of them stood; its fee went back to its \
                  poster. Post it again, perhaps with a higher --fee or a longer --open-ms";
    system(format!("job {id}"), reason)
}

fn how_to_settle(job: &JobId) -> String {
    format!(
        "its claim can be disputed no more, and nobody settles the job; anybody may: `rebut account \
         settle-job {job}`"
    )
}

fn how_to_end(job: &JobId) -> String {
    format!(
        "a side of its dispute let its time pass, and nobody ends it; anybody may: `rebut account \
         settle-job {job}`"
    )
}

/// Giving up loses nothing: the job stays, and its answer can be fetched.
fn later(id: &JobId, reason: String, is_unclaimed: bool) -> CommandError {
    system(format!("job {id}"), format!("{reason}; {}", help(id, is_unclaimed)))
}

/// How to go on with a job that is not waited for any longer.
fn help(id: &JobId, is_unclaimed: bool) -> String {
    let fetch = format!(
        "the job stays open and its fee locked; fetch its answer later with `rebut request MODEL \
         --job {id} --out FILE`"
    );
    if is_unclaimed {
        format!(
            "{fetch}, or, once its time for claims is over and nobody has claimed it, take its fee back \
             with `rebut account expire-job {id}` (an executor may want a higher --fee)"
        )
    } else {
        fetch
    }
}

/// Waits until the user stops the command, and says how to go on with the job.
pub(super) async fn stopped(id: &JobId) -> CommandError {
    super::super::process::told_to_stop().await;
    system(format!("job {id}"), format!("stopped by a signal; {}", help(id, true)))
}

fn ended(view: &View, job: &JobId, id: ClaimId) -> Result<Ended, CommandError> {
    let settlement = &view.settlement;
    let claim = settlement.claim(&id).ok_or_else(|| system("the claim", "is lost"))?.clone();
    let others = settlement.claims_of(job).filter(|other| **other != id).filter_map(|other| {
        let claim = settlement.claim(other)?;
        let reason = match &claim.status {
            ClaimStatus::Fallen { reason, .. } => {
                Some(words::fallen(reason, Some(&claim.knowledge)))
            }
            _ => None,
        };
        Some(Other {
            claim: other.to_string(),
            executor: claim.executor.to_string(),
            status: words::claim_status(&claim.status).to_owned(),
            reason,
        })
    });
    Ok(Ended { id, claim, others: others.collect() })
}

/// An event about the job, for people.
fn line_of(event: &Event, job: &JobId, settlement: &Settlement, own: &OwnRun) -> Option<String> {
    let about = |claim: &ClaimId| settlement.claim(claim).filter(|claim| claim.terms.job == *job);
    match event {
        Event::ClaimPosted { claim, .. } => about(claim).map(|found| {
            let differs = match own.agrees(found) {
                Some(false) => ", NOT what this machine computes",
                _ => "",
            };
            format!("claimed       {claim} by {}{differs}", found.executor)
        }),
        Event::Challenged { claim, .. } => about(claim).map(|_| format!("challenged    {claim}")),
        Event::Revealed { claim, .. } => about(claim).map(|_| format!("answered      {claim}")),
        Event::ClaimFallen { claim, reason, .. } => about(claim).map(|found| {
            format!("rejected      {claim}: {}", words::fallen(reason, Some(&found.knowledge)))
        }),
        _ => None,
    }
}
