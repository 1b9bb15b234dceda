//! The way out: text from elsewhere is made printable here, where it leaves for a log or a terminal.
//!
//! File names, keys, records and a server's messages may hold line ends, escape sequences and direction marks. Callers
//! pass them on as they are. This file must never let one through, nor change what JSON means.

use std::io::{self, Write as _};

use leasehold_records::printable;

/// A message of several lines, as it may be shown.
pub(crate) fn printable(text: &str) -> String {
    printable::lines(text)
}

/// Prints to standard output. A reader that has gone away is a satisfied one.
pub(crate) fn print(text: &str) -> io::Result<()> {
    satisfied(
        io::stdout()
            .lock()
            .write_all(printable::lines(text).as_bytes()),
    )
}

/// Prints a message beside the output, to standard error.
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
