//! One write that waits, the lines in which such writes wait, and the transaction that they leave in.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_lock::Batch;
use tokio::time::Instant;

use super::RunMark;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Of a run: stays.
    Run { json: Vec<u8>, mark: RunMark },
    /// Of the host or a job: goes with the host's lease.
    Standing { json: Vec<u8> },
    /// A standing record to delete.
    Removed,
}

impl Content {
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
pub(super) struct Item {
    pub(super) key: Arc<str>,
    pub(super) content: Content,
    /// Its place among those that wait, kept when it is replaced by something newer.
    pub(super) seq: u64,
    /// When it goes, if nothing takes it along earlier.
    pub(super) due: Instant,
    /// True when it goes with the next transaction; else it waits until it is due, for something newer.
    pub(super) rides: bool,
    /// True when a transaction with it was refused, so that it must go alone.
    pub(super) alone: bool,
    /// True when a transaction with it had no answer: it may be in the store.
    pub(super) tried: bool,
}

/// The writes of one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::record_writer) struct Load {
    pub(super) items: Vec<Item>,
}

impl Load {
    /// The transaction, with standing records under `lease`.
    pub(in crate::record_writer) fn batch(&self, lease: i64) -> Batch {
        let mut batch = Batch::default();
        for item in &self.items {
            match &item.content {
                Content::Run { json, .. } => batch.put(&item.key, json, 0),
                Content::Standing { json } => batch.put(&item.key, json, lease),
                Content::Removed => batch.delete(&item.key),
            }
        }
        batch
    }

    /// True when it is a single write, so that a refusal is about that one.
    pub(in crate::record_writer) fn is_single(&self) -> bool {
        self.items.len() == 1
    }

    /// Its first key, for a message.
    pub(in crate::record_writer) fn first_key(&self) -> &str {
        self.items.first().map_or("", |item| &item.key)
    }

    /// True when it needs a lease.
    pub(in crate::record_writer) fn is_leased(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| matches!(item.content, Content::Standing { .. }))
    }
}

/// Writes in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) riding: BTreeSet<(Instant, u64)>,
    pub(super) held: BTreeSet<(Instant, u64)>,
}

impl Line {
    pub(super) fn of(&mut self, item: &Item) -> &mut BTreeSet<(Instant, u64)> {
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

    /// Writes that go if a transaction leaves now.
    pub(super) fn ready(&self, now: Instant) -> impl Iterator<Item = u64> {
        let due = self.held.iter().take_while(move |(due, _)| *due <= now);
        self.riding.iter().chain(due).map(|(_, seq)| *seq)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.riding.is_empty() && self.held.is_empty()
    }
}

impl Item {
    /// Takes the place of an older write of the same key.
    pub(super) fn supersede(&mut self, old: &Self) {
        self.seq = old.seq;
        self.due = self.due.min(old.due);
        self.alone |= old.alone;
        self.tried |= old.tried;
        if let (Content::Run { mark, .. }, Content::Run { mark: old, .. }) =
            (&mut self.content, &old.content)
        {
            mark.is_first |= old.is_first;
        }
    }
}
