//! Clients of a host's embedded store that run as another user of the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Version;
use leasehold_tests::host::HostProcess;
use tempfile::TempDir;

use crate::store_clients::Embedded;

/// A user that is neither the host's nor root.
const OTHER: u32 = 12345;

/// An `etcdctl` that any user can execute.
struct SharedEtcdctl {
    dir: TempDir,
    program: PathBuf,
}

impl SharedEtcdctl {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("etcdctl");
        fs::copy(Version::V3_5.etcdctl()?, &program)?;
        for path in [dir.path(), &program] {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        Ok(Self { dir, program })
    }

    /// Runs a command at `endpoint` as [`OTHER`].
    fn run(&self, endpoint: &str, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("ETCDCTL_API", "3")
            .args(["--dial-timeout", "2s", "--command-timeout", "5s"])
            .args(["--endpoints", endpoint])
            .args(args)
            .current_dir(self.dir.path())
            .uid(OTHER)
            .gid(OTHER);
        command
            .output()
            .context("running etcdctl as another user, which takes root")
    }
}

fn words(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn cluster_health_asked_by_another_user_names_only_addresses() -> Result<()> {
    let beside = Embedded::start_by(|config| HostProcess::start(&config))?;
    let ctl = SharedEtcdctl::new()?;
    let address = format!("http://{}", beside.address);
    let health = ["endpoint", "health", "--cluster"];

    let asked = ctl.run(&address, &health)?;
    let text = words(&asked);
    ensure!(asked.status.success(), "{text}");
    ensure!(
        text.contains(&format!("{address} is healthy")),
        "no {address} in {text}"
    );
    ensure!(!text.contains("unix://"), "{text}");
    // Its own keys are another matter: the store has no users, as DIFFERENCES.md states.
    let put = ctl.run(&address, &["put", "of-another-user", "x"])?;
    ensure!(put.status.success(), "{}", words(&put));
    beside.is_untouched()?;

    // The private socket is closed to that user; etcdctl itself tries again until its time is up.
    let refused = ctl.run(&beside.socket(), &health)?;
    let text = words(&refused);
    ensure!(!refused.status.success(), "{text}");
    ensure!(text.contains("connect: permission denied"), "{text}");
    beside.is_untouched()?;
    beside.end()
}
