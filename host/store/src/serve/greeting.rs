//! The greeting of a connection: the 24 bytes of HTTP/2, within a time limit.
//!
//! Until they have arrived, the transport is not set up and nothing is sent. This file must never handle later
//! bytes.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::{ArrivedConnection, PREFACE};

/// The answer to a client that speaks an older HTTP.
const OLDER_HTTP: &str = "this is the embedded store of leasehold: it speaks etcd's v3 API over HTTP/2 (gRPC), \
    as etcdctl and clients of etcd do; there is no HTTP/1 here, no JSON gateway, no /health and no /metrics\n";

/// Bytes of such a client's request that are read before the connection ends, so that the client reads the answer.
const DRAIN_BYTES: usize = 64 << 10;

/// Returns the connection once it has greeted; ends it if that takes too long.
pub(super) async fn greet<IO>(
    mut arrived: ArrivedConnection<IO>,
    patience: Duration,
) -> Option<ArrivedConnection<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let greeted = timeout(patience, greets(&mut arrived.io)).await;
    matches!(greeted, Ok(true)).then_some(arrived)
}

async fn greets<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) -> bool {
    let mut begun = [0; PREFACE.len()];
    let mut length = 0;
    while let Some(room) = begun.get_mut(length..)
        && !room.is_empty()
    {
        match io.read(room).await {
            Ok(read @ 1..) => length += read,
            Ok(0) | Err(_) => return false,
        }
        let (begun, wanted) = (begun.get(..length), PREFACE.get(..length));
        if begun != wanted {
            if begun.is_some_and(is_older_http) {
                // The client may have closed the connection already.
                let _ = refuse(io).await;
            }
            return false;
        }
    }
    true
}

/// Returns true if this begins as a request of HTTP/1 does: with a method. TLS begins with a byte that is not a
/// letter.
fn is_older_http(begun: &[u8]) -> bool {
    begun.first().is_some_and(u8::is_ascii_uppercase)
}

async fn refuse<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{OLDER_HTTP}",
        OLDER_HTTP.len()
    );
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await?;
    // Closing a connection with unread bytes resets it, and the answer would be lost.
    let mut unread = AsyncReadExt::take(io, DRAIN_BYTES as u64);
    tokio::io::copy(&mut unread, &mut tokio::io::sink()).await?;
    Ok(())
}
