//! The page: sections, tables, and the charts between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chart::{escape, intervals, lines, short};
use super::timeline::timeline;
use super::{Report, counts};
use crate::statistics::rate;

const STYLE: &str = include_str!("style.css");

/// The whole report as one HTML document.
pub fn render(report: &Report<'_>) -> String {
    let mut page = String::from("<!doctype html><html lang=en><head><meta charset=utf-8>");
    page.push_str("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    let _ =
        write!(page, "<title>Rebut simulation, seed {}</title><style>{STYLE}</style>", report.seed);
    page.push_str("</head><body><main>");
    verdict(&mut page, report);
    configuration(&mut page, report);
    invariants(&mut page, report);
    profits(&mut page, report);
    heat(&mut page, report);
    crowd(&mut page, report);
    finality(&mut page, report);
    sweep(&mut page, report);
    best(&mut page, report);
    worst(&mut page, report);
    sometimes(&mut page, report);
    page.push_str("</main></body></html>\n");
    page
}

fn section(page: &mut String, id: &str, title: &str, what: &str) {
    let _ = write!(
        page,
        "<section id={id}><h2>{}</h2><p class=what>{}</p>",
        escape(title),
        escape(what)
    );
}

fn verdict(page: &mut String, report: &Report<'_>) {
    let totals = report.totals;
    let missed = totals.sometimes_missed();
    let holds = totals.violations.is_empty();
    let bound = rate(0, totals.disputes.max(1)).high;
    let _ = write!(page, "<header class=\"{}\"><h1>", if holds { "good" } else { "bad" });
    if holds {
        let _ = write!(page, "No invariant broke in {} disputes", group(totals.disputes));
    } else {
        let _ = write!(
            page,
            "{} violations in {} disputes",
            totals.violations.len(),
            group(totals.disputes)
        );
    }
    page.push_str("</h1><p>");
    if holds {
        let _ = write!(
            page,
            "With 95 % confidence fewer than {} of a million disputes of this mix break one (rule of three). ",
            short(bound * 1e6)
        );
    }
    if missed.is_empty() {
        page.push_str("Everything that should happen sometimes happened.");
    } else {
        let _ = write!(page, "Never happened: {}.", escape(&missed.join(", ")));
    }
    page.push_str("</p></header>");
}

/// A count with thin spaces between thousands.
fn group(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn configuration(page: &mut String, report: &Report<'_>) {
    let totals = report.totals;
    section(
        page,
        "configuration",
        "Configuration",
        "What was played. The seed decides everything.",
    );
    page.push_str("<dl>");
    let per_second = totals.disputes as f64 / report.seconds.max(1e-9);
    let virtual_years = totals.virtual_ms as f64 / 1e3 / 86_400.0 / 365.0;
    for (name, value) in [
        ("seed", report.seed.to_string()),
        ("version", report.version.to_owned()),
        ("threads", report.threads.to_string()),
        ("worlds", group(totals.worlds)),
        (
            "of them under the real commitment",
            format!("{} ({} disputes)", group(totals.real.0), group(totals.real.1)),
        ),
        ("transactions", group(totals.events)),
        (
            "time",
            format!("{:.1} s, {} disputes a second", report.seconds, group(per_second as u64)),
        ),
        ("virtual time", format!("{virtual_years:.1} years")),
        ("event log", format!("{:016x}", totals.log_hash)),
    ] {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value));
    }
    page.push_str("</dl></section>");
}

fn invariants(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "invariants",
        "Invariants",
        "What must always hold, how often it was checked, and the worst seed with the command that replays it.",
    );
    page.push_str("<table><thead><tr><th>invariant<th class=n>checked<th class=n>broken<th>replay</tr></thead><tbody>");
    for (name, checked) in counts(report.totals).0 {
        let broken: Vec<_> = report
            .totals
            .violations
            .iter()
            .filter(|(_, _, violation)| violation.invariant.name() == name)
            .collect();
        let replay = broken.iter().min_by_key(|(_, _, violation)| violation.at_ms).map_or_else(
            String::new,
            |(seed, _, violation)| {
                format!(
                    "<code>rebut sim replay 0x{seed:016x}</code><br><small>{}</small>",
                    escape(&violation.detail)
                )
            },
        );
        let class = if broken.is_empty() { "" } else { " class=broken" };
        let _ = write!(
            page,
            "<tr{class}><td>{name}<td class=n>{}<td class=n>{}<td>{replay}</tr>",
            group(checked),
            broken.len()
        );
    }
    page.push_str("</tbody></table></section>");
}

