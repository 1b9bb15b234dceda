//! The outputs of all runs under way on this host.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_records::{OutputEnd, RunKey};

use super::run_output::{RunAbout, RunOutput};

/// Number of ended runs whose last output may wait to be published; the oldest goes first.
const MOST_ENDED: usize = 64;

/// The outputs of all runs under way. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputRegistry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    runs: Mutex<Runs>,
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
    /// Adds a run that begins.
    pub(crate) fn begin(&self, about: RunAbout) -> ActiveOutput {
        let output = Arc::new(RunOutput::new(about));
        let key = output.about.key.clone();
        self.runs().active.insert(key, output.clone());
        ActiveOutput {
            output,
            registry: self.clone(),
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the jobs that readers follow.
    pub(super) fn follow(&self, jobs: HashSet<String>) {
        let mut runs = self.runs();
        runs.ended.retain(|run| jobs.contains(&run.about.key.job));
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
        runs.active.remove(&output.about.key);
        if runs.followed.contains(&output.about.key.job) {
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
