//! The client at the other end of a connection.

use crate::budget::ConnectionAccount;

/// How a client reached the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientReach {
    /// Over an address, as every user of this machine can.
    Address,
    /// Over a socket that is private to its owner.
    PrivateSocket,
}

/// The other side of a connection, which its requests carry along.
#[derive(Debug, Clone)]
pub(crate) struct ClientPeer {
    pub(crate) account: ConnectionAccount,
    pub(crate) reach: ClientReach,
}
