//! The context of a run: its identity, its configuration, and the handles to the host's services.
//!
//! It must never be made by hand: a context exists only inside a run.

use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::host;
use crate::kv::Kv;
use crate::lock::Lock;
use crate::outcome::{Failure, OrFail as _};
use crate::types::{Info, Trigger};

/// One run, as seen from inside.
#[derive(Debug)]
pub struct Context {
    info: Info,
}

impl Context {
    /// Reads from the host, once, the identity of the run.
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

    /// The time of the schedule for this run, by the host's wall clock; none when no schedule started it.
    pub fn scheduled_at(&self) -> Option<SystemTime> {
        let millis = Duration::from_millis(self.info.scheduled_at?);
        SystemTime::UNIX_EPOCH.checked_add(millis)
    }

    /// Cause of this run's start.
    pub const fn trigger(&self) -> Trigger {
        self.info.trigger
    }

    /// The job's table `[jobs.<name>.config]` as the author's own type.
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

    /// The store that refuses the writes of a stale holder.
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

    /// Reports the progress of this run: `done` of `total` units of any kind, and a text for the step
    /// at hand. Cheap; the host limits the rate and keeps the newest.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        host::progress(done, total, message);
    }
}
