//! Requests to the code outside of the program, and notes for the operator.

use leasehold_records::UnixMs;

use super::admin_order::AdminOrder;

/// A request to the code outside of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppEffect {
    Quit,
    Suspend,
    /// Puts this text into the terminal's clipboard.
    Copy(String),
    /// Captures the mouse, or leaves it to the terminal.
    Mouse(bool),
    /// Changes another client's entry or lease.
    Order(AdminOrder),
}

/// Message about the last command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusNote {
    pub(crate) text: String,
    pub(crate) is_bad: bool,
    /// The message is in the Events view too, in full.
    pub(crate) is_event: bool,
    /// Moment of the message.
    pub(crate) at_unix_ms: UnixMs,
}
