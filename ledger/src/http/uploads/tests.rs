//! Room for published states, and states that come cut, twice or under another root.

use super::*;
use protocol::state_stream::StateHead;
use protocol::tensor::{ElementType, Shape, TensorType};
use std::time::Duration;

const ACCOUNT: Address = Address([1; 20]);

fn uploads(folder: &Path, account_bytes: u64, disk_free_bytes_min: u64) -> Uploads {
    let limits = Limits { account_bytes, disk_free_bytes_min, ..Limits::default() };
    Uploads::new(folder, &limits).unwrap()
}

fn file(folder: &Path, root: u8, hours: u64) {
    let own = folder.join("inputs").join(ACCOUNT.to_string());
    std::fs::create_dir_all(&own).unwrap();
    let path = own.join(Digest([root; 32]).to_string());
    std::fs::write(&path, [0; 4_000]).unwrap();
    let at = SystemTime::now() - Duration::from_secs(hours * 3_600);
    std::fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
}

fn needs(needed: &[u8], wanted: &[u8]) -> Needs {
    let roots = |numbers: &[u8]| numbers.iter().map(|one| (ACCOUNT, Digest([*one; 32]))).collect();
    Needs { needed: roots(needed), wanted: roots(wanted) }
}

#[test]
fn an_account_at_its_bound_makes_room_by_its_oldest_state_that_nobody_needs() {
    cov_mark::check!(rest_of_a_killed_server_is_removed);
    cov_mark::check!(nothing_more_could_be_removed);
    let folder = tempfile::tempdir().unwrap();
    for (root, hours) in [(1, 6), (2, 5), (3, 3), (4, 0), (5, 4)] {
        file(folder.path(), root, hours);
    }
    // Of a server that was killed.
    let own = folder.path().join("inputs").join(ACCOUNT.to_string());
    std::fs::write(own.join("0x07.partial-3"), [0; 9_000]).unwrap();
    let uploads = uploads(folder.path(), 5 * (8 << 10), 0);
    assert_eq!(uploads.lock().of(&ACCOUNT), 5 * (8 << 10));
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 5);
    let there =
        |roots: [u8; 5]| roots.map(|root| uploads.file(&Digest([root; 32]), &ACCOUNT).exists());
    let all = [1, 2, 3, 4, 5];
    // 1 is needed, 2 is wanted, 4 is young: 5 is the oldest of the others, then 3, then what is
    // only wanted.
    let reserve = || uploads.reserve(ACCOUNT, 4_000, || needs(&[1], &[2]));
    let first = reserve().unwrap();
    assert_eq!(there(all), [true, true, true, true, false]);
    let _second = reserve().unwrap();
    assert_eq!(there(all), [true, true, false, true, false]);
    let _third = reserve().unwrap();
    assert_eq!(there(all), [true, false, false, true, false]);
    assert!(matches!(reserve(), Err(UploadRefusal::Account { .. })));
    // Nothing is looked through again at once.
    let untouched = uploads.reserve(ACCOUNT, 4_000, || panic!("looked through again"));
    assert!(matches!(untouched, Err(UploadRefusal::Account { .. })));
    assert_eq!(there(all), [true, false, false, true, false]);
    drop(first);
    assert!(reserve().is_ok());
}

#[test]
fn audit_a7_an_account_at_its_bound_is_not_looked_through_at_every_upload() {
    let folder = tempfile::tempdir().unwrap();
    for root in 0..200 {
        file(folder.path(), root, 2);
    }
    let uploads = uploads(folder.path(), 200 * (8 << 10), 0);
    let looks = std::cell::Cell::new(0);
    let reserve = || {
        let needs = || {
            looks.set(looks.get() + 1);
            Needs::default()
        };
        uploads.reserve(ACCOUNT, 4_000, needs).map(|mut one| one.is_kept = true)
    };
    (0..9).for_each(|_| reserve().unwrap());
    assert_eq!(looks.get(), 3);
    // Nor is one that has little to remove.
    let few = tempfile::tempdir().unwrap();
    file(few.path(), 1, 2);
    let uploads = self::uploads(few.path(), 2 * (8 << 10), 0);
    uploads.reserve(ACCOUNT, 4_000, Needs::default).unwrap().is_kept = true;
    uploads.reserve(ACCOUNT, 4_000, Needs::default).unwrap().is_kept = true;
    for _ in 0..9 {
        let looked = || panic!("looked through again");
        assert!(uploads.reserve(ACCOUNT, 4_000, looked).is_err());
    }
}

#[test]
fn when_all_are_at_their_bound_what_nobody_needs_goes_whosever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for root in 1..5 {
        file(folder.path(), root, 2);
    }
    let limits = Limits { uploads_bytes: 32 << 10, disk_free_bytes_min: 0, ..Limits::default() };
    let uploads = Uploads::new(folder.path(), &limits).unwrap();
    let other = Address([9; 20]);
    let reserved = uploads.reserve(other, 4_000, || needs(&[1, 2], &[]));
    assert!(reserved.is_ok());
    let refused = uploads.reserve(other, 12_000, || needs(&[1, 2, 3, 4], &[]));
    assert!(matches!(refused, Err(UploadRefusal::All { .. })));
    assert!(uploads.file(&Digest([1; 32]), &ACCOUNT).exists());
}

