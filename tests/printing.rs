//! What people see: a reader that goes away, lines that fit, words instead of Rust's `Debug` text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebut"));
    command.args(words).env_remove("REBUT_CONFIG").env_remove("REBUT_LOG").current_dir(here());
    command
}

fn rebut(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

fn text(words: &[&str]) -> String {
    let output = rebut(words);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The shipped convolutional model.
const MODEL: &str = "models/digits-cnn.onnx";
const SCENARIO: &str = "simulation/scenarios/copycat-claim.toml";

/// A lie about the shipped model, run, disputed and told, in a folder.
fn disputed(folder: &Path) -> (String, String) {
    let claim = folder.join("claim").display().to_string();
    let verdict = folder.join("verdict.json").display().to_string();
    let sample = "models/samples/digit-3.npy";
    let run = ["run", MODEL, "--input", sample, "--out", &claim, "--lie", "weight-bit"];
    assert!(rebut(&run).status.success());
    assert!(rebut(&["dispute", &claim, "--verdict", &verdict]).status.success());
    (claim, verdict)
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let (claim, verdict) = disputed(folder.path());
    let table = folder.path().join("table.csv").display().to_string();
    let commands: [&[&str]; 18] = [
        &["inspect", MODEL],
        &["--json", "inspect", MODEL],
        &["demo", "--model", "digits-cnn"],
        &["--json", "demo", "--model", "digits-cnn"],
        &["verify", &claim],
        &["dispute", &claim, "--verdict", &verdict],
        &["replay", &verdict],
        &["preflight", MODEL],
        &["config", "show"],
        &["config", "example"],
        &["documents", "reference"],
        &["documents", "metrics"],
        &["documents", "completions", "bash"],
        &["key", "show", "--dev", "bank"],
        &["sim", "strategies"],
        &["sim", "run", SCENARIO],
        &["sim", "replay", SCENARIO],
        &["sim", "sweep", "simulation/sweeps/small.toml", "--csv", &table],
    ];
    for words in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "", "{words:?}");
        // As a shell shows a process that SIGPIPE ended; never a verdict's 0 or 1.
        assert_eq!(output.status.code(), Some(141), "{words:?}");
    }
    // Nobody reads complaints either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command(&["inspect", "no-such.onnx"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_services_tell_ends_quietly_as_well_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("ledger").display().to_string();
    let serve = ["ledger", "serve", "--folder", &place, "--dev", "--listen", "127.0.0.1:0"];
    let mut child = command(&serve).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    // Kept to the end: the ledger's words are read.
    let mut words_of_ledger = BufReader::new(child.stdout.take().unwrap());
    words_of_ledger.read_line(&mut line).unwrap();
    let _ledger = Running(child);
    let at = line.trim().rsplit(' ').next().unwrap();
    assert!(at.starts_with("http://"), "{line}");
    let account = "0x0000000000000000000000000000000000000001";
    let commands: [&[&str]; 5] = [
        &["ledger", "status"],
        &["ledger", "list", "jobs"],
        &["account", "show", account],
        &["monitor", "--models", "models"],
        &["--json", "monitor", "--models", "models"],
    ];
    for words in commands {
        let words = [words, &["--ledger", at]].concat();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((said.as_str(), output.status.code()), ("", Some(141)), "{words:?}");
    }
}

#[test]
fn a_full_disk_under_standard_output_is_an_error_and_no_panic() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return; // Only Linux has it.
    };
    let output = command(&["sim", "strategies"]).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: standard output: "), "{said}");
}

#[test]
fn what_is_printed_fits_eighty_columns_and_holds_no_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    let (claim, verdict) = disputed(folder.path());
    let table = folder.path().join("t.csv").display().to_string();
    let commands: Vec<Vec<&str>> = vec![
        vec!["demo"],
        vec!["demo", "--model", "digits-cnn", "--lie", "none"],
        vec!["demo", "--model", "digits-transformer", "--lie", "output-only"],
        vec!["demo", "--model", "digits-transformer", "--lie", "zero-trace"],
        vec!["inspect", MODEL],
        vec!["inspect", "models/digits-transformer.onnx"],
        vec!["verify", &claim],
        vec!["dispute", &claim, "--verdict", &verdict],
        vec!["replay", &verdict],
        vec!["preflight", MODEL],
        vec!["documents", "metrics"],
        vec!["sim", "strategies"],
        vec!["sim", "run", "simulation/scenarios"],
        vec!["sim", "replay", SCENARIO],
        vec!["sim", "replay", "simulation/scenarios/meddler.toml"],
        vec!["sim", "replay", "simulation/scenarios/crowd-of-claims.toml"],
        vec!["sim", "swarm", "--worlds", "64"],
        vec!["sim", "sweep", "simulation/sweeps/small.toml", "--csv", &table],
        vec!["sim", "best-response", "--plays", "1000"],
    ];
    for words in commands {
        let text = text(&words);
        for line in text.lines() {
            // Whole ids and paths may be pasted; they are on lines of their own.
            let pasted = line.contains("0x") && line.split_whitespace().count() <= 3;
            let path = line.contains(folder.path().to_str().unwrap());
            let wide = line.chars().count();
            assert!(wide <= 80 || pasted || path, "{words:?}: {wide} columns: {line}");
            for debug in ["Some(", "None,", " { ", "Refuted(", "TreeKind", "Digest("] {
                assert!(!line.contains(debug), "{words:?}: {line}");
            }
            for plural in [" 1 proofs", " 1 bytes", " 1 multiply-adds", " 1 hashes", " 1 roots"] {
                assert!(!line.contains(plural), "{words:?}: {line}");
            }
        }
    }
}

