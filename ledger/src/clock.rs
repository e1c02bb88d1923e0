//! What time it is on a ledger.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Says what time it is, in milliseconds.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since some fixed moment; the ledger never lets it go back.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock of a ledger's server: it runs while the server runs, and stands while it does not.
///
/// Nobody can move while a ledger is down; a clock that ran on would end windows and lose disputes in the
/// meantime. A ledger's first time is the one of its genesis, and the machine's time does not move it
/// later: a machine whose clock is corrected by an hour ends nothing either.
///
/// Opened, it stands; [`RunningClock::begin`] lets it run once the ledger can be served.
#[derive(Debug)]
pub struct RunningClock {
    file: PathBuf,
    /// Where it stood; nothing when that is not known.
    stood_ms: Option<u64>,
    begun: OnceLock<(u64, Instant)>,
    /// Where it stands for good, once the ledger takes nothing more.
    frozen: OnceLock<u64>,
    /// Held by who writes the file: a thread that read the time before it stood must not write after it did.
    writing: Mutex<()>,
}

impl RunningClock {
    /// Reads where the clock kept in a file stood. A file that is missing or was emptied by a power cut
    /// says nothing: the log does then.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else than a time.
    pub fn open(file: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                #[cfg(test)]
                cov_mark::hit!(clock_file_is_missing);
                String::new()
            }
            text => text?,
        };
        let text = text.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace());
        #[cfg(test)]
        if text.is_empty() && file.exists() {
            cov_mark::hit!(clock_file_was_emptied);
        }
        let parsed = (!text.is_empty()).then(|| text.parse()).transpose();
        let stood_ms = parsed.map_err(|_| {
            #[cfg(test)]
            cov_mark::hit!(clock_file_holds_no_time);
            let help = "holds no time in milliseconds; delete it, and the ledger goes on at the last \
                        time of its log";
            std::io::Error::other(format!("{}: {help}", file.display()))
        })?;
        let (begun, frozen) = (OnceLock::new(), OnceLock::new());
        Ok(Self { file: file.to_owned(), stood_ms, begun, frozen, writing: Mutex::default() })
    }

    /// Runs from now on: from where it stood, or from the last time of the ledger where that is later or
    /// it is not known where it stood.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn begin(&self, last_ms: u64) -> std::io::Result<()> {
        let from_ms = self.stood_ms.map_or(last_ms, |stood_ms| stood_ms.max(last_ms));
        #[cfg(test)]
        if self.stood_ms.is_some_and(|stood_ms| stood_ms < last_ms) {
            cov_mark::hit!(log_is_later_than_the_clock);
        }
        self.begun.get_or_init(|| (from_ms, Instant::now()));
        self.keep()
    }

    /// Stands from now on: a ledger that takes nothing more must not let windows end.
    pub fn freeze(&self) {
        let now_ms = self.now_ms();
        self.frozen.get_or_init(|| now_ms);
    }

    /// Writes down where it stands; to be called several times a second once it runs.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep(&self) -> std::io::Result<()> {
        // Whole or not at all; not flushed, for a power cut may well give some seconds more, and an
        // emptied file is read as none.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let partial = self.file.with_extension("partial");
        std::fs::write(&partial, self.now_ms().to_string())?;
        std::fs::rename(partial, &self.file)
    }
}

impl Clock for RunningClock {
    fn now_ms(&self) -> u64 {
        if let Some(frozen_ms) = self.frozen.get() {
            #[cfg(test)]
            cov_mark::hit!(clock_is_frozen);
            return *frozen_ms;
        }
        let Some((from_ms, begun)) = self.begun.get() else {
            return self.stood_ms.unwrap_or(0);
        };
        let since = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        from_ms.saturating_add(since)
    }
}

/// A clock that somebody moves: for demonstrations and tests.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_running_clock_stands_while_nobody_runs_it_and_never_goes_back() {
        cov_mark::check!(clock_file_is_missing);
        cov_mark::check!(clock_file_was_emptied);
        cov_mark::check!(clock_file_holds_no_time);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let begun = |last_ms| {
            let clock = RunningClock::open(&file).unwrap();
            clock.begin(last_ms).unwrap();
            clock
        };
        // A new ledger begins at its genesis, and so does one whose clock a power cut emptied.
        for content in [None, Some(""), Some("\0\0\0\0")] {
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let now_ms = begun(7_000).now_ms();
            assert!((7_000..8_000).contains(&now_ms), "{now_ms}");
            std::fs::remove_file(&file).unwrap();
        }
        std::fs::write(&file, "5000").unwrap();
        let clock = RunningClock::open(&file).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        // Reading a long log takes time in which nobody can move.
        assert_eq!(clock.now_ms(), 5_000);
        clock.begin(4_000).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        clock.keep().unwrap();
        let stood_ms = clock.now_ms();
        assert!((5_030..6_000).contains(&stood_ms), "{stood_ms}");
        drop(clock);
        std::thread::sleep(Duration::from_millis(300));
        let again_ms = begun(0).now_ms();
        assert!((5_030..stood_ms + 100).contains(&again_ms), "{again_ms} after {stood_ms}");
        std::fs::write(&file, "noon").unwrap();
        assert!(RunningClock::open(&file).unwrap_err().to_string().contains("milliseconds"));
    }

    #[test]
    fn a_frozen_clock_stands_and_is_kept_where_it_stood() {
        cov_mark::check!(clock_is_frozen);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let clock = RunningClock::open(&file).unwrap();
        clock.begin(1_000).unwrap();
        clock.freeze();
        let stood_ms = clock.now_ms();
        std::thread::sleep(Duration::from_millis(20));
        clock.freeze();
        assert_eq!(clock.now_ms(), stood_ms);
        clock.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), stood_ms.to_string());
    }

    #[test]
    fn a_log_that_is_later_than_the_clock_s_file_sets_the_clock() {
        cov_mark::check!(log_is_later_than_the_clock);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        std::fs::write(&file, "5000").unwrap();
        let clock = RunningClock::open(&file).unwrap();
        clock.begin(9_000).unwrap();
        assert!((9_000..10_000).contains(&clock.now_ms()), "{}", clock.now_ms());
    }
}
