//! Output sink: text from elsewhere becomes printable here, where it leaves for a log or a terminal.
//!
//! File names, keys, records and a server's messages may contain line ends, escape sequences and direction marks.
//! Callers pass them on unchanged. No such character passes this file, and the meaning of JSON stays the same.

use std::io::{self, Write as _};

use std::sync::atomic::{AtomicBool, Ordering};

use leasehold_records::printable;

/// True once the operator wants errors alone on standard error.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

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

/// Prints text whose foreign parts are printable already, with colours of our own.
pub(crate) fn print_rendered(text: &str) -> io::Result<()> {
    satisfied(io::stdout().lock().write_all(text.as_bytes()))
}

/// Prints a warning, a note or progress to standard error, unless the operator wants errors alone. Everything there
/// that does not explain a failure is printed here.
pub(crate) fn print_warning(text: &str) {
    if !is_quiet() {
        print_error(text);
    }
}

/// Returns true if the operator wants errors alone.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Leaves out warnings and notes from now on.
pub(crate) fn set_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Prints lines whose parts were made printable one by one, with colours of ours. Returns false when the reader has
/// closed the pipe.
pub(crate) fn print_on(lines: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Prints the reason of a failure to standard error, beside the output.
pub(crate) fn print_error(text: &str) {
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
