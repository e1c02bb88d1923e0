//! The command as users run it: JSON keys, exit codes, bad input, kill -9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn rebut(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rebut")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> (Value, i32) {
    let output = rebut(&[&["--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let parsed = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"));
    (parsed, output.status.code().unwrap())
}

/// An amount: a decimal text, for numbers of JSON do not hold it.
fn wei(amount: &Value) -> i128 {
    amount.as_str().unwrap_or_else(|| panic!("{amount} is no text")).parse().unwrap()
}

fn model(name: &str) -> String {
    models().join(format!("{name}.onnx")).display().to_string()
}

fn sample(digit: u32) -> String {
    models().join(format!("samples/digit-{digit}.npy")).display().to_string()
}

/// Runs a shipped model into a folder, with a lie or none.
fn claim(folder: &Path, name: &str, lie: Option<&str>) -> Value {
    let (model, sample, out) = (model(name), sample(3), folder.display().to_string());
    let mut arguments = vec!["run", &model, "--input", &sample, "--out", &out];
    arguments.extend(lie.iter().flat_map(|lie| ["--lie", lie]));
    let (report, code) = json(&arguments);
    assert_eq!(code, 0, "{report}");
    report
}

#[test]
fn run_verify_dispute_and_replay_tell_the_same_story() {
    for name in ["digits-cnn", "digits-transformer"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let report = claim(folder.path(), name, Some("1:3:7:+1"));
        for key in ["model_root", "input_root", "output_root", "trace_root", "outputs"] {
            assert!(report[key].is_string(), "{key}");
        }
        for key in ["layers", "inference_ms", "commit_ms", "hashed_bytes"] {
            assert!(report[key].is_number(), "{key}");
        }
        let effective = report["lie_effective"].as_bool().unwrap();
        let (verified, code) = json(&["verify", &path]);
        assert_eq!(code, i32::from(effective), "{verified}");
        if !effective {
            assert_eq!(verified["verdict"], "stands");
            continue;
        }
        assert_eq!(verified["verdict"], "falls");
        let verdict_path = folder.path().join("verdict.json").display().to_string();
        let (disputed, code) = json(&["dispute", &path, "--verdict", &verdict_path]);
        assert_eq!((code, disputed["verdict"].as_str()), (0, Some("fraud")), "{disputed}");
        for key in ["layer", "operator", "element"] {
            assert_eq!(disputed[key], verified[key], "{key}");
        }
        assert_eq!(disputed["layer"]["index"], 1);
        assert_eq!(disputed["layer_referee_agrees"], true);
        assert_eq!(disputed["money"]["conserved"], true);
        assert!(disputed["reveals"].as_u64().unwrap() <= 6);
        assert!(disputed["step_multiply_adds"].as_u64().unwrap() <= 512);
        assert!(disputed["claimed_bits"].as_str().unwrap().starts_with("0x"));
        assert_ne!(disputed["claimed_bits"], disputed["true_bits"]);
        let money = &disputed["money"];
        assert!(wei(&money["executor_delta_wei"]) < 0 && wei(&money["challenger_delta_wei"]) > 0);
        for party in ["claim", "model_root", "executor", "challenger"] {
            assert!(disputed[party].as_str().unwrap().starts_with("0x"), "{party}");
        }
        let (replayed, code) = json(&["replay", &verdict_path]);
        assert_eq!((code, &replayed), (0, &disputed));
    }
}

#[test]
fn who_has_only_what_is_public_still_learns_whether_and_in_which_layer() {
    for (lie, expected) in [(None, 0), (Some("1:5:32:+1"), 1)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        claim(folder.path(), "digits-cnn", lie);
        std::fs::remove_file(folder.path().join("executor.json")).unwrap();
        assert_eq!(json(&["verify", &path]).1, 2, "the model must be named");
        let (report, code) = json(&["verify", &path, "--model", &model("digits-cnn")]);
        assert_eq!(code, expected, "{report}");
        if code == 1 {
            assert_eq!(report["layer"]["index"], 1);
        }
    }
}

