//! What the ledger holds, as JSON documents: lists with filters, newest first if wanted, and single objects.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use protocol::hash::{Digest, parse_digest, parse_hex};
use protocol::ids::{ChallengeId, ClaimId, JobId};
use protocol::settlement::{Challenge, Job, Settlement};
use protocol::transaction::Address;
use serde_json::{Value, json};

use super::failure::{Failure, failure, no_room};
use super::limits::Source;
use super::shared::{Answer, JSON, Parameters, Shared, answered, number};
use super::views;
use crate::{Ledger as _, View, words};

/// The state now, or after `?height=`.
async fn view_of(shared: &Shared, query: &HashMap<String, String>) -> Result<View, Failure> {
    Ok(match number(query, "height")? {
        None => shared.ledger.view().await?,
        Some(height) => shared.ledger.view_at(height).await?,
    })
}

pub(super) async fn status(
    State(shared): State<Shared>,
    source: Source,
    Query(query): Parameters,
) -> Answer {
    let view = view_of(&shared, &query).await?;
    let upload_bytes = shared.limits.upload_bytes;
    let (start, signer) = (shared.ledger.start(), shared.ledger.signer());
    let written = move || views::status(&view, upload_bytes, start, signer);
    let document = shared.readers.run(source, written).await?;
    Ok(axum::Json(document).into_response())
}

/// The head of the log, or the one at `?height=`, signed by the server.
pub(super) async fn head(
    State(shared): State<Shared>,
    source: Source,
    Query(query): Parameters,
) -> Answer {
    let (height, ledger) = (number(&query, "height")?, Arc::clone(&shared.ledger));
    let signed = shared.followers.run(source, move || ledger.signed_head(height)).await??;
    let genesis = shared.ledger.genesis();
    Ok(axum::Json(json!({
        "schema": views::SCHEMA, "genesis": genesis.root().to_string(), "chain_id": genesis.chain_id,
        "head": signed.map(|signed| signed.to_json()),
    }))
    .into_response())
}

/// Rows of a list that are held at a time, where few are shown.
const HELD_MIN: usize = if cfg!(test) { 2 } else { 4_096 };

/// A part of a list: what fits the filters, `skip` left out, `limit` shown. Only what is shown is written.
struct Part {
    filters: HashMap<String, String>,
    newest: bool,
    skip: usize,
    limit: usize,
}

/// What a list can be asked for.
struct Filters {
    names: &'static [&'static str],
    statuses: &'static [&'static str],
}

const JOBS: Filters = Filters { names: &["model", "account"], statuses: &words::JOB_STATUSES };
const CLAIMS: Filters =
    Filters { names: &["job", "model", "account"], statuses: &words::CLAIM_STATUSES };
const CHALLENGES: Filters =
    Filters { names: &["claim", "account"], statuses: &words::CHALLENGE_STATUSES };
/// What every list can be asked for.
const ALWAYS: &[&str] = &["status", "prefix", "order", "skip", "limit", "height"];

