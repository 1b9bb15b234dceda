//! One connection after its greeting: it counts, it has an account, and it can be cut.
//!
//! This file must never inspect the bytes on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::peer::ClientPeer;

/// The first bytes of every HTTP/2 connection.
pub(super) const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that arrived, and the slot it takes until it ends.
pub(crate) struct ArrivedConnection<IO> {
    pub(crate) io: IO,
    pub(crate) slot: OwnedSemaphorePermit,
}

/// A connection as the transport sees it.
pub(crate) struct ServedConnection<IO> {
    /// The rest of the first bytes, which were read already.
    greeting: Bytes,
    io: IO,
    peer: ClientPeer,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: OwnedSemaphorePermit,
}

impl<IO> ServedConnection<IO> {
    /// Returns a connection that began with `greeting`, and ends when it is cut.
    pub(crate) fn new(
        arrived: ArrivedConnection<IO>,
        greeting: Bytes,
        peer: ClientPeer,
        cut: &CancellationToken,
    ) -> Self {
        Self {
            greeting,
            io: arrived.io,
            peer,
            cut: Box::pin(cut.clone().cancelled_owned()),
            _slot: arrived.slot,
        }
    }

    /// Fails if the connection was cut. Called before reading and before writing: while one of them waits for the
    /// client, the transport may not call the other.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the store is closed",
            ));
        }
        Ok(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ServedConnection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        if !self.greeting.is_empty() {
            let length = self.greeting.len().min(buffer.remaining());
            let some = self.greeting.split_to(length);
            buffer.put_slice(&some);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ServedConnection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A client that does not read would delay the end for ever.
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl<IO> Connected for ServedConnection<IO> {
    type ConnectInfo = ClientPeer;

    fn connect_info(&self) -> ClientPeer {
        self.peer.clone()
    }
}
