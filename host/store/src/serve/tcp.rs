//! Connections over TCP, from this machine only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_stream::Stream;

use super::ListenError;
use super::authority::Readdressed;
use super::connection::Arrived;
use super::socket::BACKLOG;

/// How long to wait after the system would not give us a connection: mostly it is out of descriptors.
pub(super) const AFTER_FAILURE: Duration = Duration::from_millis(100);

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

/// Not as tokio would by itself: with its short queue, a hundred clients that come at once meet silence, and try
/// again a second later.
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

/// Who comes, each when there is a place for them.
pub(super) fn incoming(
    listener: TcpListener,
    places: Arc<Semaphore>,
) -> impl Stream<Item = std::io::Result<Arrived<Readdressed<TcpStream>>>> + Send {
    stream::unfold((listener, places), async |(listener, places)| {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let arrived = match listener.accept().await {
            Ok((io, _)) => {
                // Requests are small and somebody waits for each.
                io.set_nodelay(true).map(|()| Arrived {
                    io: Readdressed::new(io),
                    place,
                })
            }
            Err(error) => {
                tokio::time::sleep(AFTER_FAILURE).await;
                Err(error)
            }
        };
        Some((arrived, (listener, places)))
    })
}