#[test]
fn single_layers_are_checked_from_published_states_and_a_sample_says_how_likely_it_finds_a_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let verify = |more: &[&str]| json(&[&["verify", path], more].concat());
    claim(folder.path(), "digits-transformer", Some("1:3:0:+1"));
    let (report, code) = verify(&["--layers", "1"]);
    assert_eq!(code, 2, "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains("rebut run --states"));
    let (model, sample) = (model("digits-transformer"), sample(3));
    let run = ["run", &model, "--input", &sample, "--out", path, "--states", "--lie", "1:3:0:+1"];
    assert_eq!(json(&run).1, 0);
    // Only the layer that lies falls; what comes after it is honest about a false state.
    for (layers, falls) in [("0", false), ("1", true), ("2", false), ("0,2", false), ("0-2", true)]
    {
        let (report, code) = verify(&["--layers", layers]);
        assert_eq!(code, i32::from(falls), "{layers}: {report}");
        let found: Vec<u64> = report["false_layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["layer"].as_u64().unwrap())
            .collect();
        assert_eq!(found, if falls { vec![1] } else { vec![] });
        assert!(report["detection_probability"].is_null());
    }
    let (report, _) = verify(&["--sample", "1", "--seed", "a", "--machines", "2"]);
    let chance = report["detection_probability"].as_f64().unwrap();
    assert!((chance - 5.0 / 9.0).abs() < 1e-9, "{chance}");
    let drawn: Vec<bool> = (0..12)
        .map(|seed| verify(&["--sample", "1", "--seed", &seed.to_string()]).1 == 1)
        .collect();
    assert!(drawn.contains(&true) && drawn.contains(&false), "{drawn:?}");
    // A state that was exchanged is found out, whatever the layer gives.
    std::fs::copy(folder.path().join("states/1.npz"), folder.path().join("states/2.npz")).unwrap();
    let (report, code) = verify(&["--layers", "2"]);
    assert!(code != 0, "{report}");
}

#[test]
fn an_honest_claim_stands_and_a_dispute_about_it_is_upheld() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let report = claim(folder.path(), "digits-cnn", None);
    assert!(report.get("lie_effective").is_none());
    let (verified, code) = json(&["verify", &path]);
    assert_eq!((code, verified["verdict"].as_str()), (0, Some("stands")));
    let verdict = folder.path().join("verdict.json").display().to_string();
    let (disputed, code) = json(&["dispute", &path, "--verdict", &verdict]);
    assert_eq!((code, disputed["verdict"].as_str()), (0, Some("upheld")), "{disputed}");
    assert!(wei(&disputed["money"]["challenger_delta_wei"]) < 0);
    assert_eq!(json(&["replay", &verdict]).1, 0);
}

