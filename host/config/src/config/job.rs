//! `[jobs.<name>]`: the plugin of a job, its lock, its schedule and its inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ignored_in_eq::IgnoredInEq;
use super::origin::{Origin, Origins};
use super::schedule::{Restart, Schedule, Wait};
use crate::allow::{Allow, EnvValue, SecretRef};
use crate::limits::Limits;
use crate::remedy::JobSource;

/// Resources that a dropped-in job has by its name alone, so that no other job may use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnResources {
    /// True if its lock is exclusive to it.
    pub lock: bool,
    /// Prefixes of its keys.
    pub keys: Vec<String>,
}

/// One job. All values are valid and fit together.
///
/// Two jobs are equal if they do the same with the same plugin, whatever the origins of their
/// values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(super) name: String,
    pub(super) plugin: PathBuf,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) lock: String,
    pub(super) wait: Wait,
    pub(super) schedule: Schedule,
    pub(super) timeout: Option<Duration>,
    pub(super) ttl: Duration,
    pub(super) stop_margin: Duration,
    pub(super) retries: u32,
    pub(super) restart: Restart,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, EnvValue>,
    pub(super) config_json: String,
    pub(super) secrets: BTreeMap<String, SecretRef>,
    pub(super) allow: Allow,
    pub(super) limits: Limits,
    pub(super) description: Option<String>,
    pub(super) is_dropped: bool,
    /// Resources of a dropped-in job that no policy shares with others.
    pub(super) own: OwnResources,
    pub(super) manifest_digest: Option<[u8; 32]>,
    pub(super) origins: IgnoredInEq<Origins>,
}

impl Job {
    /// The name of the job's table; the same characters as a host's id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The WebAssembly file to run; a relative path was resolved against the configuration file's
    /// folder.
    pub fn plugin(&self) -> &Path {
        &self.plugin
    }

    /// The digest that the plugin must have, if pinned.
    pub const fn sha256(&self) -> Option<&[u8; 32]> {
        self.sha256.as_ref()
    }

    /// Name of the lock that a run needs: segments of letters, digits, `.`, `_`, `-` with `/`
    /// between, at most 200 bytes. Default: the job's name. Jobs may share one; none lies inside
    /// another.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// Time to wait for the lock. Default forever.
    pub const fn wait(&self) -> Wait {
        self.wait
    }

    /// Schedule of the runs. Default: keep running.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Longest time of a run, at least 10 ms; `None`, the default, means no limit.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// TTL of the lease: whole seconds, from 2 s to 1 h. Default 10 s.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time kept before the lease's end to stop the guest. Default 250 ms; at least
    /// `limits().least_stop_margin()`, and small enough to leave the TTL room for renewals.
    pub const fn stop_margin(&self) -> Duration {
        self.stop_margin
    }

    /// Number of times that a failed run is tried again before the next is due. Default 0.
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// The pause after a failure. Default from 1 s to 1 min.
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// Arguments after the program's name, without NUL characters. Default none.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Environment variables; none starts with `LEASEHOLD_` or `ETCD_LOCK_`. The secrets among them
    /// are in `secrets()`. Default none.
    pub const fn env(&self) -> &BTreeMap<String, EnvValue> {
        &self.env
    }

    /// The job's `config` table as one JSON object, with sorted keys and dates as text. Default
    /// `{}`.
    pub fn config_json(&self) -> &str {
        &self.config_json
    }

    /// Locations of the job's secrets, by name. Default none.
    pub const fn secrets(&self) -> &BTreeMap<String, SecretRef> {
        &self.secrets
    }

    /// Grants of the job beyond the rights of every plugin. Default none.
    pub const fn allow(&self) -> &Allow {
        &self.allow
    }

    /// Limits of one run.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Description in the plugin's manifest, one line.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns true if the plugin lies in the folder of `[plugins]`; no table of the configuration
    /// names it.
    pub const fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    /// Resources of a dropped-in job that no other job may use.
    pub const fn own(&self) -> &OwnResources {
        &self.own
    }

    /// SHA-256 of the bytes in which a manifest was searched, whether or not one was found; `None`
    /// if the file was not read. Bytes with another digest may have another manifest.
    pub const fn manifest_digest(&self) -> Option<&[u8; 32]> {
        self.manifest_digest.as_ref()
    }

    /// Returns the origin of the value under `key`, a key of [`Job::values`].
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.0.of(key)
    }

    /// Returns the source of the job's settings, which remedies name.
    pub fn source(&self) -> JobSource {
        if self.is_dropped {
            JobSource::dropped(&self.name, &self.plugin)
        } else {
            JobSource::table(&self.name)
        }
    }

    /// Returns true if both wait for the same lock in the same way and at the same times. Then one can
    /// take the other's position in the queue.
    pub fn queues_like(&self, other: &Self) -> bool {
        self.lock == other.lock
            && self.wait == other.wait
            && self.ttl == other.ttl
            && self.stop_margin == other.stop_margin
            && self.schedule == other.schedule
            && self.retries == other.retries
            && self.restart == other.restart
    }
}
