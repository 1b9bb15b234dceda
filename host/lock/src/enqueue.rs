//! The request that puts our entries into queues: one transaction for all locks of an acquisition.
//!
//! All entries get one create revision. So the waits of sets point to earlier transactions alone, and no two sets wait
//! for each other, in whatever order they name their locks.

use etcd_client::{
    Compare, CompareOp, GetOptions, GetResponse, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
};
use leasehold_ids::{LeaseId, LockMode, Revision};

use crate::error::StoreError;
use crate::lock_entry::LockEntry;
use crate::queue_keys::{QueueKey, entries_of};
use crate::queue_role::{QueueRole, fits_behind, with_roles};
use crate::requests::{StoreReply, StoreRequests};

/// Length of a queue up to which an exclusive newcomer follows every change. In a longer one it follows only the
/// entry ahead.
///
/// Each hand-off costs one message per follower. Up to this length that is cheaper than reading again. Beyond it the
/// store would spend its time on messages to clients about places that are not near theirs.
pub(crate) const FOLLOW_ALL: usize = 32;

/// Condition of putting entries into queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueCondition {
    /// Always, behind all entries of each queue.
    Always,
    /// Only if every queue is empty; otherwise nothing changes.
    OnlyIfFree,
    /// Only if no queue has an entry younger than this revision; otherwise nothing changes. An entry that fits behind
    /// those of a reading at this revision then holds: since then, entries ahead were only deleted.
    NoneSince(Revision),
}

/// Part of a queue that is read in the round trip that puts an entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailRead {
    /// This many of the youngest entries.
    Youngest(usize),
    /// All entries.
    All,
}

impl TailRead {
    /// The part that an entry of `mode` needs. The weights of all entries ahead decide about one that is not
    /// exclusive.
    pub(crate) const fn of_mode(mode: LockMode, youngest: usize) -> Self {
        match mode {
            LockMode::Exclusive => Self::Youngest(youngest),
            LockMode::Shared | LockMode::Permits(_) => Self::All,
        }
    }
}

/// Entries about to be put into queues, one for each lock of an acquisition.
pub(crate) struct NewEntries<'a> {
    pub(crate) entries: &'a [LockEntry],
    pub(crate) value: &'a [u8],
    pub(crate) lease: LeaseId,
    pub(crate) condition: EnqueueCondition,
    /// The part of each queue to read along, or nothing. With [`EnqueueCondition::OnlyIfFree`] entries that were put
    /// are the only ones. Reading them along, or merely counting, would cost etcd 5 to 10 % of the whole request.
    pub(crate) tails: Option<&'a [TailRead]>,
}

/// Our entries as an enqueue reply shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnEntries {
    /// This very request made them, at this revision.
    Made(Revision),
    /// An earlier request made them, whose answer was lost.
    Found(Revision),
    /// An earlier request made them, and the entry at the index `missing` was deleted since.
    Partial {
        create_revision: Revision,
        missing: usize,
    },
    /// None exists.
    Absent,
}

impl OwnEntries {
    /// The create revision of our entries, if all of them exist.
    pub(crate) const fn create_revision(self) -> Option<Revision> {
        match self {
            Self::Made(revision) | Self::Found(revision) => Some(revision),
            Self::Partial { .. } | Self::Absent => None,
        }
    }
}

/// Result of enqueueing.
#[derive(Debug)]
pub(crate) struct Enqueued {
    pub(crate) own: OwnEntries,
    /// The revision at which all this was true.
    pub(crate) as_of: Revision,
    /// The queues known from this reply, in the order of the request's locks; none where nothing is known.
    pub(crate) queues: Vec<QueueTail>,
}

/// The part of a queue that an enqueue reply shows.
#[derive(Debug)]
pub(crate) struct QueueTail {
    /// Entries, oldest first, ours included.
    pub(crate) entries: Vec<QueueKey>,
    /// True if the lock has more entries than `entries` shows. The older ones are missing then.
    pub(crate) truncated: bool,
    /// All keys under the lock, nested ones included.
    pub(crate) total: usize,
}

impl QueueTail {
    /// The role of the entry created at `create_revision`; `None` if this reply does not show its place.
    pub(crate) fn role_at(&self, create_revision: Revision) -> Option<QueueRole> {
        if self.truncated {
            return None;
        }
        with_roles(&self.entries)
            .find(|(_, entry)| entry.create_revision == create_revision)
            .map(|(role, _)| role)
    }

    /// True if another entry of `mode` would hold.
    pub(crate) fn has_room(&self, mode: LockMode) -> bool {
        !self.truncated && fits_behind(&self.entries, mode)
    }

