//! What an audit and newcomers found around the services, with real processes: what failed once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use services::{Way, daemon, get, ledger, ledger_with, models, rebut};

/// Waits until something holds.
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

fn status(at: &str) -> Value {
    let (code, text) = get(at, "/v1/status");
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Posts a job on digits-cnn; nobody waits for its answer.
fn job(place: &Path, url: &str, more: &[&str]) -> String {
    job_on(place, url, 3, more)
}

/// As [`job`], with another picture.
fn job_on(place: &Path, url: &str, digit: u32, more: &[&str]) -> String {
    let model = models().join("digits-cnn.onnx").display().to_string();
    let input = models().join(format!("samples/digit-{digit}.npy")).display().to_string();
    let output = rebut()
        .args(["request", &model, "--input", &input, "--dev", "client", "--ledger", url])
        .args(["--patience-seconds", "1"])
        .args(more)
        .current_dir(place)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let job = text.split_whitespace().find(|word| word.starts_with("0x")).map(str::to_owned);
    job.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn audit_a3_a_job_whose_runs_are_killed_is_quarantined_and_its_daemons_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // No run ends in no time: each is killed.
    let words = ["executor", "serve", "--no-preflight", "--run-seconds-max", "0"];
    let (mut executor, office) = daemon(place, &url, &words, "honest");
    let job = job(place, &url, &[]);
    until("the quarantine", || (status(&office)["quarantined_count"] == 1).then_some(()));
    executor.lives();
    assert_eq!(get(&office, "/healthz").0, 200);
    let file = place.join("executor-data").read_dir().unwrap().next().unwrap().unwrap();
    let kept = std::fs::read_to_string(file.path().join("quarantine")).unwrap();
    assert!(kept.contains(&job), "{kept}");
    // A challenger whose runs are killed says which claim it does not check.
    let words = ["challenger", "run", "--run-seconds-max", "0"];
    let (mut challenger, checked) = daemon(place, &url, &words, "challenger");
    let (_other, _) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "other");
    let text = until("the alarm", || {
        let (_, text) = get(&checked, "/readyz");
        text.contains("quarantined").then_some(text)
    });
    assert!(text.contains("NOT CHECKED: 1"), "{text}");
    assert_eq!(status(&checked)["unchecked"][0]["why"], "quarantined");
    challenger.lives();
}

#[test]
fn audit_a8_a_job_that_is_not_worth_its_stake_is_declined_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    for (name, setting, word) in [
        ("poor", ["--fee-min", "0.02ether"], "--fee-min"),
        ("careful", ["--stake-percent-max", "1"], ""),
        ("cautious", ["--window-hours-max", "0"], "--window-hours-max"),
    ] {
        let words = [&["executor", "serve", "--no-preflight"][..], &setting[..]].concat();
        let (_executor, office) = daemon(place, &url, &words, name);
        let job = job(place, &url, &[]);
        if word.is_empty() {
            // One ether of a hundred is one percent: taken.
            until("the claim", || {
                (status(&office)["claims_standing"].as_u64() >= Some(1)).then_some(())
            });
            continue;
        }
        let declined = until("the refusal", || {
            let status = status(&office);
            let all = status["declined"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|one| one["job"] == job.as_str())
        });
        assert!(declined["reason"].as_str().unwrap().contains(word), "{declined}");
        assert_eq!(status(&office)["claims_standing"], 0);
    }
}

#[test]
fn a_claim_on_an_input_that_nobody_published_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight", "--long-percent-max", "100"];
    let (_executor, office) = daemon(place, &url, &words, "honest");
    let job = job(place, &url, &["--window-ms", "60000"]);
    // An executor that does not get the input claims nothing.
    until("the claim", || (status(&office)["claims_standing"] == 1).then_some(()));
    // What was published is gone before the challenger looks.
    std::fs::remove_dir_all(place.join("l/inputs")).unwrap();
    std::fs::create_dir(place.join("l/inputs")).unwrap();
    let (_challenger, checked) = daemon(place, &url, &["challenger", "run"], "challenger");
    let status = until("the alarm", || {
        let status = status(&checked);
        (status["unchecked_count"] == 1).then_some(status)
    });
    let gap = &status["unchecked"][0];
    assert_eq!((&gap["why"], &gap["job"]), (&Value::from("input-missing"), &Value::from(job)));
    assert_eq!(status["ready"], true);
}

