//! The unit for systemd: valid, and with few rights.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::{CommandOutput, finish};
use tempfile::TempDir;

use crate::repository;

/// The unit, with the path of the program that was built: systemd looks whether it is there.
fn unit() -> Result<TempDir> {
    let text = fs::read_to_string(repository("configs/systemd/leasehold.service"))?;
    let program = binaries::leasehold()?;
    let text = text.replace("/usr/bin/leasehold", program.to_str().context("a path")?);
    let dir = tempfile::tempdir().context("making a folder for a unit")?;
    fs::write(dir.path().join("leasehold.service"), text)?;
    Ok(dir)
}

/// Runs `systemd-analyze` on the unit.
fn analyze(args: &[&str]) -> Result<CommandOutput> {
    let dir = unit()?;
    let mut command = Command::new("systemd-analyze");
    command.args(args).arg(dir.path().join("leasehold.service"));
    finish("systemd-analyze", command)
        .context("systemd-analyze is needed; run: scripts/setup --tests")
}

#[test]
fn unit_is_valid() -> Result<()> {
    let output = analyze(&["verify", "--man=no"])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn unit_is_exposed_less_than_two_of_ten() -> Result<()> {
    // The threshold is in tenths.
    let args = ["security", "--offline=true", "--no-pager", "--threshold=19"];
    let output = analyze(&args)?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.stdout.contains("Overall exposure level"),
        "{output:?}"
    );
    Ok(())
}