    fn read(range: &GetResponse, prefix: &str) -> Self {
        Self {
            entries: entries_of(range, prefix),
            truncated: range.more(),
            total: usize::try_from(range.count()).unwrap_or(0),
        }
    }

    /// The queue of an entry that was put on condition that no other exists.
    fn alone(entry: &LockEntry, create_revision: Revision) -> Self {
        let own = QueueKey {
            key: entry.key().to_owned(),
            create_revision,
            mode: entry.mode(),
        };
        Self {
            entries: vec![own],
            truncated: false,
            total: 1,
        }
    }
}

impl NewEntries<'_> {
    fn conditions(&self) -> Vec<Compare> {
        let of_entry = |entry: &LockEntry| {
            let absent = Compare::create_revision(entry.key(), CompareOp::Equal, 0);
            match self.condition {
                EnqueueCondition::Always => vec![absent],
                EnqueueCondition::OnlyIfFree => vec![
                    Compare::create_revision(entry.prefix(), CompareOp::Equal, 0).with_prefix(),
                ],
                EnqueueCondition::NoneSince(revision) => {
                    let after = revision.next().get();
                    let older = Compare::create_revision(entry.prefix(), CompareOp::Less, after);
                    vec![absent, older.with_prefix()]
                }
            }
        };
        self.entries.iter().flat_map(of_entry).collect()
    }

    fn transaction(&self) -> Txn {
        let leased = PutOptions::new().with_lease(self.lease.get());
        let puts = self
            .entries
            .iter()
            .map(|entry| TxnOp::put(entry.key(), self.value, Some(leased.clone())));
        let txn = Txn::new().when(self.conditions());
        let Some(tails) = self.tails else {
            return txn.and_then(puts.collect::<Vec<_>>());
        };
        let tails = self.entries.iter().zip(tails);
        let tails = tails.map(|(entry, tail)| read_tail(entry.prefix(), *tail));
        let own = self
            .entries
            .iter()
            .map(|entry| TxnOp::get(entry.key(), None));
        txn.and_then(puts.chain(tails.clone()).collect::<Vec<_>>())
            .or_else(own.chain(tails).collect::<Vec<_>>())
    }

    /// Our entries, where this request did not make them. An entry is ours only if our lease carries it; a foreign
    /// client's key of that name is not.
    fn existing(&self, reply: &StoreReply) -> OwnEntries {
        let own: Vec<Option<Revision>> = (0..self.entries.len())
            .map(|at| {
                let kv = reply.range(at)?.kvs().first()?;
                let is_ours = kv.lease() == self.lease.get();
                is_ours.then(|| Revision::new(kv.create_revision()))
            })
            .collect();
        let Some(create_revision) = own.iter().flatten().max().copied() else {
            return OwnEntries::Absent;
        };
        match own.iter().position(|born| *born != Some(create_revision)) {
            None => OwnEntries::Found(create_revision),
            Some(missing) => OwnEntries::Partial {
                create_revision,
                missing,
            },
        }
    }

    fn queues(&self, reply: &StoreReply, own: OwnEntries) -> Vec<QueueTail> {
        let count = self.entries.len();
        let entries = self.entries.iter();
        match (self.tails, own) {
            (Some(_), _) => entries
                .enumerate()
                .filter_map(|(at, entry)| {
                    let range = reply.range(count + at)?;
                    Some(QueueTail::read(range, entry.prefix()))
                })
                .collect(),
            (None, OwnEntries::Made(create_revision)) => entries
                .map(|entry| QueueTail::alone(entry, create_revision))
                .collect(),
            (None, _) => Vec::new(),
        }
    }
}

/// Reads the youngest entries of a queue.
fn read_tail(prefix: &str, tail: TailRead) -> TxnOp {
    let limit = match tail {
        TailRead::Youngest(limit) => i64::try_from(limit).unwrap_or(i64::MAX),
        TailRead::All => 0,
    };
    let options = GetOptions::new()
        .with_prefix()
        .with_keys_only()
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_limit(limit);
    TxnOp::get(prefix, Some(options))
}

impl StoreRequests {
    /// Puts our entries into their queues and reads the tails of these, in one round trip.
    ///
    /// Repeating it is safe: entries that are already ours are found, not made twice.
    pub(crate) async fn enqueue(&self, new: &NewEntries<'_>) -> Result<Enqueued, StoreError> {
        let reply = self.txn(new.transaction()).await?;
        let own = if reply.succeeded {
            OwnEntries::Made(reply.revision)
        } else {
            new.existing(&reply)
        };
        let queues = new.queues(&reply, own);
        if new.tails.is_some() && queues.len() < new.entries.len() {
            return Err(StoreError::Unknown("the reply was incomplete".into()));
        }
        Ok(Enqueued {
            own,
            as_of: reply.revision,
            queues,
        })
    }
}
