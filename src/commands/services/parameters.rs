//! `rebut ledger parameters`: a ledger's parameters, and what follows from them for each party.

use ::ledger::words::{self, ether};
use node::exposure::claim_takes_wei;
use protocol::asks::leaf_log2;
use protocol::settlement::Parameters;
use serde_json::{Value, json};

use super::beginning::{checked, preset};
use crate::arguments::{LedgerParameters, parameter_rows};
use crate::ending::Ending;
use crate::error::CommandError;
use crate::print;

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Wei(u128),
    Ms(u64),
    Count(u128),
}

/// What follows from the parameters for somebody.
struct Consequence {
    who: &'static str,
    what: &'static str,
    formula: &'static str,
    value: Quantity,
}

pub(crate) fn run(arguments: &LedgerParameters, as_json: bool) -> Result<Ending, CommandError> {
    let is_new = arguments.preset.is_some() || arguments.parameters.is_any();
    let (parameters, whose) = if is_new {
        let (parameters, _) = preset(arguments.preset.unwrap_or_default());
        (checked(arguments.parameters.over(parameters))?, None)
    } else {
        let ledger =
            super::process::runtime()?.block_on(super::connection::connect(&arguments.at))?;
        let genesis = ledger.genesis();
        (genesis.parameters.clone(), Some(genesis.root().to_string()))
    };
    let consequences = consequences(&parameters);
    if as_json {
        return print::json(&document(&parameters, &consequences, whose)).map(|()| Ending::Done);
    }
    match whose {
        Some(root) => println!("ledger  {root}"),
        None => println!("what a new ledger would begin with"),
    }
    let rows = parameter_rows(&parameters).into_iter().map(|(name, value, about)| {
        vec![name.to_owned(), text(quantity(name, value)), about.trim_end_matches('.').to_owned()]
    });
    print::table(&["parameter", "value", "what it is"], rows.collect());
    println!("\nwhat follows");
    let rows = consequences.iter().map(|one| {
        let about = format!("{}: {}", one.who, one.what);
        vec![about, text(one.value), one.formula.to_owned()]
    });
    print::table(&["who, and what", "how much", "by this formula"], rows.collect());
    Ok(Ending::Done)
}

fn document(held: &Parameters, consequences: &[Consequence], genesis: Option<String>) -> Value {
    let written = |value: Quantity| match value {
        Quantity::Wei(wei) => json!(wei.to_string()),
        Quantity::Ms(ms) => json!(ms),
        // Counts are small: JSON's numbers hold them.
        Quantity::Count(count) => json!(u64::try_from(count).unwrap_or(u64::MAX)),
    };
    let parameters: serde_json::Map<String, Value> = parameter_rows(held)
        .into_iter()
        .map(|(name, value, _)| (name.to_owned(), written(quantity(name, value))))
        .collect();
    let follows = consequences.iter().map(|one| {
        let unit = match one.value {
            Quantity::Wei(_) => "value_wei",
            Quantity::Ms(_) => "value_ms",
            Quantity::Count(_) => "value",
        };
        json!({ "who": one.who, "what": one.what, "formula": one.formula, unit: written(one.value) })
    });
    json!({
        "genesis": genesis, "parameters": parameters, "follows": follows.collect::<Vec<_>>(),
    })
}

/// A parameter's value with its unit, which its name says.
fn quantity(name: &str, value: u128) -> Quantity {
    if name.contains("_wei") {
        Quantity::Wei(value)
    } else if name.contains("_ms") {
        Quantity::Ms(u64::try_from(value).unwrap_or(u64::MAX))
    } else {
        Quantity::Count(value)
    }
}

fn text(value: Quantity) -> String {
    match value {
        Quantity::Wei(wei) => ether(wei),
        Quantity::Ms(ms) => duration(ms),
        Quantity::Count(count) => count.to_string(),
    }
}

/// A time in days, hours, minutes, seconds and milliseconds, as far as there are any.
fn duration(ms: u64) -> String {
    const UNITS: [(u64, &str, &str); 5] = [
        (86_400_000, "day", "days"),
        (3_600_000, "hour", "hours"),
        (60_000, "minute", "minutes"),
        (1_000, "second", "seconds"),
        (1, "ms", "ms"),
    ];
    let mut left_ms = ms;
    let mut parts = Vec::new();
    for (size, one, many) in UNITS {
        if left_ms >= size {
            parts.push(words::count(left_ms / size, one, many));
            left_ms %= size;
        }
    }
    if parts.is_empty() { "0 ms".to_owned() } else { parts.join(" ") }
}

/// All that follows, party by party.
fn consequences(held: &Parameters) -> Vec<Consequence> {
    let mut all = of_everybody(held);
    all.extend(of_executors(held));
    all.extend(of_challengers(held));
    all.extend(of_others(held));
    all.extend(of_attackers(held));
    all
}

