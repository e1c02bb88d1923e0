//! The commands of the services: parse, connect, run until told to stop.

pub(crate) mod account;
mod audit;
mod beginning;
pub(crate) mod challenger;
mod connection;
pub(crate) mod daemon;
pub(crate) mod executor;
pub(crate) mod explain;
mod ids;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod monitor;
mod parameters;
mod process;
pub(crate) mod receipt;
pub(crate) mod request;
pub(crate) mod tui;
