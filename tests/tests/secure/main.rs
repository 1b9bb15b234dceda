//! A store that asks who is there: users, tokens that end while they are used, and certificates.
//!
//! Only etcd does. The embedded store has no users and no TLS; it listens on loopback and on a private socket.

mod certificates;
mod library;
mod narrow;
mod rotation;
mod tokens;

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

fn end(mut host: HostProcess) -> Result<()> {
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    Ok(())
}
