//! Who wins what: attackers and honest parties apart, and why an attacker's gain is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Report;
use super::table::{Row, table};
use super::text::{escape, group, section, short};
use crate::statistics::{Tally, rate};
use crate::swarm::StrategyTally;

type Line<'a> = (&'a str, &'a StrategyTally);

/// Strategies that were played, by what they win.
fn played<'a>(report: &'a Report<'_>, honest: bool) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = report
        .totals
        .strategies
        .iter()
        .filter(|(name, tally)| {
            report.honest.contains(name.as_str()) == honest && tally.profit_ether.count > 0
        })
        .map(|(name, tally)| (name.as_str(), tally))
        .collect();
    lines.sort_by(|one, other| other.1.profit_ether.mean.total_cmp(&one.1.profit_ether.mean));
    lines
}

/// Columns of what [`row`] writes.
const ROW: [(&str, bool); 4] =
    [("strategy", false), ("mean and interval", false), ("mean", true), ("95 % interval", true)];

/// The last column: how many groups a row is about.
const GROUPS: [(&str, bool); 1] = [("groups", true)];

/// Both tables.
pub(super) fn profits(page: &mut String, report: &Report<'_>) {
    let attackers = played(report, false);
    section(
        page,
        "attackers",
        "What attackers win",
        "Mean change of a group's money over its worlds, in ETH, with its 95 % interval. Together: what all \
         attackers of those worlds won, for an ally's gain may be another's loss.",
    );
    gains(page, &attackers);
    let together = [("together", true), ("95 % interval, together", true)];
    table(
        page,
        "profits",
        &[&ROW[..], &together, &GROUPS].concat(),
        attackers.iter().map(|(name, tally)| {
            let mut row = row(&attackers, name, &tally.profit_ether);
            let together = &tally.coalition_ether;
            row.1.push(signed(together.mean));
            row.1.push(between(together));
            row.1.push(group(tally.profit_ether.count));
            row
        }),
    );
    page.push_str("</section>");
    let honest = played(report, true);
    section(
        page,
        "honest",
        "What honest parties earn",
        "The same of honest strategies: executors earn fees, challengers rewards. None may lose.",
    );
    table(
        page,
        "profits",
        &[&ROW[..], &GROUPS].concat(),
        honest.iter().map(|(name, tally)| {
            let mut row = row(&honest, name, &tally.profit_ether);
            row.1.push(group(tally.profit_ether.count));
            row
        }),
    );
    page.push_str("</section>");
}

fn class_of(tally: &Tally) -> &'static str {
    let [low, high] = tally.interval_95();
    match (low > 0.0, high < 0.0) {
        (true, _) => "gain",
        (_, true) => "loss",
        _ => "even",
    }
}

fn signed(value: f64) -> String {
    let text = short(value);
    if value > 0.0 && text != "0.000" { format!("+{text}") } else { text.replace('-', "−") }
}

fn between(tally: &Tally) -> String {
    let [low, high] = tally.interval_95();
    format!("{} to {}", signed(low), signed(high))
}

