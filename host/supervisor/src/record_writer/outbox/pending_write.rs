//! A waiting write, the queues of such writes, and the transaction that carries them.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_lock::{Batch, LeaseId};
use tokio::time::Instant;

use super::RunMark;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WriteContent {
    /// Record of a run, which is kept.
    Run { json: Vec<u8>, mark: RunMark },
    /// Record of the host or a job, which is deleted with the host's lease.
    Standing { json: Vec<u8> },
    /// Deletion of a standing record.
    Removed,
}

impl WriteContent {
    pub(super) const fn is_run(&self) -> bool {
        matches!(self, Self::Run { .. })
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Run { json, .. } | Self::Standing { json } => json.len(),
            Self::Removed => 0,
        }
    }
}

/// One write that waits or is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingWrite {
    pub(super) key: Arc<str>,
    pub(super) content: WriteContent,
    /// Its place in the queue, kept when a newer write replaces it.
    pub(super) seq: u64,
    /// Time when it is written, if no transaction takes it along earlier.
    pub(super) due: Instant,
    /// True if it goes with the next transaction; else it waits until it is due, for a newer write.
    pub(super) rides: bool,
    /// True if a transaction with it was refused, so that it must be sent alone.
    pub(super) alone: bool,
    /// True if a transaction with it had no answer, so that it may be in the store.
    pub(super) tried: bool,
}

/// The writes of one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::record_writer) struct WriteBatch {
    pub(super) items: Vec<PendingWrite>,
}

impl WriteBatch {
    /// Returns the transaction, with standing records under `lease`.
    pub(in crate::record_writer) fn batch(&self, lease: LeaseId) -> Batch {
        let mut batch = Batch::default();
        for item in &self.items {
            match &item.content {
                WriteContent::Run { json, .. } => batch.put(&item.key, json, LeaseId::NONE),
                WriteContent::Standing { json } => batch.put(&item.key, json, lease),
                WriteContent::Removed => batch.delete(&item.key),
            }
        }
        batch
    }

    /// True for a single write, so that a refusal is about that write.
    pub(in crate::record_writer) fn is_single(&self) -> bool {
        self.items.len() == 1
    }

    /// Returns its first key, for a message.
    pub(in crate::record_writer) fn first_key(&self) -> &str {
        self.items.first().map_or("", |item| &item.key)
    }

    /// True if it needs a lease.
    pub(in crate::record_writer) fn is_leased(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| matches!(item.content, WriteContent::Standing { .. }))
    }
}

/// Writes in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    pub(super) riding: BTreeSet<(Instant, u64)>,
    pub(super) held: BTreeSet<(Instant, u64)>,
}

impl WriteQueue {
    pub(super) fn of(&mut self, item: &PendingWrite) -> &mut BTreeSet<(Instant, u64)> {
        if item.rides {
            &mut self.riding
        } else {
            &mut self.held
        }
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        let firsts = [self.riding.first(), self.held.first()];
        firsts.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// Returns the writes that go if a transaction starts now.
    pub(super) fn ready(&self, now: Instant) -> impl Iterator<Item = u64> {
        let due = self.held.iter().take_while(move |(due, _)| *due <= now);
        self.riding.iter().chain(due).map(|(_, seq)| *seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.riding.is_empty() && self.held.is_empty()
    }
}

impl PendingWrite {
    /// Replaces an older write of the same key.
    pub(super) fn supersede(&mut self, old: &Self) {
        self.seq = old.seq;
        self.due = self.due.min(old.due);
        self.alone |= old.alone;
        self.tried |= old.tried;
        if let (WriteContent::Run { mark, .. }, WriteContent::Run { mark: old, .. }) =
            (&mut self.content, &old.content)
        {
            mark.is_first |= old.is_first;
        }
    }
}
