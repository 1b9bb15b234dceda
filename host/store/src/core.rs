//! Entry point of all requests, from sockets and from inside the process.
//!
//! Reads are answered from durable data; writes go through the one writer. This file must never depend on gRPC, nor
//! touch the disk.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKeyValue,
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveResponse, PbLeaseLeasesResponse,
    PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse,
    PbResponseHeader, PbTxnRequest, PbTxnResponse,
};
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::budget;
use crate::capture::StoreCapture;
use crate::change::RevisionChanges;
use crate::disk::{DirectoryClaim, Disk, DiskError, DiskImage, DiskTimes, FileDisk};
use crate::error::{OpenError, StoreError};
use crate::health::StoreHealth;
use crate::lease_expiry;
use crate::mvcc::{HistoryRetention, WriteCommand, WriteReply, answer_fits, check, txn};
use crate::options::{DataLocation, StoreOptions};
use crate::shared_state::SharedState;
use crate::watch::{WatchHistory, WatchRegistry};
use crate::writer::{DiskOpener, StoreWriter};

/// The store's state, its writer and its watchers.
pub(crate) struct StoreCore {
    shared: Arc<SharedState>,
    writer: Arc<StoreWriter>,
    lease_task: Mutex<Option<JoinHandle<()>>>,
    cancel: CancellationToken,
    disk_times: Arc<DiskTimes>,
}

/// Hash of all keys and history up to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RevisionHash {
    pub(crate) hash: u32,
    pub(crate) compacted: i64,
    pub(crate) revision: i64,
}

impl StoreCore {
    /// Opens the data, and starts the writer and the expiry of leases.
    pub(crate) async fn open(options: StoreOptions) -> Result<Arc<Self>, OpenError> {
        let StoreOptions {
            data,
            quota,
            keep_revisions,
            keep_bytes,
            clock,
        } = options;
        let keep = HistoryRetention {
            revisions: keep_revisions,
            bytes: keep_bytes.unwrap_or(quota / 2),
        };
        let disk_times = Arc::new(DiskTimes::default());
        let times = Arc::clone(&disk_times);
        let opener: Option<DiskOpener> = match data {
            DataLocation::Memory => None,
            DataLocation::Directory(path) => {
                let mut claim = None;
                Some(Box::new(move || {
                    // Kept from the first opening to the end.
                    if claim.is_none() {
                        claim = Some(DirectoryClaim::take(&path)?);
                    }
                    box_disk(FileDisk::open(&path), &times)
                }))
            }
            DataLocation::Media(mut media) => Some(Box::new(move || {
                box_disk(FileDisk::open_media(media()?), &times)
            })),
        };
        let (shared, writer) = match opener {
            None => {
                let shared = SharedState::new(&DiskImage::fresh(), clock, quota, keep);
                (Arc::new(shared), StoreWriter::in_memory())
            }
            Some(mut opener) => {
                // Reading a large file would block this thread.
                let reading = tokio::task::spawn_blocking(move || opener().map(|o| (o, opener)));
                let ((disk, image), opener) = reading.await.map_err(OpenError::failed)??;
                let shared = SharedState::new(&image, clock, quota, keep);
                shared.set_size(disk.size());
                let shared = Arc::new(shared);
                let writer = StoreWriter::start(Arc::clone(&shared), disk, opener);
                (shared, writer.map_err(OpenError::failed)?)
            }
        };
        let (writer, cancel) = (Arc::new(writer), CancellationToken::new());
        let lease_task =
            lease_expiry::end_expired_leases(shared.clone(), writer.clone(), cancel.clone());
        Ok(Arc::new(Self {
            shared,
            writer,
            lease_task: Mutex::new(Some(tokio::spawn(lease_task))),
            cancel,
            disk_times,
        }))
    }

