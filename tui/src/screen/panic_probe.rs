//! A panic of the thread with the screen, for a test of what it leaves behind.

use std::io;

use super::terminal::TerminalScreen;

/// Captures the terminal for this thread, draws and panics.
pub(crate) fn panic_on_screen() -> io::Result<()> {
    let mut screen = TerminalScreen::take(true)?;
    screen
        .terminal
        .draw(|frame| frame.render_widget("all is well", frame.area()))?;
    panic!("the screen fell down");
}
