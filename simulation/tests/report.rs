//! The report: what must be on the page, and what must not be told by hovering alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::OnceLock;

use inference::{Engine, Isa};
use simulation::environments::{Environments, SwarmPlan, swarm};
use simulation::made_up::{Shares, honest};
use simulation::report::{Report, crowd, render};

/// One page for all tests.
fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(make)
}

fn make() -> String {
    let environments =
        Environments::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new()).unwrap();
    let plan = SwarmPlan {
        seed: 7,
        threads: 2,
        real_permille: 0,
        shares: Shares::default(),
        worlds: Some(2_000),
    };
    let totals = swarm(&environments, &plan, &|_| true).unwrap();
    let points = crowd(&environments, 7, &[0, 8]).unwrap();
    let slowest = totals.slowest.map(|(seed, kind, _)| environments.made_up(seed, kind).unwrap());
    let worst = slowest.map(|scenario| {
        let ended = environments.play(&scenario, true).unwrap();
        (scenario, ended)
    });
    render(&Report {
        version: "1.2.3",
        commit: "abc<def",
        made_at: "2026-11-25 07:30:12 UTC",
        command: "rebut sim report --seed 7",
        honest: &honest(environments.toy()),
        seed: 7,
        threads: 2,
        seconds: 1.0,
        totals: &totals,
        crowd: &points,
        sweep: None,
        best: &[],
        worst,
    })
}

/// A section by its id.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<section id={id}>")).unwrap_or_else(|| panic!("no {id}"));
    let rest = &page[start..];
    &rest[..rest.find("</section>").unwrap()]
}

#[test]
fn the_report_separates_attackers_from_honest_parties_and_says_why_a_gain_is_none() {
    let page = page();
    let (attackers, honest) = (section(page, "attackers"), section(page, "honest"));
    let row = |name: &str| format!("<th scope=row class=\"\">{name}</th>");
    for name in ["selective", "self-challenge", "reward-diluter", "frivolous"] {
        assert!(attackers.contains(&row(name)) && !honest.contains(&row(name)), "{name}");
    }
    for name in ["honest", "prompt", "largest-stake"] {
        assert!(honest.contains(&row(name)) && !attackers.contains(&row(name)), "{name}");
    }
    // Alone each of them gains, by the stakes of those it plays with.
    for name in ["self-challenge", "reward-diluter"] {
        let reason = attackers.split("<li>").find(|one| one.contains(&format!("<b>{name}</b>")));
        let reason = reason.unwrap_or_else(|| panic!("no reason for {name}"));
        assert!(reason.contains("paid for refuting false claims"), "{reason}");
        // By how much they lose depends on who else is in their worlds: parties of chaos stake thousands.
        assert!(reason.contains("lost together: \u{2212}"), "{reason}");
    }
}

#[test]
fn the_report_says_when_from_what_and_by_which_command_it_was_made() {
    let page = page();
    for told in [
        "2026-11-25 07:30:12 UTC",
        "rebut 1.2.3 (commit abc&lt;def)",
        "<code>rebut sim report --seed 7</code>",
        "rebut sim swarm --seed 7 --worlds 2000",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

#[test]
fn counts_are_called_counts_and_nothing_is_told_by_hovering_alone() {
    let page = page();
    let pairs = section(page, "pairs");
    assert!(pairs.contains("Count of disputes between the two."), "{pairs}");
    assert!(
        !pairs.to_lowercase().contains("share") && !page.contains(" title=\""),
        "a hidden fact"
    );
    assert!(!page.to_lowercase().contains("hover"));
    assert!(section(page, "timeline").contains("<th scope=col>move</th>"));
    assert!(section(page, "finality").contains("of the claims final"));
}
