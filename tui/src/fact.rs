//! Facts: all input of the model, each with its moment. A fact from a store and a fact from a recording are equal.

use leasehold_follow::OutputItem;
use leasehold_lock::{FeedItem, LeaseId, StoreHealth};
use leasehold_records::UnixMs;

/// An observation, with its moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// Moment of the observation.
    pub(crate) at_unix_ms: UnixMs,
    pub(crate) kind: FactKind,
}

/// Kind of an observation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FactKind {
    /// Keys, or an interruption of their feed.
    Keys(FeedItem),
    /// Health of the store, or the reason why it is unknown.
    Health(Result<StoreHealth, String>),
    /// Time that a lease has left and was granted, in seconds; `None` if the lease does not exist.
    Ttl(LeaseId, Option<(u64, u64)>),
    /// Result of an admin action.
    Answer(Result<String, String>),
    /// Live output of this job.
    Output(String, Box<OutputFact>),
}

/// Observation about live output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OutputFact {
    /// A reader begins; everything that the hosts have follows.
    Began,
    /// An item of output.
    Item(OutputItem),
    /// The output cannot be requested, for this reason.
    Refused(String),
}
