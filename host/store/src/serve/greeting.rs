//! The greeting of a connection: the 24 bytes of HTTP/2, within a time limit.
//!
//! Until they have arrived, the transport is not set up and nothing is sent. A connection that begins as HTTP/1 does
//! is passed on with the bytes that were read. This file must never handle later bytes.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::connection::{ArrivedConnection, PREFACE};

/// A connection, by the protocol that it begins with.
pub(super) enum GreetedConnection<IO> {
    /// HTTP/2: etcd's API.
    Api(ArrivedConnection<IO>),
    /// HTTP/1, and the bytes that were read.
    Pages(ArrivedConnection<IO>, Bytes),
}

/// Returns the connection once it has greeted; ends it if that takes too long, or if it is of another protocol.
pub(super) async fn greet<IO>(
    mut arrived: ArrivedConnection<IO>,
    patience: Duration,
) -> Option<GreetedConnection<IO>>
where
    IO: AsyncRead + Unpin,
{
    match timeout(patience, read_greeting(&mut arrived.io)).await {
        Ok(Greeting::Http2) => Some(GreetedConnection::Api(arrived)),
        Ok(Greeting::Http1(begun)) => Some(GreetedConnection::Pages(arrived, begun)),
        Ok(Greeting::Foreign) | Err(_) => None,
    }
}

enum Greeting {
    Http2,
    Http1(Bytes),
    Foreign,
}

async fn read_greeting<IO: AsyncRead + Unpin>(io: &mut IO) -> Greeting {
    let mut begun = [0; PREFACE.len()];
    let mut length = 0;
    while let Some(room) = begun.get_mut(length..)
        && !room.is_empty()
    {
        match io.read(room).await {
            Ok(read @ 1..) => length += read,
            Ok(0) | Err(_) => return Greeting::Foreign,
        }
        let begun = begun.get(..length).unwrap_or_default();
        if !PREFACE.starts_with(begun) {
            return if is_older_http(begun) {
                Greeting::Http1(Bytes::copy_from_slice(begun))
            } else {
                Greeting::Foreign
            };
        }
    }
    Greeting::Http2
}

/// Returns true if this begins as a request of HTTP/1 does: with a method. TLS begins with a byte that is not a
/// letter.
fn is_older_http(begun: &[u8]) -> bool {
    begun.first().is_some_and(u8::is_ascii_uppercase)
}
