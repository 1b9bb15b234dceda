//! Standard output that is passed on unchanged, byte by byte, to a reader that the guest waits for.
//!
//! It is for a single guest that a developer tries. Secrets are not removed here, so it is only for runs without
//! secrets.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Largest number of bytes in one write.
const WRITE_AT_ONCE: usize = 64 * 1024;

/// Sender of raw bytes to their reader. Clones share it.
#[derive(Clone, Debug)]
pub struct RawOutput(mpsc::Sender<Bytes>);

impl RawOutput {
    /// Makes a sender that holds at most `writes` unread writes, and its receiver.
    pub fn new(writes: usize) -> (Self, mpsc::Receiver<Bytes>) {
        let (way, end) = mpsc::channel(writes);
        (Self(way), end)
    }
}

/// Stream of the guest that writes to the sender.
pub(super) struct RawStream(PollSender<Bytes>);

impl RawStream {
    fn new(output: &RawOutput) -> Self {
        Self(PollSender::new(output.0.clone()))
    }

    fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0
            .send_item(bytes)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl IsTerminal for RawOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for RawOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(RawStream::new(self))
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(RawStream::new(self))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for RawStream {
    async fn ready(&mut self) {
        // If the reader was dropped, the next write returns the error.
        let _ = poll_fn(|context| self.0.poll_reserve(context)).await;
    }
}

impl OutputStream for RawStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(bytes).map_err(|_| StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match self.0.poll_reserve(&mut context) {
            Poll::Ready(Ok(())) => Ok(WRITE_AT_ONCE),
            Poll::Ready(Err(_)) => Err(StreamError::Closed),
            Poll::Pending => Ok(0),
        }
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        raw: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if ready!(this.0.poll_reserve(context)).is_err() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let part = &raw[..raw.len().min(WRITE_AT_ONCE)];
        let sent = this.send(Bytes::copy_from_slice(part));
        Poll::Ready(sent.map(|()| part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_wait_for_the_reader_and_nothing_is_lost_or_added() {
        let (output, mut end) = RawOutput::new(1);
        let mut stream = output.p2_stream();
        stream.ready().await;
        assert_eq!(stream.check_write().unwrap(), WRITE_AT_ONCE);
        stream.write(Bytes::from_static(b"a\0\x1b\xff")).unwrap();
        assert_eq!(stream.check_write().unwrap(), 0);
        assert_eq!(end.recv().await.as_deref(), Some(&b"a\0\x1b\xff"[..]));
        stream.ready().await;
        stream.write(Bytes::from_static(b"b")).unwrap();
        drop((stream, output));
        assert_eq!(end.recv().await.as_deref(), Some(&b"b"[..]));
        assert_eq!(end.recv().await, None);
    }

    #[tokio::test]
    async fn reader_that_is_gone_closes_the_stream() {
        let (output, end) = RawOutput::new(1);
        drop(end);
        let mut stream = output.p2_stream();
        stream.ready().await;
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
    }
}
