//! The oracle of random histories: every change of the store, and the rule of modes written down a second time.
//!
//! Clients write an effect under the fence while they hold, whose value names their entries. At the effect's revision
//! each of these entries must exist and hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{FeedItem, KeyFeed, LeaseId, Locks, Revision, Token};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::SLACK;

/// Begin of the keys of effects.
pub(crate) const EFFECTS: &str = "/random/effects/";
/// Begin of the names of locks.
pub(crate) const LOCKS: &str = "/random/locks/";
/// The key whose change shows that everything before it was recorded.
const END: &str = "/random/end";

/// The share of a lock that an entry takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Alone,
    Shared,
    Permits(u64, u64),
}

impl Share {
    /// The share that a key shows.
    pub(crate) fn read(key: &str, lease: LeaseId) -> Self {
        let name = key.rsplit('/').next().unwrap_or_default();
        let own = format!("{:x}", lease.get());
        let Some(suffix) = name.strip_prefix(&own).filter(|_| lease.get() != 0) else {
            return Self::Alone;
        };
        match suffix
            .strip_prefix("-p")
            .and_then(|share| share.split_once('.'))
        {
            Some((weight, of)) => match (weight.parse(), of.parse()) {
                (Ok(weight), Ok(of)) => Self::Permits(weight, of),
                _ => Self::Alone,
            },
            None if suffix == "-r" => Self::Shared,
            None => Self::Alone,
        }
    }
}

/// True if these can hold one lock together, in this order of their arrival.
pub(crate) fn together(shares: &[Share]) -> bool {
    let Some(first) = shares.first() else {
        return true;
    };
    match *first {
        Share::Alone => shares.len() == 1,
        Share::Shared => shares.iter().all(|share| *share == Share::Shared),
        Share::Permits(_, capacity) => {
            let weights = shares.iter().map(|share| match *share {
                Share::Permits(weight, of) if of == capacity => weight,
                _ => u64::MAX / 1_000_000,
            });
            weights.sum::<u64>() <= capacity
        }
    }
}

#[derive(Debug)]
struct Entry {
    lock: String,
    key: String,
    share: Share,
    created: Revision,
    deleted: Option<Revision>,
}

impl Entry {
    fn exists_at(&self, revision: Revision) -> bool {
        self.created <= revision && self.deleted.is_none_or(|deleted| revision < deleted)
    }
}

#[derive(Debug)]
struct Effect {
    revision: Revision,
    entries: Vec<String>,
}

/// Everything that happened, in order.
#[derive(Debug, Default)]
pub(crate) struct StoreStory {
    entries: Vec<Entry>,
    effects: Vec<Effect>,
}

/// Records every change of a store until it is finished.
pub(crate) struct Recorder(JoinHandle<Result<StoreStory>>);

impl Recorder {
    /// Begins to record. Nothing that happens after the return is missed.
    pub(crate) async fn start(locks: &Locks) -> Result<Self> {
        let mut feed = locks.feed(["/random/"]);
        match feed.next().await {
            Some(FeedItem::Reading { keys, .. }) => ensure!(keys.is_empty(), "{keys:?}"),
            other => bail!("no reading: {other:?}"),
        }
        Ok(Self(tokio::spawn(record(feed))))
    }

    /// Ends the recording once everything up to now was recorded.
    pub(crate) async fn finish(self, locks: &Locks) -> Result<StoreStory> {
        locks.kv().put(END, b"", LeaseId::NONE).await?;
        let ended = tokio::time::timeout(SLACK, self.0).await;
        ended.context("the end was not recorded")??
    }
}

async fn record(mut feed: KeyFeed) -> Result<StoreStory> {
    let mut story = StoreStory::default();
    loop {
        let changes = match feed.next().await {
            Some(FeedItem::Changes { changes, .. }) => changes,
            other => bail!("a gap in the recording: {other:?}"),
        };
        for change in changes {
            if change.key == END {
                return Ok(story);
            }
            let Some(now) = change.now else {
                let mut entries = story.entries.iter_mut().rev();
                if let Some(entry) = entries.find(|entry| entry.key == change.key) {
                    entry.deleted.get_or_insert(change.revision);
                }
                continue;
            };
            if change.key.starts_with(EFFECTS) {
                let entries = String::from_utf8(now.value)?;
                story.effects.push(Effect {
                    revision: change.revision,
                    entries: entries.split_whitespace().map(str::to_owned).collect(),
                });
            } else if let Some((lock, _)) = change.key.rsplit_once('/') {
                ensure!(
                    change.revision == now.create_revision,
                    "{} twice",
                    change.key
                );
                story.entries.push(Entry {
                    lock: lock.to_owned(),
                    share: Share::read(&change.key, now.lease),
                    key: change.key,
                    created: now.create_revision,
                    deleted: None,
                });
            }
        }
    }
}

