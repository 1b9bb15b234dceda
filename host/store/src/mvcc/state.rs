//! The whole state, and what each kind of write does to it.
//!
//! Writes are applied at once and published later: until [`State::publish`] nobody who reads sees them.
//! This file must never wait for anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use etcd_client::proto::{
    PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest,
    PbLeaseGrantResponse, PbLeaseKeepAliveResponse, PbLeaseLeasesResponse, PbLeaseRevokeResponse,
    PbLeaseStatus, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse, PbPutRequest,
    PbPutResponse, PbResponseHeader, PbTxnRequest, PbTxnResponse,
};
use leasehold_lock::clock::BootTime;
use prost::Message as _;

use super::leases::{LONGEST_TTL, Leases, SHORTEST_TTL};
use super::read::{View, answer_fits};
use super::size::{self, LEASE_BYTES};
use super::txn::Write;
use super::versions::Versions;
use crate::change::{Change, Key, Revision, What};
use crate::disk::{Batch, Image};
use crate::error::StoreError;

/// What one change takes in memory besides its key and value, about.
pub(super) const CHANGE_OVERHEAD: u64 = 200;

/// A write, as the writer gets it.
#[derive(Debug)]
pub(crate) enum Command {
    Put(PbPutRequest),
    Delete(PbDeleteRequest),
    Txn(PbTxnRequest),
    Compact(i64),
    Grant(PbLeaseGrantRequest),
    Revoke(i64),
    /// Ends those of these leases that have run out.
    Expire(Vec<i64>),
}

/// What a write came to. Its header's revision is filled in, the rest of it is the caller's.
#[derive(Debug)]
pub(crate) enum Reply {
    Put(PbPutResponse),
    Delete(PbDeleteResponse),
    Txn(PbTxnResponse),
    Compact(PbCompactionResponse),
    Grant(PbLeaseGrantResponse),
    Revoke(PbLeaseRevokeResponse),
    /// How many leases were ended.
    Expire(usize),
}

impl Reply {
    /// The bytes of the answer.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Put(reply) => reply.encoded_len(),
            Self::Delete(reply) => reply.encoded_len(),
            Self::Txn(reply) => reply.encoded_len(),
            Self::Compact(_) | Self::Grant(_) | Self::Revoke(_) | Self::Expire(_) => 0,
        };
        bytes as u64
    }
}

/// Keys, history and leases.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) index: BTreeMap<Key, Versions>,
    /// Every revision from the compacted one on, and some before it, without gaps.
    pub(super) log: VecDeque<Arc<Revision>>,
    /// The last revision applied.
    pub(super) applied: i64,
    /// The last revision that is durable.
    pub(super) published: i64,
    pub(super) compacted: i64,
    pub(super) leases: Leases,
    /// About what keys, values and history take in memory.
    pub(super) bytes: u64,
    /// How many of them the keys' present values and the leases take; the others are history.
    pub(super) live: u64,
    /// Whether something was refused for lack of room, and there is little still.
    pub(super) is_full: bool,
    /// Applied and not yet taken for the disk.
    pub(super) batch: Batch,
    pub(super) quota: u64,
}

impl State {
    /// The state that an image describes. Leases have their full TTL ahead of them.
    pub(crate) fn new(image: &Image, quota: u64, now: BootTime) -> Self {
        let mut state = Self {
            index: BTreeMap::new(),
            log: VecDeque::new(),
            applied: image.revision,
            published: image.revision,
            compacted: image.compacted,
            leases: Leases::restarted(&image.leases, now),
            bytes: 0,
            live: 0,
            is_full: false,
            batch: Batch::default(),
            quota,
        };
        let later = image.changes.chunk_by(|a, b| a.revision == b.revision);
        for changes in later {
            let number = changes.first().map_or(0, |change| change.revision);
            for change in changes {
                state.bytes += weight(change);
                state
                    .index
                    .entry(Key::clone(&change.key))
                    .or_default()
                    .push(Arc::clone(change));
            }
            if number >= image.compacted {
                state.log.push_back(Arc::new(Revision {
                    number,
                    changes: changes.into(),
                }));
            }
        }
        for (key, versions) in &state.index {
            if let Some(change) = versions.live_at(image.revision) {
                state.leases.attach(change.lease(), key);
                state.live += weight(change);
            }
        }
        let leases = image.leases.len() as u64 * LEASE_BYTES;
        state.bytes += leases;
        state.live += leases;
        state
    }

