//! [`WatchMux`]: every watch of one client, over one stream.
//!
//! Watches are opened *without* a start revision. etcd serves a watch with a past start revision from a
//! loop that runs every 100 ms; one without is served at once. The price is that a gap can lie before
//! the watch opens, so subscribers read after every [`WatchItem::Open`](subscription::WatchItem::Open).
//!
//! The multiplexer never waits for a subscriber: one that does not keep up loses its subscription.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::requests::StoreRequests;
use crate::watch_mux::subscription::{MuxCommand, WatchRange, WatchSubscription};
use crate::watch_mux::task::MuxTask;

pub(crate) mod subscription;

mod silence;
mod stream;
mod task;
mod watch_ids;

/// Items that may wait for one subscriber.
const SUBSCRIBER_DEPTH: usize = 1024;

/// Commands that may wait for the multiplexer.
const COMMAND_DEPTH: usize = 1024;

/// The handle that subscribers use.
#[derive(Debug)]
pub(crate) struct WatchMux {
    commands: mpsc::Sender<MuxCommand>,
    next: AtomicU64,
}

impl WatchMux {
    /// Makes the handle and the task behind it; the task must run on the lease thread.
    pub(crate) fn new(
        requests: StoreRequests,
        cancel: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (commands, inbox) = mpsc::channel(COMMAND_DEPTH);
        let mux = Self {
            commands,
            next: AtomicU64::new(1),
        };
        let task = MuxTask::new(requests, inbox);
        let run = async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task.run() => {}
            }
        };
        (mux, run)
    }

    /// Opens a watch; `None` when the multiplexer has closed.
    pub(crate) async fn subscribe(&self, range: WatchRange) -> Option<WatchSubscription> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (items, receiver) = mpsc::channel(SUBSCRIBER_DEPTH);
        let subscribe = MuxCommand::Subscribe { id, range, items };
        self.commands.send(subscribe).await.ok()?;
        Some(WatchSubscription::new(id, receiver, self.commands.clone()))
    }
}
