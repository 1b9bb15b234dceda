//! Files that cannot be run: refused with the job, the file, the reason and the remedy, by `check` and by `run`,
//! before anything is asked of the store. There is no store here at all.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use leasehold_tests::guests::{self, config};

use leasehold_tests::command::{CommandOutput, leasehold};

/// An address without a listener, which is never used.
const NO_STORE: &str = "http://127.0.0.1:1";

/// A file that is refused, and what must be said about it.
struct Bad {
    name: &'static str,
    bytes: Vec<u8>,
    reason: &'static str,
    remedy: &'static str,
}

fn bad(name: &'static str, bytes: &[u8], reason: &'static str, remedy: &'static str) -> Bad {
    Bad {
        name,
        bytes: bytes.to_vec(),
        reason,
        remedy,
    }
}

fn bad_text(
    name: &'static str,
    module: &str,
    reason: &'static str,
    remedy: &'static str,
) -> Result<Bad> {
    Ok(bad(name, &wat::parse_str(module)?, reason, remedy))
}

fn all_bad() -> Result<Vec<Bad>> {
    let whole = wat::parse_str(r#"(module (func (export "_start") nop nop nop))"#)?;
    Ok(vec![
        bad("empty", b"", "is empty", "build or copy it again"),
        bad(
            "text",
            b"(module)",
            "is not WebAssembly",
            "translate it with wat2wasm",
        ),
        bad(
            "program",
            b"\x7fELF\x02\x01\x01\0",
            "is not WebAssembly",
            "build it for wasm32-wasip1",
        ),
        bad(
            "cut",
            &whole[..whole.len() - 2],
            "is cut off at byte",
            "copy it again",
        ),
        bad_text(
            "missing-import",
            r#"(module (import "env" "missing" (func)) (func (export "_start")))"#,
            "imports env, which this host does not offer",
            "build it for wasm32-wasip1",
        )?,
        bad_text(
            "other-world",
            r#"(component (instance $i) (export "leasehold:job/guest@2.0.0" (instance $i)))"#,
            "was built for leasehold:job/guest@2.0.0",
            "rebuild it with a matching SDK",
        )?,
        bad_text(
            "other-imports",
            r#"(component (import "leasehold:job/lock@2.1.0" (instance)) (instance $i) (export "leasehold:job/guest@1.0.0" (instance $i)))"#,
            "was built for leasehold:job/lock@2.1.0",
            "rebuild it with a matching SDK",
        )?,
        bad_text(
            "library",
            r#"(module (func (export "add")))"#,
            "exports nothing to run",
            "it exports add",
        )?,
    ])
}

/// Runs both commands on a config with these jobs; both must refuse.
fn refused(jobs: &[(&str, PathBuf)]) -> Result<[CommandOutput; 2]> {
    let mut config = config("host-a", NO_STORE);
    for (name, file) in jobs {
        config = config.job(name, |job| job.plugin(file));
    }
    let said = [
        leasehold(&config, &["check"])?,
        leasehold(&config, &["run", "--log-format", "json"])?,
    ];
    for said in &said {
        ensure!(said.code == Some(4), "{said:?}");
        ensure!(said.stdout.is_empty(), "{}", said.stdout);
    }
    Ok(said)
}

fn one_line(
    said: &CommandOutput,
    job: &str,
    file: &Path,
    reason: &str,
    remedy: &str,
) -> Result<()> {
    let start = format!("error: job {job}: plugin {}: ", file.display());
    let line = said.stderr.lines().find(|line| line.starts_with(&start));
    let line = line.ok_or_else(|| anyhow::anyhow!("nothing about {job}: {}", said.stderr))?;
    ensure!(line.contains(reason), "no {reason:?} in {line}");
    ensure!(line.contains(remedy), "no {remedy:?} in {line}");
    Ok(())
}

#[test]
fn every_bad_plugin_is_refused_in_one_report_before_the_store_is_asked() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let all = all_bad()?;
    let file = |bad: &Bad| dir.path().join(format!("{}.wasm", bad.name));
    let mut jobs = Vec::new();
    for bad in &all {
        std::fs::write(file(bad), &bad.bytes)?;
        jobs.push((bad.name, file(bad)));
    }
    // A good one among them changes nothing.
    jobs.push(("fine", guests::heartbeat()?));
    for said in refused(&jobs)? {
        for bad in &all {
            one_line(&said, bad.name, &file(bad), bad.reason, bad.remedy)?;
        }
        ensure!(!said.stderr.contains("job fine"), "{}", said.stderr);
        let count = format!("{} plugins were refused; nothing was started", all.len());
        ensure!(said.stderr.ends_with(&count), "{}", said.stderr);
    }
    Ok(())
}

#[test]
fn a_missing_file_and_a_directory_are_errors_of_the_configuration() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let missing = dir.path().join("missing.wasm");
    let config = config("host-a", NO_STORE)
        .job("gone", |job| job.plugin(&missing))
        .job("folder", |job| job.plugin(dir.path()));
    for command in ["check", "run"] {
        let said = leasehold(&config, &[command])?;
        ensure!(said.code == Some(3) && said.stdout.is_empty(), "{said:?}");
        for part in [
            format!("error: plugin `{}` does not exist", missing.display()),
            format!("error: plugin `{}` is a directory", dir.path().display()),
            "2 errors in leasehold.toml; nothing was started.".to_owned(),
        ] {
            ensure!(
                said.stderr.contains(&part),
                "no {part:?} in {}",
                said.stderr
            );
        }
    }
    Ok(())
}

#[test]
fn storage_that_a_plugin_needs_and_was_not_granted_is_refused_with_the_line_to_add() -> Result<()> {
    let ledger = guests::ledger()?;
    let config = config("host-a", NO_STORE).job("book", |job| job.plugin(&ledger));
    for command in ["check", "run"] {
        let said = leasehold(&config, &[command])?;
        ensure!(said.code == Some(3) && said.stdout.is_empty(), "{said:?}");
        for part in [
            "error: job `book` needs fenced data under `ledger/`, which the configuration does not grant",
            "add `kv = [\"ledger/\"]` under [jobs.book.allow]",
            "1 error in leasehold.toml; nothing was started.",
        ] {
            ensure!(said.stderr.contains(part), "no {part:?} in {}", said.stderr);
        }
    }
    Ok(())
}
