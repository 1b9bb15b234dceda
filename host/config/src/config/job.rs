//! `[jobs.<name>]`: the plugin of a job, its locks, its schedule and its inputs.
//!
//! A key that is a value and nothing more is a row of the table below: its type, its reading, its default and its
//! printed form. The layers of a configuration, `check` and the comparison of two configurations follow from the row.
//! Such a new key is a row in `schema`, a row here with a getter, an explanation in `configs/reference.toml`, and
//! its use.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::guest;
use super::history::JobHistory;
use super::ignored_in_eq::IgnoredInEq;
use super::job_locks::JobLocks;
use super::origin::{Origin, Origins};
use super::read::{self, LONGEST};
use super::schedule::{self, Restart, Schedule, UpdateTime, Wait};
use super::schema;
use super::section::{Field, Section};
use super::timing;
use crate::allow::{Allow, EnvValue, SecretRef};
use crate::limits::Limits;
use crate::remedy::JobSource;

/// Makes the types that follow from the table: the values of one layer, and the valid ones of a job.
macro_rules! setting_table {
    ($(
        $field:ident: $type:ty {
            read: $read:expr,
            default: $default:expr,
            show: $show:expr,
        }
    )+) => {
        /// Values of these keys in one table of a configuration.
        #[derive(Clone, Debug)]
        pub(super) struct RawSettings {
            $(pub(super) $field: Field<$type>,)+
        }

        impl RawSettings {
            /// Reads the keys that tables of this kind may have.
            pub(super) fn read(section: &Section<'_>) -> Self {
                Self { $($field: section.offer(stringify!($field), $read),)+ }
            }

            /// Takes each key that is absent here from `fallback`.
            pub(super) fn or(self, fallback: &Self) -> Self {
                Self { $($field: self.$field.or(&fallback.$field),)+ }
            }

            /// Visits each key with the position of its value.
            pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
                $(visit(stringify!($field).into(), self.$field.span());)+
            }

            /// Returns the values, with the defaults of absent ones; `None` if any is invalid.
            pub(super) fn validate(self) -> Option<JobSettings> {
                Some(JobSettings { $($field: self.$field.or_default($default)?,)+ })
            }
        }

        /// Valid values of these keys.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct JobSettings {
            $($field: $type,)+
        }

        impl JobSettings {
            /// Returns the value of `key` as a configuration has it; `None` if the job has none, or if the key is not
            /// in the table.
            pub(super) fn shown(&self, key: &str) -> Option<Value> {
                match key {
                    $(stringify!($field) => {
                        let show: fn(&$type) -> Option<Value> = $show;
                        show(&self.$field)
                    })+
                    _ => None,
                }
            }
        }

        // A key that no table may hold would never be read.
        $(const _: () = assert!(schema::is_job_key(stringify!($field)), "the key is not in the schema");)+
    };
}

setting_table! {
    sha256: Option<[u8; 32]> {
        read: |node| read::sha256(node).map(Some),
        default: None,
        show: |digest| digest.map(|digest| read::hex(&digest).into()),
    }
    wait: Wait {
        read: schedule::wait,
        default: Wait::Forever,
        show: |wait| Some(wait.to_string().into()),
    }
    timeout: Option<Duration> {
        read: |node| read::duration(node, SHORTEST_TIMEOUT, LONGEST).map(Some),
        default: None,
        show: |timeout| timeout.map(|timeout| read::format_duration(timeout).into()),
    }
    ttl: Duration {
        read: timing::ttl,
        default: timing::DEFAULT_TTL,
        show: |ttl| Some(read::format_duration(*ttl).into()),
    }
    retries: u32 {
        read: |node| read::integer_u32(node, 0, u32::MAX),
        default: 0,
        show: |retries| Some((*retries).into()),
    }
    update: UpdateTime {
        read: schedule::update,
        default: UpdateTime::NextRun,
        show: |update| Some(update.to_string().into()),
    }
    args: Vec<String> {
        read: guest::args,
        default: Vec::new(),
        show: |args| Some(args.clone().into()),
    }
}

/// Shortest timeout: a shorter run ends before it does anything.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// Resources that a dropped-in job has by its name alone, so that no other job may use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnResources {
    /// Names of its locks.
    pub locks: Vec<String>,
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
    pub(super) locks: JobLocks,
    pub(super) settings: JobSettings,
    pub(super) schedule: Schedule,
    pub(super) stop_margin: Duration,
    pub(super) restart: Restart,
    pub(super) history: JobHistory,
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
        self.settings.sha256.as_ref()
    }

    /// The locks that a run needs. Default: an exclusive one that is called like the job. Jobs may
    /// share one; none lies inside another.
    pub const fn locks(&self) -> &JobLocks {
        &self.locks
    }

    /// Time to wait for the lock. Default forever.
    pub const fn wait(&self) -> Wait {
        self.settings.wait
    }

    /// Schedule of the runs. Default: keep running.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Longest time of a run, at least 10 ms; `None`, the default, means no limit.
    pub const fn timeout(&self) -> Option<Duration> {
        self.settings.timeout
    }

    /// TTL of the lease: whole seconds, from 2 s to 1 h. Default 10 s.
    pub const fn ttl(&self) -> Duration {
        self.settings.ttl
    }

    /// Time kept before the lease's end to stop the guest. Default 250 ms; at least
    /// `limits().least_stop_margin()`, and small enough to leave the TTL room for renewals.
    pub const fn stop_margin(&self) -> Duration {
        self.stop_margin
    }

    /// Number of times that a failed run is tried again before the next is due. Default 0.
    pub const fn retries(&self) -> u32 {
        self.settings.retries
    }

    /// Time from which a new version of the job counts while it runs. Default: the next run.
    pub const fn update(&self) -> UpdateTime {
        self.settings.update
    }

    /// The pause after a failure. Default from 1 s to 1 min.
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// Bounds on the records of its runs.
    pub const fn history(&self) -> JobHistory {
        self.history
    }

    /// Arguments after the program's name, without NUL characters. Default none.
    pub fn args(&self) -> &[String] {
        &self.settings.args
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

    /// Returns true if both wait for the same locks in the same way and at the same times. Then one can
    /// take the other's position in the queues.
    pub fn queues_like(&self, other: &Self) -> bool {
        self.locks == other.locks
            && self.settings.wait == other.settings.wait
            && self.settings.ttl == other.settings.ttl
            && self.stop_margin == other.stop_margin
            && self.schedule == other.schedule
            && self.settings.retries == other.settings.retries
            && self.restart == other.restart
    }
}
