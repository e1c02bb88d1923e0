//! Who cheats, and what happens then.
//!
//! Dishonest ways to compute ([`Lie`]), dishonest ways to play ([`Muted`], [`Stubborn`]) around the
//! real cores, and a [`Stage`] on which the real executor and challenger meet at a real ledger.

pub mod best_response;
pub mod bounds;
mod check;
pub mod economy;
pub mod environments;
pub mod fixtures;
pub mod invariants;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod statistics;
pub mod strategy;
pub mod swarm;
pub mod sweep;
pub mod toy;
pub mod world;
