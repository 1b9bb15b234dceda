//! A line of parts; the least important parts are left out when there is no room.

use ratatui::style::Style;

use super::paint::TextPiece;
use crate::text;

/// A part of a line.
#[derive(Clone, Debug)]
struct LinePart {
    pieces: Vec<TextPiece>,
    /// Text between it and the part before.
    between: TextPiece,
    /// 0 is always shown; of the others the highest is left out first.
    rank: u8,
}

/// The parts of a line, from left to right.
#[derive(Clone, Debug, Default)]
pub(super) struct LineParts(Vec<LinePart>);

impl LineParts {
    /// Adds a part after two spaces.
    pub(super) fn add(&mut self, rank: u8, text: impl Into<String>, style: Style) {
        self.after("  ", Style::new(), rank, vec![TextPiece::new(text, style)]);
    }

    /// Adds a part of several pieces after a text of its own.
    pub(super) fn after(&mut self, between: &str, style: Style, rank: u8, pieces: Vec<TextPiece>) {
        self.0.push(LinePart {
            pieces,
            between: TextPiece::new(between, style),
            rank,
        });
    }

    /// Adds other parts, the first of them after a text of its own.
    pub(super) fn append(&mut self, between: &str, style: Style, other: Self) {
        let first = self.0.len();
        self.0.extend(other.0);
        if let Some(part) = self.0.get_mut(first) {
            part.between = TextPiece::new(between, style);
        }
    }

    /// Pieces that fit into `width` columns.
    pub(super) fn fit(mut self, width: usize) -> Vec<TextPiece> {
        while self.width() > width {
            let ranks = self.0.iter().map(|part| part.rank).enumerate();
            let Some((least, rank)) = ranks.max_by_key(|(_, rank)| *rank) else {
                break;
            };
            if rank == 0 {
                break;
            }
            self.0.remove(least);
        }
        let mut pieces = Vec::new();
        for (at, part) in self.0.into_iter().enumerate() {
            if at > 0 {
                pieces.push(part.between);
            }
            pieces.extend(part.pieces);
        }
        pieces
    }

    /// Columns of all parts.
    pub(super) fn width(&self) -> usize {
        let parts = self.0.iter().enumerate();
        parts
            .map(|(at, part)| {
                let inner: usize = part
                    .pieces
                    .iter()
                    .map(|piece| text::width(&piece.text))
                    .sum();
                inner
                    + if at > 0 {
                        text::width(&part.between.text)
                    } else {
                        0
                    }
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_dropped_by_rank() {
        let mut parts = LineParts::default();
        parts.add(0, "NAME", Style::new());
        parts.add(2, "detail", Style::new());
        parts.add(1, "count", Style::new());
        parts.add(2, "more", Style::new());
        let shown = |width| -> String {
            let pieces = parts.clone().fit(width);
            pieces.into_iter().map(|piece| piece.text).collect()
        };
        assert_eq!(shown(30), "NAME  detail  count  more");
        assert_eq!(shown(20), "NAME  detail  count");
        assert_eq!(shown(15), "NAME  count");
        assert_eq!(shown(2), "NAME");
    }
}
