//! Rewriting of the `:authority` that clients send.
//!
//! Every request names its `:authority`. Go's client of etcd puts a socket's path there, or a whole address with its
//! scheme. The transport refuses both as malformed, where a Go server takes anything. Nothing here depends on that
//! name, so it is replaced before the transport sees it. The replacement has the same length: the two ends compress
//! headers with tables that must stay the same size. This file must never change anything else. It passes on frames
//! that it cannot parse, and a connection that does not begin as HTTP/2 does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::PREFACE;

/// The header of a frame: length (3 bytes), kind, flags, stream (4 bytes).
const FRAME_HEADER_BYTES: usize = 9;
/// The largest frame that the store accepts; it never offers more.
const MAX_FRAME_BYTES: usize = 16_384;
/// The kind of a frame that opens a request.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The index of `:authority` in the static table of header names.
const AUTHORITY: usize = 1;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection whose requests get a neutral authority.
pub(super) struct AuthorityRewriter<IO> {
    io: IO,
    frames: Frames,
    /// Bytes read and rewritten, but not yet taken; and how many of them have been.
    ready: Vec<u8>,
    taken: usize,
}

impl<IO> AuthorityRewriter<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self {
            io,
            frames: Frames::Greeting(0),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for AuthorityRewriter<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.taken == this.ready.len() {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.io).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.taken = 0;
            this.frames.feed(read.filled(), &mut this.ready);
            // A frame that has not arrived completely leaves nothing to take yet.
        }
        let waiting = this.ready.get(this.taken..).unwrap_or_default();
        let some = waiting.get(..buffer.remaining()).unwrap_or(waiting);
        buffer.put_slice(some);
        this.taken += some.len();
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for AuthorityRewriter<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Position of a connection in the sequence of frames.
enum Frames {
    /// This many bytes of the greeting have arrived.
    Greeting(usize),
    /// The connection is not HTTP/2: all bytes are passed on.
    Foreign,
    /// This many bytes are passed on unread.
    Passing(usize),
    /// A frame's header has begun.
    Header(Vec<u8>),
    /// A frame that opens a request has begun, its header included; this many bytes of it are missing.
    Request(Vec<u8>, usize),
}

impl Frames {
    /// Takes the arrived bytes, and appends the bytes to pass on to `out`.
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            match self {
                Self::Greeting(seen) => {
                    let missing = PREFACE.get(*seen..).unwrap_or_default();
                    let some = split(&mut bytes, missing.len());
                    out.extend_from_slice(some);
                    *seen += some.len();
                    if !missing.starts_with(some) {
                        *self = Self::Foreign;
                    } else if *seen == PREFACE.len() {
                        *self = Self::Passing(0);
                    }
                }
                Self::Foreign => {
                    out.extend_from_slice(bytes);
                    bytes = &[];
                }
                Self::Passing(0) => *self = Self::Header(Vec::with_capacity(FRAME_HEADER_BYTES)),
                Self::Passing(left) => {
                    let some = split(&mut bytes, *left);
                    out.extend_from_slice(some);
                    *left -= some.len();
                }
                Self::Header(header) => {
                    let missing = FRAME_HEADER_BYTES - header.len();
                    header.extend_from_slice(split(&mut bytes, missing));
                    if let [l0, l1, l2, kind, ..] = **header
                        && header.len() == FRAME_HEADER_BYTES
                    {
                        let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
                        *self = if kind == HEADERS && (1..=MAX_FRAME_BYTES).contains(&length) {
                            Self::Request(std::mem::take(header), length)
                        } else {
                            out.extend_from_slice(header);
                            Self::Passing(length)
                        };
                    }
                }
                Self::Request(frame, missing) => {
                    let some = split(&mut bytes, *missing);
                    frame.extend_from_slice(some);
                    *missing -= some.len();
                    if *missing == 0 {
                        out.extend_from_slice(&readdressed(frame).unwrap_or(std::mem::take(frame)));
                        *self = Self::Passing(0);
                    }
                }
            }
        }
    }
}

/// Takes at most `most` bytes off the front.
fn split<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (some, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    some
}

/// Returns the frame with another authority, if it names one.
fn readdressed(frame: &[u8]) -> Option<Vec<u8>> {
    let flags = *frame.get(4)?;
    let mut start = FRAME_HEADER_BYTES;
    let mut end = frame.len();
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*frame.get(start)?))?;
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    let (value, length) = authority(frame.get(start..end)?)?;
    let mut other = frame.get(..start + value.start)?.to_vec();
    put_number(&mut other, length);
    other.resize(other.len() + length, b'x');
    other.extend_from_slice(frame.get(start + value.end..)?);
    let payload = other.len() - FRAME_HEADER_BYTES;
    let [_, l0, l1, l2] = u32::try_from(payload).ok()?.to_be_bytes();
    other.get_mut(..3)?.copy_from_slice(&[l0, l1, l2]);
    (payload <= MAX_FRAME_BYTES).then_some(other)
}

/// Returns the position of the authority's text in a block of headers, and its length when decoded.
fn authority(block: &[u8]) -> Option<(std::ops::Range<usize>, usize)> {
    let mut at = 0;
    loop {
        let first = *block.get(at)?;
        let name = match first {
            // A whole header from the table, or the table's new size: no text follows.
            0x80.. => {
                number(block, &mut at, 7)?;
                continue;
            }
            0x20..=0x3f => {
                number(block, &mut at, 5)?;
                continue;
            }
            0x40..=0x7f => number(block, &mut at, 6)?,
            0x00..=0x1f => number(block, &mut at, 4)?,
        };
        if name == 0 {
            text(block, &mut at)?;
        }
        let start = at;
        let (packed, bytes) = text(block, &mut at)?;
        if name == AUTHORITY {
            let length = if packed {
                unpacked_length(bytes)?
            } else {
                bytes.len()
            };
            return Some((start..at, length));
        }
    }
}

/// Reads a text; true if it is Huffman-coded.
fn text<'a>(block: &'a [u8], at: &mut usize) -> Option<(bool, &'a [u8])> {
    let packed = block.get(*at)? & 0x80 != 0;
    let length = number(block, at, 7)?;
    let start = *at;
    *at = start.checked_add(length)?;
    Some((packed, block.get(start..*at)?))
}

/// Reads a number that begins in the lower bits of a byte.
fn number(block: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let full = (1_usize << bits) - 1;
    let mut value = usize::from(*block.get(*at)?) & full;
    *at += 1;
    if value < full {
        return Some(value);
    }
    // Three more bytes reach past any frame.
    for shift in [0, 7, 14] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Writes the length of a text that is not Huffman-coded.
fn put_number(out: &mut Vec<u8>, value: usize) {
    const FULL: usize = 0x7f;
    let low = |value: usize| u8::try_from(value & FULL).unwrap_or(0);
    if value < FULL {
        out.push(low(value));
        return;
    }
    out.push(low(FULL));
    let mut rest = value - FULL;
    while rest > FULL {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

/// The number of symbols with a code of 0, 1, 2, … bits. The codes of one length follow each other, and begin after
/// the shorter ones, so this determines where a code ends (RFC 7541, appendix B).
const CODES: [u32; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 4,
];

/// Returns the decoded length of a Huffman-coded text.
fn unpacked_length(packed: &[u8]) -> Option<usize> {
    let mut length = 0;
    let (mut code, mut first, mut bits) = (0_u32, 0_u32, 0_usize);
    for byte in packed {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            bits += 1;
            let count = *CODES.get(bits)?;
            first <<= 1;
            if code - first < count {
                length += 1;
                (code, first, bits) = (0, 0, 0);
            } else {
                first += count;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests;
