//! Inputs of a job's guest: arguments, environment, and `config` as JSON text.
//!
//! Values pass through unchanged. The host's own environment is not read here.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_diagnostics::shown;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::node::Node;
use super::read;
use super::schema;
use super::section::Section;
use crate::allow::EnvValue;

/// Prefixes of names that the host sets for plain commands.
const RESERVED: [&str; 2] = ["LEASEHOLD_", "ETCD_LOCK_"];

/// Reads `args`.
pub(super) fn args(node: &Node<'_>) -> Option<Vec<String>> {
    let items = node.items("texts", "[\"--verbose\"]")?;
    let texts: Vec<_> = items.iter().map(read::text).collect();
    texts.into_iter().collect()
}

/// Names of secrets, and the remedy that adds one.
pub(super) struct KnownSecrets {
    pub(super) names: BTreeSet<String>,
    pub(super) remedy: &'static str,
}

/// Reads `env`; its secrets must be among `secrets`, if given.
pub(super) fn env(
    node: &Node<'_>,
    secrets: Option<&KnownSecrets>,
) -> Option<BTreeMap<String, EnvValue>> {
    let entries = node.entries()?;
    let pairs: Vec<_> = entries
        .iter()
        .map(|(name, value)| {
            let raw = env_value(value, secrets);
            let name = *name.get_ref();
            if !is_variable(name) {
                return value.reject(
                    "is not a name for a variable",
                    "use letters, digits and `_`, not starting with a digit",
                );
            }
            if let Some(ours) = RESERVED.iter().find(|ours| name.starts_with(**ours)) {
                return value.reject(
                    "is set by the host",
                    format!("choose a name that does not start with {ours}"),
                );
            }
            Some((name.to_owned(), raw?))
        })
        .collect();
    pairs.into_iter().collect()
}

fn env_value(node: &Node<'_>, secrets: Option<&KnownSecrets>) -> Option<EnvValue> {
    if !matches!(node.value(), DeValue::Table(_)) {
        return read::text(node).map(EnvValue::Text);
    }
    let table = Section::of(node, node.key, schema::ENV);
    let name = table.require(
        "secret",
        "write it as in `{ secret = \"api_key\" }`",
        |node| {
            let name = read::words(node)?;
            let Some(known) = secrets.filter(|known| !known.names.contains(&name)) else {
                return Some(name);
            };
            let what = format!("names no secret of the job: \"{}\"", shown(&name));
            node.reject(&what, known.remedy)
        },
    );
    name.map(|name| EnvValue::Secret(name.into_inner()))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Entries of a `config` table, each with its position.
pub(super) type ConfigEntries = BTreeMap<String, Spanned<Value>>;

/// Reads `config`, which the guest receives as JSON text.
pub(super) fn config(node: &Node<'_>) -> Option<ConfigEntries> {
    if !matches!(node.value(), DeValue::Table(_)) {
        return node.wrong_kind("a table", "{ verbose = true }");
    }
    let entries = node.entries()?;
    let pairs: Vec<_> = entries
        .iter()
        .map(|(name, value)| {
            let place = value.span();
            json(value).map(|value| ((*name.get_ref()).to_owned(), Spanned::new(place, value)))
        })
        .collect();
    pairs.into_iter().collect()
}

/// Merges `upper` over `lower`, key by key, also inside tables.
pub(super) fn merge(upper: ConfigEntries, lower: &ConfigEntries) -> ConfigEntries {
    let mut merged = upper;
    for (name, below) in lower {
        match merged.get_mut(name) {
            Some(above) => fill(above.get_mut(), below.get_ref()),
            None => {
                merged.insert(name.clone(), below.clone());
            }
        }
    }
    merged
}

/// Copies into `above` the entries that only `below` has, if both are tables.
fn fill(above: &mut Value, below: &Value) {
    let (Value::Object(above), Value::Object(below)) = (above, below) else {
        return;
    };
    for (name, below) in below {
        match above.get_mut(name) {
            Some(above) => fill(above, below),
            None => {
                above.insert(name.clone(), below.clone());
            }
        }
    }
}

/// Renders a whole `config` as JSON text.
pub(super) fn to_json(entries: ConfigEntries) -> String {
    let map: Map<String, Value> = entries
        .into_iter()
        .map(|(name, value)| (name, value.into_inner()))
        .collect();
    Value::Object(map).to_string()
}

/// Converts one value to JSON; reports every part that has no JSON form.
fn json(node: &Node<'_>) -> Option<Value> {
    match node.value() {
        DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(date) => Some(Value::String(date.to_string())),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) => Some(Value::from(value)),
            Err(_) => node.reject(
                "does not fit 64 bits",
                "write it in quotes if the job reads it as text",
            ),
        },
        DeValue::Float(value) => match value.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Some(Value::Number(number)),
            None => node.reject(
                &format!("is `{}`, which JSON cannot express", shown(value.as_str())),
                "write a finite number, or put it in quotes if the job reads it as text",
            ),
        },
        DeValue::Array(_) => {
            let values: Vec<_> = node.items("values", "[]")?.iter().map(json).collect();
            values.into_iter().collect::<Option<_>>().map(Value::Array)
        }
        DeValue::Table(_) => {
            let pairs: Vec<_> = node
                .entries()?
                .iter()
                .map(|(name, value)| json(value).map(|value| ((*name.get_ref()).to_owned(), value)))
                .collect();
            let map: Option<Map<_, _>> = pairs.into_iter().collect();
            map.map(Value::Object)
        }
    }
}
