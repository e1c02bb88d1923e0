//! What claims cost whoever serves embeddings: texts a second over `/v1/embeddings`, each batch claimed on
//! a ledger on this machine, next to the bare engine on the same batches, in turns.
//!
//! `cargo bench --bench embeddings -- FOLDER NAME [ROUNDS]`: the folder holds NAME.onnx, NAME.json and
//! NAME.tokenizer.json, as for `rebut executor serve --models` (models/minilm.py makes one). It asserts
//! nothing about time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use executor::embeddings::Encoder;
use inference::{Engine, ModelStore, Runner};

/// Texts of a request, and requests at a time.
const TEXTS: usize = 64;
const AT_ONCE: usize = 2;
/// Seconds of one turn.
const TURN: Duration = Duration::from_secs(8);

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a service and waits for the address in its first line.
fn start(folder: &Path, arguments: &[&str]) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rebut"))
        .args(arguments)
        .current_dir(folder)
        .env("REBUT_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let at = line.split_whitespace().last().unwrap().to_owned();
    assert!(at.starts_with("http://"), "{line}");
    (Process(child), at)
}

fn texts() -> Vec<String> {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let asked = ASKED.fetch_add(1, Ordering::Relaxed);
    (0..TEXTS)
        .map(|index| format!("Sentence {index} of {asked}: an executor stakes money on it."))
        .collect()
}

fn bare(engine: &Engine, model_store: &ModelStore, name: &str, encoder: &Encoder) -> f64 {
    let model = model_store.named(name).unwrap();
    let runner = Runner::honest(engine, model);
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < TURN {
        for batch in encoder.batches(&texts()).unwrap() {
            std::hint::black_box(runner.infer(&batch.inputs).unwrap());
            count += batch.texts;
        }
    }
    count as f64 / started.elapsed().as_secs_f64()
}

async fn served(at: &str, name: &str, token: &str) -> f64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let started = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, token) = (client.clone(), token.to_owned());
        let url = format!("{at}/v1/embeddings");
        let name = name.to_owned();
        asking.spawn(async move {
            let mut count = 0;
            while started.elapsed() < TURN {
                let body = serde_json::json!({ "model": name, "input": texts() }).to_string();
                let request = client.post(&url).bearer_auth(&token).body(body);
                let answer = request.send().await.unwrap();
                let status = answer.status();
                let bytes = answer.bytes().await.unwrap();
                assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&bytes));
                let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                count += document["data"].as_array().unwrap().len();
            }
            count
        });
    }
    let counts = asking.join_all().await;
    counts.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|one| one != "--bench");
    let (Some(models), Some(name)) = (arguments.next(), arguments.next()) else {
        println!("embeddings: skipped; name a folder of models and a model");
        return;
    };
    let rounds: usize = arguments.next().map_or(5, |text| text.parse().unwrap());
    let models = std::fs::canonicalize(models).unwrap();
    let engine = Engine::detect().unwrap();
    let model_store = ModelStore::read(&models, &engine).unwrap();
    let tokenizer = models.join(format!("{name}.tokenizer.json"));
    let encoder = Encoder::read(&tokenizer, model_store.named(&name).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) =
        start(place, &["ledger", "serve", "--folder", "l", "--dev", "--listen", "127.0.0.1:0"]);
    let models = models.display().to_string();
    let serve = ["executor", "serve", "--no-preflight", "--models", &models, "--ledger", &url];
    let more = ["--listen", "127.0.0.1:0", "--dev", "bench", "--runs-max", "16"];
    let (_executor, at) = start(place, &[&serve[..], &more[..]].concat());
    let rebut = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rebut")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let account = rebut(&["key", "show", "--dev", "bench"]);
    let account = account.trim();
    let wei = format!("1{}", "0".repeat(22));
    rebut(&["account", "deposit", account, &wei, "--dev", "bank", "--ledger", &url]);
    let token = place.join("executor-data").join(account).join("api-token");
    let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{name}, batches of {} by {} tokens, {TEXTS} texts a request, {AT_ONCE} requests at a time",
        encoder.batch, encoder.sequence
    );
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let peer = bare(&engine, &model_store, &name, &encoder);
        let claimed = runtime.block_on(served(&at, &name, &token));
        println!(
            "round {round}: bare {peer:.1} texts/s, claimed {claimed:.1}, {:.3}",
            claimed / peer
        );
        ours.push(claimed);
        peers.push(peer);
    }
    ours.sort_by(f64::total_cmp);
    peers.sort_by(f64::total_cmp);
    let (claimed, peer) = (ours[rounds / 2], peers[rounds / 2]);
    println!("medians: bare {peer:.1} texts/s, claimed {claimed:.1}, ratio {:.3}", claimed / peer);
}
