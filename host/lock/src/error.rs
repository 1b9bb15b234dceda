//! Errors between this client and the store, sorted by the action that a caller must take.
//!
//! [`StoreError::Refused`] means that nothing happened. [`StoreError::Unknown`] means that it may have. No conversion
//! here may mix the two.

use std::time::Duration;

use leasehold_ids::{LockMode, Revision};

use crate::lock_set::LockSetError;

/// A request to the store that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store refused. Nothing was changed.
    #[error("the store refused: {message}")]
    Refused {
        /// The kind of refusal, for callers that can act on it.
        kind: RefusalKind,
        /// The message of the store.
        message: String,
    },
    /// No answer, or an ambiguous one: the request may or may not have been carried out.
    #[error("the store did not answer: {0}")]
    Unknown(String),
    /// The store answered, and its reply is larger than this client reads. A request to write was carried out.
    #[error(
        "the store's reply is too large for one message, so too much was asked for at once: {0}"
    )]
    TooLarge(String),
}

/// Refusals that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The lease named in the request does not exist.
    LeaseNotFound,
    /// The user has no permission, or does not exist.
    Denied,
    /// The store has run out of space and takes no writes.
    NoSpace,
    /// Any other request that the store rejects as invalid.
    Invalid,
}

impl StoreError {
    /// True if the request may have been carried out all the same.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::TooLarge(_))
    }

    /// True when the endpoint may be at fault and another is worth a try.
    pub(crate) const fn blames_endpoint(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// True when a reading was refused because its revision has been compacted.
    pub(crate) fn is_compacted(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("has been compacted"))
    }

    /// True if the store rejected the request because users or roles have changed since the login. etcd 3.4 and 3.5
    /// word and number it differently.
    pub(crate) fn is_stale_login(&self) -> bool {
        let (Self::Refused { message, .. } | Self::Unknown(message) | Self::TooLarge(message)) =
            self;
        message.contains("auth store is old")
            || message.contains("revision in header is old")
            || message.contains("invalid auth token")
    }

    /// True if the store has another password for the user, or does not have the user.
    pub(crate) fn is_wrong_password(&self) -> bool {
        let (Self::Refused { message, .. } | Self::Unknown(message) | Self::TooLarge(message)) =
            self;
        message.contains("invalid user ID or password")
    }

    pub(crate) fn timed_out(after: Duration) -> Self {
        Self::Unknown(format!("no reply within {after:?}"))
    }
}

impl From<etcd_client::Error> for StoreError {
    fn from(error: etcd_client::Error) -> Self {
        let etcd_client::Error::GRpcStatus(status) = &error else {
            return Self::Unknown(error.to_string());
        };
        // The code is a tonic type, which this crate does not name; its number is part of gRPC.
        let code = status.code() as i32;
        let message = status.message().to_owned();
        let refused = |kind| Self::Refused {
            kind,
            message: message.clone(),
        };
        match code {
            // OUT_OF_RANGE of our own decoder. The store uses that code too, as for a compacted revision.
            11 if message.contains("message length too large") => Self::TooLarge(message),
            // INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED
            3 | 6 | 9 | 11 | 12 => refused(RefusalKind::Invalid),
            // NOT_FOUND: of all that requests name, only a lease can be missing.
            5 => refused(RefusalKind::LeaseNotFound),
            // PERMISSION_DENIED, UNAUTHENTICATED
            7 | 16 => refused(RefusalKind::Denied),
            // RESOURCE_EXHAUSTED covers "no space" and "too many requests"; only the first is a refusal that callers
            // act on.
            8 if message.contains("space") => refused(RefusalKind::NoSpace),
            _ => {
                // The text of a transport error is "transport error"; the cause is in its sources.
                let mut text = if message.is_empty() {
                    format!("gRPC status {code}")
                } else {
                    message.clone()
                };
                let mut source = std::error::Error::source(status);
                while let Some(inner) = source {
                    // Each layer of the transport repeats the text of the one below it.
                    let said = inner.to_string();
                    if !text.contains(&said) {
                        text = format!("{text}: {said}");
                    }
                    source = inner.source();
                }
                Self::Unknown(text)
            }
        }
    }
}

