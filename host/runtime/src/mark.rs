//! A mark in a file that shows, also to the next process, that a guest is being polled.
//!
//! It is written without a sync, because it need only outlive the process. It is used for the first moments of a
//! plugin that this host has never run. For other guests, two small writes per poll would cost too much.

use std::fs::File;
use std::future::poll_fn;
use std::os::unix::fs::FileExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Mark in the first byte of a file, changed around each poll of one guest. Clones share it.
#[derive(Clone, Debug)]
pub struct PollMark(Arc<Marked>);

#[derive(Debug)]
struct Marked {
    file: File,
    is_retired: AtomicBool,
}

impl PollMark {
    /// Byte while the guest is polled.
    pub const INSIDE: u8 = b'!';
    /// Byte while the guest waits.
    pub const OUTSIDE: u8 = b'.';

    /// Makes a mark in this file.
    pub fn new(file: File) -> Self {
        Self(Arc::new(Marked {
            file,
            is_retired: AtomicBool::new(false),
        }))
    }

    /// Marks that the guest is about to be polled.
    pub fn enter(&self) {
        self.write(Self::INSIDE);
    }

    /// Marks that the guest was polled.
    pub fn leave(&self) {
        self.write(Self::OUTSIDE);
    }

    /// Ends the marking permanently.
    pub fn retire(&self) {
        self.leave();
        self.0.is_retired.store(true, Ordering::Release);
    }

    /// Returns true after [`PollMark::retire`].
    pub fn is_retired(&self) -> bool {
        self.0.is_retired.load(Ordering::Acquire)
    }

    fn write(&self, byte: u8) {
        if !self.is_retired() {
            // If the write fails, a crash is not attributed to a plugin.
            let _ = self.0.file.write_all_at(&[byte], 0);
        }
    }
}

/// Drives `guest` with the mark around each poll.
pub(crate) async fn marked<T>(mark: Option<&PollMark>, guest: impl Future<Output = T>) -> T {
    let mut guest = pin!(guest);
    poll_fn(move |cx| {
        let Some(mark) = mark else {
            return guest.as_mut().poll(cx);
        };
        mark.enter();
        let polled = guest.as_mut().poll(cx);
        mark.leave();
        polled
    })
    .await
}
