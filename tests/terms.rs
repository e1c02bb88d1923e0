//! A ledger's terms as people meet them: parameters as flags, jobs that expire or name their executor, and what
//! is fetched by hand after claims that fell. With real processes, and moves that the test signs itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::path::Path;
use std::time::{Duration, Instant};

use ledger::http::HttpLedger;
use ledger::{Ledger as _, View};
use protocol::asks::{Ask, Place, Tree, TreeKind};
use protocol::hash::{Digest, keccak};
use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ETHER, claim_id};
use protocol::transaction::{Action, Key, Statement};
use serde_json::Value;
use services::{daemon, get, ledger, ledger_with, models, rebut};

/// Runs a command; its words and its exit code.
fn run(place: &Path, words: &[&str]) -> (String, i32) {
    let output = rebut().args(words).current_dir(place).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text, output.status.code().unwrap())
}

/// As [`run`], with `--json`: the document.
fn json(place: &Path, words: &[&str]) -> Value {
    let output = rebut().arg("--json").args(words).current_dir(place).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Posts a job on digits-cnn; the words of the client.
fn ask(place: &Path, url: &str, more: &[&str]) -> String {
    let model = models().join("digits-cnn.onnx").display().to_string();
    let input = models().join("samples/digit-3.npy").display().to_string();
    let words = ["request", &model, "--input", &input, "--dev", "client", "--ledger", url];
    run(place, &[&words[..], more].concat()).0
}

fn job_of(text: &str) -> String {
    let found = text.split_whitespace().find(|word| word.starts_with("0x") && word.len() == 66);
    found.unwrap_or_else(|| panic!("no job in: {text}")).to_owned()
}

#[test]
fn audit_a14_a_ledger_begins_with_the_parameters_of_its_flags_and_with_none_that_are_out_of_bounds()
{
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let at = ["--folder", "l", "--listen", "127.0.0.1:0"];
    let serve =
        |more: &[&str]| run(place, &[&["ledger", "serve", "--dev"], &at[..], more].concat());
    for (wrong, flag, word) in [
        (["--demands-max", "21"], "--demands-max", "deepest dispute"),
        (["--move-floor-ms", "9000"], "--executor-clock-ms", "so that a dispute fits"),
        (["--served-max", "21"], "--reply-ms", "is answered in time"),
        (["--bond-wei-max", "999ether"], "--bond-wei-max", "quarter of stake_wei_max"),
        (["--work-cost-wei", "1ether"], "--work-cost-wei", "who convicts has its cost back"),
    ] {
        let (text, code) = serve(&wrong);
        assert!(code == 2 && text.contains(flag) && text.contains(word), "{text}");
        assert!(!place.join("l").exists(), "{wrong:?} left a folder");
    }
    let chosen = ["--demands-max", "30", "--stake-wei-min", "2ether", "--move-floor-ms", "800"];
    let (process, url) = ledger_with(place, &chosen);
    let told = json(place, &["ledger", "parameters", "--ledger", &url]);
    let parameters = &told["parameters"];
    assert_eq!(parameters.as_object().unwrap().len(), 28);
    assert_eq!(parameters["demands_max"], 30);
    assert_eq!(parameters["stake_wei_min"], (2 * ETHER).to_string());
    // The rest is the preset's.
    assert_eq!(parameters["window_ms_min"], 5_000);
    drop(process);
    // They are fixed: the same flags go on, others are refused by name.
    let (text, code) = serve(&["--demands-max", "31"]);
    assert!(code == 2 && text.contains("began with demands_max 30"), "{text}");
    let (process, _) = ledger_with(place, &chosen);
    drop(process);
    // Looked at before there is any ledger, with the same words of what is wrong.
    let words = ["ledger", "parameters", "--preset", "fast"];
    let asked = json(place, &[&words[..], &chosen].concat());
    assert_eq!(&asked["parameters"], parameters);
    assert_eq!(asked["follows"], told["follows"]);
    let (text, code) = run(place, &[&words[..], &["--reply-ms", "2000"]].concat());
    assert!(code == 2 && text.contains("--reply-ms") && text.contains("served_max"), "{text}");
    for line in run(place, &words).0.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn audit_a7_posting_takes_the_fees_of_its_records_and_one_request_twice_makes_two_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let now = ["--patience-seconds", "0"];
    let (first, second) = (job_of(&ask(place, &url, &now)), job_of(&ask(place, &url, &now)));
    assert_ne!(first, second);
    let account = run(place, &["key", "show", "--dev", "client"]).0.trim().to_owned();
    let shown = json(place, &["account", "show", &account, "--ledger", &url]);
    // Two fees of 0.01 are locked, three records of 0.0001 burned: the model's and the jobs'.
    assert_eq!(shown["fees_wei"], (2 * ETHER / 100).to_string());
    assert_eq!(shown["gained_wei"], format!("-{}", 3 * ETHER / 10_000));
    // Who has the fee and not the record's is told what is missing.
    let free_wei: u128 = shown["free_wei"].as_str().unwrap().parse().unwrap();
    let rest = (free_wei - ETHER / 100).to_string();
    let withdraw = ["account", "withdraw", &rest, "--dev", "client", "--ledger", &url];
    assert_eq!(run(place, &withdraw).1, 0);
    let text = ask(place, &url, &now);
    assert!(text.contains("posting takes 0.0101 ETH") && text.contains("record"), "{text}");
    // Dust is neither put in nor taken out.
    let withdraw = ["account", "withdraw", "1wei", "--dev", "client", "--ledger", &url];
    let (text, code) = run(place, &withdraw);
    assert!(code == 2 && text.contains("least transfer"), "{text}");
}

#[test]
fn audit_a8_a_job_that_nobody_claims_in_its_time_expires_and_its_fee_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let job = job_of(&ask(place, &url, &["--open-ms", "600000", "--patience-seconds", "0"]));
    let expire = ["account", "expire-job", &job, "--dev", "anybody", "--ledger", &url];
    let (text, code) = run(place, &expire);
    assert!(code == 2 && text.contains("too early"), "{text}");
    // Whoever waits does it when it may, and says what came of it.
    let text = ask(place, &url, &["--open-ms", "1000"]);
    assert!(text.contains("expired") && text.contains("its fee went back"), "{text}");
    let status = json(place, &["ledger", "status", "--ledger", &url]);
    assert_eq!((&status["jobs"], &status["jobs_open"]), (&2.into(), &1.into()), "{status}");
    let account = run(place, &["key", "show", "--dev", "client"]).0.trim().to_owned();
    let shown = json(place, &["account", "show", &account, "--ledger", &url]);
    assert_eq!(shown["fees_wei"], (ETHER / 100).to_string());
    let (text, _) =
        run(place, &["ledger", "list", "jobs", "--status", "expired", "--ledger", &url]);
    assert!(text.contains("1 job"), "{text}");
}

