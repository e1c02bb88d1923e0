//! An append-only log of records on disk.
//!
//! The only place that knows sled. Replacing it touches this file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::hash::keccak;
use serde::{Deserialize, Serialize};

use crate::{durable, wire};

/// Why the log cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process serves this ledger.
    #[error(
        "the ledger in {path} is open in another process; stop that one, or name another folder"
    )]
    Locked {
        /// Where.
        path: String,
    },
    /// The database failed: disk full, permissions.
    #[error(
        "the ledger's database at {path} failed: {reason}; free disk space and check the \
         folder's rights, then start again"
    )]
    Database {
        /// Where.
        path: String,
        /// What it said.
        reason: String,
    },
    /// Records that were acknowledged are not there any more.
    #[error(
        "the ledger at {path} holds {found} records and had acknowledged {acknowledged}: its files are \
         damaged, or of another time; restore a copy that is not older"
    )]
    Lost {
        /// Where.
        path: String,
        /// Records found.
        found: u64,
        /// Records acknowledged.
        acknowledged: u64,
    },
    /// A record in the middle is damaged.
    #[error("record {height} of the ledger at {path} is damaged ({reason}); restore a copy")]
    Damaged {
        /// Where.
        path: String,
        /// Which record.
        height: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Bytes of records that are checked at a time, of those that were not read when the log was opened.
const CHECKED_BYTES: usize = 1 << 20;
/// Memory of the database for what it read and wrote.
const CACHE_BYTES: u64 = 8 << 20;
/// How long a log that is open elsewhere is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Time between two attempts to open it.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// A record as stored: its content, and a hash that chains it to all before it.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    content: Vec<u8>,
    chain: [u8; 32],
}

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Contents of all whole records after `from`, in order.
    pub contents: Vec<Vec<u8>>,
    /// Damaged records at the end that were cut off. They were never acknowledged.
    pub cut: u64,
    /// The place that it was read from; `None` where that is its beginning.
    pub from: Option<Mark>,
}

/// A place in a log: after so many records, by the hash that chains all of them.
///
/// The place at which something was last acknowledged, the anchor, has a file of its own: what the database loses
/// without a word is noticed by it. It is written after the flush, so it never runs ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Records before it.
    pub height: u64,
    /// Hash that chains them.
    pub chain: [u8; 32],
}

impl Mark {
    fn file(folder: &Path) -> PathBuf {
        folder.join("anchor")
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut bytes = [&self.height.to_be_bytes()[..], &self.chain].concat();
        let check = keccak(&bytes);
        bytes.extend_from_slice(&check.0);
        // An older one after a power cut only says less.
        durable::exchange(file, &bytes)
    }

    fn read(file: &Path) -> std::io::Result<Option<Self>> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parsed = bytes.split_at_checked(40).filter(|(head, check)| keccak(head).0 == **check);
        let (height, chain) = parsed
            .and_then(|(head, _)| head.split_first_chunk::<8>())
            .and_then(|(height, chain)| Some((*height, <[u8; 32]>::try_from(chain).ok()?)))
            .ok_or_else(|| {
                #[cfg(test)]
                cov_mark::hit!(anchor_is_damaged);
                let help = "is damaged; the log may be too: restore a copy of both";
                std::io::Error::other(format!("{} {help}", file.display()))
            })?;
        Ok(Some(Self { height: u64::from_be_bytes(height), chain }))
    }
}

/// The log.
#[derive(Debug)]
pub struct Store {
    path: String,
    anchor: PathBuf,
    database: sled::Db,
    log: sled::Tree,
    height: u64,
    chain: [u8; 32],
}

impl Store {
    /// Opens or makes the log in a folder, checks every record, and cuts a torn tail.
    ///
    /// # Errors
    /// When the database cannot be opened or a record that others follow is damaged.
    pub fn open(folder: &Path) -> Result<(Self, Recovered), StoreError> {
        Self::open_after(folder, |_| None)
    }

