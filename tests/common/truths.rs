//! What documents say in numbers, and what the source says.

use crate::sources::{between, constant, field, files, flag, items, text};

/// Words around a number, with `{}` in its place, and the number.
pub type Row = (&'static str, String);

const PROTOCOL: &str = "protocol/src";
const LEDGER: &str = "ledger/src";

fn rows(truths: &[(&'static str, u128)]) -> Vec<Row> {
    truths.iter().map(|(words, truth)| (*words, truth.to_string())).collect()
}

/// Wei as documents write them, in ether.
fn ether(wei: u128) -> String {
    let ether = constant(PROTOCOL, "ETHER");
    let digits = format!("{}.{:018}", wei / ether, wei % ether);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn law() -> Vec<Row> {
    let fold = |name| constant(PROTOCOL, name);
    let (segment, lanes) = (fold("SEGMENT_ELEMENTS"), fold("LANES"));
    let chunk = segment * fold("CHUNK_SEGMENTS");
    let segments_max = constant(PROTOCOL, "SEGMENTS_MAX");
    let exponent = |bits: u128| (bits >> 23) as i32 - 127;
    let store_min = exponent(constant(PROTOCOL, "STORE_MIN"));
    let circle_max = exponent(constant(PROTOCOL, "CIRCLE_MAX"));
    let mut found = rows(&[
        ("segment of {} products", segment),
        ("segment of {} binary32 numbers", segment),
        ("segments of {} products or elements", segment),
        ("computed in segments of {}", segment),
        ("a dispute ends at {} of them", segment),
        ("two proofs and {} multiply-adds", segment),
        ("{} multiply-adds recomputed", segment),
        ("a step is {} products", segment),
        ("running sum {} products of a sum", segment),
        ("a row of 4,096 products has {} running sums", 4096 / segment),
        ("in a step proofs dominate and lists are {} times longer", segment),
        ("chunks of {}", chunk),
        ("chunk of {} products", chunk),
        ("start again after {} products", chunk),
        ("after each {} products", chunk),
        ("{} lanes element i", lanes),
        ("goes to lane i mod {}", lanes),
        ("a pool it is {} words", lanes),
        ("into lane i mod {}", lanes),
        ("at most {} segments a word", segments_max),
        ("fold at most {} segments into an element", segments_max),
        ("folds at most {} values into one element", segments_max * segment),
        ("magnitude of {} on", 1 << circle_max),
        ("magnitude of {} or more", 1 << circle_max),
    ]);
    found.push(("magnitude under {}", format!("2^{store_min}")));
    found.push(("at least {} with 24 significant bits", format!("2^{store_min}")));
    found.push(("fade below {}", format!("2^{store_min}")));
    found.push(("the neighbours of 0 are ±{}", format!("2^{store_min}")));
    found
}

fn tensors() -> Vec<Row> {
    let leaf = constant(PROTOCOL, "LEAF_BYTES");
    let types = between(PROTOCOL, "canonical_enum!(ElementType {", "});");
    let code = |name: &str| {
        let row = types.lines().find(|line| line.contains(&format!("=> {name} ")));
        row.unwrap().split("=>").next().unwrap().trim().parse().unwrap()
    };
    let widths = types.split_whitespace().filter_map(|word| word.strip_prefix('I'));
    let widths: Vec<u128> = widths.map(|width| width.parse().unwrap()).collect();
    let unsigned = types.split_whitespace().filter_map(|word| word.strip_prefix('U'));
    let unsigned = unsigned.map(|width| width.parse().unwrap()).max().unwrap();
    rows(&[
        ("a leaf holds {} bytes", leaf),
        ("leaves hold {} bytes", leaf),
        ("leaves of {} bytes", leaf),
        ("a leaf of {} bytes", leaf),
        ("the first {} bytes of it", leaf),
        ("leaf hash h(00, {} bytes", leaf),
        ("leaf {} consecutive bytes", leaf),
        ("consecutive bytes of a tensor's row: {} elements of 4 bytes", leaf / 4),
        ("a leaf is {} elements", leaf / 4),
        ("referee reads {} elements", leaf / 4),
        ("bytes: {} f32, i32 or u32", leaf / 4),
        ("u32, {} i64", leaf / 8),
        ("i64, {} i16, u16, bf16 or f16", leaf / 2),
        ("bf16 or f16, {} bool, i8 or u8", leaf),
        ("rank (at most {}", constant(PROTOCOL, "RANK_MAX")),
        ("and rank {} no dimension", constant(PROTOCOL, "RANK_MAX")),
        ("no zero product at most {}", constant(PROTOCOL, "ELEMENTS_MAX")),
        ("tensors have at most {} elements", constant(PROTOCOL, "ELEMENTS_MAX")),
        ("elements ({} when computed at run time", constant("inference/src", "VALUE_ELEMENTS_MAX")),
        ("integers of {} to 64 bits", *widths.iter().min().unwrap()),
        ("integers of 8 to {} bits", *widths.iter().max().unwrap()),
        ("without sign up to {}", unsigned),
        ("element type tags: f32 {}", code("F32")),
        ("i64 {} i32", code("I64")),
        ("i32 {} bool", code("I32")),
        ("bool {} i8", code("Bool")),
        ("i8 {} u8", code("I8")),
        ("u8 {} i16", code("U8")),
        ("i16 {} u16", code("I16")),
        ("u16 {} u32", code("U16")),
        ("u32 {} bf16", code("U32")),
        ("bf16 {} f16", code("Bf16")),
        ("f16 {} tensor type", code("F16")),
        ("depth is at most {}", constant(PROTOCOL, "DEPTH_MAX")),
        ("number of items then the items at most {} items", constant(PROTOCOL, "LIST_ITEMS_MAX")),
        ("the action is at most {} mib", constant(PROTOCOL, "ACTION_BYTES_MAX") >> 20),
    ])
}

fn parameters() -> Vec<Row> {
    let default = |name| field(PROTOCOL, "impl Default for Parameters", name);
    let fast = |name| field(PROTOCOL, "fn fast()", name);
    let mainnet = |name| field(PROTOCOL, "fn mainnet_like()", name);
    let seconds = |ms: u128| ms / 1000;
    let (arity, stake) = (default("arity_log2"), default("stake_wei_min"));
    let (fee, reserved) = (default("demand_fee_wei"), constant("node/src", "DEMANDS_RESERVED"));
    let [clock, window] = [fast("executor_clock_ms"), fast("window_ms_min")].map(seconds);
    let mut found = rows(&[
        ("demand ⇄ reveal {} at a time", 1 << arity),
        ("an opening for each factor of {}", 1 << arity),
        ("an opening shows {} levels", arity),
        ("encoded in at most {} kib", (protocol::validate::NODE_BYTES_MAX >> 10) as u128),
        ("tree is more than {} levels", u128::from(protocol::validate::TENSOR_DEPTH_MAX)),
        ("levels ({} hashes", 1 << arity),
        ("hashes, {} kib) by default", (32 << arity) >> 10),
        ("every leaf of a tensor of {} elements is two openings away", 64 << (2 * arity)),
        ("default of {} would open", arity),
        ("now {} s and 24 demands", seconds(default("executor_clock_ms"))),
        ("now 120 s and {} demands", default("demands_max")),
        ("record fee and {} demands are set aside", reserved),
        ("the fees of {} demands", reserved),
        ("{} fees × false claims", reserved),
        ("opening of {} children", 1 << arity),
        ("children is {} kib", (32 << arity) >> 10),
        ("showings at most {}", constant(PROTOCOL, "SHOWINGS_MAX")),
        ("names {} to 16 challengers", 1),
        ("names 1 to {} challengers", constant(PROTOCOL, "CHALLENGERS_MAX")),
        ("up to {} fallen claims", constant(PROTOCOL, "PASSED_MAX")),
        ("windows of {} seconds", window),
        ("final after {} seconds", window),
        ("after {} seconds the honest claim is final", window),
        ("windows of five seconds clocks of {} seconds", clock),
        ("windows of five seconds clocks of {} for tests", clock),
        ("windows of a minute clocks of {} minutes", seconds(default("executor_clock_ms")) / 60),
        ("windows of a minute clocks of {} people", seconds(default("executor_clock_ms")) / 60),
        ("windows of a day clocks of {} hours", seconds(mainnet("executor_clock_ms")) / 3600),
    ]);
    assert_eq!((seconds(default("window_ms_min")), mainnet("window_ms_min")), (60, 86_400_000));
    let depths = between(PROTOCOL, "demands_of_deepest_dispute(&self)", "].map(");
    let depths = depths.rsplit('[').next().unwrap().replace("u32", "");
    let depths = depths.split(", ").map(|depth| depth.parse::<u128>().unwrap());
    let deepest = depths.map(|depth| depth.div_ceil(arity)).sum::<u128>() + 4;
    found.extend([
        ("{} at a = arity_log2 = 6", deepest.to_string()),
        (
            "with the default parameters {} eth each",
            ether(default("bond_wei_min") + fee * reserved + default("record_fee_wei")),
        ),
        (
            "the challenger gained {} of it",
            // With four demands.
            ether(stake * default("reward_permille") / 1000 + 6 * default("work_cost_wei")),
        ),
    ]);
    found.extend(defaults());
    found.extend(budgets());
    found
}

/// What executors' clocks are, and what the answers to all that can be asked of one claim take.
fn budgets() -> Vec<Row> {
    let default = |name| field(PROTOCOL, "impl Default for Parameters", name);
    let asks = default("demands_max") + default("end_asks_max");
    let (second, hour) = (1_000, 3_600_000);
    let of = |preset: &str, unit: u128| {
        let [clock_ms, reply_ms] =
            ["executor_clock_ms", "reply_ms"].map(|name| field(PROTOCOL, preset, name));
        let answers_ms = asks * default("served_max") * reply_ms;
        let needed = format!("{:.2}", answers_ms as f64 / unit as f64);
        ((clock_ms / unit).to_string(), needed.trim_end_matches('0').to_owned())
    };
    let devnet = of("impl Default for Parameters", second);
    let (fast, mainnet) = (of("fn fast()", second), of("fn mainnet_like()", hour));
    vec![
        ("the outage that is {} × 16", asks.to_string()),
        ("devnet a clock of {} s where", devnet.0),
        ("where {} s are needed fast", devnet.1),
        ("fast one of {} s where", fast.0),
        ("where {} s are needed mainnet-like", fast.1),
        ("mainnet-like has {} hours where", mainnet.0),
        ("hours where {} hours are needed", mainnet.1),
    ]
}

/// The default of each parameter, as the table of the protocol says it.
fn defaults() -> Vec<Row> {
    let default = |name| field(PROTOCOL, "impl Default for Parameters", name);
    let (day, second, milli) = (86_400_000, 1_000, 100);
    let tenths = |ms: u128| format!("{}.{}", ms / second, ms % second / milli);
    let mut found = rows(&[
        ("window_ms_max {} days", default("window_ms_max") / day),
        ("arity_log2 {} 64 children", default("arity_log2")),
        ("arity_log2 6: {} children", 1 << default("arity_log2")),
        ("bond_permille {} 250", default("bond_permille")),
        ("reward_permille {} 500", default("reward_permille")),
        ("withdraw_permille {} 10 to 1,000", default("withdraw_permille")),
        ("demands_max {} enough", default("demands_max")),
        ("end_asks_max {} enough", default("end_asks_max")),
        ("end_log2 {} arity_log2", default("end_log2")),
        ("end_depth_max {} end_log2", default("end_depth_max")),
        ("served_max {} 1", default("served_max")),
        ("attestations_max {} 1", default("attestations_max")),
    ]);
    let seconds = |name| default(name) / second;
    found.extend([
        ("window_ms_min {} s", seconds("window_ms_min").to_string()),
        ("executor_clock_ms {} s", seconds("executor_clock_ms").to_string()),
        ("challenger_clock_ms {} s", seconds("challenger_clock_ms").to_string()),
        ("move_floor_ms {} s", seconds("move_floor_ms").to_string()),
        ("seal_ms {} s", seconds("seal_ms").to_string()),
        ("window_iteration_ms {} s", tenths(default("window_iteration_ms"))),
        ("reply_ms {} s", tenths(default("reply_ms"))),
        ("stake_wei_min {} ether", ether(default("stake_wei_min"))),
        ("stake_wei_max {} ether", ether(default("stake_wei_max"))),
        ("bond_wei_min {} ether", ether(default("bond_wei_min"))),
        ("bond_wei_max {} ether", ether(default("bond_wei_max"))),
        ("demand_fee_wei {} ether", ether(default("demand_fee_wei"))),
        ("reply_cost_wei {} ether", ether(default("reply_cost_wei"))),
        ("work_cost_wei {} ether", ether(default("work_cost_wei"))),
        ("record_fee_wei {} ether", ether(default("record_fee_wei"))),
        ("attest_bond_wei {} ether", ether(default("attest_bond_wei"))),
        ("transfer_wei_min {} ether", ether(default("transfer_wei_min"))),
    ]);
    found
}

fn ledger() -> Vec<Row> {
    let limit = |name| field(LEDGER, "impl Default for Limits", name);
    let routes = |name| constant(LEDGER, name);
    let room = |name| constant(LEDGER, name);
    let history = |name| constant("ledger/src/history.rs", name);
    let bodies = |name| constant(LEDGER, name);
    let request = limit("request").max(2 * limit("poll"));
    let recent = between("ledger/src/recent.rs", "{ 16 } else { ", " }").replace('_', "");
    let chain = |preset: &str| {
        let rest = between("src/arguments/services.rs", "unless given: ", "\n");
        let (_, rest) = rest.split_once(&format!("{preset} ")).unwrap();
        rest.split([',', '.']).next().unwrap().parse().unwrap()
    };
    rows(&[
        ("connections {} (fewer", limit("connections")),
        ("{} of one address; when all", limit("connections_per_address")),
        ("{} s for a head", limit("head")),
        ("{} s for a request", request),
        ("{} s in which nothing of an answer is taken", limit("stall")),
        ("longest move of the ledger has {} kib", bodies("FREE_BYTES") >> 9),
        ("of the connections can be kept so, {} for an address", bodies("KEPT_OF_ONE")),
        ("at most {} addresses for an account", bodies("SOURCES_OF_ONE")),
        ("{} kb a second for a long", bodies("BYTES_PER_SECOND_MIN") / 1000),
        ("{} a second at a time", limit("requests_per_second")),
        ("at a time {} states", routes("DOWNLOADS_OF_ONE_MAX")),
        ("states, {} uploads", routes("WRITERS_OF_ONE_MAX")),
        ("and a {} of the 512 streams", routes("STREAMS_SHARE")),
        ("{} streams of events", limit("streams")),
        ("bodies in memory {} mib", constant(PROTOCOL, "ACTION_BYTES_MAX") >> 20),
        ("bodies in memory 2 mib {} mib", limit("held_bytes") >> 20),
        ("of all states {} mib", limit("upload_bytes") >> 20),
        ("--upload-bytes-max {} gib", limit("account_bytes") >> 30),
        ("--account-bytes-max {} gib", limit("uploads_bytes") >> 30),
        ("blocks of {} kib", constant(LEDGER, "BLOCK_BYTES") >> 10),
        (
            "left free for the log, by uploads and snapshots {} mib",
            limit("disk_free_bytes_min") >> 20,
        ),
        ("older than {} minutes", room("YOUNG") / 60),
        ("which keeps {} states", history("KEPT_MAX")),
        ("the longest {} requests for it wait", history("WAITING_MAX")),
        ("{} requests wait at most", history("WAITING_MAX")),
        ("up to {} share one flush", constant(LEDGER, "BATCH_MAX")),
        ("database's cache ({} mib", constant(LEDGER, "CACHE_BYTES") >> 20),
        ("the last {} receipts", recent.parse().unwrap()),
        ("value: version u16 {} then bincode", constant("ledger/src/wire.rs", "VERSION")),
        ("format rebut-verdict version {}", constant("dispute/src/verdict/file.rs", "VERSION")),
        ("format rebut-claim version {}", constant("dispute/src/claim_file.rs", "VERSION")),
        ("bank, chain id ({}", chain("devnet")),
        ("chain id (31337 {}", chain("fast")),
        ("chain id (31337 31338 and {}", chain("mainnet-like")),
        ("schema {} in what commands print", constant("src/print.rs", "SCHEMA")),
        ("schema {} in what the ledger answers", constant("ledger/src/http/views.rs", "SCHEMA")),
        ("every refusal over http {} in what daemons", constant("executor/src/http.rs", "SCHEMA")),
    ])
}

fn services() -> Vec<Row> {
    let jobs = |name| constant("node/src", name);
    let executor = |name| flag("executor serve", name);
    let whole = |text: String| text.parse::<u128>().unwrap();
    let doublings = between("node/src", "Self::Disputed => ", ",").parse::<u32>().unwrap();
    let disputed_seconds = (jobs("PAUSE_MS") << doublings) / 1000;
    let ending = |how: &str| {
        between("src/ending.rs", &format!("Self::{how} => "), ",").parse::<u128>().unwrap()
    };
    let mut found = rows(&[
        ("{} runs are handed over at a time", jobs("HANDED_MAX")),
        ("at least every {} seconds while a challenge runs", disputed_seconds),
        ("at {} looks in a row", constant("node/src", "HINDERED_LOOKS")),
        (
            "answer {} a second",
            1000 / between("node/src", "MEANWHILE: Duration = Duration::from_millis(", ")")
                .parse::<u128>()
                .unwrap(),
        ),
        ("with that setting ({} a minute", constant("executor/src", "DECLINED_LINES")),
        (
            "given {} eth of that ledger's",
            between("src/commands/services/connection.rs", "DEV_WEI: u128 = ", " *")
                .parse()
                .unwrap(),
        ),
        ("--run-memory-bytes ({} gib", whole(executor("--run-memory-bytes")) >> 30),
        ("--run-seconds-max ({}", whole(executor("--run-seconds-max"))),
        ("--runs-max ({} that no dispute needs", whole(flag("challenger run", "--runs-max"))),
        ("--fee-ppm-per-hour ({}", whole(executor("--fee-ppm-per-hour"))),
        ("--stake-percent-max ({}", whole(executor("--stake-percent-max"))),
        ("--window-hours-max ({}", whole(executor("--window-hours-max"))),
        ("--long-percent-max ({}", whole(executor("--long-percent-max"))),
        ("again every {} minutes", whole(executor("--self-test-minutes"))),
        ("exit code {} the claim stands", ending("Done")),
        ("folder are its own; {} it does not", ending("Falls")),
        ("they are not. {} could not tell", ending("Failed")),
        ("exit code {} comes with an error", ending("Failed")),
        ("ends with exit code {}", ending("Failed")),
        ("exit codes: {} done", ending("Done")),
        ("holds; {} it does not: a claim is false", ending("Falls")),
        ("mistakes; {} could not tell", ending("Failed")),
        ("would help; {} nobody read the output", ending("Unread")),
        ("ends with {} as a shell shows sigpipe", ending("Unread")),
        ("then exits {}", ending("Falls")),
        ("prints once and exits {}", ending("Falls")),
    ]);
    found.push(("--fee-min ({} eth", executor("--fee-min").replace("ether", "")));
    found
}

fn engine() -> Vec<Row> {
    let kernel = "kernels/src/contract.rs";
    let shapes: Vec<u128> = between(kernel, "on_vectors!(isa, body [", "] (")
        .split(['[', ']', ','])
        .filter_map(|one| one.trim().parse().ok())
        .collect();
    let width = |set: usize| {
        let text = text("kernels/src/vector/x86.rs");
        let found = text.match_indices("const WIDTH: usize = ").nth(set).unwrap().0;
        text[found + 21..].split(';').next().unwrap().parse::<u128>().unwrap()
    };
    let counts: Vec<u128> = text("kernels/src/keccak/x86.rs")
        .split("const COUNT: usize = ")
        .skip(1)
        .map(|rest| rest.split(';').next().unwrap().parse().unwrap())
        .collect();
    let levels = items("kernels/src", "enum Level {", "\n}").len() as u128;
    let opsets = between("inference/src/onnx/import.rs", "if !(", ").contains(&opset)");
    let (first, last) = opsets.split_once("..=").unwrap();
    rows(&[
        ("panels of {} rows", constant(kernel, "PANEL")),
        ("a tile of {} rows by", shapes[4]),
        ("rows by {} columns (avx-512", shapes[5] * width(0)),
        ("avx-512; {} by", shapes[2]),
        ("by {} in avx2", shapes[3] * width(1)),
        ("{} messages side by side", counts[0]),
        ("avx-512 {} in avx2", counts[1]),
        ("(avx-512) or {} (avx2", counts[1]),
        ("compiled for {} sets of instructions", levels),
        ("one generic body compiled {} times", levels),
        ("up to {} operators in a layer", constant("inference/src/layers.rs", "OPERATORS_MAX")),
        ("the {} bytes rebutst1", between(PROTOCOL, "*b\"", "\"").len() as u128),
        ("{} bytes magic", between(PROTOCOL, "*b\"", "\"").len() as u128),
        (
            "holds the {} roots",
            between(PROTOCOL, "struct ModelHeader {", "\n}").matches("_root: ").count() as u128,
        ),
        ("opset {} (where", first.parse().unwrap()),
        ("in 7) to {} f32", last.parse().unwrap()),
        ("opset {} to", first.parse().unwrap()),
        ("opset 6 to {} of the default domain", last.parse().unwrap()),
        ("to {} pairs", constant("inference/src", "PAIRS_MAX")),
        ("in pieces of at most {}", constant("inference/src", "EXACT_PRODUCTS")),
        ("fewer than {} of them are summed", constant("inference/src", "EXACT_PRODUCTS") + 1),
    ])
}

fn simulation() -> Vec<Row> {
    let defects = items("simulation/defects/defects.rs", "enum Defect {", "\n}").len();
    let sizes: Vec<u128> = between("simulation/src", "const TOY_SIZES", "];")
        .split("layers: ")
        .skip(1)
        .map(|rest| rest.split(',').next().unwrap().parse().unwrap())
        .collect();
    let choices = items("simulation/src", "enum Choice {", "\n}").len();
    let scenarios_of = |name: &str| {
        let rows = between("ledger/tests/network.rs", &format!("const {name}: "), "\n];");
        rows.matches("\n    &[").count()
    };
    let scenarios: usize = ["WHOLE", "UNSHOWN", "NO_PAGES"].map(scenarios_of).into_iter().sum();
    let accuracy = |model: &str, name: &str| {
        let rest = between("models/accuracy.json", &format!("\"{model}\""), "}");
        let (_, rest) = rest.split_once(&format!("\"{name}\": ")).unwrap();
        rest.split(',').next().unwrap().trim().parse::<f64>().unwrap()
    };
    let percent = |model: &str| format!("{:.1}", 100.0 * accuracy(model, "test_accuracy"));
    let economy = |name| field("simulation/src", "impl Default for Economy", name);
    let arity = constant("simulation/src", "ARITY_LOG2");
    let mut found = rows(&[
        ("all {} are found by a swarm", defects as u128),
        ("toy models: {}", sizes[0]),
        ("toy models: 1 {}", sizes[1]),
        ("toy models: 1 3 {}", sizes[2]),
        ("toy models: 1 3 6 and {} layers", sizes[3]),
        ("uct over {} choices", choices as u128),
        ("choices, {} deep", constant("simulation/src", "DEPTH")),
        ("in worlds of over {} accounts", constant("simulation/src", "EVERY_ACCOUNT_UP_TO")),
        ("worlds show {} levels", arity),
        ("levels ({} children) unless", 1 << arity),
        ("{} % trembling", constant("simulation/src", "TREMBLE_PERMILLE") / 10),
        ("section 9; {} verifiers", economy("verifiers")),
        (
            "unless given: {} minutes without a claim",
            constant("src/commands/services/request/wait.rs", "UNCLAIMED") / 60,
        ),
        ("ether, {} jobs, the second half counted", economy("rounds")),
        ("{} scenarios: what was acknowledged", scenarios as u128),
        (
            "{} of them: whole",
            between("ledger/tests/damage.rs", "for round in 0..", " {").parse().unwrap(),
        ),
        ("{} kills in the suite", between("tests/services.rs", "map_or(", ",").parse().unwrap()),
        ("{} in the gate", between(".ci/run", "REBUT_KILLS=", " ").parse().unwrap()),
        ("fuzzing, a {} kills", between(".ci/nightly", "REBUT_KILLS:-", "}").parse().unwrap()),
        (
            "for each of the {} shipped models",
            between("src/shipped.rs", "SHIPPED", "];").matches("include_bytes!").count() as u128,
        ),
        ("% of {} held-out images", accuracy("digits-cnn", "test_images") as u128),
        ("functions have at most {} lines", constant("tests/tidy.rs", "FUNCTION_LINES_MAX")),
        ("files in `src` at most {}", constant("tests/tidy.rs", "FILE_LINES_MAX")),
        ("no function over {}", constant("tests/tidy.rs", "FUNCTION_LINES_MAX")),
        ("no file in `src` is over {} lines", constant("tests/tidy.rs", "FILE_LINES_MAX")),
        ("{} programs that embed it", files(&["examples".to_owned()]).len() as u128),
        (
            "presets {} of a ledger's parameters",
            items("src/arguments/services.rs", "enum Preset {", "\n}").len() as u128,
        ),
    ]);
    found.push(("a run costs {} ether", ether(economy("run_microether") * 1_000_000_000_000)));
    found.push(("digits-cnn {} %", percent("digits-cnn")));
    found.push(("and digits-transformer {} % of 360", percent("digits-transformer")));
    found.push(("rust toolchain ({} named", between("Cargo.toml", "rust-version = \"", "\"")));
    found
}

/// Every row.
pub fn truths() -> Vec<Row> {
    [law(), tensors(), parameters(), ledger(), services(), engine(), simulation()].concat()
}
