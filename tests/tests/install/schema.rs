//! The JSON schema, as a public validator of TOML reads it: by the first line of each file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::{CommandOutput, finish};

use crate::repository;

/// Runs taplo on these files, with no other configuration of it.
fn taplo(files: &[&Path]) -> Result<CommandOutput> {
    let program = repository("target/setup/taplo/bin/taplo");
    ensure!(
        program.exists(),
        "taplo is needed; run: scripts/setup --tests"
    );
    let mut command = Command::new(program);
    command.args(["check", "--no-auto-config"]).args(files);
    finish("taplo", command)
}

#[test]
fn files_in_configs_follow_the_schema_that_they_name() -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(repository("configs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            let text = fs::read_to_string(&path)?;
            let names = text.starts_with("#:schema ./leasehold.schema.json\n");
            ensure!(names, "{} does not name its schema", path.display());
            files.push(path);
        }
    }
    ensure!(files.len() >= 3, "{files:?}");
    let paths: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
    let output = taplo(&paths)?;
    ensure!(output.code == Some(0), "{output:?}");
    Ok(())
}

#[test]
fn mistakes_that_the_host_refuses_are_refused_by_the_schema() -> Result<()> {
    let dir = tempfile::tempdir().context("making a folder")?;
    let mut schema = Command::new(binaries::leasehold()?);
    schema.arg("schema");
    let schema = finish("leasehold schema", schema)?;
    ensure!(schema.code == Some(0), "{schema:?}");
    fs::write(dir.path().join("schema.json"), schema.stdout)?;
    let file = dir.path().join("leasehold.toml");
    let good = "[store]\nembedded = true\n[jobs.a]\nplugin = \"a.wasm\"\nevery = \"1m 30s\"\n";
    for (line, word) in [
        ("", ""),
        ("timeout = \"10 parsecs\"", "10 parsecs"),
        ("missed = \"sometimes\"", "sometimes"),
        ("plugn = \"a.wasm\"", "plugn"),
        ("retries = -1", "-1"),
        ("limits = { memory = \"64MB\" }", "64MB"),
        ("allow = { dirs = [{ host = \"/srv\", guest = 3 }] }", "3"),
    ] {
        fs::write(&file, format!("#:schema ./schema.json\n{good}{line}\n"))?;
        let output = taplo(&[&file])?;
        ensure!(
            (output.code == Some(0)) == line.is_empty(),
            "{line}: {output:?}"
        );
        ensure!(output.stderr.contains(word), "{line}: {output:?}");
    }
    Ok(())
}
