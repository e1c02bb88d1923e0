//! Arguments of the services and of those who use them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::values::{
    account_address, genesis_hash, ledger_url, lie_text, listen_address, well_known_name,
};
use super::{EngineOptions, LedgerAudit, LedgerParameters, ParameterChoices};
use crate::amount;

/// Where a ledger is unless something else is said.
pub(crate) const LEDGER_URL: &str = "http://127.0.0.1:8645";

/// Where a ledger is.
#[derive(Debug, Clone, Args)]
pub(crate) struct LedgerAt {
    /// The ledger's address.
    #[arg(
        long,
        env = "REBUT_LEDGER",
        default_value = LEDGER_URL,
        value_name = "URL",
        value_parser = ledger_url
    )]
    pub(crate) ledger: String,
    /// The ledger's genesis hash; another ledger at that address is refused.
    #[arg(long, env = "REBUT_GENESIS", value_name = "HASH", value_parser = genesis_hash)]
    pub(crate) genesis: Option<String>,
}

/// What daemons share.
#[derive(Debug, Clone, Args)]
pub(crate) struct DaemonOptions {
    /// Folder of models (NAME.onnx, options in NAME.json), or one model.
    #[arg(long, env = "REBUT_MODELS_FOLDER", value_name = "FOLDER")]
    pub(crate) models: PathBuf,
    /// Where to serve /healthz, /readyz, /metrics, and what else there is; nowhere unless given.
    /// Non-loopback addresses are unencrypted; use a private network or a tunnel.
    #[arg(long, env = "REBUT_LISTEN", value_name = "ADDRESS", value_parser = listen_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Minutes between checks of this CPU against the reference arithmetic; 0 for never. A machine that
    /// fails stakes nothing more.
    #[arg(long, env = "REBUT_SELF_TEST_MINUTES", default_value_t = 10)]
    pub(crate) self_test_minutes: u64,
    /// Most memory of the process in which models are run; it holds the models as well. What needs more
    /// is killed, and the job that did it twice is not run again.
    #[arg(long, env = "REBUT_RUN_MEMORY_BYTES", default_value_t = 8 << 30)]
    pub(crate) run_memory_bytes: u64,
    /// Longest time of one run; what takes longer is killed likewise.
    #[arg(long, env = "REBUT_RUN_SECONDS_MAX", default_value_t = 600)]
    pub(crate) run_seconds_max: u64,
    #[command(flatten)]
    pub(crate) key: KeyChoice,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

/// Which key acts.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeyChoice {
    /// File with the key: an encrypted keystore (as `rebut key new`, geth and foundry write it), or 0x
    /// and 64 digits.
    #[arg(long, env = "REBUT_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the keystore's password; REBUT_PASSWORD or the terminal are asked unless given.
    #[arg(long, env = "REBUT_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A key that everybody knows, by a name; only at a ledger that was started with --dev, where it
    /// is given money as well.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "key_file",
        value_parser = well_known_name
    )]
    pub(crate) dev: Option<String>,
}

