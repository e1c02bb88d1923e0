//! Arguments of those who ask for answers and keep them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{account_address, ledger_url};
use super::{EngineOptions, ImportChoices, KeyChoice, LedgerAt, ParameterChoices, Preset};
use crate::amount;

#[derive(Debug, Args)]
pub(crate) struct ReceiptCommand {
    #[command(subcommand)]
    pub(crate) action: ReceiptAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptAction {
    /// Checks a receipt by hashes and Merkle proofs, without the model. Exit 0: holds, 1: does not.
    Verify {
        /// The file that `rebut request --receipt` wrote.
        receipt: PathBuf,
        /// The outputs, to be compared with the claim's.
        #[arg(long, value_name = "FILE")]
        outputs: Option<PathBuf>,
        /// The ledger's address, to ask whether the claim is final.
        #[arg(long, env = "REBUT_LEDGER", value_name = "URL", value_parser = ledger_url)]
        ledger: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// The ONNX file.
    pub(crate) model: PathBuf,
    /// Inputs: .npy, .npz, .json or ONNX tensor .pb, as FILE or NAME=FILE.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "job")]
    pub(crate) input: Vec<String>,
    /// Fetch the answer of a job that was posted before; nothing is posted or paid.
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    /// File for the outputs of the final claim (.npz), checked against its root.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// File for a receipt of the final claim, which shows without the model that outputs are the
    /// claim's, not that the claim is true.
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Run the model on this machine as well, and compare; short runs are made unless --no-verify.
    #[arg(long, conflicts_with = "no_verify")]
    pub(crate) verify: bool,
    /// Do not run the model on this machine.
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Paid to the executor of the final claim, such as 0.01ether; wei without a unit.
    #[arg(
        long = "fee",
        visible_alias = "fee-wei",
        value_name = "AMOUNT",
        default_value = "0.01ether",
        value_parser = amount::parse
    )]
    pub(crate) fee_wei: u128,
    /// Time for challenges; the ledger's least unless given.
    #[arg(long)]
    pub(crate) window_ms: Option<u64>,
    /// Time in which claims are taken, from the posting on; a job that has none then expires, and its
    /// fee comes back. A day unless given.
    #[arg(long, value_name = "MS", default_value_t = 86_400_000)]
    pub(crate) open_ms: u64,
    /// Address of the executor that alone may claim; anybody may unless given.
    #[arg(long, value_name = "ADDRESS", value_parser = account_address)]
    pub(crate) executor: Option<String>,
    /// Give up waiting after this many seconds; the job stays, and --job fetches its answer. Unless
    /// given: ten minutes without a claim, then until the claim's last possible end.
    #[arg(long)]
    pub(crate) patience_seconds: Option<u64>,
    #[command(flatten)]
    pub(crate) key: KeyChoice,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerAudit {
    /// Address of a server, or a file with a head that an executor kept (`head.json` in its folder).
    #[arg(value_name = "URL")]
    pub(crate) one: String,
    /// The other one.
    #[arg(value_name = "URL")]
    pub(crate) other: String,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerParameters {
    /// Clocks and money to begin with.
    #[arg(long, value_enum)]
    pub(crate) preset: Option<Preset>,
    #[command(flatten)]
    pub(crate) parameters: Box<ParameterChoices>,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
}
