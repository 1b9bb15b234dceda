//! Report of a refused settings file: every error with its place and remedy.
//!
//! Rendering only. This file must never decide what is an error, and never fail on a range.

use std::fmt;
use std::ops::Range;

use leasehold_records::printable;

use crate::text;

/// Errors beyond this number are only counted: a longer report is not read.
const MOST_PRINTED: usize = 100;
/// Most bytes shown of the line before, under and after the mark.
const MOST_SHOWN: usize = 60;

/// One error in the text.
#[derive(Debug)]
pub(super) struct SettingsFinding {
    /// Bytes that it is about.
    pub(super) span: Range<usize>,
    message: String,
    note: Option<(Range<usize>, &'static str)>,
    help: Vec<String>,
}

impl SettingsFinding {
    /// An error at these bytes.
    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            note: None,
            help: Vec::new(),
        }
    }

    /// Adds a remedy.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub(super) fn note(mut self, span: Range<usize>, text: &'static str) -> Self {
        self.note = Some((span, text));
        self
    }
}

/// All errors of one settings file, in the order of the file.
///
/// `Display` gives plain text in the manner of `rustc`, ending with
/// "N errors in FILE; nothing was started."; at most 100 errors are printed in full.
#[derive(Clone, Debug)]
pub(crate) struct SettingsErrors {
    file: String,
    errors: Vec<LocatedFinding>,
    count: usize,
}

/// An error with its lines and columns.
#[derive(Clone, Debug)]
struct LocatedFinding {
    message: String,
    place: TextLocation,
    note: Option<(TextLocation, &'static str)>,
    help: Vec<String>,
}

#[derive(Clone, Debug)]
struct TextLocation {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// The line or a part of it, safe to print.
    excerpt: String,
    /// Columns of the excerpt before the mark.
    mark_at: usize,
    /// Columns under the mark, at least 1.
    mark_width: usize,
}

impl SettingsErrors {
    /// Locates `findings` in `text`.
    pub(super) fn new(file: &str, text: &str, mut findings: Vec<SettingsFinding>) -> Self {
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let count = findings.len();
        let errors = findings.into_iter().take(MOST_PRINTED);
        Self {
            file: printable::line(file),
            errors: errors
                .map(|finding| LocatedFinding::new(finding, text))
                .collect(),
            count,
        }
    }
}

impl LocatedFinding {
    fn new(finding: SettingsFinding, text: &str) -> Self {
        let note = finding.note;
        Self {
            message: finding.message,
            place: TextLocation::locate(&finding.span, text),
            note: note.map(|(span, said)| (TextLocation::locate(&span, text), said)),
            help: finding.help,
        }
    }
}

impl TextLocation {
    fn locate(span: &Range<usize>, text: &str) -> Self {
        let mut start = text.floor_char_boundary(span.start);
        // An unclosed value is noticed at the end of the file, on a line that does not exist.
        if start == text.len() {
            start = text.trim_end().len();
        }
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |length| start + length);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);
        let (before, marked, after) = (
            &text[line_start..start],
            &text[start..end],
            &text[end..line_end],
        );
        let before_shown = last(before);
        let marked_shown = first(marked);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: before.chars().count() + 1,
            mark_at: text::width(&before_shown),
            mark_width: text::width(&marked_shown).max(1),
            excerpt: format!("{before_shown}{marked_shown}{}", first(after.trim_end())),
        }
    }
}

/// Beginning of a part of a line, safe to print.
fn first(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(MOST_SHOWN)];
    let cut = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", printable::line(kept).replace('\t', " "))
}

/// End of a part of a line, safe to print.
fn last(text: &str) -> String {
    let kept = &text[text.ceil_char_boundary(text.len().saturating_sub(MOST_SHOWN))..];
    let cut = if kept.len() < text.len() { "…" } else { "" };
    format!("{cut}{}", printable::line(kept).replace('\t', " "))
}

/// `text` for use inside a message: printable and short.
pub(super) fn shown(text: &str) -> String {
    /// Longest name that is shown whole; valid names are shorter.
    const LONGEST: usize = 40;
    let kept: String = text.chars().take(LONGEST).collect();
    let cut = if kept.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", printable::line(&kept).replace('\t', " "))
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            error.render(f, &self.file)?;
            writeln!(f)?;
        }
        let unprinted = self.count - self.errors.len();
        if unprinted > 0 {
            writeln!(f, "… and {unprinted} more.")?;
        }
        let file = &self.file;
        match self.count {
            1 => write!(f, "1 error in {file}; nothing was started."),
            count => write!(f, "{count} errors in {file}; nothing was started."),
        }
    }
}

impl LocatedFinding {
    fn render(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let noted = self.note.as_ref().map_or(0, |(place, _)| place.line);
        let digits = self.place.line.max(noted).to_string().len();
        writeln!(f, "error: {}", self.message)?;
        self.place
            .render(f, digits, &format!("--> {file}"), '^', "")?;
        if let Some((place, text)) = &self.note {
            place.render(f, digits, &format!("::: {file}"), '-', text)?;
        }
        for help in &self.help {
            writeln!(f, "{:digits$}  = help: {help}", "")?;
        }
        Ok(())
    }
}

impl TextLocation {
    fn render(
        &self,
        f: &mut fmt::Formatter<'_>,
        digits: usize,
        file: &str,
        mark: char,
        text: &str,
    ) -> fmt::Result {
        let mark: String = std::iter::repeat_n(mark, self.mark_width).collect();
        let under = format!("{:at$}{mark} {text}", "", at = self.mark_at);
        writeln!(f, "{:digits$} {file}:{}:{}", "", self.line, self.column)?;
        writeln!(f, "{:digits$}  |", "")?;
        writeln!(f, " {:>digits$} | {}", self.line, self.excerpt)?;
        writeln!(f, "{:digits$}  | {}", "", under.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_in_any_text_is_located() {
        for text in ["", "\n", "é\n", "漢", "\r\n\r\n", "a\nb"] {
            for start in 0..6 {
                for end in 0..6 {
                    let place = TextLocation::locate(&(start..end), text);
                    assert!(place.line >= 1 && place.column >= 1 && place.mark_width >= 1);
                }
            }
        }
    }

    #[test]
    fn line_long_or_hostile_is_cut_around_its_mark() {
        let text = format!("x = 1\n{}\u{1b}[2J漢!{}", "é".repeat(500), "y".repeat(500));
        let at = text.find('!').unwrap();
        let place = TextLocation::locate(&(at..at + 1), &text);
        assert_eq!((place.line, place.column), (2, 506));
        assert!(place.excerpt.len() < 3 * MOST_SHOWN && place.excerpt.contains("\u{fffd}[2J漢!y"));
        assert_eq!(
            text::width(place.excerpt.split('!').next().unwrap()),
            place.mark_at
        );
    }

    #[test]
    fn errors_beyond_the_limit_are_counted() {
        let findings = (0..150)
            .map(|_| SettingsFinding::at(0..1, "wrong"))
            .collect();
        let report = SettingsErrors::new("f", "a", findings).to_string();
        assert!(report.ends_with("… and 50 more.\n150 errors in f; nothing was started."));
    }
}