    /// As [`Store::open`], and reads what comes after a mark only, which is found with what the log has; everything,
    /// where none is found or the log does not have it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_after(
        folder: &Path,
        find: impl FnOnce(&LogReader) -> Option<Mark>,
    ) -> Result<(Self, Recovered), StoreError> {
        let path = folder.display().to_string();
        let fail = |error: sled::Error| StoreError::Database {
            path: path.clone(),
            reason: error.to_string(),
        };
        let database = database(folder)?;
        let log = database.open_tree("log").map_err(fail)?;
        let file = Mark::file(folder);
        let anchor = Mark::read(&file).map_err(|error| StoreError::Database {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let reader = LogReader { path: path.clone(), log: log.clone() };
        let from = match find(&reader) {
            Some(mark) if reader.has(&mark)? => Some(mark),
            Some(_) | None => None,
        };
        let Mark { height, chain } = from.unwrap_or(Mark { height: 0, chain: [0; 32] });
        let mut store = Self { path: path.clone(), anchor: file, database, log, height, chain };
        let mut reached = match anchor {
            None => true,
            // It is older than the mark only if a power cut left an older one.
            Some(anchor) => {
                anchor.height == 0 || (anchor.height <= height && reader.has(&anchor)?)
            }
        };
        let mut contents = Vec::new();
        let mut torn = Vec::new();
        for entry in store.log.range(height.to_be_bytes()..) {
            let (key, value) = entry.map_err(fail)?;
            let damage = match store.check(&key, &value, !torn.is_empty()) {
                Ok((content, chain)) => {
                    store.height += 1;
                    store.chain = chain;
                    reached |= anchor == Some(Mark { height: store.height, chain });
                    contents.push(content);
                    continue;
                }
                Err(reason) => reason,
            };
            torn.push((key, damage));
        }
        // A torn write leaves one damaged record at the end. More, or a whole one after it, is
        // not what a crash leaves: say so rather than guess.
        if torn.len() > 1 {
            #[cfg(test)]
            cov_mark::hit!(damage_is_no_torn_tail);
            let reason = torn.first().map_or(String::new(), |(_, reason)| reason.clone());
            return Err(StoreError::Damaged { path, height: store.height, reason });
        }
        if let (false, Some(anchor)) = (reached, anchor) {
            #[cfg(test)]
            cov_mark::hit!(acknowledged_records_are_lost);
            let (found, acknowledged) = (store.height, anchor.height);
            return Err(StoreError::Lost { path, found, acknowledged });
        }
        let cut = store.cut_off(torn).map_err(fail)?;
        Ok((store, Recovered { contents, cut, from }))
    }

    /// Takes the records off the end that a torn write left; says how many.
    fn cut_off(&self, torn: Vec<(sled::IVec, String)>) -> Result<u64, sled::Error> {
        let cut = torn.len() as u64;
        for (key, _) in torn {
            #[cfg(test)]
            cov_mark::hit!(torn_record_is_cut);
            self.log.remove(key)?;
        }
        if cut > 0 {
            self.database.flush()?;
        }
        Ok(cut)
    }

    /// Content and chain of a record that continues what was read so far.
    fn check(&self, key: &[u8], value: &[u8], broken: bool) -> Result<(Vec<u8>, [u8; 32]), String> {
        if broken {
            return Err("it follows a damaged record".to_owned());
        }
        if key != self.height.to_be_bytes() {
            return Err("a record before it is missing".to_owned());
        }
        let record: Record = wire::decode(value).map_err(|error| error.to_string())?;
        if record.chain == link(&self.chain, &record.content) {
            Ok((record.content, record.chain))
        } else {
            #[cfg(test)]
            cov_mark::hit!(record_is_of_another_log);
            Err("its hash does not continue the log".to_owned())
        }
    }

    /// Who reads beside the one who writes.
    pub fn reader(&self) -> LogReader {
        LogReader { path: self.path.clone(), log: self.log.clone() }
    }

    /// Where its end is.
    pub fn mark(&self) -> Mark {
        Mark { height: self.height, chain: self.chain }
    }

    /// Appends a record and returns only when it is on disk.
    ///
    /// # Errors
    /// When it may not be on disk. The log must then be opened anew before it is used again.
    pub fn append(&mut self, content: &[u8]) -> Result<u64, StoreError> {
        self.write(content)?;
        self.flush()?;
        Ok(self.height)
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn flush(&self) -> Result<(), StoreError> {
        let fail = |error: sled::Error| StoreError::Database {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        self.database.flush().map_err(fail)?;
        self.mark().write(&self.anchor).map_err(|error| fail(sled::Error::Io(error)))
    }

    /// Appends a record that may not be on disk before the next [`Store::flush`].
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn write(&mut self, content: &[u8]) -> Result<(), StoreError> {
        let fail = |reason: String| StoreError::Database { path: self.path.clone(), reason };
        let chain = link(&self.chain, content);
        let record = Record { content: content.to_vec(), chain };
        let value = wire::encode(&record).map_err(|error| fail(error.to_string()))?;
        let key = self.height.to_be_bytes();
        self.log.insert(key, value).map_err(|error| fail(error.to_string()))?;
        self.height += 1;
        self.chain = chain;
        Ok(())
    }
}

/// Reads records while others are being written. What is not flushed yet may be among them.
#[derive(Clone, Debug)]
pub struct LogReader {
    path: String,
    log: sled::Tree,
}

impl LogReader {
    /// Whether the log has a mark, as far as the record before it says.
    pub(crate) fn has(&self, mark: &Mark) -> Result<bool, StoreError> {
        if mark.height == 0 {
            return Ok(mark.chain == [0; 32]);
        }
        match self.chain(mark.height) {
            Ok(chain) => Ok(chain == mark.chain),
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The hash that chains the first `height` records, as the last of them has it.
    ///
    /// # Errors
    /// When there are fewer, or the database fails.
    pub fn chain(&self, height: u64) -> Result<[u8; 32], StoreError> {
        let key = height.saturating_sub(1).to_be_bytes();
        let found = self.log.get(key).map_err(|error| StoreError::Database {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let record = found.and_then(|bytes| wire::decode::<Record>(&bytes).ok());
        record.map(|record| record.chain).ok_or_else(|| StoreError::Damaged {
            path: self.path.clone(),
            height,
            reason: "it is missing or cannot be read".to_owned(),
        })
    }

    /// Checks every record before a mark, which nobody read when the log was opened there; ends early where it is
    /// told to.
    ///
    /// # Errors
    /// When a record is damaged or missing.
    pub(crate) fn check_until(&self, mark: &Mark, ending: &AtomicBool) -> Result<(), StoreError> {
        let (mut height, mut chain) = (0, [0; 32]);
        while height < mark.height {
            let page = self.contents(height, CHECKED_BYTES)?;
            if page.is_empty() || ending.load(Ordering::Relaxed) {
                break;
            }
            for content in page.iter().take((mark.height - height) as usize) {
                chain = link(&chain, content);
                height += 1;
            }
        }
        if chain == mark.chain || ending.load(Ordering::Relaxed) {
            return Ok(());
        }
        let reason = "its hashes do not lead to those after it".to_owned();
        Err(StoreError::Damaged { path: self.path.clone(), height: mark.height, reason })
    }

    /// Contents of the records from a height on, as many as have `bytes` bytes, one at least.
    ///
    /// # Errors
    /// When the database fails or a record is damaged.
    pub fn contents(&self, from: u64, bytes: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut left = bytes;
        let mut found: Vec<Vec<u8>> = Vec::new();
        for (height, entry) in (from..).zip(self.log.range(from.to_be_bytes()..)) {
            let (key, value) = entry.map_err(|error| StoreError::Database {
                path: self.path.clone(),
                reason: error.to_string(),
            })?;
            let damaged =
                |reason: String| StoreError::Damaged { path: self.path.clone(), height, reason };
            if key != height.to_be_bytes() {
                #[cfg(test)]
                cov_mark::hit!(reader_meets_a_gap);
                return Err(damaged("a record before it is missing".to_owned()));
            }
            let record: Record =
                wire::decode(&value).map_err(|error| damaged(error.to_string()))?;
            if !found.is_empty() && record.content.len() > left {
                #[cfg(test)]
                cov_mark::hit!(page_of_records_is_full);
                break;
            }
            left = left.saturating_sub(record.content.len());
            found.push(record.content);
        }
        Ok(found)
    }
}

/// The database of a log, unless another process has it.
///
/// A database that was closed keeps its lock until its last writes in the background have ended, and a process that is
/// stopped keeps it until it is gone: who opens it then waits for that, [`LOCK_WAIT`] at most.
fn database(folder: &Path) -> Result<sled::Db, StoreError> {
    let path = folder.display().to_string();
    let asked = Instant::now();
    loop {
        let opened = sled::Config::new()
            .path(folder)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None)
            // What is read again is old; the system's cache has it as well.
            .cache_capacity(CACHE_BYTES)
            .open();
        let reason = match opened {
            Ok(database) => return Ok(database),
            Err(error) => error.to_string(),
        };
        if !reason.contains("could not acquire lock") {
            return Err(StoreError::Database { path, reason });
        }
        if asked.elapsed() >= LOCK_WAIT {
            #[cfg(test)]
            cov_mark::hit!(log_is_open_elsewhere);
            return Err(StoreError::Locked { path });
        }
        std::thread::sleep(LOCK_RETRY);
    }
}

pub(crate) fn link(chain: &[u8; 32], content: &[u8]) -> [u8; 32] {
    keccak(&[&chain[..], content].concat()).0
}

#[cfg(test)]
mod tests;
