//! Users of the store who may read a part of what is looked at: the rest is named, and the part is shown.

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
    the_dashboard_shows_the_prefix_that_may_be_read_and_names_the_other,
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

fn the_dashboard_shows_the_prefix_that_may_be_read_and_names_the_other(
    version: Version,
) -> Result<()> {
    let server = etcd(version, &["app/locks/"])?;
    let said = top(&server, &["--prefix", "app/locks/"])?;
    ensure!(said.code == Some(0), "{said:?}");
    ensure!(said.stdout.contains("app/locks/backup"), "{said:?}");
    ensure!(!said.stdout.contains("ledger"), "{said:?}");
    ensure!(
        said.stderr == "warning: not permitted to read /leasehold/: it is left out",
        "{said:?}"
    );
    let said = top(&server, &["--prefix", "app/locks/", "--format", "json"])?;
    let all: Value = serde_json::from_str(&said.stdout)?;
    ensure!(all["not_permitted"][0] == "/leasehold/", "{all}");
    ensure!(all["locks"].as_array().map(Vec::len) == Some(1), "{all}");
    // Nothing of all that is looked at may be read: that is an error, and no empty list.
    let said = top(&server, &[])?;
    ensure!(said.code == Some(5) && said.stdout.is_empty(), "{said:?}");
    ensure!(
        said.stderr == "error: cannot read the locks: not permitted to read /leasehold/",
        "{said:?}"
    );
    // A part of the root, and all of it, for comparison.
    let server = etcd(version, &["/leasehold/locks/", "app/locks/"])?;
    let said = top(&server, &["--prefix", "app/locks/"])?;
    ensure!(said.code == Some(0), "{said:?}");
    for lock in ["app/locks/backup", "ledger"] {
        ensure!(said.stdout.contains(lock), "{said:?}");
    }
    for part in ["hosts", "jobs", "runs", "deeds"] {
        let line = format!("not permitted to read /leasehold/{part}/: it is left out");
        ensure!(said.stderr.contains(&line), "{said:?}");
    }
    ensure!(!said.stderr.contains("/leasehold/locks/"), "{said:?}");
    let server = etcd(version, &["/leasehold/"])?;
    let said = top(&server, &[])?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{said:?}");
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
    let said = status(&server, "table")?;
    ensure!(said.code == Some(0), "{said:?}");
    ensure!(
        said.stdout.contains("administrative hold: here"),
        "{said:?}"
    );
    for part in ["hosts", "jobs", "ticks"] {
        let line = format!("warning: not permitted to read /leasehold/{part}/: it is left out");
        ensure!(said.stderr.contains(&line), "{said:?}");
    }
    let all: Value = serde_json::from_str(&status(&server, "json")?.stdout)?;
    ensure!(
        all["not_permitted"].as_array().map(Vec::len) == Some(3),
        "{all}"
    );
    let server = etcd(version, &["app/locks/"])?;
    let said = status(&server, "table")?;
    ensure!(said.code == Some(5) && said.stdout.is_empty(), "{said:?}");
    ensure!(said.stderr.contains("not permitted to read"), "{said:?}");
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