impl Filters {
    /// That nothing is asked that would be left out in silence.
    fn check(&self, query: &HashMap<String, String>) -> Result<(), Failure> {
        let wrong = |message: String| failure(StatusCode::BAD_REQUEST, "malformed", message);
        let known =
            |name: &&String| ALWAYS.contains(&name.as_str()) || self.names.contains(&name.as_str());
        if let Some(name) = query.keys().find(|name| !known(name)) {
            let known = [ALWAYS, self.names].concat().join(", ");
            return Err(wrong(format!("{name} is not known here; known are {known}")));
        }
        for name in ["job", "model", "claim"] {
            query.get(name).map_or(Ok(()), |text| digest(text).map(drop))?;
        }
        query.get("account").map_or(Ok(()), |text| address(text).map(drop))?;
        let is_prefix = |text: &String| {
            let digits = text.strip_prefix("0x").unwrap_or("?");
            digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if let Some(prefix) = query.get("prefix").filter(|prefix| !is_prefix(prefix)) {
            return Err(wrong(format!("prefix is {prefix}; it is 0x and up to 64 digits")));
        }
        match query.get("status") {
            Some(status) if !self.statuses.contains(&status.as_str()) => {
                let known = self.statuses.join(", ");
                Err(wrong(format!("status is {status}; it can be {known}")))
            }
            _ => Ok(()),
        }
    }
}

/// An object of a list, as filters see it.
struct Row<T> {
    id: Digest,
    at_ms: u64,
    /// By the name of a filter, what it must be.
    fields: Vec<(&'static str, Field)>,
    object: T,
}

/// What a filter is compared with; written only when there is such a filter, for lists are long.
#[derive(Clone, Copy, Debug)]
enum Field {
    Word(&'static str),
    Id(Option<Digest>),
    Account(Address),
}

impl Field {
    fn is(self, wanted: &str) -> bool {
        match self {
            Self::Word(word) => wanted.eq_ignore_ascii_case(word),
            Self::Id(id) => id.is_some_and(|id| wanted.eq_ignore_ascii_case(&id.to_string())),
            Self::Account(account) => wanted.eq_ignore_ascii_case(&account.to_string()),
        }
    }
}

impl Part {
    fn new(query: &HashMap<String, String>) -> Result<Self, Failure> {
        let count = |name, default: u64| Ok::<_, Failure>(number(query, name)?.unwrap_or(default));
        let skip = usize::try_from(count("skip", 0)?).unwrap_or(usize::MAX);
        let limit = usize::try_from(count("limit", 100)?.min(1_000)).unwrap_or(1_000);
        let newest = match query.get("order").map(String::as_str) {
            None | Some("id") => false,
            Some("newest") => true,
            Some(other) => {
                let message = format!("order is {other}; it can be id or newest");
                return Err(failure(StatusCode::BAD_REQUEST, "malformed", message));
            }
        };
        Ok(Self { filters: query.clone(), newest, skip, limit })
    }

