//! `rebut sim swarm`: as many worlds as the time allows.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use ledger::words;
use serde::Serialize;
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::invariants::{Failure, Invariant};
use simulation::made_up::{Shares, dishonest};
use simulation::scenario::CommitmentKind;
use simulation::statistics::rate;
use simulation::swarm::Totals;

use super::explore::{WorstCase, worst_cases};
use super::worlds::seed_of;
use crate::arguments::SimSwarm;
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

#[derive(Debug, Serialize)]
pub(super) struct StrategyLine {
    name: String,
    disputes: u64,
    expected: u64,
    unexpected: u64,
    attacker_profit_mean_wei: f64,
    attacker_profit_ci95: [f64; 2],
    parties: u64,
    outcomes: std::collections::BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct ViolationLine {
    invariant: &'static str,
    replay: String,
    at_ms: u64,
    detail: String,
}

/// Everything that decides which worlds are made up.
#[derive(Clone, Debug, Serialize)]
struct Configuration {
    seed: u64,
    worlds: Option<u64>,
    real_permille: u32,
    chaos_permille: u32,
    hostile_permille: u32,
    version: &'static str,
    /// Strategies of dishonest parties that worlds draw from; each world's own are in its scenario.
    strategies: Vec<&'static str>,
}

impl Configuration {
    fn of(environments: &Environments, plan: &SwarmPlan) -> Self {
        Self {
            seed: plan.seed,
            worlds: plan.worlds,
            real_permille: plan.real_permille,
            chaos_permille: plan.shares.chaos_permille,
            hostile_permille: plan.shares.hostile_permille,
            version: env!("CARGO_PKG_VERSION"),
            strategies: dishonest(environments.toy()),
        }
    }
}

/// An invariant, and how often it was checked.
#[derive(Debug, Serialize)]
struct InvariantLine {
    name: &'static str,
    checked: u64,
    broken: usize,
}

#[derive(Debug, Serialize)]
struct SwarmReport {
    seed: u64,
    version: &'static str,
    worlds: u64,
    disputes: u64,
    disputes_per_second: f64,
    disputes_per_second_per_thread: f64,
    seconds: f64,
    threads: usize,
    real_worlds: u64,
    real_disputes: u64,
    transactions: u64,
    virtual_hours: f64,
    log_hash: String,
    /// Worlds with parties that draw among all that is legal.
    chaos_worlds: u64,
    chaos_disputes: u64,
    /// Worlds with a hostile model, hidden inputs or parameters of their own.
    hostile_worlds: u64,
    hostile_disputes: u64,
    configuration: Configuration,
    invariants: Vec<InvariantLine>,
    /// What came nearest to each bound of what parties lose and win.
    worst_cases: Vec<WorstCase>,
    violations: usize,
    violation_rate_ci95_high: f64,
    violated: Vec<ViolationLine>,
    sometimes_missed: Vec<&'static str>,
    strategies: Vec<StrategyLine>,
}

/// Plays a swarm with a bar that shows disputes a second.
pub(super) fn play(
    environments: &Environments,
    plan: &SwarmPlan,
    seconds: Option<u64>,
    json: bool,
) -> Result<(Totals, f64), CommandError> {
    let started = Instant::now();
    let bar = bar(plan.worlds.or(seconds).unwrap_or(0), json);
    let go_on = |known: &Totals| {
        let elapsed = started.elapsed();
        let rate = known.disputes as f64 / elapsed.as_secs_f64().max(1e-3);
        bar.set_message(format!("{} disputes, {rate:.0}/s", known.disputes));
        bar.set_position(if plan.worlds.is_some() { known.worlds } else { elapsed.as_secs() });
        plan.worlds.is_some() || seconds.is_none_or(|seconds| elapsed.as_secs() < seconds)
    };
    let totals = swarm(environments, plan, &go_on)?;
    bar.finish_and_clear();
    Ok((totals, started.elapsed().as_secs_f64()))
}

fn bar(length: u64, json: bool) -> ProgressBar {
    use std::io::IsTerminal as _;
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

pub(super) fn strategy_lines(totals: &Totals) -> Vec<StrategyLine> {
    let lines = totals.strategies.iter().map(|(name, tally)| {
        let [low, high] = tally.profit_ether.interval_95();
        StrategyLine {
            name: name.clone(),
            disputes: tally.disputes,
            expected: tally.expected,
            unexpected: tally.disputes - tally.expected,
            attacker_profit_mean_wei: tally.profit_ether.mean * 1e18,
            attacker_profit_ci95: [low * 1e18, high * 1e18],
            parties: tally.profit_ether.count,
            outcomes: tally.outcomes.clone(),
        }
    });
    lines.collect()
}

pub(super) fn run(
    environments: &Environments,
    arguments: &SimSwarm,
    threads: usize,
    json: bool,
) -> Result<Ending, CommandError> {
    let plan = SwarmPlan {
        seed: seed_of(&arguments.seed)?,
        threads,
        real_permille: arguments.real_permille.min(1000),
        shares: Shares::default(),
        worlds: arguments.worlds,
    };
    if !json {
        eprintln!(
            "swarm: seed {}, {}, {} thousandths of the worlds under keccak-256",
            plan.seed,
            words::count(plan.threads as u64, "thread", "threads"),
            plan.real_permille
        );
    }
    let configuration = Configuration::of(environments, &plan);
    if arguments.configuration {
        print::json(&configuration)?;
        return Ok(Ending::Done);
    }
    let seconds = arguments.worlds.is_none().then_some(arguments.seconds);
    let (totals, seconds) = play(environments, &plan, seconds, json)?;
    let report = report(&plan, configuration, &totals, seconds);
    let ending = ending(&report, &totals);
    if json {
        print::json(&report)?;
    } else {
        tell(&report);
    }
    Ok(ending)
}

/// The gravest of what went wrong.
fn ending(report: &SwarmReport, totals: &Totals) -> Ending {
    let broken = totals.violations.iter().map(|(_, _, one)| one.invariant.failure()).min();
    let unexpected: u64 = report.strategies.iter().map(|line| line.unexpected).sum();
    match broken {
        Some(Failure::Safety) => Ending::Falls,
        Some(Failure::Liveness) => Ending::Stuck,
        None if unexpected > 0 => Ending::Unexpected,
        None if !report.sometimes_missed.is_empty() => Ending::Tame,
        None => Ending::Done,
    }
}

fn invariant_lines(totals: &Totals) -> Vec<InvariantLine> {
    let lines = Invariant::ALL.iter().enumerate().map(|(at, invariant)| {
        let broken = totals.violations.iter().filter(|(_, _, one)| one.invariant == *invariant);
        let checked = totals.checks.get(at).copied().unwrap_or(0);
        InvariantLine { name: invariant.name(), checked, broken: broken.count() }
    });
    lines.collect()
}

fn report(
    plan: &SwarmPlan,
    configuration: Configuration,
    totals: &Totals,
    seconds: f64,
) -> SwarmReport {
    let per_second = totals.disputes as f64 / seconds.max(1e-9);
    let violated = totals.violations.iter().take(20).map(|(seed, kind, violation)| ViolationLine {
        invariant: violation.invariant.name(),
        replay: match kind {
            CommitmentKind::Toy => format!("rebut sim replay 0x{seed:016x}"),
            CommitmentKind::Real => format!("rebut sim replay --real 0x{seed:016x}"),
        },
        at_ms: violation.at_ms,
        detail: violation.detail.clone(),
    });
    SwarmReport {
        seed: plan.seed,
        version: env!("CARGO_PKG_VERSION"),
        worlds: totals.worlds,
        disputes: totals.disputes,
        disputes_per_second: per_second,
        disputes_per_second_per_thread: per_second / plan.threads as f64,
        seconds,
        threads: plan.threads,
        real_worlds: totals.real.0,
        real_disputes: totals.real.1,
        transactions: totals.events,
        virtual_hours: totals.virtual_ms as f64 / 3.6e6,
        log_hash: format!("{:016x}", totals.log_hash),
        chaos_worlds: totals.chaos.0,
        chaos_disputes: totals.chaos.1,
        hostile_worlds: totals.hostile.0,
        hostile_disputes: totals.hostile.1,
        configuration,
        invariants: invariant_lines(totals),
        worst_cases: worst_cases(&totals.worst_cases),
        violations: totals.violations.len(),
        violation_rate_ci95_high: rate(totals.violations.len() as u64, totals.disputes).high,
        violated: violated.collect(),
        sometimes_missed: totals.sometimes_missed(),
        strategies: strategy_lines(totals),
    }
}

fn tell(report: &SwarmReport) {
    let ether = |wei: f64| format!("{:+.4}", wei / 1e18);
    let rows = report.strategies.iter().map(|line| {
        let [low, high] = line.attacker_profit_ci95;
        vec![
            line.name.clone(),
            line.disputes.to_string(),
            line.unexpected.to_string(),
            ether(line.attacker_profit_mean_wei),
            format!("{} … {}", ether(low), ether(high)),
        ]
    });
    print::table(
        &["strategy", "disputes", "unexpected", "profit, ETH", "95 % interval"],
        rows.collect(),
    );
    for line in &report.violated {
        let what = format!("BROKEN: {} at {} ms: {}", line.invariant, line.at_ms, line.detail);
        println!("{}\n        {}", print::wrapped(&what, 8), line.replay);
    }
    let missed = &report.sometimes_missed;
    if !missed.is_empty() {
        println!("{}", print::wrapped(&format!("NEVER HAPPENED: {}", missed.join("; ")), 8));
    }
    println!(
        "{} in {}, {} of them under keccak-256, {:.0} a second",
        words::count(report.disputes, "dispute", "disputes"),
        words::count(report.worlds, "world", "worlds"),
        report.real_disputes,
        report.disputes_per_second,
    );
    println!(
        "{} in {} with parties of chaos\n{} in {} that are hostile",
        words::count(report.chaos_disputes, "dispute", "disputes"),
        words::count(report.chaos_worlds, "world", "worlds"),
        words::count(report.hostile_disputes, "dispute", "disputes"),
        words::count(report.hostile_worlds, "world", "worlds"),
    );
    println!(
        "{} (95 %: fewer than {:.1e} of the disputes)\nevent log {}",
        words::count(report.violations as u64, "violation", "violations"),
        report.violation_rate_ci95_high,
        report.log_hash
    );
}
