//! Text for one cell of a table: exactly as wide as the cell, whatever the text is.
//!
//! Widths are those of ratatui, grapheme by grapheme. Nothing here fails, and nothing here may read more of a text
//! than its cell can show: output lines of a guest are long. `leasehold_records::printable` makes hostile text
//! harmless; a character that it misses cannot break a column.

mod numbers;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

pub(crate) use numbers::{age, bytes, clock_time, count, hex_short};

/// Mark of a cut; one column wide.
const CUT: char = '…';
/// Longest grapheme that is shown; longer ones are a letter with many marks. The longest emoji in use, a family of
/// four with skin tones, has 41 bytes.
const LONGEST_GRAPHEME_BYTES: usize = 64;

/// `text` in exactly `width` columns, at the left: padded with spaces, or cut with `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let part = Part::head(text, width);
    let mut out = part.text;
    out.extend(std::iter::repeat_n(' ', width - part.columns));
    out
}

/// Like [`fit`], at the right.
pub(crate) fn fit_right(text: &str, width: usize) -> String {
    let part = Part::head(text, width);
    let mut out = " ".repeat(width - part.columns);
    out.push_str(&part.text);
    out
}

/// Like [`fit`], but cuts the middle: `694d…3c07`.
pub(crate) fn fit_middle(text: &str, width: usize) -> String {
    if width < 3 || !Part::head(text, width).is_cut {
        return fit(text, width);
    }
    let at_end = (width - 1) / 2;
    let mut out = String::new();
    let mut columns = 1;
    for (grapheme, wide) in within(cells(first_bytes(text, width)), width - 1 - at_end) {
        out.push_str(grapheme);
        columns += wide;
    }
    out.push(CUT);
    let tail: Vec<_> = within(cells(last_bytes(text, at_end)).rev(), at_end).collect();
    for (grapheme, wide) in tail.into_iter().rev() {
        out.push_str(grapheme);
        columns += wide;
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(columns)));
    out
}

/// Columns of the whole `text`.
pub(crate) fn width(text: &str) -> usize {
    cells(text).map(|(_, wide)| wide).sum()
}

/// The part of a text that a cell shows.
struct Part {
    text: String,
    columns: usize,
    is_cut: bool,
}

impl Part {
    /// Beginning of `text` in at most `width` columns, with the mark if text is left.
    fn head(text: &str, width: usize) -> Self {
        let looked_at = first_bytes(text, width);
        let mut part = Self {
            text: String::with_capacity(looked_at.len().min(2 * width)),
            columns: 0,
            is_cut: looked_at.len() < text.len(),
        };
        // The longest beginning that leaves room for the mark.
        let mut marked = (0, 0);
        for (grapheme, wide) in cells(looked_at) {
            if part.columns + wide > width {
                part.is_cut = true;
                break;
            }
            if part.columns + wide == 0 {
                continue;
            }
            part.text.push_str(grapheme);
            part.columns += wide;
            if part.columns < width {
                marked = (part.text.len(), part.columns);
            }
        }
        if part.is_cut && width > 0 {
            part.text.truncate(marked.0);
            part.text.push(CUT);
            part.columns = marked.1 + 1;
        }
        part
    }
}

/// The graphemes of `text` as they are shown, with their columns.
///
/// Zero-width characters keep their places, except at the beginning: without them, their neighbours might join.
fn cells(text: &str) -> impl DoubleEndedIterator<Item = (&str, usize)> {
    text.graphemes(true).map(|grapheme| {
        let shown = match grapheme {
            "\t" => " ",
            _ if grapheme.contains(char::is_control) => "\u{fffd}",
            _ if grapheme.len() > LONGEST_GRAPHEME_BYTES => {
                &grapheme[..grapheme.ceil_char_boundary(1)]
            }
            _ => grapheme,
        };
        (shown, usize::from(shown.cell_width()))
    })
}

/// The first of `cells` that fit into `width` columns.
fn within<'t>(
    cells: impl Iterator<Item = (&'t str, usize)>,
    width: usize,
) -> impl Iterator<Item = (&'t str, usize)> {
    let mut left = width;
    cells.map_while(move |(grapheme, wide)| {
        left = left.checked_sub(wide)?;
        Some((grapheme, wide))
    })
}

/// Bytes at the beginning that can fill `width` columns, and one grapheme more.
fn first_bytes(text: &str, width: usize) -> &str {
    &text[..text.floor_char_boundary(most_bytes(width))]
}

/// Bytes at the end that can fill `width` columns.
fn last_bytes(text: &str, width: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(most_bytes(width)))..]
}

