//! `rebut monitor`: how each dispute must end, who can pay, what somebody should look at.

use std::sync::{Arc, Mutex, PoisonError};

use ::challenger::monitor::{Alert, Forecast, Monitor as Follower, Observation};
use ::challenger::service::{Mode, Service, Settings};
use ledger::words;
use node::metrics::Of;
use tokio::sync::Notify;

use super::daemon;
use crate::arguments::Monitor;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::{load, print};

pub(crate) fn run(arguments: &Monitor, as_json: bool) -> Result<Ending, CommandError> {
    let options = &arguments.daemon;
    super::process::raise_file_limit();
    let engine = load::engine(&options.engine)?;
    let model_store = super::daemon::model_store(&options.models, &engine)?;
    // It is a challenger that only watches, and has that one's metrics as well.
    let render = daemon::metrics(&[Of::Daemons, Of::Challenger, Of::Monitor])?;
    let last = Arc::new(Mutex::new(Observation::default()));
    super::process::runtime()?.block_on(async {
        let ledger = if arguments.once {
            super::connection::connect_soon(&options.at).await?
        } else {
            super::connection::patiently(None, async || {
                super::connection::connect(&options.at).await
            })
            .await?
        };
        let (worker, wake_ups) = daemon::worker(options, None, &engine)?;
        // Nothing is ever signed with it.
        let key = super::key::dev_key("watch");
        let settings = Settings { mode: Mode::Watch, ..Settings::default() };
        let model = daemon::smallest(&model_store);
        let mut service =
            Service::new(ledger, key, model_store, worker, wake_ups, settings, [0; 32]);
        let health = Arc::clone(service.health());
        daemon::self_tests(options, engine, model, Arc::clone(&health))?;
        if let Some(listen) = options.listen {
            let listen = daemon::listen(listen, health, render, axum::Router::new()).await?;
            eprintln!("metrics at http://{listen}/metrics");
        }
        let (done, ended) = (Arc::new(Notify::new()), Arc::clone(&last));
        let (mut follower, once, finished) =
            (Follower::default(), arguments.once, Arc::clone(&done));
        let mut before = None;
        service.observed(Box::new(move |view, seen| {
            let look = follower.look(view, seen.truths, seen.gaps);
            measure(&look, &follower);
            // Clocks alone are no news.
            let seen_now = (look.height, look.alerts.clone(), look.unknown_claims);
            if !once && before.as_ref() != Some(&seen_now) {
                tell(&look, as_json);
                before = Some(seen_now);
            }
            if once && seen.waiting == 0 {
                finished.notify_one();
            }
            *ended.lock().unwrap_or_else(PoisonError::into_inner) = look;
        }));
        let stop = async {
            tokio::select! {
                () = super::process::told_to_stop() => {}
                () = done.notified() => {}
            }
        };
        Ok::<_, CommandError>(service.run(stop).await?)
    })?;
    let look = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if arguments.once {
        tell(&look, as_json);
    }
    Ok(Ending::falls_if(!look.alerts.is_empty()))
}

fn measure(look: &Observation, follower: &Follower) {
    let unchallenged =
        look.alerts.iter().filter(|alert| matches!(alert, Alert::Unchallenged { .. })).count();
    let false_final =
        look.alerts.iter().filter(|alert| matches!(alert, Alert::FalseFinal { .. })).count();
    for (name, value) in [
        ("rebut_monitor_false_final", false_final),
        ("rebut_monitor_claims", look.claims),
        ("rebut_monitor_false_claims", look.false_claims.len()),
        ("rebut_monitor_unchallenged", unchallenged),
        ("rebut_monitor_unchecked", look.unchecked.len()),
        ("rebut_monitor_disputes", look.disputes.len()),
    ] {
        metrics::gauge!(name).set(value as f64);
    }
    metrics::counter!("rebut_monitor_wrong_forecasts_total").absolute(follower.wrong() as u64);
}

fn short(id: &str) -> String {
    id.chars().take(10).collect()
}

fn ether(wei: &str) -> String {
    print::ether(wei.parse().unwrap_or(i128::MAX))
}

fn tell(look: &Observation, as_json: bool) {
    match as_json {
        // One document a line, for those who read a stream.
        true => {
            if let Ok(text) = print::line(look) {
                println!("{text}");
            }
        }
        false => print!("{}", text(look)),
    }
}

