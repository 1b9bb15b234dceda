//! Connects to one of several checked addresses.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use wasmtime_wasi_http::Error;

/// Connection over which a request is sent.
pub(super) trait RequestStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> RequestStream for T {}

/// Connects to the first of `addresses` that accepts before `over`. Each address gets an equal share of the time.
pub(super) async fn reach(addresses: &[SocketAddr], over: Instant) -> Result<TcpStream, Error> {
    let mut failure = Error::ConnectionTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        let left = over.saturating_duration_since(Instant::now());
        let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(left / shares.max(1), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = Error::Connect(error),
            Err(_) => failure = Error::ConnectionTimeout,
        }
    }
    Err(failure)
}
