//! Output of the commands that only look, with the configuration of a host under test.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::host::HostProcess;

/// Standard output of a command that must succeed without a word on standard error.
pub(crate) fn shown(host: &HostProcess, args: &[&str]) -> Result<String> {
    let output = Command::new(binaries::leasehold()?)
        .args(args)
        .arg("-c")
        .arg(host.dir().join("leasehold.toml"))
        .output()
        .context("running leasehold")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && error.is_empty(),
        "{args:?} ended with {:?}: {error}",
        output.status.code()
    );
    String::from_utf8(output.stdout).context("what it printed is not UTF-8")
}
