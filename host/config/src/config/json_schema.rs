//! JSON schema of the configuration, for editors and validators.
//!
//! Tables, keys and the forms of values are those of `schema`, limits those of `crate::limits`, and descriptions and
//! defaults those of `configs/reference.toml`. A file that the schema refuses is
//! refused by the host too; values that must fit together are judged by the host alone.
//!
//! The draft is number 7, which every validator and editor knows.

mod forms;
mod kinds;
mod reference;

use serde_json::{Map, Value, json};

use self::kinds::kind_of;
use self::reference::Reference;
use super::job_locks::MOST_JOB_LOCKS;
use super::schema;
use super::value_form::ValueForm;
use crate::limits::{LimitKey, LimitUnit};

/// Tables whose names are free, by the table that holds them.
const FREE_NAMES: &str = "<name>";

/// Returns the schema.
pub fn json_schema() -> Value {
    let reference = Reference::read();
    let mut top = object("", schema::ROOT, &reference);
    top.insert(
        "$schema".into(),
        "http://json-schema.org/draft-07/schema#".into(),
    );
    top.insert("title".into(), "Leasehold configuration".into());
    top.insert("definitions".into(), forms::definitions());
    Value::Object(top)
}

/// The schema of the table at this path.
fn object(path: &str, keys: &[&str], reference: &Reference) -> Map<String, Value> {
    let kind = kind_of(path);
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), property(path, key, reference)))
        .collect();
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("additionalProperties".into(), false.into());
    object.insert("properties".into(), Value::Object(properties));
    let required = forms::required(path);
    if !required.is_empty() {
        object.insert("required".into(), required.into());
    }
    // Its keys are a job's, and what is written about jobs is not about it.
    if let Some(text) = reference.table(kind).filter(|_| path != "defaults") {
        object.insert("description".into(), text.into());
    }
    object
}

/// The schema of one key's value.
fn property(path: &str, key: &str, reference: &Reference) -> Value {
    let inner = if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    };
    let kind = kind_of(path);
    let mut value = match (table(&inner), table(&format!("{inner}.{FREE_NAMES}"))) {
        (Some(keys), _) => Value::Object(object(&inner, keys, reference)),
        (None, Some(keys)) => {
            let path = format!("{inner}.{FREE_NAMES}");
            let named = Value::Object(object(&path, keys, reference));
            let named = match schema::form_of(kind, key) {
                Some(ValueForm::TextOrTable) => json!({ "anyOf": [{ "type": "string" }, named] }),
                _ => named,
            };
            json!({ "type": "object", "additionalProperties": named })
        }
        (None, None) if kind == "limits" => limit(key),
        (None, None) => match schema::form_of(kind, key) {
            Some(ValueForm::Directories) => {
                let item = Value::Object(object("dirs", schema::DIR, reference));
                json!({ "type": "array", "items": item })
            }
            Some(ValueForm::Locks) => {
                let table = Value::Object(object("lock", schema::LOCK, reference));
                let one = json!({ "anyOf": [{ "type": "string" }, table] });
                let several = json!({
                    "type": "array", "items": one, "minItems": 1, "maxItems": MOST_JOB_LOCKS,
                });
                json!({ "anyOf": [{ "type": "string" }, table, several] })
            }
            form => form.map_or(json!({}), ValueForm::schema),
        },
    };
    if let Value::Object(value) = &mut value {
        if let Some(text) = reference.key(kind, key) {
            value.insert("description".into(), text.into());
        }
        if let Some(default) = reference.default_of(path, key) {
            value.insert("default".into(), default);
        }
    }
    value
}

/// Keys of the table at this path.
fn table(path: &str) -> Option<&'static [&'static str]> {
    let mut tables = schema::TABLES.iter();
    tables
        .find(|(name, _)| *name == path)
        .map(|(_, keys)| *keys)
}

/// The schema of a limit, from its row.
fn limit(key: &str) -> Value {
    let Some(key) = LimitKey::ALL.into_iter().find(|own| own.as_str() == key) else {
        return json!({});
    };
    let (least, most) = key.bounds();
    match key.unit() {
        LimitUnit::Bytes => json!({ "anyOf": [
            { "type": "integer", "minimum": least.number, "maximum": most.number },
            { "$ref": "#/definitions/size" },
        ] }),
        LimitUnit::Count => json!({
            "type": "integer", "minimum": least.number, "maximum": most.number,
        }),
        LimitUnit::Time => json!({ "allOf": [{ "$ref": "#/definitions/duration" }] }),
    }
}

#[cfg(test)]
mod tests;
