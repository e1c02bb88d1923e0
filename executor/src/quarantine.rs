//! Jobs that killed their runs: written down, so that a restart does not begin with them again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use protocol::hash::parse_digest;
use protocol::ids::JobId;

/// Jobs that are not run again.
#[derive(Debug)]
pub(crate) struct Quarantine {
    file: PathBuf,
    jobs: HashSet<JobId>,
}

impl Quarantine {
    /// Those of a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let file = folder.join("quarantine");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let jobs = text.lines().filter_map(|line| parse_digest(line.trim()).map(JobId)).collect();
        Self { file, jobs }
    }

    pub(crate) fn holds(&self, job: &JobId) -> bool {
        self.jobs.contains(job)
    }

    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// A job that is not run again.
    pub(crate) fn add(&mut self, job: JobId) {
        self.jobs.insert(job);
        self.keep();
    }

    /// Lets go of jobs that are over.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&JobId) -> bool) {
        let before = self.jobs.len();
        self.jobs.retain(&wanted);
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
    use protocol::hash::Digest;

    use super::*;

    #[test]
    fn audit_a3_a_job_in_quarantine_is_not_run_again_after_a_restart_either() {
        let folder = tempfile::tempdir().unwrap();
        let (bad, unlucky) = (JobId(Digest([1; 32])), JobId(Digest([2; 32])));
        let mut quarantine = Quarantine::read(folder.path());
        assert!(!quarantine.holds(&bad));
        quarantine.add(bad);
        let mut again = Quarantine::read(folder.path());
        assert!(again.holds(&bad) && !again.holds(&unlucky));
        again.retain(|job| *job != bad);
        assert_eq!(Quarantine::read(folder.path()).count(), 0);
    }
}
