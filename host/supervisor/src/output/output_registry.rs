//! The outputs of all runs under way on this host.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_records::{OutputEnd, RunKey, RunRecord};

use super::file_queue::FileQueue;
use super::kept_files;
use super::run_output::RunOutput;

/// Number of ended runs whose last output may wait to be published; the oldest goes first.
const MOST_ENDED: usize = 64;

/// The outputs of all runs under way. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputRegistry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    runs: Mutex<Runs>,
    files: Option<FileQueue>,
    /// Directory of these files.
    folder: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Runs {
    active: BTreeMap<RunKey, Arc<RunOutput>>,
    ended: VecDeque<Arc<RunOutput>>,
    followed: HashSet<String>,
}

/// A run under way. Dropping it ends its output.
#[derive(Debug)]
pub(crate) struct ActiveOutput {
    output: Arc<RunOutput>,
    registry: OutputRegistry,
}

impl OutputRegistry {
    /// Makes a registry whose runs also write to files in a data directory.
    pub(crate) fn new(files: Option<(FileQueue, &Path)>) -> Self {
        let (files, folder) = files.unzip();
        Self(Arc::new(Shared {
            runs: Mutex::default(),
            files,
            folder: folder.map(|data_dir| data_dir.join(kept_files::FOLDER)),
        }))
    }

    /// Returns the directory with all of a job's output, if the host keeps it.
    pub(crate) fn kept_in(&self, job: &str) -> Option<String> {
        let folder = self.0.folder.as_ref()?;
        Some(folder.join(job).display().to_string())
    }

    /// Adds a run that begins. Its record will keep `kept` bytes of output.
    pub(crate) fn begin(&self, record: RunRecord, kept: u64) -> ActiveOutput {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let output = Arc::new(RunOutput::new(record, kept, self.0.files.clone()));
        output.began();
        let key = output.key.clone();
        self.runs().active.insert(key, output.clone());
        ActiveOutput {
            output,
            registry: self.clone(),
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the runs under way.
    pub(super) fn active(&self) -> Vec<Arc<RunOutput>> {
        self.runs().active.values().cloned().collect()
    }

    /// Sets the jobs that readers follow.
    pub(super) fn follow(&self, jobs: HashSet<String>) {
        let mut runs = self.runs();
        runs.ended.retain(|run| jobs.contains(&run.key.job));
        runs.followed = jobs;
    }

    /// Returns the runs of followed jobs: those under way, and those that ended since the last call.
    pub(super) fn followed(&self) -> Vec<Arc<RunOutput>> {
        let mut runs = self.runs();
        let mut found: Vec<_> = runs.ended.drain(..).collect();
        let active = runs.active.iter();
        let active = active.filter(|(key, _)| runs.followed.contains(&key.job));
        found.extend(active.map(|(_, output)| output.clone()));
        found
    }

    fn remove(&self, output: &Arc<RunOutput>) {
        let mut runs = self.runs();
        runs.active.remove(&output.key);
        if runs.followed.contains(&output.key.job) {
            if runs.ended.len() == MOST_ENDED {
                runs.ended.pop_front();
            }
            runs.ended.push_back(output.clone());
        }
    }
}

impl ActiveOutput {
    /// Returns the receiver of its lines.
    pub(crate) fn tap(&self) -> Arc<RunOutput> {
        self.output.clone()
    }

    /// Ends the run's output.
    pub(crate) fn end(self, end: OutputEnd) {
        self.output.end(end);
    }
}

impl Drop for ActiveOutput {
    fn drop(&mut self) {
        self.registry.remove(&self.output);
    }
}