fn profits(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "profit",
        "What strategies win",
        "Mean change of a party's money over its worlds, in ether, with its 95 % interval. Red lies wholly below zero, green above.",
    );
    let all: Vec<_> = report
        .totals
        .strategies
        .iter()
        .filter(|(_, tally)| tally.profit_ether.count > 0)
        .map(|(name, tally)| {
            let [low, high] = tally.profit_ether.interval_95();
            (name.clone(), tally.profit_ether.mean, low, high)
        })
        .collect();
    let mut rows = all;
    rows.sort_by(|one, other| other.1.total_cmp(&one.1));
    page.push_str("<div class=columns>");
    let half = rows.len().div_ceil(2).max(1);
    for part in rows.chunks(half) {
        let _ = write!(page, "<figure>{}</figure>", intervals("profit by strategy", "ether", part));
    }
    page.push_str("</div></section>");
}

fn heat(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "pairs",
        "Attackers against guardians",
        "Share of disputes that ended as the truth demands; hover for counts and intervals. Empty: never met.",
    );
    let mut guardians: Vec<&str> =
        report.totals.pairs.keys().map(|(_, guardian)| guardian.as_str()).collect();
    guardians.sort_unstable();
    guardians.dedup();
    let mut attackers: BTreeMap<&str, ()> = BTreeMap::new();
    for (attacker, _) in report.totals.pairs.keys() {
        attackers.insert(attacker, ());
    }
    page.push_str("<div class=scroll><table class=heat><thead><tr><th>attacker");
    for guardian in &guardians {
        let _ = write!(page, "<th>{}", escape(guardian));
    }
    page.push_str("</tr></thead><tbody>");
    for attacker in attackers.keys() {
        let _ = write!(page, "<tr><td>{}", escape(attacker));
        for guardian in &guardians {
            let pair = ((*attacker).to_owned(), (*guardian).to_owned());
            match report.totals.pairs.get(&pair) {
                Some((right, of)) if *of > 0 => {
                    let share = rate(*right, *of);
                    let percent = 100.0 * *right as f64 / *of as f64;
                    let class = if right == of {
                        "all"
                    } else if percent > 99.0 {
                        "most"
                    } else {
                        "some"
                    };
                    let _ = write!(
                        page,
                        "<td class=\"{class} n\" title=\"{right} of {of}, {:.2} to {:.2} %\">{}",
                        100.0 * share.low,
                        100.0 * share.high,
                        if right == of { group(*of) } else { format!("{percent:.1} %") }
                    );
                }
                _ => page.push_str("<td>"),
            }
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div><p class=what>A full cell shows how many disputes there were, all of them right.</p></section>");
}

fn crowd(page: &mut String, report: &Report<'_>) {
    if report.crowd.is_empty() {
        return;
    }
    section(
        page,
        "crowd",
        "One against many",
        "One honest executor and one honest challenger against ever more attackers, half false claimers, half false challengers.",
    );
    let series = |pick: fn(&super::CrowdPoint) -> f64| -> Vec<(f64, f64)> {
        report.crowd.iter().map(|point| (f64::from(point.attackers), pick(point))).collect()
    };
    page.push_str("<div class=columns><figure>");
    page.push_str(&lines(
        "honest openings",
        "attackers",
        "openings of the honest claim",
        &[("openings", series(|point| f64::from(point.honest_openings)))],
        true,
    ));
    page.push_str("</figure><figure>");
    page.push_str(&lines(
        "delay",
        "attackers",
        "seconds to finality",
        &[("delay", series(|point| point.delay_s))],
        true,
    ));
    page.push_str("</figure></div><table><thead><tr><th class=n>attackers<th class=n>parties<th class=n>honest openings<th class=n>finality, s<th class=n>honest profit, ether<th class=n>violations</tr></thead><tbody>");
    for point in report.crowd {
        let _ = write!(
            page,
            "<tr><td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            point.attackers,
            point.parties,
            point.honest_openings,
            short(point.delay_s),
            short(point.honest_profit_ether),
            point.violations
        );
    }
    page.push_str("</tbody></table></section>");
}

fn finality(page: &mut String, report: &Report<'_>) {
    let mut times = report.totals.finality_s.clone();
    if times.is_empty() {
        return;
    }
    times.sort_by(f64::total_cmp);
    section(
        page,
        "finality",
        "Time to finality",
        "From a claim's post to its finality, over the claims that became final.",
    );
    let count = times.len();
    let points: Vec<(f64, f64)> = (0..=100)
        .filter_map(|percent| {
            let at = (percent * (count - 1)) / 100;
            times.get(at).map(|time| (*time, percent as f64))
        })
        .collect();
    let _ = write!(
        page,
        "<figure>{}</figure></section>",
        lines("time to finality", "seconds", "per cent of claims", &[("final", points)], false)
    );
}

fn sweep(page: &mut String, report: &Report<'_>) {
    let Some((axes, cells)) = report.sweep else { return };
    section(
        page,
        "sweep",
        "Sweep",
        "Each cell plays the same seeds. Broken: worlds in which an invariant did not hold, with the 95 % interval.",
    );
    page.push_str("<div class=scroll><table><thead><tr>");
    for axis in axes {
        let _ = write!(page, "<th class=n>{}", escape(axis));
    }
    page.push_str("<th class=n>broken<th class=n>interval<th>which<th class=n>attacker, ether<th class=n>challenger, ether<th class=n>finality, s</tr></thead><tbody>");
    for cell in cells {
        page.push_str(if cell.broken > 0 { "<tr class=broken>" } else { "<tr>" });
        for value in &cell.values {
            let _ = write!(page, "<td class=n>{}", escape(value));
        }
        let _ = write!(
            page,
            "<td class=n>{} / {}<td class=n>{:.1} – {:.1} %<td>{}<td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            cell.broken,
            cell.worlds,
            100.0 * cell.broken_low,
            100.0 * cell.broken_high,
            escape(&cell.invariant),
            short(cell.attacker_profit_ether[0]),
            short(cell.challenger_profit_ether[0]),
            short(cell.finality_s[0])
        );
    }
    page.push_str("</tbody></table></div></section>");
}

fn best(page: &mut String, report: &Report<'_>) {
    if report.best.is_empty() {
        return;
    }
    section(
        page,
        "best-response",
        "The best attack found",
        "A search over strategies and their numbers, then over moves in copies of the world. A lower bound on what can be won.",
    );
    page.push_str("<table><thead><tr><th>parameters<th class=n>plays<th class=n>best profit, ether<th class=n>interval<th>profitable<th>attack</tr></thead><tbody>");
    for (name, found) in report.best {
        let _ = write!(
            page,
            "<tr{}><td>{}<br><small>{}</small><td class=n>{}<td class=n>{}<td class=n>{} – {}<td>{}<td>{}</tr>",
            if found.profitable { " class=broken" } else { "" },
            escape(name),
            escape(found.outside.as_deref().unwrap_or("inside the bounds")),
            group(found.plays.0 + found.plays.1),
            short(found.best_ether[0]),
            short(found.best_ether[1]),
            short(found.best_ether[2]),
            if found.profitable { "yes" } else { "no" },
            escape(&found.strategy)
        );
    }
    page.push_str("</tbody></table>");
    for (name, found) in report.best.iter().filter(|(_, found)| found.profitable) {
        let _ = write!(
            page,
            "<details><summary>The play at {}</summary><pre>{}</pre></details>",
            escape(name),
            escape(&found.moves.join("\n"))
        );
    }
    page.push_str("</section>");
}

fn worst(page: &mut String, report: &Report<'_>) {
    let Some((scenario, ended)) = &report.worst else { return };
    section(
        page,
        "timeline",
        "The slowest world",
        "Who did what when. Hover a mark for the move and what came of it.",
    );
    let _ = write!(
        page,
        "<p><code>rebut sim replay 0x{:016x}</code></p><figure class=scroll>{}</figure></section>",
        scenario.seed,
        timeline(scenario, ended)
    );
}

fn sometimes(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "sometimes",
        "What happened sometimes",
        "Worlds in which each of these happened. One that never happens fails the run: the worlds would be too tame.",
    );
    page.push_str("<ul class=sometimes>");
    for (name, count) in counts(report.totals).1 {
        let class = if count == 0 { " class=broken" } else { "" };
        let _ = write!(page, "<li{class}>{} <b>{}</b></li>", escape(name), group(count));
    }
    page.push_str("</ul></section>");
}