#[test]
fn a_job_that_names_its_executor_is_left_by_others_and_they_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let named = run(place, &["key", "show", "--dev", "named"]).0.trim().to_owned();
    let words = ["executor", "serve", "--no-preflight"];
    let (_other, office) = daemon(place, &url, &words, "other");
    let job = job_of(&ask(place, &url, &["--executor", &named, "--patience-seconds", "0"]));
    let reason = until("the refusal", || {
        let status: Value = serde_json::from_str(&get(&office, "/v1/status").1).unwrap();
        let all = status["declined"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["job"] == job.as_str())?;
        Some(found["reason"].as_str().unwrap().to_owned())
    });
    assert!(reason.contains("names another executor"), "{reason}");
    let (_named, _) = daemon(place, &url, &words, "named");
    let claim = until("the claim", || {
        let listed: Value =
            serde_json::from_str(&get(&url, &format!("/v1/claims?job={job}")).1).unwrap();
        (listed["total"] == 1).then(|| listed["items"][0].clone())
    });
    assert_eq!(claim["executor"], named.as_str());
}

/// A well-known key of a ledger to try things.
fn key(name: &str) -> Key {
    Key::from_secret(&keccak(format!("rebut devnet {name}").as_bytes()).0).unwrap()
}

/// A ledger and those who move on it.
struct Table {
    ledger: HttpLedger,
    runtime: tokio::runtime::Runtime,
}

