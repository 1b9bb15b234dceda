//! Form of each key's value. A test fails for a key of `schema` without one, and for one without a key.

use serde_json::{Value, json};

use self::ValueForm::{
    Any, Boolean, Directories, Duration, DurationOr, Fraction, Integer, Locks, ManyOf, Name, OneOf,
    Path, Percentage, Sha256, Size, Text, TextOrTable, Texts,
};

/// Form of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueForm {
    /// Any table.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A list of directories.
    Directories,
    /// A time with units.
    Duration,
    /// One of these words, or a time with units.
    DurationOr(&'static [&'static str]),
    /// A number from 0 to 1.
    Fraction,
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// A lock, or a list of locks: a name, or the table that the schema lists.
    Locks,
    /// A list of these words.
    ManyOf(&'static [&'static str]),
    /// Name of a host or job.
    Name,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A path.
    Path,
    /// A percentage.
    Percentage,
    /// A digest.
    Sha256,
    /// A number of bytes, with or without a unit.
    Size,
    /// A text.
    Text,
    /// A text, or the table that the schema lists.
    TextOrTable,
    /// A list of texts, at least as many as this.
    Texts(u64),
}

/// Kinds of tables, their keys, and the forms of the values. Tables inside tables need no row.
#[rustfmt::skip]
const FORMS: &[(&str, &str, ValueForm)] = &[
    ("host", "id", Name),
    ("host", "data_dir", Path),
    ("host", "grace", Duration),
    ("host", "drift", Percentage),
    ("host", "max_runs", Integer(1, 1_000)),
    ("host", "listen", Text),
    ("keep_output", "size", Size),
    ("keep_output", "age", Duration),
    ("notify", "on", ManyOf(&["failure", "lost-lock", "missed-tick", "recovery"])),
    ("notify", "command", Texts(1)),
    ("notify", "http", Text),
    ("notify", "headers_file", Path),
    ("notify", "timeout", Duration),
    ("notify", "per_hour", Integer(1, 10_000)),
    ("notify", "job_per_hour", Integer(1, 10_000)),
    ("otlp", "endpoint", Text),
    ("otlp", "protocol", OneOf(&["grpc", "http"])),
    ("otlp", "ratio", Fraction),
    ("otlp", "headers_file", Path),
    ("otlp", "ca", Path),
    ("otlp", "timeout", Duration),
    ("otlp", "allow_plaintext", Boolean),
    ("store", "embedded", Boolean),
    ("store", "dir", Path),
    ("store", "memory", Boolean),
    ("store", "listen", Text),
    ("store", "history", Integer(100, u64::MAX >> 1)),
    ("store", "history_size", Size),
    ("store", "endpoints", Texts(1)),
    ("store", "root", Text),
    ("store", "user", Text),
    ("store", "password_file", Path),
    ("store", "allow_plaintext", Boolean),
    ("store", "connect_timeout", Duration),
    ("store", "request_timeout", Duration),
    ("tls", "ca", Path),
    ("tls", "cert", Path),
    ("tls", "key", Path),
    ("job", "plugin", Path),
    ("job", "sha256", Sha256),
    ("job", "lock", Locks),
    ("job", "wait", DurationOr(&["forever", "never"])),
    ("job", "every", Duration),
    ("job", "cron", Text),
    ("job", "tz", Text),
    ("job", "jitter", Duration),
    ("job", "missed", OneOf(&["skip", "catch-up"])),
    ("job", "once", Boolean),
    ("job", "timeout", Duration),
    ("job", "ttl", Duration),
    ("job", "stop_margin", Duration),
    ("job", "retries", Integer(0, u32::MAX as u64)),
    ("job", "update", OneOf(&["next-run", "restart"])),
    ("job", "args", Texts(0)),
    ("job", "env", TextOrTable),
    ("job", "config", Any),
    ("lock", "name", Text),
    ("lock", "mode", OneOf(&["exclusive", "shared"])),
    ("lock", "permits", Integer(1, u32::MAX as u64)),
    ("lock", "of", Integer(1, u32::MAX as u64)),
    ("restart", "min", Duration),
    ("restart", "max", Duration),
    ("history", "runs", Integer(1, 10_000)),
    ("history", "age", Duration),
    ("allow", "kv", Texts(0)),
    ("allow", "kv_shared", Boolean),
    ("allow", "http", Texts(0)),
    ("allow", "http_networks", Texts(0)),
    ("allow", "http_token", Text),
    ("allow", "http_ca", Path),
    ("allow", "dirs", Directories),
    ("dirs", "host", Path),
    ("dirs", "guest", Path),
    ("dirs", "write", Boolean),
    ("secrets", "file", Path),
    ("secrets", "env", Text),
    ("secrets", "credential", Text),
    ("env", "secret", Name),
    ("plugins", "dir", Path),
    ("plugins", "names", Texts(0)),
    ("plugins", "locks", Texts(0)),
    ("plugins", "max_ttl", Duration),
];

