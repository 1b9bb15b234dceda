//! Keys, history and leases, as readers and the writer see them.
//!
//! This file must never wait for anything, nor change a key.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use etcd_client::proto::{
    PbLeaseKeepAliveResponse, PbLeaseLeasesResponse, PbLeaseStatus, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse, PbResponseHeader,
};
use leasehold_lock::clock::BootTime;

use super::command::header_at;
use super::leases::LeaseTable;
use super::memory::{LEASE_BYTES, change_memory};
use super::read::KeyView;
use super::versions::KeyVersions;
use crate::change::{KeyChange, RevisionChanges, SharedKey};
use crate::disk::{CommitBatch, DiskImage};

/// Keys, history and leases.
#[derive(Debug)]
pub(crate) struct MvccState {
    pub(super) index: BTreeMap<SharedKey, KeyVersions>,
    /// All revisions from the compacted one on, and some before it, without gaps.
    pub(super) log: VecDeque<Arc<RevisionChanges>>,
    /// The last revision applied.
    pub(super) applied: i64,
    /// The last revision that is durable.
    pub(super) published: i64,
    pub(super) compacted: i64,
    pub(super) leases: LeaseTable,
    /// Approximate memory of keys, values and history.
    pub(super) bytes: u64,
    /// The part of it that the keys' present values and the leases take; the rest is history.
    pub(super) live: u64,
    /// True if a write was refused for lack of space, and little is free still.
    pub(super) is_full: bool,
    /// Changes applied and not yet taken for the disk.
    pub(super) batch: CommitBatch,
    pub(super) quota: u64,
}

impl MvccState {
    /// Returns the state that an image describes. Leases have their full TTL ahead of them.
    pub(crate) fn new(image: &DiskImage, quota: u64, now: BootTime) -> Self {
        let mut state = Self {
            index: BTreeMap::new(),
            log: VecDeque::new(),
            applied: image.revision,
            published: image.revision,
            compacted: image.compacted,
            leases: LeaseTable::restarted(&image.leases, now),
            bytes: 0,
            live: 0,
            is_full: false,
            batch: CommitBatch::default(),
            quota,
        };
        let later = image.changes.chunk_by(|a, b| a.revision == b.revision);
        for changes in later {
            let number = changes.first().map_or(0, |change| change.revision);
            for change in changes {
                state.bytes += change_memory(change);
                state
                    .index
                    .entry(SharedKey::clone(&change.key))
                    .or_default()
                    .push(Arc::clone(change));
            }
            if number >= image.compacted {
                state.log.push_back(Arc::new(RevisionChanges {
                    number,
                    changes: changes.into(),
                }));
            }
        }
        for (key, versions) in &state.index {
            if let Some(change) = versions.live_at(image.revision) {
                state.leases.attach(change.lease(), key);
                state.live += change_memory(change);
            }
        }
        let leases = image.leases.len() as u64 * LEASE_BYTES;
        state.bytes += leases;
        state.live += leases;
        state
    }

    /// Returns the durable keys, as readers may see them.
    pub(crate) const fn view(&self) -> KeyView<'_> {
        KeyView {
            index: &self.index,
            revision: self.published,
            compacted: self.compacted,
        }
    }

    /// Returns the last durable revision.
    pub(crate) const fn published(&self) -> i64 {
        self.published
    }

    /// Returns the last compaction, or 0.
    pub(crate) const fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Returns the keys with everything applied.
    pub(super) const fn applied_view(&self) -> KeyView<'_> {
        KeyView {
            index: &self.index,
            revision: self.applied,
            compacted: self.compacted,
        }
    }

    /// Returns the approximate memory of the data, and true if writes are refused for lack of space.
    pub(crate) const fn memory_use(&self) -> (u64, bool) {
        (self.bytes, self.is_full)
    }

    /// Returns the number of keys with history, and the number of leases.
    pub(crate) fn key_and_lease_counts(&self) -> (usize, usize) {
        (self.index.len(), self.leases.ttls().len())
    }

    /// Returns the last change of each live key at the last durable revision, in order of keys, and the leases with
    /// their TTL in seconds.
    pub(crate) fn live_content(&self) -> (Vec<Arc<KeyChange>>, BTreeMap<i64, i64>) {
        let live = self
            .index
            .values()
            .filter_map(|versions| versions.live_at(self.published));
        (live.map(Arc::clone).collect(), self.leases.ttls().collect())
    }

    /// Returns the durable revisions from `from` on, at most `limit`; below the compaction there are none.
    pub(crate) fn history(
        &self,
        from: i64,
        limit: usize,
    ) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        if from < self.compacted {
            return Err(self.compacted);
        }
        self.recent(from, limit)
    }

    /// Returns the same as [`MvccState::history`], and also revisions just before the compaction that are still
    /// kept.
    pub(crate) fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        let first = self.log.front().map_or(0, |revision| revision.number);
        if from < self.compacted.min(first) {
            return Err(self.compacted);
        }
        let skip = usize::try_from(from - first).unwrap_or(0);
        let durable = self
            .log
            .range(skip.min(self.log.len())..)
            .take_while(|revision| revision.number <= self.published);
        Ok(durable.take(limit).map(Arc::clone).collect())
    }

    /// Renews a lease; a lease that does not exist, or has run out, has TTL 0.
    pub(crate) fn keep_alive(&self, id: i64, now: BootTime) -> PbLeaseKeepAliveResponse {
        PbLeaseKeepAliveResponse {
            header: Some(self.header()),
            id,
            ttl: self.leases.renew(id, now).unwrap_or(0),
        }
    }

    /// Returns the remaining time of a lease, in whole seconds; −1 when it does not exist or has run out.
    pub(crate) fn time_to_live(
        &self,
        request: &PbLeaseTimeToLiveRequest,
        now: BootTime,
    ) -> PbLeaseTimeToLiveResponse {
        let mut reply = PbLeaseTimeToLiveResponse {
            header: Some(self.header()),
            id: request.id,
            ttl: -1,
            ..PbLeaseTimeToLiveResponse::default()
        };
        let alive = self
            .leases
            .get(request.id)
            .filter(|lease| lease.deadline() > now);
        if let Some(lease) = alive {
            let left = lease.deadline().since(now).as_secs();
            reply.ttl = i64::try_from(left).unwrap_or(i64::MAX);
            reply.granted_ttl = lease.ttl;
            if request.keys {
                reply.keys = lease.keys.iter().map(|key| key.to_vec()).collect();
            }
        }
        reply
    }

    /// Returns the bytes of the keys attached to a lease.
    pub(crate) fn lease_keys_bytes(&self, id: i64) -> u64 {
        let keys = self.leases.get(id).map(|lease| lease.keys.iter());
        keys.into_iter().flatten().map(|key| key.len() as u64).sum()
    }

    /// Lists all leases, earliest deadline first.
    pub(crate) fn lease_list(&self) -> PbLeaseLeasesResponse {
        PbLeaseLeasesResponse {
            header: Some(self.header()),
            leases: self
                .leases
                .by_deadline()
                .into_iter()
                .map(|id| PbLeaseStatus { id })
                .collect(),
        }
    }

    /// Returns the leases that have run out, and the deadline of the next one.
    pub(crate) fn leases_due(&self, now: BootTime) -> (Vec<i64>, Option<BootTime>) {
        self.leases.due(now)
    }

    /// Returns a header at the last durable revision.
    pub(super) fn header(&self) -> PbResponseHeader {
        header_at(self.published)
    }

    pub(super) fn applied_header(&self) -> PbResponseHeader {
        header_at(self.applied)
    }
}
