//! History refuses no write: it is deleted, oldest first.

use anyhow::{Context, Result, ensure};
use etcd_client::{Client, Txn, TxnOp};
use leasehold_tests::binaries::Version;
use leasehold_tests::etcdctl::Etcdctl;

use crate::SLACK;
use crate::client::{connect, next, refusal, watch_all};
use crate::server::Server;

/// 100 kB.
fn value() -> Vec<u8> {
    vec![b'x'; 100_000]
}

async fn put_often(client: &mut Client, times: usize) -> Result<()> {
    for turn in 0..times {
        let put = client.put("one", value(), None).await;
        put.with_context(|| format!("put {turn}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_writes_of_one_key_fit_a_quota_over_a_restart() -> Result<()> {
    // Without the limit on bytes of history, the quota alone makes it give way.
    for size in ["32MiB", "1GiB"] {
        let size = format!("--history-size={size}");
        let mut server = Server::on_disk()?
            .arg("--quota=64MiB")
            .arg(&size)
            .started()?;
        let mut client = connect(&server).await?;
        client.put("first", "1", None).await?;
        put_often(&mut client, 1000).await?;
        server.kill()?;
        server.start()?;
        let mut client = connect(&server).await?;
        put_often(&mut client, 700).await?;
        ensure!(client.status().await?.errors().is_empty());
        let ctl = Etcdctl::new(Version::V3_5, &[server.endpoint()])?;
        ensure!(ctl.run(&["alarm", "list"])?.is_empty());
        ensure!(ctl.run(&["get", "first", "--print-value-only"])? == "1");
        // A watch that still has to read deleted history is cancelled, as by etcd.
        let mut late = watch_all(&mut client, 3).await?;
        let ended = loop {
            match next(&mut late, SLACK).await {
                Ok(response) => ensure!(response.events().is_empty(), "it is there still"),
                Err(error) => break error.to_string(),
            }
        };
        ensure!(ended.contains("cancelled"), "{ended}");
        let mut watching = watch_all(&mut client, 0).await?;
        client.put("first", "2", None).await?;
        while next(&mut watching, SLACK).await?.events().is_empty() {}
        server.is_well()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watch_ends_as_compacted_and_a_quick_one_is_complete() -> Result<()> {
    let server = Server::in_memory()?
        .arg("--quota=64MiB")
        .arg("--history-size=1MiB");
    let mut server = server.started()?;
    let mut client = connect(&server).await?;
    let mut quick = watch_all(&mut client, 0).await?;
    next(&mut quick, SLACK).await?;
    let mut slow = watch_all(&mut connect(&server).await?, 0).await?;
    let (mut seen, puts) = (0, 400);
    for turn in 0..puts {
        client.put("one", value(), None).await?;
        while seen <= turn {
            seen += next(&mut quick, SLACK).await?.events().len();
        }
    }
    ensure!(seen == puts, "{seen} of {puts}");
    // More than fits on the way was given up meanwhile.
    let ended = loop {
        match next(&mut slow, SLACK).await {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    ensure!(ended.contains("cancelled"), "{ended}");
    server.is_well()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_passes_the_quota_and_small_ones_go_on() -> Result<()> {
    for server in [Server::in_memory()?, Server::on_disk()?] {
        let mut server = server.arg("--quota=2MiB").started()?;
        let mut client = connect(&server).await?;
        let half = vec![b'x'; 1_200_000];
        client.put("half", half.clone(), None).await?;
        let puts = (0..12).map(|number| TxnOp::put(format!("k{number}"), value(), None));
        let txn = Txn::new().and_then(puts.collect::<Vec<_>>());
        for refused in [
            client.put("other", half, None).await.err(),
            client.txn(txn).await.err(),
        ] {
            let said = refusal(&refused.context("it passed the quota")?);
            ensure!(
                said == "ResourceExhausted: etcdserver: mvcc: database space exceeded",
                "{said}"
            );
        }
        ensure!(client.get("k0", None).await?.kvs().is_empty());
        client.put("small", "x", None).await?;
        ensure!(client.status().await?.errors().is_empty());
        server.is_well()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defragmenting_gives_the_disk_back() -> Result<()> {
    let mut server = Server::on_disk()?.started()?;
    let mut client = connect(&server).await?;
    let file = server.file()?;
    let length = || -> Result<u64> { Ok(std::fs::metadata(&file)?.len()) };
    for number in 0..300 {
        client.put(format!("k{number}"), value(), None).await?;
    }
    let all = etcd_client::DeleteOptions::new().with_prefix();
    client.delete("k", Some(all)).await?;
    let revision = client.put("end", "1", None).await?;
    let revision = revision.header().context("no header")?.revision();
    client.compact(revision, None).await?;
    let before = length()?;
    let ctl = Etcdctl::new(Version::V3_5, &[server.endpoint()])?;
    let said = ctl.run(&["defrag"])?;
    ensure!(said.starts_with("Finished defragmenting"), "{said}");
    let after = length()?;
    println!("{before} bytes before, {after} after");
    ensure!(after < before / 2, "{before} bytes before, {after} after");
    let size = client.status().await?.db_size();
    ensure!(u64::try_from(size)? < before / 2, "{size} in its status");
    client.put("end", "2", None).await?;
    server.kill()?;
    server.start()?;
    let mut client = connect(&server).await?;
    let end = client.get("end", None).await?;
    ensure!(end.kvs().first().is_some_and(|kv| kv.value() == b"2"));
    ensure!(client.get("k42", None).await?.kvs().is_empty());
    server.is_well()
}
