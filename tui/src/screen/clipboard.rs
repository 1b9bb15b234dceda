//! Copying through the terminal (OSC 52), which also works over SSH. The terminal does not confirm it.

use std::io::{self, stdout};

use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;

/// Puts `text` into the terminal's clipboard.
pub(super) fn copy(text: &str) -> io::Result<()> {
    execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
}
