//! Receiver of the whole output of a run.

use std::fmt;

use super::event::Line;

/// Receiver of every line of a run's output, those beyond the limit of lines a second included.
///
/// It is called while the guest writes: it must return at once, and drop and count what it has no room for.
pub trait OutputTap: fmt::Debug + Send + Sync {
    /// Receives a line. Its text is printable and has no secrets.
    fn line(&self, line: &Line);
}
