//! Values of one run for keys of the job's `config` table. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

/// Returns the table, JSON text, with these values in place of its own. A value becomes the type of the one that it
/// replaces. A key may be a path with dots.
///
/// # Errors
///
/// The reason, for a key that the table has not, or a value of another type.
pub(crate) fn apply(config: &str, overrides: &BTreeMap<String, String>) -> Result<String, String> {
    if overrides.is_empty() {
        return Ok(config.to_owned());
    }
    let mut table: Map<String, Value> = serde_json::from_str(config)
        .map_err(|error| format!("internal: the config table is not JSON: {error}"))?;
    for (key, text) in overrides {
        let known = list_keys(&table);
        let Some(value) = find(&mut table, key) else {
            return Err(format!("its config table has no key `{key}`; {known}"));
        };
        *value = convert(value, text).ok_or_else(|| {
            let kind = describe_kind(value);
            format!("`{key}` of its config table is {kind}, and `{text}` is not")
        })?;
    }
    serde_json::to_string(&table).map_err(|error| format!("internal: {error}"))
}

fn find<'a>(table: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Value> {
    if table.contains_key(key) {
        return table.get_mut(key);
    }
    let (first, rest) = key.split_once('.')?;
    find(table.get_mut(first)?.as_object_mut()?, rest)
}

fn convert(before: &Value, text: &str) -> Option<Value> {
    match before {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Bool(_) => text.parse().ok().map(Value::Bool),
        Value::Number(number) if number.is_f64() => {
            let number: f64 = text.parse().ok()?;
            Number::from_f64(number).map(Value::Number)
        }
        Value::Number(_) => {
            let number: i64 = text.parse().ok()?;
            Some(Value::Number(number.into()))
        }
        Value::Array(_) => serde_json::from_str(text).ok().filter(Value::is_array),
        Value::Object(_) => serde_json::from_str(text).ok().filter(Value::is_object),
        Value::Null => None,
    }
}

const fn describe_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list, as in [1, 2]",
        Value::Object(_) => "a table, as in {\"a\": 1}",
        Value::Null => "nothing",
    }
}

fn list_keys(table: &Map<String, Value>) -> String {
    let names: Vec<&str> = table.keys().map(String::as_str).collect();
    if names.is_empty() {
        "the table is empty".into()
    } else {
        format!("it has: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        r#"{"batch":5,"dry":false,"mail":{"to":"a"},"name":"x","rate":0.5,"tags":["a"]}"#;

    fn with(key: &str, value: &str) -> Result<String, String> {
        apply(TABLE, &BTreeMap::from([(key.into(), value.into())]))
    }

    #[test]
    fn value_takes_the_type_of_the_one_before() {
        for (key, text, expected) in [
            ("batch", "7", r#""batch":7"#),
            ("batch", "-7", r#""batch":-7"#),
            ("dry", "true", r#""dry":true"#),
            ("mail.to", "b", r#""to":"b""#),
            ("name", "7", r#""name":"7""#),
            ("rate", "2", r#""rate":2.0"#),
            ("tags", r#"["b"]"#, r#""tags":["b"]"#),
        ] {
            let table = with(key, text).expect(key);
            assert!(table.contains(expected), "{table}");
        }
        assert_eq!(apply(TABLE, &BTreeMap::new()).as_deref(), Ok(TABLE));
    }

    #[test]
    fn unknown_key_or_other_type_is_refused_with_the_reason() {
        insta::assert_snapshot!(
            with("bach", "7").unwrap_err(),
            @"its config table has no key `bach`; it has: batch, dry, mail, name, rate, tags"
        );
        insta::assert_snapshot!(
            with("batch", "7.5").unwrap_err(),
            @"`batch` of its config table is a number, and `7.5` is not"
        );
        insta::assert_snapshot!(
            with("tags", "b").unwrap_err(),
            @"`tags` of its config table is a list, as in [1, 2], and `b` is not"
        );
        assert!(with("dry", "yes").is_err());
        assert!(with("mail.from", "b").is_err());
        assert!(with("rate", "NaN").is_err());
    }
}
