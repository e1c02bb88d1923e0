//! Damaged disks: a ledger opens with everything it acknowledged, or says loudly that it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::SystemClock;
use ledger::{EmbeddedLedger, Ledger as _};
use protocol::hash::Digest;
use protocol::settlement::{Genesis, Parameters};
use protocol::transaction::{Action, Key};

const TRANSACTIONS: u64 = 40;

fn key() -> Key {
    Key::from_secret(&[1; 32]).unwrap()
}

fn genesis() -> Genesis {
    let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
    Genesis { chain_id: 1, salt: Digest::default(), begun_ms: 0, bank: key().address(), parameters }
}

fn open(folder: &Path) -> Result<EmbeddedLedger, ledger::LedgerError> {
    EmbeddedLedger::open(folder, genesis(), Arc::new(SystemClock))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let there = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        std::fs::copy(file, there).unwrap();
    }
}

#[tokio::test]
async fn truncated_and_flipped_files_are_an_error_or_cost_nothing() {
    let good = tempfile::tempdir().unwrap();
    {
        let ledger = open(good.path()).unwrap();
        for nonce in 0..TRANSACTIONS {
            let action = Action::Deposit { account: key().address(), amount_wei: 1 };
            ledger.submit(key().sign(&genesis().domain(), nonce, &action)).await.unwrap();
        }
    }
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below.max(1)
    };
    let (mut whole, mut loud, mut short) = (0, 0, Vec::new());
    for round in 0..120 {
        let damaged = tempfile::tempdir().unwrap();
        copy(good.path(), damaged.path());
        let all = files(damaged.path());
        let file = &all[random(all.len())];
        let mut bytes = std::fs::read(file).unwrap();
        // Where something stands: much of a file is zeros.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let what = match round % 3 {
            0 => {
                let at = random(used);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random(8);
                }
                format!("bit of byte {at} of {used} flipped in {}", file.display())
            }
            1 => {
                let at = random(used);
                bytes.truncate(at);
                format!("{} cut at {at} of {used}", file.display())
            }
            _ => {
                let at = random(used);
                let end = used.min(at + 64);
                bytes[at..end].fill(0);
                format!("{at}..{end} of {used} zeroed in {}", file.display())
            }
        };
        std::fs::write(file, bytes).unwrap();
        // Damage may make the database panic: loud enough, and the process ends.
        let opened = std::panic::catch_unwind(|| open(damaged.path()));
        match opened {
            Ok(Ok(ledger)) => match ledger.view().await.unwrap().height {
                TRANSACTIONS => whole += 1,
                height => short.push(format!("{height} of {TRANSACTIONS}: {what}")),
            },
            Ok(Err(_)) | Err(_) => loud += 1,
        }
    }
    println!("{whole} whole, {loud} loud errors, {} short", short.len());
    assert!(short.is_empty(), "{short:#?}");
    assert!(whole > 0 && loud > 0);
}
