//! Mends of what an audit of version 1 found, taken out again, for proving that the audit's tests and legal play see
//! it. This file and the patches beside it are no part of the program: they are applied to a copy of it
//! (`protocol/audits/copy`).

extern crate std;

use std::sync::OnceLock;

/// Which mend a process is without: the audit's number of the hole; none, or 0, is none.
pub const VARIABLE: &str = "REBUT_AUDIT";

/// A hole that was mended, by the audit's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Audit {
    /// What others have shown makes an honest answer wrong, and one that is named in vain refuses it.
    A1 = 1,
    /// A bond has no ceiling.
    A4 = 4,
    /// Inputs and outputs cannot be asked for.
    A5 = 5,
    /// Any graph is a model.
    A6 = 6,
    /// All challenges of a claim are served at once.
    A9 = 9,
    /// Who convicts is paid what the others leave.
    A11 = 11,
    /// Attesting is free.
    A12 = 12,
    /// Ledgers begun alike share a domain.
    A13 = 13,
    /// Any parameters are accepted.
    A14 = 14,
    /// The law reads bits as they are.
    A15 = 15,
}

/// Whether this process is without a mend.
pub fn reverted(audit: Audit) -> bool {
    static NUMBER: OnceLock<u8> = OnceLock::new();
    let number = || std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *NUMBER.get_or_init(number) == audit as u8
}
