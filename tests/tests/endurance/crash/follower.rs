//! A watcher over all kills: it reconnects, and continues after the last revision it received.
//!
//! It reads no key: all its facts come from watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use leasehold_tests::wait::eventually_async;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::SLACK;
use crate::client::{Changes, add, connect_to, watch_all};

/// Between tries to come back.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Seen {
    changes: Changes,
    last: i64,
    watches: u32,
    /// A violation by a watch.
    broken: Option<String>,
}

/// The watcher.
pub(super) struct Follower {
    seen: Arc<Mutex<Seen>>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Follower {
    pub(super) fn start(endpoint: String) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            last: 1,
            ..Seen::default()
        }));
        let cancel = CancellationToken::new();
        let (shared, ended) = (Arc::clone(&seen), cancel.clone());
        let task = tokio::spawn(async move {
            // Large, as what is generated for every way a request can go.
            let following = Box::pin(async {
                loop {
                    // A broken watch is expected here.
                    let _ = follow(&endpoint, &shared).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
            let _: Option<()> = ended.run_until_cancelled(following).await;
        });
        Self { seen, cancel, task }
    }

    /// Changes it received after one revision up to another, once it has them.
    pub(super) async fn between(&self, after: i64, until: i64) -> Result<Changes> {
        let caught_up = eventually_async(SLACK, "the watcher to catch up", || async {
            let seen = lock(&self.seen);
            if let Some(broken) = &seen.broken {
                return Ok(Err(broken.clone()));
            }
            let last = seen.last;
            ensure!(last >= until, "it is at {last}, not at {until}");
            Ok(Ok(()))
        });
        if let Err(broken) = caught_up.await? {
            bail!("{broken}");
        }
        let mut seen = lock(&self.seen);
        // Given away once: a soak must not keep all of it.
        let mut rest = seen.changes.split_off(&(after + 1));
        let later = rest.split_off(&(until + 1));
        seen.changes = later;
        ensure!(
            seen.changes.is_empty(),
            "it saw what is not there: {:?}",
            seen.changes
        );
        Ok(rest)
    }

    pub(super) async fn end(self) -> Result<()> {
        self.cancel.cancel();
        self.task.await?;
        let watches = lock(&self.seen).watches;
        ensure!(watches > 1, "the watcher never had to come back");
        Ok(())
    }
}

async fn follow(endpoint: &str, shared: &Mutex<Seen>) -> Result<()> {
    let mut client = connect_to(endpoint).await?;
    let from = lock(shared).last + 1;
    let mut stream = tokio::time::timeout(SLACK, watch_all(&mut client, from)).await??;
    lock(shared).watches += 1;
    while let Some(response) = stream.message().await? {
        let seen = &mut *lock(shared);
        let mut changes = BTreeMap::new();
        if response.canceled() {
            // Asked to go on from where it was, a store that was only killed must be able to.
            seen.broken = Some(format!(
                "cancelled from {from}: {}",
                response.cancel_reason()
            ));
        } else if let Err(error) = add(&mut changes, &mut seen.last, &response) {
            seen.broken = Some(error.to_string());
        }
        seen.changes.append(&mut changes);
    }
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
