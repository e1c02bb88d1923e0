//! The arguments of every command.

mod client;
mod parameters;
mod services;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use client::*;
pub(crate) use parameters::*;
pub(crate) use services::*;
use values::count_up_to;

/// Optimistic fraud proofs for machine-learning inference.
///
/// Exit codes: 0 done, or what was checked holds; 1 it does not: a claim is false, a receipt or a verdict
/// file does not hold, a monitor has alerts, a configuration has mistakes; 2 could not tell (bad input, bad
/// arguments, a failure), with an error that names the file, node or field and what would help; 141
/// nobody read the output to its end, as in `rebut inspect MODEL | head`.
#[derive(Debug, Parser)]
#[command(name = "rebut", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    /// Prints one JSON document instead of text.
    #[arg(long, global = true, env = "REBUT_JSON")]
    pub(crate) json: bool,
    /// File with settings (TOML), as `rebut config example` prints them; flags and REBUT_ variables
    /// go before it.
    #[arg(long, global = true, env = "REBUT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How the log on standard error is written; REBUT_LOG says how much of it, such as info or
    /// ledger=debug.
    #[arg(long, global = true, env = "REBUT_LOG_FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line, for collectors.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stages a lie: a lying and an honest executor, a challenger, a ledger; tells the story.
    Demo(Demo),
    /// Shows a model as the protocol sees it.
    Inspect(Inspect),
    /// Runs a model and writes outputs and claim into a folder.
    Run(Run),
    /// Checks a claim's folder by running the model. Exit 0: stands, 1: falls, 2: could not tell.
    ///
    /// Exit 1 also when the claim stands and the outputs in the folder are not its own.
    Verify(Verify),
    /// Plays the dispute about a claim's folder on an embedded ledger.
    Dispute(Dispute),
    /// Derives the verdict from a verdict file alone.
    Replay(Replay),
    /// Checks this CPU against the reference arithmetic, on a model, before the first stake.
    Preflight(Preflight),
    /// Serves a ledger to many machines, or looks at one.
    Ledger(LedgerCommand),
    /// Runs jobs from a ledger, claims them, defends the claims.
    Executor(ExecutorCommand),
    /// Watches a ledger's claims and challenges false ones.
    Challenger(ChallengerCommand),
    /// Posts a job and waits for its final answer.
    Request(Request),
    /// Receipts of final claims.
    Receipt(ReceiptCommand),
    /// Watches a ledger's disputes: forecasts, collateral, alerts. Signs nothing.
    Monitor(Monitor),
    /// Shows a ledger's disputes, clocks, bonds and log in this terminal, live.
    Tui(Tui),
    /// Shows balances; deposits, withdraws.
    Account(AccountCommand),
    /// Keys.
    Key(KeyCommand),
    /// Settings: what holds, where it comes from, what is wrong.
    Config(ConfigCommand),
    /// Completions, manual pages and the reference of all commands.
    Documents(DocumentsCommand),
    /// Attacks the protocol in simulated worlds. Exit 0: nothing broke, 1: something did.
    Sim(Sim),
    /// The process in which a daemon's runs are made; started by the daemon.
    #[command(hide = true)]
    RunWorker(RunWorker),
}

/// Choices of the engine.
#[derive(Debug, Clone, Args)]
pub(crate) struct EngineOptions {
    /// Threads of the engine; all cores unless given. Results are identical.
    #[arg(long, env = "REBUT_THREADS", value_parser = count_up_to(1_024))]
    pub(crate) threads: Option<usize>,
    /// Vector instructions: portable, avx2 or avx512; the fastest unless given. Results are identical.
    #[arg(long, env = "REBUT_ISA")]
    pub(crate) isa: Option<String>,
}