    /// The keys as readers may see them: what is durable.
    pub(crate) const fn view(&self) -> View<'_> {
        View {
            index: &self.index,
            revision: self.published,
            compacted: self.compacted,
        }
    }

    /// The last durable revision.
    pub(crate) const fn published(&self) -> i64 {
        self.published
    }

    /// The last compaction, or 0.
    pub(crate) const fn compacted(&self) -> i64 {
        self.compacted
    }

    /// The keys with everything applied.
    pub(super) const fn applied_view(&self) -> View<'_> {
        View {
            index: &self.index,
            revision: self.applied,
            compacted: self.compacted,
        }
    }

    /// About what the data takes in memory, and whether writes are refused because that is all it may.
    pub(crate) const fn weight(&self) -> (u64, bool) {
        (self.bytes, self.is_full)
    }

    /// Carries a write out. What is refused has changed nothing.
    pub(crate) fn apply(&mut self, command: Command, now: BootTime) -> Result<Reply, StoreError> {
        match command {
            Command::Put(request) => self.put(&request).map(Reply::Put),
            Command::Delete(request) => self.delete(&request).map(Reply::Delete),
            Command::Txn(request) => self.txn(&request).map(Reply::Txn),
            Command::Compact(at) => self.compact(at).map(Reply::Compact),
            Command::Grant(request) => self.grant(&request, now).map(Reply::Grant),
            Command::Revoke(id) => self.revoke(id).map(Reply::Revoke),
            Command::Expire(ids) => Ok(Reply::Expire(self.expire(&ids, now))),
        }
    }

    /// What was applied since the last time, to be made durable.
    pub(crate) fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    /// Shows a batch that is durable now to readers.
    pub(crate) fn publish(&mut self, batch: &Batch) {
        if let Some(last) = batch.revisions.last() {
            self.published = self.published.max(last.number);
        }
        if let Some(compacted) = batch.compacted {
            self.forget_before(compacted);
        }
        self.is_full &= self.is_nearly_full();
    }

    /// The durable revisions from `from` on, at most `limit`; below the compaction there are none.
    pub(crate) fn history(&self, from: i64, limit: usize) -> Result<Vec<Arc<Revision>>, i64> {
        if from < self.compacted {
            return Err(self.compacted);
        }
        self.recent(from, limit)
    }

    /// As [`State::history`], and also what lies a little before the compaction, while it is still there.
    pub(crate) fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<Revision>>, i64> {
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

    fn put(&mut self, request: &PbPutRequest) -> Result<PbPutResponse, StoreError> {
        self.has_room(size::of_put(self.applied_view(), request))?;
        // Outside of transactions etcd looks at the lease first.
        if request.lease != 0 && !self.leases.contains(request.lease) {
            return Err(StoreError::LeaseNotFound);
        }
        let mut write = Write::new(self);
        write.check_put(request)?;
        let reply = write.put(request);
        write.finish();
        Ok(reply)
    }

    fn delete(&mut self, request: &PbDeleteRequest) -> Result<PbDeleteResponse, StoreError> {
        answer_fits(size::of_delete(self.applied_view(), request))?;
        let mut write = Write::new(self);
        let reply = write.delete(request);
        write.finish();
        Ok(reply)
    }

    fn txn(&mut self, request: &PbTxnRequest) -> Result<PbTxnResponse, StoreError> {
        let mut write = Write::new(self);
        let reply = write.txn(request)?;
        write.finish();
        Ok(reply)
    }

    fn grant(
        &mut self,
        request: &PbLeaseGrantRequest,
        now: BootTime,
    ) -> Result<PbLeaseGrantResponse, StoreError> {
        self.has_room(LEASE_BYTES)?;
        if request.ttl > LONGEST_TTL {
            return Err(StoreError::TtlTooLarge);
        }
        let id = match request.id {
            0 => self.unused_lease(),
            taken if self.leases.contains(taken) => return Err(StoreError::LeaseExists),
            free => free,
        };
        let ttl = request.ttl.max(SHORTEST_TTL);
        self.leases.grant(id, ttl, now);
        self.bytes += LEASE_BYTES;
        self.live += LEASE_BYTES;
        self.batch.granted.push((id, ttl));
        Ok(PbLeaseGrantResponse {
            header: Some(self.applied_header()),
            id,
            ttl,
            error: String::new(),
        })
    }

    fn unused_lease(&self) -> i64 {
        loop {
            let id = fastrand::i64(1..);
            if !self.leases.contains(id) {
                return id;
            }
        }
    }

    fn revoke(&mut self, id: i64) -> Result<PbLeaseRevokeResponse, StoreError> {
        let lease = self.leases.end(id).ok_or(StoreError::LeaseNotFound)?;
        self.batch.ended.push(id);
        self.bytes -= LEASE_BYTES;
        self.live -= LEASE_BYTES;
        let mut write = Write::new(self);
        for key in &lease.keys {
            write.remove(key);
        }
        write.finish();
        Ok(PbLeaseRevokeResponse {
            header: Some(self.applied_header()),
        })
    }

    /// A lease may have been renewed, or revoked, since somebody found it due.
    fn expire(&mut self, ids: &[i64], now: BootTime) -> usize {
        let mut ended = 0;
        for id in ids {
            let due = self
                .leases
                .get(*id)
                .is_some_and(|lease| lease.deadline() <= now);
            ended += usize::from(due && self.revoke(*id).is_ok());
        }
        ended
    }

    /// Renews a lease; one that is not there, or has run out, has TTL 0.
    pub(crate) fn keep_alive(&self, id: i64, now: BootTime) -> PbLeaseKeepAliveResponse {
        PbLeaseKeepAliveResponse {
            header: Some(self.header()),
            id,
            ttl: self.leases.renew(id, now).unwrap_or(0),
        }
    }

    /// What is left of a lease, in whole seconds; −1 when it is not there or has run out.
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

    /// The bytes of the keys that go with a lease.
    pub(crate) fn lease_keys_bytes(&self, id: i64) -> u64 {
        let keys = self.leases.get(id).map(|lease| lease.keys.iter());
        keys.into_iter().flatten().map(|key| key.len() as u64).sum()
    }

    /// Every lease, those that end first in front.
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

    /// The leases that have run out, and when the next one will.
    pub(crate) fn leases_due(&self, now: BootTime) -> (Vec<i64>, Option<BootTime>) {
        self.leases.due(now)
    }

    /// A header at the last durable revision.
    pub(super) fn header(&self) -> PbResponseHeader {
        header_at(self.published)
    }

    fn applied_header(&self) -> PbResponseHeader {
        header_at(self.applied)
    }
}

pub(super) fn header_at(revision: i64) -> PbResponseHeader {
    PbResponseHeader {
        revision,
        ..PbResponseHeader::default()
    }
}

/// What a change takes in memory, about.
pub(super) fn weight(change: &Change) -> u64 {
    let value = match &change.what {
        What::Put { value, .. } => value.len(),
        What::Delete => 0,
    };
    (change.key.len() + value) as u64 + CHANGE_OVERHEAD
}
