//! Ledger, executors, challenger and client in processes of their own; kills at random moments.
//!
//! `REBUT_KILLS=1000 cargo test --release --test services kills` runs as many kills as that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ledger::http::HttpLedger;
use ledger::{Ledger as _, View};
use protocol::encoding::Canonical as _;
use protocol::hash::Digest;
use protocol::settlement::{ClaimStatus, FallReason, JobStatus};
use protocol::transaction::{Action, SignedTransaction};
use serde_json::Value;

/// The command to test; another build of it may be named, to go on building meanwhile.
fn rebut() -> Command {
    Command::new(std::env::var("REBUT_BINARY").unwrap_or(env!("CARGO_BIN_EXE_rebut").to_owned()))
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// What a process is called: by its account, or "ledger".
fn name(arguments: &[String]) -> String {
    match arguments[0].as_str() {
        "ledger" => "ledger".to_owned(),
        _ => arguments.last().unwrap().clone(),
    }
}

/// What a process says outlives it.
fn log(folder: &Path, arguments: &[String]) -> std::fs::File {
    let file = folder.join(format!("{}.log", name(arguments)));
    std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap()
}

/// A process that is killed when its test ends, and can be killed and started again before.
struct Process {
    arguments: Vec<String>,
    folder: PathBuf,
    child: Child,
}

impl Process {
    /// Starts and waits for the line that says it is ready.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let child = Self::spawn(folder, &arguments);
        Self { arguments, folder: folder.to_owned(), child }
    }

    fn spawn(folder: &Path, arguments: &[String]) -> Child {
        let mut child = rebut()
            .args(arguments)
            .current_dir(folder)
            .env("REBUT_LOG", "info")
            .env("REBUT_THREADS", "1")
            .stdout(Stdio::piped())
            .stderr(log(folder, arguments))
            .spawn()
            .unwrap();
        let mut line = String::new();
        // A daemon whose ledger is away prints nothing before it is back.
        if arguments[0] == "ledger" {
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert!(line.contains("http://"), "{line}");
        }
        child
    }

    /// A daemon ends when it is told to, never by itself.
    fn lives(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let name = name(&self.arguments);
            let said = std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap();
            panic!("{name} ended by itself with {status}: {said}");
        }
    }

    /// SIGKILL, then the same command again.
    fn kill_and_restart(&mut self, pause: Duration) {
        self.lives();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::thread::sleep(pause);
        self.child = Self::spawn(&self.folder, &self.arguments);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Town {
    folder: tempfile::TempDir,
    url: String,
    ledger: Process,
    honest: Process,
    liar: Process,
    challenger: Process,
}

impl Town {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
        let place = folder.path();
        let serve = ["ledger", "serve", "--folder", "ledger", "--dev", "--listen", &listen];
        let ledger = Process::start(place, &serve);
        let models = models().display().to_string();
        let at = ["--ledger", &url, "--models", &models, "--dev"];
        let start = |more: &[&str], name: &str| {
            Process::start(place, &[more, &at[..], &[name][..]].concat())
        };
        let honest = start(&["executor", "serve", "--no-preflight"], "honest");
        let lie = ["executor", "serve", "--no-preflight", "--lie", "1:3:0:+1"];
        let liar = start(&lie, "liar");
        let challenger = start(&["challenger", "run"], "challenger");
        Self { url, ledger, honest, liar, challenger, folder }
    }

    fn request(&self, digit: u32) -> Child {
        let model = models().join("digits-transformer.onnx").display().to_string();
        let input = models().join(format!("samples/digit-{digit}.npy")).display().to_string();
        let out = format!("out-{digit}.npz");
        rebut()
            .args(["--json", "request", &model, "--input", &input, "--out", &out])
            .args(["--dev", "client", "--ledger", &self.url, "--patience-seconds", "120"])
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What a run on this machine commits to.
    fn true_trace_root(&self, digit: u32) -> String {
        let model = models().join("digits-transformer.onnx").display().to_string();
        let input = models().join(format!("samples/digit-{digit}.npy")).display().to_string();
        let run = rebut()
            .args(["--json", "run", &model, "--input", &input, "--out", "own"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&run.stdout).unwrap();
        report["trace_root"].as_str().unwrap().to_owned()
    }

    fn view(&self) -> (View, Vec<Action>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ledger = HttpLedger::connect(&self.url, None).await.unwrap();
            let view = ledger.view().await.unwrap();
            let entries = ledger.entries().await;
            let decode = |bytes: &[u8]| {
                SignedTransaction::from_canonical(bytes).unwrap().decode_action().unwrap()
            };
            (view, entries.iter().map(|entry| decode(&entry.transaction)).collect())
        })
    }
}