impl KeyChoice {
    /// Whether a key is named, here or in the environment.
    pub(crate) fn is_named(&self) -> bool {
        self.key_file.is_some() || self.dev.is_some() || std::env::var_os("REBUT_KEY").is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct KeyCommand {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Makes a key from the machine's random source and writes it to a new file that only you read,
    /// encrypted with a password.
    New {
        /// The file; it must not exist.
        file: PathBuf,
        /// Without a password: whoever reads the file has the key.
        #[arg(long)]
        plain: bool,
        /// File with the password; REBUT_PASSWORD or the terminal are asked unless given.
        #[arg(long, env = "REBUT_PASSWORD_FILE", value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Prints the address of a key.
    Show {
        #[command(flatten)]
        key: KeyChoice,
    },
}

/// Clocks and money that a new ledger begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Windows of a minute, clocks of two: people can watch.
    #[default]
    Devnet,
    /// Windows of five seconds, clocks of 24: for tests and the quick start.
    Fast,
    /// Windows of a day, clocks of six hours.
    MainnetLike,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerCommand {
    #[command(subcommand)]
    pub(crate) action: LedgerAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerAction {
    /// Serves a ledger over HTTP.
    Serve(LedgerServe),
    /// Prints height, clock, counts and money of a ledger.
    Status(LedgerAt),
    /// Prints clocks, money and limits of a ledger, and what they mean: what each party can lose, how long
    /// anything can take. With --preset or a parameter: those that a new ledger would begin with.
    Parameters(LedgerParameters),
    /// Lists claims, or jobs, or challenges, the newest first.
    List(LedgerList),
    /// Compares the signed heads of two servers of one ledger, or of a server and a head that was kept: prints up to
    /// where they agree, or the two heads that prove that one key signed two logs.
    Audit(LedgerAudit),
}

#[derive(Debug, Args)]
pub(crate) struct LedgerList {
    /// What to list.
    #[arg(value_enum)]
    pub(crate) what: Objects,
    /// Only those of this status: open, done, expired, standing, rejected, final, to-collect, won, ….
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only those that this account posted, claimed or challenged.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) account: Option<String>,
    /// Only jobs and claims on the model with this root.
    #[arg(long, value_name = "ROOT")]
    pub(crate) model: Option<String>,
    /// Leave out so many, the newest.
    #[arg(long, default_value_t = 0)]
    pub(crate) skip: u64,
    /// Show so many at most; 1000 is the server's own limit.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Objects {
    Jobs,
    Claims,
    Challenges,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerServe {
    /// The ledger's folder, continued if it is one already.
    #[arg(long, env = "REBUT_FOLDER", value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Where to listen. Non-loopback addresses are unencrypted; use a private network or a tunnel.
    #[arg(
        long,
        env = "REBUT_LISTEN",
        default_value = "127.0.0.1:8645",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    pub(crate) listen: SocketAddr,
    /// Address of the account that may credit deposits; required for a new ledger without --dev.
    #[arg(long, env = "REBUT_BANK", value_name = "ADDRESS", value_parser = account_address)]
    pub(crate) bank: Option<String>,
    /// Chain id, part of every signature; fixed when the ledger begins. Each preset has its own
    /// unless given: devnet 31337, fast 31338, mainnet-like 31339.
    #[arg(long, env = "REBUT_CHAIN_ID")]
    pub(crate) chain_id: Option<u64>,
    /// Clocks and money; fixed when the ledger begins: devnet unless given.
    #[arg(long, env = "REBUT_PRESET", value_enum, conflicts_with = "dev")]
    pub(crate) preset: Option<Preset>,
    /// Most bytes of one published input or output.
    #[arg(long, env = "REBUT_UPLOAD_BYTES_MAX", default_value_t = 64 << 20)]
    pub(crate) upload_bytes_max: u64,
    /// Most bytes that one account may have published.
    #[arg(long, env = "REBUT_ACCOUNT_BYTES_MAX", default_value_t = 1 << 30)]
    pub(crate) account_bytes_max: u64,
    /// Most bytes that all accounts together may have published.
    #[arg(long, env = "REBUT_UPLOADS_BYTES_MAX", default_value_t = 64 << 30)]
    pub(crate) uploads_bytes_max: u64,
    /// Bytes of the disk that published states leave free for the ledger's log.
    #[arg(long, env = "REBUT_DISK_FREE_BYTES_MIN", default_value_t = 256 << 20)]
    pub(crate) disk_free_bytes_min: u64,
    /// Address of a proxy before this server: limits are then counted for the last address in its
    /// x-forwarded-for, and the proxy must limit connections itself.
    #[arg(long, env = "REBUT_PROXY", value_name = "ADDRESS")]
    pub(crate) proxy: Option<std::net::IpAddr>,
    /// A ledger to try things, on loopback only: the bank's key is public knowledge, and the preset
    /// is fast: claims are final after five seconds.
    #[arg(long, conflicts_with = "bank")]
    pub(crate) dev: bool,
    #[command(flatten)]
    pub(crate) parameters: Box<ParameterChoices>,
}

#[derive(Debug, Args)]
pub(crate) struct AccountCommand {
    #[command(subcommand)]
    pub(crate) action: AccountAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountAction {
    /// Prints free money, and what is locked in claims and challenges.
    Show {
        /// The account.
        address: String,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Credits a deposit; the key must be the bank's.
    Deposit {
        /// To whom.
        address: String,
        /// How much, such as 10ether or 0.5 ETH; wei without a unit.
        #[arg(value_name = "AMOUNT", value_parser = amount::parse)]
        amount_wei: u128,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Ends a job whose time for claims is over and on which none stands; its fee goes back to its poster.
    /// Anybody may.
    ExpireJob {
        /// The job.
        job: String,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Settles a job whose first claim nobody can dispute any more, past claims that were rejected, after calling
    /// time on whoever is late in its disputes. Anybody may, and executors do.
    SettleJob {
        /// The job.
        job: String,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Pays out a challenge of a claim that another challenge convicted: bond, fees, and its part of the
    /// stake. Anybody may, and challengers do.
    Collect {
        /// The claim.
        claim: String,
        /// Whose challenge it is; the key's account unless given.
        #[arg(long, value_name = "ADDRESS", value_parser = account_address)]
        challenger: Option<String>,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Gives back the stake of a claim that stands on a job which is over. Anybody may, and executors do.
    Release {
        /// The claim.
        claim: String,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
    /// Withdraws unlocked funds.
    Withdraw {
        /// How much, such as 10ether or 0.5 ETH; wei without a unit.
        #[arg(value_name = "AMOUNT", value_parser = amount::parse)]
        amount_wei: u128,
        #[command(flatten)]
        key: KeyChoice,
        #[command(flatten)]
        at: LedgerAt,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorCommand {
    #[command(subcommand)]
    pub(crate) action: ExecutorAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExecutorAction {
    /// Runs jobs from the ledger, claims them and defends the claims.
    Serve(ExecutorServe),
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorServe {
    /// Folder for the inputs of jobs that were taken, and the token of those who may ask over HTTP.
    #[arg(
        long,
        env = "REBUT_EXECUTOR_FOLDER",
        default_value = "executor-data",
        value_name = "FOLDER"
    )]
    pub(crate) folder: PathBuf,
    /// Most bytes of inputs kept for disputes; at it no job is taken.
    #[arg(long, env = "REBUT_DISK_BUDGET_BYTES", default_value_t = 8 << 30)]
    pub(crate) disk_budget_bytes: u64,
    /// Runs kept in memory; others are made again from their inputs when somebody challenges them.
    #[arg(long, env = "REBUT_RUNS_MAX", default_value_t = 64)]
    pub(crate) runs_max: usize,
    /// Take no new job; defend what is claimed.
    #[arg(long, env = "REBUT_BAIL_OUT")]
    pub(crate) bail_out: bool,
    /// Least fee of a job that is taken, such as 0.001ether.
    #[arg(
        long = "fee-min",
        env = "REBUT_FEE_MIN",
        value_name = "AMOUNT",
        default_value = "0.001ether",
        value_parser = amount::parse
    )]
    pub(crate) fee_wei_min: u128,
    /// Least fee for what a job locks, in millionths of its stake for each hour of its time for
    /// challenges; 10 is a twelfth of the stake in a year.
    #[arg(long, env = "REBUT_FEE_PPM_PER_HOUR", value_name = "PPM", default_value_t = 10)]
    pub(crate) fee_ppm_per_hour: u32,
    /// Most of the account's money, free and locked, that the stake of one claim may take, in percent.
    #[arg(
        long,
        env = "REBUT_STAKE_PERCENT_MAX",
        default_value_t = 25,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub(crate) stake_percent_max: u32,
    /// Most of the account's money, free and locked, that stakes may take together which are locked for
    /// longer than twice the ledger's least time for challenges, in percent.
    #[arg(
        long,
        env = "REBUT_LONG_PERCENT_MAX",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(0..=100)
    )]
    pub(crate) long_percent_max: u32,
    /// Longest time for challenges of a job that is taken: so long the stake is locked.
    #[arg(long, env = "REBUT_WINDOW_HOURS_MAX", default_value_t = 168)]
    pub(crate) window_hours_max: u64,
    /// Stake of claims on what is asked over HTTP; the ledger's least unless given.
    #[arg(
        long = "http-stake",
        env = "REBUT_HTTP_STAKE",
        value_name = "AMOUNT",
        value_parser = amount::parse
    )]
    pub(crate) http_stake_wei: Option<u128>,
    /// Skip the check of this CPU against the reference arithmetic before the first stake.
    #[arg(long)]
    pub(crate) no_preflight: bool,
    /// A lie to run with, for rehearsals, as in `rebut run --lie`.
    #[arg(long, allow_hyphen_values = true, value_parser = lie_text)]
    pub(crate) lie: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ChallengerCommand {
    #[command(subcommand)]
    pub(crate) action: ChallengerAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChallengerAction {
    /// Compares every claim with a run of its own and challenges what differs.
    Run(ChallengerRun),
    /// Tells what is known of a claim: the path of its dispute, where the views part, both values.
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The claim.
    pub(crate) claim: String,
    /// Folder of models, to run the job here as well.
    #[arg(long, env = "REBUT_MODELS_FOLDER", value_name = "FOLDER")]
    pub(crate) models: Option<PathBuf>,
    /// The executor's listener, to read its states: what differs is told by name, element and value.
    #[arg(long, value_name = "URL", requires = "models")]
    pub(crate) executor: Option<String>,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Monitor {
    /// Look until every claim was compared, print once, and end. Exit 0: no alert, 1: some.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Tui {
    /// Draw once, as text of this many columns and lines, and end.
    #[arg(long, value_name = "COLUMNSxLINES")]
    pub(crate) once: Option<String>,
    /// Begin with this claim shown.
    #[arg(long, value_name = "CLAIM")]
    pub(crate) claim: Option<String>,
    #[command(flatten)]
    pub(crate) at: LedgerAt,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Look and tell; needs no key.
    Watch,
    /// Play challenges that are open, open none.
    Defend,
    /// Challenge what differs.
    #[default]
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct ChallengerRun {
    /// What to do about what is found.
    #[arg(long, value_enum, default_value_t, env = "REBUT_MODE")]
    pub(crate) mode: Mode,
    /// Print what would be done, with reasons, once each, and do nothing; needs no key.
    #[arg(long, env = "REBUT_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Thousandths of the jobs to run, drawn by a seed that no executor knows.
    #[arg(long, env = "REBUT_SAMPLE_PERMILLE", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) sample_permille: u32,
    /// Thousandths of a stake that asking for an input may cost which nobody published; 0 asks nobody.
    #[arg(long, env = "REBUT_INPUT_PERMILLE", default_value_t = challenger::service::INPUT_PERMILLE, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) input_permille: u32,
    /// Runs kept in memory beside those of disputes; others are made again when a claim differs.
    #[arg(long, env = "REBUT_RUNS_MAX", default_value_t = 64)]
    pub(crate) runs_max: usize,
    /// A lie to run with, for rehearsals, as in `rebut run --lie`: true claims are challenged, and lost
    /// against.
    #[arg(long, allow_hyphen_values = true, value_parser = lie_text)]
    pub(crate) lie: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonOptions,
}

/// The process in which a daemon's runs are made; started by the daemon.
#[derive(Debug, Args)]
pub(crate) struct RunWorker {
    /// Folder of models, or one model.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) models: PathBuf,
    /// Most memory of this process.
    #[arg(long)]
    pub(crate) memory_bytes: u64,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}
