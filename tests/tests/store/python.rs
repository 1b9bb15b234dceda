//! A Python client on the embedded store.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries::workspace;
use leasehold_tests::etcd::{Etcd, Version};

use crate::embedded::Embedded;

fn python() -> Result<PathBuf> {
    let python = workspace().join("target/setup/python/bin/python");
    ensure!(
        python.is_file(),
        "no {}: run scripts/setup --tests",
        python.display()
    );
    Ok(python)
}

fn run_client(endpoint: &str) -> Result<()> {
    let address = endpoint.strip_prefix("http://").context("no address")?;
    let (host, port) = address.rsplit_once(':').context("no port")?;
    let ran = Command::new(python()?)
        .arg(workspace().join("tests/clients/client.py"))
        .args([host, port])
        .output()?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(
        ran.status.success() && said.ends_with("all passed\n"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}

#[test]
fn a_python_program_works_as_on_etcd() -> Result<()> {
    let store = Embedded::start()?;
    run_client(store.endpoint())
}

#[test]
fn the_python_program_itself_is_right_about_etcd() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    run_client(&etcd.endpoint())
}
