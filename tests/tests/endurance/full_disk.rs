//! A full disk: existing data stays and is read, no further write is acknowledged, and no other process takes over.
//!
//! Two kinds: a limit on the size of files, which any user may set, and which makes the file refuse to grow; and a
//! small file system, where the file grows and then cannot be filled. Neither is left behind.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etcd_client::{Client, GetOptions, PutOptions};
use leasehold_tests::wait::eventually_async;
use tokio::task::JoinSet;

use crate::SLACK;
use crate::client::{Changes, add, connect, next, refusal, watch_all};
use crate::server::{REFUSED, Server};

/// A limit on files sends a signal besides; a full disk does not.
const DEAF: &str = r#"trap '' XFSZ; exec "$@""#;

/// The directory of the data as a file system of its own, which ends with the process. Root is not needed where
/// the system lets everybody have a user namespace.
const SMALL: [&str; 3] = ["unshare", "--mount", "--map-root-user"];
const MOUNT: &str = r#"mkdir -p "$0" && mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@""#;
const MOUNT_HELP: &str = "this test mounts a small file system in a namespace of its own: run it where user \
                          namespaces are allowed, or as root outside of a restricted container";

/// Room on the small file system that is left to the store, and then given back, in bytes.
const BALLAST: usize = 6 << 20;

/// Bytes of a value: large, to be done soon; small enough for many to fit.
const VALUE: usize = 40_000;

const WRITERS: usize = 4;

/// All acknowledged writes, and those with an unknown result.
#[derive(Debug, Default)]
struct Written {
    acknowledged: Vec<String>,
    refusals: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_size_limit_makes_the_store_read_only_without_loss() -> Result<()> {
    let mut server = Server::on_disk()?.launched_by(&[], DEAF).started()?;
    let mut written = Written::default();
    let before = fs::metadata(server.file()?)?.len();
    // Nothing can be written; half of what there is can; all of it can, and no more.
    for limit in [4096, before / 2, before] {
        server.limit_files(Some(limit))?;
        live_without_a_disk(&server, &mut written)
            .await
            .with_context(|| format!("files may have {limit} bytes; {}", server.said()))?;
        if limit == 4096 {
            nothing_at_all_is_taken(&server).await?;
        }
        server.limit_files(None)?;
        write_again(&server, &mut written).await?;
    }
    // A recovered process behaves like a new one.
    server.is_well()?;
    server.kill()?;
    server.start()?;
    everything_is_there(&mut connect(&server).await?, &written).await?;
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_the_store_read_only_until_there_is_space() -> Result<()> {
    let small = Server::on_disk()?.launched_by(&SMALL, MOUNT);
    let mut server = small.started().context(MOUNT_HELP)?;
    let mut written = Written::default();
    for _ in 0..2 {
        let ballast = server.inside("ballast")?;
        // The second time the file takes the space: then the ballast is the rest that fits.
        let _ = fs::write(&ballast, vec![0; BALLAST]);
        ensure!(
            fs::metadata(&ballast)?.len() > 0,
            "there is no room to take"
        );
        live_without_a_disk(&server, &mut written)
            .await
            .with_context(|| server.said())?;
        fs::remove_file(&ballast)?;
        write_again(&server, &mut written).await?;
        everything_is_there(&mut connect(&server).await?, &written).await?;
        let mut client = connect(&server).await?;
        let keys = GetOptions::new().with_prefix().with_count_only();
        let revision = client.get("k", Some(keys)).await?;
        let revision = revision.header().context("no header")?.revision();
        // Makes room in the file for the next round, as an operator would.
        client
            .delete("k", Some(etcd_client::DeleteOptions::new().with_prefix()))
            .await?;
        client.compact(revision + 1, None).await?;
        written.acknowledged.clear();
    }
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_open_on_a_full_disk_loses_nothing() -> Result<()> {
    let mut server = Server::on_disk()?.started()?;
    let mut client = connect(&server).await?;
    let mut written = Written::default();
    for number in 0..50 {
        let key = format!("k{number}");
        client.put(key.clone(), value(&key), None).await?;
        written.acknowledged.push(key);
    }
    server.kill()?;
    // In blocks of 512 bytes.
    let mut server = server.launched_by(&[], &format!("ulimit -S -f 8; {DEAF}"));
    server.spawn()?;
    let ended = server.wait_exit()?;
    ensure!(
        ended.code() == Some(REFUSED),
        "it ended with {ended}: {}",
        server.said()
    );
    let said = server.said();
    // Whichever of the two files is written to first.
    for part in ["no space to ", "/data/store.", "free some space"] {
        ensure!(said.contains(part), "{part} in {said}");
    }
    server.never_panicked()?;
    let mut server = server.launched_by(&[], DEAF);
    server.start()?;
    everything_is_there(&mut connect(&server).await?, &written).await
}

fn value(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(VALUE).collect()
}

/// Writes from several sides until each has been refused.
async fn fill(server: &Server, written: &mut Written) -> Result<()> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut client = connect(server).await?;
        let first = written.acknowledged.len();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let key = format!("k{first}-{writer}-{number}");
                match client.put(key.clone(), value(&key), None).await {
                    Ok(_) => acknowledged.push(key),
                    Err(error) => return (acknowledged, refusal(&error)),
                }
            }
            unreachable!("no disk is that large")
        });
    }
    let all = tokio::time::timeout(SLACK, writers.join_all()).await?;
    written.refusals.clear();
    for (acknowledged, refusal) in all {
        written.acknowledged.extend(acknowledged);
        written.refusals.push(refusal);
    }
    // The first refused writer does not know the result; later ones know that nothing was written.
    for refusal in &written.refusals {
        let clear = refusal
            .starts_with("Unavailable: leasehold: the outcome of this write is unknown, ")
            || refusal
                .starts_with("ResourceExhausted: etcdserver: mvcc: database space exceeded (");
        ensure!(clear, "{refusal}");
        for part in [
            "disk failed",
            "no space to write to ",
            // The log or the file, whichever was written to first.
            "/store.",
            "free some space",
        ] {
            ensure!(refusal.contains(part), "{part} in {refusal}");
        }
    }
    Ok(())
}

