//! The embedded ledger, opened again and again, and when its disk fails.

use super::*;
use crate::clock::ManualClock;
use crate::log::beginning;
use crate::snapshot::EVERY;
use protocol::hash::Digest;
use protocol::settlement::Parameters;
use protocol::transaction::{Action, Address, Key};

fn bank() -> Key {
    Key::from_secret(&[1; 32]).unwrap()
}

fn genesis() -> Genesis {
    let parameters = Parameters { transfer_wei_min: 1, ..Parameters::default() };
    Genesis {
        chain_id: 1,
        salt: Digest::default(),
        begun_ms: 0,
        bank: bank().address(),
        parameters,
    }
}

fn deposit(nonce: u64) -> SignedTransaction {
    let action = Action::Deposit { account: bank().address(), amount_wei: 5 };
    bank().sign(&genesis().domain(), nonce, &action)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    {
        let ledger = EmbeddedLedger::open(folder.path(), genesis(), Arc::clone(&clock)).unwrap();
        for nonce in 0..5 {
            assert_eq!(ledger.submit(deposit(nonce)).await.unwrap().height, nonce + 1);
        }
        let again = ledger.submit(deposit(4)).await.unwrap_err();
        assert!(matches!(again, LedgerError::Rejected(_)), "{again}");
    }
    let ledger = EmbeddedLedger::open(folder.path(), genesis(), clock).unwrap();
    let view = ledger.view().await.unwrap();
    assert_eq!(view.height, 5);
    assert_eq!(view.settlement.money().deposited_wei(), 25);
    assert_eq!(ledger.view_at(2).await.unwrap().settlement.money().deposited_wei(), 10);
    assert_eq!(ledger.events_after(3, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_not_kept_in_memory_is_read_from_the_log() {
    cov_mark::check!(receipts_are_read_from_the_log);
    cov_mark::check!(page_of_records_is_full);
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let count = 3 * RECENT_MAX as u64;
    {
        let ledger = EmbeddedLedger::open(folder.path(), genesis(), Arc::clone(&clock)).unwrap();
        for nonce in 0..count {
            ledger.submit(deposit(nonce)).await.unwrap();
        }
    }
    let ledger = EmbeddedLedger::open(folder.path(), genesis(), clock).unwrap();
    for after in [0, 5, count - RECENT_MAX as u64 - 1, count - RECENT_MAX as u64, count - 1] {
        let receipts = ledger.events_after(after, 10).await.unwrap();
        let heights: Vec<u64> = receipts.iter().map(|receipt| receipt.height).collect();
        assert_eq!(heights, (after + 1..=count.min(after + 10)).collect::<Vec<_>>());
        assert!(receipts.iter().all(|receipt| receipt.events.len() == 1));
        let view = ledger.view_at(after).await.unwrap();
        assert_eq!(view.settlement.money().deposited_wei(), 5 * u128::from(after));
    }
    assert_eq!(ledger.entries().unwrap().len() as u64, count);
    assert_eq!(ledger.entries_after(count - 2, 1).unwrap().len(), 1);
    assert!(ledger.view_at(count + 1).await.is_err());
}

#[tokio::test]
async fn another_genesis_is_refused() {
    cov_mark::check!(log_began_with_another_genesis);
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    drop(EmbeddedLedger::open(folder.path(), genesis(), Arc::clone(&clock)).unwrap());
    let other = Genesis { chain_id: 2, ..genesis() };
    assert!(EmbeddedLedger::open(folder.path(), other, clock).is_err());
}

#[tokio::test]
async fn a_ledger_that_died_in_the_middle_of_a_write_opens_with_what_it_acknowledged() {
    cov_mark::check!(opened_after_a_torn_write);
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    {
        let ledger = EmbeddedLedger::open(folder.path(), genesis(), Arc::clone(&clock)).unwrap();
        ledger.submit(deposit(0)).await.unwrap();
        ledger.submit(deposit(1)).await.unwrap();
    }
    let database = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
    // After the genesis and the two deposits.
    database.open_tree("log").unwrap().insert(3u64.to_be_bytes(), b"torn").unwrap();
    database.flush().unwrap();
    drop(database);
    let ledger = EmbeddedLedger::open(folder.path(), genesis(), clock).unwrap();
    assert_eq!((ledger.cut(), ledger.view().await.unwrap().height), (1, 2));
    assert_eq!(ledger.submit(deposit(2)).await.unwrap().height, 3);
}

/// What the writing thread has, on this one.
fn inner(folder: &Path) -> Inner {
    let (mut store, _) = Store::open(folder).unwrap();
    store.append(&genesis().to_canonical()).unwrap();
    let settlement = Arc::new(beginning(&genesis()).unwrap());
    Inner { store, settlement, receipts: Recent::default(), stopped: false }
}

fn accept(inner: &mut Inner, nonce: u64, action: &Action) -> Result<Receipt, LedgerError> {
    inner.accept(0, &bank().sign(&genesis().domain(), nonce, action), action)
}

const DEPOSIT: Action = Action::Deposit { account: Address([7; 20]), amount_wei: 5 };

#[test]
fn what_the_rules_refuse_does_not_stop_the_ledger() {
    cov_mark::check!(rules_refuse_a_transaction);
    let folder = tempfile::tempdir().unwrap();
    let mut inner = inner(folder.path());
    let refused = accept(&mut inner, 0, &Action::Withdraw { amount_wei: 1 });
    assert!(matches!(refused, Err(LedgerError::Rejected(_))), "{refused:?}");
    assert_eq!(accept(&mut inner, 0, &DEPOSIT).unwrap().height, 1);
    assert_eq!(inner.flush(), Ok(()));
}

#[test]
fn nothing_is_accepted_after_a_flush_that_failed() {
    cov_mark::check!(flush_failed);
    cov_mark::check!(nothing_is_accepted_any_more);
    let folder = tempfile::tempdir().unwrap();
    let mut inner = inner(folder.path());
    accept(&mut inner, 0, &DEPOSIT).unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(matches!(inner.flush(), Err(LedgerError::Store(_))));
    assert_eq!(accept(&mut inner, 1, &DEPOSIT), Err(LedgerError::Stopped));
    assert_eq!(inner.flush(), Err(LedgerError::Stopped));
}

#[tokio::test]
async fn whoever_serves_a_ledger_whose_disk_failed_is_told_and_nobody_sees_what_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(folder.path(), genesis(), clock).unwrap();
    ledger.submit(deposit(0)).await.unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(ledger.submit(deposit(1)).await.is_err());
    ledger.stopped().await;
    assert_eq!(ledger.view().await.unwrap_err(), LedgerError::Stopped);
    assert_eq!(ledger.submit(deposit(1)).await, Err(LedgerError::Stopped));
}

/// A ledger with so many deposits in its log, closed again.
async fn closed_after(folder: &Path, count: u64) {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(folder, genesis(), clock).unwrap();
    let from = ledger.view().await.unwrap().height;
    for nonce in from..from + count {
        ledger.submit(deposit(nonce)).await.unwrap();
    }
}

fn opened(folder: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(folder, genesis(), Arc::new(ManualClock::default())).unwrap()
}

#[tokio::test]
async fn a_ledger_starts_from_its_snapshot_and_is_what_its_whole_log_makes() {
    let folder = tempfile::tempdir().unwrap();
    closed_after(folder.path(), 3 * EVERY).await;
    let ledger = opened(folder.path());
    // The end is worth a snapshot of its own unless one was written just before it.
    let Start { snapshot, replayed } = ledger.start();
    assert!(snapshot + replayed == 3 * EVERY && replayed < 2, "{replayed} were applied again");
    // Too little for another snapshot, at most: it is read from the log.
    ledger.submit(deposit(3 * EVERY)).await.unwrap();
    drop(ledger);
    let ledger = opened(folder.path());
    let Start { snapshot, replayed } = ledger.start();
    assert!(snapshot + replayed == 3 * EVERY + 1 && snapshot > 0, "{replayed} were applied again");
    let view = ledger.view().await.unwrap();
    let whole = replay(&genesis(), &ledger.entries().unwrap()).unwrap();
    assert_eq!((view.height, &*view.settlement), (3 * EVERY + 1, &whole));
    assert_eq!(view.settlement.root(), whole.root());
    // The past before the snapshot is read from the log.
    let old = ledger.view_at(5).await.unwrap();
    assert_eq!(old.settlement.money().deposited_wei(), 25);
    let heights: Vec<u64> =
        ledger.events_after(3, 2).await.unwrap().iter().map(|one| one.height).collect();
    assert_eq!(heights, [4, 5]);
    assert_eq!(ledger.submit(deposit(3 * EVERY + 1)).await.unwrap().height, 3 * EVERY + 2);
}

#[tokio::test]
async fn without_a_good_snapshot_the_whole_log_is_read_and_that_is_told() {
    cov_mark::check!(whole_log_is_read_for_want_of_a_snapshot);
    cov_mark::check!(snapshot_is_of_another_log);
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    closed_after(folder.path(), 2 * EVERY).await;
    let snapshots = folder.path().join("snapshots");
    for entry in std::fs::read_dir(&snapshots).unwrap() {
        std::fs::write(entry.unwrap().path(), b"rebut-snapshot\0\x09").unwrap();
    }
    assert_eq!(opened(folder.path()).start(), Start { snapshot: 0, replayed: 2 * EVERY });
    // One of a log that went on otherwise.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(other.path(), genesis(), clock).unwrap();
    let six = Action::Deposit { account: bank().address(), amount_wei: 6 };
    ledger.submit(bank().sign(&genesis().domain(), 0, &six)).await.unwrap();
    for nonce in 1..2 * EVERY {
        ledger.submit(deposit(nonce)).await.unwrap();
    }
    drop(ledger);
    std::fs::remove_dir_all(&snapshots).unwrap();
    std::fs::rename(other.path().join("snapshots"), &snapshots).unwrap();
    let ledger = opened(folder.path());
    assert_eq!(ledger.start(), Start { snapshot: 0, replayed: 2 * EVERY });
    let view = ledger.view().await.unwrap();
    assert_eq!(view.settlement.money().deposited_wei(), 10 * u128::from(EVERY));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path()).unwrap();
    std::fs::write(folder.path().join("snapshots"), b"no folder").unwrap();
    closed_after(folder.path(), EVERY + 3).await;
    std::fs::remove_file(folder.path().join("snapshots")).unwrap();
    assert_eq!(opened(folder.path()).start().replayed, EVERY + 3);
}

#[tokio::test]
async fn a_snapshot_from_before_the_first_record_stops_no_start() {
    let folder = tempfile::tempdir().unwrap();
    closed_after(folder.path(), 3).await;
    let snapshots = folder.path().join("snapshots");
    let _ = std::fs::remove_dir_all(&snapshots);
    std::fs::create_dir(&snapshots).unwrap();
    let mut bytes = Vec::new();
    let state = replay(&genesis(), &[]).unwrap();
    let mark = crate::store::Mark { height: 0, chain: [0; 32] };
    crate::snapshot::write(&state, &mark, &mut bytes).unwrap();
    std::fs::write(snapshots.join("00000000000000000000.snapshot"), bytes).unwrap();
    std::fs::write(snapshots.join("partial"), b"half of one").unwrap();
    assert_eq!(opened(folder.path()).start(), Start { snapshot: 0, replayed: 3 });
    assert!(!snapshots.join("partial").exists(), "what was begun and not ended takes no room");
}
