//! Invariants of the source itself: what may be named where. They are cheap to break by accident and
//! expensive to find later.

use std::path::{Path, PathBuf};

/// Every Rust file of ours under `folder`, as paths from the repository's root and their texts.
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

/// The text before a file's tests, without comments: what ships.
fn shipped(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn offenders(folder: &str, is_offence: impl Fn(&str, &str) -> bool) -> Vec<String> {
    sources(folder)
        .into_iter()
        .filter(|(name, text)| is_offence(name, &shipped(text)))
        .map(|(name, _)| name)
        .collect()
}

fn is_test_file(name: &str) -> bool {
    // `fake.rs` stands in for something in the tests beside it.
    let in_tests = name.starts_with("tests/") || name.contains("/tests/");
    in_tests || name.ends_with("tests.rs") || name.ends_with("/fake.rs")
}

/// What is shown must be the same whenever and wherever it is shown: of a store, of a recording, in a test.
#[test]
fn the_dashboards_model_program_and_views_know_no_clock_no_tokio_and_no_host() {
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
fn the_job_machine_knows_no_tokio_and_never_awaits() {
    let folder = "host/supervisor/src/job";
    let files = sources(folder);
    let covered = files.iter().filter(|(name, _)| is_job_machine(name));
    assert!(covered.count() > 8, "the machine has moved");
    let found = offenders(folder, |name, text| {
        let knows = ["tokio", "await", "SystemTime", "Instant", "std::fs"];
        is_job_machine(name) && knows.iter().any(|word| text.contains(word))
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
fn every_file_opens_with_what_it_is_for() {
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

/// etcd 3.5 before 3.5.5 dies of a transaction that only reads when whoever sent it goes away.
#[test]
fn nothing_is_only_read_in_a_transaction() {
    let found = offenders("host", |_, text| {
        let text: String = text.split_whitespace().collect();
        text.contains("Txn::new().and_then([TxnOp::get(")
    });
    assert_eq!(found, Vec::<String>::new());
}
