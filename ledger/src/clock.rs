//! What time it is on a ledger.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// How far a clock goes on without being written down.
const STRIDE: Duration = Duration::from_secs(2);

/// When the clock was last written down, and what it said then.
#[derive(Clone, Copy, Debug)]
struct Tick {
    at: Instant,
    said_ms: u64,
}

impl Tick {
    /// What the clock says at a moment after it, and for how long it stood before that.
    fn at(&self, now: Instant) -> (u64, Duration) {
        let since = now.saturating_duration_since(self.at);
        let gone_ms = u64::try_from(since.min(STRIDE).as_millis()).unwrap_or(u64::MAX);
        (self.said_ms.saturating_add(gone_ms), since.saturating_sub(STRIDE))
    }
}

/// The clock of a ledger's server: it runs while the server runs, and stands while it does not.
///
/// Nobody can move while a ledger is down; a clock that ran on would end windows and lose disputes in the
/// meantime. A ledger's first time is the one of its genesis, and the machine's time does not move it
/// later: a machine whose clock is corrected by an hour ends nothing either. Nor does a process that was halted, or a
/// machine that slept: the clock goes at most two seconds beyond the last time that somebody wrote it down.
///
/// Opened, it stands; [`RunningClock::begin`] lets it run once the ledger can be served.
#[derive(Debug)]
pub struct RunningClock {
    file: PathBuf,
    /// Where it stood; nothing when that is not known.
    stood_ms: Option<u64>,
    ticked: OnceLock<Mutex<Tick>>,
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
        let (ticked, frozen) = (OnceLock::new(), OnceLock::new());
        Ok(Self { file: file.to_owned(), stood_ms, ticked, frozen, writing: Mutex::default() })
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
        self.ticked.get_or_init(|| Mutex::new(Tick { at: Instant::now(), said_ms: from_ms }));
        self.keep().map(drop)
    }

    /// Stands from now on: a ledger that takes nothing more must not let windows end.
    pub fn freeze(&self) {
        let now_ms = self.now_ms();
        self.frozen.get_or_init(|| now_ms);
    }

    /// Writes down where it stands; to be called several times a second once it runs. Gives for how long it stood
    /// because it was not: the process was halted, the machine slept, or the disk let it wait.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn keep(&self) -> std::io::Result<Duration> {
        // Whole or not at all; not flushed, for a power cut may well give some seconds more, and an
        // emptied file is read as none.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let stood = self.tick(Instant::now());
        let partial = self.file.with_extension("partial");
        std::fs::write(&partial, self.now_ms().to_string())?;
        std::fs::rename(partial, &self.file)?;
        Ok(stood)
    }

    /// Goes on from here: for how long it stood since the tick before.
    fn tick(&self, now: Instant) -> Duration {
        let Some(ticked) = self.ticked.get() else { return Duration::ZERO };
        // Whole at any time: what a panic left is as good.
        let mut tick = ticked.lock().unwrap_or_else(PoisonError::into_inner);
        let (said_ms, stood) = tick.at(now);
        // Parts of a millisecond are not lost: most ticks come after a few hundred.
        let exact = tick.at + Duration::from_millis(said_ms.saturating_sub(tick.said_ms)) + stood;
        *tick = Tick { at: exact, said_ms };
        stood
    }
}

impl Clock for RunningClock {
    fn now_ms(&self) -> u64 {
        if let Some(frozen_ms) = self.frozen.get() {
            #[cfg(test)]
            cov_mark::hit!(clock_is_frozen);
            return *frozen_ms;
        }
        let Some(ticked) = self.ticked.get() else {
            return self.stood_ms.unwrap_or(0);
        };
        ticked.lock().unwrap_or_else(PoisonError::into_inner).at(Instant::now()).0
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
    fn a_clock_that_nobody_wrote_down_stands_after_two_seconds_and_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let clock = RunningClock::open(&folder.path().join("clock")).unwrap();
        clock.begin(1_000).unwrap();
        let tick = || *clock.ticked.get().unwrap().lock().unwrap();
        let begun = tick().at;
        let after = |ms| begun + Duration::from_millis(ms);
        // As it goes.
        assert_eq!(clock.tick(after(250)), Duration::ZERO);
        let base_ms = tick().said_ms;
        assert!((1_250..1_300).contains(&base_ms), "{base_ms}");
        // Halted for half a minute: two seconds of it count, before it is written down and after.
        let (said_ms, stood) = tick().at(after(30_250));
        assert_eq!((said_ms, stood), (base_ms + 2_000, Duration::from_secs(28)));
        assert_eq!(clock.tick(after(30_250)), Duration::from_secs(28));
        assert_eq!(tick().said_ms, base_ms + 2_000);
        assert_eq!(clock.tick(after(30_500)), Duration::ZERO);
        assert_eq!(tick().said_ms, base_ms + 2_250);
        // Ticks lose no time, and none goes back.
        for number in 0..10_000u64 {
            clock.tick(after(30_500) + Duration::from_micros(number * 700));
        }
        let gone_ms = tick().said_ms - (base_ms + 2_250);
        assert!((6_998..=7_000).contains(&gone_ms), "{gone_ms}");
        clock.tick(after(0));
        assert_eq!(tick().said_ms, base_ms + 2_250 + gone_ms);
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
