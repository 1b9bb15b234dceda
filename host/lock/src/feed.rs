//! [`KeyFeed`]: every key under some prefixes, as it is and as it changes.
//!
//! For views and dashboards. It never decides about the right to act, which only a [`Grant`](crate::Grant) proves.
//! Every gap is reported: the reader receives an item when the feed is down, and all keys anew when it is up again.

use std::collections::HashSet;
use std::time::Duration;

use leasehold_ids::Revision;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::kv::{KeyValue, Kv};
use crate::locks::Locks;
use crate::read_rights::{ReadRights, WantedPrefix, not_permitted, rights};
use crate::watch_mux::subscription::{
    WatchEvent, WatchEventKind, WatchItem, WatchRange, WatchSubscription,
};

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// The revision of the change.
    pub revision: Revision,
    /// The key after the change; `None` when it was deleted.
    pub now: Option<KeyValue>,
}

/// One item of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// All keys at one revision. A key that is not in here does not exist.
    Reading {
        /// The revision. Keys may be newer when compactions overtook the reading; their changes follow.
        revision: Revision,
        /// The keys, in order. A value that is too large to be read is empty.
        keys: Vec<KeyValue>,
    },
    /// Changes since, in order for each prefix, complete up to the revision for the prefix they are of.
    Changes {
        /// The highest revision of the store that these changes show.
        revision: Revision,
        /// The changes.
        changes: Vec<KeyChange>,
    },
    /// The user may not read these prefixes, so the feed is without them. Comes before the next reading, and again
    /// when the rights of the user have changed.
    Denied {
        /// The prefixes; empty when all may be read again.
        prefixes: Vec<String>,
    },
    /// The feed is interrupted. Earlier items may be out of date until the next reading.
    Down {
        /// The reason.
        reason: String,
    },
}

enum FeedStage {
    /// No watch is open.
    Closed,
    /// Watches are requested; those in the set have not opened yet.
    Opening(HashSet<usize>),
    /// All watches are open, and the reading that must follow has not been done.
    Unread,
    /// Every change after this revision is delivered.
    Live(Revision),
}

/// The keys under some prefixes, delivered by [`KeyFeed::next`].
pub struct KeyFeed {
    locks: Locks,
    wanted: Vec<WantedPrefix>,
    /// The prefixes that are followed, and those that the user may not read.
    rights: ReadRights,
    except: Vec<String>,
    watches: Vec<WatchSubscription>,
    stage: FeedStage,
    /// True if the reader has received [`FeedItem::Down`] and no reading since.
    reported_down: bool,
    backoff: Backoff,
}

impl Locks {
    /// Opens a feed of every key that begins with one of `prefixes`.
    pub fn feed<P: Into<String>>(&self, prefixes: impl IntoIterator<Item = P>) -> KeyFeed {
        KeyFeed {
            locks: self.clone(),
            wanted: prefixes.into_iter().map(whole_prefix).collect(),
            rights: ReadRights::default(),
            except: Vec::new(),
            watches: Vec::new(),
            stage: FeedStage::Closed,
            reported_down: false,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)),
        }
    }
}

impl KeyFeed {
    /// Leaves out the keys that begin with `prefix`.
    #[must_use]
    pub fn except(mut self, prefix: impl Into<String>) -> Self {
        self.except.push(prefix.into());
        self
    }

    /// Follows `parts` of `prefix` where the user may not read all of it.
    #[must_use]
    pub fn or_parts<P: Into<String>>(
        mut self,
        prefix: &str,
        parts: impl IntoIterator<Item = P>,
    ) -> Self {
        if let Some(wanted) = self
            .wanted
            .iter_mut()
            .find(|wanted| wanted.prefix == prefix)
        {
            wanted.parts = parts.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Waits for the next item. Safe to cancel, though a reading under way starts over. `None` when the client has
    /// closed.
    pub async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if self.locks.0.is_closed() {
                return None;
            }
            match &mut self.stage {
                FeedStage::Closed => match self.find_permitted().await {
                    Ok(Some(item)) => return Some(item),
                    Ok(None) => self.open().await?,
                    Err(reason) => {
                        if let Some(item) = self.down(reason) {
                            return Some(item);
                        }
                        sleep(self.backoff.next()).await;
                    }
                },
                FeedStage::Unread => match self.read().await {
                    Ok(item) => return Some(item),
                    Err(error) => {
                        if let Some(item) = self.down(error.to_string()) {
                            return Some(item);
                        }
                        sleep(self.backoff.next()).await;
                    }
                },
                FeedStage::Opening(_) | FeedStage::Live(_) => {
                    let (at, item) = next_of(&mut self.watches).await;
                    if let Some(item) = self.receive(at, item) {
                        return Some(item);
                    }
                }
            }
        }
    }