/// A look for people.
fn text(look: &Observation) -> String {
    let left = |at_ms: u64| at_ms.saturating_sub(look.now_ms) / 1_000;
    let counted = |number: usize, one: &str, many: &str| words::count(number as u64, one, many);
    let mut lines = vec![format!(
        "height {}: {}, {} false, {} not checked, {}, {}",
        look.height,
        counted(look.claims, "standing claim", "standing claims"),
        look.false_claims.len(),
        look.unknown_claims,
        counted(look.disputes.len(), "dispute", "disputes"),
        counted(look.alerts.len(), "alert", "alerts"),
    )];
    if !look.disputes.is_empty() {
        let rows = look.disputes.iter().map(|dispute| {
            vec![
                short(&dispute.challenge),
                short(&dispute.claim),
                match dispute.forecast {
                    Forecast::Falls => "falls",
                    Forecast::Stands => "stands",
                    Forecast::Unknown => "unknown",
                }
                .to_owned(),
                dispute.turn.to_owned(),
                dispute
                    .deadline_ms
                    .map_or("waits".to_owned(), |at_ms| format!("{} s", left(at_ms))),
                ether(&dispute.at_risk_wei),
            ]
        });
        let header = ["challenge", "claim", "forecast", "to move", "left", "at risk"];
        lines.push(print::table_text(&header, rows.collect()));
        let rows = look.parties.iter().map(|party| {
            vec![
                short(&party.account),
                ether(&party.free_wei),
                ether(&party.needed_wei),
                ether(&party.locked_wei),
                if party.covered { "yes" } else { "NO" }.to_owned(),
            ]
        });
        let header = ["account", "free", "needed", "locked", "covered"];
        lines.push(print::table_text(&header, rows.collect()));
    }
    lines.extend(look.alerts.iter().map(|alert| alert_line(alert, look.now_ms)));
    lines.join("\n") + "\n"
}

/// What somebody should look at.
fn alert_line(alert: &Alert, now_ms: u64) -> String {
    let left = |at_ms: u64| at_ms.saturating_sub(now_ms) / 1_000;
    match alert {
        Alert::Unchallenged { claim, window_end_ms, silent_challenges: 0 } => {
            let left = left(*window_end_ms);
            format!("ALERT false claim {claim} has no challenge, {left} s left")
        }
        Alert::Unchallenged { claim, window_end_ms, silent_challenges } => {
            let left = left(*window_end_ms);
            let number = u64::from(*silent_challenges);
            let silent = words::count(number, "challenge that has", "challenges that have");
            format!("ALERT false claim {claim} has only {silent} made no move, {left} s left")
        }
        Alert::WrongForecast { challenge, forecast } => {
            format!("ALERT challenge {challenge} ended otherwise than forecast ({forecast})")
        }
        Alert::LittleTime { challenge, turn, deadline_ms } => {
            let left = left(*deadline_ms);
            format!("ALERT the {turn} of challenge {challenge} is right and has {left} s left")
        }
        Alert::Unchecked { claim, window_end_ms, reason } => {
            let left = left(*window_end_ms);
            format!("ALERT claim {claim} is not checked, {left} s left: {reason}")
        }
        Alert::FalseFinal { claim, job } => {
            format!("ALERT false claim {claim} became the answer of job {job}")
        }
        Alert::Uncovered { account } => {
            format!("ALERT account {account} cannot pay what its challenges may need")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::challenger::coverage::{Gap, Unchecked};
    use ::challenger::monitor::{Collateral, Dispute};

    #[test]
    fn a_look_with_disputes_parties_and_every_alert_reads_as_it_did() {
        let text_of = |word: &str| word.to_owned();
        let dispute = |challenge: &str, forecast, turn, deadline_ms| Dispute {
            challenge: text_of(challenge),
            claim: text_of("0xbbbbbbbbbbbbbbbb"),
            executor: text_of("0xe"),
            challenger: text_of("0xc"),
            forecast,
            turn,
            deadline_ms,
            at_risk_wei: text_of("1100000000000000000"),
        };
        let unchallenged = |claim: &str, window_end_ms, silent_challenges| Alert::Unchallenged {
            claim: text_of(claim),
            window_end_ms,
            silent_challenges,
        };
        let look = Observation {
            height: 12,
            now_ms: 10_000,
            claims: 3,
            false_claims: vec![text_of("0xbb")],
            unknown_claims: 1,
            unchecked: vec![Gap {
                claim: text_of("0xcc"),
                job: text_of("0xdd"),
                window_end_ms: 14_000,
                stake_wei: text_of("1000000000000000000"),
                unchecked: Unchecked::ModelMissing { model_root: text_of("0x77") },
            }],
            disputes: vec![
                dispute("0xaaaaaaaaaaaaaaaa", Forecast::Falls, "executor", Some(30_000)),
                dispute("0xcccccccccccccccc", Forecast::Stands, "challenger", Some(31_500)),
                dispute("0xdddddddddddddddd", Forecast::Unknown, "executor", Some(9_000)),
                dispute("0x9999999999999999", Forecast::Falls, "queue", None),
            ],
            parties: vec![Collateral {
                account: text_of("0xeeeeeeeeeeeeeeee"),
                free_wei: text_of("5000000000000000"),
                needed_wei: text_of("16000000000000000"),
                locked_wei: text_of("101000000000000000"),
                covered: false,
            }],
            alerts: vec![
                unchallenged("0xbb", 12_000, 0),
                unchallenged("0xb1", 13_000, 1),
                unchallenged("0xb2", 13_000, 2),
                Alert::Unchecked {
                    claim: text_of("0xcc"),
                    window_end_ms: 14_000,
                    reason: text_of("model missing: put the model 0x77 into the folder"),
                },
                Alert::WrongForecast { challenge: text_of("0xff"), forecast: text_of("falls") },
                Alert::LittleTime {
                    challenge: text_of("0xcc"),
                    turn: "challenger",
                    deadline_ms: 31_500,
                },
                Alert::Uncovered { account: text_of("0xee") },
            ],
        };
        insta::assert_snapshot!("monitor_text", text(&look));
    }
}
