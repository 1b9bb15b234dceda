//! Invariants of the source: names and words that may stand only in certain places, sizes, and the order of
//! modules. They are cheap to break by accident and expensive to find later.

mod circles;
mod layout;
mod words;

use std::path::{Path, PathBuf};

/// Every Rust file under `folder`: its path from the repository's root, and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found).expect("the sources can be read");
    assert!(!found.is_empty(), "no sources under {folder}");
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let name = path.strip_prefix(root()).unwrap_or(&path);
            found.push((name.display().to_string(), std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// The text of a file without its tests and without lines of comment: the code that ships.
fn shipped(text: &str) -> String {
    let mut kept = String::new();
    for line in without_tests(text).lines() {
        if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// A file's text without the top-level items that only tests compile. Relies on rustfmt: such an item ends with the
/// first line that is not indented and is, or ends with, a semicolon or a closing brace.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut in_test = false;
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            in_test = true;
        }
        if !in_test {
            kept.push_str(line);
            kept.push('\n');
        } else if !line.starts_with([' ', '#', '/']) && line.ends_with([';', '}']) {
            in_test = false;
        }
    }
    kept
}

/// The files that only tests compile: those with the name of tests, and the modules declared as such.
fn is_test_file(name: &str) -> bool {
    let in_tests = name.starts_with("tests/") || name.contains("/tests/");
    in_tests || name.ends_with("tests.rs") || is_declared_for_tests(Path::new(name))
}

/// True if the module of this file, or one around it, is declared with `#[cfg(test)]`.
fn is_declared_for_tests(file: &Path) -> bool {
    let (Some(stem), Some(folder)) = (file.file_stem(), file.parent()) else {
        return false;
    };
    let parents = [
        folder.with_extension("rs"),
        folder.join("mod.rs"),
        folder.join("lib.rs"),
        folder.join("main.rs"),
    ];
    let declared = format!("mod {};", stem.display());
    parents
        .iter()
        .filter(|parent| *parent != file)
        .any(|parent| {
            let Ok(text) = std::fs::read_to_string(root().join(parent)) else {
                return false;
            };
            let here = text.contains(&format!("#[cfg(test)]\n{declared}"))
                || text.contains(&format!("#[cfg(test)]\npub(crate) {declared}"));
            here || text.contains(&declared) && is_declared_for_tests(parent)
        })
}

fn offenders(folder: &str, is_offence: impl Fn(&str, &str) -> bool) -> Vec<String> {
    sources(folder)
        .into_iter()
        .filter(|(name, text)| is_offence(name, &shipped(text)))
        .map(|(name, _)| name)
        .collect()
}

/// The dashboard shows the same facts in the same way at any time: from a store, from a recording, in a test.
#[test]
fn the_dashboards_pure_parts_name_no_clock_tokio_or_host() {
    let pure = ["tui/src/model/", "tui/src/app/", "tui/src/view/"];
    let found = offenders("tui/src", |name, text| {
        let knows = [
            "tokio",
            "SystemTime::now",
            "Instant::now",
            ".await",
            "std::fs",
        ];
        let is_pure = pure.iter().any(|folder| name.starts_with(folder)) && !is_test_file(name);
        is_pure && knows.iter().any(|word| text.contains(word)) || text.contains("leasehold::")
    });
    assert_eq!(found, Vec::<String>::new());
}

/// The machine and the lacks in its events.
fn is_job_machine(name: &str) -> bool {
    name.ends_with("job/machine.rs")
        || name.contains("job/machine/")
        || name.ends_with("job/lack.rs")
}

#[test]
fn the_job_machine_names_no_tokio_and_never_awaits() {
    let folder = "host/supervisor/src/job";
    let files = sources(folder);
    let covered = files.iter().filter(|(name, _)| is_job_machine(name));
    assert!(covered.count() > 8, "the machine has moved");
    let found = offenders(folder, |name, text| {
        let banned = ["tokio", "await", "SystemTime", "Instant", "std::fs"];
        is_job_machine(name) && banned.iter().any(|word| text.contains(word))
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn shipped_code_does_not_unwrap() {
    let found: Vec<String> = ["host", "tui", "plugins/sdk"]
        .iter()
        .flat_map(|folder| {
            offenders(folder, |name, text| {
                !is_test_file(name) && (text.contains(".unwrap()") || text.contains(".expect("))
            })
        })
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_file_opens_with_its_purpose() {
    let found: Vec<String> = ["host", "tests", "tui", "plugins"]
        .iter()
        .flat_map(|folder| sources(folder))
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_lock_rpc_of_the_server_is_never_used() {
    let found = offenders("host", |_, text| {
        text.contains("lock_client") || text.contains("LockOptions")
    });
    assert_eq!(found, Vec::<String>::new());
}

/// etcd 3.5 before 3.5.5 crashes at a transaction that only reads if its sender goes away.
#[test]
fn nothing_is_only_read_in_a_transaction() {
    let found = offenders("host", |_, text| {
        let text: String = text.split_whitespace().collect();
        text.contains("Txn::new().and_then([TxnOp::get(")
    });
    assert_eq!(found, Vec::<String>::new());
}
