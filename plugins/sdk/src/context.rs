//! What a run knows of itself, and the handles to what its host offers.
//!
//! It must never be made by hand: a context exists only inside a run.

use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::{Failure, Kv, Lock, OrFail as _, host};

/// One run, as seen from inside.
#[derive(Debug)]
pub struct Context {
    info: Info,
}

/// What stays the same as long as a run lasts.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) job: String,
    pub(crate) run_id: String,
    pub(crate) attempt: u32,
    /// In milliseconds since the Unix epoch.
    pub(crate) scheduled_at: Option<u64>,
    pub(crate) trigger: Trigger,
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Its schedule came round.
    Schedule,
    /// A person asked for it.
    Manual,
    /// A watched key changed.
    Watch,
    /// The job is kept running: the first start, or a restart.
    Continuous,
}

impl Context {
    /// Asks the host once for what stays the same as long as the run lasts.
    pub(crate) fn of_this_run() -> Self {
        Self { info: host::info() }
    }

    /// The job's name, as in the host's configuration.
    pub fn job(&self) -> &str {
        &self.info.job
    }

    /// Unique among all runs of all jobs.
    pub fn run_id(&self) -> &str {
        &self.info.run_id
    }

    /// 1 for the first attempt; one more for each retry after a failure.
    pub const fn attempt(&self) -> u32 {
        self.info.attempt
    }

    /// When the schedule wanted this run, by the host's wall clock; none when no schedule did.
    pub fn scheduled_at(&self) -> Option<SystemTime> {
        let millis = Duration::from_millis(self.info.scheduled_at?);
        SystemTime::UNIX_EPOCH.checked_add(millis)
    }

    /// What started this run.
    pub const fn trigger(&self) -> Trigger {
        self.info.trigger
    }

    /// The job's table `[jobs.<name>.config]` as a type of the author's.
    ///
    /// Give the type `#[serde(deny_unknown_fields)]`, so that a misspelt key is not silently
    /// ignored.
    ///
    /// # Errors
    ///
    /// Fatal when the table does not fit the type: no later run reads another one.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let table = format!("reading [jobs.{}.config]", self.job());
        serde_json::from_str(&self.config_text()).or_fatal(&table)
    }

    /// The lock under which this run was started.
    pub const fn lock(&self) -> Lock {
        Lock::of_this_run()
    }

    /// The store in which a stale holder cannot write.
    pub const fn kv(&self) -> Kv {
        Kv::of_this_run()
    }

    /// The job's table `[jobs.<name>.config]` as a JSON object; `{}` when there is none.
    pub fn config_text(&self) -> String {
        host::config()
    }

    /// A secret granted to this job, by name; none when there is no such grant.
    pub fn secret(&self, name: &str) -> Option<String> {
        host::secret(name)
    }

    /// Reports how far this run is: `done` of `total` units of any kind, and what is being done
    /// now. Cheap; the host limits the rate and keeps the newest.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        host::progress(done, total, message);
    }
}
