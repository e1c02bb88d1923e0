//! A ledger with a long past starts from its snapshot, and is what its whole log makes. `REBUT_DUST` says how many
//! jobs are in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::embedded::Start;
use ledger::{Clock, EmbeddedLedger, Ledger as _, ManualClock, replay};
use protocol::graph::{ModelHeader, Profile};
use protocol::hash::{Digest, leaf};
use protocol::settlement::{ETHER, Genesis, Parameters, job_id};
use protocol::tensor::{ElementType, Shape, TensorType};
use protocol::transaction::{Action, Address, JobTerms, Key};

/// Who posts, side by side: so many transactions share a flush.
const POSTERS: u64 = 256;

fn key(number: u64) -> Key {
    let mut secret = [1; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    Key::from_secret(&secret).unwrap()
}

fn genesis() -> Genesis {
    let (bank, parameters) = (key(POSTERS).address(), Parameters::default());
    Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank, parameters }
}

fn header() -> ModelHeader {
    ModelHeader {
        graph_root: leaf(b"graph"),
        weights_root: leaf(b"weights"),
        layers_root: leaf(b"layers"),
        operator_count: 1,
        weight_count: 1,
        inputs: vec![TensorType { element: ElementType::F32, shape: Shape::new(&[1]).unwrap() }],
        layer_count: 1,
        profile: Profile::StrictF32,
        links: Vec::new(),
        stop: None,
        card: Digest::default(),
    }
}

/// A job that nobody takes, worth next to nothing.
fn dust(salt: u64) -> JobTerms {
    let parameters = Parameters::default();
    JobTerms {
        model_root: header().root(),
        input_root: leaf(b"input"),
        profile: Profile::StrictF32,
        executor: Address::default(),
        fee_wei: 1,
        fee_iteration_wei: 0,
        iterations_max: 1,
        may_cut: false,
        stake_wei: parameters.stake_wei_min,
        window_ms: parameters.window_ms_of(1),
        open_ms: 1,
        attention_wei: 0,
        salt,
    }
}

fn opened(folder: &Path, clock: &Arc<ManualClock>) -> EmbeddedLedger {
    EmbeddedLedger::open(folder, genesis(), Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// Posts `jobs` jobs by each of the posters, and lets them expire.
async fn litter(ledger: &Arc<EmbeddedLedger>, clock: &ManualClock, jobs: u64) {
    let bank = key(POSTERS);
    let domain = genesis().domain();
    let send = async |key: &Key, nonce: u64, action: &Action| {
        ledger.submit(key.sign(&domain, nonce, action)).await.unwrap();
    };
    for number in 0..POSTERS {
        let (account, amount_wei) = (key(number).address(), 100_000 * ETHER);
        send(&bank, number, &Action::Deposit { account, amount_wei }).await;
    }
    send(&key(0), 0, &Action::RegisterModel { header: header() }).await;
    for expires in [false, true] {
        clock.advance(10);
        let tasks = (0..POSTERS).map(|number| {
            let (ledger, domain) = (Arc::clone(ledger), domain);
            tokio::spawn(async move {
                let key = key(number);
                let first = u64::from(number == 0) + if expires { jobs } else { 0 };
                for job in 0..jobs {
                    let terms = dust(job);
                    let action = if expires {
                        Action::ExpireJob { job: job_id(key.address(), &terms) }
                    } else {
                        Action::PostJob { terms }
                    };
                    ledger.submit(key.sign(&domain, first + job, &action)).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_with_a_long_past_starts_in_seconds_and_is_what_its_log_makes() {
    let jobs = std::env::var("REBUT_DUST").map_or(100_000, |text| text.parse().unwrap());
    let each = jobs / POSTERS;
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let begun = Instant::now();
    let ledger = Arc::new(opened(folder.path(), &clock));
    litter(&ledger, &clock, each).await;
    let height = ledger.view().await.unwrap().height;
    assert_eq!(height, POSTERS * (2 * each + 1) + 1);
    println!("{height} transactions in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    drop(ledger);
    println!("closed, with a snapshot, in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let ledger = opened(folder.path(), &clock);
    let took = begun.elapsed();
    println!("started from it in {:.2} s", took.as_secs_f64());
    // The last one may be from shortly before the end: so few transactions are worth none of their own.
    let Start { snapshot, replayed } = ledger.start();
    assert!(snapshot > 0 && snapshot + replayed == height && replayed < 1_000, "{snapshot}");
    let (view, entries) = (ledger.view().await.unwrap(), ledger.entries().unwrap());
    let begun = Instant::now();
    let whole = replay(&genesis(), &entries).unwrap();
    println!("applied the whole log in {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(view.settlement.root(), whole.root());
    assert!(*view.settlement == whole, "another state of the same root");
    // On a machine with others: an idle one takes a tenth of that.
    assert!(took < Duration::from_secs(10 + jobs / 25_000), "{took:?}");
}
