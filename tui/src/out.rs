//! Output without a terminal: once, or a line per event.
//!
//! Names of fields are an interface: neither name nor meaning changes. Spans are milliseconds (`_ms`), moments Unix
//! milliseconds (`_unix_ms`); unknown values are absent.

mod once;
mod stream;

pub use once::OutputFormat;
pub(crate) use once::print_locks;
pub(crate) use stream::StreamLine;

#[cfg(test)]
mod tests;