fn report(mut child: Child) -> Value {
    let status = child.wait().unwrap();
    let (mut text, mut errors) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(status.success(), "{text}{errors}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_lie_told_by_another_process_is_convicted_and_the_client_gets_the_true_output() {
    let town = Town::new();
    let report = report(town.request(3));
    assert!(report["outputs"].is_string(), "{report}");
    let (view, _) = town.view();
    let claims: Vec<_> = view.settlement.claims().map(|(_, claim)| claim).collect();
    let fallen = claims.iter().filter(|claim| {
        matches!(&claim.status, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. })
    });
    assert_eq!(fallen.count(), 1, "{claims:?}");
    assert!(view.settlement.money().is_conserved());
    // What the client was given is what an honest run gives.
    let model = models().join("digits-transformer.onnx").display().to_string();
    let input = models().join("samples/digit-3.npy").display().to_string();
    let run = rebut()
        .args(["run", &model, "--input", &input, "--out", "own"])
        .current_dir(town.folder.path())
        .output()
        .unwrap();
    assert!(run.status.success());
    let read = |file: &str| std::fs::read(town.folder.path().join(file)).unwrap();
    assert_eq!(read("out-3.npz"), read("own/outputs.npz"));
}

/// Every answer to the same demand is the same, whatever died between two tries.
fn no_move_was_made_twice_with_another_content(actions: &[Action]) {
    let mut said: HashMap<(Digest, String), String> = HashMap::new();
    let mut claimed: HashMap<Digest, Vec<String>> = HashMap::new();
    for action in actions {
        match action {
            Action::Reveal { claim, request, reveal } => {
                let (key, content) = ((*claim, format!("{request:?}")), format!("{reveal:?}"));
                let before = said.entry(key).or_insert_with(|| content.clone());
                assert_eq!(*before, content);
            }
            Action::PostClaim { terms } => {
                claimed.entry(terms.job).or_default().push(format!("{:?}", terms.trace_root));
            }
            _ => {}
        }
    }
    for (job, roots) in claimed {
        assert!(roots.len() <= 2, "job {job} was claimed {} times by two executors", roots.len());
    }
}

