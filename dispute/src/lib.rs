//! A dispute from its beginning to its verdict, on one machine.
//!
//! [`devnet`] is a real ledger in virtual time at which the real executor and challenger meet;
//! [`offline`] walks a claim down to its verdict without a ledger. [`lies`] and [`wrappers`] are what
//! dishonest parties do there: who demonstrates a dispute needs somebody who lies. [`claim_file`] and
//! [`verdict`] are the files that are left: what a run claims, and why a claim fell.

pub mod claim_file;
pub mod devnet;
pub mod lies;
pub mod offline;
mod roles;
pub mod verdict;
pub mod wrappers;

pub use devnet::{Devnet, DevnetError, Outcome, Participants, PlayedMove};
pub use lies::{Lie, LieError, Lying, parse_lie};
pub use roles::{Role, actor_key, key_of};
pub use wrappers::{Muted, Stubborn};
