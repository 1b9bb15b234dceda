//! Watches as their subscribers see them: the range, the items, the subscription.

use std::task::{Context, Poll};

use leasehold_ids::{LeaseId, Revision};
use tokio::sync::mpsc;

/// Keys to watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchRange {
    pub(crate) key: String,
    /// Every key that begins with `key`, or that key alone.
    pub(crate) prefix: bool,
    /// True if puts are delivered, and not only deletions.
    pub(crate) puts: bool,
}

/// One event of a key.
#[derive(Clone, Debug)]
pub(crate) struct WatchEvent {
    pub(crate) key: Vec<u8>,
    pub(crate) revision: Revision,
    pub(crate) kind: WatchEventKind,
}

#[derive(Clone, Debug)]
pub(crate) enum WatchEventKind {
    Put {
        create_revision: Revision,
        lease: LeaseId,
        value: Vec<u8>,
    },
    Delete,
}

/// Items for a subscriber, in order.
#[derive(Debug)]
pub(crate) enum WatchItem {
    /// Every event after `revision` will be delivered. Earlier ones are unknown: read now.
    Open { revision: Revision },
    /// Events, complete up to `revision`.
    Events {
        revision: Revision,
        events: Vec<WatchEvent>,
    },
    /// Nothing is delivered until the next `Open`.
    Down { reason: String },
}

/// One watch. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct WatchSubscription {
    id: u64,
    items: mpsc::Receiver<WatchItem>,
    commands: mpsc::Sender<MuxCommand>,
}

impl WatchSubscription {
    pub(crate) const fn new(
        id: u64,
        items: mpsc::Receiver<WatchItem>,
        commands: mpsc::Sender<MuxCommand>,
    ) -> Self {
        Self {
            id,
            items,
            commands,
        }
    }

    /// The next item; `None` when this subscriber fell too far behind, or the multiplexer closed.
    pub(crate) async fn next(&mut self) -> Option<WatchItem> {
        self.items.recv().await
    }

    /// As [`WatchSubscription::next`], for a caller that polls several subscriptions at once.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<WatchItem>> {
        self.items.poll_recv(context)
    }

    /// True if nothing will be delivered any more.
    pub(crate) fn is_over(&self) -> bool {
        self.items.is_closed() && self.items.is_empty()
    }
}

impl Drop for WatchSubscription {
    fn drop(&mut self) {
        // When the queue is full, the next event finds the receiver closed.
        let _ = self.commands.try_send(MuxCommand::Unsubscribe(self.id));
    }
}

#[derive(Debug)]
pub(crate) enum MuxCommand {
    Subscribe {
        id: u64,
        range: WatchRange,
        items: mpsc::Sender<WatchItem>,
    },
    Unsubscribe(u64),
}
