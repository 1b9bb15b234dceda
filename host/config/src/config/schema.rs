//! All tables and keys, in the order of the reference.
//!
//! Readers take keys from these lists, and unknown keys are found by them. A test fails for a key
//! listed here that is not read, or that `configs/reference.toml` does not explain.

use crate::limits::LimitKey;

/// Tables at the top of the file.
pub(super) const ROOT: &[&str] = &["host", "store", "defaults", "plugins", "jobs"];
/// `[host]`
pub(super) const HOST: &[&str] = &["id", "data_dir", "grace", "drift", "max_runs"];
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
/// `[defaults]`
pub(super) const DEFAULTS: &[&str] = &[
    "wait",
    "timeout",
    "ttl",
    "stop_margin",
    "retries",
    "restart",
    "allow",
    "limits",
];
/// `[jobs.<name>]`
pub(super) const JOB: &[&str] = &[
    "plugin",
    "sha256",
    "lock",
    "wait",
    "every",
    "cron",
    "tz",
    "jitter",
    "missed",
    "once",
    "timeout",
    "ttl",
    "stop_margin",
    "retries",
    "restart",
    "args",
    "env",
    "config",
    "secrets",
    "allow",
    "limits",
];
/// `[plugins]`
pub(super) const PLUGINS: &[&str] = &[
    "dir", "names", "locks", "max_ttl", "allow", "secrets", "limits",
];
/// The sidecar beside a dropped-in plugin: a job's table, without the keys for the plugin and for
/// grants.
pub(super) const SIDECAR: &[&str] = &[
    "sha256",
    "lock",
    "wait",
    "every",
    "cron",
    "tz",
    "jitter",
    "missed",
    "once",
    "timeout",
    "ttl",
    "stop_margin",
    "retries",
    "restart",
    "args",
    "env",
    "config",
    "secrets",
    "allow",
    "limits",
];
/// The manifest in a plugin
pub(super) const MANIFEST: &[&str] = &[
    "name",
    "description",
    "lock",
    "wait",
    "every",
    "cron",
    "tz",
    "jitter",
    "missed",
    "once",
    "timeout",
    "ttl",
    "retries",
    "restart",
    "config",
    "limits",
    "needs",
];
/// `needs`, in a manifest
pub(super) const NEEDS: &[&str] = &["kv", "http", "http_networks", "dirs", "secrets"];
/// `allow`, in the sidecar of a dropped-in plugin: its requests
pub(super) const ASKS: &[&str] = &["kv", "http", "http_networks", "http_token", "dirs"];
/// `restart`, in a job or in the defaults
pub(super) const RESTART: &[&str] = &["min", "max"];
/// `allow`, in a job or in the defaults
pub(super) const ALLOW: &[&str] = &[
    "kv",
    "http",
    "http_networks",
    "http_token",
    "http_ca",
    "dirs",
];
/// One of `dirs` in `allow`
pub(super) const DIR: &[&str] = &["host", "guest", "write"];
/// One of `dirs` that a plugin needs
pub(super) const NEED: &[&str] = &["guest", "write"];
/// One of a job's `secrets`
pub(super) const SECRET: &[&str] = &["file", "env"];
/// A variable of a job's `env` that is a secret
pub(super) const ENV: &[&str] = &["secret"];
/// `limits`, in a job or in the defaults
pub(super) const LIMITS: &[&str] = &LimitKey::NAMES;

/// All tables with the keys they may hold. A job's tables come before those of the defaults.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    ("host", HOST),
    ("store", STORE),
    ("store.tls", TLS),
    ("jobs.<name>", JOB),
    ("jobs.<name>.restart", RESTART),
    ("jobs.<name>.allow", ALLOW),
    ("jobs.<name>.limits", LIMITS),
    ("jobs.<name>.secrets.<name>", SECRET),
    ("jobs.<name>.env.<name>", ENV),
    ("defaults", DEFAULTS),
    ("defaults.restart", RESTART),
    ("defaults.allow", ALLOW),
    ("defaults.limits", LIMITS),
    ("plugins", PLUGINS),
    ("plugins.allow", ALLOW),
    ("plugins.secrets.<name>", SECRET),
    ("plugins.limits", LIMITS),
];

/// Names the tables that may hold `key`, in brackets.
pub(super) fn tables_with(key: &str) -> Vec<String> {
    TABLES
        .iter()
        .filter(|(_, keys)| keys.contains(&key))
        .map(|(table, _)| format!("[{table}]"))
        .collect()
}
