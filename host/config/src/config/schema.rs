//! All tables and keys, in the order of the reference.
//!
//! Readers take keys from these lists, and unknown keys are found by them. A test fails for a key
//! listed here that is not read, or that `configs/reference.toml` does not explain.
//!
//! A key that several tables may hold has one row, which names these tables. The lists of the tables follow from
//! the rows.

use self::KeyTable::{
    Allow, Defaults, Dir, Job, Manifest, NeededDir, Needs, Sidecar, SidecarAllow,
};
use crate::limits::LimitKey;

/// A kind of table whose keys other tables may hold too.
#[derive(Clone, Copy)]
enum KeyTable {
    /// `[jobs.<name>]`
    Job,
    /// The sidecar beside a dropped-in plugin: a job's table, without the keys for the plugin and for grants.
    Sidecar,
    /// The manifest in a plugin.
    Manifest,
    /// `[defaults]`
    Defaults,
    /// `allow`, in a job, in the defaults or in the policy.
    Allow,
    /// `allow`, in the sidecar of a dropped-in plugin: its requests.
    SidecarAllow,
    /// `needs`, in a manifest.
    Needs,
    /// One of `dirs` in `allow`.
    Dir,
    /// One of `dirs` that a plugin needs.
    NeededDir,
}

/// A key and the tables that may hold it.
type KeyRow = (&'static str, &'static [KeyTable]);

/// Keys of a job.
#[rustfmt::skip]
const JOB_KEYS: &[KeyRow] = &[
    ("name", &[Manifest]),
    ("description", &[Manifest]),
    ("plugin", &[Job]),
    ("sha256", &[Job, Sidecar]),
    ("lock", &[Job, Sidecar, Manifest]),
    ("wait", &[Job, Sidecar, Manifest, Defaults]),
    ("every", &[Job, Sidecar, Manifest]),
    ("cron", &[Job, Sidecar, Manifest]),
    ("tz", &[Job, Sidecar, Manifest]),
    ("jitter", &[Job, Sidecar, Manifest]),
    ("missed", &[Job, Sidecar, Manifest]),
    ("once", &[Job, Sidecar, Manifest]),
    ("timeout", &[Job, Sidecar, Manifest, Defaults]),
    ("ttl", &[Job, Sidecar, Manifest, Defaults]),
    ("stop_margin", &[Job, Sidecar, Defaults]),
    ("retries", &[Job, Sidecar, Manifest, Defaults]),
    ("update", &[Job, Sidecar, Defaults]),
    ("restart", &[Job, Sidecar, Manifest, Defaults]),
    ("history", &[Job, Sidecar, Defaults]),
    ("args", &[Job, Sidecar]),
    ("env", &[Job, Sidecar]),
    ("config", &[Job, Sidecar, Manifest]),
    ("secrets", &[Job, Sidecar]),
    ("allow", &[Job, Sidecar, Defaults]),
    ("limits", &[Job, Sidecar, Manifest, Defaults]),
    ("needs", &[Manifest]),
];

/// Keys of a job's grants.
#[rustfmt::skip]
const GRANT_KEYS: &[KeyRow] = &[
    ("kv", &[Allow, SidecarAllow, Needs]),
    ("kv_shared", &[Allow]),
    ("http", &[Allow, SidecarAllow, Needs]),
    ("http_networks", &[Allow, SidecarAllow, Needs]),
    ("http_token", &[Allow, SidecarAllow]),
    ("http_ca", &[Allow]),
    ("dirs", &[Allow, SidecarAllow, Needs]),
    ("secrets", &[Needs]),
];

/// Keys of one directory.
#[rustfmt::skip]
const DIR_KEYS: &[KeyRow] = &[
    ("host", &[Dir]),
    ("guest", &[Dir, NeededDir]),
    ("write", &[Dir, NeededDir]),
];

/// `[jobs.<name>]`
pub(super) const JOB: &[&str] = &keys_of::<{ count_of(JOB_KEYS, Job) }>(JOB_KEYS, Job);
/// The sidecar beside a dropped-in plugin
pub(super) const SIDECAR: &[&str] = &keys_of::<{ count_of(JOB_KEYS, Sidecar) }>(JOB_KEYS, Sidecar);
/// The manifest in a plugin
pub(super) const MANIFEST: &[&str] =
    &keys_of::<{ count_of(JOB_KEYS, Manifest) }>(JOB_KEYS, Manifest);
/// `[defaults]`
pub(super) const DEFAULTS: &[&str] =
    &keys_of::<{ count_of(JOB_KEYS, Defaults) }>(JOB_KEYS, Defaults);
/// `allow`, in a job, in the defaults or in the policy
pub(super) const ALLOW: &[&str] = &keys_of::<{ count_of(GRANT_KEYS, Allow) }>(GRANT_KEYS, Allow);
/// `allow`, in the sidecar of a dropped-in plugin: its requests
pub(super) const ASKS: &[&str] =
    &keys_of::<{ count_of(GRANT_KEYS, SidecarAllow) }>(GRANT_KEYS, SidecarAllow);
