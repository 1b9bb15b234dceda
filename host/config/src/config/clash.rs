//! Conflicts between jobs: two with the same name, locks inside one another, and a dropped-in job's
//! exclusive lock or keys used by another job.
//!
//! The policy is not read here: each job carries the list of its exclusive resources.

use leasehold_diagnostics::shown_path;

use super::job::Job;
use super::job_locks::JobLock;
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
    /// Its lock has another number of permits in another job.
    #[error(
        "plugin {newcomer}: its lock `{lock}` has {of} permits, and {other_of} in job `{other}`, {place}: write the same `of` in {sidecar}"
    )]
    Capacity {
        /// The plugin that was refused.
        newcomer: String,
        /// The lock.
        lock: String,
        /// The number of permits that the plugin names.
        of: u32,
        /// The job that was there first.
        other: String,
        /// The number that it names.
        other_of: u32,
        /// Origin of that job.
        place: String,
        /// The file beside the plugin.
        sidecar: String,
    },
}

/// Returns the conflict that keeps `newcomer` out of the present jobs. Conflicts are an equal name, a lock inside
/// another one, a lock with another number of permits, and the use of exclusive resources. Two jobs may share a lock.
pub fn clash<'a>(present: impl IntoIterator<Item = &'a Job>, newcomer: &Job) -> Option<Clash> {
    let mut other_clash = None;
    for job in present {
        if job.name() == newcomer.name() {
            let other = home(job, "plugin");
            return Some(Clash::Name {
                newcomer: shown_path(newcomer.plugin()),
                name: newcomer.name().to_owned(),
                other,
            });
        }
        let between = || shared(job, newcomer).or_else(|| locks_clash(job, newcomer));
        other_clash = other_clash.or_else(between);
    }
    other_clash
}

/// Returns the first conflict between two locks of these jobs.
fn locks_clash(job: &Job, newcomer: &Job) -> Option<Clash> {
    let theirs = job.locks().iter();
    let mut pairs = newcomer
        .locks()
        .iter()
        .flat_map(|own| theirs.clone().map(move |other| (own, other)));
    pairs.find_map(|(own, other)| lock_clash((newcomer, own), (job, other)))
}

fn lock_clash((newcomer, own): (&Job, &JobLock), (job, theirs): (&Job, &JobLock)) -> Option<Clash> {
    let (lock, other_lock) = (own.name(), theirs.name());
    let file = || shown_path(newcomer.plugin());
    let sidecar = || shown_path(&newcomer.plugin().with_extension("toml"));
    if lockname::lies_in(lock, other_lock) || lockname::lies_in(other_lock, lock) {
        return Some(Clash::Lock {
            newcomer: file(),
            lock: lock.to_owned(),
            other: job.name().to_owned(),
            other_lock: other_lock.to_owned(),
            sidecar: sidecar(),
        });
    }
    let (of, other_of) = (own.mode().capacity()?, theirs.mode().capacity()?);
    (lock == other_lock && of != other_of).then(|| Clash::Capacity {
        newcomer: file(),
        lock: lock.to_owned(),
        of,
        other: job.name().to_owned(),
        other_of,
        place: home(job, "lock"),
        sidecar: sidecar(),
    })
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
    let mut own_locks = own.locks.iter();
    if let Some(lock) = own_locks.find(|lock| job.locks().contains(lock) && !is_meant(lock)) {
        return Some(Clash::SameLock {
            newcomer: shown_path(newcomer.plugin()),
            lock: lock.clone(),
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
