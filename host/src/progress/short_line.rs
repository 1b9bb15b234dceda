//! A terminal whose line is a little shorter than it is: `^C`, which it echoes, must not begin another line, because the
//! bar could not be cleared then.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Columns left free at the end of the line.
const ROOM_FOR_KEYS: u16 = 8;
/// Width of a terminal that does not report its own.
const USUAL_COLUMNS: u16 = 80;

/// Standard error, with room at the end of its line.
#[derive(Debug)]
pub(super) struct ShortLine(Term);

impl ShortLine {
    pub(super) fn of_stderr() -> Self {
        Self(Term::stderr())
    }
}

impl TermLike for ShortLine {
    fn width(&self) -> u16 {
        let columns = self
            .0
            .size_checked()
            .map_or(USUAL_COLUMNS, |(_, columns)| columns);
        columns.saturating_sub(ROOM_FOR_KEYS)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