/// `needs`, in a manifest
pub(super) const NEEDS: &[&str] = &keys_of::<{ count_of(GRANT_KEYS, Needs) }>(GRANT_KEYS, Needs);
/// One of `dirs` in `allow`
pub(super) const DIR: &[&str] = &keys_of::<{ count_of(DIR_KEYS, Dir) }>(DIR_KEYS, Dir);
/// One of `dirs` that a plugin needs
pub(super) const NEED: &[&str] = &keys_of::<{ count_of(DIR_KEYS, NeededDir) }>(DIR_KEYS, NeededDir);

/// Tables at the top of the file.
pub(super) const ROOT: &[&str] = &[
    "host", "store", "notify", "otlp", "defaults", "plugins", "jobs",
];
/// `[host]`
pub(super) const HOST: &[&str] = &[
    "id",
    "data_dir",
    "grace",
    "drift",
    "max_runs",
    "keep_output",
    "listen",
];
/// `keep_output` in `[host]`
pub(super) const KEEP_OUTPUT: &[&str] = &["size", "age"];
/// `[notify]`
pub(super) const NOTIFY: &[&str] = &[
    "on",
    "command",
    "http",
    "headers_file",
    "timeout",
    "per_hour",
    "job_per_hour",
];
/// `[otlp]`
pub(super) const OTLP: &[&str] = &[
    "endpoint",
    "protocol",
    "ratio",
    "headers_file",
    "ca",
    "timeout",
    "allow_plaintext",
];
/// `[store]`
pub(super) const STORE: &[&str] = &[
    "embedded",
    "dir",
    "memory",
    "listen",
    "history",
    "history_size",
    "endpoints",
    "root",
    "user",
    "password_file",
    "tls",
    "allow_plaintext",
    "connect_timeout",
    "request_timeout",
];
/// `[store.tls]`
pub(super) const TLS: &[&str] = &["ca", "cert", "key"];
/// `[plugins]`
pub(super) const PLUGINS: &[&str] = &[
    "dir", "names", "locks", "max_ttl", "allow", "secrets", "limits",
];
/// `restart`, in a job or in the defaults
pub(super) const RESTART: &[&str] = &["min", "max"];
/// `history`, in a job or in the defaults
pub(super) const HISTORY: &[&str] = &["runs", "age"];
/// A lock of a job that is not a mere name
pub(super) const LOCK: &[&str] = &["name", "mode", "permits", "of"];
/// One of a job's `secrets`
pub(super) const SECRET: &[&str] = &["file", "env", "credential"];
/// A variable of a job's `env` that is a secret
pub(super) const ENV: &[&str] = &["secret"];
/// `limits`, in a job or in the defaults
pub(super) const LIMITS: &[&str] = &LimitKey::NAMES;

/// All tables with the keys they may hold. A job's tables come before those of the defaults.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    ("host", HOST),
    ("host.keep_output", KEEP_OUTPUT),
    ("store", STORE),
    ("store.tls", TLS),
    ("notify", NOTIFY),
    ("otlp", OTLP),
    ("jobs.<name>", JOB),
    ("jobs.<name>.restart", RESTART),
    ("jobs.<name>.history", HISTORY),
    ("jobs.<name>.allow", ALLOW),
    ("jobs.<name>.limits", LIMITS),
    ("jobs.<name>.secrets.<name>", SECRET),
    ("jobs.<name>.env.<name>", ENV),
    ("defaults", DEFAULTS),
    ("defaults.restart", RESTART),
    ("defaults.history", HISTORY),
    ("defaults.allow", ALLOW),
    ("defaults.limits", LIMITS),
    ("plugins", PLUGINS),
    ("plugins.allow", ALLOW),
    ("plugins.secrets.<name>", SECRET),
    ("plugins.limits", LIMITS),
];

/// Returns true if a job, or the defaults of all jobs, may hold `key`.
pub(super) const fn is_job_key(key: &str) -> bool {
    let mut at = 0;
    while at < JOB_KEYS.len() {
        if is_same(JOB_KEYS[at].0.as_bytes(), key.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

/// Comparison of texts at compile time.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Names the tables that may hold `key`, in brackets.
pub(super) fn tables_with(key: &str) -> Vec<String> {
    TABLES
        .iter()
        .filter(|(_, keys)| keys.contains(&key))
        .map(|(table, _)| format!("[{table}]"))
        .collect()
}

/// Returns true if a table of this kind may hold the key of this row.
const fn may_hold(table: KeyTable, row: KeyRow) -> bool {
    let (_, tables) = row;
    let mut at = 0;
    while at < tables.len() {
        if tables[at] as u8 == table as u8 {
            return true;
        }
        at += 1;
    }
    false
}

/// Counts the rows whose key a table of this kind may hold.
const fn count_of(rows: &[KeyRow], table: KeyTable) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < rows.len() {
        if may_hold(table, rows[at]) {
            count += 1;
        }
        at += 1;
    }
    count
}

/// Lists the keys that a table of this kind may hold, in the order of the rows.
const fn keys_of<const N: usize>(rows: &[KeyRow], table: KeyTable) -> [&'static str; N] {
    let mut keys = [""; N];
    let (mut at, mut count) = (0, 0);
    while at < rows.len() {
        if may_hold(table, rows[at]) {
            keys[count] = rows[at].0;
            count += 1;
        }
        at += 1;
    }
    keys
}
