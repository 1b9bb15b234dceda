//! Limits on connections.

use std::time::Duration;

use super::descriptors;
use crate::budget::MemoryShares;

/// What connections are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    /// Connections at one time over addresses. A client needs one or two.
    pub(crate) tcp_connections: usize,
    /// Connections at one time over private sockets.
    pub(crate) socket_connections: usize,
    /// How long one more waits outside before it is turned away.
    pub(crate) slot_wait: Duration,
    /// What requests through sockets may make the store hold.
    pub(crate) shares: MemoryShares,
    /// How long a connection may take to say that it speaks HTTP/2.
    pub(crate) greeting_timeout: Duration,
    /// How often a silent connection is asked whether somebody is there.
    pub(crate) ping_every: Duration,
    /// How long it may take to answer that.
    pub(crate) ping_timeout: Duration,
    /// How long open requests may take to end when the server closes.
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