/// Error of a connection to the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No endpoint was given.
    #[error("no store endpoint was given")]
    NoEndpoints,
    /// An endpoint without TLS that is not on this machine.
    #[error(
        "endpoint {endpoint} is neither TLS nor on this machine: use https://, or allow plaintext explicitly"
    )]
    PlaintextRefused {
        /// The endpoint as given.
        endpoint: String,
    },
    /// An endpoint that is not an address.
    #[error("endpoint {endpoint:?} is not an address: {reason}")]
    BadEndpoint {
        /// The endpoint as given.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// A certificate, key or user that the client cannot use.
    #[error("cannot set up the connection to the store: {0}")]
    Setup(String),
    /// No endpoint answered.
    #[error("no store answered at {endpoints}: {reason}")]
    Unreachable {
        /// All endpoints tried.
        endpoints: String,
        /// The last failure.
        reason: String,
    },
    /// The store answered and refused us.
    #[error("the store at {endpoints} refused us: {reason}")]
    Refused {
        /// All endpoints tried.
        endpoints: String,
        /// The message of the store.
        reason: String,
    },
    /// The thread that renews leases could not be started.
    #[error("cannot start the thread that renews leases: {0}")]
    LeaseThread(#[source] std::io::Error),
}

/// Error of an acquisition.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcquireError {
    /// The lock name cannot be used.
    #[error("lock name {name:?} cannot be used: {reason}")]
    BadName {
        /// The name as given.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// The locks of the request cannot be taken together.
    #[error(transparent)]
    BadSet(#[from] LockSetError),
    /// The requester holds the lock already, and would wait behind itself.
    #[error(
        "lock {name} is already held by the requester ({held}), and would wait for itself ({requested}): release it \
         first, or request {requested} from the start. Locks are never upgraded, because two holders that upgrade \
         would wait for each other"
    )]
    AlreadyHeld {
        /// The lock.
        name: String,
        /// The mode that it is held in.
        held: LockMode,
        /// The mode that was requested.
        requested: LockMode,
    },
    /// An entry ahead has permits of another capacity: neither can count the other's.
    #[error(
        "lock {name} has {theirs} permits for the entry {entry}, and {ours} for this one: give every user of the lock \
         the same number, and start the others again where it was changed"
    )]
    CapacityDiffers {
        /// The lock.
        name: String,
        /// The key of the other entry.
        entry: String,
        /// The capacity that it names.
        theirs: u32,
        /// The capacity of the request.
        ours: u32,
    },
    /// Another client holds the lock, and the limit of the wait has passed.
    #[error("lock {name} is held by {holder}; after {} ms there were {ahead} ahead of us", waited.as_millis())]
    Contended {
        /// The lock.
        name: String,
        /// The entry that holds it.
        holder: String,
        /// Entries ahead of ours, holders included.
        ahead: usize,
        /// The duration of the wait.
        waited: Duration,
    },
    /// Our session ended during the wait; the place is lost.
    #[error("lost our place in the queue of lock {name}: {reason}")]
    SessionLost {
        /// The lock.
        name: String,
        /// The end of the session, as text.
        reason: String,
    },
    /// Our entry was deleted from the queue by another client or an operator.
    #[error(
        "our entry in the queue of lock {name} was removed by another client at revision {revision}"
    )]
    Removed {
        /// The lock.
        name: String,
        /// The revision of the deletion, or of the reading that showed it.
        revision: Revision,
    },
    /// The revisions of the store went back: tokens would repeat.
    #[error(
        "the store went back from revision {seen} to {now} (restored or wiped): \
         no lock is taken until it is past {seen}, because fencing tokens would repeat; to go on at once, see that \
         nothing remembers tokens up to {seen}, then restart every host"
    )]
    StoreWentBack {
        /// The highest revision this client has seen.
        seen: Revision,
        /// The revision now.
        now: Revision,
    },
    /// The store could not be reached or refused.
    #[error("cannot acquire lock {name}: {source}")]
    Store {
        /// The lock.
        name: String,
        /// The error of the store.
        #[source]
        source: StoreError,
    },
    /// The client was closed.
    #[error("the lock client is closed")]
    Closed,
}

impl AcquireError {
    /// True if another attempt may succeed by itself: the store did not answer, or the session ended meanwhile.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::SessionLost { .. } => true,
            Self::Store { source, .. } => source.is_unknown(),
            Self::BadName { .. }
            | Self::BadSet(_)
            | Self::AlreadyHeld { .. }
            | Self::CapacityDiffers { .. }
            | Self::Contended { .. }
            | Self::Removed { .. }
            | Self::StoreWentBack { .. }
            | Self::Closed => false,
        }
    }
}
