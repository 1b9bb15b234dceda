//! The report of a refused configuration: every error, its place and its remedy.
//!
//! Rendering only: the errors are found elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

use super::context::ConfigError;
use super::path_text::shown_path;
use super::source::LinePlace;
use super::source_map::SourceMap;

/// Errors beyond this number are counted, not printed: no person reads them.
const MOST_PRINTED: usize = 100;
/// Errors beyond this number are counted, not kept: placing each one costs a search for its line.
const MOST_KEPT: usize = 1_000;

/// All errors of one configuration file and of the manifests it leads to, or of one dropped-in plugin,
/// in the order of the files.
///
/// `Display` gives plain text in the manner of `rustc`, ending with
/// "N errors in FILE; nothing was started."; at most 100 errors are printed in full.
#[derive(Clone, Debug)]
pub struct Report {
    path: PathBuf,
    subject: Subject,
    errors: Vec<Diagnostic>,
    count: usize,
}

/// The refused object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A configuration.
    Config,
    /// A dropped-in plugin.
    Plugin,
}

/// One error: its message, its place and its remedies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    place: Option<LinePlace>,
    notes: Vec<(LinePlace, String)>,
    help: Vec<String>,
}

impl Diagnostic {
    /// The fault, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file, or the plugin whose manifest it is; `None` if the error is about the report's file
    /// as a whole.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| &*place.file)
    }

    /// The line, counted from 1; `None` if the error is about the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The column, counted from 1 in characters; `None` if the error is about the file as a whole.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// The remedies, one per entry.
    pub fn help(&self) -> &[String] {
        &self.help
    }
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
    fn about(
        subject: Subject,
        path: &Path,
        texts: &SourceMap,
        mut findings: Vec<ConfigError>,
    ) -> Self {
        // Sorted by message too, so that an error that several jobs inherit from the defaults is
        // listed once.
        findings.sort_by(|a, b| (place_of(a), &a.message).cmp(&(place_of(b), &b.message)));
        findings.dedup_by(|a, b| (place_of(a), &a.message) == (place_of(b), &b.message));
        let count = findings.len();
        let errors = findings
            .into_iter()
            .take(MOST_KEPT)
            .map(|finding| Diagnostic {
                message: finding.message,
                place: finding.span.map(|span| {
                    let place = texts.place(&span);
                    if finding.is_private {
                        place.hidden()
                    } else {
                        place
                    }
                }),
                notes: finding
                    .notes
                    .into_iter()
                    .map(|(span, text)| (texts.place(&span), text))
                    .collect(),
                help: finding.help,
            })
            .collect();
        Self {
            path: path.to_owned(),
            subject,
            errors,
            count,
        }
    }

    /// Every error, in the order of the file; at most the first thousand.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// The file that was refused.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::error::Error for Report {}

/// Errors of the whole file come first.
fn place_of(finding: &ConfigError) -> Option<(usize, usize)> {
    finding.span.as_ref().map(|span| (span.start, span.end))
}

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
        for error in self.errors.iter().take(MOST_PRINTED) {
            error.render(f, &file)?;
            writeln!(f)?;
        }
        let unprinted = self.count.saturating_sub(MOST_PRINTED);
        if unprinted > 0 {
            writeln!(f, "… and {unprinted} more.")?;
        }
        let many = if self.count == 1 { "error" } else { "errors" };
        let count = self.count;
        match self.subject {
            Subject::Config => write!(f, "{count} {many} in {file}"),
            Subject::Plugin => write!(f, "{count} {many} about {file}"),
        }
    }
}

impl Diagnostic {
    fn render(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let lines = self.place.iter().chain(self.notes.iter().map(|(p, _)| p));
        let digits = lines
            .map(|place| place.line.to_string().len())
            .max()
            .unwrap_or(1);
        writeln!(f, "error: {}", self.message)?;
        match &self.place {
            Some(place) => render_place(f, digits, "-->", place, '^', "")?,
            None => writeln!(f, "{:digits$} --> {file}", "")?,
        }
        for (place, text) in &self.notes {
            render_place(f, digits, ":::", place, '-', text)?;
        }
        for help in &self.help {
            writeln!(f, "{:digits$}  = help: {help}", "")?;
        }
        Ok(())
    }
}

fn render_place(
    f: &mut fmt::Formatter<'_>,
    digits: usize,
    arrow: &str,
    place: &LinePlace,
    mark: char,
    text: &str,
) -> fmt::Result {
    let (file, line, column) = (&place.file, place.line, place.column);
    let mark: String = std::iter::repeat_n(mark, place.mark_width).collect();
    let under = format!("{:at$}{mark} {text}", "", at = place.mark_at);
    writeln!(f, "{:digits$} {arrow} {file}:{line}:{column}", "")?;
    writeln!(f, "{:digits$}  |", "")?;
    writeln!(f, " {line:>digits$} | {}", place.excerpt)?;
    writeln!(f, "{:digits$}  | {}", "", under.trim_end())
}
