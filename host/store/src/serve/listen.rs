//! Addresses to listen on, and errors of listening.

use std::net::SocketAddr;
use std::path::PathBuf;

/// An address to listen on.
#[derive(Debug, Clone)]
pub enum ListenAddress {
    /// On this address, which must be a loopback one; port 0 takes a free one. Every user of this machine can
    /// connect to it. Endpoints look like `http://127.0.0.1:2379`.
    Tcp(SocketAddr),
    /// On a socket at this path, private to its owner. Missing directories are made. Endpoints look like
    /// `unix:///path`, which `etcdctl` and [`leasehold_lock::ConnectOptions`] take.
    Unix(PathBuf),
}

/// Error listening on an address.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not a loopback one.
    #[error(
        "the embedded store does not listen on {0}: it serves this machine only (127.0.0.1 or [::1]), \
         without users or TLS; for more machines run a real etcd"
    )]
    NotThisMachine(SocketAddr),
    /// The system refused the address.
    #[error("the embedded store cannot listen on {address}: {source}")]
    Bind {
        /// The address or path.
        address: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Another server answers at this socket.
    #[error("the embedded store cannot listen on {0}: another server answers there")]
    InUse(PathBuf),
    /// The store is closed.
    #[error("the embedded store cannot listen any more: it is closed")]
    Closed,
    /// The file at this path is not a socket; it is left alone.
    #[error(
        "the embedded store cannot listen on {0}: there is something else at that path; \
         move it away or take another path"
    )]
    NotASocket(PathBuf),
}