#[test]
fn an_executor_runs_what_its_money_can_claim_and_tells_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // The windows are long ones on this ledger: half of the money is kept for short ones otherwise.
    let words = ["executor", "serve", "--no-preflight", "--stake-percent-max", "100"];
    let words = [&words[..], &["--long-percent-max", "100"]].concat();
    let (_executor, office) = daemon(place, &url, &words, "honest");
    let withdraw = ["account", "withdraw", "98.5ether", "--dev", "honest", "--ledger", &url];
    assert!(rebut().args(withdraw).output().unwrap().status.success());
    for digit in [3, 4, 5] {
        job_on(place, &url, digit, &["--window-ms", "60000"]);
    }
    let status = until("the claim", || {
        let status = status(&office);
        (status["claims_standing"] == 1 && status["unaffordable_count"] == 2).then_some(status)
    });
    // Nothing waits in memory for money.
    assert_eq!(status["runs_kept"], 1, "{status}");
}

#[test]
fn audit_a8_long_windows_lock_half_of_the_money_and_leave_the_rest_to_short_ones() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight", "--stake-percent-max", "100"];
    let (_executor, office) = daemon(place, &url, &words, "honest");
    let withdraw = ["account", "withdraw", "97ether", "--dev", "honest", "--ledger", &url];
    assert!(rebut().args(withdraw).output().unwrap().status.success());
    for digit in [3, 4] {
        job_on(place, &url, digit, &["--window-ms", "60000"]);
    }
    until("the second long job left", || {
        let status = status(&office);
        (status["claims_standing"] == 1 && status["beyond_long_count"] == 1).then_some(())
    });
    let job = job_on(place, &url, 5, &[]);
    until("the short job's claim", || {
        let (code, text) = get(&url, &format!("/v1/claims?job={job}"));
        let found: Value = serde_json::from_str(&text).ok().filter(|_| code == 200)?;
        (found["total"] == 1).then_some(())
    });
}

#[test]
fn a_run_is_claimed_only_once_its_output_is_published_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    // Room for two inputs and one output, each of two blocks.
    let (ledger, url) = ledger_with(place, &["--uploads-bytes-max", "24576"]);
    for digit in [3, 4] {
        job_on(place, &url, digit, &["--window-ms", "60000"]);
    }
    let words = ["executor", "serve", "--no-preflight"];
    let (_executor, office) = daemon(place, &url, &words, "honest");
    let told = until("the refusal", || {
        let status = status(&office);
        (status["unpublished_count"] == 1).then_some(status)
    });
    assert_eq!(told["claims_standing"], 1, "{told}");
    // With room it is claimed at once.
    let port = url.rsplit(':').next().unwrap().to_owned();
    drop(ledger);
    let listen = format!("127.0.0.1:{port}");
    let serve = ["ledger", "serve", "--folder", "l", "--dev", "--listen", &listen];
    let (_ledger, _) = services::listening(place, &serve);
    until("the second claim", || (status(&office)["claims_standing"] == 2).then_some(()));
}

#[test]
fn a_challenger_that_let_go_of_its_run_makes_it_again_for_a_claim_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (_honest, _) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    let words = ["challenger", "run", "--runs-max", "0"];
    let (_challenger, checked) = daemon(place, &url, &words, "challenger");
    job(place, &url, &["--window-ms", "60000"]);
    until("the comparison", || {
        let (_, text) = get(&checked, "/metrics");
        text.contains("rebut_challenger_agreed_total 1").then_some(())
    });
    until("letting go", || (status(&checked)["runs_kept"] == 0).then_some(()));
    let liar = ["executor", "serve", "--no-preflight", "--lie", "2:3:0:+400000"];
    let (_liar, _) = daemon(place, &url, &liar, "liar");
    until("the conviction", || {
        let claims = get(&url, "/v1/claims?status=rejected").1;
        claims.contains("rejected: operator").then_some(())
    });
    until("letting go again", || (status(&checked)["runs_kept"] == 0).then_some(()));
}

