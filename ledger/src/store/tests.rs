//! Logs that are torn, damaged, lost or open elsewhere.

use super::*;

fn fill(folder: &Path, count: u8) {
    let (mut store, _) = Store::open(folder).unwrap();
    for number in 0..count {
        store.append(&[number; 40]).unwrap();
    }
}

fn tamper(folder: &Path, height: u64, change: impl Fn(&mut Vec<u8>)) {
    let database = sled::Config::new().path(folder).flush_every_ms(None).open().unwrap();
    let log = database.open_tree("log").unwrap();
    let mut value = log.get(height.to_be_bytes()).unwrap().unwrap().to_vec();
    change(&mut value);
    log.insert(height.to_be_bytes(), value).unwrap();
    database.flush().unwrap();
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    cov_mark::check!(torn_record_is_cut);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 2);
    let (mut store, _) = Store::open(folder.path()).unwrap();
    store.write(b"never acknowledged").unwrap();
    drop(store);
    tamper(folder.path(), 2, |value| value.truncate(20));
    let (mut store, recovered) = Store::open(folder.path()).unwrap();
    assert_eq!((recovered.contents.len(), recovered.cut), (2, 1));
    store.append(b"again").unwrap();
    drop(store);
    let (_, recovered) = Store::open(folder.path()).unwrap();
    assert_eq!((recovered.contents.len(), recovered.cut), (3, 0));
}

#[test]
fn what_was_acknowledged_and_is_gone_is_an_error() {
    cov_mark::check!(acknowledged_records_are_lost);
    cov_mark::check!(anchor_is_damaged);
    for (count, lost) in [(3, vec![2]), (3, vec![1, 2]), (1, vec![0])] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), count);
        let database = sled::Config::new().path(folder.path()).flush_every_ms(None).open();
        let log = database.unwrap().open_tree("log").unwrap();
        for height in &lost {
            log.remove(u64::to_be_bytes(*height)).unwrap();
        }
        log.flush().unwrap();
        drop(log);
        let error = Store::open(folder.path()).unwrap_err();
        let found = u64::from(count) - lost.len() as u64;
        let expected = matches!(error, StoreError::Lost { found: left, .. } if left == found);
        assert!(expected, "{error}");
    }
    // Another log of the same length, with this one's anchor.
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(one.path(), 2);
    Store::open(other.path()).unwrap().0.append(b"a").unwrap();
    Store::open(other.path()).unwrap().0.append(b"b").unwrap();
    std::fs::copy(one.path().join("anchor"), other.path().join("anchor")).unwrap();
    assert!(matches!(Store::open(other.path()), Err(StoreError::Lost { .. })));
    std::fs::write(other.path().join("anchor"), b"torn").unwrap();
    assert!(matches!(Store::open(other.path()), Err(StoreError::Database { .. })));
}

#[test]
fn damage_before_whole_records_is_an_error_and_not_a_guess() {
    cov_mark::check!(damage_is_no_torn_tail);
    cov_mark::check!(record_is_of_another_log);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 4);
    tamper(folder.path(), 1, |value| value[15] ^= 1);
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { height: 1, .. }), "{error}");
}

#[test]
fn a_log_that_somebody_else_has_open_is_not_opened() {
    cov_mark::check!(log_is_open_elsewhere);
    let folder = tempfile::tempdir().unwrap();
    let held = Store::open(folder.path()).unwrap();
    let refused = Store::open(folder.path());
    assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
    drop(held);
    assert!(Store::open(folder.path()).is_ok());
}

#[test]
fn a_log_that_is_being_closed_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let held = Store::open(folder.path()).unwrap();
    let closing = std::thread::spawn(move || {
        std::thread::sleep(LOCK_WAIT / 10);
        drop(held);
    });
    let opened = Store::open(folder.path());
    closing.join().unwrap();
    assert!(opened.is_ok(), "{opened:?}");
}

#[test]
fn who_reads_is_told_of_a_record_that_is_missing() {
    cov_mark::check!(reader_meets_a_gap);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3);
    let (store, _) = Store::open(folder.path()).unwrap();
    store.log.remove(1u64.to_be_bytes()).unwrap();
    assert_eq!(store.reader().contents(2, usize::MAX).unwrap(), [[2; 40]]);
    let read = store.reader().contents(0, usize::MAX);
    assert!(matches!(read, Err(StoreError::Damaged { height: 1, .. })), "{read:?}");
}