/// Writes until it is refused, repeatedly; everything but writing continues.
async fn live_without_a_disk(server: &Server, written: &mut Written) -> Result<()> {
    fill(server, written).await?;
    let first = written
        .refusals
        .iter()
        .find(|text| text.starts_with("Unavailable"));
    ensure!(
        first.is_some(),
        "no write was first: {:?}",
        written.refusals
    );
    let mut client = connect(server).await?;
    for _ in 0..3 {
        everything_is_there(&mut client, written).await?;
        let status = client.status().await?;
        let [error] = status.errors() else {
            bail!("{:?}", status.errors());
        };
        for part in ["nothing can be written", "/store.", "free some space"] {
            ensure!(error.contains(part), "{part} in {error}");
        }
        let revision = status.header().context("no header")?.revision();
        if revision > 1 {
            let mut watch = watch_all(&mut client, revision).await?;
            let (mut changes, mut last) = (Changes::new(), revision - 1);
            while last < revision {
                add(&mut changes, &mut last, &next(&mut watch, SLACK).await?)?;
            }
        }
        let (code, said) = server.rival(&server.inside("")?)?;
        ensure!(
            code == Some(REFUSED),
            "a second process ended with {code:?}: {said}"
        );
        ensure!(
            said.contains("is in use: another process has it open"),
            "{said}"
        );
        // Over a second in all: the disk is tried again meanwhile, and a write that still fits may succeed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        fill(server, written).await?;
    }
    Ok(())
}

/// Where not one byte can be written, nothing is taken that would have to be.
async fn nothing_at_all_is_taken(server: &Server) -> Result<()> {
    let mut client = connect(server).await?;
    for _ in 0..3 {
        let put = client.put("refused", "x", None).await;
        let text = refusal(&put.err().context("written to a disk that is full")?);
        ensure!(text.starts_with("ResourceExhausted: "), "{text}");
        let granted = client.lease_grant(60, None).await;
        ensure!(
            granted.is_err(),
            "granted on a disk that is full: {granted:?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let refused = client.get("refused", None).await?;
    ensure!(refused.kvs().is_empty(), "what was refused is there");
    Ok(())
}

/// There is space again: without a restart, and with nothing to be done.
async fn write_again(server: &Server, written: &mut Written) -> Result<()> {
    let client = connect(server).await?;
    let key = format!("k{}", written.acknowledged.len());
    eventually_async(SLACK, "writing to go on", || {
        let (mut client, key) = (client.clone(), key.clone());
        async move { Ok(client.put(key.clone(), value(&key), None).await?) }
    })
    .await?;
    written.acknowledged.push(key);
    let mut client = client;
    let status = client.status().await?;
    ensure!(status.errors().is_empty(), "{:?}", status.errors());
    let lease = client.lease_grant(60, None).await?.id();
    let options = PutOptions::new().with_lease(lease);
    client.put("held", "x", Some(options)).await?;
    client.lease_revoke(lease).await?;
    everything_is_there(&mut client, written).await
}

/// Each key by itself, as a reply with all of them would be too large for a client.
async fn everything_is_there(client: &mut Client, written: &Written) -> Result<()> {
    for key in &written.acknowledged {
        let reply = client.get(key.clone(), None).await?;
        let found = reply.kvs().first();
        let found = found.with_context(|| format!("{key} was acknowledged and is gone"))?;
        ensure!(found.value() == value(key), "{key} has another value");
    }
    Ok(())
}
