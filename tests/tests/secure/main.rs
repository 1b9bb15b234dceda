//! A store that asks who is there: users, tokens that end while they are used, and certificates.

mod certificates;
#[path = "../commands/cli.rs"]
mod cli;
mod library;
mod tokens;

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::host::HostProcess;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// Makes two tests, one a version, of each `fn(Version) -> Result<()>` named.
macro_rules! on_both_versions {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use leasehold_tests::etcd::Version;

            #[test]
            fn on_etcd_3_4() -> anyhow::Result<()> {
                super::$name(Version::V3_4)
            }

            #[test]
            fn on_etcd_3_5() -> anyhow::Result<()> {
                super::$name(Version::V3_5)
            }
        }
    )+};
}
use on_both_versions;

fn end(mut host: HostProcess) -> Result<()> {
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    Ok(())
}
