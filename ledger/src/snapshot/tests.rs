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
        let found = snapshots.newest(
            genesis,
            |_| Ok(true),
            |path, error| {
                wrong.push(format!("{} {error}", path.file_name().unwrap().display()));
            },
        );
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

/// Names of what is in the folder of snapshots, in order.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("snapshots")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn snapshots_of_another_log_are_set_aside_and_starve_no_right_one() {
    let (folder, court) = (tempfile::tempdir().unwrap(), court());
    let snapshots = Snapshots::beside(folder.path());
    let keep = |height| snapshots.keep(&court.settlement, &Mark { height, ..MARK }).unwrap();
    for height in [7, 8_000, 9_000] {
        keep(height);
    }
    let genesis = court.settlement.genesis();
    let mut told = Vec::new();
    let has = |mark: &Mark| Ok(mark.height < 1_000);
    let found = snapshots.newest(genesis, has, |_, error| told.push(error.to_string()));
    assert_eq!((found, told), (None, vec!["the log does not lead to it".to_owned(); 2]));
    let aside = ["00000000000000008000.aside", "00000000000000009000.aside"];
    assert_eq!(names(folder.path()), aside);
    // One that nobody can read goes out of the way of the right ones as well.
    std::fs::write(folder.path().join("snapshots/00000000000000000500.snapshot"), b"x").unwrap();
    std::fs::write(folder.path().join("snapshots/00000000000000000501.snapshot"), b"x").unwrap();
    for height in [9, 10, 11] {
        keep(height);
    }
    let right = ["00000000000000000010.snapshot", "00000000000000000011.snapshot"];
    assert_eq!(names(folder.path())[..2], right);
    let found = snapshots.newest(genesis, has, |path, error| panic!("{} {error}", path.display()));
    assert_eq!(found.unwrap().mark.height, 11);
}

#[test]
fn a_disk_without_room_gets_no_snapshot_and_nothing_is_left_on_it() {
    let (folder, court) = (tempfile::tempdir().unwrap(), court());
    let snapshots = Snapshots::beside(folder.path());
    let free = crate::durable::free_bytes(folder.path()).unwrap();
    snapshots.free_bytes_min().store(free.saturating_mul(2), std::sync::atomic::Ordering::Relaxed);
    let error = snapshots.keep(&court.settlement, &MARK).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(names(folder.path()), [""; 0]);
    // As much as the last one took must be free beside the reserve.
    snapshots.free_bytes_min().store(0, std::sync::atomic::Ordering::Relaxed);
    snapshots.keep(&court.settlement, &MARK).unwrap();
    let last = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("snapshots/00000000000000000007.snapshot"))
        .unwrap();
    last.set_len(free.saturating_mul(2)).unwrap();
    let error = snapshots.keep(&court.settlement, &Mark { height: 8, ..MARK }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(names(folder.path()), ["00000000000000000007.snapshot"]);
    // What a process left that ended while it wrote is taken away, and so is what an error leaves.
    std::fs::write(folder.path().join("snapshots/partial"), b"half").unwrap();
    snapshots.tidy();
    assert_eq!(names(folder.path()), ["00000000000000000007.snapshot"]);
    last.set_len(1).unwrap();
    std::fs::create_dir(folder.path().join("snapshots/00000000000000000008.snapshot")).unwrap();
    std::fs::write(folder.path().join("snapshots/00000000000000000008.snapshot/x"), b"").unwrap();
    assert!(snapshots.keep(&court.settlement, &Mark { height: 8, ..MARK }).is_err());
    assert!(!names(folder.path()).contains(&"partial".to_owned()));
}

#[test]
fn a_snapshot_of_no_place_in_a_log_is_refused() {
    let court = court();
    let mut bytes = Vec::new();
    write(&court.settlement, &Mark { height: 0, chain: [0; 32] }, &mut bytes).unwrap();
    assert!(matches!(read_all(&court, &bytes), Err(SnapshotError::NoPlace)));
}

#[test]
fn a_record_that_stands_there_twice_is_refused() {
    let court = court();
    let (genesis, head) = (court.settlement.genesis(), court.settlement.snapshot_head());
    let parts: Vec<Part> = court.settlement.parts().collect();
    let mut kinds = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        if !matches!(part, Part::Record { .. }) {
            continue;
        }
        let mut restoring = Restoring::new(genesis.clone(), head).unwrap();
        parts.iter().take(at + 1).try_for_each(|part| restoring.take(part.clone())).unwrap();
        match restoring.take(part.clone()) {
            Err(RestoreError::Twice { kind }) => kinds.push(kind),
            other => panic!("{other:?} for {part:?} twice"),
        }
    }
    kinds.dedup();
    assert_eq!(kinds, ["account", "model", "job", "claim", "challenge"]);
}
