//! A dispute as swim lanes: one lane for each group of parties, one mark for each transaction; and as a list.

use std::fmt::Write as _;

use super::table::table;
use super::text::{escape, short};
use crate::scenario::{Outage, OutageKind, Scenario};
use crate::world::{Ended, LogLine};

const WIDTH: f64 = 1_100.0;
const LANE: f64 = 34.0;
const LEFT: f64 = 150.0;
const MARKS_MAX: usize = 400;

/// From a world's time to a place on the picture.
struct Scale {
    last_ms: u64,
}

impl Scale {
    fn across(&self, at_ms: u64) -> f64 {
        LEFT + at_ms as f64 / self.last_ms as f64 * (WIDTH - LEFT - 20.0)
    }
}

/// Where a group's lane runs.
fn lane_y(group: usize) -> f64 {
    20.0 + LANE * group as f64
}

/// The timeline of a world.
pub(super) fn timeline(scenario: &Scenario, ended: &Ended) -> String {
    let lanes = scenario.party.len();
    let height = LANE * lanes as f64 + 46.0;
    let scale = Scale { last_ms: ended.log.last().map_or(1, |line| line.at_ms).max(1) };
    let mut svg = format!(
        "<svg class=wide viewBox=\"0 0 {WIDTH} {height}\" role=img aria-label=\"timeline\"><title>Timeline</title>"
    );
    for (number, party) in scenario.party.iter().enumerate() {
        let y = lane_y(number);
        let _ = write!(
            svg,
            "<text class=label x={:.1} y={:.1} text-anchor=end>{}</text><text class=tick x={:.1} y={:.1} text-anchor=end>{}</text><line class=grid x1={LEFT} x2={:.1} y1={y:.1} y2={y:.1} />",
            LEFT - 10.0,
            y,
            escape(&party.name),
            LEFT - 10.0,
            y + 12.0,
            escape(&party.strategy),
            WIDTH - 20.0
        );
        for outage in scenario.outage.iter().filter(|outage| outage.party == party.name) {
            outage_bar(&mut svg, &scale, y, outage);
        }
    }
    for line in ended.log.iter().take(MARKS_MAX) {
        mark(&mut svg, &scale, line);
    }
    for part in 0..=5u64 {
        let at_ms = scale.last_ms * part / 5;
        let _ = write!(
            svg,
            "<text class=tick x={:.1} y={:.1} text-anchor=middle>{} s</text>",
            scale.across(at_ms),
            height - 8.0,
            short(at_ms as f64 / 1e3)
        );
    }
    legend(&mut svg);
    svg
}

/// An outage as a bar on its party's lane, as far as the picture reaches.
fn outage_bar(svg: &mut String, scale: &Scale, y: f64, outage: &Outage) {
    let kind = match outage.kind {
        OutageKind::Censored => "censored",
        OutageKind::Partitioned => "cut off",
        OutageKind::Crashed => "down",
    };
    let until_ms = outage.from_ms
        + outage.for_ms * u64::from(2 * outage.slices - 1) / u64::from(outage.slices);
    let from = scale.across(outage.from_ms.min(scale.last_ms));
    let until = scale.across(until_ms.min(scale.last_ms));
    let _ = write!(
        svg,
        "<rect class=outage x={from:.1} y={:.1} width={:.1} height=20><title>{kind}</title></rect>",
        y - 10.0,
        (until - from).max(2.0)
    );
}

/// One transaction as a mark on its group's lane.
fn mark(svg: &mut String, scale: &Scale, line: &LogLine) {
    let y = lane_y(line.group);
    let class = if line.outcome.is_ok() { "taken" } else { "refused" };
    let kind = match line.action.name() {
        "post-claim" => "claim",
        "challenge" => "challenge",
        "demand" => "demand",
        "reveal" => "reveal",
        "refute" => "refute",
        "call-time" => "time",
        _ => "other",
    };
    let outcome = line.outcome.as_ref().err().map_or("taken", String::as_str);
    let _ = write!(
        svg,
        "<circle class=\"{class} {kind}\" cx={:.1} cy={y:.1} r=4.5><title>{} s: {} — {}</title></circle>",
        scale.across(line.at_ms),
        line.at_ms as f64 / 1e3,
        line.action.name(),
        escape(outcome)
    );
}

/// Ends the picture and says what its marks mean.
fn legend(svg: &mut String) {
    svg.push_str("</svg><p class=legend>");
    for (kind, text) in [
        ("claim", "claim"),
        ("challenge", "challenge"),
        ("demand", "demand"),
        ("reveal", "reveal"),
        ("refute", "refutation"),
        ("time", "time called"),
        ("other", "other"),
    ] {
        let _ = write!(svg, "<span><span class=\"key {kind}\"></span>{text}</span> ");
    }
    svg.push_str(
        "<span><span class=\"key hollow\"></span>refused</span> <span><span class=\"key outage\"></span>outage</span></p>",
    );
}

/// The moves as a list, for who cannot point at marks.
pub(super) fn moves(page: &mut String, scenario: &Scenario, ended: &Ended) {
    let shown = ended.log.len().min(MARKS_MAX);
    let _ =
        write!(page, "<details><summary>The {shown} moves shown, of {}</summary>", ended.log.len());
    let rows = ended.log.iter().take(MARKS_MAX).map(|line| {
        let party = scenario.party.get(line.group).map_or("", |party| party.name.as_str());
        let outcome = line.outcome.as_ref().err().map_or("taken", String::as_str);
        let cells = vec![
            format!("{:.3}", line.at_ms as f64 / 1e3),
            escape(party),
            escape(&ledger::words::action(&line.action)),
            escape(outcome),
        ];
        ("", cells)
    });
    let columns = [("at, s", true), ("party", false), ("move", false), ("outcome", false)];
    table(page, "", &columns, rows);
    page.push_str("</details>");
}
