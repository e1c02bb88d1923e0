//! The page: sections, tables, and the charts between them.

use std::fmt::Write as _;

use super::chart::lines;
use super::profits::{pairs, profits};
use super::table::table;
use super::text::{escape, group, section, short};
use super::timeline::{moves, timeline};
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
    worst_cases(&mut page, report);
    profits(&mut page, report);
    pairs(&mut page, report);
    crowd(&mut page, report);
    finality(&mut page, report);
    sweep(&mut page, report);
    best(&mut page, report);
    worst(&mut page, report);
    sometimes(&mut page, report);
    page.push_str("</main></body></html>\n");
    page
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
    let _ = write!(
        page,
        "</p><p class=what>Made {} by rebut {} (commit {}): <code>{}</code></p></header>",
        escape(report.made_at),
        escape(report.version),
        escape(report.commit),
        escape(report.command)
    );
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
    let played = |(worlds, disputes)| format!("{} ({} disputes)", group(worlds), group(disputes));
    let per_second = totals.disputes as f64 / report.seconds.max(1e-9);
    let virtual_years = totals.virtual_ms as f64 / 1e3 / 86_400.0 / 365.0;
    for (name, value) in [
        ("made", report.made_at.to_owned()),
        ("command", report.command.to_owned()),
        (
            "the same worlds again",
            format!("rebut sim swarm --seed {} --worlds {}", report.seed, totals.worlds),
        ),
        ("version", report.version.to_owned()),
        ("commit", report.commit.to_owned()),
        ("seed", report.seed.to_string()),
        ("threads", report.threads.to_string()),
        ("worlds", group(totals.worlds)),
        ("of them under the real commitment", played(totals.real)),
        ("of them with parties of chaos", played(totals.chaos)),
        ("of them hostile", played(totals.hostile)),
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
    let rows = counts(report.totals).0.into_iter().map(|(invariant, checked)| {
        let name = invariant.name();
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
        let class = if broken.is_empty() { "" } else { "broken" };
        let says = format!("{name}<br><small>{}</small>", escape(invariant.says()));
        (class, vec![says, group(checked), group(broken.len() as u64), replay])
    });
    let columns = [("invariant", false), ("checked", true), ("broken", true), ("replay", false)];
    table(page, "", &columns, rows);
    page.push_str("</section>");
}

/// What came nearest to each bound of what parties lose and win.
fn worst_cases(page: &mut String, report: &Report<'_>) {
    section(
        page,
        "formulas",
        "What parties can lose and win",
        "Bounds that follow from the parameters, and of each the case that came nearest to it. Below zero somebody \
         won where it might have lost.",
    );
    let rows = report.totals.worst_cases.rows().map(|(formula, case)| {
        let who =
            format!("{}<br><small>{}</small>", escape(formula.who()), escape(formula.bound()));
        let class = if case.found > case.allowed { "broken" } else { "" };
        let [found, allowed] = case.told(formula);
        (class, vec![who, group(case.times), found, allowed])
    });
    let columns = [("who", false), ("times", true), ("found", true), ("allowed", true)];
    table(page, "", &columns, rows);
    page.push_str("</section>");
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
    page.push_str("</figure></div>");
    let columns = [
        ("attackers", true),
        ("parties", true),
        ("honest openings", true),
        ("finality, s", true),
        ("honest profit, ETH", true),
        ("violations", true),
    ];
    let rows = report.crowd.iter().map(|point| {
        let cells = vec![
            point.attackers.to_string(),
            point.parties.to_string(),
            point.honest_openings.to_string(),
            short(point.delay_s),
            short(point.honest_profit_ether),
            point.violations.to_string(),
        ];
        (if point.violations > 0 { "broken" } else { "" }, cells)
    });
    table(page, "", &columns, rows);
    page.push_str("</section>");
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
    let at = |percent: usize| times.get((percent * (count - 1)) / 100).copied().unwrap_or(0.0);
    let rows = [0, 5, 25, 50, 75, 95, 100]
        .map(|percent| ("", vec![format!("{percent} %"), format!("{:.1}", at(percent))]));
    let _ = write!(
        page,
        "<div class=columns><figure>{}</figure><div>",
        lines("time to finality", "seconds", "per cent of claims", &[("final", points)], false)
    );
    table(
        page,
        "",
        &[("of the claims final", false), ("after at most, s", true)],
        rows.into_iter(),
    );
    let _ =
        write!(page, "<p class=what>Of {} claims.</p></div></div></section>", group(count as u64));
}

fn sweep(page: &mut String, report: &Report<'_>) {
    let Some((axes, cells)) = report.sweep else { return };
    section(
        page,
        "sweep",
        "Sweep",
        "Each cell plays the same seeds. Broken: worlds in which an invariant did not hold, with the 95 % interval.",
    );
    let mut columns = vec![("cell", true)];
    columns.extend(axes.iter().map(|axis| (axis.as_str(), true)));
    columns.extend([
        ("broken worlds", true),
        ("95 % interval", true),
        ("which", false),
        ("attacker, ETH", true),
        ("challenger, ETH", true),
        ("finality, s", true),
    ]);
    let rows = cells.iter().map(|cell| {
        let mut row = vec![cell.cell.to_string()];
        row.extend(cell.values.iter().map(|value| escape(value)));
        row.extend([
            format!("{} of {}", cell.broken, cell.worlds),
            format!("{:.1} to {:.1} %", 100.0 * cell.broken_low, 100.0 * cell.broken_high),
            escape(&cell.invariant),
            short(cell.attacker_profit_ether[0]),
            short(cell.challenger_profit_ether[0]),
            short(cell.finality_s[0]),
        ]);
        (if cell.broken > 0 { "broken" } else { "" }, row)
    });
    table(page, "", &columns, rows);
    page.push_str("</section>");
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
    let columns = [
        ("parameters", false),
        ("plays", true),
        ("best profit, ETH", true),
        ("95 % interval", true),
        ("profitable", false),
        ("attack", false),
    ];
    let rows = report.best.iter().map(|(name, found)| {
        let bounds = found.outside.as_deref().unwrap_or("inside the bounds");
        let cells = vec![
            format!("{}<br><small>{}</small>", escape(name), escape(bounds)),
            group(found.plays.0 + found.plays.1),
            short(found.best_ether[0]),
            format!("{} to {}", short(found.best_ether[1]), short(found.best_ether[2])),
            (if found.profitable { "yes" } else { "no" }).to_owned(),
            escape(&found.strategy),
        ];
        (if found.profitable { "broken" } else { "" }, cells)
    });
    table(page, "", &columns, rows);
    for (name, found) in report.best.iter().filter(|(_, found)| found.profitable) {
        let _ = write!(
            page,
            "<details><summary>The play at {}</summary><pre tabindex=0>{}</pre></details>",
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
        "Who did what when. All moves stand in the list below the picture.",
    );
    let _ = write!(
        page,
        "<p><code>rebut sim replay 0x{:016x}</code></p><figure class=scroll tabindex=0 role=region \
         aria-label=\"timeline, scrolls\">{}</figure>",
        scenario.seed,
        timeline(scenario, ended)
    );
    moves(page, scenario, ended);
    page.push_str("</section>");
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
