//! The report of a refused configuration: every error, its place and its remedy.
//!
//! Rendering only: the errors are found elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

use leasehold_diagnostics::{ConfigError, Diagnostic, DiagnosticList, shown_path};

use super::source_map::SourceMap;

/// All errors of one configuration file and of the manifests it leads to, or of one dropped-in plugin,
/// in the order of the files.
///
/// `Display` gives plain text in the manner of `rustc`, ending with
/// "N errors in FILE; nothing was started."; at most 100 errors are printed in full.
#[derive(Clone, Debug)]
pub struct Report {
    path: PathBuf,
    subject: Subject,
    errors: DiagnosticList,
}

/// The refused object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A configuration.
    Config,
    /// A dropped-in plugin.
    Plugin,
}

impl Report {
    /// Report of the only error, about the configuration file as a whole.
    pub(super) fn of_file(path: &Path, finding: ConfigError) -> Self {
        Self::new(path, &SourceMap::default(), vec![finding])
    }

    /// Report of a configuration's errors; equal errors are listed once.
    pub(super) fn new(path: &Path, texts: &SourceMap, findings: Vec<ConfigError>) -> Self {
        Self::about(Subject::Config, path, texts, findings)
    }

    /// Report of a dropped-in plugin's errors.
    pub(super) fn of_plugin(path: &Path, texts: &SourceMap, findings: Vec<ConfigError>) -> Self {
        Self::about(Subject::Plugin, path, texts, findings)
    }

    /// Places `findings` in `texts`, in their order.
    fn about(subject: Subject, path: &Path, texts: &SourceMap, findings: Vec<ConfigError>) -> Self {
        Self {
            path: path.to_owned(),
            subject,
            errors: DiagnosticList::new(findings, |span| texts.place(span)),
        }
    }

    /// Every error, in the order of the file; at most the first thousand.
    pub fn errors(&self) -> &[Diagnostic] {
        self.errors.errors()
    }

    /// The file that was refused.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.render(f)?;
        f.write_str(match self.subject {
            Subject::Config => "; nothing was started.",
            Subject::Plugin => "; it was refused.",
        })
    }
}

/// A report for a running host, which continues with its old configuration.
struct WhileRunning<'a>(&'a Report);

impl fmt::Display for WhileRunning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.render(f)
    }
}

impl Report {
    /// Renders the report for a running host: as `Display`, without the note that nothing was
    /// started.
    pub fn while_running(&self) -> String {
        WhileRunning(self).to_string()
    }

    /// Prints every error and, as the last line, their number.
    fn render(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown_path(&self.path);
        self.errors.render(f, &file)?;
        let errors = self.errors.counted();
        match self.subject {
            Subject::Config => write!(f, "{errors} in {file}"),
            Subject::Plugin => write!(f, "{errors} about {file}"),
        }
    }
}
