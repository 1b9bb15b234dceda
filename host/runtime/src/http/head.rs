//! The head of a response, counted while it arrives.
//!
//! The HTTP library has one error for a head that is too long, one with too many headers and one that announces
//! an impossible body. The counts distinguish them, so that a remedy is named only where one exists. No byte is
//! changed here.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are kept of a line: enough for the header's name and twenty digits.
const KEPT: usize = 48;
const LENGTH: &str = "content-length:";

/// Counts of the head of the latest response.
#[derive(Debug, Default)]
struct Count {
    bytes: usize,
    /// Number of complete lines. The first is the status.
    lines: usize,
    line: Vec<u8>,
    is_interim: bool,
    is_over: bool,
    length: Option<String>,
}

/// Head of a response, shared with the connection that reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct ResponseHead(Arc<Mutex<Count>>);

/// Reason why a head was refused as too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeadTooLarge {
    /// More headers than are accepted.
    Headers,
    /// More bytes than are buffered.
    Bytes,
    /// A body of this length.
    Body(String),
}

impl ResponseHead {
    /// Returns the reason for a refusal, given the accepted numbers of headers and bytes.
    pub(super) fn too_large(&self, most_headers: usize, most_bytes: usize) -> HeadTooLarge {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The status and the empty line at the end are lines too.
        let headers = count.lines.saturating_sub(1 + usize::from(count.is_over));
        if headers > most_headers {
            HeadTooLarge::Headers
        } else if let Some(length) = count.length.as_ref().filter(|_| count.bytes < most_bytes) {
            HeadTooLarge::Body(length.clone())
        } else {
            HeadTooLarge::Bytes
        }
    }

    fn read(&self, bytes: &[u8]) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if count.is_over && !count.is_interim {
                return;
            }
            if count.is_over {
                *count = Count::default();
            }
            count.take(byte);
        }
    }
}

impl Count {
    fn take(&mut self, byte: u8) {
        self.bytes += 1;
        if byte != b'\n' {
            if self.line.len() < KEPT {
                self.line.push(byte.to_ascii_lowercase());
            }
            return;
        }
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end();
        if self.lines == 0 {
            let status = line.split(' ').nth(1).unwrap_or_default();
            self.is_interim = status.starts_with('1') && status != "101";
        } else if let Some(length) = line.strip_prefix(LENGTH) {
            let digits = length.trim().chars();
            self.length = Some(digits.filter(char::is_ascii_digit).collect());
        }
        self.is_over = line.is_empty() && self.lines > 0;
        self.lines += 1;
        self.line.clear();
    }
}

/// A connection whose reading is counted.
pub(super) struct CountedStream<S> {
    stream: S,
    head: ResponseHead,
}

impl<S> CountedStream<S> {
    pub(super) fn new(stream: S, head: ResponseHead) -> Self {
        Self { stream, head }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        self.head.read(&into.filled()[before..]);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> HeadTooLarge {
        let head = ResponseHead::default();
        // The text arrives in parts of any size.
        for part in text.as_bytes().chunks(7) {
            head.read(part);
        }
        head.too_large(2, 200)
    }

    #[test]
    fn a_head_too_large_is_told_by_what_is_in_it() {
        let status = "HTTP/1.1 200 OK\r\n";
        let three = format!("{status}a: 1\r\nb: 2\r\nc: 3\r\n");
        assert_eq!(reason(&three), HeadTooLarge::Headers);
        let long = format!("{status}a: {}\r\n", "x".repeat(300));
        assert_eq!(reason(&long), HeadTooLarge::Bytes);
        let length = format!("{status}Content-Length: 18446744073709551615\r\n\r\n");
        let expected = HeadTooLarge::Body("18446744073709551615".to_owned());
        assert_eq!(reason(&length), expected);
        // Lines of a body are not headers.
        assert_eq!(reason(&format!("{length}\n\n\n\n\n")), expected);
        // An interim response before it is not counted.
        let interim = format!("HTTP/1.1 103 Early Hints\r\na: 1\r\nb: 2\r\n\r\n{length}");
        assert_eq!(reason(&interim), expected);
    }
}
