//! One row a key: its name, the form of its value and, if several tables may hold it, these tables.

use self::KeyTable::{
    Allow, Defaults, Dir, Job, Manifest, NeededDir, Needs, Sidecar, SidecarAllow,
};
use crate::config::value_form::ValueForm::{
    self, Any, Boolean, Directories, Duration, DurationOr, Fraction, Inner, Integer, Locks, ManyOf,
    Name, OneOf, Path, Percentage, Sha256, Size, Text, TextOrTable, Texts,
};

/// A key of one table, and the form of its value.
pub(in crate::config) type FormRow = (&'static str, ValueForm);

/// A kind of table whose keys other tables may hold too.
#[derive(Clone, Copy)]
pub(in crate::config) enum KeyTable {
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

/// A key, the form of its value, and the tables that may hold it.
pub(in crate::config) type KeyRow = (&'static str, ValueForm, &'static [KeyTable]);

/// Keys of a job.
#[rustfmt::skip]
pub(in crate::config) const JOB_ROWS: &[KeyRow] = &[
    ("name", Name, &[Manifest]),
    ("description", Text, &[Manifest]),
    ("plugin", Path, &[Job]),
    ("sha256", Sha256, &[Job, Sidecar]),
    ("lock", Locks, &[Job, Sidecar, Manifest]),
    ("wait", DurationOr(&["forever", "never"]), &[Job, Sidecar, Manifest, Defaults]),
    ("every", Duration, &[Job, Sidecar, Manifest]),
    ("cron", Text, &[Job, Sidecar, Manifest]),
    ("tz", Text, &[Job, Sidecar, Manifest]),
    ("jitter", Duration, &[Job, Sidecar, Manifest]),
    ("missed", OneOf(&["skip", "catch-up"]), &[Job, Sidecar, Manifest]),
    ("once", Boolean, &[Job, Sidecar, Manifest]),
    ("timeout", Duration, &[Job, Sidecar, Manifest, Defaults]),
    ("ttl", Duration, &[Job, Sidecar, Manifest, Defaults]),
    ("stop_margin", Duration, &[Job, Sidecar, Defaults]),
    ("retries", Integer(0, u32::MAX as u64), &[Job, Sidecar, Manifest, Defaults]),
    ("update", OneOf(&["next-run", "restart"]), &[Job, Sidecar, Defaults]),
    ("restart", Inner, &[Job, Sidecar, Manifest, Defaults]),
    ("history", Inner, &[Job, Sidecar, Defaults]),
    ("args", Texts(0), &[Job, Sidecar]),
    ("env", TextOrTable, &[Job, Sidecar]),
    ("config", Any, &[Job, Sidecar, Manifest]),
    ("secrets", Inner, &[Job, Sidecar]),
    ("allow", Inner, &[Job, Sidecar, Defaults]),
    ("limits", Inner, &[Job, Sidecar, Manifest, Defaults]),
    ("needs", Inner, &[Manifest]),
];

/// Keys of a job's grants.
#[rustfmt::skip]
pub(in crate::config) const GRANT_ROWS: &[KeyRow] = &[
    ("kv", Texts(0), &[Allow, SidecarAllow, Needs]),
    ("kv_shared", Boolean, &[Allow]),
    ("http", Texts(0), &[Allow, SidecarAllow, Needs]),
    ("http_networks", Texts(0), &[Allow, SidecarAllow, Needs]),
    ("http_token", Text, &[Allow, SidecarAllow]),
    ("http_ca", Path, &[Allow]),
    ("dirs", Directories, &[Allow, SidecarAllow, Needs]),
    ("secrets", Inner, &[Needs]),
];

/// Keys of one directory.
#[rustfmt::skip]
pub(in crate::config) const DIR_ROWS: &[KeyRow] = &[
    ("host", Path, &[Dir]),
    ("guest", Path, &[Dir, NeededDir]),
    ("write", Boolean, &[Dir, NeededDir]),
];

/// Keys of `[host]`.
#[rustfmt::skip]
pub(in crate::config) const HOST_ROWS: &[FormRow] = &[
    ("id", Name),
    ("data_dir", Path),
    ("grace", Duration),
    ("drift", Percentage),
    ("max_runs", Integer(1, 1_000)),
    ("keep_output", Inner),
    ("listen", Text),
];

/// Keys of `keep_output`.
#[rustfmt::skip]
pub(in crate::config) const KEEP_OUTPUT_ROWS: &[FormRow] = &[
    ("size", Size),
    ("age", Duration),
];

/// Keys of `[notify]`.
#[rustfmt::skip]
pub(in crate::config) const NOTIFY_ROWS: &[FormRow] = &[
    ("on", ManyOf(&["failure", "lost-lock", "missed-tick", "recovery"])),
    ("command", Texts(1)),
    ("http", Text),
    ("headers_file", Path),
    ("timeout", Duration),
    ("per_hour", Integer(1, 10_000)),
    ("job_per_hour", Integer(1, 10_000)),
];

/// Keys of `[otlp]`.
#[rustfmt::skip]
pub(in crate::config) const OTLP_ROWS: &[FormRow] = &[
    ("endpoint", Text),
    ("protocol", OneOf(&["grpc", "http"])),
    ("ratio", Fraction),
    ("headers_file", Path),
    ("ca", Path),
    ("timeout", Duration),
    ("allow_plaintext", Boolean),
];

/// Keys of `[store]`.
#[rustfmt::skip]
pub(in crate::config) const STORE_ROWS: &[FormRow] = &[
    ("embedded", Boolean),
    ("dir", Path),
    ("memory", Boolean),
    ("listen", Text),
    ("history", Integer(100, u64::MAX >> 1)),
    ("history_size", Size),
    ("endpoints", Texts(1)),
    ("root", Text),
    ("user", Text),
    ("password_file", Path),
    ("tls", Inner),
    ("allow_plaintext", Boolean),
    ("connect_timeout", Duration),
    ("request_timeout", Duration),
];

/// Keys of `[store.tls]`.
#[rustfmt::skip]
pub(in crate::config) const TLS_ROWS: &[FormRow] = &[
    ("ca", Path),
    ("cert", Path),
    ("key", Path),
];

/// Keys of `[plugins]`.
#[rustfmt::skip]
pub(in crate::config) const PLUGINS_ROWS: &[FormRow] = &[
    ("dir", Path),
    ("names", Texts(0)),
    ("locks", Texts(0)),
    ("max_ttl", Duration),
    ("allow", Inner),
    ("secrets", Inner),
    ("limits", Inner),
];

/// Keys of `restart`.
#[rustfmt::skip]
pub(in crate::config) const RESTART_ROWS: &[FormRow] = &[
    ("min", Duration),
    ("max", Duration),
];

/// Keys of `history`.
#[rustfmt::skip]
pub(in crate::config) const HISTORY_ROWS: &[FormRow] = &[
    ("runs", Integer(1, 10_000)),
    ("age", Duration),
];

/// Keys of a lock that is not a mere name.
#[rustfmt::skip]
pub(in crate::config) const LOCK_ROWS: &[FormRow] = &[
    ("name", Text),
    ("mode", OneOf(&["exclusive", "shared"])),
    ("permits", Integer(1, u32::MAX as u64)),
    ("of", Integer(1, u32::MAX as u64)),
];

/// Keys of one of a job's `secrets`.
#[rustfmt::skip]
pub(in crate::config) const SECRET_ROWS: &[FormRow] = &[
    ("file", Path),
    ("env", Text),
    ("credential", Text),
];

/// Keys of a variable that is a secret.
#[rustfmt::skip]
pub(in crate::config) const ENV_ROWS: &[FormRow] = &[
    ("secret", Name),
];

/// Returns true if a table of this kind may hold the key of this row.
const fn may_hold(table: KeyTable, row: KeyRow) -> bool {
    let (_, _, tables) = row;
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
pub(in crate::config) const fn count_of(rows: &[KeyRow], table: KeyTable) -> usize {
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
pub(in crate::config) const fn keys_of<const N: usize>(
    rows: &[KeyRow],
    table: KeyTable,
) -> [&'static str; N] {
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

/// Lists the keys of a table, in the order of the rows.
pub(in crate::config) const fn names_of<const N: usize>(rows: &[FormRow]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = rows[at].0;
        at += 1;
    }
    names
}