/// Name, picture, mean and interval.
fn row(all: &[Line<'_>], name: &str, tally: &Tally) -> Row {
    let ends = all.iter().map(|(_, tally)| tally.profit_ether.interval_95());
    let (low, high) = ends
        .fold((0.0, 0.0), |(low, high), [one, other]| (f64::min(low, one), f64::max(high, other)));
    let across = |value: f64| 100.0 * (value - low) / f64::max(high - low, 1e-9);
    let class = class_of(tally);
    let [from, to] = tally.interval_95();
    // The numbers stand beside it.
    let picture = format!(
        "<svg class=strip viewBox=\"0 0 100 10\" preserveAspectRatio=none aria-hidden=true><line class=axis \
         x1={0:.2} x2={0:.2} y1=0 y2=10 /><line class=\"bar {class}\" x1={1:.2} x2={2:.2} y1=5 y2=5 /><line \
         class=\"tip {class}\" x1={3:.2} x2={3:.2} y1=1 y2=9 /></svg>",
        across(0.0),
        across(from),
        f64::max(across(to), across(from) + 0.5),
        across(tally.mean),
    );
    let mean = format!("<span class={class}>{}</span>", signed(tally.mean));
    ("", vec![escape(name), picture, mean, between(tally)])
}

/// Attackers whose mean is above zero, and what it is made of.
fn gains(page: &mut String, attackers: &[Line<'_>]) {
    let gaining: Vec<&Line<'_>> =
        attackers.iter().filter(|(_, tally)| class_of(&tally.profit_ether) == "gain").collect();
    if gaining.is_empty() {
        page.push_str("<p>No attacker's interval lies above zero.</p>");
        return;
    }
    page.push_str(
        "<p>Above zero are the following; what each is paid for shows why that is no successful attack, \
         or that it is one:</p><ul class=reasons>",
    );
    for (name, tally) in gaining {
        let _ = write!(page, "<li><b>{}</b>: {}</li>", escape(name), reason(tally));
    }
    page.push_str("</ul>");
}

/// Where a gain comes from, by how the strategy's groups ended.
fn reason(tally: &StrategyTally) -> String {
    let ended =
        |codes: &[&str]| -> u64 { codes.iter().filter_map(|code| tally.outcomes.get(*code)).sum() };
    let groups = tally.profit_ether.count;
    let answered = ended(&["final", "released"]).saturating_sub(tally.false_final);
    let won = ended(&["won", "won-and-upheld"]);
    let mut parts = Vec::new();
    if tally.false_final > 0 {
        parts.push(format!(
            "in {} of {} worlds a false claim of it became final because no honest challenger with money \
             watched",
            group(tally.false_final),
            group(groups)
        ));
    }
    if answered > 0 {
        parts.push(format!(
            "in {} of {} worlds its answer was the true one: it was paid the fee for the run",
            group(answered),
            group(groups)
        ));
    }
    if won > 0 {
        parts.push(format!(
            "in {} of {} worlds it was paid for refuting false claims, out of the liars' stakes, of which at \
             least half burns",
            group(won),
            group(groups)
        ));
    }
    if parts.is_empty() {
        parts.push("none of the known reasons: look at its worlds".to_owned());
    }
    let together = &tally.coalition_ether;
    let verdict = match class_of(together) {
        "loss" => "the attackers of those worlds lost together",
        "gain" => "the attackers of those worlds gained together",
        _ => "the attackers of those worlds neither gained nor lost together",
    };
    let (mean, interval) = (signed(together.mean), between(together));
    parts.push(format!("{verdict}: {mean} ETH ({interval})"));
    parts.join("; ") + "."
}

/// Attackers against guardians.
pub(super) fn pairs(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "pairs",
        "Attackers against guardians",
        "Count of disputes between the two. A plain number: all of them ended as the truth demands. \
         Otherwise how many did, of how many, and the 95 % interval. Empty: never met.",
    );
    let mut guardians: Vec<&str> =
        report.totals.pairs.keys().map(|(_, guardian)| guardian.as_str()).collect();
    guardians.sort_unstable();
    guardians.dedup();
    let mut attackers: BTreeMap<&str, ()> = BTreeMap::new();
    for (attacker, _) in report.totals.pairs.keys() {
        attackers.insert(attacker, ());
    }
    let heads: Vec<String> = guardians.iter().map(|guardian| (*guardian).to_owned()).collect();
    let mut columns = vec![("attacker", false)];
    columns.extend(heads.iter().map(|head| (head.as_str(), true)));
    table(
        page,
        "heat",
        &columns,
        attackers.keys().map(|attacker| {
            let mut cells = vec![escape(attacker)];
            cells.extend(guardians.iter().map(|guardian| {
                let pair = ((*attacker).to_owned(), (*guardian).to_owned());
                report.totals.pairs.get(&pair).map_or_else(String::new, |pair| cell(*pair))
            }));
            ("", cells)
        }),
    );
    let all: u64 = report.totals.pairs.values().map(|(_, of)| of).sum();
    let right: u64 = report.totals.pairs.values().map(|(right, _)| right).sum();
    let _ = write!(
        page,
        "<p class=what>In all {} of {} disputes ended as the truth demands.</p></section>",
        group(right),
        group(all)
    );
}

fn cell((right, of): (u64, u64)) -> String {
    match (right, of) {
        (_, 0) => String::new(),
        (right, of) if right == of => format!("<span class=all>{}</span>", group(of)),
        (right, of) => {
            let share = rate(right, of);
            let class = if share.high < 0.99 { "some" } else { "most" };
            format!(
                "<span class={class}>{} of {}<br>{:.1} to {:.1} %</span>",
                group(right),
                group(of),
                100.0 * share.low,
                100.0 * share.high
            )
        }
    }
}
