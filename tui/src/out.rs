//! What is said without a terminal: once, or a line for each thing that happens.
//!
//! Names of fields are an interface: they stay, and mean what they mean. Spans are milliseconds (`_ms`),
//! moments Unix milliseconds (`_unix_ms`); what is not known is absent.

mod once;
mod stream;

pub use once::OutputFormat;
pub(crate) use once::print_locks;
pub(crate) use stream::StreamLine;

#[cfg(test)]
mod tests;