impl Table {
    fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ledger = runtime.block_on(HttpLedger::connect(url, None)).unwrap();
        Self { ledger, runtime }
    }

    fn view(&self) -> View {
        self.runtime.block_on(self.ledger.view()).unwrap()
    }

    fn act(&self, who: &str, action: &Action) {
        let (view, key) = (self.view(), key(who));
        let nonce = view.settlement.nonce(&key.address());
        let signed = key.sign(&view.settlement.domain(), nonce, action);
        let told = self.runtime.block_on(self.ledger.submit(signed));
        told.unwrap_or_else(|error| panic!("{who} {}: {error}", action.name()));
    }

    /// Claims some run on the job: its states are made up but for the input.
    fn claim(&self, who: &str, job: &JobId, states: u32) -> ClaimId {
        let view = self.view();
        let terms = &view.settlement.job(job).unwrap().terms;
        let mut roots: Vec<Digest> = (0..states).map(|at| keccak(who.as_bytes()).at(at)).collect();
        roots[0] = terms.input_root;
        let statement =
            Statement::of_run::<protocol::hash::Keccak>(*job, terms.model_root, &roots).unwrap();
        let id = claim_id(key(who).address(), &statement.terms);
        self.act(who, &Action::PostClaim { statement });
        id
    }

    /// Demands the first thing that can be demanded of every claim.
    fn demand(&self, who: &str, claim: ClaimId) {
        let hash = self.view().settlement.claim(&claim).unwrap().terms.sequence_root;
        let (tree, kind) = (Tree::Sequence {}, TreeKind::List { count: 1 });
        let ask = Ask::Open { place: Place { tree, kind, depth: 0, index: 0, hash } };
        let (showings, path) = (Vec::new(), Vec::new());
        self.act(who, &Action::Demand { claim, showings, ask, path, from: None });
    }

    /// Two challenge, the first demands what nobody answers; the claim falls when its time is called.
    fn convict(&self, claim: ClaimId, challengers: [&str; 2]) {
        for who in challengers {
            self.act(who, &Action::Challenge { claim });
        }
        self.demand(challengers[0], claim);
        std::thread::sleep(Duration::from_millis(2_500));
        let challenger = key(challengers[0]).address();
        self.act("anybody", &Action::CallTime { claim, challenger });
    }
}

/// Digests that differ.
trait At {
    fn at(self, place: u32) -> Digest;
}

impl At for Digest {
    fn at(self, place: u32) -> Digest {
        keccak(&[&self.0[..], &place.to_be_bytes()].concat())
    }
}

