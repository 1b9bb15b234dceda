//! The calls to the host, in this crate's own types: from the host in a plugin, from the mock natively.
//!
//! In a plugin they go through `bindings`; natively to the [`mock`](crate::mock). This module only
//! translates: the meaning of a call is documented at its caller.

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::mock::calls::*;

#[cfg(target_family = "wasm")]
pub(crate) use real::*;

use crate::bindings::leasehold::job::{fenced_kv, job_context, log, types as contract};
use crate::error::GuardError;
use crate::types::{Entry, Info, Level, Trigger};

#[cfg(target_family = "wasm")]
mod real {
    //! Calls to the host that runs the plugin.

    use super::{fenced_kv, job_context, log};
    use crate::bindings::leasehold::job::{lock, progress};
    use crate::error::GuardError;
    use crate::types::{Entry, Info, Level};

    pub(crate) fn info() -> Info {
        job_context::info().into()
    }

    pub(crate) fn config() -> String {
        job_context::config()
    }

    pub(crate) fn secret(name: &str) -> Option<String> {
        job_context::secret(name)
    }

    pub(crate) fn progress(done: u64, total: Option<u64>, message: &str) {
        progress::report(done, total, message);
    }

    pub(crate) fn emit(level: Level, message: &str, fields: &[(String, String)]) {
        log::emit(level.into(), message, fields);
    }

    pub(crate) fn lock_name() -> String {
        lock::name()
    }

    pub(crate) fn token() -> u64 {
        lock::token()
    }

    pub(crate) fn holder() -> String {
        lock::holder()
    }

    pub(crate) fn is_held() -> bool {
        lock::is_held()
    }

    pub(crate) fn remaining_ms() -> u64 {
        lock::remaining_ms()
    }

    pub(crate) fn stop_requested(at_most_ms: u32) -> bool {
        lock::stop_requested(at_most_ms)
    }

    pub(crate) fn check() -> Result<(), GuardError> {
        Ok(lock::check()?)
    }

    pub(crate) fn get(key: &str) -> Result<Option<Entry>, GuardError> {
        Ok(fenced_kv::get(key)?.map(Entry::from))
    }

    pub(crate) fn list(prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        let entries = fenced_kv::list_prefix(prefix, limit)?;
        Ok(entries.into_iter().map(Entry::from).collect())
    }

    pub(crate) fn put(key: &str, value: &[u8]) -> Result<u64, GuardError> {
        Ok(fenced_kv::put(key, value)?)
    }

    pub(crate) fn delete(key: &str) -> Result<bool, GuardError> {
        Ok(fenced_kv::delete(key)?)
    }

    pub(crate) fn compare_and_put(
        key: &str,
        expected: u64,
        value: &[u8],
    ) -> Result<u64, GuardError> {
        Ok(fenced_kv::compare_and_put(key, expected, value)?)
    }

    pub(crate) fn compare_and_delete(key: &str, expected: u64) -> Result<(), GuardError> {
        Ok(fenced_kv::compare_and_delete(key, expected)?)
    }
}

impl From<job_context::RunInfo> for Info {
    fn from(raw: job_context::RunInfo) -> Self {
        Self {
            job: raw.job,
            run_id: raw.run_id,
            attempt: raw.attempt,
            scheduled_at: raw.scheduled_at,
            trigger: match raw.trigger {
                job_context::Trigger::Schedule => Trigger::Schedule,
                job_context::Trigger::Manual => Trigger::Manual,
                job_context::Trigger::Watch => Trigger::Watch,
                job_context::Trigger::Continuous => Trigger::Continuous,
            },
        }
    }
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl From<fenced_kv::Entry> for Entry {
    fn from(raw: fenced_kv::Entry) -> Self {
        Self {
            key: raw.key,
            value: raw.value,
            mod_revision: raw.mod_revision,
        }
    }
}

impl From<contract::GuardError> for GuardError {
    fn from(raw: contract::GuardError) -> Self {
        match raw {
            contract::GuardError::Lost => Self::Lost,
            contract::GuardError::Denied(missing) => Self::Denied(missing),
            contract::GuardError::Conflict => Self::Conflict,
            contract::GuardError::TooLarge => Self::TooLarge,
            contract::GuardError::Unavailable(failure) => Self::Unavailable(failure),
        }
    }
}
