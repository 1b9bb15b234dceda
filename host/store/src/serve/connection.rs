//! One connection: it counts, it must introduce itself in time, and it can be cut.
//!
//! This file must never look at what is said after the introduction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// How every HTTP/2 connection opens: 24 bytes that are always the same.
const PREFACE_BYTES: usize = 24;

/// Somebody who came, and the place they take up until they go.
pub(crate) struct Arrived<IO> {
    pub(crate) io: IO,
    pub(crate) place: OwnedSemaphorePermit,
}

/// A connection as the transport sees it.
pub(crate) struct Connection<IO> {
    io: IO,
    greeting: Greeting,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

/// Whether the other side has said what it speaks. The transport itself would wait for that for ever.
enum Greeting {
    Awaited {
        missing: usize,
        patience: Pin<Box<Sleep>>,
    },
    Heard,
}

impl<IO> Connection<IO> {
    /// One that has to introduce itself in time, and ends when it is cut.
    pub(crate) fn new(arrived: Arrived<IO>, patience: Duration, cut: &CancellationToken) -> Self {
        Self {
            io: arrived.io,
            greeting: Greeting::Awaited {
                missing: PREFACE_BYTES,
                patience: Box::pin(tokio::time::sleep(patience)),
            },
            cut: Box::pin(cut.clone().cancelled_owned()),
            _place: arrived.place,
        }
    }

    /// Whether it was cut. Asked before reading and before writing: while one of them waits for the other side,
    /// the transport may not come to the other.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the store is closed",
            ));
        }
        Ok(())
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Greeting::Awaited { patience, .. } = &mut self.greeting
            && patience.as_mut().poll(context).is_ready()
        {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection said nothing",
            ));
        }
        Ok(())
    }

    fn heard(&mut self, bytes: usize) {
        if let Greeting::Awaited { missing, .. } = &mut self.greeting {
            *missing = missing.saturating_sub(bytes);
            if *missing == 0 {
                self.greeting = Greeting::Heard;
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        self.poll_patience(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        self.heard(buffer.filled().len() - before);
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
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
        // Who does not read would hold up the end for ever.
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

impl<IO> Connected for Connection<IO> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
