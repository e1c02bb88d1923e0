//! The search itself, and what is printed of it.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::model::Step;
use crate::world::{Setup, World};

/// A world with its name and what must happen in it somewhere.
pub(crate) type Row = (&'static str, Setup, &'static [&'static str]);

/// Searches all of each world: no property may fail, and all that is named must have happened.
pub(crate) fn hold(rows: Vec<Row>) {
    for (name, setup, reached) in rows {
        holds(name, setup, reached);
    }
}

/// Whether worlds are searched that take minutes.
pub(crate) fn is_thorough() -> bool {
    std::env::var_os("REBUT_BOUNDED_THOROUGH").is_some()
}

fn holds(name: &str, setup: Setup, reached: &[&'static str]) {
    let begun = Instant::now();
    let checker = World::new(setup).checker().threads(1).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    let took = begun.elapsed().as_secs_f64();
    println!("{name}: {states} states, {depth} steps deep, {took:.1} s");
    let counts = checker.model().counts.lock().unwrap().clone();
    if std::env::var_os("REBUT_BOUNDED_COUNTS").is_some() {
        println!("{counts:?}");
    }
    let failed = checker.discoveries();
    let mut told = String::new();
    for (property, path) in &failed {
        let steps = path.clone().into_actions();
        told.push_str(&format!("\n{property}: fails after {} steps:", steps.len()));
        steps.iter().for_each(|step| told.push_str(&format!("\n  {step:?}")));
    }
    assert!(failed.is_empty(), "{name}:{told}");
    for what in reached {
        assert!(counts.contains_key(what), "{name}: never reached: {what}, only {counts:?}");
    }
}

/// Whether a property holds in all states of a world; the steps to where it does not; how many states were looked at.
pub(crate) fn is_safe(setup: Setup, property: &'static str) -> (Option<Vec<Step>>, usize) {
    let when = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let world = World::new(Setup { only: Some(property), ..setup });
    let checker = world.checker().threads(1).finish_when(when).spawn_bfs().join();
    let path = checker.discovery(property).map(|path| path.into_actions());
    (path, checker.unique_state_count())
}

/// Searches a world in which something is wrong until a property fails that must.
pub(crate) fn fails(name: &str, setup: Setup, property: &'static str) {
    let (path, states) = is_safe(setup, property);
    let Some(steps) = path else { panic!("{name}: {property}: never fails, in {states} states") };
    println!("{name}: {property}: fails after {} steps, {states} states", steps.len());
    if std::env::var_os("REBUT_BOUNDED_COUNTS").is_some() {
        println!("{steps:?}");
    }
}
