//! Users of the store who may read a part of the requested prefixes: that part is shown, and the rest is named.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{ConnectOptions, FeedItem, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_etcd;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::SLACK;
use leasehold_tests::command::{CommandOutput, leasehold};

on_etcd!(
    the_dashboard_shows_readable_prefixes_and_names_the_others,
    status_shows_what_may_be_read_and_names_the_rest,
);

mod library {
    leasehold_tests::on_etcd!(async a_feed_follows_what_may_be_read_and_names_the_rest);

    use super::a_feed_follows_what_may_be_read_and_names_the_rest;
}

const NARROW: (&str, &str) = ("narrow", "narrow-password");

/// A server where [`NARROW`] may read these prefixes, with one entry in each of two queues.
fn etcd(version: Version, prefixes: &[&str]) -> Result<Etcd> {
    let etcd = Etcd::builder(version).users().start()?;
    etcd.etcdctl(&["role", "add", "narrow"])?;
    for prefix in prefixes {
        let grant = [
            "role",
            "grant-permission",
            "narrow",
            "--prefix=true",
            "read",
            prefix,
        ];
        etcd.etcdctl(&grant)?;
    }
    let user = format!("{}:{}", NARROW.0, NARROW.1);
    etcd.etcdctl(&["user", "add", &user])?;
    etcd.etcdctl(&["user", "grant-role", NARROW.0, "narrow"])?;
    etcd.etcdctl(&["put", "app/locks/backup/here", "by hand"])?;
    etcd.etcdctl(&["put", "/leasehold/locks/ledger/here", "by hand"])?;
    Ok(etcd)
}

fn password() -> Result<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    fs::write(&file, NARROW.1)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok((dir, file))
}

/// `leasehold top --once` as that user.
fn top(etcd: &Etcd, more: &[&str]) -> Result<CommandOutput> {
    let (_dir, file) = password()?;
    let (endpoint, file) = (etcd.endpoint(), file.display().to_string());
    let login = [
        "top",
        "--once",
        "--endpoint",
        &endpoint,
        "--user",
        NARROW.0,
        "--password-file",
        &file,
    ];
    leasehold(&"", &[&login, more].concat())
}

fn the_dashboard_shows_readable_prefixes_and_names_the_others(version: Version) -> Result<()> {
    let server = etcd(version, &["app/locks/"])?;
    let output = top(&server, &["--prefix", "app/locks/"])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(output.stdout.contains("app/locks/backup"), "{output:?}");
    ensure!(!output.stdout.contains("ledger"), "{output:?}");
    ensure!(
        output.stderr == "warning: not permitted to read /leasehold/: it is left out",
        "{output:?}"
    );
    let output = top(&server, &["--prefix", "app/locks/", "--format", "json"])?;
    let all: Value = serde_json::from_str(&output.stdout)?;
    ensure!(all["not_permitted"][0] == "/leasehold/", "{all}");
    ensure!(all["locks"].as_array().map(Vec::len) == Some(1), "{all}");
    // Nothing of all that is looked at may be read: that is an error, and no empty list.
    let output = top(&server, &[])?;
    ensure!(
        output.code == Some(5) && output.stdout.is_empty(),
        "{output:?}"
    );
    ensure!(
        output.stderr == "error: cannot read the locks: not permitted to read /leasehold/",
        "{output:?}"
    );
    // A part of the root, and all of it, for comparison.
    let server = etcd(version, &["/leasehold/locks/", "app/locks/"])?;
    let output = top(&server, &["--prefix", "app/locks/"])?;
    ensure!(output.code == Some(0), "{output:?}");
    for lock in ["app/locks/backup", "ledger"] {
        ensure!(output.stdout.contains(lock), "{output:?}");
    }
    for part in ["hosts", "jobs", "runs", "deeds"] {
        let line = format!("not permitted to read /leasehold/{part}/: it is left out");
        ensure!(output.stderr.contains(&line), "{output:?}");
    }
    ensure!(!output.stderr.contains("/leasehold/locks/"), "{output:?}");
    let server = etcd(version, &["/leasehold/"])?;
    let output = top(&server, &[])?;
    ensure!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

fn status_shows_what_may_be_read_and_names_the_rest(version: Version) -> Result<()> {
    let status = |server: &Etcd, format: &str| {
        let (_dir, file) = password()?;
        let config = format!(
            "[host]\nid = \"a\"\n[store]\nendpoints = [\"{}\"]\nuser = \"{}\"\npassword_file = \"{}\"\n",
            server.endpoint(),
            NARROW.0,
            file.display(),
        );
        leasehold(&config, &["status", "--format", format])
    };
    let server = etcd(version, &["/leasehold/locks/"])?;
    let output = status(&server, "table")?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        output.stdout.contains("administrative hold: here"),
        "{output:?}"
    );
    for part in ["hosts", "jobs", "ticks", "control"] {
        let line = format!("warning: not permitted to read /leasehold/{part}/: it is left out");
        ensure!(output.stderr.contains(&line), "{output:?}");
    }
    let all: Value = serde_json::from_str(&status(&server, "json")?.stdout)?;
    ensure!(
        all["not_permitted"].as_array().map(Vec::len) == Some(4),
        "{all}"
    );
    let server = etcd(version, &["app/locks/"])?;
    let output = status(&server, "table")?;
    ensure!(
        output.code == Some(5) && output.stdout.is_empty(),
        "{output:?}"
    );
    ensure!(
        output.stderr.contains("not permitted to read"),
        "{output:?}"
    );
    Ok(())
}

async fn a_feed_follows_what_may_be_read_and_names_the_rest(version: Version) -> Result<()> {
    let server = tokio::task::block_in_place(|| etcd(version, &["app/locks/"]))?;
    let options = ConnectOptions::new(server.endpoints()).user(NARROW.0, NARROW.1);
    let locks = Locks::connect(options).await?;
    let mut feed = locks.feed(["/leasehold/", "app/locks/"]);
    let next = async |feed: &mut leasehold_lock::KeyFeed| {
        let item = timeout(SLACK, feed.next())
            .await
            .context("nothing is told")?;
        item.context("the feed ended")
    };
    let denied = next(&mut feed).await?;
    let expected = FeedItem::Denied {
        prefixes: vec!["/leasehold/".into()],
    };
    ensure!(denied == expected, "{denied:?}");
    let FeedItem::Reading { keys, .. } = next(&mut feed).await? else {
        anyhow::bail!("no reading");
    };
    ensure!(
        keys.len() == 1 && keys[0].key == "app/locks/backup/here",
        "{keys:?}"
    );
    tokio::task::block_in_place(|| {
        server.etcdctl(&["put", "/leasehold/locks/ledger/unheard", "x"])?;
        server.etcdctl(&["put", "app/locks/backup/there", "x"])
    })?;
    let FeedItem::Changes { changes, .. } = next(&mut feed).await? else {
        anyhow::bail!("no change");
    };
    ensure!(
        changes.len() == 1 && changes[0].key == "app/locks/backup/there",
        "{changes:?}"
    );
    locks.close().await;
    Ok(())
}
