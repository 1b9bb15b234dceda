//! Facts: everything the dashboard is told, each with its moment. They come from the store or from a
//! recording, and nobody after this can tell which.

use leasehold_lock::{FeedItem, StoreHealth};

/// Something that is so, and when it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// Unix milliseconds.
    pub(crate) at_unix_ms: u64,
    pub(crate) kind: FactKind,
}

/// What can be told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FactKind {
    /// Keys, or that none are heard.
    Keys(FeedItem),
    /// How the store is, or why that is not known.
    Health(Result<StoreHealth, String>),
    /// How long a lease has left and had, in seconds; `None` when there is no such lease.
    Ttl(i64, Option<(u64, u64)>),
    /// What came of something that an operator asked for.
    Answer(Result<String, String>),
}