#[test]
fn a_frivolous_challenge_is_told_to_its_end() {
    let story = text(&["demo", "--model", "digits-cnn", "--lie", "none"]);
    let places: Vec<usize> = [
        "the executor is honest",
        "challenges with a bond",
        "refutes",
        "the claim is right there: fees to the executor",
        "settles the job",
        "fee and stake are paid",
        "the claim is upheld: the claim is right where it was attacked",
        "The frivolous challenge cost the challenger 0.1041 ETH",
    ]
    .map(|part| story.find(part).unwrap_or_else(|| panic!("{part} is missing in\n{story}")))
    .to_vec();
    assert!(places.is_sorted(), "{story}");
}

#[test]
fn the_story_shows_the_lie_as_large_as_it_is_and_moves_at_the_ledgers_times() {
    let story = text(&["demo", "--model", "digits-cnn"]);
    assert!(story.contains("lie by +1 unit in the last place"), "{story}");
    assert!(
        story
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(": 1 unit in the last place apart"),
        "{story}"
    );
    let times: Vec<f64> = story
        .lines()
        .filter_map(|line| line.trim_start().split_once(" s ")?.0.parse().ok())
        .collect();
    assert!(times.len() > 8 && times.is_sorted(), "{story}");
    assert!(times.windows(2).filter(|pair| pair[0] < pair[1]).count() > 3, "{times:?}");
}

#[test]
fn a_missing_scenario_is_called_missing() {
    for command in ["replay", "shrink"] {
        let output = rebut(&["sim", command, "nofile.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("nofile.toml: no such file"), "{said}");
        assert!(said.contains("scenario file") && said.contains("seed"), "{said}");
    }
}

#[test]
fn a_scenario_that_names_what_its_world_does_not_have_is_refused_by_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.toml");
    let name = path.to_str().unwrap();
    let cases = [
        ("strategy = \"silent-after\"\nwith = { afterr = 1 }", "with.afterr", "after (default 2)"),
        ("strategy = \"selective\"\nlie = \"7:0:0:+1\"", "lie", "layers are 0 to 2"),
        ("strategy = \"prompt\"\nlie = \"weight-bit\"", "lie", "never uses a false run"),
        (
            "strategy = \"honest\"\n[[outage]]\nparty = \"othr\"\nkind = \"crashed\"\nfrom_ms = 1\nfor_ms = 1",
            "outage.party",
            "one of executor, other",
        ),
    ];
    for (party, key, allowed) in cases {
        let text = format!(
            "[[party]]\nname = \"executor\"\nstrategy = \"honest\"\n[[party]]\nname = \"other\"\n{party}\n"
        );
        std::fs::write(&path, &text).unwrap();
        let sweep = folder.path().join("sweep.toml");
        for words in
            [vec!["sim", "run", name], vec!["sim", "replay", name], vec!["sim", "shrink", name]]
        {
            let output = rebut(&words);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
            assert!(said.contains("world.toml") && said.contains(key), "{said}");
            assert!(said.contains(allowed), "{said}");
        }
        let scenario = text
            .replace("[[party]]", "[[scenario.party]]")
            .replace("[[outage]]", "[[scenario.outage]]");
        let axis = "[[axis]]\nfield = \"jobs\"\nvalues = [1]\n[scenario]\nname = \"a\"\n";
        std::fs::write(&sweep, format!("name = \"s\"\nworlds = 1\n{axis}{scenario}")).unwrap();
        let table = folder.path().join("t.csv").display().to_string();
        let output = rebut(&["sim", "sweep", sweep.to_str().unwrap(), "--csv", &table]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("sweep.toml") && said.contains(key), "{said}");
    }
    let shown = text(&["sim", "strategies"]);
    assert!(shown.contains("with element = 8, layer = 1, operator = 1"), "{shown}");
    let listed: Value = serde_json::from_str(&text(&["--json", "sim", "strategies"])).unwrap();
    let silent =
        listed["strategies"].as_array().unwrap().iter().find(|one| one["name"] == "silent-after");
    assert_eq!(silent.unwrap()["with"]["after"], 2);
}
