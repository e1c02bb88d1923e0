//! Who cheats, and what happens then.
//!
//! Made-up worlds of honest and dishonest parties with the real cores at a ledger of the simulation's own, in
//! virtual time ([`world`]); what must hold in each of them ([`invariants`]); and searches for a world in which it
//! does not ([`swarm`], [`shrink`], [`best_response`], [`explore`]).

pub mod best_response;
pub mod bounds;
mod check;
pub mod economy;
pub mod environments;
pub mod explore;
pub mod fixtures;
mod hostile;
pub mod invariants;
pub mod made_up;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod statistics;
pub mod strategy;
pub mod swarm;
pub mod sweep;
pub mod toy;
mod ways;
mod whole;
pub mod world;
pub mod worst_cases;