fn of_everybody(held: &Parameters) -> Vec<Consequence> {
    let row = |what, formula, value| Consequence { who: "everybody", what, formula, value };
    let least_ms = held.window_ms_of(1).saturating_add(held.challenge_ms_max());
    let most_ms = held.window_ms_max.saturating_add(held.challenge_ms_max());
    vec![
        row(
            "a claim with the least time for challenges is final or rejected after, at most",
            "D = window_ms + T with T = executor_clock_ms + challenger_clock_ms + move_floor_ms × \
             (2 × (demands_max + end_asks_max) + 2); T more for each served_max challenges that wait",
            Quantity::Ms(least_ms),
        ),
        row(
            "a claim with the most time for challenges, at most",
            "the same D with window_ms_max",
            Quantity::Ms(most_ms),
        ),
        row(
            "bond of a challenge of a claim of the least stake",
            "stake_wei × bond_permille / 1000, at least bond_wei_min, at most bond_wei_max",
            Quantity::Wei(held.bond_wei(held.stake_wei_min)),
        ),
        row(
            "bond of a challenge of a claim of the largest stake",
            "the same with stake_wei_max",
            Quantity::Wei(held.bond_wei(held.stake_wei_max)),
        ),
    ]
}

fn of_executors(held: &Parameters) -> Vec<Consequence> {
    let row = |what, formula, value| Consequence { who: "executor, honest", what, formula, value };
    let at_once_ms = held.reply_ms.saturating_mul(u64::from(held.served_max));
    let asks = u64::from(held.demands_max).saturating_add(u64::from(held.end_asks_max));
    // Either is enough for the last answer: what all before it left of the clock, or the floor.
    let by_clock_ms = held.executor_clock_ms.saturating_sub(asks.saturating_mul(at_once_ms));
    let by_floor_ms = held.move_floor_ms.saturating_sub(at_once_ms);
    vec![
        row(
            "a claim of the least stake takes",
            "stake_wei + record_fee_wei",
            Quantity::Wei(claim_takes_wei(held, held.stake_wei_min)),
        ),
        row(
            "for each claim it pays, also for one that is released",
            "record_fee_wei",
            Quantity::Wei(held.record_fee_wei),
        ),
        row(
            "answers cost it nothing up to, for each",
            "demand_fee_wei: it loses answers × what one costs beyond that",
            Quantity::Wei(held.demand_fee_wei),
        ),
        row(
            "answers to all demands of a claim that can wait at once take it, at reply_ms each",
            "A = served_max × reply_ms, at most move_floor_ms; more where several of its claims are disputed",
            Quantity::Ms(at_once_ms),
        ),
        row(
            "its stake is safe, however often it is asked, while it is kept out for no longer than",
            "the larger of executor_clock_ms − (demands_max + end_asks_max) × A and move_floor_ms − A: \
             answers use the clock as well",
            Quantity::Ms(by_clock_ms.max(by_floor_ms)),
        ),
    ]
}

fn of_challengers(held: &Parameters) -> Vec<Consequence> {
    let row = |who, what, formula, value| Consequence { who, what, formula, value };
    let (demands, ends) = (u128::from(held.demands_max), u128::from(held.end_asks_max));
    let bond_wei = held.bond_wei(held.stake_wei_min);
    // An ask for leaves of an input or output costs a fee for as many as another ask shows.
    let levels = held.end_log2.saturating_sub(leaf_log2(held.arity_log2));
    let fees = ends.saturating_mul(1 << levels.min(64)).saturating_add(demands);
    let most_wei = held
        .demand_fee_wei
        .saturating_mul(fees)
        .saturating_add(bond_wei)
        .saturating_add(held.record_fee_wei);
    let work = demands.saturating_add(ends).saturating_add(2);
    let (lie, truth) = ("challenger of a lie", "challenger of a true claim");
    vec![
        row(
            lie,
            "when it convicts it is paid for its work, beside bond and fees, up to",
            "work_cost_wei × (2 + its demands of either kind), at most 2 + demands_max + end_asks_max, \
             however many others there are",
            Quantity::Wei(held.work_cost_wei.saturating_mul(work)),
        ),
        row(
            lie,
            "and together with all others it shares, of the least stake, at most",
            "stake_wei × reward_permille / 1000, and no more than half of the stake with all work",
            Quantity::Wei(held.stake_wei_min / 1000 * u128::from(held.reward_permille)),
        ),
        row(
            lie,
            "when another convicts, bond and fees come back; it loses, beside its machine's time, at most",
            "record_fee_wei − its work × unit − share; nothing when it convicts",
            Quantity::Wei(held.record_fee_wei),
        ),
        row(
            truth,
            "loses at most, at the least stake",
            "bond_wei + demand_fee_wei × (demands_max + F) + record_fee_wei, with \
             F = end_asks_max × 2^(end_log2 − max(0, arity_log2 − 3)) if it asks for inputs and outputs, \
             otherwise 0",
            Quantity::Wei(most_wei),
        ),
    ]
}

