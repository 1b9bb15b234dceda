//! The files in `configs/` are valid, and the reference explains every key with its true default.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{parse, valid};
use crate::config::schema;
use crate::limits::LimitKey;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn reference() -> String {
    fs::read_to_string(configs().join("reference.toml")).expect("the reference is readable")
}

/// The reference with its commented-out examples put in force, on etcd.
pub(super) fn reference_with_examples() -> String {
    with_examples(&without_part("---- Without etcd").replace("http://", "https://"))
}

/// The reference with its examples, on the embedded store.
pub(super) fn reference_without_etcd() -> String {
    with_examples(&without_part("---- etcd"))
}

/// The reference without the part under this heading: the two kinds of store exclude each other.
fn without_part(heading: &str) -> String {
    let mut is_in = false;
    let text = reference();
    let kept = text.lines().filter(|line| {
        if let Some(found) = line.strip_prefix("# ---- ") {
            is_in = format!("---- {found}").starts_with(heading);
        }
        !is_in
    });
    kept.fold(String::new(), |text, line| text + line + "\n")
}

fn with_examples(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        // Not a remark, and not the line that names the schema.
        Some(example) if !example.starts_with([' ', ':']) => example,
        _ => line,
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// Name in the schema of a table in the reference.
fn schema_name(header: &str) -> String {
    let parts: Vec<&str> = header.split('.').collect();
    match parts.as_slice() {
        ["jobs", _, rest @ ..] => [&["jobs", "<name>"], rest].concat().join("."),
        parts => parts.join("."),
    }
}

/// All (table, key) pairs that a text sets, tables in braces included.
fn keys_set(text: &str) -> BTreeSet<(String, String)> {
    fn walk(path: &str, table: &toml::Table, keys: &mut BTreeSet<(String, String)>) {
        for (key, value) in table {
            keys.insert((schema_name(path), key.clone()));
            if let Some(inner) = value.as_table() {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{key}"), inner, keys);
            }
        }
    }
    let mut keys = BTreeSet::new();
    walk("", &text.parse().expect("it is TOML"), &mut keys);
    keys
}

#[test]
fn every_file_in_configs_is_valid() {
    let mut count = 0;
    for entry in fs::read_dir(configs()).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            valid(&fs::read_to_string(&path).expect("the file is readable"));
            count += 1;
        }
    }
    assert!(count >= 3, "{count} files");
}

#[test]
fn every_key_is_in_the_reference() {
    let mut set = keys_set(&reference_with_examples());
    set.extend(keys_set(&reference_without_etcd()));
    for (table, keys) in schema::TABLES {
        // A job's inner tables have the same keys as those in the defaults, which the reference
        // lists in full.
        if table.starts_with("jobs.<name>.") || table.starts_with("plugins.") {
            continue;
        }
        for key in *keys {
            let pair = ((*table).to_owned(), (*key).to_owned());
            let once = pair.1 == "once" && table.starts_with("jobs");
            assert!(
                once || set.contains(&pair),
                "`{key}` of [{table}] is missing"
            );
        }
    }
    assert!(reference().contains("\nonce = true\n"));
}

#[test]
fn the_reference_is_valid_with_its_examples_too() {
    valid(&reference_with_examples());
    valid(&reference_without_etcd());
}

#[test]
fn the_reference_shows_the_true_defaults() {
    let required = ["[store]", "endpoints", "[jobs.", "plugin =", "once", "cron"];
    let text = reference();
    let bare = text
        .lines()
        .filter(|line| required.iter().any(|start| line.starts_with(start)))
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(bare.lines().count() < 12, "{bare}");
    assert_eq!(valid(&reference()), valid(&bare));
}

#[test]
fn every_limit_is_explained_with_its_bounds() {
    let text = reference();
    let limits = text.split("[defaults.limits]").nth(1).expect("it is there");
    for key in LimitKey::ALL {
        let (before, _) = limits
            .split_once(&format!("\n{key} = "))
            .expect("the key is explained");
        let comment: Vec<&str> = before
            .lines()
            .rev()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let (least, most) = key.bounds();
        let mut bounds = format!("{least} to {most}").replace('"', "");
        if key == LimitKey::Memory {
            bounds = bounds.replace("4194240KiB", "4GiB less 64KiB");
        }
        assert!(
            comment.iter().any(|line| line.contains(&bounds)),
            "{key}: {bounds}"
        );
    }
}

#[test]
fn every_key_of_the_schema_is_read() {
    // A date is invalid for every key, so a key without an error is a key that is not read.
    for (table, keys) in schema::TABLES {
        let header = table.replace("<name>", "a");
        for key in *keys {
            let text = format!("[{header}]\n{key} = 2024-02-29\n");
            let errors = parse(&text).expect_err("a date is no value of any key");
            let errors = errors.errors();
            assert!(
                errors.iter().any(|error| error.line() == Some(2)),
                "`{key}` of [{table}] is not read: {errors:?}"
            );
        }
    }
}
