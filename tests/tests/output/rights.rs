//! A user of etcd who may read but not request live output.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use leasehold_tests::command::leasehold;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, Config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;

use crate::{SLACK, beater, guest_line};

on_etcd!(reader_without_the_right_gets_a_sentence_and_the_records);

const READER: (&str, &str) = ("reader", "reader-password");

fn reader_without_the_right_gets_a_sentence_and_the_records(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version).users().start()?;
    let role = [
        "role",
        "grant-permission",
        "reader",
        "--prefix=true",
        "read",
        "/leasehold/",
    ];
    etcd.etcdctl(&["role", "add", "reader"])?;
    etcd.etcdctl(&role)?;
    etcd.etcdctl(&["user", "add", &format!("{}:{}", READER.0, READER.1)])?;
    etcd.etcdctl(&["user", "grant-role", READER.0, "reader"])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    fs::write(&file, READER.1)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;

    let hello = guests::c_hello()?;
    let jobs = |config: Config| {
        config.job("hello", |job| {
            job.plugin(&hello)
                .lock("hello")
                .every("1h")
                .args(&["1", "0"])
        })
    };
    let host = HostProcess::start(&jobs(beater("web1", &etcd, "100")?))?;
    guest_line(&host, "pulse")?;
    host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some("hello")
    })?;
    let config = jobs(beater("web1", &etcd, "100")?).login(READER.0, &file);
    let sentence = "live output is not available: this user may not write under `follow/`, where readers request \
                    it; only what is recorded is shown";

    let shown = leasehold(&config, &["logs", "pulse"])?;
    ensure!(
        shown.code == Some(0) && shown.stdout.is_empty(),
        "{shown:?}"
    );
    ensure!(
        shown.stderr == format!("leasehold: {sentence}"),
        "{shown:?}"
    );
    let shown = leasehold(&config, &["logs", "hello", "--follow"])?;
    ensure!(shown.code == Some(5), "{shown:?}");
    ensure!(shown.stdout.contains("beat 1"), "{shown:?}");
    ensure!(shown.stderr == format!("error: {sentence}"), "{shown:?}");
    let shown = leasehold(&config, &["logs", "hello"])?;
    ensure!(
        shown.code == Some(0) && shown.stderr.is_empty(),
        "{shown:?}"
    );
    ensure!(shown.stdout.contains("beat 1"), "{shown:?}");
    Ok(())
}