    /// Finishes the writes that are queued and closes the disk. Later writes are refused.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.shared.registry.close();
        let lease_task = self
            .lease_task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = lease_task {
            let _ = task.await;
        }
        self.writer.close().await;
    }

    /// Reads keys at the last durable revision, or at the requested one.
    pub(crate) fn range(&self, request: &PbRangeRequest) -> Result<PbRangeResponse, StoreError> {
        check::range(request)?;
        counted(|| {
            let mut reply = self.shared.state().view().range(request)?;
            self.complete(&mut reply.header);
            Ok(reply)
        })
    }

    /// Puts one key. Returns when the write is durable.
    pub(crate) async fn put(&self, request: PbPutRequest) -> Result<PbPutResponse, StoreError> {
        check::put(&request)?;
        match self.write(WriteCommand::Put(request)).await? {
            WriteReply::Put(mut reply) => {
                self.complete(&mut reply.header);
                Ok(reply)
            }
            other => Err(mismatch(&other)),
        }
    }

    /// Deletes keys. Returns when the write is durable.
    pub(crate) async fn delete_range(
        &self,
        request: PbDeleteRequest,
    ) -> Result<PbDeleteResponse, StoreError> {
        check::delete(&request)?;
        match self.write(WriteCommand::Delete(request)).await? {
            WriteReply::Delete(mut reply) => {
                self.complete(&mut reply.header);
                Ok(reply)
            }
            other => Err(mismatch(&other)),
        }
    }

    /// Runs a transaction. Returns when its writes are durable; a transaction that cannot write reads durable data.
    pub(crate) async fn txn(&self, request: PbTxnRequest) -> Result<PbTxnResponse, StoreError> {
        check::txn(&request)?;
        let mut reply = if txn::writes(&request) {
            match self.write(WriteCommand::Txn(request)).await? {
                WriteReply::Txn(reply) => reply,
                other => return Err(mismatch(&other)),
            }
        } else {
            counted(|| txn::read_only(self.shared.state().view(), &request))?
        };
        self.complete(&mut reply.header);
        Ok(reply)
    }

    /// Compacts the history before a revision.
    pub(crate) async fn compact(
        &self,
        request: PbCompactionRequest,
    ) -> Result<PbCompactionResponse, StoreError> {
        match self.write(WriteCommand::Compact(request.revision)).await? {
            WriteReply::Compact(mut reply) => {
                self.complete(&mut reply.header);
                Ok(reply)
            }
            other => Err(mismatch(&other)),
        }
    }

    /// Grants a lease. Returns when the grant is durable.
    pub(crate) async fn lease_grant(
        &self,
        request: PbLeaseGrantRequest,
    ) -> Result<PbLeaseGrantResponse, StoreError> {
        match self.write(WriteCommand::Grant(request)).await? {
            WriteReply::Grant(mut reply) => {
                self.complete(&mut reply.header);
                Ok(reply)
            }
            other => Err(mismatch(&other)),
        }
    }

    /// Ends a lease and deletes its keys in one revision.
    pub(crate) async fn lease_revoke(
        &self,
        request: PbLeaseRevokeRequest,
    ) -> Result<PbLeaseRevokeResponse, StoreError> {
        match self.write(WriteCommand::Revoke(request.id)).await? {
            WriteReply::Revoke(mut reply) => {
                self.complete(&mut reply.header);
                Ok(reply)
            }
            other => Err(mismatch(&other)),
        }
    }

    /// Renews a lease. The reply for a lease that does not exist has TTL 0, and is not an error.
    pub(crate) fn lease_keep_alive(&self, id: i64) -> PbLeaseKeepAliveResponse {
        let now = self.shared.now();
        let mut reply = self.shared.state().keep_alive(id, now);
        self.complete(&mut reply.header);
        reply
    }

    /// Returns the remaining time of a lease; TTL −1 when it does not exist.
    pub(crate) fn lease_time_to_live(
        &self,
        request: &PbLeaseTimeToLiveRequest,
    ) -> Result<PbLeaseTimeToLiveResponse, StoreError> {
        let now = self.shared.now();
        counted(|| {
            let state = self.shared.state();
            if request.keys {
                answer_fits(state.lease_keys_bytes(request.id))?;
            }
            let mut reply = state.time_to_live(request, now);
            self.complete(&mut reply.header);
            Ok(reply)
        })
    }

    /// Lists all leases.
    pub(crate) fn lease_leases(&self) -> PbLeaseLeasesResponse {
        let mut reply = self.shared.state().lease_list();
        self.complete(&mut reply.header);
        reply
    }

    /// Returns the header of a reply at the last durable revision.
    pub(crate) fn header(&self) -> PbResponseHeader {
        self.shared.header(self.revision())
    }

    /// Returns the last durable revision.
    pub(crate) fn revision(&self) -> i64 {
        self.shared.state().published()
    }

    /// Returns the facts of the moment.
    pub(crate) fn health(&self) -> StoreHealth {
        StoreHealth::read(&self.shared)
    }

    /// Returns the durations of the disk's work.
    pub(crate) fn disk_times(&self) -> &DiskTimes {
        &self.disk_times
    }

    /// Returns the reason why writes are refused, while they are, and each change of it.
    pub(crate) fn read_only_changes(&self) -> watch::Receiver<Option<String>> {
        self.shared.read_only_changes()
    }

    /// Returns the live keys and the leases of one revision, in memory that they share with the store.
    pub(crate) fn capture(&self) -> StoreCapture {
        self.shared.capture()
    }

    /// Returns the hash of all keys and history up to a revision (0: the last one), as `HashKV` requests it.
    pub(crate) fn hash(&self, revision: i64) -> Result<RevisionHash, StoreError> {
        let (hash, compacted, revision) = self.shared.state().hash(revision)?;
        Ok(RevisionHash {
            hash,
            compacted,
            revision,
        })
    }

    /// Returns the registry of watchers.
    pub(crate) fn watchers(&self) -> &Arc<WatchRegistry> {
        &self.shared.registry
    }

    /// Returns the durable revisions from `from` on, at most `limit` of them, ascending. Below the compaction the
    /// history does not exist: then the error holds the compacted revision.
    pub(crate) fn history(
        &self,
        from: i64,
        limit: usize,
    ) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        self.shared.state().history(from, limit)
    }

    /// Returns the same as [`StoreCore::history`], and also some revisions just before the compaction, for watchers
    /// that were up to date.
    pub(crate) fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        self.shared.state().recent(from, limit)
    }

    /// Returns a key's value just before a revision; `None` if it had none, or if it was compacted away.
    pub(crate) fn before(&self, key: &[u8], revision: i64) -> Option<PbKeyValue> {
        let state = self.shared.state();
        let before = state.view().before(key, revision);
        before.map(|change| change.key_value(false))
    }

    /// Ends the NOSPACE alarm until the next refused write. Returns true if the alarm was raised.
    pub(crate) fn disarm(&self) -> bool {
        self.shared.disarm()
    }

    /// Returns unused disk space to the file system. Writes wait meanwhile.
    pub(crate) async fn defragment(&self) -> Result<(), StoreError> {
        self.writer.defragment().await
    }

    async fn write(&self, command: WriteCommand) -> Result<WriteReply, StoreError> {
        self.writer
            .write(&self.shared, command, budget::current_ticket())
            .await
    }

    /// Adds the fields to a header that all replies share.
    fn complete(&self, header: &mut Option<PbResponseHeader>) {
        if let Some(header) = header {
            *header = self.shared.header(header.revision);
        }
    }
}

impl WatchHistory for StoreCore {
    fn header(&self) -> PbResponseHeader {
        Self::header(self)
    }

    fn history(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        Self::history(self, from, limit)
    }

    fn recent(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        Self::recent(self, from, limit)
    }

    fn before(&self, key: &[u8], revision: i64) -> Option<PbKeyValue> {
        Self::before(self, key, revision)
    }
}

/// Makes an answer, if its connection may have another, and counts it for its request.
fn counted<R: Message>(answer: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    let Some(ticket) = budget::current_ticket() else {
        return answer();
    };
    ticket.check_may_answer()?;
    let reply = answer()?;
    ticket.set_answer(reply.encoded_len() as u64);
    Ok(reply)
}

fn box_disk(
    opened: Result<(FileDisk, DiskImage), DiskError>,
    times: &Arc<DiskTimes>,
) -> Result<(Box<dyn Disk>, DiskImage), DiskError> {
    opened.map(|(disk, image)| (Box::new(disk.timed(times)) as Box<dyn Disk>, image))
}

/// Error for a reply of another kind than its command; the writer sends none.
fn mismatch(reply: &WriteReply) -> StoreError {
    StoreError::Invalid(format!("the writer answered another question: {reply:?}"))
}

#[cfg(test)]
mod tests;
