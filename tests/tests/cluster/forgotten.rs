//! An acknowledged write that etcd 3.5.0 to 3.5.2 forget at a crash (etcd issue 13766), and the reaction of holders.
//!
//! These versions note a log entry as applied before they write its data, and a commit of the database may come in
//! between. Killed before the next commit, etcd skips that entry when it starts again, and every later entry gets
//! a revision that is one lower than the one that was acknowledged. A transaction that compares a great many keys
//! takes longer than lies between two commits, so the commit comes where it does harm.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{
    AcquireError, Batch, EndReason, FencedError, Grant, LeaseId, Locks, Revision,
};
use leasehold_tests::etcd::{Etcd, Version};

use crate::{client, end, one_verification, request};

/// TTL that outlives a restart of the store on a busy machine.
const TTL: Duration = Duration::from_secs(8);
/// Keys that the slow transaction compares: some tenths of a second.
const KEYS: usize = 150_000;
/// Time from the slow transaction's start until it is first among the entries to apply.
const HEAD_START: Duration = Duration::from_millis(20);
/// Kills until etcd must have forgotten: a commit may come before the slow transaction, or after the reply.
const KILLS: usize = 10;

/// Entry of a client of another kind, which etcd acknowledges and forgets.
const FOREIGN: &str = "/forgotten/foreign/f00";
const LOCK: &str = "/forgotten/own";

/// Fills the range that the slow transaction compares.
async fn fill(locks: &Locks) -> Result<()> {
    for from in (0..KEYS).step_by(Batch::MOST_OPS) {
        let mut batch = Batch::default();
        for key in from..(from + Batch::MOST_OPS).min(KEYS) {
            batch.put(&format!("/padding/{key:06}"), b"", LeaseId::NONE);
        }
        locks.kv().commit(batch).await?;
    }
    Ok(())
}

/// Puts the foreign entry if all keys of the padding are there, through etcd's gateway. Returns once etcd has
/// acknowledged it.
fn put_slowly(address: &str) -> Result<()> {
    // Base64 of "/padding/", of "/padding0", and of the foreign entry.
    let body = r#"{"compare":[{"target":"VERSION","result":"GREATER","version":"0","key":"L3BhZGRpbmcv",
        "range_end":"L3BhZGRpbmcw"}],"success":[{"request_put":{"key":"L2ZvcmdvdHRlbi9mb3JlaWduL2YwMA=="}}]}"#;
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /v3/kv/txn HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    ensure!(reply.contains(r#""succeeded":true"#), "{reply}");
    Ok(())
}

/// A killed store, with its client and the grant that the client had.
struct Crash {
    etcd: Etcd,
    holder: Locks,
    grant: Grant,
}

/// Lets etcd acknowledge the foreign entry and then a lock of ours, and kills it before the next commit.
async fn crash() -> Result<Crash> {
    let mut etcd = Etcd::start(Version::V3_5)?;
    let holder = client(etcd.endpoints()).await?;
    fill(&holder).await?;
    // Its session is there, so that one request is enough.
    holder
        .acquire(request("/forgotten/first", TTL))
        .await?
        .release()
        .await?;
    let endpoint = etcd.endpoint();
    let address = endpoint.trim_start_matches("http://").to_owned();
    // Something to commit while the keys are compared.
    holder.kv().put("/forgotten/x", b"x", LeaseId::NONE).await?;
    let slow = tokio::task::spawn_blocking(move || put_slowly(&address));
    tokio::time::sleep(HEAD_START).await;
    let grant = holder.acquire(request(LOCK, TTL)).await?;
    slow.await??;
    etcd.kill()?;
    etcd.restart()?;
    Ok(Crash {
        etcd,
        holder,
        grant,
    })
}

/// Promise P1, as far as it can be kept: until a holder asks the store again, it cannot know. Promise P4 for its
/// writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_acknowledged_write_ends_later_holders() -> Result<()> {
    for kill in 1..=KILLS {
        let crash = crash().await?;
        let reader = client(crash.etcd.endpoints()).await?;
        let foreign = reader.kv().get(FOREIGN).await?;
        let own = reader.kv().get(crash.grant.key()).await?;
        let created = own.map(|entry| entry.create_revision);
        println!(
            "kill {kill}: the acknowledged foreign entry is {}; ours, with token {}, is at {created:?}",
            if foreign.is_some() { "there" } else { "gone" },
            crash.grant.token()
        );
        if foreign.is_none() {
            return ends(&reader, crash).await;
        }
    }
    bail!("etcd 3.5.1 forgot nothing in {KILLS} kills")
}

async fn ends(reader: &Locks, crash: Crash) -> Result<()> {
    let Crash {
        etcd,
        holder,
        grant,
    } = crash;
    // A guest that writes before anything else was noticed.
    let (kv, fence) = (holder.kv(), grant.fence());
    let write = kv.compare_and_put_fenced(&fence, "/forgotten/effect", Revision::NONE, b"x");
    match write.await {
        Err(FencedError::Stale) => {}
        other => bail!("a fenced write under a token that is not in the store: {other:?}"),
    }
    let reason = end(grant.tenure(), one_verification(TTL)).await?;
    println!("{reason}");
    ensure!(
        matches!(
            reason,
            EndReason::StoreChanged { .. } | EndReason::Removed { .. } | EndReason::Replaced { .. }
        ),
        "ended otherwise: {reason}"
    );
    let seen = grant.token();
    grant
        .release()
        .await
        .context("giving back what is left of it")?;
    // A client that saw the forgotten revision takes no token that repeats one.
    match holder.acquire(request("/forgotten/again", TTL)).await {
        Ok(grant) => ensure!(grant.token() > seen, "{} after {seen}", grant.token()),
        Err(AcquireError::StoreWentBack { .. }) => {}
        Err(other) => return Err(other).context("acquiring after the crash"),
    }
    // The entry under another create revision has no owner for ever.
    let waiting = tokio::time::timeout(
        TTL * 2 + one_verification(TTL),
        reader.acquire(request(LOCK, TTL)),
    );
    let theirs = waiting.await.context("the lock stayed taken")??;
    println!("the next holder has token {}, after {seen}", theirs.token());
    drop(etcd);
    Ok(())
}
