//! Connections over TCP, from this machine only.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::listen::ListenError;
use super::socket::BACKLOG;

/// Listens on a loopback address.
pub(super) fn bind(address: SocketAddr) -> Result<(String, TcpListener), ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotThisMachine(address));
    }
    let failed = |source| ListenError::Bind {
        address: address.to_string(),
        source,
    };
    let listener = open(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((format!("http://{bound}"), listener))
}

/// tokio's own bind has a short queue: a hundred clients that connect at once get no answer, and try again a second
/// later.
fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // An address that was used a moment ago can be used again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