fn of_others(held: &Parameters) -> Vec<Consequence> {
    let row = |who, what, formula, value| Consequence { who, what, formula, value };
    vec![
        row(
            "poster",
            "of a job that nobody answers it loses, beside its time",
            "record_fee_wei",
            Quantity::Wei(held.record_fee_wei),
        ),
        row(
            "attester, honest",
            "loses its record fee, or, kept out for the whole time for challenges",
            "record_fee_wei + attest_bond_wei",
            Quantity::Wei(held.attest_bond_wei.saturating_add(held.record_fee_wei)),
        ),
    ]
}

fn of_attackers(held: &Parameters) -> Vec<Consequence> {
    let row = |who, what, formula, value| Consequence { who, what, formula, value };
    let half_wei = held.stake_wei_min / 2;
    let permille = u128::from(held.withdraw_permille);
    let withdrawn_wei = held.bond_wei(held.stake_wei_min).saturating_mul(permille) / 1_000;
    let delay_wei =
        withdrawn_wei.saturating_add(held.demand_fee_wei).saturating_add(held.record_fee_wei);
    vec![
        row(
            "liar",
            "loses, when it is seen, for good at least half of its stake; of the least",
            "stake_wei / 2",
            Quantity::Wei(half_wei),
        ),
        row(
            "liar",
            "gains nothing from an answer worth less than this, seen nine times of ten",
            "q × (worth + fee) − (1 − q) × stake_wei / 2, with q = 1/10 to stay unseen, at the least stake",
            Quantity::Wei(half_wei.saturating_mul(9)),
        ),
        row(
            "liar",
            "or less than this, seen 99 times of 100",
            "the same with q = 1/100",
            Quantity::Wei(half_wei.saturating_mul(99)),
        ),
        row(
            "whoever delays a true claim",
            "by a challenge that it withdraws, for T at most, loses at least",
            "bond_wei × withdraw_permille / 1000 + demand_fee_wei + record_fee_wei; as much for each of served_max more challenges for T more",
            Quantity::Wei(delay_wei),
        ),
        row(
            "whoever delays a job",
            "by false claims before the true one, for D at most whatever their number, loses for each",
            "stake_wei / 2; with challenges of its own before others', as above",
            Quantity::Wei(half_wei),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::settlement::ETHER;

    fn of(held: &Parameters, who: &str, formula: &str) -> Quantity {
        let all = consequences(held);
        let found = all.iter().find(|one| one.who == who && one.formula.starts_with(formula));
        found.unwrap_or_else(|| panic!("{who}: {formula}")).value
    }

    #[test]
    fn what_follows_is_what_the_formulas_give() {
        let held = Parameters::default();
        // 60 s, twice 120 s, and 5 s for each of 90 moves.
        let last_ms = 60_000 + 240_000 + 5_000 * (2 * (24 + 20) + 2);
        assert_eq!(of(&held, "everybody", "D ="), Quantity::Ms(last_ms));
        let bond = |stake| of(&held, "everybody", stake);
        assert_eq!(bond("stake_wei × bond"), Quantity::Wei(ETHER / 10));
        assert_eq!(bond("the same with stake"), Quantity::Wei(10 * ETHER));
        let executor = |formula| of(&held, "executor, honest", formula);
        assert_eq!(executor("stake_wei +"), Quantity::Wei(ETHER + ETHER / 10_000));
        // 16 answers of 0.2 s; 44 times as much is more than the clock of 120 s, and the floor has 5 s.
        assert_eq!(executor("A ="), Quantity::Ms(3_200));
        assert_eq!(executor("the larger of"), Quantity::Ms(1_800));
        let longer = Parameters { executor_clock_ms: 150_000, ..held.clone() };
        let by_clock = of(&longer, "executor, honest", "the larger of");
        assert_eq!(by_clock, Quantity::Ms(150_000 - 44 * 3_200));
        // 24 demands, and 20 asks for ends of 32 fees each: 2^8 leaves, where others show 2^3.
        let fees_wei = (24 + 20 * 32) * ETHER / 1_000;
        let truth = of(&held, "challenger of a true claim", "bond_wei");
        assert_eq!(truth, Quantity::Wei(ETHER / 10 + fees_wei + ETHER / 10_000));
        let lie = of(&held, "challenger of a lie", "work_cost_wei");
        assert_eq!(lie, Quantity::Wei(46 * ETHER / 100));
        assert_eq!(of(&held, "liar", "q ×"), Quantity::Wei(9 * ETHER / 2));
    }

    #[test]
    fn times_are_told_in_the_units_that_people_use() {
        for (ms, told) in [
            (0, "0 ms"),
            (1, "1 ms"),
            (1_000, "1 second"),
            (90_500, "1 minute 30 seconds 500 ms"),
            (120_000, "2 minutes"),
            (86_400_000, "1 day"),
        ] {
            assert_eq!(duration(ms), told);
        }
        assert_eq!(text(quantity("bond_permille", 20)), "20");
        assert_eq!(text(quantity("stake_wei_min", ETHER)), "1 ETH");
        assert_eq!(text(quantity("window_ms_min", 5_000)), "5 seconds");
    }
}
