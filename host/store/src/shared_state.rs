//! What readers, the writer and the lease task share: the state behind its lock, and how things stand.
//!
//! The lock is held for work in memory only, never over a wait for the disk or a client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etcd_client::proto::PbResponseHeader;
use leasehold_lock::clock::{BootTime, Clock};

use crate::budget::RequestTicket;
use crate::disk::{CommitBatch, DiskImage};
use crate::error::StoreError;
use crate::mvcc::{HistoryRetention, MvccState, WriteCommand, WriteReply};
use crate::watch::WatchRegistry;

/// The state and everything that describes it.
pub(crate) struct SharedState {
    state: RwLock<MvccState>,
    pub(crate) registry: Arc<WatchRegistry>,
    clock: Arc<dyn Clock>,
    cluster: u64,
    member: u64,
    term: AtomicU64,
    quota: u64,
    keep: HistoryRetention,
    /// Bytes on the disk, and those in use; zeros without a disk.
    size: [AtomicU64; 2],
    read_only: RwLock<Option<String>>,
}

impl SharedState {
    pub(crate) fn new(
        image: &DiskImage,
        clock: Arc<dyn Clock>,
        quota: u64,
        keep: HistoryRetention,
    ) -> Self {
        let registry = Arc::<WatchRegistry>::default();
        registry.begin(image.revision);
        Self {
            state: RwLock::new(MvccState::new(image, quota, clock.now())),
            registry,
            clock,
            cluster: image.cluster,
            member: image.member,
            term: AtomicU64::new(image.term),
            quota,
            keep,
            size: [AtomicU64::new(0), AtomicU64::new(0)],
            read_only: RwLock::new(None),
        }
    }

    /// The state, to read it.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, MvccState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, MvccState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> BootTime {
        self.clock.now()
    }

    pub(crate) const fn quota(&self) -> u64 {
        self.quota
    }

    /// For the writer: carries a write out in memory, and counts its answer for the request that it is of.
    pub(crate) fn apply(
        &self,
        command: WriteCommand,
        ticket: Option<&RequestTicket>,
    ) -> Result<WriteReply, StoreError> {
        let now = self.now();
        let Some(ticket) = ticket else {
            return self.state_mut().apply(command, now);
        };
        ticket.check_may_answer()?;
        let reply = self.state_mut().apply(command, now)?;
        ticket.set_answer(reply.bytes());
        Ok(reply)
    }

    /// For the writer: what was applied and must become durable.
    pub(crate) fn take_batch(&self) -> CommitBatch {
        self.state_mut().take_batch()
    }

    /// For the writer: shows what is durable now to readers, and wakes those who watch it.
    pub(crate) fn publish(&self, batch: &CommitBatch) {
        if batch.is_empty() {
            return;
        }
        self.state_mut().publish(batch);
        if !batch.revisions.is_empty() {
            self.registry.publish(&batch.revisions);
        }
    }

    /// For the writer: gives up the oldest history when there is a tenth more than is to be kept.
    pub(crate) fn compact_overdue(&self) -> Option<CommitBatch> {
        let at = self.state().overdue_compaction(self.keep)?;
        self.compact(at)
    }

    /// For the writer: gives up history for a command that would pass the quota, if that is enough for it. What was
    /// applied before must have been published.
    pub(crate) fn make_room(&self, command: &WriteCommand) -> Option<CommitBatch> {
        let at = {
            let state = self.state();
            state.compaction_for(state.shortage(command))?
        };
        tracing::debug!(revision = at, "history is given up for what is written");
        self.compact(at)
    }

    /// For the writer: whether a command may pass the quota.
    pub(crate) fn is_short(&self, command: &WriteCommand) -> bool {
        self.state().shortage(command) > 0
    }

    fn compact(&self, at: i64) -> Option<CommitBatch> {
        let now = self.now();
        let mut state = self.state_mut();
        state.apply(WriteCommand::Compact(at), now).ok()?;
        Some(state.take_batch())
    }

    /// Ends the alarm about too little room. Returns whether there was one.
    pub(crate) fn disarm(&self) -> bool {
        self.state_mut().disarm()
    }

    /// For the writer: takes over what a disk that came back holds. False when that lacks something that was
    /// acknowledged. What it holds beyond that had an unknown outcome, and is known now.
    pub(crate) fn reload(&self, image: &DiskImage) -> bool {
        let mut state = self.state_mut();
        let published = state.published();
        if image.revision < published || image.cluster != self.cluster {
            return false;
        }
        *state = MvccState::new(image, self.quota, self.clock.now());
        self.term.store(image.term, Ordering::Relaxed);
        let found = state.history(published + 1, usize::MAX).unwrap_or_default();
        drop(state);
        self.registry.publish(&found);
        true
    }

    pub(crate) fn set_size(&self, (all, used): (u64, u64)) {
        self.size[0].store(all, Ordering::Relaxed);
        self.size[1].store(used, Ordering::Relaxed);
    }

    /// Bytes on the disk, and those in use.
    pub(crate) fn size(&self) -> (u64, u64) {
        let [all, used] = &self.size;
        (all.load(Ordering::Relaxed), used.load(Ordering::Relaxed))
    }

    pub(crate) fn set_read_only(&self, reason: Option<String>) {
        *self
            .read_only
            .write()
            .unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Why nothing can be written, when nothing can.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.read_only
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A header with everything but the revision.
    pub(crate) fn header(&self, revision: i64) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id: self.cluster,
            member_id: self.member,
            revision,
            raft_term: self.term.load(Ordering::Relaxed),
        }
    }
}
