//! A cell of a table: a printable text and its tint.

use leasehold_records::{Outcome, printable};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::look::{self, Look};

/// Meaning of a cell, which a colour repeats. No colour is the only sign of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tint {
    /// No meaning.
    #[default]
    Plain,
    /// The head of a column.
    Head,
    /// As wanted.
    Good,
    /// Needs an eye.
    Warn,
    /// A failure.
    Bad,
    /// A strip of outcomes, each with its own colour.
    Strip,
}

/// Marks of a strip: a run that succeeded, one that failed, one that was stopped, and one under way.
const MARKS: [(char, char, Tint); 4] = [
    ('✓', '+', Tint::Good),
    ('✗', 'x', Tint::Bad),
    ('·', '.', Tint::Warn),
    ('▸', '>', Tint::Good),
];

/// A printable text with a tint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    /// The text for a narrow terminal, if there is a shorter one.
    short: Option<String>,
    tint: Tint,
}

impl Cell {
    /// Returns a cell of an age and its time, which a narrow terminal leaves out.
    pub(crate) fn timed(age: &str, time: &str) -> Self {
        Self {
            text: printable::line(&format!("{age} ({time})")),
            short: Some(printable::line(age)),
            tint: Tint::Plain,
        }
    }

    /// Returns a cell with a tint.
    pub(crate) fn tinted(text: &str, tint: Tint) -> Self {
        Self {
            text: printable::line(text),
            short: None,
            tint,
        }
    }

    /// Returns a cell with a dash for an empty text.
    pub(crate) fn or_dash(text: &str) -> Self {
        let is_empty = text.is_empty();
        if is_empty { "-".into() } else { text.into() }
    }

    /// Returns a strip of outcomes, one mark each.
    pub(crate) fn strip(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let text = outcomes.into_iter().map(mark).collect();
        Self {
            text,
            short: None,
            tint: Tint::Strip,
        }
    }

    /// Columns that the text takes.
    pub(super) fn width(&self) -> usize {
        self.text.width()
    }

    /// Columns that the text for a narrow terminal takes.
    pub(super) fn short_width(&self) -> usize {
        self.short
            .as_ref()
            .map_or(self.width(), |text| text.width())
    }

    /// True for a cell that shows nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() || self.text == "-"
    }

    /// Returns the text for so many columns, with its colours, and the columns that it takes.
    pub(super) fn paint(&self, most: usize, look: Look) -> (String, usize) {
        let text = match &self.short {
            Some(short) if self.width() > most => short,
            _ => &self.text,
        };
        let text = shorten(text, most, look);
        let width = text.width();
        if self.tint == Tint::Strip {
            return (paint_strip(&text, look), width);
        }
        (paint(&text, self.tint, look), width)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::tinted(text, Tint::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::tinted(&text, Tint::Plain)
    }
}

/// Returns the mark of an outcome.
const fn mark(outcome: Outcome) -> char {
    let at = match outcome {
        failed if failed.is_failure() => 1,
        Outcome::Stopped => 2,
        Outcome::Running => 3,
        _ => 0,
    };
    MARKS[at].0
}

/// Cuts a text to so many columns, with a mark where it was cut.
fn shorten(text: &str, most: usize, look: Look) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        short.push(c);
    }
    let mut short = short.trim_end().to_owned();
    if most > 0 {
        short.push(if look.unicode { '…' } else { '~' });
    }
    short
}

fn paint_strip(text: &str, look: Look) -> String {
    let marks = text.chars().map(|c| {
        let known = MARKS.iter().find(|(mark, _, _)| *mark == c);
        let Some((mark, ascii, tint)) = known else {
            return c.to_string();
        };
        let shown = if look.unicode { *mark } else { *ascii };
        paint(&shown.to_string(), *tint, look)
    });
    marks.collect()
}

fn paint(text: &str, tint: Tint, look: Look) -> String {
    let code = match tint {
        Tint::Plain | Tint::Strip => return text.to_owned(),
        Tint::Head => 1,
        Tint::Good => 32,
        Tint::Warn => 33,
        Tint::Bad => 31,
    };
    if look.colours && !text.is_empty() {
        look::paint(text, code)
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_has_a_mark_for_each_outcome_and_letters_without_utf_8() {
        let strip = Cell::strip([
            Outcome::Done,
            Outcome::Exit,
            Outcome::Stopped,
            Outcome::Running,
        ]);
        assert_eq!(strip.paint(9, Look::plain()).0, "✓✗·▸");
        let ascii = Look {
            unicode: false,
            ..Look::plain()
        };
        assert_eq!(strip.paint(9, ascii).0, "+x.>");
        let coloured = Look {
            colours: true,
            ..ascii
        };
        let (text, width) = strip.paint(9, coloured);
        assert!(
            text.starts_with("\u{1b}[32m+\u{1b}[0m\u{1b}[31mx"),
            "{text:?}"
        );
        assert_eq!(width, 4);
    }
}
