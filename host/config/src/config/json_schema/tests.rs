//! The schema covers every key, and its file in `configs/` is the one that the program prints.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Every kind of table and key of `schema`, without limits and tables inside tables.
fn keys() -> BTreeSet<(&'static str, &'static str)> {
    let tables = schema::TABLES
        .iter()
        .copied()
        .chain([("dirs", schema::DIR), ("lock", schema::LOCK)]);
    tables
        .flat_map(|(path, keys)| keys.iter().map(move |key| (path, *key)))
        .filter(|(path, key)| {
            kind_of(path) != "limits" && table(&format!("{path}.{key}")).is_none()
        })
        .filter(|(path, key)| *key == "env" || table(&format!("{path}.{key}.<name>")).is_none())
        // The defaults' tables are listed for the table itself.
        .map(|(path, key)| (kind_of(path), key))
        .filter(|(kind, key)| {
            !(*kind == "job" && matches!(*key, "restart" | "allow" | "limits" | "secrets"))
        })
        .collect()
}

/// A key whose row calls it plain has no table, and one whose row calls it a table has one.
#[test]
fn form_of_a_key_is_inner_where_a_table_follows() {
    for (path, keys) in schema::TABLES {
        let kind = kind_of(path);
        for key in keys.iter().filter(|_| kind != "limits") {
            let inner = format!("{path}.{key}");
            let form = schema::form_of(kind, key);
            let form = form.unwrap_or_else(|| panic!("no row of {kind} has {key}"));
            let has_table = table(&inner).is_some() || table(&format!("{inner}.<name>")).is_some();
            let is_plain = !matches!(form, ValueForm::Inner | ValueForm::TextOrTable);
            assert_eq!(is_plain, !has_table, "{inner}");
        }
    }
}

#[test]
fn every_key_of_a_job_is_described() {
    let reference = Reference::read();
    let bare: Vec<_> = keys()
        .into_iter()
        .filter(|(kind, _)| {
            matches!(
                *kind,
                "host" | "store" | "tls" | "job" | "allow" | "plugins"
            )
        })
        // Explained together with the key above it.
        .filter(|(_, key)| {
            !matches!(
                *key,
                "password_file" | "request_timeout" | "key" | "history_size"
            )
        })
        .filter(|(kind, key)| reference.key(kind, key).is_none())
        .collect();
    assert!(
        bare.is_empty(),
        "no comment in configs/reference.toml for {bare:?}"
    );
    let limits = LimitKey::NAMES
        .iter()
        .filter(|key| reference.key("limits", key).is_none());
    assert_eq!(limits.count(), 0);
}

#[test]
fn values_have_patterns_bounds_and_defaults() {
    let schema = json_schema();
    let at = |pointer: &str| {
        schema
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer}"))
    };
    assert_eq!(at("/properties/host/properties/grace/default"), "10s");
    assert_eq!(at("/properties/host/properties/max_runs/maximum"), 1_000);
    let limits = "/properties/defaults/properties/limits/properties";
    assert_eq!(at(&format!("{limits}/instances/maximum")), 1_000);
    assert_eq!(at(&format!("{limits}/memory/default")), "64MiB");
    let job = "/properties/jobs/additionalProperties";
    assert_eq!(at(&format!("{job}/properties/missed/enum/1")), "catch-up");
    assert_eq!(at(&format!("{job}/required/0")), "plugin");
    let dirs = "properties/allow/properties/dirs/items/properties/write/type";
    assert_eq!(at(&format!("{job}/{dirs}")), "boolean");
    let secret = "properties/secrets/additionalProperties/properties/file/type";
    assert_eq!(at(&format!("{job}/{secret}")), "string");
}

#[test]
fn file_in_configs_is_the_schema_of_this_version() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/leasehold.schema.json");
    let found = std::fs::read_to_string(&file).expect("the schema is in configs/");
    let found: Value = serde_json::from_str(&found).expect("it is JSON");
    assert!(
        found == json_schema(),
        "a key has changed; run: leasehold schema > configs/leasehold.schema.json"
    );
}
