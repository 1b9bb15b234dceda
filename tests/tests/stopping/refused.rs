//! Files that cannot be run: refused with the job, the file, the reason and the remedy, by `check` and by `run`,
//! before any request to the store. No store runs here at all.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, config};

use leasehold_tests::command::{CommandOutput, leasehold};

/// An address without a listener, which is never used.
const NO_STORE: &str = "http://127.0.0.1:1";

/// A refused file, and the required text of its error.
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
    let output = [
        leasehold(&config, &["check"])?,
        leasehold(&config, &["run", "--log-format", "json"])?,
    ];
    for output in &output {
        ensure!(output.code == Some(4), "{output:?}");
        starts_nothing(output)?;
    }
    Ok(output)
}

/// Requires that all events are of loads.
fn starts_nothing(output: &CommandOutput) -> Result<()> {
    let loads = ["plugin-compiling", "plugin-ready"];
    let mut events = output.stdout.lines().map(Event::parse);
    let other = events.find(|event| !loads.contains(&event.name()));
    ensure!(other.is_none(), "{other:?}");
    Ok(())
}

fn one_line(
    output: &CommandOutput,
    job: &str,
    file: &Path,
    reason: &str,
    remedy: &str,
) -> Result<()> {
    let start = format!("error: job {job}: plugin {}: ", file.display());
    let line = output.stderr.lines().find(|line| line.starts_with(&start));
    let line = line.ok_or_else(|| anyhow::anyhow!("nothing about {job}: {}", output.stderr))?;
    ensure!(line.contains(reason), "no {reason:?} in {line}");
    ensure!(line.contains(remedy), "no {remedy:?} in {line}");
    Ok(())
}

#[test]
fn one_report_refuses_every_bad_plugin_before_any_request() -> Result<()> {
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
    for output in refused(&jobs)? {
        for bad in &all {
            one_line(&output, bad.name, &file(bad), bad.reason, bad.remedy)?;
        }
        ensure!(!output.stderr.contains("job fine"), "{}", output.stderr);
        let count = format!("{} plugins were refused; nothing was started", all.len());
        ensure!(output.stderr.ends_with(&count), "{}", output.stderr);
    }
    Ok(())
}

#[test]
fn a_missing_file_or_a_directory_is_a_configuration_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let missing = dir.path().join("missing.wasm");
    let config = config("host-a", NO_STORE)
        .job("gone", |job| job.plugin(&missing))
        .job("folder", |job| job.plugin(dir.path()));
    for command in ["check", "run"] {
        let output = leasehold(&config, &[command])?;
        ensure!(
            output.code == Some(3) && output.stdout.is_empty(),
            "{output:?}"
        );
        for part in [
            format!("error: plugin `{}` does not exist", missing.display()),
            format!("error: plugin `{}` is a directory", dir.path().display()),
            "2 errors in leasehold.toml; nothing was started.".to_owned(),
        ] {
            ensure!(
                output.stderr.contains(&part),
                "no {part:?} in {}",
                output.stderr
            );
        }
    }
    Ok(())
}

#[test]
fn ungranted_storage_is_refused_with_the_line_to_add() -> Result<()> {
    let ledger = guests::ledger()?;
    let config = config("host-a", NO_STORE).job("book", |job| job.plugin(&ledger));
    for command in ["check", "run"] {
        let output = leasehold(&config, &[command])?;
        ensure!(
            output.code == Some(3) && output.stdout.is_empty(),
            "{output:?}"
        );
        for part in [
            "error: job `book` needs fenced data under `ledger/`, which the configuration does not grant",
            "add `kv = [\"ledger/\"]` under [jobs.book.allow]",
            "1 error in leasehold.toml; nothing was started.",
        ] {
            ensure!(
                output.stderr.contains(part),
                "no {part:?} in {}",
                output.stderr
            );
        }
    }
    Ok(())
}
