//! Ledger, executors, challenger and client in processes of their own; kills at random moments.
//!
//! `REBUT_KILLS=1000 cargo test --release --test services kills` runs as many kills as that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::ids::{ClaimId, JobId};
use protocol::settlement::{ClaimStatus, FallReason, JobStatus};
use protocol::transaction::Action;
use serde_json::Value;
use services::{
    Town, daemon, get, gray, http, infer, ledger, lying_server, models, rebut, report, token,
};

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
    // The receipt proves it without the model, and proves nothing else.
    let verify = ["receipt", "verify", "receipt.json", "--outputs", "out-3.npz"];
    let (text, code) = town.run(&[&verify[..], &["--ledger", &town.url]].concat());
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("receipt", text);
    let other = town.run(&["run", &model, "--input", &input.replace("-3", "-4"), "--out", "other"]);
    assert_eq!(other.1, 0, "{}", other.0);
    let verify = ["receipt", "verify", "receipt.json", "--outputs", "other/outputs.npz"];
    let (text, code) = town.run(&verify);
    assert!(
        code == 1 && text.contains("NO, this does not hold: the outputs are those of the claim"),
        "{text}"
    );
    let receipt = String::from_utf8(read("receipt.json")).unwrap();
    let parsed: Value = serde_json::from_str(&receipt).unwrap();
    for (field, found) in [
        ("output_root", "the output is the run's last state"),
        ("input_root", "the input is the run's first state"),
        ("sequence_root", "the claim's id covers its terms"),
        ("salt", "the claim's id covers its terms"),
        ("job", "the claim's id covers its terms"),
        ("executor", "the claim's id covers its terms"),
    ] {
        let mut changed = parsed.clone();
        let text = changed[field].as_str().unwrap().to_owned();
        let digit = if text.ends_with('0') { "1" } else { "0" };
        changed[field] = Value::from(format!("{}{digit}", &text[..text.len() - 1]));
        std::fs::write(town.folder.path().join("changed.json"), changed.to_string()).unwrap();
        let (text, code) = town.run(&["receipt", "verify", "changed.json"]);
        assert!(
            code == 1 && text.contains(&format!("NO, this does not hold: {found}")),
            "{field}: {text}"
        );
    }
    // The dispute's path, from the log alone.
    let is_refuted =
        |claim: &&(ClaimId, ClaimStatus)| matches!(claim.1, ClaimStatus::Fallen { .. });
    let all: Vec<(ClaimId, ClaimStatus)> =
        view.settlement.claims().map(|(id, claim)| (*id, claim.status.clone())).collect();
    let fallen = all.iter().find(is_refuted).unwrap().0.to_string();
    let (text, code) =
        town.run(&["challenger", "explain", &fallen, "--ledger", &town.url, "--json"]);
    assert_eq!(code, 0, "{text}");
    let explained: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(explained["verdict"]["verdict"], "fraud");
    assert_eq!(explained["verdict"]["layer"]["index"], 1);
    // Money and transactions of this claim, whatever else its parties did.
    assert!(town.request(4).wait().unwrap().success());
    let (text, _) = town.run(&["challenger", "explain", &fallen, "--ledger", &town.url, "--json"]);
    let later: Value = serde_json::from_str(&text).unwrap();
    let money = &later["verdict"]["money"];
    assert_eq!(money["executor_delta_wei"], "-1000100000000000000", "{text}");
    assert_eq!(money["challenger_delta_wei"], "459900000000000000", "{text}");
    assert_eq!(money["burned_by_claim_wei"], "540200000000000000", "{text}");
    assert_eq!(later["verdict"]["transactions"], explained["verdict"]["transactions"]);
    let path = explained["path"].as_array().unwrap();
    assert!(
        path.len() >= 6 && path.last().unwrap().as_str().unwrap().contains("refuted: operator")
    );
}

