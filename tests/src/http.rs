//! One HTTP request, for the endpoints of hosts and of Prometheus.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Bound of one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer: its status and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status, such as 200.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Requests `path` over a connection of its own.
///
/// # Errors
/// There is no server, or its answer is not HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<HttpAnswer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0 has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .with_context(|| format!("reading {path} of {address}"))?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer of HTTP")?;
    let status = head.split(' ').nth(1).context("a status")?;
    Ok(HttpAnswer {
        status: status.parse().context("a number")?,
        body: body.to_owned(),
    })
}
