//! Limits on connections.

use std::time::Duration;

use super::descriptors;
use crate::budget::Shares;

/// What connections are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at one time over addresses. A client needs one or two.
    pub(crate) connections: usize,
    /// Connections at one time over private sockets.
    pub(crate) private: usize,
    /// How long one more waits outside before it is turned away.
    pub(crate) outside: Duration,
    /// What requests through sockets may make the store hold.
    pub(crate) shares: Shares,
    /// How long a connection may take to say that it speaks HTTP/2.
    pub(crate) greeting: Duration,
    /// How often a silent connection is asked whether somebody is there.
    pub(crate) ping_every: Duration,
    /// How long it may take to answer that.
    pub(crate) ping_timeout: Duration,
    /// How long open requests may take to end when the server closes.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let share = descriptors::connections();
        Self {
            connections: share.addresses,
            private: share.sockets,
            outside: Duration::from_secs(1),
            shares: Shares::DEFAULT,
            greeting: Duration::from_secs(10),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            grace: Duration::from_secs(1),
        }
    }
}
