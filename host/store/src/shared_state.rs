//! State shared by readers, the writer and the expiry of leases, behind its lock.
//!
//! The lock is held for work in memory only, never over a wait for the disk or a client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use etcd_client::proto::PbResponseHeader;
use leasehold_lock::clock::{BootTime, Clock};
use tokio::sync::watch;

use crate::budget::RequestTicket;
use crate::capture::StoreCapture;
use crate::disk::{CommitBatch, DiskImage};
use crate::error::StoreError;
use crate::mvcc::{HistoryRetention, MvccState, WriteCommand, WriteReply};
use crate::watch::WatchRegistry;

/// The state, with its clock, registry and ids.
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
    read_only: watch::Sender<Option<String>>,
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
            read_only: watch::Sender::new(None),
        }
    }

    /// Returns the state for reading.
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

    /// For the writer: carries a write out in memory, and counts its answer for its request.
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

    /// For the writer: returns the changes that were applied and must become durable.
    pub(crate) fn take_batch(&self) -> CommitBatch {
        self.state_mut().take_batch()
    }

    /// For the writer: shows a durable batch to readers, and wakes its watchers.
    pub(crate) fn publish(&self, batch: &CommitBatch) {
        if batch.is_empty() {
            return;
        }
        self.state_mut().publish(batch);
        if !batch.revisions.is_empty() {
            self.registry.publish(&batch.revisions);
        }
    }

    /// For the writer: compacts the oldest history when there is a tenth more than is to be kept.
    pub(crate) fn compact_overdue(&self) -> Option<CommitBatch> {
        let at = self.state().overdue_compaction(self.keep)?;
        self.compact(at)
    }

    /// For the writer: compacts history for a command that would pass the quota, if that is enough for it. All
    /// applied changes must have been published.
    pub(crate) fn make_room(&self, command: &WriteCommand) -> Option<CommitBatch> {
        let at = {
            let state = self.state();
            state.compaction_for(state.shortage(command))?
        };
        tracing::debug!(revision = at, "compacting history to make room for a write");
        self.compact(at)
    }

    /// For the writer: returns true if a command may pass the quota.
    pub(crate) fn is_short(&self, command: &WriteCommand) -> bool {
        self.state().shortage(command) > 0
    }

    fn compact(&self, at: i64) -> Option<CommitBatch> {
        let now = self.now();
        let mut state = self.state_mut();
        state.apply(WriteCommand::Compact(at), now).ok()?;
        Some(state.take_batch())
    }

    /// Ends the NOSPACE alarm. Returns true if it was raised.
    pub(crate) fn disarm(&self) -> bool {
        self.state_mut().disarm()
    }

    /// For the writer: replaces the state with that of a disk that came back. Returns false if the disk lacks an
    /// acknowledged write. Further writes on it had an unknown outcome, which is now known.
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

    /// Returns the bytes on the disk, and those in use.
    pub(crate) fn size(&self) -> (u64, u64) {
        let [all, used] = &self.size;
        (all.load(Ordering::Relaxed), used.load(Ordering::Relaxed))
    }

    pub(crate) fn set_read_only(&self, reason: Option<String>) {
        self.read_only.send_replace(reason);
    }

    /// Returns the reason why writes are refused, while they are.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.read_only.borrow().clone()
    }

    /// Returns that reason, and each change of it.
    pub(crate) fn read_only_changes(&self) -> watch::Receiver<Option<String>> {
        self.read_only.subscribe()
    }

    /// Returns the live keys and the leases of the last durable revision.
    pub(crate) fn capture(&self) -> StoreCapture {
        let state = self.state();
        let (changes, leases) = state.live_content();
        StoreCapture {
            cluster: self.cluster,
            member: self.member,
            term: self.term.load(Ordering::Relaxed),
            revision: state.published(),
            changes,
            leases,
        }
    }

    /// Returns a complete header at a revision.
    pub(crate) fn header(&self, revision: i64) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id: self.cluster,
            member_id: self.member,
            revision,
            raft_term: self.term.load(Ordering::Relaxed),
        }
    }
}
