//! Mends of what an audit of version 1 found, taken out again, for proving that the audit's tests and legal play see
//! it. This file and the patches beside it are no part of the program: they are applied to a copy of it
//! (`protocol/audits/copy`).

extern crate std;

use std::sync::OnceLock;

/// Which mend a process is without, by its number here; none, or 0, is none.
pub const VARIABLE: &str = "REBUT_AUDIT";

/// A part of a mend: ten times the audit's number of the hole, and the number of the part. Each has one line that
/// says what holds without it (`protocol/audits/run` prints it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Audit {
    /// What others have shown makes an honest answer wrong, and one that is named in vain refuses it.
    A1 = 10,
    /// A run without a result is an error, to be tried again.
    A2Error = 20,
    /// Claims on a job without a result are not challenged.
    A2Challenged = 21,
    /// The solver does not look for the element without a result.
    A2Solver = 22,
    /// Published states are kept and taken whatever their root.
    A3Root = 30,
    /// A job that kills its runs is not remembered.
    A3Killed = 31,
    /// A bond has no ceiling.
    A4 = 40,
    /// Inputs and outputs cannot be asked for.
    A5 = 50,
    /// Any graph is a model.
    A6 = 60,
    /// Records cost nothing.
    A7Fees = 70,
    /// A transaction copies all jobs.
    A7Copies = 71,
    /// Bodies are read before their senders may send them, and count though they never come.
    A7Bodies = 72,
    /// Whoever reads, connects or uploads most takes all places.
    A7Places = 73,
    /// Whoever takes nothing of an answer holds it for ever, and long answers are refused when memory is full.
    A7Answers = 74,
    /// Old heights are read on the thread that serves.
    A7History = 75,
    /// Folders and disks are filled and looked through without end.
    A7Disk = 76,
    /// Transfers of nothing and jobs without a fee are taken.
    A7Nothing = 77,
    /// The longest moves need room that others can hold.
    A7Moves = 78,
    /// Any terms are taken.
    A8Terms = 80,
    /// A job ends when its poster likes.
    A8Expiry = 81,
    /// All challenges of a claim are served at once, and all answers made before the first is sent.
    A9 = 90,
    /// A client takes a log without its signatures and times.
    A10Log = 100,
    /// A client believes why its transaction was refused.
    A10Refusal = 101,
    /// A client believes a log that does not show what it has seen.
    A10Shorter = 102,
    /// A client holds a log against no head that it kept.
    A10Heads = 103,
    /// Who convicts is paid what the others leave.
    A11 = 110,
    /// Attesting is free.
    A12 = 120,
    /// The bond of a word burns also where its claim never became final.
    A12Back = 121,
    /// Ledgers begun alike share a domain.
    A13 = 130,
    /// Any parameters are accepted.
    A14 = 140,
    /// The law reads bits as they are.
    A15 = 150,
    /// Seals can be copied, and claims are posted open by anybody.
    A16Copies = 160,
    /// Seals are scanned.
    A16Seals = 161,
    /// Claims and housekeeping come before answers.
    A16Answers = 162,
    /// Parts of states are made on the thread that serves.
    A16Serving = 163,
    /// Uploads under way do not count, and one state counts twice.
    A16Quota = 164,
    /// A hole of nobody's list, planted for the swarm: whoever did not prove its word has its bond back though the
    /// claim is final.
    Planted = 170,
}

/// Whether this process is without a part of a mend.
pub fn reverted(audit: Audit) -> bool {
    static NUMBER: OnceLock<u8> = OnceLock::new();
    let number = || std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *NUMBER.get_or_init(number) == audit as u8
}
