//! Services in processes of their own: started, killed, asked over plain HTTP.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ledger::http::HttpLedger;
use ledger::{Ledger as _, View};
use protocol::encoding::Canonical as _;
use protocol::transaction::{Action, SignedTransaction};
use serde_json::Value;

/// The command to test; another build of it may be named, to go on building meanwhile.
pub fn rebut() -> Command {
    let binary = std::env::var("REBUT_BINARY").unwrap_or(env!("CARGO_BIN_EXE_rebut").to_owned());
    let mut command = Command::new(binary);
    // Whatever ends the test, a kill included, ends what it started.
    command.env("REBUT_ENDS_WITH_PARENT", "1");
    command
}

pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// What a process is called: by its account, or "ledger".
pub fn name(arguments: &[String]) -> String {
    match arguments[0].as_str() {
        "ledger" => "ledger".to_owned(),
        _ => arguments.last().unwrap().clone(),
    }
}

/// What a process says outlives it.
pub fn log(folder: &Path, arguments: &[String]) -> std::fs::File {
    let file = folder.join(format!("{}.log", name(arguments)));
    std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap()
}

/// A process that is killed when its test ends, and can be killed and started again before.
pub struct Process {
    pub arguments: Vec<String>,
    pub folder: PathBuf,
    pub child: Child,
}

impl Process {
    /// Starts and waits for the line that says it is ready.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let child = Self::spawn(folder, &arguments);
        Self { arguments, folder: folder.to_owned(), child }
    }

    pub fn spawn(folder: &Path, arguments: &[String]) -> Child {
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
    pub fn lives(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let name = name(&self.arguments);
            let said = std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap();
            panic!("{name} ended by itself with {status}: {said}");
        }
    }

    /// SIGKILL, then the same command again.
    pub fn kill_and_restart(&mut self, pause: Duration) {
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

pub struct Town {
    pub folder: tempfile::TempDir,
    pub url: String,
    pub ledger: Process,
    pub honest: Process,
    pub liar: Process,
    pub challenger: Process,
}

impl Town {
    pub fn new() -> Self {
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

    pub fn run(&self, arguments: &[&str]) -> (String, i32) {
        let output = rebut().args(arguments).current_dir(self.folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.code().unwrap())
    }

    pub fn request(&self, digit: u32) -> Child {
        let model = models().join("digits-transformer.onnx").display().to_string();
        let input = models().join(format!("samples/digit-{digit}.npy")).display().to_string();
        let out = format!("out-{digit}.npz");
        rebut()
            .args(["--json", "request", &model, "--input", &input, "--out", &out])
            .args(["--receipt", "receipt.json"])
            .args(["--dev", "client", "--ledger", &self.url, "--patience-seconds", "120"])
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn folder_path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Address of a well-known account.
    pub fn account(&self, who: &str) -> String {
        self.run(&["key", "show", "--dev", who]).0.trim().to_owned()
    }

    /// What a run on this machine commits to.
    pub fn true_trace_root(&self, digit: u32) -> String {
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

    pub fn view(&self) -> (View, Vec<Action>) {
        view_of(&self.url)
    }
}

/// A ledger's state, and the actions that led to it.
pub fn view_of(url: &str) -> (View, Vec<Action>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = HttpLedger::connect(url, None).await.unwrap();
        let view = ledger.view().await.unwrap();
        let entries = ledger.entries().await.unwrap();
        let decode = |bytes: &[u8]| {
            SignedTransaction::from_canonical(bytes).unwrap().decode_action().unwrap()
        };
        (view, entries.iter().map(|entry| decode(&entry.transaction)).collect())
    })
}

pub fn report(mut child: Child) -> Value {
    let status = child.wait().unwrap();
    let (mut text, mut errors) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(status.success(), "{text}{errors}");
    serde_json::from_str(&text).unwrap()
}

/// One plain HTTP request to loopback; the answer's status and body.
pub fn http(at: &str, head: &str, body: &str) -> (u16, String) {
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

pub fn get(at: &str, path: &str) -> (u16, String) {
    http(at, &format!("GET {path} HTTP/1.1\r\n"), "")
}

/// Starts a service and reads the address in its first line.
pub fn listening(folder: &Path, arguments: &[&str]) -> (Process, String) {
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

/// Answers every request with the same text.
pub fn lying_server(text: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let length = text.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
            );
        }
    });
    at
}

