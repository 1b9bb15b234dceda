//! Commands carried out on the state, and batches published.
//!
//! Writes are applied at once and published later: until [`MvccState::publish`] no reader sees them. This file must
//! never wait for anything.

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbLeaseGrantRequest, PbLeaseGrantResponse,
    PbLeaseRevokeResponse, PbPutRequest, PbPutResponse, PbTxnRequest, PbTxnResponse,
};
use leasehold_lock::clock::BootTime;

use super::command::{WriteCommand, WriteReply};
use super::leases::{LONGEST_TTL, SHORTEST_TTL};
use super::memory::LEASE_BYTES;
use super::read::answer_fits;
use super::size;
use super::state::MvccState;
use super::txn::PendingWrite;
use crate::disk::CommitBatch;
use crate::error::StoreError;

impl MvccState {
    /// Carries a write out. A refused write has changed nothing.
    pub(crate) fn apply(
        &mut self,
        command: WriteCommand,
        now: BootTime,
    ) -> Result<WriteReply, StoreError> {
        match command {
            WriteCommand::Put(request) => self.put(&request).map(WriteReply::Put),
            WriteCommand::Delete(request) => self.delete(&request).map(WriteReply::Delete),
            WriteCommand::Txn(request) => self.txn(&request).map(WriteReply::Txn),
            WriteCommand::Compact(at) => self.compact(at).map(WriteReply::Compact),
            WriteCommand::Grant(request) => self.grant(&request, now).map(WriteReply::Grant),
            WriteCommand::Revoke(id) => self.revoke(id).map(WriteReply::Revoke),
            WriteCommand::Expire(ids) => Ok(WriteReply::Expire(self.expire(&ids, now))),
        }
    }

    /// Returns the changes applied since the last call, to be made durable.
    pub(crate) fn take_batch(&mut self) -> CommitBatch {
        std::mem::take(&mut self.batch)
    }

    /// Shows a durable batch to readers.
    pub(crate) fn publish(&mut self, batch: &CommitBatch) {
        if let Some(last) = batch.revisions.last() {
            self.published = self.published.max(last.number);
        }
        if let Some(compacted) = batch.compacted {
            self.forget_before(compacted);
        }
        self.is_full &= self.is_nearly_full();
    }

    fn put(&mut self, request: &PbPutRequest) -> Result<PbPutResponse, StoreError> {
        self.has_room(size::put_growth(self.applied_view(), request))?;
        // Outside of transactions etcd checks the lease first.
        if request.lease != 0 && !self.leases.contains(request.lease) {
            return Err(StoreError::LeaseNotFound);
        }
        let mut write = PendingWrite::new(self);
        write.check_put(request)?;
        let reply = write.put(request);
        write.finish();
        Ok(reply)
    }

    fn delete(&mut self, request: &PbDeleteRequest) -> Result<PbDeleteResponse, StoreError> {
        answer_fits(size::delete_answer_bytes(self.applied_view(), request))?;
        let mut write = PendingWrite::new(self);
        let reply = write.delete(request);
        write.finish();
        Ok(reply)
    }

    fn txn(&mut self, request: &PbTxnRequest) -> Result<PbTxnResponse, StoreError> {
        let mut write = PendingWrite::new(self);
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
        let mut write = PendingWrite::new(self);
        for key in &lease.keys {
            write.remove(key);
        }
        write.finish();
        Ok(PbLeaseRevokeResponse {
            header: Some(self.applied_header()),
        })
    }

    /// A lease may have been renewed, or revoked, since it was found due.
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
}
