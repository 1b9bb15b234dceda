//! The harness itself against every store: what it claims to do to a server, a network or a host is
//! observed from outside. A scenario that rests on a fault that never happened proves nothing.

mod cluster;
mod etcd;
mod fake_etcd;
mod host;
mod network;
mod security;

use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// For an etcdctl that is not to succeed.
const SHORT: Duration = Duration::from_millis(700);

/// Passes when a command failed and printed the reason.
fn is_refused(result: Result<String>, with: &str) -> Result<()> {
    let said = match result {
        Ok(said) => bail!("it succeeded and said {said}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(
        said.contains(with),
        "it failed, but not with {with:?}: {said}"
    );
    Ok(())
}

/// True if a process exists, running or not.
fn is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}