/// Choices of the importer. What they leave open is taken from NAME.json beside NAME.onnx, if it is
/// there, and then from the shapes of the inputs, where the command takes any.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct ImportChoices {
    /// Size of a symbolic dimension, as NAME=SIZE; may be given several times.
    #[arg(long = "dim", value_name = "NAME=SIZE")]
    pub(crate) dimensions: Vec<String>,
    /// Shape of an input, as NAME=SIZE,SIZE,…: it binds axes without a name, too. May be given several
    /// times.
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    pub(crate) shapes: Vec<String>,
    /// An input that is fixed, as NAME=FILE: it becomes a weight, so that shapes may depend on it.
    /// May be given several times. Part of the model root.
    #[arg(long = "fix", value_name = "NAME=FILE")]
    pub(crate) fixed: Vec<String>,
    /// Most operators of a layer; chosen by the importer unless given. Part of the model root.
    #[arg(long, value_name = "COUNT", value_parser = count_up_to(1 << 20))]
    pub(crate) layer_operators_max: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// A shipped model (digits-cnn, digits-transformer) or an ONNX file; both shipped ones unless
    /// given.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The lie, as for `rebut run`; one unit in the last place in the middle unless given. `none`
    /// stages a frivolous challenge of an honest claim.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) lie: Option<String>,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The ONNX file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The ONNX file.
    pub(crate) model: PathBuf,
    /// Inputs: .npy, .npz, .json or ONNX tensor .pb, as FILE or NAME=FILE; may be given several
    /// times.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(crate) input: Vec<String>,
    /// Folder for outputs.npz, inputs.npz, claim.json and executor.json.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Publish the states at the layers' boundaries beside the claim (states/N.npz), so that anybody
    /// can recompute single layers.
    #[arg(long)]
    pub(crate) states: bool,
    /// A lie to run with: LAYER:OPERATOR:ELEMENT:+ULPS (operator counted within its layer or given
    /// by its ONNX node's name, element flat or as coordinates 0,3,5), or a name:
    /// weight-bit, swap-layers, skip-operator, output-only, wrong-input, zero-trace, model-swap,
    /// precision, other-order, washed-out, corrupt-state, selective, surfing.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) lie: Option<String>,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The claim's folder.
    pub(crate) folder: PathBuf,
    /// The ONNX file, if it is not where the executor had it.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Recompute these layers only, from the published states (`rebut run --states`), such as 0-1.
    #[arg(long, value_name = "LAYERS", conflicts_with = "sample")]
    pub(crate) layers: Option<String>,
    /// Recompute this many layers only, drawn at random, from the published states.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sample: Option<u32>,
    /// What the layers are drawn by; the machine's random source unless given.
    #[arg(long, value_name = "TEXT", requires = "sample")]
    pub(crate) seed: Option<String>,
    /// For the printed probability: this many machines draw, each by itself.
    #[arg(long, value_name = "COUNT", requires = "sample", default_value_t = 1)]
    pub(crate) machines: u32,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Dispute {
    /// The claim's folder.
    pub(crate) folder: PathBuf,
    /// File for the verdict.
    #[arg(long, value_name = "FILE")]
    pub(crate) verdict: PathBuf,
    /// The ONNX file, if it is not where the executor had it.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Folder of the ledger, kept and continued; a temporary one unless given.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) ledger: Option<PathBuf>,
    /// The executor publishes its data, so that the challenger shows instead of asking.
    #[arg(long)]
    pub(crate) public_data: bool,
    /// Prints every move as a line on standard error as soon as it is durable.
    #[arg(long)]
    pub(crate) trace_moves: bool,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The verdict file.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Preflight {
    /// The ONNX file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) import: ImportChoices,
    #[command(flatten)]
    pub(crate) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Sim {
    #[command(subcommand)]
    pub(crate) command: SimCommand,
    /// Threads; all cores unless given. Never changes what is found.
    #[arg(long, global = true, env = "REBUT_THREADS")]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Plays scenario files and compares each with its expected outcome.
    Run(SimRun),
    /// Plays made-up worlds from a seed and checks every invariant after every event.
    Swarm(SimSwarm),
    /// Plays one world again, told event by event: a seed of a swarm, or a scenario file.
    Replay(SimReplay),
    /// Shrinks a failing scenario to the smallest that still fails, and writes a test.
    Shrink(SimShrink),
    /// Plays a scenario over a grid or a Latin hypercube of its fields.
    Sweep(SimSweep),
    /// Searches for the attack that wins most.
    BestResponse(SimBestResponse),
    /// Searches for plays that reach what no play reached before, and for what a coalition can win.
    Explore(SimExplore),
    /// Lists the strategies, with the numbers that each takes by `with`.
    Strategies,
    /// Plays a swarm, crowds, a sweep and searches, and writes one HTML file.
    Report(SimReport),
}

#[derive(Debug, Args)]
pub(crate) struct SimRun {
    /// Scenario files, or folders of them.
    #[arg(required = true)]
    pub(crate) scenario: Vec<PathBuf>,
    /// Seeds of each scenario, counted up from its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SimSwarm {
    /// How long to play.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// How many worlds to play instead, however long it takes.
    #[arg(long)]
    pub(crate) worlds: Option<u64>,
    /// Decides everything: a number, decimal or 0x and hexadecimal (a commit's hash will do).
    #[arg(long, default_value = "1")]
    pub(crate) seed: String,
    /// Worlds under the real commitment and models, in thousandths.
    #[arg(long, default_value_t = 10)]
    pub(crate) real_permille: u32,
    /// Prints everything that decides which worlds are made up, and plays none.
    #[arg(long)]
    pub(crate) configuration: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimReplay {
    /// A scenario file, or the seed of a swarm's world: decimal or 0x and hexadecimal.
    pub(crate) what: String,
    /// The seed is of a world under the real commitment.
    #[arg(long)]
    pub(crate) real: bool,
    /// Prints the scenario too.
    #[arg(long)]
    pub(crate) scenario: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimShrink {
    /// A scenario file, or the seed of a swarm's world.
    pub(crate) what: String,
    /// The seed is of a world under the real commitment.
    #[arg(long)]
    pub(crate) real: bool,
    /// File for the minimal scenario.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimSweep {
    /// The sweep file.
    pub(crate) sweep: PathBuf,
    /// Table to write; cells of this very sweep that it already holds are not played again. A table of
    /// another scenario, axis, seed, number of worlds or version is refused.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: PathBuf,
    /// The same table as Parquet, once all cells are played.
    #[arg(long, value_name = "FILE")]
    pub(crate) parquet: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimBestResponse {
    /// Plays in all.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) plays: u64,
    /// Decides everything.
    #[arg(long, default_value = "1")]
    pub(crate) seed: String,
    /// What a false answer is worth to the attacker if it becomes final, in thousandths of an
    /// ether.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) gain_milliether: u64,
    /// A scenario file with the honest parties and the parameters; one executor and one prompt
    /// challenger at the default parameters unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SimExplore {
    /// Worlds to play.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) plays: u64,
    /// Decides everything.
    #[arg(long, default_value = "1")]
    pub(crate) seed: String,
    /// Plays that were kept before: they are played first, and what they reached is not new again.
    #[arg(long, value_name = "FILE")]
    pub(crate) corpus: Option<PathBuf>,
    /// File for the plays that are kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// How many plays are kept in the file: those first that reach most.
    #[arg(long, default_value_t = 100)]
    pub(crate) keep: usize,
    /// What a false answer is worth to the attackers if it becomes final, in thousandths of an ether.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) gain_milliether: u64,
    /// A scenario file with the honest parties and the parameters; one executor and one prompt challenger at the
    /// default parameters unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// Leaves model, inputs and parameters as the scenario has them.
    #[arg(long)]
    pub(crate) keep_base: bool,
    /// Ends at the first coalition that wins.
    #[arg(long)]
    pub(crate) stop_at_profit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimReport {
    /// File for the report.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Seconds of the swarm.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Decides everything.
    #[arg(long, default_value = "1")]
    pub(crate) seed: String,
    /// A sweep to play as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) sweep: Option<PathBuf>,
    /// Plays of each search for the best attack.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) plays: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Prints the settings of the services, or of one command line.
    Show {
        /// Where each comes from: flag, environment, file and line, default.
        #[arg(long)]
        origin: bool,
        /// A command line to look at, after `--`: `rebut config show -- executor serve --threads 2`.
        #[arg(last = true, value_name = "COMMAND")]
        words: Vec<std::ffi::OsString>,
    },
    /// Tells everything that is wrong with file and environment. Exit 0: nothing, 1: something.
    Check,
    /// Prints a file with every setting of the services, commented out.
    Example,
}

#[derive(Debug, Args)]
pub(crate) struct DocumentsCommand {
    #[command(subcommand)]
    pub(crate) action: DocumentsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DocumentsAction {
    /// Prints a script that completes commands in a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Writes manual pages into a folder.
    Man {
        /// The folder.
        folder: PathBuf,
    },
    /// Prints the reference of all commands (docs/reference.md).
    Reference,
    /// Prints every metric of every service, with its kind and what it tells.
    Metrics,
}
