//! The task that keeps the orders of operators up to date: one reading, then the changes; a lost watch is read again.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{FeedItem, Locks, RefusalKind, StoreError};
use leasehold_records::Root;
use tokio::sync::watch;

use super::state::ControlState;
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;

/// Longest wait for a first reading before the right to read is checked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows the orders until the client closes. `host` is the id of this host.
pub(crate) async fn follow(
    locks: Locks,
    root: Root,
    host: Arc<str>,
    event_log: EventLog,
    state: watch::Sender<ControlState>,
) {
    let mut feed = locks.feed([root.control(), root.triggers()]);
    let mut is_reported = false;
    loop {
        let is_known = state.borrow().is_known;
        let item = tokio::select! {
            item = feed.next() => match item {
                Some(item) => item,
                None => return,
            },
            () = tokio::time::sleep(PATIENCE), if !is_known => FeedItem::Down {
                reason: String::new(),
            },
        };
        match item {
            FeedItem::Reading { keys, .. } => {
                state.send_replace(ControlState::read(&root, &host, keys));
                is_reported = false;
            }
            FeedItem::Changes { changes, .. } => state.send_modify(|state| {
                for change in changes {
                    state.apply(&root, &host, &change.key, change.now);
                }
            }),
            FeedItem::Denied { prefixes } if prefixes.is_empty() => {}
            FeedItem::Denied { prefixes } => report(&event_log, &prefixes),
            // What was read last stays in force. A user who may read neither prefix has nothing to wait for.
            FeedItem::Down { .. } => {
                if !is_reported && is_denied(&locks, &root).await {
                    is_reported = true;
                    report(&event_log, &[root.control(), root.triggers()]);
                    state.send_modify(|state| state.is_known = true);
                }
            }
        }
    }
}

fn report(event_log: &EventLog, prefixes: &[String]) {
    let error = format!(
        "the store's user may not read {}; grant it read on each of these prefixes",
        prefixes.join(" and ")
    );
    event_log.emit(EventContext::default(), EventKind::ControlUnread { error });
}

async fn is_denied(locks: &Locks, root: &Root) -> bool {
    let answer = locks.kv().first_key(&root.control()).await;
    matches!(
        answer,
        Err(StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        })
    )
}
