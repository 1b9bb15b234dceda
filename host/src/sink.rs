//! Output sink: text from elsewhere becomes printable here, where it leaves for a log or a terminal.
//!
//! File names, keys, records and a server's messages may contain line ends, escape sequences and direction marks.
//! Callers pass them on unchanged. No such character passes this file, and the meaning of JSON stays the same.

use std::io::{self, Write as _};

use leasehold_records::printable;
use serde::Serialize;

/// Formats a value as one JSON object and a line end.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    // Plain data always serializes; an empty line would show an internal error.
    let mut text = printable::json(serde_json::to_string(value).unwrap_or_default());
    text.push('\n');
    text
}

/// Formats a value as JSON over several lines, with a line end.
pub(crate) fn json_pretty(value: &impl Serialize) -> String {
    let mut text = printable::json(serde_json::to_string_pretty(value).unwrap_or_default());
    text.push('\n');
    text
}

/// Makes a message of several lines printable.
pub(crate) fn printable(text: &str) -> String {
    printable::lines(text)
}

/// Prints to standard output. A reader that has closed the pipe does not count as an error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    satisfied(
        io::stdout()
            .lock()
            .write_all(printable::lines(text).as_bytes()),
    )
}

/// Prints a message to standard error, beside the output.
pub(crate) fn tell(text: &str) {
    // A closed standard error is no reason to fail.
    let _ = io::stderr()
        .lock()
        .write_all(printable::lines(text).as_bytes());
}

fn satisfied(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