/// Returns the form of a key in a table of this kind.
pub(super) fn form(kind: &str, key: &str) -> Option<ValueForm> {
    let mut rows = FORMS.iter();
    rows.find(|(of, name, _)| *of == kind && *name == key)
        .map(|(_, _, form)| *form)
}

/// Kinds and keys that have a form.
#[cfg(test)]
pub(super) fn listed() -> impl Iterator<Item = (&'static str, &'static str)> {
    FORMS.iter().map(|(kind, key, _)| (*kind, *key))
}

/// Keys without which the table at this path is invalid.
pub(super) fn required(path: &str) -> Vec<&'static str> {
    match path {
        "jobs.<name>" => vec!["plugin"],
        "plugins" => vec!["dir"],
        "store.tls" => vec!["ca"],
        "lock" => vec!["name"],
        "otlp" => vec!["endpoint"],
        _ => Vec::new(),
    }
}

impl ValueForm {
    /// The schema of values of this form.
    pub(super) fn schema(self) -> Value {
        match self {
            Any => json!({ "type": "object" }),
            Boolean => json!({ "type": "boolean" }),
            // Its tables are of the schema.
            Locks => json!({ "type": ["string", "object", "array"] }),
            // Its items are a table of the schema.
            Directories => json!({ "type": "array" }),
            // In an array of its own, because draft 7 ignores all keys beside a reference.
            Duration => json!({ "allOf": [{ "$ref": "#/definitions/duration" }] }),
            DurationOr(words) => json!({ "anyOf": [
                { "enum": words },
                { "$ref": "#/definitions/duration" },
            ] }),
            Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            ManyOf(words) => json!({ "type": "array", "items": { "enum": words } }),
            Name => json!({ "allOf": [{ "$ref": "#/definitions/name" }] }),
            OneOf(words) => json!({ "enum": words }),
            Path => json!({ "type": "string", "minLength": 1 }),
            Percentage => json!({ "type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$" }),
            Sha256 => json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" }),
            Size => json!({ "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "$ref": "#/definitions/size" },
            ] }),
            Text => json!({ "type": "string" }),
            // Its table is a part of the schema's own tables.
            TextOrTable => json!({ "type": ["string", "object"] }),
            Texts(least) => json!({
                "type": "array", "items": { "type": "string" }, "minItems": least,
            }),
        }
    }
}

/// Forms that many keys share.
pub(super) fn definitions() -> Value {
    json!({
        "duration": {
            "type": "string",
            "pattern": DURATION,
            "description": "A time with units, such as \"250ms\", \"10s\", \"5m\" or \"1h 30m\".",
        },
        "size": {
            "type": "string",
            "pattern": r"^\s*[0-9]+\s*(B|KiB|MiB|GiB)?\s*$",
            "description": "A number of bytes, such as \"512KiB\", \"64MiB\" or \"1GiB\".",
        },
        "name": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
            "description": "1 to 63 letters, digits, `.`, `_` or `-`, starting with a letter or digit.",
        },
    })
}

/// One or more numbers, each with a unit; zero needs none.
const DURATION: &str = concat!(
    r"^(0|(\s*[0-9][0-9\s]*(\.[0-9\s]+)?",
    "(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h",
    "|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)",
    r"\s*)+)$"
);
