//! Users of the store without rights on the orders.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;

use crate::{JOB, beating, end_host, host, next, refused};

on_etcd!(an_order_without_the_right_names_the_prefix);

/// A user who may do all that hosts did before there were orders.
const NARROW: (&str, &str) = ("narrow", "narrow-password");

fn an_order_without_the_right_names_the_prefix(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).users().start()?;
    etcd.etcdctl(&["role", "add", "narrow"])?;
    for part in ["locks", "hosts", "ids", "jobs", "runs", "ticks", "kv"] {
        let prefix = format!("/leasehold/{part}/");
        let grant = [
            "role",
            "grant-permission",
            "narrow",
            "--prefix=true",
            "readwrite",
        ];
        etcd.etcdctl(&[&grant[..], &[&prefix]].concat())?;
    }
    etcd.etcdctl(&["user", "add", &format!("{}:{}", NARROW.0, NARROW.1)])?;
    etcd.etcdctl(&["user", "grant-role", NARROW.0, "narrow"])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    fs::write(&file, NARROW.1)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let config = host("a", &etcd, beating)?.login(NARROW.0, &file);

    // The host goes on, and says that it sees no orders.
    let mut a = HostProcess::start(&config)?;
    let unread = next(&a, 0, "control-unread")?;
    let error = unread.str("error").unwrap_or_default();
    ensure!(error.contains("/leasehold/control/"), "{unread}");
    next(&a, 0, "run-started")?;
    for args in [
        &["pause", JOB][..],
        &["stop", JOB],
        &["trigger", JOB],
        &["drain", "a"],
    ] {
        let output = refused(&config, args, 5)?;
        ensure!(output.stderr.contains("/leasehold/control/"), "{output:?}");
    }
    end_host(&mut a)
}
