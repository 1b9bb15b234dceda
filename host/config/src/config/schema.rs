//! All tables and keys, in the order of the reference.
//!
//! Readers take keys from these lists, and unknown keys are found by them. A test fails for a key
//! listed here that is not read, or that `configs/reference.toml` does not explain.
//!
//! Each key has one row, in `rows`, with the form of its value. The lists of the tables and the JSON schema follow from
//! the rows.

mod rows;

use self::rows::KeyTable::{
    Allow, Defaults, Dir, Job, Manifest, NeededDir, Needs, Sidecar, SidecarAllow,
};
use self::rows::{
    DIR_ROWS, ENV_ROWS, FormRow, GRANT_ROWS, HISTORY_ROWS, HOST_ROWS, JOB_ROWS, KEEP_OUTPUT_ROWS,
    KeyRow, LOCK_ROWS, NOTIFY_ROWS, OTLP_ROWS, PLUGINS_ROWS, RESTART_ROWS, SECRET_ROWS, STORE_ROWS,
    TLS_ROWS, count_of, keys_of, names_of,
};
use super::value_form::ValueForm;
use crate::limits::LimitKey;

/// `[jobs.<name>]`
pub(super) const JOB: &[&str] = &keys_of::<{ count_of(JOB_ROWS, Job) }>(JOB_ROWS, Job);
/// The sidecar beside a dropped-in plugin
pub(super) const SIDECAR: &[&str] = &keys_of::<{ count_of(JOB_ROWS, Sidecar) }>(JOB_ROWS, Sidecar);
/// The manifest in a plugin
pub(super) const MANIFEST: &[&str] =
    &keys_of::<{ count_of(JOB_ROWS, Manifest) }>(JOB_ROWS, Manifest);
/// `[defaults]`
pub(super) const DEFAULTS: &[&str] =
    &keys_of::<{ count_of(JOB_ROWS, Defaults) }>(JOB_ROWS, Defaults);
/// `allow`, in a job, in the defaults or in the policy
pub(super) const ALLOW: &[&str] = &keys_of::<{ count_of(GRANT_ROWS, Allow) }>(GRANT_ROWS, Allow);
/// `allow`, in the sidecar of a dropped-in plugin: its requests
pub(super) const ASKS: &[&str] =
    &keys_of::<{ count_of(GRANT_ROWS, SidecarAllow) }>(GRANT_ROWS, SidecarAllow);
/// `needs`, in a manifest
pub(super) const NEEDS: &[&str] = &keys_of::<{ count_of(GRANT_ROWS, Needs) }>(GRANT_ROWS, Needs);
/// One of `dirs` in `allow`
pub(super) const DIR: &[&str] = &keys_of::<{ count_of(DIR_ROWS, Dir) }>(DIR_ROWS, Dir);
/// One of `dirs` that a plugin needs
pub(super) const NEED: &[&str] = &keys_of::<{ count_of(DIR_ROWS, NeededDir) }>(DIR_ROWS, NeededDir);

/// Tables at the top of the file.
pub(super) const ROOT: &[&str] = &[
    "host", "store", "notify", "otlp", "defaults", "plugins", "jobs",
];
/// `[host]`
pub(super) const HOST: &[&str] = &names_of::<{ HOST_ROWS.len() }>(HOST_ROWS);
/// `keep_output` in `[host]`
pub(super) const KEEP_OUTPUT: &[&str] = &names_of::<{ KEEP_OUTPUT_ROWS.len() }>(KEEP_OUTPUT_ROWS);
/// `[notify]`
pub(super) const NOTIFY: &[&str] = &names_of::<{ NOTIFY_ROWS.len() }>(NOTIFY_ROWS);
/// `[otlp]`
pub(super) const OTLP: &[&str] = &names_of::<{ OTLP_ROWS.len() }>(OTLP_ROWS);
/// `[store]`
pub(super) const STORE: &[&str] = &names_of::<{ STORE_ROWS.len() }>(STORE_ROWS);
/// `[store.tls]`
pub(super) const TLS: &[&str] = &names_of::<{ TLS_ROWS.len() }>(TLS_ROWS);
/// `[plugins]`
pub(super) const PLUGINS: &[&str] = &names_of::<{ PLUGINS_ROWS.len() }>(PLUGINS_ROWS);
/// `restart`, in a job or in the defaults
pub(super) const RESTART: &[&str] = &names_of::<{ RESTART_ROWS.len() }>(RESTART_ROWS);
/// `history`, in a job or in the defaults
pub(super) const HISTORY: &[&str] = &names_of::<{ HISTORY_ROWS.len() }>(HISTORY_ROWS);
/// A lock of a job that is not a mere name
pub(super) const LOCK: &[&str] = &names_of::<{ LOCK_ROWS.len() }>(LOCK_ROWS);
/// One of a job's `secrets`
pub(super) const SECRET: &[&str] = &names_of::<{ SECRET_ROWS.len() }>(SECRET_ROWS);
/// A variable of a job's `env` that is a secret
pub(super) const ENV: &[&str] = &names_of::<{ ENV_ROWS.len() }>(ENV_ROWS);
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

/// Rows of the tables that no other table shares its rows with, by the kind of the table.
const FORM_ROWS: &[(&str, &[FormRow])] = &[
    ("host", HOST_ROWS),
    ("keep_output", KEEP_OUTPUT_ROWS),
    ("notify", NOTIFY_ROWS),
    ("otlp", OTLP_ROWS),
    ("store", STORE_ROWS),
    ("tls", TLS_ROWS),
    ("restart", RESTART_ROWS),
    ("history", HISTORY_ROWS),
    ("lock", LOCK_ROWS),
    ("secrets", SECRET_ROWS),
    ("env", ENV_ROWS),
    ("plugins", PLUGINS_ROWS),
];

/// Rows of the tables that share rows, by the kind of the table.
const KEY_ROWS: &[(&str, &[KeyRow])] =
    &[("job", JOB_ROWS), ("allow", GRANT_ROWS), ("dirs", DIR_ROWS)];

/// Returns the form of a key in a table of this kind. `None` for limits, whose forms follow from their units.
pub(super) fn form_of(kind: &str, key: &str) -> Option<ValueForm> {
    let own = FORM_ROWS.iter().filter(|(of, _)| *of == kind);
    let own = own.flat_map(|(_, rows)| rows.iter().copied());
    let shared = KEY_ROWS.iter().filter(|(of, _)| *of == kind);
    let shared = shared.flat_map(|(_, rows)| rows.iter().map(|(name, form, _)| (*name, *form)));
    let mut rows = own.chain(shared);
    rows.find(|(name, _)| *name == key).map(|(_, form)| form)
}

/// Returns true if a job, or the defaults of all jobs, may hold `key`.
pub(super) const fn is_job_key(key: &str) -> bool {
    let mut at = 0;
    while at < JOB_ROWS.len() {
        if is_same(JOB_ROWS[at].0.as_bytes(), key.as_bytes()) {
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
