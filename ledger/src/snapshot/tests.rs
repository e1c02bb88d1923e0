//! Snapshots that are read again, and files that are none.

use super::*;
use crate::testing::{CHALLENGER, Court, SECOND, STRANGER};
use protocol::settlement::ETHER;
use protocol::settlement::RestoreError;
use protocol::transaction::Action;

const MARK: Mark = Mark { height: 7, chain: [3; 32] };

/// A ledger with a claim that fell, with a challenge to be collected, and one under a challenge that waits for an
/// answer.
fn court() -> Court {
    let mut court = Court::new();
    let job = court.job(0);
    let [lie, other] = [court.claim(job, b"lie"), court.claim(job, b"output")];
    court.does(CHALLENGER, &Action::Challenge { claim: other });
    court.demand(CHALLENGER, other);
    court.fall(lie, &[CHALLENGER, SECOND]);
    let job = court.job(ETHER);
    assert!(court.settlement.job(&job).is_some());
    court
}

fn written(court: &Court) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&court.settlement, &MARK, &mut bytes).unwrap();
    bytes
}

fn read_all(court: &Court, bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    read(court.settlement.genesis(), bytes, bytes.len() as u64)
}

#[test]
fn a_snapshot_is_read_again_as_it_was() {
    let court = court();
    let snapshot = read_all(&court, &written(&court)).unwrap();
    assert_eq!(snapshot, Snapshot { mark: MARK, settlement: court.settlement.clone() });
    assert_eq!(snapshot.settlement.root(), court.settlement.root());
    // It goes on alike.
    let (mut one, mut other) = (court.clone(), court);
    other.settlement = snapshot.settlement;
    for court in [&mut one, &mut other] {
        court.job(0);
        court.does(STRANGER, &Action::Withdraw { amount_wei: ETHER });
    }
    assert_eq!(one.settlement, other.settlement);
}

#[test]
fn no_byte_of_it_can_be_another_one_and_none_can_be_missing() {
    let court = court();
    let good = written(&court);
    for at in (0..good.len()).step_by(5) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(read_all(&court, &bytes).is_err(), "byte {at}");
    }
    for length in (0..good.len()).step_by(31) {
        assert!(read_all(&court, &good[..length]).is_err(), "{length} bytes");
    }
    let longer = [&good[..], &[0; 40]].concat();
    assert!(matches!(read_all(&court, &longer), Err(SnapshotError::Trailing)));
    let other = Genesis { chain_id: 2, ..court.settlement.genesis().clone() };
    let of_another = read(&other, &good[..], good.len() as u64);
    assert!(matches!(of_another, Err(SnapshotError::Restore(RestoreError::OtherLedger))));
}

#[test]
fn other_versions_and_lengths_that_no_file_has_are_refused_by_name() {
    let court = court();
    let good = written(&court);
    let mut bytes = good.clone();
    bytes[15] = 9;
    assert!(matches!(read_all(&court, &bytes), Err(SnapshotError::Version { found: 9 })));
    bytes[0] = b'x';
    assert!(matches!(read_all(&court, &bytes), Err(SnapshotError::Other)));
    for length in [u32::MAX, PART_BYTES_MAX, good.len() as u32] {
        let mut bytes = good.clone();
        bytes[16 + HEAD_BYTES..20 + HEAD_BYTES].copy_from_slice(&length.to_be_bytes());
        let refused = read_all(&court, &bytes);
        assert!(matches!(refused, Err(SnapshotError::TooLong { bytes }) if bytes == length));
    }
}

#[test]
fn the_newest_two_are_kept_and_a_damaged_one_is_told_and_passed_over() {
    let (folder, court) = (tempfile::tempdir().unwrap(), court());
    let snapshots = Snapshots::beside(folder.path());
    let genesis = court.settlement.genesis();
    let newest = |snapshots: &Snapshots| {
        let mut wrong = Vec::new();
        let found = snapshots.newest(genesis, |path, error| {
            wrong.push(format!("{} {error}", path.file_name().unwrap().display()));
        });
        (found.map(|one| one.mark.height), wrong)
    };
    assert_eq!(newest(&snapshots), (None, vec![]));
    for height in [7, 8, 9] {
        assert!(snapshots.keep(&court.settlement, &Mark { height, ..MARK }).unwrap() > 10);
    }
    assert_eq!(newest(&snapshots), (Some(9), vec![]));
    let files = std::fs::read_dir(folder.path().join("snapshots")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let mut bytes = std::fs::read(&files[1]).unwrap();
    bytes[400] ^= 1;
    std::fs::write(&files[1], bytes).unwrap();
    let (found, wrong) = newest(&snapshots);
    assert_eq!((found, wrong.len()), (Some(8), 1));
    assert!(wrong[0].starts_with("00000000000000000009.snapshot "), "{wrong:?}");
}