#[test]
fn what_comes_again_is_as_young_as_what_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), 1, 5);
    let uploads = uploads(folder.path(), 8 << 10, 0);
    assert!(uploads.touch(&Digest([1; 32]), &ACCOUNT));
    assert!(!uploads.touch(&Digest([2; 32]), &ACCOUNT));
    let refused = uploads.reserve(ACCOUNT, 4_000, Needs::default);
    assert!(matches!(refused, Err(UploadRefusal::Account { .. })));
}

#[test]
fn audit_a7_uploads_under_way_stop_where_the_log_s_reserve_begins() {
    cov_mark::check!(disk_filled_during_an_upload);
    let folder = tempfile::tempdir().unwrap();
    let uploads = uploads(folder.path(), 1 << 30, 0);
    let reservation = uploads.reserve(ACCOUNT, 400, Needs::default).unwrap();
    // Others filled the disk meanwhile.
    let full = Uploads { disk_free_bytes_min: u64::MAX / 2, ..uploads.clone() };
    let (sender, parts) = mpsc::channel(4);
    sender.try_send(Bytes::from_static(&[7; 400])).unwrap();
    drop(sender);
    let written = full.write(&Digest([1; 32]), reservation, parts);
    assert!(matches!(written, Err(UploadRefusal::DiskReserve)), "{written:?}");
    let left = std::fs::read_dir(full.folder_of(&ACCOUNT)).unwrap().count();
    assert_eq!((left, uploads.lock().all()), (0, 0));
}

#[test]
fn uploads_leave_the_log_its_reserve_of_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = uploads(folder.path(), 1 << 30, u64::MAX / 2);
    let refused = uploads.reserve(ACCOUNT, 1, Needs::default);
    assert!(matches!(refused, Err(UploadRefusal::DiskReserve)));
    assert_eq!(uploads.lock().all(), 0);
}

/// A state of so many floats, as it is published, and its root.
fn published(count: u64) -> (Digest, Vec<u8>) {
    let kind = TensorType { element: ElementType::F32, shape: Shape::new(&[count]).unwrap() };
    let mut bytes = StateHead { values: vec![(0, kind)] }.prefix();
    bytes.extend((0..count).flat_map(|at| (at as f32).to_bits().to_be_bytes()));
    let limits = StateLimits { bytes: 1 << 20, leaves: 1 << 10 };
    let mut hasher = StateHasher::<Keccak>::new(limits);
    hasher.push(&bytes).unwrap();
    (hasher.finish().unwrap(), bytes)
}

/// Publishes bytes under a root, as announced with another length.
fn publish(
    uploads: &Uploads,
    root: &Digest,
    announced: usize,
    bytes: &[u8],
) -> Result<(), UploadRefusal> {
    let reservation = uploads.reserve(ACCOUNT, announced as u64, Needs::default).unwrap();
    let (sender, parts) = mpsc::channel(1);
    sender.try_send(Bytes::copy_from_slice(bytes)).unwrap();
    drop(sender);
    uploads.write(root, reservation, parts)
}

#[test]
fn an_upload_that_is_cut_or_of_another_root_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = uploads(folder.path(), 1 << 20, 0);
    let (root, bytes) = published(100);
    {
        cov_mark::check!(upload_is_not_of_its_length);
        let cut = publish(&uploads, &root, bytes.len(), &bytes[..bytes.len() - 4]);
        assert!(matches!(cut, Err(UploadRefusal::Cut)), "{cut:?}");
    }
    {
        cov_mark::check!(upload_has_another_root);
        let other = publish(&uploads, &Digest([1; 32]), bytes.len(), &bytes);
        let is_other =
            matches!(other, Err(UploadRefusal::OtherRoot { found, .. }) if found == root);
        assert!(is_other, "{other:?}");
    }
    let left = std::fs::read_dir(uploads.folder_of(&ACCOUNT)).unwrap().count();
    assert_eq!((left, uploads.lock().all()), (0, 0));
}

#[test]
fn audit_a16_a_state_that_comes_twice_at_once_is_kept_and_counted_once() {
    cov_mark::check!(state_came_twice_at_once);
    let folder = tempfile::tempdir().unwrap();
    let uploads = uploads(folder.path(), 1 << 20, 0);
    let (root, bytes) = published(100);
    let late = uploads.reserve(ACCOUNT, bytes.len() as u64, Needs::default).unwrap();
    publish(&uploads, &root, bytes.len(), &bytes).unwrap();
    let (sender, parts) = mpsc::channel(1);
    sender.try_send(Bytes::from(bytes.clone())).unwrap();
    drop(sender);
    uploads.write(&root, late, parts).unwrap();
    assert_eq!(std::fs::read(uploads.file(&root, &ACCOUNT)).unwrap(), bytes);
    assert_eq!(uploads.lock().all(), charge(bytes.len() as u64));
}

#[test]
fn who_comes_while_room_is_being_made_is_told_to_come_again() {
    cov_mark::check!(room_is_being_made);
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), 1, 2);
    let uploads = uploads(folder.path(), 8 << 10, 0);
    let first = uploads.reserve(ACCOUNT, 4_000, || {
        let second = uploads.reserve(ACCOUNT, 4_000, || panic!("looked through twice at once"));
        assert!(matches!(second, Err(UploadRefusal::Tidying)), "{second:?}");
        Needs::default()
    });
    assert!(first.is_ok());
}
