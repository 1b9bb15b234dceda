//! Output of commands that show records: a table or JSON.

use leasehold_records::printable;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::sink;

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ShowFormat {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// Prints a value as JSON over several lines.
pub(crate) fn print_json(value: &impl Serialize) -> Result<Exit, Failure> {
    print(&printable::json_pretty(value))
}

/// Prints a table that was rendered with its colours.
pub(crate) fn print_rendered(text: &str) -> Result<Exit, Failure> {
    let printed = sink::print_rendered(text);
    printed
        .map_err(|error| Failure::internal(&error))
        .map(|()| Exit::Ok)
}

/// Prints the text; a reader that has closed the pipe counts as satisfied.
pub(crate) fn print(text: &str) -> Result<Exit, Failure> {
    let printed = sink::print(text);
    printed
        .map_err(|error| Failure::internal(&error))
        .map(|()| Exit::Ok)
}
