//! The lock library alone, on every store: the promises of `leasehold-lock` to any program.
//!
//! Waits are bounded and events are waited for; no test here asserts how fast something is.

mod acquire;
mod clock;
mod compared;
mod crowd;
mod deadline;
mod endpoints;
mod feed;
mod reading;
mod unanswered;
mod unread;
mod view;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, AcquireError, ConnectOptions, Grant, Locks};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::wait::eventually_async;
use tokio::task::JoinHandle;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// A client of its own, as another machine would have.
async fn client(etcd: &Etcd) -> Result<Locks> {
    Ok(Locks::connect(ConnectOptions::new(etcd.endpoints())).await?)
}

/// An acquisition that runs beside the test.
type Waiting = JoinHandle<Result<Grant, AcquireError>>;

fn start(locks: &Locks, request: Acquire) -> Waiting {
    let locks = locks.clone();
    tokio::spawn(async move { locks.acquire(request).await })
}

/// The grant that a waiting acquisition ends with.
async fn granted(waiting: Waiting) -> Result<Grant> {
    let ended = tokio::time::timeout(SLACK, waiting).await;
    Ok(ended.context("no grant came")???)
}

/// Waits until the lock has this many entries, and gives them, oldest first.
async fn queue_of(locks: &Locks, name: &str, count: usize) -> Result<Vec<String>> {
    let prefix = format!("{name}/");
    eventually_async(SLACK, &format!("{count} entries of {name}"), || async {
        let mut entries = locks.kv().list(&prefix, 0).await?;
        entries.sort_by_key(|entry| entry.create_revision);
        let keys: Vec<String> = entries.into_iter().map(|entry| entry.key).collect();
        ensure!(keys.len() == count, "there are {keys:?}");
        Ok(keys)
    })
    .await
}