#[test]
fn kills_of_any_role_at_any_moment_make_no_move_twice_and_lose_no_money() {
    let kills: u32 = std::env::var("REBUT_KILLS").map_or(16, |text| text.parse().unwrap());
    let seed: u64 = std::env::var("REBUT_SEED").map_or(7, |text| text.parse().unwrap());
    println!("{kills} kills, seed {seed}");
    let mut town = Town::new();
    let mut state = seed;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut killed, mut digit, mut asked) = (0, 0, 0);
    while killed < kills {
        let mut request = town.request(digit);
        (digit, asked) = ((digit + 1) % 10, asked + 1);
        let started = Instant::now();
        while request.try_wait().unwrap().is_none() {
            // A challenger needs some tenths of a second in a row, of a window of five.
            std::thread::sleep(Duration::from_millis(400 + random(1_000)));
            // Nobody is kept down for so long that a window of five seconds passes.
            if killed < kills && started.elapsed() < Duration::from_secs(60) {
                let pause = Duration::from_millis(random(300));
                match random(4) {
                    0 => town.ledger.kill_and_restart(pause),
                    1 => town.honest.kill_and_restart(pause),
                    2 => town.liar.kill_and_restart(pause),
                    _ => town.challenger.kill_and_restart(pause),
                }
                killed += 1;
            }
        }
        let report = report(request);
        assert_eq!(report["schema"], 1);
    }
    let (view, actions) = town.view();
    assert!(view.settlement.money().is_conserved());
    no_move_was_made_twice_with_another_content(&actions);
    let done =
        view.settlement.jobs().filter(|(_, job)| matches!(job.status, JobStatus::Done { .. }));
    assert!(done.count() >= asked);
    for process in [&mut town.ledger, &mut town.honest, &mut town.liar, &mut town.challenger] {
        process.lives();
    }
    // Only what an honest run gives ends well. (Not: "the liar's claims fall": now and then rounding
    // swallows a lie before the layer's end, and then what it claims is true.)
    let truth: HashSet<String> = (0..10).map(|digit| town.true_trace_root(digit)).collect();
    let mut refuted = 0;
    for (id, claim) in view.settlement.claims() {
        let is_true = truth.contains(&claim.terms.trace_root.to_string());
        let (status, challenges) = (&claim.status, claim.challenges.len());
        match status {
            ClaimStatus::Final { .. } | ClaimStatus::Released { .. } => {
                assert!(is_true, "the lie {id} is {status:?} after {challenges} challenges");
            }
            ClaimStatus::Fallen { reason, .. } => {
                assert!(!is_true, "the true claim {id} fell: {reason:?}");
                refuted += usize::from(matches!(reason, FallReason::Refuted(_)));
            }
            ClaimStatus::Standing => {}
        }
    }
    assert!(refuted > 0, "nothing was disputed");
    println!("{asked} jobs, {killed} kills, {refuted} convictions, {} transactions", view.height);
}

/// One plain HTTP request to loopback; the answer's status and body.
fn http(at: &str, head: &str, body: &str) -> (u16, String) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(at.trim_start_matches("http://")).unwrap();
    let length = body.len();
    write!(stream, "{head}host: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn get(at: &str, path: &str) -> (u16, String) {
    http(at, &format!("GET {path} HTTP/1.1\r\n"), "")
}