#[test]
fn a_challenger_that_drew_nothing_plays_the_dispute_it_opened_before_its_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight", "--lie", "2:3:0:+400000"];
    let (liar, _) = daemon(place, &url, &words, "liar");
    job(place, &url, &["--window-ms", "60000"]);
    until("the claim", || get(&url, "/v1/claims").1.contains("standing").then_some(()));
    // It answers nothing for a while: the challenge stays open.
    let signal = |name: &str| {
        let id = liar.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    let (mut challenger, _) = daemon(place, &url, &["challenger", "run"], "challenger");
    until("the demand", || {
        get(&url, "/v1/challenges").1.contains(r#""turn":"executor""#).then_some(())
    });
    challenger.child.kill().unwrap();
    let words = ["challenger", "run", "--sample-permille", "0"];
    let (_challenger, _) = daemon(place, &url, &words, "challenger");
    signal("-CONT");
    until("the conviction", || {
        get(&url, "/v1/claims?status=rejected").1.contains("rejected: operator").then_some(())
    });
}

#[test]
fn a_claim_that_could_not_be_run_in_time_is_told_as_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (_honest, _) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    let (challenger, checked) = daemon(place, &url, &["challenger", "run"], "challenger");
    // A first run, so that its process for runs is there; then that one stands still.
    job_on(place, &url, 3, &[]);
    let worker = until("a run", || children(challenger.child.id()).first().copied());
    until("the comparison", || {
        let (_, text) = get(&checked, "/metrics");
        text.contains("rebut_challenger_agreed_total 1").then_some(())
    });
    assert!(Command::new("kill").args(["-STOP", &worker.to_string()]).status().unwrap().success());
    job_on(place, &url, 4, &[]);
    until("the warning", || (status(&checked)["saturated"] == true).then_some(()));
    until("the alarm", || (status(&checked)["too_late_count"] == 1).then_some(()));
}

#[test]
fn jobs_without_inputs_are_told_and_others_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // Inputs that nobody publishes: they are gone before an executor looks.
    for digit in [0, 1, 2] {
        job_on(place, &url, digit, &["--window-ms", "60000"]);
    }
    std::fs::remove_dir_all(place.join("l/inputs")).unwrap();
    std::fs::create_dir(place.join("l/inputs")).unwrap();
    let (_honest, office) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    job_on(place, &url, 3, &["--window-ms", "60000"]);
    let told = until("the claim", || {
        let status = status(&office);
        (status["claims_standing"] == 1).then_some(status)
    });
    assert_eq!(told["inputs_missing_count"], 3, "{told}");
}

#[test]
fn a_job_that_expired_keeps_its_place_until_its_run_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (honest, office) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    job(place, &url, &[]);
    let worker = until("a run", || children(honest.child.id()).first().copied());
    until("the first claim", || (status(&office)["claims_standing"] == 1).then_some(()));
    assert!(Command::new("kill").args(["-STOP", &worker.to_string()]).status().unwrap().success());
    let running = |wanted: u32| {
        let (_, text) = get(&office, "/metrics");
        text.contains(&format!("rebut_executor_jobs_running {wanted}\n")).then_some(())
    };
    for (digit, wanted) in [(4, 1), (5, 2), (6, 2)] {
        let id = job_on(place, &url, digit, &["--window-ms", "60000", "--open-ms", "3000"]);
        until("the hand-over", || running(wanted));
        // Anybody may, once its time for claims is over.
        let expire = ["account", "expire-job", &id, "--dev", "anybody", "--ledger", &url];
        until("the expiry", || {
            rebut().args(expire).output().unwrap().status.success().then_some(())
        });
        assert!(get(&url, &format!("/v1/jobs/{id}")).1.contains("expired"));
        // A look later it is still counted: what the worker holds is what the daemon says.
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(running(wanted), Some(()));
    }
}

