//! Writing text to the screen. All text from a store passes through here, and is cut to its area.
//!
//! Nothing here may write outside the given area, however small that is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use crate::text;

/// A text and its style.
#[derive(Clone, Debug)]
pub(super) struct TextPiece {
    pub(super) text: String,
    pub(super) style: Style,
}

impl TextPiece {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

/// Lines written from the top of an area until it is full.
pub(super) struct TextPage<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    next: u16,
}

impl<'a> TextPage<'a> {
    pub(super) const fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        Self {
            buffer,
            area,
            next: 0,
        }
    }

    /// Number of lines that can still be written.
    pub(super) fn left(&self) -> usize {
        self.area.height.saturating_sub(self.next).into()
    }

    /// Columns of a line.
    pub(super) fn width(&self) -> usize {
        self.area.width.into()
    }

    /// Writes a line of one text.
    pub(super) fn text(&mut self, text: &str, style: Style) {
        self.line(&[TextPiece::new(text, style)]);
    }

    /// Writes a line of several pieces, one after the other.
    pub(super) fn line(&mut self, pieces: &[TextPiece]) {
        line(self.buffer, self.area, self.next, pieces);
        self.next = self.next.saturating_add(1);
    }

    /// Marks the last written line as the selected one.
    pub(super) fn mark_last(&mut self, style: Style) {
        let last = row(self.area, self.next.saturating_sub(1));
        self.buffer.set_style(last, style);
    }
}

/// Writes pieces one after the other into the line `at` of `area`.
pub(super) fn line(buffer: &mut Buffer, area: Rect, at: u16, pieces: &[TextPiece]) {
    let place = row(area, at).intersection(buffer.area);
    if place.is_empty() {
        return;
    }
    let mut left = usize::from(place.width);
    let mut x = place.x;
    for piece in pieces {
        if left == 0 {
            return;
        }
        let wide = text::width(&piece.text).min(left);
        let shown = text::fit(&piece.text, if wide < left { wide } else { left });
        (x, _) = buffer.set_stringn(x, place.y, shown, left, piece.style);
        left = usize::from(place.right().saturating_sub(x));
    }
}

/// Line `at` of an area; empty if it does not exist.
pub(super) fn row(area: Rect, at: u16) -> Rect {
    let at = at.min(area.height);
    let height = (area.height - at).min(1);
    Rect::new(area.x, area.y + at, area.width, height)
}

/// Beginning of `text` in at most `width` columns, without padding.
pub(super) fn cut(text: &str, width: usize) -> String {
    let fitted = text::fit(text, width);
    fitted.trim_end().to_owned()
}

/// Words and spaces in turn. Only spaces end a word: a replaced character does not change where a line is broken.
fn split_at_spaces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_space = rest.chars().next()?.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != is_space);
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(word)
    })
}

/// `text` in lines of at most `width` columns, broken at spaces where there are some.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = Vec::new();
    let (mut line, mut columns) = (String::new(), 0);
    for word in split_at_spaces(text) {
        let wide = text::width(word);
        if columns + wide <= width {
            line.push_str(word);
            columns += wide;
            continue;
        }
        if columns > 0 && wide <= width {
            lines.push(std::mem::take(&mut line));
            // A line does not begin with the space at which it was broken.
            let word = if word.trim().is_empty() { "" } else { word };
            line.push_str(word);
            columns = text::width(word);
            continue;
        }
        for grapheme in word.graphemes(true) {
            let wide = text::width(grapheme);
            if columns + wide > width {
                lines.push(std::mem::take(&mut line));
                columns = 0;
            }
            line.push_str(grapheme);
            columns += wide;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_breaks_at_spaces_and_inside_long_words() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("漢字漢字漢", 5), ["漢字", "漢字", "漢"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn nothing_is_written_outside_of_its_place() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 2));
        let area = Rect::new(1, 0, 3, 1);
        let pieces = [
            TextPiece::new("ab", Style::new()),
            TextPiece::new("漢字", Style::new()),
        ];
        line(&mut buffer, area, 0, &pieces);
        line(&mut buffer, area, 1, &pieces);
        line(&mut buffer, Rect::new(5, 1, 9, 9), 0, &pieces);
        let text = |y| -> String { (0..6).map(|x| buffer[(x, y)].symbol().to_owned()).collect() };
        assert_eq!(text(0), " ab…  ");
        assert_eq!(text(1), "     …");
    }
}
