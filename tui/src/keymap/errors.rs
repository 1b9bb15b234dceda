//! Report of a refused settings file: every error with its place and remedy.

use std::fmt;

use leasehold_diagnostics::{ConfigError, DiagnosticList, SourceText};
use leasehold_records::printable;

/// All errors of one settings file, in the order of the file.
///
/// `Display` gives plain text in the manner of `rustc`, ending with
/// "N errors in FILE; nothing was started."; at most 100 errors are printed in full.
#[derive(Clone, Debug)]
pub(crate) struct SettingsErrors {
    file: String,
    errors: DiagnosticList,
}

impl SettingsErrors {
    /// Locates `findings` in `text`.
    pub(super) fn new(file: &str, text: &SourceText<'_>, findings: Vec<ConfigError>) -> Self {
        let file = printable::line(file);
        let errors = DiagnosticList::new(findings, |span| {
            text.place(span).in_file(file.as_str().into())
        });
        Self { file, errors }
    }
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors.render(f, &self.file)?;
        let (errors, file) = (self.errors.counted(), &self.file);
        write!(f, "{errors} in {file}; nothing was started.")
    }
}
