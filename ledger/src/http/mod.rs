//! One ledger for many machines, over HTTP.
//!
//! The server orders transactions, gives them their time and keeps them; it is not believed in
//! anything else. The client reads the log and applies it by the protocol's own rules, every signature
//! included, so that a server can withhold but not invent.

mod bodies;
pub mod client;
mod crowd;
mod documents;
mod failure;
mod limits;
mod parts;
mod places;
mod quota;
mod readers;
mod routes;
mod server;
mod shared;
mod uploads;
mod views;

pub use bodies::{Budget, Held};
pub use client::{
    DownloadError, HttpLedger, UploadError, chain_of_causes, fetch_genesis, fetch_head, read_head,
};
pub use failure::{Failure, failure};
pub use limits::{Limits, Share, Shares, Source};
pub use parts::{OCTETS, PART_BYTES, answer_in_parts};
pub use server::{ServeError, serve, serve_routes};

use protocol::hash::Digest;
use protocol::transaction::Address;
use serde::{Deserialize, Serialize};

use crate::log::LogEntry;

/// A part of the log as it travels, in the envelope of [`crate::wire`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogPage {
    /// The server's clock.
    pub(crate) now_ms: u64,
    /// Accepted transactions in all.
    pub(crate) height: u64,
    /// Those after the height that was asked for, as many as fit.
    pub(crate) entries: Vec<LogEntry>,
}

/// Where an account puts the state with this root.
pub(crate) fn upload_path(root: &Digest, account: &Address) -> String {
    format!("/v1/inputs/{root}/{account}")
}

/// Header that carries an uploader's signature.
pub(crate) const SIGNATURE_HEADER: &str = "rebut-signature";
