//! Format of the lines of a log.

use std::io::{self, IsTerminal as _};

use leasehold_lock::{BootTime, Clock};

/// Format of the lines of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One readable line an event, with the date: for logs.
    Text,
    /// One JSON object a line.
    Json,
    /// One short line an event, for a person who watches several hosts: seconds since `began`, and no more than
    /// fits a terminal.
    Story {
        /// Its first moment.
        began: BootTime,
        /// True if hosts have colours.
        colours: bool,
    },
}

impl Form {
    /// Returns a story that begins now. It has colours where they can be shown and are wanted: `NO_COLOR` and
    /// `CLICOLOR_FORCE` have their usual meaning.
    pub fn story(clock: &dyn Clock) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_shown = io::stdout().is_terminal() || is_set("CLICOLOR_FORCE");
        Self::Story {
            began: clock.now(),
            colours: is_shown && !is_set("NO_COLOR"),
        }
    }
}
