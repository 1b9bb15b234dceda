//! The client at the other end of a connection.

use crate::budget::Account;

/// How a client reached the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Over an address, as every user of this machine can.
    Address,
    /// Over a socket that is private to its owner.
    PrivateSocket,
}

/// The other side of a connection, which its requests carry along.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) account: Account,
    pub(crate) reach: Reach,
}
