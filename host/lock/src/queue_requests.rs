//! Requests about the queue of a lock: enqueue, read, delete an entry.

use etcd_client::{
    Compare, CompareOp, GetOptions, GetResponse, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
};
use leasehold_ids::{LeaseId, Revision};

use crate::error::StoreError;
use crate::queue_keys::{QueueKey, entries_of};
use crate::queue_role::{QueueRole, with_roles};
use crate::requests::{StoreReply, StoreRequests};

/// Condition of putting an entry into a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueMode {
    /// Always, behind all entries of the queue.
    Always,
    /// Only if the queue is empty; otherwise nothing changes.
    OnlyIfFree,
}

/// An entry about to be put into a queue.
pub(crate) struct NewEntry<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    pub(crate) lease: LeaseId,
    pub(crate) mode: EnqueueMode,
    pub(crate) tail: TailRead,
}

/// Part of a queue that is read in the round trip that puts an entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailRead {
    /// Nothing. With [`EnqueueMode::OnlyIfFree`] an entry that was put is the only one. Reading it along, or merely
    /// counting, would cost etcd 5 to 10 % of the whole request.
    Nothing,
    /// This many of the youngest entries.
    Youngest(usize),
}

/// Result of enqueueing.
#[derive(Debug)]
pub(crate) struct Enqueued {
    /// Our entry's create revision, if our entry now exists.
    pub(crate) create_revision: Option<Revision>,
    /// True if this very request made it, not an earlier one whose answer was lost.
    pub(crate) created_now: bool,
    /// The revision at which all this was true.
    pub(crate) as_of: Revision,
    /// Entries of the lock known from this reply, oldest first, ours included.
    pub(crate) entries: Vec<QueueKey>,
    /// True if the lock has more entries than `entries` shows. The older ones are missing then.
    pub(crate) truncated: bool,
    /// All keys under the lock, nested ones included.
    pub(crate) total: usize,
}

/// Length of a queue up to which a newcomer follows every change. In a longer one it follows only the entry ahead.
///
/// Each hand-off costs one message per follower. Up to this length that is cheaper than reading again. Beyond it the
/// store would spend its time on messages to clients about places that are not near theirs.
pub(crate) const FOLLOW_ALL: usize = 32;

/// Reads the youngest entries of a queue.
fn tail(prefix: &str, limit: usize) -> TxnOp {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let options = GetOptions::new()
        .with_prefix()
        .with_keys_only()
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_limit(limit);
    TxnOp::get(prefix, Some(options))
}

impl Enqueued {
    /// The role of the entry created at `create_revision`; `None` if this reply does not show its place.
    pub(crate) fn role_at(&self, create_revision: Revision) -> Option<QueueRole> {
        if self.truncated {
            return None;
        }
        with_roles(&self.entries)
            .find(|(_, entry)| entry.create_revision == create_revision)
            .map(|(role, _)| role)
    }
}

impl StoreRequests {
    /// Puts our entry into the queue of `prefix` and reads the queue's tail, in one round trip.
    ///
    /// Repeating it is safe: an entry that is already ours is found, not made twice.
    pub(crate) async fn enqueue(&self, entry: &NewEntry<'_>) -> Result<Enqueued, StoreError> {
        let unless = match entry.mode {
            EnqueueMode::Always => Compare::create_revision(entry.key, CompareOp::Equal, 0),
            EnqueueMode::OnlyIfFree => {
                Compare::create_revision(entry.prefix, CompareOp::Equal, 0).with_prefix()
            }
        };
        let leased = PutOptions::new().with_lease(entry.lease.get());
        let put = TxnOp::put(entry.key, entry.value, Some(leased));
        let txn = Txn::new().when([unless]);
        let txn = match entry.tail {
            TailRead::Nothing => txn.and_then([put]),
            TailRead::Youngest(limit) => {
                let youngest = tail(entry.prefix, limit);
                txn.and_then([put, youngest.clone()])
                    .or_else([TxnOp::get(entry.key, None), youngest])
            }
        };
        let reply = self.txn(txn).await?;
        let create_revision = if reply.succeeded {
            Some(reply.revision)
        } else {
            // The entry is ours only if our lease carries it; a foreign client's key of that name is not.
            reply
                .range(0)
                .and_then(|range| range.kvs().first())
                .filter(|kv| kv.lease() == entry.lease.get())
                .map(|kv| Revision::new(kv.create_revision()))
        };
        Ok(enqueued(&reply, entry, create_revision))
    }

