//! A million keys, and a quota: writes that fit are served, and others are refused as by etcd.

use anyhow::{Context, Result, ensure};
use etcd_client::{DeleteOptions, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use tokio::task::JoinSet;

use crate::client::{connect, refusal};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_keys_are_counted_found_and_bounded_in_memory() -> Result<()> {
    const KEYS: usize = 1_000_000;
    const TOGETHER: usize = 100;
    const WRITERS: usize = 4;
    /// MiB in all. Measured: 313.
    const BOUND: u64 = 1000;
    let mut server = Server::in_memory()?.started()?;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut client = connect(&server).await?;
        writers.spawn(async move {
            let share = KEYS / WRITERS;
            for first in (writer * share..(writer + 1) * share).step_by(TOGETHER) {
                let puts = (first..first + TOGETHER).map(|number| {
                    TxnOp::put(format!("key/{number:07}"), format!("value {number}"), None)
                });
                client
                    .txn(Txn::new().and_then(puts.collect::<Vec<_>>()))
                    .await?;
            }
            Ok::<_, etcd_client::Error>(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let mut client = connect(&server).await?;
    let some = GetOptions::new().with_prefix().with_limit(10);
    let reply = client.get("key/", Some(some)).await?;
    ensure!(
        reply.count() == i64::try_from(KEYS)?,
        "{} keys",
        reply.count()
    );
    ensure!(reply.more() && reply.kvs().len() == 10);
    ensure!(reply.kvs()[9].key() == b"key/0000009");
    let revision = reply.header().context("no header")?.revision();
    ensure!(
        revision == 1 + i64::try_from(KEYS / TOGETHER)?,
        "revision {revision}"
    );
    let middle = GetOptions::new().with_range("key/0500100").with_limit(3);
    let reply = client.get("key/0500000", Some(middle)).await?;
    ensure!(reply.count() == 100 && reply.kvs()[2].value() == b"value 500002");
    let last = GetOptions::new()
        .with_prefix()
        .with_limit(1)
        .with_keys_only()
        .with_sort(SortTarget::Key, SortOrder::Descend);
    let reply = client.get("key/", Some(last)).await?;
    ensure!(
        reply
            .kvs()
            .first()
            .is_some_and(|kv| kv.key() == b"key/0999999")
    );
    let counted = GetOptions::new().with_prefix().with_count_only();
    ensure!(client.get("key/0999", Some(counted)).await?.count() == 1000);
    let deleted = DeleteOptions::new().with_range("key/0000100");
    let deleted = client.delete("key/0000000", Some(deleted)).await?;
    ensure!(deleted.deleted() == 100, "{} deleted", deleted.deleted());
    let peak = server.peak_mib()?;
    println!("{KEYS} keys: peak {peak} MiB");
    ensure!(peak < BOUND, "{peak} MiB");
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_over_the_quota_are_refused_as_by_etcd_until_freed() -> Result<()> {
    const QUOTA: usize = 2 << 20;
    for server in [Server::in_memory()?, Server::on_disk()?] {
        let mut server = server.arg("--quota=2MiB").started()?;
        let mut client = connect(&server).await?;
        let value = vec![b'x'; 50_000];
        for round in 0..3 {
            let mut taken = 0;
            let refused = loop {
                match client.put(format!("k{taken}"), value.clone(), None).await {
                    Ok(_) => taken += 1,
                    Err(error) => break refusal(&error),
                }
                ensure!(taken * value.len() < 2 * QUOTA, "twice the quota was taken");
            };
            ensure!(
                refused == "ResourceExhausted: etcdserver: mvcc: database space exceeded",
                "{refused}"
            );
            ensure!(
                taken * value.len() > QUOTA / 2,
                "round {round}: {taken} were taken"
            );
            let status = client.status().await?;
            ensure!(
                status
                    .errors()
                    .iter()
                    .any(|error| error.contains("NOSPACE")),
                "{:?}",
                status.errors()
            );
            // Reads continue, and so do requests that free space.
            let all = GetOptions::new().with_prefix().with_count_only();
            ensure!(client.get("k", Some(all)).await?.count() == i64::try_from(taken)?);
            let still = client.put("k", value.clone(), None).await;
            let still = refusal(&still.err().context("there is room")?);
            ensure!(still == refused, "{still}");
            let all = DeleteOptions::new().with_prefix();
            client.delete("k", Some(all)).await?;
            // Deleted keys are history now, which is given up by itself.
            client.put("small", value.clone(), None).await?;
            ensure!(client.status().await?.errors().is_empty());
        }
        server.is_well()?;
    }
    Ok(())
}