/// Every answer to the same demand is the same, whatever died between two tries.
fn no_move_was_made_twice_with_another_content(actions: &[Action]) {
    let mut said: HashMap<(ClaimId, String), String> = HashMap::new();
    let mut claimed: HashMap<JobId, Vec<String>> = HashMap::new();
    for action in actions {
        match action {
            Action::Reveal { claim, ask, answer, .. } => {
                let (key, content) = ((*claim, format!("{ask:?}")), format!("{answer:?}"));
                let before = said.entry(key).or_insert_with(|| content.clone());
                assert_eq!(*before, content);
            }
            Action::PostClaim { statement } => {
                let terms = &statement.terms;
                claimed.entry(terms.job).or_default().push(terms.sequence_root.to_string());
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
        assert_eq!(report["schema"], 6);
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
        let is_true = truth.contains(&claim.trace_root.to_string());
        let (status, challenges) = (&claim.status, claim.challenges);
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

#[test]
fn who_holds_the_token_gets_output_and_claim_at_once_and_anybody_can_look_into_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (_executor, office) =
        daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    let asked = gray();
    let post = |token: &str, body: &str| http(&office, &infer(token), body);
    assert_eq!(post("0x00", &asked).0, 401);
    let token = token(place);
    let token = token.as_str();
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
    use node::metrics::{Kind, METRICS, Of};
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (_executor, executor) =
        daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    let (_challenger, challenger) = daemon(place, &url, &["challenger", "run"], "challenger");
    for (at, services) in [
        (&url, vec![Of::All, Of::Ledger]),
        (&executor, vec![Of::All, Of::Daemons, Of::Executor]),
        (&challenger, vec![Of::All, Of::Daemons, Of::Challenger]),
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
            let mut own = METRICS.iter().filter(|one| services.contains(&one.0));
            own.any(|(_, known, ..)| *known == name || Some(*known) == base)
        };
        let unknown: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty() && !known(line))
            .collect();
        assert!(unknown.is_empty(), "not in the list of its metrics: {unknown:?}");
    }
}

#[test]
fn dashboards_and_alerts_name_only_metrics_that_exist_and_every_metric_is_on_the_dashboard() {
    use node::metrics::METRICS;
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

#[test]
fn a_lie_that_nobody_challenges_alarms_the_monitor_and_its_place_can_be_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let models = models().display().to_string();
    let at = ["--ledger", &url, "--models", &models];
    let lie = ["executor", "serve", "--no-preflight", "--lie", "1:3:0:+400000"];
    let (_liar, office) = daemon(place, &url, &lie, "liar");
    // It keeps alarming after the lie has won.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let watching = format!("http://{port}");
    let listen = port.to_string();
    let words = [&["monitor"], &at[..], &["--listen", &listen]].concat();
    let _monitor = services::Process::start(place, &words);
    let (status, text) = http(&office, &infer(&token(place)), &gray());
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let claim = answer["claim"].as_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = rebut().args(arguments).current_dir(place).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text, output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (text, code, _) = run(&[&["--json", "monitor", "--once"], &at[..]].concat());
    let look: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &look["false_claims"][0]), (1, &answer["claim"]), "{text}");
    assert_eq!(look["alerts"][0]["alert"], "unchallenged");
    let (text, code, _) = run(&[&["monitor", "--once"], &at[..]].concat());
    assert_eq!(code, 1);
    let left = text.find(" s left").unwrap();
    // One digit of seconds; another number may be the same.
    let left = &text[left - 1..left + " s left".len()];
    insta::assert_snapshot!("monitor", text.replace(claim, "CLAIM").replace(left, "N s left"));
    // Here nothing is left to chance: the same keys post and claim the same.
    for (name, words) in [
        ("status", vec!["ledger", "status"]),
        ("claims", vec!["ledger", "list", "claims"]),
        ("challenges", vec!["ledger", "list", "challenges"]),
        ("explain", vec!["challenger", "explain", claim]),
    ] {
        let (text, code, error) = run(&[&words[..], &["--ledger", &url]].concat());
        assert_eq!(code, 0, "{error}");
        let kept = text.lines().map(|line| match line.trim_end().rsplit_once("  ") {
            Some((row, left)) if left.ends_with(" s") || left == "over" => row.trim_end(),
            _ => line,
        });
        let text = kept.collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!("liar_{name}"), timeless(&text));
    }
    let explain = [&["challenger", "explain", claim], &at[..]].concat();
    let (text, code, _) = run(&[&explain[..], &["--executor", &office]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("DIFFERS") && text.contains("views part    after layer 1"), "{text}");
    // Whoever serves other data is found out.
    let trace = get(&office, &format!("/v1/traces/{}", answer["trace_root"].as_str().unwrap())).1;
    let mut trace: Value = serde_json::from_str(&trace).unwrap();
    trace["state_roots"][1] = trace["state_roots"][0].clone();
    for text in [trace.to_string(), "{}".to_owned(), "no json".to_owned()] {
        let liar = lying_server(text);
        let (text, code, error) = run(&[&explain[..], &["--executor", &liar]].concat());
        assert_eq!(code, 2, "{text}");
        // What the ledger says is told all the same.
        assert!(text.contains("DIFFERS") && error.contains("not everything"), "{text}{error}");
        assert!(text.contains("the server lies") || text.contains("expected"), "{text}");
    }
    let begun = Instant::now();
    while !get(&watching, "/metrics").1.contains("rebut_monitor_false_final 1") {
        assert!(begun.elapsed() < Duration::from_secs(20), "no alarm of a lie that won");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Times, and what depends on how fast a machine is, out of a text.
fn timeless(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words = String::new();
        let mut digits = String::new();
        for letter in line.chars().chain(['\n']) {
            if letter.is_ascii_digit() {
                digits.push(letter);
                continue;
            }
            words.push_str(if digits.len() == 13 { "TIME" } else { &digits });
            digits.clear();
            words.push(letter);
        }
        // Each ledger draws its genesis anew.
        if words.starts_with("genesis ") {
            lines.push("genesis              HASH".to_owned())
        } else if words.starts_with("signer ") {
            lines.push("signer               SIGNER".to_owned())
        } else {
            lines.push(without_moments(words.trim_end()))
        }
    }
    lines.join("\n")
}

/// A line with MOMENT for what looks like `2026-11-25 07:30:12 UTC`.
fn without_moments(line: &str) -> String {
    const FORM: &str = "0000-00-00 00:00:00 UTC";
    let fits = |text: &str| {
        text.len() == FORM.len()
            && text.bytes().zip(FORM.bytes()).all(|(found, form)| match form {
                b'0' => found.is_ascii_digit(),
                other => found == other,
            })
    };
    let found = (0..line.len()).find(|at| line.get(*at..at + FORM.len()).is_some_and(fits));
    match found {
        None => line.to_owned(),
        Some(at) => format!("{}MOMENT{}", &line[..at], &line[at + FORM.len()..]),
    }
}

#[test]
fn what_people_read_reads_as_it_did_and_what_programs_read_has_a_version() {
    let town = Town::new();
    let model = models().join("digits-transformer.onnx").display().to_string();
    let input = models().join("samples/digit-3.npy").display().to_string();
    let at = ["--ledger", &town.url];
    let run = |words: &[&str]| {
        let (text, code) = town.run(&[words, &at[..]].concat());
        assert_eq!(code, 0, "{words:?}: {text}");
        text
    };
    let asked = run(&["request", &model, "--input", &input, "--dev", "client"]);
    // Who of the two claims first is chance, and with it every id: the lines are told, not the ids.
    let begins = ["job ", "claimed ", "challenged ", "answered ", "rejected ", "final claim "];
    for begin in begins {
        assert!(asked.lines().any(|line| line.starts_with(begin)), "{begin}: {asked}");
    }
    assert!(asked.lines().any(|line| line.starts_with("output root   0x")), "{asked}");
    let account = town.account("client");
    let shapes: Vec<(&str, Vec<&str>)> = vec![
        ("status", vec!["ledger", "status"]),
        ("jobs", vec!["ledger", "list", "jobs"]),
        ("claims", vec!["ledger", "list", "claims"]),
        ("challenges", vec!["ledger", "list", "challenges"]),
        ("account", vec!["account", "show", &account]),
    ];
    for (name, words) in shapes {
        let text = run(&words);
        if ["jobs", "account"].contains(&name) {
            // Ids of jobs, and the client's money, depend on nothing that chance decides.
            let text = text.lines().filter(|line| !line.contains("block height"));
            insta::assert_snapshot!(name, timeless(&text.collect::<Vec<_>>().join("\n")));
        } else {
            let fields: Vec<&str> =
                text.lines().filter_map(|line| line.split_whitespace().next()).collect();
            assert!(fields.len() > 2, "{text}");
        }
        let text = run(&[&["--json"], &words[..]].concat());
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["schema"], 6, "{words:?}: {text}");
    }
    let (text, code) = town.run(&["--json", "ledger", "status", "--ledger", "http://127.0.0.1:9"]);
    assert_eq!(code, 2);
    let document: Value = serde_json::from_str(text.split("\nerror:").next().unwrap()).unwrap();
    assert_eq!(
        (document["schema"].as_u64(), &document["error"]["kind"]),
        (Some(6), &"system".into())
    );
}
