//! Errors with their places and remedies, as text.
//!
//! Rendering only: the errors are found elsewhere.

use std::fmt;
use std::ops::Range;

use crate::config_error::ConfigError;
use crate::source::LinePlace;

/// Errors beyond this number are counted, not printed: no person reads them.
const MOST_PRINTED: usize = 100;
/// Errors beyond this number are counted, not kept: placing each one costs a search for its line.
const MOST_KEPT: usize = 1_000;

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

    /// Finds the lines of an error.
    fn new(finding: ConfigError, place: &impl Fn(&Range<usize>) -> LinePlace) -> Self {
        let at = finding.span.map(|span| place(&span));
        Self {
            message: finding.message,
            place: if finding.is_private {
                at.map(LinePlace::hidden)
            } else {
                at
            },
            notes: finding
                .notes
                .into_iter()
                .map(|(span, text)| (place(&span), text))
                .collect(),
            help: finding.help,
        }
    }

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

/// All errors of one reading, in the order of the text, and their number.
#[derive(Clone, Debug)]
pub struct DiagnosticList {
    errors: Vec<Diagnostic>,
    count: usize,
}

impl DiagnosticList {
    /// Finds the lines of `findings` with `place`; equal errors are listed once.
    pub fn new(mut findings: Vec<ConfigError>, place: impl Fn(&Range<usize>) -> LinePlace) -> Self {
        // Sorted by message too, so that an error that several tables inherit is listed once.
        findings.sort_by(|a, b| (a.order(), &a.message).cmp(&(b.order(), &b.message)));
        findings.dedup_by(|a, b| (a.order(), &a.message) == (b.order(), &b.message));
        let count = findings.len();
        let kept = findings.into_iter().take(MOST_KEPT);
        Self {
            errors: kept
                .map(|finding| Diagnostic::new(finding, &place))
                .collect(),
            count,
        }
    }

    /// Every error; at most the first thousand.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// Writes at most 100 errors in full, each with an empty line behind it, then the number of the rest. `file` is
    /// the place of errors about the whole file.
    ///
    /// # Errors
    ///
    /// The formatter fails.
    pub fn render(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        for error in self.errors.iter().take(MOST_PRINTED) {
            error.render(f, file)?;
            writeln!(f)?;
        }
        let unprinted = self.count.saturating_sub(MOST_PRINTED);
        if unprinted > 0 {
            writeln!(f, "… and {unprinted} more.")?;
        }
        Ok(())
    }

    /// The number of errors, as in `3 errors`.
    pub fn counted(&self) -> String {
        let many = if self.count == 1 { "error" } else { "errors" };
        format!("{} {many}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceText;

    struct Rendered(DiagnosticList);

    impl fmt::Display for Rendered {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.render(f, "f.toml")
        }
    }

    fn listed(text: &str, findings: Vec<ConfigError>) -> DiagnosticList {
        let source = SourceText::new(text);
        DiagnosticList::new(findings, |span| source.place(span).in_file("f.toml".into()))
    }

    #[test]
    fn errors_beyond_the_limit_are_counted_and_equal_ones_listed_once() {
        let errors = (0..150).map(|number| ConfigError::at(0..1, format!("wrong {number:03}")));
        let again = ConfigError::at(0..1, "wrong 000");
        let list = listed("a", errors.chain([again]).collect());
        assert_eq!(list.counted(), "150 errors");
        let text = Rendered(list).to_string();
        assert_eq!(text.matches("error: wrong").count(), 100);
        assert!(text.ends_with("\n\n… and 50 more.\n"), "{text}");
    }

    #[test]
    fn error_with_a_note_and_a_remedy_shows_both_lines() {
        let text = "key = 1\nkey = 2\n";
        let error = ConfigError::at(8..11, "`key` is here a second time")
            .note(0..3, "the first is here")
            .help("keep one of them");
        let whole = ConfigError::whole("there is no job").help("add one");
        insta::assert_snapshot!(Rendered(listed(text, vec![error, whole])));
    }

    #[test]
    fn private_line_is_hidden() {
        let mut error = ConfigError::at(0..3, "wrong");
        error.is_private = true;
        let text = Rendered(listed("pin = 1234", vec![error])).to_string();
        assert!(text.contains(" 1 | <hidden>\n   | ^^^^^^^^\n"), "{text}");
    }
}