#[test]
fn demo_has_the_promised_keys_for_a_lie_and_for_a_frivolous_challenge() {
    let (lie, code) = json(&["demo"]);
    assert_eq!((code, lie["verdict"].as_str()), (0, Some("fraud")));
    assert_eq!(lie["models"].as_array().unwrap().len(), 2);
    for model in lie["models"].as_array().unwrap() {
        assert_eq!(model["verdict"], "fraud");
        assert_eq!(model["layer_referee_agrees"], true);
    }
    let (upheld, code) = json(&["demo", "--model", "digits-cnn", "--lie", "none"]);
    assert_eq!((code, upheld["verdict"].as_str()), (0, Some("upheld")), "{upheld}");
    assert!(wei(&upheld["money"]["challenger_delta_wei"]) < 0);
    assert!(wei(&upheld["money"]["executor_delta_wei"]) > 0);
    // The job was settled after the refutation; it is told all the same.
    assert_eq!(
        (&upheld["reason"], upheld["operator"].is_object()),
        (&"nothing-refuted".into(), true)
    );
    assert!(upheld["step_proof_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn inspect_has_the_promised_keys() {
    let (report, code) = json(&["inspect", &model("digits-transformer")]);
    assert_eq!(code, 0);
    assert!(report["model_root"].is_string());
    assert!(report["parameters"].as_u64().unwrap() > 60_000);
    assert!(report["multiply_adds"].as_u64().unwrap() > 1_000_000);
    let layers = report["layers"].as_array().unwrap();
    let operators: usize =
        layers.iter().map(|layer| layer["operators"].as_array().unwrap().len()).sum();
    assert_eq!(operators as u64, report["operators"].as_u64().unwrap());
    assert!(layers.iter().all(|layer| layer["state_bytes"].is_number()));
}

/// Text without what depends on the machine's speed or on where files are.
fn steady(text: &str, folder: &Path) -> String {
    let here = folder.display().to_string();
    let models = models().display().to_string();
    let text = text.replace(&here, "FOLDER").replace(&models, "MODELS");
    let words = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for place in 1..words.len() {
            let is_unit = ["ms", "ms,", "s", "s,", "MB", "cores"].contains(&words[place].as_str());
            if is_unit && words[place - 1].parse::<f64>().is_ok() {
                words[place - 1] = "N".to_owned();
            }
        }
        words.join(" ")
    };
    text.lines().map(|line| words(line).trim_end().to_owned() + "\n").collect()
}

#[test]
fn what_every_command_prints_for_people_reads_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (model, sample) = (model("digits-transformer"), sample(3));
    let verdict = folder.path().join("verdict.json").display().to_string();
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulation/scenarios");
    let scenario = scenarios.join("copycat-claim.toml").display().to_string();
    let sweep = scenarios.with_file_name("sweeps").join("small.toml").display().to_string();
    let table = folder.path().join("table.csv").display().to_string();
    let commands: Vec<(&str, Vec<&str>)> = vec![
        ("inspect", vec!["inspect", &model]),
        ("run", vec!["run", &model, "--input", &sample, "--out", path, "--lie", "1:3:0:+1"]),
        ("verify", vec!["verify", path]),
        ("dispute", vec!["dispute", path, "--verdict", &verdict]),
        ("replay", vec!["replay", &verdict]),
        ("preflight", vec!["preflight", &model, "--isa", "portable", "--threads", "1"]),
        ("key", vec!["key", "show", "--dev", "bank"]),
        ("sim_strategies", vec!["sim", "strategies"]),
        ("sim_run", vec!["sim", "run", &scenario]),
        ("sim_replay", vec!["sim", "replay", &scenario]),
        ("sim_sweep", vec!["sim", "sweep", &sweep, "--csv", &table]),
        ("sim_best_response", vec!["sim", "best-response", "--plays", "200"]),
        ("config_example", vec!["config", "example"]),
        ("metrics", vec!["documents", "metrics"]),
    ];
    for (name, words) in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_rebut"))
            .args(&words)
            .env_remove("REBUT_CONFIG")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        insta::assert_snapshot!(format!("text_{name}"), steady(&text, folder.path()));
        // What programs read has a version, whatever the command.
        if !["config_example", "preflight"].contains(&name) {
            let (document, _) = json(&words);
            assert_eq!(document["schema"], 6, "{name}");
        }
    }
}

#[test]
fn help_and_the_story_read_as_they_did() {
    let help = String::from_utf8(rebut(&["--help"]).stdout).unwrap();
    insta::assert_snapshot!("help", help);
    let story = String::from_utf8(rebut(&["demo", "--model", "digits-cnn"]).stdout).unwrap();
    // Times of the machine are not part of the story.
    let story: Vec<&str> = story.lines().filter(|line| !line.contains("one honest run")).collect();
    insta::assert_snapshot!("story", steady(&story.join("\n"), Path::new("/nowhere")));
}

