//! Room for published states: which of them nobody needs any more, and who is looked through for those.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use protocol::hash::parse_digest;
use protocol::transaction::Address;

use super::needs::{Needs, Tidying, Whose};
use super::{UploadRefusal, Uploads};
use crate::http::quota::{Quota, charge};

/// What is younger is kept in any case: its job or claim may be on the way, or its reader.
const YOUNG: Duration = Duration::from_secs(600);
/// Files looked at for room in one go, at most: those of the accounts with most come first.
const FILES_MAX: usize = 1 << 18;
/// Room is made for this part of a bound at a time.
const SPARE: u64 = 64;
/// Who had nothing more to remove is not looked through again for so long.
const EXHAUSTED: Duration = Duration::from_secs(60);

/// What a look through the states led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Freed {
    /// Something was removed.
    any: bool,
    /// There is room now, and may be more to remove.
    is_enough: bool,
}

impl Uploads {
    /// Makes room once at a time, and not again for a while when all that could go went: looking through
    /// many files is dear, and whoever is at a bound could ask for it without end.
    pub(super) fn tidy(
        &self,
        whose: Whose,
        bytes: u64,
        needs: impl FnOnce() -> Needs,
    ) -> Result<bool, UploadRefusal> {
        let tidying = || self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut all = tidying();
            all.retain(|_, one| match one {
                Tidying::UnderWay => true,
                Tidying::Exhausted(at) => at.elapsed() < EXHAUSTED,
            });
            match all.get(&whose) {
                Some(Tidying::UnderWay) => {
                    #[cfg(test)]
                    cov_mark::hit!(room_is_being_made);
                    return Err(UploadRefusal::Tidying);
                }
                Some(Tidying::Exhausted(_)) => {
                    #[cfg(test)]
                    cov_mark::hit!(nothing_more_could_be_removed);
                    return Ok(false);
                }
                None => drop(all.insert(whose, Tidying::UnderWay)),
            }
        }
        let freed = self.make_room(whose, bytes, &needs());
        let mut all = tidying();
        match freed {
            Ok(Freed { is_enough: true, .. }) => drop(all.remove(&whose)),
            Ok(_) | Err(_) => drop(all.insert(whose, Tidying::Exhausted(Instant::now()))),
        }
        drop(all);
        self.measure();
        Ok(freed?.any)
    }

    /// Removes states that nobody needs until many more have room, for this is dear: first those of no
    /// job, then those of final claims, the oldest first.
    fn make_room(&self, whose: Whose, bytes: u64, needs: &Needs) -> std::io::Result<Freed> {
        let accounts = match whose {
            Whose::Of(account) => vec![account],
            Whose::All => self.lock().accounts(),
        };
        let mut files = Vec::new();
        for account in accounts {
            self.removable(account, needs, &mut files)?;
        }
        files.sort();
        let has_room = |quota: &Quota| {
            let (has, bound) = match whose {
                Whose::Of(account) => (quota.of(&account), self.bounds.account_bytes),
                Whose::All => (quota.all(), self.bounds.all_bytes),
            };
            has.saturating_add(charge(bytes).max(bound / SPARE)) <= bound
        };
        let mut freed = Freed { any: false, is_enough: false };
        for (_, _, path, account, length) in files {
            let mut quota = self.lock();
            freed.is_enough = has_room(&quota) && self.has_disk(bytes).unwrap_or(false);
            if freed.is_enough {
                break;
            }
            // Under the lock: what was touched meanwhile stays.
            let is_young = std::fs::metadata(&path).and_then(|found| found.modified());
            let is_young = is_young.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < YOUNG));
            if !is_young && std::fs::remove_file(&path).is_ok() {
                quota.removed(account, length);
                freed.any = true;
            }
        }
        Ok(freed)
    }

    /// An account's states that may go: whether they are wanted, since when, where, whose, how long.
    fn removable(
        &self,
        account: Address,
        needs: &Needs,
        files: &mut Vec<(bool, SystemTime, PathBuf, Address, u64)>,
    ) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(self.folder_of(&account)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let root = path.file_name().and_then(|name| parse_digest(&name.to_string_lossy()));
            let Some(root) = root.filter(|root| !needs.needed.contains(&(account, *root))) else {
                continue;
            };
            // What another upload is renaming or removing just now is left to it.
            let Ok(found) = std::fs::metadata(&path) else {
                continue;
            };
            let at = found.modified().unwrap_or_else(|_| SystemTime::now());
            if files.len() >= FILES_MAX {
                break;
            }
            if at.elapsed().is_ok_and(|age| age >= YOUNG) {
                files.push((
                    needs.wanted.contains(&(account, root)),
                    at,
                    path,
                    account,
                    found.len(),
                ));
            }
        }
        Ok(())
    }
}
