//! Every metric of every service, in one place: what exists is described, and zero from the start, so
//! that an alert on it never waits for the first event.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// Which services have a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The ledger's server.
    Ledger,
    /// The executor.
    Executor,
    /// The challenger.
    Challenger,
    /// The monitor.
    Monitor,
    /// Executor, challenger and monitor.
    Daemons,
    /// All of them.
    All,
}

/// A metric: whose, name, kind, what it tells. Money is in wei.
pub type Metric = (Of, &'static str, Kind, &'static str);

use Kind::{Counter, Gauge, Histogram};

/// All of them.
pub const METRICS: &[Metric] = &[
    (Of::All, "rebut_build_info", Gauge, "1, with the version as a label"),
    (Of::Ledger, "rebut_ledger_accepted_total", Counter, "Accepted transactions"),
    (Of::Ledger, "rebut_ledger_rejected_total", Counter, "Rejected transactions"),
    (Of::Ledger, "rebut_ledger_height", Gauge, "Accepted transactions since the ledger began"),
    (Of::Ledger, "rebut_ledger_flush_seconds", Histogram, "Time to bring a batch to disk"),
    (Of::Ledger, "rebut_ledger_batch_transactions", Histogram, "Transactions that shared a flush"),
    (Of::Ledger, "rebut_ledger_locked_wei", Gauge, "Money in stakes, bonds and fees"),
    (Of::Ledger, "rebut_ledger_burned_wei", Gauge, "Money burned so far"),
    (Of::Ledger, "rebut_ledger_stopped", Gauge, "1 when the ledger stopped after an error"),
    (Of::Ledger, "rebut_ledger_snapshot_height", Gauge, "Transactions in the newest snapshot"),
    (Of::Ledger, "rebut_ledger_snapshot_seconds", Histogram, "Time to write a snapshot"),
    (
        Of::Ledger,
        "rebut_ledger_snapshots_failed_total",
        Counter,
        "Snapshots that could not be written",
    ),
    (
        Of::Ledger,
        "rebut_ledger_log_damaged",
        Gauge,
        "1 when the log before the snapshot that the ledger was started from is damaged",
    ),
    (
        Of::Ledger,
        "rebut_ledger_clock_stood_seconds_total",
        Counter,
        "Time for which the ledger's clock stood because its process was halted or kept waiting",
    ),
    (Of::Ledger, "rebut_ledger_uploads_bytes", Gauge, "Bytes that published states take"),
    (Of::Ledger, "rebut_ledger_uploads_bytes_max", Gauge, "Bytes that published states may take"),
    (
        Of::Ledger,
        "rebut_ledger_uploads_refused_total",
        Counter,
        "Published states refused because the disk, or the bound of all, is full",
    ),
    (Of::All, "rebut_http_connections", Gauge, "Open connections"),
    (
        Of::All,
        "rebut_http_slowed_total",
        Counter,
        "Requests refused because an address was too fast",
    ),
    (
        Of::All,
        "rebut_http_busy_total",
        Counter,
        "Requests refused because memory, readers or streams are taken",
    ),
    (
        Of::All,
        "rebut_http_crowded_total",
        Counter,
        "Connections closed because their address had too many, or all were taken",
    ),
    (
        Of::All,
        "rebut_http_waited_seconds",
        Histogram,
        "Time that requests waited for a place to read",
    ),
    (
        Of::Daemons,
        "rebut_key_shared_total",
        Counter,
        "Actions that another process with the same key was faster with",
    ),
    (
        Of::Daemons,
        "rebut_hindered",
        Gauge,
        "Moves that were tried at five looks in a row and refused, or cannot be made",
    ),
    (Of::Daemons, "rebut_looks_total", Counter, "Looks at the ledger"),
    (Of::Daemons, "rebut_unreachable_total", Counter, "Looks that did not reach the ledger"),
    (Of::Daemons, "rebut_seen_height", Gauge, "Height of the ledger as last seen"),
    (Of::Daemons, "rebut_last_look_seconds", Gauge, "Unix time of the last look that succeeded"),
    (Of::Daemons, "rebut_acted_total", Counter, "Actions that the ledger accepted"),
    (Of::Daemons, "rebut_refused_total", Counter, "Actions that the ledger refused"),
    (Of::Daemons, "rebut_not_sent_total", Counter, "Actions that did not reach the ledger"),
    (Of::Daemons, "rebut_free_wei", Gauge, "Free money of the account"),
    (Of::Daemons, "rebut_stakes_wei", Gauge, "Stakes in standing claims"),
    (Of::Daemons, "rebut_bonds_wei", Gauge, "Bonds and fees in open challenges"),
    (Of::Daemons, "rebut_needed_wei", Gauge, "Free money that open challenges may still need"),
    (Of::Daemons, "rebut_profit_wei", Gauge, "What the account gained with its money so far"),
    (Of::Daemons, "rebut_claims_standing", Gauge, "Standing claims of the account"),
    (Of::Daemons, "rebut_disputes_open", Gauge, "Open challenges of the account's claims"),
    (Of::Daemons, "rebut_challenges_open", Gauge, "Open challenges by the account"),
    (
        Of::Daemons,
        "rebut_challenges_to_collect",
        Gauge,
        "Challenges by the account of claims that were rejected, not paid out yet",
    ),
    (
        Of::Daemons,
        "rebut_claims_to_release",
        Gauge,
        "Standing claims of the account on jobs that are over",
    ),
    (
        Of::Daemons,
        "rebut_jobs_to_expire",
        Gauge,
        "Open jobs of the account whose time for claims is over and that have none",
    ),
    (Of::Daemons, "rebut_moves_due", Gauge, "Moves that others wait for"),
    (
        Of::Daemons,
        "rebut_challenges_lost_total",
        Counter,
        "Challenges of the account that were lost",
    ),
    (
        Of::Daemons,
        "rebut_claims_rejected_total",
        Counter,
        "Claims of the account that were rejected",
    ),
    (
        Of::Daemons,
        "rebut_deadline_seconds",
        Gauge,
        "Time left for the most urgent move; a day when none is due",
    ),
    (Of::Daemons, "rebut_self_test_ok", Gauge, "1 while this machine computes what the law says"),
    (Of::Executor, "rebut_executor_runs_total", Counter, "Runs that succeeded"),
    (Of::Executor, "rebut_executor_runs_failed_total", Counter, "Runs that failed"),
    (Of::Executor, "rebut_executor_run_seconds", Histogram, "Time of a run with its commitments"),
    (Of::Executor, "rebut_executor_jobs_waiting", Gauge, "Jobs whose input is not there yet"),
    (Of::Executor, "rebut_executor_jobs_running", Gauge, "Jobs that run or wait for the engine"),
    (
        Of::Executor,
        "rebut_executor_unaffordable",
        Gauge,
        "Jobs not taken because free money does not reach for their stakes",
    ),
    (
        Of::Executor,
        "rebut_executor_refused",
        Gauge,
        "Jobs that could not be run and are not tried again",
    ),
    (
        Of::Executor,
        "rebut_executor_beyond_clock",
        Gauge,
        "Jobs not taken because a restart could not make the runs of all claims again in time",
    ),
    (
        Of::Executor,
        "rebut_executor_beyond_long",
        Gauge,
        "Jobs not taken because as much money as may be is locked for long",
    ),
    (
        Of::Executor,
        "rebut_executor_unpublished",
        Gauge,
        "Runs not claimed because the ledger does not take their outputs",
    ),
    (
        Of::Executor,
        "rebut_executor_heads_not_kept_total",
        Counter,
        "Signed heads of the ledger that could not be written to disk",
    ),
    (Of::Executor, "rebut_executor_runs_kept", Gauge, "Runs in memory"),
    (Of::Executor, "rebut_executor_disk_bytes", Gauge, "Inputs kept for disputes"),
    (Of::Executor, "rebut_executor_disk_budget_bytes", Gauge, "Most bytes of inputs"),
    (
        Of::Executor,
        "rebut_executor_declined_total",
        Counter,
        "Open jobs that were not taken for their model or terms",
    ),
    (
        Of::Executor,
        "rebut_executor_no_result_total",
        Counter,
        "Jobs that were run and declined because they have no result",
    ),
    (Of::Executor, "rebut_executor_declined", Gauge, "Open jobs that are not taken"),
    (Of::Executor, "rebut_executor_quarantined", Gauge, "Jobs not run again, for they killed runs"),
    (Of::Executor, "rebut_executor_asked_total", Counter, "Requests to infer over HTTP"),
    (Of::Executor, "rebut_executor_asked_failed_total", Counter, "Requests to infer that failed"),
    (Of::Executor, "rebut_executor_asked_seconds", Histogram, "Time of a request to infer"),
    (Of::Challenger, "rebut_challenger_runs_total", Counter, "Jobs run"),
    (Of::Challenger, "rebut_challenger_runs_failed_total", Counter, "Jobs that could not be run"),
    (
        Of::Challenger,
        "rebut_challenger_run_seconds",
        Histogram,
        "Time of a run with its commitments",
    ),
    (Of::Challenger, "rebut_challenger_agreed_total", Counter, "Claims that are as ours"),
    (Of::Challenger, "rebut_challenger_differed_total", Counter, "Claims that are not as ours"),
    (Of::Challenger, "rebut_challenger_not_drawn_total", Counter, "Jobs that were not drawn"),
    (Of::Challenger, "rebut_challenger_jobs_waiting", Gauge, "Contested jobs that are not run yet"),
    (
        Of::Challenger,
        "rebut_challenger_saturated",
        Gauge,
        "1 when runs would end after windows for challenges",
    ),
    (
        Of::Challenger,
        "rebut_challenger_unchecked",
        Gauge,
        "Standing claims that are not checked: no model, no input, no run",
    ),
    (
        Of::Challenger,
        "rebut_challenger_unchecked_total",
        Counter,
        "Jobs that were found not to be checkable",
    ),
    (
        Of::Challenger,
        "rebut_challenger_no_result",
        Gauge,
        "Jobs without a result, on which any claim is false",
    ),
    (
        Of::Challenger,
        "rebut_challenger_no_result_total",
        Counter,
        "Jobs that were run and have no result",
    ),
    (
        Of::Challenger,
        "rebut_challenger_out_of_money_total",
        Counter,
        "Claims to challenge for which there was no money",
    ),
    (
        Of::Challenger,
        "rebut_challenger_unaffordable",
        Gauge,
        "Claims to challenge for which there is no money now",
    ),
    (Of::Challenger, "rebut_challenger_runs_kept", Gauge, "Runs in memory"),
    (
        Of::Challenger,
        "rebut_challenger_too_late_total",
        Counter,
        "Claims that could be challenged no more before their jobs were run",
    ),
    (Of::Monitor, "rebut_monitor_claims", Gauge, "Standing claims of all accounts"),
    (
        Of::Monitor,
        "rebut_monitor_false_claims",
        Gauge,
        "Standing claims that differ from the monitor's run",
    ),
    (
        Of::Monitor,
        "rebut_monitor_unchallenged",
        Gauge,
        "False standing claims without a challenge that moves",
    ),
    (
        Of::Monitor,
        "rebut_monitor_wrong_forecasts_total",
        Counter,
        "Disputes that ended otherwise than forecast",
    ),
    (
        Of::Monitor,
        "rebut_monitor_unchecked",
        Gauge,
        "Standing claims that the monitor does not check",
    ),
    (
        Of::Monitor,
        "rebut_monitor_false_final",
        Gauge,
        "False claims that became the answers of their jobs since the monitor started",
    ),
    (Of::Monitor, "rebut_monitor_disputes", Gauge, "Open disputes of all accounts"),
];