#[test]
fn bad_input_is_a_typed_error_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let whole = std::fs::read(model("digits-cnn")).unwrap();
    std::fs::write(at("truncated.onnx"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(at("empty.onnx"), b"").unwrap();
    std::fs::write(at("text.onnx"), b"this is no model").unwrap();
    let npy = std::fs::read(sample(3)).unwrap();
    std::fs::write(at("short.npy"), &npy[..npy.len() - 8]).unwrap();
    std::fs::write(at("wrong.json"), b"{\"image\": [[1, 2], [3]]}").unwrap();
    std::fs::write(at("other.json"), b"{\"picture\": [[1]]}").unwrap();
    let (cnn, out) = (model("digits-cnn"), at("out"));
    let sample = sample(3);
    let run = |input: &str| rebut(&["--json", "run", &cnn, "--input", input, "--out", &out]);
    let table = [
        (rebut(&["--json", "inspect", &at("truncated.onnx")]), "truncated.onnx"),
        (rebut(&["--json", "inspect", &at("empty.onnx")]), "empty.onnx"),
        (rebut(&["--json", "inspect", &at("text.onnx")]), "text.onnx"),
        (rebut(&["--json", "inspect", &at("missing.onnx")]), "missing.onnx"),
        (run(&at("short.npy")), "short.npy"),
        (run(&at("wrong.json")), "wrong.json"),
        (run(&at("other.json")), "the model has no input picture; it has image"),
        (
            rebut(&["--json", "run", &cnn, "--input", &sample, "--out", &out, "--lie", "9:9:9:+1"]),
            "operator 9 in layer 9",
        ),
        (
            rebut(&["--json", "run", &cnn, "--input", &sample, "--out", &out, "--lie", "no-lie"]),
            "is no lie",
        ),
        (rebut(&["--json", "verify", &at("nowhere")]), "claim.json"),
        (rebut(&["--json", "replay", &at("nowhere.json")]), "nowhere.json"),
    ];
    for (output, expected) in table {
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{expected}: {text}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let message = parsed["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message} must name {expected}");
    }
}

#[test]
fn changed_claims_and_verdict_files_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    claim(folder.path(), "digits-cnn", Some("weight-bit"));
    let verdict = folder.path().join("verdict.json");
    let verdict_text = verdict.display().to_string();
    assert_eq!(json(&["dispute", &path, "--verdict", &verdict_text]).1, 0);
    let good = std::fs::read_to_string(&verdict).unwrap();
    let document: Value = serde_json::from_str(&good).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut other = document.clone();
        change(&mut other);
        std::fs::write(&verdict, other.to_string()).unwrap();
        json(&["replay", &verdict_text])
    };
    // Another verdict than the transactions give: the file falls.
    assert_eq!(changed(&|file| file["verdict"]["verdict"] = "upheld".into()).1, 1);
    assert_eq!(changed(&|file| file["verdict"]["money"]["burned_wei"] = "1".into()).1, 1);
    assert_eq!(changed(&|file| file["verdict"]["executor"] = "0x00".into()).1, 1);
    // Damage: could not tell.
    assert_eq!(changed(&|file| file["version"] = 1.into()).1, 2);
    assert_eq!(changed(&|file| file["verdict"]["money"]["burned_wei"] = 1.into()).1, 2);
    assert_eq!(changed(&|file| file["genesis"] = "0x00".into()).1, 2);
    assert_eq!(changed(&|file| file["claim"] = "0x12".into()).1, 2);
    let last = document["transactions"].as_array().unwrap().len() - 1;
    assert_eq!(changed(&|file| file["transactions"][last]["transaction"] = "0xff".into()).1, 2);
    assert_eq!(changed(&|file| file["transactions"][last]["at_ms"] = 0.into()).1, 2);
    std::fs::write(&verdict, &good.as_bytes()[..good.len() / 2]).unwrap();
    assert_eq!(json(&["replay", &verdict_text]).1, 2);
    // A claim whose roots were edited is bound to nothing, or malformed.
    let claim_path = folder.path().join("claim.json");
    let text = std::fs::read_to_string(&claim_path).unwrap();
    let mut edited: Value = serde_json::from_str(&text).unwrap();
    edited["output_root"] = edited["input_root"].clone();
    std::fs::write(&claim_path, edited.to_string()).unwrap();
    let (verified, code) = json(&["verify", &path]);
    assert_eq!(code, 1, "{verified}");
    assert!(verified["reason"].as_str().unwrap().starts_with("not-bound"));
    assert_eq!(json(&["dispute", &path, "--verdict", &verdict_text]).1, 2);
    std::fs::write(&claim_path, &text.as_bytes()[..100]).unwrap();
    assert_eq!(json(&["verify", &path]).1, 2);
}

