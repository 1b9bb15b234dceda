//! Errors in a TOML file that a person wrote, shown in the manner of `rustc`: fault, line, mark, remedy.
//!
//! - [`SourceText`]: the lines of a text; [`LinePlace`]: one of them, safe to print, and the marked part of it.
//! - [`ConfigError`]: one error at a range of bytes. [`DiagnosticList`]: all of them with their places, rendered.
//! - [`suggest()`]: the known name that a mistyped one probably meant.
//! - [`mask`]: values that look like secrets, which no report repeats.
//! - [`keeps_lines`], [`is_duplicate`], [`is_unquoted`]: errors of the parser that leave the other lines intact.
//!
//! The readers of a file decide what is an error. No range and no text makes a report fail.

mod config_error;
mod diagnostic;
pub mod mask;
mod parser_error;
mod shown;
mod source;
mod suggest;

pub use config_error::ConfigError;
pub use diagnostic::{Diagnostic, DiagnosticList};
pub use parser_error::{is_duplicate, is_unquoted, keeps_lines};
pub use shown::{shown, shown_path};
pub use source::{LinePlace, SourceText};
pub use suggest::suggest;