/// What a distribution is measured in: its name says it, as Prometheus wants.
fn unit(name: &str) -> metrics::Unit {
    if name.ends_with("_seconds") { metrics::Unit::Seconds } else { metrics::Unit::Count }
}

/// Describes a service's metrics to the installed recorder, and sets them to zero.
pub fn describe(services: &[Of], version: &'static str) {
    for (_, name, kind, help) in
        METRICS.iter().filter(|(of, ..)| *of == Of::All || services.contains(of))
    {
        match kind {
            Counter => {
                metrics::describe_counter!(*name, *help);
                metrics::counter!(*name).absolute(0);
            }
            Gauge => {
                metrics::describe_gauge!(*name, *help);
                // The one below has a label; without it would be another series.
                if *name != "rebut_build_info" {
                    metrics::gauge!(*name).set(0.0);
                }
            }
            Histogram => {
                metrics::describe_histogram!(*name, unit(name), *help);
                // A recorder lists a distribution from its first handle on.
                let _ = metrics::histogram!(*name);
            }
        }
    }
    metrics::gauge!("rebut_build_info", "version" => version).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_are() {
        let mut names = std::collections::HashSet::new();
        for (_, name, kind, help) in METRICS {
            assert!(names.insert(*name), "{name} twice");
            assert_eq!(*kind == Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("rebut_") && !help.ends_with('.'), "{name}");
        }
    }
}