#[test]
fn outputs_are_the_same_bits_on_every_path_and_thread_count() {
    for name in ["digits-cnn", "digits-transformer"] {
        let mut roots = Vec::new();
        for path in inference::Isa::available() {
            for threads in ["1", "2", "4"] {
                let folder = tempfile::tempdir().unwrap();
                let (model, out) = (model(name), folder.path().display().to_string());
                let input = sample(5);
                let (report, code) = json(&[
                    "run",
                    &model,
                    "--input",
                    &input,
                    "--out",
                    &out,
                    "--isa",
                    path.name(),
                    "--threads",
                    threads,
                ]);
                assert_eq!(code, 0, "{report}");
                roots.push((report["trace_root"].clone(), report["output_root"].clone()));
            }
        }
        roots.dedup();
        assert_eq!(roots.len(), 1, "{name}: {roots:?}");
    }
}

#[test]
fn a_dispute_killed_at_any_move_and_restarted_ends_with_the_same_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    claim(folder.path(), "digits-transformer", Some("1:20:512:+1"));
    let verdict = |name: &str| folder.path().join(name).display().to_string();
    let (whole, code) = json(&["dispute", &path, "--verdict", &verdict("whole.json")]);
    assert_eq!((code, whole["verdict"].as_str()), (0, Some("fraud")));
    let moves = whole["transactions"].as_u64().unwrap();
    let mut interrupted = 0;
    for kill_after in 1..=moves {
        let ledger = verdict(&format!("ledger-{kill_after}"));
        let file = verdict(&format!("killed-{kill_after}.json"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_rebut"))
            .args(["dispute", &path, "--verdict", &file, "--ledger", &ledger, "--trace-moves"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let seen = lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("move "))
            .take(kill_after as usize)
            .count() as u64;
        // SIGKILL: nothing is flushed, no destructor runs.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen <= kill_after);
        interrupted += u64::from(!Path::new(&file).exists());
        let (again, code) = json(&["dispute", &path, "--verdict", &file, "--ledger", &ledger]);
        assert_eq!(code, 0, "killed after {kill_after}: {again}");
        for key in
            ["verdict", "reason", "layer", "operator", "element", "claimed_bits", "true_bits"]
        {
            assert_eq!(again[key], whole[key], "killed after {kill_after}: {key}");
        }
        for key in ["conserved", "executor_delta_wei", "challenger_delta_wei"] {
            assert_eq!(
                again["money"][key], whole["money"][key],
                "killed after {kill_after}: {key}"
            );
        }
        assert_eq!(json(&["replay", &file]).1, 0, "killed after {kill_after}");
    }
    // Some kills may come too late on a busy machine; most must have hit a dispute under way.
    assert!(interrupted * 2 >= moves, "{interrupted} of {moves} kills hit");
}

#[test]
fn a_lie_is_placed_by_numbers_or_by_name_and_coordinates() {
    let roots: Vec<Value> = ["1:5:32:+1", "1:dense1:32:+1", "1:dense1:0,32:+1", "1:5:0,32:+1"]
        .into_iter()
        .map(|lie| {
            let folder = tempfile::tempdir().unwrap();
            claim(folder.path(), "digits-cnn", Some(lie))["trace_root"].clone()
        })
        .collect();
    let (layers, _) = json(&["inspect", &model("digits-cnn")]);
    assert_eq!(layers["layers"][1]["operators"][5]["name"], "dense1");
    // The node's last operator is the bias; the product is the fifth.
    assert_eq!(roots[0], roots[3]);
    assert_eq!(roots[1], roots[2]);
}

#[test]
fn preflight_passes_on_this_machine() {
    let (report, code) = json(&["preflight", &model("digits-cnn")]);
    assert_eq!((code, &report["agrees"]), (0, &Value::Bool(true)));
}

#[test]
fn a_swarm_has_the_promised_keys_and_the_same_log_on_one_and_two_threads() {
    let swarm = |threads| {
        json(&["sim", "swarm", "--worlds", "320", "--seed", "0x2f", "--threads", threads]).0
    };
    let (one, two) = (swarm("1"), swarm("2"));
    assert_eq!(one["log_hash"], two["log_hash"]);
    assert_eq!(one["violations"], 0);
    assert!(one["disputes"].as_u64().unwrap() > 500);
    assert!(one["real_disputes"].as_u64().unwrap() > 0, "no world under the real commitment");
    assert!(one["disputes_per_second"].is_number() && one["sometimes_missed"].is_array());
    let strategies = one["strategies"].as_array().unwrap();
    assert!(strategies.len() > 60);
    for line in strategies {
        assert_eq!(line["unexpected"], 0, "{line}");
        assert!(line["attacker_profit_mean_wei"].is_number());
        assert_eq!(line["attacker_profit_ci95"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_sweep_that_was_broken_off_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("table.csv");
    let sweep = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulation/sweeps/small.toml");
    let arguments = ["sim", "sweep", sweep.to_str().unwrap(), "--csv", table.to_str().unwrap()];
    assert_eq!(json(&arguments).0["played_now"], 9);
    let whole = std::fs::read_to_string(&table).unwrap();
    let torn: String = whole.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(&table, torn + "3,10").unwrap();
    assert_eq!(json(&arguments).0["played_now"], 6);
    let mut lines: Vec<String> =
        std::fs::read_to_string(&table).unwrap().lines().map(str::to_owned).collect();
    let mut before: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines.sort();
    before.sort();
    assert_eq!(lines, before);
    // The table of another sweep is not continued.
    let clocks = sweep.with_file_name("clocks.toml");
    let other = ["sim", "sweep", clocks.to_str().unwrap(), "--csv", table.to_str().unwrap()];
    assert_eq!(json(&other).1, 2);
}

#[test]
fn results_of_a_sweep_never_stand_for_another_definition() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (sweep, table) = (at("sweep.toml"), at("table.csv"));
    let original = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("simulation/sweeps/small.toml"),
    )
    .unwrap()
    .replace("worlds = 20", "worlds = 2");
    let play = |text: &str, table: &str| {
        std::fs::write(&sweep, text).unwrap();
        rebut(&["--json", "sim", "sweep", &sweep, "--csv", table])
    };
    let played = |output: &Output| -> Value {
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["played_now"].clone()
    };
    assert_eq!(played(&play(&original, &table)), 9);
    let before = std::fs::read_to_string(&table).unwrap();
    // The same definition, written another way, goes on.
    assert_eq!(played(&play(&format!("# again\nseed = 0\n{original}"), &table)), 0);
    let changes = [
        ("300000]", "300001]"),
        ("\"selective\"", "\"weight-bit\""),
        ("worlds = 2", "worlds = 3"),
        ("worlds = 2", "seed = 7\nworlds = 2"),
    ];
    for (from, to) in changes {
        let changed = original.replace(from, to);
        assert_ne!(changed, original);
        let output = play(&changed, &table);
        let error = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{to}: {error}");
        assert!(error.contains("table.csv") && error.contains("--csv"), "{error}");
        assert_eq!(std::fs::read_to_string(&table).unwrap(), before, "{to}");
        assert_eq!(played(&play(&changed, &at("new.csv"))), 9);
        std::fs::remove_file(at("new.csv")).unwrap();
    }
    // A file that is no table of ours stays as it is, its torn end included.
    std::fs::write(&table, "name,money\nmine,1\nhalf a li").unwrap();
    assert_eq!(play(&original, &table).status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&table).unwrap(), "name,money\nmine,1\nhalf a li");
}

#[test]
fn bad_scenarios_are_refused_by_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let bad = [
        ("party = 3", "invalid type"),
        ("jobs = 0\n[[party]]\nname = \"a\"\nstrategy = \"honest\"", "jobs"),
        ("[[party]]\nname = \"a\"\nstrategy = \"honestly\"", "honestly"),
        ("model = 99\n[[party]]\nname = \"a\"\nstrategy = \"honest\"", "model 99"),
        ("unknown = 1", "unknown"),
    ];
    for (text, named) in bad {
        let path = folder.path().join("bad.toml");
        std::fs::write(&path, text).unwrap();
        let output = rebut(&["sim", "run", path.to_str().unwrap()]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        assert!(error.contains(named), "{text}: {error}");
    }
}