/// Starts a service and reads the address in its first line.
fn listening(folder: &Path, arguments: &[&str]) -> (Process, String) {
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let mut child = rebut()
        .args(&arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(log(folder, &arguments))
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let at = line.split_whitespace().last().unwrap().to_owned();
    (Process { arguments, folder: folder.to_owned(), child }, at)
}

#[test]
fn who_holds_the_token_gets_output_and_claim_at_once_and_anybody_can_look_into_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let serve = ["ledger", "serve", "--folder", "l", "--dev", "--listen", "127.0.0.1:0"];
    let (_ledger, url) = listening(place, &serve);
    let models = models().display().to_string();
    let at = ["--ledger", &url, "--models", &models, "--listen", "127.0.0.1:0", "--dev"];
    let serve = ["executor", "serve", "--no-preflight"];
    let (_executor, office) = listening(place, &[&serve[..], &at[..], &["honest"]].concat());
    let asked = r#"{"model": "digits-cnn", "inputs": {"image": IMAGE}}"#;
    let row = format!("[{}]", ["0.5"; 8].join(","));
    let image = format!("[[[{}]]]", vec![row; 8].join(","));
    let asked = asked.replace("IMAGE", &image);
    let post = |token: &str, body: &str| {
        let head = format!("POST /v1/infer HTTP/1.1\r\nauthorization: Bearer {token}\r\n");
        http(&office, &head, body)
    };
    assert_eq!(post("0x00", &asked).0, 401);
    let account = std::fs::read_dir(place.join("executor-data")).unwrap().next().unwrap().unwrap();
    let token = std::fs::read_to_string(account.path().join("api-token")).unwrap();
    let token = token.trim();
    for (body, status, word) in [
        ("{", 400, "EOF"),
        (r#"{"model": "digits-cnn", "inputs": {}, "more": 1}"#, 400, "more"),
        (r#"{"model": "other", "inputs": {}}"#, 404, "digits-cnn"),
        (r#"{"model": "digits-cnn", "inputs": {"image": [1]}}"#, 400, "image"),
    ] {
        let (found, text) = post(token, body);
        assert!(found == status && text.contains(word), "{body}: {found} {text}");
    }
    let (status, text) = post(token, &asked);
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["status"], "standing");
    assert_eq!(answer["outputs"].as_object().unwrap().len(), 1, "{text}");
    // The ledger says the same of the claim.
    let (status, claim) = get(&url, &format!("/v1/claims/{}", answer["claim"].as_str().unwrap()));
    let claim: Value = serde_json::from_str(&claim).unwrap();
    assert_eq!((status, &claim["trace_root"]), (200, &answer["trace_root"]));
    assert_eq!(claim["output_root"], answer["output_root"]);
    // The trace is there by its root, and its states are those of the roots.
    let root = answer["trace_root"].as_str().unwrap();
    let (status, trace) = get(&office, &format!("/v1/traces/{root}"));
    let trace: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(status, 200);
    assert_eq!(trace["state_roots"].as_array().unwrap().last(), Some(&answer["output_root"]));
    assert_eq!(get(&office, &format!("/v1/traces/{root}/states/999")).0, 404);
    assert_eq!(get(&office, "/v1/traces/0x12").0, 400);
    assert_eq!(get(&office, "/readyz").0, 200);
}

#[test]
fn every_metric_that_a_service_has_is_there_from_the_start_and_described() {
    use ledger::metrics::{Kind, METRICS, Of};
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let serve = ["ledger", "serve", "--folder", "l", "--dev", "--listen", "127.0.0.1:0"];
    let (_ledger, url) = listening(place, &serve);
    let models = models().display().to_string();
    let at = ["--ledger", &url, "--models", &models, "--listen", "127.0.0.1:0", "--dev"];
    let executor = ["executor", "serve", "--no-preflight"];
    let (_executor, executor) = listening(place, &[&executor[..], &at[..], &["honest"]].concat());
    let challenger = ["challenger", "run"];
    let (_challenger, challenger) =
        listening(place, &[&challenger[..], &at[..], &["challenger"]].concat());
    for (at, services) in [
        (&url, vec![Of::Ledger]),
        (&executor, vec![Of::Daemons, Of::Executor]),
        (&challenger, vec![Of::Daemons, Of::Challenger]),
    ] {
        let (status, text) = get(at, "/metrics");
        assert_eq!(status, 200);
        for (of, name, kind, help) in METRICS.iter().filter(|one| services.contains(&one.0)) {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert!(text.contains(&format!("# HELP {name} {help}")), "{of:?} {name}: {text}");
            assert!(text.contains(&format!("# TYPE {name} {kind}")), "{of:?} {name}: {text}");
        }
        let known = |line: &str| {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            METRICS.iter().any(|(_, known, ..)| *known == name || Some(*known) == base)
        };
        let unknown: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty() && !known(line))
            .collect();
        assert!(unknown.is_empty(), "not in the list of metrics: {unknown:?}");
    }
}

#[test]
fn dashboards_and_alerts_name_only_metrics_that_exist_and_every_metric_is_on_the_dashboard() {
    use ledger::metrics::METRICS;
    let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
    let used = |file: &str| {
        let text = std::fs::read_to_string(etc.join(file)).unwrap();
        let letters = |letter: char| !(letter.is_ascii_lowercase() || letter == '_');
        let words = text.split(letters).filter(|word| word.starts_with("rebut_"));
        words
            .map(|word| {
                let base =
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
                base.unwrap_or(word).to_owned()
            })
            .collect::<HashSet<String>>()
    };
    let (dashboard, alerts) = (used("grafana/rebut.json"), used("prometheus/alerts.yml"));
    for name in dashboard.iter().chain(&alerts) {
        assert!(METRICS.iter().any(|(_, known, ..)| known == name), "{name} does not exist");
    }
    for (_, name, ..) in METRICS {
        assert!(dashboard.contains(*name), "{name} is on no panel");
    }
}
