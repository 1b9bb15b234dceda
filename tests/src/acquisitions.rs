//! Acquisitions with the lock library that run beside a test.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_lock::{Acquire, AcquireError, ConnectOptions, Grant, Locks};
use tokio::task::JoinHandle;

use crate::wait::eventually_async;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(30);

/// An acquisition that runs beside the test.
pub type Waiting = JoinHandle<Result<Grant, AcquireError>>;

/// A client of its own, as another machine would have.
///
/// # Errors
/// The store does not answer or refuses.
pub async fn client<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Result<Locks> {
    Ok(Locks::connect(ConnectOptions::new(endpoints)).await?)
}

/// Starts an acquisition.
pub fn start(locks: &Locks, request: Acquire) -> Waiting {
    let locks = locks.clone();
    tokio::spawn(async move { locks.acquire(request).await })
}

/// The end of a waiting acquisition.
///
/// # Errors
/// It still waits after `within`.
pub async fn end_of(waiting: Waiting, within: Duration) -> Result<Result<Grant, AcquireError>> {
    let ended = tokio::time::timeout(within, waiting).await;
    let what = || format!("an acquisition still waits after {within:?}");
    Ok(ended.with_context(what)??)
}

/// The grant that a waiting acquisition ends with.
///
/// # Errors
/// None comes.
pub async fn granted(waiting: Waiting) -> Result<Grant> {
    Ok(end_of(waiting, SLACK).await??)
}

/// Waits until the lock has this many entries, and returns their keys, oldest first.
///
/// # Errors
/// It has another number.
pub async fn queue_of(locks: &Locks, name: &str, count: usize) -> Result<Vec<String>> {
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