impl StoreStory {
    /// True if the entry and all that are ahead of it at `revision` can hold together.
    fn holds_at(&self, own: &Entry, revision: Revision) -> bool {
        let queue = self.entries.iter().filter(|entry| {
            entry.lock == own.lock && entry.created <= own.created && entry.exists_at(revision)
        });
        let mut queue: Vec<&Entry> = queue.collect();
        queue.sort_by_key(|entry| entry.created);
        let shares: Vec<Share> = queue.iter().map(|entry| entry.share).collect();
        own.exists_at(revision) && together(&shares)
    }

    /// Checks that every effect was made while all entries it names held their locks. Returns the number of effects.
    pub(crate) fn check_effects(&self) -> Result<usize> {
        for effect in &self.effects {
            ensure!(!effect.entries.is_empty(), "{effect:?} names no entry");
            for key in &effect.entries {
                let mut entries = self.entries.iter();
                let found = entries.find(|e| e.key == *key && e.exists_at(effect.revision));
                let entry = found.with_context(|| format!("{effect:?} without {key}"))?;
                ensure!(
                    self.holds_at(entry, effect.revision),
                    "{effect:?} while {entry:?} waited"
                );
            }
        }
        Ok(self.effects.len())
    }

    /// Checks that each grant rests on a revision at which its entry held.
    pub(crate) fn check_grants(&self, grants: &[(String, Token)]) -> Result<()> {
        for (key, token) in grants {
            let mut entries = self.entries.iter();
            let found = entries.find(|e| e.key == *key && Token::from(e.created) == *token);
            let entry = found.with_context(|| format!("{key} with {token} never existed"))?;
            let ends = self.entries.iter().filter_map(|other| other.deleted);
            let mut moments = ends.chain([entry.created]);
            ensure!(
                moments.any(|revision| self.holds_at(entry, revision)),
                "{entry:?} was granted and never held"
            );
        }
        Ok(())
    }

    /// Checks that no entry is left, and returns the number of all.
    pub(crate) fn check_end(&self) -> Result<usize> {
        let left = self.entries.iter().find(|entry| entry.deleted.is_none());
        ensure!(left.is_none(), "left in the end: {left:?}");
        Ok(self.entries.len())
    }
}

/// A time for which a client acted under an entry.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) key: String,
    pub(crate) share: Share,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// Checks that those who acted on one lock at one time can hold it together.
pub(crate) fn check_acting(all: &[Acting]) -> Result<()> {
    let mut by_lock: BTreeMap<&str, Vec<&Acting>> = BTreeMap::new();
    for acting in all {
        let lock = acting.key.rsplit_once('/').map_or("", |(lock, _)| lock);
        by_lock.entry(lock).or_default().push(acting);
    }
    for acts in by_lock.values() {
        for act in acts {
            let beside: Vec<&&Acting> = acts
                .iter()
                .filter(|other| other.from <= act.from && act.from < other.until)
                .collect();
            let shares: Vec<Share> = beside.iter().map(|other| other.share).collect();
            ensure!(together(&shares), "these acted at one time: {beside:?}");
        }
    }
    Ok(())
}

/// Waits until the time is up or `cancel` is called. True if time was left.
pub(crate) async fn pause(cancel: &CancellationToken, time: Duration) -> bool {
    tokio::select! {
        () = cancel.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

#[test]
fn oracle_knows_which_shares_can_hold_together() {
    use Share::{Alone, Permits, Shared};
    assert!(together(&[Alone]) && !together(&[Alone, Shared]) && !together(&[Shared, Alone]));
    assert!(together(&[Shared, Shared]) && !together(&[Shared, Permits(1, 2)]));
    assert!(together(&[Permits(1, 2), Permits(1, 2)]));
    assert!(
        !together(&[Permits(1, 2), Permits(2, 2)]) && !together(&[Permits(1, 2), Permits(1, 3)])
    );
    let lease = LeaseId::new(0xab);
    assert_eq!(Share::read("/l/ab-p1.3", lease), Permits(1, 3));
    assert_eq!(Share::read("/l/ab-r", lease), Shared);
    assert_eq!(Share::read("/l/ac-r", lease), Alone);
    assert_eq!(Share::read("/l/0-r", LeaseId::NONE), Alone);
}
