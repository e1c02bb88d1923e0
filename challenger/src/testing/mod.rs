//! What the tests of this crate share: small models, executors that say anything, disputes and
//! ledgers as fluent games with the expectations inline.

pub(crate) mod court;
pub(crate) mod game;
pub(crate) mod models;
pub(crate) mod questions;
pub(crate) mod statement;
pub(crate) mod undefined;
