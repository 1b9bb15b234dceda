//! The client at the other end of a connection.

use crate::budget::ConnectionAccount;

/// The way in which a client reached the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientReach {
    /// Over an address, which every user of this machine can connect to.
    Address,
    /// Over a socket that is private to its owner.
    PrivateSocket,
}

/// The client of a connection, carried along by its requests.
#[derive(Debug, Clone)]
pub(crate) struct ClientPeer {
    pub(crate) account: ConnectionAccount,
    pub(crate) reach: ClientReach,
}
