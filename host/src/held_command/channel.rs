//! The keeper's end of the socket to `leasehold`, and the standard input that passes through it.
//!
//! The socket is the keeper's standard input. That of the command arrives over it, so nothing else is inherited.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};

use super::messages::{KeeperOrder, KeeperReport, to_line};

/// Longest line of an order. A longer one ends the connection.
const MOST_BYTES: usize = 4096;

/// Sends a descriptor over a socket.
pub(super) fn send_descriptor(socket: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    sendmsg(
        socket,
        &[IoSlice::new(b"\n")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives a descriptor that [`send_descriptor`] sent.
fn receive_descriptor(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0; 1];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        flags,
    )?;
    let mut received = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    received
        .next()
        .ok_or_else(|| io::Error::other("no descriptor arrived"))
}

/// The keeper's end.
pub(super) struct KeeperChannel {
    socket: UnixStream,
    /// The beginning of a line.
    received: Vec<u8>,
    is_open: bool,
}

impl KeeperChannel {
    /// Opens the channel at standard input, and receives the standard input of the command.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let input = receive_descriptor(&socket)?;
        let channel = Self {
            socket,
            received: Vec::new(),
            is_open: true,
        };
        Ok((channel, input))
    }

    /// Returns the socket for waiting; `None` after `leasehold` has ended.
    pub(super) fn socket(&self) -> Option<&UnixStream> {
        self.is_open.then_some(&self.socket)
    }

    /// Returns the orders that have arrived, without waiting.
    pub(super) fn receive(&mut self) -> Vec<KeeperOrder> {
        let mut buffer = [0; MOST_BYTES];
        while self.is_open {
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => self.is_open = false,
                Ok((_, length)) => self.received.extend_from_slice(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.is_open = false,
            }
        }
        let complete = self.received.iter().rposition(|byte| *byte == b'\n');
        let rest = self.received.split_off(complete.map_or(0, |at| at + 1));
        let lines = std::mem::replace(&mut self.received, rest);
        if self.received.len() > MOST_BYTES {
            self.is_open = false;
        }
        let lines = lines.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Sends a report. It is dropped if `leasehold` has ended.
    pub(super) fn report(&mut self, report: &KeeperReport) {
        // A lost report is found as the end of this process.
        let _ = self.socket.write_all(&to_line(report));
    }
}
