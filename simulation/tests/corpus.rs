//! Plays that a search kept because each reached what none before it did: nothing breaks in them, nobody wins, and
//! together they still reach as much as when they were kept.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use inference::{Engine, Isa};
use simulation::environments::Environments;
use simulation::explore::Corpus;

/// What they reached when they were kept (`simulation/corpus.toml`), less a twentieth: rules may change a little.
const SHAPES: usize = 16_500;

#[test]
fn kept_plays_break_nothing_and_reach_what_they_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus.toml");
    let corpus = Corpus::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let environments = Environments::new(&Engine::new(Isa::detect(), 1).unwrap(), Vec::new());
    let environments = environments.unwrap();
    let mut reached = BTreeSet::new();
    for scenario in &corpus.play {
        let ended = environments.play_for_shapes(scenario).unwrap();
        assert_eq!(ended.violations, [], "{}", scenario.name);
        assert!(ended.coalition_excess_wei <= 0, "{}: a coalition wins", scenario.name);
        reached.extend(ended.shapes);
    }
    println!("{} plays reach {} shapes", corpus.play.len(), reached.len());
    assert!(reached.len() >= SHAPES, "{} shapes are reached", reached.len());
}