const fn most_bytes(width: usize) -> usize {
    width
        .saturating_add(1)
        .saturating_mul(LONGEST_GRAPHEME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    /// The columns that ratatui fills when it draws `text`.
    fn drawn(text: &str) -> usize {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 400, 1));
        let (x, _) = buffer.set_stringn(0, 0, text, 400, Style::new());
        x.into()
    }

    #[test]
    fn text_is_padded_or_cut_to_its_cell() {
        assert_eq!(fit("etl", 5), "etl  ");
        assert_eq!(fit("etl", 3), "etl");
        assert_eq!(fit("billing", 4), "bil…");
        assert_eq!(fit("billing", 1), "…");
        assert_eq!(fit("billing", 0), "");
        assert_eq!(fit("", 2), "  ");
        assert_eq!(fit_right("17", 4), "  17");
        assert_eq!(fit_right("1204311", 4), "120…");
    }

    #[test]
    fn the_middle_is_cut_where_both_ends_matter() {
        assert_eq!(fit_middle("694d8f2b1a003c07", 9), "694d…3c07");
        assert_eq!(fit_middle("694d8f2b1a003c07", 8), "694d…c07");
        assert_eq!(fit_middle("694d", 9), "694d     ");
        assert_eq!(fit_middle("694d8f", 2), "6…");
        assert_eq!(fit_middle("漢字漢字漢字", 6), "漢…字 ");
    }

    #[test]
    fn half_a_wide_character_becomes_padding() {
        assert_eq!(fit("漢字", 4), "漢字");
        assert_eq!(fit("漢字漢", 4), "漢… ");
        assert_eq!(fit("漢字漢", 5), "漢字…");
        assert_eq!(fit("漢字", 2), "… ");
        assert_eq!(fit_right("漢字漢", 4), " 漢…");
    }

    #[test]
    fn marks_and_joined_emoji_count_as_what_is_seen() {
        assert_eq!(fit("e\u{301}te\u{301}", 4), "e\u{301}te\u{301} ");
        assert_eq!(fit("e\u{301}te\u{301}", 2), "e\u{301}…");
        assert_eq!(width("👩\u{200d}🔬"), 2);
        assert_eq!(fit("👩\u{200d}🔬 lab", 4), "👩\u{200d}🔬 …");
        assert_eq!(width("👩🏽\u{200d}👧🏽"), 2);
    }

    #[test]
    fn control_characters_cannot_break_a_column() {
        assert_eq!(fit("a\u{1b}[2J\tb\r\n", 9), "a\u{fffd}[2J b\u{fffd} ");
        assert_eq!(fit("\u{301}\u{200d}\u{202e}x\u{202e}", 3), "x\u{202e}  ");
    }

    #[test]
    fn endless_text_costs_no_more_than_its_cell() {
        let marks = format!("a{}b", "\u{301}".repeat(5_000_000));
        let zeros = "\u{200b}".repeat(5_000_000);
        let long = "漢".repeat(5_000_000);
        let began = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(fit(&marks, 3), "a… ");
            assert_eq!(fit(&zeros, 3), "…  ");
            assert_eq!(fit(&long, 3), "漢…");
            assert_eq!(fit_middle(&long, 5), "漢…漢");
            assert!(drawn(&fit_middle(&marks, 5)) == 5 && fit_middle(&marks, 5).len() < 200);
        }
        assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    }

    #[test]
    fn any_mixture_fills_exactly_its_cell() {
        const PARTS: [&str; 24] = [
            "a",
            "Z",
            " ",
            "\t",
            "\u{1b}",
            "\r",
            "\n",
            "漢",
            "é",
            "\u{301}",
            "\u{200d}",
            "\u{200b}",
            "👩",
            "🔬",
            "\u{fe0f}",
            "☁",
            "\u{1f3fd}",
            "\u{1f1e9}",
            "\u{600}",
            "\u{1100}",
            "\u{1161}",
            "가",
            "क्ष",
            "ﾟ",
        ];
        let mut seed = 7_u32;
        let mut next = |most: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % most
        };
        for _ in 0..20_000 {
            let text: String = (0..next(12)).map(|_| PARTS[next(PARTS.len())]).collect();
            let room = next(9);
            for fitted in [
                fit(&text, room),
                fit_right(&text, room),
                fit_middle(&text, room),
            ] {
                assert_eq!(drawn(&fitted), room, "{text:?} in {room}: {fitted:?}");
                assert_eq!(width(&fitted), room, "{text:?} in {room}: {fitted:?}");
            }
        }
    }
}