#[test]
fn after_claims_that_fell_out_of_order_a_job_is_settled_and_what_is_due_is_fetched_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    // Clocks of two seconds, so that silence is soon over.
    let clocks = ["--executor-clock-ms", "2000", "--challenger-clock-ms", "2000"];
    let floors = ["--move-floor-ms", "50", "--reply-ms", "3"];
    let (_ledger, url) = ledger_with(place, &[&clocks[..], &floors].concat());
    let table = Table::new(&url);
    let bank = key("bank").address();
    assert_eq!(table.view().settlement.genesis().bank, bank);
    for who in ["one", "two", "three", "four", "first", "second", "anybody"] {
        let (account, amount_wei) = (key(who).address(), 10 * ETHER);
        table.act("bank", &Action::Deposit { account, amount_wei });
    }
    let window = ["--window-ms", "9000", "--patience-seconds", "0"];
    let job = job_of(&ask(place, &url, &window));
    let job_id = JobId(protocol::hash::parse_digest(&job).unwrap());
    let model_root = table.view().settlement.job(&job_id).unwrap().terms.model_root;
    let states = table.view().settlement.model(&model_root).unwrap().state_count();
    let claims = ["one", "two", "three", "four"].map(|who| table.claim(who, &job_id, states));
    // The second falls before the first: it must be passed.
    table.convict(claims[1], ["first", "second"]);
    table.convict(claims[0], ["first", "second"]);
    let at = ["--ledger", &url];
    let by = |words: &[&str]| run(place, &[words, &["--dev", "anybody"], &at].concat());
    let second = key("second").address().to_string();
    let shown = || json(place, &[&["account", "show", &second], &at[..]].concat());
    assert_eq!((&shown()["to_collect"], &shown()["challenges"]), (&2.into(), &0.into()));
    let (text, _) = run(place, &[&["account", "show", &second], &at[..]].concat());
    assert!(text.contains("to fetch      2 challenges to collect"), "{text}");
    let status = json(place, &[&["ledger", "status"], &at[..]].concat());
    assert_eq!(status["challenges_to_collect"], 2);
    let (text, code) = by(&["account", "settle-job", &job]);
    assert!(code == 2 && text.contains("too early"), "{text}");
    // The number of the rejection, for programs.
    let settle = ["account", "settle-job", &job, "--dev", "anybody"];
    let told = json(place, &[&settle[..], &at].concat());
    assert_eq!((&told["error"]["kind"], &told["error"]["code"]), (&"ledger".into(), &7.into()));
    let settled = until("the end of the window", || {
        let (text, code) = by(&["account", "settle-job", &job]);
        assert!(code == 0 || text.contains("too early"), "{text}");
        (code == 0).then_some(text)
    });
    assert!(settled.contains("made the answer of its job"), "{settled}");
    let view = table.view();
    assert_eq!(view.settlement.job(&job_id).unwrap().first_standing, 2);
    let status_of = |id: &ClaimId| {
        let one: Value = serde_json::from_str(&get(&url, &format!("/v1/claims/{id}")).1).unwrap();
        one["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(claims.map(|id| status_of(&id)), ["rejected", "rejected", "final", "standing"]);
    // The fourth is not needed any more; its stake waits.
    let fourth = key("four").address().to_string();
    let shown_fourth = json(place, &[&["account", "show", &fourth], &at[..]].concat());
    assert_eq!(shown_fourth["to_release"], 1);
    let (text, code) = by(&["account", "release", &claims[3].to_string()]);
    assert!(code == 0 && text.contains("stake"), "{text}");
    assert_eq!(status_of(&claims[3]), "released");
    // Anybody collects for anybody, once.
    for claim in &claims[..2] {
        let words = ["account", "collect", &claim.to_string(), "--challenger", &second];
        assert_eq!(by(&words).1, 0);
        let (text, code) = by(&words);
        assert!(code == 2 && text.contains("over"), "{text}");
    }
    // A record for each challenge is gone, and more than that was shared.
    let gained: i128 = shown()["gained_wei"].as_str().unwrap().parse().unwrap();
    assert!(gained > 0, "{gained}");
    assert_eq!(shown()["to_collect"], 0);
    let (text, _) =
        run(place, &[&["challenger", "explain", &claims[1].to_string()], &at[..]].concat());
    for words in ["number        1", "sequence root 0x", "collected by", "passed by"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let view = table.view();
    assert!(view.settlement.money().is_conserved());
    assert_eq!(view.settlement.money().locked_wei(), view.settlement.locked_by_objects_wei());
}

#[test]
fn whoever_asked_ends_what_is_late_on_its_job_and_anybody_does_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let clocks = ["--executor-clock-ms", "2000", "--challenger-clock-ms", "2000"];
    let floors = ["--move-floor-ms", "50", "--reply-ms", "3"];
    let (_ledger, url) = ledger_with(place, &[&clocks[..], &floors].concat());
    let table = Table::new(&url);
    for who in ["one", "two", "three", "first", "second"] {
        let (account, amount_wei) = (key(who).address(), 10 * ETHER);
        table.act("bank", &Action::Deposit { account, amount_wei });
    }
    let model = models().join("digits-cnn.onnx").display().to_string();
    let input = models().join("samples/digit-3.npy").display().to_string();
    // Without a run of its own the client takes any claim for a right one.
    let client = rebut()
        .args(["request", &model, "--input", &input, "--dev", "client", "--ledger", &url])
        .args(["--no-verify", "--patience-seconds", "60"])
        .current_dir(place)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let job = until("the job", || table.view().settlement.jobs().next().map(|(id, _)| *id));
    let model_root = table.view().settlement.job(&job).unwrap().terms.model_root;
    let states = table.view().settlement.model(&model_root).unwrap().state_count();
    let claims = ["one", "two"].map(|who| table.claim(who, &job, states));
    // An executor that does not answer, and an accomplice of one that says nothing.
    table.act("first", &Action::Challenge { claim: claims[0] });
    table.demand("first", claims[0]);
    table.act("second", &Action::Challenge { claim: claims[1] });
    let ended = client.wait_with_output().unwrap();
    let text = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(ended.status.success() && text.contains(&claims[1].to_string()), "{text}");
    let (view, actions) = services::view_of(&url);
    let called = actions.iter().filter(|action| matches!(action, Action::CallTime { .. }));
    assert_eq!(called.count(), 2);
    assert!(!view.settlement.claim(&claims[0]).unwrap().stands());
    // Of another job nobody waits: it is ended by hand.
    let other = job_of(&ask(place, &url, &["--patience-seconds", "0"]));
    let claim = table.claim("three", &JobId(protocol::hash::parse_digest(&other).unwrap()), states);
    table.act("first", &Action::Challenge { claim });
    std::thread::sleep(Duration::from_millis(2_500));
    let settle = ["account", "settle-job", &other, "--dev", "one", "--ledger", &url];
    let (text, code) = run(place, &settle);
    assert!(code == 2 && text.contains("time called") && text.contains("too early"), "{text}");
    until("the end of the window", || (run(place, &settle).1 == 0).then_some(()));
    assert!(table.view().settlement.money().is_conserved());
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copied(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

#[test]
fn audit_a10_two_logs_under_one_key_are_proven_and_one_log_is_not() {
    let [one, other] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    drop(ledger(one.path()));
    copied(&one.path().join("l"), &other.path().join("l"));
    let ((_one, url), (_other, other_url)) = (ledger(one.path()), ledger(other.path()));
    let audit = ["ledger", "audit", &url, &other_url];
    let (text, code) = run(one.path(), &audit);
    assert!(code == 2 && text.contains("both signed the same head at height 0"), "{code} {text}");
    // Each begins with a deposit of its own.
    let account = "0x00000000000000000000000000000000000000a1";
    for (place, url, amount) in [(&one, &url, "1ether"), (&other, &other_url, "2ether")] {
        let deposit = ["account", "deposit", account, amount, "--dev", "bank", "--ledger", url];
        let (text, code) = run(place.path(), &deposit);
        assert_eq!(code, 0, "{text}");
    }
    let (text, code) = run(one.path(), &audit);
    assert!(code == 1 && text.starts_with("they differ from height 1 on"), "{code} {text}");
    let document = json(one.path(), &audit);
    let fields = (&document["agree"], &document["equivocation"], &document["height"]);
    assert_eq!(fields, (&Value::from(false), &Value::from(true), &Value::from(1)));
    assert_ne!(document["heads"][0]["chain"], document["heads"][1]["chain"]);
    let (text, code) = run(one.path(), &["ledger", "audit", &url, &url]);
    assert!(code == 0 && text.starts_with("both signed the same head at height "), "{code} {text}");
    let (text, code) = run(one.path(), &["ledger", "audit", &url, "http://127.0.0.1:1"]);
    assert_eq!(code, 2, "{text}");
    // The key is its owner's alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = std::fs::metadata(one.path().join("l/head.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}