    fn wants(&self, id: &Digest, fields: &[(&'static str, Field)]) -> bool {
        let begins = self
            .filters
            .get("prefix")
            .is_none_or(|prefix| id.to_string().starts_with(prefix.to_ascii_lowercase().as_str()));
        let fits = |(name, field): &(&'static str, Field)| {
            self.filters.get(*name).is_none_or(|wanted| field.is(wanted))
        };
        begins && fields.iter().all(fits)
    }

    /// Those that are shown, and how many fit. Of all that fit no more is held at a time than twice as many as are
    /// shown or left out before them, however many there are.
    fn of<T>(
        &self,
        all: impl Iterator<Item = Row<T>>,
        written: impl Fn(&Digest, T) -> Value,
    ) -> (Vec<Value>, usize) {
        let last = self.skip.saturating_add(self.limit);
        let (mut found, mut total) = (Vec::new(), 0);
        for row in all.filter(|row| self.wants(&row.id, &row.fields)) {
            total += 1;
            if self.newest {
                found.push((Reverse(row.at_ms), row.id, row.object));
                if found.len() >= last.saturating_mul(2).max(HELD_MIN) {
                    found.sort_unstable_by_key(|(at_ms, id, _)| (*at_ms, *id));
                    found.truncate(last);
                }
            } else if total <= last && total > self.skip {
                found.push((Reverse(row.at_ms), row.id, row.object));
            }
        }
        let skipped = if self.newest {
            found.sort_unstable_by_key(|(at_ms, id, _)| (*at_ms, *id));
            self.skip
        } else {
            0
        };
        let shown = found.into_iter().skip(skipped).take(self.limit);
        (shown.map(|(_, id, object)| written(&id, object)).collect(), total)
    }
}

async fn listed(
    shared: &Shared,
    source: Source,
    query: &HashMap<String, String>,
    filters: &Filters,
    items: impl FnOnce(&Settlement, &Part) -> (Vec<Value>, usize) + Send + 'static,
) -> Answer {
    filters.check(query)?;
    let (view, part) = (view_of(shared, query).await?, Part::new(query)?);
    let document = shared.readers.run(source, move || {
        let (items, total) = items(&view.settlement, &part);
        serde_json::to_vec(&views::Listed::new(&view, items, total))
    });
    let document = document.await?.map_err(|error| {
        failure(StatusCode::INTERNAL_SERVER_ERROR, "encoding", error.to_string())
    })?;
    answered(&shared.answers, source, JSON, document).ok_or_else(no_room)
}

pub(super) async fn jobs(
    State(shared): State<Shared>,
    source: Source,
    Query(query): Parameters,
) -> Answer {
    listed(&shared, source, &query, &JOBS, |settlement, part| {
        let rows = settlement.jobs().map(|(id, job)| {
            let fields = vec![
                ("status", Field::Word(words::job_status(&job.status))),
                ("model", Field::Id(Some(job.terms.model_root))),
                ("account", Field::Account(job.poster)),
            ];
            Row { id: id.0, at_ms: job.posted_ms, fields, object: job }
        });
        part.of(rows, |id, job: &Job| views::job(&JobId(*id), job, settlement))
    })
    .await
}

pub(super) async fn claims(
    State(shared): State<Shared>,
    source: Source,
    Query(query): Parameters,
) -> Answer {
    listed(&shared, source, &query, &CLAIMS, |settlement, part| {
        let rows = settlement.claims().map(|(id, claim)| {
            let job = claim.terms.job;
            let model = settlement.job(&job).map(|job| job.terms.model_root);
            let fields = vec![
                ("status", Field::Word(words::claim_status(&claim.status))),
                ("job", Field::Id(Some(job.0))),
                ("account", Field::Account(claim.executor)),
                ("model", Field::Id(model)),
            ];
            Row { id: id.0, at_ms: claim.posted_ms, fields, object: claim }
        });
        part.of(rows, |id, claim| views::claim(&ClaimId(*id), claim, settlement))
    })
    .await
}

pub(super) async fn challenges(
    State(shared): State<Shared>,
    source: Source,
    Query(query): Parameters,
) -> Answer {
    listed(&shared, source, &query, &CHALLENGES, |settlement, part| {
        let rows = settlement.challenges().map(|(id, one)| {
            let under_way = settlement.is_under_way(one);
            let fields = vec![
                ("status", Field::Word(words::challenge_status(&one.status, under_way))),
                ("claim", Field::Id(Some(one.claim.0))),
                ("account", Field::Account(one.challenger)),
            ];
            Row { id: id.0, at_ms: one.opened_ms, fields, object: one }
        });
        part.of(rows, |id, one: &Challenge| views::challenge(&id.to_string(), one, settlement))
    })
    .await
}

pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    parse_digest(text).ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "malformed", format!("{text} is not 0x and 64 digits"))
    })
}

pub(super) fn address(text: &str) -> Result<Address, Failure> {
    let bytes = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Address).ok_or_else(|| {
        failure(StatusCode::BAD_REQUEST, "malformed", format!("{text} is not 0x and 40 digits"))
    })
}

