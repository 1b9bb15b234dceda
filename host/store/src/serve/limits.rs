//! Limits on connections.

use std::time::Duration;

use super::descriptors;
use crate::budget::MemoryShares;

/// Limits on the connections of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    /// Connections at one time over addresses. A client needs one or two.
    pub(crate) tcp_connections: usize,
    /// Connections at one time over private sockets.
    pub(crate) socket_connections: usize,
    /// Time that a further connection waits for a slot before it is closed.
    pub(crate) slot_wait: Duration,
    /// Bytes that requests through sockets may make the store hold.
    pub(crate) shares: MemoryShares,
    /// Time that a connection may take to send the greeting of HTTP/2.
    pub(crate) greeting_timeout: Duration,
    /// Silence on a connection after which it is sent a ping.
    pub(crate) ping_every: Duration,
    /// Time that the client may take to answer a ping.
    pub(crate) ping_timeout: Duration,
    /// Time that open requests may take to end when the server closes.
    pub(crate) close_grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let share = descriptors::connection_share();
        Self {
            tcp_connections: share.addresses,
            socket_connections: share.sockets,
            slot_wait: Duration::from_secs(1),
            shares: MemoryShares::DEFAULT,
            greeting_timeout: Duration::from_secs(10),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            close_grace: Duration::from_secs(1),
        }
    }
}
