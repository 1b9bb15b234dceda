//! Errors of requests, in etcd's own words and codes: clients compare both. Errors of opening a store.

use tonic::{Code, Status};

use crate::disk::DiskError;

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    #[error("etcdserver: key not found")]
    KeyNotFound,
    #[error("etcdserver: value is provided")]
    ValueProvided,
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    #[error("etcdserver: invalid sort option")]
    InvalidSort,
    #[error("etcdserver: request is too large")]
    TooLarge,
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    #[error("etcdserver: too large lease TTL")]
    TtlTooLarge,
    /// Refused without an attempt: the disk failed earlier and has not come back.
    #[error("etcdserver: mvcc: database space exceeded (read-only since the disk failed: {0})")]
    ReadOnly(String),
    /// The disk failed during this write: the write may or may not exist after the disk is opened again.
    #[error("leasehold: the outcome of this write is unknown, the disk failed under it: {0}")]
    DiskFailed(String),
    /// The store is closing; the write was not carried out.
    #[error("etcdserver: server stopped")]
    Stopped,
    /// Of an election: it has no leader.
    #[error("election: no leader")]
    NoLeader,
    /// Of an election or a lock: the caller's key is deleted.
    #[error("election: session expired")]
    SessionExpired,
    /// The connection makes the store hold as much as one connection may; the limit in MiB.
    #[error(
        "leasehold: this connection has {0} MiB of requests, watches and unread answers open, which is all it may; \
         read the answers, or ask for less at a time"
    )]
    ConnectionFull(u64),
    /// All connections together hold as much as they may; the limit in MiB.
    #[error(
        "leasehold: the clients of the embedded store have {0} MiB of requests, watches and unread answers open, \
         which is all they may; try again later"
    )]
    ServerFull(u64),
    /// The answer is larger than the largest allowed; the limit in MiB.
    #[error(
        "leasehold: the answer would be larger than {0} MiB; ask for less, with a limit or for keys only"
    )]
    AnswerTooLarge(u64),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unsupported(String),
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::EmptyKey
            | StoreError::KeyNotFound
            | StoreError::ValueProvided
            | StoreError::LeaseProvided
            | StoreError::TooManyOps
            | StoreError::DuplicateKey
            | StoreError::InvalidSort
            | StoreError::TooLarge
            | StoreError::Invalid(_) => Code::InvalidArgument,
            StoreError::Compacted | StoreError::FutureRevision | StoreError::TtlTooLarge => {
                Code::OutOfRange
            }
            StoreError::NoSpace
            | StoreError::ReadOnly(_)
            | StoreError::ConnectionFull(_)
            | StoreError::ServerFull(_)
            | StoreError::AnswerTooLarge(_) => Code::ResourceExhausted,
            StoreError::LeaseNotFound => Code::NotFound,
            StoreError::LeaseExists => Code::FailedPrecondition,
            StoreError::DiskFailed(_) | StoreError::Stopped => Code::Unavailable,
            StoreError::NoLeader | StoreError::SessionExpired => Code::Unknown,
            StoreError::Unsupported(_) => Code::Unimplemented,
        };
        Self::new(code, error.to_string())
    }
}

/// Error opening a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Error of the disk, or of its content.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Error of the system beside the disk.
    #[error("the store could not start: {0}")]
    Start(String),
}

impl OpenError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Start(error.to_string())
    }
}
