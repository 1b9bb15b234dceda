//! Schemas of the forms that `schema` lists for values.

use serde_json::{Value, json};

use crate::config::value_form::ValueForm::{
    self, Any, Boolean, Directories, Duration, DurationOr, Fraction, Inner, Integer, Locks, ManyOf,
    Name, OneOf, Path, Percentage, Sha256, Size, Text, TextOrTable, Texts,
};

/// Keys without which the table at this path is invalid.
pub(super) fn required(path: &str) -> Vec<&'static str> {
    match path {
        "jobs.<name>" => vec!["plugin"],
        "plugins" => vec!["dir"],
        "store.tls" => vec!["ca"],
        "otlp" => vec!["endpoint"],
        "lock" => vec!["name"],
        _ => Vec::new(),
    }
}

impl ValueForm {
    /// The schema of values of this form.
    pub(super) fn schema(self) -> Value {
        match self {
            // The keys of an inner table are listed by themselves.
            Any | Inner => json!({ "type": "object" }),
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