    /// Finds the prefixes that the user may read. Returns an item when they differ from the last ones; otherwise the
    /// watches can be opened.
    async fn find_permitted(&mut self) -> Result<Option<FeedItem>, String> {
        let kv = Kv::new(self.locks.0.requests.clone());
        let found = rights(&kv, &self.wanted).await;
        let rights = found.map_err(|error| error.to_string())?;
        if rights.permitted.is_empty() && !rights.denied.is_empty() {
            return Err(not_permitted(&rights.denied));
        }
        let is_news = rights.denied != self.rights.denied;
        self.rights = rights;
        Ok(is_news.then(|| FeedItem::Denied {
            prefixes: self.rights.denied.clone(),
        }))
    }

    async fn open(&mut self) -> Option<()> {
        self.watches.clear();
        for prefix in &self.rights.permitted {
            let range = WatchRange {
                key: prefix.clone(),
                prefix: true,
                puts: true,
            };
            self.watches.push(self.locks.watch(range).await?);
        }
        self.stage = FeedStage::Opening((0..self.watches.len()).collect());
        Some(())
    }

    fn receive(&mut self, at: usize, item: Option<WatchItem>) -> Option<FeedItem> {
        match item {
            // This subscriber fell behind: start over with new watches.
            None => self.down("the reader fell behind".into()),
            Some(WatchItem::Down { reason }) => self.down(reason),
            Some(WatchItem::Open { .. }) => {
                match &mut self.stage {
                    FeedStage::Opening(missing) => {
                        missing.remove(&at);
                        if missing.is_empty() {
                            self.stage = FeedStage::Unread;
                        }
                    }
                    // It was reopened: there may be a gap.
                    _ => self.stage = FeedStage::Unread,
                }
                None
            }
            Some(WatchItem::Events { revision, events }) => {
                // Events before the reading are part of it.
                let FeedStage::Live(read_at) = self.stage else {
                    return None;
                };
                let changes = self.changes_after(read_at, events);
                (!changes.is_empty()).then_some(FeedItem::Changes { revision, changes })
            }
        }
    }

    fn down(&mut self, reason: String) -> Option<FeedItem> {
        self.stage = FeedStage::Closed;
        let first = !std::mem::replace(&mut self.reported_down, true);
        first.then_some(FeedItem::Down { reason })
    }

    async fn read(&mut self) -> Result<FeedItem, StoreError> {
        let kv = Kv::new(self.locks.0.requests.clone());
        let scan = kv.read_all(&self.rights.permitted, &self.except).await?;
        let (revision, keys) = (scan.revision, scan.found);
        // Changes since the reading wait in the queues of the watches.
        self.stage = FeedStage::Live(revision);
        self.reported_down = false;
        self.backoff.reset();
        Ok(FeedItem::Reading { revision, keys })
    }

    fn changes_after(&self, read_at: Revision, events: Vec<WatchEvent>) -> Vec<KeyChange> {
        let news = events.into_iter().filter(|event| event.revision > read_at);
        news.filter_map(|event| {
            let key = String::from_utf8(event.key).ok()?;
            if self.except.iter().any(|prefix| key.starts_with(prefix)) {
                return None;
            }
            let now = match event.kind {
                WatchEventKind::Delete => None,
                WatchEventKind::Put {
                    create_revision,
                    lease,
                    value,
                } => Some(KeyValue {
                    key: key.clone(),
                    value,
                    create_revision,
                    mod_revision: event.revision,
                    lease,
                }),
            };
            Some(KeyChange {
                key,
                revision: event.revision,
                now,
            })
        })
        .collect()
    }
}

fn whole_prefix(prefix: impl Into<String>) -> WantedPrefix {
    WantedPrefix {
        prefix: prefix.into(),
        parts: Vec::new(),
    }
}

/// The next item of any of the watches, and which one it is of.
async fn next_of(watches: &mut [WatchSubscription]) -> (usize, Option<WatchItem>) {
    std::future::poll_fn(|context| {
        for (at, watch) in watches.iter_mut().enumerate() {
            if let std::task::Poll::Ready(item) = watch.poll_next(context) {
                return std::task::Poll::Ready((at, item));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
