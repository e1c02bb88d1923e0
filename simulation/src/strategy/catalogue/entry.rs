//! What a named strategy is.

use std::cell::RefCell;
use std::collections::BTreeMap;

use challenger::Policy;
use protocol::hash::Commitment;

use crate::scenario::Side;
use crate::strategy::Plan;
use dispute::lies::Lie;

/// Numbers that a scenario hands to a strategy by name.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    given: &'a BTreeMap<String, u64>,
    asked: Option<&'a RefCell<Vec<(&'static str, u64)>>>,
}

impl<'a> Numbers<'a> {
    /// These numbers.
    pub fn of(given: &'a BTreeMap<String, u64>) -> Self {
        Self { given, asked: None }
    }

    /// The number of this name, or a default.
    pub fn or(&self, name: &'static str, default: u64) -> u64 {
        if let Some(asked) = self.asked {
            asked.borrow_mut().push((name, default));
        }
        self.given.get(name).copied().unwrap_or(default)
    }

    /// As [`Numbers::or`], for what is counted in 32 bits.
    pub fn small_or(&self, name: &'static str, default: u32) -> u32 {
        u32::try_from(self.or(name, u64::from(default))).unwrap_or(u32::MAX)
    }
}

/// A named strategy.
#[derive(Clone, Copy)]
pub struct Entry<C: Commitment> {
    /// Its name.
    pub name: &'static str,
    /// Where `docs/attacks.md` or the literature has it; empty for honest ones.
    pub source: &'static str,
    /// What its party must come to: outcome codes of `docs/simulation.md`, `|` between alternatives.
    pub expect: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// How it plays.
    pub plan: fn(Numbers<'_>) -> Plan<C>,
}

impl<C: Commitment> Entry<C> {
    /// The numbers that the strategy takes, each with its default, in the order it asks for them.
    pub fn numbers(&self) -> Vec<(&'static str, u64)> {
        let (given, asked) = (BTreeMap::new(), RefCell::default());
        drop((self.plan)(Numbers { given: &given, asked: Some(&asked) }));
        let mut names: Vec<(&'static str, u64)> = Vec::new();
        for (name, default) in asked.take() {
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, default));
            }
        }
        names
    }
}

impl<C: Commitment> std::fmt::Debug for Entry<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

pub(super) fn executor<C: Commitment>() -> Plan<C> {
    Plan::dishonest(Side::Executor)
}

pub(super) fn liar<C: Commitment>() -> Plan<C> {
    executor().lying(Lie::Selective)
}

pub(super) fn ulps<C: Commitment>(
    numbers: Numbers<'_>,
    layer: u32,
    operator: u32,
    element: u64,
) -> Plan<C> {
    executor().lying(Lie::Ulps {
        layer: numbers.small_or("layer", layer),
        operator: numbers.small_or("operator", operator),
        element: numbers.or("element", element),
        ulps: 1,
    })
}

/// A challenger whose view is false: it challenges what is true.
pub(super) fn frivolous<C: Commitment>() -> Plan<C> {
    Plan { corrupt_view: true, ..Plan::dishonest(Side::Challenger).lying(Lie::Selective) }
}

/// A challenger that challenges everything with a true view.
pub(super) fn everything<C: Commitment>() -> Plan<C> {
    Plan { policy: Policy::Everything, ..Plan::dishonest(Side::Challenger) }
}

pub(super) fn nothing<C: Commitment>(side: Side) -> Plan<C> {
    Plan { policy: Policy::Nothing, ..Plan::dishonest(side) }
}
