//! Modes of the proxied network, and their effect on each direction. Pure.

use std::time::Duration;

/// Behaviour of the network between clients and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything at once.
    Pass,
    /// Every byte arrives this much later, in each direction.
    Delay(Duration),
    /// Every chunk arrives up to this much later, at random, in order, in each direction.
    Jitter(Duration),
    /// Requests arrive at once; every chunk of a response arrives after a random while between these, in order.
    LateResponses(Duration, Duration),
    /// Nothing arrives, either way; connections stay open, new ones are accepted and lead nowhere.
    DropBoth,
    /// Requests arrive and are carried out; nothing comes back.
    DropResponses,
    /// Nothing arrives at the server; its own messages (watch events) still come back.
    DropRequests,
    /// Open connections work; new ones are reset at once.
    Refuse,
    /// At most this many bytes each 100 ms, in each direction.
    Drip(usize),
}

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Requests,
    Responses,
}

/// Treatment of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Delivered after a while, which may be zero.
    After(Duration),
    /// Delivered after a random while between these.
    Within(Duration, Duration),
    /// Delivered a few at a time.
    Drip(usize),
    /// Kept until the mode changes.
    Held,
}

impl Mode {
    pub(super) fn flow(self, direction: Direction) -> Flow {
        match (self, direction) {
            (Self::Pass | Self::Refuse, _)
            | (Self::DropResponses | Self::LateResponses(..), Direction::Requests)
            | (Self::DropRequests, Direction::Responses) => Flow::After(Duration::ZERO),
            (Self::Delay(delay), _) => Flow::After(delay),
            (Self::Jitter(most), _) => Flow::Within(Duration::ZERO, most),
            (Self::LateResponses(least, most), Direction::Responses) => Flow::Within(least, most),
            (Self::Drip(bytes), _) => Flow::Drip(bytes.max(1)),
            (Self::DropBoth, _)
            | (Self::DropResponses, Direction::Responses)
            | (Self::DropRequests, Direction::Requests) => Flow::Held,
        }
    }
}