    /// Deletes the entry `(key, create_revision)` and nothing else. `Ok` means that it certainly does not exist.
    pub(crate) async fn delete_entry(
        &self,
        key: &str,
        create_revision: Revision,
    ) -> Result<(), StoreError> {
        let exists = Compare::create_revision(key, CompareOp::Equal, create_revision.get());
        let txn = Txn::new()
            .when([exists])
            .and_then([TxnOp::delete(key, None)]);
        self.txn(txn).await.map(drop)
    }

    /// Reads the names and create revisions of up to `limit` keys from `from` up to but not including `end`, in key
    /// order. Returns the revision of the reading, the keys, and true if there are more.
    pub(crate) async fn keys_between(
        &self,
        from: &str,
        end: Vec<u8>,
        limit: usize,
    ) -> Result<(Revision, Vec<QueueKey>, bool), StoreError> {
        let options = GetOptions::new()
            .with_range(end)
            .with_keys_only()
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let reply = self.read(from, Some(options)).await?;
        let Some(range) = reply.range(0) else {
            return Err(StoreError::Unknown("the reply was incomplete".into()));
        };
        let entries = range.kvs().iter().filter_map(|kv| {
            Some(QueueKey {
                key: kv.key_str().ok()?.to_owned(),
                create_revision: Revision::new(kv.create_revision()),
            })
        });
        Ok((reply.revision, entries.collect(), range.more()))
    }

    /// Reads the queue up to the entry born at `youngest`, oldest first.
    pub(crate) async fn queue(
        &self,
        prefix: &str,
        youngest: Revision,
    ) -> Result<(Revision, Vec<QueueKey>), StoreError> {
        let options = GetOptions::new()
            .with_prefix()
            .with_keys_only()
            .with_max_create_revision(youngest.get());
        let reply = self.read(prefix, Some(options)).await?;
        let entries = reply
            .range(0)
            .map_or_else(Vec::new, |range| entries_of(range, prefix));
        Ok((reply.revision, entries))
    }

    /// Reads the create revision of `key` if `lease` carries it.
    pub(crate) async fn own_create_revision(
        &self,
        key: &str,
        lease: LeaseId,
    ) -> Result<Option<Revision>, StoreError> {
        let reply = self.read(key, None).await?;
        Ok(reply
            .range(0)
            .and_then(|range| range.kvs().first())
            .filter(|kv| kv.lease() == lease.get())
            .map(|kv| Revision::new(kv.create_revision())))
    }

    /// True if the entry `(key, create_revision)` exists.
    pub(crate) async fn entry_exists(
        &self,
        key: &str,
        create_revision: Revision,
    ) -> Result<bool, StoreError> {
        let keys_only = GetOptions::new().with_keys_only();
        let reply = self.read(key, Some(keys_only)).await?;
        let found = reply.range(0).and_then(|range| range.kvs().first());
        Ok(found.is_some_and(|kv| kv.create_revision() == create_revision.get()))
    }

    /// Reads, at one revision, the existence of the entry `(key, create_revision)` and the youngest entries ahead.
    pub(crate) async fn ahead(
        &self,
        prefix: &str,
        key: &str,
        create_revision: Revision,
    ) -> Result<(Revision, bool, Vec<QueueKey>), StoreError> {
        for limit in [2, 0] {
            // No key among these is younger, so the first of them is the entry, if it exists.
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_max_create_revision(create_revision.get())
                .with_limit(limit);
            let reply = self.read(prefix, Some(options)).await?;
            let Some(range) = reply.range(0) else {
                continue;
            };
            let mut entries = entries_of(range, prefix);
            let exists = entries
                .pop_if(|entry| entry.create_revision == create_revision && entry.key == key)
                .is_some();
            // Keys of deeper locks may have used up the limit.
            if !entries.is_empty() || !range.more() {
                return Ok((reply.revision, exists, entries));
            }
        }
        Err(StoreError::Unknown("the reply was incomplete".into()))
    }
}

/// The facts of an enqueue reply.
fn enqueued(
    reply: &StoreReply,
    entry: &NewEntry<'_>,
    create_revision: Option<Revision>,
) -> Enqueued {
    let range = reply.range(1);
    let (entries, total) = match (entry.tail, create_revision, range) {
        (TailRead::Nothing, Some(create_revision), _) => {
            let own = QueueKey {
                key: entry.key.to_owned(),
                create_revision,
            };
            (vec![own], 1)
        }
        (_, _, Some(range)) => (
            entries_of(range, entry.prefix),
            usize::try_from(range.count()).unwrap_or(0),
        ),
        (_, _, None) => (Vec::new(), 0),
    };
    Enqueued {
        create_revision,
        created_now: reply.succeeded,
        as_of: reply.revision,
        entries,
        truncated: range.is_some_and(GetResponse::more),
        total,
    }
}
