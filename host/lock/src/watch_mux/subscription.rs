//! A watch as its subscriber has it: the range, the items, the subscription.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchRange {
    pub(crate) key: String,
    /// Every key that begins with `key`, or that key alone.
    pub(crate) prefix: bool,
    /// Whether puts matter, or only deletions.
    pub(crate) puts: bool,
}

/// One thing that happened to a key.
#[derive(Clone, Debug)]
pub(crate) struct WatchEvent {
    pub(crate) key: Vec<u8>,
    pub(crate) revision: i64,
    pub(crate) kind: WatchEventKind,
}

#[derive(Clone, Debug)]
pub(crate) enum WatchEventKind {
    Put {
        create: i64,
        lease: i64,
        value: Vec<u8>,
    },
    Delete,
}

/// What a subscriber hears, in order.
#[derive(Debug)]
pub(crate) enum WatchItem {
    /// Every event after `revision` will be delivered. What came before is unknown: read now.
    Open { revision: i64 },
    /// Events, complete up to `revision`.
    Events {
        revision: i64,
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

    /// The next item; `None` when this subscriber fell too far behind, or the hub closed.
    pub(crate) async fn next(&mut self) -> Option<WatchItem> {
        self.items.recv().await
    }

    /// As [`WatchSubscription::next`], for whoever waits for several at once.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<WatchItem>> {
        self.items.poll_recv(context)
    }

    /// Whether nothing will be delivered any more.
    pub(crate) fn is_over(&self) -> bool {
        self.items.is_closed() && self.items.is_empty()
    }
}

impl Drop for WatchSubscription {
    fn drop(&mut self) {
        // When the queue is full the hub finds out at the next event: the receiver is gone.
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