/// A ledger to try things, on a port of its own.
pub fn ledger(folder: &Path) -> (Process, String) {
    ledger_with(folder, &[])
}

/// As [`ledger`], with more settings.
pub fn ledger_with(folder: &Path, more: &[&str]) -> (Process, String) {
    let serve = ["ledger", "serve", "--folder", "l", "--dev", "--listen", "127.0.0.1:0"];
    listening(folder, &[&serve[..], more].concat())
}

/// A daemon at a ledger, with a listener and a well-known account.
pub fn daemon(folder: &Path, url: &str, words: &[&str], account: &str) -> (Process, String) {
    let models = models().display().to_string();
    let at = ["--ledger", url, "--models", &models, "--listen", "127.0.0.1:0", "--dev", account];
    listening(folder, &[words, &at[..]].concat())
}

/// The token of the only executor in a folder.
pub fn token(folder: &Path) -> String {
    let account = std::fs::read_dir(folder.join("executor-data")).unwrap().next().unwrap().unwrap();
    std::fs::read_to_string(account.path().join("api-token")).unwrap().trim().to_owned()
}

/// Head of a request to infer.
pub fn infer(token: &str) -> String {
    format!("POST /v1/infer HTTP/1.1\r\nauthorization: Bearer {token}\r\n")
}

/// A gray image for digits-cnn, as a request to infer.
pub fn gray() -> String {
    let row = format!("[{}]", ["0.5"; 8].join(","));
    let image = format!("[[[{}]]]", vec![row; 8].join(","));
    format!(r#"{{"model": "digits-cnn", "inputs": {{"image": {image}}}}}"#)
}

/// What becomes of a part of a request on its way.
pub enum Way {
    Through,
    After(Duration),
    /// At once, and its answer after a while.
    Answered(Duration),
    Never,
}

/// A way to a ledger on which `choose` says of each part of a request what becomes of it.
pub fn way(url: &str, choose: impl Fn(&[u8]) -> Way + Send + Sync + 'static) -> String {
    let (ledger, choose) = (url.trim_start_matches("http://").to_owned(), Arc::new(choose));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&ledger) else { continue };
            let (back, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (choose, delayed) = (Arc::clone(&choose), Arc::new(AtomicBool::new(false)));
            let is_delayed = Arc::clone(&delayed);
            let held_ms = Arc::new(AtomicU64::new(0));
            let holding_ms = Arc::clone(&held_ms);
            std::thread::spawn(move || {
                hand_on(client, server, |part| match choose(part) {
                    Way::Through => true,
                    Way::Never => false,
                    Way::Answered(time) => {
                        holding_ms.store(time.as_millis() as u64, Ordering::SeqCst);
                        true
                    }
                    Way::After(time) => {
                        is_delayed.store(true, Ordering::SeqCst);
                        std::thread::sleep(time);
                        is_delayed.store(false, Ordering::SeqCst);
                        true
                    }
                });
            });
            std::thread::spawn(move || {
                hand_on(answers, back.try_clone().unwrap(), |_| {
                    let ms = held_ms.swap(0, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(ms));
                    true
                });
                // The ledger lets an idle connection go; the one who waits must not see that.
                while delayed.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(100));
                }
                let _ = back.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    at
}

/// Hands on what is let through; the connection that asks ends with it.
fn hand_on(mut from: TcpStream, mut to: TcpStream, is_through: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 4096];
    while let Ok(got @ 1..) = from.read(&mut bytes) {
        if !is_through(&bytes[..got]) || to.write_all(&bytes[..got]).is_err() {
            let _ = from.shutdown(std::net::Shutdown::Both);
            let _ = to.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}
