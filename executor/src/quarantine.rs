//! Jobs that killed their runs: written down, so that a restart does not begin with them again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use protocol::hash::{Digest, parse_digest};

/// Runs of one job that may be killed: the first may be this machine's fault.
const KILLS_MAX: u32 = 2;

/// Jobs that are not run again.
#[derive(Debug)]
pub(crate) struct Quarantine {
    file: PathBuf,
    jobs: HashSet<Digest>,
    kills: HashMap<Digest, u32>,
}

impl Quarantine {
    /// Those of a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let file = folder.join("quarantine");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let jobs = text.lines().filter_map(|line| parse_digest(line.trim())).collect();
        Self { file, jobs, kills: HashMap::new() }
    }

    pub(crate) fn holds(&self, job: &Digest) -> bool {
        self.jobs.contains(job)
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Another run of a job was killed; whether the job is quarantined now.
    pub(crate) fn killed(&mut self, job: Digest) -> bool {
        let kills = self.kills.entry(job).or_default();
        *kills = kills.saturating_add(1);
        if *kills < KILLS_MAX {
            return false;
        }
        self.jobs.insert(job);
        self.keep();
        true
    }

    /// Lets go of jobs that are over.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Digest) -> bool) {
        let before = self.jobs.len();
        self.jobs.retain(&wanted);
        self.kills.retain(|job, _| wanted(job));
        if self.jobs.len() < before {
            self.keep();
        }
    }

    fn keep(&self) {
        let lines: String = self.jobs.iter().map(|job| format!("{job}\n")).collect();
        let written = std::fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))
            .and_then(|()| ledger::durable::replace(&self.file, lines.as_bytes()));
        if let Err(error) = written {
            tracing::error!(event = "executor.quarantine_not_kept", %error,
                "after a restart these jobs are tried again; make room on the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_a3_a_job_that_killed_two_runs_is_not_run_again_after_a_restart_either() {
        let folder = tempfile::tempdir().unwrap();
        let (bad, unlucky) = (Digest([1; 32]), Digest([2; 32]));
        let mut quarantine = Quarantine::read(folder.path());
        assert!(!quarantine.killed(bad) && !quarantine.killed(unlucky));
        assert!(!quarantine.holds(&bad));
        assert!(quarantine.killed(bad));
        let mut again = Quarantine::read(folder.path());
        assert!(again.holds(&bad) && !again.holds(&unlucky));
        again.retain(|job| *job != bad);
        assert_eq!(Quarantine::read(folder.path()).count(), 0);
    }
}
