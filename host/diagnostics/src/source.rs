//! Byte ranges of the text in people's units: line, column, and the line itself, safe to print.
//!
//! No range causes a panic, however odd: reports about bad input must not fail.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use leasehold_records::printable::is_unprintable;
use unicode_width::UnicodeWidthStr as _;

use crate::mask::{HIDDEN, hide_secrets};

/// Longest line shown in full, in characters; longer ones are shown as a window around the mark.
const WIDEST_EXCERPT: usize = 100;
/// Bytes of a line that are read, on each side of the mark.
const MOST_LOOKED_AT: usize = 2 * 1024;
/// Characters of a long line shown before the mark.
const BEFORE_MARK: usize = 30;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePlace {
    /// The file's name in messages; empty until it is known.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1 in characters.
    pub column: usize,
    /// The line, without secrets and without characters that a terminal would obey.
    pub excerpt: String,
    /// Columns of `excerpt` before the mark: some characters take two, some none.
    pub mark_at: usize,
    /// Columns under the mark, at least 1.
    pub mark_width: usize,
}

impl LinePlace {
    /// Sets the file of the place.
    #[must_use]
    pub fn in_file(self, file: Arc<str>) -> Self {
        Self { file, ..self }
    }

    /// Removes the line from the place.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self {
            excerpt: HIDDEN.into(),
            mark_at: 0,
            mark_width: HIDDEN.len(),
            ..self
        }
    }
}

/// A text and where its lines start.
pub struct SourceText<'t> {
    text: &'t str,
    starts: Rc<[usize]>,
}

impl<'t> SourceText<'t> {
    /// Finds the lines of `text`.
    pub fn new(text: &'t str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    /// `text` with line starts that were found before.
    pub const fn with_starts(text: &'t str, starts: Rc<[usize]>) -> Self {
        Self { text, starts }
    }

    /// Positions at which the lines start.
    pub const fn starts(&self) -> &Rc<[usize]> {
        &self.starts
    }

    /// The text.
    pub const fn text(&self) -> &'t str {
        self.text
    }

    /// Line, counted from 0, that holds the byte at `offset`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// Bytes of a line, counted from 0, without its line end.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let next = self.starts.get(line + 1).copied();
        let raw = &self.text[start..next.unwrap_or(self.text.len())];
        start..start + raw.trim_end_matches(['\n', '\r']).len()
    }

    /// Place at which `span` starts.
    pub fn place(&self, span: &Range<usize>) -> LinePlace {
        let mut start = self.text.floor_char_boundary(span.start);
        // An unclosed bracket is noticed at the end of the file, on a line that does not exist.
        if start == self.text.len() {
            start = self.text.trim_end().len();
        }
        let line = self.line_of(start);
        let range = self.line_range(line);
        let start = start.min(range.end);
        let end = self.text.floor_char_boundary(span.end);
        let end = end.clamp(start, range.end.max(start));
        let column = self.text[range.start..start].chars().count() + 1;
        let from = start.saturating_sub(MOST_LOOKED_AT).max(range.start);
        let from = self.text.floor_char_boundary(from);
        let to = self.text.floor_char_boundary(start + MOST_LOOKED_AT);
        let to = to.min(range.end);
        // Hiding a secret changes the length of the line, so the mark is moved.
        let width_to = |end| hide_secrets(&self.text[from..end]).chars().count();
        let before = width_to(start);
        let width = width_to(end.min(to)).saturating_sub(before).max(1);
        let line_text = hide_secrets(&self.text[from..to]);
        let (excerpt, mark_at, mark_width) = excerpt(&line_text, before, width);
        LinePlace {
            file: "".into(),
            line: line + 1,
            column,
            excerpt,
            mark_at,
            mark_width,
        }
    }
}

/// Cuts `line` around the mark and makes it printable. Takes the mark in characters and returns it in columns.
fn excerpt(line: &str, mark_at: usize, mark_width: usize) -> (String, usize, usize) {
    let chars: Vec<char> = line.chars().map(printable).collect();
    // A mark that starts inside a hidden secret must still point into the line.
    let mark_at = mark_at.min(chars.len());
    let (from, to) = if chars.len() <= WIDEST_EXCERPT {
        (0, chars.len())
    } else {
        let from = mark_at.saturating_sub(BEFORE_MARK);
        (from, (from + WIDEST_EXCERPT).min(chars.len()))
    };
    let head = if from > 0 { "…" } else { "" };
    let tail = if to < chars.len() { "…" } else { "" };
    let marked_to = mark_at.saturating_add(mark_width).min(to);
    let text = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
    let before = format!("{head}{}", text(from, mark_at));
    let marked = text(mark_at, marked_to);
    let (columns, width) = (before.width(), marked.width().max(1));
    let after = text(marked_to, to);
    (format!("{before}{marked}{after}{tail}"), columns, width)
}

/// Replaces a character that moves a cursor, reorders text or hides.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_unprintable(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = SourceText::new("a = 1\r\né = \"ü\"\n");
        let at = source.text().find('ü').unwrap_or(0);
        let place = source.place(&(at..at + 2));
        assert_eq!((place.line, place.column), (2, 6));
        assert_eq!(place.excerpt, "é = \"ü\"");
        assert_eq!((place.mark_at, place.mark_width), (5, 1));
    }

    #[test]
    fn the_end_of_the_file_is_shown_as_the_end_of_its_last_words() {
        let place = SourceText::new("a = [1,\n\n").place(&(9..9));
        assert_eq!((place.line, place.column), (1, 8));
    }

    #[test]
    fn no_range_is_too_odd() {
        for text in ["", "\n", "é\n", "a", "\r\n\r\n"] {
            let source = SourceText::new(text);
            for start in 0..6 {
                for end in 0..6 {
                    let place = source.place(&(start..end));
                    assert!(place.line >= 1 && place.column >= 1 && place.mark_width >= 1);
                }
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("a = \"{}\" !", "x".repeat(1_000));
        let place = SourceText::new(&text).place(&(1_007..1_008));
        assert_eq!(place.column, 1_008);
        assert!(place.excerpt.chars().count() <= WIDEST_EXCERPT + 2);
        assert_eq!(place.excerpt.chars().nth(place.mark_at), Some('!'));
    }

    #[test]
    fn nothing_a_terminal_obeys_is_shown() {
        let place = SourceText::new("a = \"\u{1b}[31m\u{202e}\"").place(&(0..1));
        assert_eq!(place.excerpt, "a = \"\u{fffd}[31m\u{fffd}\"");
    }

    #[test]
    fn mark_is_under_its_text_where_letters_are_wide() {
        let text = "漢字 = 漢!";
        let at = text.find('!').unwrap_or(0);
        let place = SourceText::new(text).place(&(at..at + 1));
        assert_eq!((place.column, place.mark_at, place.mark_width), (7, 9, 1));
        let place = SourceText::new(text).place(&(0..6));
        assert_eq!((place.mark_at, place.mark_width), (0, 4));
    }
}