/// One object of the ledger, by its id. A job has as many claims, and a claim as many challenges, as others make: it is
/// written on a reader's thread, and long in parts.
async fn single(
    shared: &Shared,
    source: Source,
    query: &HashMap<String, String>,
    (what, id): (&'static str, &str),
    document: impl FnOnce(&Settlement, Digest) -> Option<Value> + Send + 'static,
) -> Answer {
    let (view, id) = (view_of(shared, query).await?, digest(id)?);
    let missing =
        || failure(StatusCode::NOT_FOUND, "not-found", format!("the ledger has no such {what}"));
    let written = move || document(&view.settlement, id).map(|document| document.to_string());
    let document = shared.readers.run(source, written).await?.ok_or_else(missing)?;
    answered(&shared.answers, source, JSON, document.into_bytes()).ok_or_else(no_room)
}

pub(super) async fn job(
    State(shared): State<Shared>,
    source: Source,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let document = |settlement: &Settlement, id: Digest| {
        settlement.job(&JobId(id)).map(|job| views::job(&JobId(id), job, settlement))
    };
    single(&shared, source, &query, ("job", &id), document).await
}

pub(super) async fn claim(
    State(shared): State<Shared>,
    source: Source,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let document = |settlement: &Settlement, id: Digest| {
        let claim = settlement.claim(&ClaimId(id))?;
        Some(views::whole_claim(&ClaimId(id), claim, settlement))
    };
    single(&shared, source, &query, ("claim", &id), document).await
}

pub(super) async fn challenge(
    State(shared): State<Shared>,
    source: Source,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let document = |settlement: &Settlement, id: Digest| {
        let challenge = settlement.challenge(&ChallengeId(id))?;
        Some(views::challenge(&id.to_string(), challenge, settlement))
    };
    single(&shared, source, &query, ("challenge", &id), document).await
}

pub(super) async fn model(
    State(shared): State<Shared>,
    source: Source,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let document = |settlement: &Settlement, root: Digest| {
        settlement.model(&root).map(|header| views::model(&root.to_string(), header))
    };
    single(&shared, source, &query, ("model", &id), document).await
}

pub(super) async fn account(
    State(shared): State<Shared>,
    Path(text): Path<String>,
    Query(query): Parameters,
) -> Answer {
    let (view, account) = (view_of(&shared, &query).await?, address(&text)?);
    let settlement = &view.settlement;
    Ok(axum::Json(json!({
        "schema": views::SCHEMA, "account": account.to_string(),
        "free_wei": settlement.money().free_wei(&account).to_string(),
        "nonce": settlement.nonce(&account),
    }))
    .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row<u8>> {
        let row = |number: u8, at_ms, status: &'static str| Row {
            id: Digest([number; 32]),
            at_ms,
            fields: vec![
                ("status", Field::Word(status)),
                ("account", Field::Account(Address([0xa0 + number; 20]))),
                ("job", Field::Id((number > 2).then_some(Digest([number; 32])))),
            ],
            object: number,
        };
        vec![row(1, 30, "open"), row(2, 10, "done"), row(3, 20, "open"), row(4, 40, "open")]
    }

    fn shown(query: &[(&str, &str)]) -> (Vec<Value>, usize) {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let query: HashMap<String, String> = query.iter().map(pair).collect();
        let part = Part::new(&query).unwrap_or_else(|_| panic!("a part"));
        part.of(rows().into_iter(), |_, number| Value::from(number))
    }

    #[test]
    fn lists_are_filtered_ordered_and_cut_and_say_how_many_fit() {
        let (account, id) = (&format!("0x{}", "A3".repeat(20)), &format!("0x{}", "04".repeat(32)));
        for (query, expected, total) in [
            (&[][..], &[1, 2, 3, 4][..], 4),
            (&[("status", "open")], &[1, 3, 4], 3),
            (&[("status", "open"), ("order", "newest")], &[4, 1, 3], 3),
            (&[("order", "newest"), ("skip", "1"), ("limit", "2")], &[1, 3], 4),
            (&[("account", account)], &[3], 1),
            (&[("job", id)], &[4], 1),
            (&[("prefix", "0x0202")], &[2], 1),
            (&[("prefix", "0xff")], &[], 0),
            (&[("skip", "99")], &[], 4),
        ] {
            let expected: Vec<Value> = expected.iter().map(|one| Value::from(*one)).collect();
            assert_eq!(shown(query), (expected, total), "{query:?}");
        }
        let asked = |name: &str, value: &str| HashMap::from([(name.to_owned(), value.to_owned())]);
        assert!(Part::new(&asked("order", "oldest")).is_err());
        // What such objects do not have is refused, not left out.
        assert!(CLAIMS.check(&asked("status", "rejected")).is_ok());
        for (filters, name, value) in [
            (&CLAIMS, "statuss", "final"),
            (&CLAIMS, "status", "open"),
            (&CLAIMS, "claim", "0x1"),
            (&JOBS, "job", "0x1"),
            (&CHALLENGES, "model", "0x1"),
            // Malformed, which would fit nothing or everything.
            (&CLAIMS, "account", "0x12"),
            (&CLAIMS, "job", "foo"),
            (&JOBS, "prefix", "zz"),
            (&JOBS, "prefix", "0xzz"),
        ] {
            assert!(filters.check(&asked(name, value)).is_err(), "{name}={value}");
        }
    }
}