/// Processes whose parent is this one.
fn children(of: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-P", &of.to_string()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[test]
fn the_process_for_runs_ends_with_its_daemon_however_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight"];
    let (mut executor, _) = daemon(place, &url, &words, "honest");
    job(place, &url, &[]);
    let started = until("a run", || children(executor.child.id()).first().copied());
    executor.child.kill().unwrap();
    executor.child.wait().unwrap();
    let gone = || (!Path::new(&format!("/proc/{started}")).exists()).then_some(());
    until("the end of the process for runs", gone);
}

#[test]
fn a_process_that_shall_end_with_its_parent_does() {
    let folder = tempfile::tempdir().unwrap();
    let binary = rebut().get_program().to_owned();
    // A shell starts it in the background, says its number, and is killed.
    let script = "\"$0\" ledger serve --folder l --dev --listen 127.0.0.1:0 >out 2>&1 & echo $!; exec sleep 60";
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .arg(binary)
        .env("REBUT_ENDS_WITH_PARENT", "1")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(shell.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let server = format!("/proc/{}", line.trim());
    let out = folder.path().join("out");
    let serves = || std::fs::read_to_string(&out).ok().filter(|text| text.contains(" at http"));
    until("the server", serves);
    shell.kill().unwrap();
    shell.wait().unwrap();
    until("the server's end", || (!Path::new(&server).exists()).then_some(()));
}

#[test]
fn whoever_asked_settles_a_job_that_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let (executor, _) = daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    let model = models().join("digits-cnn.onnx").display().to_string();
    let input = models().join("samples/digit-3.npy").display().to_string();
    let request = rebut()
        .args(["request", &model, "--input", &input, "--dev", "client", "--ledger", &url])
        .args(["--out", "answer.npz"])
        .current_dir(place)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the claim", || {
        let (_, text) = get(&url, "/v1/claims");
        text.contains("standing").then_some(())
    });
    drop(executor);
    let ended = request.wait_with_output().unwrap();
    let text = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(ended.status.success() && place.join("answer.npz").exists(), "{text}");
}

#[test]
fn a_false_claim_that_nobody_settles_is_an_alert_until_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let words = ["executor", "serve", "--no-preflight", "--lie", "corrupt-state"];
    let (liar, _) = daemon(place, &url, &words, "liar");
    let job = job(place, &url, &["--no-verify"]);
    until("the claim", || {
        let (_, text) = get(&url, "/v1/claims");
        text.contains("standing").then_some(())
    });
    drop(liar);
    std::thread::sleep(Duration::from_secs(6));
    let folder_of_models = models().display().to_string();
    let monitor = rebut()
        .args(["monitor", "--once", "--models", &folder_of_models, "--ledger", &url])
        .current_dir(place)
        .output()
        .unwrap();
    let text = String::from_utf8(monitor.stdout).unwrap();
    assert_eq!(monitor.status.code(), Some(1), "{text}");
    assert!(text.contains("1 false") && text.contains("ALERT false claim"), "{text}");
    let settle = ["account", "settle-job", &job, "--dev", "anybody", "--ledger", &url];
    let settled = rebut().args(settle).output().unwrap();
    assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));
    assert!(get(&url, "/v1/claims").1.contains("final"));
}

#[test]
fn a_daemon_whose_ledger_is_gone_says_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (ledger, url) = ledger(place);
    let (_executor, office) =
        daemon(place, &url, &["executor", "serve", "--no-preflight"], "honest");
    until("the first look", || (get(&office, "/readyz").0 == 200).then_some(()));
    let begun = Instant::now();
    drop(ledger);
    let text = until("the end of readiness", || {
        let (code, text) = get(&office, "/readyz");
        (code == 503).then_some(text)
    });
    assert!(begun.elapsed() < Duration::from_secs(8) && text.contains("not reached"), "{text}");
}

