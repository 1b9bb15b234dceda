//! Conflicts between jobs: two with the same name, locks inside one another, and a dropped-in job's
//! exclusive lock or keys used by another job.
//!
//! The policy is not read here: each job carries the list of its exclusive resources.

use leasehold_diagnostics::shown_path;

use super::job::Job;
use super::loaded::Config;
use super::lockname;
use super::origin::Layer;
use super::sharing::{is_reserved, overlap};

/// Conflict that keeps a dropped-in plugin's job out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A job with its name exists.
    #[error(
        "plugin {newcomer}: there is a job `{name}` already, {other}: rename the file, or set another `name` in the plugin's manifest"
    )]
    Name {
        /// The plugin that was refused.
        newcomer: String,
        /// The name of both.
        name: String,
        /// Origin of the other job.
        other: String,
    },
    /// A job has the lock that is exclusive to this one.
    #[error(
        "plugin {newcomer}: its lock `{lock}` is that of job `{other}`, {place}: set another `name` in its manifest, or share the lock on purpose with `locks = [{lock:?}]` under [plugins]"
    )]
    SameLock {
        /// The plugin that was refused.
        newcomer: String,
        /// Its lock.
        lock: String,
        /// The job that was there first.
        other: String,
        /// Origin of that job.
        place: String,
    },
    /// A job has keys that are exclusive to this one.
    #[error(
        "plugin {newcomer}: its keys `{keys}` and `{other_keys}` of job `{other}`, {place}, lie inside one another: set another `name` in its manifest, or share them on purpose with `kv = [{keys:?}]` under [plugins.allow]"
    )]
    Keys {
        /// The plugin that was refused.
        newcomer: String,
        /// Its prefix.
        keys: String,
        /// The job that was there first.
        other: String,
        /// Prefix of that job.
        other_keys: String,
        /// Origin of that job.
        place: String,
    },
    /// One lock would lie inside another.
    #[error(
        "plugin {newcomer}: its lock `{lock}` and lock `{other_lock}` of job `{other}` lie inside one another: set another `lock` in {sidecar}"
    )]
    Lock {
        /// The plugin that was refused.
        newcomer: String,
        /// Its lock.
        lock: String,
        /// The job that was there first.
        other: String,
        /// Lock of that job.
        other_lock: String,
        /// The file beside the plugin.
        sidecar: String,
    },
}

/// Returns the conflict that keeps `newcomer` out of the present jobs. Conflicts are
/// an equal name, a lock inside another one, and the use of exclusive resources. Two jobs may share
/// a lock.
pub fn clash<'a>(present: impl IntoIterator<Item = &'a Job>, newcomer: &Job) -> Option<Clash> {
    let file = || shown_path(newcomer.plugin());
    let lock = newcomer.lock();
    let mut nested = None;
    for job in present {
        if job.name() == newcomer.name() {
            let other = home(job, "plugin");
            return Some(Clash::Name {
                newcomer: file(),
                name: newcomer.name().to_owned(),
                other,
            });
        }
        if nested.is_none() {
            nested = shared(job, newcomer);
        }
        let is_nested = lockname::lies_in(lock, job.lock()) || lockname::lies_in(job.lock(), lock);
        if is_nested && nested.is_none() {
            nested = Some(Clash::Lock {
                newcomer: file(),
                lock: lock.to_owned(),
                other: job.name().to_owned(),
                other_lock: job.lock().to_owned(),
                sidecar: shown_path(&newcomer.plugin().with_extension("toml")),
            });
        }
    }
    nested
}

/// Returns the origin of a job, or of its value under `key`.
pub(super) fn home(job: &Job, key: &str) -> String {
    if job.is_dropped() {
        return format!("from {}", shown_path(job.plugin()));
    }
    let origin = [job.origin(key), job.origin("plugin")];
    let mut raw = origin
        .iter()
        .filter(|origin| origin.layer() != Layer::BuiltIn);
    raw.next().map_or_else(
        || "in the configuration".to_owned(),
        |origin| format!("in the configuration, {origin}"),
    )
}

/// Returns the first exclusive resource of the newcomer that `job` uses too. A configured job that
/// names the namespace uses it on purpose.
fn shared(job: &Job, newcomer: &Job) -> Option<Clash> {
    let own = newcomer.own();
    let is_meant = |name: &str| !job.is_dropped() && is_reserved(name);
    if own.lock && job.lock() == newcomer.lock() && !is_meant(job.lock()) {
        return Some(Clash::SameLock {
            newcomer: shown_path(newcomer.plugin()),
            lock: newcomer.lock().to_owned(),
            other: job.name().to_owned(),
            place: home(job, "lock"),
        });
    }
    let theirs = || job.allow().kv.iter().filter(|prefix| !is_meant(prefix));
    own.keys.iter().find_map(|keys| {
        let other_keys = theirs().find(|other| overlap(other, keys))?;
        Some(Clash::Keys {
            newcomer: shown_path(newcomer.plugin()),
            keys: keys.clone(),
            other: job.name().to_owned(),
            other_keys: other_keys.clone(),
            place: home(job, "allow.kv"),
        })
    })
}

impl Config {
    /// Returns the configuration with these dropped-in jobs added, and the conflicts that kept
    /// others out. The first of two that conflict stays; the configuration's own jobs always stay.
    #[must_use]
    pub fn with_dropped(&self, dropped: impl IntoIterator<Item = Job>) -> (Self, Vec<Clash>) {
        let mut jobs = self.jobs.clone();
        let mut clashes = Vec::new();
        for job in dropped {
            match clash(&jobs, &job) {
                None => jobs.push(job),
                Some(clash) => clashes.push(clash),
            }
        }
        jobs.sort_by(|a, b| a.name().cmp(b.name()));
        (
            Self {
                jobs,
                ..self.clone()
            },
            clashes,
        )
    }
}
