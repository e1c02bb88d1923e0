//! Faults of machines and networks around services in processes of their own.
//!
//! Full disks, partitions and skewed clocks need root: `tests/faults` (a script) plays those.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/services.rs"]
mod services;

use std::time::{Duration, Instant};

use protocol::settlement::{ClaimStatus, FallReason};
use services::{Process, Town, name, report};

/// Waits for something that other processes do.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn refuted(town: &Town) -> usize {
    let (view, _) = town.view();
    let refuted = |claim: &ClaimStatus| {
        matches!(claim, ClaimStatus::Fallen { reason: FallReason::Refuted(_), .. })
    };
    view.settlement.claims().filter(|(_, claim)| refuted(&claim.status)).count()
}

#[test]
fn a_ledger_that_was_down_for_longer_than_a_window_ended_nothing_meanwhile() {
    let mut town = Town::new();
    // Nobody looks while the lie is told.
    town.challenger.child.kill().unwrap();
    town.challenger.child.wait().unwrap();
    let request = town.request(3);
    eventually("a claim of both executors", || town.view().0.settlement.claims().count() == 2);
    town.ledger.child.kill().unwrap();
    town.ledger.child.wait().unwrap();
    // Windows are five seconds, clocks twenty.
    std::thread::sleep(Duration::from_secs(7));
    town.ledger.child = Process::spawn(&town.folder_path(), &town.ledger.arguments);
    town.challenger.child = Process::spawn(&town.folder_path(), &town.challenger.arguments);
    let report = report(request);
    assert_eq!(report["executor"], town.account("honest"), "{report}");
    assert_eq!(refuted(&town), 1);
}

#[test]
fn two_challengers_at_once_convict_one_lie_and_neither_loses_money() {
    let town = Town::new();
    let mut arguments = town.challenger.arguments.clone();
    *arguments.last_mut().unwrap() = "rival".to_owned();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut rival = Process::start(&town.folder_path(), &words);
    assert_eq!(name(&rival.arguments), "rival");
    // The rival's money comes with its start.
    let free = |who: &str| {
        let account = town.account(who);
        let (view, _) = town.view();
        let mut accounts = view.settlement.money().accounts();
        accounts.find(|(known, _)| known.to_string() == account).map_or(0, |(_, wei)| wei)
    };
    eventually("money for both", || free("rival") > 0 && free("challenger") > 0);
    let before = [free("rival"), free("challenger")];
    for digit in [3, 4] {
        report(town.request(digit));
    }
    assert!(refuted(&town) >= 1);
    let after = [free("rival"), free("challenger")];
    assert!(after[0] >= before[0] && after[1] >= before[1], "{before:?} {after:?}");
    assert!(after[0] > before[0] || after[1] > before[1], "nobody was paid");
    assert!(town.view().0.settlement.money().is_conserved());
    rival.lives();
}

#[test]
fn a_ledger_that_came_back_with_less_than_it_had_is_not_believed() {
    let mut town = Town::new();
    report(town.request(3));
    let folder = town.folder_path();
    let copy = |from: &str, to: &str| {
        let _ = std::fs::remove_dir_all(folder.join(to));
        let done = std::process::Command::new("cp")
            .args(["-r", from, to])
            .current_dir(&folder)
            .status()
            .unwrap();
        assert!(done.success());
    };
    town.ledger.child.kill().unwrap();
    town.ledger.child.wait().unwrap();
    copy("ledger", "old");
    town.ledger.child = Process::spawn(&folder, &town.ledger.arguments);
    report(town.request(4));
    town.ledger.child.kill().unwrap();
    town.ledger.child.wait().unwrap();
    copy("old", "ledger");
    town.ledger.child = Process::spawn(&folder, &town.ledger.arguments);
    // Who saw more stops, loudly, instead of signing the same nonce for something else.
    eventually("the end of those who saw more", || {
        let children = [&mut town.honest, &mut town.challenger];
        children.into_iter().all(|one| one.child.try_wait().unwrap().is_some())
    });
    for who in ["honest", "challenger"] {
        let said = std::fs::read_to_string(folder.join(format!("{who}.log"))).unwrap();
        assert!(said.contains("it lost a part of its log"), "{said}");
    }
}

#[test]
fn an_executor_that_keeps_one_run_in_memory_answers_for_all_its_claims() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (_ledger, url) = services::ledger(place);
    let serve = ["executor", "serve", "--no-preflight", "--runs-max", "1"];
    let (_executor, _) = services::daemon(place, &url, &serve, "honest");
    let mut clients: Vec<std::process::Child> = (1..=3)
        .map(|digit| {
            let model = services::models().join("digits-transformer.onnx");
            let input = services::models().join(format!("samples/digit-{digit}.npy"));
            services::rebut()
                .args(["request", model.to_str().unwrap(), "--input", input.to_str().unwrap()])
                .args(["--ledger", &url, "--dev", &format!("client-{digit}")])
                .current_dir(place)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let claims = || {
        let (view, _) = services::view_of(&url);
        let claims = view.settlement.claims();
        claims.map(|(_, claim)| (claim.reveals, claim.status.clone())).collect::<Vec<_>>()
    };
    eventually("three claims", || claims().len() == 3);
    // It computes wrong, so it asks about claims that are true.
    let challenger = ["challenger", "run", "--lie", "1:3:0:+400000"];
    let (_challenger, _) = services::daemon(place, &url, &challenger, "rehearsal");
    eventually("an answer for each", || claims().iter().all(|(reveals, _)| *reveals >= 3));
    let fell = |status: &ClaimStatus| matches!(status, ClaimStatus::Fallen { .. });
    assert!(!claims().iter().any(|(_, status)| fell(status)));
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
}
