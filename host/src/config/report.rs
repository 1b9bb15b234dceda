//! What a person reads when a configuration is refused: every error, its place and its remedy.
//!
//! Rendering only. This file must never decide what is an error.

use std::fmt;
use std::path::{Path, PathBuf};

use super::context::Finding;
use super::source::{Place, Source, printable};

/// More errors than this are counted, not printed: nobody reads them.
const MOST_PRINTED: usize = 100;
/// More errors than this are counted, not kept: placing each one costs a look at its line.
const MOST_KEPT: usize = 1_000;

/// All errors of one configuration file, in the order of the file.
///
/// `Display` gives plain text in the manner of `rustc`, ending with
/// "N errors in FILE; nothing was started."; at most 100 errors are printed in full.
#[derive(Clone, Debug)]
pub struct Report {
    path: PathBuf,
    errors: Vec<Diagnostic>,
    count: usize,
}

/// One error: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    place: Option<Place>,
    notes: Vec<(Place, String)>,
    help: Vec<String>,
}

impl Diagnostic {
    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line, counted from 1; `None` when the file as a whole is meant.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The column, counted from 1 in characters; `None` when the file as a whole is meant.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    /// What to do about it, one remedy per entry.
    pub fn help(&self) -> &[String] {
        &self.help
    }
}

impl Report {
    /// Places `findings` in `source`, in the order of the text; errors said twice are said once.
    pub(super) fn new(path: &Path, source: &Source<'_>, mut findings: Vec<Finding>) -> Self {
        // By message too, so that what several jobs inherit from the defaults is said once.
        findings.sort_by(|a, b| (place_of(a), &a.message).cmp(&(place_of(b), &b.message)));
        findings.dedup_by(|a, b| (place_of(a), &a.message) == (place_of(b), &b.message));
        let count = findings.len();
        let errors = findings
            .into_iter()
            .take(MOST_KEPT)
            .map(|finding| Diagnostic {
                message: finding.message,
                place: finding.span.map(|span| {
                    let place = source.place(&span);
                    if finding.is_private {
                        place.hidden()
                    } else {
                        place
                    }
                }),
                notes: finding
                    .notes
                    .into_iter()
                    .map(|(span, text)| (source.place(&span), text))
                    .collect(),
                help: finding.help,
            })
            .collect();
        Self {
            path: path.to_owned(),
            errors,
            count,
        }
    }

    /// Every error, in the order of the file; of thousands, the first thousand.
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
fn place_of(finding: &Finding) -> Option<(usize, usize)> {
    finding.span.as_ref().map(|span| (span.start, span.end))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file: String = self.path.to_string_lossy().chars().map(printable).collect();
        for error in self.errors.iter().take(MOST_PRINTED) {
            error.render(f, &file)?;
            writeln!(f)?;
        }
        let unprinted = self.count.saturating_sub(MOST_PRINTED);
        if unprinted > 0 {
            writeln!(f, "… and {unprinted} more.")?;
        }
        match self.count {
            1 => write!(f, "1 error in {file}; nothing was started."),
            count => write!(f, "{count} errors in {file}; nothing was started."),
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
            Some(place) => render_place(f, digits, "-->", file, place, '^', "")?,
            None => writeln!(f, "{:digits$} --> {file}", "")?,
        }
        for (place, text) in &self.notes {
            render_place(f, digits, ":::", file, place, '-', text)?;
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
    file: &str,
    place: &Place,
    mark: char,
    text: &str,
) -> fmt::Result {
    let (line, column) = (place.line, place.column);
    let mark: String = std::iter::repeat_n(mark, place.mark_width).collect();
    let under = format!("{:at$}{mark} {text}", "", at = place.mark_at);
    writeln!(f, "{:digits$} {arrow} {file}:{line}:{column}", "")?;
    writeln!(f, "{:digits$}  |", "")?;
    writeln!(f, " {line:>digits$} | {}", place.excerpt)?;
    writeln!(f, "{:digits$}  | {}", "", under.trim_end())
}
