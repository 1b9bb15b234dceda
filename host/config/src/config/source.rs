//! Byte ranges of the text in people's units: line, column, and the line itself, safe to print.
//!
//! No range causes a panic, however odd: reports about bad input must not fail.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::mask::{HIDDEN, hide_secrets};

/// Longest line shown in full, in characters; longer ones are shown as a window around the mark.
const WIDEST_EXCERPT: usize = 100;
/// Bytes of a line that are read, on each side of the mark.
const MOST_LOOKED_AT: usize = 2 * 1024;
/// Characters of a long line shown before the mark.
const BEFORE_MARK: usize = 30;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinePlace {
    /// The file's name in messages; empty until it is known.
    pub(super) file: Arc<str>,
    /// Line, counted from 1.
    pub(super) line: usize,
    /// Column, counted from 1 in characters.
    pub(super) column: usize,
    /// The line, without secrets and without characters that a terminal would obey.
    pub(super) excerpt: String,
    /// Characters of `excerpt` before the mark.
    pub(super) mark_at: usize,
    /// Characters under the mark, at least 1.
    pub(super) mark_width: usize,
}

impl LinePlace {
    /// Sets the file of the place.
    pub(super) fn in_file(self, file: Arc<str>) -> Self {
        Self { file, ..self }
    }

    /// Removes the line from the place.
    pub(super) fn hidden(self) -> Self {
        Self {
            excerpt: HIDDEN.into(),
            mark_at: 0,
            mark_width: HIDDEN.len(),
            ..self
        }
    }
}

/// A text and where its lines start.
pub(super) struct Source<'t> {
    text: &'t str,
    starts: Rc<[usize]>,
}

impl<'t> Source<'t> {
    /// Finds the lines of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    /// `text` with line starts that were found before.
    pub(super) const fn with_starts(text: &'t str, starts: Rc<[usize]>) -> Self {
        Self { text, starts }
    }

    /// Positions at which the lines start.
    pub(super) const fn starts(&self) -> &Rc<[usize]> {
        &self.starts
    }

    /// The text.
    pub(super) const fn text(&self) -> &'t str {
        self.text
    }

    /// Line, counted from 0, that holds the byte at `offset`.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// Bytes of a line, counted from 0, without its line end.
    pub(super) fn line_range(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let next = self.starts.get(line + 1).copied();
        let raw = &self.text[start..next.unwrap_or(self.text.len())];
        start..start + raw.trim_end_matches(['\n', '\r']).len()
    }

    /// Place at which `span` starts.
    pub(super) fn place(&self, span: &Range<usize>) -> LinePlace {
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

/// Cuts `line` around the mark and makes it printable; moves the mark accordingly.
fn excerpt(line: &str, mark_at: usize, mark_width: usize) -> (String, usize, usize) {
    let chars: Vec<char> = line.chars().map(printable).collect();
    // A mark that starts inside a hidden secret must still point into the line.
    let mark_at = mark_at.min(chars.len());
    let mark_width = mark_width.min(chars.len() - mark_at).max(1);
    if chars.len() <= WIDEST_EXCERPT {
        return (chars.into_iter().collect(), mark_at, mark_width);
    }
    let from = mark_at.saturating_sub(BEFORE_MARK);
    let to = (from + WIDEST_EXCERPT).min(chars.len());
    let head = if from > 0 { "…" } else { "" };
    let tail = if to < chars.len() { "…" } else { "" };
    let window: String = chars[from..to].iter().collect();
    let mark_at = mark_at - from + usize::from(from > 0);
    let mark_width = mark_width.min(to - from);
    (format!("{head}{window}{tail}"), mark_at, mark_width)
}

/// Replaces a character that moves a cursor or reverses text; each takes one column.
pub(super) fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// `text` for use inside a message: printable and short.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = Source::new("a = 1\r\né = \"ü\"\n");
        let at = source.text().find('ü').unwrap_or(0);
        let place = source.place(&(at..at + 2));
        assert_eq!((place.line, place.column), (2, 6));
        assert_eq!(place.excerpt, "é = \"ü\"");
        assert_eq!((place.mark_at, place.mark_width), (5, 1));
    }

    #[test]
    fn the_end_of_the_file_is_shown_as_the_end_of_its_last_words() {
        let place = Source::new("a = [1,\n\n").place(&(9..9));
        assert_eq!((place.line, place.column), (1, 8));
    }

    #[test]
    fn no_range_is_too_odd() {
        for text in ["", "\n", "é\n", "a", "\r\n\r\n"] {
            let source = Source::new(text);
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
        let place = Source::new(&text).place(&(1_007..1_008));
        assert_eq!(place.column, 1_008);
        assert!(place.excerpt.chars().count() <= WIDEST_EXCERPT + 2);
        assert_eq!(place.excerpt.chars().nth(place.mark_at), Some('!'));
    }

    #[test]
    fn nothing_a_terminal_obeys_is_shown() {
        let place = Source::new("a = \"\u{1b}[31m\u{202e}\"").place(&(0..1));
        assert_eq!(place.excerpt, "a = \"\u{fffd}[31m\u{fffd}\"");
    }
}
