//! What a screen whose thread panics leaves behind, to be looked at from outside.

use std::io;

use super::terminal::TerminalScreen;

/// Takes the terminal for this thread, draws something and panics.
pub(crate) fn panic_on_screen() -> io::Result<()> {
    let mut screen = TerminalScreen::take(true)?;
    screen
        .terminal
        .draw(|frame| frame.render_widget("all is well", frame.area()))?;
    panic!("the screen fell down");
}
