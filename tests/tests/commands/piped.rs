//! Bytes that come and go through pipes: configurations, and the standard output of a plugin that is tried.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::guests;

use leasehold_tests::command::{CommandOutput, finish};

/// A shell's command in this folder, where `$leasehold` is the program.
fn shell(dir: &std::path::Path, script: &str) -> Result<CommandOutput> {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(dir);
    command.env("leasehold", binaries::leasehold()?);
    finish(script, command)
}

#[test]
fn a_config_from_a_pipe_resolves_paths_from_the_working_dir() -> Result<()> {
    let dir = tempfile::tempdir()?;
    fs::copy(guests::c_hello()?, dir.path().join("hello.wasm"))?;
    let config = "[host]\nid = \"a\"\ndata_dir = \"data\"\n[store]\nembedded = true\nmemory = true\n\
                  [jobs.hello]\nplugin = \"hello.wasm\"\nonce = true\n";
    fs::write(dir.path().join("one.toml"), config)?;
    let output = shell(dir.path(), "cat one.toml | $leasehold check /dev/stdin")?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.stdout.ends_with("/dev/stdin: 1 job is ready to run"),
        "{output:?}"
    );
    let output = shell(dir.path(), "cat one.toml | $leasehold run -c /dev/stdin")?;
    ensure!(
        output.code == Some(0) && output.stdout.contains("FINISHED"),
        "{output:?}"
    );
    let output = shell(
        dir.path(),
        "(cat one.toml; echo nonsense) | $leasehold check /dev/stdin",
    )?;
    ensure!(output.code == Some(3), "{output:?}");
    ensure!(output.stderr.contains("/dev/stdin:10:"), "{output:?}");
    // A FIFO in the file system is not a pipe from the caller, and nothing waits for it.
    let output = shell(dir.path(), "mkfifo fifo && $leasehold check fifo")?;
    ensure!(
        output.code == Some(3) && output.stderr.contains("not a regular file"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn standard_output_of_a_plugin_is_passed_on_byte_by_byte() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "no end\00\1b[31m\ff\0d")
        (func (export "_start")
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 14))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
            (call $exit (i32.const 0))))"#;
    fs::write(dir.path().join("plain.wasm"), wat::parse_str(text)?)?;
    let output = shell(dir.path(), "$leasehold plugin run plain.wasm > out")?;
    ensure!(output.code == Some(0), "{output:?}");
    let bytes = fs::read(dir.path().join("out"))?;
    ensure!(bytes == b"no end\0\x1b[31m\xff\r", "{bytes:?}");
    let ending: Vec<&str> = output
        .stderr
        .lines()
        .skip_while(|line| *line != "-- done")
        .collect();
    ensure!(
        ending.len() <= 2 && !output.stderr.contains("  at "),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn exit_codes_of_a_plugin_are_reported_unchanged() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for code in [1, 126, 255, -1] {
        let text = format!(
            r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const {code}))))"#
        );
        fs::write(dir.path().join("plain.wasm"), wat::parse_str(text)?)?;
        let output = shell(dir.path(), "$leasehold plugin run plain.wasm")?;
        ensure!(output.code == Some(1), "{output:?}");
        let told = format!("-- failed: exit code {code}");
        ensure!(output.stderr.lines().any(|line| line == told), "{output:?}");
    }
    Ok(())
}