#[test]
fn a_ledger_that_has_run_does_not_begin_again_without_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (running, url) = ledger(place);
    until("its clock", || place.join("l/clock").exists().then_some(()));
    drop(running);
    std::fs::rename(place.join("l/log"), place.join("away")).unwrap();
    let listen = url.trim_start_matches("http://");
    let serve = ["ledger", "serve", "--folder", "l", "--dev", "--listen", listen];
    let mut refused = rebut();
    refused.args(serve).current_dir(place).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut refused = refused.spawn().unwrap();
    until("its end", || {
        refused.try_wait().unwrap().or_else(|| {
            // One that begins again never ends.
            (place.join("l/log").exists()).then(|| refused.kill().unwrap());
            None
        })
    });
    let ended = refused.wait_with_output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{text}");
    assert!(text.contains("bring it back"), "{text}");
    std::fs::rename(place.join("away"), place.join("l/log")).unwrap();
    drop(services::listening(place, &serve));
}

#[test]
fn an_executor_answers_while_a_state_is_slow_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    // Longer than any clock.
    let way = services::way(&url, move |part| {
        if part.starts_with(b"GET /v1/inputs/") && is_slow.load(SeqCst) {
            Way::After(Duration::from_secs(60))
        } else {
            Way::Through
        }
    });
    let words = ["executor", "serve", "--no-preflight", "--long-percent-max", "100"];
    let (_executor, office) = daemon(place, &way, &words, "honest");
    job_on(place, &url, 3, &["--window-ms", "60000", "--no-verify"]);
    until("the claim", || (status(&office)["claims_standing"] == 1).then_some(()));
    slow.store(true, SeqCst);
    job_on(place, &url, 4, &["--window-ms", "60000", "--no-verify"]);
    std::thread::sleep(Duration::from_secs(2));
    // It disputes whatever is right.
    let words = ["challenger", "run", "--lie", "corrupt-state"];
    let (_challenger, _) = daemon(place, &url, &words, "challenger");
    until("an answer", || {
        let (_, text) = get(&url, "/v1/challenges");
        let found: Value = serde_json::from_str(&text).ok()?;
        (found["items"][0]["replies"].as_u64()? > 0).then_some(())
    });
}

#[test]
fn a_look_that_fails_drops_no_transfer() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // A published state takes three seconds, and all else fails meanwhile.
    let coming = AtomicBool::new(false);
    let way = services::way(&url, move |part| {
        if part.starts_with(b"GET /v1/inputs/") {
            coming.store(true, SeqCst);
            std::thread::sleep(Duration::from_secs(3));
            coming.store(false, SeqCst);
        }
        if coming.load(SeqCst) { Way::Never } else { Way::Through }
    });
    let (_executor, office) =
        daemon(place, &way, &["executor", "serve", "--no-preflight"], "honest");
    job(place, &url, &["--no-verify", "--window-ms", "60000"]);
    until("the claim", || (status(&office)["claims_standing"] == 1).then_some(()));
}

#[test]
fn outputs_that_are_not_taken_keep_no_job_waiting_and_none_is_lost_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = ledger(place);
    // Nothing can be published at first. Then one output can, and at once nothing is reached for a while.
    let may_publish = Arc::new(AtomicBool::new(false));
    let (opened, published) = (Arc::clone(&may_publish), Mutex::new(None::<Instant>));
    let way = services::way(&url, move |part| {
        let mut published = published.lock().unwrap();
        let is_output = part.starts_with(b"PUT /v1/inputs/");
        if is_output && opened.load(SeqCst) && published.is_none() {
            *published = Some(Instant::now());
            return Way::Through;
        }
        // Its body is on the way a moment longer.
        let away = 300..2_300;
        let since = published.map_or(0, |at| at.elapsed().as_millis());
        let is_closed = is_output && !opened.load(SeqCst);
        if is_closed || away.contains(&since) { Way::Never } else { Way::Through }
    });
    let words = ["executor", "serve", "--no-preflight", "--long-percent-max", "100"];
    let (_executor, office) = daemon(place, &way, &words, "honest");
    for digit in [3, 4] {
        job_on(place, &url, digit, &["--window-ms", "60000", "--no-verify"]);
    }
    until("both runs", || (status(&office)["runs_kept"] == 2).then_some(()));
    may_publish.store(true, SeqCst);
    until("both claims", || (status(&office)["claims_standing"] == 2).then_some(()));
}
