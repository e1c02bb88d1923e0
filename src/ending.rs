//! How a command ends, and its exit code: the only place that knows the numbers.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did what it should; what was checked holds.
    Done,
    /// What was checked does not hold: a claim is false, a file contradicts itself, there are alerts.
    Falls,
    /// It could not tell: bad input, bad arguments, a failure.
    Failed,
    /// Something that was simulated did not end, or not in time; nothing wrong happened.
    Stuck,
    /// What was simulated was too tame: something never happened that must happen now and then.
    Tame,
    /// What was simulated ended otherwise than expected, and nothing broke.
    Unexpected,
    /// Nobody read its output to the end: what a shell says of a process that SIGPIPE ended. Not 0, which
    /// `verify` and others give a meaning: nobody saw their word.
    Unread,
}

impl Ending {
    /// Falls if something does not hold.
    pub(crate) fn falls_if(does_not_hold: bool) -> Self {
        if does_not_hold { Self::Falls } else { Self::Done }
    }

    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Falls => 1,
            Self::Failed => 2,
            Self::Stuck => 3,
            Self::Tame => 4,
            Self::Unexpected => 5,
            Self::Unread => 141,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}
