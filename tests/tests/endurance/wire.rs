//! HTTP/2 by hand, for behaviour of no client: requests that never end, answers that are never read.
//!
//! It writes whatever a test wants, and must never keep the protocol's limits by itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::Result;

/// Opening of a connection: the greeting, and default settings.
pub(crate) const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Headers, continued nowhere.
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 4;
/// A part of a body.
pub(crate) const DATA: u8 = 0;
pub(crate) const PING: u8 = 6;
pub(crate) const RESET: u8 = 3;
const GO_AWAY: u8 = 7;

/// One frame.
pub(crate) fn frame(stream: u32, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let head = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The headers of a request to a method, which does not end with them.
pub(crate) fn request(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], "localhost"),
        (&[0x0f, 0x10], "application/grpc"),
    ] {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).unwrap_or(0));
        block.extend_from_slice(value.as_bytes());
    }
    frame(stream, HEADERS, END_HEADERS, &block)
}

/// The number of the client's stream.
pub(crate) fn stream(place: u32) -> u32 {
    2 * place + 1
}

/// Reads frames until the connection ends or `wanted` is found among them: kind, stream and payload. Returns whether it was found.
pub(crate) fn read_until(
    io: &mut TcpStream,
    mut wanted: impl FnMut(u8, u32, &[u8]) -> bool,
) -> Result<bool> {
    loop {
        let mut head = [0; 9];
        if io.read_exact(&mut head).is_err() {
            return Ok(false);
        }
        let [l0, l1, l2, kind, _flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        io.read_exact(&mut payload)?;
        if wanted(kind, u32::from_be_bytes([s0, s1, s2, s3]), &payload) {
            return Ok(true);
        }
        if kind == GO_AWAY {
            return Ok(false);
        }
    }
}

/// Asks whether the other side is there, and waits for its answer: all that was sent before has arrived.
pub(crate) fn settle(io: &mut TcpStream) -> Result<bool> {
    io.write_all(&frame(0, PING, 0, b"settled?"))?;
    read_until(io, |kind, _, payload| {
        kind == PING && payload == b"settled?"
    })
}
