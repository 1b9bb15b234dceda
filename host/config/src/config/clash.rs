//! Jobs that cannot be there at the same time: two of one name, locks inside one another, and what a dropped-in
//! job has to itself.
//!
//! Must never look at what a policy allows: a job carries what is its own.

use super::files::shown_path;
use super::origin::Layer;
use super::sharing::{is_reserved, overlap};
use super::{Config, Job, lockname};

/// Why a dropped-in plugin's job cannot join the jobs that are there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A job of its name is there.
    #[error(
        "plugin {newcomer}: there is a job `{name}` already, {other}: rename the file, or set another `name` in the plugin's manifest"
    )]
    Name {
        /// The plugin that was refused.
        newcomer: String,
        /// The name of both.
        name: String,
        /// Where the other came from.
        other: String,
    },
    /// A job has the lock that this one would have to itself.
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
        /// Where that came from.
        place: String,
    },
    /// A job has keys that this one would have to itself.
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
        /// That job's prefix.
        other_keys: String,
        /// Where that came from.
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
        /// That job's lock.
        other_lock: String,
        /// The file beside the plugin.
        sidecar: String,
    },
}

/// Whether `newcomer` can join the jobs that are there: no job has its name, its lock lies inside no other, nor
/// one inside it, and no job has what is its own. Two jobs may share a lock.
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

/// Where a job, or what it says under `key`, came from.
pub(super) fn home(job: &Job, key: &str) -> String {
    if job.is_dropped() {
        return format!("from {}", shown_path(job.plugin()));
    }
    let origin = [job.origin(key), job.origin("plugin")];
    let mut said = origin
        .iter()
        .filter(|origin| origin.layer() != Layer::BuiltIn);
    said.next().map_or_else(
        || "in the configuration".to_owned(),
        |origin| format!("in the configuration, {origin}"),
    )
}

/// The first thing of the newcomer's own that `job` has too. A configured job that names the namespace means it.
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
    /// The same with these dropped-in jobs besides, and what kept others of them out. The first of two
    /// that clash stays; the configuration's own always do.
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
