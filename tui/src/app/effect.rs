//! Requests to the code outside of the program, and notes for the operator.

use super::admin_order::AdminOrder;

/// What should be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppEffect {
    Quit,
    Suspend,
    /// Put this into the terminal's clipboard.
    Copy(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Do this to somebody's entry or lease.
    Order(AdminOrder),
}

/// A line for whoever has just done something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusNote {
    pub(crate) text: String,
    pub(crate) is_bad: bool,
    /// When it was said, in Unix milliseconds.
    pub(crate) at_unix_ms: u64,
}
